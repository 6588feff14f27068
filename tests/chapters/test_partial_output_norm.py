"""What chapter 01 alone says: its ball, its exercises, its doubtful entry, and what the first page says of its runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy

from companion.chapters import partial_output_norm as chapter
from companion.chapters.partial_output_norm.breaks import steps_until_right
from companion.chapters.partial_output_norm.exercises import _gradient_form
from companion.chapters.partial_output_norm.parts import BALL, NONE, PENALTY, parts_compared, which_part
from companion.chapters.partial_output_norm.pictures import SHARED_FEATURES, SHARED_WEIGHT, margins
from companion.chapters.partial_output_norm.small_run import COURSES, course
from companion.methods import partial_norm
from companion.results import Results

Make = Callable[..., Results]


def caption(shown: object) -> str:
    return shown.html.split("<figcaption>")[1]


def test_parts_on_graphs_and_the_doubtful_entry(results: Make) -> None:
    settings = ("cora/gcn", "cora/gat", "pubmed/gcn", "pubmed/gat")
    rows = [20.0 + 0.1 * k for k in range(20)]
    errors = {"vanilla": rows, "P-ON": [r - 4 + 0.05 * (-1) ** k - 0.15 for k, r in enumerate(rows)]}
    errors |= {"norm only": [r - 1 for r in rows], "stability only": [r + 1 for r in rows]}
    said = chapter.say_graph_parts({"pon-graphs": results(errors, experiment="pon-graphs", settings=settings)}).markdown
    assert "cora/gcn: *norm only* +1.00 [+1.00, +1.00], *stability only* −1.00 [−1.00, −1.00]" in said
    assert "the verdict *same direction, smaller* takes the printed error 22.48" in said
    assert "with the error that the printed percentage asks for, 22.98, the paper's effect is 3.72" in said
    assert "the word is *larger than printed*" in said


def test_descend_follows_the_gradient() -> None:
    start = torch.tensor([[2.5, 1.2]], dtype=torch.float64)
    path = chapter.descend(start, torch.tensor([0]), rate=0.1, steps=2)
    assert path.shape == (3, 1, 2)
    step = chapter.loss_gradient(start, torch.tensor([0]))[1]
    torch.testing.assert_close(path[1], start - 0.1 * step)


def test_quiz_has_five_questions() -> None:
    assert chapter.chapter_quiz().html.count("<fieldset>") == 5


def test_the_answer_quotes_the_record_and_the_paper(results: Make) -> None:
    rows = [1.6 + 0.01 * k for k in range(10)]
    better = [row - 0.2 + 0.002 * (-1) ** k for k, row in enumerate(rows)]
    runs = results({"weight decay": rows, "P-ON + weight decay": better})
    said = chapter.say_answer(runs["mnist/mlp-3"]).markdown
    assert "lowers the test error on top of weight decay: +0.20 [" in said
    assert "the paper prints +0.50" in said
    worse = results({"weight decay": better, "P-ON + weight decay": rows})
    assert "raises the test error" in chapter.say_answer(worse["mnist/mlp-3"]).markdown


class TestPictures:
    def test_shared_weights_move_the_logits_as_autograd_says(self) -> None:
        weight = SHARED_WEIGHT.clone().requires_grad_()
        logits = SHARED_FEATURES @ weight.T
        cross_entropy(partial_norm(logits, 2.0), torch.tensor([0, 1])).backward()
        expected = -SHARED_FEATURES @ weight.grad.T
        found, motion, rates = chapter.shared_rates()
        torch.testing.assert_close(found, logits.detach())
        torch.testing.assert_close(motion, expected)
        step = 1e-6
        after = SHARED_FEATURES @ (weight.detach() - step * weight.grad).T
        torch.testing.assert_close((after.norm(dim=1) - found.norm(dim=1)) / step, rates, atol=1e-4, rtol=1e-3)

    def test_margins_are_those_of_plain_descent(self) -> None:
        signs = torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0, -1.0])
        points = torch.tensor([[1.0, 0.2], [0.4, 1.6], [1.5, 2.5], [-1.0, -0.2], [-0.4, -1.6], [-2.0, -0.5]])
        weight = torch.tensor([[0.3, -0.1], [-0.2, 0.2]], requires_grad=True)
        for _ in range(10):
            loss = cross_entropy(partial_norm(points @ weight.T, 0.5), (signs < 0).long())
            weight = (weight - 0.5 * torch.autograd.grad(loss, weight)[0]).detach().requires_grad_()
        normal = (weight[0] - weight[1]).detach()
        turn = torch.linspace(0, 2 * math.pi, 3601)
        best = float((signs[:, None] * (points @ torch.stack([turn.cos(), turn.sin()]))).amin(0).max())
        assert margins(0.5, (10,)) == pytest.approx(
            [float((signs * (points @ normal)).min() / normal.norm()) / best], rel=1e-5
        )

    def test_a_step_lengthens_by_pythagoras(self) -> None:
        z, label = torch.tensor([[3.0, 1.6]], dtype=torch.float64), torch.tensor([1])
        g = chapter.loss_gradient(z, label, 2.0)[1]
        expected = math.hypot(float(z.norm()), 6.0 * float(g.norm()))
        assert f"becomes {expected:.2f}" in caption(chapter.figure_pythagoras())


class TestParts:
    ROWS = [2.0 + 0.01 * k for k in range(10)]

    def made(self, results: Make, ball: float, penalty: float) -> Results:
        def moved(by: float) -> list[float]:
            return [row - by + 0.002 * (-1) ** k for k, row in enumerate(self.ROWS)]

        errors = {NONE: self.ROWS, BALL: moved(ball), PENALTY: moved(penalty), "P-ON": moved(max(ball, penalty))}
        controls = {NONE: ("vanilla", "P-ON"), BALL: ("P-ON", "P-ON"), PENALTY: ("P-ON", "P-ON")}
        return results(errors, controls=controls)

    @pytest.mark.parametrize(
        ("ball", "penalty", "part"), [(0.5, 0.0, 0), (0.0, 0.5, 1), (0.5, 0.5, 2), (-0.5, -0.5, 3)]
    )
    def test_the_part_that_helps_is_named(self, results: Make, ball: float, penalty: float, part: int) -> None:
        runs = self.made(results, ball, penalty)
        assert which_part(parts_compared(runs)) == part
        said = caption(chapter.figure_parts(runs))
        assert said.startswith(
            "<strong>" + ("Only the ball's", "Only the penalty's", "Each part's", "Neither part's")[part]
        )
        asked = chapter.predict_parts(runs).text
        assert ("Only the ball.", "Only the penalty.", "Each of them.", "Neither.")[part] in asked.partition(
            "The runs say"
        )[2]


def test_steps_until_right_are_those_of_the_figure() -> None:
    assert steps_until_right("The trap") is None, "no gradient, no step"
    for words in ("Beside the trap", "A large mistake", "Half as large"):
        behind, free = steps_until_right(words), steps_until_right(words, math.inf)
        assert behind > free > 0, words
        assert str(behind) in chapter.say_breaks().markdown
    assert steps_until_right("A large mistake") > steps_until_right("Half as large")


def test_the_share_of_finite_steps_follows_from_two_runs(results: Make) -> None:
    assert "do a small part of it, 10 to 20 % by seed" in chapter.say_steps([1.0, 1.0], [0.91, 0.82]).markdown
    assert "do most of it, 80 to 90 % by seed" in chapter.say_steps([1.0, 1.0], [0.28, 0.19]).markdown
    assert "hardly any growth" in chapter.say_steps([0.01, 1.0], [0.0, 0.9]).markdown


def test_an_idle_ball_is_named(results: Make) -> None:
    errors = {"vanilla": [2.0, 2.1, 2.2], "P-ON": [2.1, 2.0, 2.3]}
    curves = {("P-ON", "length"): [1, 1, 1, 1, 3.0], ("P-ON", "length_deviation"): [1, 1, 1, 1, 0.5]}
    reached = {**curves, ("P-ON", "length"): [1, 1, 1, 1, 7.0]}
    kinds = {"kind": Results, "experiment": "pon-graphs-resampled", "settings": ("cora/gcn",)}
    said = [
        chapter.say_what_holds({"pon-graphs-resampled": results(errors, curves=c, **kinds)}).markdown
        for c in (curves, reached)
    ]
    assert ["few vectors reach" in words for words in said] == [True, False], said


def test_the_course_of_the_lengths_is_told_by_the_numbers() -> None:
    plain = [5.0, 12.0]
    courses = [course(plain, behind, radius=2.0) for behind in ([1.0, 2.1], [3.0, 6.0], [4.0, 11.5], [6.0, 5.0])]
    assert courses == list(range(len(COURSES)))


class TestExercises:
    def test_first_sample(self) -> None:
        z = torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64)
        gap = float(z.softmax(0) @ z - z[2])
        assert chapter.check_first_sample(gap).passed
        assert "sign" in chapter.check_first_sample(-gap).text
        assert "base 2" in chapter.check_first_sample(gap / math.log(2)).text
        loss = float(torch.logsumexp(z, 0) - z[2])
        assert "subtract the entropy" in chapter.check_first_sample(loss).text

    def test_threshold_against_the_loss_itself(self) -> None:
        radius = chapter.required_threshold(0.999, 10)
        axis = torch.eye(10, dtype=torch.float64)[0] - 0.1
        best = (radius * axis / axis.norm()).softmax(0)[0]
        assert float(best) == pytest.approx(0.999, abs=1e-9)
        assert chapter.check_threshold(round(radius, 2)).passed
        assert not chapter.check_threshold(round(radius, 1)).passed
        assert "upside down" in chapter.check_threshold(radius * 10 / 9).text

    def test_partial_norm_of_ones_own(self) -> None:
        def whole_batch(z: torch.Tensor, d: float) -> torch.Tensor:
            return z * min(1.0, d / float(z.norm()))

        def nan_at_zero(z: torch.Tensor, d: float) -> torch.Tensor:
            length = z.norm(dim=1, keepdim=True)
            return torch.where(length > d, d * z / length, z)

        def root_at_zero(z: torch.Tensor, d: float) -> torch.Tensor:
            length = z.square().sum(1, keepdim=True).sqrt()
            return torch.where(length > d, d * z / length.clamp(min=1e-12), z)

        assert chapter.check_partial_norm(partial_norm).passed
        assert "Each row has its own length" in chapter.check_partial_norm(whole_batch).text
        assert "NaN" in chapter.check_partial_norm(root_at_zero).text
        assert not chapter.check_partial_norm(nan_at_zero).passed
        assert chapter.check_partial_norm(lambda z, d: ...).state == "open"

    def test_partial_norm_needs_its_gradient(self) -> None:
        def constant_length(z: torch.Tensor, d: float) -> torch.Tensor:
            with torch.no_grad():
                factor = (d / z.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1.0)
            return z * factor

        def row_by_row(z: torch.Tensor, d: float) -> torch.Tensor:
            rows = [[v * min(1.0, d / max(math.hypot(*row), 1e-12)) for v in row] for row in z.tolist()]
            return torch.tensor(rows, dtype=z.dtype)

        def in_place(z: torch.Tensor, d: float) -> torch.Tensor:
            z *= constant_length(torch.ones_like(z), 1.0) * 0 + 1
            return z.mul_((d / z.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1.0))

        assert "radial part is still there" in chapter.check_partial_norm(constant_length).text
        assert "no gradient passes" in chapter.check_partial_norm(row_by_row).text

        def listed(z: torch.Tensor, d: float) -> list:
            return row_by_row(z, d).tolist()

        def stabilised(z: torch.Tensor, d: float) -> torch.Tensor:
            return z * (d / (z.norm(dim=1, keepdim=True) + 1e-8)).clamp(max=1.0)

        def written_into(z: torch.Tensor, d: float) -> torch.Tensor:
            for i in range(len(z)):
                n = z[i].norm()
                if n > d:
                    z[i] = z[i] * d / n
            return z

        def from_directions(z: torch.Tensor, d: float) -> torch.Tensor:
            return torch.nn.functional.normalize(z) * z.norm(dim=1, keepdim=True).clamp(max=d)

        assert "no lists" in chapter.check_partial_norm(listed).text
        assert chapter.check_partial_norm(stabilised).passed
        assert "radial part" not in chapter.check_partial_norm(written_into).text
        assert "row of zeros" in chapter.check_partial_norm(from_directions).text
        for _ in range(2):  # writing into the input does not change the question for the next try
            assert "wanted is" not in chapter.check_partial_norm(in_place).text
        assert chapter.check_partial_norm(partial_norm).passed

    def test_missing_error_is_the_only_one(self) -> None:
        def fits(vanilla: float, percent: float, errors: list[float]) -> bool:
            gains = [100 * (vanilla - error) / vanilla for error in errors]
            return any(percent in (round(g, 2), math.floor(100 * g) / 100) for g in gains)

        every = [k / 100 for k in range(1, 301)]
        found = [v for v in every[99:] if all(fits(v, percent, every) for percent in (21.19, 10.86, 32.06, 25.54))]
        assert found == [1.84]
        assert fits(1.84, 10.86, [1.64]), "and weight decay's error is then Table 1's vanilla"
        assert chapter.check_missing_error(1.84).passed
        assert "with weight decay" in chapter.check_missing_error(1.64).text

    def test_temperature_form(self) -> None:
        def right(z: torch.Tensor, target: torch.Tensor, threshold: float) -> torch.Tensor:
            return chapter.loss_gradient(z, target, threshold)[1]

        def undamped(z: torch.Tensor, target: torch.Tensor, threshold: float) -> torch.Tensor:
            return right(z, target, threshold) * z.norm(dim=1, keepdim=True) / threshold

        assert chapter.check_temperature_form(right).passed
        assert "also multiplies" in chapter.check_temperature_form(undamped).text

    @pytest.mark.parametrize(
        ("slip", "said"),
        [
            ({"cold": False}, "wrong temperature"),
            ({"project": False}, "radial part is still there"),
            ({"damp": False}, "also multiplies"),
            ({"sign": -1.0}, "other way round"),
            ({"unit": False}, "not along their unit vector"),
        ],
    )
    def test_each_slip_of_the_temperature_form_has_its_hint(self, slip: dict, said: str) -> None:
        assert chapter.check_temperature_form(partial(_gradient_form)).passed
        assert said in chapter.check_temperature_form(partial(_gradient_form, **slip)).text

    def test_the_evening_asks_for_pairs_and_says_what_they_allow(self) -> None:
        said = chapter.check_evening
        assert said(...).state == "open"
        assert "two entries" in said({"vanilla": [1.0]}).text
        assert "two entries" in said([1.0]).text
        assert "same seeds" in said({"vanilla": [1.0] * 5, "ball": [1.0] * 6}).text
        assert "too few" in said({"vanilla": [2.0] * 3, "ball": [1.0] * 3}).text
        assert "percentages" in said({"vanilla": [2.0] * 5, "ball": [math.nan] * 5}).text
        errors = [20.0, 21.0, 19.5, 20.5, 20.2]
        assert (
            "ball is better" in said({"vanilla": errors, "ball": [e - 2 + 0.1 * k for k, e in enumerate(errors)]}).text
        )
        assert (
            "vanilla is better"
            in said({"vanilla": errors, "ball": [e + 2 + 0.1 * k for k, e in enumerate(errors)]}).text
        )
        assert "holds zero" in said({"vanilla": errors, "ball": errors[::-1]}).text

    def test_wrong_yet_growing_accepts_any_such_sample(self) -> None:
        assert chapter.check_wrong_yet_growing([1.0, 0.95, 0.9, -1.0], 2).passed
        assert "fewer than 5" in chapter.check_wrong_yet_growing([0.0, 0.1, 0.05, -2.0, 0.2], 2).text
        assert "right, or tied" in chapter.check_wrong_yet_growing([1.0, 0.9, -1.0], 0).text
        assert "One class is ahead" in chapter.check_wrong_yet_growing([1.0, 0.9, -1.0], 1).text
        assert "above the entropy" in chapter.check_wrong_yet_growing([5.0, 5.0, 0.9, -1.0], 2).text
        assert "above the entropy" in chapter.check_wrong_yet_growing([1.0, 0.95, 0.9], 2).text, (
            "the lowest never grows"
        )
        assert chapter.check_wrong_yet_growing(..., ...).state == "open"
        assert "position" in chapter.check_wrong_yet_growing([1.0, 2.0], 2).text
        for logits, label in (([[1.0, 2.0]], 0), ("abc", 0), ([1.0, 0.9, "a"], 1), ([math.inf, 1.0], 1), ([1.0], None)):
            assert "position" in chapter.check_wrong_yet_growing(logits, label).text or label is None
        for label in (2.7, math.inf, 10**400):
            assert "position" in chapter.check_wrong_yet_growing([1.0, 0.95, 0.9, -1.0], label).text
        assert not chapter.check_first_sample(10**400).passed
        assert chapter.check_wrong_yet_growing([1.0, 0.95, 0.9, -1.0], 2.0).passed

    def test_stability_norm(self) -> None:
        assert chapter.check_stability_norm(128**-0.5).passed
        assert "take the root" in chapter.check_stability_norm(1 / 128).text
