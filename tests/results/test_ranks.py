"""Rankings against scipy's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from companion.results import rank_correlation, share_of_orders


def test_rank_correlation_with_ties() -> None:
    assert rank_correlation([1, 2, 2, 3], [1, 2, 2, 3]) == pytest.approx(1)
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 5, 50), rng.integers(0, 5, 50)
    from scipy.stats import spearmanr

    assert rank_correlation(left, right) == pytest.approx(spearmanr(left, right).statistic)


@pytest.mark.parametrize("n", [2, 3, 6])
def test_share_counts_every_order(n):
    found = [rank_correlation(range(n), order) for order in itertools.permutations(range(n))]
    for correlation in {round(value, 9): value for value in found}.values():
        expected = np.mean(np.abs(found) >= abs(correlation) - 1e-8)
        assert share_of_orders(correlation, n) == pytest.approx(expected, rel=1e-12)
