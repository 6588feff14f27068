"""The papers as data: what they claim and print, what we compare, and how each claim stands.

A claim is told in our words; a table holds the printed numbers as they stand, misprints included. Five files hold it,
each an object with one entry a paper under its short name (``"p_on"``), beside ``"about"`` and other words on the whole.
A trailing ? marks what may be left out; any other key is an error that says which are known.

``index.json``, which papers there are::

    "p_on": {"title": start of the chapter's heading, "chapter": name of the notebook without its ending, or null}

``claims.json``, every numbered claim with our verdict, a list of::

    {"id", "place", "says", "verdict": one of VERDICTS, "condition": empty where it simply holds,
     "shown_by": list of headings of the chapter, "Appendix: heading", or "tests/…/test_x.py::Class::test_name"}

``tables.json``, the printed tables::

    {"paper": title and version read, "arms"?: how the paper's names and our arms go together, "tables": list of
     {"id": "Table 1", "unit": "error %", "metric", "note"?, "columns"?, "rows": list, "inference"?: what we reconstructed}}

    a row with printed errors, and one of a table that prints only reductions (it has "columns"; the first one is shown):
    {"dataset", "model", "baseline": {"mean", "sd"}, "better": {"mean", "sd"}, "reduction": percent, "ours", "note"?}
    {"method", "reduction": list of percents, one a column, "ours", "note"?}

    "ours": null where we have no run, else
    {"experiment", "setting"?: needed where the experiment has several, "baseline": our arm, "better": our arm}

``contrasts.json``, the comparisons fixed before any run, a list of::

    {"id", "source", "experiment", "data", "model", "better", "baseline", "effect": error points, "effect_basis": "printed" or
     "inference", "n": paired seeds, "family", "relative_reduction"?, "note"?}

    and under "exploratory", in the same form without effect and family, those that were added: with "why",
    and "added_after_results": true where that is so

``recipes.json``, how the runs are trained, one entry an experiment::

    "pon-mnist": {"paper": what it states, and "not stated": list, "ours": what we fixed, "search" among it}
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

__all__ = [
    "VERDICTS",
    "Cell",
    "Chapter",
    "Claim",
    "Contrast",
    "Row",
    "Table",
    "chapter",
    "claims",
    "contrasts",
    "names",
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
class Chapter:
    """A paper's chapter.

    Attributes:
        stem: the notebook's name without its ending, ``"01_partial_output_norm"``.
        title: how its heading begins.
    """

    stem: str
    title: str

    @property
    def number(self) -> int:
        """The chapter's number: the first two digits of the notebook's name."""
        return int(self.stem[:2])

    @property
    def name(self) -> str:
        """What the paper's modules are called: the notebook's name without the number."""
        return self.stem[3:]


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
def _read(file: str) -> dict[str, Any]:
    return json.loads(resources.files(__package__).joinpath(f"{file}.json").read_text(encoding="utf-8"))


def names() -> tuple[str, ...]:
    """Return the short names of the papers, in the order of ``index.json``.

    Example:
        >>> "p_on" in names()
        True
    """
    return tuple(name for name, entry in _read("index").items() if isinstance(entry, dict))


def chapter(paper: str) -> Chapter | None:
    """Return the chapter of a paper, or None as long as there is none.

    Args:
        paper: short name, ``"p_on"``.

    Raises:
        ValueError: there is no such paper, or its entry in ``index.json`` is malformed.

    Example:
        >>> found = chapter("p_on")
        >>> found.number, found.name
        (1, 'partial_output_norm')
    """
    where, entry = f"index.json, {paper}", _of("index", paper)
    _check(where, entry, {"title": _text, "chapter": _or_null(_chapter_name)})
    return Chapter(entry["chapter"], entry["title"]) if entry["chapter"] else None


def _of(file: str, paper: str) -> Any:
    data = _read(file)
    if paper not in names():
        raise ValueError(f"companion/papers knows no paper {paper!r}; index.json names: {', '.join(names())}")
    if paper not in data:
        raise ValueError(f"companion/papers/{file}.json has no entry {paper!r}, which index.json names")
    return data[paper]


# --- the form of an entry: a check returns what is wanted instead, or nothing ------------------------------------------

Check = Callable[[Any], str | None]


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "text"


def _text_or_empty(value: Any) -> str | None:
    return None if isinstance(value, str) else "text, which may be empty"


def _number(value: Any) -> str | None:
    right = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return None if right else "a number"


def _count(value: Any) -> str | None:
    return None if isinstance(value, int) and not isinstance(value, bool) and value >= 2 else "a whole number >= 2"


def _chapter_name(value: Any) -> str | None:
    right = isinstance(value, str) and re.fullmatch(r"\d\d_[a-z_]+", value)
    return None if right else "a notebook's name without its ending, such as '01_partial_output_norm'"


def _cell(value: Any) -> str | None:
    right = isinstance(value, dict) and set(value) == {"mean", "sd"} and not any(map(_number, value.values()))
    return None if right else 'two numbers, {"mean": …, "sd": …}'


def _object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "an object, {…}"


def _any(value: Any) -> None:
    return None


def _one_of(allowed: Collection[str]) -> Check:
    return lambda value: None if value in list(allowed) else f"one of: {', '.join(allowed)}"


def _or_null(check: Check) -> Check:
    return lambda value: None if value is None else (wanted := check(value)) and f"{wanted}, or null"


def _list_of(check: Check) -> Check:
    return lambda value: (
        None if isinstance(value, list) and not any(map(check, value)) else f"a list, each {check(None)}"
    )


def _check(where: str, entry: Any, needed: dict[str, Check], may: dict[str, Check] | None = None) -> None:
    """Raise a ValueError that says where an entry has a key too few, one too many, or a value of another kind."""
    place = f"companion/papers/{where}"
    if not isinstance(entry, dict):
        raise ValueError(f"{place}: must be an object with the keys {', '.join(needed)}, got {entry!r}")
    known = {**needed, **(may or {})}
    for key in needed:
        if key not in entry:
            raise ValueError(f"{place}: the key {key!r} is missing; needed are: {', '.join(needed)}")
    for key, value in entry.items():
        if key not in known:
            raise ValueError(f"{place}: unknown key {key!r}; known are: {', '.join(known)}")
        if wanted := known[key](value):
            raise ValueError(f"{place}: {key!r} must be {wanted}; got {value!r}")


def _entries(where: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"companion/papers/{where}: must be a list of objects, got {value!r}")
    return value


def _named(entry: Any, at: int) -> str:
    """Name an entry of a list for a message: by its id, else by its position."""
    return str(entry["id"]) if isinstance(entry, dict) and entry.get("id") else f"entry {at + 1}"


_CLAIM: dict[str, Check] = {
    "id": _text,
    "place": _text,
    "says": _text,
    "verdict": _one_of(VERDICTS),
    "condition": _text_or_empty,
    "shown_by": _list_of(_text),
}
_TABLE: dict[str, Check] = {"id": _text, "unit": _text, "metric": _text, "rows": _any}
_TABLE_MAY: dict[str, Check] = {"note": _text, "columns": _list_of(_text), "inference": _object}
_OURS: dict[str, Check] = {"experiment": _text, "baseline": _text, "better": _text}
_ERRORS_ROW: dict[str, Check] = {
    "dataset": _text,
    "model": _text,
    "baseline": _cell,
    "better": _cell,
    "reduction": _number,
    "ours": _or_null(_object),
}
_REDUCTIONS_ROW: dict[str, Check] = {"method": _text, "reduction": _list_of(_number), "ours": _or_null(_object)}
_CONTRAST: dict[str, Check] = {
    "id": _text,
    "source": _text,
    "experiment": _text,
    "data": _text,
    "model": _text,
    "better": _text,
    "baseline": _text,
    "effect": _number,
    "effect_basis": _one_of(("printed", "inference")),
    "n": _count,
    "family": _text,
}


def claims(paper: str) -> tuple[Claim, ...]:
    """Return the numbered claims of a paper with our verdicts.

    Args:
        paper: short name, ``"p_on"``.

    Raises:
        ValueError: there is no such paper, or an entry is malformed.

    Example:
        >>> [claim.verdict for claim in claims("p_on") if claim.place == "Lemma 2.2"]
        ['holds when']
    """
    found = []
    for at, entry in enumerate(_entries(f"claims.json, {paper}", _of("claims", paper))):
        _check(f"claims.json, {paper}, {_named(entry, at)}", entry, _CLAIM)
        found.append(Claim(**{**entry, "shown_by": tuple(entry["shown_by"])}))
    return tuple(found)


def tables(paper: str) -> tuple[Table, ...]:
    """Return the printed tables of a paper.

    Args:
        paper: short name, ``"p_on"``.

    Raises:
        ValueError: there is no such paper, or an entry is malformed.

    Example:
        >>> [table.id for table in tables("p_on")]
        ['Table 1', 'Table 2', 'Table 3']
    """
    where, entry = f"tables.json, {paper}", _of("tables", paper)
    _check(where, entry, {"paper": _text, "tables": _any}, {"arms": _object})
    listed = _entries(f"{where}, tables", entry["tables"])
    return tuple(_table(f"{where}, {_named(one, at)}", one) for at, one in enumerate(listed))


def table(paper: str, name: str) -> Table:
    """Return one printed table by its name.

    Args:
        paper: short name, ``"p_on"``.
        name: as printed, ``"Table 2"``.

    Raises:
        ValueError: there is no such paper or table, or an entry is malformed.

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


def _table(where: str, entry: Any) -> Table:
    _check(where, entry, _TABLE, _TABLE_MAY)
    columns = entry.get("columns", ())
    rows = _entries(f"{where}, rows", entry["rows"])
    return Table(
        id=entry["id"],
        metric=entry["metric"] + (f"; {columns[0]} is shown" if columns else ""),
        rows=tuple(_row(f"{where}, row {at + 1}", row, columns) for at, row in enumerate(rows)),
        note=entry.get("note", ""),
    )


def _row(where: str, row: Any, columns: Collection[str]) -> Row:
    _check(where, row, _REDUCTIONS_ROW if columns else _ERRORS_ROW, {"note": _text})
    if row["ours"] is not None:
        _check(f"{where}, ours", row["ours"], _OURS, {"setting": _text})
    note = row.get("note", "")
    if columns:
        if len(row["reduction"]) != len(columns):
            raise ValueError(
                f"companion/papers/{where}: 'reduction' must have one number for each of the columns "
                f"{', '.join(columns)}; got {row['reduction']!r}"
            )
        return Row(row["method"], None, None, row["reduction"][0], row["ours"], note)
    label, cells = f"{row['dataset']}, {row['model']}", (Cell(**row["baseline"]), Cell(**row["better"]))
    return Row(label, *cells, row["reduction"], row["ours"], note)


def contrasts(paper: str) -> tuple[Contrast, ...]:
    """Return the comparisons of a paper that were fixed before the runs.

    Args:
        paper: short name, ``"p_on"``.

    Raises:
        ValueError: there is no such paper, or an entry is malformed.

    Example:
        >>> all(contrast.effect > 0 for contrast in contrasts("p_on"))
        True
    """
    found = []
    for at, entry in enumerate(_entries(f"contrasts.json, {paper}", _of("contrasts", paper))):
        may = {"relative_reduction": _number, "note": _text}
        _check(f"contrasts.json, {paper}, {_named(entry, at)}", entry, _CONTRAST, may)
        found.append(Contrast(**{key: entry[key] for key in _CONTRAST}))
    return tuple(found)


def recipe(paper: str, experiment: str) -> dict[str, Any]:
    """Return how an experiment is trained: ``paper`` (what it states, and ``not stated``) and ``ours``.

    Args:
        paper: short name, ``"p_on"``.
        experiment: name of the experiment, ``"pon-mnist"``.

    Raises:
        ValueError: there is no such paper or experiment, or the entry is malformed.

    Example:
        >>> recipe("p_on", "pon-mnist")["paper"]["optimiser"]
        'SGD'
    """
    known = _of("recipes", paper)
    if experiment not in known:
        raise ValueError(f"no recipe {experiment!r} of {paper!r}; there are: {', '.join(known)}")
    where, entry = f"recipes.json, {paper}, {experiment}", known[experiment]
    _check(where, entry, {"paper": _object, "ours": _object})
    if wanted := _list_of(_text)(entry["paper"].get("not stated")):
        raise ValueError(f"companion/papers/{where}, paper: 'not stated' must be {wanted}")
    if _text(entry["ours"].get("search")):
        raise ValueError(f"companion/papers/{where}, ours: 'search' must say how the knobs were chosen")
    return entry


def relative_reduction(baseline: float, better: float) -> float:
    """Return by how much of itself an error falls, in percent: 100·(baseline − better)/baseline.

    Example:
        >>> round(relative_reduction(1.64, 1.14), 3)
        30.488
    """
    return 100.0 * (baseline - better) / baseline
