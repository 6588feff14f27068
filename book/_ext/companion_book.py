"""What this book changes in the pages that Jupyter Book makes.

- Thebe's scripts are dropped: nothing here uses them and they name another origin.
- The Colab button opens the branch `colab`, which holds the notebooks in plain Markdown.
- Empty places of live figures in a page's source are filled with the figure's values and its fallback.
- Docstrings, written to be read in an editor, are made safe for reStructuredText.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from companion.widgets import fill_places

COLAB_BRANCH = "colab"


def drop_thebe(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Take Thebe's scripts and style out of a page's lists."""
    for kind in ("script_files", "css_files"):
        context[kind] = [
            file
            for file in context.get(kind, ())
            if "thebe" not in f"{file} {getattr(file, 'filename', '')} {getattr(file, 'attributes', '')}".lower()
        ]


def point_colab_at_its_branch(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Let every Colab link of the header name the branch with the plain copies."""
    branch = app.config.html_theme_options.get("repository_branch", "main")

    def visit(buttons: list[dict[str, Any]]) -> None:
        for button in buttons:
            if "colab.research" in str(button.get("url", "")):
                button["url"] = button["url"].replace(f"/blob/{branch}/", f"/blob/{COLAB_BRANCH}/")
            visit(button.get("buttons", []))

    visit(context.get("header_buttons", []))


def fill_live_figures(app: Sphinx, docname: str, source: list[str]) -> None:
    """Fill `<div data-widget="name" data-model='{…}'></div>` in a Markdown page (notebooks bring theirs as output)."""
    if app.env.doc2path(docname).endswith(".md"):
        source[0] = fill_places(source[0])


def quiet_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turn single backticks into code, indented blocks into literal ones, and escape what would be taken for marks."""
    quiet: list[str] = []
    last, example, literal = "", False, None
    for at, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent < literal:
            literal = None
        after_blank = at > 0 and not lines[at - 1].strip()
        if literal is None and line.strip() and after_blank and _opens_literal(last, indent, line):
            margin = " " * (len(last) - len(last.lstrip()))
            quiet += [f"{margin}::", ""]
            literal = indent
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        quiet.append(line if example or literal is not None else _quiet_line(line))
        last = line if line.strip() else last
    lines[:] = quiet


def _opens_literal(last: str, indent: int, line: str) -> bool:
    """Whether an indented line after a blank one begins a block to be shown as it is: a formula, a drawing, code."""
    deeper = indent >= len(last) - len(last.lstrip()) + 4
    ordinary = not last.rstrip().endswith("::") and not re.match(r"\s*([*-]|\d+[.])\s|\s*[.][.] ", last)
    section = re.fullmatch(r"\s*[A-Z][a-z]+( [a-z]+)?:", last)
    return deeper and ordinary and not section and not line.lstrip().startswith(">>>")


def _quiet_line(line: str) -> str:
    bullet = re.match(r"\s*[*] ", line)
    head, rest = (line[: bullet.end()], line[bullet.end() :]) if bullet else ("", line)
    parts = re.split(r"(``.+?``|:[a-z:]+:`[^`]+`|`[^`]+`_*|(?<!\w)[*]{1,2}[^\s*](?:[^*]*[^\s*])?[*]{1,2}(?!\w))", rest)
    for index, part in enumerate(parts):
        if re.fullmatch(r"`[^`]+`", part):
            parts[index] = f"`{part}`"
        elif index % 2 == 0:
            parts[index] = re.sub(r"(?<!\\)([*|])|(?<=\w)(_)(?!\w)", r"\\\1\2", part)
    return head + "".join(parts)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the four changes."""
    app.connect("source-read", fill_live_figures)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", point_colab_at_its_branch, priority=900)
    app.connect("autodoc-process-docstring", quiet_docstring, priority=400)
    # A change of this file makes every page anew.
    own = int(hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:7], 16)
    return {"version": "1", "env_version": own, "parallel_read_safe": True, "parallel_write_safe": True}
