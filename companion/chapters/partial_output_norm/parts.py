"""The 2×2 of ball and penalty: both parts, each alone, and neither, all at the whole method's learning rate, δ and α."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from companion import page
from companion.chapters.partial_output_norm.recorded import METHOD
from companion.page import Prose, predict, say
from companion.page.recorded import ends, not_usable
from companion.plots import Shown, Style, forest
from companion.results import Comparison, Results

NONE, BALL, PENALTY = "vanilla at P-ON's rate", "ball alone at P-ON's point", "penalty alone at P-ON's point"
"""What the recorded controls are called."""


def parts_at_one_point(results: Results) -> dict[str, Comparison]:
    """Return what the ball, the penalty and both do against neither, at one learning rate.

    Args:
        results: recorded results of one setting.
    """
    arms = {"the ball alone": BALL, "the penalty alone": PENALTY, "both": METHOD}
    return {words: results.compare(arm, NONE) for words, arm in arms.items()}


def which_part(found: Mapping[str, Comparison]) -> int:
    """Return which part lowers the error clearly: 0 the ball alone, 1 the penalty alone, 2 each of them, 3 neither.

    Args:
        found: as `parts_at_one_point` returns them.
    """
    ball, penalty = (found[part].low > 0 for part in ("the ball alone", "the penalty alone"))
    return 2 if ball and penalty else 0 if ball else 1 if penalty else 3


def figure_parts(results: Results) -> Shown | Prose:
    """Show the 2×2 of ball and penalty: both parts, each alone, neither, at one learning rate."""
    if not {BALL, PENALTY} <= set(results.controls):
        return say("*Not recorded yet:* each part alone at the whole method's point.")
    if absent := not_usable(results, METHOD, BALL, PENALTY, NONE):
        return absent
    found = parts_at_one_point(results)
    looks = (Style("pon", "--", "s"), Style("pon", ":", "^"), Style("pon", "-", "o"))
    rows = [(words, look, one) for (words, one), look in zip(found.items(), looks, strict=True)]
    lead = ("Only the ball", "Only the penalty", "Each part", "Neither part")[which_part(found)]
    knobs = results.knobs(METHOD)
    own = results.compare(METHOD, PENALTY)
    adds = (
        "adds to it" if own.low > 0 else "takes from it" if own.high < 0 else "adds nothing that these runs could tell"
    )
    caption = (
        f"{lead} lowers the error clearly by itself. All four networks have the whole method's learning rate, δ and α ({page.knobs_text(knobs)}), where they are "
        f"turned on; the error of neither minus that of each, points, 95 % intervals. Beside the penalty the "
        f"ball {adds}: {page.interval_text(own)}."
    )
    alt = "Three differences with intervals: " + ", ".join(
        f"{words} {page.interval_text(one)}" for words, one in found.items()
    )
    return forest(
        rows,
        xlabel="error of neither minus error with it, points",
        alt=alt + ".",
        caption=caption,
        better="right",
        name="figure-parts",
    )


def say_length(results: Results) -> Prose:
    """Say what the lengths do with the method and with its parts, and what is to be learned from it.

    Args:
        results: recorded results of one setting.
    """
    shown = [
        arm for arm in (NONE, BALL, PENALTY, METHOD) if arm in (*results.arms, *results.controls) and results.seeds(arm)
    ]
    if len(shown) < 4 or (absent := not_usable(results, *shown)):
        return say("*Not recorded yet:* the lengths with each part alone.") if len(shown) < 4 else absent
    none, ball, penalty, both = (ends(results, arm, "length")[1] for arm in shown)
    words = "less than" if both < min(ball, penalty) else "between that of"
    threshold = results.knobs(METHOD)["threshold"]
    return say(
        f"At one learning rate, and with δ = {threshold:.3g}, the mean length ends at {none:.1f} with neither part, {ball:.1f} with the ball alone, "
        f"{penalty:.1f} with the penalty alone and {both:.1f} with both, {words} either part. "
        + (
            f"The ball alone lets vectors grow to {ball / threshold:.1f} times its radius, as steps across them and shared weights would have it."
            if ball > 1.1 * threshold
            else "The ball alone holds them at its radius."
        )
    )


def predict_parts(results: Results) -> Any:
    """Ask which part of the method lowers the error.

    Args:
        results: recorded results of one setting.
    """
    shown = figure_parts(results)
    if isinstance(shown, Prose):
        return shown
    found = parts_at_one_point(results)
    if any(one.state != "ok" for one in found.values()):
        return say("*Unfinished:* runs of the parts are missing.")
    right = which_part(found)
    so = (
        "So here the ball earns its name; what the penalty adds to it is not to be seen.",
        "So on this data the penalty does the work; the paper, too, finds that it helps by itself.",
        "So here the parts do not need each other.",
        "So whatever the whole method gains, neither part shows it by itself.",
    )
    return predict(
        "Ball and penalty, each alone at the δ, α and learning rate of the whole method: which lowers the test error clearly?",
        ("Only the ball.", "Only the penalty.", "Each of them.", "Neither."), right=right, result=shown, so=so[right],
    )  # fmt: skip
