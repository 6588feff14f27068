"""The head of a chapter: where in a training step it acts, and what the reader gets from it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from companion.chapter._display import MUTED, RULE, SANS, Panel, inline, plain, style

PLACES = ("backbone", "head", "logits", "transform", "criterion", "penalty", "update")
"""The places of one training step, in the order in which a batch meets them."""


@dataclass(frozen=True)
class Method:
    """A method of the book: its colour, the places where it acts, and its chapter's page once there is one."""

    token: str
    fallback: str
    places: tuple[str, ...]
    page: str = ""


METHODS: dict[str, Method] = {
    "partial norm": Method("pon", "#4661ba", ("transform", "penalty"), "01_partial_output_norm.html"),
    "scalable batch norm": Method("sbn", "#085636", ("transform",)),
    "PowerGrad transform": Method("pgt", "#876816", ("criterion",)),
    "tamed cross entropy": Method("tce", "#9d0211", ("criterion",)),
    "norm loss": Method("nl", "#592d83", ("penalty", "update")),
}
"""The five methods; give a method its ``page`` when its chapter exists, and every strip links to it."""


def you_are_here(*places: str, chapter: str = "") -> Panel:
    """Return the strip backbone → … → update with this chapter's places marked and a dot for every method.

    Args:
        places: names of `PLACES`.
        chapter: this chapter's method, whose dots do not link to their own page.

    Raises:
        ValueError: a place or the chapter is unknown.

    Example:
        >>> you_are_here("transform")
        backbone → head → logits → [transform] → criterion → penalty → update
    """
    for place in places:
        if place not in PLACES:
            raise ValueError(f"unknown place {place!r}; there are: {', '.join(PLACES)}")
    if chapter and chapter not in METHODS:
        raise ValueError(f"unknown chapter {chapter!r}; there are: {', '.join(METHODS)}")
    items = []
    for place in PLACES:
        dots = "".join(_dot(name, method, chapter) for name, method in METHODS.items() if place in method.places)
        here = ' class="luc-here" aria-current="step"' if place in places else ""
        items.append(f"<li{here}><span>{place}</span>{dots}</li>")
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
    label = "The places of a training step" + (f"; this chapter acts at: {', '.join(places)}" if places else "")
    text = " → ".join(f"[{place}]" if place in places else place for place in PLACES)
    return Panel(f'{css}<nav class="luc-strip" aria-label="{html.escape(label)}"><ol>{"".join(items)}</ol></nav>', text)


def _dot(name: str, method: Method, chapter: str) -> str:
    look = f'class="luc-dot" style="background:var(--luc-{method.token}, {method.fallback})"'
    if method.page and name != chapter:
        return f'<a {look} href="{method.page}" title="{name}" aria-label="{name}"></a>'
    return f'<span {look} role="img" title="{name}" aria-label="{name}"></span>'


def at_a_glance(*, able: Sequence[str], before: str, minutes: Mapping[str, str]) -> Panel:
    """Return what the reader will be able to do, what is needed first, and how long it takes.

    Args:
        able: what one can do after the chapter, one line each, light Markdown.
        before: what one should know.
        minutes: name to time, ``{"reading": "45 minutes", "on a GPU": "not measured"}``.

    Raises:
        ValueError: ``able`` or ``minutes`` is empty.

    Example:
        >>> at_a_glance(able=["Say it."], before="calculus", minutes={"reading": "5 minutes"})
        You will be able to
        - Say it.
        Before you start: calculus
        reading: 5 minutes
    """
    if not able or not minutes:
        raise ValueError("say what the reader will be able to do, and how long it takes")
    items = "".join(f"<li>{inline(line)}</li>" for line in able)
    times = "".join(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in minutes.items())
    css = style(
        f""".luc-glance{{border-block:1px solid {RULE};padding:1em 0;margin:1em 0;max-width:680px}}
        .luc-glance p{{margin:.2em 0}} .luc-glance ul{{margin:.3em 0 .9em;padding-left:1.2em}}
        .luc-glance .luc-lead{{font:600 15px/1.5 {SANS}}}
        .luc-glance dl{{display:flex;flex-wrap:wrap;gap:.4em 2em;margin:.9em 0 0;font:400 15px/1.4 {SANS}}}
        .luc-glance dl div{{display:flex;gap:.5em}} .luc-glance dt{{color:{MUTED};font-weight:400;margin:0}}
        .luc-glance dd{{margin:0}}"""
    )
    page = (
        f'{css}<section class="luc-glance" aria-label="At a glance"><p class="luc-lead">You will be able to</p>'
        f"<ul>{items}</ul>"
        f'<p class="luc-lead">Before you start</p><p>{inline(before)}</p><dl>{times}</dl></section>'
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
