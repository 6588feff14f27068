"""What a page computes while it is read: free logits under a loss, a small run's answers, temperatures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from companion.geometry import entropy, expected_calibration_error, fit_temperature
from companion.page.display import Panel
from companion.page.tables import render_table

Losses = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, C) and class indices (N,) to losses (N,)."""


def plain_losses(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross entropy of every row.

    Args:
        logits: (N, C).
        target: (N,) class indices.

    Example:
        >>> plain_losses(torch.zeros(1, 2), torch.tensor([0]))
        tensor([0.6931])
    """
    return cross_entropy(logits, target, reduction="none")


def loss_gradient(logits: Tensor, target: Tensor, losses: Losses = plain_losses) -> tuple[Tensor, Tensor]:
    """Return the loss of every row and its gradient with respect to the raw logits.

    Args:
        logits: (N, C).
        target: (N,) class indices.
        losses: a loss a row.

    Returns:
        Losses (N,) and gradients (N, C).

    Example:
        >>> loss_gradient(torch.zeros(1, 2), torch.tensor([0]))[1]
        tensor([[-0.5000,  0.5000]])
    """
    leaf = logits.detach().clone().requires_grad_()
    found = losses(leaf, target)
    (gradient,) = torch.autograd.grad(found.sum(), leaf)
    return found.detach(), gradient


def descend(logits: Tensor, target: Tensor, *, rate: float, steps: int, losses: Losses = plain_losses) -> Tensor:
    """Return the path of free logits under gradient descent, (steps + 1, N, C): each row moves by its own gradient.

    Args:
        logits: start, (N, C).
        target: (N,) class indices.
        rate: step size.
        steps: how many.
        losses: a loss a row.

    Example:
        >>> descend(torch.zeros(1, 2), torch.tensor([0]), rate=1.0, steps=1)[-1]
        tensor([[ 0.5000, -0.5000]])
    """
    path = [logits.detach()]
    for _ in range(steps):
        path.append(path[-1] - rate * loss_gradient(path[-1], target, losses)[1])
    return torch.stack(path)


def table_growth(logits: Tensor, target: Tensor, names: Sequence[str], losses: Losses = plain_losses) -> Panel:
    """Show loss, entropy, gradient and push along the vector of some samples, and what their lengths do.

    Args:
        logits: (N, C).
        target: (N,) class indices.
        names: one for each row.
        losses: a loss a row.

    Example:
        >>> table_growth(torch.tensor([[2.5, 1.2]]), torch.tensor([1]), ["label 1"]).text.splitlines()[1]
        'label 1 | 1.541 | 0.519   | (0.786, −0.786) | −0.368       | shrinks'
    """
    found, gradients = loss_gradient(logits, target, losses)
    spreads = entropy(torch.softmax(logits, 1))
    pushes = -(gradients * logits).sum(1) / torch.linalg.vector_norm(logits, dim=1)
    rows = []
    for name, loss, spread, gradient, push in zip(names, found, spreads, gradients, pushes, strict=True):
        moves = "stays" if abs(push) < 1e-12 else "grows" if push > 0 else "shrinks"
        vector = ", ".join(f"{float(value) + 0.0:.3f}" for value in gradient)
        rows.append([name, loss, spread, f"({vector})", push, moves])
    return render_table(["", "loss", "entropy", "gradient", "push along z", "the length"], rows)


def table_small_run(
    lengths: Mapping[str, Sequence[float]], outputs: Mapping[str, Tensor], target: Tensor, *, note: str = ""
) -> Panel:
    """Show the small run's answers: length at half time and at the end, test error, confidence and accuracy.

    Args:
        lengths: arm to the mean output length after every epoch.
        outputs: arm to the logits of the test rows that predict, (N, C).
        target: (N,) class indices.
        note: what the caption adds on where the lengths are measured, ``" before the ball"``.
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
    caption = f"Lengths{note}, on training rows; the rest on test rows. One seed and a small sample: no evidence."
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
    return render_table(
        head,
        rows,
        caption="Fitted on one half of the test rows, measured on the other. Calibration error: mean gap between confidence and accuracy over bins of confidence.",
    )
