"""One style for every figure of the book, drawn once and right in both themes, wide and narrow.

A figure here has one message, which the first sentence of its caption states (and :func:`claim` checks against
the data). It has no title, no box and no legend: every line carries its name at its end, in its colour. A method
keeps its colour, dash and marker in all chapters; all of them come from `companion.look`, as the colours of the
pages and of the live figures do.

Three levels, from the most ready-made to the barest:

* :func:`curves` and :func:`forest` turn recorded results into a captioned figure in one call.
* :func:`show` turns a draw function ``draw(ax, narrow)`` of yours into such a figure; inside it, use
  :func:`line`, :func:`band`, :func:`scatter`, :func:`label_lines`, :func:`name_axes` and matplotlib itself.
* :func:`plane`, :func:`arrow`, :func:`ball` and :func:`note` draw vectors.
* :func:`figure` is a bare matplotlib figure in the book's style.

Write symbols in Unicode (``‖z‖``, ``δ``, ``z₁``), not in ``$…$``: text then stays text in the page.
"""

from __future__ import annotations

from companion.look import Style, tokens
from companion.plots.drawing import band, figure, line, name_axes, scatter, style, style_of
from companion.plots.forest import draw_forest, forest
from companion.plots.labels import label_lines
from companion.plots.plane import arrow, ball, note, plane
from companion.plots.runs import METRIC_NAMES, curves, draw_curves, mean_and_band, provenance_note
from companion.plots.showing import Shown, claim, show

__all__ = [
    "METRIC_NAMES",
    "Shown",
    "Style",
    "arrow",
    "ball",
    "band",
    "claim",
    "curves",
    "draw_curves",
    "draw_forest",
    "figure",
    "forest",
    "label_lines",
    "line",
    "mean_and_band",
    "name_axes",
    "note",
    "plane",
    "provenance_note",
    "scatter",
    "show",
    "style",
    "style_of",
    "tokens",
]
