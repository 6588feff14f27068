"""Checks for exercises: they say what is right, what is not and where to look, and never give the answer away."""

from __future__ import annotations

import copy
import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from companion.page.display import SANS, Panel, inline, plain, style


@dataclass(frozen=True, repr=False)
class Feedback(Panel):
    """What a check says, and whether the answer passed.

    Attributes:
        state: ``"right"``, ``"not yet"`` or ``"open"`` (no answer given).
    """

    state: str = "open"

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.state == "right"

    def require(self) -> Feedback:
        """Return the feedback if the answer is right, else raise: solution cells end with it, so that they are tested.

        Raises:
            AssertionError: the answer is not right.
        """
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


def check_function(
    answer: Any,
    reference: Callable[..., Any],
    cases: Sequence[tuple[Any, ...]],
    *,
    right: str,
    hint: str,
    tolerance: float = 1e-6,
) -> Feedback:
    """Check a function against a reference on cases, and show the first case where they differ.

    Args:
        answer: the reader's function; one that returns ``...`` or None counts as no answer yet.
        reference: the library's function.
        cases: argument tuples.
        right: what to say when all cases agree.
        hint: where to look when one does not.
        tolerance: largest difference of an entry.

    Example:
        >>> check_function(lambda x: x, abs, [(1.0,), (-1.0,)], right="Good.", hint="Think of signs.")
        Not yet. For (-1.0,) your function gives -1.0, wanted is 1.0. Think of signs.
    """
    if not callable(answer):
        return feedback("open", "Define the function, and run the cell again.")
    for case in cases:
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
        if not difference <= tolerance:
            return feedback(
                "not yet", f"For {_short(case)} your function gives {_short(found)}, wanted is {_short(wanted)}. {hint}"
            )
    return feedback("right", right)


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
