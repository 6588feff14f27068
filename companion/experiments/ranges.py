"""What a knob may be in a search: a range, from a number in [0, 1) to a value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from companion._checks import check_number

__all__ = ["Choice", "Linear", "Log", "Range"]


@dataclass(frozen=True)
class Range:
    """A knob's possible values; `Log`, `Linear` and `Choice` are what there is."""

    def at(self, share: float) -> Any:
        """Return the value at a share in [0, 1) of the range, numbers with four significant digits."""
        raise NotImplementedError


@dataclass(frozen=True)
class Log(Range):
    """Numbers from low to high, even in their logarithms.

    Attributes:
        low: above 0.
        high: at least low.
        zero: the lowest eighth of the range stands for exactly 0: the knob may be off.

    Example:
        >>> Log(0.01, 1.0).at(0.5), Log(0.01, 1.0, zero=True).at(0.1)
        (0.1, 0.0)
    """

    low: float
    high: float
    zero: bool = False

    def __post_init__(self) -> None:
        check_number("low", self.low, above=0)
        check_number("high", self.high, at_least=self.low)

    def at(self, share: float) -> float:
        """Return the value."""
        if self.zero:
            if share < 0.125:
                return 0.0
            share = (share - 0.125) / 0.875
        return _short(math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low))))

    def moved(self, *, down: bool = False, up: bool = False) -> Log:
        """Return the range moved by half its width, in logarithms, towards an end; widened, if towards both.

        Example:
            >>> Log(0.01, 1.0).moved(up=True)
            Log(low=0.1, high=10.0, zero=False)
        """
        half = math.sqrt(self.high / self.low)
        low, high = self.low, self.high
        if down:
            low /= half
            high /= 1 if up else half
        if up:
            high *= half
            low *= 1 if down else half
        return Log(_short(low), _short(high), self.zero)


@dataclass(frozen=True)
class Linear(Range):
    """Numbers from low to high, evenly; low may be 0.

    Example:
        >>> Linear(0.0, 2.0).at(0.25)
        0.5
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        check_number("low", self.low)
        check_number("high", self.high, at_least=self.low)

    def at(self, share: float) -> float:
        """Return the value."""
        return _short(self.low + share * (self.high - self.low))


@dataclass(frozen=True)
class Choice(Range):
    """One of a few values, each as likely.

    Attributes:
        values: numbers, texts, truth values or None.

    Example:
        >>> Choice(("mean", "sum")).at(0.7)
        'sum'
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple) or not self.values:
            raise ValueError(f"values must be a tuple of at least one, got {self.values!r}")

    def at(self, share: float) -> Any:
        """Return the value."""
        return self.values[int(share * len(self.values))]


def _short(value: float) -> float:
    """Return the value with four significant digits, so that a record reads well."""
    return float(f"{value:.4g}")
