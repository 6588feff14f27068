"""What a chapter asks of its reader: counted as described, kept within bounds, and told in minutes."""

from __future__ import annotations

import json

import pytest
from bs4 import BeautifulSoup

from book.tools import budget, build

CHAPTERS = budget.chapters()


def notebook(*cells: dict) -> dict:
    return {"cells": list(cells)}


def prose(text: str) -> dict:
    return {"cell_type": "markdown", "source": text, "metadata": {}}


def code(source: str = "x", tags: tuple = (), **data: str) -> dict:
    outputs = [
        {"output_type": "display_data", "data": {key.replace("_", "/"): value for key, value in data.items()}}
    ] * bool(data)
    return {"cell_type": "code", "source": source, "metadata": {"tags": list(tags)}, "outputs": outputs}


FIGURE = '<figure class="luc-figure"><svg><text>not read</text></svg><figcaption>Two words.</figcaption></figure>'
LIVE = '<div data-widget="output_ball"><p>what stands there without a script</p></div>'


def test_words_formulas_code_tables_and_pictures_are_counted() -> None:
    counts = budget.count(
        notebook(
            prose("# A title\n\nThree more words, and $a + b$.\n\n$$\nx\n$$ (eq-x)\n"),
            code("a = 1\n\nb = 2"),
            code("hidden()", ("remove-input",), text_html=FIGURE),
            code("hidden()", ("remove-input",), text_html=LIVE),
            code(
                "table()",
                text_html='<figure class="luc-table"><table><tr><td>five words that are data</td></tr></table></figure>',
            ),
            code("say()", text_markdown="Said in **four** words."),
            code("fold()", ("hide-cell",), text_markdown="not counted"),
        )
    )
    assert (counts.words, counts.formulas, counts.code, counts.tables) == (2 + 5 + 2 + 4, 1, 4, 1)
    assert (counts.pictures, counts.live) == (2, 1)
    assert counts.gaps == [9, 0, 4], "the caption of a figure stands before the rest that it gives"


def test_exercises_solutions_quiz_and_further_reading_are_apart() -> None:
    counts = budget.count(
        notebook(
            prose("## Text\n\none\n\n```{exercise} Title\n:label: ex\nmany words here\n```"),
            code("answer = ...\nchapter.check_it(answer)", text_html="<p>Your turn.</p>"),
            prose("```{solution} ex\n:class: dropdown\nwords\n```"),
            code("chapter.check_it(1).require()", ("hide-cell", "solution"), text_html="<p>Right.</p>"),
            prose("## Exercises\n\nmany words"),
            code("quiz()", text_html=FIGURE),
        )
    )
    assert (counts.words, counts.code, counts.pictures) == (2, 0, 0)


def test_what_goes_beyond_the_budget_is_said() -> None:
    counts = budget.count(notebook(prose("word " * 3201)))
    assert [sentence.split(",")[0] for sentence in counts.over()] == ["3201 words", "3201 gap", "0 pictures", "0 live"]


def test_minutes_follow_from_the_counts() -> None:
    counts = budget.Counts(words=1800, formulas=3, code=20, pictures=4, live=2)
    assert counts.minutes == pytest.approx(10 + 2 + 2 + 2 + 1)
    place = '<dd data-counted="reading">counted in the book</dd>'
    done = budget.with_minutes(notebook(prose("word " * 360), code(text_html=place)))
    assert done["cells"][1]["outputs"][0]["data"]["text/html"] == '<dd data-counted="reading">2 minutes</dd>'


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_keeps_its_budget(name: str) -> None:
    executed = json.loads((build.WORK / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert budget.count(executed).over() == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_page_tells_the_minutes(name: str, book_html) -> None:
    page = BeautifulSoup((book_html / "notebooks" / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
    executed = json.loads((build.WORK / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert page.select_one("[data-counted]").get_text() == f"{budget.count(executed).minutes:.0f} minutes"


@pytest.mark.browser
@pytest.mark.parametrize("name", CHAPTERS)
def test_no_two_screens_without_a_picture(name: str, book_html, open_page) -> None:
    """Above the exercises, at the size of a laptop's window, with everything folded that is folded."""
    page = open_page((book_html / "notebooks" / f"{name}.html").as_uri(), width=1366, height=900)
    spans = page.evaluate(
        """() => {
          const end = [...document.querySelectorAll("h2")].find((h) => h.textContent.includes("Exercises")).getBoundingClientRect().top;
          const seen = [...document.querySelectorAll("article figure.luc-figure, article [data-widget]")]
            .filter((node) => node.getBoundingClientRect().height > 0 && node.getBoundingClientRect().top < end)
            .map((node) => [node.getBoundingClientRect().top, node.getBoundingClientRect().bottom]);
          return seen.slice(1).map(([top], k) => top - seen[k][1]);
        }"""
    )
    assert len(spans) >= 8
    assert max(spans) <= 2 * 900, spans
