"""The ball in numbers: the loss behind it, its gradient, free descent, and how large it must be for a confidence."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import cross_entropy

from companion.methods.partial_output_norm import partial_norm
from companion.page import live


def behind_ball(threshold: float) -> live.Losses:
    """Return the loss of every row behind a ball of radius δ; ``inf`` is plain cross entropy."""
    return lambda logits, target: cross_entropy(partial_norm(logits, threshold), target, reduction="none")


def loss_gradient(logits: Tensor, target: Tensor, threshold: float = math.inf) -> tuple[Tensor, Tensor]:
    """Return losses (N,) and gradients (N, C) with respect to the raw logits, with the partial norm before the loss.

    Example:
        >>> import torch
        >>> loss, gradient = loss_gradient(torch.tensor([[5.0, -5.0]]), torch.tensor([1]), threshold=2.0)
        >>> round(float(loss), 3), round(float(gradient.abs().max()), 6)
        (2.886, 0.0)
    """
    return live.loss_gradient(logits, target, behind_ball(threshold))


def descend(logits: Tensor, target: Tensor, *, rate: float, steps: int, threshold: float = math.inf) -> Tensor:
    """Return the path of free logits under gradient descent behind the ball, (steps + 1, N, C)."""
    return live.descend(logits, target, rate=rate, steps=steps, losses=behind_ball(threshold))


def required_threshold(confidence: float, num_classes: int) -> float:
    """Return the smallest δ that allows a confidence: √((C−1)/C)·log((C−1)·c/(1−c)).

    Example:
        >>> round(required_threshold(0.99, 10), 2)
        6.44
    """
    n = num_classes
    return math.sqrt((n - 1) / n) * math.log((n - 1) * confidence / (1 - confidence))
