"""Every notebook keeps the template's habits, a paper's chapter its order of sections; what only one chapter has to keep.

Run one notebook's tests by its number: ``pytest tests/notebooks -k 02_``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from companion import papers

FOLDER = Path(__file__).parents[2] / "notebooks"
STEMS = sorted(path.stem for path in FOLDER.glob("[0-9][0-9]_*.ipynb"))
CHAPTERS = {paper.chapter.notebook: paper for stem in papers.names() if (paper := papers.load(stem)).chapter.written}

ORDER = (
    "The idea in one figure",
    "Relatives, and what is known",
    "The claims",
    "The derivation, step by step",
    "Reading notes",
    "From formula to code",
    "Predict, then run",
    "What the recorded runs show",
    "The paper's tables beside ours",
    "What else could explain the gain",
    "Where it breaks",
    "Exercises",
    "Quiz",
    "Take-away",
    "Further reading",
)
LEVELS = ("Warm up", "Work", "Think")


def cells(stem: str) -> list[dict[str, Any]]:
    return json.loads((FOLDER / f"{stem}.ipynb").read_text("utf-8"))["cells"]


def code(stem: str) -> list[tuple[str, dict[str, Any]]]:
    return [("".join(cell["source"]), cell) for cell in cells(stem) if cell["cell_type"] == "code"]


def text(stem: str) -> str:
    return "\n".join("".join(cell["source"]) for cell in cells(stem) if cell["cell_type"] == "markdown")


def test_there_are_notebooks_and_every_paper_has_its_own() -> None:
    assert "01_partial_output_norm" in STEMS
    assert set(CHAPTERS) <= set(STEMS)
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(STEMS), "a notebook's name begins with its number"


@pytest.mark.parametrize("stem", CHAPTERS)
def test_sections_in_the_templates_order(stem: str) -> None:
    assert tuple(re.findall(r"^## (.+)$", text(stem), flags=re.MULTILINE)) == ORDER


@pytest.mark.parametrize("stem", STEMS)
def test_one_title(stem: str) -> None:
    assert len(re.findall(r"^# ", text(stem), flags=re.MULTILINE)) == 1


@pytest.mark.parametrize("stem", STEMS)
def test_the_first_cell_never_installs_torch(stem: str) -> None:
    first = code(stem)[0][0]
    assert "--no-deps" in first
    assert "setup(" in first
    assert not re.search(r"install.*torch", first)


@pytest.mark.parametrize("stem", STEMS)
def test_the_strip_names_the_chapters_own_method(stem: str) -> None:
    """Without its own name a chapter's strip would link to the page that shows it."""
    (strip,) = [source for source, _ in code(stem) if "you_are_here(" in source]
    named = re.findall(r'chapter="([^"]+)"', strip)
    assert named == [CHAPTERS[stem].stem] if stem in CHAPTERS else []


CODE = [(stem, source, cell) for stem in STEMS for source, cell in code(stem)]


@pytest.mark.parametrize(("stem", "source", "cell"), CODE, ids=[f"{stem}-{cell['id']}" for stem, _, cell in CODE])
def test_cells_are_short_stripped_and_have_ids(stem: str, source: str, cell: dict[str, Any]) -> None:
    shown = [line for line in source.splitlines() if line.strip()]
    assert len(shown) <= 15
    assert cell["outputs"] == []
    assert cell["execution_count"] is None
    assert re.fullmatch(r"[a-z0-9-]+", cell["id"])


@pytest.mark.parametrize("stem", STEMS)
def test_every_exercise_has_a_check_and_a_solution_that_must_pass(stem: str) -> None:
    exercises = re.findall(r"```\{exercise\}.*?\n:label: (\S+)", text(stem))
    solutions = re.findall(r"```\{solution\} (\S+)\n:class: dropdown", text(stem))
    assert exercises == solutions
    assert exercises, "no exercise"
    asked_for = CHAPTERS[stem].chapter.exercises if stem in CHAPTERS else None
    assert len(exercises) == (asked_for or len(exercises))
    folded = [source for source, cell in code(stem) if "Show the solution" in str(cell["metadata"])]
    assert len(folded) == len(exercises)
    assert all(source.rstrip().endswith(".require()") for source in folded)
    asked = [source for source, _ in code(stem) if "..." in source and re.search(r"\.check_|\bcheck_", source)]
    assert len(asked) == len(exercises)


@pytest.mark.parametrize("stem", STEMS)
def test_three_levels(stem: str) -> None:
    levels = re.findall(rf"^### ({'|'.join(LEVELS)})$", text(stem), flags=re.MULTILINE)
    assert tuple(levels) == LEVELS


@pytest.mark.parametrize("stem", CHAPTERS)
def test_the_reader_predicts_before_running(stem: str) -> None:
    prompts = len(re.findall(r"\*\*Predict|\*\*Guess|Write down your guesses|Guess how", text(stem)))
    assert prompts >= 5, f"{prompts} prompts: ask five times or more, '**Predict** …', before a cell shows the answer"


@pytest.mark.parametrize("stem", CHAPTERS)
def test_relatives_are_cited_before_the_claims(stem: str) -> None:
    before = text(stem).partition("## Relatives, and what is known")[2].partition("## The claims")[0]
    assert re.search(r"\{cite:[tp]\}", before)
    assert [key for key in CHAPTERS[stem].relatives if key not in before] == []
