"""The live figure `valley`: its mathematics against the library's, its three samples, its controls, its words in the picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from companion import geometry, widgets
from companion.symbolic import partial_output_norm as sym

SCALES = [0.05, 0.3, 1.0, 2.0, 3.7, 8.0]
VECTORS = [[1.2, 0.2, -0.4], [0.4, 0.5, -0.7], [-0.3, 1.3, -0.4], [2.5, 1.2], [0.0, 0.0, 0.0], [90.0, -80.0, 3.0, 3.0]]
SAMPLES = widgets.values_of("valley").limits["sample"]


@pytest.fixture(scope="session")
def run(run_node: Callable[..., Any]) -> Callable[..., Any]:
    """Run this figure's module followed by code."""
    return partial(run_node, "valley")


def close(actual: Any, expected: Any) -> None:
    actual, expected = (torch.as_tensor(value, dtype=torch.float64).detach() for value in (actual, expected))
    assert ((actual - expected).abs() <= 1e-9 * (1 + expected.abs())).all(), (actual, expected)


# ---- the mathematics ----


def test_loss_entropy_and_slope_along_the_ray_are_the_library_s(run):
    cases = [[z, label, s] for z in VECTORS for label in range(len(z)) for s in SCALES]
    shown = run("const answer = given.map(([z, label, s]) => along(z, label, s));", cases)
    for (z, label, s), now in zip(cases, shown, strict=True):
        scale = torch.tensor(s, dtype=torch.float64, requires_grad=True)
        scaled = scale * torch.tensor(z, dtype=torch.float64)
        loss, entropy = F.cross_entropy(scaled, torch.tensor(label)), geometry.entropy(scaled.softmax(0), dim=0)
        (slope,) = torch.autograd.grad(loss, scale)
        close(now["probs"], scaled.softmax(0))
        close(now["loss"], loss)
        close(now["entropy"], entropy)
        close(now["slope"], s * slope)
        close(now["slope"], loss - entropy)


def test_it_is_the_curve_of_the_chapter_s_derivation(run):
    z, s = sym.logits(3), sym.sp.Symbol("s", positive=True)
    loss = sym.loss_along_the_ray(z, 0, s)
    exact = sym.as_function([*z, s], (loss, s * sym.sp.diff(loss, s)))
    for vector in VECTORS[:3]:
        shown = run("const answer = given.map(([z, s]) => along(z, 0, s));", [[vector, scale] for scale in SCALES])
        for scale, now in zip(SCALES, shown, strict=True):
            close([now["loss"], now["slope"]], exact(*vector, scale))


def test_the_floor_is_where_the_slope_turns(run):
    floors = run("const answer = limits.sample.map((word) => floor(logits[word], 0)).map(String);")
    right, narrow, confident = (float(value.replace("Infinity", "inf")) for value in floors)
    assert (right, confident) == (math.inf, 0)
    assert narrow == pytest.approx(2, abs=0.005)
    now = run(
        "const answer = [0.999, 1, 1.001].map((part) => along(logits[given[0]], 0, part * given[1]));",
        [SAMPLES[1], narrow],
    )
    assert now[0]["slope"] < -1e-6
    assert abs(now[1]["slope"]) < 1e-12
    assert now[2]["slope"] > 1e-6
    z = torch.linspace(0.1, 20, 500, dtype=torch.float64)[:, None] * torch.tensor(VECTORS[0], dtype=torch.float64)
    assert (F.cross_entropy(z, torch.zeros(500, dtype=torch.long), reduction="none").diff() < 0).all()


def test_the_samples_are_what_their_names_say(run):
    z = torch.tensor([run("const answer = logits[given];", word) for word in SAMPLES], dtype=torch.float64)
    margins, probs = geometry.margin(z, torch.zeros(3, dtype=torch.long)), z.softmax(1)
    assert margins[0] > 0
    assert -0.2 < margins[1] < 0
    assert margins[2] < 0
    assert probs[2, 1] > 0.7, "it is confident"


def test_the_grid_of_scales_holds_its_ends_and_the_powers_of_two(run):
    assert run("const answer = given.map(snap);", [0.001, 0.05, 0.5, 1.004, 2, 4, 8, 100]) == [
        0.05,
        0.05,
        0.5,
        1,
        2,
        4,
        8,
        8,
    ]


# ---- the words ----

SENTENCES = [
    ({}, "loss < entropy: the vector grows", 1),
    ({"scale": 2.0}, "loss = entropy: the vector rests", 0),
    ({"scale": 4.0}, "loss > entropy: the vector shrinks", -1),
    ({"sample": "right", "scale": 5.0}, "loss < entropy: the vector grows", 1),
    ({"sample": "confidently wrong", "scale": 0.05}, "loss > entropy: the vector shrinks", -1),
]


def test_the_sentence_says_what_is_the_case(run):
    code = "const answer = given.map((changes) => sentence(state({ ...defaults, ...changes })));"
    assert run(code, [state for state, _, _ in SENTENCES]) == [[words, turn] for _, words, turn in SENTENCES]


def test_the_page_without_scripts_has_the_state_in_words(node, parse):
    words = parse(widgets.static_html("valley")).words[-1]
    assert "sample that is narrowly wrong, (0.4, 0.5, −0.7) with class 1 true" in words
    assert "at s = 1.00 the loss 0.891 is below the entropy 0.996, so gradient descent lengthens the vector" in words
    assert words.endswith("the loss is lowest at s = 2.00, where the two cross.")
    assert parse(widgets.static_html("valley", sample="right")).words[-1].endswith("lowest at infinity.")


# ---- in the page ----


@pytest.mark.browser
def test_buttons_slider_handle_and_reset_move_one_state(open_module):
    page = open_module("valley", one={})
    figure, status = page.locator("#one"), page.get_by_role("status")
    values = "[models.one.values.sample, models.one.values.scale]"
    figure.get_by_text("confidently wrong", exact=True).click()
    assert page.evaluate(values) == ["confidently wrong", 1]
    assert status.inner_text() == "loss > entropy: the vector shrinks"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(values) == ["narrowly wrong", 1]
    assert figure.get_by_role("radio", name="narrowly wrong").is_checked()
    handle = figure.get_by_role("slider", name="scale s along the curve")
    handle.focus()
    for key in ("Shift+ArrowRight", *["ArrowUp"] * 6):
        page.keyboard.press(key)
    assert page.evaluate(values) == ["narrowly wrong", 2]
    assert status.inner_text() == "loss = entropy: the vector rests"
    assert handle.get_attribute("aria-valuetext") == "s = 2.00, loss 0.847, entropy 0.847"
    slider = figure.get_by_role("slider", name="scale s", exact=True)
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(values)[1] == pytest.approx(2 ** (15 / 16), rel=1e-5)
    assert slider.get_attribute("aria-valuetext") == "1.92"
    page.evaluate("models.one.set('scale', 8)")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(values)[1] == 8
    figure.get_by_role("button", name="Reset").click()
    assert page.evaluate(values) == ["narrowly wrong", 1]


@pytest.mark.browser
@pytest.mark.parametrize("touch", [False, True])
def test_a_pointer_drags_along_the_curve(open_places, touch):
    page = open_places(widgets.static_html("valley"), width=390 if touch else 1280, touch=touch)
    status = page.get_by_role("status")
    plane, dot = page.locator(".lf-plot").bounding_box(), page.locator(".lf-handle").bounding_box()
    y = plane["y"] + 0.2 * plane["height"]
    if touch:
        page.touchscreen.tap(plane["x"] + 0.85 * plane["width"], y)
    else:
        page.mouse.move(dot["x"] + 22, dot["y"] + 22)
        page.mouse.down()
        page.mouse.move(plane["x"] + 0.85 * plane["width"], y)
        page.mouse.up()
    assert status.inner_text() == "loss > entropy: the vector shrinks"
    after = page.locator(".lf-handle").bounding_box()
    assert (after["x"] + 22 - plane["x"]) / plane["width"] == pytest.approx(0.85, abs=0.01)
    assert after["y"] + 22 > y + 10, "it stays on the curve"


@pytest.mark.browser
def test_the_triangle_is_an_e_fold_wide_and_as_high_as_the_gap(open_module):
    """What the picture proves: long side = tangent, since its rise over a width of 1 is loss − entropy."""
    page = open_module("valley", one={"sample": "confidently wrong"})
    path = page.locator(".lf-triangle").get_attribute("d")
    here, below, back = ([float(value) for value in part.split()] for part in path.strip("M Z").split(" L"))
    assert below[0] == here[0]
    assert back[1] == below[1]
    assert here[0] - back[0] == pytest.approx(500 / math.log(12 / 0.045), abs=0.02)
    z = torch.tensor(VECTORS[2], dtype=torch.float64)
    gap = F.cross_entropy(z, torch.tensor(0)) - geometry.entropy(z.softmax(0), dim=0)
    assert below[1] - here[1] == pytest.approx(400 * gap.item() / 4, abs=0.02)


CLASHES = """() => {
  const boxes = [...document.querySelectorAll(".lf-tag")].filter((node) => node.textContent)
    .map((node) => [node.textContent, node.getBoundingClientRect()]);
  const dot = document.querySelector(".lf-dot").getBoundingClientRect();
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const found = boxes.flatMap(([a, box], i) => boxes.slice(i + 1).filter(([, other]) => meet(box, other)).map(([b]) => `${a} | ${b}`));
  found.push(...boxes.filter(([, box]) => meet(box, dot)).map(([a]) => `${a} | handle`));
  const frame = document.querySelector(".lf-plot > svg").getBoundingClientRect();
  for (const curve of document.querySelectorAll(".lf-loss, .lf-entropy")) {
    const [matrix, length] = [curve.getScreenCTM(), curve.getTotalLength()];
    for (let k = 0; k <= 300; k += 1) {
      const { x, y } = curve.getPointAtLength((k / 300) * length).matrixTransform(matrix);
      if (y < frame.top) continue;
      for (const [a, box] of boxes) if (x > box.left && x < box.right && y > box.top && y < box.bottom) found.push(`${a} | curve`);
    }
  }
  return [...new Set(found)];
}"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_no_word_of_the_picture_covers_another_a_curve_or_the_handle(open_places, width):
    """All three samples, from one end of the ray to the other."""
    page = open_places(widgets.static_html("valley"), width=width)
    for word in SAMPLES:
        page.get_by_text(word, exact=True).click()
        handle = page.get_by_role("slider", name="scale s along the curve")
        handle.focus()
        for _ in range(12):
            page.keyboard.press("Shift+ArrowLeft")
        for step in range(20):
            assert page.evaluate(CLASHES) == [], (word, step, handle.get_attribute("aria-valuetext"))
            for _ in range(6):
                page.keyboard.press("ArrowRight")
