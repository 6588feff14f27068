"""The tables of the book's pages on cost and on training loops, written into them when the book is built."""

from __future__ import annotations

import re
from collections.abc import Callable

from companion.bench.cost import cost_table, load_record, made_with
from companion.bench.parts import parts_table

_PLACE = re.compile(r'<div data-bench="([^"]*)"></div>')

_FILLINGS: dict[str, Callable[[], str]] = {
    "eager": lambda: cost_table(load_record(), "eager"),
    "compiled": lambda: cost_table(load_record(), "compiled"),
    "memory": lambda: cost_table(load_record(), "memory"),
    "made": lambda: made_with(load_record()),
    "parts": parts_table,
}


def fill_places(text: str) -> str:
    """Fill the empty places of a page's source with tables from the record, or computed now.

    Args:
        text: a page in Markdown; a place is ``<div data-bench="eager"></div>`` on lines of its own, or "compiled", "memory"
            (tables of `cost_table`), "made" (the sentence of `made_with`) or "parts" (`parts_table`). What is not such
            a place stays as it is.

    Raises:
        ValueError: a place asks for something else.

    Example:
        >>> fill_places("nothing to fill")
        'nothing to fill'
    """

    def fill(match: re.Match[str]) -> str:
        if match[1] not in _FILLINGS:
            raise ValueError(f"data-bench must be one of {', '.join(_FILLINGS)}, got {match[1]!r}")
        return _FILLINGS[match[1]]()

    return _PLACE.sub(fill, text)
