"""The steps of `output_ball` in Chromium: one, many, their trail, what ends them, and what nothing moves for."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from companion import widgets
from companion.methods import partial_norm

pytestmark = pytest.mark.browser

LENGTHS = re.compile(r"step (\d+): length ([\d.]+) → ([\d.]+)")


def figure_of(page: Any, at: int = 0) -> Any:
    """Return a figure of a page of places, mounted."""
    figure = page.locator("[data-widget][data-mounted]").nth(at)
    figure.locator(".lf-handle").wait_for()
    return figure


def point(figure: Any) -> list[float]:
    """Return z to the four digits of the spoken line's drawing: where the handle stands, in logits."""
    return figure.evaluate(
        """node => { const s = node.querySelector(".lf-handle").style;
        return [(parseFloat(s.left) - 50) * 5.8 / 50, (50 - parseFloat(s.top)) * 5.8 / 50]; }"""
    )


def press(figure: Any, name: str, times: int = 1) -> None:
    for _ in range(times):
        figure.get_by_role("button", name=name, exact=True).click()


def dots(figure: Any) -> int:
    return (figure.locator(".lf-dots").get_attribute("d") or "").count("M")


def steps(figure: Any) -> str:
    return figure.locator(".lf-wide").inner_text()


def walked(z: list[float], label: int, count: int, threshold: float | None = None) -> torch.Tensor:
    """Return z after plain gradient descent by torch."""
    vector = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    for _ in range(count):
        output = vector if threshold is None else partial_norm(vector, threshold)
        (gradient,) = torch.autograd.grad(F.cross_entropy(output, torch.tensor(label)), vector)
        vector = (vector - gradient).detach().requires_grad_()
    return vector.detach()


@pytest.mark.parametrize("compact", [False, True])
def test_steps_go_where_torch_goes_and_leave_a_trail(open_places, compact):
    figure = figure_of(open_places(widgets.static_html("output_ball", label=1, compact=compact)))
    assert (dots(figure), steps(figure)) == (0, "step size h = 1")
    press(figure, "Take a step", 3)
    end = walked([2.5, 1.2], 1, 3)
    assert point(figure) == pytest.approx(end.tolist(), abs=1e-4)
    assert dots(figure) == 4
    assert LENGTHS.search(steps(figure)).groups() == ("3", "2.77", f"{end.norm():.2f}")
    press(figure, "Clip at δ")
    press(figure, "Take a step")
    assert dots(figure) == 5, "the clip may be put on while it walks"
    assert point(figure) == pytest.approx(walked(end.tolist(), 1, 1, threshold=2.0).tolist(), abs=1e-4)


@pytest.mark.parametrize("ends", ["Reset", "Swap the label", "drag"])
def test_whatever_else_moves_it_clears_the_trail(open_places, ends):
    page = open_places(widgets.static_html("output_ball"))
    figure = figure_of(page)
    press(figure, "Take a step", 2)
    if ends == "drag":
        figure.get_by_role("slider", name="first logit").focus()
        page.keyboard.press("ArrowRight")
    else:
        press(figure, ends)
    assert (dots(figure), steps(figure)) == (0, "step size h = 1")


def test_a_step_that_moves_nothing_is_counted_and_reset_forgets_it(open_places):
    figure = figure_of(open_places(widgets.static_html("output_ball", z=[-3.5, 3.5], clip=True)))
    press(figure, "Take a step")
    assert steps(figure) == "step size h = 1 · step 1: length 4.95 → 4.95 · the next step is shorter than 0.001"
    press(figure, "Reset")
    assert steps(figure) == "step size h = 1 · the next step is shorter than 0.001"


def test_no_step_leaves_the_picture(open_places):
    figure = figure_of(open_places(widgets.static_html("output_ball", z=[5, 3])))
    press(figure, "Take a step")
    assert point(figure) == pytest.approx([5, 3], abs=1e-4)
    assert steps(figure) == "step size h = 1 · the next step would leave the picture"


def test_play_goes_on_until_it_is_paused(open_places):
    figure = figure_of(open_places(widgets.static_html("output_ball")))
    press(figure, "Play")
    figure.locator(".lf-wide", has_text=re.compile(r"step ([4-9]|\d\d+):")).wait_for()
    press(figure, "Pause")
    count = int(LENGTHS.search(steps(figure))[1])
    assert point(figure) == pytest.approx(walked([2.5, 1.2], 0, count).tolist(), abs=1e-4)
    figure.page.wait_for_timeout(400)
    assert int(LENGTHS.search(steps(figure))[1]) == count
    assert figure.get_by_role("button", name="Play", exact=True).is_visible()


def test_play_ends_by_itself_at_the_end(open_places):
    """One step from the edge: the next but one would leave the picture."""
    figure = figure_of(open_places(widgets.static_html("output_ball", z=[4.9, 3.4])))
    press(figure, "Play")
    figure.get_by_role("button", name="Play", exact=True).wait_for()
    assert "the next step would leave the picture" in steps(figure)


def test_a_drag_ends_play(open_places):
    page = open_places(widgets.static_html("output_ball"))
    figure = figure_of(page)
    press(figure, "Play")
    figure.get_by_role("slider", name="first logit").focus()
    page.keyboard.press("ArrowLeft")
    assert figure.get_by_role("button", name="Play", exact=True).is_visible()
    assert steps(figure) == "step size h = 1"


def test_play_rests_out_of_view(open_places):
    page = open_places(f'{widgets.static_html("output_ball")}<div style="height: 4000px"></div>')
    figure = figure_of(page)
    press(figure, "Play")
    page.evaluate("scrollTo(0, 3000)")
    page.wait_for_timeout(300)
    count = LENGTHS.search(figure.locator(".lf-wide").text_content())[1]
    page.wait_for_timeout(500)
    assert LENGTHS.search(figure.locator(".lf-wide").text_content())[1] == count
    page.evaluate("scrollTo(0, 0)")
    more = "count => Number(/step ([0-9]+)/.exec(document.querySelector('.lf-wide').textContent)[1]) > count + 1"
    page.wait_for_function(more, arg=int(count))


def test_who_wants_no_motion_gets_twenty_steps_at_once(open_places):
    figure = figure_of(open_places(widgets.static_html("output_ball"), reduced_motion="reduce"))
    press(figure, "Play 20 steps")
    assert LENGTHS.search(steps(figure))[1] == "20"
    assert dots(figure) == 21
    press(figure, "Play 20 steps", 10)
    assert dots(figure) == 200, "the trail keeps its last points"


@pytest.mark.parametrize("width", [1440, 1280, 768, 390, 360])
def test_nothing_jumps(open_places, width):
    """Whatever is shown, the panel keeps its height, every button its place, and the numbers their nodes."""
    page = open_places(widgets.static_html("output_ball"), width=width)
    figure = figure_of(page)
    where = """node => ["panel", "slider", "play", "fact", "fact span:nth-child(2)", "rows"].map(name => {
      const box = node.querySelector(`.lf-${name}`).getBoundingClientRect(), top = box.top - node.getBoundingClientRect().top;
      return [name, ...[top, box.left, box.height, name.includes(" ") ? 0 : box.width].map(Math.round)].join(); })"""
    before = figure.evaluate(where)
    figure.evaluate("node => { window.kept = [...node.querySelectorAll('.lf-panel *')]; }")
    slider = figure.get_by_role("slider", name="second logit")
    seen = set()
    for press_first in ("Clip at δ", "Swap the label", "Take a step", "Clip at δ", "Take a step", "Play", "Pause"):
        press(figure, press_first)
        assert figure.evaluate(where) == before, press_first
        seen.add(figure.get_by_role("status").inner_text())
    for value in (5, -5, 0, -2.5):
        slider.fill(str(value))
        assert figure.evaluate(where) == before, value
        seen.add(figure.get_by_role("status").inner_text())
    assert len(seen) > 2
    assert figure.evaluate("node => window.kept.every(one => node.contains(one))")


def test_large_losses_can_be_told_apart(open_places):
    """No bar is full, and a larger loss has a longer one."""
    page = open_places("".join(widgets.static_html("output_ball", z=[-k, k]) for k in (1, 2, 3, 4, 5)))
    figure_of(page, 4)
    share = "node => node.getBoundingClientRect().width / node.parentNode.getBoundingClientRect().width"
    widths = [bar.evaluate(share) for bar in page.locator(".lf-first .lf-fill").all()]
    losses = [F.cross_entropy(torch.tensor([-k, k]), torch.tensor(0)).item() for k in (1.0, 2.0, 3.0, 4.0, 5.0)]
    assert widths == pytest.approx([loss / (1 + loss) for loss in losses], abs=0.01)
    ticks = page.locator(".lf-ticks").first.locator("span span").all()
    lane = page.locator(".lf-ticks .lf-lane").first.bounding_box()
    track = page.locator(".lf-track").first.bounding_box()
    assert (lane["x"], lane["width"]) == pytest.approx((track["x"], track["width"]), abs=0.6)
    assert [tick.inner_text() for tick in ticks] == ["0", "0.25", "1", "4", "∞"]
