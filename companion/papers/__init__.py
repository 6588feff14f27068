"""The papers as data: one file a paper, named by its stem, read into plain dataclasses.

``companion/papers/<stem>.toml`` is all that is data about a paper; its stem is the one key to it everywhere. A claim is told in our
words; a table holds the printed numbers as they stand, misprints included. `tests/papers` checks every file in words; here nothing is
checked, so that a reader pays nothing for it. A trailing ? marks what may be left out::

    title, authors, year?, cite         as printed; the entry of the bibliography
    relatives?                          the entries of the bibliography that the chapter must cite before it judges
    [chapter]  number, title, written?, exercises?   of the notebook; how its heading begins; whether it is there; how many it has
    [method]   name, short, places, does   as the strip and the first page's map show it; places are those of a training step
    [colour]   token, and light and dark, or spare   its name in CSS, and its two colours, or one of `companion.look.SPARES`
    [knobs]?   how a knob is written in tables, "δ = {:.3g}"
    [[arms]]   label, dash, marker, colour?   how an arm is drawn; of the paper's colour, or "muted": what it is compared with
    [[claims]]?     id, place, says, verdict (one of VERDICTS), condition?, shown_by (headings of the chapter's audit, "Proofs: heading",
                    or "tests/…/test_x.py::Class::test_name"), material? (the paper stands or falls with it), headline? (what the first
                    page says of it; {0} stands for its first comparison), and its outcome: a sentence, or what recorded runs say of it, compared? and curves?
                    compared: experiment, before? (whose record stands in until that one is there), before_note? (what must be said
                    of that one), setting?, better, baseline
                    curves: experiment, before?, setting?, metric, arms    told from the first epoch to the last
    [[tables]]?     id, unit, metric, note?, rows, inference? (what we reconstructed; never data); a row is
                    dataset, model, baseline, better, reduction?, ours?, note?    errors as mean and sd?, reduction in percent
                    or, in a table with columns, method, reduction (one a column), ours?, note?
                    and ours the experiment, setting?, baseline and better arm that repeat it
    [[grids]]?      id, unit, note?, columns, rows (each method and values, one a column; nan for none): a printed table as it stands
    [[contrasts]]?  id, source, experiment, data, model, better, baseline, effect, effect_basis ("printed" or "inference"), n, family,
                    relative_reduction?, note?
    [[exploratory]]?  the same without source, effect and family, with why, and added_after_results where that is so
    [[quiz]]?       text, choices (each says and comment), right (which, from 0)
    [[exercises]]?  key, title, level (one of LEVELS), minutes, points: the exercise that `check_<key>` of the chapter's module checks
    [recipes.<experiment>]?  paper (what it states, and "not stated"), ours (what we fixed, "search" among it)

A contrast is fixed before any run. Its effect is the paper's difference in error points, positive where ``better`` has the lower error;
n counts our paired seeds. The estimate is the mean over them of error(baseline) - error(better) at the final epoch. Within a family
p-values are corrected by Holm's method. No contrast is added, dropped or redefined after a result exists; later ones are exploratory.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

__all__ = [
    "LEVELS",
    "VERDICTS",
    "Arm",
    "Cell",
    "Chapter",
    "Claim",
    "Colour",
    "Contrast",
    "Exercise",
    "Grid",
    "Method",
    "Paper",
    "Question",
    "Row",
    "Table",
    "load",
    "names",
    "relative_reduction",
]

VERDICTS = {
    "holds": "holds as stated",
    "holds when": "does not hold as stated; holds under the condition named",
    "repaired": "the printed formula has a slip; a corrected form exists and the conclusion survives",
    "misprint": "a slip of the pen or of the arithmetic",
    "measured": "an experimental claim; our numbers stand beside it",
    "open": "our copy does not let us decide",
}
"""The words a verdict may use, and what each means."""

LEVELS = ("warm up", "work", "think", "investigation")
"""The levels of exercises: put numbers in; write or change the code; prove it or break it; find something out, in an evening."""


@dataclass(frozen=True)
class Chapter:
    """A paper's chapter: its number, how its heading begins, the notebook's name, whether that is there, its exercises."""

    number: int
    title: str
    notebook: str
    written: bool
    exercises: int | None


@dataclass(frozen=True)
class Method:
    """A paper's method: its name, its abbreviation, the places of a training step where it acts, what it does in words."""

    name: str
    short: str
    places: tuple[str, ...]
    does: str


@dataclass(frozen=True)
class Colour:
    """A paper's colour: its name in CSS, and either the colour of each theme or the name of a spare of `companion.look`."""

    token: str
    light: str = ""
    dark: str = ""
    spare: str = ""


@dataclass(frozen=True)
class Arm:
    """How an arm is drawn: the name at its line's end, dash and marker, and ``"muted"`` where it has not the paper's colour."""

    label: str
    dash: str
    marker: str
    colour: str = ""


@dataclass(frozen=True)
class Claim:
    """One claim of a paper in our words, its verdict and condition, the sections and tests that show it, and what came out."""

    id: str
    place: str
    says: str
    verdict: str
    condition: str
    shown_by: tuple[str, ...]
    material: bool = False
    headline: str = ""
    outcome: str = ""
    compared: tuple[dict[str, str], ...] = ()
    curves: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Cell:
    """A printed mean with its deviation; None where none is printed."""

    mean: float
    sd: float | None = None


@dataclass(frozen=True)
class Row:
    """One comparison that a table prints.

    Attributes:
        label: data and model, or the method's name.
        baseline: printed error without the method; None where the paper prints none.
        better: printed error with the method; None where the paper prints none.
        reduction: the printed relative reduction of the error, in percent; None where none is printed.
        ours: experiment, setting and arms that repeat it, or None.
        note: what a reader of the printed numbers should know.
    """

    label: str
    baseline: Cell | None
    better: Cell | None
    reduction: float | None
    ours: dict[str, str] | None
    note: str


@dataclass(frozen=True)
class Table:
    """A printed table: its name, what it measures, its rows."""

    id: str
    metric: str
    rows: tuple[Row, ...]
    note: str


@dataclass(frozen=True)
class Grid:
    """A printed table as it stands: methods in its rows, and what each column holds.

    Attributes:
        id: as printed, "Table 2".
        unit: of all values.
        columns: as they are headed.
        rows: method to values, one a column; NaN where the paper prints none.
        note: what a reader of the printed numbers should know.
    """

    id: str
    unit: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[float, ...]]
    note: str = ""


@dataclass(frozen=True)
class Contrast:
    """A comparison fixed before the runs; the head of this module says what each field means."""

    id: str
    source: str
    experiment: str
    data: str
    model: str
    better: str
    baseline: str
    effect: float
    effect_basis: str
    n: int
    family: str


@dataclass(frozen=True)
class Question:
    """One question of the chapter's quiz: its choices, each with what to say about it, and which is right, from 0."""

    text: str
    choices: tuple[tuple[str, str], ...]
    right: int


@dataclass(frozen=True)
class Exercise:
    """One exercise: the key of its check, its title, its level, the minutes it takes, the points it is worth."""

    key: str
    title: str
    level: str
    minutes: int
    points: int


@dataclass(frozen=True)
class Paper:
    """All that is data about one paper; the head of this module says what each part means."""

    stem: str
    title: str
    authors: tuple[str, ...]
    year: int | None
    cite: str
    relatives: tuple[str, ...]
    chapter: Chapter
    method: Method
    colour: Colour
    arms: tuple[Arm, ...]
    knobs: dict[str, str]
    claims: tuple[Claim, ...]
    tables: tuple[Table, ...]
    grids: tuple[Grid, ...]
    contrasts: tuple[Contrast, ...]
    recipes: dict[str, dict[str, Any]]
    quiz: tuple[Question, ...]
    exercises: tuple[Exercise, ...]

    def table(self, name: str) -> Table:
        """Return a printed table by its name.

        Args:
            name: as printed, ``"Table 2"``.

        Raises:
            ValueError: the paper has no such table.

        Example:
            >>> row = load("partial_output_norm").table("Table 2").rows[1]
            >>> row.label, row.reduction, round(relative_reduction(row.baseline.mean, row.better.mean), 2)
            ('Cora, GAT', 13.93, 15.81)
        """
        for table in self.tables:
            if table.id == name:
                return table
        raise ValueError(f"no table {name!r} of {self.stem}; there are: {', '.join(table.id for table in self.tables)}")

    def recipe(self, experiment: str) -> dict[str, Any]:
        """Return how an experiment is trained: ``paper`` (what it states, and ``not stated``) and ``ours``.

        Args:
            experiment: its name, ``"pon-mnist"``.

        Raises:
            ValueError: the paper has no recipe of that name.

        Example:
            >>> load("partial_output_norm").recipe("pon-mnist")["paper"]["optimiser"]
            'SGD'
        """
        if experiment not in self.recipes:
            raise ValueError(f"no recipe {experiment!r} of {self.stem}; there are: {', '.join(self.recipes)}")
        return self.recipes[experiment]


def names() -> tuple[str, ...]:
    """Return the stems of the papers in the order of their chapters.

    Example:
        >>> names()[0]
        'partial_output_norm'
    """
    return tuple(sorted(_files(), key=lambda stem: _read(stem)["chapter"]["number"]))


def load(stem: str) -> Paper:
    """Return all that is data about a paper.

    Args:
        stem: the name of its file, ``"partial_output_norm"``.

    Raises:
        ValueError: there is no such paper, or its file is no TOML.
        KeyError: its file lacks something; a note names the file.

    Example:
        >>> paper = load("partial_output_norm")
        >>> paper.chapter.notebook, [claim.verdict for claim in paper.claims if claim.place == "Lemma 2.2"]
        ('01_partial_output_norm', ['holds when'])
    """
    try:
        return _paper(stem, _read(stem))
    except (KeyError, TypeError) as error:
        error.add_note(f"companion/papers/{stem}.toml: `pytest tests/papers -k {stem}` says in words what is wrong")
        raise


def relative_reduction(baseline: float, better: float) -> float:
    """Return by how much of itself an error falls, in percent: 100·(baseline − better)/baseline.

    Example:
        >>> round(relative_reduction(1.64, 1.14), 3)
        30.488
    """
    return 100.0 * (baseline - better) / baseline


# --- reading ----------------------------------------------------------------------------------------------------------


def _files() -> dict[str, Any]:
    found = {file.name.removesuffix(".toml"): file for file in resources.files(__package__).iterdir()}
    return {stem: file for stem, file in found.items() if file.name.endswith(".toml")}


@cache
def _read(stem: str) -> dict[str, Any]:
    files = _files()
    if stem not in files:
        raise ValueError(f"there is no paper {stem!r} in companion/papers; there are: {', '.join(sorted(files))}")
    try:
        return tomllib.loads(files[stem].read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        error.add_note(f"in companion/papers/{stem}.toml")
        raise


def _paper(stem: str, data: dict[str, Any]) -> Paper:
    chapter = data["chapter"]
    number = chapter["number"]
    return Paper(
        stem=stem,
        title=data["title"],
        authors=tuple(data["authors"]),
        year=data.get("year"),
        cite=data["cite"],
        relatives=tuple(data.get("relatives", ())),
        chapter=Chapter(**{"written": False, "exercises": None, **chapter, "notebook": f"{number:02}_{stem}"}),
        method=Method(**{**data["method"], "places": tuple(data["method"]["places"])}),
        colour=Colour(**data["colour"]),
        arms=tuple(Arm(**arm) for arm in data["arms"]),
        knobs=data.get("knobs", {}),
        claims=tuple(_claim(claim) for claim in data.get("claims", ())),
        tables=tuple(_table(table) for table in data.get("tables", ())),
        grids=tuple(_grid(grid) for grid in data.get("grids", ())),
        contrasts=tuple(_contrast(contrast) for contrast in data.get("contrasts", ())),
        recipes=data.get("recipes", {}),
        quiz=tuple(_question(question) for question in data.get("quiz", ())),
        exercises=tuple(Exercise(**entry) for entry in data.get("exercises", ())),
    )


def _claim(entry: dict[str, Any]) -> Claim:
    lists = {key: tuple(entry.get(key, ())) for key in ("shown_by", "compared", "curves")}
    return Claim(**{"condition": "", **entry, **lists})


def _table(entry: dict[str, Any]) -> Table:
    columns = entry.get("columns", ())
    metric = entry["metric"] + (f"; {columns[0]} is shown" if columns else "")
    row = _row_of_reductions if columns else _row_of_errors
    return Table(entry["id"], metric, tuple(row(one) for one in entry["rows"]), entry.get("note", ""))


def _row_of_errors(row: dict[str, Any]) -> Row:
    label, cells = f"{row['dataset']}, {row['model']}", (Cell(**row["baseline"]), Cell(**row["better"]))
    return Row(label, *cells, row.get("reduction"), row.get("ours"), row.get("note", ""))


def _row_of_reductions(row: dict[str, Any]) -> Row:
    return Row(row["method"], None, None, row["reduction"][0], row.get("ours"), row.get("note", ""))


def _grid(entry: dict[str, Any]) -> Grid:
    rows = {row["method"]: tuple(map(float, row["values"])) for row in entry["rows"]}
    return Grid(entry["id"], entry["unit"], tuple(entry["columns"]), rows, entry.get("note", ""))


def _question(entry: dict[str, Any]) -> Question:
    choices = tuple((choice["says"], choice["comment"]) for choice in entry["choices"])
    return Question(entry["text"], choices, entry["right"])


def _contrast(entry: dict[str, Any]) -> Contrast:
    return Contrast(**{field: entry[field] for field in Contrast.__dataclass_fields__})
