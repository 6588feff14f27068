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

ORDER = (  # what every chapter of a paper has; its derivation stands between the first two under names of its own
    "Build it",
    "Commit, run, see",
    "Train it",
    "What holds",
    "Where it breaks",
    "Take-away",
    "Exercises",
    "Quiz",
    "Further reading",
)


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
    audits = {stem.removesuffix("_audit") for stem in STEMS if stem.endswith("_audit")}
    assert audits == set(CHAPTERS), "every paper's chapter has its audit, 'NN_stem_audit', and no other has one"


@pytest.mark.parametrize("stem", CHAPTERS)
def test_an_audit_has_what_is_material_first_and_the_ledger_last(stem: str) -> None:
    audit = f"{stem}_audit"
    assert (
        re.search(r"^# (.+): the paper, line by line$", text(audit), flags=re.MULTILINE)[1]
        == CHAPTERS[stem].chapter.title
    )
    sections = re.findall(r"^## (.+)$", text(audit), flags=re.MULTILINE)
    assert (sections[0], sections[-1]) == ("What is material", "The ledger")
    assert f"<{stem}>" in text(audit), "it links to its chapter"
    tables = [source for source, _ in code(audit) if "claims_table(" in source]
    assert ["material=True" in source for source in tables] == [True, False]


@pytest.mark.parametrize("stem", CHAPTERS)
def test_proofs_have_one_statement_a_section_and_each_is_proved(stem: str) -> None:
    proofs = (FOLDER.parent / "book" / "proofs" / f"{CHAPTERS[stem].stem}.md").read_text(encoding="utf-8")
    sections = proofs.split("\n## ")[1:]
    assert len(sections) >= 1
    for section in sections:
        marks = re.findall(r"^```\{prf:(\w+)\}", section, flags=re.MULTILINE)
        assert marks == ["proposition", "proof"], f"so section and statement have one number: {section.splitlines()[0]}"


@pytest.mark.parametrize("stem", CHAPTERS)
def test_sections_in_the_templates_order(stem: str) -> None:
    sections = tuple(re.findall(r"^## (.+)$", text(stem), flags=re.MULTILINE))
    assert sections[-len(ORDER) :] == ORDER
    assert 2 <= len(sections) - len(ORDER) <= 4, "the idea and the method"


@pytest.mark.parametrize("stem", CHAPTERS)
def test_the_first_screen_is_question_figure_answer(stem: str) -> None:
    title, setup, figure = cells(stem)[:3]
    assert len("".join(title["source"]).split()) <= 60, "the question, in two sentences"
    assert "?" in "".join(title["source"])
    assert setup["metadata"]["tags"] == ["remove-cell"], "what installs the library is not what a reader sees first"
    assert figure["metadata"]["tags"] == ["remove-input"]
    assert "companion.widgets" in "".join(figure["source"])


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
    assert named == ([CHAPTERS[stem].stem] if stem in CHAPTERS else [])


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
    if stem in CHAPTERS:
        assert len(exercises) == CHAPTERS[stem].chapter.exercises
        assert 5 <= len(exercises) <= 7
    tagged = [cell for cell in cells(stem) if "solution" in cell["metadata"].get("tags", [])]
    folded = ["".join(cell["source"]) for cell in tagged if cell["cell_type"] == "code"]
    assert len(folded) == len(exercises)
    assert len(tagged) == 2 * len(exercises), "the words of a solution and its code bear the tag `solution`"
    assert all(source.rstrip().endswith(".require()") for source in folded)
    asked = [source for source, _ in code(stem) if "..." in source and re.search(r"\.check_|\bcheck_", source)]
    assert len(asked) == len(exercises)


@pytest.mark.parametrize("stem", CHAPTERS)
def test_the_reader_writes_the_method_before_it_is_shown(stem: str) -> None:
    build = text(stem).partition("## Build it")[2].partition("\n## ")[0]
    assert "```{exercise}" in build
    order = [source for source, _ in code(stem)]
    asked = next(k for k, source in enumerate(order) if "def my_" in source and "check_" in source and "..." in source)
    assert asked < next(k for k, source in enumerate(order) if "source_beside(" in source)


@pytest.mark.parametrize("stem", CHAPTERS)
def test_the_reader_commits_before_the_result_opens(stem: str) -> None:
    asked = [source for source, _ in code(stem) if re.search(r"\b(predict|draw)_\w+\(", source)]
    assert 3 <= len(asked) <= 5


@pytest.mark.parametrize("stem", CHAPTERS)
def test_relatives_are_credited(stem: str) -> None:
    assert [key for key in CHAPTERS[stem].relatives if key not in text(stem)] == []


@pytest.mark.parametrize("stem", CHAPTERS)
def test_one_cell_trains_the_papers_own_kind_of_network(stem: str) -> None:
    assert sum("run_here(" in source for source, _ in code(stem)) == 1


@pytest.mark.parametrize("stem", CHAPTERS)
def test_a_visible_loop_uses_the_device_that_is_there(stem: str) -> None:
    loops = [source for source, cell in code(stem) if ".backward()" in source and not cell["metadata"].get("tags")]
    assert loops
    assert any("companion.device()" in source for source, _ in code(stem))
