"""Rankings against scipy's."""

from __future__ import annotations

import numpy as np
import pytest

from companion.results import rank_correlation


def test_rank_correlation_with_ties() -> None:
    assert rank_correlation([1, 2, 2, 3], [1, 2, 2, 3]) == pytest.approx(1)
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 5, 50), rng.integers(0, 5, 50)
    from scipy.stats import spearmanr

    assert rank_correlation(left, right) == pytest.approx(spearmanr(left, right).statistic)
