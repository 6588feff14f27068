"""The recorded runs as data: load them, read a final number or a curve, compare two arms seed by seed.

>>> from companion import results
>>> results.load("pon-mnist").arms[0]
'vanilla'
"""

from __future__ import annotations

from companion.results.families import compare_in, judge_family
from companion.results.judging import Comparison, compare, judge
from companion.results.ranks import rank_correlation, share_of_orders
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
    "compare_in",
    "holm",
    "judge",
    "judge_family",
    "load",
    "paired",
    "rank_correlation",
    "resampled",
    "share_of_orders",
    "summary",
    "two_way",
]
