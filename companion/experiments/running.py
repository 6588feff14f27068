"""Search, choose, train: run what is missing of an experiment."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from companion._checks import check_choice
from companion._extras import require
from companion.experiments.recipes import Recipe, registered
from companion.experiments.runners import runner_for
from companion.training.records import RunRecord, RunStore


def names() -> tuple[str, ...]:
    """Return the names of the experiments."""
    return tuple(registered())


def recipes(name: str, profile: str | None = None) -> tuple[Recipe, ...]:
    """Return an experiment's recipes, one a setting; the profile defaults to ``COMPANION_PROFILE``, then ``smoke``.

    Raises:
        ValueError: unknown experiment or profile; the message lists what there is.
    """
    experiments = registered()
    check_choice("name", name, experiments)
    profile = profile or os.environ.get("COMPANION_PROFILE", "smoke")
    check_choice("profile", profile, experiments[name])
    return experiments[name][profile]


def runs_folder(folder: str | Path | None = None) -> Path:
    """Return where raw results go: ``folder``, else ``COMPANION_RUNS``, else ``runs`` in the current directory."""
    return Path(folder or os.environ.get("COMPANION_RUNS", "runs"))


@dataclass(frozen=True)
class Plan:
    """The records of one setting, by arm: of the search (point by seed) and, once it is over, of the final runs.

    Attributes:
        points: the search points, one list for all arms.
        search: arm to one list of records a point.
        chosen: arm to the index of its best point; ``None`` while its search lacks runs.
        final: arm (or control) to its records, one a seed; empty while nothing is chosen.
    """

    points: list[dict[str, float]]
    search: dict[str, list[list[RunRecord]]]
    chosen: dict[str, int | None]
    final: dict[str, list[RunRecord]]


def search_score(records: Sequence[RunRecord], store: RunStore) -> tuple[float, float]:
    """Return validation error and loss after the last epoch, averaged over the search seeds; a diverged loss is inf."""
    metrics = [store.load(record.key)["metrics"] for record in records]
    errors, losses = ([row[name][-1] for row in metrics] for name in ("test_error", "test_loss"))
    return sum(errors) / len(errors), math.inf if None in losses else sum(losses) / len(losses)


def make_plan(recipe: Recipe, checksum: str, store: RunStore) -> Plan:
    """Return the setting's records, as far as the results in the store decide them."""
    points = recipe.space.draw()
    search, chosen, final = {}, {}, {}
    for arm in recipe.arms:
        knobs = [recipe.arm_knobs(arm, point) for point in points]
        search[arm] = [
            [recipe.record(k, checksum=checksum, seed=seed, search=True) for seed in recipe.search_seeds] for k in knobs
        ]
        if all(store.has(record.key) for records in search[arm] for record in records):
            scores = [search_score(records, store) for records in search[arm]]
            chosen[arm] = scores.index(min(scores))
            best = knobs[chosen[arm]]
            final[arm] = [recipe.record(best, checksum=checksum, seed=seed, search=False) for seed in recipe.seeds]
        else:
            chosen[arm], final[arm] = None, []
    for control in recipe.controls:
        knobs = recipe.control_knobs(control, points, chosen)
        final[control] = (
            [recipe.record(knobs, checksum=checksum, seed=seed, search=False) for seed in recipe.seeds] if knobs else []
        )
    return Plan(points, search, chosen, final)


def run(
    name: str,
    profile: str | None = None,
    workers: int = 1,
    *,
    folder: str | Path | None = None,
    device: str | torch.device | None = None,
    fresh: bool = False,
    verbose: bool = True,
) -> Any:
    """Train what is missing of an experiment and return its results.

    Killed at any moment it loses at most the last seconds: the next call takes up the checkpoints of the runs in flight.

    Args:
        name: for example ``"pon-mnist"``.
        profile: ``"smoke"`` (seconds, samples that ship with the package), ``"laptop"`` (the whole recipe on one or two
            processor cores: hours) or ``"gpu"``; default ``COMPANION_PROFILE``, then ``smoke``.
        workers: processes that train at once; more than one needs joblib, whose backend may be a cluster.
        folder: of raw results, by default ``runs``.
        device: by default the CPU, and for the profile ``gpu`` what :func:`companion.device` finds.
        fresh: train also what the package's recorded results already hold.
        verbose: print a line with the time left after every run.

    Returns:
        :class:`companion.results.Results`.

    Raises:
        ValueError: unknown name or profile, or ``workers`` below 1.

    Example:
        >>> from companion import experiments
        >>> runs = experiments.run("pon-graphs", "smoke")  # doctest: +SKIP
    """
    from companion.experiments.packing import pack_settings, recorded_runs
    from companion.results import Results

    if workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    settings = recipes(name, profile)
    store = RunStore(runs_folder(folder) / name, recorded={} if fresh else recorded_runs(name))
    device = _device(settings[0].profile, device)
    for recipe in settings:
        checksum = runner_for(recipe, device).checksum
        for stage in ("search", "final runs", "controls"):
            plan = make_plan(recipe, checksum, store)
            _execute(recipe, plan, store, stage=stage, workers=workers, device=device, verbose=verbose)
    return Results(pack_settings(name, settings, store, device=device))


def _device(profile: str, device: str | torch.device | None) -> str:
    if device is None and profile == "gpu":
        from companion import device as find

        return str(find())
    return str(device or "cpu")


def _execute(
    recipe: Recipe, plan: Plan, store: RunStore, *, stage: str, workers: int, device: str, verbose: bool
) -> None:
    """Train the records of a stage that the store lacks, seed after seed, in stacks, on ``workers`` processes."""
    search = stage == "search"
    if search:
        wanted = [record for lists in plan.search.values() for records in lists for record in records]
    else:
        arms = [records for arm, records in plan.final.items() if (arm in recipe.controls) == (stage == "controls")]
        wanted = [records[index] for index, records in product(range(len(recipe.seeds)), arms)]
    missing = list({record.key: record for record in wanted if not store.has(record.key)}.values())
    stacks = [missing[start : start + recipe.stack] for start in range(0, len(missing), recipe.stack)]
    if verbose and not missing:
        print(f"{recipe.setting}, {stage}: all {len(wanted)} runs are there", flush=True)
    report = _Progress(f"{recipe.setting}, {stage}", len(stacks)) if verbose else None
    keep = () if search else tuple(records[0].key for records in plan.final.values())
    if workers == 1:
        done = (_train(recipe, stack, store.folder, search, keep, device) for stack in stacks)
    else:
        joblib = require("joblib", extra="experiments")
        parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
        done = parallel(
            joblib.delayed(_train)(recipe, stack, store.folder, search, keep, device, 1) for stack in stacks
        )
    for text in done:
        if report is not None:
            report.step(text)


def _train(
    recipe: Recipe,
    records: Sequence[RunRecord],
    folder: Path,
    search: bool,
    keep: Sequence[str],
    device: str,
    threads: int | None = None,
) -> str:
    if threads is not None:
        torch.set_num_threads(threads)
    store = RunStore(folder)
    runner_for(recipe, device).train(records, store, search=search, keep=keep)
    last = store.load(records[-1].key)
    knobs = {**records[-1].objective, **records[-1].optimiser}
    return f"seed {records[-1].seed} {knobs} error {last['metrics']['test_error'][-1]:.3f} in {last['seconds']:.0f} s"


class _Progress:
    """Print a line a step: how many are done and how long the rest may take."""

    def __init__(self, title: str, steps: int) -> None:
        self.title, self.steps, self.done, self.start = title, steps, 0, time.monotonic()

    def step(self, text: str) -> None:
        """Count one step and print."""
        self.done += 1
        left = (time.monotonic() - self.start) / self.done * (self.steps - self.done)
        print(
            f"{time.strftime('%H:%M:%S')} {self.title} {self.done}/{self.steps}, {left / 60:.1f} min left: {text}",
            flush=True,
        )
