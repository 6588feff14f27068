"""Orders: how far two rankings agree, and how often chance would make them agree as well."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np


def rank_correlation(left: Sequence[float] | np.ndarray, right: Sequence[float] | np.ndarray) -> float:
    """Return Spearman's rank correlation (ties share their mean rank).

    Args:
        left: (n,) numbers.
        right: (n,) numbers.

    Example:
        >>> rank_correlation([1, 2, 3], [10, 30, 20])
        0.5
    """
    ranks = []
    for values in (left, right):
        values = np.asarray(values, dtype=float)
        ranks.append([(values < v).sum() + ((values == v).sum() - 1) / 2 for v in values])
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def share_of_orders(correlation: float, n: int) -> float:
    """Return which share of all orders of n things have a rank correlation at least as far from 0.

    Args:
        correlation: the one that was found.
        n: how many things; all n! orders are gone through.

    Example:
        >>> share_of_orders(1.0, 5) == 2 / 120
        True
    """
    first = range(n)
    found = [rank_correlation(first, order) for order in itertools.permutations(first)]
    return sum(abs(value) >= abs(correlation) - 1e-12 for value in found) / len(found)
