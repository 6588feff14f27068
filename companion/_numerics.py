"""Lengths and directions of vectors that neither overflow, underflow nor divide by zero.

A vector is divided by its largest entry before anything is squared. That entry is treated as a constant by
autograd; since length(s·u) = s·length(u) holds for every s, derivatives of every order stay exact.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _scaled(vectors: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the vectors divided by their largest absolute entry, and that entry (1 where it is 0 or infinite)."""
    largest = vectors.detach().abs().amax(dim, keepdim=True)
    largest = torch.where((largest > 0) & torch.isfinite(largest), largest, 1.0)
    return vectors / largest, largest


def _root(square: Tensor) -> Tensor:
    """Return the square root with derivative 0, not infinity, at 0."""
    zero = square == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, square).sqrt())


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
