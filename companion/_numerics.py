"""Lengths and directions of vectors that neither overflow, underflow nor divide by zero; classes that are masked.

A vector is divided by its largest entry before anything is squared. That entry is treated as a constant by
autograd; since length(s·u) = s·length(u) holds for every s, derivatives of every order stay exact.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from companion._autograd import closed_form
from companion._checks import at_hand, known


def split_masked(logits: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the logits with 0 for every masked class (a logit of −∞), and where those stand.

    Instead of the places None is returned where it is known that there are none, which saves the caller a pass: on a
    CPU, in eager mode. A gradient that arrives at a masked class ends here.
    """
    if logits.numel() == 0 or (at_hand(logits) and known(logits.detach().amin()) > -math.inf):
        return logits, None
    masked = logits == -math.inf
    return logits.masked_fill(masked, 0.0), masked


def restore_masked(values: Tensor, masked: Tensor | None) -> Tensor:
    """Return values of the logits' shape with −∞ where `split_masked` found it."""
    return values if masked is None else values.masked_fill(masked, -math.inf)


def in_units(vectors: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the vectors divided by their largest absolute entry, and that entry (1 where it is 0 or infinite)."""
    constant = vectors.detach()
    largest = torch.maximum(constant.amax(dim, keepdim=True), -constant.amin(dim, keepdim=True))
    largest = torch.where((largest > 0) & torch.isfinite(largest), largest, 1.0)
    return vectors / largest, largest


def _root(square: Tensor) -> Tensor:
    """Return the square root with derivative 0, not infinity, at 0."""
    zero = square == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, square).sqrt())


def row_length(vectors: Tensor, dim: int, *, keepdim: bool = False) -> Tensor:
    """Return the Euclidean lengths along ``dim``; the derivative at a zero vector is taken as 0."""
    length = _measure(vectors, dim)
    return length if keepdim else length.squeeze(dim)


class _Length:
    """‖v‖, with d‖v‖ = (v·dv)/‖v‖, and 0 at v = 0."""

    @staticmethod
    def forward(vectors: Tensor, dim: int) -> Tensor:
        if at_hand(vectors) and vectors.numel() > 0:
            length = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
            limits = torch.finfo(vectors.dtype)
            if known(length.amax()) < math.inf and known(length.amin()) > math.sqrt(limits.tiny / limits.eps):
                return length  # no square has overflowed, or vanished where it counts
        relative, unit = in_units(vectors, dim)
        return unit * torch.linalg.vector_norm(relative, dim=dim, keepdim=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
        ctx.dim = inputs[1]
        ctx.save_for_backward(inputs[0], output)
        ctx.save_for_forward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        vectors, length = ctx.saved_tensors
        return vectors * (gradient * _inverse(length)), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        vectors, length = ctx.saved_tensors
        return (vectors * _inverse(length) * tangent).sum(ctx.dim, keepdim=True)


_measure = closed_form(_Length)


def _inverse(length: Tensor) -> Tensor:
    """Return 1/length, and 0 for 0."""
    zero = length == 0
    return torch.where(zero, 0.0, 1 / torch.where(zero, 1.0, length))


def unit_rows(vectors: Tensor, dim: int) -> Tensor:
    """Return the vectors divided by their lengths; a zero vector stays zero, with the identity as Jacobian."""
    relative, _ = in_units(vectors, dim)
    length = _root(relative.square().sum(dim, keepdim=True))
    return relative / torch.where(length == 0, 1.0, length)
