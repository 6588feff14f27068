"""What the reader commits to before the recorded runs open: who holds the gradient, where the best rate goes, what survives its controls, when to stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from companion import page, plots
from companion.chapters.tamed_cross_entropy.recorded import (
    EVEN,
    METHOD,
    RULES,
    at_each_noise,
    figure_search,
    whole_arms,
)
from companion.page import Prose, predict, say
from companion.page.recorded import ends, not_usable
from companion.plots import Shown, forest
from companion.results import Comparison, Results
from companion.widgets import DrawCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RULE_WORDS = ("the last epoch", "the best epoch by held-out noisy labels", "the best epoch by test error")


def draw_share(results: Results) -> DrawCurve | Prose:
    """Let the reader draw which share of the gradient wrong labels hold, then show it with cross entropy and tamed.

    Args:
        results: recorded results of one setting.
    """
    if absent := not_usable(results, "vanilla", METHOD):
        return absent
    name = "noisy_gradient_share"
    epochs, values = results.curve("vanilla", name)
    return DrawCurve.of(
        epochs, values, name_y="share of the gradient that wrong labels hold", other=results.curve(METHOD, name)[1],
        other_arm=METHOD, largest_y=1.0,
    )  # fmt: skip


def say_share(results: Results) -> Prose:
    """Say which share of the labels is wrong and which share of the gradient they hold, at the start, at the end, and at its peak."""
    if absent := not_usable(results, "vanilla", METHOD):
        return absent
    curves = {arm: results.curve(arm, "noisy_gradient_share")[1].mean(0) for arm in ("vanilla", METHOD)}
    learnt = {arm: ends(results, arm, "wrong_label_accuracy")[1] for arm in curves}
    return say(
        f"Before training wrong labels hold as much of the gradient as they are of the labels, {100 * curves['vanilla'][0]:.0f} %. At its highest the share is "
        f"{100 * curves['vanilla'].max():.0f} % with cross entropy and {100 * curves[METHOD].max():.0f} % tamed. At the end the networks give "
        f"{learnt['vanilla']:.0f} % and {learnt[METHOD]:.0f} % of the wrong labels back: that is how much noise they have learnt by heart."
    )


RATES = (
    "Higher.",
    "About the same, within a factor of 2.",
    "Lower, by a factor of 2 to 10.",
    "More than ten times lower.",
)


def predict_rate(recorded: Mapping[str, Results]) -> Any:
    """Ask where noise moves the best learning rate of plain cross entropy, then show the search."""
    parts = at_each_noise(recorded)
    if not {"0", "0.4"} <= set(parts) or any(not_usable(parts[noise], "vanilla") for noise in ("0", "0.4")):
        return say("*Not recorded yet:* the search with right labels and with wrong ones.")
    rates = {noise: parts[noise].knobs("vanilla")["lr"] for noise in ("0", "0.4")}
    ratio = rates["0"] / rates["0.4"]
    right = 0 if ratio < 0.5 else 1 if ratio <= 2 else 2 if ratio <= 10 else 3
    so = f"It is {rates['0']:.3g} with right labels and {rates['0.4']:.3g} with 40 % of them drawn anew. " + (
        "So a comparison at the clean rate compares a robust loss with a badly tuned one: small steps are themselves a defence against noise."
        if right >= 2
        else "So here the clean rate is no trap."
    )
    return predict(
        "Plain cross entropy, first with right labels, then with 40 % of them drawn anew. Where does its best learning rate go?",
        RATES, right=right, result=figure_search(parts["0.4"]), so=so,
    )  # fmt: skip


def ladder(results: Results) -> dict[str, Comparison]:
    """Return what taming gains as rivals are taken away: own rates, one rate from both sides, and with the mean weight held at 1."""
    at_better, at_baseline = results.same_rate(METHOD, "vanilla")
    rungs = {
        "each at its own rate": (METHOD, "vanilla"),
        "both at the tamed one's rate": (METHOD, at_better),
        "both at cross entropy's rate": (at_baseline, "vanilla"),
        "mean weight 1, own rates": (EVEN, "vanilla"),
        "mean weight 1, cross entropy's rate": (f"{EVEN} at vanilla's rate", "vanilla"),
    }
    known = (*results.arms, *results.controls)
    return {words: results.compare(*pair) for words, pair in rungs.items() if set(pair) <= set(known)}


def figure_ladder(results: Results) -> Shown | Prose:
    """Show what taming gains at its own rate, at equal rates, and without the smaller step."""
    if absent := not_usable(results, "vanilla", METHOD):
        return absent
    every = ladder(results)
    found = {words: one for words, one in every.items() if one.state == "ok"}
    if not found:
        return say("*Unfinished:* runs are missing.")
    left_out = [f"{words} ({one.state})" for words, one in every.items() if words not in found]
    rows = [(words, EVEN if "mean weight" in words else METHOD, one) for words, one in found.items()]
    clear = sum(one.low > 0 for one in found.values())
    caption = (
        f"In {clear} of {len(found)} comparisons the tamed loss is clearly better. Error of plain cross entropy minus error of the tamed one (α = 2), points, 95 % "
        f"intervals. In the lower rows its weights are divided by their mean over the batch, so that its first step is cross entropy's."
        + (f" Left out: {', '.join(left_out)}." if left_out else "")
    )
    alt = "; ".join(f"{words} {page.interval_text(one)}" for words, one in found.items())
    return forest(
        rows, xlabel="gain of the tamed loss, points", alt=f"Differences with intervals: {alt}.", caption=caption,
        better="right", width="wide", name="figure-ladder",
    )  # fmt: skip


GAINS = (
    "The tamed loss is clearly better in all of them.",
    "It is better at its own rate, and not at every equal one.",
    "No clear difference at its own rate.",
    "It is clearly worse at its own rate.",
)


def predict_gain(results: Results) -> Any:
    """Ask whether a gain of taming survives its controls."""
    shown = figure_ladder(results)
    if isinstance(shown, Prose):
        return shown
    found = ladder(results)
    own, *others = found.values()
    if own.state != "ok":
        return say("*Unfinished:* runs are missing.")
    survives = all(one.low > 0 for one in others if one.state == "ok")
    right = 3 if own.high < 0 else 2 if own.low <= 0 else 0 if survives else 1
    even = found.get("mean weight 1, own rates")
    so = (
        "So it is not the learning rate alone: re-weighting itself helps.",
        "So what the loss gains and what its smaller steps gain are not the same thing, and a table at one learning rate cannot tell them apart.",
        "So at fair rates nothing is left that these runs could see.",
        "So at fair rates the tamed loss loses.",
    )[right]
    if even is not None and even.state == "ok" and right < 2:
        part = "keeps" if even.low > 0 else "does not keep"
        so += f" With the mean weight held at 1 it {part} a clear gain: {page.interval_text(even)}."
    return predict(
        "The tamed loss (α = 2) against cross entropy, with 40 % of the labels drawn anew: at own rates, at one rate from both sides, and with weights whose mean is 1?",
        GAINS, right=right, result=shown, so=so,
    )  # fmt: skip


def figure_stopping(results: Results) -> Shown | Prose:
    """Show the test error of every arm by three stopping rules."""
    if absent := not_usable(results, "vanilla", METHOD):
        return absent
    arms, note = whole_arms(results)
    if len(arms) < 2:
        return say("*Unfinished:* runs are missing.")
    errors = {arm: [float(results.stopped(arm, rule).mean()) for rule in RULES] for arm in arms}
    ranks = [sorted(arms, key=lambda arm, k=k: errors[arm][k]) for k in range(len(RULES))]
    order = ranks[0][::-1]

    def draw(ax: Axes, narrow: bool) -> None:
        for place, arm in enumerate(order):
            look = plots.style_of(arm)
            ax.plot([min(errors[arm]), max(errors[arm])], [place, place], color=look.color, linewidth=1.2)
            for value, marker, fill in zip(errors[arm], "osx", (look.color, "none", "none"), strict=True):
                ax.plot([value], [place], marker, color=look.color, markersize=6, markerfacecolor=fill)
        ax.set_yticks(range(len(order)), [plots.style_of(arm).label for arm in order])
        for tick, arm in zip(ax.get_yticklabels(), order, strict=True):
            tick.set(color=plots.style_of(arm).color, weight=700)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        plots.name_axes(ax, "test error, %", "")

    same = ranks[0] == ranks[1] == ranks[2]
    moved = max(arms, key=lambda arm: errors[arm][0] - errors[arm][2])
    caption = (
        f"{'The ranking is the same by all rules.' if same else 'The ranking depends on the stopping rule.'} Dots: last epoch; squares: best epoch by held-out noisy "
        f"labels; crosses: best by test error. Most is gained from the last to the best by *{moved}*, {errors[moved][0] - errors[moved][2]:.1f} points. The lowest mean "
        f"error by the three rules: {', '.join(rank[0] for rank in ranks)}. Each arm at its own rate. {note}"
    )
    alt = f"A row for each of {len(arms)} losses with three marks; at the last epoch {ranks[0][0]} is best and {ranks[0][-1]} worst."
    height = 80 + 24 * len(arms)
    return plots.show(
        draw, title="Three stopping rules", alt=alt, caption=caption.strip(), height=height, narrow_height=height, name="figure-stopping"
    )  # fmt: skip


def predict_stop(results: Results) -> Any:
    """Ask which stopping rule makes the tamed loss's gain look largest."""
    shown = figure_stopping(results)
    if isinstance(shown, Prose):
        return shown
    if not {"vanilla", METHOD} <= set(whole_arms(results)[0]):
        return say("*Unfinished:* runs are missing.")
    gains = [float((results.stopped("vanilla", rule) - results.stopped(METHOD, rule)).mean()) for rule in RULES]
    listed = ", ".join(f"{value:+.2f}".replace("-", "−") for value in gains)
    alike = max(gains) - min(gains) <= 0.1 * max(map(abs, gains))
    flip = "Its sign depends on the rule." if min(gains) < 0 < max(gains) else "Its sign does not depend on the rule."
    so = (
        "So with each loss at a rate of its own there is little left for a rule to flatter."
        if alike
        else "So a table of robust losses says little until it says when it stopped."
    )
    choices = [f"{words[0].upper()}{words[1:]}." for words in RULE_WORDS]
    return predict(
        "Which stopping rule makes the gain of the tamed loss (α = 2) over cross entropy look largest?",
        [*choices, "They agree, within a tenth."], right=3 if alike else int(np.argmax(gains)), result=shown,
        so=f"In this order the mean gain is {listed} points. {flip} {so}",
    )  # fmt: skip
