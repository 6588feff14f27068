"""The live figure `robust_family`: its weights are the library's gradients, its losses the library's and Barron's."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from companion import widgets
from companion.methods import tamed_cross_entropy
from companion.methods.baselines import (
    generalized_cross_entropy,
    partially_huberised_cross_entropy,
    softmax_mae,
    symmetric_cross_entropy,
)

LOSSES = [0.0, 1e-6, 0.1, 1.0, math.log(10), 6.0, 40.0]
TAILS = [0.0, 1e-12, 0.01, 0.5, 0.999999, 1.0, 1.000001, 1.5, 2.0]
SLOPES = [0.0, 1e-12, 0.3, 1.0, 2.0]
PLACES = [{"tail": tail, "slope": slope} for tail in TAILS for slope in SLOPES]
BOTH = "const answer = given.map(([loss, place]) => [weight(loss, place), robust(loss, place)]);"


@pytest.fixture(scope="session")
def run(run_node: Callable[..., Any]) -> Callable[..., Any]:
    """Run this figure's module followed by code."""
    return partial(run_node, "robust_family")


def close(actual: Any, expected: Any) -> None:
    actual, expected = (torch.as_tensor(value, dtype=torch.float64).detach() for value in (actual, expected))
    assert ((actual - expected).abs() <= 1e-9 * (1 + expected.abs())).all(), (actual, expected)


# ---- the mathematics ----

LIBRARY = [
    *[
        ({"tail": 1 / alpha, "slope": alpha}, partial(tamed_cross_entropy, alpha=alpha), 1)
        for alpha in (0.5, 0.8, 1.0, 1.5, 2.0)
    ],
    *[({"tail": 0.0, "slope": q}, partial(generalized_cross_entropy, q=q), 1) for q in (0.3, 0.7, 1.0)],
    ({"tail": 0.0, "slope": 1.0}, softmax_mae, 2),
    *[({"tail": tail, "slope": 0.0}, F.cross_entropy, 1) for tail in (0.0, 1.0, 2.0)],
]


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (60, 5), from sure to absurd, and labels (60,)."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.linspace(0.1, 15, 60, dtype=torch.float64)[:, None]
    z = scale * torch.randn(60, 5, dtype=torch.float64, generator=generator)
    return z.requires_grad_(), torch.randint(5, (60,), generator=generator)


@pytest.mark.parametrize(("place", "criterion", "factor"), LIBRARY)
def test_weight_times_p_minus_y_is_the_library_s_gradient(run, place, criterion, factor):
    z, y = rows()
    (gradient,) = torch.autograd.grad(criterion(z, y, reduction="sum"), z)
    losses = F.cross_entropy(z, y, reduction="none")
    found = torch.tensor(run(BOTH, [[loss, place] for loss in losses.tolist()]), dtype=torch.float64)
    close(factor * found[:, :1] * (z.softmax(1) - F.one_hot(y, 5)), gradient)
    close(factor * found[:, 1], criterion(z, y, reduction="none"))


@pytest.mark.parametrize(
    ("name", "criterion"),
    [("Huberised CE", partially_huberised_cross_entropy), ("symmetric CE", symmetric_cross_entropy)],
)
def test_so_are_those_of_the_two_that_are_not_in_the_family(run, name, criterion):
    z, y = rows()
    (gradient,) = torch.autograd.grad(criterion(z, y, reduction="sum"), z)
    losses = F.cross_entropy(z, y, reduction="none")
    weights = run(
        "const answer = given.losses.map(others[given.name].weight);", {"losses": losses.tolist(), "name": name}
    )
    close(torch.tensor(weights, dtype=torch.float64)[:, None] * (z.softmax(1) - F.one_hot(y, 5)), gradient)
    bound = float(run("const answer = String(others[given].bound);", name).replace("Infinity", "inf"))
    far = criterion(torch.tensor([[0.0, 600.0]], dtype=torch.float64), torch.tensor([0])).item()
    assert far == pytest.approx(bound) if bound < math.inf else far > 60


def test_it_is_barron_s_loss_of_the_cross_entropy(run):
    """ρ(x; a, c) of x²/2 = L with a = 2 − 2/s and c = 1/√k, times c²: the loss whose slope in L is 1 at 0."""
    cases = [(loss, tail, slope) for loss in LOSSES for tail in (0.25, 0.5, 0.8, 1.5, 2.0) for slope in (0.3, 1.0, 2.0)]
    shown = run(BOTH, [[loss, {"tail": tail, "slope": slope}] for loss, tail, slope in cases])
    for (loss, tail, slope), (_, value) in zip(cases, shown, strict=True):
        a, square = 2 - 2 / tail, 2 * loss * slope  # (x/c)²
        close(value, abs(a - 2) / a * ((square / abs(a - 2) + 1) ** (a / 2) - 1) / slope)


def test_the_loss_is_the_integral_of_the_weight(run):
    """By Gauss and Legendre's rule in log(1 + L), where the weight is smooth."""
    end, count = 40.0, 80
    off = torch.arange(1, count, dtype=torch.float64)
    jacobi = torch.diag(off / (4 * off**2 - 1).sqrt(), 1)
    nodes, vectors = torch.linalg.eigh(jacobi + jacobi.T)
    top = math.log1p(end)
    losses = torch.expm1((nodes + 1) / 2 * top)
    shares = vectors[0] ** 2 * top * (1 + losses)
    for place in PLACES:
        weights = run("const answer = given[0].map((loss) => weight(loss, given[1]));", [losses.tolist(), place])
        ((_, value),) = run(BOTH, [[end, place]])
        close(value, (shares * torch.tensor(weights, dtype=torch.float64)).sum())


@pytest.mark.parametrize("tail", [1e-9, 1e-15, 1e-300, 5e-324])
def test_a_vanishing_tail_is_no_tail(run, tail):
    for slope in (0.3, 1.0, 2.0):
        without = run(BOTH, [[loss, {"tail": 0.0, "slope": slope}] for loss in LOSSES])
        near = run(BOTH, [[loss, {"tail": tail, "slope": slope}] for loss in LOSSES])
        close(without, [[math.exp(-slope * loss), -math.expm1(-slope * loss) / slope] for loss in LOSSES])
        assert torch.tensor(near, dtype=torch.float64) == pytest.approx(
            torch.tensor(without, dtype=torch.float64), abs=1e-6
        )
        if tail < 1e-12:
            close(near, without)


def test_without_slope_it_is_cross_entropy(run):
    for slope in (0.0, 1e-300):
        for tail in TAILS:
            close(
                run(BOTH, [[loss, {"tail": tail, "slope": slope}] for loss in LOSSES]), [[1, loss] for loss in LOSSES]
            )


def test_the_loss_is_bounded_exactly_below_a_tail_of_one(run):
    code = "const answer = given.map((place) => [String(bound(place)), robust(1e300, place)]);"
    for place, (most, far) in zip(PLACES, run(code, PLACES), strict=True):
        limit = float(most.replace("Infinity", "inf"))
        assert (limit < math.inf) == (place["tail"] < 1 and place["slope"] > 0)
        if limit < math.inf and place["tail"] < 0.99:
            close(far, limit)
        elif limit == math.inf:
            assert far > 300


# ---- the map ----


def test_a_pointer_near_tce_s_curve_is_taken_to_it(run):
    shown = run(
        "const answer = given.map(([point, near]) => snap(point, near));",
        [
            [[0.52, 1.98], 0.06],
            [[1.02, 0.99], 0.06],
            [[0.52, 1.98], 0],
            [[1.5, 1.5], 0.06],
            [[-0.2, 2.4], 0.06],
            [[1.234, 0.1], 0.06],
        ],
    )
    for place in shown[:2]:
        assert place["tail"] * place["slope"] == pytest.approx(1, abs=1e-5)
    assert shown[2:] == [
        {"tail": 0.52, "slope": 1.98},
        {"tail": 1.5, "slope": 1.5},
        {"tail": 0, "slope": 2},
        {"tail": 1.23, "slope": 0.1},
    ]


NAMES = [
    (0.5, 2.0, "TCE, α = 2 (Geman–McClure)"),
    (1.0, 1.0, "TCE, α = 1 (Cauchy)"),
    (2.0, 0.5, "TCE, α = 0.5 (Charbonnier)"),
    (1 / 1.5, 1.5, "TCE, α = 1.5"),
    (0.0, 0.7, "GCE, q = 0.7"),
    (0.0, 1.0, "MAE (half of it)"),
    (0.0, 1.5, ""),
    (1.3, 0.0, "Cross entropy"),
    (0.0, 0.0, "Cross entropy"),
    (1.0, 1.01, ""),
]


def test_a_place_has_the_name_of_its_loss(run):
    shown = run("const answer = given.map(([tail, slope]) => nameOf({ tail, slope }));", [place[:2] for place in NAMES])
    assert shown == [name for *_, name in NAMES]


# ---- the words ----

SENTENCES = [
    ({}, "TCE, α = 2 (Geman–McClure): bounded, a wrong label costs at most 1", 0),
    ({"tail": 0.0, "slope": 0.7}, "GCE, q = 0.7: bounded, a wrong label costs at most 1.43", 0),
    ({"tail": 1.0, "slope": 1.0}, "TCE, α = 1 (Cauchy): unbounded, a wrong label may cost any amount", 1),
    ({"slope": 0.0}, "Cross entropy: unbounded, a wrong label may cost any amount", 1),
    ({"tail": 0.2, "slope": 0.5}, "Bounded, a wrong label costs at most 2.5", 0),
    ({"tail": 1.5, "slope": 1.5}, "Unbounded, a wrong label may cost any amount", 1),
]


def test_the_sentence_says_what_is_the_case(run):
    code = "const answer = given.map((changes) => sentence({ ...defaults, ...changes }));"
    assert run(code, [state for state, _, _ in SENTENCES]) == [[words, turn] for _, words, turn in SENTENCES]


def test_the_formula_has_the_numbers(run):
    places = [[0.5, 2], [2, 0.5], [0, 0.7], [0, 1], [0.3, 0], [0.01, 0.1], [2, 1.5]]
    assert run("const answer = given.map(([tail, slope]) => formula({ tail, slope }));", places) == [
        "w(L) = (1 + L)<sup>−2</sup>",
        "w(L) = (1 + L)<sup>−0.5</sup>",
        "w(L) = e<sup>−0.7 L</sup>",
        "w(L) = e<sup>−L</sup>",
        "w(L) = 1",
        "w(L) = (1 + 0.001 L)<sup>−100</sup>",
        "w(L) = (1 + 3 L)<sup>−0.5</sup>",
    ]


def test_the_page_without_scripts_has_the_state_in_words(node, parse):
    words = parse(widgets.static_html("robust_family")).words[-1]
    assert (
        "At s = 0.50, k = 2.00 the weight on a sample's gradient is 0.092 at a loss of log 10 and 0.020 at 6." in words
    )
    assert words.endswith("TCE, α = 2 (Geman–McClure): bounded, a wrong label costs at most 1.")


# ---- in the page ----

VALUES = "[models.one.values.tail, models.one.values.slope]"


@pytest.mark.browser
def test_buttons_handle_and_reset_move_one_state(open_module):
    page = open_module("robust_family", one={})
    figure, status = page.locator("#one"), page.get_by_role("status")
    pressed = figure.locator("[aria-pressed=true]")
    assert pressed.all_inner_texts() == ["TCE 2"]
    figure.get_by_role("button", name="GCE 0.7").click()
    assert page.evaluate(VALUES) == [0, 0.7]
    assert pressed.all_inner_texts() == ["GCE 0.7"]
    assert status.inner_text().startswith("GCE, q = 0.7: bounded")
    row = figure.locator("tr[data-main] td")
    assert row.all_inner_texts() == [f"{10**-0.7:.3f}", f"{math.exp(-4.2):.3f}", "1.43"]
    handle = figure.get_by_role("slider", name="tail s")
    handle.focus()
    for key in ("ArrowRight", "Shift+ArrowRight", "ArrowUp", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.evaluate(VALUES) == [0.5, 0.8]
    assert handle.get_attribute("aria-valuetext") == "tail s = 0.50, slope k = 0.80"
    assert pressed.count() == 0
    for _ in range(3):
        page.keyboard.press("Shift+ArrowDown")
        page.keyboard.press("Shift+ArrowLeft")
    assert page.evaluate(VALUES) == [0, 0]
    assert status.inner_text().startswith("Cross entropy: unbounded")
    for name, place in (
        ("MAE", [0, 1]),
        ("TCE 1", [1, 1]),
        ("TCE ½", [2, 0.5]),
        ("cross entropy", [1, 0]),
        ("Reset", [0.5, 2]),
    ):
        figure.get_by_role("button", name=name, exact=True).click()
        assert page.evaluate(VALUES) == place


@pytest.mark.browser
@pytest.mark.parametrize("touch", [False, True])
def test_a_pointer_moves_it_over_the_map(open_places, touch):
    page = open_places(widgets.static_html("robust_family"), width=390 if touch else 1280, touch=touch)
    status = page.get_by_role("status")
    plane, dot = page.locator(".lf-plot").first.bounding_box(), page.locator(".lf-handle").bounding_box()

    def place(tail: float, slope: float) -> tuple[float, float]:
        """Return where a place of the map lies in the window."""
        return plane["x"] + (tail + 0.12) / 2.24 * plane["width"], plane["y"] + (2.12 - slope) / 2.24 * plane["height"]

    if touch:
        page.touchscreen.tap(*place(1.5, 1.5))
        assert status.inner_text() == "Unbounded, a wrong label may cost any amount"
        return
    page.mouse.move(dot["x"] + 22, dot["y"] + 22)
    page.mouse.down()
    page.mouse.move(*place(0.3, 0.4))
    assert status.inner_text() == "Bounded, a wrong label costs at most 3.57"
    page.mouse.move(*place(1.01, 1.01))
    assert status.inner_text().startswith("TCE, α = 1")
    page.mouse.move(plane["x"] - 30, place(0, 0.7)[1])
    page.mouse.up()
    assert status.inner_text().startswith("GCE, q = 0.")


@pytest.mark.browser
def test_the_curve_is_the_weight(open_module):
    page = open_module("robust_family", one={"tail": 1.0, "slope": 1.0})
    points = [
        [float(value) for value in part.split()]
        for part in page.locator(".lf-member").get_attribute("d").strip("M").split(" L")
    ]
    for x, y in points[::20]:
        assert y == pytest.approx(400 * (1 - 1 / (1 + 8 * x / 500) / 1.15), abs=0.02)


CLASHES = """() => [...document.querySelectorAll(".lf-plot")].flatMap((plot) => {
  const boxes = [...plot.querySelectorAll(".lf-tag")].filter((node) => node.textContent)
    .map((node) => [node.textContent, node.getBoundingClientRect()]);
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const found = boxes.flatMap(([a, box], i) => boxes.slice(i + 1).filter(([, other]) => meet(box, other)).map(([b]) => `${a} | ${b}`));
  const dot = plot.querySelector(".lf-dot")?.getBoundingClientRect();
  if (dot) found.push(...boxes.filter(([, box]) => meet(box, dot)).map(([a]) => `${a} | handle`));
  const edge = document.querySelector(".lf").getBoundingClientRect();
  found.push(...boxes.filter(([, box]) => box.left < edge.left || box.right > edge.right).map(([a]) => `${a} | edge`));
  for (const curve of plot.querySelectorAll(".lf-still-curve")) {
    const [matrix, length] = [curve.getScreenCTM(), curve.getTotalLength()];
    const frame = plot.querySelector("svg").getBoundingClientRect();
    for (let k = 0; k <= 300; k += 1) {
      const { x, y } = curve.getPointAtLength((k / 300) * length).matrixTransform(matrix);
      if (y < frame.top) continue;
      for (const [a, box] of boxes) if (x > box.left && x < box.right && y > box.top && y < box.bottom) found.push(`${a} | curve`);
    }
  }
  return [...new Set(found)];
})"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_no_word_of_the_pictures_covers_another_a_curve_or_the_handle_at_a_member(open_places, width):
    page = open_places(widgets.static_html("robust_family"), width=width)
    assert page.locator(".lf-still-curve").count() == 6
    for name in ("cross entropy", "TCE ½", "TCE 1", "TCE 2", "MAE"):
        page.get_by_role("button", name=name, exact=True).click()
        assert page.evaluate(CLASHES) == [], name
