"""A prediction opens when the reader commits, keeps the guess, and needs neither kernel nor script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from companion import look
from companion.page import Panel, Prose, equation, predict, quiz, say
from companion.papers import Question

CHOICES = ("It grows", "It settles near $\\log C$", "It shrinks.")


class Table:
    """What a data frame is to a front end: only HTML."""

    def _repr_html_(self) -> str:
        return "<table><tr><td>31.7</td></tr></table>"

    def __repr__(self) -> str:
        return "31.7"


def prediction(right: int | None = 0, **changes: Any) -> Panel:
    figure = Panel('<figure id="figure-length">drawn<figcaption>It grows.</figcaption></figure>', "a rising curve")
    options = {"result": [figure, say("It ends at **31.7**.")], "so": "So **more** is coming.", **changes}
    return predict("What does *it* do?", CHOICES, right=right, **options)


def soup(shown: Panel) -> BeautifulSoup:
    return BeautifulSoup(shown.html, "html.parser")


def test_the_text_says_all_of_it():
    assert prediction().text.splitlines() == [
        "Predict: What does it do?",
        "   a) It grows",
        "   b) It settles near \\log C",
        "   c) It shrinks",
        "The runs say: It grows.",
        "a rising curve",
        "It ends at 31.7.",
        "So more is coming.",
    ]


def test_without_a_style_the_answer_and_only_the_answer_is_under_a_fold():
    shown = soup(prediction(right=1))
    fold = shown.select_one("details.luc-answer")
    assert not fold.has_attr("open")
    assert fold.select_one("figure#figure-length figcaption")
    assert [guess.text for guess in fold.select("[hidden]")] == [
        "You said: It grows.",
        "You said the same.",
        "You said: It shrinks.",
    ]
    fold.extract()
    shown.style.extract()
    assert "The runs" not in shown.text
    assert "31.7" not in shown.text
    assert not shown.select("script")


def test_choices_have_labels_and_no_id_or_name_twice():
    first, second = prediction(), predict("Another?", ["yes", "no"], right=0, result=say("1"), so="So.")
    shown = BeautifulSoup(first.html + second.html, "html.parser")
    buttons = shown.select("input[type=radio]")
    assert len(buttons) == 5
    assert len({button["name"] for button in buttons}) == 5, "in a shared group an arrow key would commit"
    for button in buttons:
        assert shown.select_one(f'label[for="{button["id"]}"]')
    assert len({tag["id"] for tag in shown.select("[id]")}) == len(shown.select("[id]"))


@pytest.mark.parametrize(
    ("result", "face", "words"),
    [
        (lambda: say("Now **31.7**."), "<p>Now <strong>31.7</strong>.</p>", "Now 31.7."),
        (Table(), "<td>31.7</td>", "31.7"),
        (Prose("plain"), "<p>plain</p>", "plain"),
        (equation("a", "b < c"), '<div class="math notranslate nohighlight">\\[a = b &lt; c\\]</div>', "a = b < c"),
        ([lambda: Table(), say("And.")], "</table><p>And.</p>", "31.7\nAnd."),
        ([], "</p><p>So", "So"),
    ],
)
def test_a_result_is_anything_with_a_face(result, face, words):
    shown = prediction(result=result)
    assert face in shown.html
    assert words in shown.text


def test_before_the_runs_are_there_no_choice_is_marked():
    shown = prediction(right=None, result=say("*Not recorded yet.*"))
    assert "runs say" not in shown.html + shown.text
    assert "You said the same" not in shown.html
    assert "Not recorded yet." in shown.text


def test_who_answers_is_said():
    shown = prediction(right=1, says="The formula says")
    assert soup(shown).select_one("[data-says]").text == "It settles near \\(\\log C\\)"
    assert soup(shown).select_one("[data-says]")["data-says"] == "the formula says"
    assert "The formula says: It settles near" in shown.text


@pytest.mark.parametrize(
    ("question", "choices", "right", "words"),
    [
        (" ", ["a", "b"], 0, "needs a question"),
        ("?", ["a"], 0, "two or more"),
        ("?", ["a", "a."], 0, "no two alike"),
        ("?", ["a", " "], 0, "two or more"),
        ("?", ["a", "b"], 2, "right must be an index of the 2 choices or None, got 2"),
        ("?", ["a", "b"], -1, "got -1"),
    ],
)
def test_refusals(question, choices, right, words):
    with pytest.raises(ValueError, match=words):
        predict(question, choices, right=right, result=say("1"), so="")


@pytest.mark.parametrize("result", [31.7, "31.7", None])
def test_a_result_without_a_face_is_refused(result):
    with pytest.raises(TypeError, match="must have an HTML face"):
        prediction(result=result)


# ---- in Chromium ----


@pytest.fixture(params=["the book's sheet", "no sheet"])  # a notebook's front end has no sheet of ours
def opened(request: pytest.FixtureRequest, open_page: Any, serve: Any, tmp_path: Path, root: Path) -> Any:
    """Return `opened(**window)`: a page with a prediction whose result holds a quiz, and a second prediction."""
    inner = quiz([Question("Two < three?", (("yes", "So it is."), ("no", "Count again.")), right=0)])
    first = prediction(result=[Panel('<figure id="figure-length">drawn</figure>', "drawn"), inner])
    second = predict("Another?", ["yes", "no"], right=0, result=say("It is."), so="So.")
    sheet = (root / "book" / "_static" / "book.css").read_text(encoding="utf-8")
    sheet = re.sub(r"@font-face \{.*?\}", "", sheet) + "[hidden] { display: none !important; }"  # as the theme has it
    sheet = f"<style>{look.css()}{sheet}</style>" if request.param == "the book's sheet" else ""
    (tmp_path / "index.html").write_text(
        f'<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8"><link rel="icon" href="data:,">'
        f'<meta name="viewport" content="width=device-width"><title>x</title>{sheet}'
        f'<body><article class="bd-article">{first.html}{second.html}</article></html>',
        encoding="utf-8",
    )
    return lambda anchor="", **window: open_page(f"{serve(tmp_path)}/index.html{anchor}", **window)


def answer(page: Any, k: int = 0) -> Any:
    return page.locator(".luc-predict").nth(k).locator(".luc-answer > p").first


def mark(page: Any, k: int) -> str:
    said = "node => getComputedStyle(node, '::after').content"
    return page.locator(".luc-predict").first.locator(".luc-guess > label").nth(k).evaluate(said)


@pytest.mark.browser
@pytest.mark.parametrize("javascript", [True, False])
def test_it_is_hidden_before_and_open_after_and_the_guess_stays(opened, javascript):
    page = opened(javascript=javascript, width=390)
    assert not answer(page).is_visible()
    assert page.get_by_text("Show it without guessing").first.is_visible()
    page.get_by_text("It shrinks", exact=True).click()
    assert answer(page).is_visible()
    assert page.locator("#figure-length").is_visible()
    assert answer(page).inner_text() == "The runs say: It grows. You said: It shrinks."
    assert page.get_by_text("So more is coming.").is_visible()
    assert not answer(page, 1).is_visible(), "a choice opens its own result alone"
    assert not page.get_by_text("Show it without guessing").first.is_visible()
    page.get_by_text("yes", exact=True).first.click()  # the quiz within the result
    page.locator(".luc-predict").first.locator("label").first.click(force=True)
    assert page.locator(".luc-predict").first.locator(".luc-guess > :checked + label").inner_text() == "It shrinks"
    page.keyboard.press("ArrowUp")
    assert page.locator(".luc-predict").first.locator(".luc-guess > :checked").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


@pytest.mark.browser
def test_what_the_data_say_is_marked_beside_the_guess(opened):
    page = opened()
    assert [mark(page, k) for k in range(3)] == ["none"] * 3
    page.get_by_text("It shrinks", exact=True).click()
    assert "the runs say" in mark(page, 0)
    assert mark(page, 1) == "none"
    assert "your guess" in mark(page, 2)
    page.reload()
    page.get_by_text("It grows", exact=True).first.click()
    assert "your guess" in mark(page, 0)
    assert "so" in mark(page, 0)
    assert answer(page).inner_text() == "The runs say: It grows. You said the same."


@pytest.mark.browser
def test_with_the_keyboard_only_space_commits(opened):
    page = opened()
    page.keyboard.press("Tab")
    for key in ("ArrowDown", "ArrowRight", "Tab"):
        page.keyboard.press(key)
        assert page.locator(":checked").count() == 0, f"{key} has chosen"
    page.keyboard.press("Space")
    assert "log" in answer(page).inner_text()
    for key in ("Shift+Tab", "Space", "ArrowUp", "Tab", "Tab", "Space"):
        page.keyboard.press(key)
    assert page.locator(".luc-predict").first.locator(".luc-guess > :checked").count() == 1


@pytest.mark.browser
def test_who_does_not_want_to_guess_opens_the_fold_and_an_anchor_does(opened):
    page = opened()
    page.get_by_text("Show it without guessing").first.click()
    assert answer(page).inner_text() == "The runs say: It grows."
    assert "the runs say" in mark(page, 0)
    page.locator(".luc-predict").first.locator("label").nth(2).click(force=True)
    assert page.locator(".luc-predict").first.locator(".luc-guess > :checked").count() == 0, "a guess after the answer"
    assert answer(opened("#figure-length")).is_visible(), "a link to the figure leads to nothing"


@pytest.mark.browser
def test_print_has_all_of_it_open(opened):
    page = opened()
    page.emulate_media(media="print")
    assert answer(page).inner_text() == "The runs say: It grows."
    assert answer(page, 1).is_visible()
    assert page.locator("#figure-length").is_visible()
    assert not page.get_by_text("Show it without guessing").first.is_visible()
    assert "the runs say" in mark(page, 0)
