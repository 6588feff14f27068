"""A function's source beside the formula it computes, taken from the installed library, not copied by hand."""

from __future__ import annotations

import ast
import html
import importlib.util
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from companion.page.display import MONO, MUTED, RULE, SANS, Panel, inline, plain, style


def body_of(function: Callable[..., Any]) -> str:
    """Return a function's source without decorators and docstring.

    Raises:
        TypeError: ``function`` is neither a function nor a class.

    Example:
        >>> from companion.page import say
        >>> body_of(say).splitlines()[0]
        'def say(*sentences: str) -> Prose:'
    """
    source = textwrap.dedent(inspect.getsource(function))
    tree = ast.parse(source).body[0]
    if not isinstance(tree, (ast.FunctionDef, ast.ClassDef)):
        raise TypeError(f"{function!r} is neither a function nor a class")
    lines = source.splitlines()
    first = tree.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        del lines[first.lineno - 1 : first.end_lineno]
    return "\n".join(lines[tree.lineno - 1 :])


def source_beside(function: Callable[..., Any], *formulas: str) -> Panel:
    """Show what a formula says beside the lines that compute it.

    Args:
        function: a function or class of the library.
        formulas: light Markdown, a line each; ``$…$`` holds LaTeX.

    Raises:
        ValueError: there is no formula.
        TypeError: ``function`` is neither a function nor a class.

    Example:
        >>> from companion.page import say
        >>> "def say" in source_beside(say, "it says").text
        True
    """
    if not formulas:
        raise ValueError("source_beside needs the formula that the source computes")
    code = body_of(function)
    name = f"{function.__module__}.{function.__qualname__}"
    said = "".join(f"<p>{inline(line)}</p>" for line in formulas)
    css = style(
        f""".luc-source{{container-type:inline-size;max-width:1080px;margin:1.2em 0}}
        .luc-beside p{{margin:.2em 0 .5em}} .luc-beside>div:last-child{{border-top:1px solid {RULE};padding-top:.6em}}
        @container (min-width:900px){{
        .luc-beside{{display:grid;grid-template-columns:minmax(0,2fr) minmax(0,3fr);gap:0 2em}}
        .luc-beside>div:last-child{{border-top:0;padding-top:0;border-left:1px solid {RULE};padding-left:1.4em}}}}
        .luc-beside div.highlight{{background:none;border:0;margin:0;padding:0}}
        .luc-beside pre,.luc-beside div.highlight pre{{font:400 13.5px/1.5 {MONO};margin:0;padding:0;background:none;
        border:0;overflow-x:auto;white-space:pre}}
        .luc-beside .luc-name{{font:400 14px/1.4 {SANS};color:{MUTED};margin:0 0 .5em}}"""
    )
    page = (
        f'{css}<div class="luc-source"><div class="luc-beside"><div>{said}</div>'
        f'<div><p class="luc-name">{html.escape(name)}</p>{_highlighted(code)}</div></div></div>'
    )
    return Panel(page, "\n".join([*(plain(line) for line in formulas), "", code]))


def _highlighted(code: str) -> str:
    """Colour the code with the page's own code colours where Pygments is installed (Jupyter brings it)."""
    if importlib.util.find_spec("pygments") is None:
        return f'<pre tabindex="0">{html.escape(code)}</pre>'
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return highlight(code, PythonLexer(), HtmlFormatter(cssclass="highlight", wrapcode=True)).strip()
