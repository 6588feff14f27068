"""From a drawing to a figure of the page: themed SVG with a narrow twin, PNG, words for those who do not see it."""

from __future__ import annotations

import html
import io
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from companion.look import DARK_PAGES, tokens, with_light_values
from companion.plots.drawing import PIXELS, Width, figure, style

Draw = Callable[[Any, bool], None]

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
        >>> from companion.plots import line, name_axes
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
    """Set the first sentence in bold, and what stands between asterisks, as the names of arms do, in italics."""
    parts = re.split(r"(?:(?<=[.!?])|(?<=[.!?][”\"’)]))\s+(?=[A-Z0-9‘“\"(±])", caption.strip(), maxsplit=1)
    first, *rest = (
        re.sub(r"(?<!\w)\*(\S[^*]*)\*(?!\w)", r"<em>\1</em>", html.escape(part, quote=False)) for part in parts
    )
    return " ".join([f"<strong>{first}</strong>", *rest])


def _png(fig: Figure) -> bytes:
    buffer = io.BytesIO()
    page = tokens()["page"]
    fig.savefig(buffer, format="png", dpi=2 * PIXELS, facecolor=page, transparent=False, metadata={"Software": None})
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
    scope = ",".join(f"{page} .luc-figure" for page in DARK_PAGES)
    return with_light_values(
        f"{scope}{{{dark}}}"
        ".luc-figure{container-type:inline-size;margin:2em 0;padding:0;text-align:left}"
        ".luc-figure.luc-text{max-width:680px}.luc-figure.luc-wide{max-width:1080px}"
        ".luc-plot svg{display:block;height:auto;overflow:visible}.luc-plot text{font-size-adjust:.486}"
        ".luc-plot-narrow,.luc-plot-wide~.luc-plot-text{display:none}.luc-plot-narrow{max-width:440px}"
        "@container (max-width:840px){.luc-plot-wide{display:none}.luc-plot-wide~.luc-plot-text{display:block}}"
        "@container (max-width:520px){.luc-plot-narrow{display:block}.luc-plot-text,.luc-plot-wide~.luc-plot-text"
        "{display:none}}"
        ".luc-figure figcaption{font:400 15px/1.5 'Source Sans Pro','Source Sans 3',system-ui,sans-serif;"
        "color:var(--luc-muted);max-width:680px;margin-top:.6em}"
        ".luc-figure figcaption strong{color:var(--luc-ink);font-weight:600}"
    )
