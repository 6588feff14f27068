"""The argument checks that every part of the library shares.

They read metadata only (types, shapes, Python numbers), never a tensor's values, so that they are safe
under ``torch.compile`` and ``torch.func.vmap`` and never make a GPU wait. A hyperparameter given as a
zero-dimensional tensor is not checked: runs with different values may be training together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def check_number(
    name: str,
    value: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    allow_infinite: bool = False,
) -> Any:
    """Return ``value`` as a Python number, whatever it is a scalar of; raise unless it lies in the stated range.

    A zero-dimensional tensor is returned as it is, unchecked.

    Raises:
        TypeError: ``value`` is no real number and no zero-dimensional tensor.
        ValueError: ``value`` lies outside the range or is not finite; the message states name, value and range.

    Example:
        >>> import numpy
        >>> check_number("alpha", numpy.float32(0.5), at_least=0)
        0.5
    """
    if isinstance(value, Tensor):
        if value.ndim != 0:
            raise TypeError(f"{name} must be a number or a 0-d tensor, got a tensor of shape {tuple(value.shape)}")
        return value
    number = value if type(value) in (float, int) else _real(name, value)
    # Comparisons, not math.isfinite: torch.compile may hold a number that changed between calls as a symbol.
    within = allow_infinite or -math.inf < number < math.inf
    within = within and (at_least is None or number >= at_least) and (above is None or number > above)
    within = within and (at_most is None or number <= at_most) and (below is None or number < below)
    if not within:
        limits = ((">=", at_least), (">", above), ("<=", at_most), ("<", below))
        allowed = [f"{sign} {limit:g}" for sign, limit in limits if limit is not None]
        allowed += [] if allow_infinite else ["finite"]
        raise ValueError(f"{name} must be {' and '.join(allowed)}, got {value!r}")
    return number


def _real(name: str, value: Any) -> float | int:
    """Return the Python number that a scalar of any library stands for."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, Real):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    return int(number) if isinstance(number, Integral) else float(number)


def plain(value: Any) -> Any:
    """Return NumPy's scalars, and arrays without dimensions, as Python's; anything else as it is."""
    return value.item() if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0 else value


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


def as_hyperparameter(value: float | Tensor, dtype: torch.dtype | None = None) -> float | Tensor:
    """Return a hyperparameter ready for arithmetic: a number as it is, a 0-d tensor detached, in the dtype if given."""
    if not isinstance(value, Tensor):
        return value
    return value.detach() if dtype is None else value.detach().to(dtype)


def class_axis(logits: Tensor) -> int:
    """Return the class axis in ``cross_entropy``'s convention: 0 for one-dimensional input, else 1."""
    return 0 if logits.ndim == 1 else 1


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype to compute in: float32 for half types (an fp16 norm of 100 logits at 1e4 overflows)."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def check_integers(name: str, value: Any) -> None:
    """Raise ``TypeError`` unless ``value`` is a tensor of integers, as class indices are."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor of class indices, got {type(value).__name__}")
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name} must hold class indices (integers), got {value.dtype}")


def check_target(name: str, logits: Tensor, target: Any, ignore_index: int | None = None) -> None:
    """Raise unless ``target`` fits valid ``logits`` (N, C, …): class indices (N, …) or probabilities (N, C, …).

    Reads metadata only; `check_class_indices` and `check_probabilities` read the values.

    Raises:
        TypeError: ``target`` is no tensor, or holds neither integers nor floating-point numbers.
        ValueError: the shape does not fit.
    """
    if not isinstance(target, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(target).__name__}")
    shape = tuple(logits.shape)
    axis = class_axis(logits)
    if target.is_floating_point():
        if tuple(target.shape) != shape:
            raise ValueError(f"{name} as probabilities must have the logits' shape {shape}, got {tuple(target.shape)}")
        if ignore_index is not None and ignore_index >= 0:
            raise ValueError(f"ignore_index must be negative when {name} holds probabilities, got {ignore_index}")
        return
    if target.dtype == torch.bool or target.is_complex():
        raise TypeError(f"{name} must hold class indices (integers) or probabilities (floats), got {target.dtype}")
    rows = shape[:axis] + shape[axis + 1 :]
    if tuple(target.shape) != rows:
        raise ValueError(f"{name} as class indices must have shape {rows}, got {tuple(target.shape)} ({target.dtype})")


_TRUSTED: ContextVar[bool] = ContextVar("values_trusted", default=False)


@contextmanager
def values_trusted() -> Iterator[None]:
    """Leave out the checks of values inside: for a loop that has looked at all its labels once, before it began.

    What metadata says (types, shapes, Python numbers) is checked as ever. Threads and tasks each have their own state.

    Example:
        >>> import torch
        >>> may_read_values(torch.zeros(2))
        True
        >>> with values_trusted():
        ...     may_read_values(torch.zeros(2))
        False
    """
    token = _TRUSTED.set(True)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def may_read_values(tensor: Tensor) -> bool:
    """Tell whether a check may look at a tensor's values: where they are at hand, and not inside `values_trusted`."""
    return at_hand(tensor) and not _TRUSTED.get()


def at_hand(tensor: Tensor) -> bool:
    """Tell whether a tensor's values can be read for nothing: on a CPU (no GPU is made to wait), never in a graph."""
    return not torch.compiler.is_compiling() and tensor.device.type == "cpu"


def known(value: Tensor) -> Any:
    """Return the number that a 0-d tensor holds, or NaN where ``torch.func.vmap`` does not allow asking."""
    try:
        return value.item()
    except RuntimeError:
        return math.nan


def as_indices(indices: Tensor) -> Tensor:
    """Return class indices as int64, in which they are compared.

    Compared in a narrower type, a number that does not fit is taken modulo its range: in uint8, −100 is class 156.
    """
    return indices if indices.dtype == torch.int64 else indices.to(torch.int64)


def check_class_indices(name: str, indices: Tensor, num_classes: int, ignore_index: int | None = None) -> None:
    """Raise ``ValueError`` if an index lies outside [0, num_classes) and is not ``ignore_index``. Reads values."""
    indices = as_indices(indices)
    if indices.numel() == 0 or (known(indices.amin()) >= 0 and known(indices.amax()) < num_classes):
        return
    bad = (indices < 0) | (indices >= num_classes)
    if ignore_index is not None:
        bad = bad & (indices != ignore_index)
    if known(bad.any()) is True:
        allowed = f"[0, {num_classes})" + ("" if ignore_index is None else f" or be ignore_index={ignore_index}")
        raise ValueError(f"{name} must hold class indices in {allowed}, got {indices[bad][0].item()}")


def check_probabilities(name: str, probabilities: Tensor) -> None:
    """Raise ``ValueError`` if a probability is negative or not finite (they need not sum to 1). Reads values."""
    bad = ~((probabilities >= 0) & torch.isfinite(probabilities))
    if known(bad.any()) is True:
        raise ValueError(f"{name} must hold finite probabilities >= 0, got {probabilities[bad][0].item()}")


def check_integer(name: str, value: Any) -> int:
    """Return ``value`` as an int; raise ``TypeError`` unless it is an integer, Python's or NumPy's."""
    if type(value) is int:
        return value
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    return int(number)


def check_count(name: str, value: Any, *, at_least: int = 1) -> int:
    """Return a count as an int: an integer, or a float that is exactly whole; raise unless it is large enough.

    Raises:
        TypeError: ``value`` is no whole number.
        ValueError: it is less than ``at_least``.

    Example:
        >>> check_count("bins", 15.0)
        15
    """
    number = plain(value)
    is_whole = isinstance(number, float) and number.is_integer()
    count = int(number) if is_whole else check_integer(name, value)
    if count < at_least:
        raise ValueError(f"{name} must be >= {at_least}, got {value}")
    return count


def check_logits(name: str, logits: Any) -> int:
    """Return the class axis of valid logits: floating-point, at least one dimension, at least one class."""
    check_floating(name, logits)
    axis = class_axis(logits)
    if logits.shape[axis] == 0:
        raise ValueError(f"{name} must have at least one class on axis {axis}, got shape {tuple(logits.shape)}")
    return axis


def keep_hyperparameter(module: nn.Module, name: str, value: float | Tensor) -> None:
    """Store a hyperparameter on a module: a 0-d tensor as a buffer, so that it moves and stacks with the module."""
    if isinstance(value, Tensor):
        module.register_buffer(name, value)
    else:
        setattr(module, name, plain(value))
