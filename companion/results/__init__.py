"""The recorded runs as data: load them, read a final number or a curve, compare two arms seed by seed.

    >>> from companion import results
    >>> runs = results.load("pon-mnist")  # doctest: +SKIP
    >>> runs.summary("vanilla", "test_error")  # doctest: +SKIP
"""

from __future__ import annotations

from companion.results.recorded import Results, available, load
from companion.results.statistics import Paired, Summary, holm, paired, summary

__all__ = ["Paired", "Results", "Summary", "available", "holm", "load", "paired", "summary"]
