"""The book's style in matplotlib, an empty figure in it, and what is drawn on one: lines, bands, points, names of axes."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from companion import look
from companion._extras import require
from companion.look import Style, tokens

matplotlib = require("matplotlib", extra="plots")

from matplotlib import font_manager  # noqa: E402  (the line above says which extra is missing)
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402

Width = Literal["text", "wide"]

# One hundred pixels of the page to the inch, so that a point is 100/72 pixels: 10.8 pt is 15 px.
PIXELS = 100.0
WIDTHS = {"text": 680.0, "wide": 1080.0, "narrow": 344.0}
HEIGHTS = {"text": 400.0, "wide": 420.0, "narrow": 300.0}
_FONT_PIXELS = {"text": 15.0, "wide": 15.0, "narrow": 13.5}


def style_of(arm: str | Style) -> Style:
    """Look up how an arm is drawn.

    Args:
        arm: an arm's name, as its paper has it; a `companion.look.Style` is returned as it is.

    Raises:
        ValueError: the arm has no look yet; the message says where to add it.

    Example:
        >>> style_of("P-ON").token
        'pon'
    """
    return arm if isinstance(arm, Style) else look.style(arm)


@cache
def _families() -> list[str]:
    """Source Sans Pro where its font package is installed, and always matplotlib's own DejaVu Sans behind it."""
    spec = importlib.util.find_spec("font_source_sans_pro")
    if spec is None or spec.origin is None:
        return ["DejaVu Sans"]
    fonts = font_manager.fontManager
    for weight in ("Regular", "Semibold"):
        fonts.addfont(Path(spec.origin).parent / "files" / f"SourceSansPro-{weight}.ttf")
    # One name for the strong weight in both families: DejaVu Sans has 700 only, and matplotlib would say so each time.
    fonts.ttflist.append(replace(fonts.ttflist[-1], name="Source Sans Pro", weight=700))
    return ["Source Sans Pro", "DejaVu Sans"]


def style(narrow: bool = False) -> AbstractContextManager[None]:
    """Draw in the book's style inside a ``with`` block.

    Args:
        narrow: the type size of the phone's twin.

    Example:
        >>> with style():
        ...     fig, ax = figure()
    """
    ink, muted = tokens()["ink"], tokens()["muted"]
    size = _FONT_PIXELS["narrow" if narrow else "text"] * 72 / PIXELS
    return matplotlib.rc_context(
        {
            "font.family": _families(),
            "font.size": size,
            "text.color": ink,
            "axes.labelcolor": ink,
            "axes.labelsize": size,
            "axes.edgecolor": muted,
            "axes.facecolor": "none",
            "axes.linewidth": 0.7,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.unicode_minus": True,
            "axes.grid": False,
            "figure.facecolor": "none",
            "figure.dpi": PIXELS,
            "figure.constrained_layout.h_pad": 0.03,
            "figure.constrained_layout.w_pad": 0.03,
            "grid.color": tokens()["rule"],
            "grid.linewidth": 0.6,
            "hatch.color": muted,
            "lines.linewidth": 1.5,
            "lines.markersize": 5.0,
            "lines.solid_capstyle": "round",
            "lines.dash_capstyle": "butt",
            "lines.scale_dashes": True,
            "patch.linewidth": 0.7,
            "xtick.color": muted,
            "ytick.color": muted,
            "xtick.labelcolor": muted,
            "ytick.labelcolor": muted,
            "xtick.labelsize": size,
            "ytick.labelsize": size,
            "xtick.major.width": 0.7,
            "ytick.major.width": 0.7,
            "xtick.major.size": 3.0,
            "ytick.major.size": 3.0,
            "xtick.minor.size": 0.0,
            "ytick.minor.size": 0.0,
            "savefig.facecolor": "none",
            "savefig.transparent": True,
            "svg.fonttype": "none",
            "svg.hashsalt": "logits-under-control",
        }
    )


def figure(
    width: Width | Literal["narrow"] = "text", *, height: float | None = None, panels: int = 1
) -> tuple[Figure, Any]:
    """Make an empty figure in the book's style, known to no matplotlib backend.

    Args:
        width: ``"text"`` (680 px, the column), ``"wide"`` (1080 px) or ``"narrow"`` (the phone's twin).
        height: in pixels; the default suits one row of panels.
        panels: how many axes: side by side, or one below the other when narrow.

    Returns:
        The figure, and its axes (one ``Axes``, or a tuple of them when ``panels > 1``).

    Example:
        >>> fig, ax = figure("text")
        >>> fig.get_size_inches().tolist()
        [6.8, 4.0]
    """
    if width not in WIDTHS:
        raise ValueError(f"width must be one of {', '.join(WIDTHS)}, got {width!r}")
    if panels < 1:
        raise ValueError(f"panels must be >= 1, got {panels}")
    narrow = width == "narrow"
    pixels = (height or HEIGHTS[width]) * (panels if narrow else 1)
    with style(narrow):
        fig = Figure(figsize=(WIDTHS[width] / PIXELS, pixels / PIXELS), layout="constrained")
        grid = fig.subplots(*((panels, 1) if narrow else (1, panels)), squeeze=False)
    axes = tuple(grid.flat)
    for ax in axes:
        ax.locator_params(nbins=4 if narrow or panels > 1 else 6)
    return fig, axes[0] if panels == 1 else axes


def line(ax: Axes, x: Any, y: Any, arm: str | Style = "vanilla", **kwargs: Any) -> Line2D:
    """Draw one line in its arm's colour and dash.

    Args:
        ax: the axes.
        x: positions, shape (n,).
        y: values, shape (n,).
        arm: its name, or a `companion.look.Style`.
        kwargs: passed to ``ax.plot``.

    Example:
        >>> _, ax = figure()
        >>> line(ax, [0, 1], [0, 1], "P-ON").get_color()
        '#4661ba'
    """
    s = style_of(arm)
    (drawn,) = ax.plot(np.asarray(x), np.asarray(y), **{"color": s.color, "linestyle": s.dash, **kwargs})
    return drawn


def band(ax: Axes, x: Any, low: Any, high: Any, arm: str | Style = "vanilla", **kwargs: Any) -> Any:
    """Fill between two lines in a tint of the arm's colour; say in the caption what the band means.

    Args:
        ax: the axes.
        x: positions, shape (n,).
        low: lower edge, shape (n,).
        high: upper edge, shape (n,).
        arm: its name, or a `companion.look.Style`.
        kwargs: passed to ``ax.fill_between``.

    Example:
        >>> _, ax = figure()
        >>> band(ax, [0, 1], [0, 1], [1, 2], "P-ON").get_alpha()
        0.18
    """
    s = style_of(arm)
    defaults = {"color": s.color, "alpha": 0.18, "linewidth": 0}
    return ax.fill_between(np.asarray(x), np.asarray(low), np.asarray(high), **{**defaults, **kwargs})


def scatter(ax: Axes, x: Any, y: Any, arm: str | Style = "vanilla", **kwargs: Any) -> Any:
    """Draw points in the arm's colour and marker, with a thin edge that keeps overlapping points apart.

    Args:
        ax: the axes.
        x: positions, shape (n,).
        y: values, shape (n,).
        arm: its name, or a `companion.look.Style`.
        kwargs: passed to ``ax.scatter``.

    Example:
        >>> _, ax = figure()
        >>> len(scatter(ax, [0, 1], [0, 1], "P-ON").get_offsets())
        2
    """
    s = style_of(arm)
    defaults = {"color": s.color, "marker": s.marker, "s": 24, "alpha": 0.85}
    defaults |= {"linewidths": 0.5, "edgecolors": tokens()["page"]}
    return ax.scatter(np.asarray(x), np.asarray(y), **{**defaults, **kwargs})


def name_axes(ax: Axes, x: str = "", y: str = "") -> None:
    """Name the axes in words with the symbol; the vertical one is written level, above its axis.

    Args:
        ax: the axes.
        x: name of the horizontal axis, ``"epoch"``.
        y: name of the vertical axis, ``"mean output length ‖z‖"``.

    Example:
        >>> _, ax = figure()
        >>> name_axes(ax, "epoch", "mean output length ‖z‖")
        >>> ax.get_xlabel()
        'epoch'
    """
    ax.set_xlabel(x, color=tokens()["muted"])
    ax.set_title(y, loc="left", fontsize=ax.xaxis.label.get_fontsize(), color=tokens()["muted"], pad=9)
