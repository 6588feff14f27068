"""Write plain-Markdown copies of the notebooks, which read well where MyST is not rendered (Colab, Jupyter, GitHub).

    make notebooks    to _build/colab, for the branch `colab`: `notebooks`, and `handout`, the same without solutions
    make lab          to lab, for a reader: what the reader has changed there stays

A theorem becomes a bold heading with the number it has in the book, a citation a link with author and year, a reference
the text that the book shows; solutions move to the end and fold. A directive or role that is not known here is an error,
never passed on silently.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import posixpath
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "_build" / "colab"
LAB = ROOT / "lab"

FENCE = re.compile(r"^(?P<indent> {0,3})(?P<fence>`{3,}|~{3,}|:{3,})(?P<info>.*)$")
DIRECTIVE = re.compile(r"^\{(?P<name>[\w:+-]+)\}\s*(?P<argument>.*)$")
OPTION = re.compile(r"^:(?P<key>[\w-]+):\s*(?P<value>.*)$")
LABEL = re.compile(r"^\((?P<label>[^\s()]+)\)=\s*$")
DISPLAY = re.compile(r"\$\$(?P<body>.+?)\$\$[ \t]*\((?P<label>[\w:.-]+)\)", flags=re.DOTALL)
ROLE = re.compile(r"(?<!`)\{(?P<name>[a-z][\w:+-]*)\}`(?P<content>[^`]+)`")
TITLED = re.compile(r"^(?P<text>.*?)\s*<(?P<target>[^<>]+)>$", flags=re.DOTALL)
LINK = re.compile(r"(?<!!)\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s]+)\)")
CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", flags=re.DOTALL)
HEADING = re.compile(r"^#{1,6}\s+(?P<text>.+?)\s*#*$")
REQUIRED = re.compile(r"\.require\(\)\s*$")
LEFTOVER = re.compile(
    r"(?<!`)\{[a-zA-Z][\w:+-]*\}`|^ {0,3}(?:`{3,}|~{3,}|:{3,})\{|^ {0,3}:{3,}\s*$|^\([\w:.-]+\)=\s*$", re.MULTILINE
)

STATEMENTS = ("algorithm", "assumption", "axiom", "conjecture", "corollary", "criterion", "definition", "example")
STATEMENTS += ("lemma", "observation", "property", "proposition", "remark", "theorem")
ASIDES = (
    "admonition",
    "note",
    "tip",
    "hint",
    "important",
    "seealso",
    "attention",
    "caution",
    "warning",
    "danger",
    "margin",
)


@dataclass(frozen=True)
class Place:
    """Where a label stands and what the book shows for it, such as `Theorem 1.2` or `(1.3)`."""

    text: str
    page: str
    anchor: str


@dataclass(frozen=True)
class Block:
    """A directive: its name, argument, options and body."""

    name: str
    argument: str
    options: dict[str, str]
    body: str


@dataclass
class Book:
    """What a copy must know of the whole book: address, pages, labels with their numbers, literature."""

    address: str
    repository: str
    titles: dict[str, str] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    literature: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def url(self, page: str, anchor: str = "") -> str:
        """Return the address of a page of the published book."""
        return f"{self.address}{quote(page)}.html" + (f"#{anchor}" if anchor else "")


def title_of(notebook: dict[str, Any]) -> str:
    """Return the first heading of a parsed notebook."""
    return first_heading("\n".join(_source(cell) for cell in notebook["cells"] if cell["cell_type"] == "markdown"))


def first_heading(markdown: str) -> str:
    """Return the text of the first heading; a page without one is an error."""
    for line in markdown.splitlines():
        if found := HEADING.match(line):
            return found["text"]
    raise ValueError("a page without a heading")


def _source(cell: dict[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def pieces(markdown: str) -> Iterator[str | Block | tuple[str]]:
    """Split Markdown into what a copy treats differently.

    Args:
        markdown: one cell or one directive's body.

    Yields:
        Running text as `str`, a directive as `Block`, a code block as a tuple with its lines joined.

    """
    lines, text, at = markdown.split("\n"), [], 0
    while at < len(lines):
        opening = FENCE.match(lines[at])
        if opening is None:
            text.append(lines[at])
            at += 1
            continue
        if text:
            yield "\n".join(text)
            text = []
        end = _closing(lines, at, opening["fence"])
        directive = DIRECTIVE.match(opening["info"].strip())
        if directive is None:
            yield ("\n".join(lines[at : end + 1]),)
        else:
            yield _block(directive, lines[at + 1 : end])
        at = end + 1
    if text:
        yield "\n".join(text)


def _closing(lines: list[str], start: int, fence: str) -> int:
    for at in range(start + 1, len(lines)):
        line = lines[at].strip()
        if line and set(line) == {fence[0]} and len(line) >= len(fence):
            return at
    raise ValueError(f"{lines[start]!r} is never closed")


def _block(directive: re.Match[str], lines: list[str]) -> Block:
    options = {}
    while lines and (option := OPTION.match(lines[0].strip())):
        options[option["key"]] = option["value"].strip()
        lines = lines[1:]
    return Block(directive["name"], directive["argument"].strip(), options, "\n".join(lines).strip("\n"))


def read_book(root: Path = ROOT) -> Book:
    """Read titles, labels with their numbers and the bibliography from the sources, in the order of the contents."""
    import yaml

    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    book = Book(address=config["html"]["baseurl"].rstrip("/") + "/", repository=config["repository"]["url"].rstrip("/"))
    counters: dict[tuple[str, str], int] = {}
    chapter = 0
    for page, numbered in pages(contents):
        if numbered and page.startswith("book/proofs/"):
            scan(book, page, page_markdown(root, page), letter_of_proofs(page), counters)
            continue
        if numbered:
            chapter = chapter_number(page, after=chapter)
        scan(book, page, page_markdown(root, page), str(chapter) if numbered else "", counters)
    book.literature = read_literature(root / config["bibtex_bibfiles"][0])
    return book


def pages(contents: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield each page of `_toc.yml` with whether it is a numbered chapter."""
    yield contents["root"], False
    for part in contents.get("parts", ()):
        for entry in part["chapters"]:
            yield entry["file"], bool(part.get("numbered"))
            for section in entry.get("sections", ()):  # numbered on within their chapter
                yield section["file"], bool(part.get("numbered"))


def chapter_number(page: str, *, after: int = 0) -> int:
    """Return a chapter's number: that of its file's name, `notebooks/06_one_notation`, else the next.

    Args:
        page: the page's name without ending.
        after: the number of the chapter before.

    """
    found = re.match(r"notebooks/(\d\d)_", page)
    return int(found[1]) if found else after + 1


def letter_of_proofs(page: str) -> str:
    """Return the letter of a page of proofs, `book/proofs/partial_output_norm`: A for chapter 1, B for chapter 2."""
    from companion import papers

    return chr(ord("A") - 1 + papers.load(posixpath.basename(page)).chapter.number)


def page_markdown(root: Path, page: str) -> str:
    """Return the Markdown of a page, of a notebook the Markdown cells."""
    notebook = root / f"{page}.ipynb"
    if notebook.is_file():
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        return "\n\n".join(_source(cell) for cell in cells if cell["cell_type"] == "markdown")
    return (root / f"{page}.md").read_text(encoding="utf-8")


def scan(book: Book, page: str, markdown: str, chapter: str, counters: dict[tuple[str, str], int]) -> None:
    """Enter a page's title and labels into the book, numbered as Sphinx numbers them: by kind, within the chapter."""
    book.titles[page] = first_heading(markdown)

    def number(kind: str) -> str:
        counters[kind, chapter] = counters.get((kind, chapter), 0) + 1
        return f"{chapter}.{counters[kind, chapter]}" if chapter else str(counters[kind, chapter])

    def enter(label: str | None, text: str, anchor: str) -> None:
        if label:
            book.places[label] = Place(text, page, anchor)

    def visit(text: str) -> None:
        for piece in pieces(text):
            if isinstance(piece, str):
                visit_text(piece)
            elif isinstance(piece, Block):
                visit_block(piece)

    def visit_text(text: str) -> None:
        for found in DISPLAY.finditer(text):
            enter(found["label"], f"({number('equation')})", f"equation-{found['label']}")
        lines = text.split("\n")
        for at, line in enumerate(lines):
            if label := LABEL.match(line):
                heading = next((HEADING.match(after) for after in lines[at + 1 :] if after.strip()), None)
                enter(label["label"], heading["text"] if heading else book.titles[page], label["label"])

    def visit_block(block: Block) -> None:
        kind = block.name.removeprefix("prf:")
        label = block.options.get("label") or block.options.get("name")
        if block.name == "math" and label:
            enter(label, f"({number('equation')})", f"equation-{label}")
        elif block.name.startswith("prf:") and kind in STATEMENTS:
            enter(
                label, f"{kind.capitalize()} {number(kind)}" if "nonumber" not in block.options else kind, label or ""
            )
        elif block.name in ("exercise", "exercise-start"):
            enter(
                label, f"Exercise {number('exercise')}" if "nonumber" not in block.options else "Exercise", label or ""
            )
        elif block.name == "solution":
            enter(label, f"Solution to {_exercise(book, block.argument)}", label or "")
        elif block.name == "figure" and label:
            enter(label, f"Fig. {number('figure')}", label)
        if block.name != "math":
            visit(block.body)

    visit(markdown)


def _exercise(book: Book, label: str) -> str:
    return book.places[label].text if label in book.places else "the exercise"


def read_literature(path: Path) -> dict[str, tuple[str, str, str]]:
    """Return key → (authors, year, address) from a BibTeX file."""
    from pybtex.database import parse_file

    entries = {}
    for key, entry in parse_file(str(path)).entries.items():
        people = [" ".join(person.prelast_names + person.last_names) for person in entry.persons.get("author", [])]
        if not people:
            people = [entry.fields.get("organization") or entry.fields.get("title", key)]
        authors = {1: people[0], 2: " and ".join(people[:2])}.get(len(people), f"{people[0]} et al.")
        entries[key] = (re.sub(r"[{}]", "", authors), entry.fields.get("year", "n.d."), _address(entry.fields))
    return entries


def _address(fields: Any) -> str:
    if "url" in fields:
        return fields["url"].replace("\\", "")
    if "doi" in fields:
        return f"https://doi.org/{fields['doi']}"
    if "eprint" in fields:
        return f"https://arxiv.org/abs/{fields['eprint']}"
    return ""


class Converter:
    """Turns the MyST Markdown of one page into plain Markdown.

    Args:
        book: the whole book.
        page: the page's name without ending, such as `notebooks/01_partial_output_norm`.

    Attributes:
        solutions: the solutions met so far, folded; they leave no trace where they stood.
        heading: that of the last one.

    """

    def __init__(self, book: Book, page: str) -> None:
        self.book, self.page = book, page
        self.solutions: list[str] = []
        self.heading = "Solution"

    def markdown(self, text: str) -> str:
        """Convert a cell or a directive's body.

        Raises:
            ValueError: a directive, role, label or citation key is not known.

        """
        out = []
        for piece in pieces(text):
            if isinstance(piece, Block):
                out.append(self.block(piece))
            elif isinstance(piece, tuple):
                out.append(piece[0])
            else:
                out.append(self.text(piece))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip("\n")

    def text(self, text: str) -> str:
        """Convert running text: labels, numbered equations, roles, links, attributes, coloured symbols."""
        text = "\n".join(line for line in text.split("\n") if not LABEL.match(line))
        text = DISPLAY.sub(lambda found: self.equation(found["body"], found["label"]), text)
        text = uncolour(text)
        text = ROLE.sub(lambda found: self.role(found["name"], found["content"]), text)
        return self._outside_code(text, lambda part: _plain_attributes(LINK.sub(self._link, part)))

    @staticmethod
    def _outside_code(text: str, change: Callable[[str], str]) -> str:
        out, at = [], 0
        for found in CODE_SPAN.finditer(text):
            out += [change(text[at : found.start()]), found.group()]
            at = found.end()
        return "".join([*out, change(text[at:])])

    def equation(self, body: str, label: str | None) -> str:
        """Return a display equation, with the number it has in the book."""
        tag = rf" \tag{{{self.place(label).text.strip('()')}}}" if label else ""
        return f"$$\n{uncolour(body).strip()}{tag}\n$$"

    def place(self, label: str) -> Place:
        """Return where a label stands."""
        if label not in self.book.places:
            raise ValueError(f"{self.page}: no label {label!r} in the book")
        return self.book.places[label]

    def reference(self, label: str, text: str = "") -> str:
        """Return the text of a reference, as a link when it leads to another page."""
        place = self.place(label)
        shown = text.replace("%s", place.text.rsplit(" ", 1)[-1]) if text else place.text
        return shown if place.page == self.page else f"[{shown}]({self.book.url(place.page, place.anchor)})"

    def page_link(self, target: str, text: str = "") -> str:
        """Return a link to another page of the published book."""
        page, _, anchor = target.partition("#")
        page = page.removesuffix(".md").removesuffix(".ipynb")
        name = page.lstrip("/") if page.startswith("/") else posixpath.join(posixpath.dirname(self.page), page)
        name = posixpath.normpath(name)
        if name not in self.book.titles:
            raise ValueError(f"{self.page}: no page {target!r} in the book")
        return f"[{text or self.book.titles[name]}]({self.book.url(name, anchor)})"

    def role(self, name: str, content: str) -> str:
        """Return what a role shows."""
        titled = TITLED.match(content)
        text, target = (titled["text"], titled["target"]) if titled else ("", content)
        if name.startswith("cite"):
            return self.citation(name, content)
        if name in ("eq", "ref", "numref", "prf:ref"):
            return self.reference(target, text)
        if name == "doc":
            return self.page_link(target, text)
        if name == "math":
            return f"${content}$"
        if name in ("term", "abbr"):
            return text or target
        if name in ("code", "kbd", "file", "guilabel"):
            return f"`{content}`"
        if name.startswith("py:"):
            return f"`{text or (target.lstrip('~').split('.')[-1] if target.startswith('~') else target)}`"
        raise ValueError(f"{self.page}: the role {name!r} has no plain form; see book/tools/portable.py")

    def citation(self, name: str, keys: str) -> str:
        """Return one or more works as author-year links: in parentheses, or as part of the sentence (`cite:t`)."""
        links = []
        textual = name in ("cite:t", "cite:ts", "cite:ct")
        for key in (key.strip() for key in keys.split(",")):
            if key not in self.book.literature:
                raise ValueError(f"{self.page}: no work {key!r} in the bibliography")
            authors, year, address = self.book.literature[key]
            shown = f"{authors} ({year})" if textual else f"{authors}, {year}"
            links.append(f"[{shown}]({address or self.book.url('book/references')})")
        return " and ".join(links) if textual else f"({'; '.join(links)})"

    def _link(self, found: re.Match[str]) -> str:
        text, target = found["text"], found["target"]
        if re.match(r"[a-z]+:", target):
            return found.group()
        if target.startswith("#"):
            label = target.removeprefix("#")
            return self.reference(label, text) if label in self.book.places else text
        if re.search(r"\.(md|ipynb)(#|$)", target):
            return self.page_link(target, text)
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self.page), target)).lstrip("/")
        return f"[{text}]({self.book.repository}/blob/main/{quote(path)})"

    def block(self, block: Block) -> str:
        """Return the plain form of a directive."""
        kind = block.name.removeprefix("prf:")
        body = "" if block.name == "math" else self.markdown(block.body)
        label = block.options.get("label") or block.options.get("name")
        title = f" ({self.text(block.argument)})" if block.argument else ""
        if block.name == "math":
            return "\n" + self.equation(f"{block.argument}\n{block.body}", label) + "\n"
        if block.name == "prf:proof":
            return f"\n*Proof.* {body} ∎\n"
        if block.name.startswith("prf:") and kind in STATEMENTS:
            shown = self.place(label).text if label else kind.capitalize()
            return f"\n**{shown}{title}.**\n\n{body}\n"
        if block.name in ("exercise", "exercise-start"):
            shown = self.place(label).text if label else "Exercise"
            return f"\n**{shown}{title}.**\n\n{body}\n"
        if block.name == "solution":
            self.heading = f"Solution to {_exercise(self.book, block.argument)}"
            self.solutions.append(f"<details>\n<summary>{self.heading}</summary>\n\n{body}\n\n</details>")
            return ""
        if block.name == "exercise-end":
            return ""
        if block.name == "dropdown":
            return f"\n<details>\n<summary>{block.argument}</summary>\n\n{body}\n\n</details>\n"
        if block.name in ASIDES:
            heading = self.text(block.argument) if block.name == "admonition" else block.name.capitalize()
            quoted = "\n".join(f"> {line}".rstrip() for line in body.split("\n"))
            return f"\n> **{heading}**\n>\n{quoted}\n"
        if block.name in ("figure", "image"):
            return self.picture(block, body)
        raise ValueError(f"{self.page}: the directive {block.name!r} has no plain form; see book/tools/portable.py")

    def picture(self, block: Block, body: str) -> str:
        """Return a picture by its address in the repository, its caption below."""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self.page), block.argument)).lstrip("/")
        if block.argument.startswith("/"):
            path = block.argument.lstrip("/")
        caption = f"\n\n*{body}*" if body else ""
        return f"\n![{block.options.get('alt', '')}]({self.book.repository}/raw/main/{quote(path)}){caption}\n"


def uncolour(text: str) -> str:
    r"""Return the text with `\class{…}{symbol}`, which colours a symbol in the book, reduced to the symbol."""
    while (start := text.find(r"\class{")) >= 0:
        name_end = _brace_end(text, start + len(r"\class"))
        body_end = _brace_end(text, name_end + 1)
        text = f"{text[:start]}{{{text[name_end + 2 : body_end]}}}{text[body_end + 1 :]}"
    return text


def _brace_end(text: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
    raise ValueError(f"a brace is never closed: {text[opening : opening + 40]!r}")


def _plain_attributes(text: str) -> str:
    text = re.sub(r"\[([^\[\]]+)\]\{[.#][^{}]*\}", r"\1", text)
    return re.sub(r"(?<=\))\{[.#][^{}]*\}", "", text)


def convert(notebook: dict[str, Any], book: Book, page: str, *, solutions: bool = True) -> dict[str, Any]:
    """Return the plain copy of a notebook: same code, no outputs, Markdown without directives and roles, solutions at the end.

    A solution is what a `{solution}` holds, and every cell that is tagged `solution` or ends in `.require()`.

    Args:
        notebook: the parsed notebook.
        book: the whole book, from `read_book`.
        page: its page name, such as `notebooks/01_partial_output_norm`.
        solutions: False leaves them out: a hand-out.

    Returns:
        The copy; its metadata hold a digest of its sources, by which `keep_changes` tells whether a reader has changed it.

    Raises:
        ValueError: something in it has no plain form.

    """
    converter = Converter(book, page)
    cells: list[dict[str, Any]] = []
    folded: list[dict[str, Any]] = []
    for cell in notebook["cells"]:
        text, tags = _source(cell), set(cell["metadata"].get("tags", []))
        solves = "solution" in tags
        if cell["cell_type"] == "code":
            solves = solves or REQUIRED.search(text) is not None
            if solves:  # JupyterLab shows the first line of a folded cell, Colab a title
                text = f"# @title {converter.heading}\n{text}"
            own = {"execution_count": None, "outputs": [], "source": text, "metadata": _hidden(tags, solves=solves)}
            (folded if solves else cells).append({"cell_type": "code", "id": cell["id"], **own})
            continue
        plain = converter.markdown(text) if cell["cell_type"] == "markdown" else text
        if plain:
            own = {"cell_type": cell["cell_type"], "id": cell["id"], "metadata": {}, "source": plain}
            (folded if solves else cells).append(own)
        for at, solution in enumerate(converter.solutions):
            folded.append(_markdown(f"{cell['id']}-{at}" if plain or at else cell["id"], solution))
        converter.solutions.clear()
    said = ""
    if folded:
        said = "Solutions are folded at the end. " if solutions else "Made for a class: without solutions. "
    intro = (
        f"*Plain copy of [{book.titles[page]}]({book.url(page)}), a chapter of “Logits Under Control”. "
        f"Read it there with live figures; run and change it here. {said}"
        f"Text CC BY 4.0, code MIT, [The Logits Under Control authors]({book.repository}).*"
    )
    cells.insert(0, _markdown("plain-copy", intro))
    if solutions and folded:
        heading = _markdown("solutions", "## Solutions\n\nTry first; each unfolds with a click, its code under it.")
        heading["metadata"] = {"jp-MarkdownHeadingCollapsed": True}  # JupyterLab folds the whole section
        cells += [heading, *folded]
    metadata = {
        key: notebook["metadata"][key] for key in ("kernelspec", "language_info") if key in notebook["metadata"]
    }
    made = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    metadata["plain_copy"] = _digest(made)
    return made


def _markdown(name: str, source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}


def _hidden(tags: set[str], *, solves: bool) -> dict[str, Any]:
    """Return the metadata of a code cell: hidden as JupyterLab knows it, a solution also as Colab does."""
    if solves:
        return {"jupyter": {"source_hidden": True}, "cellView": "form"}
    return {"jupyter": {"source_hidden": True}} if {"hide-input", "remove-input", "hide-cell"} & tags else {}


def _digest(notebook: dict[str, Any]) -> str:
    """Return a digest of what a reader may change: kinds and sources of the cells, not their outputs."""
    held = [[cell["cell_type"], _source(cell)] for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(held).encode()).hexdigest()[:16]


def leftovers(markdown: str) -> list[str]:
    """Return the directives, roles and labels that stand in Markdown outside code."""
    found = []
    for piece in pieces(markdown):
        if isinstance(piece, Block):
            found.append(piece.name)
        elif isinstance(piece, str):
            found += LEFTOVER.findall(piece)
    return found


@cache
def _book() -> Book:
    return read_book()


def copies(*, solutions: bool = True) -> dict[str, dict[str, Any]]:
    """Return the plain copy of every notebook of the contents by its file's name."""
    book, made = _book(), {}
    for page in book.titles:
        source = ROOT / f"{page}.ipynb"
        if source.is_file():
            made[source.name] = convert(json.loads(source.read_text(encoding="utf-8")), book, page, solutions=solutions)
    return made


def _write(target: Path, notebook: dict[str, Any]) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


def write_all(folder: Path, *, solutions: bool = True) -> list[Path]:
    """Write the plain copy of every notebook of the contents into a folder and return the files."""
    return [_write(folder / name, notebook) for name, notebook in copies(solutions=solutions).items()]


def keep_changes(target: Path, notebook: dict[str, Any]) -> Path:
    """Write a copy where none is, or an older one that nobody has changed; else leave the file and write beside it.

    Args:
        target: where the copy belongs, `lab/01_partial_output_norm.ipynb`.
        notebook: the copy, from `convert`.

    Returns:
        The file that holds the copy: `target`; or, where a reader has changed an older one, `…-2.ipynb`, `…-3.ipynb`. A
        changed copy of just this notebook is the reader's work on it, and nothing is written.

    """
    later = (target.with_name(f"{target.stem}-{number}{target.suffix}") for number in itertools.count(2))
    new = notebook["metadata"]["plain_copy"]
    found = ((path, *_made_and_held(path)) for path in itertools.chain([target], later))
    path, made, _ = next(each for each in found if each[1] in (new, each[2]))
    return path if made == new else _write(path, notebook)


def _made_and_held(path: Path) -> tuple[str | None, str | None]:
    """Return the digest that a copy was written with and that of what it holds now; alike where there is no file."""
    if not path.is_file():
        return None, None
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        return there["metadata"].get("plain_copy"), _digest(there)
    except (ValueError, KeyError, TypeError):  # no notebook: the reader's own
        return None, ""


def write_lab(folder: Path = LAB) -> list[str]:
    """Bring a reader's copies up to date and return what there is to say: which file has the new text beside a changed one."""
    said = []
    for name, notebook in copies().items():
        path = keep_changes(folder / name, notebook)
        if path.name != name:
            said.append(f"You have changed {folder.name}/{name}: it stays. The book's present text is in {path.name}.")
    return said


def main() -> int:
    """Write the copies and say where they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=TARGET, help="folder to write to (default: _build/colab)")
    parser.add_argument("--lab", action="store_true", help="write a reader's copies to lab instead")
    arguments = parser.parse_args()
    if arguments.lab:
        print("\n".join([*write_lab(), f"The notebooks to work in are in {LAB}"]))
        return 0
    written = write_all(arguments.to / "notebooks")
    write_all(arguments.to / "handout", solutions=False)
    readme = (
        "# Notebooks of “Logits Under Control” in plain Markdown\n\n"
        f"Made by `make notebooks` from [the book's repository]({_book().repository}). "
        "`notebooks` has the solutions folded at the end, `handout` has none.\n"
    )
    (arguments.to / "README.md").write_text(readme, encoding="utf-8")
    print(f"{len(written)} notebooks in plain Markdown are in {arguments.to}, without solutions in its folder handout")
    return 0


if __name__ == "__main__":
    sys.exit(main())
