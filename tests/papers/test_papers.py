"""Every paper's data: well formed, what shows a claim exists, effects and tables agree; and malformed data is refused."""

from __future__ import annotations

import ast
import copy
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from companion import papers

ROOT = Path(__file__).parents[2]
FILES = ("claims", "tables", "contrasts", "recipes")
PAPERS = papers.names()
CLAIMS = [(paper, claim) for paper in PAPERS for claim in papers.claims(paper)]
ROWS = [(paper, table, row) for paper in PAPERS for table in papers.tables(paper) for row in table.rows if row.baseline]


def notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def headings(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)


def defined(path: Path, names: list[str]) -> bool:
    """Whether a test file holds a class or function of that name, the next within the one before."""
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []
    for name in names:
        found = [node for node in body if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name]
        if not found:
            return False
        body = found[0].body
    return path.is_file()


def shows(place: str, chapter: papers.Chapter | None) -> bool:
    """Whether what ``shown_by`` names exists: a test, a heading of the appendix, a heading of the chapter."""
    if place.startswith("tests/"):
        path, *names = place.split("::")
        return defined(ROOT / path, names)
    if chapter is None:
        return False
    if place.startswith("Appendix: "):
        appendix = ROOT / "book" / f"appendix_{chapter.name}.md"
        return appendix.is_file() and f"## {place.removeprefix('Appendix: ')}\n" in appendix.read_text(encoding="utf-8")
    return any(place in heading for heading in headings(ROOT / "notebooks" / f"{chapter.stem}.ipynb"))


# --- the index -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paper", PAPERS)
def test_chapter_of_a_paper_exists_and_begins_with_its_title(paper: str) -> None:
    chapter = papers.chapter(paper)
    if chapter:
        assert headings(ROOT / "notebooks" / f"{chapter.stem}.ipynb")[0].startswith(chapter.title)
        assert (ROOT / "companion" / "methods" / f"{chapter.name}.py").is_file(), "one name finds everything"


def test_every_chapter_on_a_method_is_in_the_index() -> None:
    on_methods = {
        path.stem for path in notebooks() if (ROOT / "companion" / "methods" / f"{path.stem[3:]}.py").is_file()
    }
    assert on_methods == {chapter.stem for paper in PAPERS if (chapter := papers.chapter(paper))}


@pytest.mark.parametrize("file", FILES)
def test_files_name_only_papers_of_the_index(file: str) -> None:
    entries = json.loads((ROOT / "companion" / "papers" / f"{file}.json").read_text(encoding="utf-8"))
    assert set(entries) - {"about", "rule", "exploratory"} <= set(PAPERS)
    assert set(entries.get("exploratory", ())) <= set(PAPERS)


# --- the claims ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paper", PAPERS)
def test_no_claim_comes_twice(paper: str) -> None:
    assert [name for name, count in Counter(claim.id for claim in papers.claims(paper)).items() if count > 1] == []


@pytest.mark.parametrize(("paper", "claim"), CLAIMS, ids=[f"{paper}-{claim.id}" for paper, claim in CLAIMS])
def test_claim_names_its_condition_and_what_shows_it(paper: str, claim: papers.Claim) -> None:
    assert claim.condition or claim.verdict in ("holds", "measured")
    assert "false" not in claim.condition.lower(), "state when it holds instead"
    chapter = papers.chapter(paper)
    assert claim.shown_by or chapter is None
    for place in claim.shown_by:
        assert shows(place, chapter), f"{place!r} is no test, and no heading of the chapter or its appendix"


def test_what_does_not_exist_shows_nothing() -> None:
    chapter = papers.chapter("p_on")
    here = "tests/papers/test_papers.py"
    assert shows(f"{here}::test_what_does_not_exist_shows_nothing", chapter)
    assert shows("The claims", chapter)
    wrong = (
        f"{here}::test_nothing",
        "tests/papers/test_gone.py",
        "tests/symbolic/test_partial_output_norm.py::TestObjects::test_values_inside_and_outside",  # of another class
        "No such heading",
        "Appendix: No such heading",
    )
    assert [place for place in wrong if shows(place, chapter)] == []
    assert not shows("The claims", None), "without a chapter there is no heading"


# --- the tables, contrasts and recipes --------------------------------------------------------------------------------


def follows(computed: float, printed: float) -> bool:
    """Whether a printed two-decimal number is the computed one, rounded or cut."""
    return printed in (round(computed, 2), math.floor(100 * computed) / 100)


@pytest.mark.parametrize(
    ("paper", "table", "row"), ROWS, ids=[f"{paper}-{table.id}, {row.label}" for paper, table, row in ROWS]
)
def test_a_printed_reduction_follows_or_has_a_note(paper: str, table: papers.Table, row: papers.Row) -> None:
    computed = papers.relative_reduction(row.baseline.mean, row.better.mean)
    assert follows(computed, row.reduction) or "gain" in row.note, (
        f"{paper}, {table.id} prints {row.reduction}, not {computed:.3f}"
    )


@pytest.mark.parametrize("paper", PAPERS)
def test_effects_of_the_contrasts_are_those_of_the_tables(paper: str) -> None:
    rows = [row for table in papers.tables(paper) for row in table.rows if row.ours]
    for contrast in papers.contrasts(paper):
        wanted = {"experiment": contrast.experiment, "baseline": contrast.baseline, "better": contrast.better}
        setting = f"{contrast.data}/{contrast.model}"
        mine = [
            row
            for row in rows
            if {**row.ours, "setting": setting} == {**wanted, "setting": setting}
            and row.ours.get("setting", setting) == setting
        ]
        assert mine, f"{contrast.id}: no printed row names these arms"
        if contrast.effect_basis == "printed":
            (row,) = mine
            assert contrast.effect == pytest.approx(row.baseline.mean - row.better.mean), contrast.id


@pytest.mark.parametrize("paper", PAPERS)
def test_every_contrast_has_a_recipe_and_a_name_of_its_own(paper: str) -> None:
    found = papers.contrasts(paper)
    assert len({contrast.id for contrast in found}) == len(found)
    for contrast in found:
        assert papers.recipe(paper, contrast.experiment)["paper"]["not stated"], contrast.experiment


# --- what is refused --------------------------------------------------------------------------------------------------


def test_unknown_names_are_listed() -> None:
    with pytest.raises(ValueError, match="no recipe 'pon-moon'"):
        papers.recipe("p_on", "pon-moon")
    with pytest.raises(ValueError, match="Table 1, Table 2, Table 3"):
        papers.table("p_on", "Table 9")
    with pytest.raises(ValueError, match=r"knows no paper 'p_off'.*p_on"):
        papers.claims("p_off")


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that changes one file's entry of the first paper as it is read, by a function or a value."""
    real = papers._read

    def change(file: str, how: Any) -> None:
        data = copy.deepcopy(real(file))
        if callable(how):
            how(data["p_on"])
        else:
            data["p_on"] = how
        monkeypatch.setattr(papers, "_read", lambda name: data if name == file else real(name))

    return change


def rename(old: str, new: str) -> Any:
    return lambda entry: entry.update({new: entry.pop(old)})


def row_of(table: int, change: Any) -> Any:
    return lambda entry: change(entry["tables"][table]["rows"][0])


MALFORMED = [
    ("index", {"title": "x", "chapter": "chapter one"}, papers.chapter, "'chapter' must be a notebook's name"),
    ("claims", {"id": "x"}, papers.claims, "claims.json, p_on: must be a list of objects"),
    ("claims", ["x"], papers.claims, "entry 1: must be an object with the keys id, place"),
    ("claims", lambda e: e[0].pop("says"), papers.claims, "pon-intro: the key 'says' is missing; needed are: id"),
    ("claims", lambda e: e[0].update(verdict="true"), papers.claims, "'verdict' must be one of: holds, .* got 'true'"),
    ("claims", lambda e: e[0].update(shown_by="x"), papers.claims, "'shown_by' must be a list, each text; got 'x'"),
    ("tables", lambda e: e.pop("paper"), papers.tables, "tables.json, p_on: the key 'paper' is missing"),
    (
        "tables",
        row_of(0, rename("better", "p_on")),
        papers.tables,
        "Table 1, row 1: the key 'better' is missing; needed are: dataset, model, baseline, better",
    ),
    ("tables", row_of(0, lambda r: r.update(p_on=1)), papers.tables, "row 1: unknown key 'p_on'; known are: dataset"),
    ("tables", row_of(0, lambda r: r.update(baseline=1.6)), papers.tables, "'baseline' must be two numbers"),
    ("tables", row_of(0, lambda r: r["better"].update(mean="5")), papers.tables, "'better' must be two numbers"),
    ("tables", row_of(0, lambda r: r.update(reduction=None)), papers.tables, "'reduction' must be a number; got None"),
    ("tables", row_of(0, lambda r: r.update(ours="none")), papers.tables, "'ours' must be an object, .* or null"),
    ("tables", row_of(0, lambda r: rename("better", "arm")(r["ours"])), papers.tables, "row 1, ours: the key 'better'"),
    ("tables", row_of(2, lambda r: r.update(reduction=[1.0])), papers.tables, "one number for each of the columns"),
    ("contrasts", lambda e: e[0].update(n=1), papers.contrasts, "pon-t1-mnist: 'n' must be a whole number >= 2; got 1"),
    ("contrasts", lambda e: e[0].update(effect=True), papers.contrasts, "'effect' must be a number; got True"),
    ("contrasts", lambda e: e[0].update(effect_basis="guess"), papers.contrasts, "one of: printed, inference"),
    ("recipes", lambda e: e["pon-mnist"].pop("ours"), "pon-mnist", "p_on, pon-mnist: the key 'ours' is missing"),
    ("recipes", lambda e: e["pon-mnist"]["paper"].pop("not stated"), "pon-mnist", "'not stated' must be a list"),
    ("recipes", lambda e: e["pon-mnist"]["ours"].pop("search"), "pon-mnist", "'search' must say how"),
]


@pytest.mark.parametrize(("file", "how", "read", "says"), MALFORMED, ids=[says[:40] for *_, says in MALFORMED])
def test_malformed_entries_are_refused_in_words(changed: Any, file: str, how: Any, read: Any, says: str) -> None:
    changed(file, how)
    with pytest.raises(ValueError, match=says):
        papers.recipe("p_on", read) if isinstance(read, str) else read("p_on")


def test_a_paper_that_one_file_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    real = papers._read
    more = {**real("index"), "unwritten": {"title": "Unwritten", "chapter": None}}
    monkeypatch.setattr(papers, "_read", lambda name: more if name == "index" else real(name))
    assert papers.names()[-1] == "unwritten"
    assert papers.chapter("unwritten") is None
    with pytest.raises(ValueError, match=r"claims\.json has no entry 'unwritten', which index\.json names"):
        papers.claims("unwritten")
