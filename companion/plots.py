"""One style for every figure of the book, drawn once and right in both themes, wide and narrow.

A figure here has one message, which the first sentence of its caption states (and :func:`claim` checks against
the data). It has no title, no box and no legend: every line carries its name at its end, in its colour. A method
keeps its colour, dash and marker in all chapters (:data:`METHOD_STYLE`); the colours come from ``tokens.css``,
which the book's pages and the live figures read too.

Three levels, from the most ready-made to the barest:

* :func:`curves` and :func:`forest` turn recorded results into a captioned figure in one call.
* :func:`show` turns a draw function ``draw(ax, narrow)`` of yours into such a figure; inside it, use
  :func:`line`, :func:`band`, :func:`scatter`, :func:`label_lines`, :func:`name_axes` and matplotlib itself.
* :func:`figure` is a bare matplotlib figure in the book's style.

Write symbols in Unicode (``‖z‖``, ``δ``, ``z₁``), not in ``$…$``: text then stays text in the page.
"""

from __future__ import annotations

import html
import importlib.util
import io
import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from companion._extras import require

matplotlib = require("matplotlib", extra="plots")

from matplotlib import font_manager  # noqa: E402  (the line above says which extra is missing)
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402

__all__ = [
    "METHOD_STYLE",
    "METRIC_NAMES",
    "Shown",
    "Style",
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
    "provenance_note",
    "scatter",
    "show",
    "style",
    "style_of",
    "tokens",
]

Width = Literal["text", "wide"]
Theme = Literal["light", "dark"]
Draw = Callable[[Any, bool], None]

# One hundred pixels of the page to the inch, so that a point is 100/72 pixels: 10.8 pt is 15 px.
_PIXELS = 100.0
_WIDTHS = {"text": 680.0, "wide": 1080.0, "narrow": 344.0}
_HEIGHTS = {"text": 400.0, "wide": 420.0, "narrow": 300.0}
_FONT_PIXELS = {"text": 15.0, "wide": 15.0, "narrow": 13.5}


# --------------------------------------------------------------------------------------------------- the tokens


@cache
def tokens(theme: Theme = "light") -> dict[str, str]:
    """Read the colours of one theme from ``tokens.css``.

    Args:
        theme: ``"light"`` or ``"dark"``.

    Returns:
        The hex colour of every token, without the prefix ``--luc-``.

    Example:
        >>> tokens()["pon"], tokens("dark")["pon"]
        ('#4661ba', '#4a93ef')
    """
    if theme not in ("light", "dark"):
        raise ValueError(f"theme must be 'light' or 'dark', got {theme!r}")
    return dict(_blocks()[0 if theme == "light" else 1])


def _blocks() -> list[dict[str, str]]:
    """The colours of each rule of ``tokens.css``, in the order of the file: light, dark, dark by the system."""
    css = re.sub(r"/\*.*?\*/", "", _tokens_css(), flags=re.DOTALL)
    rules = re.findall(r"\{([^{}]*)\}", css)
    return [dict(re.findall(r"--luc-([\w-]+):\s*(#[0-9a-fA-F]{6})\s*;", rule)) for rule in rules]


@cache
def _tokens_css() -> str:
    return resources.files("companion").joinpath("tokens.css").read_text(encoding="utf-8")


# ---------------------------------------------------------------------------------------------------- the styles


@dataclass(frozen=True)
class Style:
    """How one method or arm is drawn: colour token, dash, marker, and the name at the line's end.

    Args:
        token: name of a colour in ``tokens.css`` without the prefix, ``"pon"`` or ``"muted"``.
        dash: any matplotlib line style.
        marker: any matplotlib marker.
        label: the name written at the line's end.
    """

    token: str
    dash: Any = "-"
    marker: str = "o"
    label: str = ""

    @property
    def color(self) -> str:
        """The light theme's hex colour; :func:`show` replaces it by the token."""
        return tokens()[self.token]


_SOLID, _DASHED, _DOTTED = "-", (0, (5, 2.2)), (0, (1.2, 1.6))
_DASH_DOT, _LONG, _SPARSE = (0, (6, 1.8, 1.2, 1.8)), (0, (9, 2.5)), (0, (3, 3.5))

#: Colour, dash and marker of every method and every arm, the same in all chapters. What the methods are compared
#: with is muted and told apart by dash and marker; an arm of a method has the method's colour and its own dash.
METHOD_STYLE: Mapping[str, Style] = {
    name: Style(token, dash, marker, name)
    for name, token, dash, marker in [
        ("vanilla", "muted", _SOLID, "o"),
        ("weight decay", "muted", _DASHED, "s"),
        ("label smoothing", "muted", _DOTTED, "^"),
        ("temperature", "muted", _DASH_DOT, "v"),
        ("LogitNorm", "muted", _LONG, "D"),
        ("MSE", "muted", _SPARSE, "P"),
        ("P-ON", "pon", _SOLID, "o"),
        ("norm only", "pon", _DASHED, "s"),
        ("stability only", "pon", _DOTTED, "^"),
        ("P-ON + weight decay", "pon", _DASH_DOT, "D"),
        ("SBN", "sbn", _SOLID, "o"),
        ("PGT", "pgt", _SOLID, "o"),
        ("TCE", "tce", _SOLID, "o"),
        ("NL", "nl", _SOLID, "o"),
    ]
}

#: The words, and the symbol, that name an axis for each recorded metric.
METRIC_NAMES: Mapping[str, str] = {
    "test_error": "test error, %",
    "train_loss": "loss on the training set",
    "train_entropy": "entropy on the training set",
    "test_loss": "loss on the test set",
    "test_entropy": "entropy on the test set",
    "length": "mean output length ‖z‖",
    "centred_length": "mean centred length ‖z − mean z‖",
    "length_deviation": "standard deviation of the lengths ‖z‖",
    "gradient": "mean length of the logit gradient",
    "radial_gradient": "mean radial part of the logit gradient",
    "parameter_gradient": "length of the parameter gradient",
    "generalisation_gap": "generalisation gap",
}


def style_of(arm: str) -> Style:
    """Look up how an arm is drawn.

    Args:
        arm: a name of :data:`METHOD_STYLE`.

    Raises:
        ValueError: the arm has no style yet; the message says where to add it.

    Example:
        >>> style_of("P-ON").token
        'pon'
    """
    if arm not in METHOD_STYLE:
        known = ", ".join(METHOD_STYLE)
        raise ValueError(f"no style for {arm!r}; add it to METHOD_STYLE in companion/plots.py (known: {known})")
    return METHOD_STYLE[arm]


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
    size = _FONT_PIXELS["narrow" if narrow else "text"] * 72 / _PIXELS
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
            "figure.dpi": _PIXELS,
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
    if width not in _WIDTHS:
        raise ValueError(f"width must be one of {', '.join(_WIDTHS)}, got {width!r}")
    if panels < 1:
        raise ValueError(f"panels must be >= 1, got {panels}")
    narrow = width == "narrow"
    pixels = (height or _HEIGHTS[width]) * (panels if narrow else 1)
    with style(narrow):
        fig = Figure(figsize=(_WIDTHS[width] / _PIXELS, pixels / _PIXELS), layout="constrained")
        grid = fig.subplots(*((panels, 1) if narrow else (1, panels)), squeeze=False)
    axes = tuple(grid.flat)
    for ax in axes:
        ax.locator_params(nbins=4 if narrow or panels > 1 else 6)
    return fig, axes[0] if panels == 1 else axes


# ------------------------------------------------------------------------------------------- the parts of a plot


def line(ax: Axes, x: Any, y: Any, arm: str | Style = "vanilla", **kwargs: Any) -> Line2D:
    """Draw one line in its arm's colour and dash.

    Args:
        ax: the axes.
        x: positions, shape (n,).
        y: values, shape (n,).
        arm: a name of :data:`METHOD_STYLE` or a :class:`Style`.
        kwargs: passed to ``ax.plot``.

    Example:
        >>> _, ax = figure()
        >>> line(ax, [0, 1], [0, 1], "P-ON").get_color()
        '#4661ba'
    """
    s = style_of(arm) if isinstance(arm, str) else arm
    (drawn,) = ax.plot(np.asarray(x), np.asarray(y), **{"color": s.color, "linestyle": s.dash, **kwargs})
    return drawn


def band(ax: Axes, x: Any, low: Any, high: Any, arm: str | Style = "vanilla", **kwargs: Any) -> Any:
    """Fill between two lines in a tint of the arm's colour; say in the caption what the band means.

    Args:
        ax: the axes.
        x: positions, shape (n,).
        low: lower edge, shape (n,).
        high: upper edge, shape (n,).
        arm: a name of :data:`METHOD_STYLE` or a :class:`Style`.
        kwargs: passed to ``ax.fill_between``.

    Example:
        >>> _, ax = figure()
        >>> band(ax, [0, 1], [0, 1], [1, 2], "P-ON").get_alpha()
        0.18
    """
    s = style_of(arm) if isinstance(arm, str) else arm
    defaults = {"color": s.color, "alpha": 0.18, "linewidth": 0}
    return ax.fill_between(np.asarray(x), np.asarray(low), np.asarray(high), **{**defaults, **kwargs})


def scatter(ax: Axes, x: Any, y: Any, arm: str | Style = "vanilla", **kwargs: Any) -> Any:
    """Draw points in the arm's colour and marker, with a thin edge that keeps overlapping points apart.

    Args:
        ax: the axes.
        x: positions, shape (n,).
        y: values, shape (n,).
        arm: a name of :data:`METHOD_STYLE` or a :class:`Style`.
        kwargs: passed to ``ax.scatter``.

    Example:
        >>> _, ax = figure()
        >>> len(scatter(ax, [0, 1], [0, 1], "P-ON").get_offsets())
        2
    """
    s = style_of(arm) if isinstance(arm, str) else arm
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


def label_lines(
    ax: Axes, ends: Iterable[tuple[float, str, str | Style]], *, narrow: bool = False, gap: float = 1.25
) -> list[Any]:
    """Write each line's name at its right end, in its colour, moved apart just enough not to overlap.

    The heights are the least-squares solution of "as near to the lines' ends as possible, at least one line of
    text apart, inside the axes". A thin leader joins a name that had to move. Call it last: it lays the figure out.

    Args:
        ax: the axes; the right edge of its x limits is where the lines end.
        ends: for each line its last value, its name, and its arm or :class:`Style`.
        narrow: break long names into several lines.
        gap: distance of neighbouring names, in line heights.

    Returns:
        The text artists, in the order of ``ends``.

    Raises:
        ValueError: there are more names than the axes' height can hold.

    Example:
        >>> _, ax = figure()
        >>> _ = line(ax, [0, 1], [0, 1], "P-ON")
        >>> [text.get_text() for text in label_lines(ax, [(1.0, "P-ON", "P-ON")])]
        ['P-ON']
    """
    entries = [(float(y), _wrap(name) if narrow else name, _as_style(arm)) for y, name, arm in ends]
    if not entries:
        return []
    ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())  # from here on the lines' ends stay where they are
    texts = [
        ax.annotate(
            name,
            (1.0, y),
            xycoords=("axes fraction", "data"),
            xytext=(12, 0),
            textcoords="offset points",
            color=s.color,
            weight=700,
            va="center",
            ha="left",
            annotation_clip=False,
            linespacing=1.05,
            arrowprops={"arrowstyle": "-", "color": s.color, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 2},
        )
        for y, name, s in entries
    ]
    fig = ax.get_figure()
    fig.draw_without_rendering()
    point = fig.dpi / 72
    bottom, top = (value / point for value in ax.get_window_extent().intervaly)
    wanted = [ax.transData.transform((1.0, y))[1] / point for y, _, _ in entries]
    line_height = texts[0].get_fontsize() * gap
    heights = [line_height * (1 + text.get_text().count("\n")) for text in texts]
    places = _spread(wanted, heights, bottom - line_height / 2, top + line_height / 2)
    moves = [place - want for place, want in zip(places, wanted, strict=True)]
    indent = 12 if any(abs(move) > 2 for move in moves) else 6
    for text, move in zip(texts, moves, strict=True):
        text.xyann = (indent, move)
        text.arrow_patch.set_visible(abs(move) > 2)
    return texts


def _as_style(arm: str | Style) -> Style:
    return style_of(arm) if isinstance(arm, str) else arm


def _wrap(name: str, longest: int = 12) -> str:
    """Break a name at its spaces into lines of about ``longest`` characters; a sign stays with what follows it."""
    lines: list[str] = []
    for word in name.replace("+ ", "+\N{NO-BREAK SPACE}").split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= longest:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return "\n".join(lines)


def _spread(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Move centres apart so that boxes of the given heights neither overlap nor leave [low, high].

    Minimises Σ (place − wanted)² subject to place_{i+1} − place_i ≥ (h_i + h_{i+1})/2 in the order of ``wanted``:
    subtracting the running sum of the distances turns it into isotonic regression, solved by pooling neighbours.

    Example:
        >>> _spread([0.0, 0.0], [2.0, 2.0], -10, 10)
        [-1.0, 1.0]
    """
    if sum(heights) > high - low + 1e-9:
        raise ValueError(f"{len(heights)} names do not fit beside this figure; show fewer lines or make it higher")
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    steps = [0.0]
    for before, after in itertools.pairwise(order):
        steps.append(steps[-1] + (heights[before] + heights[after]) / 2)
    pools: list[list[float]] = []  # mean, size
    for index, step in zip(order, steps, strict=True):
        pools.append([wanted[index] - step, 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, size = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + mean * size) / (last[1] + size)
            last[1] += size
    level = [mean for mean, size in pools for _ in range(int(size))]
    first, final = low + heights[order[0]] / 2, high - heights[order[-1]] / 2 - steps[-1]
    places = [0.0] * len(wanted)
    for index, step, value in zip(order, steps, level, strict=True):
        places[index] = min(max(value, first), final) + step
    return places


# ------------------------------------------------------------------------------------------------- what is shown


_COUNTER = itertools.count(1)


@dataclass(frozen=True)
class Shown:
    """A finished figure: themed SVG with a narrow twin for pages, PNG for other front ends, words for all others.

    Args:
        html: the ``<figure>`` element.
        png: the picture on the light page, twice the resolution of a plain screen.
        alt: what the figure shows, for those who do not see it.
        svg: the widest drawing alone, as it stands in the page.
    """

    html: str = field(repr=False)
    png: bytes = field(repr=False)
    alt: str
    svg: str = field(repr=False)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/html": self.html, "image/png": self.png, "text/plain": self.alt}


def claim(sentence: str, *, holds: bool | np.bool_) -> str:
    """Let a sentence pass only if the data bear it out: the bold first sentence of a caption.

    Args:
        sentence: what the figure is said to show, one sentence.
        holds: the same thing, computed from the data that the figure shows.

    Returns:
        The sentence.

    Raises:
        ValueError: ``holds`` is false, or the sentence is empty.
        TypeError: ``holds`` is no single truth value.

    Example:
        >>> claim("Two is more than one.", holds=2 > 1)
        'Two is more than one.'
    """
    if not isinstance(holds, (bool, np.bool_)):
        raise TypeError(f"holds must be True or False, got {holds!r}")
    if not sentence.strip():
        raise ValueError("the claim is empty")
    if not holds:
        raise ValueError(f"the data do not bear out the caption's claim: {sentence!r}")
    return sentence


def show(
    draw: Draw,
    *,
    title: str,
    alt: str,
    caption: str,
    width: Width = "text",
    height: float | None = None,
    narrow_height: float | None = None,
    panels: int = 1,
    name: str = "",
) -> Shown:
    """Turn a draw function into a captioned figure that follows the page's theme and fits a phone.

    ``draw`` is called for the drawing and for its narrow twin (and for one in between, if ``width`` is ``"wide"``),
    each time with fresh axes in the style of the book; the page shows the one that fits, so no label gets small.
    Palette colours become ``var(--luc-…)`` in the SVG; text stays text.

    Args:
        draw: ``draw(ax, narrow)``; with ``panels > 1``, ``draw(axes, narrow)`` with a tuple of axes.
        title: a few words, read out before the description; not drawn.
        alt: what one sees, in a sentence or two, for those who do not see it; required.
        caption: its first sentence, the message, is set in bold. See :func:`claim`.
        width: ``"text"`` (680 px) or ``"wide"`` (1080 px).
        height: of the wide drawing, in pixels.
        narrow_height: of one panel of the narrow twin, in pixels.
        panels: how many axes: side by side, or one below the other in the narrow twin.
        name: an anchor for links, ``"figure-length"``.

    Raises:
        ValueError: ``title``, ``alt`` or ``caption`` is empty, or ``width`` is unknown.

    Example:
        >>> def draw(ax, narrow):
        ...     line(ax, [0, 1, 2], [0, 1, 4], "P-ON")
        ...     name_axes(ax, "x", "x²")
        >>> shown = show(draw, title="A square", alt="A curve that rises ever faster.", caption="It rises.")
        >>> "var(--luc-pon, #4661ba)" in shown.html
        True
    """
    for what, text in (("title", title), ("alt", alt), ("caption", caption)):
        if not text.strip():
            raise ValueError(f"{what} must say something: a figure without it is lost on some readers")
    if width not in ("text", "wide"):
        raise ValueError(f"width must be 'text' or 'wide', got {width!r}")
    number = next(_COUNTER)
    drawings: dict[str, str] = {}
    png = b""
    for kind in dict.fromkeys((width, "text", "narrow")):
        narrow = kind == "narrow"
        fig, axes = figure(kind, height=narrow_height if narrow else height, panels=panels)
        with style(narrow):
            draw(axes, narrow)
            drawings[kind] = _svg(fig, prefix=f"luc{number}{kind[0]}-", title=title, alt=alt)
            png = png or _png(fig)
    plots = "".join(f'<div class="luc-plot luc-plot-{kind}">{svg}</div>' for kind, svg in drawings.items())
    anchor = f' id="{html.escape(name, quote=True)}"' if name else ""
    page = (
        f'<figure class="luc-figure luc-{width}"{anchor}><style>{_figure_css()}</style>'
        f"{plots}<figcaption>{_caption(caption)}</figcaption></figure>"
    )
    return Shown(page, png, alt, drawings[width])


def _caption(caption: str) -> str:
    """Set the first sentence in bold."""
    parts = re.split(r"(?:(?<=[.!?])|(?<=[.!?][”\"’)]))\s+(?=[A-Z0-9‘“\"(±])", caption.strip(), maxsplit=1)
    bold = f"<strong>{html.escape(parts[0], quote=False)}</strong>"
    return bold if len(parts) == 1 else f"{bold} {html.escape(parts[1], quote=False)}"


def _png(fig: Figure) -> bytes:
    buffer = io.BytesIO()
    page = tokens()["page"]
    fig.savefig(buffer, format="png", dpi=2 * _PIXELS, facecolor=page, transparent=False, metadata={"Software": None})
    return buffer.getvalue()


def _svg(fig: Figure, *, prefix: str, title: str, alt: str) -> str:
    """Save a figure as an inline SVG: themed, described, with ids of its own."""
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", text)
    text = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{prefix}\1"', text)
    text = re.sub(r"^<svg[^>]*>", _opening(text, prefix, title, alt), text, count=1)
    text = re.sub(r"'Source Sans Pro', 'DejaVu Sans'|'DejaVu Sans'", _FONT, text)
    text = text.replace("font-weight: 700", "font-weight: 600").replace("*{stroke", ".luc-plot *{stroke")
    text = re.sub(r"(?<=[ \"(]-)(\d+\.\d\d)\d+|(?<=[ \"(])(\d+\.\d\d)\d+", r"\1\2", text)
    for token, color in tokens().items():
        text = re.sub(color, f"var(--luc-{token}, {color})", text, flags=re.IGNORECASE)
    return re.sub(r"\n\s*", "\n", text).strip()


_FONT = "'Source Sans Pro', 'Source Sans 3', 'DejaVu Sans', sans-serif"


def _opening(text: str, prefix: str, title: str, alt: str) -> str:
    """The ``<svg>`` tag: no fixed size, a role, and a name and a description that it points to."""
    view = re.search(r'viewBox="([^"]+)"', text)
    if view is None:
        raise RuntimeError("matplotlib wrote an SVG without a viewBox")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view.group(1)}" width="100%" role="img" '
        f'aria-labelledby="{prefix}title {prefix}desc">'
        f'<title id="{prefix}title">{html.escape(title, quote=False)}</title>'
        f'<desc id="{prefix}desc">{html.escape(alt, quote=False)}</desc>'
    )


@cache
def _figure_css() -> str:
    """What a figure needs where the book's style sheet is not loaded: the dark colours and the narrow twin."""
    dark = "".join(f"--luc-{token}:{color};" for token, color in tokens("dark").items())
    selectors = re.search(r"(html\[data-theme=\"dark\"\][^{]*)\{", _tokens_css())
    if selectors is None:
        raise RuntimeError("tokens.css has no rule for the dark theme")
    scope = ",".join(f"{part.strip()} .luc-figure" for part in selectors.group(1).split(","))
    return (
        f"{scope}{{{dark}}}"
        ".luc-figure{container-type:inline-size;margin:2em 0;padding:0;text-align:left}"
        ".luc-figure.luc-text{max-width:680px}.luc-figure.luc-wide{max-width:1080px}"
        ".luc-plot svg{display:block;height:auto;overflow:visible}.luc-plot text{font-size-adjust:.486}"
        ".luc-plot-narrow,.luc-plot-wide~.luc-plot-text{display:none}.luc-plot-narrow{max-width:440px}"
        "@container (max-width:840px){.luc-plot-wide{display:none}.luc-plot-wide~.luc-plot-text{display:block}}"
        "@container (max-width:520px){.luc-plot-narrow{display:block}.luc-plot-text,.luc-plot-wide~.luc-plot-text"
        "{display:none}}"
        ".luc-figure figcaption{font:400 15px/1.5 'Source Sans Pro','Source Sans 3',system-ui,sans-serif;"
        "color:var(--luc-muted,#5b6068);max-width:680px;margin-top:.6em}"
        ".luc-figure figcaption strong{color:var(--luc-ink,#22262c);font-weight:600}"
    )


# ------------------------------------------------------------------------------------------- recorded results


class Curves(Protocol):
    """What :func:`curves` asks of results; ``companion.results.load`` returns such an object."""

    @property
    def arms(self) -> tuple[str, ...]: ...

    def curve(self, arm: str, metric: str) -> tuple[Any, Any]: ...


class Interval(Protocol):
    """What :func:`forest` asks of a paired difference: its mean and the ends of its interval."""

    @property
    def mean(self) -> float: ...

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


def mean_and_band(values: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Mean over runs and mean ± sd, at every epoch.

    .. math:: \bar v \pm s, \qquad s^2 = \frac{1}{n-1} \sum_{i=1}^{n} (v_i - \bar v)^2

    Args:
        values: shape (n, E), one row a run.

    Returns:
        Mean, lower and upper edge, each (E,); with one run all three are that run.

    Raises:
        ValueError: ``values`` is not two-dimensional or has no row.

    Example:
        >>> [part.tolist() for part in mean_and_band([[1.0], [3.0]])]
        [[2.0], [0.5857864376269049], [3.414213562373095]]
    """
    rows = np.asarray(values, dtype=float)
    if rows.ndim != 2 or len(rows) == 0:
        raise ValueError(f"values must have shape (runs, epochs), got {rows.shape}")
    mean = rows.mean(axis=0)
    spread = rows.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros_like(mean)
    return mean, mean - spread, mean + spread


def draw_curves(
    ax: Axes,
    narrow: bool,
    results: Curves,
    metric: str,
    *,
    arms: Sequence[str] | None = None,
    xlabel: str = "epoch",
    ylabel: str | None = None,
    from_zero: bool = True,
    yscale: str = "linear",
    labels: Mapping[str, str] | None = None,
) -> None:
    """Draw one metric of several arms over the epochs, mean and band of mean ± sd, names at the lines' ends.

    Args:
        ax: the axes.
        narrow: whether this is the phone's twin.
        results: recorded results.
        metric: name of the metric.
        arms: which arms, default all.
        xlabel: name of the horizontal axis.
        ylabel: name of the vertical axis, default that of :data:`METRIC_NAMES`.
        from_zero: start a linear axis at zero (set it to False where zero means nothing).
        yscale: ``"linear"`` or ``"log"``.
        labels: other names for some arms, ``{"P-ON": "P-ON, δ = 10"}``.

    Raises:
        ValueError: no arms, or an arm without a style.
    """
    chosen = tuple(results.arms if arms is None else arms)
    if not chosen:
        raise ValueError("no arms to draw")
    ends = []
    first, last = math.inf, -math.inf
    for arm in chosen:
        epochs, values = results.curve(arm, metric)
        mean, low, high = mean_and_band(values)
        if len(np.asarray(values)) > 1:
            band(ax, epochs, low, high, arm)
        line(ax, epochs, mean, arm, gid=f"arm-{arm}".replace(" ", "-"))
        first, last = min(first, float(epochs[0])), max(last, float(epochs[-1]))
        ends.append((float(mean[-1]), (labels or {}).get(arm, style_of(arm).label), arm))
    ax.set_yscale(yscale)
    ax.set_xlim(0.0 if from_zero and first <= 1 else first, last)
    if from_zero and yscale == "linear":
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]) if ax.dataLim.y0 < 0 else 0.0)
    name_axes(ax, xlabel, METRIC_NAMES.get(metric, metric) if ylabel is None else ylabel)
    label_lines(ax, ends, narrow=narrow)


def curves(
    results: Curves,
    metric: str,
    *,
    arms: Sequence[str] | None = None,
    alt: str,
    caption: str,
    title: str | None = None,
    width: Width = "text",
    height: float | None = None,
    name: str = "",
    note: bool = True,
    **drawing: Any,
) -> Shown:
    """Show one recorded metric of several arms over the epochs, as :func:`draw_curves` draws it.

    Args:
        results: recorded results, as ``companion.results.load`` returns them.
        metric: name of the metric, ``"length"``.
        arms: which arms, default all.
        alt: what one sees, for those who do not see it.
        caption: the message first; see :func:`claim`.
        title: a few words, default the metric's name.
        width: ``"text"`` or ``"wide"``.
        height: in pixels.
        name: an anchor for links.
        note: add what the band means, the number of runs, the device and the date to the caption.
        drawing: further arguments of :func:`draw_curves`.

    Example:
        >>> class Two:
        ...     arms = ("vanilla", "P-ON")
        ...     provenance = {}
        ...     def curve(self, arm, metric):
        ...         return np.array([1, 2]), np.array([[1.0, 2.0], [1.0, 3.0]])
        >>> curves(Two(), "length", alt="Two rising lines.", caption="Both grow.").alt
        'Two rising lines.'
    """
    chosen = tuple(results.arms if arms is None else arms)

    def draw(ax: Axes, narrow: bool) -> None:
        draw_curves(ax, narrow, results, metric, arms=chosen, **drawing)

    full = f"{caption.strip()} {provenance_note(results, chosen, metric)}" if note and caption.strip() else caption
    heading = title or METRIC_NAMES.get(metric, metric)
    return show(
        draw,
        title=heading,
        alt=alt,
        caption=full,
        width=width,
        height=height or _height_for(len(chosen), width),
        narrow_height=_height_for(len(chosen), "narrow"),
        name=name,
    )


def _height_for(lines: int, width: str) -> float:
    """Enough pixels for the names of so many lines; on a phone a name may take two or three rows."""
    return max(_HEIGHTS[width], 100.0 + lines * (32.0 if width == "narrow" else 20.0))


def provenance_note(results: Any, arms: Sequence[str], metric: str) -> str:
    """Say what the band means, how many runs it holds, and on what they ran and when.

    Args:
        results: recorded results; ``provenance`` may hold ``device`` and ``date``.
        arms: the arms shown.
        metric: the metric shown.

    Example:
        >>> class Two:
        ...     provenance = {"device": "CPU", "date": "2026-11-21"}
        ...     def curve(self, arm, metric):
        ...         return np.arange(2), np.zeros((5, 2))
        >>> provenance_note(Two(), ["P-ON"], "length")
        'Mean of 5 seeds, band ± 1 standard deviation; CPU, 2026-11-21.'
    """
    counts = sorted({len(results.curve(arm, metric)[1]) for arm in arms})
    if counts == [1]:
        spread = "One seed"
    else:
        runs = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        spread = f"Mean of {runs} seeds, band ± 1 standard deviation"
    source = getattr(results, "provenance", {})
    where = [str(source[key] if isinstance(source, Mapping) else getattr(source, key)) for key in _present(source)]
    where = [re.sub(r"T[\d:.]+Z?$", "", text) for text in where]  # of a time stamp, the day
    return f"{spread}; {', '.join(where)}." if where else f"{spread}."


def _present(source: Any) -> list[str]:
    found = source if isinstance(source, Mapping) else vars(source)
    return [key for key in ("device", "date") if found.get(key)]


def draw_forest(
    ax: Axes,
    narrow: bool,
    rows: Sequence[tuple[str, str | Style, Interval]],
    *,
    xlabel: str,
    better: Literal["left", "right", ""] = "left",
    digits: int = 2,
) -> None:
    """Draw one point with its interval a row, against a line at zero, the numbers written beside it.

    Args:
        ax: the axes.
        narrow: whether this is the phone's twin.
        rows: for each row its name, its arm or :class:`Style`, and an object with ``mean``, ``low``, ``high``.
        xlabel: what the differences are, ``"difference of the test error to vanilla, points"``.
        better: the side on which a row is better than its baseline; ``""`` writes nothing.
        digits: decimals of the numbers.

    Raises:
        ValueError: there is no row.
    """
    if not rows:
        raise ValueError("no rows to draw")
    muted = tokens()["muted"]
    if not narrow:
        ax.axvline(0.0, color=muted, linewidth=0.8)
    for place, (label, arm, interval) in enumerate(reversed(rows)):
        s = _as_style(arm)
        ax.plot([interval.low, interval.high], [place, place], color=s.color, linewidth=1.6, solid_capstyle="butt")
        ax.plot([interval.mean], [place], s.marker, color=s.color, markersize=6.5)
        number = f"{_signed(interval.mean, digits)} [{_signed(interval.low, digits)}, {_signed(interval.high, digits)}]"
        if narrow:  # the words stand above their interval, so the line at zero leaves room for them
            ax.vlines(0.0, place - 0.38, place + 0.14, color=muted, linewidth=0.8)
            at = (0.0, place), (0, 9)
            text = f"{label}  {number}"
        else:
            at = (1.0, place), (10, 0)
            text = number
        ax.annotate(
            text,
            at[0],
            xycoords=("axes fraction", "data"),
            xytext=at[1],
            textcoords="offset points",
            color=s.color,
            ha="left",
            va="bottom" if narrow else "center",
            annotation_clip=False,
        )
    reach = max(max(abs(interval.low), abs(interval.high)) for _, _, interval in rows) or 1.0
    low = min(0.0, *(interval.low for _, _, interval in rows)) - 0.08 * reach
    high = max(0.0, *(interval.high for _, _, interval in rows)) + 0.08 * reach
    ax.set_xlim(low, high)
    ax.set_ylim(-0.6, len(rows) - (0.2 if narrow else 0.4))
    ax.set_yticks(range(len(rows)), [] if narrow else [label for label, _, _ in reversed(rows)])
    for tick, (_, arm, _) in zip(ax.get_yticklabels(), reversed(rows), strict=False):
        tick.set(color=_as_style(arm).color, weight=700)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(xlabel, color=muted)
    if better:
        sides = ("better", "worse") if better == "left" else ("worse", "better")
        for word, offset, align in ((f"← {sides[0]}", -6, "right"), (f"{sides[1]} →", 6, "left")):
            ax.annotate(
                word,
                (0.0, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(offset, 3),
                textcoords="offset points",
                color=muted,
                ha=align,
                va="bottom",
                annotation_clip=False,
            )


def _signed(value: float, digits: int) -> str:
    """A number with a real minus sign and always a sign, so that columns read."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) != 0 else text.replace("-", "").replace("+", "")


def forest(
    rows: Sequence[tuple[str, str | Style, Interval]],
    *,
    xlabel: str,
    alt: str,
    caption: str,
    title: str = "Paired differences",
    better: Literal["left", "right", ""] = "left",
    digits: int = 2,
    width: Width = "text",
    name: str = "",
) -> Shown:
    """Show paired differences with their intervals, as :func:`draw_forest` draws them.

    Args:
        rows: for each row its name, its arm or :class:`Style`, and an object with ``mean``, ``low``, ``high``.
        xlabel: what the differences are.
        alt: what one sees, for those who do not see it.
        caption: the message first; see :func:`claim`.
        title: a few words.
        better: the side on which a row is better than its baseline.
        digits: decimals of the numbers.
        width: ``"text"`` or ``"wide"``.
        name: an anchor for links.

    Example:
        >>> from types import SimpleNamespace
        >>> row = ("P-ON", "P-ON", SimpleNamespace(mean=-0.2, low=-0.3, high=-0.1))
        >>> forest([row], xlabel="points", alt="One interval below zero.", caption="It helps.").alt
        'One interval below zero.'
    """

    def draw(ax: Axes, narrow: bool) -> None:
        draw_forest(ax, narrow, rows, xlabel=xlabel, better=better, digits=digits)

    return show(
        draw,
        title=title,
        alt=alt,
        caption=caption,
        width=width,
        height=110.0 + 34.0 * len(rows),
        narrow_height=110.0 + 52.0 * len(rows),
        name=name,
    )
