"""Logits under control: five modifications of cross-entropy training.

The library of the book of the same name. Importing it loads torch and numpy and nothing else: the functions below
are there at once, the parts with further needs (``companion.data``, ``companion.plots``, …) when first used.

    >>> import torch, companion
    >>> companion.partial_norm(torch.tensor([3.0, 4.0]), threshold=1.0)
    tensor([0.6000, 0.8000])
"""

from __future__ import annotations

import importlib
from typing import Any

import torch

from companion import geometry, methods
from companion.geometry import *  # noqa: F403
from companion.methods import *  # noqa: F403
from companion.objective import Objective

__version__ = "0.1.0"

# Parts that are loaded when first used: importing them may need an extra, or take a moment.
_PARTS = frozenset(
    {
        *("chapters", "cli", "data", "experiments", "look", "models", "page", "papers", "plots", "results", "symbolic"),
        *("training", "widgets"),
    }
)
_LAZY = {"validate": "companion.validation"}

__all__ = ["Objective", "device", "geometry", "methods", "validate", *geometry.__all__, *methods.__all__]  # noqa: F405


def device(prefer: str | torch.device | None = None) -> torch.device:
    """Return the device to compute on: CUDA where there is one, else Apple's MPS, else the CPU.

    Args:
        prefer: "cuda", "mps", "cpu" or a `torch.device` (an index such as "cuda:1" is kept). It is used when this
            machine has it; otherwise the order above decides.

    Returns:
        The device.

    Raises:
        ValueError: ``prefer`` names another kind of device.

    Example:
        >>> device("cpu")
        device(type='cpu')
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if prefer is not None:
        kind = str(prefer).partition(":")[0]
        if kind not in present:
            raise ValueError(f"prefer must be one of 'cuda', 'mps', 'cpu', got {prefer!r}")
        if present[kind]:
            return torch.device(prefer)
    return torch.device(next(kind for kind, there in present.items() if there))


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PARTS})
