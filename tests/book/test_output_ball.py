"""`output_ball` in the built pages: it obeys mouse, finger and keyboard, and shows the library's numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from companion import geometry
from companion.methods import partial_norm

pytestmark = pytest.mark.browser

PAGES = ["book/index.html", "notebooks/01_partial_output_norm.html"]
LABEL = dict(zip(PAGES, (1, 0), strict=True))  # the first page opens with a mistake, the chapter with a right answer
GROWS, SHRINKS = "loss < entropy: the vector grows", "loss > entropy: the vector shrinks"
FIGURE = "[data-widget=output_ball]"


@pytest.fixture(params=PAGES)
def page_name(request: pytest.FixtureRequest) -> str:
    return request.param


def figure_of(page: Any) -> Any:
    """Return the first output ball of a page, mounted and in view."""
    figure = page.locator(FIGURE).first
    figure.locator(".lf-handle").wait_for()
    figure.locator(".lf-plane").scroll_into_view_if_needed()
    page.wait_for_timeout(50)
    return figure


def point(figure: Any) -> list[float]:
    return [float(figure.locator(".lf-handle input").nth(k).input_value()) for k in (0, 1)]


def centre(figure: Any) -> tuple[float, float]:
    box = figure.locator(".lf-handle").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def shown(figure: Any, name: str) -> str:
    row = figure.locator(".lf-bar").filter(has_text=re.compile(f"^{name}"))
    return row.locator(".lf-number").inner_text()


def assert_numbers_are_the_library_s(figure: Any, *, label: int = 0, threshold: float | None = None) -> None:
    """Assert that the loss and the entropy on the page are `companion`'s at the z where the handle stands."""
    z = torch.tensor(point(figure), dtype=torch.float64)
    output = z if threshold is None else partial_norm(z, threshold)
    loss = F.cross_entropy(output, torch.tensor(label)).item()
    entropy = geometry.entropy(output.softmax(0), dim=0).item()
    assert shown(figure, "loss") == f"{loss:.3f}"
    assert shown(figure, "entropy") == f"{entropy:.3f}"


def sentence(figure: Any) -> str:
    return figure.get_by_role("status").inner_text()


def drag(page: Any, figure: Any, dx: float, dy: float) -> None:
    x, y = centre(figure)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()


def finger(page: Any, start: tuple[float, float], dx: float, dy: float, steps: int = 8) -> None:
    """Move one finger across the screen, as the touch screen reports it."""
    session = page.context.new_cdp_session(page)

    def send(kind: str, points: list[dict[str, float]]) -> None:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", [{"x": start[0], "y": start[1]}])
    for k in range(1, steps + 1):
        send("touchMove", [{"x": start[0] + dx * k / steps, "y": start[1] + dy * k / steps}])
        page.wait_for_timeout(16)
    send("touchEnd", [])
    page.wait_for_timeout(100)


@pytest.mark.parametrize("over", ["http", "file"])
def test_it_mounts_and_starts_in_the_state_that_surprises(open_page, book_server, book_html: Path, page_name, over):
    page = open_page(f"{book_server}/{page_name}" if over == "http" else (book_html / page_name).as_uri())
    figure = figure_of(page)
    assert figure.get_attribute("data-mounted") == "true"
    assert point(figure) == [2.5, 1.2]
    assert sentence(figure) == (GROWS, SHRINKS)[LABEL[page_name]]
    assert_numbers_are_the_library_s(figure, label=LABEL[page_name])
    assert page.locator(f"{FIGURE}:not([data-mounted])").count() == 0


def test_the_mouse_drags_it_across_the_boundary(open_page, book_server, page_name):
    page = open_page(f"{book_server}/{page_name}")
    figure = figure_of(page)
    turned = figure.locator(".lf-turn").get_attribute("data-direction")
    drag(page, figure, -160, -60)
    z = point(figure)
    assert z[0] < z[1] < 5
    assert sentence(figure) == (SHRINKS, GROWS)[LABEL[page_name]]
    turns = (turned, figure.locator(".lf-turn").get_attribute("data-direction"))
    assert turns == (("1", "-1"), ("-1", "1"))[LABEL[page_name]]
    assert_numbers_are_the_library_s(figure, label=LABEL[page_name])
    drag(page, figure, 3000, 0)
    assert point(figure)[0] == 5, "the handle stays in the plane"
    assert_numbers_are_the_library_s(figure, label=LABEL[page_name])


def test_a_finger_drags_it_while_the_page_stands_still(open_page, book_server, page_name):
    page = open_page(f"{book_server}/{page_name}", width=390, height=780, touch=True)
    figure = figure_of(page)
    before, scrolled = point(figure), page.evaluate("scrollY")
    finger(page, centre(figure), -40, 90)
    after = point(figure)
    assert after[0] < before[0]
    assert after[1] < before[1] - 2
    assert page.evaluate("scrollY") == scrolled
    assert_numbers_are_the_library_s(figure, label=LABEL[page_name])


def test_a_finger_beside_the_handle_scrolls_the_page(open_page, book_server, page_name):
    page = open_page(f"{book_server}/{page_name}", width=390, height=780, touch=True)
    figure = figure_of(page)
    before, scrolled = point(figure), page.evaluate("scrollY")
    box = figure.locator(".lf-plane").bounding_box()
    finger(page, (box["x"] + 30, box["y"] + box["height"] - 40), 0, -150)
    page.wait_for_timeout(300)
    assert page.evaluate("scrollY") > scrolled
    assert point(figure) == before


def test_the_keyboard_moves_it(open_page, book_server, page_name):
    page = open_page(f"{book_server}/{page_name}")
    figure = figure_of(page)
    figure.get_by_role("slider", name="first logit").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert point(figure) == [2.6, 1.3]
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    assert point(figure) == [1.6, 0.3]
    assert_numbers_are_the_library_s(figure, label=LABEL[page_name])
    assert "z = (1.60, 0.30)" in figure.get_by_role("slider", name="first logit").get_attribute("aria-valuetext")


def test_label_threshold_and_clip_of_the_chapter_s_figure(open_page, book_server):
    page = open_page(f"{book_server}/{PAGES[1]}")
    figure = figure_of(page)
    figure.get_by_role("button", name="Swap the label").click()
    assert sentence(figure) == "loss > entropy: the vector shrinks"
    assert_numbers_are_the_library_s(figure, label=1)
    clip = figure.get_by_role("button", name="Clip at δ")
    clip.click()
    assert clip.get_attribute("aria-pressed") == "true"
    assert sentence(figure) == "outside the ball: the length gets no gradient"
    slider = figure.get_by_role("slider", name="threshold δ")
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    assert float(slider.input_value()) == pytest.approx(1.5)
    assert_numbers_are_the_library_s(figure, label=1, threshold=1.5)
    figure.get_by_role("button", name="Reset").click()
    assert clip.get_attribute("aria-pressed") == "false"
    assert_numbers_are_the_library_s(figure)


def test_the_trap_is_reached_and_named(open_page, book_server):
    """At the antipode of the label, outside the ball: the largest loss, and no gradient (math: x = −r(y − 1/n))."""
    page = open_page(f"{book_server}/{PAGES[1]}")
    figure = figure_of(page)
    figure.get_by_role("button", name="Clip at δ").click()
    figure.get_by_role("slider", name="first logit").focus()
    for key, times in (("Shift+ArrowLeft", 8), ("Shift+ArrowUp", 4)):
        for _ in range(times):
            page.keyboard.press(key)
    assert point(figure) == [-5, 5]
    assert sentence(figure) == "wrong by a mile, and no gradient at all"
    assert shown(figure, "loss") == "2.886"


def test_a_switch_of_the_theme_recolours_it(open_page, book_server, page_name):
    page = open_page(f"{book_server}/{page_name}", scheme="light")
    figure = figure_of(page)

    def colours() -> list[str]:
        return figure.evaluate(
            "node => [getComputedStyle(node.querySelector('.lf')).backgroundColor,"
            " getComputedStyle(node.querySelector('.lf')).color,"
            " getComputedStyle(node.querySelector('.lf-ball')).stroke,"
            " getComputedStyle(node.querySelector('.lf-plane > svg')).backgroundColor]"
        )

    light = colours()
    button = page.locator("button.theme-switch-button:visible").first
    for _ in range(3):
        if page.evaluate("document.documentElement.dataset.theme") == "dark":
            break
        button.click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.wait_for_timeout(300)
    dark = colours()
    assert all(a != b for a, b in zip(light, dark, strict=True)), (light, dark)
    plate = "node => { const box = node.closest('.text_html'); return box && getComputedStyle(box).backgroundColor; }"
    assert figure.evaluate(plate) in (None, "rgba(0, 0, 0, 0)"), "the theme lays a plate under the figure"


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (390, "dark"), (768, "light"), (1280, "dark")])
def test_it_fits_every_screen(open_page, book_server, page_name, width, scheme):
    page = open_page(f"{book_server}/{page_name}", width=width, scheme=scheme)
    figure = figure_of(page)
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    box = figure.bounding_box()
    assert overflow <= 0
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    inside = figure.evaluate(
        "node => [...node.querySelectorAll('.lf *')].every(n => n.scrollWidth <= node.clientWidth)"
    )
    assert inside
    sizes = figure.evaluate(
        "node => [...node.querySelectorAll('.lf-tag, p, .lf-number, label, button')]"
        ".map(n => parseFloat(getComputedStyle(n).fontSize))"
    )
    assert min(sizes) >= 11


@pytest.mark.parametrize(("motion", "breathes"), [("no-preference", True), ("reduce", False)])
def test_the_handle_breathes_until_it_is_touched_and_never_with_reduced_motion(
    open_page: Callable[..., Any], book_server: str, page_name: str, motion: str, breathes: bool
):
    page = open_page(f"{book_server}/{page_name}", reduced_motion=motion)
    figure = figure_of(page)
    figure.locator(".lf-seen").wait_for()
    style = "node => { const s = getComputedStyle(node); return [s.animationName, s.animationIterationCount]; }"
    halo = figure.locator(".lf-halo")
    assert halo.evaluate(style) == (["lf-breathe", "2"] if breathes else ["none", "1"])
    drag(page, figure, 10, 10)
    assert halo.evaluate(style)[0] == "none"


def test_without_scripts_the_picture_and_its_sentence_stand(open_page, book_server, page_name):
    page = open_page(f"{book_server}/{page_name}", javascript=False, width=390)
    figure = page.locator(FIGURE).first
    picture = figure.locator("svg[role=img]")
    assert picture.is_visible()
    assert picture.bounding_box()["width"] <= 390
    words = ("loss 0.241 is below the entropy 0.519", "loss 1.541 is above the entropy 0.519")[LABEL[page_name]]
    assert words in picture.get_attribute("aria-label")
    assert words in figure.inner_text()
    assert figure.locator(".lf:not(.lf-still)").count() == 0
