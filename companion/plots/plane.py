"""Vectors in a plane: axes through the origin, arrows and points, as the pictures beside a derivation need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from companion.look import Style, tokens
from companion.plots.drawing import style_of

Point = Sequence[float]


def plane(ax: Axes, *, x: tuple[float, float], y: tuple[float, float], names: tuple[str, str] = ("z₁", "z₂")) -> None:
    """Turn axes into a plane of two coordinates with equal units and axes through the origin.

    Args:
        ax: the axes.
        x: limits to the right.
        y: limits upwards.
        names: of the coordinates, written at the ends of their axes.

    Example:
        >>> from companion.plots import figure
        >>> _, ax = figure()
        >>> plane(ax, x=(-1, 3), y=(-1, 2))
        >>> tuple(map(float, ax.get_xlim()))
        (-1.0, 3.0)
    """
    muted = tokens()["muted"]
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.set_xlim(*x)
    ax.set_ylim(*y)
    ax.plot([x[0], x[1]], [0, 0], color=muted, linewidth=0.7)
    ax.plot([0, 0], [y[0], y[1]], color=muted, linewidth=0.7)
    note(ax, (x[1], 0), names[0], (-2, -4), color=muted, ha="right", va="top")
    note(ax, (0, y[1]), names[1], (5, -2), color=muted, va="top")


def arrow(ax: Axes, start: Point, end: Point, arm: str | Style, **kwargs: Any) -> None:
    """Draw an arrow from a point to a point, its head no larger than itself.

    Args:
        ax: the axes.
        start: (2,).
        end: (2,).
        arm: an arm's name or a style, for colour and dash.
        kwargs: of matplotlib's arrow patch.

    Example:
        >>> from companion.plots import figure
        >>> _, ax = figure()
        >>> arrow(ax, (0, 0), (1, 1), "vanilla")
    """
    look = style_of(arm)
    if np.allclose(start, end):
        return
    shown = {"arrowstyle": "-|>", "color": look.color, "linewidth": 1.8, "linestyle": look.dash, "mutation_scale": 11}
    ax.annotate(
        "",
        xy=tuple(end),
        xytext=tuple(start),
        annotation_clip=False,
        arrowprops={**shown, "shrinkA": 0, "shrinkB": 0, **kwargs},
    )


def note(ax: Axes, at: Point, words: str, shift: tuple[float, float] = (4, 4), **kwargs: Any) -> None:
    """Write words beside a point.

    Args:
        ax: the axes.
        at: (2,).
        words: what to write.
        shift: from the point, in typographic points.
        kwargs: of matplotlib's text.

    Example:
        >>> from companion.plots import figure
        >>> _, ax = figure()
        >>> note(ax, (0, 0), "the origin")
    """
    ax.annotate(words, tuple(at), xytext=shift, textcoords="offset points", annotation_clip=False, **kwargs)


def ball(ax: Axes, radius: float, arm: str | Style, *, name: str = "", at: float = 225.0) -> None:
    """Draw a circle about the origin, dotted, with its name at an angle in degrees.

    Args:
        ax: the axes.
        radius: of the circle.
        arm: an arm's name or a style, for its colour.
        name: written outside the circle.
        at: where, in degrees from the first axis.

    Example:
        >>> from companion.plots import figure
        >>> _, ax = figure()
        >>> ball(ax, 2.0, "P-ON", name="δ = 2")
    """
    look = style_of(arm)
    turn = np.linspace(0, 2 * np.pi, 241)
    ax.plot(radius * np.cos(turn), radius * np.sin(turn), color=look.color, linestyle=(0, (1.2, 1.6)), linewidth=1.6)
    if name:
        angle = np.deg2rad(at)
        place = (radius * np.cos(angle), radius * np.sin(angle))
        side = {"ha": "left" if np.cos(angle) > 0 else "right", "va": "bottom" if np.sin(angle) > 0 else "top"}
        note(
            ax,
            place,
            name,
            (4 * np.sign(np.cos(angle)), 4 * np.sign(np.sin(angle))),
            color=look.color,
            weight=700,
            **side,
        )
