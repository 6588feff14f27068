"""The exercises of a notebook are those of its paper's file, in the same order, by the same titles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from book.tools import portable
from companion import papers

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("stem", [stem for stem in papers.names() if papers.load(stem).chapter.written])
def test_titles_and_order(stem: str) -> None:
    paper = papers.load(stem)
    text = portable.page_markdown(ROOT, f"notebooks/{paper.chapter.notebook}")
    assert re.findall(r"^```\{exercise\} (.+)$", text, flags=re.MULTILINE) == [each.title for each in paper.exercises]


@pytest.mark.parametrize("stem", [stem for stem in papers.names() if papers.load(stem).chapter.written])
def test_level_minutes_and_points(stem: str) -> None:
    paper = papers.load(stem)
    text = portable.page_markdown(ROOT, f"notebooks/{paper.chapter.notebook}")
    said = re.findall(r"^\*(\w[\w ]*), (\d+ minutes|an evening), (\d+) points?\.\*", text, flags=re.MULTILINE)
    time = ["an evening" if each.level == "investigation" else f"{each.minutes} minutes" for each in paper.exercises]
    assert said == [
        (each.level.capitalize(), when, str(each.points)) for each, when in zip(paper.exercises, time, strict=True)
    ]
