"""A curve to draw in a notebook: its class, and how recorded curves come into it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from companion import look
from companion.widgets._live import LiveFigure
from companion.widgets._scripts import values_of

__all__ = ["DrawCurve"]

POINTS = len(values_of("draw_curve").defaults["truth"])


class DrawCurve(LiveFigure):
    """The reader draws how a quantity goes on, then the recorded curve appears beside the reader's line, with both numbers.

    `DrawCurve.of` makes one of recorded curves. In print, and where no script runs, the recorded curves stand open.

    Args:
        name_x: what runs along, before its number: ``"epoch"``.
        name_y: what is drawn, in words.
        largest_x: where the axis ends; it begins at 0.
        largest_y: the same, upwards.
        truth: the recorded curve, at 31 points from 0 to ``largest_x``, none below 0; the reader is given the first.
        label: its name.
        colour: its colour, a token of `companion.look`.
        dash: lengths of strokes and gaps in pixels, ``""`` for a solid line.
        other: a second recorded curve; shown where it has a label.
        other_label: its name.
        other_colour: its colour.
        other_dash: its dash.
        note: a sentence that stands under the open curves: n, spread, source.
        drawn: the reader's points.
        reached: how many of them are drawn, without the given one.
        shown: whether the recorded curves are open.

    Raises:
        traitlets.TraitError: a value has the wrong type or lies outside its range.

    Example:
        >>> DrawCurve(reached=2).reached
        2

    Not tried in Google Colab.
    """

    name = "draw_curve"

    @classmethod
    def of(
        cls,
        x: Any,
        y: Any,
        *,
        name_y: str,
        arm: str = "vanilla",
        label: str = "",
        other: Any = None,
        other_arm: str = "",
        other_label: str = "",
        name_x: str = "epoch",
        largest_y: float | None = None,
        note: str | None = None,
    ) -> DrawCurve:
        """Return the figure of recorded curves, as ``Results.curve`` returns them; lines are drawn as their arms are.

        Args:
            x: (E,), ascending from 0: epochs.
            y: (E,), or (n, E) for n runs, whose mean is taken.
            name_y: what is drawn, in words.
            arm: whose curve it is; gives colour, dash and, without ``label``, its name.
            label: its name.
            other: a second curve, of the shape (E,) or (n, E).
            other_arm: whose it is.
            other_label: its name.
            name_x: what runs along.
            largest_y: where the upright axis ends; without it a round number well above both curves.
            note: a sentence under the curves; without it, of each curve how many runs there are and their standard deviation at the end.

        Raises:
            ValueError: the curves are not finite (a run diverged), negative, of another length than ``x``, or an arm has no look.

        Example:
            >>> figure = DrawCurve.of([0, 10], [[1.0, 3.0], [1.0, 5.0]], name_y="mean length of the logits")
            >>> figure.truth[-1], figure.largest_y, figure.note
            (4.0, 5.0, 'Plain cross entropy: mean of 2 runs, standard deviation at the end 1.4.')
        """
        x = np.asarray(x, dtype=np.float64)
        if x.ndim != 1 or len(x) < 2 or x[0] != 0 or not (np.diff(x) > 0).all() or not np.isfinite(x).all():
            raise ValueError(f"x must be two or more numbers that ascend from 0, got {x.tolist()!r}")
        grid = np.linspace(0, x[-1], POINTS)
        curves = [_mean("y", x, y)] + ([] if other is None else [_mean("other", x, other)])
        truth, *second = [np.interp(grid, x, curve) for curve in curves]
        top = _round_above(1.25 * max(curve.max() for curve in curves)) if largest_y is None else largest_y
        values: dict[str, Any] = {
            "name_x": name_x,
            "name_y": name_y,
            "largest_x": float(x[-1]),
            "largest_y": float(top),
            "truth": truth.tolist(),
            **_look("", arm, label),
        }
        if second:
            values |= {"other": second[0].tolist(), **_look("other_", other_arm, other_label)}
        said = [_spread(values["label"], y), *([_spread(values["other_label"], other)] if second else [])]
        values["note"] = " ".join(filter(None, said)) if note is None else note
        return cls(**values)


def _look(prefix: str, arm: str, label: str) -> dict[str, str]:
    """Return colour, dash and name of an arm's curve, by the names of the figure's values."""
    style = look.style(arm)
    dash = (
        "" if style.dash == "-" else " ".join(f"{2.5 * length:g}" for length in style.dash[1])
    )  # in widths of the line
    name = label or ("plain cross entropy" if arm == "vanilla" else arm)
    return {f"{prefix}label": name, f"{prefix}colour": style.token, f"{prefix}dash": dash}


def _mean(name: str, x: np.ndarray, y: Any) -> np.ndarray:
    """Return a curve (E,), the mean of the runs (n, E); refuse what cannot be drawn."""
    values = np.atleast_2d(np.asarray(y, dtype=np.float64))
    if values.ndim != 2 or len(values) == 0 or values.shape[1] != len(x):
        raise ValueError(f"{name} must have the shape (E,) or (n, E) with E = {len(x)}, got {np.shape(y)}")
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(f"{name} must be finite and not below 0, got {np.shape(y)} numbers, some of which are not")
    return values.mean(axis=0)


def _spread(label: str, y: Any) -> str:
    """Say how many runs a curve is the mean of, and how far they lie apart at the end; nothing of a single one."""
    values = np.atleast_2d(np.asarray(y, dtype=np.float64))
    if len(values) < 2:
        return ""
    spread = values[:, -1].std(ddof=1)
    return f"{label[0].upper()}{label[1:]}: mean of {len(values)} runs, standard deviation at the end {spread:.2g}."


def _round_above(value: float) -> float:
    """Return the smallest of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that is not below a value; 1 for zero."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * (1 - 1e-9))
