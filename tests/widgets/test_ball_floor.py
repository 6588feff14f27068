"""The live figure `ball_floor`: its numbers against the library's, its labels, its controls."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import traitlets

from companion import geometry, widgets
from companion.symbolic import partial_output_norm as sym

THRESHOLDS = [0.001, 0.5, 1.0, 2.0, 3.3, 6.0, 10.0, 20.0, 1000.0]
CLASSES = [2, 10, 100, 1000]


@pytest.fixture(scope="session")
def run(run_node: Callable[..., Any]) -> Callable[..., Any]:
    """Run this figure's module followed by code."""
    return partial(run_node, "ball_floor")


# ---- the mathematics ----


def test_ceiling_and_floor_are_the_library_s_and_the_derivation_s(run):
    cases = [[count, threshold] for count in CLASSES for threshold in THRESHOLDS]
    shown = run("const answer = given.map(([c, t]) => [ceiling(c, t), lowestLoss(c, t)]);", cases)
    exact = {count: sym.as_function([sym.DELTA], sym.loss_floor(count)) for count in CLASSES}
    for (count, threshold), (confidence, loss) in zip(cases, shown, strict=True):
        assert confidence == pytest.approx(geometry.confidence_ceiling(count, threshold=threshold), rel=1e-12)
        assert loss == pytest.approx(exact[count](threshold), rel=1e-9, abs=1e-15)
        assert math.exp(-loss) == pytest.approx(confidence, rel=1e-12)


@pytest.mark.parametrize("count", CLASSES[:3])
def test_the_bound_is_reached_at_the_class_axis_and_nowhere_passed(run, count):
    delta = 2.5
    bound = run("const answer = ceiling(...given);", [count, delta])
    best = torch.tensor([float(value) for value in sym.class_axis_point(count, 0, delta)], dtype=torch.float64)
    assert best.norm().item() == pytest.approx(delta)
    assert best.softmax(0)[0].item() == pytest.approx(bound, rel=1e-12)
    others = F.normalize(
        torch.randn(2000, count, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), dim=1
    )
    assert (delta * others).softmax(1).max().item() < bound


def test_numbers_never_say_that_everything_is_possible(run):
    shares = run("const answer = given.map(percent);", [0.00072, 0.478, 0.9994, 0.99951, 1.0])
    assert shares == ["0.1\u00a0%", "47.8\u00a0%", "99.9\u00a0%", ">\u00a099.9\u00a0%", ">\u00a099.9\u00a0%"]
    assert run("const answer = given.map(small);", [0.0004, 0.0006, 4.913]) == ["< 0.001", "0.001", "4.913"]


def test_labels_are_spread_within_the_plot_and_keep_their_order(run):
    cases = [[0.0, 0.01, 0.02, 0.7], [0.98, 0.99, 1.0, 1.0], [0.2, 0.5, 0.8, 0.9], [0.5] * 4, [0.04, 0.1, 0.14, 0.9]]
    shown = run("const answer = given.map((heights) => kit.spread(heights, 0.09, 0.045, 0.955));", cases)
    for heights in shown:
        assert all(b - a >= 0.09 - 1e-9 for a, b in itertools.pairwise(heights)), heights
        assert heights[0] >= 0.045 - 1e-9
        assert heights[-1] <= 0.955 + 1e-9
    assert shown[2][:2] == cases[2][:2], "what has room stays where it is"


# ---- the words ----


def test_the_sentence_and_the_words_of_the_picture(run, node, parse):
    say = "const answer = given.map((threshold) => sentence({ threshold }));"
    assert [text.replace("\u00a0", " ") for text in run(say, [2, 0.75, 20])] == [
        "δ = 2.0: with 10 classes no answer can be surer than 47.8 %.",
        "δ = 0.75: with 10 classes no answer can be surer than 19.7 %.",
        "δ = 20.0: with 10 classes the ball still allows answers surer than 99.9 %.",
    ]
    words = parse(widgets.static_html("ball_floor")).words[-1].replace("\u00a0", " ")
    assert words.endswith("At δ = 2.0: 94.4 % with 2, 47.8 % with 10, 7.0 % with 100 and 0.7 % with 1000 classes.")


def test_its_threshold_is_the_output_ball_s():
    """One name, one default, the same limits: figures of a page can share it."""
    one, other = (widgets.values_of(name) for name in ("ball_floor", "output_ball"))
    assert one.defaults["threshold"] == other.defaults["threshold"]
    assert one.limits["threshold"] == other.limits["threshold"]
    with pytest.raises(traitlets.TraitError, match=re.escape("threshold must be a finite number in [0.001, 1000]")):
        widgets.BallFloor(threshold=0)


# ---- in the page ----

CLASHES = """() => {
  const boxes = [...document.querySelectorAll(".lf-tag")].map((node) => [node.textContent, node.getBoundingClientRect()]);
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const dot = document.querySelector(".lf-dot").getBoundingClientRect();
  return [...boxes.flatMap(([a, box], i) => boxes.slice(i + 1).filter(([, other]) => meet(box, other)).map(([b]) => `${a} | ${b}`)),
    ...boxes.filter(([, box]) => meet(box, dot)).map(([a]) => `${a} | handle`),
    ...boxes.filter(([, box]) => box.left < 0 || box.right > document.documentElement.clientWidth).map(([a]) => `${a} | edge`)];
}"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_no_label_covers_another_or_the_handle(open_places, width):
    page = open_places(widgets.static_html("ball_floor", threshold=0.5), width=width)
    page.get_by_role("slider", name="δ along the curve").focus()
    for step in range(66):
        assert page.evaluate(CLASHES) == [], f"after {step} steps"
        for _ in range(1 if step < 40 else 6):
            page.keyboard.press("ArrowRight")


@pytest.mark.browser
def test_handle_slider_and_notebook_move_one_threshold(open_module):
    page = open_module("ball_floor", one={})
    figure = page.locator("#one")

    def row(count: int) -> list[str]:
        cells = figure.locator("tbody tr").nth(CLASSES.index(count)).locator("td").all_inner_texts()
        return [cell.replace("\u00a0", " ") for cell in cells]

    def expected(count: int, threshold: float) -> list[str]:
        ceiling = geometry.confidence_ceiling(count, threshold=threshold)
        return [f"{100 * ceiling:.1f} %", f"{-math.log(ceiling):.3f}"]

    assert row(10) == expected(10, 2.0)
    figure.get_by_role("slider", name="δ along the curve").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("models.one.values.threshold") == 3.1
    assert row(1000) == expected(1000, 3.1)
    figure.get_by_role("slider", name="threshold δ").focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("models.one.values.threshold") == 3
    assert row(100) == expected(100, 3.0)

    plane = figure.locator(".lf-plot").bounding_box()
    page.mouse.click(plane["x"] + plane["width"] - 1, plane["y"] + 20)
    assert page.evaluate("models.one.values.threshold") == 20, "the plot's end is the largest that it offers"
    page.evaluate("models.one.set('threshold', 50)")
    assert figure.get_by_role("slider", name="δ along the curve").get_attribute("aria-valuetext") == "δ = 50.0"
    assert figure.locator(".lf-handle").bounding_box()["x"] + 22 == pytest.approx(plane["x"] + plane["width"], abs=1)
    figure.get_by_role("button", name="Reset").click()
    assert page.evaluate("models.one.values.threshold") == 2
