"""What the chapter and its audit say of the recorded runs: the general figures and sentences with this method's arms, and a few of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from companion import page, papers
from companion.page import Prose, predict, say
from companion.page.recorded import ends, not_usable
from companion.plots import Shown
from companion.results import Comparison, Results
from companion.widgets import DrawCurve

PAPER = papers.load("partial_output_norm")
METHOD, WITH_DECAY, DECAY = "P-ON", "P-ON + weight decay", "weight decay"
PARTS = ("norm only", "stability only")
MATCHED = ((METHOD, "vanilla", ""), (WITH_DECAY, DECAY, ", with weight decay"))
"""The comparisons that were also made at equal learning rates."""
SECOND, FIRST, GRAPHS = "pon-mnist-decayed", "pon-mnist", "pon-graphs-resampled"
"""On MNIST the recording by the rules of all chapters, the first one, which stands in until that is whole; and the graphs."""


def judged_by(recorded: Mapping[str, Results]) -> dict[str, Results]:
    """Return the records that the chapter judges by.

    Args:
        recorded: experiment name to recorded results.
    """
    whole = SECOND in recorded and recorded[SECOND].complete
    return {name: recorded[name] for name in (SECOND if whole else FIRST, GRAPHS) if name in recorded}


def mnist_runs(recorded: Mapping[str, Results]) -> Results:
    """Return the runs on MNIST that the chapter shows.

    Args:
        recorded: experiment name to recorded results.
    """
    name = next(name for name in judged_by(recorded) if name in (SECOND, FIRST))
    return recorded[name]["mnist/mlp-3"]


def say_runs(results: Results) -> Prose:
    """Say how long and how often the networks on MNIST were trained, and which recording that is.

    Args:
        results: recorded results of one setting.
    """
    if absent := not_usable(results, "vanilla"):
        return absent
    epochs = int(results.curve("vanilla", "length")[0][-1])
    seeds = f"{len(results.seeds('vanilla'))} **seeds** (starting weights and order of images)"
    if results.name == FIRST:
        return say(
            f"Shown here is the first recording: {epochs} **epochs**, passes over the data, as long as the paper trains, from {seeds}, at a learning rate "
            f"that stays. A second one, by stricter rules and with a rate that falls to zero, is under way and will take its place."
        )
    return say(
        f"They train for {epochs} **epochs**, passes over the data, from {seeds}, with a rate that falls to zero; the paper trains for 100."
    )


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
        if contrast.experiment in (SECOND, GRAPHS) and contrast.effect_basis == "printed":
            words = next(words for better, baseline, words in MATCHED if better == contrast.better)
            found[f"{contrast.data}/{contrast.model}{words}"] = contrast.effect
    return found


def figure_what_holds(recorded: Mapping[str, Results]) -> Shown | Prose:
    """Show the paper's effects beside ours: each arm at its own rate, and both at one."""
    return page.figure_forest(judged_by(recorded), MATCHED, effects=effects())


def table_what_holds(recorded: Mapping[str, Results]) -> page.Panel:
    """Show the errors and the verdicts behind `figure_what_holds`."""
    return page.table_verdicts(judged_by(recorded), MATCHED, effects=effects())


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


SHARES = (
    "Less than a tenth as long as the whole.",
    "About a quarter.",
    "About a half.",
    "Nearly as long as the whole.",
)


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
        f"So at the end the part along the vector is {share:.2f} times as long as the whole gradient, {share**2:.0%} of its square. A ball takes that away, "
        f"useful or not; whether it was, the error must tell."
    )
    return predict(
        "The gradient with respect to the logits has a part along them. How long is it when training ends?",
        SHARES, right=int(np.digitize(share, (0.1, 0.375, 0.75))), result=figure_gradient(results, arm=arm), so=so,
    )  # fmt: skip


# --- sentences -----------------------------------------------------------------------------------------


def _no_number(main: Comparison | None) -> str:
    """Say why a comparison has no interval, and which of its runs diverged."""
    if main is None or main.state != "diverged":
        return "runs are missing"
    return f"{main.diverged[1]} of {main.n} runs of the baseline diverged and {main.diverged[0]} of the method: *{main.word}*"


def say_answer(results: Results) -> Prose:
    """Answer the chapter's question with one number: what the method changes on top of weight decay, and what the paper prints.

    Args:
        results: recorded results of one setting.
    """
    printed = effects()[f"{results.settings[0]}, with weight decay"] if results.settings else 0.0
    main = results.compare(WITH_DECAY, DECAY, effect=printed) if {WITH_DECAY, DECAY} <= set(results.arms) else None
    theory = (
        "**The answer.** A free vector is pushed longer exactly while its loss is below its entropy. Outside a ball that push is off, and the "
        "network cannot be as sure."
    )
    if main is None or main.state != "ok":
        plain = results.compare(METHOD, "vanilla") if {METHOD, "vanilla"} <= set(results.arms) else None
        if plain is None or plain.state != "ok":
            return say(theory, "*Not recorded yet:* what that is worth on MNIST.")
        verb = "lowers" if plain.low > 0 else "raises" if plain.high < 0 else "does not clearly change"
        return say(
            theory,
            f"On MNIST the whole method {verb} the test error of plain cross entropy: {page.interval_text(plain)} points; against weight decay, where the "
            f"paper prints {printed:+.2f}, {_no_number(main)}.",
        )
    verb = "lowers" if main.low > 0 else "raises" if main.high < 0 else "does not clearly change"
    return say(
        f"{theory} On MNIST the whole method {verb} the test error on top of weight decay: {page.interval_text(main)} points, where the "
        f"paper prints {printed:+.2f}; {_at_one_rate(main)}".replace("-", "−")
    )


def _at_one_rate(main: Comparison) -> str:
    """Say what a comparison at own rates becomes with both arms at one, from both sides."""
    parts = []
    for whose, one in (("the method's", main.at_better), ("weight decay's", main.at_baseline)):
        if one is not None and one.state == "diverged":
            parts.append(f"at {whose} rate weight decay alone diverges in {one.diverged[1]} of {one.n} runs")
        elif one is not None and one.state == "ok":
            parts.append(f"with both at {whose} rate {page.interval_text(one)}")
    return f"{', '.join(parts)}." if parts else "at equal rates it is not run."


def say_what_holds(recorded: Mapping[str, Results]) -> Prose:
    """Say what the verdicts leave: which gains are clear, where the runs cannot tell, and where the ball does nothing.

    Args:
        recorded: experiment name to recorded results.
    """
    chosen = judged_by(recorded)
    found = page.matched(chosen, MATCHED, effects())
    if not any(one.word for one in found.values()):
        return say("*Not recorded yet:* no comparison can be judged.")
    clear = [name for name, one in found.items() if one.state == "ok" and one.low > 0]
    blind = [
        name
        for name, one in found.items()
        if one.state == "ok" and one.effect and one.low <= 0 and one.high >= one.effect
    ]
    return say(
        f"A gain is clear of zero in: {', '.join(clear)}."
        if clear
        else "No gain of the whole method at its own rate is clear of zero.",
        f"Where the interval holds zero and the paper's gain alike, our runs cannot tell: {', '.join(blind)}."
        if blind
        else "",
        f"Runs diverged: {', '.join(name for name, one in found.items() if one.state == 'diverged')}."
        if any(one.state == "diverged" for one in found.values())
        else "",
        *_idle_balls(chosen),
        *_older_than_the_rule(found),
    )


def _older_than_the_rule(found: Mapping[str, Comparison]) -> list[str]:
    """Say what the first recording's own rule, over seeds alone, makes of the method's gain on MNIST."""
    one = found.get("mnist/mlp-3")
    if one is None or one.two_way is None or one.seeds_only is None or one.n != 5:
        return []
    own = f"[{one.seeds_only.low:+.2f}, {one.seeds_only.high:+.2f}]".replace("-", "−")
    return [
        f"The rows of MNIST are older than this rule; over seeds alone, as it was judged first, {one.mean:+.2f} has the interval {own}."
    ]


def _idle_balls(recorded: Mapping[str, Results]) -> list[str]:
    """Name the settings in which the search chose a ball that hardly any vector reaches, so that the ball does nothing there."""
    said = []
    for results in recorded.values():
        for part in (results[setting] for setting in results.settings):
            if METHOD in part.arms and part.seeds(METHOD) and not part.diverged(METHOD):
                threshold = part.knobs(METHOD).get("threshold", 0.0)
                mean, spread = (float(part.final(METHOD, metric).mean()) for metric in ("length", "length_deviation"))
                if threshold > mean + 2 * spread:
                    said.append(f"{part.settings[0]} (δ = {threshold:.3g}, mean length {mean:.1f})")
    if not said:
        return []
    return [f"In {' and '.join(said)} the search chose a ball that few vectors reach: these runs hardly test it."]
