"""Intervals over seeds, over seeds and examples, over splits, and Student's distribution, against SciPy and by hand."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from companion.results.statistics import (
    Components,
    components,
    components_of_sums,
    holm,
    paired,
    resampled,
    student_cdf,
    student_quantile,
    summary,
    two_way,
    variance_of_mean,
)

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("freedom", [1, 2, 4, 9, 16.9, 38.5, 100, 1000, 49_999])
def test_student_distribution(freedom):
    for t in (-30, -3, -1, -1e-3, 0, 0.4, 2, 12):
        assert student_cdf(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), abs=1e-10)
    for p in (0.01, 0.5, 0.8, 0.975, 0.999):
        # scipy 1.11 itself is right to 1e-9 at 2 degrees of freedom, where the quantile has a closed form.
        assert student_quantile(p, freedom) == pytest.approx(stats.t.ppf(p, freedom), rel=1e-8, abs=1e-9)
    p = 0.01
    assert student_quantile(p, 2) == pytest.approx((2 * p - 1) / math.sqrt(2 * p * (1 - p)), rel=1e-12)


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


RECORDED = json.loads((Path(__file__).parent / "pon_mnist_differences.json").read_text(encoding="utf-8"))


def _matrix(columns: dict[str, int], examples: int) -> np.ndarray:
    """Return the matrix of which a file counts the columns by their signs, one character a seed."""
    kinds = np.array([["-0+".index(sign) - 1 for sign in pattern] for pattern in columns], dtype=np.int8)
    filled = np.repeat(kinds, list(columns.values()), axis=0)
    return np.vstack([filled, np.zeros((examples - len(filled), kinds.shape[1]), np.int8)]).T


@pytest.mark.parametrize("case", RECORDED["pairs"], ids=lambda case: f"{case['better']} against {case['baseline']}")
def test_two_way_gives_the_intervals_computed_elsewhere_from_the_same_bits(case):
    found = two_way(100 * _matrix(case["columns"], RECORDED["examples"]))
    assert [round(value, 3) for value in (found.mean, found.low, found.high)] == case["interval"]


def _layout(differences):
    """Return the three terms by the textbook's sums of squares, entry by entry."""
    d = np.asarray(differences, dtype=float)
    n, examples = d.shape
    rest = sum(
        (d[i, j] - d[i].mean() - d[:, j].mean() + d.mean()) ** 2
        for i, j in itertools.product(range(n), range(examples))
    )
    return d.mean(1).var(ddof=1) / n, d.mean(0).var(ddof=1) / examples, rest / ((n - 1) * (examples - 1) * n * examples)


@pytest.mark.parametrize("kind", ["signs", "float", "far from zero"])
def test_components_are_those_of_the_layout(kind):
    generator = np.random.default_rng(3)
    d = generator.integers(-1, 2, (4, 7)).astype(np.int8) if kind == "signs" else generator.normal(size=(4, 7))
    d = d + 1e8 if kind == "far from zero" else d
    found = components(d)
    assert (found.rows, found.columns, found.rest) == pytest.approx(
        _layout(d), rel=1e-6 if kind == "far from zero" else 1e-12
    )
    assert found.mean == pytest.approx(d.mean(), rel=1e-15)


def test_small_integers_do_not_overflow():
    d = np.full((3, 1000), 100, np.int8)
    d[0, :10] = -100
    assert components(d) == pytest.approx(components(d.astype(np.float64)))


def test_many_matrices_at_once_and_columns_of_zeros_left_out():
    d = np.random.default_rng(0).integers(-1, 2, (6, 5, 30))
    many = components_of_sums(d.sum(2), d.sum(1), (d**2).sum((1, 2)), 40)
    for at, matrix in enumerate(d):
        alone = components(np.hstack([matrix, np.zeros((5, 10))]))
        assert [part[at] for part in many[:4]] == pytest.approx(alone[:4])
        variance, freedom = variance_of_mean(alone)
        assert [part[at] for part in variance_of_mean(many)] == pytest.approx([variance, freedom])


@pytest.mark.parametrize(
    ("rows", "columns", "rest", "variance", "freedom"),
    [
        (4.0, 3.0, 1.0, 6.0, 36 / (16 / 4 + 9 / 99 + 1 / 396)),
        (4.0, 3.0, 3.0, 4.0, 4.0),  # the components alone, at the floor: 3.9
        (4.0, 1.0, 2.0, 4.0, 4.0),  # the floor of the rows: 3 without it
        (1.0, 4.0, 2.0, 4.0, 16 / (1 / 4 + 16 / 99 + 4 / 396)),  # the floor of the columns
        (1.0, 1.0, 3.0, 1.0, 4.0),  # both floors
        (0.0, 0.0, 0.0, 0.0, 4.0),
    ],
)
def test_floor_and_degrees_of_freedom_by_hand(rows, columns, rest, variance, freedom):
    found = variance_of_mean(Components(0.0, rows, columns, rest, n=5, examples=100))
    assert found == pytest.approx((variance, freedom))


def test_the_interval_does_not_jump_where_the_floor_begins_to_act():
    before, after = (
        variance_of_mean(Components(0.0, 1.0, 4.0, 1.0 + step, n=5, examples=100)) for step in (-1e-9, 1e-9)
    )
    assert before == pytest.approx(after, rel=1e-8)


def test_two_way_edges():
    same = two_way(np.zeros((5, 9), np.int8))
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)
    moved = two_way(np.full((5, 9), 2))
    assert (moved.low, moved.high, moved.p) == (2, 2, 0)
    for shape in ((1, 9), (5, 1)):
        alone = two_way(np.ones(shape))
        assert alone.mean == 1
        assert math.isnan(alone.low)
        assert math.isnan(alone.p)
    with pytest.raises(ValueError, match=r"matrix \(seeds, examples\)"):
        two_way(np.zeros(5))
    with pytest.raises(ValueError, match="matrix"):
        two_way(np.zeros((0, 5)))
    with pytest.raises(ValueError, match="level"):
        two_way(np.zeros((2, 5)), level=1.0)


def test_p_value_and_interval_of_two_way_say_the_same():
    d = np.random.default_rng(1).integers(-1, 3, (5, 40))
    found = two_way(d)
    assert found.p == pytest.approx(2 * stats.t.sf(found.mean / found.error, found.freedom), rel=1e-9)
    edge = two_way(d, level=1 - found.p)
    assert edge.low == pytest.approx(0, abs=1e-12)


def test_resampled_widens_the_paired_interval_by_the_share():
    d = np.random.default_rng(2).normal(0.3, 1, 10)
    ours, plain = resampled(d, test_share=1 / 3), paired(d, np.zeros(10))
    assert ours.high - ours.mean == pytest.approx((plain.high - plain.mean) * math.sqrt(1 + 10 / 3))
    assert ours.p == pytest.approx(2 * stats.t.sf(abs(d.mean()) / (d.std(ddof=1) * math.sqrt(0.1 + 1 / 3)), 9))
    assert math.isnan(resampled([1.0], test_share=0.5).low)
    for share in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="test_share"):
            resampled(d, test_share=share)
