"""The checks of exercises: right answers pass, known slips are named, no answer is no mistake, nothing is given away."""

from __future__ import annotations

import math
import re

import pytest
import torch

from companion import papers
from companion.page import check_function, check_number, check_numbers, check_truth, exercise, exercises_table, report


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


class TestGradients:
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.3, 0.4]], dtype=torch.float64)

    def said(self, answer: object, **more: object) -> str:
        cases = [(self.rows, 2.0), (self.rows, 9.0)]
        words = {"right": "Good.", "hint": "Look.", "gradient_hint": "Mind the length."}
        return check_function(answer, self.unit, cases, gradients=True, **{**words, **more}).text

    @staticmethod
    def unit(z: torch.Tensor, scale: float) -> torch.Tensor:
        """Rows of length `scale`; zero stays, with a gradient of zero."""
        return scale * z / z.square().sum(1, keepdim=True).clamp(min=1e-30).sqrt()

    def test_the_same_function_written_otherwise_is_right(self) -> None:
        def otherwise(z: torch.Tensor, scale: float) -> torch.Tensor:
            length = z.square().sum(1, keepdim=True).clamp(min=1e-30).sqrt()
            return torch.stack([scale * row / n for row, n in zip(z, length, strict=True)])

        assert self.said(otherwise) == "Right. Good."

    def test_values_come_first(self) -> None:
        assert "your function gives" in self.said(lambda z, scale: z)
        assert self.said(lambda z, scale: ...).startswith("Your turn.")

    def test_a_detached_length_is_seen_only_when_gradients_are_asked_for(self) -> None:
        def held(z: torch.Tensor, scale: float) -> torch.Tensor:
            return scale * z / z.detach().square().sum(1, keepdim=True).clamp(min=1e-30).sqrt()

        said = self.said(held)
        assert said.startswith("Not yet. The values agree, but the gradient does not. At [3.0, 4.0] a weighted sum")
        assert said.endswith("Mind the length.")
        assert re.search(r"has the gradient \[-?\d.*\], that of the library \[-?\d", said)
        slips = {"The length was held.": held}
        assert self.said(held, slips=slips) == "Not yet. The length was held."
        cases = [(self.rows, 2.0)]
        assert check_function(held, self.unit, cases, right="Good.", hint="Look.").passed

    @pytest.mark.parametrize(
        "cut", [lambda z: torch.tensor(z.tolist(), dtype=z.dtype), lambda z: z.detach(), lambda z: z.detach().tolist()]
    )
    def test_where_no_gradient_passes_it_says_what_to_return(self, cut: object) -> None:
        said = self.said(lambda z, scale: cut(self.unit(z, scale)))
        assert "no gradient passes through your result. Return a new tensor" in said

    def test_an_infinite_slope_in_a_branch_not_taken_is_named(self) -> None:
        def root(z: torch.Tensor, scale: float) -> torch.Tensor:
            length = z.square().sum(1, keepdim=True).sqrt()
            return torch.where(length > 0, scale * z / length.clamp(min=1e-15), 0 * z)

        said = self.said(root)
        assert "the gradient is NaN or infinite" in said
        assert "safe input first" in said

    def test_every_floating_tensor_is_asked_and_no_other(self) -> None:
        weight, target = torch.ones(2, dtype=torch.float64), torch.tensor([0, 1, 0])
        cases = [(self.rows, weight, target)]

        def both(z: torch.Tensor, w: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return (z * w).gather(1, y[:, None])

        def one(z: torch.Tensor, w: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return both(z, w.detach(), y)

        asked = {"right": "Good.", "hint": "Look.", "gradients": True}
        assert check_function(both, both, cases, **asked).passed
        assert "At [1.0, 1.0] a weighted sum" in check_function(one, both, cases, **asked).text

    def test_writing_into_the_input_changes_no_question_and_is_right_where_autograd_follows(self) -> None:
        def double(z: torch.Tensor) -> torch.Tensor:
            return z.mul_(2)

        def lost(z: torch.Tensor) -> torch.Tensor:
            return z.copy_(2 * z.detach())

        asked = {"right": "Good.", "hint": "Look.", "gradients": True}
        for _ in range(2):
            assert check_function(double, lambda z: 2 * z, [(self.rows,)], **asked).passed
            said = check_function(lost, lambda z: 2 * z, [(self.rows,)], **asked).text
            assert "The values agree, but the gradient does not." in said


def remembering(stem: str, key: str):
    """Make the check of an exercise as a chapter's module has it, or a part of that module."""

    def check(answer: object):
        return check_number(answer, 2.0, right="Good.", hint="Look again.")

    check.__module__, check.__name__ = f"companion.chapters.{stem}.exercises", f"check_{key}"
    return exercise(check)


def test_the_report_counts_the_last_answer_of_each_exercise(monkeypatch) -> None:
    monkeypatch.setattr("companion.page.exercises._last", {})
    stem = "partial_output_norm"
    first, second, *others = papers.load(stem).exercises
    total = sum(each.points for each in (first, second, *others))
    checks = [remembering(stem, each.key) for each in (first, second)]

    def rows() -> dict[str, list[str]]:
        lines = [[cell.strip() for cell in line.split("|")] for line in report(stem).text.splitlines()]
        return {name: rest for name, *rest in lines[1:]}

    assert rows()["sum"] == ["", "0", str(total)]
    checks[0](...)
    assert rows()[first.title] == ["open", "0", str(first.points)]
    checks[0](3.0)
    checks[1](2.0)
    assert rows()[first.title] == ["not yet", "0", str(first.points)]
    assert rows()[second.title] == ["right", str(second.points), str(second.points)]
    assert rows()["sum"] == ["", str(second.points), str(total)]
    checks[0](2.0)
    assert rows()["sum"] == ["", str(first.points + second.points), str(total)]
    checks[1](3.0)
    assert rows()["sum"] == ["", str(first.points), str(total)], "the last answer counts"
    remembering("another_chapter", second.key)(2.0)
    assert rows()["sum"] == ["", str(first.points), str(total)], "an exercise of another chapter"


def test_a_solution_cell_gives_no_points_and_takes_none(monkeypatch) -> None:
    last: dict = {}
    monkeypatch.setattr("companion.page.exercises._last", last)
    check = remembering("some", "sum")
    assert check(2.0).require().passed
    assert last == {("some", "sum"): "open"}
    check(3.0)
    with pytest.raises(AssertionError, match="Not yet"):
        check(1.0).require()
    assert last == {("some", "sum"): "not yet"}
    check(2.0)
    check(2.0).require()
    assert last == {("some", "sum"): "right"}


def test_the_report_says_when_and_with_which_version() -> None:
    import companion

    said = report("partial_output_norm").text.splitlines()[-1]
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d[+-]\d\d:\d\d", said), said
    assert companion.__version__ in said


def test_the_teacher_s_table_adds_up() -> None:
    lines = [
        [cell.strip() for cell in line.split("|")] for line in exercises_table("partial_output_norm").text.splitlines()
    ]
    assert len(lines) == 2 + len(papers.load("partial_output_norm").exercises)
    for column in (2, 3):
        assert sum(int(line[column]) for line in lines[1:-1]) == int(lines[-1][column]) > 0
