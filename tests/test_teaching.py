"""The teacher's kit: its minutes add up, its slides turn, stay within their window, print, and stand without scripts."""

from __future__ import annotations

import json
import math
import re

import pytest
import torch

from book.tools import slides
from companion import look, papers
from companion.chapters.tamed_cross_entropy.breaks import held
from companion.chapters.tamed_cross_entropy.pulls import best_prediction, class_sum, noisy_posterior, pull, share
from companion.methods import tamed_cross_entropy
from companion.widgets import values_of

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


@pytest.mark.parametrize("deck", DECKS)
def test_class_and_homework_are_all_exercises(root, deck):
    stem = deck.removesuffix(".html")
    kit = (root / "book" / "teaching" / f"{stem}.md").read_text(encoding="utf-8")
    asked = [each for each in papers.load(stem).exercises if each.level != "investigation"]
    titles = [each for each in asked if f"“{each.title}”" in kit]
    assert len(titles) == 2, "those of the script, by name"
    said = [tuple(map(int, found)) for found in re.findall(r"\((\d+) minutes, (\d+) points\)", kit)]
    in_class = sum(each.minutes for each in titles), sum(each.points for each in titles)
    whole = sum(each.minutes for each in asked), sum(each.points for each in asked)
    assert said == [in_class, (whole[0] - in_class[0], whole[1] - in_class[1])]


def test_the_peaks_are_where_the_library_s_gradient_is_largest():
    drawn = slides.pulls()
    for alpha in (1.0, 2.0):
        q = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
        rows = torch.stack([q.log(), torch.log1p(-q)], 1).requires_grad_()
        tamed_cross_entropy(rows, torch.zeros(999, dtype=torch.long), alpha, reduction="sum").backward()
        strongest = int((-rows.grad[:, 0]).argmax())
        for words in (r"α = {:g} at q = (\d\.\d+)", r"α = {:g}: q\* = ([\d.]+)<"):
            assert abs(float(re.search(words.format(alpha), drawn)[1]) - float(q[strongest])) <= 1e-3
        x, y = 6.6 * float(q[strongest]), 4.4 * float(rows.grad[strongest, 0])
        marked = re.findall(r'<circle cx="([\d.]+)" cy="(-[\d.]+)"', drawn)
        assert min(math.hypot(float(a) - x, float(b) - y) for a, b in marked) < 0.01


def test_numbers_of_the_tamed_deck_and_kit(root):
    def text(name):
        return (root / "book" / "teaching" / name).read_text(encoding="utf-8").replace("−", "-")

    deck, kit = text("slides/tamed_cross_entropy.html"), text("tamed_cross_entropy.md")
    weights = {q: (1 - math.log(q)) ** -2 for q in (0.75, 0.25)}
    assert f"{weights[0.75]:.3f}</span>" in deck
    assert f"{weights[0.25]:.3f}.</span>" in deck
    logits = torch.tensor([math.log(3), 0.0], dtype=torch.float64, requires_grad=True)
    for name, alpha in (("cross entropy", 0.0), ("tamed, α = 2", 2.0)):
        parts = [
            float(torch.autograd.grad(tamed_cross_entropy(logits.expand(len(y), 2), torch.tensor(y), alpha, reduction="sum"), logits)[0][0])
            for y in ([0, 0], [1])
        ]  # fmt: skip
        cells = re.search(rf">{re.escape(name)}</th>((?:<td>.*?</td>){{3}})</tr>", deck)[1]
        assert re.findall(r"-?\d\.\d{3}", cells) == [f"{value:.3f}" for value in (*parts, sum(parts))]
        assert ("falls" in cells, "rises" in cells) == (sum(parts) > 0, sum(parts) < 0)
    assert f"{(1 + math.log(10)) ** -2:.3f} times as long" in deck
    low = float(class_sum(0.1, 10, 2.0))
    bounds = [noise * (9 - low) / (10 * (1 - noise)) for noise in (0.4, 0.8)]
    assert (
        f"between {low:.3f} and 9, and the bound is {bounds[0]:.3f} at η = 0.4 and {bounds[1]:.3f} at η = 0.8" in deck
    )
    model = json.loads(re.search(r"data-widget=\"noisy_posterior\" data-model='(.+)'>", deck)[1])
    shown = values_of("noisy_posterior").defaults | model
    assert f"π = {noisy_posterior(shown['rate'], int(shown['classes'])):.2f}" in deck
    assert [round(best_prediction(0.8, 10, alpha), 1) for alpha in (0.0, 1.0, 2.0)] == [0.3, 0.5, 0.9], (
        "the kit's choices"
    )
    assert f"still {float(pull(1e-10, 1.0)):.2f}" in kit
    assert share([0.05] * 6, [0.3] * 4, 2.0) > 0.5 > share([0.05] * 6, [0.3] * 4, 0.0), "listens to the wrong ones"
    assert held("Learnt by heart") > 0.5


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
    assert re.findall(r"\{(?:title|chapter|method_token|tokens|light|figures|sections|valley|pulls)\}", text) == []
    token = papers.load(deck.removesuffix(".html")).colour.token
    assert f"--method: var(--luc-{token})" in text
    assert set(re.findall(r'class="[^"]*\bluc-(\w+)', text)) - {"live"} <= {token}, "no other method's colour"
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
