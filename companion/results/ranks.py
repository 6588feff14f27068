"""Orders: how far two rankings agree, and how often chance would make them agree as well."""

from __future__ import annotations

from collections import Counter, defaultdict
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

    The correlation of an order π is set by Σ_i i·π(i). Orders that have placed the same things so far go on alike, so they are
    counted together by their sums: 2^n steps in the place of n!.

    Args:
        correlation: the one that was found.
        n: how many things, at least 2; a dozen takes a second.

    Example:
        >>> share_of_orders(1.0, 5) == 2 / 120
        True
    """
    counts = {frozenset(): Counter({0: 1})}  # things placed → sum → how many orders
    for place in range(n):
        longer: dict[frozenset[int], Counter[int]] = defaultdict(Counter)
        for placed, sums in counts.items():
            for thing in set(range(n)) - placed:
                for total, many in sums.items():
                    longer[placed | {thing}][total + place * thing] += many
        counts = longer
    (sums,) = counts.values()
    centre, spread = n * (n - 1) ** 2 / 4, n * (n**2 - 1) / 12
    far = sum(many for total, many in sums.items() if abs(total - centre) / spread >= abs(correlation) - 1e-12)
    return far / sums.total()
