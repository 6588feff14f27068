"""The live figure `tamed_gradient`: its mathematics against the library's, its peak, its batch, its two handles, its words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import sympy
import torch

from companion import widgets
from companion.methods import tamed_cross_entropy

ALPHAS = [0.0, 1e-9, 0.3, 0.5, 1 - 1e-9, 1.0, 1 + 1e-9, 1.5, 2.0, 3.0]
PROBS = [1e-12, 0.001, 0.01, 0.05, 0.3, 0.6, 0.99, 1 - 1e-9]
NAMES = {side: f"q of the {side} labels, along the curve" for side in ("right", "wrong")}
VALUES = "[models.one.values.right, models.one.values.wrong]"


@pytest.fixture(scope="session")
def run(run_node: Callable[..., Any]) -> Callable[..., Any]:
    """Run this figure's module followed by code."""
    return partial(run_node, "tamed_gradient")


def close(actual: Any, expected: Any) -> None:
    actual, expected = (torch.as_tensor(value, dtype=torch.float64).detach() for value in (actual, expected))
    assert ((actual - expected).abs() <= 1e-9 * (1e-3 + expected.abs())).all(), (actual, expected)


def losses_and_pulls(probs: list[float], alpha: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the library's loss of samples of two classes with these q, and the gradient's size at the label's logit."""
    q = torch.tensor(probs, dtype=torch.float64)
    logits = torch.stack([q.log(), torch.log1p(-q)], 1).requires_grad_()
    loss = tamed_cross_entropy(logits, torch.zeros(len(probs), dtype=torch.long), alpha, reduction="none")
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    return loss.detach(), -gradient[:, 0]


# ---- the mathematics ----


def test_loss_and_pull_are_the_library_s(run):
    shown = run("const answer = given[0].map((a) => given[1].map((q) => [loss(q, a), pull(q, a)]));", [ALPHAS, PROBS])
    for alpha, rows in zip(ALPHAS, shown, strict=True):
        close(rows, torch.stack(losses_and_pulls(PROBS, alpha), 1))


def test_at_the_ends_of_q_loss_and_pull_are_their_limits(run):
    assert run("const answer = given.map((a) => [pull(0, a), pull(1, a), loss(1, a)]);", [0, 0.5, 1, 2]) == [
        [1, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
    ]
    ends = run("const answer = given.flatMap((a) => [loss(0, a), bound(a)]).map(String);", [0, 1, 1.5, 2, 3])
    assert ends == ["Infinity"] * 4 + ["2", "2", "1", "1", "0.5", "0.5"]


def test_the_peak_is_lambert_s_and_the_library_s_pull_is_strongest_there(run):
    assert run("const answer = peak(0);") == 0
    alphas = [0.01, 0.5, 1, 1.5, 2, 3]
    peaks = run("const answer = given.map(peak);", alphas)
    exact = [
        sympy.exp(1 + a + sympy.LambertW(-a * sympy.exp(-1 - a), -1)) for a in map(sympy.Rational, map(str, alphas))
    ]
    close(peaks, [float(value.evalf(20)) for value in exact])
    assert [round(value, 3) for value in peaks[1:5]] == [0.146, 0.318, 0.457, 0.558]
    for alpha, top in zip(alphas, peaks, strict=True):
        _, (before, at, after) = losses_and_pulls([0.98 * top, top, 1.02 * top], alpha)
        assert at > max(before, after)


@pytest.mark.parametrize("noise", [0.05, 0.4, 0.95])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0, 3.0])
def test_the_shares_are_those_of_a_batch_of_the_library(run, alpha, noise):
    for right, wrong in ((0.6, 0.05), (0.01, 0.99), (0.99, 0.01), (0.3, 0.3)):
        given = {"alpha": alpha, "right": right, "wrong": wrong, "noise": noise}
        now = run("const answer = state(given);", given)
        count = round(100 * noise)
        batch = [wrong] * count + [right] * (100 - count)
        for name, strength in (("tamed", alpha), ("cross", 0.0)):
            pulls = losses_and_pulls(batch, strength)[1]
            close([now[name]["mean"], now[name]["share"]], [pulls.mean(), pulls[:count].sum() / pulls.sum()])
        close(now["part"], losses_and_pulls(batch, alpha)[1].sum() / losses_and_pulls(batch, 0.0)[1].sum())


def test_q_is_chosen_in_hundredths_within_its_limits(run):
    assert run("const answer = given.map(snap);", [-1, 0, 0.014, 0.55 + 0.02, 1, 3]) == [
        0.01,
        0.01,
        0.01,
        0.57,
        0.99,
        0.99,
    ]


# ---- the words ----

SENTENCES = [
    ({}, "hold 18 % of the gradient; with cross entropy 61 %.", -1, "0.21"),
    ({"right": 0.12, "wrong": 0.1}, "hold 38 % of the gradient; with cross entropy 41 %.", -1, "0.10"),
    ({"right": 0.05, "wrong": 0.3}, "hold 62 % of the gradient; with cross entropy 33 %.", 1, "0.11"),
    ({"right": 0.3, "wrong": 0.3}, "hold 40 % of the gradient, as with cross entropy.", 0, "0.21"),
    ({"alpha": 0.0}, "hold 61 % of the gradient, as with cross entropy.", 0, None),
]


def test_the_sentence_says_who_holds_the_gradient(run):
    code = """const now = given.map((changes) => state({ ...defaults, ...changes }));
      const answer = now.map((one) => [...sentence(one), fact(one)]);"""
    for (_, words, turn, part), said in zip(SENTENCES, run(code, [one[0] for one in SENTENCES]), strict=True):
        assert said[0].replace("\u00a0", " ") == f"The wrong labels {words}"
        assert said[1] == turn
        batch = (
            f"{part} times as hard as with cross entropy: like a smaller learning rate."
            if part
            else "as hard as with cross entropy."
        )
        assert said[2] == f"The batch pulls {batch}"


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({}, "tamed with α = 2.00: strongest at q* = 0.56, where it is 0.18; cross entropy's is 1 − q."),
        (
            {},
            "Right labels at q = 0.60 have a pull of 0.18 (cross entropy 0.40), wrong ones at q = 0.05 have a pull of 0.06 ",
        ),
        (
            {},
            "With 40 % wrong labels these hold 18 % of the gradient, with cross entropy 61 %; the batch pulls 0.21 times",
        ),
        ({"alpha": 0.0}, "tamed with α = 0.00: strongest at q* = 0.00, where it is 1.00;"),
        (
            {"view": "loss"},
            "The loss of one sample over the probability q of its label, tamed with α = 2.00: below 1.00 for every q;",
        ),
        ({"view": "loss", "alpha": 1.0}, "without a bound; cross entropy's is −log q."),
    ],
)
def test_the_page_without_scripts_has_the_state_in_words(node, parse, model, says):
    assert says in parse(widgets.static_html("tamed_gradient", **model)).words[-1].replace("\u00a0", " ")


# ---- in the page ----


@pytest.mark.browser
def test_handles_sliders_views_and_reset_move_one_state(open_module):
    page = open_module("tamed_gradient", one={})
    figure, status = page.locator("#one"), page.get_by_role("status")
    right, wrong = (figure.get_by_role("slider", name=NAMES[side]) for side in ("right", "wrong"))
    wrong.focus()
    for key in ("Shift+ArrowRight", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.evaluate(VALUES) == [0.6, 0.15]
    right.focus()
    for _ in range(7):
        page.keyboard.press("Shift+ArrowDown")
    assert page.evaluate(VALUES) == [0.01, 0.15]
    assert status.inner_text().startswith("The wrong labels hold 68")
    assert right.get_attribute("aria-valuetext") == "q = 0.01, pull 0.032, with cross entropy 0.990"
    figure.get_by_text("loss", exact=True).click()
    assert page.evaluate("models.one.values.view") == "loss"
    assert right.get_attribute("aria-valuetext") == "q = 0.01, loss 0.822, with cross entropy 4.605"
    figure.get_by_role("slider", name="exponent α").focus()
    page.keyboard.press("ArrowLeft")
    figure.get_by_role("slider", name="share wrong").focus()
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate("[models.one.values.alpha, models.one.values.noise]") == [1.95, 0.9]
    figure.get_by_role("button", name="Reset").click()
    assert page.evaluate("models.one.values") == widgets.values_of("tamed_gradient").defaults


def centre(page: Any, side: str) -> tuple[float, float]:
    """Return where the handle of right or of wrong labels stands in the window."""
    box = page.get_by_role("slider", name=NAMES[side]).locator("xpath=..").bounding_box()
    return box["x"] + 22, box["y"] + 22


def chosen(page: Any) -> list[str]:
    """Return what the handles say of q, right labels first."""
    said = (page.get_by_role("slider", name=NAMES[side]).get_attribute("aria-valuetext") for side in ("right", "wrong"))
    return [words.split(",")[0] for words in said]


@pytest.mark.browser
def test_a_mouse_drags_the_handle_that_is_nearest_and_only_that(open_places):
    """Also where their halos overlap, and where none was hit."""
    page = open_places(widgets.static_html("tamed_gradient", right=0.12, wrong=0.1))
    plane = page.locator(".lf-plot").bounding_box()

    def drag(side: str, to: float) -> None:
        page.mouse.move(*centre(page, side))
        page.mouse.down()
        page.mouse.move(plane["x"] + to * plane["width"], plane["y"] + 20)
        page.mouse.up()

    drag("wrong", 0.05)
    assert chosen(page)[0] == "q = 0.12"
    assert centre(page, "wrong")[0] == pytest.approx(plane["x"] + 0.05 * plane["width"], abs=0.01 * plane["width"])
    drag("right", 0.7)
    assert centre(page, "right")[0] == pytest.approx(plane["x"] + 0.7 * plane["width"], abs=0.01 * plane["width"])
    assert chosen(page)[1] == "q = 0.05"
    page.mouse.click(plane["x"] + 0.9 * plane["width"], plane["y"] + 0.8 * plane["height"])
    assert chosen(page) == ["q = 0.90", "q = 0.05"]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == NAMES["right"]


@pytest.mark.browser
def test_a_finger_drags_and_taps_the_nearest(open_places):
    page = open_places(widgets.static_html("tamed_gradient"), width=390, touch=True)
    plane = page.locator(".lf-plot").bounding_box()
    page.touchscreen.tap(plane["x"] + 0.3 * plane["width"], plane["y"] + 0.9 * plane["height"])
    assert chosen(page) == ["q = 0.60", "q = 0.30"]
    x, y = centre(page, "right")
    session = page.context.new_cdp_session(page)
    for kind, at in (("touchStart", x), ("touchMove", x + 0.2 * plane["width"]), ("touchEnd", None)):
        points = [] if at is None else [{"x": at, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert chosen(page) == ["q = 0.80", "q = 0.30"]


@pytest.mark.browser
@pytest.mark.parametrize("near", ["right", "wrong"])
def test_one_press_moves_one_handle_though_the_other_is_nearest_then(open_places, near):
    """Pressed in a corner, the nearer handle climbs a steep curve, and stands further from the pointer than the other."""
    far = {"right": "wrong", "wrong": "right"}[near]
    values = {near: 0.35, far: 0.05}
    for touch in (False, True):
        page = open_places(widgets.static_html("tamed_gradient", alpha=0.0, **values), touch=touch)
        plane = page.locator(".lf-plot").bounding_box()
        press = page.touchscreen.tap if touch else page.mouse.click
        press(plane["x"] + 0.04 * plane["width"], plane["y"] + plane["height"] - 1)
        assert dict(zip(("right", "wrong"), chosen(page), strict=True)) == {near: "q = 0.04", far: "q = 0.05"}


@pytest.mark.browser
def test_the_drawn_curve_and_its_peak_are_the_function_s(open_module):
    page = open_module("tamed_gradient", one={"alpha": 1.0})
    path = page.locator(".lf-tamed").get_attribute("d")
    points = [[float(value) for value in part.split()] for part in path.strip("M").split(" L")]
    x, y = torch.tensor(points[1:-1], dtype=torch.float64).unbind(1)
    q = torch.tensor([(i / 200) ** 2 for i in range(1, 200)], dtype=torch.float64)
    assert (x / 500 - q).abs().max() < 1e-4
    assert (1.25 * (1 - y / 400) - losses_and_pulls(q.tolist(), 1.0)[1]).abs().max() < 1e-4
    top = page.locator(".lf-top")
    assert float(top.get_attribute("cx")) == pytest.approx(500 * 0.3178, abs=0.1)
    assert float(top.get_attribute("cy")) == pytest.approx(y.min().item(), abs=0.05)
    page.evaluate("models.one.set('view', 'loss')")
    assert page.locator(".lf-bound").get_attribute("d") == ""
    page.evaluate("models.one.set('alpha', 3)")
    heights = {float(part.split()[1]) for part in page.locator(".lf-bound").get_attribute("d").strip("M").split(" L")}
    assert heights == {400 * (1 - 0.5 / 6.25)}


@pytest.mark.browser
@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_moves_by_itself_with_reduced_motion(open_places, motion):
    page = open_places(widgets.static_html("tamed_gradient"), reduced_motion=motion)
    page.locator(".lf-seen").wait_for()
    running = page.evaluate("document.getAnimations().map((one) => one.animationName)")
    assert running == ([] if motion == "reduce" else ["lf-breathe"] * 2)


CLASHES = """() => {
  const boxes = [...document.querySelectorAll(".lf-tag")].filter((node) => node.textContent)
    .map((node) => [node.textContent, node.getBoundingClientRect()]);
  const dots = [...document.querySelectorAll(".lf-dot")].map((node) => node.getBoundingClientRect());
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const found = boxes.flatMap(([a, box], i) => boxes.slice(i + 1).filter(([, other]) => meet(box, other)).map(([b]) => `${a} | ${b}`));
  for (const dot of dots) found.push(...boxes.filter(([, box]) => meet(box, dot)).map(([a]) => `${a} | handle`));
  const image = document.querySelector(".lf-plot > svg").getBoundingClientRect();
  const room = document.querySelector(".lf").getBoundingClientRect();
  found.push(...boxes.filter(([, box]) => box.left < room.left || box.right > room.right).map(([a]) => `${a} | edge`));
  for (const curve of document.querySelectorAll(".lf-cross, .lf-tamed, .lf-bound")) {
    const length = curve.getAttribute("d") ? curve.getTotalLength() : 0;
    for (let k = 0; length && k <= 300; k += 1) {
      const { x, y } = curve.getPointAtLength((k / 300) * length).matrixTransform(curve.getScreenCTM());
      if (y < image.top) continue;
      for (const [a, box] of boxes) if (x > box.left && x < box.right && y > box.top && y < box.bottom) found.push(`${a} | ${curve.getAttribute("class")}`);
    }
  }
  return [...new Set(found)];
}"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("view", ["pull", "loss"])
def test_no_word_of_the_picture_covers_another_a_curve_or_a_handle(open_module, width, view):
    """For every α of the slider, with the handles at their ends, side by side, and where curves are named."""
    page = open_module("tamed_gradient", one={"view": view})
    page.set_viewport_size({"width": width, "height": 900})
    pairs = [(0.01, 0.02), (0.99, 0.98), (0.6, 0.05), (0.15, 0.25), (0.1, 0.3), (0.45, 0.55)]
    clashes = {}
    for step in range(31):
        for right, wrong in pairs:
            for name, value in (("alpha", step / 10), ("right", right), ("wrong", wrong)):
                page.evaluate(f"models.one.set('{name}', {value})")
            if found := page.evaluate(CLASHES):
                clashes[step / 10, right, wrong] = found
    assert clashes == {}
