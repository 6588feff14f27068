"""What every chapter uses unchanged: first cell, strip, tables beside tables, checks, quizzes, prose with numbers.

Everything a chapter shows through these functions is a small object with an HTML face for pages and notebooks and a
text face for terminals; nothing needs a kernel, a script or a network once it has been written. A chapter's own
figures, sentences and exercise checks live in a module of its name beside this one, made of the parts below: `not_usable`,
`ends`, `gain_or_why` and their kin for recorded runs, `check_number` and its kin for answers, `quiz` for questions.

Example:
    >>> from companion.page import say
    >>> say(f"The loss is {0.2410:.2f}.")
    The loss is 0.24.
"""

from __future__ import annotations

from companion.page.display import Panel, Prose, equation, say
from companion.page.exercises import Feedback, check_function, check_number, check_numbers, check_truth
from companion.page.quiz import Question, quiz
from companion.page.sentences import (
    NO_GAIN,
    ends,
    gain_or_why,
    matched_gains,
    not_recorded,
    not_usable,
    place_in_search,
    rank_correlation,
    recorded_arms,
    said_lost,
    say_matched_gains,
    search_rank,
    share_of_orders,
    steady_arms,
    table_of_matched_gains,
)
from companion.page.setup import setup
from companion.page.source import source_beside
from companion.page.strip import at_a_glance, fill_places, you_are_here
from companion.page.tables import (
    Comparison,
    claims_table,
    compare,
    diverged,
    error_table,
    family_note,
    interval_text,
    printed_reductions,
    recipe_table,
    recorded_note,
    render_table,
    table_beside,
    verdict,
)

__all__ = [
    "NO_GAIN",
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
    "diverged",
    "ends",
    "equation",
    "error_table",
    "family_note",
    "fill_places",
    "gain_or_why",
    "interval_text",
    "matched_gains",
    "not_recorded",
    "not_usable",
    "place_in_search",
    "printed_reductions",
    "quiz",
    "rank_correlation",
    "recipe_table",
    "recorded_arms",
    "recorded_note",
    "render_table",
    "said_lost",
    "say",
    "say_matched_gains",
    "search_rank",
    "setup",
    "share_of_orders",
    "source_beside",
    "steady_arms",
    "table_beside",
    "table_of_matched_gains",
    "verdict",
    "you_are_here",
]
