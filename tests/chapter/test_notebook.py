"""Chapter 01 keeps the template's order and habits."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

NOTEBOOK = json.loads((Path(__file__).parents[2] / "notebooks" / "01_partial_output_norm.ipynb").read_text("utf-8"))
CELLS = [(cell["cell_type"], "".join(cell["source"]), cell) for cell in NOTEBOOK["cells"]]
CODE = [(source, cell) for kind, source, cell in CELLS if kind == "code"]
TEXT = "\n".join(source for kind, source, _ in CELLS if kind == "markdown")

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


def test_sections_in_the_templates_order() -> None:
    assert tuple(re.findall(r"^## (.+)$", TEXT, flags=re.MULTILINE)) == ORDER
    assert len(re.findall(r"^# ", TEXT, flags=re.MULTILINE)) == 1


def test_the_first_cell_never_installs_torch() -> None:
    first = CODE[0][0]
    assert "--no-deps" in first
    assert "setup(" in first
    assert not re.search(r"install.*torch", first)


@pytest.mark.parametrize(("source", "cell"), CODE, ids=[cell["id"] for _, cell in CODE])
def test_cells_are_short_stripped_and_have_ids(source: str, cell: dict) -> None:
    shown = [line for line in source.splitlines() if line.strip()]
    assert len(shown) <= 15
    assert cell["outputs"] == []
    assert cell["execution_count"] is None
    assert re.fullmatch(r"[a-z0-9-]+", cell["id"])


def test_every_exercise_has_a_check_and_a_solution_that_must_pass() -> None:
    exercises = re.findall(r"```\{exercise\}.*?\n:label: (\S+)", TEXT)
    solutions = re.findall(r"```\{solution\} (\S+)\n:class: dropdown", TEXT)
    assert exercises == solutions
    assert len(exercises) == 7
    folded = [source for source, cell in CODE if "Show the solution" in str(cell["metadata"])]
    assert len(folded) == len(exercises)
    assert all(source.rstrip().endswith(".require()") for source in folded)
    asked = [source for source, _ in CODE if "..." in source and ".check_" in source]
    assert len(asked) == len(exercises)


def test_three_levels() -> None:
    levels = re.findall(r"^### (Warm up|Work|Think)$", TEXT, flags=re.MULTILINE)
    assert levels == ["Warm up", "Work", "Think"]


def test_the_reader_predicts_before_running() -> None:
    assert len(re.findall(r"\*\*Predict|Write down your guesses|Guess how", TEXT)) >= 5


def test_first_screens_cite_the_closest_relatives() -> None:
    before = TEXT[TEXT.index("## Relatives, and what is known") : TEXT.index("## The claims")]
    for key in ("wei2023logitclip", "wei2022logitnorm", "wang2017normface", "soudry2018implicit", "guo2017calibration"):
        assert key in before
