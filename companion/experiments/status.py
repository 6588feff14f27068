"""What is done of an experiment, what is missing, and how long the rest takes on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from companion.experiments.design import Setting
from companion.experiments.planning import STAGES, Group, Plan, make_plan
from companion.experiments.registry import experiment, profile_of
from companion.experiments.running import device_of, store_of
from companion.experiments.trainees import source_of
from companion.training.provenance import provenance
from companion.training.records import RunStore

__all__ = ["Progress", "status"]


@dataclass(frozen=True)
class Progress:
    """How far one stage of one setting is.

    Attributes:
        setting: its name.
        stage: ``"search"``, ``"final runs"`` or ``"controls"``.
        done: runs that are there.
        missing: runs that are not; of stages that wait for a search, the number that will be asked for.
        waiting: whether the stage waits for a search, so that its runs are not yet fixed.
        seconds: time that the missing ones take on this machine, on one process; ``None`` where it was not measured.
    """

    setting: str
    stage: str
    done: int
    missing: int
    waiting: bool
    seconds: float | None

    def __str__(self) -> str:
        total = self.done + self.missing
        left = (
            ""
            if not self.missing
            else ", time not measured"
            if self.seconds is None
            else f", about {said(self.seconds)} to go"
        )
        wait = ", once the search is over" if self.waiting else ""
        return f"{self.setting:28} {self.stage:11} {self.done:4} of {total}{left}{wait}"


def status(
    name: str,
    profile: str | None = None,
    *,
    folder: str | Path | None = None,
    device: str | torch.device | None = None,
    measure: bool = True,
) -> list[Progress]:
    """Return what is done and missing of an experiment, stage by stage, with the time the rest takes on this machine.

    Times come from raw results that this machine has written, else from steps that are measured now, a second or two a setting.

    Args:
        name: for example ``"pon-mnist"``.
        profile: size; default ``COMPANION_PROFILE``, then ``smoke``.
        folder: of raw results, by default ``runs``.
        device: as `run` would use.
        measure: measure steps where no result tells; without, such times are ``None``.

    Raises:
        ValueError: unknown name or profile.

    Example:
        >>> all(stage.missing == 0 for stage in status("pon-mnist", "smoke", measure=False))
        False
    """
    profile = profile_of(profile)
    chosen, device = experiment(name, profile), device_of(profile, device)
    store, found = store_of(name, folder), []
    for setting in chosen.settings:
        source = source_of(setting.data, device)
        plan = make_plan(chosen, setting, source, store)
        pace: float | None = None
        for stage in STAGES:
            groups = plan.missing(stage, store)
            asked, waiting = _asked(plan, stage)
            absent = sum(len(group.records) for group in groups)
            missing = waiting or absent
            if missing and pace is None:
                pace = _pace(setting, store, device, groups if measure else ())
            epochs = setting.epochs * waiting or sum(group.setting.epochs * len(group.records) for group in groups)
            seconds = None if pace is None else pace * epochs
            found.append(
                Progress(setting.name, stage, asked - absent, missing, bool(waiting), seconds if missing else 0.0)
            )
    return found


def _asked(plan: Plan, stage: str) -> tuple[int, int]:
    """Return how many runs a stage asks for by now, and how many it will ask for once its search is over."""
    asked = len({record.key for _, _, records in plan.groups(stage) for record in records})
    if stage == "search" or asked:
        return asked, 0
    arms = len(plan.experiment.controls) if stage == "controls" else len(plan.experiment.arms) * len(plan.draws)
    return 0, arms * len(plan.experiment.seeds)


def _pace(setting: Setting, store: RunStore, device: str, groups: Sequence[Group]) -> float | None:
    """Return the seconds that one epoch of one run takes here."""
    here = provenance(device)["device"]
    times = []
    for path in list(store.folder.glob("*.json"))[:200]:
        raw = store.load(path.stem)
        said = raw["record"]["setting"]
        same = said["data"]["name"] == setting.data.name and said["network"]["name"] == setting.network.name
        if same and raw["provenance"]["device"] == here and said["batch_size"] == setting.batch_size:
            times.append(raw["seconds"] / said["epochs"])
    if times:
        return sorted(times)[len(times) // 2]
    return _measured_pace(groups[0], device) if groups else None


def _measured_pace(group: Group, device: str) -> float:
    """Train a stack's first epoch for at most a few seconds and return the seconds of one epoch of one run."""
    trainee = source_of(group.setting.data, device).trainee(
        group.setting, group.arm, group.records, search=group.stage == "search"
    )
    steps = getattr(trainee, "steps_per_epoch", 1)
    trained = trainee.time_steps(min(steps, 20)) if steps > 1 else _timed(trainee)
    return trained * steps / len(group.records)


def _timed(trainee: object) -> float:
    trainee.train_epoch(1)  # the first meets cold caches
    start = time.perf_counter()
    for epoch in (1, 2, 3):
        trainee.train_epoch(epoch)
    return (time.perf_counter() - start) / 3


def said(seconds: float) -> str:
    """Write a duration: seconds, minutes or hours.

    Example:
        >>> said(45), said(600), said(9000)
        ('45 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
