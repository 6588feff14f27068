"""The form of a paper's file: `problems(data)` says in words where a key is missing, unknown, or has a value of another kind."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from typing import Any

from companion import look, papers
from companion.page.strip import PLACES

Check = Callable[[Any], str | None]  # what is wanted instead, or nothing


def text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "text"


def number(value: Any) -> str | None:
    right = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return None if right else "a number"


def number_or_nan(value: Any) -> str | None:
    return None if isinstance(value, float) and math.isnan(value) else number(value)


def whole(least: int) -> Check:
    return lambda value: None if type(value) is int and value >= least else f"a whole number >= {least}"


def flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def cell(value: Any) -> str | None:
    named = isinstance(value, dict) and {"mean"} <= set(value) <= {"mean", "sd"}
    return None if named and not any(map(number, value.values())) else "numbers, { mean = …, sd = … } or { mean = … }"


def colour(value: Any) -> str | None:
    right = (
        isinstance(value, str) and len(value) == 7 and value[0] == "#" and not set(value[1:]) - set("0123456789abcdef")
    )
    return None if right else "a colour such as '#4661ba'"


def choice(value: Any) -> str | None:
    right = isinstance(value, dict) and set(value) == {"says", "comment"} and not any(map(text, value.values()))
    return None if right else "{ says = …, comment = … }"


def a_table(value: Any) -> str | None:
    return None if isinstance(value, dict) else "a table of keys"


def anything(_: Any) -> None:
    return None


def one_of(allowed: Collection[str]) -> Check:
    return lambda value: None if value in list(allowed) else f"one of: {', '.join(allowed)}"


def list_of(check: Check) -> Check:
    return lambda value: (
        None if isinstance(value, list) and not any(map(check, value)) else f"a list, each {check(None)}"
    )


PAPER = {"title": text, "authors": list_of(text), "cite": text}
PAPER_MAY = {"year": whole(1900), "relatives": list_of(text), "arms_of_tables": a_table}
PARTS = {  # needed, and what may be left out
    "chapter": ({"number": whole(0), "title": text}, {"written": flag, "exercises": whole(1)}),
    "method": ({"name": text, "short": text, "places": list_of(one_of(PLACES)), "does": text}, {}),
}
ARM = {"label": text, "dash": one_of(look.DASHES), "marker": text}
CLAIM = {"id": text, "place": text, "says": text, "verdict": one_of(papers.VERDICTS), "shown_by": list_of(text)}
CLAIM_MAY = {
    "condition": text,
    "outcome": text,
    "material": flag,
    "headline": text,
    "compared": anything,
    "curves": anything,
}
TABLE = {"id": text, "unit": text, "metric": text, "rows": anything}
TABLE_MAY = {"note": text, "columns": list_of(text), "inference": a_table}
OURS = {"experiment": text, "baseline": text, "better": text}
CURVES = {"experiment": text, "metric": text, "arms": list_of(text)}
OF_A_RECORD = {"setting": text, "before": text, "before_note": text}
ROW_MAY = {"ours": a_table, "note": text}
ROW_OF_ERRORS = {"dataset": text, "model": text, "baseline": cell, "better": cell}
GRID = {"id": text, "unit": text, "columns": list_of(text), "rows": anything}
GRID_ROW = {"method": text, "values": list_of(number_or_nan)}
ROW_OF_REDUCTIONS = {"method": text, "reduction": list_of(number)}
COMPARED = {
    "id": text,
    "experiment": text,
    "data": text,
    "model": text,
    "better": text,
    "baseline": text,
    "n": whole(2),
}
CONTRAST = {
    **COMPARED,
    "source": text,
    "effect": number,
    "effect_basis": one_of(("printed", "inference")),
    "family": text,
}
CONTRAST_MAY = {"relative_reduction": number, "note": text}
EXPLORATORY = {**COMPARED, "why": text}
QUESTION = {"text": text, "choices": list_of(choice), "right": whole(0)}
EXERCISE = {"key": text, "title": text, "level": one_of(papers.LEVELS), "minutes": whole(1), "points": whole(1)}
RECIPE = {"paper": a_table, "ours": a_table}


def problems(data: dict[str, Any]) -> list[str]:
    """Say what is wrong with a paper's file, one sentence each; an empty list says that nothing is."""
    single = dict.fromkeys((*PARTS, "colour"), a_table)
    lists = {
        "arms": anything,
        "claims": anything,
        "tables": anything,
        "grids": anything,
        "contrasts": anything,
        "exploratory": anything,
    }
    lists |= {"quiz": anything, "exercises": anything}
    may = {**PAPER_MAY, **lists, "knobs": a_table, "recipes": a_table}
    found = keys("", data, {**PAPER, **single, "arms": anything}, may)
    if found:
        return found
    for part, (needed, left_out) in PARTS.items():
        found += keys(part, data[part], needed, left_out)
    own = {"spare": one_of(look.SPARES)} if "spare" in data["colour"] else {"light": colour, "dark": colour}
    found += keys("colour", data["colour"], {"token": text, **own})
    found += [f"knobs: {name!r} must be text" for name, form in data.get("knobs", {}).items() if text(form)]
    found += entries("arms", data["arms"], ARM, {"colour": one_of(("muted",))})
    found += entries("claims", data.get("claims", []), CLAIM, CLAIM_MAY) or outcomes(data.get("claims", []))
    found += entries("contrasts", data.get("contrasts", []), CONTRAST, CONTRAST_MAY)
    found += entries("exploratory", data.get("exploratory", []), EXPLORATORY, {"added_after_results": flag})
    found += entries("tables", data.get("tables", []), TABLE, TABLE_MAY) or rows(data.get("tables", []))
    found += entries("grids", data.get("grids", []), GRID, {"note": text}) or grid_rows(data.get("grids", []))
    found += entries("quiz", data.get("quiz", []), QUESTION, {}) or right_choices(data.get("quiz", []))
    found += entries("exercises", data.get("exercises", []), EXERCISE, {})
    for name, recipe in data.get("recipes", {}).items():
        found += keys(f"recipes.{name}", recipe, RECIPE) or recipe_parts(f"recipes.{name}", recipe)
    return found


def keys(where: str, entry: Any, needed: dict[str, Check], may: dict[str, Check] | None = None) -> list[str]:
    """Say which keys an entry has too few or too many, and which values are of another kind."""
    lead = f"{where}: " if where else ""
    if not isinstance(entry, dict):
        return [f"{lead}must be a table with the keys {', '.join(needed)}, got {entry!r}"]
    known = {**needed, **(may or {})}
    missing = [
        f"{lead}the key {key!r} is missing; needed are: {', '.join(needed)}" for key in needed if key not in entry
    ]
    unknown = [f"{lead}unknown key {key!r}; known are: {', '.join(known)}" for key in entry if key not in known]
    right = {key: value for key, value in entry.items() if key in known}
    wrong = [f"{lead}{key!r} must be {said}; got {v!r}" for key, v in right.items() if (said := known[key](v))]
    return missing + unknown + wrong


def entries(where: str, listed: Any, needed: dict[str, Check], may: dict[str, Check]) -> list[str]:
    """Say what is wrong with each entry of a list, named by its id or label, else by its position."""
    if not isinstance(listed, list):
        return [f"{where}: must be a list, [[{where}]]; got {listed!r}"]
    found = []
    for at, entry in enumerate(listed, 1):
        name = (entry.get("id") or entry.get("label") or entry.get("key")) if isinstance(entry, dict) else None
        found += keys(f"{where}, {name or f'entry {at}'}", entry, needed, may)
    return found


def outcomes(claims: list[dict[str, Any]]) -> list[str]:
    """Say what is wrong with the runs that a claim's outcome is read from, or that a headline has no outcome."""
    found = []
    for claim in claims:
        for part, needed in (("compared", OURS), ("curves", CURVES)):
            found += entries(f"claims, {claim['id']}, {part}", claim.get(part, []), needed, OF_A_RECORD)
        asked = {int(place) for place in re.findall(r"\{(\d)\}", claim.get("headline", ""))}
        if asked - set(range(len(claim.get("compared", ())))):
            found.append(f"claims, {claim['id']}: the headline asks for a comparison that is not there")
    return found


def rows(tables: list[dict[str, Any]]) -> list[str]:
    """Say what is wrong with the rows of the printed tables."""
    found = []
    for table in tables:
        columns = table.get("columns")
        for at, row in enumerate(table["rows"], 1):
            where = f"{table['id']}, row {at}"
            may = ROW_MAY if columns else {**ROW_MAY, "reduction": number}
            wrong = keys(where, row, ROW_OF_REDUCTIONS if columns else ROW_OF_ERRORS, may)
            if not wrong and "ours" in row:
                wrong = keys(f"{where}, ours", row["ours"], OURS, {"setting": text})
            if not wrong and columns and len(row["reduction"]) != len(columns):
                wrong = [f"{where}: 'reduction' must have one number for each of the columns {', '.join(columns)}"]
            found += wrong
    return found


def grid_rows(grids: list[dict[str, Any]]) -> list[str]:
    """Say which row of a printed grid is malformed or has not one value for each column."""
    found = []
    for grid in grids:
        for at, row in enumerate(grid["rows"], 1):
            where = f"{grid['id']}, row {at}"
            found += (wrong := keys(where, row, GRID_ROW))
            if not wrong and len(row["values"]) != len(grid["columns"]):
                found.append(f"{where}: 'values' must have one number for each of {len(grid['columns'])} columns")
    return found


def right_choices(questions: list[dict[str, Any]]) -> list[str]:
    """Say which question has no right choice, or no wrong one."""
    return [
        f"quiz, entry {at}: 'right' must be one of at least two choices, from 0; got {question['right']}"
        for at, question in enumerate(questions, 1)
        if not question["right"] < len(question["choices"]) >= 2
    ]


def recipe_parts(where: str, recipe: dict[str, Any]) -> list[str]:
    """Say what every recipe must tell and this one does not."""
    stated = keys(f"{where}, paper", {"not stated": recipe["paper"].get("not stated")}, {"not stated": list_of(text)})
    return stated + keys(f"{where}, ours", {"search": recipe["ours"].get("search")}, {"search": text})
