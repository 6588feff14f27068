"""What every chapter uses: first cell, strip, tables, figures and sentences of recorded runs, predictions, checks, quizzes.

Everything a chapter shows through these functions is a small object with an HTML face for pages and notebooks and a
text face for terminals; nothing needs a kernel, a script or a network once it has been written. Figures and sentences take
recorded results and the arms that they speak of. What one chapter alone says stands in `companion.chapters`.

Example:
    >>> from companion.page import say
    >>> say(f"The loss is {0.2410:.2f}.")
    The loss is 0.24.
"""

from __future__ import annotations

import importlib
from typing import Any

from companion.page.audit import (
    claims_table,
    headlines,
    not_yet,
    recorded_runs,
    table_arms,
    table_contrasts,
    table_draws,
    table_pairs,
    table_search,
    when_recorded,
)
from companion.page.display import Panel, Prose, equation, say
from companion.page.exercises import (
    Feedback,
    check_function,
    check_number,
    check_numbers,
    check_paired,
    check_truth,
    exercise,
    exercise_minutes,
    exercises_table,
    feedback,
    report,
)
from companion.page.live import descend, loss_gradient, table_growth, table_small_run, table_temperature
from companion.page.predictions import predict
from companion.page.quiz import quiz
from companion.page.recorded import (
    ends,
    in_words,
    matched,
    not_recorded,
    not_usable,
    place_in_search,
    recorded_arms,
    said_lost,
    search_rank,
    steady_arms,
    why_not,
)
from companion.page.sentences import (
    family_note,
    growing_counts,
    recorded_note,
    say_growing,
    say_in_one_line,
    say_matched,
    say_parts,
    say_precision,
    say_rival,
    say_search_edge,
)
from companion.page.setup import setup
from companion.page.source import source_beside
from companion.page.strip import at_a_glance, fill_places, you_are_here
from companion.page.tables import (
    compare_row,
    error_table,
    interval_text,
    knobs_text,
    printed_reductions,
    recipe_table,
    render_table,
    table_beside,
    table_grid,
    table_matched,
    table_verdicts,
)

__all__ = [
    "Feedback",
    "Panel",
    "Prose",
    "at_a_glance",
    "check_function",
    "check_number",
    "check_numbers",
    "check_paired",
    "check_truth",
    "claims_table",
    "compare_row",
    "descend",
    "ends",
    "equation",
    "error_table",
    "exercise",
    "exercise_minutes",
    "exercises_table",
    "family_note",
    "feedback",
    "figure_forest",
    "figure_gap",
    "figure_gradient",
    "figure_length",
    "figure_loss_and_entropy",
    "figure_parameter_gradient",
    "figure_search",
    "fill_places",
    "growing_counts",
    "headlines",
    "in_words",
    "interval_text",
    "knobs_text",
    "loss_gradient",
    "matched",
    "not_recorded",
    "not_usable",
    "not_yet",
    "place_in_search",
    "predict",
    "printed_reductions",
    "quiz",
    "radial_share",
    "recipe_table",
    "recorded_arms",
    "recorded_note",
    "recorded_runs",
    "render_table",
    "report",
    "run_here",
    "said_lost",
    "say",
    "say_growing",
    "say_in_one_line",
    "say_matched",
    "say_parts",
    "say_precision",
    "say_rival",
    "say_search_edge",
    "search_rank",
    "setup",
    "source_beside",
    "steady_arms",
    "table_arms",
    "table_beside",
    "table_contrasts",
    "table_draws",
    "table_grid",
    "table_growth",
    "table_matched",
    "table_pairs",
    "table_search",
    "table_small_run",
    "table_temperature",
    "table_verdicts",
    "when_recorded",
    "why_not",
    "you_are_here",
]


def __getattr__(name: str) -> Any:
    """Import what draws when it is first asked for: the first cell, which installs what that needs, comes before."""
    if name in __all__:  # and not here, else nobody had asked this function
        module = "here" if name == "run_here" else "figures"
        return getattr(importlib.import_module(f"companion.page.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
