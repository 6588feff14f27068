"""Label noise: replace a share of the labels at random, and remember which.

Each kind is a function that draws it, and a value (`UniformNoise`, `PairFlips`, `TransitionNoise`) that an experiment's
setting can hold.

Taught in chapter 04.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from companion._checks import check_class_indices, check_count, check_integers, check_number, may_read_values

__all__ = [
    "NoisyLabels",
    "PairFlips",
    "TransitionNoise",
    "UniformNoise",
    "pair_flips",
    "transition_noise",
    "uniform_label_noise",
]


class NoisyLabels(NamedTuple):
    """Labels after `uniform_label_noise`."""

    labels: Tensor  # (N,), what a network is trained on
    drawn: Tensor  # (N,), bool: the rows whose label was drawn anew
    true_labels: Tensor  # (N,), the labels before


def uniform_label_noise(
    labels: Tensor, rate: float, num_classes: int, *, generator: torch.Generator, keep_true: bool = True
) -> NoisyLabels:
    """Draw the labels of exactly round(rate·N) rows anew, uniformly over the classes.

    Args:
        labels: (N,), class indices.
        rate: η in [0, 1], the share of rows drawn.
        num_classes: C ≥ 1.
        generator: decides the rows and their new labels; the same seed gives the same noise. (Keyword only.)
        keep_true: True draws from all classes, as the tamed cross-entropy paper does: a drawn row may keep its
            label, so that about η(C − 1)/C are wrong. False draws from the other classes. (Keyword only.)

    Returns:
        A named tuple (labels, drawn, true_labels), all (N,) on the device of ``labels``.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: it is out of range, or ``keep_true=False`` with a single class.

    Example:
        >>> import torch
        >>> noisy = uniform_label_noise(torch.zeros(10, dtype=torch.int64), 0.4, 3,
        ...                             generator=torch.Generator().manual_seed(0), keep_true=False)
        >>> int(noisy.drawn.sum()), int((noisy.labels != noisy.true_labels).sum())
        (4, 4)

    Taught in: chapter 04. Source: Tamed cross entropy, section 4.
    """
    check_number("rate", rate, at_least=0, at_most=1)
    _check(labels, num_classes, generator)
    if not keep_true and num_classes == 1:
        raise ValueError("keep_true=False needs at least two classes, got num_classes=1")

    rows = _draw_rows(labels, rate, generator)
    least = 0 if keep_true else 1  # False: a step of 1 … C − 1 around the circle of classes never ends where it began
    step = torch.randint(least, num_classes, rows.shape, generator=generator, device=generator.device)
    return _stepped(labels, rows, step.to(labels.device), num_classes)


def pair_flips(labels: Tensor, rate: float, num_classes: int, *, generator: torch.Generator) -> NoisyLabels:
    """Turn the labels of exactly round(rate·N) rows into the next class, c → (c + 1) mod C.

    The hardest simple noise: at a rate of one half, a wrong label is as likely as the right one.

    Args:
        labels: (N,), class indices.
        rate: η in [0, 1], the share of rows turned.
        num_classes: C ≥ 2.
        generator: decides the rows. (Keyword only.)

    Returns:
        A named tuple (labels, drawn, true_labels), all (N,) on the device of ``labels``.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: it is out of range.

    Example:
        >>> import torch
        >>> noisy = pair_flips(torch.tensor([0, 1, 2, 2]), 1.0, 3, generator=torch.Generator().manual_seed(0))
        >>> noisy.labels
        tensor([1, 2, 0, 0])

    Taught in: chapter 04. Source: Han et al., 2018 (pair flipping).
    """
    check_number("rate", rate, at_least=0, at_most=1)
    _check(labels, num_classes, generator)
    if num_classes < 2:
        raise ValueError(f"num_classes must be >= 2, got {num_classes}")
    rows = _draw_rows(labels, rate, generator)
    return _stepped(labels, rows, torch.ones_like(rows), num_classes)


def transition_noise(labels: Tensor, matrix: Tensor, *, generator: torch.Generator) -> NoisyLabels:
    """Draw every label anew from its class's row of a transition matrix, T[c, k] = P(label k | true class c).

    Args:
        labels: (N,), class indices.
        matrix: (C, C), rows of probabilities that sum to 1.
        generator: decides the labels. (Keyword only.)

    Returns:
        A named tuple (labels, drawn, true_labels), all (N,) on the device of ``labels``; ``drawn`` marks the rows whose
        label changed, for every row is drawn.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: the matrix is not square, has a negative entry, or a row that does not sum to 1.

    Example:
        >>> import torch
        >>> swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> transition_noise(torch.tensor([0, 1, 1]), swap, generator=torch.Generator().manual_seed(0)).labels
        tensor([1, 0, 0])

    Taught in: chapter 04. Source: Patrini et al., 2017.
    """
    if not isinstance(matrix, Tensor) or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"matrix must be a tensor of shape (C, C), got {getattr(matrix, 'shape', matrix)!r}")
    table = matrix.to("cpu", torch.float64)
    if not bool((table >= 0).all()) or not bool(((table.sum(1) - 1).abs() < 1e-6).all()):
        raise ValueError("matrix must have rows of probabilities that sum to 1")
    _check(labels, len(table), generator)
    draw = torch.rand(len(labels), generator=generator, device=generator.device, dtype=torch.float64).to(labels.device)
    edges = table.cumsum(1)
    edges[:, -1] = 1.0  # a sum of 1 − 1e-16 must not leave a gap above it
    noisy = (draw[:, None] >= edges.to(labels.device)[labels.long()]).sum(1).to(labels.dtype)
    return NoisyLabels(noisy, noisy != labels, labels.clone())


@dataclass(frozen=True)
class UniformNoise:
    """`uniform_label_noise` as a value of a setting."""

    rate: float
    keep_true: bool = True

    def __post_init__(self) -> None:
        check_number("rate", self.rate, at_least=0, at_most=1)

    def draw(self, labels: Tensor, num_classes: int, *, generator: torch.Generator) -> NoisyLabels:
        """Draw the noise."""
        return uniform_label_noise(labels, self.rate, num_classes, generator=generator, keep_true=self.keep_true)


@dataclass(frozen=True)
class PairFlips:
    """`pair_flips` as a value of a setting."""

    rate: float

    def __post_init__(self) -> None:
        check_number("rate", self.rate, at_least=0, at_most=1)

    def draw(self, labels: Tensor, num_classes: int, *, generator: torch.Generator) -> NoisyLabels:
        """Draw the noise."""
        return pair_flips(labels, self.rate, num_classes, generator=generator)


@dataclass(frozen=True)
class TransitionNoise:
    """`transition_noise` as a value of a setting; the matrix as rows of numbers."""

    matrix: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, matrix: Sequence[Sequence[float]] | Tensor) -> TransitionNoise:
        """Return the value of a matrix given in any form."""
        rows = matrix.tolist() if isinstance(matrix, Tensor) else matrix
        return cls(tuple(tuple(float(entry) for entry in row) for row in rows))

    def draw(self, labels: Tensor, num_classes: int, *, generator: torch.Generator) -> NoisyLabels:
        """Draw the noise."""
        if len(self.matrix) != num_classes:
            raise ValueError(f"matrix must have {num_classes} rows, one a class, got {len(self.matrix)}")
        return transition_noise(labels, torch.tensor(self.matrix, dtype=torch.float64), generator=generator)


def _check(labels: Tensor, num_classes: int, generator: torch.Generator) -> None:
    check_count("num_classes", num_classes)
    check_integers("labels", labels)
    if labels.ndim != 1:
        raise ValueError(f"labels must have shape (N,), got {tuple(labels.shape)}")
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator, got {type(generator).__name__}")
    if may_read_values(labels):
        check_class_indices("labels", labels, num_classes)


def _draw_rows(labels: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Return exactly round(rate·N) row indices, without repetition."""
    order = torch.randperm(len(labels), generator=generator, device=generator.device)
    return order[: round(float(rate) * len(labels))].to(labels.device)


def _stepped(labels: Tensor, rows: Tensor, step: Tensor, num_classes: int) -> NoisyLabels:
    """Move the labels of ``rows`` by ``step`` places around the circle of classes."""
    noisy = labels.clone()
    noisy[rows] = ((labels[rows] + step) % num_classes).to(labels.dtype)
    drawn = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    drawn[rows] = True
    return NoisyLabels(noisy, drawn, labels.clone())
