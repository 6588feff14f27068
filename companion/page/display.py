"""The two kinds of thing a chapter shows: a panel (HTML and text) and prose (Markdown and text)."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Any

from companion import look

MUTED = look.token("muted")
RULE = look.token("rule")
SANS = "var(--luc-sans, 'Source Sans Pro', 'Source Sans 3', system-ui, sans-serif)"
MONO = "var(--luc-mono, ui-monospace, Menlo, Consolas, monospace)"


@dataclass(frozen=True)
class Panel:
    """A piece of a page: HTML where it can be shown, the same content as text where not."""

    html: str = field(repr=False)
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


@dataclass(frozen=True)
class Prose:
    """A paragraph whose numbers were computed; shown as Markdown."""

    markdown: str

    def __repr__(self) -> str:
        return re.sub(r"\*\*|(?<!\w)_|_(?!\w)|`", "", self.markdown)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/markdown": self.markdown, "text/plain": repr(self)}


def say(*sentences: str) -> Prose:
    """Return a paragraph for the page, so that a number in prose comes from the data and not from the keyboard.

    Args:
        sentences: Markdown; written as f-strings, with symbols in Unicode (‖z‖, δ). Empty ones are left out, so that
            a sentence may depend on the data.

    Raises:
        ValueError: nothing is left to say.

    Example:
        >>> length = 31.75
        >>> say(f"The mean length ends at {length:.1f}.", "It grew." if length > 2 else "")
        The mean length ends at 31.8. It grew.
    """
    text = " ".join(sentence.strip() for sentence in sentences if sentence.strip())
    if not text:
        raise ValueError("say() needs at least one sentence")
    return Prose(re.sub(r"(?<![\w-])-(?=\d)", "−", text))


@dataclass(frozen=True)
class Equation:
    """A displayed equation: LaTeX for pages, the same line for terminals."""

    latex: str

    def __repr__(self) -> str:
        return self.latex

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/latex": f"$$\n{self.latex}\n$$", "text/plain": self.latex}


def equation(left: str, *sides: Any) -> Equation:
    """Return ``left = side = side …`` as one displayed equation.

    Args:
        left: LaTeX of the left side.
        sides: sympy expressions, matrices or tuples of expressions (shown as columns), or LaTeX text.

    Raises:
        ValueError: there is no right side.

    Example:
        >>> equation("L", "H")
        L = H
    """
    if not sides:
        raise ValueError("an equation needs a right side")
    return Equation(" = ".join([left, *(_latex(side) for side in sides)]))


def _latex(side: Any) -> str:
    if isinstance(side, str):
        return side
    from companion._extras import require

    sympy = require("sympy", extra="math")
    return sympy.latex(sympy.Matrix(side) if isinstance(side, tuple) else side)


def inline(text: str) -> str:
    """Return a line of light Markdown (``**bold**``, ``*emphasis*``, ```code```, ``$formula$``, links) as HTML.

    Formulas are left to the page's MathJax, marked with the class that the book's pages look for.

    Example:
        >>> inline("a < b, **so** `b > a`")
        'a &lt; b, <strong>so</strong> <code>b &gt; a</code>'
    """
    parts = re.split(r"(`[^`]+`|\$[^$]+\$)", text)
    return "".join(_inline_part(part) for part in parts)


def _inline_part(part: str) -> str:
    if part.startswith("`") and len(part) > 1:
        return f"<code>{html.escape(part[1:-1], quote=False)}</code>"
    if part.startswith("$") and len(part) > 1:
        return f'<span class="math notranslate nohighlight">\\({html.escape(part[1:-1], quote=False)}\\)</span>'
    part = html.escape(part, quote=False)
    part = re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", r'<a href="\2">\1</a>', part)
    part = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", part)
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", part)


def plain(text: str) -> str:
    """Return the same line without its marks, for the text face.

    Example:
        >>> plain("**so** `b > a`, see [here](x.html)")
        'so b > a, see here'
    """
    text = re.sub(r"\[([^\]]+)\]\([^)\s]+\)", r"\1", text)
    return re.sub(r"\*\*|`|\$|(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)", "", text)


def style(rules: str) -> str:
    """Return a style element on one line; every panel brings its own, since some front ends frame each output."""
    return "<style>" + " ".join(rules.split()) + "</style>"
