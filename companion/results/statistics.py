"""Mean, deviation, and the paired t interval, in plain Python."""

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
    if not 0 < level < 1:
        raise ValueError(f"level must be > 0 and < 1, got {level!r}")
    mean, sd, n = summary(first - second)
    if n == 1:
        return Paired(mean, sd, n, math.nan, math.nan, math.nan)
    error = sd / math.sqrt(n)
    half = student_quantile((1 + level) / 2, n - 1) * error
    p = 2 * student_cdf(-abs(mean) / error, n - 1) if error > 0 else float(mean == 0)
    return Paired(mean, sd, n, mean - half, mean + half, p)


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
    tail = 0.5 * _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))
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


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return I_x(a, b) from its continued fraction, on the side of the mean where that converges fast."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    value = 1.0  # of 1 + d1/(1 + d2/(1 + ...)), from the inside out
    for step in range(400, 0, -1):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + step - 1) * (a + step))
        else:
            term = m * (b - m) * x / ((a + step - 1) * (a + step))
        value = 1 + term / value
    return front / value
