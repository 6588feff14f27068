"""The head of a chapter: where in a training step it acts, and what the reader gets from it; and all methods at a glance."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

from companion import look, papers
from companion.page.audit import headlines
from companion.page.display import MUTED, RULE, SANS, Panel, inline, plain, style
from companion.papers import Paper

PLACES = ("backbone", "head", "logits", "transform", "criterion", "penalty", "update")
"""The places of one training step, in the order in which a batch meets them."""


def methods() -> tuple[Paper, ...]:
    """Return the papers in the book's order. Strip and map are made from them; links appear once a chapter is written.

    Example:
        >>> [paper.method.short for paper in methods()][:2]
        ['P-ON', 'SBN']
    """
    return tuple(papers.load(stem) for stem in papers.names())


def _page(paper: Paper) -> str:
    """Return the chapter's page, beside other chapters; empty as long as there is none."""
    return f"{paper.chapter.notebook}.html" if paper.chapter.written else ""


def you_are_here(*places: str, chapter: str = "") -> Panel:
    """Return the strip backbone → … → update with this chapter's places marked and a dot for every method.

    Args:
        places: names of `PLACES`.
        chapter: the stem of this chapter's paper, whose dots do not link to their own page.

    Raises:
        ValueError: a place or the chapter is unknown.

    Example:
        >>> you_are_here("transform")
        backbone → head → logits → [transform] → criterion → penalty → update
    """
    for place in places:
        if place not in PLACES:
            raise ValueError(f"unknown place {place!r}; there are: {', '.join(PLACES)}")
    if chapter and chapter not in papers.names():
        raise ValueError(f"there is no paper {chapter!r} in companion/papers; there are: {', '.join(papers.names())}")
    css = style(
        f""".luc-strip{{font:400 15px/1.3 {SANS};border-block:1px solid {RULE};margin:1em 0 2em;max-width:1080px}}
        .luc-strip ol{{list-style:none;display:flex;flex-wrap:wrap;margin:0;padding:0}}
        .luc-strip li{{flex:1 1 auto;display:flex;gap:6px;align-items:center;justify-content:center;
        margin:0;padding:9px 10px;color:{MUTED}}}
        .luc-strip li+li::before{{content:"→";margin-right:8px}}
        .luc-strip .luc-here{{background:var(--luc-card, rgba(128,128,128,.14))}}
        .luc-strip .luc-here span{{color:var(--luc-ink, inherit);font-weight:600}}
        .luc-dot{{display:inline-block;width:10px;height:10px;border-radius:50%}}"""
    )
    text = " → ".join(f"[{place}]" if place in places else place for place in PLACES)
    return Panel(css + _strip(places, chapter), text)


def _strip(places: Sequence[str] = (), chapter: str = "", folder: str = "") -> str:
    """Return the strip without its style, with links into a folder of chapters (here: the page's own)."""
    items = []
    for place in PLACES:
        dots = "".join(_dot(paper, chapter, folder) for paper in methods() if place in paper.method.places)
        here = ' class="luc-here" aria-current="step"' if place in places else ""
        items.append(f"<li{here}><span>{place}</span>{dots}</li>")
    label = "The places of a training step" + (f"; this chapter acts at: {', '.join(places)}" if places else "")
    return f'<nav class="luc-strip" aria-label="{html.escape(label)}"><ol>{"".join(items)}</ol></nav>'


def _dot(paper: Paper, chapter: str, folder: str) -> str:
    name, page = paper.method.name, _page(paper)
    shown = f'class="luc-dot" style="background:{look.token(paper.colour.token)}"'
    if page and paper.stem != chapter:
        return f'<a {shown} href="{folder}{page}" title="{name}" aria-label="{name}"></a>'
    return f'<span {shown} role="img" title="{name}" aria-label="{name}"></span>'


def _map(folder: str) -> str:
    """Return the list of all methods: where each acts, its name as a link once it has a chapter, what it does."""
    lines = []
    for paper in methods():
        method, page = paper.method, _page(paper)
        title = html.escape(f"{method.name[0].upper()}{method.name[1:]}, {method.short}")
        shown = f'class="luc-{paper.colour.token}"'
        name = f'<a {shown} href="{folder}{page}">{title}</a>' if page else f"<span {shown}>{title}</span>"
        soon = "" if page else ' <span class="luc-soon">Chapter to come</span>'
        lines.append(f"<dt>{', '.join(method.places)}</dt><dd>{name} {html.escape(method.does)}{soon}</dd>")
    return f'<dl class="luc-map luc-wide">{"".join(lines)}</dl>'


_PLACE = re.compile(r"""<div data-methods="([^"]*)"(?: data-chapters="([^"]*)")?></div>""")


def fill_places(text: str) -> str:
    """Fill the empty places of the strip, of the map and of what holds in a page's source, so that no page repeats them.

    Args:
        text: a page in Markdown; a place is ``<div data-methods="strip" data-chapters="../notebooks/"></div>``, or
            ``"map"``, with the way from the page to the chapters, or ``"headlines"``, what holds of each written chapter. What is not such a place
            stays as it is.

    Raises:
        ValueError: a place asks for something else.

    Example:
        >>> fill_places('<div data-methods="map" data-chapters="../notebooks/"></div>').count("<dt>") == len(methods())
        True
    """

    def fill(match: re.Match[str]) -> str:
        folder = match[2] or ""
        if match[1] == "strip":
            return _strip(folder=folder)
        if match[1] == "map":
            return _map(folder)
        if match[1] == "headlines":
            return "\n".join(headlines(paper.stem).markdown for paper in methods() if paper.chapter.written)
        raise ValueError(f"data-methods must be 'strip', 'map' or 'headlines', got {match[1]!r}")

    return _PLACE.sub(fill, text)


def at_a_glance(*, able: Sequence[str], before: str, minutes: Mapping[str, str]) -> Panel:
    """Return what the reader will be able to do, what is needed first, and how long it takes.

    How long the reading takes is counted when the book is built (``book/tools/budget.py``), never typed.

    Args:
        able: what one can do after the chapter, one line each, light Markdown.
        before: what one should know.
        minutes: of the cells, name to time, ``{"on a GPU": "not measured"}``.

    Raises:
        ValueError: ``able`` or ``minutes`` is empty.

    Example:
        >>> at_a_glance(able=["Say it."], before="calculus", minutes={"CPU": "1 minute"})
        You will be able to
        - Say it.
        Before you start: calculus
        CPU: 1 minute
    """
    if not able or not minutes:
        raise ValueError("say what the reader will be able to do, and how long it takes")
    items = "".join(f"<li>{inline(line)}</li>" for line in able)
    times = '<div><dt>reading</dt><dd data-counted="reading">counted in the book</dd></div>'
    times += "".join(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in minutes.items())
    css = style(
        f""".luc-glance{{border-block:1px solid {RULE};padding:.6em 0;margin:1em 0;max-width:680px}}
        .luc-glance p{{margin:.2em 0}} .luc-glance ul{{margin:.3em 0 .9em;padding-left:1.2em}}
        .luc-glance .luc-lead{{font:600 15px/1.5 {SANS}}} .luc-glance summary{{font:400 15px/1.5 {SANS};cursor:pointer}}
        .luc-glance dl{{display:inline-flex;flex-wrap:wrap;gap:.2em 1.6em;margin:0;vertical-align:top;max-width:calc(100% - 1.6em)}}
        .luc-glance dl div{{display:flex;gap:.5em}} .luc-glance dt{{color:{MUTED};font-weight:400;margin:0}}
        .luc-glance dd{{margin:0}}"""
    )
    page = (
        f'{css}<details class="luc-glance"><summary><dl>{times}</dl></summary><p class="luc-lead">You will be able to</p>'
        f'<ul>{items}</ul><p class="luc-lead">Before you start</p><p>{inline(before)}</p></details>'
    )
    text = "\n".join(
        [
            "You will be able to",
            *(f"- {plain(line)}" for line in able),
            f"Before you start: {plain(before)}",
            *(f"{name}: {value}" for name, value in minutes.items()),
        ]
    )
    return Panel(page, text)
