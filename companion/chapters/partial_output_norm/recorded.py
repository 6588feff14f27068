"""What the chapter and its audit say of the recorded runs: the general figures and sentences with this method's arms, and a few of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from companion import page, papers
from companion.page import Prose, predict, say
from companion.page.recorded import ends, not_usable
from companion.plots import Shown, Style, forest
from companion.results import Comparison, Results
from companion.widgets import DrawCurve

PAPER = papers.load("partial_output_norm")
METHOD, WITH_DECAY, DECAY = "P-ON", "P-ON + weight decay", "weight decay"
PARTS = ("norm only", "stability only")
MATCHED = ((METHOD, "vanilla", ""), (WITH_DECAY, DECAY, ", with weight decay"))
"""The comparisons that were also made at equal learning rates."""
NONE, BALL, PENALTY = "vanilla at P-ON's rate", "ball alone at P-ON's point", "penalty alone at P-ON's point"
"""With the whole method the 2×2 of ball and penalty, all at one learning rate, δ and α."""
EXPERIMENTS = ("pon-mnist-decayed", "pon-graphs-resampled")
"""Those that the chapter judges by."""

# --- the general ones, with this method's arms ------------------------------------------------------------------------

figure_length = partial(
    page.figure_length, method=METHOD, note="Lengths are of the raw logits, before the ball."
)  # the paper's Figure 2, with all arms
figure_gradient = partial(page.figure_gradient, method=METHOD)  # Figure 3
figure_parameter_gradient = partial(page.figure_parameter_gradient, method=METHOD)  # Figure 5
figure_gap = partial(page.figure_gap, method=METHOD)  # Figure 8, with our arms
figure_search = partial(page.figure_search, method=METHOD)
say_growing = partial(page.say_growing, arms=("vanilla", "stability only", DECAY))  # without the ball
table_matched_rate = partial(page.table_matched, pairs=MATCHED)
say_matched_rate = partial(page.say_matched, pairs=MATCHED)
run_here = page.run_here


def effects() -> dict[str, float]:
    """Return the paper's effects in points by the names of the rows of `figure_what_holds`."""
    found = {}
    for contrast in PAPER.contrasts:
        if contrast.experiment in EXPERIMENTS and contrast.effect_basis == "printed":
            words = next(words for better, baseline, words in MATCHED if better == contrast.better)
            found[f"{contrast.data}/{contrast.model}{words}"] = contrast.effect
    return found


def figure_what_holds(recorded: Mapping[str, Results]) -> Shown | Prose:
    """Show the paper's effects beside ours: each arm at its own rate, and both at one."""
    chosen = {name: recorded[name] for name in EXPERIMENTS if name in recorded}
    return page.figure_forest(chosen, MATCHED, effects=effects())


def table_what_holds(recorded: Mapping[str, Results]) -> page.Panel:
    """Show the errors and the verdicts behind `figure_what_holds`."""
    chosen = {name: recorded[name] for name in EXPERIMENTS if name in recorded}
    return page.table_verdicts(chosen, MATCHED, effects=effects())


# --- the 2×2 of ball and penalty --------------------------------------------------------------------------------------


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


# --- what the reader commits to ---------------------------------------------------------------------------------------


def draw_length(results: Results) -> DrawCurve | Prose:
    """Let the reader draw the course of the mean output length, then show it with and without the method.

    Args:
        results: recorded results of one setting.
    """
    if absent := not_usable(results, "vanilla", METHOD):
        return absent
    epochs, values = results.curve("vanilla", "length")
    other = results.curve(METHOD, "length")[1]
    return DrawCurve.of(epochs, values, name_y="mean output length ‖z‖", other=other, other_arm=METHOD)


SIGNS = (
    "Below the entropy on both: under-confident everywhere.",
    "Below on the training images, above on the test images.",
    "Above on the training images, below on the test images.",
    "Above the entropy on both: over-confident everywhere.",
)


def predict_sign(results: Results, arm: str = "vanilla") -> Any:
    """Ask on which side of its entropy the loss ends, on training and on test images.

    Args:
        results: recorded results of one setting.
        arm: which.
    """
    if absent := not_usable(results, arm):
        return absent
    gap = {
        rows: ends(results, arm, f"{rows}_loss")[1] - ends(results, arm, f"{rows}_entropy")[1]
        for rows in ("train", "test")
    }
    right = 2 * (gap["train"] > 0) + (gap["test"] > 0)
    so = (
        "So the same network is pushed in two directions at once: the images that it learns from ask for longer vectors, new images for "
        "shorter ones. Training only ever hears the first."
        if right == 1
        else "So both sets ask for the same change of the common length."
        if right in (0, 3)
        else "So here training shortens what new images would have longer."
    )
    return predict(
        "At the end of training with plain cross entropy, where does the mean loss lie, compared with the mean entropy?",
        SIGNS, right=right, result=page.figure_loss_and_entropy(results, arm), so=so,
    )  # fmt: skip


SHARES = ("Under a tenth.", "About a quarter.", "About a half.", "Nearly all of it.")


def predict_radial(results: Results, arm: str = "vanilla") -> Any:
    """Ask how much of the logit gradient is radial at the end.

    Args:
        results: recorded results of one setting.
        arm: which.
    """
    if absent := not_usable(results, arm):
        return absent
    share = float(page.radial_share(results, arm)[-1])
    so = (
        f"So {share:.0%} of what is left to learn is about length: a ball has that much to take away. "
        f"It takes it whether or not it was useful; that is what the error must tell."
    )
    return predict(
        "Of the gradient with respect to the logits, how much points along them when training ends?",
        SHARES, right=int(np.digitize(share, (0.1, 0.375, 0.75))), result=figure_gradient(results, arm=arm), so=so,
    )  # fmt: skip


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
        "So on this data the penalty, presented as the ball's helper, does the work.",
        "So here the parts do not need each other.",
        "So whatever the whole method gains, neither part shows it by itself.",
    )
    return predict(
        "Ball and penalty, each alone at the δ, α and learning rate of the whole method: which lowers the test error clearly?",
        ("Only the ball.", "Only the penalty.", "Each of them.", "Neither."), right=right, result=shown, so=so[right],
    )  # fmt: skip


# --- sentences -----------------------------------------------------------------------------------------


def say_answer(results: Results) -> Prose:
    """Answer the chapter's question with one number: what the method changes on top of weight decay, and what the paper prints.

    Args:
        results: recorded results of one setting.
    """
    printed = effects()[f"{results.settings[0]}, with weight decay"] if results.settings else 0.0
    main = results.compare(WITH_DECAY, DECAY, effect=printed) if {WITH_DECAY, DECAY} <= set(results.arms) else None
    theory = (
        "**The answer.** A vector is made longer exactly while its loss is below its entropy; a ball turns that push off and bounds how "
        "sure the network can be."
    )
    if main is None or main.state != "ok":
        return say(theory, "*Not recorded yet:* what that is worth on MNIST.")
    verb = "lowers" if main.low > 0 else "raises" if main.high < 0 else "does not clearly change"
    return say(
        f"{theory} On MNIST the whole method {verb} the test error on top of weight decay: {page.interval_text(main)} points, where the "
        f"paper prints {printed:+.2f}.".replace("-", "−")
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


def say_what_holds(recorded: Mapping[str, Results]) -> Prose:
    """Sum up the verdicts: which words fell, and what weight decay does by itself.

    Args:
        recorded: experiment name to recorded results.
    """
    chosen = {name: recorded[name] for name in EXPERIMENTS if name in recorded}
    found = page.matched(chosen, MATCHED, effects())
    judged = [one for one in found.values() if one.word]
    if not judged:
        return say("*Not recorded yet:* no comparison can be judged.")
    words = {word: sum(one.word == word for one in judged) for word in dict.fromkeys(one.word for one in judged)}
    listed = ", ".join(f"*{word}* {count} time{'s' * (count > 1)}" for word, count in words.items())
    clear = [name for name, one in found.items() if one.state == "ok" and one.low > 0]
    lost = [name for name, one in found.items() if one.state == "diverged"]
    return say(
        f"Of the {len(judged)} printed gains that we could judge: {listed}.",
        f"A gain is clear of zero in: {', '.join(clear)}." if clear else "No gain of ours is clear of zero.",
        f"Runs diverged in: {', '.join(lost)}." if lost else "",
        "PubMed and CIFAR-10 are in the audit, as far as they ran.",
    )
