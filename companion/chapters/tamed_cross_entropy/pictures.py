"""The pictures beside the derivation: each step is seen before it is proved. All are computed, none is drawn by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from companion import plots
from companion.chapters.tamed_cross_entropy.pulls import class_sum, loss, peak, pull, share
from companion.look import DASHES
from companion.plots import Shown, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PLAIN, _TAMED, _INK = Style("muted", "-", "o", "cross entropy"), Style("tce", "-", "o", "tamed, α = 2"), Style("ink")
_HALF_TAMED = Style("tce", DASHES["dashed"], "s", "tamed, α = 1")

RIGHT = (0.97, 0.93, 0.88, 0.8, 0.7, 0.55, 0.3)
WRONG = (0.12, 0.04, 0.01)
"""A batch of ten in the middle of training: probabilities that the network gives to seven right labels and three wrong ones."""


def figure_batch() -> Shown:
    """Ten samples, their labels' probabilities, and how hard each pulls, with cross entropy and tamed."""
    probs = np.array([*RIGHT, *WRONG])
    wrong = np.arange(len(probs)) >= len(RIGHT)
    parts = {alpha: share(RIGHT, WRONG, alpha) for alpha in (0.0, 2.0)}

    def draw(axes: tuple[Axes, ...], narrow: bool) -> None:
        for ax, alpha, look in zip(axes, (0.0, 2.0), (_PLAIN, _TAMED), strict=True):
            sizes = pull(probs, alpha)
            for place, (size, bad) in enumerate(zip(sizes, wrong, strict=True)):
                fill = {"facecolor": look.color} if bad else {"facecolor": "none", "hatch": ""}
                ax.bar(place, size, width=0.72, edgecolor=look.color, linewidth=1.4, **fill)
            ax.set_xticks(range(len(probs)), [f"{q:.2g}".lstrip("0") for q in probs])
            ax.set(xlim=(-0.6, len(probs) - 0.4), ylim=(0, 1.05))
            words = (
                f"pull with {look.label}"
                if narrow
                else f"pull with {look.label}: wrong labels hold {100 * parts[alpha]:.0f} %"
            )
            plots.name_axes(ax, "probability q of the label, ten samples", words)

    caption = (
        f"Three wrong labels of ten (filled) hold {100 * parts[0.0]:.0f} % of cross entropy's pull and {100 * parts[2.0]:.0f} % of the tamed one's. Taming shortens all bars, "
        f"those of implausible labels most."
    )
    alt = (
        "Two bar charts of ten samples by the probability of their label. With cross entropy the three wrong labels have the longest bars; with tamed cross "
        "entropy they are among the shorter half."
    )
    return plots.show(
        draw, title="Who holds the gradient", alt=alt, caption=caption, panels=2, width="wide", height=300, narrow_height=270,
        name="figure-batch",
    )  # fmt: skip


def printed_loss(q: np.ndarray, alpha: float) -> np.ndarray:
    """Return Eq. 9 as it is printed: its constant is 1/(1 − α) where ours is 1."""
    return ((1 - np.log(q)) ** (1 - alpha) - 1 / (1 - alpha)) / (1 - alpha)


def figure_constant() -> Shown:
    """The integral with the printed constant, and with the one that makes the minimum 0."""
    plain = np.linspace(0, 6, 200)
    q = np.exp(-plain)
    alphas = {0.5: DASHES["dotted"], 0.7: DASHES["dashed"], 1.5: "-"}
    lows = [float(printed_loss(np.array(1.0), alpha)) for alpha in alphas]

    def draw(axes: tuple[Axes, ...], narrow: bool) -> None:
        for ax, form, title in zip(axes, (printed_loss, loss), ("as printed", "with 1 for the constant"), strict=True):
            looks = {alpha: Style("tce", dash, "", f"{alpha:g}") for alpha, dash in alphas.items()}
            for alpha, look in looks.items():
                plots.line(ax, plain, form(q, alpha), look)
            ax.set(xlim=(0, 6), ylim=(-8.5, 4.5))
            ax.axhline(0, color=plots.tokens()["muted"], linewidth=0.8)
            plots.name_axes(ax, "cross entropy L = −log q", f"tamed loss by α, {title}")
            plots.label_lines(
                ax, [(float(form(q, a)[-1]), look.label, look) for a, look in looks.items()], narrow=narrow
            )

    caption = (
        f"The printed constant shifts each curve, the more the nearer α is to 1; the slopes, all that training sees, are the same. At q = 1 the printed form gives "
        f"{', '.join(f'{low:.1f}' for low in lows)} for α = {', '.join(f'{alpha:g}' for alpha in alphas)}, with 1 for the constant it is 0."
    ).replace("-", "−")
    alt = "Two panels with three curves over the cross entropy. On the left they begin at different heights below zero, on the right all begin at zero."
    return plots.show(
        draw, title="The constant of Eq. 9", alt=alt, caption=caption, panels=2, width="wide", height=300, narrow_height=270,
        name="figure-constant",
    )  # fmt: skip


SUM_FEATURES = np.array([[1.0, 0.4], [0.8, 1.0], [0.3, 1.2], [-1.9, 0.9]])
SUM_WEIGHTS = np.array([1.6, -0.8])
SUM_MARGINS = SUM_FEATURES @ SUM_WEIGHTS
"""Four samples of two classes under a linear classifier: their features times their label's sign, and their margins."""


def batch_steps(alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return each sample's step in the plane of the weights, (4, 2), and their sum (2,)."""
    q = 1 / (1 + np.exp(-SUM_MARGINS))
    steps = pull(q, alpha)[:, None] * SUM_FEATURES
    return steps, steps.sum(0)


def figure_sum() -> Shown:
    """The steps of four samples and their sum, with cross entropy and tamed: each keeps its direction, the sum turns."""
    sums = {alpha: batch_steps(alpha)[1] for alpha in (0.0, 2.0)}
    (a, b), norm = sums.values(), np.linalg.norm
    turn = math.degrees(math.acos(float(a @ b / (norm(a) * norm(b)))))

    def draw(axes: tuple[Axes, ...], narrow: bool) -> None:
        for ax, alpha, look in zip(axes, (0.0, 2.0), (_PLAIN, _TAMED), strict=True):
            plots.plane(ax, x=(-2.1, 1.9), y=(-0.3, 2.3), names=("w₁", "w₂"))
            times = 3 if alpha else 1
            steps, total = (times * part for part in batch_steps(alpha))
            for step, margin in zip(steps, SUM_MARGINS, strict=True):
                plots.arrow(ax, (0, 0), step, look, linewidth=1.6, linestyle=DASHES["dashed"] if margin < -1 else "-")
            plots.arrow(ax, (0, 0), total, _INK, linewidth=2.6)
            plots.note(ax, total, "sum", (5, 2), weight=700)
            plots.note(
                ax,
                steps[-1],
                "wrong label",
                (-4, 8) if alpha else (-12, 8),
                color=look.color,
                ha="right" if alpha else "left",
            )
            ax.set_title(
                f"{look.label}{', drawn 3 times as long' * (times > 1)}",
                loc="left",
                fontsize=ax.xaxis.label.get_fontsize(),
                color=plots.tokens()["ink"],
            )

    caption = (
        f"Every sample keeps its direction, their sum turns by {turn:.0f}°. Four samples of a linear classifier of two classes; the dashed step belongs to a label "
        f"with probability {1 / (1 + math.exp(-SUM_MARGINS[-1])):.3f}."
    )
    alt = "Two pictures of four arrows from the origin and their sum. With cross entropy the longest arrow, that of the wrong label, pulls the sum to its side; tamed it is short."
    return plots.show(
        draw, title="The sum turns", alt=alt, caption=caption, panels=2, width="wide", height=320, name="figure-sum"
    )


def figure_curvature() -> Shown:
    """Loss over the lead of the wrong class, for two classes: where the pull is strongest, the curve changes from bent down to bent up."""
    leads = np.linspace(-5, 7, 300)
    q = 1 / (1 + np.exp(leads))
    looks = {0.0: _PLAIN, 1.0: _HALF_TAMED, 2.0: _TAMED}

    def draw(ax: Axes, narrow: bool) -> None:
        for alpha, look in looks.items():
            plots.line(ax, leads, loss(q, alpha), look)
            if alpha:
                at = peak(alpha)
                plots.scatter(ax, [math.log((1 - at) / at)], [float(loss(at, alpha))], look, s=70)
        ax.set(xlim=(-5, 7), ylim=(0, 7.2))
        plots.name_axes(ax, "lead of the wrong class: its logit minus the label's", "loss")
        plots.label_lines(ax, [(float(loss(q[-1], a)), look.label, look) for a, look in looks.items()], narrow=narrow)

    caption = (
        f"Tamed, the loss of a confident mistake lies on a plain. Dots: where the pull is strongest, q = {peak(1.0):.3f} for α = 1 and {peak(2.0):.3f} for α = 2; to "
        f"their right the curves bend down, so they are not convex. For α = 2 the loss never exceeds 1."
    )
    alt = "Three curves of the loss over the lead of the wrong class, for two classes. Cross entropy rises without end to the right; with α = 1 it rises ever more slowly; with α = 2 it levels off below one."
    return plots.show(draw, title="No longer convex", alt=alt, caption=caption, height=330, name="figure-curvature")


def figure_class_sum() -> Shown:
    """The losses of all labels added up, from an even prediction to a sure one: where that sum is bounded, uniform noise does bounded harm."""
    num_classes = 10
    q = np.concatenate([np.linspace(1 / num_classes, 0.99, 200), 1 - np.geomspace(1e-2, 1e-6, 100)])
    looks = {0.0: _PLAIN, 1.0: _HALF_TAMED, 2.0: _TAMED}
    ends = {alpha: class_sum(q[[0, -1]], num_classes, alpha) for alpha in looks}
    bound = num_classes - 1

    def draw(ax: Axes, narrow: bool) -> None:
        for alpha, look in looks.items():
            plots.line(ax, q, class_sum(q, num_classes, alpha), look)
        ax.axhline(bound, color=_TAMED.color, linewidth=0.9, linestyle=DASHES["dotted"])
        ax.set(xlim=(0, 1), ylim=(0, 60))
        plots.name_axes(ax, "probability of one class, the rest spread evenly", "sum of the losses of all ten labels")
        plots.label_lines(
            ax, [(float(min(v[-1], 58)), looks[a].label, looks[a]) for a, v in ends.items()], narrow=narrow
        )

    caption = (
        f"For α = 2 the sum stays between {ends[2.0][0]:.2f} and {bound} (dotted), for α ≤ 1 it grows without bound as the prediction gets sure. A loss whose sum did "
        f"not depend on the prediction at all would not see uniform noise; the absolute error is one."
    )
    alt = f"Three curves from an even to a sure prediction. That of cross entropy leaves the picture, that of α = 1 rises, that of α = 2 stays between {ends[2.0][0]:.1f} and {bound}."
    return plots.show(
        draw, title="The sum over all labels", alt=alt, caption=caption, height=330, name="figure-class-sum"
    )
