"""What chapter 01 alone says: its ball in numbers, its pictures, its sentences on recorded runs, and the checks of its exercises.

The first recording (`pon-mnist`, `pon-graphs`) is judged by the rule that was fixed for it: `load` reads it, `verdict` is that rule. What
was recorded by the rules of all chapters is read by `companion.results.load`.
"""

from __future__ import annotations

from companion.chapters.partial_output_norm.ball import behind_ball, descend, loss_gradient, required_threshold
from companion.chapters.partial_output_norm.breaks import say_breaks, states
from companion.chapters.partial_output_norm.exercises import (
    chapter_quiz,
    check_evening,
    check_first_sample,
    check_missing_error,
    check_partial_norm,
    check_stability_norm,
    check_temperature_form,
    check_threshold,
    check_wrong_yet_growing,
    exercise_minutes,
    report,
)
from companion.chapters.partial_output_norm.first import say_graph_parts, say_in_one_line, say_rival
from companion.chapters.partial_output_norm.parts import figure_parts, predict_parts, say_length, say_parts_setup
from companion.chapters.partial_output_norm.pictures import (
    figure_margin,
    figure_projection,
    figure_pythagoras,
    figure_shared,
    figure_split,
    figure_stability,
    shared_rates,
)
from companion.chapters.partial_output_norm.recorded import (
    MATCHED,
    PAPER,
    draw_length,
    figure_gap,
    figure_gradient,
    figure_length,
    figure_parameter_gradient,
    figure_search,
    figure_what_holds,
    mnist_runs,
    predict_radial,
    predict_sign,
    run_here,
    say_answer,
    say_growing,
    say_matched_rate,
    say_runs,
    say_what_holds,
    table_matched_rate,
    table_what_holds,
)
from companion.chapters.partial_output_norm.small_run import (
    figure_small_run,
    predict_small_run,
    say_confidence,
    say_steps,
)
from companion.results.first_recording import load, verdict

__all__ = [
    "MATCHED",
    "PAPER",
    "behind_ball",
    "chapter_quiz",
    "check_evening",
    "check_first_sample",
    "check_missing_error",
    "check_partial_norm",
    "check_stability_norm",
    "check_temperature_form",
    "check_threshold",
    "check_wrong_yet_growing",
    "descend",
    "draw_length",
    "exercise_minutes",
    "figure_gap",
    "figure_gradient",
    "figure_length",
    "figure_margin",
    "figure_parameter_gradient",
    "figure_parts",
    "figure_projection",
    "figure_pythagoras",
    "figure_search",
    "figure_shared",
    "figure_small_run",
    "figure_split",
    "figure_stability",
    "figure_what_holds",
    "load",
    "loss_gradient",
    "mnist_runs",
    "predict_parts",
    "predict_radial",
    "predict_sign",
    "predict_small_run",
    "report",
    "required_threshold",
    "run_here",
    "say_answer",
    "say_breaks",
    "say_confidence",
    "say_graph_parts",
    "say_growing",
    "say_in_one_line",
    "say_length",
    "say_matched_rate",
    "say_parts_setup",
    "say_rival",
    "say_runs",
    "say_steps",
    "say_what_holds",
    "shared_rates",
    "states",
    "table_matched_rate",
    "table_what_holds",
    "verdict",
]
