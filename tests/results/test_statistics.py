"""Paired intervals and their distribution against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from companion.results.statistics import holm, paired, student_cdf, student_quantile, summary

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("freedom", [1, 2, 4, 9, 19, 100, 1000])
def test_student_distribution(freedom):
    for t in (-30, -3, -1, -1e-3, 0, 0.4, 2, 12):
        assert student_cdf(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), abs=1e-10)
    for p in (0.01, 0.5, 0.8, 0.975, 0.999):
        assert student_quantile(p, freedom) == pytest.approx(stats.t.ppf(p, freedom), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("n", "level"), [(2, 0.95), (5, 0.95), (20, 0.9)])
def test_paired_interval(n, level):
    generator = np.random.default_rng(n)
    first, second = generator.normal(size=n), generator.normal(0.3, size=n)
    ours, theirs = paired(first, second, level=level), stats.ttest_rel(first, second)
    low, high = theirs.confidence_interval(level)
    assert (ours.low, ours.high) == pytest.approx((low, high), rel=1e-9)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert ours.mean == pytest.approx((first - second).mean())
    assert ours.sd == pytest.approx((first - second).std(ddof=1))


def test_edges():
    assert summary([2.0]).mean == 2.0
    assert math.isnan(summary([2.0]).sd)
    assert math.isnan(paired([1.0], [0.0]).low)
    same = paired([1.0, 2.0], [0.0, 1.0])
    assert (same.low, same.high, same.p) == (1.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="same shape"):
        paired([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="not empty"):
        summary([])
    with pytest.raises(ValueError, match="level"):
        paired([1.0, 2.0], [0.0, 1.0], level=1.0)


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]
