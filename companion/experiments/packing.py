"""Gather raw results into the one compact file that git and the wheel hold."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from companion import results
from companion.experiments.recipes import Recipe
from companion.experiments.runners import runner_for
from companion.experiments.running import Plan, make_plan, recipes, runs_folder, search_score
from companion.results.recorded import FORMAT
from companion.training.records import RunStore, plain, write_atomic

_DIGITS = 6
_COLUMNS = ("epochs", "metrics", "correct", "rows", "logits", "provenance", "seconds")


def recorded_runs(name: str, folder: str | Path | None = None) -> dict[str, dict[str, Any]]:
    """Return the runs that the packed file of an experiment holds, by key, in the form of raw results.

    What was packed away (logits but those of the first seed, the metrics of search runs but the last) is not in them.
    """
    return _packed(_file(name, folder))["runs"]


def _file(name: str, folder: str | Path | None) -> Path:
    return Path(folder or Path(results.__file__).parent) / f"{name}.json"


def _packed(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"profile": None, "runs": {}}


def pack(
    name: str,
    profile: str = "laptop",
    *,
    folder: str | Path | None = None,
    target: str | Path | None = None,
    device: str = "cpu",
    force: bool = False,
) -> Path:
    """Write ``<target>/<name>.json`` from raw results and from what the packed file already holds; return its path.

    Runs that are missing are named in the file, which is then marked as partial.

    Args:
        name: which experiment.
        profile: at which size.
        folder: of raw results, by default ``runs``.
        target: folder to write to, by default the package's own ``results``.
        device: where the data is read to (nothing is trained).
        force: replace a file of another profile, or one whose runs would not all be kept.

    Raises:
        ValueError: unknown name or profile, no run to pack, or the file that is there holds what would be lost.
    """
    settings = recipes(name, profile)
    path = _file(name, target)
    old = _packed(path)
    way_out = "pack into another folder (target, --target), or replace the file (force=True, --force)"
    if not force and old["runs"] and old["profile"] != profile:
        raise ValueError(
            f"profile must be {old['profile']!r}, that of the {len(old['runs'])} runs in {path}, got {profile!r}: {way_out}"
        )
    store = RunStore(runs_folder(folder) / name, recorded=old["runs"])
    packed = pack_settings(name, settings, store, device=device)
    if not packed["runs"]:
        at = runs_folder(folder) / name
        raise ValueError(
            f"{at} holds no run of {name!r} at the size {profile!r}; `companion run {name} --profile {profile}` makes them"
        )
    lost = set(old["runs"]) - set(packed["runs"])
    if lost and not force:
        raise ValueError(
            f"{path} holds {len(lost)} runs that the recipe no longer asks for, and that would be lost: {way_out}"
        )
    write_atomic(path, (json.dumps(plain(packed), allow_nan=False, separators=(",", ":")) + "\n").encode())
    return path


def pack_settings(name: str, settings: Sequence[Recipe], store: RunStore, *, device: str = "cpu") -> dict[str, Any]:
    """Return the packed form of an experiment: its settings, its runs by key, what is missing, and where it was made."""
    packed: dict[str, Any] = {
        "format": FORMAT,
        "experiment": name,
        "profile": settings[0].profile,
        "packed": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "missing": [],
        "provenance": {},
        "settings": {},
        "runs": {},
    }
    for recipe in settings:
        runner = runner_for(recipe, device)
        plan = make_plan(recipe, runner.checksum, store)
        packed["missing"] += _missing(recipe, plan, store)
        packed["settings"][recipe.setting] = {
            "classes": runner.classes,
            "logit_labels": runner.logit_labels(recipe.seeds[0]).tolist(),
            "neutral": dict(recipe.neutral),
            "arms": {arm: _arm(recipe, arm, plan, store) for arm in recipe.arms},
            "controls": {arm: _arm(recipe, arm, plan, store) for arm in recipe.controls},
        }
        for arm in (*recipe.arms, *recipe.controls):
            for records in plan.search.get(arm, []):
                packed["runs"].update(
                    {r.key: _thin(store.load(r.key), search=True) for r in records if store.has(r.key)}
                )
            for index, record in enumerate(plan.final[arm]):
                if store.has(record.key):
                    packed["runs"][record.key] = _thin(store.load(record.key), search=False, logits=index == 0)
    packed["provenance"] = _provenance(list(packed["runs"].values()))
    return plain(packed)


def _arm(recipe: Recipe, arm: str, plan: Plan, store: RunStore) -> dict[str, Any]:
    """Return what the file says of an arm: its search, its record, and the keys of its final runs."""
    search = []
    for index, (point, records) in enumerate(zip(plan.points, plan.search.get(arm, []), strict=False)):
        if all(store.has(record.key) for record in records):
            error, loss = search_score(records, store)
            keys = [record.key for record in records]
            chosen = plan.chosen[arm] == index
            knobs = recipe.arm_knobs(arm, point)
            search.append({**knobs, "error": _round(error), "loss": _round(loss), "chosen": chosen, "keys": keys})
    done = [record for record in plan.final[arm] if store.has(record.key)]
    record = plan.final[arm][0].to_dict() if plan.final[arm] else None
    if record is not None:
        record.pop("seed")
    return {"search": search, "record": record, "seeds": [r.seed for r in done], "keys": [r.key for r in done]}


def _missing(recipe: Recipe, plan: Plan, store: RunStore) -> list[str]:
    """Return in words the runs that the recipe asks for and the store lacks."""
    missing = []
    for arm in (*recipe.arms, *recipe.controls):
        absent = sum(not store.has(record.key) for records in plan.search.get(arm, []) for record in records)
        if absent:
            missing.append(f"{recipe.setting}: {arm}: {absent} runs of the search, then {len(recipe.seeds)} final runs")
            continue
        if not plan.final[arm]:
            missing.append(f"{recipe.setting}: {arm}: {len(recipe.seeds)} runs, once its search point is chosen")
        seeds = [record.seed for record in plan.final[arm] if not store.has(record.key)]
        if seeds:
            missing.append(f"{recipe.setting}: {arm}: final runs of seeds {', '.join(map(str, seeds))}")
    return missing


def _thin(raw: Mapping[str, Any], *, search: bool, logits: bool = False) -> dict[str, Any]:
    """Return the part of a raw result that is packed, numbers rounded to six digits."""
    metrics = {name: [_round(value) for value in (row[-1:] if search else row)] for name, row in raw["metrics"].items()}
    thin = {
        "epochs": raw["epochs"][-1:] if search else raw["epochs"],
        "metrics": metrics,
        "seconds": _round(raw["seconds"]),
    }
    if not search:
        thin["correct"], thin["rows"] = raw["correct"], raw["rows"]
        thin["logits"] = raw["logits"] if logits else {}
    return {**thin, "seed": raw["seed"] if "seed" in raw else raw["record"]["seed"], "provenance": raw["provenance"]}


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def _provenance(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return where and when the runs were made, in sum."""
    made = sorted((run["provenance"] for run in runs), key=lambda entry: entry["date"])

    def distinct(name: str) -> list[Any]:
        return sorted({entry[name] for entry in made if entry[name] is not None})

    dates = distinct("date") if made else []
    return {
        "device": ", ".join(distinct("device")) if made else None,
        "threads": distinct("threads") if made else [],
        "versions": {name: ", ".join(distinct(name)) for name in ("python", "torch", "numpy", "system")}
        if made
        else {},
        "date": dates[-1] if dates else None,
        "dates": [dates[0], dates[-1]] if dates else [],
        "commit": made[-1]["commit"] if made else None,
        "commits": distinct("commit") if made else [],
        "runs": len(runs),
        "seconds": round(sum(run["seconds"] for run in runs), 1),
    }
