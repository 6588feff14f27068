"""From comparisons fixed beforehand to what the record says of each, whether or not it has their runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

from companion.results.judging import Comparison, judge
from companion.results.recorded import Results


class Fixed(Protocol):
    """A comparison fixed before its runs, as the papers' contrasts are."""

    experiment: str
    data: str
    model: str
    better: str
    baseline: str
    effect: float
    n: int


def compare_in(
    recorded: Mapping[str, Results],
    experiment: str,
    setting: str | None,
    better: str,
    baseline: str,
    *,
    effect: float | None = None,
    n: int | None = None,
) -> Comparison:
    """Compare two arms of one setting among several records; "not run" where the experiment has no record, or none of the setting.

    Args:
        recorded: experiment name to recorded results.
        experiment: which.
        setting: data set and network; None for an experiment of a single setting.
        better: the arm that should have the lower error.
        baseline: the arm it is compared with.
        effect: the paper's difference in points.
        n: the number of paired seeds fixed beforehand.

    Example:
        >>> compare_in({}, "pon-mnist", None, "P-ON", "vanilla").state
        'not run'
    """
    if experiment not in recorded or (setting and setting not in recorded[experiment].settings):
        nothing = (math.nan, math.nan)
        return Comparison(better, baseline, effect, "not run", 0, nothing, nothing)
    results = recorded[experiment]
    return (results[setting] if setting else results).compare(better, baseline, effect=effect, n=n)


def judge_family(recorded: Mapping[str, Results], contrasts: Iterable[Fixed]) -> list[Comparison]:
    """Return the comparison of every contrast of a family, with p-values after Holm's correction over all of them.

    Args:
        recorded: experiment name to recorded results.
        contrasts: the whole family, as it was fixed; those without runs count too.

    Example:
        >>> judge_family({}, [])
        []
    """
    return judge(
        [
            compare_in(recorded, c.experiment, f"{c.data}/{c.model}", c.better, c.baseline, effect=c.effect, n=c.n)
            for c in contrasts
        ]
    )
