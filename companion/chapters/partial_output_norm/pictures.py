"""The pictures beside the derivation: each step is seen before it is proved. All are computed, none is drawn by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from companion import plots
from companion.chapters.partial_output_norm.ball import descend, loss_gradient
from companion.geometry import entropy, output_length, split_radial
from companion.look import DASHES
from companion.plots import Shown, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _ALONG, _ACROSS = Style("ink"), Style("pon"), Style("muted")
_SAMPLE = torch.tensor([[2.5, 1.2]], dtype=torch.float64)


def _pair(row: Tensor) -> tuple[float, float]:
    return float(row[0]), float(row[1])


def figure_split() -> Shown:
    """One logit vector with each of two labels: its step, in a part along the vector and a part across it."""
    labels = torch.tensor([0, 1])
    rows = _SAMPLE.repeat(2, 1)
    losses, gradients = loss_gradient(rows, labels)
    along, across = split_radial(rows, -gradients)
    spread = entropy(torch.softmax(rows, 1))
    scale = (3.0, 1.2)  # of the drawn steps; said below each picture

    def draw(axes: tuple[Axes, ...], narrow: bool) -> None:
        for k, ax in enumerate(axes):
            plots.plane(ax, x=(-0.5, 4.2), y=(-0.5, 2.5))
            z = rows[k]
            tip, end = z + scale[k] * along[k], z + scale[k] * (along[k] + across[k])
            plots.arrow(ax, (0, 0), _pair(z), _INK, linewidth=2.4)
            plots.arrow(ax, _pair(tip), _pair(end), _ACROSS)
            plots.arrow(ax, _pair(z), _pair(end), _INK)
            plots.arrow(ax, _pair(z), _pair(tip), _ALONG, linewidth=3.0)
            grows = "longer" if float((along[k] * z).sum()) > 0 else "shorter"
            sign = "<" if losses[k] < spread[k] else ">"
            ax.set_title(
                f"class {k + 1} true: loss {losses[k]:.2f} {sign} entropy {spread[k]:.2f}, {grows}",
                loc="left", fontsize=ax.xaxis.label.get_fontsize(), color=plots.tokens()["ink"],
            )  # fmt: skip
            plots.note(ax, (1.1, 0.53), "z", (2, -12))
            words = "along z" if k == 0 else "along −z"
            plots.note(ax, _pair(tip), words, (8, 3) if k == 0 else (-4, -15), color=_ALONG.color, weight=700)
            plots.note(ax, _pair(end), f"step × {scale[k]:g}", (6, -9) if k == 0 else (-62, -2))

    pull = -(gradients * rows).sum(1) / output_length(rows)
    caption = (
        f"The label alone decides whether the same vector is lengthened or shortened. Black: the step −g; blue: its part "
        f"along z ({pull[0]:+.2f} and {pull[1]:+.2f}); grey: the rest.".replace("-", "−")
    )
    alt = (
        "Two pictures of the vector (2.5, 1.2) with its gradient step split in two. With the first class true the part along the vector "
        "points outwards, with the second class true it points back to the origin."
    )
    return plots.show(
        draw,
        title="The step in two parts",
        alt=alt,
        caption=caption,
        panels=2,
        width="wide",
        height=310,
        name="figure-split",
    )


def figure_projection() -> Shown:
    """What the partial norm does to a plane of logits: points outside the ball move to its nearest point."""
    radius = 2.0
    angles, sizes = (
        np.deg2rad([18, 52, 95, 128, 160, 205, 250, 290, 335]),
        [3.4, 2.9, 3.1, 1.3, 3.5, 2.8, 1.5, 3.2, 1.1],
    )
    points = np.stack([sizes * np.cos(angles), sizes * np.sin(angles)], axis=1)
    outside = np.linalg.norm(points, axis=1) > radius
    moved = points * np.minimum(1.0, radius / np.linalg.norm(points, axis=1))[:, None]

    def draw(ax: Axes, narrow: bool) -> None:
        plots.plane(ax, x=(-4.0, 4.4), y=(-3.4, 3.6))
        plots.ball(ax, radius, "P-ON", name="δ = 2", at=232)
        for start, end in zip(points[outside], moved[outside], strict=True):
            plots.arrow(ax, start, end, _ALONG)
        plots.scatter(ax, *points.T, _INK, s=34)
        plots.scatter(ax, *moved[outside].T, _ALONG, s=34)
        plots.note(ax, points[0], "z", (6, 2))
        plots.note(ax, moved[0], "Γ(z)", (-10, -18), color=_ALONG.color, weight=700)
        plots.note(ax, points[3], "stays", (-14, 6))

    caption = (
        f"The partial norm moves every vector to the nearest point of the ball. {int(outside.sum())} of these {len(points)} logit "
        f"vectors are longer than δ and keep their direction alone; the others stay where they are."
    )
    alt = "Points in a plane and a dotted circle. Arrows lead from each point outside straight towards the origin onto the circle."
    return plots.show(
        draw, title="The nearest point of the ball", alt=alt, caption=caption, height=430, name="figure-projection"
    )


def figure_pythagoras(rate: float = 6.0) -> Shown:
    """One finite step behind the ball: across the vector, and so a little further out.

    Args:
        rate: step size h.
    """
    z, label = torch.tensor([[3.0, 1.6]], dtype=torch.float64), torch.tensor([1])
    path = descend(z, label, rate=rate, steps=1, threshold=2.0)[:, 0]
    before, after = (float(length) for length in output_length(path))
    inside = np.linspace(-0.12, 0.95, 60)

    def draw(ax: Axes, narrow: bool) -> None:
        plots.plane(ax, x=(-1.4, 4.8), y=(-0.5, 5.2))
        plots.ball(ax, 2.0, "P-ON", name="δ = 2", at=118)
        circle = before * np.exp(1j * (inside * math.pi / 2))
        ax.plot(circle.real, circle.imag, color=_ACROSS.color, linewidth=0.9, linestyle=DASHES["dashed"])
        plots.arrow(ax, (0, 0), _pair(path[0]), _INK, linewidth=2.4)
        plots.arrow(ax, (0, 0), _pair(path[1]), Style("ink", DASHES["dashed"]), linewidth=1.4)
        plots.arrow(ax, _pair(path[0]), _pair(path[1]), _ACROSS, linewidth=2.2)
        plots.note(ax, _pair(path[0]), f"z, length {before:.2f}", (8, -4))
        plots.note(ax, _pair(path[1]), f"after the step: {after:.2f}", (8, 4))
        plots.note(ax, _pair(path.mean(0)), f"−h g, h = {rate:g}", (9, 2), color=_ACROSS.color)

    caption = (
        f"A step across the vector ends further out, by Pythagoras: here {before:.2f} becomes {after:.2f}. The second class is true; "
        f"δ = 2; the dashed arc has the old length."
    )
    alt = "A vector, a step at a right angle to it, and the longer vector that results; an arc of the old radius lies inside."
    return plots.show(
        draw, title="Finite steps lengthen", alt=alt, caption=caption, height=470, name="figure-pythagoras"
    )


def figure_stability() -> Shown:
    """The lengths of a batch and the pull of the penalty on each, for a wide batch and a narrow one."""
    batches = {"far apart": [2.0, 3.4, 4.1, 6.5, 9.0], "close together": [4.6, 4.85, 5.0, 5.15, 5.4]}

    def slopes(lengths: list[float]) -> np.ndarray:
        values = np.array(lengths)
        return (values - values.mean()) / (len(values) * values.std())

    def draw(axes: tuple[Axes, ...], narrow: bool) -> None:
        for ax, (name, lengths) in zip(axes, batches.items(), strict=True):
            ax.set(xlim=(0, 10), ylim=(-0.8, len(lengths) - 0.2))
            ax.axvline(np.mean(lengths), color=_ACROSS.color, linewidth=0.9, linestyle=DASHES["dashed"])
            for row, (length, slope) in enumerate(zip(lengths, slopes(lengths), strict=True)):
                ax.plot([0, length], [row, row], color=_INK.color, linewidth=2.2)
                plots.arrow(ax, (length, row), (length - 6 * slope, row), _ALONG, linewidth=2.4)
            ax.set_yticks([])
            ax.spines["left"].set_visible(False)
            plots.name_axes(ax, "length of a logit vector ‖z‖", f"five samples, {name}")

    sizes = [float(np.linalg.norm(slopes(lengths))) for lengths in batches.values()]
    caption = (
        f"The penalty pulls the lengths of a batch towards their mean, and as hard near the goal as far from it. Black: lengths; blue: the "
        f"step against the penalty, 6 times as long; dashed: the mean. Root of the sum of the squared pulls: {sizes[0]:.3f} and {sizes[1]:.3f}."
    )
    alt = "Two groups of five bars. Arrows at their ends point towards a dashed line at the mean length; taken together they are as long in the narrow group as in the wide one."
    return plots.show(
        draw, title="The stability penalty", alt=alt, caption=caption, panels=2, width="wide", height=260, narrow_height=230,
        name="figure-stability",
    )  # fmt: skip


SHARED_FEATURES = torch.tensor([[1.0, 2.0], [-2.0, -2.0]], dtype=torch.float64)
SHARED_WEIGHT = torch.tensor([[-1.0, 3.0], [4.0, -3.0]], dtype=torch.float64)


def shared_rates(threshold: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    """Return two samples' logits under one linear layer, how they move under the flow of its weights, and the rates of their lengths.

    Args:
        threshold: of the ball before the loss.

    Returns:
        Logits (2, 2), motions (2, 2), rates (2,).
    """
    logits = SHARED_FEATURES @ SHARED_WEIGHT.T
    _, pull = loss_gradient(logits, torch.tensor([0, 1]), threshold)
    motion = -(SHARED_FEATURES @ (pull.T @ SHARED_FEATURES).T) / len(logits)
    return logits, motion, (motion * logits).sum(1) / output_length(logits)


def figure_shared() -> Shown:
    """Two samples under one linear layer: how their logit vectors move when its weights descend."""
    logits, motion, rates = shared_rates()
    scale = 4.0

    def draw(ax: Axes, narrow: bool) -> None:
        plots.plane(ax, x=(-7.0, 7.6), y=(-3.6, 2.9))
        plots.ball(ax, 2.0, "P-ON", name="δ = 2", at=305)
        for k, (z, step) in enumerate(zip(logits, motion, strict=True)):
            plots.arrow(ax, (0, 0), _pair(z), _INK, linewidth=2.2)
            plots.arrow(ax, _pair(z), _pair(z + scale * step), _ALONG, linewidth=2.6)
            words = f"sample {k + 1}: {'longer' if rates[k] > 0 else 'shorter'}, {rates[k]:+.3f}".replace("-", "−")
            plots.note(ax, _pair(z), words, (-8, 12) if k == 0 else (-40, -18))

    longer = int((rates > 0).sum())
    caption = (
        "One of two samples outside the ball gets longer, because they share their weights." if longer == 1
        else f"{longer} of two samples outside the ball get longer."
    )  # fmt: skip
    caption += (
        f" Both are right. An infinitely small step of one linear layer moves the logits along the blue arrows ({scale:g} times the motion); "
        f"the numbers are the rates of the lengths. Alone, each would move at a right angle to itself."
    )
    alt = f"Two vectors outside a circle, each with an arrow that shows its motion; their lengths change at {rates[0]:+.3f} and {rates[1]:+.3f}."
    return plots.show(draw, title="Shared weights", alt=alt, caption=caption, height=360, name="figure-shared")


MARGIN_POINTS = torch.tensor([[1.0, 0.2], [0.4, 1.6], [1.5, 2.5], [-1.0, -0.2], [-0.4, -1.6], [-2.0, -0.5]])
MARGIN_GROUPS = torch.tensor([0, 0, 0, 1, 1, 1])


def margins(threshold: float, steps: tuple[int, ...], rate: float = 0.5) -> list[float]:
    """Train a linear classifier of six points by gradient descent behind a ball; return the worst point's distance from the line.

    Args:
        threshold: of the ball; ``inf`` is plain cross entropy.
        steps: after how many to measure.
        rate: step size.

    Returns:
        Distances as shares of the largest that a line through the origin can have.
    """
    signs = 1.0 - 2.0 * MARGIN_GROUPS
    turn = torch.linspace(0, 2 * math.pi, 3601)
    best = float((signs[:, None] * (MARGIN_POINTS @ torch.stack([turn.cos(), turn.sin()]))).amin(0).max())
    weight, found = torch.tensor([[0.3, -0.1], [-0.2, 0.2]]), []
    for step in range(1, max(steps) + 1):
        pull = loss_gradient(MARGIN_POINTS @ weight.T, MARGIN_GROUPS, threshold)[1] / len(MARGIN_POINTS)
        weight = weight - rate * pull.T @ MARGIN_POINTS
        if step in steps:
            normal = (weight[0] - weight[1]) / (weight[0] - weight[1]).norm()
            found.append(float((signs * (MARGIN_POINTS @ normal)).min()) / best)
    return found


def figure_margin() -> Shown:
    """The other side: how the margin of a linear classifier goes on growing without a ball, and stops behind one."""
    steps = tuple(sorted({round(10**power) for power in np.linspace(0.3, 3.2, 40)}))
    curves = {name: margins(d, steps) for name, d in (("plain", math.inf), ("δ = 2", 2.0), ("δ = 0.5", 0.5))}
    looks = {"plain": Style("muted", "-", "o", "plain"), "δ = 2": Style("pon", "-", "s", "δ = 2")}
    looks["δ = 0.5"] = Style("pon", DASHES["dotted"], "^", "δ = 0.5")

    def draw(ax: Axes, narrow: bool) -> None:
        for name, values in curves.items():
            plots.line(ax, steps, [100 * value for value in values], looks[name])
        ax.set_xscale("log")
        ax.set_ylim(top=101)
        plots.name_axes(ax, "steps of gradient descent, logarithmic axis", "margin, % of the largest")
        plots.label_lines(ax, [(100 * values[-1], name, looks[name]) for name, values in curves.items()], narrow=narrow)

    last = {name: f"{100 * values[-1]:.0f} %" for name, values in curves.items()}
    rising = curves["plain"][-1] > curves["plain"][-2]
    still = all(abs(curves[name][-1] - curves[name][len(steps) // 2]) < 1e-3 for name in ("δ = 2", "δ = 0.5"))
    caption = (
        f"{plots.claim('Behind a ball the direction comes to rest; without one it goes on improving.', holds=rising and still)} After "
        f"{steps[-1]} steps the margin is {last['plain']} of the largest without a ball and still rising, {last['δ = 2']} with δ = 2 and "
        f"{last['δ = 0.5']} with δ = 0.5: ahead or behind, by luck. A linear classifier of six points, plain gradient descent."
    )
    alt = "Three curves of the margin over the steps: " + ", ".join(
        f"{name} ends at {100 * v[-1]:.0f} %" for name, v in curves.items()
    )
    return plots.show(draw, title="Margin of six points", alt=alt + ".", caption=caption, name="figure-margin")
