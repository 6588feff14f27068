"""What chapter 01 alone needs: its figures from recorded runs, and the checks of its exercises.

The first sentence of every caption is chosen by the numbers: both outcomes are written, the data decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from companion import papers, plots
from companion.geometry import confidence_ceiling, entropy, expected_calibration_error, fit_temperature
from companion.methods.partial_output_norm import partial_norm
from companion.page import sentences as _recorded
from companion.page.display import Panel, Prose, say
from companion.page.exercises import Feedback, check_function, check_number, feedback
from companion.page.quiz import Question, quiz
from companion.page.sentences import (
    NO_GAIN,
    ends,
    gain_or_why,
    not_recorded,
    not_usable,
    place_in_search,
    rank_correlation,
    said_lost,
    say_matched_gains,
    share_of_orders,
    steady_arms,
    table_of_matched_gains,
)
from companion.page.tables import compare, diverged, interval_text, render_table, verdict

# --- figures from recorded runs ------------------------------------------------------------------------------------


def figure_length(results: Any, *, centred: bool = False) -> plots.Shown | Prose:
    """The paper's Figure 2 with all arms: the mean output length over the epochs."""
    if absent := not_usable(results, "vanilla", "P-ON"):
        return absent
    metric = "centred_length" if centred else "length"
    arms, left_out = steady_arms(results)
    first, last = ends(results, "vanilla", metric)
    _, clipped = ends(results, "P-ON", metric)
    moved = "grows" if last > first else "shrinks"
    beside = "less than" if clipped < last else "no less than"
    what = "centred length" if centred else "length"
    caption = (
        f"With plain cross entropy the mean {what} {moved} from {first:.1f} to {last:.1f}; with the partial norm it "
        f"ends at {clipped:.1f}, {beside} without. {left_out}Lengths are of the raw logits, before the "
        f"ball."
    )
    listed = "; ".join(f"{arm} {ends(results, arm, metric)[1]:.1f}" for arm in arms)
    alt = f"Curves of the mean length of the logit vector over the epochs. Last values: {listed}."
    return plots.curves(results, metric, arms=arms, alt=alt, caption=caption, name=f"figure-{metric.replace('_', '-')}")


def radial_share(results: Any, arm: str = "vanilla") -> np.ndarray:
    """Return mean radial part over mean length of the logit gradient, (epochs,), averaged over seeds."""
    radial, whole = (results.curve(arm, metric)[1].mean(axis=0) for metric in ("radial_gradient", "gradient"))
    return radial / whole


def figure_gradient(results: Any) -> plots.Shown | Prose:
    """The paper's Figure 3: the whole logit gradient of plain cross entropy and its radial part."""
    if absent := not_usable(results, "vanilla"):
        return absent
    epochs = results.curve("vanilla", "gradient")[0]
    share = radial_share(results)
    whole = plots.Style("ink", "-", "o", "whole gradient")
    along = plots.Style("pon", (0, (5, 2.2)), "s", "its radial part")
    parts = [("gradient", whole), ("radial_gradient", along)]

    def draw(ax: Any, narrow: bool) -> None:
        tips = []
        for metric, look in parts:
            mean, low, high = plots.mean_and_band(results.curve("vanilla", metric)[1])
            plots.band(ax, epochs, low, high, look)
            plots.line(ax, epochs, mean, look)
            tips.append((float(mean[-1]), look.label, look))
        ax.set_yscale("log")
        ax.set_xlim(0, float(epochs[-1]))
        plots.name_axes(ax, "epoch", "mean length over training rows, logarithmic axis")
        plots.label_lines(ax, tips, narrow=narrow)

    caption = (
        f"Through training {share.min():.0%} to {share.max():.0%} of the gradient's length is radial, {share[-1]:.0%} at "
        f"the end. Plain cross entropy. {plots.provenance_note(results, ['vanilla'], 'gradient')}"
    )
    alt = (
        f"Two curves on a logarithmic axis over {epochs[-1]:.0f} epochs: the mean length of the logit gradient, and of "
        f"its radial part; their ratio goes from {share[0]:.2f} to {share[-1]:.2f}."
    )
    return plots.show(draw, title="Radial part of the logit gradient", alt=alt, caption=caption, name="figure-gradient")


def figure_loss_and_entropy(results: Any, arm: str = "vanilla") -> plots.Shown | Prose:
    """Mean loss and mean entropy on training and test rows: where they cross, the pull on the common length turns."""
    if absent := not_usable(results, arm):
        return absent
    epochs = results.curve(arm, "train_loss")[0]
    last = {name: ends(results, arm, name)[1] for name in results.metrics}
    gaps = {split: last[f"{split}_loss"] - last[f"{split}_entropy"] for split in ("train", "test")}
    looks = [plots.Style("ink", "-", "o", "loss"), plots.Style("muted", (0, (5, 2.2)), "s", "entropy")]

    def draw(axes: Any, narrow: bool) -> None:
        for ax, split in zip(axes, ("train", "test"), strict=True):
            tips = []
            for look in looks:
                mean, low, high = plots.mean_and_band(results.curve(arm, f"{split}_{look.label}")[1])
                plots.band(ax, epochs[1:], low[1:], high[1:], look)
                plots.line(ax, epochs[1:], mean[1:], look)
                tips.append((float(mean[-1]), look.label, look))
            ax.set_yscale("log")
            ax.set_xlim(0, float(epochs[-1]))
            rows = "training" if split == "train" else "test"
            plots.name_axes(ax, "epoch", f"mean over the {rows} rows, nats, logarithmic axis")
            plots.label_lines(ax, tips, narrow=narrow)

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


def figure_parameter_gradient(results: Any) -> plots.Shown | Prose:
    """The paper's Figure 5: the length of the parameter gradient, baseline and partial norm, logarithmic."""
    arms = ("vanilla", "P-ON")
    if absent := not_usable(results, *arms):
        return absent
    last = {arm: ends(results, arm, "parameter_gradient")[1] for arm in arms}
    words = "larger" if last["P-ON"] > last["vanilla"] else "smaller"
    caption = (
        f"At the end the parameter gradient with the partial norm is {words} than without: {last['P-ON']:.2g} against "
        f"{last['vanilla']:.2g}."
    )
    alt = (
        f"Two curves over the epochs on a logarithmic axis, ending at {last['vanilla']:.2g} (vanilla) and "
        f"{last['P-ON']:.2g} (P-ON)."
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


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


_MARKS = {"o": "●", "s": "■", "^": "▲", "D": "◆"}


def figure_gap(results: Any) -> plots.Shown | Prose:
    """The paper's Figure 8 with our arms: generalisation gap against the lengths' deviation, at the last epoch."""
    if absent := not_usable(results, "vanilla", "P-ON"):
        return absent
    arms, left_out = steady_arms(results)
    pair = ("length_deviation", "generalisation_gap")
    points = {arm: tuple(results.final(arm, metric) for metric in pair) for arm in arms}
    over_time = rank_correlation(*(results.curve("vanilla", metric)[1].mean(axis=0)[1:] for metric in pair))
    across = rank_correlation(*(np.array([points[arm][k].mean() for arm in arms]) for k in (0, 1)))

    def draw(ax: Any, narrow: bool) -> None:
        ends_ = []
        for arm in arms:
            plots.scatter(ax, *points[arm], arm)
            sign = _MARKS[plots.style_of(arm).marker]
            ends_.append((float(points[arm][1].mean()), f"{sign} {plots.style_of(arm).label}", arm))
        ax.set_xlim(left=0)
        ax.margins(y=0.15)
        plots.name_axes(ax, "standard deviation of the lengths ‖z‖", "generalisation gap, points")
        plots.label_lines(ax, ends_, narrow=narrow)

    chance = share_of_orders(across, len(arms))
    verb = "show no clear order"
    if chance < 0.05:
        verb = "rise together" if across > 0 else "go opposite ways"
    caption = (
        f"Across the arms, gap and deviation {verb}: rank correlation {_signed(across)} over {len(arms)} arms, and {chance:.0%} "
        f"of all orders are as far from 0. Within "
        f"plain cross entropy, over the epochs, it is {_signed(over_time)}. One point a seed, last epoch; gap: test minus "
        f"training error. {left_out}{plots.provenance_note(results, arms, pair[0])}"
    )
    alt = f"A point for every seed of {len(arms)} arms. Rank correlation of the arms' means {across:+.2f}."
    title = "Generalisation gap and deviation of the lengths"
    return plots.show(draw, title=title, alt=alt, caption=caption, name="figure-gap")


def figure_search(results: Any) -> plots.Shown | Prose:
    """Every point of the search, of plain cross entropy and of the method: validation error against learning rate."""
    arms = tuple(arm for arm in ("vanilla", "P-ON") if results.search(arm))
    if len(arms) < 2:
        return say("*Not recorded yet:* the search of both arms.")
    points = {arm: sorted((point["lr"], point["error"]) for point in results.search(arm)) for arm in arms}
    best = {arm: min(points[arm], key=lambda pair: pair[1]) for arm in arms}

    def draw(ax: Any, narrow: bool) -> None:
        for arm in arms:
            plots.scatter(ax, *zip(*points[arm], strict=True), arm)
            plots.scatter(ax, *best[arm], arm, s=120, facecolors="none", edgecolors=plots.style_of(arm).color)
        ax.set_xscale("log")
        ax.set_ylim(bottom=0)
        ax.set_xlim(right=1.15 * max(pair[0] for arm in arms for pair in points[arm]))
        plots.name_axes(ax, "learning rate, logarithmic axis", "validation error, %")
        plots.label_lines(ax, [(points[arm][-1][1], arm, arm) for arm in arms], narrow=narrow)

    rates = {arm: f"{best[arm][0]:.3g}" for arm in arms}
    same = "the same learning rate" if rates["vanilla"] == rates["P-ON"] else "different learning rates"
    caption = (
        f"The two arms did best at {same}: {rates['vanilla']} for plain cross entropy, {rates['P-ON']} with the partial "
        f"norm. One point a trial of the search, {len(points['vanilla'])} each, with the lowest validation errors "
        f"{best['vanilla'][1]:.2f} and {best['P-ON'][1]:.2f} %. Rings mark them. The method's other knobs differ from "
        f"point to point."
    )
    alt = f"Two lines of points, validation error over learning rate; lowest at {rates['vanilla']} and {rates['P-ON']}."
    return plots.show(draw, title="The search", alt=alt, caption=caption, name="figure-search")


def figure_floor(num_classes: tuple[int, ...] = (2, 10, 100, 1000)) -> plots.Shown:
    """The highest confidence that a ball of radius δ allows, for several numbers of classes."""
    radii = np.linspace(0.2, 20, 200)
    dashes = ("-", (0, (5, 2.2)), (0, (1.2, 1.6)), (0, (6, 1.8, 1.2, 1.8)))
    looks = [plots.Style("pon", dash, "o", f"C = {n}") for n, dash in zip(num_classes, dashes, strict=False)]
    curves = [[float(confidence_ceiling(n, threshold=float(r))) for r in radii] for n in num_classes]

    def draw(ax: Any, narrow: bool) -> None:
        for look, values, height in zip(looks, curves, np.linspace(0.7, 0.25, len(looks)), strict=True):
            plots.line(ax, radii, values, look)
            at = int(np.searchsorted(values, height))  # each name at a height of its own, so that none covers another
            place = {"xytext": (5, -8), "textcoords": "offset points"}
            ax.annotate(look.label, (radii[at], values[at]), color=look.color, weight=700, **place)
        ax.set_xlim(0, 20)
        ax.set_ylim(0, 1.02)
        plots.name_axes(ax, "threshold δ", "highest possible confidence")

    need = [float(required_threshold(0.99, n)) for n in num_classes]
    caption = (
        "The more classes, the larger a ball must be: 99 % confidence needs "
        + ", ".join(f"δ = {value:.1f} for C = {n}" for value, n in zip(need, num_classes, strict=True))
        + ". From the loss floor derived above."
    )
    alt = "Rising curves, one for each number of classes; with more classes the curve rises at a larger threshold."
    return plots.show(draw, title="Confidence ceiling of the ball", alt=alt, caption=caption, name="figure-floor")


def required_threshold(confidence: float, num_classes: int) -> float:
    """Return the smallest δ that allows a confidence: √((C−1)/C)·log((C−1)·c/(1−c)).

    Example:
        >>> round(required_threshold(0.99, 10), 2)
        6.44
    """
    n = num_classes
    return math.sqrt((n - 1) / n) * math.log((n - 1) * confidence / (1 - confidence))


# --- sentences from recorded runs ---------------------------------------------------------------------------------


def say_growing(results: Any) -> Prose:
    """Say which share of the training rows each arm without the ball still lengthens after the last epoch."""
    if absent := not_usable(results):
        return absent
    arms = [arm for arm in ("vanilla", "stability only", "weight decay") if arm in steady_arms(results)[0]]
    if not arms:
        return not_recorded(results, "vanilla") or not_usable(results, "vanilla")
    parts = [
        f"{100 * ends(results, arm, 'growing_share')[1]:.1f} % with *{arm}* "
        f"(training error {ends(results, arm, 'train_error')[1]:.2f} %)"
        for arm in arms
    ]
    return say(
        f"Sample by sample, the share of training images whose vector cross entropy alone (the penalty not counted) still "
        f"lengthens at the end, in single precision: {', '.join(parts)}."
    )


def growing_counts(logits: Tensor, target: Tensor) -> tuple[int, int, int]:
    """Return how many rows are right, how many of these grow, and how many of these do so in single precision.

    The second counts g·z = Σᵢ pᵢ (zᵢ − z_y) < 0, a sum of terms of one sign for a right row, so nothing cancels; the third
    the same from autograd's gradient in single precision, as the probes see it.

    Args:
        logits: (N, C).
        target: (N,) class indices.

    Example:
        >>> growing_counts(torch.tensor([[2.0, 0.0], [60.0, 1.0]]), torch.tensor([0, 0]))
        (2, 2, 1)
    """
    exact = logits.double()
    own = exact.gather(1, target[:, None])
    right = (exact >= own).sum(1) == 1
    slope = (torch.softmax(exact, 1) * (exact - own)).sum(1)
    rows = logits[right].float()
    _, gradient = loss_gradient(rows, target[right])
    outwards = (gradient * rows).sum(1) < -16 * torch.finfo(rows.dtype).eps * gradient.norm(dim=1) * rows.norm(dim=1)
    return len(rows), int((slope[right] < 0).sum()), int(outwards.sum())


def say_precision(results: Any, arm: str = "vanilla") -> Prose:
    """Say on the recorded logits how many right answers grow by the formula, and how many single precision can tell."""
    if absent := not_usable(results, arm):
        return absent
    epochs, logits, labels = results.logits(arm)
    right, grow, single = growing_counts(torch.as_tensor(logits[-1]), torch.as_tensor(labels))
    return say(
        f"Of the {len(labels)} test images whose logits are kept (*{arm}*, first seed, epoch {epochs[-1]}), {right} are right. "
        f"Of these {grow} grow by the formula, Σ pᵢ (zᵢ − z_y) < 0, in which nothing cancels; the gradient in single "
        f"precision shows it for {single}."
    )


def say_rival(results: Any) -> Prose:
    """Compare the method without weight decay with tuned weight decay, or with its control where runs of that diverged."""
    if absent := not_recorded(results, "P-ON", "weight decay") or not_usable(results):
        return absent
    rival, lead = "weight decay", "The method without weight decay against tuned weight decay alone"
    if diverged(results, rival):
        if gain_or_why(results, "P-ON", DECAY_CONTROL) in NO_GAIN:
            return not_usable(results, "P-ON", rival)
        lead = (
            f"{said_lost(results, rival)} Against weight decay at {place_in_search(results, rival, DECAY_CONTROL)}, "
            f"exploratory"
        )
        rival = DECAY_CONTROL
    duel = compare(results, "P-ON", rival)
    word = "lower" if duel.low > 0 else "higher" if duel.high < 0 else "not clearly different"
    gain = interval_text(duel.difference, duel.low, duel.high)
    return say(f"{lead}: {gain} points, n = {duel.n}. The method's error is {word}.")


DECAY_CONTROL = "weight decay at P-ON + weight decay's rate"
"""The control that stands in where runs of tuned weight decay diverged."""


MATCHED = (("P-ON", "vanilla", ""), ("P-ON + weight decay", "weight decay", ", with weight decay"))
"""The comparisons that were also made at equal learning rates."""


def matched_gains(recorded: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return for every setting the method's gain at each arm's own learning rate, at the method's, and at the baseline's."""
    return _recorded.matched_gains(recorded, MATCHED)


def table_matched_rate(recorded: Mapping[str, Any]) -> Panel:
    """Show the method's gains: each arm at its own best learning rate, then both at the same."""
    return table_of_matched_gains(matched_gains(recorded))


def say_matched_rate(recorded: Mapping[str, Any]) -> Prose:
    """Say which clear gains and losses go, and which stay, when both arms get the same learning rate."""
    return say_matched_gains(matched_gains(recorded))


def say_search_edge(results: Any) -> Prose:
    """Say which arms chose the largest learning rate that their search drew."""
    at_edge = [arm for arm in results.arms if results.knobs(arm)["lr"] >= max(p["lr"] for p in results.search(arm))]
    if not at_edge:
        return say("No arm chose the largest learning rate that its search drew.")
    rate = f"{results.knobs(at_edge[0])['lr']:.3g}"
    return say(f"At the largest learning rate drawn, {rate}, stand {len(at_edge)} arms: {', '.join(at_edge)}.")


def say_graph_parts(graphs: Any) -> Prose:
    """Say what each part alone does on the graphs, and what the doubtful entry of Table 2 would change."""
    parts = []
    for setting in graphs.settings:
        gains = {arm: gain_or_why(graphs[setting], arm, "vanilla") for arm in ("norm only", "stability only")}
        if not any(isinstance(gain, str) for gain in gains.values()):
            texts = [f"*{arm}* {interval_text(gain.mean, gain.low, gain.high)}" for arm, gain in gains.items()]
            parts.append(f"{setting}: {', '.join(texts)}")
    if not parts:
        first = graphs[graphs.settings[0]]
        return not_recorded(first, "norm only", "stability only") or not_usable(first) or say("*Unfinished.*")
    said = f"Each part alone, against vanilla, in points (no printed numbers to compare with): {'; '.join(parts)}."
    rows = {row.label: row for row in papers.load("partial_output_norm").table("Table 2").rows}
    suspect, copied = rows["Cora, GAT"], rows["Cora, GCN"].better.mean
    gat = compare(graphs["cora/gat"], "P-ON", "vanilla")
    if not gat.judged:
        return say(said)
    effects = (suspect.baseline.mean - suspect.better.mean, suspect.baseline.mean - copied)
    words = [verdict(gat.low, gat.high, effect) for effect in effects]
    return say(
        said,
        f"For GAT on Cora the verdict *{words[0]}* takes the printed error {suspect.better.mean:.2f}; with the error that the "
        f"printed percentage asks for, {copied:.2f}, the paper's effect is {effects[1]:.2f} and the word is *{words[1]}*.",
    )


def say_in_one_line(results: Any) -> Prose:
    """State the main comparison on MNIST with its verdict, or why there is none and what the control says."""
    better, baseline = "P-ON + weight decay", "weight decay"
    if absent := not_recorded(results, better, baseline) or not_usable(results):
        return absent
    effect = next(c.effect for c in papers.load("partial_output_norm").contrasts if c.id == "pon-t1-mnist")
    lead = (
        f"In one line, on MNIST: the paper prints a gain of {effect:.2f} points for the method on top of weight decay;"
    )
    if not diverged(results, baseline):
        main = compare(results, better, baseline, effect=effect)
        found = interval_text(main.difference, main.low, main.high)
        return say(f"{lead} we find {found} over {main.n} seeds: **{main.verdict}**.")
    control = gain_or_why(results, better, DECAY_CONTROL)
    if control in NO_GAIN:
        return not_usable(results, better, baseline)
    found = interval_text(control.mean, control.low, control.high)
    plain = gain_or_why(results, better, "vanilla")
    beside = ""
    if plain not in NO_GAIN:
        beside = f"; against plain cross entropy {interval_text(plain.mean, plain.low, plain.high)}"
    survived, equal = "", f"{better} at {baseline}'s rate"
    if equal in results.controls and results.seeds(equal):
        n = len(results.seeds(equal))
        survived = f"At the rate that broke weight decay, {n - results.diverged(equal)} of {n} runs of the method with it held. "
    return say(
        f"{lead} by our rule there is no verdict. {said_lost(results, baseline)} With weight decay at "
        f"{place_in_search(results, baseline, DECAY_CONTROL)}, the difference is {found} over {control.n} seeds{beside}. "
        f"{survived}These comparisons were added afterwards and explore."
    )


# --- demonstrations ------------------------------------------------------------------------------------------------


def loss_gradient(logits: Tensor, target: Tensor, threshold: float = math.inf) -> tuple[Tensor, Tensor]:
    """Return the loss of every row and its gradient with respect to the raw logits, with the partial norm before it.

    Args:
        logits: (N, C).
        target: (N,) class indices.
        threshold: δ; ``inf`` is plain cross entropy.

    Returns:
        Losses (N,) and gradients (N, C).

    Example:
        >>> loss, gradient = loss_gradient(torch.tensor([[5.0, -5.0]]), torch.tensor([1]), threshold=2.0)
        >>> round(float(loss), 3), float(gradient.abs().max())
        (2.886, 0.0)
    """
    leaf = logits.detach().clone().requires_grad_()
    losses = cross_entropy(partial_norm(leaf, threshold), target, reduction="none")
    (gradient,) = torch.autograd.grad(losses.sum(), leaf)
    return losses.detach(), gradient


def table_growth(logits: Tensor, target: Tensor, names: Sequence[str]) -> Panel:
    """Show loss, entropy, gradient and push along the vector of some samples, and what their lengths do.

    Args:
        logits: (N, C).
        target: (N,) class indices.
        names: one for each row.

    Example:
        >>> table_growth(torch.tensor([[2.5, 1.2]]), torch.tensor([1]), ["label 1"]).text.splitlines()[1]
        'label 1 | 1.541 | 0.519   | (0.786, −0.786) | −0.368       | shrinks'
    """
    losses, gradients = loss_gradient(logits, target)
    spreads = entropy(torch.softmax(logits, 1))
    pushes = -(gradients * logits).sum(1) / torch.linalg.vector_norm(logits, dim=1)
    rows = []
    for name, loss, spread, gradient, push in zip(names, losses, spreads, gradients, pushes, strict=True):
        moves = "stays" if abs(push) < 1e-12 else "grows" if push > 0 else "shrinks"
        vector = ", ".join(f"{float(value) + 0.0:.3f}" for value in gradient)
        rows.append([name, loss, spread, f"({vector})", push, moves])
    return render_table(["", "loss", "entropy", "gradient", "push along z", "the length"], rows)


def table_small_run(lengths: Mapping[str, Sequence[float]], outputs: Mapping[str, Tensor], target: Tensor) -> Panel:
    """Show the small run's answers: length at half time and at the end, test error, confidence and accuracy.

    Args:
        lengths: arm to the mean output length after every epoch, before the ball.
        outputs: arm to the logits of the test rows that predict, (N, C): after the ball.
        target: (N,) class indices.
    """
    rows = []
    for arm, curve in lengths.items():
        probs = torch.softmax(outputs[arm], 1)
        accuracy = 100 * (probs.argmax(1) == target).double().mean()
        confidence = 100 * probs.amax(1).double().mean()
        rows.append(
            [arm, f"{curve[len(curve) // 2 - 1]:.1f}", f"{curve[-1]:.1f}", f"{confidence:.1f}", f"{accuracy:.1f}"]
        )
    head = ["", "length at half time", "at the end", "mean confidence, %", "accuracy, %"]
    caption = (
        "Lengths before the ball, on training rows; the rest on test rows. One seed and a small sample: no evidence."
    )
    return render_table(head, rows, caption=caption)


def table_temperature(outputs: Mapping[str, Tensor], target: Tensor) -> Panel:
    """Fit a temperature on the first half of the rows, and show the calibration error on the second half.

    Args:
        outputs: arm to logits, (N, C).
        target: (N,) class indices.
    """
    half, rows = len(target) // 2, []
    for arm, logits in outputs.items():
        best = fit_temperature(logits[:half], target[:half])
        errors = [
            float(expected_calibration_error(torch.softmax(logits[half:] / t, 1), target[half:])) for t in (1.0, best)
        ]
        said = "about right" if 0.95 < best < 1.05 else "under-confident" if best < 1 else "over-confident"
        rows.append([arm, f"{float(best):.2f}", said, *errors])
    head = ["", "best temperature", "so it is", "calibration error", "at that temperature"]
    return render_table(head, rows, caption="Fitted on one half of the test rows, measured on the other.")


def descend(logits: Tensor, target: Tensor, *, rate: float, steps: int, threshold: float = math.inf) -> Tensor:
    """Return the path of free logits under gradient descent, (steps + 1, N, C): each row moves by its own gradient.

    Args:
        logits: start, (N, C).
        target: (N,) class indices.
        rate: step size.
        steps: how many.
        threshold: δ; ``inf`` is plain cross entropy.
    """
    path = [logits.detach()]
    for _ in range(steps):
        path.append(path[-1] - rate * loss_gradient(path[-1], target, threshold)[1])
    return torch.stack(path)


# --- exercises -----------------------------------------------------------------------------------------------------


def check_first_sample(answer: Any) -> Feedback:
    """Exercise 1: loss minus entropy of the logits (3, 1, 0.5) with the third class true."""
    z = torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64)
    p = torch.softmax(z, 0)
    loss, spread = float(-p[2].log()), float(entropy(p, dim=0))
    return check_number(
        answer,
        loss - spread,
        right="The difference is positive: this length wants to shrink.",
        hint="Loss first: minus the logarithm of the *third* probability. Then subtract the entropy, in nats.",
        slips={
            "That is entropy minus loss; the sign tells growth from shrinking, so mind it.": spread - loss,
            "That is the loss alone; subtract the entropy.": loss,
            "Your loss takes the first class for the label; the third one is true.": float(-p[0].log()) - spread,
            "Logarithms here are natural ones (nats); yours look like base 2.": (loss - spread) / math.log(2),
        },
    )


def check_threshold(answer: Any) -> Feedback:
    """Exercise 2: the smallest δ with which ten classes allow 99.9 % confidence."""
    right = required_threshold(0.999, 10)
    return check_number(
        answer,
        right,
        right="With any smaller ball, no training can make this network 99.9 % sure.",
        hint="Set the loss floor equal to $-\\log 0.999$ and solve for δ; two decimals are wanted.",
        slips={
            "That would be right if the margin were δ itself; it is $\\delta\\sqrt{C/(C-1)}$.": math.log(9 * 999),
            "The root is upside down: δ is the margin *divided* by it.": math.log(9 * 999) * math.sqrt(10 / 9),
        },
        tolerance=6e-4,
    )


def check_partial_norm(answer: Any) -> Feedback:
    """Exercise 3: the reader's own partial norm, on rows inside, outside, and at zero."""
    rows = torch.tensor([[3.0, 4.0, 0.0], [0.3, 0.4, 0.0], [0.0, 0.0, 0.0], [-6.0, 8.0, 0.0]], dtype=torch.float64)
    cases = [(rows, 1.0), (rows, 5.0), (rows, 100.0)]
    said = check_function(
        answer,
        partial_norm,
        cases,
        right="It agrees on rows inside, outside and on the ball, and at zero.",
        hint="Each *row* has its own length (`dim=1, keepdim=True`); rows inside stay as they are; a row of zeros must "
        "not divide by zero.",
    )
    if not said.passed:
        return said
    weights = torch.tensor([[1.0, -2.0, 3.0], [2.0, 1.0, -1.0], [1.0, 1.0, 1.0], [-1.0, 2.0, 2.0]], dtype=torch.float64)
    slopes = []
    for function in (answer, partial_norm):
        leaf = rows.clone().requires_grad_()
        try:
            slopes.append(torch.autograd.grad((function(leaf * 1.0, 1.0) * weights).sum(), leaf)[0])
        except Exception:  # noqa: BLE001  (the reader's own function may raise anything)
            return feedback(
                "not yet",
                "The values agree, but no gradient passes through your result. Return a new tensor, built from the input with "
                "torch operations alone (`torch.stack` joins rows): no lists, no `torch.tensor(…)`, no `.item()`, no numpy, and "
                "nothing written into the input.",
            )
    if not torch.isfinite(slopes[0]).all():
        return feedback(
            "not yet",
            "The values agree, but the gradient at a row of zeros is NaN: the branch that is *not* taken still divides "
            "by zero. Give the division a safe length first (`clamp` it), then choose.",
        )
    off = (slopes[0] - slopes[1]).abs().amax(dim=1) > 1e-5
    if off[2]:
        return feedback(
            "not yet", "The values agree, but at a row of zeros the gradient should pass unchanged: it lies inside."
        )
    if off.any():
        return feedback(
            "not yet",
            "The values agree, but the gradient does not: outside the ball its radial part is still there. The length must be "
            "computed from the input with gradients on: no `no_grad`, no `detach`, no `float(…)`.",
        )
    return said


def check_missing_error(answer: Any) -> Feedback:
    """Exercise 4: the vanilla error of the lost Table 3 (MLP), from five printed percentages."""
    return check_number(
        answer,
        1.84,
        right="1.84 % is the only such error from 1 to 3 %: one consistent reading, still not the printed table.",
        hint="Try every error from 1.00 to 3.00 in steps of 0.01 as the vanilla one. For each printed percentage there "
        "must be a second error with two decimals that gives it, rounded or cut.",
        slips={"That is the error *with* weight decay (Table 1); the one without is asked for.": 1.64},
        tolerance=1e-6,
    )


def check_temperature_form(answer: Any) -> Feedback:
    """Exercise 5: the partial norm's gradient as that of a temperature, damped and with its radial part removed."""
    z = torch.tensor([[2.5, 1.2, -3.0], [0.0, 4.0, 3.0]], dtype=torch.float64)
    cases = [(z, torch.tensor([0, 2]), 1.0), (z, torch.tensor([1, 1]), 2.5)]

    def reference(logits: Tensor, target: Tensor, threshold: float) -> Tensor:
        return loss_gradient(logits, target, threshold)[1]

    return check_function(
        answer,
        reference,
        cases,
        right="Outside its ball the partial norm is a temperature ‖z‖/δ of each sample's own, damped, without its "
        "radial part.",
        hint="Write a = δ/‖z‖. What is δẑ in terms of a and z? Which part does the Jacobian delete, and what does it multiply?",
        tolerance=1e-5,
    )


def check_wrong_yet_growing(logits: Any, label: Any) -> Feedback:
    """Exercise 6: any logits and a label with two larger ones, and with loss below entropy."""
    if logits is Ellipsis or label is Ellipsis or logits is None:
        return feedback(
            "open", "Put a list of logits and a label (0, 1, …) where the dots are, and run the cell again."
        )
    wanted = feedback("not yet", "Wanted are a list of finite logits and a label: the position of one of them, from 0.")
    try:
        z, place = torch.as_tensor(logits, dtype=torch.float64), int(label)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return wanted
    if place != label:
        return wanted
    label = place
    if z.ndim != 1 or label not in range(len(z)) or not torch.isfinite(z).all():
        return wanted
    ahead = int((z > z[label]).sum())
    if ahead < 2:
        said = {0: "This sample is right, or tied", 1: "One class is ahead of the label"}[ahead]
        return feedback("not yet", f"{said}; *two* other logits must be larger than the label's.")
    p = torch.softmax(z, 0)
    gap = float(-p[label].log() - entropy(p, dim=0))
    if gap >= 0:
        hint = "Keep the leaders close, and let a class below the label pull the mean down."
        return feedback("not yet", f"Two are ahead, but the loss is {gap:.3f} above the entropy. {hint}")
    return feedback(
        "right",
        f"{ahead} classes are ahead of the label, and its loss is {-gap:.3f} below the entropy: it still grows.",
    )


def check_stability_norm(answer: Any) -> Feedback:
    """Exercise 7: the length of the penalty's gradient with respect to the lengths, for a batch of 128 and α = 1."""
    return check_number(
        answer,
        1 / math.sqrt(128),
        right="It is α/√B for every deviation above zero: the penalty pushes as hard at the end as at the start.",
        hint="Square $(\\ell_b-\\bar\\ell)/(B\\cdot SD)$, sum over $b$, and use what SD² is.",
        slips={"That is the square; take the root.": 1 / 128, "A length is never negative.": -1 / math.sqrt(128)},
        tolerance=5e-4,
    )


def chapter_quiz() -> Panel:
    """Return the quiz of chapter 01."""
    return quiz(
        [
            Question(
                "A sample is classified correctly, its logits are not all equal. Plain cross entropy, one small step "
                "of its own gradient. Its logit vector …",
                (
                    (
                        "always gets longer.",
                        "Its loss is below its entropy: the label's logit is above the predicted mean.",
                    ),
                    (
                        "gets longer only below 50 % confidence.",
                        "Confidence does not decide; loss against entropy does.",
                    ),
                    ("keeps its length and turns.", "That would need loss and entropy to be equal."),
                ),
                right=0,
            ),
            Question(
                "On held-out data the mean loss is 0.40 and the mean entropy 0.15. Multiplying all logits by a factor "
                "a little above 1 …",
                (
                    (
                        "lowers the mean loss.",
                        "The slope in the factor is mean loss minus mean entropy, here positive.",
                    ),
                    (
                        "raises the mean loss.",
                        "The slope is +0.25: by this measure the network is over-confident, a smaller factor would help.",
                    ),
                    ("changes nothing.", "It changes no decision, but it does change the loss."),
                ),
                right=1,
            ),
            Question(
                "Outside the ball, a logit vector twice as long in the same direction gets a gradient that is …",
                (
                    (
                        "the same.",
                        "The ball's *output* is the same; the gradient with respect to the raw logits is not.",
                    ),
                    ("half as long.", "It falls as one over the length."),
                    ("twice as long.", "The other way round: δ/‖z‖ multiplies it."),
                ),
                right=1,
            ),
            Question(
                "Why do lengths still grow when a network with the partial norm is trained by gradient descent?",
                (
                    ("The lemma is mistaken.", "The derivative along the length is zero, as it says."),
                    ("The penalty pushes them.", "The penalty moves lengths towards their mean, up as well as down."),
                    (
                        "A finite step along a tangent ends further out, and samples share weights.",
                        "Pythagoras, and weights in common.",
                    ),
                ),
                right=2,
            ),
            Question(
                "A paper's effect is 0.5 points. Your paired difference has the interval [−0.1, +0.2]. What does the "
                "rule of this chapter say?",
                (
                    ("cannot tell", "The interval holds zero, but it excludes 0.5: you *can* tell something."),
                    ("smaller than printed", "It holds zero and lies below the paper's effect."),
                    ("opposite", "For that it would have to lie below zero."),
                ),
                right=1,
            ),
        ]
    )
