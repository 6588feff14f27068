"""The papers as data: what they claim and print, what we compare, and how each claim stands.

Four files, read by the functions below: ``claims.json`` (every numbered claim with our verdict), ``tables.json`` (the
printed tables), ``contrasts.json`` (the comparisons fixed before any run) and ``recipes.json`` (how the runs are
trained). A claim is told in our words; a table holds the printed numbers as they stand, misprints included.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

__all__ = [
    "VERDICTS",
    "Cell",
    "Claim",
    "Contrast",
    "Row",
    "Table",
    "claims",
    "contrasts",
    "recipe",
    "relative_reduction",
    "table",
    "tables",
]

VERDICTS = {
    "holds": "holds as stated",
    "holds when": "does not hold as stated; holds under the condition named",
    "repaired": "the printed formula has a slip; a corrected form exists and the conclusion survives",
    "misprint": "a slip of the pen or of the arithmetic",
    "measured": "an experimental claim; the tables of the chapter give our numbers",
}
"""The words a verdict may use, and what each means."""


@dataclass(frozen=True)
class Claim:
    """One numbered claim of a paper and how it stands.

    Attributes:
        id: short and stable, ``"pon-lemma-2.2"``.
        place: where the paper makes it, ``"Lemma 2.2"``.
        says: the claim in our words.
        verdict: one of `VERDICTS`.
        condition: when it holds, or what the corrected form is; empty where it simply holds.
        shown_by: the section of the chapter, and the test, that show it.
    """

    id: str
    place: str
    says: str
    verdict: str
    condition: str
    shown_by: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """A printed mean with its printed deviation."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Row:
    """One comparison that a table prints.

    Attributes:
        label: data and model, or the method's name.
        baseline: printed error without the method; None where the paper prints none.
        better: printed error with the method; None where the paper prints none.
        reduction: the printed relative reduction of the error, in percent.
        ours: experiment, setting and arms that repeat it, or None.
        note: what a reader of the printed numbers should know.
    """

    label: str
    baseline: Cell | None
    better: Cell | None
    reduction: float
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
class Contrast:
    """A comparison fixed before the runs.

    Attributes:
        id: short and stable.
        source: the place in the paper.
        experiment: the name to load the recorded runs under.
        data: the data set's name.
        model: the model's name.
        better: the arm that the paper finds better.
        baseline: the arm it is compared with.
        effect: the paper's difference in error points, positive when ``better`` has the lower error.
        effect_basis: ``"printed"``, or ``"inference"`` where we had to reconstruct it.
        n: the number of paired seeds.
        family: the family within which p-values are corrected.
    """

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


@cache
def _read(name: str) -> dict[str, Any]:
    return json.loads(resources.files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8"))


def _of(name: str, paper: str) -> Any:
    data = _read(name)
    if paper not in data:
        known = ", ".join(sorted(key for key, value in data.items() if isinstance(value, (list, dict))))
        raise ValueError(f"{name}.json knows no paper {paper!r}; it knows: {known}")
    return data[paper]


def claims(paper: str) -> tuple[Claim, ...]:
    """Return the numbered claims of a paper with our verdicts.

    Args:
        paper: short name, ``"p_on"``.

    Raises:
        ValueError: there is no such paper.

    Example:
        >>> [claim.verdict for claim in claims("p_on") if claim.place == "Lemma 2.2"]
        ['holds when']
    """
    return tuple(Claim(**{**entry, "shown_by": tuple(entry["shown_by"])}) for entry in _of("claims", paper))


def tables(paper: str) -> tuple[Table, ...]:
    """Return the printed tables of a paper.

    Raises:
        ValueError: there is no such paper.

    Example:
        >>> [table.id for table in tables("p_on")]
        ['Table 1', 'Table 2', 'Table 3']
    """
    return tuple(_table(entry) for entry in _of("tables", paper)["tables"])


def table(paper: str, name: str) -> Table:
    """Return one printed table by its name.

    Raises:
        ValueError: there is no such paper or table.

    Example:
        >>> row = table("p_on", "Table 2").rows[1]
        >>> row.label, row.reduction, round(relative_reduction(row.baseline.mean, row.better.mean), 2)
        ('Cora, GAT', 13.93, 15.81)
    """
    known = tables(paper)
    for entry in known:
        if entry.id == name:
            return entry
    raise ValueError(f"no table {name!r} of {paper!r}; there are: {', '.join(entry.id for entry in known)}")


def _table(entry: dict[str, Any]) -> Table:
    return Table(
        id=entry["id"],
        metric=entry["metric"] + (f"; {entry['columns'][0]} is shown" if "columns" in entry else ""),
        rows=tuple(_row(row, entry) for row in entry["rows"]),
        note=entry.get("note", ""),
    )


def _row(row: dict[str, Any], parent: dict[str, Any]) -> Row:
    if "reduction" in row:  # a table of which only relative reductions are printed; its first column is ours
        ours = row["ours"] and {"baseline": "vanilla", "better": row["ours"]["arm"], **row["ours"]}
        return Row(row["method"], None, None, row["reduction"][0], ours, row.get("note", ""))
    ours = row["ours"] and {"baseline": row["ours"]["vanilla"], "better": row["ours"]["p_on"], **row["ours"]}
    return Row(
        label=f"{row['dataset']}, {row['model']}",
        baseline=Cell(**row["vanilla"]),
        better=Cell(**row["p_on"]),
        reduction=row["gain_printed"],
        ours=ours,
        note=row.get("note", ""),
    )


def contrasts(paper: str) -> tuple[Contrast, ...]:
    """Return the comparisons of a paper that were fixed before the runs.

    Raises:
        ValueError: there is no such paper.

    Example:
        >>> all(contrast.effect > 0 for contrast in contrasts("p_on"))
        True
    """
    names = Contrast.__dataclass_fields__
    return tuple(Contrast(**{key: entry[key] for key in names}) for entry in _of("contrasts", paper))


def recipe(paper: str, experiment: str) -> dict[str, Any]:
    """Return how an experiment is trained: ``paper`` (what it states, and ``not stated``) and ``ours``.

    Raises:
        ValueError: there is no such paper or experiment.

    Example:
        >>> recipe("p_on", "pon-mnist")["paper"]["optimiser"]
        'SGD'
    """
    known = _of("recipes", paper)
    if experiment not in known:
        raise ValueError(f"no recipe {experiment!r} of {paper!r}; there are: {', '.join(known)}")
    return known[experiment]


def relative_reduction(baseline: float, better: float) -> float:
    """Return by how much of itself an error falls, in percent: 100·(baseline − better)/baseline.

    Example:
        >>> round(relative_reduction(1.64, 1.14), 3)
        30.488
    """
    return 100.0 * (baseline - better) / baseline
