"""The teacher's kit: its minutes add up, its slides turn, stay within their window, print, and stand without scripts."""

from __future__ import annotations

import math
import re

import pytest

from book.tools import slides
from companion import look

DECKS = sorted(path.name for path in slides.FOLDER.glob("*.html"))
SHOWN = "[...document.querySelectorAll('section')].map((slide, at) => slide.checkVisibility() ? at : -1).filter((at) => at >= 0)"


def minutes(markdown: str, heading: str) -> list[int]:
    """Return the first column of the table under a heading."""
    part = markdown.partition(f"### {heading}")[2].partition("\n#")[0]
    return [int(number) for number in re.findall(r"^\| (\d+) \|", part, flags=re.MULTILINE)]


def kits(root) -> list[str]:
    return [
        path.read_text(encoding="utf-8") for path in (root / "book" / "teaching").glob("*.md") if path.stem != "index"
    ]


def test_two_halves_of_45_minutes(root):
    assert len(kits(root)) == len(DECKS) >= 1
    for kit in kits(root):
        halves = [minutes(kit, heading) for heading in re.findall(r"^### (.* half: .*)$", kit, flags=re.MULTILINE)]
        assert [sum(half) for half in halves] == [45, 45]
        assert len(re.findall(r"^\*\*\d\. .*\?\*\*$", kit, flags=re.MULTILINE)) == 3, "discussion questions"


def test_the_valley_s_bottom_is_where_loss_and_entropy_agree():
    margins = slides.MARGINS
    marked = float(re.search(r"lowest point at s = ([\d.]+)", slides.valley())[1])
    right = [1 / (1 + math.exp(-marked * margin)) for margin in margins]
    entropy = sum(-p * math.log(p) - (1 - p) * math.log(1 - p) for p in right) / len(margins)
    assert abs(slides.mean_loss(marked) - entropy) < 0.01
    assert min(slides.mean_loss(marked / 2), slides.mean_loss(2 * marked)) > slides.mean_loss(marked) + 0.01


def test_a_deck_without_its_title_is_refused():
    with pytest.raises(ValueError, match="<!-- title: … -->"):
        slides.page("<section></section>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write the decks into a folder, nothing beside them: as a file sent by mail."""
    made = tmp_path_factory.mktemp("slides")
    assert [path.name for path in slides.write_all(made)] == DECKS
    return made


@pytest.mark.parametrize("deck", DECKS)
def test_a_deck_is_one_file_of_six_slides(folder, deck):
    text = (folder / deck).read_text(encoding="utf-8")
    assert text.count("<section>") == 6
    assert re.findall(r"\{(?:title|chapter|tokens|light|figures|sections|valley)\}", text) == []
    assert re.findall(r'<(?:script|img|iframe)[^>]* src=|<link[^>]* rel="stylesheet"', text) == []
    assert text.count("data-widget=") >= 2
    assert "lf-still" in text, "the figure's picture stands there without scripts"


@pytest.mark.browser
@pytest.mark.parametrize("deck", DECKS)
def test_keys_buttons_and_address_turn_the_slides(folder, deck, open_page):
    page = open_page(f"{(folder / deck).as_uri()}#2")
    assert page.evaluate(SHOWN) == [1]
    for key, now in [
        ("ArrowRight", 2),
        ("PageDown", 3),
        (" ", 4),
        ("End", 5),
        ("ArrowRight", 5),
        ("ArrowLeft", 4),
        ("Home", 0),
    ]:
        page.keyboard.press(key)
        assert page.evaluate(SHOWN) == [now], key
    assert page.locator("[data-mounted]").count() == page.locator("[data-widget]").count()
    page.locator("section:not([hidden]) .lf-hidden").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(SHOWN) == [0], "in the figure the arrows move the figure"
    page.keyboard.press("PageDown")
    assert page.evaluate(SHOWN) == [1], "a presenter turns the slide all the same"
    page.get_by_role("button", name="Next").click()
    assert page.evaluate(SHOWN) == [2]
    assert page.url.endswith("#3")
    assert page.get_by_role("status").text_content().startswith("Slide 3 of 6: ")


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(390, 780), (1366, 900)])
@pytest.mark.parametrize("deck", DECKS)
def test_slides_stay_within_the_window(folder, deck, width, height, open_page):
    page = open_page((folder / deck).as_uri(), width=width, height=height)
    for number in range(6):
        wide, high = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert wide <= width, f"slide {number + 1}"
        assert high <= height or width < 1000, f"slide {number + 1} must be scrolled on a projector"
        page.keyboard.press("ArrowRight")


@pytest.mark.browser
@pytest.mark.parametrize("deck", DECKS)
def test_paper_and_pages_without_scripts_show_all_slides(folder, deck, open_page):
    page = open_page((folder / deck).as_uri(), scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(SHOWN) == [0, 1, 2, 3, 4, 5]
    ink = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--luc-ink').trim()")
    assert ink == look.tokens("light")["ink"], "dark ink on white paper"
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True))) == 6
    plain = open_page((folder / deck).as_uri(), javascript=False)
    assert plain.evaluate(SHOWN) == [0, 1, 2, 3, 4, 5]
    assert not plain.locator("nav").is_visible()
