"""Search, choose, train: run what is missing of an experiment."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion._extras import require
from companion.experiments.packing import packed, recorded_runs
from companion.experiments.planning import STAGES, Group, make_plan
from companion.experiments.registry import experiment, profile_of
from companion.experiments.trainees import source_of
from companion.results import Results
from companion.training.loop import Trainee, fit
from companion.training.provenance import provenance
from companion.training.records import RunStore, runs_folder

__all__ = ["run", "store_of", "train_group"]


def run(
    name: str,
    profile: str | None = None,
    workers: int = 1,
    *,
    folder: str | Path | None = None,
    device: str | torch.device | None = None,
    fresh: bool = False,
    verbose: bool = True,
    checkpoint_every: float = 20.0,
) -> Results:
    """Train what is missing of an experiment and return its results.

    Killed at any moment it loses at most the last seconds: the next call takes up the checkpoints of the runs in flight.

    Args:
        name: for example ``"pon-mnist"``.
        profile: ``"smoke"`` (seconds, samples that ship with the package), ``"laptop"`` (the whole experiment on one or two
            processor cores: hours) or ``"gpu"``; default ``COMPANION_PROFILE``, then ``smoke``.
        workers: processes that train at once; more than one needs joblib, whose backend may be a cluster
            (``joblib.parallel_config(backend="ray")``).
        folder: of raw results, by default ``runs``.
        device: by default the CPU, and for the profile ``gpu`` what :func:`companion.device` finds.
        fresh: train also what the package's recorded results already hold.
        verbose: show progress with the time left.
        checkpoint_every: seconds between checkpoints.

    Returns:
        :class:`companion.results.Results`.

    Raises:
        ValueError: unknown name or profile, ``workers`` below 1, or a folder that cannot be written.
        KeyboardInterrupt: on Ctrl-C, after a line that says how to go on.

    Example:
        >>> from companion import experiments
        >>> runs = experiments.run("pon-graphs", "smoke")  # doctest: +SKIP
    """
    if workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    profile = profile_of(profile)
    chosen = experiment(name, profile)
    store = store_of(name, folder, fresh=fresh)
    store.check_writable()
    device = device_of(profile, device)
    try:
        for setting in chosen.settings:
            source = source_of(setting.data, device)
            for stage in STAGES:
                # A search may move its range and go on: until it lacks nothing.
                while groups := make_plan(chosen, setting, source, store).missing(stage, store):
                    _execute(groups, store, f"{setting.name}, {stage}", workers, device, verbose, checkpoint_every)
    except KeyboardInterrupt:
        if verbose:
            print(
                f"\nInterrupted. Nothing is lost: `companion run {name} --profile {profile}` goes on from here.",
                flush=True,
            )
        raise
    return Results(packed(name, chosen, profile, store, device=device))


def store_of(name: str, folder: str | Path | None = None, *, fresh: bool = False) -> RunStore:
    """Return the results of an experiment: raw ones in a folder, and unless ``fresh`` those that the package records."""
    return RunStore(runs_folder(folder) / name, recorded={} if fresh else recorded_runs(name))


def device_of(profile: str, device: str | torch.device | None) -> str:
    """Return where to train: what is asked for, else the CPU, and for the profile ``gpu`` what there is."""
    if device is None and profile == "gpu":
        from companion import device as find

        return str(find())
    return str(device or "cpu")


def _execute(
    groups: Sequence[Group],
    store: RunStore,
    title: str,
    workers: int,
    device: str,
    verbose: bool,
    checkpoint_every: float,
) -> None:
    """Train groups, one after the other or on ``workers`` processes, and show how far they are."""
    epochs = sum(group.setting.epochs for group in groups)
    with _Bar(title, epochs, verbose) as bar:
        if workers == 1:
            for group in groups:
                train_group(group, store.folder, device, checkpoint_every=checkpoint_every, on_epoch=bar.to)
                bar.group_done(group)
            return
        joblib = require("joblib", extra="experiments")
        streams = getattr(joblib.parallel.get_active_backend()[0], "supports_return_generator", False)
        left = {group.name: group for group in groups}

        def train_left() -> None:
            jobs = (
                joblib.delayed(train_group)(group, store.folder, device, checkpoint_every=checkpoint_every, threads=1)
                for group in list(left.values())
            )
            # A cluster refuses more workers than it has left, and may hand results back only when all are there.
            number = workers if streams else min(workers, joblib.effective_n_jobs(-1))
            how = "generator_unordered" if streams else "list"
            for group in joblib.Parallel(n_jobs=number, return_as=how)(jobs):
                left.pop(group.name, None)
                bar.group_done(group)

        retried(train_left, lost=_a_worker_died)


def retried(act: Callable[[], Any], *, lost: Callable[[Exception], bool], times: int = 3) -> Any:
    """Call a function again when workers were lost on the way: what they had finished is on disk, the rest is resumed.

    Args:
        act: what to call.
        lost: whether an error says that a worker was lost; any other error is raised at once.
        times: how often to try in all.
    """
    for attempt in range(1, times + 1):
        try:
            return act()
        except Exception as error:
            if attempt == times or not lost(error):
                raise
            time.sleep(1.0)  # a cluster needs a moment to see who is left
    return None


def _a_worker_died(error: Exception) -> bool:
    """Say whether an error of joblib's backend means that a process or a node is gone."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"TerminatedWorkerError", "BrokenProcessPool", "RayActorError", "ActorDiedError", "WorkerCrashedError",
                         "NodeDiedError", "OwnerDiedError", "KilledWorker"})  # fmt: skip


def train_group(
    group: Group,
    folder: Path,
    device: str,
    *,
    checkpoint_every: float = 20.0,
    threads: int | None = None,
    on_epoch: Callable[[int], None] | None = None,
) -> Group:
    """Train the runs of a group, save their raw results, and return the group.

    The results of a group appear all at once, so that runs which trained together are never torn apart by a kill.

    Args:
        group: what to train.
        folder: of raw results.
        device: where.
        checkpoint_every: seconds between checkpoints.
        threads: of torch, for a process of its own; ``None`` leaves them.
        on_epoch: called with each epoch done.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    store = RunStore(folder)
    if all(store.has(record.key) for record in group.records):  # another process was faster
        return group
    source = source_of(group.setting.data, device)
    search = group.stage == "search"
    trainee = source.trainee(group.setting, group.arm, group.records, search=search, keep_logits=bool(group.keep))
    checkpoint = store.checkpoint(group.name)
    measured = fit(
        trainee,
        group.setting.epochs,
        measure_at=group.setting.epochs_measured(),
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        on_epoch=on_epoch,
    )
    store.save_together(group.name, raw_results(group, trainee, measured, provenance(device)))
    checkpoint.unlink(missing_ok=True)
    return group


def raw_results(
    group: Group, trainee: Trainee, measured: Mapping[str, Any], made: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return what the raw files of a group's runs hold, by key."""
    results = {}
    for run, record in enumerate(group.records):
        correct = trainee.correct[run]
        logits = {
            name.split("/")[1]: values
            for name, values in trainee.kept.items()
            if name.split("/")[0] == str(run) and record.key in group.keep
        }
        results[record.key] = {
            "key": record.key,
            "record": record.to_dict(),
            "epochs": measured["epochs"],
            "metrics": {name: [row[run] for row in rows] for name, rows in measured["metrics"].items()},
            "seconds": measured["seconds"] / len(group.records),
            "stacked_with": len(group.records),
            "correct": base64.b64encode(np.packbits(correct.numpy()).tobytes()).decode(),
            "rows": len(correct),
            "logits": {epoch: _half(values) for epoch, values in logits.items()},
            "provenance": {**made, "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())},
        }
    return results


def _half(values: Tensor) -> str:
    return base64.b64encode(values.half().numpy().tobytes()).decode()


class _Bar:
    """Epochs done and time left, by tqdm: a bar in a notebook, a line in a terminal; nothing when not asked for."""

    def __init__(self, title: str, epochs: int, verbose: bool) -> None:
        self.bar, self.within, self.done = None, 0, 0
        if verbose:
            tqdm = require("tqdm.auto", extra="experiments").tqdm
            self.bar = tqdm(total=epochs, desc=title, unit="epoch", dynamic_ncols=True)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def to(self, epoch: int) -> None:
        """Say that the group in training has done so many epochs."""
        if self.bar is not None:
            self.bar.update(epoch - self.within)
        self.within = epoch

    def group_done(self, group: Group) -> None:
        """Say that a group is done."""
        if self.bar is not None:
            self.bar.update(group.setting.epochs - self.within)
            self.bar.set_postfix_str(f"{group.arm.name}, seed {group.records[-1].seed}")
        self.within = 0
