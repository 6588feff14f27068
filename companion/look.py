"""How everything looks, from one place: the colours, the CSS made of them, and how each arm is drawn.

A paper's colour and the looks of its arms stand in its file (`companion.papers`); here stand the colours that belong to no paper, the
type, and the looks of what the methods are compared with. Pages, strip, plots and live figures are made from it: a colour is written
once. One colour, one meaning: a method keeps its colour in text, mathematics, plots and live figures; plain cross entropy and all that
methods are compared with are ``muted``, told apart by dash and marker.

Example:
    >>> token("pon")
    'var(--luc-pon, #4661ba)'
    >>> style("P-ON").token, style("vanilla").token
    ('pon', 'muted')
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from companion import papers

__all__ = ["DARK_PAGES", "DASHES", "SPARES", "Style", "css", "style", "styles", "token", "tokens", "with_light_values"]

Theme = Literal["light", "dark"]

_GROUND = {  # name: light, dark
    "page": ("#fcfbf8", "#15171b"),
    "card": ("#f4f2ec", "#1d2025"),  # the panel of a live figure, a code cell
    "ink": ("#22262c", "#e6e4df"),  # text, vectors
    "muted": ("#5b6068", "#a9afb8"),  # baselines, axes, asides
    "rule": ("#d9d6cf", "#383c43"),  # thin lines
    "link": ("#2f4fc4", "#8fb4ff"),  # links, keyboard focus
}

SPARES: Mapping[str, tuple[str, str]] = {"violet": ("#8246f0", "#a07db9"), "magenta": ("#c8198c", "#f04191")}
"""Two more colours, light and dark, that pass beside all others and each other; a paper takes one by its name (``spare``)."""

_TYPE = {
    "serif": '"Source Serif Pro", "Source Sans Pro", "Iowan Old Style", Georgia, serif',
    "sans": '"Source Sans Pro", "Source Sans 3", system-ui, "Segoe UI", Helvetica, Arial, sans-serif',
    "mono": 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
}

# The book's switch; Colab's; JupyterLab's; Visual Studio Code's.
DARK_PAGES = (
    'html[data-theme="dark"]',
    'html[theme="dark"]',
    'body[data-jp-theme-light="false"]',
    "body.vscode-dark",
)
"""The selectors of a page whose reader has chosen dark."""
_NO_SWITCH = "html:not([data-theme], [theme], :has(body[data-jp-theme-light], body[data-vscode-theme-kind]))"

DASHES: Mapping[str, Any] = {
    "solid": "-",
    "dashed": (0, (5, 2.2)),
    "dotted": (0, (1.2, 1.6)),
    "dash-dot": (0, (6, 1.8, 1.2, 1.8)),
    "long": (0, (9, 2.5)),
    "sparse": (0, (3, 3.5)),
}
"""The dashes by name, as matplotlib takes them: an offset, then lengths of strokes and gaps in line widths."""

# What several chapters compare with: label, dash, marker. What one paper alone is compared with stands among its own arms.
_COMPARED = (
    ("vanilla", "solid", "o"),
    ("weight decay", "dashed", "s"),
    ("label smoothing", "dotted", "^"),
    ("temperature", "dash-dot", "v"),
    ("LogitNorm", "long", "D"),
    ("MSE", "sparse", "P"),
)


@dataclass(frozen=True)
class Style:
    """How one method or arm is drawn: colour token, dash, marker, and the name at the line's end.

    Args:
        token: name of a colour without the prefix, ``"pon"`` or ``"muted"``.
        dash: any matplotlib line style; `DASHES` has those of the book.
        marker: any matplotlib marker.
        label: the name written at the line's end.
    """

    token: str
    dash: Any = "-"
    marker: str = "o"
    label: str = ""

    @property
    def color(self) -> str:
        """The light theme's hex colour; a plot that is shown replaces it by the token."""
        return tokens()[self.token]


def tokens(theme: Theme = "light") -> dict[str, str]:
    """Return the colours of one theme by their names in CSS, without the prefix ``--luc-``.

    Args:
        theme: ``"light"`` or ``"dark"``.

    Raises:
        ValueError: there is no such theme.

    Example:
        >>> tokens()["pon"], tokens("dark")["pon"]
        ('#4661ba', '#4a93ef')
    """
    if theme not in ("light", "dark"):
        raise ValueError(f"theme must be 'light' or 'dark', got {theme!r}")
    at = 0 if theme == "light" else 1
    return {name: values[at] for name, values in _colours().items()}


def token(name: str) -> str:
    """Return a colour as CSS, with the light theme's value for pages that have no tokens.

    Args:
        name: a colour without the prefix, ``"pon"`` or ``"muted"``.

    Raises:
        ValueError: there is no such colour.

    Example:
        >>> token("muted")
        'var(--luc-muted, #5b6068)'
    """
    light = tokens()
    if name not in light:
        raise ValueError(f"there is no colour {name!r}; there are: {', '.join(light)}")
    return f"var(--luc-{name}, {light[name]})"


def with_light_values(text: str) -> str:
    """Return a text with the light theme's value behind every bare ``var(--luc-…)`` that is a colour.

    Example:
        >>> with_light_values("color: var(--luc-ink); font: var(--luc-sans)")
        'color: var(--luc-ink, #22262c); font: var(--luc-sans)'
    """
    light = tokens()
    return re.sub(r"var\(--luc-([\w-]+)\)", lambda found: token(found[1]) if found[1] in light else found[0], text)


def styles() -> dict[str, Style]:
    """Return how every arm is drawn by its label: what all are compared with, then the arms of each paper.

    Example:
        >>> list(styles())[0]
        'vanilla'
    """
    found = {label: Style("muted", DASHES[dash], marker, label) for label, dash, marker in _COMPARED}
    for paper in _papers():
        for arm in paper.arms:
            found[arm.label] = Style(arm.colour or paper.colour.token, DASHES[arm.dash], arm.marker, arm.label)
    return found


def style(label: str) -> Style:
    """Return how an arm is drawn.

    Args:
        label: the arm's name.

    Raises:
        ValueError: the arm has no look yet; the message says where one is added.

    Example:
        >>> style("P-ON").token
        'pon'
    """
    known = styles()
    if label not in known:
        raise ValueError(
            f"no look for the arm {label!r}; add it to [[arms]] of its paper in companion/papers (known: {', '.join(known)})"
        )
    return known[label]


def css() -> str:
    """Return the style sheet of the tokens: both themes' colours, the type, and a class for each colour that means something.

    The dark values stand twice, because CSS cannot join a selector and a media query in one rule.

    Example:
        >>> ".luc-pon { color: var(--luc-pon); }" in css()
        True
    """
    methods = [f".luc-{paper.colour.token}" for paper in _papers()]
    classes = [f".luc-{name} {{ color: var(--luc-{name}); }}" for name in _colours() if name not in _NOT_OF_TEXT]
    return "\n".join(
        [
            "/* Made by companion.look from the papers' data: edit that. */",
            ":root {",
            *_declared("light"),
            *(f"  --luc-{name}: {families};" for name, families in _TYPE.items()),
            "}",
            "",
            ",\n".join(DARK_PAGES) + " {",
            *_declared("dark"),
            "}",
            "",
            "/* Where no switch has been set, the reader's system decides. */",
            "@media (prefers-color-scheme: dark) {",
            f"  {_NO_SWITCH} {{",
            *(f"  {line}" for line in _declared("dark")),
            "  }",
            "}",
            "",
            *classes,
            f".bd-article :is(a, span, strong, td, th):is({', '.join(methods)}) {{ font-weight: 600; }}",
            "",
        ]
    )


_NOT_OF_TEXT = ("page", "card", "rule", "link")


def _declared(theme: Theme) -> Iterator[str]:
    for name, value in tokens(theme).items():
        yield f"  --luc-{name}: {value};"


def _papers() -> list[papers.Paper]:
    return [papers.load(stem) for stem in papers.names()]


def _colours() -> dict[str, tuple[str, str]]:
    """Return light and dark of every colour by its token: those of no paper, then those of the papers."""
    found = dict(_GROUND)
    for colour in (paper.colour for paper in _papers()):
        found[colour.token] = SPARES[colour.spare] if colour.spare else (colour.light, colour.dark)
    return found
