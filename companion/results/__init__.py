"""The recorded runs as data: load them, read a final number or a curve, compare two arms seed by seed.

>>> from companion import results
>>> results.load("pon-mnist").arms[0]
'vanilla'
"""

from __future__ import annotations

from companion.results.judging import Comparison, compare, judge
from companion.results.recorded import Results, available, load
from companion.results.statistics import Interval, Paired, Summary, holm, paired, resampled, summary, two_way

__all__ = [
    "Comparison",
    "Interval",
    "Paired",
    "Results",
    "Summary",
    "available",
    "compare",
    "holm",
    "judge",
    "load",
    "paired",
    "resampled",
    "summary",
    "two_way",
]
