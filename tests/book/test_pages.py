"""The built pages: complete, their links right, nothing loaded from elsewhere."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from book.tools import build, links, portable, set_address
from companion import bench, papers


@pytest.fixture(scope="module")
def contents(root) -> list[str]:
    """Return the pages of the contents."""
    return [page for page, _ in portable.pages(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))]


@pytest.fixture(scope="module")
def address(root) -> links.Address:
    """Return the book's own addresses."""
    slug = set_address.current(root)
    return links.Address(f"https://github.com/{slug}", f"https://{set_address.pages_address(slug)}/")


def parsed(book_html: Path, page: str) -> BeautifulSoup:
    """Return a built page."""
    return BeautifulSoup((book_html / f"{page}.html").read_text(encoding="utf-8"), "html.parser")


def missing_pages(html: Path, pages: list[str], smallest: int = 4_000) -> list[str]:
    """Return the pages that are absent or too small to be whole."""
    files = {page: html / f"{page}.html" for page in pages}
    return [page for page, file in files.items() if not file.is_file() or file.stat().st_size < smallest]


def test_no_page_is_missing(book_html, contents):
    assert missing_pages(book_html, contents) == []
    assert (book_html / "search.html").is_file()
    assert "book/index.html" in (book_html / "index.html").read_text(encoding="utf-8")


def test_a_missing_page_is_noticed(tmp_path):
    (tmp_path / "small.html").write_text("<html></html>")
    (tmp_path / "whole.html").write_text("x" * 5000)
    assert missing_pages(tmp_path, ["whole", "small", "absent"]) == ["small", "absent"]


def test_pages_have_one_title_and_text(book_html, contents):
    for page in contents:
        article = parsed(book_html, page).find("article")
        assert len(article.find_all("h1")) == 1, page
        assert len(article.get_text().split()) > 40, page


def test_every_picture_has_a_description(book_html, contents):
    for page in contents:
        article = parsed(book_html, page).find("article")
        bare = [image.get("src", "")[:60] for image in article.find_all("img") if not image.get("alt", "").strip()]
        assert bare == [], page


def test_no_link_is_broken(book_html, root, address):
    assert links.broken(book_html, root, address) == []


def test_nothing_is_loaded_from_another_origin(book_html):
    assert links.foreign(book_html) == []


@pytest.mark.parametrize(
    ("html", "sentence"),
    [
        ('<a href="gone.html">x</a>', "no such page or file"),
        ('<a href="other.html#gone">x</a>', "no such anchor on that page"),
        ('<a href="#gone">x</a>', "no such anchor on this page"),
        ('<img src="_images/gone.png">', "no such page or file"),
        ('<a href="../outside.html">x</a>', "leads out of the book"),
        ('<a href="https://github.com/a/b/edit/main/notebooks/gone.ipynb">x</a>', "names no file of the repository"),
        ('<a href="https://github.com/a/b/blob/old/README.md">x</a>', "names the branch 'old'"),
        (
            '<a href="https://colab.research.google.com/github/a/b/blob/main/notebooks/x.ipynb">x</a>',
            "names the branch 'main'",
        ),
        (
            '<a href="https://colab.research.google.com/github/c/d/blob/colab/notebooks/x.ipynb">x</a>',
            "names another repository",
        ),
        ('<a href="https://a.github.io/b/gone.html">x</a>', "no such page or file"),
    ],
)
def test_broken_links_are_noticed(html, sentence, tmp_path, root):
    (tmp_path / "page.html").write_text(html)
    (tmp_path / "other.html").write_text('<a id="here" href="page.html">back</a>')
    found = links.broken(tmp_path, root, links.Address("https://github.com/a/b", "https://a.github.io/b/"))
    assert len(found) == 1
    assert sentence in found[0]


def test_right_links_pass(tmp_path, root):
    (tmp_path / "other.html").write_text('<p id="here"></p>')
    (tmp_path / "page.html").write_text(
        '<a href="other.html#here">x</a><a href="https://example.org/x">x</a><a href="#top" id="top">x</a>'
        '<a href="https://github.com/a/b/edit/main/README.md">x</a><a href="https://github.com/a/b/issues/new?title=x">x</a>'
        '<a href="https://a.github.io/b/other.html#here">x</a>'
    )
    assert links.broken(tmp_path, root, links.Address("https://github.com/a/b", "https://a.github.io/b/")) == []


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//cdn.example/x.css">',
        '<img src="http://example.org/x.png">',
    ],
)
def test_what_would_be_loaded_from_elsewhere_is_noticed(html, tmp_path):
    (tmp_path / "page.html").write_text(html)
    assert len(links.foreign(tmp_path)) == 1


def test_chapters_have_their_buttons(book_html, root, address):
    for path in build.notebooks():
        page = parsed(book_html, f"notebooks/{path.stem}")
        targets = [tag["href"] for tag in page.find_all("a", href=True)]
        slug = set_address.current(root)
        assert f"https://colab.research.google.com/github/{slug}/blob/colab/notebooks/{path.name}" in targets
        assert f"{address.repository}/edit/main/notebooks/{path.name}" in targets
        assert any(target.startswith(f"{address.repository}/issues/new") for target in targets)
        assert f"../_sources/notebooks/{path.name}" in targets


def test_prose_pages_offer_no_notebook(book_html, contents):
    for page in contents:
        if page.startswith("book/"):
            targets = [tag["href"] for tag in parsed(book_html, page).select(".article-header-buttons a[href]")]
            assert not [target for target in targets if "colab.research" in target], page


def test_every_cell_ran_and_none_raised():
    for path in build.notebooks():
        executed = json.loads((build.WORK / "notebooks" / path.name).read_text(encoding="utf-8"))
        assert build.problems(executed) == [], path


def cell(source: str = "1", count: int | None = 1, outputs: tuple = (), tags: tuple = ()) -> dict:
    """Return a code cell."""
    own = {"source": source, "execution_count": count, "outputs": list(outputs), "metadata": {"tags": list(tags)}}
    return {"cell_type": "code", **own}


def test_what_is_wrong_with_a_run_is_said():
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    noise = {"output_type": "stream", "name": "stderr", "text": "careful"}
    fine = {"output_type": "stream", "name": "stdout", "text": "2"}
    good = [cell(outputs=(fine,)), cell("", None), cell(outputs=(error,), tags=("raises-exception",))]
    assert build.problems({"cells": good}) == []
    bad = [cell(count=None), cell(outputs=(error,)), cell(outputs=(noise,))]
    found = build.problems({"cells": bad})
    assert [sentence.split(":")[0] for sentence in found] == [
        "cell 0 did not run",
        "cell 1 raised ValueError",
        "cell 2 wrote to stderr",
    ]


def test_status_page_names_every_notebook_and_its_time(book_html):
    rows = parsed(book_html, "book/status").select("table tbody tr")
    assert len(rows) == len(build.notebooks())
    for row in rows:
        cells = [entry.get_text(strip=True) for entry in row.find_all("td")]
        assert re.fullmatch(r"\d+", cells[1])
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", cells[2])


def test_generated_files_are_served(book_html):
    generated = book_html / "_static" / "generated"
    fonts = sorted(generated.glob("*.woff2"))
    assert len(fonts) == 5
    assert sum(font.stat().st_size for font in fonts) < 400_000
    assert "--luc-pon" in (generated / "tokens.css").read_text(encoding="utf-8")
    assert (generated / "live_figures.js").stat().st_size > 1000


def test_the_library_s_page_describes_every_paper_s_method(book_html):
    shown = parsed(book_html, "book/library")
    headings = [heading.find(string=True) for heading in shown.select("h3")]
    assert [papers.load(stem).chapter.title for stem in papers.names()] == headings[: len(papers.names())]
    for stem in papers.names():
        for name in importlib.import_module(f"companion.methods.{stem}").__all__:
            assert shown.find(id=f"companion.methods.{stem}.{name}"), name


def test_names_in_tables_break_at_their_joints(book_html):
    names = parsed(book_html, "book/cost").select("td code.literal")
    assert {name.get_text() for name in names} >= set(bench.CASES)
    for name in names:
        assert len(name.select("wbr")) == len(re.findall(r"[_./(](?=\w)", name.get_text())), name


@pytest.mark.browser
def test_no_word_of_a_table_is_broken_on_a_wide_page(book_html, open_page):
    page = open_page((book_html / "book" / "cost.html").as_uri())
    # A name of one word takes one line; another at most one for each of its parts.
    lines = page.evaluate(
        """() => [...document.querySelectorAll("td code.literal")].map((code) => {
          const range = document.createRange();
          range.selectNodeContents(code);
          const tops = new Set([...range.getClientRects()].map((rect) => Math.round(rect.top)));
          return [code.textContent, tops.size];
        })"""
    )
    assert len(lines) > 40
    for name, rows in lines:
        assert rows <= 1 + name.count("_"), (name, rows)
    wide = page.evaluate(
        """() => [...document.querySelectorAll("table")].map((t) => t.scrollWidth - t.parentElement.clientWidth)"""
    )
    assert max(wide) <= 0, "a table is wider than the column"
