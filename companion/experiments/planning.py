"""What there is to run: search points, the choice among them, final runs and controls, as far as results decide them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from companion.experiments.design import Arm, Control, Experiment, Search, Setting
from companion.experiments.ranges import Log
from companion.experiments.recording import build_objective, described, record_of, searched
from companion.experiments.trainees import GraphSource, ImageSource, network_of
from companion.training.records import RunRecord, RunStore

__all__ = ["Draw", "Group", "Plan", "Round", "draw_points", "make_plan", "score"]

SCRAMBLINGS = 64
"""Scrambled Sobol sets tried, of which the one whose learning rates and knobs are least tied is taken."""


@dataclass(frozen=True)
class Group:
    """Runs that train together: one setting and arm, equal knobs, several seeds.

    Attributes:
        setting: as trained: a search has its own epochs.
        arm: whose builder.
        records: one a seed.
        stage: ``"search"``, ``"final runs"`` or ``"controls"``.
        keep: keys of the runs whose logits are kept.
    """

    setting: Setting
    arm: Arm
    records: tuple[RunRecord, ...]
    stage: str
    keep: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """What its checkpoint is called: the hash of its runs' keys."""
        return hashlib.sha256("".join(record.key for record in self.records).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Round:
    """One round of a search: all arms over one range of learning rates.

    Attributes:
        lr: that range.
        points: arm to its points, learning rate and knobs.
        records: arm to one list of records a point.
        best: arm to the index of its best point; ``None`` while runs are missing.
        edge: arm to ``"low"`` or ``"high"``, where its best learning rate is the lowest or highest drawn for it.
    """

    lr: Log
    points: Mapping[str, list[dict[str, Any]]]
    records: Mapping[str, list[list[RunRecord]]]
    best: Mapping[str, int | None]
    edge: Mapping[str, str]

    @property
    def over(self) -> bool:
        """Whether all runs are there."""
        return None not in self.best.values()


@dataclass(frozen=True)
class Draw:
    """One draw of a search, its rounds, what it chose and the final runs of that.

    Attributes:
        rounds: the last is the one that counts; the others had an arm's best at the edge of the learning rates.
        chosen: arm to learning rate and knobs; empty while the search is not over.
        final: arm (or control) to its records, one a seed.
    """

    rounds: tuple[Round, ...]
    chosen: Mapping[str, dict[str, Any]]
    final: Mapping[str, tuple[RunRecord, ...]]


@dataclass(frozen=True)
class Plan:
    """All runs of one setting, as far as results decide them.

    Attributes:
        experiment: at its size.
        setting: of the final runs.
        draws: of the search; controls belong to the first.
    """

    experiment: Experiment
    setting: Setting
    draws: tuple[Draw, ...]
    _arms: Mapping[str, Arm] = field(repr=False)

    def groups(self, stage: str) -> Iterator[tuple[Arm, str, tuple[RunRecord, ...]]]:
        """Yield (arm, stage, records of equal knobs) of a stage, in the order in which they are best trained."""
        controls = {control.name: control for control in self.experiment.controls}
        for draw in self.draws:
            if stage == "search":
                for arm, points in draw.rounds[-1].records.items():
                    for records in points:
                        yield self._arms[arm], stage, tuple(records)
                continue
            for name, records in draw.final.items():
                if (name in controls) == (stage == "controls"):
                    yield self._arms[controls[name].arm if name in controls else name], stage, records

    def missing(self, stage: str, store: RunStore) -> list[Group]:
        """Return what a stage lacks, in groups of ``stack`` seeds; the first seeds of all arms come first."""
        setting = self.setting
        chunks: list[tuple[int, Group]] = []
        seen: set[str] = set()
        for arm, _, records in self.groups(stage):
            if not records:  # they wait for a search
                continue
            absent = [r for r in records if not store.has(r.key) and r.key not in seen]
            seen.update(record.key for record in absent)
            trained = setting if stage != "search" else searched(setting, self.experiment.search)
            keep = frozenset() if stage == "search" else frozenset({records[0].key})
            for index, start in enumerate(range(0, len(absent), setting.stack)):
                part = tuple(absent[start : start + setting.stack])
                chunks.append((index, Group(trained, arm, part, stage, keep & {record.key for record in part})))
        return [group for _, group in sorted(chunks, key=lambda chunk: chunk[0])]


STAGES = ("search", "final runs", "controls")


def make_plan(experiment: Experiment, setting: Setting, source: ImageSource | GraphSource, store: RunStore) -> Plan:
    """Return a setting's runs, as far as the results in the store decide them.

    Args:
        experiment: at its size.
        setting: one of its settings.
        source: the setting's data.
        store: results.
    """
    recorder = _Recorder(setting, source)
    draws = []
    for index in range(experiment.search.draws):
        rounds = _rounds(experiment, setting, recorder, store, index)
        last = rounds[-1]
        chosen = {arm: last.points[arm][best] for arm, best in last.best.items() if last.over and best is not None}
        final = {
            arm.name: recorder.final(arm, chosen[arm.name], experiment.seeds) if chosen else ()
            for arm in experiment.arms
        }
        if index == 0:
            for control in experiment.controls:
                arm = experiment.arm(control.arm)
                knobs = control_knobs(control, arm, chosen) if chosen else None
                final[control.name] = recorder.final(arm, knobs, experiment.seeds) if knobs else ()
        draws.append(Draw(rounds, chosen, final))
    return Plan(experiment, setting, tuple(draws), {arm.name: arm for arm in experiment.arms})


def control_knobs(control: Control, arm: Arm, chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return learning rate and knobs of a control, from what the arms' searches chose.

    Args:
        control: which.
        arm: its arm.
        chosen: arm to learning rate and knobs.

    Example:
        >>> from companion import Objective
        >>> arm = Arm("method", Objective, weight_decay=Log(1e-4, 1e-2))
        >>> chosen = {"method": {"lr": 0.1, "weight_decay": 1e-3}, "plain": {"lr": 0.3}}
        >>> control_knobs(Control("method at plain's rate", "method", rate_of="plain"), arm, chosen)
        {'lr': 0.3, 'weight_decay': 0.001}
    """
    knobs = dict(chosen[control.arm])
    if control.rate_of is not None:
        knobs["lr"] = chosen[control.rate_of]["lr"]
    if control.point_of is not None:
        knobs |= {name: value for name, value in chosen[control.point_of].items() if name in knobs}
    if control.keep is not None:
        knobs = {name: value for name, value in knobs.items() if name not in arm.searched or name in control.keep}
    return knobs


def score(records: Sequence[RunRecord], store: RunStore) -> tuple[float, float]:
    """Return a point's validation error and loss, means over its seeds and over the epochs that were measured.

    A search is measured at the epochs of its score alone. What is not a number counts as infinite.
    """
    metrics = [store.load(record.key)["metrics"] for record in records]
    means = []
    for name in ("test_error", "test_loss"):
        values = [math.inf if value is None else value for run in metrics for value in run[name]]
        means.append(sum(values) / len(values))
    return tuple(means)


def draw_points(arm: Arm, lr: Log, search: Search, seed: int) -> list[dict[str, Any]]:
    """Return an arm's search points: learning rate and knobs.

    Of `SCRAMBLINGS` scrambled Sobol sets that one is taken whose largest rank correlation between two of its coordinates is
    smallest: no knob is tied to the learning rate or to another.

    Args:
        arm: gives the knobs.
        lr: range of the learning rate.
        search: how many points.
        seed: fixes them.
    """
    ranges = {"lr": lr, **{name: arm.knobs[name] for name in arm.searched}}
    sets = [
        torch.quasirandom.SobolEngine(len(ranges), scramble=True, seed=seed + index)
        .draw(search.points)
        .double()
        .numpy()
        for index in range(SCRAMBLINGS if len(ranges) > 1 and search.points > 2 else 1)
    ]
    rows = min(sets, key=largest_tie)
    return [
        {name: span.at(float(share)) for (name, span), share in zip(ranges.items(), row, strict=True)} | arm.fixed
        for row in rows
    ]


def largest_tie(rows: np.ndarray) -> float:
    """Return the largest absolute rank correlation between two columns, 0 for a single one."""
    if rows.shape[1] < 2 or len(rows) < 3:
        return 0.0
    ranks = rows.argsort(0).argsort(0)
    return float(np.abs(np.corrcoef(ranks.T) - np.eye(rows.shape[1])).max())


def shared_points(experiment: Experiment, lr: Log, seed: int = 2026) -> dict[str, list[dict[str, Any]]]:
    """Return the points of the first recording: one list for all arms, each reading off the coordinates it has."""
    spans = {"lr": lr}
    for arm in experiment.arms:
        spans |= {name: arm.knobs[name] for name in arm.searched if name not in spans}
    sobol = torch.quasirandom.SobolEngine(len(spans), scramble=True, seed=seed)
    rows = sobol.draw(experiment.search.points).double().tolist()
    points = [{name: span.at(share) for (name, span), share in zip(spans.items(), row, strict=True)} for row in rows]
    return {
        arm.name: [{name: point[name] for name in ("lr", *arm.searched)} | arm.fixed for point in points]
        for arm in experiment.arms
    }


class _Recorder:
    """Records of one setting; the objective of equal knobs is described once."""

    def __init__(self, setting: Setting, source: ImageSource | GraphSource) -> None:
        self.setting, self.source = setting, source
        self._network: Any = None
        self._said: dict[str, Any] = {}

    def _objective(self, arm: Arm, knobs: Mapping[str, Any]) -> Any:
        name = f"{arm.builder} {sorted(knobs.items())!r}"
        if name not in self._said:
            if self._network is None:
                self._network = network_of(self.setting, self.source, 0)
            self._said[name] = described(build_objective(arm.build, knobs, self._network, self.source.classes))
        return self._said[name]

    def searched(self, arm: Arm, knobs: Mapping[str, Any], search: Search) -> list[RunRecord]:
        return [
            record_of(
                self.setting,
                arm,
                knobs,
                self._objective(arm, knobs),
                checksum=self.source.checksum,
                seed=seed,
                search=search,
            )
            for seed in search.seeds
        ]

    def final(self, arm: Arm, knobs: Mapping[str, Any], seeds: Sequence[int]) -> tuple[RunRecord, ...]:
        said = self._objective(arm, knobs)
        return tuple(
            record_of(self.setting, arm, knobs, said, checksum=self.source.checksum, seed=seed) for seed in seeds
        )


def _rounds(
    experiment: Experiment, setting: Setting, recorder: _Recorder, store: RunStore, draw: int
) -> tuple[Round, ...]:
    """Return the rounds of one draw: while an arm's best learning rate is an outermost one, the range moves for all."""
    search, lr, rounds = experiment.search, setting.lr, []
    for number in range(search.moves + 1):
        if search.shared:
            points = shared_points(experiment, lr)
        else:
            points = {
                arm.name: draw_points(arm, lr, search, _seed(setting.name, arm.name, draw, number))
                for arm in experiment.arms
            }
        records = {
            arm.name: [recorder.searched(arm, knobs, search) for knobs in points[arm.name]] for arm in experiment.arms
        }
        best, edge = {}, {}
        for arm, lists in records.items():
            best[arm] = None
            if all(store.has(record.key) for runs in lists for record in runs):
                scores = [score(runs, store) for runs in lists]
                best[arm] = scores.index(min(scores))
                rates = [point["lr"] for point in points[arm]]
                if rates[best[arm]] in (min(rates), max(rates)) and len(rates) > 2:
                    edge[arm] = "low" if rates[best[arm]] == min(rates) else "high"
        rounds.append(Round(lr, points, records, best, edge))
        if not rounds[-1].over or not edge:
            break
        lr = lr.moved(down="low" in edge.values(), up="high" in edge.values())
    return tuple(rounds)


def _seed(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "little")
