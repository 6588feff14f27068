"""Every paper's data: well formed, what shows a claim exists, effects and tables agree; and malformed data is refused."""

from __future__ import annotations

import ast
import copy
import json
import math
import re
from collections import Counter
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from companion import papers
from companion.experiments.registry import registered
from companion.page.audit import METRICS
from tests.papers.schema import problems

ROOT = Path(__file__).parents[2]
EXPERIMENTS = registered()
PAPERS = {stem: papers.load(stem) for stem in papers.names()}
every_paper = pytest.mark.parametrize("paper", PAPERS.values(), ids=PAPERS)
CLAIMS = [(paper, claim) for paper in PAPERS.values() for claim in paper.claims]
ROWS = [
    (stem, table, row)
    for stem, paper in PAPERS.items()
    for table in paper.tables
    for row in table.rows
    if row.baseline and row.reduction is not None
]


def notebooks() -> list[Path]:
    return sorted(path for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb") if not path.stem.endswith("_audit"))


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


def shows(place: str, paper: papers.Paper) -> bool:
    """Whether what ``shown_by`` names exists: a test, a heading of the proofs, a heading of the audit."""
    if place.startswith("tests/"):
        path, *names = place.split("::")
        return defined(ROOT / path, names)
    if not paper.chapter.written:
        return False
    if place.startswith("Proofs: "):
        proofs = ROOT / "book" / "proofs" / f"{paper.stem}.md"
        return proofs.is_file() and f"## {place.removeprefix('Proofs: ')}\n" in proofs.read_text(encoding="utf-8")
    audit = ROOT / "notebooks" / f"{paper.chapter.notebook}_audit.ipynb"
    return audit.is_file() and any(place in heading for heading in headings(audit))


# --- the files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stem", PAPERS)
def test_a_file_has_the_form_that_the_head_of_the_package_states(stem: str) -> None:
    wrong = problems(papers._read(stem))
    assert not wrong, f"companion/papers/{stem}.toml:\n" + "\n".join(wrong)


@every_paper
def test_one_name_finds_everything(paper: papers.Paper) -> None:
    assert (ROOT / "companion" / "methods" / f"{paper.stem}.py").is_file()
    assert f"{{{paper.cite}," in (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    notebook = ROOT / "notebooks" / f"{paper.chapter.notebook}.ipynb"
    assert notebook.is_file() == paper.chapter.written
    if paper.chapter.written:
        assert headings(notebook)[0].startswith(paper.chapter.title)


def test_no_two_papers_share_what_names_them() -> None:
    for shared in ("cite", "chapter.number", "method.name", "method.short", "colour.token"):
        values = [attrgetter(shared)(paper) for paper in PAPERS.values()]
        assert len(set(values)) == len(values), shared


def test_every_chapter_on_a_method_has_its_paper() -> None:
    on_methods = {
        path.stem for path in notebooks() if (ROOT / "companion" / "methods" / f"{path.stem[3:]}.py").is_file()
    }
    assert on_methods == {paper.chapter.notebook for paper in PAPERS.values() if paper.chapter.written}


# --- the claims ------------------------------------------------------------------------------------------------------


@every_paper
def test_no_claim_comes_twice(paper: papers.Paper) -> None:
    assert [name for name, count in Counter(claim.id for claim in paper.claims).items() if count > 1] == []


@pytest.mark.parametrize(("paper", "claim"), CLAIMS, ids=[f"{paper.stem}-{claim.id}" for paper, claim in CLAIMS])
def test_claim_names_its_condition_and_what_shows_it(paper: papers.Paper, claim: papers.Claim) -> None:
    assert claim.condition or claim.verdict in ("holds", "measured")
    assert claim.verdict != "measured" or claim.compared or claim.curves or claim.outcome
    assert "false" not in claim.condition.lower(), "state when it holds instead"
    assert claim.shown_by or not paper.chapter.written
    for place in claim.shown_by:
        assert shows(place, paper), f"{place!r} is no test, and no heading of the audit or the proofs"


def test_what_does_not_exist_shows_nothing() -> None:
    paper = PAPERS["partial_output_norm"]
    here = "tests/papers/test_papers.py"
    assert shows(f"{here}::test_what_does_not_exist_shows_nothing", paper)
    assert shows("The ledger", paper)
    wrong = (
        f"{here}::test_nothing",
        "tests/papers/test_gone.py",
        "tests/symbolic/test_partial_output_norm.py::TestObjects::test_values_inside_and_outside",  # of another class
        "No such heading",
        "Proofs: No such heading",
    )
    assert [place for place in wrong if shows(place, paper)] == []
    unwritten = replace(paper, chapter=replace(paper.chapter, written=False))
    assert not shows("The ledger", unwritten), "without a chapter there is no heading"


@every_paper
def test_a_papers_material_claims_are_few_and_say_what_came_out(paper: papers.Paper) -> None:
    material = [claim for claim in paper.claims if claim.material]
    assert (6 <= len(material) <= 10) == paper.chapter.written or not paper.chapter.written
    assert all(claim.outcome or claim.compared or claim.curves for claim in material)
    assert len([claim for claim in paper.claims if claim.headline]) <= 3


@every_paper
def test_what_a_claim_reads_from_runs_names_arms_that_are_run(paper: papers.Paper) -> None:
    for claim in paper.claims:
        for entry in (*claim.compared, *claim.curves):
            experiment = EXPERIMENTS[entry["experiment"]]
            there = {arm.name for arm in experiment.arms} | {control.name for control in experiment.controls}
            arms = entry.get("arms") or [entry["better"], entry["baseline"]]
            assert set(arms) <= there, (claim.id, entry)
            assert entry.get("setting") in {None, *(setting.name for setting in experiment.settings)}, claim.id
            assert entry.get("metric") in {None, *METRICS}, claim.id
            assert entry.get("before") in {None, *EXPERIMENTS}, claim.id


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


@every_paper
def test_effects_of_the_contrasts_are_those_of_the_tables(paper: papers.Paper) -> None:
    rows = [row for table in paper.tables for row in table.rows if row.ours]
    for contrast in paper.contrasts:
        # The experiment may be a later one than that which the row is shown with: a question is asked again.
        arms, setting = (contrast.better, contrast.baseline), f"{contrast.data}/{contrast.model}"
        mine = [
            row
            for row in rows
            if (row.ours["better"], row.ours["baseline"]) == arms
            and row.ours.get("setting", setting) == setting
            and ("setting" in row.ours or ", " not in row.label or row.label.lower().replace(", ", "/") == setting)
        ]
        assert mine, f"{contrast.id}: no printed row names these arms"
        if contrast.effect_basis == "printed":
            (row,) = mine
            assert contrast.effect == pytest.approx(row.baseline.mean - row.better.mean), contrast.id


@every_paper
def test_every_contrast_has_a_recipe_and_a_name_of_its_own(paper: papers.Paper) -> None:
    found = paper.contrasts
    assert len({contrast.id for contrast in found}) == len(found)
    for contrast in found:
        assert paper.recipe(contrast.experiment)["paper"]["not stated"], contrast.experiment


# --- what is refused --------------------------------------------------------------------------------------------------


def test_unknown_names_are_listed() -> None:
    paper = PAPERS["partial_output_norm"]
    with pytest.raises(
        ValueError,
        match="no recipe 'pon-moon' of partial_output_norm; there are: pon-mnist, pon-graphs, pon-mnist-decayed, ",
    ):
        paper.recipe("pon-moon")
    with pytest.raises(ValueError, match="Table 1, Table 2, Table 3"):
        paper.table("Table 9")
    with pytest.raises(ValueError, match=r"no paper 'p_off' in companion/papers.*partial_output_norm"):
        papers.load("p_off")


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = papers._read
    monkeypatch.setattr(papers, "_read", lambda stem: {key: v for key, v in real(stem).items() if key != "arms"})
    with pytest.raises(KeyError) as raised:
        papers.load("norm_loss")
    assert "companion/papers/norm_loss.toml" in raised.value.__notes__[0]


def rename(old: str, new: str) -> Any:
    return lambda entry: entry.update({new: entry.pop(old)})


def row(table: int, change: Any) -> Any:
    return lambda data: change(data["tables"][table]["rows"][0])


def first(part: str, change: Any) -> Any:
    return lambda data: change(data[part][0])


def mnist(change: Any) -> Any:
    return lambda data: change(data["recipes"]["pon-mnist"])


MALFORMED = [
    (lambda d: d.pop("method"), "the key 'method' is missing; needed are: title, authors"),
    (lambda d: d.update(name="x"), "unknown key 'name'; known are: title"),
    (lambda d: d["chapter"].update(number="1"), "chapter: 'number' must be a whole number >= 0; got '1'"),
    (lambda d: d["method"].update(places=["loss"]), "method: 'places' must be a list, each one of: backbone, head"),
    (lambda d: d["colour"].update(light="blue"), "colour: 'light' must be a colour such as '#4661ba'; got 'blue'"),
    (lambda d: d["colour"].pop("dark"), "colour: the key 'dark' is missing"),
    (lambda d: d.update(colour={"token": "x", "spare": "pink"}), "'spare' must be one of: violet, magenta"),
    (first("arms", lambda e: e.update(dash="wavy")), "arms, P-ON: 'dash' must be one of: solid, dashed"),
    (lambda d: d.update(claims={"id": "x"}), r"claims: must be a list, \[\[claims\]\]"),
    (lambda d: d.update(claims=["x"]), "claims, entry 1: must be a table with the keys id, place"),
    (first("claims", lambda e: e.pop("says")), "claims, pon-discrepancy: the key 'says' is missing; needed are: id"),
    (first("claims", lambda e: e.update(verdict="true")), "'verdict' must be one of: holds, .* got 'true'"),
    (first("claims", lambda e: e.update(shown_by="x")), "'shown_by' must be a list, each text; got 'x'"),
    (first("claims", lambda e: e.update(material="yes")), "'material' must be true or false; got 'yes'"),
    (
        first("claims", lambda e: e.update(headline="It gains {0}.")),
        "pon-discrepancy: the headline asks for a comparison",
    ),
    (first("claims", lambda e: e.update(compared=[{"experiment": "x"}])), "compared, entry 1: the key 'baseline' is m"),
    (first("claims", lambda e: e.update(curves="length")), r"pon-discrepancy, curves: must be a list, \[\["),
    (row(0, rename("better", "arm")), "Table 1, row 1: the key 'better' is missing; needed are: dataset, model"),
    (row(0, lambda r: r.update(arm=1)), "Table 1, row 1: unknown key 'arm'; known are: dataset"),
    (row(0, lambda r: r.update(baseline=1.6)), "'baseline' must be numbers"),
    (row(0, lambda r: r["better"].update(mean="5")), "'better' must be numbers"),
    (row(0, lambda r: r.update(reduction=True)), "'reduction' must be a number; got True"),
    (row(0, lambda r: r.update(ours="none")), "'ours' must be a table of keys; got 'none'"),
    (row(0, lambda r: rename("better", "arm")(r["ours"])), "Table 1, row 1, ours: the key 'better' is missing"),
    (row(2, lambda r: r.update(reduction=[1.0])), "Table 3, row 1: 'reduction' must have one number for each"),
    (
        lambda d: d.update(
            grids=[{"id": "G", "unit": "%", "columns": ["a"], "rows": [{"method": "x", "values": [1, 2]}]}]
        ),
        "G, row 1: 'values' must have one number for each of 1 columns",
    ),
    (
        lambda d: d.update(
            grids=[{"id": "G", "unit": "%", "columns": ["a"], "rows": [{"method": "x", "values": ["1"]}]}]
        ),
        "G, row 1: 'values' must be a list, each a number",
    ),
    (first("contrasts", lambda e: e.update(n=1)), "contrasts, pon-t1-mnist: 'n' must be a whole number >= 2; got 1"),
    (first("contrasts", lambda e: e.update(effect_basis="guess")), "one of: printed, inference"),
    (first("exercises", lambda e: e.update(level="hard")), "exercises, first_sample: 'level' must be one of: warm up"),
    (first("exploratory", lambda e: e.pop("why")), "exploratory, pon-x-mnist-pon: the key 'why' is missing"),
    (first("quiz", lambda e: e.update(right=3)), "quiz, entry 1: 'right' must be one of at least two choices"),
    (first("quiz", lambda e: e["choices"][0].pop("comment")), "'choices' must be a list, each { says"),
    (mnist(lambda e: e.pop("ours")), "recipes.pon-mnist: the key 'ours' is missing"),
    (mnist(lambda e: e["paper"].pop("not stated")), "recipes.pon-mnist, paper: 'not stated' must be a list"),
    (mnist(lambda e: e["ours"].pop("search")), "recipes.pon-mnist, ours: 'search' must be text"),
]


@pytest.mark.parametrize(("change", "says"), MALFORMED, ids=[says[:50] for _, says in MALFORMED])
def test_a_malformed_file_is_described(change: Any, says: str) -> None:
    data = copy.deepcopy(papers._read("partial_output_norm"))
    change(data)
    found = problems(data)
    assert len(found) >= 1
    assert re.search(says, "\n".join(found)), found
