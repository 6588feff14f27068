"""Ball and penalty apart: at the whole method's learning rate, δ and α where that is recorded, else each with a search of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from companion import page
from companion.chapters.partial_output_norm.recorded import METHOD, PARTS
from companion.page import Prose, predict, say
from companion.page.recorded import ends, not_usable
from companion.plots import Shown, Style, forest
from companion.results import Comparison, Results

NONE, BALL, PENALTY = "vanilla at P-ON's rate", "ball alone at P-ON's point", "penalty alone at P-ON's point"
"""What the controls are called that make the 2×2."""


class Design(NamedTuple):
    """The arms that tell the parts apart: neither part, the ball, the penalty, both; and whether all have one learning rate."""

    neither: str
    ball: str
    penalty: str
    both: str
    one_point: bool


def design_of(results: Results) -> Design:
    """Return the 2×2 where its runs are recorded, else the parts as they were searched.

    Args:
        results: recorded results of one setting.
    """
    if {NONE, BALL, PENALTY} <= set(results.controls):
        return Design(NONE, BALL, PENALTY, METHOD, one_point=True)
    return Design("vanilla", *PARTS, METHOD, one_point=False)


def parts_compared(results: Results) -> dict[str, Comparison]:
    """Return what the ball, the penalty and both do against neither.

    Args:
        results: recorded results of one setting.
    """
    design = design_of(results)
    arms = {"the ball alone": design.ball, "the penalty alone": design.penalty, "both": design.both}
    return {words: results.compare(arm, design.neither) for words, arm in arms.items()}


def which_part(found: Mapping[str, Comparison]) -> int:
    """Return which part lowers the error clearly: 0 the ball alone, 1 the penalty alone, 2 each of them, 3 neither.

    Args:
        found: as `parts_compared` returns them.
    """
    ball, penalty = (found[part].low > 0 for part in ("the ball alone", "the penalty alone"))
    return 2 if ball and penalty else 0 if ball else 1 if penalty else 3


def say_parts_setup(results: Results) -> Prose:
    """Say how the parts were trained apart.

    Args:
        results: recorded results of one setting.
    """
    design = design_of(results)
    if absent := not_usable(results, *design[:4]):
        return absent
    lead = "The method has two parts, and a gain of both together says nothing about either."
    if design.one_point:
        return say(
            lead,
            "So networks were also trained at the *same* learning rate, δ and α with one part turned off, and with both turned off: a 2×2.",
        )
    return say(
        lead, "So each part was also searched and trained by itself, at the learning rate that its own search chose."
    )


def figure_parts(results: Results) -> Shown | Prose:
    """Show what ball, penalty and both do against neither.

    Args:
        results: recorded results of one setting.
    """
    design = design_of(results)
    if absent := not_usable(results, *design[:4]):
        return absent
    found = parts_compared(results)
    looks = (Style("pon", "--", "s"), Style("pon", ":", "^"), Style("pon", "-", "o"))
    rows = [(words, look, one) for (words, one), look in zip(found.items(), looks, strict=True)]
    lead = ("Only the ball's", "Only the penalty's", "Each part's", "Neither part's")[which_part(found)]
    own = results.compare(design.both, design.penalty)
    adds = (
        "adds to it" if own.low > 0 else "takes from it" if own.high < 0 else "adds nothing that these runs could tell"
    )
    how = (
        f"All networks have the whole method's learning rate, δ and α ({page.knobs_text(results.knobs(METHOD))}), where they are turned on"
        if design.one_point
        else f"Each has the learning rate and knobs of its own search (neither {results.knobs(design.neither)['lr']:.3g}, ball "
        f"{page.knobs_text(results.knobs(design.ball))}, penalty {page.knobs_text(results.knobs(design.penalty))}, both {page.knobs_text(results.knobs(METHOD))})"
    )
    beside = f"Beside the penalty the ball {adds}: {page.interval_text(own)}." if design.one_point else ""
    caption = f"{lead} interval lies above zero. {how}; the error of neither minus that of each, points, 95 % intervals. {beside}"
    alt = f"Three differences with intervals: {', '.join(f'{words} {page.interval_text(one)}' for words, one in found.items())}."
    axis = "error of neither minus error with it, points"
    return forest(rows, xlabel=axis, alt=alt, caption=caption, better="right", name="figure-parts")


def say_length(results: Results) -> Prose:
    """Say what the lengths do with the method and with its parts.

    Args:
        results: recorded results of one setting.
    """
    design = design_of(results)
    if absent := not_usable(results, *design[:4]):
        return absent
    none, ball, penalty, both = (ends(results, arm, "length")[1] for arm in design[:4])
    radius = results.knobs(design.ball)["threshold"]
    lead = "At one learning rate" if design.one_point else "Each at its own learning rate"
    held = (
        f"The ball alone lets vectors grow to {ball / radius:.1f} times its radius."
        if ball > 1.1 * radius
        else "The ball alone holds them at its radius."
    )
    return say(
        f"{lead}, the mean length ends at {none:.1f} with neither part, {ball:.1f} with the ball alone (δ = {radius:.3g}), {penalty:.1f} with the penalty "
        f"alone and {both:.1f} with both (δ = {results.knobs(METHOD)['threshold']:.3g}). {held}"
    )


def predict_parts(results: Results) -> Any:
    """Ask which part of the method lowers the error.

    Args:
        results: recorded results of one setting.
    """
    shown = figure_parts(results)
    if isinstance(shown, Prose):
        return shown
    found = parts_compared(results)
    if any(one.state != "ok" for one in found.values()):
        return say("*Unfinished:* runs of the parts are missing.")
    so = (
        "So here the ball earns its name; what the penalty adds to it is not to be seen.",
        "So on this data the paper's helper is what can be seen to help.",
        "So here the parts do not need each other.",
        "So whatever the whole method gains, neither part shows it by itself.",
    )
    rates = sorted({f"{results.knobs(arm)['lr']:.3g}" for arm in design_of(results)[:3]})
    mixed = (
        ""
        if len(rates) == 1
        else f" But the learning rates are {' and '.join(rates)}: the effect of a part and that of its rate are not told apart."
    )
    right = which_part(found)
    how = (
        "each alone at the δ, α and learning rate of the whole method"
        if design_of(results).one_point
        else "each alone and tuned for itself"
    )
    return predict(
        f"Ball and penalty, {how}: whose interval of the gain lies above zero?",
        ("Only the ball.", "Only the penalty.", "Each of them.", "Neither."), right=right, result=shown, so=so[right] + mixed,
    )  # fmt: skip
