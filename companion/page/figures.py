"""Figures of recorded runs with their captions: what the first sentence says is chosen by the numbers.

Each takes recorded results and the arms that it shows, and is a sentence instead where their runs cannot be shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion import plots
from companion.page.display import Prose, say
from companion.page.recorded import ends, in_words, matched, not_usable, steady_arms
from companion.page.tables import interval_text
from companion.plots import Shown, Style, style_of
from companion.results import Comparison, Results, rank_correlation, share_of_orders

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHED = (0, (5, 2.2))
_OF_A_POINT = ("lr", "error", "loss", "chosen", "keys")
"""What every point of a search has; the rest are knobs."""
_MARKS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚"}


def figure_length(
    results: Results, method: str, baseline: str = "vanilla", *, centred: bool = False, note: str = ""
) -> Shown | Prose:
    """Show the mean output length of all arms over the epochs.

    Args:
        results: recorded results of one setting.
        method: the arm that the caption sets against the baseline.
        baseline: the other one.
        centred: of the centred logits.
        note: a sentence for the caption, on what is measured.
    """
    if absent := not_usable(results, baseline, method):
        return absent
    metric = "centred_length" if centred else "length"
    arms, left_out = steady_arms(results)
    first, last = ends(results, baseline, metric)
    _, other = ends(results, method, metric)
    moved = "grows" if last > first else "shrinks"
    beside = "less than" if other < last else "no less than"
    what = "centred length" if centred else "length"
    caption = (
        f"With {in_words(baseline)} the mean {what} {moved} from {first:.1f} to {last:.1f}; with {in_words(method)} it "
        f"ends at {other:.1f}, {beside} without. {left_out}{note}"
    )
    listed = "; ".join(f"{arm} {ends(results, arm, metric)[1]:.1f}" for arm in arms)
    alt = f"Curves of the mean length of the logit vector over the epochs. Last values: {listed}."
    return plots.curves(results, metric, arms=arms, alt=alt, caption=caption, name=f"figure-{metric.replace('_', '-')}")


def radial_share(results: Results, arm: str = "vanilla") -> np.ndarray:
    """Return mean radial part over mean length of the logit gradient, (epochs,), averaged over seeds.

    Args:
        results: recorded results of one setting.
        arm: which.
    """
    radial, whole = (results.curve(arm, metric)[1].mean(axis=0) for metric in ("radial_gradient", "gradient"))
    return radial / whole


def figure_gradient(results: Results, method: str, arm: str = "vanilla") -> Shown | Prose:
    """Show the whole logit gradient of an arm and its radial part.

    Args:
        results: recorded results of one setting.
        method: the arm in whose colour the radial part is drawn.
        arm: whose gradient it is.
    """
    if absent := not_usable(results, arm):
        return absent
    epochs = results.curve(arm, "gradient")[0]
    share = radial_share(results, arm)
    whole = Style("ink", "-", "o", "whole gradient")
    along = Style(style_of(method).token, _DASHED, "s", "its radial part")

    def draw(ax: Axes, narrow: bool) -> None:
        parts = [("gradient", whole), ("radial_gradient", along)]
        _draw_parts(ax, narrow, results, arm, parts, "mean length over training rows")

    words = in_words(arm)
    caption = (
        f"Through training {share.min():.0%} to {share.max():.0%} of the gradient's length is radial, {share[-1]:.0%} at "
        f"the end. {words[0].upper()}{words[1:]}. {plots.provenance_note(results, [arm], 'gradient')}"
    )
    alt = (
        f"Two curves on a logarithmic axis over {epochs[-1]:.0f} epochs: the mean length of the logit gradient, and of "
        f"its radial part; their ratio goes from {share[0]:.2f} to {share[-1]:.2f}."
    )
    return plots.show(draw, title="Radial part of the logit gradient", alt=alt, caption=caption, name="figure-gradient")


def _draw_parts(
    ax: Axes, narrow: bool, results: Results, arm: str, parts: Sequence[tuple[str, Style]], what: str, start: int = 0
) -> None:
    """Draw metrics of one arm over the epochs on a logarithmic axis, from the point ``start`` on."""
    tips = []
    for metric, look in parts:
        epochs, values = results.curve(arm, metric)
        mean, low, high = plots.mean_and_band(values)
        plots.band(ax, epochs[start:], low[start:], high[start:], look)
        plots.line(ax, epochs[start:], mean[start:], look)
        tips.append((float(mean[-1]), look.label, look))
    ax.set_yscale("log")
    ax.set_xlim(0, float(epochs[-1]))
    plots.name_axes(ax, "epoch", f"{what}, logarithmic axis")
    plots.label_lines(ax, tips, narrow=narrow)


def figure_loss_and_entropy(results: Results, arm: str = "vanilla") -> Shown | Prose:
    """Show mean loss and mean entropy on training and test rows: where they cross, the pull on the common length turns.

    Args:
        results: recorded results of one setting.
        arm: which.
    """
    if absent := not_usable(results, arm):
        return absent
    last = {name: ends(results, arm, name)[1] for name in results.metrics}
    gaps = {split: last[f"{split}_loss"] - last[f"{split}_entropy"] for split in ("train", "test")}
    looks = [Style("ink", "-", "o", "loss"), Style("muted", _DASHED, "s", "entropy")]

    def draw(axes: tuple[Axes, ...], narrow: bool) -> None:
        for ax, split, rows in zip(axes, ("train", "test"), ("training", "test"), strict=True):
            parts = [(f"{split}_{look.label}", look) for look in looks]
            _draw_parts(ax, narrow, results, arm, parts, f"mean over the {rows} rows, nats", start=1)

    words = {split: "below" if gap < 0 else "above" for split, gap in gaps.items()}
    caption = (
        f"At the end the mean loss is {words['train']} the mean entropy on the training rows and {words['test']} it on "
        f"the test rows. Below means under-confident, a pull towards longer logits; above means over-confident. The "
        f"point before training is left out. {plots.provenance_note(results, [arm], 'train_loss')}"
    )
    alt = (
        f"Two panels with mean loss and mean entropy over the epochs, logarithmic axes. Loss minus entropy at the end: "
        f"{gaps['train']:+.4f} on training rows, {gaps['test']:+.4f} on test rows."
    )
    return plots.show(
        draw, title="Loss and entropy", alt=alt, caption=caption, panels=2, width="wide", name="figure-loss-entropy"
    )


def figure_parameter_gradient(results: Results, method: str, baseline: str = "vanilla") -> Shown | Prose:
    """Show the length of the parameter gradient of two arms over the epochs, logarithmic.

    Args:
        results: recorded results of one setting.
        method: the one arm.
        baseline: the other one.
    """
    arms = (baseline, method)
    if absent := not_usable(results, *arms):
        return absent
    last = {arm: ends(results, arm, "parameter_gradient")[1] for arm in arms}
    words = "larger" if last[method] > last[baseline] else "smaller"
    caption = (
        f"At the end the parameter gradient with {in_words(method)} is {words} than without: {last[method]:.2g} against "
        f"{last[baseline]:.2g}."
    )
    alt = (
        f"Two curves over the epochs on a logarithmic axis, ending at {last[baseline]:.2g} ({baseline}) and "
        f"{last[method]:.2g} ({method})."
    )
    return plots.curves(
        results,
        "parameter_gradient",
        arms=arms,
        alt=alt,
        caption=caption,
        yscale="log",
        from_zero=False,
        name="figure-parameter-gradient",
    )


def figure_gap(results: Results, method: str, baseline: str = "vanilla") -> Shown | Prose:
    """Show the generalisation gap of every arm against the deviation of its lengths, at the last epoch.

    Args:
        results: recorded results of one setting.
        method: an arm without which the figure says too little.
        baseline: another such, whose course over the epochs the caption tells.
    """
    if absent := not_usable(results, baseline, method):
        return absent
    arms, left_out = steady_arms(results)
    pair = ("length_deviation", "generalisation_gap")
    points = {arm: tuple(results.final(arm, metric) for metric in pair) for arm in arms}
    over_time = rank_correlation(*(results.curve(baseline, metric)[1].mean(axis=0)[1:] for metric in pair))
    across = rank_correlation(*(np.array([points[arm][k].mean() for arm in arms]) for k in (0, 1)))

    def draw(ax: Axes, narrow: bool) -> None:
        tips = []
        for arm in arms:
            look = style_of(arm)
            plots.scatter(ax, *points[arm], arm)
            tips.append((float(points[arm][1].mean()), f"{_MARKS.get(look.marker, '●')} {look.label}", arm))
        ax.set_xlim(left=0)
        ax.margins(y=0.15)
        plots.name_axes(ax, "standard deviation of the lengths ‖z‖", "generalisation gap, points")
        plots.label_lines(ax, tips, narrow=narrow)

    chance = share_of_orders(across, len(arms))
    verb = "show no clear order"
    if chance < 0.05:
        verb = "rise together" if across > 0 else "go opposite ways"
    caption = (
        f"Across the arms, gap and deviation {verb}: rank correlation {_signed(across)} over {len(arms)} arms, and {chance:.0%} "
        f"of all orders are as far from 0. Within "
        f"{in_words(baseline)}, over the epochs, it is {_signed(over_time)}. One point a seed, last epoch; gap: test minus "
        f"training error. {left_out}{plots.provenance_note(results, arms, pair[0])}"
    )
    alt = f"A point for every seed of {len(arms)} arms. Rank correlation of the arms' means {across:+.2f}."
    title = "Generalisation gap and deviation of the lengths"
    return plots.show(draw, title=title, alt=alt, caption=caption, name="figure-gap")


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def figure_search(results: Results, method: str, baseline: str = "vanilla") -> Shown | Prose:
    """Show every point of two arms' search: validation error against learning rate.

    Args:
        results: recorded results of one setting.
        method: the one arm.
        baseline: the other one.
    """
    arms = (baseline, method)
    if not all(any(point["chosen"] for point in results.search(arm)) for arm in arms):
        return say("*Not recorded yet:* the search of both arms.")
    points = {arm: sorted((point["lr"], point["error"]) for point in results.search(arm)) for arm in arms}
    best = {arm: min(points[arm], key=lambda pair: pair[1]) for arm in arms}

    def draw(ax: Axes, narrow: bool) -> None:
        for arm in arms:
            plots.scatter(ax, *zip(*points[arm], strict=True), arm)
            plots.scatter(ax, *best[arm], arm, s=120, facecolors="none", edgecolors=style_of(arm).color)
        ax.set_xscale("log")
        ax.set_ylim(bottom=0)
        ax.set_xlim(right=1.15 * max(pair[0] for arm in arms for pair in points[arm]))
        plots.name_axes(ax, "learning rate, logarithmic axis", "validation error, %")
        plots.label_lines(ax, [(points[arm][-1][1], arm, arm) for arm in arms], narrow=narrow)

    rates = {arm: f"{best[arm][0]:.3g}" for arm in arms}
    searched = [{name: point[name] for name in point if name not in _OF_A_POINT} for point in results.search(method)]
    others = (
        " The method's other knobs differ from point to point." if any(one != searched[0] for one in searched) else ""
    )
    same = "the same learning rate" if rates[baseline] == rates[method] else "different learning rates"
    caption = (
        f"The two arms did best at {same}: {rates[baseline]} for {in_words(baseline)}, {rates[method]} with "
        f"{in_words(method)}. One point a trial of the search, {len(points[baseline])} each, with the lowest validation errors "
        f"{best[baseline][1]:.2f} and {best[method][1]:.2f} %. Rings mark them.{others}"
    )
    alt = f"Two lines of points, validation error over learning rate; lowest at {rates[baseline]} and {rates[method]}."
    return plots.show(draw, title="The search", alt=alt, caption=caption, name="figure-search")


def figure_forest(
    recorded: Mapping[str, Results],
    pairs: Sequence[tuple[str, str, str]],
    *,
    effects: Mapping[str, float],
) -> Shown | Prose:
    """Show paired differences as multiples of the paper's effect: each arm at its own learning rate, then both at one.

    Data sets whose errors differ a hundredfold fit on one axis that way; the numbers beside the rows are points of error.

    Args:
        recorded: experiment name to recorded results.
        pairs: (better, baseline, words that follow the setting's name), for each comparison.
        effects: name of a comparison (setting and words) to the paper's difference in points; only those are shown.

    Returns:
        Three rows for each comparison whose runs are in; a sentence where there is none.
    """
    every = matched(recorded, pairs, effects)
    found = {name: one for name, one in every.items() if one.effect}
    own = {name: one for name, one in found.items() if one.state == "ok"}
    if not own:
        states = sorted({one.state for one in found.values()} or {"not run"})
        return say(f"*Nothing to compare yet:* {', '.join(states)}.")
    rows: list[tuple[str, str | Style, Any]] = []
    numbers = []
    for name, one in own.items():
        for words, at in _rates(one):
            rows.append((words or f"{name}: {one.word}", one.better, _Multiple(at, one.effect)))
            numbers.append(interval_text(at) if words else f"{interval_text(at)}, paper {_signed(one.effect)}")
    clear = sum(one.low > 0 or one.high < 0 for one in own.values())
    kept = sum(_stays(one) for one in own.values())
    lost = [
        f"{name} ({_why_left_out(one)})"
        for name, one in every.items()
        if name not in own and (one.effect or one.state != "not run")
    ]
    left_out = f"Left out: {'; '.join(lost)}. " if lost else ""
    whole = "it stays so" if kept else "it does not stay so"
    of_many = f"{kept} of them stay{'s' * (kept == 1)} so"
    stays = f"; with both arms at one rate, {whole if len(own) == 1 else of_many}" if clear else ""
    caption = (
        f"{_so_many(clear, len(own))} clear of zero at each arm's own learning rate{stays}. Zero is no effect, the dashed line at 1 the "
        f"paper's effect; beside each row the difference in points with its 95 % interval. Widths of rows with different effects do not compare. {left_out}"
    )
    alt = f"{len(rows)} differences with their intervals, a row each; at the arms' own rates {clear} of {len(own)} exclude zero."
    axis = "gain as a multiple of the paper's"
    return plots.forest(
        rows,
        xlabel=axis,
        alt=alt,
        caption=caption,
        better="right",
        width="wide",
        name="figure-forest",
        numbers=numbers,
        mark=1.0,
    )


def _so_many(clear: int, of: int) -> str:
    if not clear:
        return "No difference is"
    return "The one difference is" if of == 1 else f"{clear} of the {of} differences are"


def _why_left_out(one: Comparison) -> str:
    """Say why a comparison is no row, and what it is at equal rates."""
    why = one.state if one.state != "ok" else "no printed gain"
    equal = [(words, at) for words, at in _rates(one) if words]
    return why + "".join(f"; {words} {interval_text(at)}" for words, at in equal)


class _Multiple:
    """A difference as a multiple of another number."""

    def __init__(self, found: Comparison, unit: float) -> None:
        self.mean, self.low, self.high = (value / unit for value in (found.mean, found.low, found.high))


def _rates(own: Comparison) -> list[tuple[str, Comparison]]:
    three = (("", own), ("both at the method's rate", own.at_better), ("both at the baseline's rate", own.at_baseline))
    return [(words, at) for words, at in three if at is not None and at.state == "ok"]


def _stays(own: Comparison) -> bool:
    """Say whether a clear difference lies on its side of zero in every comparison, and there is one at equal rates, where no run diverged."""
    if any(one.state == "diverged" for one in own.equal_rates):
        return False
    ends_ = [(at.low, at.high) for _, at in _rates(own)]
    return len(ends_) > 1 and (all(low > 0 for low, _ in ends_) or all(high < 0 for _, high in ends_))
