"""The live figure `output_ball`: its mathematics against the library's, its two faces, its controls."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import ipywidgets
import pytest
import torch
import torch.nn.functional as F
import traitlets

from companion import geometry, widgets
from companion.methods import partial_norm
from companion.widgets import _scripts

GRID = [-5.0, -3.5, -2.0, -0.05, 0.0, 0.7, 1.2, 2.5, 5.0]
THRESHOLDS = [0.5, 2.0, 5.0]
VECTORS = [list(pair) for pair in itertools.product(GRID, GRID)] + [
    [1.0, 0.9, -1.0],
    [3.0, -2.0, 0.5, 0.0],
    [400.0, -400.0],
]


@pytest.fixture(scope="session")
def run(run_node: Callable[..., Any]) -> Callable[..., Any]:
    """Run this figure's module followed by code."""
    return partial(run_node, "output_ball")


@pytest.fixture(scope="module")
def cases() -> list[dict[str, Any]]:
    """All vectors with every label and threshold."""
    return [
        {"z": z, "label": label, "threshold": threshold}
        for z in VECTORS
        for label in range(len(z))
        for threshold in THRESHOLDS
    ]


@pytest.fixture(scope="module")
def drawn(cases: list[dict[str, Any]], run: Callable[..., Any]) -> list[dict[str, Any]]:
    """What the figure's exported functions say of every case."""
    return run(
        """
        const answer = given.map(({ z, label, threshold }) => ({
          softmax: softmax(z), logSumExp: logSumExp(z), loss: loss(z, label), entropy: entropy(z), length: length(z),
          gradient: gradient(z, label), split: splitRadial(z, gradient(z, label)), normed: partialNorm(z, threshold),
          clipped: clippedGradient(z, label, threshold), pull: lengthPull(z, label),
        }));""",
        cases,
    )


def leaf(z: list[float]) -> torch.Tensor:
    return torch.tensor(z, dtype=torch.float64, requires_grad=True)


def close(actual: Any, expected: torch.Tensor) -> None:
    error = (torch.tensor(actual, dtype=torch.float64) - expected.detach()).abs()
    assert (error <= 1e-9 * (1 + expected.detach().abs())).all(), (actual, expected)


def test_loss_entropy_length_and_gradient_are_the_library_s(cases, drawn):
    for case, shown in list(zip(cases, drawn, strict=True))[:: len(THRESHOLDS)]:
        z, target = leaf(case["z"]), torch.tensor(case["label"])
        loss = F.cross_entropy(z, target)
        (gradient,) = torch.autograd.grad(loss, z)
        radial, tangential = geometry.split_radial(z.detach(), gradient)
        close(shown["softmax"], z.softmax(0))
        close(shown["logSumExp"], z.logsumexp(0))
        close(shown["loss"], loss)
        close(shown["entropy"], geometry.entropy(z.softmax(0), dim=0))
        close(shown["length"], geometry.output_length(z, dim=0))
        close(shown["gradient"], gradient)
        close(shown["split"]["along"], radial)
        close(shown["split"]["across"], tangential)


def test_partial_norm_and_the_gradient_through_it_are_the_library_s(cases, drawn):
    for case, shown in zip(cases, drawn, strict=True):
        z = leaf(case["z"])
        normed = partial_norm(z, case["threshold"])
        (gradient,) = torch.autograd.grad(F.cross_entropy(normed, torch.tensor(case["label"])), z)
        close(shown["normed"], normed)
        close(shown["clipped"], gradient)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("rate", [1.0, 0.25])
def test_a_step_follows_the_library_s_gradient(cases, run, clip, rate):
    given = [{**case, "clip": clip, "rate": rate} for case in cases]
    for case, shown in zip(given, run("const answer = given.map(descend);", given), strict=True):
        z = leaf(case["z"])
        output = partial_norm(z, case["threshold"]) if clip else z
        (gradient,) = torch.autograd.grad(F.cross_entropy(output, torch.tensor(case["label"])), z)
        close(shown, z - rate * gradient)


def test_it_says_why_it_makes_no_sense_to_go_on(run):
    states = [
        {},
        {"z": [5.0, -5.0]},
        {"z": [5.0, 3.0]},
        {"clip": True, "z": [-3.5, 3.5]},
        {"clip": True, "z": [-3.5, 3.4]},
        {"z": [4.0, -3.0]},
        {"z": [4.0, -3.0], "rate": 0.5},
    ]
    words = run("const answer = given.map((changes) => halt({ ...defaults, ...changes }));", states)
    leaves, short = "the next step would leave the picture", "the next step is shorter than 0.001"
    assert words == ["", leaves, leaves, short, "", "", short]


def test_an_arrow_is_cut_at_the_edge_and_at_the_origin_only(run):
    """From (4, 0) to the right 2 of 4 are left; an arrow that only passes by the origin is whole."""
    cases = [
        ([4, 0], [4, 0]),
        ([4, 0], [1, 0]),
        ([4, 0], [-5, 0]),
        ([4, 0], [-5, 0.5]),
        ([4, 0], [0, -12]),
        ([6.5, 0], [1, 0]),
    ]
    parts = run("const answer = given.map(([z, v]) => visiblePart(z, v, 6));", cases)
    assert parts == pytest.approx([0.5, 1, 0.8, 1, 0.5, 0])
    paths = run("const answer = [kit.openPath([0, 0], [2, 0]), kit.arrowPath([0, 0], [2, 0])];")
    assert [path["shaft"].count("M") for path in paths] == [3, 1]
    assert [bool(path["head"]) for path in paths] == [False, True]


@pytest.mark.parametrize("label", [0, 1])
def test_arrows_keep_their_scale_wherever_they_are_drawn_whole(run, label):
    """What is drawn for the step is 4 √h‖∂L/∂z‖ long, its two parts in proportion, so that their sum is the step's arrow."""
    code = """
      const answer = given.map((values) => {
        const walk = trail(), { image, parts } = picture(walk), tags = { upper: tagAt({}), lower: tagAt({}), first: tagAt({}), second: tagAt({}), radius: tagAt({}) };
        const now = state(values);
        drawPicture({ image, parts, tags }, values, now);
        const ends = (name) => parts[name].head.getAttribute("d").match(/-?[0-9.]+/g).slice(0, 2).map(Number);
        return Object.fromEntries(["step", "along", "across"].map((name) => [name, ends(name).map((v, i) => (i ? -v : v) - values.z[i])]));
      });"""
    zs = [[1.5, 0.7], [0.7, 1.5], [2.5, 1.2], [1.2, 2.9]]
    values = [{**widgets.values_of("output_ball").defaults, "z": z, "label": label} for z in zs]
    shown = run(_scripts.read("still.js") + code, values)
    for z, arrows in zip(zs, shown, strict=True):
        vector = leaf(z)
        F.cross_entropy(vector, torch.tensor(label)).backward()
        step = -vector.grad
        drawn = 4 * step / step.norm().sqrt()
        radial, tangential = geometry.split_radial(vector.detach(), drawn)
        for name, expected in (("step", drawn), ("along", radial), ("across", tangential)):
            assert arrows[name] == pytest.approx(expected.tolist(), abs=2e-4)


def test_pull_on_the_length_is_minus_the_derivative_along_the_ray(cases, drawn):
    for case, shown in list(zip(cases, drawn, strict=True))[:: len(THRESHOLDS)]:
        z = torch.tensor(case["z"], dtype=torch.float64)
        size = z.norm()
        if size == 0:
            assert shown["pull"] == 0
            continue
        r = size.clone().requires_grad_()
        F.cross_entropy(r * z / size, torch.tensor(case["label"])).backward()
        close(shown["pull"], -r.grad)


def test_loss_equals_entropy_on_the_boundary_and_nowhere_else_on_the_grid(cases, drawn, run):
    ends = run("const answer = boundary(5);")
    for weight in torch.linspace(0, 1, 11, dtype=torch.float64):
        z = (1 - weight) * torch.tensor(ends[0], dtype=torch.float64) + weight * torch.tensor(
            ends[1], dtype=torch.float64
        )
        for label in (0, 1):
            close(float(F.cross_entropy(z, torch.tensor(label))), geometry.entropy(z.softmax(0), dim=0))
    for case, shown in zip(cases, drawn, strict=True):
        if len(case["z"]) == 2:
            lead = case["z"][case["label"]] - case["z"][1 - case["label"]]
            gap = shown["entropy"] - shown["loss"]
            assert (gap > 1e-12) == (lead > 0) or abs(lead) > 100, case
            assert (gap < -1e-12) == (lead < 0), case


def test_level_lines_have_the_loss_they_are_named_for(run):
    levels = [0.03, 0.5, 1.3, 8.5]
    margins = run("const answer = given.map(marginOfLoss);", levels)
    z = torch.tensor([[margin, 0.0] for margin in margins], dtype=torch.float64)
    close(levels, F.cross_entropy(z, torch.zeros(len(levels), dtype=torch.long), reduction="none"))


SENTENCES = [
    ({}, "loss < entropy: the vector grows", 1),
    ({"label": 1}, "loss > entropy: the vector shrinks", -1),
    ({"z": [1.5, 1.5]}, "loss = entropy: the length rests", 0),
    ({"z": [0, 0]}, "at the origin: no length yet, so the whole step is across", 0),
    ({"clip": True}, "outside the ball: the length gets no gradient", 0),
    ({"clip": True, "threshold": 3.0}, "loss < entropy: the vector grows", 1),
    ({"clip": True, "z": [-3.5, 3.5]}, "wrong by a mile, and no gradient at all", 0),
    ({"clip": True, "z": [3.5, -3.5]}, "straight at the label, outside the ball: nothing left to learn", 0),
    ({"clip": True, "z": [3.0, 3.0]}, "outside the ball: the length gets no gradient", 0),
]


def test_the_sentence_says_what_is_the_case(run):
    code = "const answer = given.map((changes) => sentence(state({ ...defaults, ...changes })));"
    assert run(code, [state for state, _, _ in SENTENCES]) == [[words, turn] for _, words, turn in SENTENCES]


def test_the_state_is_what_the_page_says_of_the_paper_s_first_figure(run):
    """(2.5, 1.2): with class 1 true the loss is .241 and the pull is outward; the printed 1.54 belongs to class 2."""
    shown = run("const answer = [0, 1].map((label) => state({ ...defaults, label }));")
    assert [round(now["loss"], 4) for now in shown] == [0.2410, 1.5410]
    assert [round(now["pull"], 4) for now in shown] == [0.1004, -0.3684]


# ---- one figure, two faces ----


IN_WORDS = [
    ({}, "At z = (2.50, 1.20) with class 1 true, the loss 0.241 is below the entropy 0.519: gradient descent lengthens z."),
    ({"label": 1}, "At z = (2.50, 1.20) with class 2 true, the loss 1.541 is above the entropy 0.519: gradient descent shortens z."),
    ({"z": [-1, -1]}, "At z = (−1.00, −1.00) with class 1 true, the loss 0.693 equals the entropy 0.693: gradient descent leaves "
     "the length of z alone."),
    ({"clip": True}, "At z = (2.50, 1.20) with class 1 true, the loss 0.330 is below the entropy 0.594: outside the ball of "
     "radius 2 the length gets no gradient."),
]  # fmt: skip


@pytest.mark.parametrize(("model", "words"), IN_WORDS)
def test_the_page_without_scripts_has_the_state_s_sentence(node, parse, model, words):
    assert parse(widgets.static_html("output_ball", **model)).words[-1] == words


@pytest.mark.parametrize(
    "model", [{}, {"z": (-1.25, 4.0), "label": 1}, {"clip": True, "threshold": 0.75, "compact": True}]
)
def test_the_static_face_carries_the_values(model, parse):
    places = parse(widgets.static_html("output_ball", **model))
    defaults = widgets.values_of("output_ball").defaults
    assert json.loads(places.models[0]["data-model"]) == {**defaults, **json.loads(json.dumps(model))}
    assert places.depth == 0


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        ({"z": [6, 0]}, ValueError, "z must be 2 numbers in [-5, 5]"),
        ({"label": 2}, ValueError, "label must be a whole number in [0, 1]"),
        ({"threshold": 0}, ValueError, "threshold must be a finite number in [0.001, 1000]"),
        ({"delta": 1}, TypeError, "no value 'delta'"),
    ],
)
def test_a_wrong_value_is_named(model, error, words):
    with pytest.raises(error, match=re.escape(words)):
        widgets.static_html("output_ball", **model)
    if error is ValueError:
        with pytest.raises(traitlets.TraitError):
            widgets.OutputBall(**model)


def test_the_small_face_has_the_ball_and_its_radius(node):
    small = widgets.static_html("output_ball", compact=True, threshold=1.5)
    assert re.search(r'<circle[^>]*class="lf-ball"', small)
    assert "δ = 1.5" in small
    assert "lf-compact" in small


def test_the_notebook_class_shows_both_faces(parse):
    figure = widgets.OutputBall(z=(1.0, -2.0), clip=True)
    data, _ = figure._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    figure.threshold = 3.25
    model = json.loads(parse(figure._repr_mimebundle_()[0]["text/html"]).models[0]["data-model"])
    assert model == {"z": [1.0, -2.0], "label": 0, "threshold": 3.25, "clip": True, "rate": 1.0, "compact": False}


# ---- in a notebook: links ----


def test_traits_link_both_ways():
    figure, slider = widgets.OutputBall(), ipywidgets.FloatSlider(min=0.5, max=5.0, step=0.1)
    ipywidgets.link((figure, "threshold"), (slider, "value"))
    assert slider.value == 2.0
    slider.value = 3.1
    assert figure.threshold == 3.1
    figure.threshold = 1.4
    assert slider.value == 1.4


def test_controls_follow_the_figure_and_lead_it():
    figure = widgets.OutputBall()
    controls = widgets.output_ball_controls(figure)
    controls.first.value, controls.second.value = -1.5, 0.25
    assert figure.z == [-1.5, 0.25]
    figure.z = [3.0, -4.0]
    assert (controls.first.value, controls.second.value) == (3.0, -4.0)
    controls.clip.value, controls.label.value, controls.threshold.value = True, 1, 4.5
    assert (figure.clip, figure.label, figure.threshold) == (True, 1, 4.5)
    figure.clip, figure.label, figure.threshold = False, 0, 0.7
    assert (controls.clip.value, controls.label.value, controls.threshold.value) == (False, 0, 0.7)


def test_the_run_button_trains_with_the_figure_s_threshold():
    figure, seen = widgets.OutputBall(), []
    controls = widgets.output_ball_controls(figure, on_run=lambda threshold: seen.append(threshold) or "loss < 0.1")
    figure.threshold = 3.5
    controls.run.click()
    assert seen == [3.5]
    assert "loss &lt; 0.1" in controls.answer.value
    assert not controls.run.disabled


def test_a_run_that_fails_says_so_and_frees_the_button(caplog):
    def fails(_: float) -> None:
        raise ValueError("no data")

    controls = widgets.output_ball_controls(widgets.OutputBall(), on_run=fails)
    controls.run.click()  # ipywidgets writes what a callback raises to its log
    assert "ValueError: no data" in controls.answer.value
    assert "no data" in caplog.text
    assert not controls.run.disabled


def test_controls_leave_a_sentence_where_no_widgets_run():
    data = widgets.output_ball_controls(widgets.OutputBall())._repr_mimebundle_()[0]
    assert "running notebook" in data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in data


def test_the_chosen_threshold_has_a_default_where_there_is_no_figure():
    assert widgets.chosen_threshold(widgets.OutputBall(threshold=3.5)) == 3.5
    assert widgets.chosen_threshold(None, default=10.0) == 10.0
