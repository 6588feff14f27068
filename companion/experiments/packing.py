"""Gather raw results into the one compact file that git and the wheel hold."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from companion import results
from companion.experiments.design import Control, Experiment, Graph, Setting
from companion.experiments.planning import Draw, Plan, Round, make_plan, score
from companion.experiments.registry import experiment
from companion.experiments.trainees import source_of
from companion.results.recorded import FORMAT
from companion.training.records import RunRecord, RunStore, plain, runs_folder, write_atomic

__all__ = ["pack", "packed", "recorded_runs"]

DIGITS = 6
CURVES = 5
"""Of so many seeds an arm keeps whole curves; of the others the last epoch."""

ALWAYS_WHOLE = ("test_error", "validation_error")
"""Curves that a stopping rule reads: with noisy labels they are kept of every seed."""


def recorded_runs(name: str, folder: str | Path | None = None) -> dict[str, dict[str, Any]]:
    """Return the runs that the packed file of an experiment holds, by key, in the form of raw results.

    What was packed away (logits but those of the first seed, curves of most seeds) is not in them.
    """
    packed = _read(_file(name, folder))
    return {key: {**run, "provenance": packed["provenance"][run["made"]]} for key, run in packed["runs"].items()}


def _file(name: str, folder: str | Path | None) -> Path:
    return Path(folder or Path(results.__file__).parent) / f"{name}.json"


def _read(path: Path) -> dict[str, Any]:
    return (
        json.loads(path.read_text(encoding="utf-8"))
        if path.exists()
        else {"profile": None, "provenance": [], "runs": {}}
    )


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
    chosen = experiment(name, profile)
    path = _file(name, target)
    old = _read(path)
    way_out = "pack into another folder (target, --target), or replace the file (force=True, --force)"
    if not force and old["runs"] and old["profile"] != profile:
        raise ValueError(
            f"profile must be {old['profile']!r}, that of the {len(old['runs'])} runs in {path}, got {profile!r}: {way_out}"
        )
    store = RunStore(runs_folder(folder) / name, recorded=recorded_runs(name, target))
    new = packed(name, chosen, profile, store, device=device)
    if not new["runs"]:
        at = runs_folder(folder) / name
        raise ValueError(
            f"{at} holds no run of {name!r} at the size {profile!r}; `companion run {name} --profile {profile}` makes them"
        )
    lost = set(old["runs"]) - set(new["runs"])
    if lost and not force:
        raise ValueError(
            f"{path} holds {len(lost)} runs that the experiment no longer asks for, and that would be lost: {way_out}"
        )
    write_atomic(path, (json.dumps(new, allow_nan=False, separators=(",", ":")) + "\n").encode())
    return path


def packed(name: str, chosen: Experiment, profile: str, store: RunStore, *, device: str = "cpu") -> dict[str, Any]:
    """Return the packed form of an experiment: its settings, its runs by key, what is missing, and where it was made.

    Args:
        name: of the experiment.
        chosen: the experiment at its size.
        profile: name of that size.
        store: results.
        device: where the data is read to.
    """
    file: dict[str, Any] = {
        "format": FORMAT,
        "experiment": name,
        "profile": profile,
        "packed": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "missing": [],
        "provenance": [],
        "settings": {},
        "runs": {},
    }
    runs = _Runs(store)
    for setting in chosen.settings:
        source = source_of(setting.data, device)
        plan = make_plan(chosen, setting, source, store)
        file["missing"] += _missing(plan, store)
        first = plan.draws[0]
        controls = {control.name: control for control in chosen.controls}
        file["settings"][setting.name] = {
            "classes": source.classes,
            "logit_labels": source.logit_labels(chosen.seeds[0]).tolist(),
            **_rows(setting),
            "noisy": setting.noisy,
            "arms": {arm.name: _arm(plan, first, arm.name, store) for arm in chosen.arms},
            "controls": {name: _control(plan, first, control, store) for name, control in controls.items()},
            "rounds": [_round(one) for one in first.rounds],
            "draws": [{arm.name: _arm(plan, draw, arm.name, store) for arm in chosen.arms} for draw in plan.draws[1:]],
        }
        for draw in plan.draws:
            for one in draw.rounds:
                runs.add((r for points in one.records.values() for records in points for r in records), search=True)
            for records in draw.final.values():
                runs.add(records, search=False, noisy=setting.noisy)
    file["provenance"], file["runs"] = runs.provenance(), runs.by_key
    return plain(file)


def _rows(setting: Setting) -> dict[str, Any]:
    """Say which rows a run is tested on: the same for all seeds, or each seed's own split."""
    if isinstance(setting.data, Graph):
        train, _, test = setting.data.ratios
        return {"rows": "split", "test_share": test / train}
    return {"rows": "fixed"}


def _arm(plan: Plan, draw: Draw, arm: str, store: RunStore) -> dict[str, Any]:
    """Return what the file says of an arm: its search, its record, and the keys of its final runs."""
    last, search = draw.rounds[-1], []
    for index, (point, records) in enumerate(zip(last.points[arm], last.records[arm], strict=True)):
        if all(store.has(record.key) for record in records):
            error, loss = score(records, store)
            keys = [record.key for record in records]
            search.append(
                {**point, "error": _short(error), "loss": _short(loss), "chosen": last.best[arm] == index, "keys": keys}
            )
    return {"search": search, **_final(draw.final[arm], store)}


def _control(plan: Plan, draw: Draw, control: Control, store: RunStore) -> dict[str, Any]:
    said = {"arm": control.arm, "rate_of": control.rate_of, "point_of": control.point_of, "keep": control.keep}
    return {**said, "search": [], **_final(draw.final[control.name], store)}


def _final(records: Sequence[RunRecord], store: RunStore) -> dict[str, Any]:
    done = [record for record in records if store.has(record.key)]
    record = records[0].to_dict() if records else None
    if record is not None:
        record.pop("seed")
    return {"record": record, "seeds": [r.seed for r in done], "keys": [r.key for r in done]}


def _round(one: Round) -> dict[str, Any]:
    return {"lr": [one.lr.low, one.lr.high], "edge": dict(one.edge)}


def _missing(plan: Plan, store: RunStore) -> list[dict[str, Any]]:
    """Return what the experiment asks for and the store lacks: setting, arm, draw, stage, and seeds or a number of runs."""
    missing, asked = [], len(plan.experiment.seeds)
    for index, draw in enumerate(plan.draws):
        last = draw.rounds[-1]
        for name, records in draw.final.items():
            entry = {"setting": plan.setting.name, "arm": name, "draw": index}
            searched = [record for point in last.records.get(name, []) for record in point]
            absent = sum(not store.has(record.key) for record in searched)
            seeds = [record.seed for record in records if not store.has(record.key)]
            if absent:
                missing.append({**entry, "stage": "search", "runs": absent, "then": asked})
            elif not records:
                missing.append({**entry, "stage": "waiting", "runs": asked})
            elif seeds:
                missing.append({**entry, "stage": "final", "runs": len(seeds), "seeds": seeds})
    return missing


class _Runs:
    """The runs of a file by key, thinned, and where they were made, said once."""

    def __init__(self, store: RunStore) -> None:
        self.store, self.by_key = store, {}
        self._made: dict[str, dict[str, Any]] = {}

    def add(self, records: Iterable[RunRecord], *, search: bool, noisy: bool = False) -> None:
        """Add those of the records that are there; of final runs the first keeps its logits, the first few their curves."""
        for index, record in enumerate(records):
            if record.key in self.by_key or not self.store.has(record.key):
                continue
            raw = self.store.load(record.key)
            whole = not search and index < CURVES
            kept = [] if search else [name for name in ALWAYS_WHOLE if noisy]
            metrics = {
                name: [_short(value) for value in (row if whole or search or name in kept else row[-1:])]
                for name, row in raw["metrics"].items()
            }
            thin = {"epochs": raw["epochs"], "metrics": metrics, "seconds": _short(raw["seconds"]), "seed": record.seed}
            if not search:
                last = str(raw["epochs"][-1])
                logits = {last: raw["logits"][last]} if index == 0 and last in raw.get("logits", {}) else {}
                thin |= {"correct": raw["correct"], "rows": raw["rows"], "logits": logits}
            self.by_key[record.key] = {**thin, "made": self._place(raw["provenance"], thin["seconds"])}

    def _place(self, made: Mapping[str, Any], seconds: float) -> int:
        """Return the index of a run's provenance among the distinct ones, and add the run to it."""
        said = {name: made[name] for name in ("device", "threads", "system", "python", "torch", "numpy", "commit")}
        entry = self._made.setdefault(
            json.dumps(said, sort_keys=True), {**said, "dates": [], "runs": 0, "seconds": 0.0}
        )
        entry["dates"] += made["dates"] if "dates" in made else [made["date"]]
        entry["dates"] = [min(entry["dates"]), max(entry["dates"])]
        entry["runs"], entry["seconds"] = entry["runs"] + 1, round(entry["seconds"] + seconds, 1)
        return list(self._made).index(json.dumps(said, sort_keys=True))

    def provenance(self) -> list[dict[str, Any]]:
        """Return the distinct places and versions with which the runs were made."""
        return list(self._made.values())


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
