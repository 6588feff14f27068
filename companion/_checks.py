"""The argument checks that every part of the library shares.

They read metadata only (types, shapes, Python numbers), never a tensor's values, so that they are safe
under ``torch.compile`` and ``torch.func.vmap`` and never make a GPU wait. A hyperparameter given as a
zero-dimensional tensor is not checked: runs with different values may be training together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def check_number(
    name: str,
    value: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    allow_infinite: bool = False,
) -> None:
    """Raise unless ``value`` is a number in the stated range (0-d tensors pass unchecked).

    Raises:
        TypeError: ``value`` is no real number and no zero-dimensional tensor.
        ValueError: ``value`` lies outside the range or is not finite; the message states name, value and range.
    """
    if isinstance(value, Tensor):
        if value.ndim != 0:
            raise TypeError(f"{name} must be a number or a 0-d tensor, got a tensor of shape {tuple(value.shape)}")
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    bounds = []
    if at_least is not None:
        bounds.append((f">= {at_least:g}", value >= at_least))
    if above is not None:
        bounds.append((f"> {above:g}", value > above))
    if at_most is not None:
        bounds.append((f"<= {at_most:g}", value <= at_most))
    if below is not None:
        bounds.append((f"< {below:g}", value < below))
    if not allow_infinite:
        bounds.append(("finite", math.isfinite(value)))
    if not all(holds for _, holds in bounds):
        raise ValueError(f"{name} must be {' and '.join(text for text, _ in bounds)}, got {value!r}")


def check_choice(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of the allowed names; the message lists them."""
    allowed = tuple(allowed)
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def check_floating(name: str, value: Any, *, min_dim: int = 1) -> None:
    """Raise unless ``value`` is a floating-point tensor with at least ``min_dim`` dimensions."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must have a floating-point dtype, got {value.dtype}")
    if value.ndim < min_dim:
        raise ValueError(f"{name} must have at least {min_dim} dimension(s), got shape {tuple(value.shape)}")


def as_hyperparameter(value: float | Tensor) -> float | Tensor:
    """Return a hyperparameter ready for arithmetic: numbers as they are, 0-d tensors detached."""
    return value.detach() if isinstance(value, Tensor) else value


def class_axis(logits: Tensor) -> int:
    """Return the class axis in ``cross_entropy``'s convention: 0 for one-dimensional input, else 1."""
    return 0 if logits.ndim == 1 else 1


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype to compute in: float32 for half types (an fp16 norm of 100 logits at 1e4 overflows)."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype
