"""Lengths and directions of vectors that neither overflow, underflow nor divide by zero; classes that are masked.

A vector is divided by its largest entry before anything is squared. That entry is treated as a constant by
autograd; since length(s·u) = s·length(u) holds for every s, derivatives of every order stay exact.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from companion._checks import at_hand, known_true


def split_masked(logits: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the logits with 0 for every masked class (a logit of −∞), and where those stand.

    Instead of the places None is returned where it is known that there are none, which saves the caller a pass: on a
    CPU, in eager mode. A gradient that arrives at a masked class ends here.
    """
    if logits.numel() == 0 or (at_hand(logits) and known_true(logits.detach().amin() > -math.inf)):
        return logits, None
    masked = logits == -math.inf
    return logits.masked_fill(masked, 0.0), masked


def restore_masked(values: Tensor, masked: Tensor | None) -> Tensor:
    """Return values of the logits' shape with −∞ where `split_masked` found it."""
    return values if masked is None else values.masked_fill(masked, -math.inf)


def _scaled(vectors: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the vectors divided by their largest absolute entry, and that entry (1 where it is 0 or infinite)."""
    largest = vectors.detach().abs().amax(dim, keepdim=True)
    largest = torch.where((largest > 0) & torch.isfinite(largest), largest, 1.0)
    return vectors / largest, largest


def _root(square: Tensor) -> Tensor:
    """Return the square root with derivative 0, not infinity, at 0."""
    zero = square == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, square).sqrt())


def relative_length(vectors: Tensor, dim: int) -> tuple[Tensor, Tensor | float]:
    """Return lengths along ``dim`` (kept) and the units they are in, so that neither overflows; no derivative is meant.

    The squares of float32 numbers can neither overflow nor vanish in float64, so there the unit is 1.
    """
    if vectors.dtype == torch.float32 and vectors.device.type != "mps":  # which has no float64
        return torch.linalg.vector_norm(vectors, dim=dim, keepdim=True, dtype=torch.float64), 1.0
    scaled, largest = _scaled(vectors, dim)
    return torch.linalg.vector_norm(scaled, dim=dim, keepdim=True), largest


def row_length(vectors: Tensor, dim: int, *, keepdim: bool = False) -> Tensor:
    """Return the Euclidean lengths along ``dim``; the derivative at a zero vector is taken as 0."""
    scaled, largest = _scaled(vectors, dim)
    length = largest * _root(scaled.square().sum(dim, keepdim=True))
    return length if keepdim else length.squeeze(dim)


def unit_rows(vectors: Tensor, dim: int) -> Tensor:
    """Return the vectors divided by their lengths; a zero vector stays zero, with the identity as Jacobian."""
    scaled, _ = _scaled(vectors, dim)
    length = _root(scaled.square().sum(dim, keepdim=True))
    return scaled / torch.where(length == 0, 1.0, length)
