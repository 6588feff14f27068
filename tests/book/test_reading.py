"""The pages in a browser with the network cut: they load, show their formulas, fit the window, keep to their origin."""

from __future__ import annotations

import pytest
import yaml

from book.tools import build, portable

pytestmark = pytest.mark.browser

CONTENTS = [page for page, _ in portable.pages(yaml.safe_load((build.ROOT / "_toc.yml").read_text(encoding="utf-8")))]
CHAPTERS = [f"notebooks/{path.stem}" for path in build.notebooks() if not path.stem.endswith("_audit")]
WINDOWS = [
    pytest.param({"width": 1280, "height": 900, "scheme": "light"}, id="desktop-light"),
    pytest.param({"width": 360, "height": 780, "scheme": "dark", "touch": True}, id="phone-dark"),
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("page", CONTENTS)
def test_page_reads_well_over_http(page, window, book_server, open_page):
    opened = open_page(f"{book_server}/{page}.html", **window)
    assert opened.title().strip()
    assert opened.locator("article h1").inner_text().strip()
    opened.wait_for_function("!window.MathJax || !MathJax.startup || MathJax.startup.promise.then(() => true)")
    assert opened.locator("mjx-merror").count() == 0, "a formula that MathJax cannot read"
    overflow = opened.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 1, "the page scrolls sideways"


@pytest.mark.parametrize("page", CHAPTERS)
def test_formulas_are_set_by_the_books_own_mathjax(page, book_server, open_page):
    opened = open_page(f"{book_server}/{page}.html")
    opened.wait_for_selector("mjx-container mjx-math")
    assert "\\(" not in opened.locator("article p").first.inner_text()


@pytest.mark.parametrize("page", ["book/index", *CHAPTERS])
def test_page_opens_from_disk(page, book_html, open_page):
    opened = open_page((book_html / f"{page}.html").as_uri())
    opened.wait_for_selector("article h1")
    assert opened.foreign_requests == []


def test_front_door_leads_to_the_first_page(book_server, open_page):
    opened = open_page(f"{book_server}/index.html")
    opened.wait_for_url("**/book/index.html")
    assert "Logits Under Control" in opened.title()


def test_reader_can_switch_to_dark(book_server, open_page):
    opened = open_page(f"{book_server}/book/index.html", scheme="light")
    colour = "getComputedStyle(document.body).getPropertyValue('--luc-page').trim()"
    before = opened.evaluate(colour)
    for _ in range(3):
        opened.locator(".theme-switch-button").first.click()
        if opened.evaluate("document.documentElement.dataset.theme") == "dark":
            break
    assert opened.evaluate("document.documentElement.dataset.theme") == "dark"
    assert opened.evaluate(colour) != before


def test_search_finds_the_chapter(book_server, open_page):
    opened = open_page(f"{book_server}/search.html?q=logits")
    opened.wait_for_selector("#search-results li a")
    found = opened.locator("#search-results li a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert any("01_partial_output_norm" in link for link in found)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("page", CHAPTERS)
def test_a_link_into_a_chapter_lands_on_its_heading(page, window, book_server, open_page):
    opened = open_page(f"{book_server}/{page}.html#exercises", **window)
    opened.wait_for_function("document.readyState === 'complete' && MathJax.startup.promise.then(() => true)")
    assert opened.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    opened.wait_for_function(
        "() => { const top = document.getElementById('exercises').getBoundingClientRect().top;"
        " return -10 <= top && top <= 200; }",
        timeout=10_000,
    )
