"""Label noise: replace a share of the labels at random, and remember which.

Taught in chapter 04.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from companion._checks import check_class_indices, check_count, check_integers, check_number, may_read_values

__all__ = ["NoisyLabels", "uniform_label_noise"]


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
    check_count("num_classes", num_classes)
    check_integers("labels", labels)
    if labels.ndim != 1:
        raise ValueError(f"labels must have shape (N,), got {tuple(labels.shape)}")
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator, got {type(generator).__name__}")
    if may_read_values(labels):
        check_class_indices("labels", labels, num_classes)
    if not keep_true and num_classes == 1:
        raise ValueError("keep_true=False needs at least two classes, got num_classes=1")

    count, device = round(float(rate) * len(labels)), generator.device
    rows = torch.randperm(len(labels), generator=generator, device=device)[:count].to(labels.device)
    least = 0 if keep_true else 1  # False: a step of 1 … C − 1 around the circle of classes never ends where it began
    step = torch.randint(least, num_classes, (count,), generator=generator, device=device).to(labels.device)
    noisy = labels.clone()
    noisy[rows] = ((labels[rows] + step) % num_classes).to(labels.dtype)
    drawn = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    drawn[rows] = True
    return NoisyLabels(noisy, drawn, labels.clone())
