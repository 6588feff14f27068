"""One comparison of two arms: its difference, its intervals, and the word it gets by a rule fixed before the runs.

`compare` is the one way from recorded runs to a difference; `judge` corrects the p-values of a family. The rule itself
is two functions that know intervals and the paper's effect, nothing else: `verdict` at one learning rate, `word` with
the comparisons at equal rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from companion.results.statistics import Interval, Paired, holm, paired, resampled, summary, two_way

WORDS = {
    "agrees": "the interval lies above zero and reaches the paper's effect",
    "smaller": "the interval lies above zero and below the paper's effect",
    "no clear effect": "the interval holds zero",
    "opposite": "the interval lies below zero",
    "depends on tuning": "another side at equal learning rates, by more than chance explains, or runs diverged",
}
"""The words of a verdict and what each says about error(baseline) − error(better)."""

State = Literal["ok", "not run", "unfinished", "diverged"]


class Recorded(Protocol):
    """What `compare` asks of recorded results of one setting."""

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms."""

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the controls: an arm at the learning rate that another arm chose."""

    @property
    def profile(self) -> str:
        """Size of the runs; a ``smoke`` is a trial."""

    @property
    def rows(self) -> Literal["fixed", "split"]:
        """Whether all seeds are tested on the same rows, or each on its own split."""

    @property
    def test_share(self) -> float:
        """Test rows over training rows of a split."""

    def seeds(self, arm: str) -> tuple[int, ...]:
        """Seeds of the final runs."""

    def final(self, arm: str, metric: str = ...) -> np.ndarray:
        """Values after the last epoch, (n,)."""

    def correct(self, arm: str) -> np.ndarray:
        """Which test rows are classified correctly, bool (n, rows)."""

    def diverged(self, arm: str) -> int:
        """How many final runs diverged."""

    def unfinished(self, arm: str) -> bool:
        """Whether runs that the recipe asks for are missing."""

    def same_rate(self, better: str, baseline: str) -> tuple[str | None, str | None]:
        """Names of the baseline at better's rate and of better at the baseline's; None where there is none.

        Where both arms chose the same rate, each is its own control.
        """


@dataclass(frozen=True)
class Comparison:
    """Two arms, pair by pair of seeds: error(baseline) − error(better) in points, positive where ``better`` is better.

    `mean`, `low`, `high` and `p` are those of `interval`: over seeds and test examples where all seeds share the test
    rows, the corrected resampled one where each seed has its own split, and over seeds alone for any metric but
    ``test_error``, of which no record says how each row fared. They are NaN unless the state is ``"ok"``.

    Attributes:
        better: the arm that should have the lower error.
        baseline: the arm it is compared with.
        effect: the paper's difference in points, or None.
        state: ``"ok"``; ``"not run"``, where the arms share no seed; ``"diverged"``, where a run of either arm did, or its
            metric is no finite number; ``"unfinished"``, where seeds fixed beforehand are missing, where there is but one,
            and for every trial.
        n: paired seeds.
        means: mean errors of (better, baseline) over these seeds, whatever the state; NaN without any.
        sds: their sample deviations.
        diverged: how many runs of (better, baseline) diverged.
        seeds_only: the paired t interval over seeds.
        two_way: the interval over seeds and test examples.
        resampled: the corrected resampled interval over splits.
        at_better: both arms at better's learning rate, or None where there is no such control.
        at_baseline: both at the baseline's.
        holm: p after Holm's correction within a family; None before `judge`.
    """

    better: str
    baseline: str
    effect: float | None
    state: State
    n: int
    means: tuple[float, float]
    sds: tuple[float, float]
    diverged: tuple[int, int] = (0, 0)
    seeds_only: Paired | None = None
    two_way: Interval | None = None
    resampled: Interval | None = None
    at_better: Comparison | None = None
    at_baseline: Comparison | None = None
    holm: float | None = None

    @property
    def interval(self) -> Paired | Interval | None:
        """The interval that the verdict rests on; None unless the state is ``"ok"``."""
        return next((found for found in (self.two_way, self.resampled, self.seeds_only) if found is not None), None)

    @property
    def mean(self) -> float:
        """The difference."""
        return self.interval.mean if self.interval else math.nan

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.interval.low if self.interval else math.nan

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.interval.high if self.interval else math.nan

    @property
    def p(self) -> float:
        """Two-sided p-value of the interval, not corrected."""
        return self.interval.p if self.interval else math.nan

    @property
    def equal_rates(self) -> tuple[Comparison, ...]:
        """The comparisons at equal rates whose runs are in, diverged ones included."""
        both = (self.at_better, self.at_baseline)
        return tuple(one for one in both if one is not None and one.state in ("ok", "diverged"))

    @property
    def controlled(self) -> bool:
        """Whether the runs at equal rates are in, from both sides."""
        return len(self.equal_rates) == 2

    @property
    def word(self) -> str | None:
        """The word by the rule of `word`; None without a paper's effect, and as long as the runs are not in."""
        if self.effect is None or self.state in ("not run", "unfinished"):
            return None
        own, *equal = ((one.low, one.high) if one.interval else None for one in (self, *self.equal_rates))
        return word(self.effect, own, *equal)

    def __str__(self) -> str:
        pair = f"{self.better} against {self.baseline}"
        if self.interval is None:
            return f"{pair}: {self.state}"
        said = f": {self.word}" if self.word else ""
        return f"{pair}: {self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}], p = {self.p:.2g}, n = {self.n}{said}"


def verdict(low: float, high: float, effect: float) -> str:
    """Return the word for an interval at one learning rate.

    An end that equals zero holds it, so the difference is not clear; an upper end that equals the paper's effect
    reaches it. An interval that lies wholly above the effect agrees.

    Args:
        low: lower end of the interval of error(baseline) − error(better), in points.
        high: upper end.
        effect: the paper's difference in points, positive.

    Raises:
        ValueError: the ends are not finite and in order, or the effect is not positive and finite.

    Example:
        >>> verdict(0.1, 0.5, effect=0.5), verdict(0.1, 0.4, effect=0.5), verdict(0.0, 0.6, effect=0.5)
        ('agrees', 'smaller', 'no clear effect')
    """
    _check_effect(effect)
    clear = side(low, high)
    if clear == 0:
        return "no clear effect"
    if clear < 0:
        return "opposite"
    return "agrees" if high >= effect else "smaller"


def side(low: float, high: float) -> int:
    """Return on which side of zero an interval lies: 1 or -1 where the difference is clear, 0 where it holds zero.

    Raises:
        ValueError: the ends are not finite and in order.

    Example:
        >>> side(0.1, 0.2), side(-0.2, 0.0), side(-0.2, -0.1)
        (1, 0, -1)
    """
    if not (low <= high and math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"low and high must be finite and in order, got {low!r} and {high!r}")
    return int(low > 0) - int(high < 0)


def word(effect: float, own: tuple[float, float] | None, *equal_rates: tuple[float, float] | None) -> str:
    """Return the word for a comparison at each arm's own learning rate, given those at equal rates.

    It is that of `verdict` at the own rates, unless it "depends on tuning". That is so where

    - a run diverged, of either arm, at its own rate or at the other's; or
    - the `side` at an equal rate is another one (a difference is clear here and not there, or clear on opposite sides), and
      the interval there does not hold the difference at the own rates.

    The last condition is there because a difference near the edge of what n runs can show falls on one side here and on
    the other there by chance alone: without it the simulation (`companion.results.simulate`) says "depends on tuning" of 9 to
    15 % of methods that do nothing, and of up to 61 % of those whose effect is the same at every rate; with it of at most 9 %.

    The sign of a difference that is not clear counts for nothing, and neither does its size: a gain that reaches the
    paper's effect at the own rates and stays below it at equal ones has not changed. A comparison at equal rates that has
    no runs yet is left out; one that is in counts without waiting for the other.

    Args:
        effect: the paper's difference in points, positive.
        own: ends of the interval at the own rates; None where a run diverged.
        equal_rates: the same for none, one or two comparisons at equal rates.

    Example:
        >>> word(0.5, (0.1, 0.6)), word(0.5, (0.1, 0.6), (0.2, 0.4), (-0.1, 0.3)), word(0.5, (0.1, 0.6), None)
        ('agrees', 'depends on tuning', 'depends on tuning')
    """
    _check_effect(effect)
    if own is None or None in equal_rates or any(_changes(own, other) for other in equal_rates):
        return "depends on tuning"
    return verdict(*own, effect)


def _changes(own: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether a difference is on another side at an equal rate, and the interval there excludes the one at the own rates."""
    difference = (own[0] + own[1]) / 2  # the intervals are symmetric
    return side(*own) != side(*other) and not other[0] <= difference <= other[1]


def compare(
    results: Recorded,
    better: str,
    baseline: str,
    *,
    effect: float | None = None,
    n: int | None = None,
    metric: str = "test_error",
    level: float = 0.95,
) -> Comparison:
    """Compare two arms of recorded results, pair by pair of seeds, and again at equal learning rates where those are in.

    Args:
        results: recorded results of one setting.
        better: the arm or control that should have the lower error.
        baseline: the arm or control it is compared with.
        effect: the paper's difference in points, positive; without one there is no word.
        n: the number of paired seeds fixed beforehand; a record with fewer is unfinished, one with more is used whole.
        metric: an error, in percent; lower is better.
        level: coverage of the intervals.

    Raises:
        ValueError: an arm that the record does not know, or an effect that is not positive and finite.

    Example:
        >>> from companion import results
        >>> found = compare(results.load("pon-mnist"), "P-ON", "vanilla", effect=0.5)
        >>> found.state, found.interval is found.two_way, found.word in WORDS
        ('ok', True, True)

    Source: the intervals are those of `companion.results.statistics`; the rule of the word is that of `word`.
    """
    if effect is not None:
        _check_effect(effect)
    baseline_there, better_there = results.same_rate(better, baseline)
    at_better = _at_one_rate(results, better, baseline_there, None, metric, level) if baseline_there else None
    at_baseline = _at_one_rate(results, better_there, baseline, None, metric, level) if better_there else None
    own = _at_one_rate(results, better, baseline, n, metric, level)
    return replace(own, effect=effect, at_better=at_better, at_baseline=at_baseline)


def judge(comparisons: Sequence[Comparison], size: int | None = None) -> list[Comparison]:
    """Return the comparisons of a family with their p-values after Holm's correction.

    The family is the one fixed beforehand: a comparison that is not run, unfinished or diverged counts with p = 1, and so
    does one of which there is no record at all. A family does not shrink because runs fail.

    Args:
        comparisons: those of which there is a record.
        size: how many were fixed beforehand; default as many as there are.

    Raises:
        ValueError: ``size`` is smaller than the number of comparisons.

    Example:
        >>> gain = Interval(0.3, error=0.1, freedom=9.0, low=0.07, high=0.53, p=0.015)
        >>> found = Comparison("P-ON", "vanilla", 0.5, "ok", 10, (1.2, 1.5), (0.1, 0.1), two_way=gain)
        >>> print(found, [one.holm for one in judge([found], size=3)])
        P-ON against vanilla: +0.30 [+0.07, +0.53], p = 0.015, n = 10: agrees [0.045]
    """
    size = len(comparisons) if size is None else size
    if size < len(comparisons):
        raise ValueError(f"size must be at least the number of comparisons, {len(comparisons)}, got {size}")
    p_values = [one.p if one.state == "ok" else 1.0 for one in comparisons] + [1.0] * (size - len(comparisons))
    return [replace(one, holm=p) for one, p in zip(comparisons, holm(p_values), strict=False)]


def _at_one_rate(results: Recorded, better: str, baseline: str, n: int | None, metric: str, level: float) -> Comparison:
    """Return the comparison of two arms as they were run, without effect and without those at equal rates."""
    arms, known = (better, baseline), (*results.arms, *results.controls)
    for arm in arms:
        if arm not in known:
            raise ValueError(f"the record has no arm {arm!r}; it has {', '.join(known)}")
    shared = [seed for seed in results.seeds(better) if seed in results.seeds(baseline)]
    if not shared:
        nothing = (math.nan, math.nan)
        return Comparison(better, baseline, None, "not run", 0, nothing, nothing)
    at = [[results.seeds(arm).index(seed) for seed in shared] for arm in arms]
    errors = [results.final(arm, metric)[rows] for arm, rows in zip(arms, at, strict=True)]
    lost = tuple(
        max(results.diverged(arm), int((~np.isfinite(values)).sum())) for arm, values in zip(arms, errors, strict=True)
    )
    with np.errstate(invalid="ignore"):  # a run that diverged may leave infinities
        of_better, of_baseline = map(summary, errors)
    found = Comparison(
        better,
        baseline,
        effect=None,
        state=_state(results, arms, lost, len(shared), n),
        n=len(shared),
        means=(of_better.mean, of_baseline.mean),
        sds=(of_better.sd, of_baseline.sd),
        diverged=lost,
    )
    if found.state != "ok":
        return found
    found = replace(found, seeds_only=paired(errors[1], errors[0], level=level))
    if results.rows == "split":
        gains = errors[1] - errors[0]
        return replace(found, resampled=resampled(gains, test_share=results.test_share, level=level))
    if metric != "test_error":
        return found
    right = [results.correct(arm)[rows].astype(np.int8) for arm, rows in zip(arms, at, strict=True)]
    return replace(found, two_way=two_way(100 * (right[0] - right[1]), level=level))


def _state(results: Recorded, arms: tuple[str, str], lost: tuple[int, ...], shared: int, n: int | None) -> State:
    """Return the state of a comparison that has paired seeds.

    A trial is never judged, whatever happened in it. A run that diverged decides, whatever runs are still to come.
    """
    if results.profile == "smoke":
        return "unfinished"
    if any(lost):
        return "diverged"
    if shared < max(2, n or 0) or any(results.unfinished(arm) for arm in arms):
        return "unfinished"
    return "ok"


def _check_effect(effect: float) -> None:
    if not 0 < effect < math.inf:
        raise ValueError(f"effect must be positive and finite, got {effect!r}")
