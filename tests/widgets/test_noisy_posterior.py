"""The live figure `noisy_posterior`: TCE's optimum is the lowest of all predictions, and the library's inverse link undoes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from companion import widgets
from companion.methods import tamed_cross_entropy, tamed_posterior

GRID = [
    (rate, alpha, classes)
    for rate in (0.0, 0.01, 0.3, 0.8, 0.95, 0.99)
    for alpha in (0.0, 0.5, 1.0, 1.7, 2.0, 2.5, 3.0)
    for classes in (2, 10, 100)
]
STATE = "const answer = given.map(([rate, alpha, n]) => state({ rate, alpha, classes: String(n) }));"


@pytest.fixture(scope="session")
def run(run_node: Callable[..., Any]) -> Callable[..., Any]:
    """Run this figure's module followed by code."""
    return partial(run_node, "noisy_posterior")


def close(actual: Any, expected: Any) -> None:
    actual, expected = (torch.as_tensor(value, dtype=torch.float64).detach() for value in (actual, expected))
    assert ((actual - expected).abs() <= 1e-9 * (1 + expected.abs())).all(), (actual, expected)


def labels(rate: float, classes: int) -> torch.Tensor:
    """Return the probabilities of the noisy label (C,), the first class being the true one."""
    probs = torch.full((classes,), rate / classes, dtype=torch.float64)
    probs[0] += 1 - rate
    return probs


# ---- the mathematics ----


def test_the_expected_loss_is_the_library_s(run):
    cases = [[s, *case] for s in (-2.0, 0.0, 1.0, 5.0, 30.0) for case in GRID if case[0] > 0]
    shown = run("const answer = given.map((values) => expected(...values));", cases)
    for (s, rate, alpha, classes), value in zip(cases, shown, strict=True):
        z = torch.zeros(classes, dtype=torch.float64)
        z[0] = s
        close(value, tamed_cross_entropy(z, labels(rate, classes), alpha))


def test_the_inverse_link_is_the_library_s(run):
    probs = torch.softmax(4 * torch.randn(20, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), 1)
    probs = torch.cat([probs, torch.eye(10, dtype=torch.float64)[:1]])
    for alpha in (0.0, 0.5, 1.0, 2.0, 3.0):
        shown = run(
            "const answer = given.probs.map((q) => inverseLink(q, given.alpha));",
            {"probs": probs.tolist(), "alpha": alpha},
        )
        close(shown, tamed_posterior(probs, alpha))


def test_the_inverse_link_of_the_optimum_is_the_posterior_everywhere(run):
    """By the library's function too, on both sides of every jump."""
    for (rate, alpha, classes), now in zip(GRID, run(STATE, GRID), strict=True):
        exact = labels(rate, classes)
        close(now["posterior"], exact[0])
        close(now["back"], exact[0])
        close(tamed_posterior(torch.tensor(now["probs"], dtype=torch.float64), alpha), exact)


def test_the_optimum_is_surer_than_the_labels_but_at_the_ends(run):
    for (rate, alpha, _), now in zip(GRID, run(STATE, GRID), strict=True):
        if rate == 0:
            assert now["prediction"] == now["posterior"] == 1
        elif alpha == 0:
            close(now["prediction"], now["posterior"])
        else:
            assert now["prediction"] > now["posterior"]


def test_numbers_of_the_chapter(run):
    now = run(STATE, [[0.8, 1, 10], [0.8, 2, 10]])
    assert [round(one["prediction"], 3) for one in now] == [0.451, 0.911]
    assert now[0]["posterior"] == pytest.approx(0.28)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_no_prediction_of_the_whole_simplex_is_better(run, classes):
    """Descent in the logits from many starts, all classes free.

    Why the other classes share equally: swapping q₁ and qₖ where q₁ < qₖ lowers the loss, so q₁ is largest. q(1 − log q)^α ∝ π rises
    up to q = e^(1−α) and falls beyond, and the loss is strictly concave in a probability beyond it, so that at a minimum at most one
    probability, hence only q₁, lies there. The others are equal values of a function where it rises.
    """
    cases = [(rate, alpha) for rate in (0.5, 0.9, 0.98) for alpha in (0.7, 2.0, 2.5, 3.0)]
    cases += [(0.995, 2.5)] if classes == 10 else []  # beyond the jump
    shown = run(STATE, [[*case, classes] for case in cases])
    starts = 4 * torch.randn(len(cases), 40, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    starts[:, :classes] = 5 * torch.eye(classes, dtype=torch.float64)
    z = starts.requires_grad_()
    target = torch.stack([labels(rate, classes) for rate, _ in cases])[:, None].expand(-1, 40, -1)

    def losses() -> torch.Tensor:
        """Return the loss of each start (cases, 40)."""
        each = [tamed_cross_entropy(z[i], target[i], alpha, reduction="none") for i, (_, alpha) in enumerate(cases)]
        return torch.stack(each)

    descent = torch.optim.Adam([z])
    for step in range(600):
        descent.param_groups[0]["lr"] = 0.15 * (1 - step / 600)
        descent.zero_grad()
        losses().sum().backward()
        descent.step()
    found, best = losses().detach().min(1)
    for i, ((rate, alpha), now) in enumerate(zip(cases, shown, strict=True)):
        ours = tamed_cross_entropy(torch.tensor(now["probs"], dtype=torch.float64).log(), target[i, 0], alpha)
        assert ours <= found[i] + 1e-12, (rate, alpha)
        assert found[i] <= ours + 1e-6, (rate, alpha)
        assert (z[i, best[i]].softmax(0) - torch.tensor(now["probs"])).abs().max() < 1e-3, (rate, alpha)


ONE_STATIONARY = {2: 1 + math.log(2), 10: 2.354927, 100: 2.638611}  # up to this α the stationary prediction is unique


@pytest.mark.parametrize("classes", ONE_STATIONARY)
def test_from_an_exponent_on_a_posterior_has_several_stationary_predictions(run, classes):
    alpha = ONE_STATIONARY[classes]
    shape = run(
        "const answer = given.s.map((s) => bend(s, given.n));", {"s": [i / 100 for i in range(3000)], "n": classes}
    )
    rises = (torch.tensor(shape).diff() > 0).int()
    assert (rises.diff() <= 0).all(), "one peak"
    assert 1 / max(shape) == pytest.approx(alpha, abs=1e-5)
    below, above = run(
        "const answer = given.map(([alpha, n]) => fold(alpha, n));", [[alpha - 1e-3, classes], [alpha + 1e-3, classes]]
    )
    assert below is None
    assert above is not None
    count = """const answer = given.alphas.map((alpha) => given.s.map((s) => odds(s, alpha, given.n)));"""
    grid = [i / 1000 for i in range(20000)]
    rising, falling = run(count, {"alphas": [alpha - 1e-2, alpha + 0.1], "n": classes, "s": grid})
    assert (torch.tensor(rising, dtype=torch.float64).diff() > 0).all()
    assert (torch.tensor(falling, dtype=torch.float64).diff() < 0).any()


def brute_force(rate: float, alpha: float, classes: int) -> float:
    """Return the prediction for the true class of the lowest expected loss on a fine grid."""
    s = torch.linspace(0, 30, 60001, dtype=torch.float64)
    z = torch.cat([s[:, None], torch.zeros(len(s), classes - 1, dtype=torch.float64)], 1)
    losses = tamed_cross_entropy(z, labels(rate, classes).expand_as(z), alpha, reduction="none")
    return z[losses.argmin()].softmax(0)[0].item()


def test_the_prediction_jumps_where_two_minima_are_equally_low(run):
    for alpha, classes in ((2.4, 10), (2.5, 10), (2.6, 10), (2.7, 100), (3.0, 100)):
        found = run("const answer = jump(...given);", [alpha, classes])
        assert found["from"] > found["to"] > 1 / classes
        for step, side in ((-1e-5, "from"), (1e-5, "to")):
            assert brute_force(found["rate"] + step, alpha, classes) == pytest.approx(found[side], abs=5e-3), (
                alpha,
                classes,
            )


@pytest.mark.parametrize(("classes", "alpha"), [(2, 1 + math.log(2)), (10, 2.649215), (100, 3.499162)])
def test_from_an_exponent_on_it_stays_sure_of_labels_that_say_nothing(run, classes, alpha):
    code = "const answer = given[0].map((alpha) => [jump(alpha, given[1]), Math.exp(logProbs(optimum(1, alpha, given[1]), given[1])[0])]);"
    (jump, end), (stays, sure) = run(code, [[alpha - 1e-4, alpha + 1e-4], classes])
    assert end == pytest.approx(1 / classes)
    assert stays is None
    assert sure > 1 / classes + 0.005
    assert (jump is None) == (classes == 2), "with two classes it leaves the guess without a jump"


def test_without_a_fold_there_is_no_jump(run):
    assert (
        run(
            "const answer = given.map(([alpha, n]) => jump(alpha, n));",
            [[0, 10], [1, 2], [2, 10], [2, 2], [3, 2], [3, 10]],
        )
        == [None] * 6
    )


# ---- the words ----

SENTENCES = [
    ({}, "TCE predicts 91\u00a0%, the labels say 28\u00a0%", 1),
    ({"alpha": 1.0}, "TCE predicts 45\u00a0%, the labels say 28\u00a0%", 1),
    ({"alpha": 0.0}, "TCE predicts 28\u00a0%, as the labels say", 0),
    ({"rate": 0.0}, "TCE predicts 100\u00a0%, as the labels say", 0),
    ({"rate": 0.02, "alpha": 2.0}, "TCE predicts >\u00a099.9\u00a0%, the labels say 98\u00a0%", 1),
    ({"rate": 0.8, "alpha": 0.05, "classes": "100"}, "TCE predicts 21.5\u00a0%, the labels say 20.8\u00a0%", 1),
]


def test_the_sentence_says_what_is_the_case(run):
    code = "const answer = given.map((changes) => sentence({ ...defaults, ...changes }));"
    assert run(code, [state for state, _, _ in SENTENCES]) == [[words, turn] for _, words, turn in SENTENCES]


def test_the_law_says_what_becomes_of_the_prediction(run):
    says = run(
        "const answer = given.map(([alpha, classes]) => law({ alpha, classes }));",
        [[1, "10"], [2.5, "10"], [3, "10"], [2, "2"]],
    )
    assert says == [
        "As η → 1 the prediction becomes a guess, and so do the labels.",
        "At η = 0.987 the best prediction jumps from 75\u00a0% to 18\u00a0%.",
        "As η → 1 the labels say nothing, and the prediction stays at 97\u00a0%.",
        "As η → 1 the labels say nothing, and the prediction stays at 90\u00a0%.",
    ]


def test_the_page_without_scripts_has_the_state_in_words(node, parse):
    words = parse(widgets.static_html("noisy_posterior")).words[-1]
    assert "with 10 classes and α = 2.0. At η = 0.80 the labels say 0.280" in words
    assert "TCE predicts 0.911; its inverse link gives 0.280." in words


# ---- in the page ----


@pytest.mark.browser
def test_handle_slider_choice_and_reset_move_one_state(open_module):
    page = open_module("noisy_posterior", one={})
    figure, status = page.locator("#one"), page.get_by_role("status")
    values = "[models.one.values.rate, models.one.values.alpha, models.one.values.classes]"
    handle = figure.get_by_role("slider", name="noise rate η along the curve")
    handle.focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(values) == [0.71, 2, "10"]
    assert handle.get_attribute("aria-valuetext").startswith("η = 0.71, TCE predicts ")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate(values)[0] == 0.99
    figure.get_by_text("2", exact=True).click()
    assert page.evaluate(values) == [0.99, 2, "2"]
    assert status.inner_text().startswith("TCE predicts 90\u00a0%, the labels say 5")
    slider = figure.get_by_role("slider", name="exponent α")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(values)[1] == pytest.approx(1.9)
    figure.get_by_role("button", name="Reset").click()
    assert page.evaluate(values) == [0.8, 2, "10"]
    meters = [meter.get_attribute("aria-valuetext") for meter in figure.get_by_role("meter").all()]
    assert meters == ["0.280", "0.911", "0.280"]


@pytest.mark.browser
@pytest.mark.parametrize("touch", [False, True])
def test_a_pointer_drags_along_the_curve(open_places, touch):
    page = open_places(widgets.static_html("noisy_posterior"), width=390 if touch else 1280, touch=touch)
    plane, dot = page.locator(".lf-plot").bounding_box(), page.locator(".lf-handle").bounding_box()
    x, y = plane["x"] + 0.5 * plane["width"], plane["y"] + 0.8 * plane["height"]
    if touch:
        page.touchscreen.tap(x, y)
    else:
        page.mouse.move(dot["x"] + 22, dot["y"] + 22)
        page.mouse.down()
        page.mouse.move(x, y)
        page.mouse.up()
    assert page.get_by_role("status").inner_text().endswith("the labels say 55\u00a0%")
    after = page.locator(".lf-handle").bounding_box()
    assert (after["x"] + 22 - plane["x"]) / plane["width"] == pytest.approx(0.5, abs=0.01)
    assert after["y"] + 22 < y - 10, "it stays on the curve"


@pytest.mark.browser
def test_the_rings_lie_on_the_dashed_line(open_module):
    page = open_module("noisy_posterior", one={"alpha": 2.6, "classes": "2"})
    rings = page.locator(".lf-ring").evaluate_all(
        "nodes => nodes.map((n) => [+n.getAttribute('cx'), +n.getAttribute('cy')])"
    )
    ends = page.locator(".lf-posterior").get_attribute("d").strip("M").split(" L")
    (x0, y0), (x1, y1) = ([float(value) for value in part.split()] for part in ends)
    assert len(rings) == 9
    for x, y in rings:
        assert y == pytest.approx(y0 + (y1 - y0) * (x - x0) / (x1 - x0), abs=0.05)


@pytest.mark.browser
def test_the_curve_is_broken_where_the_prediction_jumps(open_module):
    page = open_module("noisy_posterior", one={"alpha": 2.5}, two={})
    pieces = [node.get_attribute("d").count("M") for node in page.locator(".lf-prediction").all()]
    assert pieces == [2, 1]
    assert [bool(node.get_attribute("d")) for node in page.locator(".lf-jump").all()] == [True, False]


CLASHES = """() => {
  const boxes = [...document.querySelectorAll(".lf-tag")].filter((node) => node.textContent)
    .map((node) => [node.textContent, node.getBoundingClientRect()]);
  const dot = document.querySelector(".lf-dot").getBoundingClientRect();
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const found = boxes.flatMap(([a, box], i) => boxes.slice(i + 1).filter(([, other]) => meet(box, other)).map(([b]) => `${a} | ${b}`));
  found.push(...boxes.filter(([, box]) => meet(box, dot)).map(([a]) => `${a} | handle`));
  for (const curve of document.querySelectorAll(".lf-prediction, .lf-posterior")) {
    const [matrix, length] = [curve.getScreenCTM(), curve.getTotalLength()];
    for (let k = 0; k <= 300; k += 1) {
      const { x, y } = curve.getPointAtLength((k / 300) * length).matrixTransform(matrix);
      for (const [a, box] of boxes) if (x > box.left && x < box.right && y > box.top && y < box.bottom) found.push(`${a} | curve`);
    }
  }
  return [...new Set(found)];
}"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_no_word_of_the_picture_covers_another_a_curve_or_the_handle(open_places, width):
    """All numbers of classes, four exponents, along the whole curve."""
    page = open_places(widgets.static_html("noisy_posterior"), width=width)
    handle, slider = (page.get_by_role("slider", name=name) for name in ("noise rate η along the curve", "exponent α"))
    for classes in widgets.values_of("noisy_posterior").limits["classes"]:
        page.get_by_text(classes, exact=True).click()
        for steps in (3, 1, 1, 1):
            slider.focus()
            for _ in range(steps):
                page.keyboard.press("Shift+ArrowLeft" if steps == 3 else "Shift+ArrowRight")
            handle.focus()
            for _ in range(11):
                page.keyboard.press("Shift+ArrowLeft")
            for _ in range(21):
                assert page.evaluate(CLASHES) == [], (
                    classes,
                    slider.get_attribute("aria-valuetext"),
                    handle.get_attribute("aria-valuetext"),
                )
                for _ in range(5):
                    page.keyboard.press("ArrowRight")
