"""What the chapter says of the networks that are trained on its page: nothing here is known before they have run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from companion import plots
from companion.geometry import confidence_ceiling
from companion.page import Prose, predict, say
from companion.plots import Shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COURSES = ("It stops at δ.", "It goes on growing, more slowly.", "It grows as before.", "It shrinks.")


def course(plain: Sequence[float], behind: Sequence[float], radius: float) -> int:
    """Return which of `COURSES` the lengths behind a ball took.

    "Stops" is a mean length within a tenth of δ at the end; "as before" at least nine tenths of the length without a ball.

    Args:
        plain: mean length after every epoch without a ball.
        behind: the same with one.
        radius: the ball's δ.

    Example:
        >>> COURSES[course([5.0, 12.0], [3.0, 6.0], radius=2.0)]
        'It goes on growing, more slowly.'
    """
    if behind[-1] < behind[0]:
        return 3
    if behind[-1] <= 1.1 * radius:
        return 0
    return 2 if behind[-1] >= 0.9 * plain[-1] else 1


def figure_small_run(runs: Mapping[str, Sequence[float]], radius: float) -> Shown:
    """Show the mean length of the training images' logits after every epoch, with a ball and without.

    Args:
        runs: arm to lengths, for ``"vanilla"`` and ``"norm only"``.
        radius: the ball's δ.
    """

    def draw(ax: Axes, narrow: bool) -> None:
        for arm, lengths in runs.items():
            plots.line(ax, range(1, len(lengths) + 1), lengths, arm)
        ax.axhline(radius, color=plots.tokens()["pon"], linewidth=0.9, linestyle=(0, (1.2, 1.6)))
        ax.set(xlim=(0, len(lengths)), ylim=(0, None))
        plots.name_axes(ax, "epoch", "mean output length ‖z‖, before the ball")
        plots.label_lines(ax, [(runs[arm][-1], arm, arm) for arm in runs], narrow=narrow)

    ends = {arm: f"{lengths[-1]:.1f}" for arm, lengths in runs.items()}
    caption = (
        f"Without a ball the mean length ends at {ends['vanilla']}, with one of δ = {radius:g} (dotted) at {ends['norm only']}. One seed, made on "
        f"this page."
    )
    alt = (
        f"Two curves over the epochs, ending at {ends['vanilla']} and {ends['norm only']}; a dotted line at {radius:g}."
    )
    return plots.show(draw, title="A small run", alt=alt, caption=caption, name="figure-small-run")


def predict_small_run(runs: Mapping[str, Sequence[float]], radius: float) -> Any:
    """Ask what the lengths do behind the ball, then show it.

    Args:
        runs: arm to mean length after every epoch.
        radius: the ball's δ.
    """
    right = course(runs["vanilla"], runs["norm only"], radius)
    so = (
        "So here the flow of the theorem and the steps of training agree.",
        "So zero gradient along the vector is not zero growth. Three causes are left: images still inside the ball, weights that images share, and steps "
        "of finite size, each of which lengthens by about h²‖g‖²/(2‖z‖). Steps a tenth as large, ten times as many, do a tenth of that alone:",
        "So at this δ the ball hardly acts: most vectors are shorter than it for most of the run.",
        "So the flow of one free vector does not tell what weights do that many images share.",
    )
    return predict(
        f"Two networks were just trained, one of them with a ball of δ = {radius:g}. What does the mean length of its logits do, measured before the ball?",
        COURSES, right=right, result=figure_small_run(runs, radius), so=so[right],
    )  # fmt: skip


def say_steps(grown: Sequence[float], kept: Sequence[float]) -> Prose:
    """Say how much of the growth behind the ball is owed to finite steps, from the same runs with steps a tenth as large.

    Steps a tenth as large and ten times as many do a tenth of what steps do, so their share is (grown − kept)/(0.9 · grown).

    Args:
        grown: growth of the mean length after the first tenth of the run, one a seed.
        kept: the same with small steps.
    """
    means = [sum(values) / len(values) for values in (grown, kept)]
    lead = f"From the first tenth of the run to its end the mean length grows by {means[0]:.2f} (mean of {len(grown)} seeds), with the small steps by {means[1]:.2f}."
    if min(grown) <= 0.05:
        return say(lead, "That is hardly any growth: there is nothing to explain.")
    shares = sorted(100 * (one - other) / (0.9 * one) for one, other in zip(grown, kept, strict=True))
    part = "a small part" if shares[-1] < 50 else "most" if shares[0] > 50 else "a part"
    return say(
        lead,
        f"Finite steps do {part} of it, {shares[0]:.0f} to {shares[-1]:.0f} % by seed. The other two causes do the rest.",
    )


def say_confidence(outputs: Mapping[str, Tensor], target: Tensor, radius: float) -> Prose:
    """Say how confident and how accurate both networks are on test images, and where the ball's floor puts the ceiling.

    Args:
        outputs: arm to the logits that predict, (N, C).
        target: (N,) class indices.
        radius: the ball's δ.
    """
    found = {}
    for arm, logits in outputs.items():
        probs = torch.softmax(logits.double(), 1)
        found[arm] = (100 * float(probs.amax(1).mean()), 100 * float((probs.argmax(1) == target).double().mean()))
    classes = next(iter(outputs.values())).shape[1]
    ceiling = 100 * float(confidence_ceiling(classes, threshold=radius))
    (sure, right), (plain, plain_right) = found["norm only"], found["vanilla"]
    lead = (
        "That is no modesty, it is the floor"
        if sure < right - 5 and ceiling < right
        else "The floor is out of sight here"
    )
    return say(
        f"On new images the network behind the ball is right in {right:.1f} % and on average {sure:.1f} % **confident**; the plain "
        f"one {plain_right:.1f} % and {plain:.1f} %. {lead}: with δ = {radius:g} and {classes} classes no answer can be surer than {ceiling:.0f} %. "
        f"A temperature mends that afterwards:"
    )
