"""One run of each of two arms on the device that is there: minutes, at stated values instead of searched ones."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from companion.experiments.design import Experiment, Setting
from companion.experiments.planning import Group
from companion.experiments.recording import build_objective, described, record_of
from companion.experiments.registry import profile_of
from companion.experiments.trainees import GraphSource, ImageSource, network_of
from companion.training.records import RunStore

__all__ = ["SoFar", "groups_here", "seconds_left", "setting_here", "size_here", "so_far"]

_SIZES = {"cuda": "gpu", "mps": "laptop", "cpu": "smoke"}


@dataclass(frozen=True)
class SoFar:
    """What there is of a run, finished or not.

    Attributes:
        epochs: those measured.
        errors: on the test rows after each of them, percent.
        seconds: of training and measuring.
    """

    epochs: tuple[int, ...] = ()
    errors: tuple[float, ...] = ()
    seconds: float = 0.0


def size_here(device: torch.device) -> str:
    """Return the profile that a device can bear, or what ``COMPANION_PROFILE`` says.

    Raises:
        ValueError: the variable names no profile.
    """
    return profile_of(os.environ.get("COMPANION_PROFILE") or _SIZES[device.type])


def setting_here(experiment: Experiment, size: str, device: torch.device) -> Setting:
    """Return the setting of a size; half precision that needs CUDA gives way to float32 elsewhere."""
    setting = experiment.here.sizes[size]
    return replace(setting, precision="float32") if setting.precision == "fp16" and device.type != "cuda" else setting


def groups_here(
    experiment: Experiment, setting: Setting, source: ImageSource | GraphSource, arms: Sequence[str]
) -> dict[str, Group]:
    """Return each arm's run, at the experiment's stated values and seed 0."""
    groups = {}
    for arm in map(experiment.arm, arms):
        stated: Mapping[str, Any] = {**experiment.here.knobs, **arm.fixed}
        knobs = {name: stated[name] for name in ("lr", *arm.knobs)}
        objective = described(build_objective(arm.build, knobs, network_of(setting, source, 0), source.classes))
        record = record_of(setting, arm, knobs, objective, checksum=source.checksum, seed=0)
        groups[arm.name] = Group(setting, arm, (record,), "final runs")
    return groups


def so_far(group: Group, store: RunStore) -> SoFar:
    """Return what the store holds of a run: its result, else its checkpoint, else nothing."""
    (record,) = group.records
    checkpoint = store.checkpoint(group.name)
    if store.has(record.key):
        raw = store.load(record.key)
        epochs, errors, seconds = raw["epochs"], raw["metrics"]["test_error"], raw["seconds"]
    elif checkpoint.exists():
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        epochs, seconds = saved["history"]["epochs"], saved["seconds"]
        errors = [run for (run,) in saved["history"]["metrics"].get("test_error", [])]
    else:
        return SoFar()
    return SoFar(tuple(epochs), tuple(errors), seconds)


def seconds_left(group: Group, source: ImageSource | GraphSource, epochs: int) -> float:
    """Return about how long so many epochs of a run take here, from a few steps that are taken and thrown away."""
    trainee = source.trainee(group.setting, group.arm, group.records, search=False)
    size = group.setting.batch_size
    per_row = trainee.time_steps(min(trainee.steps_per_epoch, 20 if source.device.type == "cuda" else 2)) / size
    measured = len(trainee.test) + len(trainee.probe_rows)
    return epochs * per_row * (len(trainee.train) + measured / 3)  # a step goes forward once and backward twice as long
