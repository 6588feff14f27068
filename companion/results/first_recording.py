"""How the first recording of chapter 1 is judged: over seeds alone, by six words that were fixed before its numbers.

Its runs and its rule are older than `companion.results.word` and the interval over seeds and test examples. A rule is not changed
after the numbers are known, so this recording keeps its own; the next one has no need of this module.

Example:
    >>> load("pon-mnist").compare("P-ON", "vanilla", effect=0.5).word
    'same direction, smaller'
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from companion.results.judging import Comparison, compare
from companion.results.recorded import Results
from companion.results.recorded import load as load_results
from companion.results.statistics import Paired

EXPERIMENTS = ("pon-mnist", "pon-graphs")
"""Those that were recorded first."""

VERDICTS = {
    "agrees": "the interval lies above zero and reaches the paper's effect",
    "larger than printed": "the interval lies above the paper's effect",
    "same direction, smaller": "the interval lies above zero and below the paper's effect",
    "cannot tell": "the interval holds both zero and the paper's effect",
    "smaller than printed": "the interval holds zero and lies below the paper's effect",
    "opposite": "the interval lies below zero",
}
"""The words of the verdict and what each says about the 95 % interval of the paired difference."""


def verdict(low: float, high: float, effect: float) -> str:
    """Return the verdict on an interval of the difference error(baseline) − error(method).

    The rule knows the interval and the paper's effect, nothing else. An end that equals zero or the effect counts as
    reaching it.

    Args:
        low: lower end, in error points.
        high: upper end.
        effect: the paper's difference, positive.

    Returns:
        One of the words of `VERDICTS`.

    Raises:
        ValueError: the ends are not in order, a number is not finite, or the effect is not positive.

    Example:
        >>> verdict(0.1, 0.6, effect=0.5), verdict(-0.1, 0.2, effect=0.5), verdict(-0.1, 0.6, effect=0.5)
        ('agrees', 'smaller than printed', 'cannot tell')
    """
    if not (low <= high and abs(low) < float("inf") and abs(high) < float("inf")):
        raise ValueError(f"low and high must be finite and in order, got {low!r} and {high!r}")
    if not 0 < effect < float("inf"):
        raise ValueError(f"effect must be positive and finite, got {effect!r}")
    if high < 0:
        return "opposite"
    if low <= 0:
        return "cannot tell" if high >= effect else "smaller than printed"
    if low > effect:
        return "larger than printed"
    return "agrees" if high >= effect else "same direction, smaller"


@dataclass(frozen=True)
class FirstComparison(Comparison):
    """A comparison whose interval is the one over seeds, and whose word is that of `verdict`, whatever equal rates say."""

    @property
    def interval(self) -> Paired | None:
        """The paired t interval over seeds."""
        return self.seeds_only

    @property
    def word(self) -> str | None:
        """The word of `verdict`; None without a paper's effect, and unless all runs are in and none diverged."""
        return None if self.effect is None or self.interval is None else verdict(self.low, self.high, self.effect)


class FirstRecording(Results):
    """Recorded runs that are compared as chapter 1 fixed it before its first recording."""

    def compare(self, better: str, baseline: str, *, effect: float | None = None, **options: Any) -> FirstComparison:
        """Return the comparison of two arms; see `companion.results.compare`."""
        return _over_seeds(compare(self, better, baseline, effect=effect, **options))


def load(name: str, *, folder: str | Path | None = None) -> FirstRecording:
    """Return the packed results of an experiment, to be judged by the first recording's rule.

    Args:
        name: for example ``"pon-mnist"``.
        folder: where to look instead of the package's own folder.

    Raises:
        ValueError: there is no such file; the message lists what there is.
    """
    return FirstRecording(load_results(name, folder=folder).data)


def _over_seeds(found: Comparison) -> FirstComparison:
    parts = {field.name: getattr(found, field.name) for field in fields(found)}
    equal = {side: _over_seeds(parts[side]) for side in ("at_better", "at_baseline") if parts[side] is not None}
    return FirstComparison(**{**parts, **equal})
