"""The contents: notebooks in the order of their numbers, as planned, and built under these numbers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from book.tools import build, portable
from companion import papers

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TABLE = [
    name for row in re.findall(r"^\|.*$", GUIDE, flags=re.MULTILINE) for name in re.findall(r"`(\d\d_[a-z_]+)`", row)
]
PLAN = sorted({*TABLE, *(papers.load(stem).chapter.notebook for stem in papers.names())})  # a paper's file is its plan


def contents() -> dict:
    return yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))


def listed() -> list[str]:
    return [page for page, _ in portable.pages(contents()) if page.startswith("notebooks/")]


def chapters() -> list[str]:
    return [page for page in listed() if not page.endswith("_audit")]


def test_notebooks_stand_in_the_order_of_their_numbers() -> None:
    assert listed() == sorted(f"notebooks/{path.stem}" for path in build.notebooks())
    numbers = [portable.chapter_number(page) for page in chapters()]
    assert len(set(numbers)) == len(numbers), "two chapters of one number"


def test_notebooks_stand_in_a_numbered_part() -> None:
    numbered = [page for page, numbered in portable.pages(contents()) if numbered]
    assert [page for page in numbered if page.startswith("notebooks/")] == listed()
    proofs = [f"book/proofs/{papers.load(page[13:]).stem}" for page in chapters() if page[13:] in papers.names()]
    assert [page for page in numbered if not page.startswith("notebooks/")] == proofs, "proofs in the order of chapters"


def test_an_audit_stands_below_its_chapter() -> None:
    entries = [entry for part in contents()["parts"] for entry in part["chapters"]]
    below = {entry["file"]: [section["file"] for section in entry.get("sections", ())] for entry in entries}
    audits = [page for page in listed() if page.endswith("_audit")]
    assert audits
    assert all(page in below[page.removesuffix("_audit")] for page in audits)


def test_names_and_numbers_are_those_of_the_plan() -> None:
    assert sorted(TABLE) == TABLE
    assert len({name[:2] for name in PLAN}) == len(PLAN) >= 6
    assert {path.stem.removesuffix("_audit") for path in build.notebooks()} <= set(PLAN), (
        "CONTRIBUTING has the plan: 'Add a chapter'"
    )


METHODS = [name for name in PLAN if (ROOT / "companion" / "methods" / f"{name[3:]}.py").is_file()]


def test_every_paper_with_a_chapter_is_a_method_of_the_plan() -> None:
    assert {papers.load(stem).chapter.notebook for stem in papers.names()} <= set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_names_the_planned_chapter(name: str) -> None:
    source = (ROOT / "companion" / "methods" / f"{name[3:]}.py").read_text(encoding="utf-8")
    assert f"Taught in chapter {name[:2]}" in source
    assert set(re.findall(r"Taught in:? chapter (\d\d)", source)) == {name[:2]}


CONFIG = """
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_multitoc_numbering", "companion_book"]
myst_enable_extensions = ["dollarmath"]
html_theme = "basic"
numfig = True
root_doc = "index"
"""
CHAPTER = """# {title}

## A part

```{{math}}
:label: {label}
x
```

See {{eq}}`{label}`.
"""


@pytest.fixture(scope="module")
def small_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a book of chapters with gaps in their numbers and a page of proofs; the last bears no number in its name."""
    folder = tmp_path_factory.mktemp("book")
    names = ("notebooks/00_first", "notebooks/06_second", "book/proofs/powergrad_transform", "other")
    (folder / "notebooks").mkdir()
    (folder / "book" / "proofs").mkdir(parents=True)
    for name in names:
        chapter = CHAPTER.format(title=name[-6:].title(), label=f"eq-{name[-5:]}")
        (folder / f"{name}.md").write_text(chapter, encoding="utf-8")
    (folder / "conf.py").write_text(CONFIG, encoding="utf-8")
    lines = "\n".join(names)
    strip = '<div data-methods="strip" data-chapters="notebooks/"></div>'
    (folder / "index.md").write_text(
        f"# Book\n\n{strip}\n\n```{{toctree}}\n:numbered:\n{lines}\n```\n", encoding="utf-8"
    )
    shutil.copy(ROOT / "book" / "_ext" / "companion_book.py", folder)
    command = [sys.executable, "-m", "sphinx", "-q", "-E", str(folder), str(folder / "html")]
    made = subprocess.run(
        command, cwd=ROOT, env=build.environment(PYTHONPATH=str(folder)), capture_output=True, check=False
    )
    assert made.returncode == 0, made.stderr.decode()
    return folder / "html"


def page_of(folder: Path, name: str) -> BeautifulSoup:
    return BeautifulSoup((folder / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


@pytest.mark.parametrize(
    ("name", "number"),
    [("notebooks/00_first", 0), ("notebooks/06_second", 6), ("book/proofs/powergrad_transform", "C"), ("other", 4)],
)
def test_a_built_chapter_bears_the_number_of_its_file(small_book: Path, name: str, number: int) -> None:
    page = page_of(small_book, name)
    numbers = [heading.select_one(".section-number").text.strip() for heading in page.select("h1, h2")]
    assert numbers == [f"{number}.", f"{number}.1."]
    links = [
        link for link in page_of(small_book, "index").select(".body li a") if link["href"].startswith(f"{name}.html")
    ]
    assert links[0].text.startswith(f"{number}. ")
    assert f"({number}.1)" in page.select_one(".eqno").text
    if name.startswith("book/"):
        assert portable.letter_of_proofs(name) == number
    elif "_" in name:
        assert portable.chapter_number(name) == number, "the plain copies number as the book does"


def test_a_built_page_has_its_strip(small_book: Path) -> None:
    assert page_of(small_book, "index").select("nav.luc-strip li .luc-dot")
