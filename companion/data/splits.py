"""Splits and mini-batches over data that lies on the device already."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from companion._checks import check_count, check_number


def random_split(num_rows: int, ratios: Sequence[float], *, generator: torch.Generator | None) -> tuple[Tensor, ...]:
    """Split the rows 0 … num_rows−1 at random into parts of the given ratios.

    With N rows and ratios r_1 … r_k, part i is the stretch of a random permutation from round(N·(r_1+…+r_{i−1})/Σr) to
    round(N·(r_1+…+r_i)/Σr): every row is in exactly one part, and each part's size is within one row of its share.

    Args:
        num_rows: N, at least 0.
        ratios: positive numbers; only their proportions count, so (6, 2, 2) is (0.6, 0.2, 0.2).
        generator: fixes the permutation; None draws from torch's global one.

    Returns:
        One int64 index tensor a part, on the generator's device (CPU for None).

    Raises:
        TypeError: ``num_rows`` is no whole number, or a ratio is no number.
        ValueError: ``num_rows`` is negative, or ``ratios`` is empty or holds a number that is not positive.

    Example:
        >>> [len(part) for part in random_split(2708, (6, 2, 2), generator=torch.Generator().manual_seed(0))]
        [1625, 541, 542]
    """
    num_rows = check_count("num_rows", num_rows, at_least=0)
    if not ratios:
        raise ValueError("ratios must hold at least one number, got none")
    for ratio in ratios:
        check_number("ratios", ratio, above=0)
    total, bounds = math.fsum(ratios), [0]
    bounds += [math.floor(num_rows * math.fsum(ratios[: i + 1]) / total + 0.5) for i in range(len(ratios))]
    order = _permutation(num_rows, generator)
    return tuple(order[start:stop] for start, stop in itertools.pairwise(bounds))


def batches(
    inputs: Tensor, labels: Tensor, batch_size: int, *, generator: torch.Generator | None, shuffle: bool = True
) -> Iterator[tuple[Tensor, Tensor]]:
    """Go once through the rows in mini-batches that never leave the device.

    The last batch holds what is left. The order is a permutation drawn where the generator lives: one on the CPU gives
    the same order on every device.

    Args:
        inputs: (N, …).
        labels: (N, …), on the same device.
        batch_size: rows a batch, at least 1.
        generator: fixes the order; None draws from torch's global one.
        shuffle: False keeps the order of the rows, and draws nothing.

    Yields:
        Pairs of a batch's inputs and labels.

    Raises:
        TypeError: ``batch_size`` is no whole number.
        ValueError: ``inputs`` and ``labels`` differ in length, or ``batch_size`` is below 1.

    Example:
        >>> rows = torch.arange(5)
        >>> [len(labels) for _, labels in batches(rows, rows, 2, generator=None)]
        [2, 2, 1]
    """
    batch_size = check_count("batch_size", batch_size)
    if len(inputs) != len(labels):
        raise ValueError(f"inputs and labels must have the same length, got {len(inputs)} and {len(labels)}")
    if not shuffle:
        return zip(inputs.split(batch_size), labels.split(batch_size), strict=True)
    order = _permutation(len(labels), generator).to(labels.device)
    return ((inputs[rows], labels[rows]) for rows in order.split(batch_size))


def _permutation(num_rows: int, generator: torch.Generator | None) -> Tensor:
    device = "cpu" if generator is None else generator.device
    return torch.randperm(num_rows, generator=generator, device=device)
