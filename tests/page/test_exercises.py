"""The checks of exercises: right answers pass, known slips are named, no answer is no mistake, nothing is given away."""

from __future__ import annotations

import math

import pytest
import torch

from companion.chapters import partial_output_norm as chapter
from companion.methods import partial_norm
from companion.page import check_function, check_number, check_numbers, check_truth


def test_number_right_slip_hint_and_open() -> None:
    def check(answer: object) -> str:
        slips = {"Mind the sign.": -2.0}
        return check_number(answer, 2.0, right="Good.", hint="Look again.", slips=slips).text

    assert check(2.0) == "Right. Good."
    assert check(torch.tensor(2.0004)) == "Right. Good."
    assert check(-2.0) == "Not yet. Mind the sign."
    assert check(3.0) == "Not yet. Look again."
    assert check(...).startswith("Your turn.")
    assert check("two") == "Not yet. A number is wanted here; this is str."
    assert check(math.nan) == "Not yet. Look again."
    near_zero = [check_number(answer, 0.0, right="Good.", hint="Look.").passed for answer in (9e-4, 1.1e-3)]
    assert near_zero == [True, False], "below one the tolerance is absolute"


def test_numbers() -> None:
    def check(answer: object) -> str:
        return check_numbers(answer, (1.0, 2.0), right="Good.", hint="Look.", slips={"Swapped.": (2.0, 1.0)}).text

    assert check(torch.tensor([1.0, 2.0])) == "Right. Good."
    assert check([2, 1]) == "Not yet. Swapped."
    assert check([1, 3]) == "Not yet. Look."
    assert check([1]) == "Not yet. 2 numbers are wanted here; these are 1."
    assert check(5) == "Not yet. 2 numbers are wanted here, as a list, a tuple or a tensor."
    assert check(None).startswith("Your turn.")


def test_truth() -> None:
    assert check_truth(False, False, right="So.", hint="Hm.").passed
    assert check_truth(True, False, right="So.", hint="Hm.").text == "Not yet. Hm."
    assert check_truth(1, True, right="So.", hint="Hm.").text == "Not yet. True or False is wanted here."
    assert check_truth(..., True, right="So.", hint="Hm.").state == "open"


def test_function_shows_the_first_case_that_differs() -> None:
    cases = [(1.0,), (-1.0,)]
    assert check_function(abs, abs, cases, right="Good.", hint="Signs.").passed
    said = check_function(lambda x: x, abs, cases, right="Good.", hint="Signs.")
    assert said.text == "Not yet. For (-1.0,) your function gives -1.0, wanted is 1.0. Signs."
    raised = check_function(lambda x: 1 / 0, abs, cases, right="Good.", hint="Signs.")
    assert "raises ZeroDivisionError" in raised.text
    shape = check_function(lambda x: torch.ones(2), abs, cases, right="Good.", hint="Signs.")
    assert "another shape" in shape.text
    nothing_yet = check_function(lambda x: ..., abs, cases, right="Good.", hint="Signs.")
    assert nothing_yet.state == "open"
    nan = check_function(lambda x: math.nan, abs, cases, right="Good.", hint="Signs.")
    assert not nan.passed


def test_require_raises_on_anything_but_right() -> None:
    assert check_truth(True, True, right="So.", hint="Hm.").require().passed
    for answer in (..., False):
        with pytest.raises(AssertionError, match=r"Your turn|Not yet"):
            check_truth(answer, True, right="So.", hint="Hm.").require()


def test_feedback_is_announced_and_escaped() -> None:
    page = check_number(1.0, 2.0, right="", hint="a < b").html
    assert 'role="status"' in page
    assert "a &lt; b" in page


class TestChapterOne:
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
        assert not chapter.check_temperature_form(undamped).passed

    def test_wrong_yet_growing_accepts_any_such_sample(self) -> None:
        assert chapter.check_wrong_yet_growing([1.0, 0.95, 0.9, -1.0], 2).passed
        assert chapter.check_wrong_yet_growing([0.0, 0.1, 0.05, -2.0, 0.2], 2).passed
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
