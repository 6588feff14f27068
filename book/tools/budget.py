"""Count what a chapter asks of its reader: words, formulas, code, tables, pictures; and the minutes that follow from them.

The counts are taken from the executed notebook, so that sentences and pictures that cells make are counted as well. The exercises, the quiz and
the further reading are apart, and so is everything that is folded away.

    python -m book.tools.budget            the counts of every chapter of the last build
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup

from companion import papers

ROOT = Path(__file__).resolve().parents[2]
EXECUTED = ROOT / "_build" / "work" / "notebooks"

LIMITS = {"words": 3200, "formulas": 12, "code": 140, "tables": 3, "gap": 250}
LEAST = {"pictures": 10, "live": 3}

APART = ("Exercises", "Quiz", "Further reading")
HIDDEN_INPUT = {"hide-input", "remove-input", "hide-cell", "remove-cell"}
HIDDEN_OUTPUT = {"hide-output", "remove-output", "hide-cell", "remove-cell", "solution"}
_BLOCK = re.compile(r"^(`{3,}|:{3,})\{(exercise|solution)[^\n]*\n.*?^\1\s*$", flags=re.MULTILINE | re.DOTALL)
_DISPLAY = re.compile(r"\$\$.+?\$\$[ \t]*(\([\w:.-]+\))?", flags=re.DOTALL)
_MARKUP = re.compile(r"^(`{3,}|:{3,}).*$|^:[\w-]+:.*$|^\([\w-]+\)=$|^#+ ", flags=re.MULTILINE)
_WORD = re.compile(r"[^\W_]")


@dataclass
class Counts:
    """What a chapter holds.

    Attributes:
        words: of prose, captions and predictions included.
        formulas: displayed ones.
        code: visible lines.
        tables: outside of exercises.
        pictures: all figures, live ones included.
        live: figures that answer to the reader.
        gaps: words before the first picture, between pictures, and after the last.
    """

    words: int = 0
    formulas: int = 0
    code: int = 0
    tables: int = 0
    pictures: int = 0
    live: int = 0
    gaps: list[int] = field(default_factory=lambda: [0])

    @property
    def minutes(self) -> float:
        """Reading time: 180 words a minute, 40 s a formula, 6 s a line of code, 60 s a live figure, 30 s another picture."""
        seconds = (
            self.words / 3 + 40 * self.formulas + 6 * self.code + 60 * self.live + 30 * (self.pictures - self.live)
        )
        return seconds / 60

    def over(self) -> list[str]:
        """Return what goes beyond the budget of a chapter, in words; nothing where all is kept."""
        found = {**vars(self), "gap": max(self.gaps)}
        said = [f"{found[name]} {name}, at most {most}" for name, most in LIMITS.items() if found[name] > most]
        return said + [
            f"{found[name]} {name}, at least {least}" for name, least in LEAST.items() if found[name] < least
        ]

    def read(self, words: int) -> None:
        """Add words of prose."""
        self.words += words
        self.gaps[-1] += words

    def see(self, pictures: int, live: int) -> None:
        """Add pictures, after which the reader has rested."""
        self.pictures += pictures + live
        self.live += live
        if pictures + live:
            self.gaps.append(0)


def words_of(text: str) -> int:
    r"""Return the number of words of a piece of Markdown or text; a formula in the line counts as one.

    Example:
        >>> words_of("The **loss** $L = -\log p_y$ falls.")
        4
    """
    text = re.sub(r"\$[^$]+\$", " x ", text)
    return sum(bool(_WORD.search(word)) for word in text.split())


def count(notebook: dict[str, Any]) -> Counts:
    """Count a parsed, executed notebook.

    Args:
        notebook: the file.
    """
    counts, apart = Counts(), False
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        tags = set(cell["metadata"].get("tags", []))
        if cell["cell_type"] == "markdown":
            for part in re.split(r"(?m)^(?=## )", source):
                if title := re.match(r"## (.+)", part):
                    apart = title[1].strip() in APART
                if not apart:
                    _count_markdown(counts, part)
        elif not apart and "check_" not in source:
            if not tags & HIDDEN_INPUT:
                counts.code += sum(bool(line.strip()) for line in source.splitlines())
            if not tags & HIDDEN_OUTPUT:
                for output in cell.get("outputs", []):
                    _count_output(counts, output.get("data", {}))
    return counts


def _count_markdown(counts: Counts, text: str) -> None:
    text = _BLOCK.sub("", text)
    counts.formulas += len(_DISPLAY.findall(text))
    counts.read(words_of(_MARKUP.sub("", _DISPLAY.sub(" ", text))))


def _count_output(counts: Counts, data: dict[str, Any]) -> None:
    html = "".join(data.get("text/html", ""))
    if html:
        page = BeautifulSoup(html, "html.parser")
        pictures, live = len(page.select("figure.luc-figure")), len(page.select("[data-widget]"))
        counts.tables += len(page.select(".luc-table"))
        for part in page.select(
            "style, script, svg, table, [data-widget], .luc-strip, .luc-source, .luc-glance > :not(summary), [hidden]"
        ):
            part.decompose()
        counts.read(words_of(page.get_text(" ")))
        counts.see(pictures, live)
    elif "text/markdown" in data:
        counts.read(words_of("".join(data["text/markdown"])))
    elif "text/latex" in data:
        counts.formulas += 1


MARK = re.compile(r"(<dd data-counted=\"reading\">)[^<]*(</dd>)")


def with_minutes(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return an executed notebook with the counted minutes at the place that `companion.page.at_a_glance` leaves for them.

    Args:
        notebook: the parsed file; it is changed in place.
    """
    said = rf"\g<1>{count(notebook).minutes:.0f} minutes\g<2>"
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                html = output["data"]["text/html"]
                whole = MARK.sub(said, "".join(html))
                output["data"]["text/html"] = whole.splitlines(keepends=True) if isinstance(html, list) else whole
    return notebook


def chapters() -> list[str]:
    """Return the file names of the chapters that have a budget: those of the papers that are written."""
    return [paper.chapter.notebook for stem in papers.names() if (paper := papers.load(stem)).chapter.written]


def main() -> int:
    """Print the counts of every chapter; 1 if one goes beyond its budget."""
    code = 0
    for name in chapters():
        counts = count(json.loads((EXECUTED / f"{name}.ipynb").read_text(encoding="utf-8")))
        print(f"{name}: {counts}, {counts.minutes:.0f} minutes")
        for sentence in counts.over():
            code = 1
            print(f"    over the budget: {sentence}")
    return code


if __name__ == "__main__":
    sys.exit(main())
