"""What every chapter uses unchanged: first cell, strip, tables beside tables, checks, quizzes, prose with numbers.

Everything a chapter shows through these functions is a small object with an HTML face for pages and notebooks and a
text face for terminals; nothing needs a kernel, a script or a network once it has been written. A chapter's own
figures and exercise answers live in a module of its name beside this one.

Example:
    >>> from companion.chapter import say
    >>> say(f"The loss is {0.2410:.2f}.")
    The loss is 0.24.
"""

from __future__ import annotations

from companion.chapter._display import Panel, Prose, equation, say
from companion.chapter._exercises import Feedback, check_function, check_number, check_numbers, check_truth
from companion.chapter._page import at_a_glance, you_are_here
from companion.chapter._quiz import Question, quiz
from companion.chapter._setup import setup
from companion.chapter._source import source_beside
from companion.chapter._tables import (
    Comparison,
    claims_table,
    compare,
    error_table,
    family_note,
    printed_reductions,
    recipe_table,
    recorded_note,
    render_table,
    table_beside,
    verdict,
)

__all__ = [
    "Comparison",
    "Feedback",
    "Panel",
    "Prose",
    "Question",
    "at_a_glance",
    "check_function",
    "check_number",
    "check_numbers",
    "check_truth",
    "claims_table",
    "compare",
    "equation",
    "error_table",
    "family_note",
    "printed_reductions",
    "quiz",
    "recipe_table",
    "recorded_note",
    "render_table",
    "say",
    "setup",
    "source_beside",
    "table_beside",
    "verdict",
    "you_are_here",
]
