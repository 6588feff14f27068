"""What a method costs, and what it does in a batch that is computed in parts.

Questions of everybody who wants to use a method, each answered by a measurement that anybody can repeat::

    python -m companion.bench methods     # time and memory of each, against cross entropy on the same input
    python -m companion.bench parts       # is the gradient of a batch in parts still that of the whole batch?
    python -m companion.bench training    # how much faster do stacked runs train than a plain loop?

Each method is asked as the loss a user would differentiate (`CASES`). The recorded answer to the first is
``companion/results/tables/cost.json`` and stands on a page of the book; the second is computed where it is shown.
"""

from __future__ import annotations

from companion.bench.cases import CASES, Case
from companion.bench.cost import RECORD, SIZES, cost_table, made_with, measure, peak_bytes
from companion.bench.page import fill_places
from companion.bench.parts import gradient_error, parts_table
from companion.bench.training import training_ratios

__all__ = [
    "CASES",
    "RECORD",
    "SIZES",
    "Case",
    "cost_table",
    "fill_places",
    "gradient_error",
    "made_with",
    "measure",
    "parts_table",
    "peak_bytes",
    "training_ratios",
]
