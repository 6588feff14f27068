"""Checks for exercises: they say what is right, what is not and where to look, and never give the answer away.

`exercise` makes a chapter's check remember how its last answer did; `report` counts the points.
"""

from __future__ import annotations

import copy
import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec

import companion
from companion import papers
from companion.page.display import SANS, Panel, inline, plain, style
from companion.page.tables import interval_text, render_table
from companion.results import paired

Asked = ParamSpec("Asked")
_last: dict[tuple[str, str], str] = {}  # chapter and exercise to the state of the last answer in this kernel


@dataclass(frozen=True, repr=False)
class Feedback(Panel):
    """What a check says, and whether the answer passed.

    Attributes:
        state: ``"right"``, ``"not yet"`` or ``"open"`` (no answer given).
        key: chapter and exercise, where `exercise` remembers it.
        before: the state that was remembered before.
    """

    state: str = "open"
    key: tuple[str, str] | None = None
    before: str = "open"

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.state == "right"

    def require(self) -> Feedback:
        """Return the feedback if the answer is right, else raise: solution cells end with it, so that they are tested.

        Such an answer is the book's, not the reader's: `report` counts what was remembered before.

        Raises:
            AssertionError: the answer is not right.
        """
        if self.key:
            _last[self.key] = self.before
        if not self.passed:
            raise AssertionError(self.text)
        return self


def feedback(state: str, message: str) -> Feedback:
    """Build the feedback of a check.

    Args:
        state: ``"right"``, ``"not yet"`` or ``"open"``.
        message: light Markdown.

    Example:
        >>> feedback("not yet", "Mind the sign.")
        Not yet. Mind the sign.
    """
    lead = {"right": "Right.", "not yet": "Not yet.", "open": "Your turn."}[state]
    css = style(
        f""".luc-check{{font:400 16px/1.5 {SANS};border-left:3px solid currentColor;padding:.1em .9em;margin:.6em 0}}
        .luc-check strong{{font-weight:600}}"""
    )
    page = f'{css}<p class="luc-check" role="status"><strong>{lead}</strong> {inline(message)}</p>'
    return Feedback(html=page, text=f"{lead} {plain(message)}", state=state)


def exercise(check: Callable[Asked, Feedback]) -> Callable[Asked, Feedback]:
    """Let a chapter's check remember how the last answer did, for `report`.

    Args:
        check: ``check_<key>`` of ``companion.chapters.<stem>``, or of a part of it; the key is its exercise's in the paper's file.

    Returns:
        The check; each call is remembered under stem and key as long as the kernel runs.

    Example:
        >>> @exercise
        ... def check_sum(answer):
        ...     return check_number(answer, 4, right="Good.", hint="Add.")
        >>> check_sum(3), check_sum(4).before
        (Not yet. Add., 'not yet')
    """
    stem = check.__module__.removeprefix("companion.chapters.").partition(".")[0]
    key = (stem, check.__name__.removeprefix("check_"))

    @wraps(check)
    def remembered(*args: Asked.args, **named: Asked.kwargs) -> Feedback:
        said = replace(check(*args, **named), key=key, before=_last.get(key, "open"))
        _last[key] = said.state
        return said

    return remembered


def report(stem: str) -> Panel:
    """Show what this kernel remembers of a chapter's exercises: state and points of each, their sum, the time, the version.

    Args:
        stem: of the paper, ``"partial_output_norm"``; its file says how many points an exercise is worth.

    Returns:
        A table to hand in. Answers of solution cells, which end in `Feedback.require`, do not count.

    Example:
        >>> report("partial_output_norm").text.splitlines()[0].split()
        ['exercise', '|', 'state', '|', 'points', '|', 'of']
    """
    asked = papers.load(stem).exercises
    states = [_last.get((stem, each.key), "open") for each in asked]
    points = [each.points if state == "right" else 0 for each, state in zip(asked, states, strict=True)]
    rows = [[each.title, *rest, each.points] for each, *rest in zip(asked, states, points, strict=True)]
    rows.append(["**sum**", "", sum(points), sum(each.points for each in asked)])
    when = datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")
    caption = f"{papers.load(stem).chapter.title}: answers in this kernel, {when}, companion {companion.__version__}."
    return render_table(["exercise", "state", "points", "of"], rows, caption=caption)


def exercise_minutes(stem: str) -> str:
    """Say how long a chapter's exercises take by its paper's file.

    Example:
        >>> exercise_minutes("partial_output_norm").endswith("and an evening")
        True
    """
    asked = papers.load(stem).exercises
    evenings = sum(each.level == "investigation" for each in asked)
    minutes = sum(each.minutes for each in asked if each.level != "investigation")
    return f"{minutes} minutes{' and an evening' * evenings}"


def exercises_table(stem: str) -> Panel:
    """Show a chapter's exercises with their level, minutes and points, and the sums, for those who teach it.

    Example:
        >>> exercises_table("partial_output_norm").text.splitlines()[0].split()
        ['exercise', '|', 'level', '|', 'minutes', '|', 'points']
    """
    asked = papers.load(stem).exercises
    rows = [[each.title, each.level, each.minutes, each.points] for each in asked]
    sums = ["**sum**", "", sum(each.minutes for each in asked), sum(each.points for each in asked)]
    return render_table(["exercise", "level", "minutes", "points"], [*rows, sums])


def check_number(
    answer: Any,
    expected: float,
    *,
    right: str,
    hint: str,
    slips: Mapping[str, float] | None = None,
    tolerance: float = 1e-3,
) -> Feedback:
    """Check one number.

    Args:
        answer: what the reader computed; ``...`` or None means no answer yet.
        expected: the right number.
        right: what to say when it is right: one step beyond the answer.
        hint: where to look when it is not, and no known slip fits.
        slips: what to say for wrong answers that come from a known slip: message to number.
        tolerance: relative, and absolute below one.

    Returns:
        Feedback that names the slip if it can.

    Example:
        >>> check_number(2.0, 3.0, right="Good.", hint="Add, do not multiply.")
        Not yet. Add, do not multiply.
        >>> check_number(..., 3.0, right="Good.", hint="…")
        Your turn. Put your answer where the three dots are, and run the cell again.
    """
    if answer is Ellipsis or answer is None:
        return feedback("open", "Put your answer where the three dots are, and run the cell again.")
    try:
        value = float(answer)
    except (TypeError, ValueError, OverflowError):
        return feedback("not yet", f"A number is wanted here; this is `{html.escape(type(answer).__name__)}`.")
    if _near(value, expected, tolerance):
        return feedback("right", right)
    for message, wrong in (slips or {}).items():
        if _near(value, wrong, tolerance):
            return feedback("not yet", message)
    return feedback("not yet", hint)


def check_numbers(
    answer: Any,
    expected: Sequence[float],
    *,
    right: str,
    hint: str,
    slips: Mapping[str, Sequence[float]] | None = None,
    tolerance: float = 1e-3,
) -> Feedback:
    """Check a short vector of numbers; like `check_number`, with one message for the whole.

    Example:
        >>> check_numbers((1, 2), (1, 3), right="Good.", hint="Look at the second one.")
        Not yet. Look at the second one.
    """
    if answer is Ellipsis or answer is None:
        return feedback("open", "Put your answer where the three dots are, and run the cell again.")
    try:
        values = [float(entry) for entry in answer]
    except (TypeError, ValueError, OverflowError):
        return feedback("not yet", f"{len(expected)} numbers are wanted here, as a list, a tuple or a tensor.")
    if len(values) != len(expected):
        return feedback("not yet", f"{len(expected)} numbers are wanted here; these are {len(values)}.")
    if all(_near(value, target, tolerance) for value, target in zip(values, expected, strict=True)):
        return feedback("right", right)
    for message, wrong in (slips or {}).items():
        if all(_near(value, target, tolerance) for value, target in zip(values, wrong, strict=True)):
            return feedback("not yet", message)
    return feedback("not yet", hint)


def check_truth(answer: Any, expected: bool, *, right: str, hint: str) -> Feedback:
    """Check a yes or no.

    Example:
        >>> check_truth(True, True, right="So it is.", hint="…")
        Right. So it is.
    """
    if answer is Ellipsis or answer is None:
        return feedback("open", "Put `True` or `False` where the three dots are, and run the cell again.")
    if not isinstance(answer, bool):
        return feedback("not yet", "`True` or `False` is wanted here.")
    return feedback("right", right) if answer is expected else feedback("not yet", hint)


def check_paired(errors: Any, *, beside: str) -> Feedback:
    """Say what the reader's own test errors of two arms, seed by seed, allow to be said.

    Args:
        errors: arm to test errors in percent, one a seed; the first arm is the baseline.
        beside: what should be said beside the difference.

    Example:
        >>> check_paired({"plain": [5.0, 5.2, 5.1, 5.3, 4.9], "tamed": [4.1, 4.2, 4.3, 4.2, 4.0]}, beside="Say how.").text[:29]
        'Right. plain minus tamed: +0.'
    """
    if errors is Ellipsis or errors is None:
        return feedback("open", "Put a dictionary of two lists where the dots are, test errors in percent, one a seed.")
    try:
        (baseline, one), (method, other) = (
            (str(arm), [float(value) for value in values]) for arm, values in errors.items()
        )
    except (AttributeError, TypeError, ValueError):
        return feedback(
            "not yet",
            "Wanted is a dictionary with two entries, each a list of numbers: the baseline first, then the method.",
        )
    if len(one) != len(other):
        return feedback(
            "not yet", f"{len(one)} and {len(other)} numbers: the same seeds in both arms, so that they can be paired."
        )
    if len(one) < 5:
        return feedback(
            "not yet",
            f"{len(one)} seeds are too few to say how far a difference moves from seed to seed; take five or more.",
        )
    if not all(math.isfinite(value) and 0 <= value <= 100 for value in (*one, *other)):
        return feedback("not yet", "Errors are percentages, from 0 to 100.")
    found = paired(one, other)
    word = (
        f"{method} is better"
        if found.low > 0
        else f"{baseline} is better"
        if found.high < 0
        else "the interval holds zero"
    )
    return feedback(
        "right",
        f"{baseline} minus {method}: {interval_text(found)} points over {len(one)} seeds; {word}. {beside}",
    )


def check_function(
    answer: Any,
    reference: Callable[..., Any],
    cases: Sequence[tuple[Any, ...]],
    *,
    right: str,
    hint: str,
    tolerance: float = 1e-6,
    gradients: bool | Sequence[tuple[Any, ...]] = False,
    gradient_hint: str = "",
    slips: Mapping[str, Callable[..., Any]] | None = None,
) -> Feedback:
    """Check a function against a reference on cases, and show the first case where they differ.

    With ``gradients`` the same cases are asked again for their gradient: that of a fixed weighted sum of the result with respect
    to every argument that is a tensor of floating point numbers.

    Args:
        answer: the reader's function; one that returns ``...`` or None counts as no answer yet.
        reference: the library's function.
        cases: argument tuples.
        right: what to say when all cases agree.
        hint: where to look when one does not.
        tolerance: largest difference of an entry; of a gradient's, ten times that.
        gradients: whether to compare autograd's gradients too, once the values agree; or the cases at which to, for a function that
            has a kink at some of the others.
        gradient_hint: where to look when only the gradients differ.
        slips: what to say of known slips: message to a function that makes it, recognised by its values or its gradients.

    Example:
        >>> check_function(lambda x: x, abs, [(1.0,), (-1.0,)], right="Good.", hint="Think of signs.")
        Not yet. For (-1.0,) your function gives -1.0, wanted is 1.0. Think of signs.
        >>> import torch
        >>> cases = [(torch.tensor([1.0, 2.0]),)]
        >>> check_function(lambda x: x * x.detach(), torch.square, cases, right="Good.", hint="…", gradients=True).text[:52]
        'Not yet. The values agree, but the gradient does not'
    """
    if not callable(answer):
        return feedback("open", "Define the function, and run the cell again.")
    for case in cases:
        if said := _wrong_value(answer, reference, case, hint, tolerance, slips or {}):
            return said
    for case in (cases if gradients is True else gradients) or ():
        if said := _wrong_gradient(answer, reference, case, gradient_hint, 10 * tolerance, slips or {}):
            return said
    return feedback("right", right)


def _wrong_value(
    answer: Callable[..., Any],
    reference: Callable[..., Any],
    case: tuple[Any, ...],
    hint: str,
    tolerance: float,
    slips: Mapping[str, Callable[..., Any]],
) -> Feedback | None:
    """Say what is wrong with the value of one case, or None."""
    wanted = reference(*copy.deepcopy(case))
    try:
        found = answer(*copy.deepcopy(case))  # a function that writes into its input must not change the question
    except Exception as error:  # noqa: BLE001  (the reader's own function may raise anything)
        return feedback("not yet", f"For {_short(case)} your function raises {type(error).__name__}: {error}")
    if found is Ellipsis or found is None:
        return feedback("open", "Replace the three dots by your own line, and run the cell again.")
    difference = _difference(found, wanted)
    if difference is None:
        return feedback("not yet", f"For {_short(case)} the result has another shape than wanted. {hint}")
    if difference <= tolerance:
        return None
    for message, slip in slips.items():
        if (off := _difference(found, slip(*copy.deepcopy(case)))) is not None and off <= tolerance:
            return feedback("not yet", message)
    return feedback(
        "not yet", f"For {_short(case)} your function gives {_short(found)}, wanted is {_short(wanted)}. {hint}"
    )


def _wrong_gradient(
    answer: Callable[..., Any],
    reference: Callable[..., Any],
    case: tuple[Any, ...],
    hint: str,
    tolerance: float,
    slips: Mapping[str, Callable[..., Any]],
) -> Feedback | None:
    """Say what is wrong with the gradients of one case, whose value is right, or None."""
    wanted = _gradients(reference, case)
    try:
        found = _gradients(answer, case)
    except Exception:  # noqa: BLE001  (the reader's own function may raise anything)
        return feedback(
            "not yet",
            "The values agree, but no gradient passes through your result. Return a new tensor, built from the input with "
            "torch operations alone (`torch.stack` joins rows): no lists, no `torch.tensor(…)`, no `.item()`, no numpy, and "
            "nothing written into the input.",
        )
    if all(_difference(one, other) <= tolerance for one, other in zip(found, wanted, strict=True)):
        return None
    if not all(one.isfinite().all() for one in found):
        return feedback(
            "not yet",
            f"The values agree, but for {_short(case)} the gradient is NaN or infinite. Mind the branch that is *not* taken: a "
            "division by zero there, or a root or a logarithm of zero, spoils the gradient all the same. Give that operation a safe "
            "input first (`clamp` it), then choose.",
        )
    for message, slip in slips.items():
        if all(_difference(one, other) <= tolerance for one, other in zip(found, _gradients(slip, case), strict=True)):
            return feedback("not yet", message)
    where = _first_rows(case, found, wanted, tolerance)
    return feedback("not yet", f"The values agree, but the gradient does not. {where} {hint}".strip())


def _gradients(function: Callable[..., Any], case: tuple[Any, ...]) -> list[Any]:
    """Return the gradients of a weighted sum of the result with respect to the floating tensors of a case.

    Raises:
        RuntimeError: the result does not depend on them as far as autograd knows.
        AttributeError: the result is no tensor.
    """
    import torch

    leaves, arguments = [], []
    for value in copy.deepcopy(case):
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            leaves.append(value.detach().requires_grad_())
            # Like a network's output no leaf: only writing that autograd cannot follow is refused.
            value = leaves[-1] * 1.0
        arguments.append(value)
    result = function(*arguments)
    weights = torch.arange(1, result.numel() + 1, dtype=result.dtype).cos().reshape(result.shape)
    return list(torch.autograd.grad((result * weights).sum(), leaves, allow_unused=True, materialize_grads=True))


def _first_rows(case: tuple[Any, ...], found: Sequence[Any], wanted: Sequence[Any], tolerance: float) -> str:
    """Show the first row of an input at which the gradients differ."""
    import torch

    inputs = [value for value in case if isinstance(value, torch.Tensor) and value.is_floating_point()]
    for value, one, other in zip(inputs, found, wanted, strict=True):
        rows = [
            tensor.reshape(len(tensor), -1) if tensor.ndim > 1 else tensor.reshape(1, -1) for tensor in (one, other)
        ]
        off = ((rows[0] - rows[1]).abs() > tolerance).any(dim=1).nonzero()
        if len(off):
            at = int(off[0])
            place = value[at] if value.ndim > 1 else value
            mine, right = (_short(_rounded(tensor[at])) for tensor in rows)
            return f"At {_short(place)} a weighted sum of your result has the gradient {mine}, that of the library {right}."
    return ""


def _rounded(tensor: Any) -> list[float]:
    return [round(value, 4) + 0.0 for value in tensor.tolist()]


def _near(value: float, target: float, tolerance: float) -> bool:
    return math.isclose(value, target, rel_tol=tolerance, abs_tol=tolerance)


def _difference(found: Any, wanted: Any) -> float | None:
    """Largest absolute difference of two numbers or tensors; None where their shapes differ."""
    import torch

    try:
        left, right = (torch.as_tensor(value, dtype=torch.float64).detach() for value in (found, wanted))
    except (TypeError, ValueError, RuntimeError):
        return None
    if left.shape != right.shape:
        return None
    return float((left - right).abs().max()) if left.numel() else 0.0


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(_short(entry) for entry in value)}{',' if len(value) == 1 else ''})"
    text = str(value.tolist()) if hasattr(value, "tolist") else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
