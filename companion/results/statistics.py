"""Mean and deviation; t intervals of paired differences over seeds, over seeds and test examples, over random splits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Summary(NamedTuple):
    """Mean and sample standard deviation (NaN for one value) of ``n`` values."""

    mean: float
    sd: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.sd:.2f} (n = {self.n})"


class Paired(NamedTuple):
    """Paired differences: their mean and sample deviation, the two-sided t interval, and the two-sided p-value."""

    mean: float
    sd: float
    n: int
    low: float
    high: float
    p: float

    def __str__(self) -> str:
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}] (n = {self.n})"


class Interval(NamedTuple):
    """A mean with its standard error, the degrees of freedom, the two-sided t interval, and the two-sided p-value."""

    mean: float
    error: float
    freedom: float
    low: float
    high: float
    p: float

    def __str__(self) -> str:
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


class Components(NamedTuple):
    """The mean of an (n, N) matrix and the three terms of its variance; arrays of one shape stand for many matrices.

    Attributes:
        mean: the mean of all entries.
        rows: sample variance of the row means, over n.
        columns: sample variance of the column means, over N.
        rest: residual mean square of the two-way layout, over nN.
        n: number of rows, the seeds.
        examples: number of columns, N.
    """

    mean: float | np.ndarray
    rows: float | np.ndarray
    columns: float | np.ndarray
    rest: float | np.ndarray
    n: int
    examples: int


def summary(values: Sequence[float] | np.ndarray) -> Summary:
    """Return mean and sample standard deviation.

    Raises:
        ValueError: no values.

    Example:
        >>> print(summary([1.0, 2.0, 3.0]))
        2.00 ± 1.00 (n = 3)
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"values must be one-dimensional and not empty, got shape {values.shape}")
    sd = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return Summary(float(values.mean()), sd, len(values))


def paired(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray, *, level: float = 0.95) -> Paired:
    r"""Return mean and t interval of the differences first - second, taken pair by pair.

    .. math:: \bar d \pm t_{n-1,\,(1+\text{level})/2}\; s_d/\sqrt n

    With one pair deviation, interval and p-value are NaN; with equal differences the interval is a point.

    Args:
        first: values of one arm, (n,).
        second: values of the other, for the same seeds in the same order, (n,).
        level: coverage of the interval.

    Raises:
        ValueError: lengths differ, or there are no pairs.

    Example:
        >>> print(paired([1.0, 2.0, 3.5], [0.5, 1.0, 2.0]))
        +1.00 [-0.24, +2.24] (n = 3)
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"paired values must have the same shape, got {first.shape} and {second.shape}")
    mean, sd, n = summary(first - second)
    found = _interval(mean, sd / math.sqrt(n), n - 1, level)
    return Paired(mean, sd, n, found.low, found.high, found.p)


def two_way(differences: np.ndarray, *, level: float = 0.95) -> Interval:
    r"""Return the t interval of a mean difference over seeds and test examples, by components of variance.

    .. math:: V = \max\Bigl(\frac{s^2_\text{rows}}{n} + \frac{s^2_\text{columns}}{N} - \frac{s^2_\text{rest}}{nN},\;
        \frac{s^2_\text{rows}}{n},\; \frac{s^2_\text{columns}}{N}\Bigr), \qquad
        \bar d \pm t_{\nu,\,(1+\text{level})/2} \sqrt V

    with the degrees of freedom of `variance_of_mean`. The interval speaks of new seeds and new test examples; that of
    `paired` of new seeds on these examples alone. With one row or one column all but the mean is NaN; where nothing
    varies the interval is a point.

    Args:
        differences: paired differences, (n seeds, N examples): -1, 0 or 1 for right and wrong, times 100 for an
            interval in points. Integers of any width are summed exactly; 50 × 10,000 of them take milliseconds.
        level: coverage of the interval.

    Returns:
        The interval, in the unit of the differences.

    Raises:
        ValueError: not a matrix, no entry, or ``level`` outside (0, 1).

    Example:
        >>> baseline = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 1, 0], [1, 1, 1, 1, 0, 0]])
        >>> better = np.array([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0]])
        >>> print(two_way(100 * (better - baseline)))
        +16.67 [-14.10, +47.43]

    Source: the variance is that of a crossed random layout (Searle, Casella and McCulloch 1992, chapter 4); the degrees of
    freedom are Satterthwaite's (1946).
    """
    found = components(differences)
    if min(found.n, found.examples) == 1:
        return Interval(found.mean, math.nan, math.nan, math.nan, math.nan, math.nan)
    variance, freedom = variance_of_mean(found)
    return _interval(found.mean, math.sqrt(variance), float(freedom), level)


def components(differences: np.ndarray) -> Components:
    r"""Return the mean of an (n, N) matrix and the three terms of its variance as a two-way layout.

    .. math:: \frac{1}{n(n-1)} \sum_i (\bar d_{i\cdot} - \bar d)^2, \quad
        \frac{1}{N(N-1)} \sum_j (\bar d_{\cdot j} - \bar d)^2, \quad
        \frac{1}{nN(n-1)(N-1)} \sum_{ij} (d_{ij} - \bar d_{i\cdot} - \bar d_{\cdot j} + \bar d)^2

    Args:
        differences: (n, N), any unit.

    Returns:
        Mean and terms; those of a single row or column are NaN.

    Raises:
        ValueError: not a matrix, or no entry.

    Example:
        >>> found = components(np.array([[0, 2], [2, 4]]))
        >>> found.mean, found.rows, found.columns, found.rest
        (2.0, 1.0, 1.0, 0.0)
    """
    values = np.asarray(differences)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"differences must be a matrix (seeds, examples) with entries, got shape {values.shape}")
    whole = values.dtype.kind in "biu"
    shift = 0.0 if whole else float(values.mean(dtype=np.float64))  # squares of what is near zero lose no digits
    values = values if whole else values - shift
    wide = np.int64 if whole else np.float64
    found = components_of_sums(
        values.sum(1, dtype=wide), values.sum(0, dtype=wide), np.square(values, dtype=wide).sum(), values.shape[1]
    )
    return found._replace(mean=found.mean + shift)


def components_of_sums(
    row_sums: np.ndarray, column_sums: np.ndarray, squares: float | np.ndarray, examples: int
) -> Components:
    """Return what `components` returns, from the sums of a matrix or of many; columns of zeros may be left out.

    Args:
        row_sums: (…, n).
        column_sums: (…, up to N).
        squares: sum of all squared entries, (…).
        examples: N.

    Example:
        >>> matrix = np.array([[0, 2, 0], [2, 4, 0]])
        >>> components_of_sums(matrix.sum(1), matrix[:, :2].sum(0), (matrix**2).sum(), 3) == components(matrix)
        True
    """
    n = row_sums.shape[-1]
    rows, columns = (np.square(sums.astype(np.float64)).sum(-1) for sums in (row_sums, column_sums))
    total = row_sums.sum(-1).astype(np.float64)
    both = total**2 / (n * examples)
    squares_of = (rows / examples - both, columns / n - both, squares - rows / examples - columns / n + both)
    freedoms = (n - 1, examples - 1, (n - 1) * (examples - 1))
    terms = [
        np.maximum(value, 0.0) / (freedom * n * examples) if freedom else value * math.nan
        for value, freedom in zip(squares_of, freedoms, strict=True)
    ]
    mean = total / (n * examples)
    return Components(*(value if np.ndim(value) else float(value) for value in (mean, *terms)), n, examples)


def variance_of_mean(terms: Components, *, floor: bool = True) -> tuple[float | np.ndarray, float | np.ndarray]:
    r"""Return the variance of the mean over seeds and examples, with its floor, and Satterthwaite's degrees of freedom.

    .. math:: V = \max(V_r + V_c - V_e,\; V_r,\; V_c), \qquad
        \nu = V^2 \Big/ \Bigl(\frac{V_r^2}{n-1} + \frac{V_c^2}{N-1} + \frac{V_e^2}{(n-1)(N-1)}\Bigr)
        \;\geq\; \min(n-1,\, N-1)

    where V_r, V_c and V_e are the terms ``rows``, ``columns`` and ``rest``. All three enter the denominator, also where
    the floor acts, so that ν moves without a jump as the floor begins to act: no interval hangs on the last digit of an
    estimate. On the floor V = V_c that is fewer than N - 1; below the smaller of n - 1 and N - 1, which the subtraction
    alone would allow, ν never goes.

    Args:
        terms: as `components` returns them, for one matrix or for many.
        floor: False leaves it away, so that `companion.results.simulate` can tell what it is for.

    Returns:
        V and ν.

    Example:
        >>> variance_of_mean(Components(0.0, rows=4.0, columns=3.0, rest=1.0, n=5, examples=10**9))
        (6.0, 8.999...)
    """
    rows, columns, rest = terms.rows, terms.columns, terms.rest
    variance = np.maximum(rows + columns - rest, np.maximum(rows, columns) if floor else 0.0)
    seeds, examples = terms.n - 1, terms.examples - 1
    spread = rows**2 / seeds + columns**2 / examples + rest**2 / (seeds * examples)
    freedom = np.maximum(variance**2 / np.where(spread > 0, spread, 1.0), min(seeds, examples))
    return (variance, freedom) if np.ndim(variance) else (float(variance), float(freedom))


def resampled(differences: Sequence[float] | np.ndarray, *, test_share: float, level: float = 0.95) -> Interval:
    r"""Return the corrected resampled t interval of a mean difference over random splits.

    .. math:: \bar d \pm t_{n-1,\,(1+\text{level})/2}\; s_d \sqrt{\frac1n + \frac{n_\text{test}}{n_\text{train}}}

    Random splits share examples, so their differences are correlated and the plain interval of `paired` is too narrow.

    Args:
        differences: one a split, (n,).
        test_share: test examples over training examples of a split.
        level: coverage of the interval.

    Returns:
        The interval, in the unit of the differences; with one split all but the mean is NaN.

    Raises:
        ValueError: no differences, ``test_share`` not positive and finite, or ``level`` outside (0, 1).

    Example:
        >>> print(resampled([1.0, 2.0, 3.0, 2.0], test_share=0.25))
        +2.00 [+0.16, +3.84]

    Source: Nadeau and Bengio 2003, Inference for the generalization error, Machine Learning 52.
    """
    if not 0 < test_share < math.inf:
        raise ValueError(f"test_share must be positive and finite, got {test_share!r}")
    mean, sd, n = summary(differences)
    return _interval(mean, sd * math.sqrt(1 / n + test_share), n - 1, level)


def _interval(mean: float, error: float, freedom: float, level: float) -> Interval:
    """Return the t interval; NaN without a standard error, a point where it is 0."""
    if not 0 < level < 1:
        raise ValueError(f"level must be > 0 and < 1, got {level!r}")
    if math.isnan(error):
        return Interval(mean, math.nan, math.nan, math.nan, math.nan, math.nan)
    if error == 0:
        return Interval(mean, 0.0, freedom, mean, mean, float(mean == 0))
    half = student_quantile((1 + level) / 2, freedom) * error
    return Interval(mean, error, freedom, mean - half, mean + half, 2 * student_cdf(-abs(mean) / error, freedom))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the given order.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def student_cdf(t: float, freedom: float) -> float:
    """Return P(T <= t) of Student's distribution: half the regularised incomplete beta function of its tail."""
    tail = 0.5 * _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t), t * t / (freedom + t * t))
    return tail if t <= 0 else 1 - tail


def student_quantile(p: float, freedom: float) -> float:
    """Return t with P(T <= t) = p, 0 < p < 1, by bisection to rounding."""
    if p < 0.5:
        return -student_quantile(1 - p, freedom)
    low, high = 0.0, 1.0
    while student_cdf(high, freedom) < p:
        low, high = high, 2 * high
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        low, high = (middle, high) if student_cdf(middle, freedom) < p else (low, middle)


def _incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """Return I_x(a, b) from its continued fraction, on the side of the mean where that converges fast; y is 1 - x in full."""
    if x <= 0 or y <= 0:
        return float(x > 0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, y, x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y)) / a
    value = 1.0  # of 1 + d1/(1 + d2/(1 + ...)), from the inside out
    for step in range(400, 0, -1):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + step - 1) * (a + step))
        else:
            term = m * (b - m) * x / ((a + step - 1) * (a + step))
        value = 1 + term / value
    return front / value
