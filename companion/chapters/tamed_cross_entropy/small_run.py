"""What the chapter says of the networks that are trained on its page: nothing here is known before they have run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from companion import plots
from companion.page import Panel, predict, render_table
from companion.plots import Shown, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RIGHT, _WRONG = Style("muted", "-", "o", "right"), Style("ink", "-", "s", "wrong")
PARTS = (
    "Hardly any: below a tenth.",
    "About a quarter.",
    "About a half.",
    "Most of them.",
)
BETWEEN = (0.1, 0.375, 0.75)
"""Where one of these answers ends and the next begins."""


def learnt(believed: Tensor, wrong: Tensor) -> float:
    """Return the share of the wrong labels that a network gives more than half of its probability.

    Args:
        believed: probability of each given label, (N,).
        wrong: which labels are wrong, (N,).
    """
    return float((believed[wrong] > 0.5).double().mean())


def figure_memory(believed: Sequence[Tensor], wrong: Tensor) -> Shown:
    """Show how probable a network finds right and wrong labels, early, in between and at the end.

    Args:
        believed: after each epoch the probability of each given label, (N,).
        wrong: which labels are wrong, (N,).
    """
    epochs = (2, max(3, round(len(believed) ** 0.5)), len(believed))
    bins = np.linspace(0, 1, 11)

    def draw(axes: tuple[Axes, ...], narrow: bool) -> None:
        for ax, epoch in zip(axes, epochs, strict=True):
            probs = believed[epoch - 1]
            for rows, look, shift in ((~wrong, _RIGHT, 0.0), (wrong, _WRONG, 0.05)):
                heights = np.histogram(probs[rows].numpy(), bins)[0] / max(int(rows.sum()), 1)
                fill = (
                    {"color": look.color}
                    if look is _WRONG
                    else {"facecolor": "none", "edgecolor": look.color, "linewidth": 1.4}
                )
                ax.bar(bins[:-1] + shift, 100 * heights, width=0.05, align="edge", **fill)
            ax.set(xlim=(0, 1), ylim=(0, 100))
            plots.name_axes(ax, "probability q of the given label", f"epoch {epoch}, % of each kind")

    middles = [[float(believed[epoch - 1][rows].median()) for rows in (~wrong, wrong)] for epoch in epochs]
    (_, early), (right, late) = middles[0], middles[-1]
    told = [bad < 0.5 < good for good, bad in middles]
    finding = (
        "First the network learns what fits together, then the exceptions."
        if any(told[:-1]) and late > 0.5
        else "To the end the network tells wrong labels from right ones."
        if told[-1]
        else "In none of these epochs does the network tell wrong labels from right ones."
    )
    caption = f"{finding} Outlined: right labels, filled: wrong ones; the median q of wrong labels goes from {early:.2f} to {late:.2f}, that of right ones to {right:.2f}. One seed, made on this page."
    alt = "Three histograms of the label's probability. " + " ".join(
        f"Epoch {epoch}: median {right:.2f} for right, {bad:.2f} for wrong labels."
        for epoch, (right, bad) in zip(epochs, middles, strict=True)
    )
    return plots.show(
        draw, title="What is learnt first", alt=alt, caption=caption, panels=3, width="wide", height=250, narrow_height=220,
        name="figure-memory",
    )  # fmt: skip


def predict_small_run(believed: Sequence[Tensor], wrong: Tensor) -> Any:
    """Ask how many wrong labels the network has learnt by heart, then show it.

    Args:
        believed: after each epoch the probability of each given label, (N,).
        wrong: which labels are wrong, (N,).
    """
    part = learnt(believed[-1], wrong)
    so = (
        f"It is {100 * part:.0f} %. So the network that is trained to the end believes what it was told, and the moment to distrust a label is early."
        if part > BETWEEN[1]
        else f"It is {100 * part:.0f} %. So this network is too small, or trained too short, to learn its exceptions by heart."
    )
    return predict(
        f"A network was just trained with cross entropy for {len(believed)} epochs, {100 * float(wrong.double().mean()):.0f} % of its labels wrong. To how many wrong labels does it give more than half of its probability?",
        PARTS, right=int(np.digitize(part, BETWEEN)), result=figure_memory(believed, wrong), so=so,
    )  # fmt: skip


def table_small_run(runs: Mapping[str, tuple[Tensor, Tensor]], labels: Tensor, wrong: Tensor) -> Panel:
    """Show test error and what became of wrong labels, for each network.

    Args:
        runs: name to the test logits (N, C) and the probability of each given label at the end (M,).
        labels: of the test rows, (N,).
        wrong: which training labels are wrong, (M,).
    """
    rows = [
        [name, 100 * float((logits.argmax(1) != labels).double().mean()), 100 * learnt(believed, wrong), 100 * float(torch.softmax(logits, 1).amax(1).mean())]
        for name, (logits, believed) in runs.items()
    ]  # fmt: skip
    head = ["one seed", "test error, %", "wrong labels learnt, %", "mean confidence on test images, %"]
    return render_table(head, rows, digits=1)
