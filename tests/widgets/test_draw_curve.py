"""The live figure `draw_curve`: the reader's line and the recorded curve, hidden until asked for; how curves come into it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import traitlets

from companion import look, results, widgets

NAME = "draw_curve"
TRUTH = [1 + 2 * k / 30 for k in range(31)]  # from 1 to 3


@pytest.fixture(scope="session")
def run(run_node: Callable[..., Any]) -> Callable[..., Any]:
    """Run this figure's module followed by code."""
    return partial(run_node, NAME)


def values(**changes: Any) -> dict[str, Any]:
    base = {
        "name_x": "epoch",
        "name_y": "length",
        "largest_x": 60.0,
        "largest_y": 20.0,
        "truth": TRUTH,
        "label": "plain",
    }
    return widgets.values_of(NAME).checked(**{**base, **changes})


# ---- the line and the words ----


@pytest.mark.parametrize(("start", "end"), [(0, 30), (4, 9), (9, 4), (7, 7), (12, 0)])
def test_a_stroke_is_straight_between_its_ends_and_leaves_the_rest(run, start, end):
    """Where the pen jumps over points, forwards or back, they lie on its way; the given point never moves."""
    line = [math.sin(k) + 2 for k in range(31)]
    drawn = run(
        "const answer = stroke(given.line, given.start, given.end, 5);", {"line": line, "start": start, "end": end}
    )
    low, high = sorted((start, end))
    inside = [k for k in range(low, high + 1) if k > 0 and (k != start or start == end)]
    knots = sorted([(start, line[start]), (end, 5.0)]) if start != end else [(end, 5.0)]
    wanted = np.interp(inside, *zip(*knots, strict=True))
    assert [drawn[k] for k in inside] == pytest.approx(list(wanted), abs=1e-12)
    assert [drawn[k] for k in range(31) if k not in inside] == [line[k] for k in range(31) if k not in inside]


@pytest.mark.parametrize("largest", [3e-4, 0.8, 1, 3, 20, 60, 100, 140, 5000])
def test_the_axis_has_few_round_numbers(run, largest):
    marks = run("const answer = ticks(given);", largest)
    assert marks[0] == 0
    assert 3 <= len(marks) <= 6
    assert largest - marks[1] < marks[-1] <= largest * (1 + 1e-9)
    assert f"{marks[1]:.1e}"[:3] in ("1.0", "2.0", "2.5", "5.0")


def test_names_at_the_ends_stand_apart_and_inside(run):
    ends = [{"before": b, "end": e} for b, e in [(0.5, 0.5), (0.48, 0.5), (0.9, 0.0), (0.0, 0.02), (0.0, 0.0)]]
    heights = run("const answer = places(given);", ends)
    assert all(b - a >= 9 - 1e-9 for a, b in zip(sorted(heights), sorted(heights)[1:], strict=False))
    assert max(heights) <= 96
    assert min(heights) >= 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reached": 30, "drawn": [0.0, *[1.5] * 30]}, "At epoch 60 you said 1.5. It was 3.0 for plain, 1.5 above your line."),
        ({"reached": 15, "drawn": [0.0, *[9.0] * 30]}, "At epoch 30 you said 9.0. It was 2.0 for plain, 7.0 below your line. At epoch 60 it was 3.0 for plain."),
        ({"reached": 30, "drawn": TRUTH}, "At epoch 60 you said 3.0. It was 3.0 for plain, as you drew it."),
        ({"other": [0.5] * 31, "other_label": "P-ON"}, "At epoch 60 it was 3.0 for plain, 0.5 for P-ON."),
        ({"other": [0.5] * 31, "other_label": "P-ON", "reached": 30}, "At epoch 60 you said 0.0. It was 3.0 for plain, 3.0 above your line; 0.5 for P-ON."),
    ],
)  # fmt: skip
def test_the_guess_and_what_was_are_compared_in_numbers(run, changes, words):
    assert run("const answer = compared(given);", values(**changes)) == words


def test_the_picture_s_words_say_the_curves_only_when_they_are_open(run):
    hill = [4 - abs(k - 15) / 5 for k in range(31)]
    shut, opened = run(
        "const answer = [inWords(given, false), inWords(given, true)];", values(truth=hill, note="Mean of 5.")
    )
    assert shut == "Length, from epoch 0 to epoch 60. The first point is 1.0; the recorded curve is not shown yet."
    assert (
        opened == "Length, from epoch 0 to epoch 60. Plain: from 1.0, with its top 4.0 at epoch 30, to 1.0. Mean of 5."
    )


# ---- recorded curves ----


def test_recorded_curves_come_as_they_were_recorded():
    recorded = results.load("pon-mnist")
    epochs, lengths = recorded.curve("vanilla", "length")
    other = recorded.curve("P-ON", "length")[1]
    figure = widgets.DrawCurve.of(epochs, lengths, name_y="mean length", other=other, other_arm="P-ON")
    assert figure.largest_x == epochs[-1]
    assert (figure.truth[0], figure.truth[-1]) == pytest.approx((lengths[:, 0].mean(), lengths[:, -1].mean()))
    assert figure.truth == pytest.approx(np.interp(np.linspace(0, epochs[-1], 31), epochs, lengths.mean(0)).tolist())
    assert figure.other[-1] == pytest.approx(other[:, -1].mean())
    assert (figure.label, figure.other_label) == ("plain cross entropy", "P-ON")
    assert (figure.colour, figure.other_colour) == (look.style("vanilla").token, look.style("P-ON").token)
    spreads = [f"{runs[:, -1].std(ddof=1):.2g}." for runs in (lengths, other)]
    parts = zip(("Plain cross entropy", "P-ON"), (lengths, other), spreads, strict=True)
    assert figure.note == " ".join(
        f"{label}: mean of {len(runs)} runs, standard deviation at the end {spread}" for label, runs, spread in parts
    )
    assert figure.largest_y >= 1.25 * max(figure.truth + figure.other)
    assert not figure.shown


def test_a_single_curve_has_no_spread_and_dashes_are_the_arm_s():
    figure = widgets.DrawCurve.of([0, 1, 2], [0, 0, 0], name_y="loss", arm="weight decay", label="ours")
    assert (figure.note, figure.largest_y, figure.label, figure.dash) == ("", 1.0, "ours", "12.5 5.5")
    assert widgets.DrawCurve.of([0, 1], [0, 3], name_y="loss", largest_y=7, note="n = 1").largest_y == 7


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([0, 1, 2], [1, float("nan"), 2], "y must be finite and not below 0"),
        ([0, 1, 2], [1, -1, 2], "y must be finite and not below 0"),
        ([0, 1, 2], [1, 2], r"y must have the shape \(E,\) or \(n, E\) with E = 3, got \(2,\)"),
        ([0, 1], np.zeros((0, 2)), "y must have the shape"),
        ([1, 2], [1, 2], "x must be two or more numbers that ascend from 0"),
        ([0, 2, 2], [1, 2, 3], "ascend from 0"),
        ([0], [1], "two or more"),
    ],
)
def test_curves_that_cannot_be_drawn_are_refused(x, y, words):
    with pytest.raises(ValueError, match=words):
        widgets.DrawCurve.of(x, y, name_y="loss")


def test_other_refusals():
    with pytest.raises(ValueError, match="other must be finite"):
        widgets.DrawCurve.of([0, 1], [1, 2], name_y="loss", other=[1, math.inf], other_arm="P-ON")
    with pytest.raises(ValueError, match="no look for the arm 'mine'"):
        widgets.DrawCurve.of([0, 1], [1, 2], name_y="loss", arm="mine")
    with pytest.raises(traitlets.TraitError, match=r"truth must be 31 numbers in \[0,"):
        widgets.DrawCurve(truth=[-1.0] * 31)


# ---- in Chromium ----


def place(**changes: Any) -> str:
    return widgets.static_html(NAME, **values(**{"other": [0.5] * 31, "other_label": "P-ON", **changes}))


def mounted(page: Any) -> Any:
    page.locator("[data-widget][data-mounted=true]").wait_for()
    return page.locator("[data-widget]")


def said(figure: Any) -> str:
    return figure.get_by_role("status").inner_text()


def seen(figure: Any) -> list[bool]:
    """Return whether each recorded curve, and each of their names, is seen."""
    nodes = figure.locator("path.lf-recorded, .lf-tag.lf-recorded").all()
    return [node.evaluate("node => getComputedStyle(node).visibility") == "visible" for node in nodes]


def centre(figure: Any) -> tuple[float, float]:
    box = figure.locator(".lf-handle").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def plot(figure: Any) -> dict[str, float]:
    return figure.locator("div:has(> .lf-handle)").bounding_box()


@pytest.mark.browser
def test_the_mouse_draws_and_the_line_stays_beside_what_was(open_places):
    page = open_places(place())
    figure = mounted(page)
    assert seen(figure) == [False] * 4
    (x, y), box = centre(figure), plot(figure)
    assert (y - box["y"]) / box["height"] == pytest.approx(0.95, abs=0.01), "the pen stands at 1 of 20"
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + box["width"] / 2, y - 0.3 * box["height"])  # to 7 at epoch 30
    page.mouse.move(x + 2 * box["width"], y - 0.05 * box["height"])  # to 2 at epoch 60, and beyond the frame
    page.mouse.up()
    assert said(figure) == "Your line ends at 2.0."
    assert seen(figure) == [False] * 4
    mine = figure.locator(".lf-yours").get_attribute("d")
    assert mine.count("L") == 30
    figure.get_by_role("button", name="Show what happened").click()
    assert seen(figure) == [True] * 4
    assert said(figure) == "At epoch 60 you said 2.0. It was 3.0 for plain, 1.0 above your line; 0.5 for P-ON."
    assert "Plain: from 1.0 to 3.0." in figure.locator("svg[role=img]").get_attribute("aria-label")
    assert figure.locator(".lf-yours").get_attribute("d") == mine
    page.mouse.click(x + box["width"] / 3, y - 50)
    assert figure.locator(".lf-yours").get_attribute("d") == mine, "the guess can be changed after the answer"
    figure.get_by_role("button", name="Draw again").click()
    assert seen(figure) == [False] * 4
    assert said(figure) == "The first point is given: 1.0 at epoch 0."
    assert centre(figure) == pytest.approx((x, y), abs=1)


@pytest.mark.browser
def test_a_press_carries_the_line_there(open_places):
    page = open_places(place())
    figure = mounted(page)
    box = plot(figure)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 0.5 * box["height"])
    assert said(figure) == "Your line has come to epoch 30: 10.0. Draw on."
    page.mouse.click(box["x"] + box["width"] - 1, box["y"] + 0.2 * box["height"])
    assert said(figure) == "Your line ends at 16.0."
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 0.9 * box["height"])  # one point of it, mended
    assert said(figure) == "Your line at epoch 30: 2.0."
    figure.get_by_role("button").click()
    assert said(figure).startswith("At epoch 60 you said 16.0.")


@pytest.mark.browser
def test_the_keys_draw_walk_back_and_mend(open_places):
    page = open_places(place())
    figure = mounted(page)
    pen = figure.get_by_role("slider", name="pen, along the axis")
    pen.focus()
    for key in ["ArrowRight", "ArrowUp", "ArrowUp", "ArrowRight", "ArrowLeft", "ArrowLeft"]:
        page.keyboard.press(key)
    assert said(figure) == "Your line at epoch 0: 1.0."
    page.keyboard.press("ArrowRight")
    assert said(figure) == "Your line at epoch 2: 2.3."
    page.keyboard.press("ArrowDown")
    assert said(figure) == "Your line at epoch 2: 1.7."
    page.keyboard.press("ArrowRight")
    assert said(figure) == "Your line has come to epoch 4: 2.3. Draw on."
    assert "epoch 4, 2.3" in pen.get_attribute("aria-valuetext")


@pytest.mark.browser
def test_a_finger_draws_with_the_pen_while_the_page_stands_still_and_scrolls_it_elsewhere(open_places):
    page = open_places(f"{place()}<div style='height:2000px'></div>", width=390, height=780, touch=True)
    figure = mounted(page)
    session = page.context.new_cdp_session(page)

    def finger(x: float, y: float, dx: float, dy: float) -> None:
        for k in range(9):
            points = [{"x": x + dx * k / 8, "y": y + dy * k / 8}]
            session.send(
                "Input.dispatchTouchEvent", {"type": "touchMove" if k else "touchStart", "touchPoints": points}
            )
            page.wait_for_timeout(16)
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_timeout(200)

    box = plot(figure)
    finger(*centre(figure), box["width"], -0.4 * box["height"])
    assert re.fullmatch(r"Your line ends at (8\.9|9\.0|9\.1)\.", said(figure))
    assert page.evaluate("scrollY") == 0
    finger(box["x"] + 0.5 * box["width"], box["y"] + 0.9 * box["height"], 0, -150)
    assert page.evaluate("scrollY") > 0
    assert said(figure).startswith("Your line ends at")


@pytest.mark.browser
def test_print_and_pages_without_scripts_have_the_curves_open(open_places):
    page = open_places(place())
    page.emulate_media(media="print")
    assert seen(mounted(page)) == [True] * 4
    plain = open_places(place(), javascript=False).locator("[data-widget]")
    assert seen(plain) == [True] * 4
    assert "Plain: from 1.0 to 3.0. P-ON: from 0.5 to 0.5." in plain.locator(".luc-live-words").inner_text()
    assert plain.locator(".lf-still").evaluate("node => getComputedStyle(node).opacity") == "1"
    assert not plain.locator(".lf-handle").is_visible()


@pytest.mark.browser
def test_the_answer_does_not_flash_before_the_script_comes(open_page, serve, tmp_path):
    (tmp_path / "index.html").write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>x</title>{place()}</html>'
    )
    page = open_page(f"{serve(tmp_path)}/index.html")
    opacity = "nodes => nodes.map(node => getComputedStyle(node).opacity)"
    shown = page.locator(".lf-still, .luc-live-words")
    assert shown.evaluate_all(opacity) == ["0", "0"]
    page.wait_for_timeout(4200)
    assert shown.evaluate_all(opacity) == ["1", "1"], "where no script of ours comes, the picture must"


@pytest.mark.browser
def test_a_notebook_s_kernel_hears_the_line_and_can_open_the_curve(open_module):
    page = open_module(NAME, one=values())
    page.locator("#one .lf-handle input").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("[models.one.values.reached, models.one.saved]") == [1, 1]
    page.evaluate("models.one.set('shown', true)")
    assert "It was" in page.locator("#one").get_by_role("status").inner_text()
