"""What this book changes in the pages that Jupyter Book makes.

- Thebe's scripts are dropped: nothing here uses them and they name another origin.
- The Colab button opens the branch `colab`, which holds the notebooks in plain Markdown.
- Empty places in a page's source are filled: of live figures with values and fallback, of the strip and the map of methods,
  of the methods' descriptions, of the tables of costs, of a chapter's exercises with their points.
- A chapter has the number of its file's name, not that of its position; its proofs have the letter of that number, A for 1.
- Names in code may break at their joints.
- Docstrings, written to be read in an editor, are made safe for reStructuredText.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx_external_toc.collectors import TocTreeCollectorWithStyles

from companion import bench, page, papers, widgets

COLAB_BRANCH = "colab"
LIBRARY = '<div data-methods="library"></div>'


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


def let_code_break_at_its_joints(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Mark where a long name may break, after ``_``, ``.``, ``/`` and ``(``, so that it need not break inside a word."""
    if "body" in context:
        pieces = re.split(r'(?<=<span class="pre">)([^<]*)(?=</span>)', context["body"])
        pieces[1::2] = [re.sub(r"(?<=[_./(])(?=\w)", "<wbr/>", piece) for piece in pieces[1::2]]
        context["body"] = "".join(pieces)


def call_chapters_only_chapters(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Mark the number in the title of an audit and of proofs, before which the style sheet writes no "Chapter"."""
    if "body" in context and (pagename.startswith("book/proofs/") or pagename.endswith("_audit")):
        number = '<span class="section-number'
        context["body"] = context["body"].replace(number, f"{number} luc-no-chapter", 1)


def fill_places(app: Sphinx, docname: str, source: list[str]) -> None:
    """Fill `<div data-widget="name" …></div>` and those with `data-methods`, `data-bench`, `data-exercises` in a Markdown page.

    Notebooks bring theirs as output.
    """
    if app.env.doc2path(docname).endswith(".md"):
        if LIBRARY in source[0]:
            source[0] = source[0].replace(LIBRARY, library_of_methods())
        source[0] = re.sub(
            r'<div data-exercises="(\w+)"></div>', lambda found: page.exercises_table(found[1]).html, source[0]
        )
        source[0] = page.fill_places(widgets.fill_places(bench.fill_places(source[0])))


def library_of_methods() -> str:
    """Return a heading and the description of its module for each paper's method, in the book's order."""
    block = (
        "### {}\n\n```{{eval-rst}}\n.. automodule:: companion.methods.{}\n   :members:\n   :ignore-module-all:\n```\n"
    )
    return "\n".join(block.format(papers.load(stem).chapter.title, stem) for stem in papers.names())


def chapter_number(docname: str) -> int | str | None:
    """Return the number in the name of a chapter, `notebooks/06_one_notation`, a letter for proofs, None for another page.

    The proofs of chapter 1, `book/proofs/…`, are A, those of chapter 2 are B.
    """
    if docname.startswith("book/proofs/"):
        return chr(ord("A") - 1 + papers.load(docname.rsplit("/", 1)[-1]).chapter.number)
    found = re.match(r"notebooks/(\d\d)_", docname)
    return int(found[1]) if found else None


def number_chapters_by_name(app: Sphinx) -> None:
    """Let the numbering of sections, which counts positions, give every chapter the number of its file's name.

    Jupyter Book's own collector counts once more after Sphinx's, so both are led.
    """
    for collector in (TocTreeCollector, TocTreeCollectorWithStyles):
        by_position = collector.assign_section_numbers
        if not getattr(by_position, "by_name", False):
            collector.assign_section_numbers = _by_name(by_position)


def _by_name(by_position: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """Return a numbering of sections that counts by position and then takes the numbers of the names."""

    def assign(self: TocTreeCollector, env: BuildEnvironment) -> list[str]:
        before = env.toc_secnumbers
        by_position(self, env)
        for docname, numbers in env.toc_secnumbers.items():
            number = chapter_number(docname)
            if number is None:
                continue
            env.toc_secnumbers[docname] = {at: old and (number, *old[1:]) for at, old in numbers.items()}
            titles = [env.titles[docname], *env.tocs[docname].findall(nodes.reference)]
            for node in titles:
                if node.get("secnumber"):
                    node["secnumber"] = [number, *node["secnumber"][1:]]
        return [docname for docname, numbers in env.toc_secnumbers.items() if numbers != before.get(docname)]

    assign.by_name = True  # type: ignore[attr-defined]
    return assign


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
    """Connect the changes."""
    app.connect("builder-inited", number_chapters_by_name)
    app.connect("source-read", fill_places)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", point_colab_at_its_branch, priority=900)
    app.connect("html-page-context", let_code_break_at_its_joints, priority=900)
    app.connect("html-page-context", call_chapters_only_chapters, priority=900)
    app.connect("autodoc-process-docstring", quiet_docstring, priority=400)
    # A change of this file makes every page anew.
    own = int(hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:7], 16)
    return {"version": "1", "env_version": own, "parallel_read_safe": True, "parallel_write_safe": True}
