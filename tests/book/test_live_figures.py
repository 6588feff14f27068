"""The live figures in the built pages: all of them mount, whatever they show; a new figure in a page is found here.

What every figure must do by itself is in `tests/widgets/test_every_figure.py`, what only one does in a file of its name.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser


def pages_with_figures(book_html: Path) -> list[str]:
    """Return the built pages that hold a place of a figure."""
    pages = [path for folder in ("book", "notebooks") for path in sorted((book_html / folder).rglob("*.html"))]
    place = re.compile(r"<div\b[^<>]* data-widget=")  # in a code example the tag is escaped
    return [str(path.relative_to(book_html)) for path in pages if place.search(path.read_text(encoding="utf-8"))]


def test_every_place_of_every_page_is_mounted(open_page, book_server, book_html):
    """A page whose place stays empty, or whose script fails, is named; `open_page` judges console and network."""
    pages = pages_with_figures(book_html)
    assert pages
    for name in pages:
        page = open_page(f"{book_server}/{name}")
        page.locator("[data-widget][data-mounted=true]").first.wait_for(state="attached")
        assert page.locator("[data-widget]:not([data-mounted])").count() == 0, name
        for place in page.locator("[data-widget]").all():
            assert place.get_by_role("group").first.get_attribute("aria-label"), name
