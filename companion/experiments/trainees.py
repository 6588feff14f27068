"""From records to what trains them: the data of a setting on a device, its networks and objectives, one trainee a group."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from companion import models
from companion.data import load
from companion.data.human_labels import HumanLabels
from companion.experiments.design import Arm, Graph, Images, Setting
from companion.experiments.recording import build_objective
from companion.models.gnn import SparseGraph
from companion.training.graphs import GraphTrainee
from companion.training.images import ImageTrainee, Labelled
from companion.training.learner import Learner
from companion.training.records import RunRecord, fingerprint

__all__ = ["GraphSource", "ImageSource", "network_of", "source_of"]


def fixed_permutation(rows: int, name: str) -> Tensor:
    """Return a permutation of ``rows`` that depends on ``name`` alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return torch.from_numpy(np.random.Generator(np.random.PCG64(seed)).permutation(rows))


@lru_cache(maxsize=2)
def source_of(data: Images | Graph, device: str) -> ImageSource | GraphSource:
    """Return a setting's data on a device, read once a process."""
    return (ImageSource if isinstance(data, Images) else GraphSource)(data, torch.device(device))


def network_of(setting: Setting, source: ImageSource | GraphSource, seed: int) -> nn.Module:
    """Return a setting's network on the CPU, its weights drawn from the seed."""
    generator = torch.Generator().manual_seed(seed)
    options: dict[str, Any] = dict(setting.network.options)
    if isinstance(source, GraphSource):
        options |= {"num_features": source.graph.num_features, "generators": [generator]}
    else:
        options |= {"generator": generator}
    return models.build(setting.network.name, num_classes=source.classes, **options)


class ImageSource:
    """Images on a device, and the trainees that learn from them.

    Args:
        data: which, and what is done to them.
        device: where they live from now on.

    Attributes:
        checksum: of the images and labels as published, for records.
        classes: number of classes.
        test_labels: on the CPU.
    """

    def __init__(self, data: Images, device: torch.device) -> None:
        self.data, self.device = data, device
        train, test = (load(data.name, split, sample=data.sample) for split in ("train", "test"))
        self.checksum = fingerprint(train.inputs, train.labels, test.inputs, test.labels)
        self.classes, self.test_labels = len(train.classes), test.labels
        used = torch.arange(len(train))
        if data.rows is not None:
            used = fixed_permutation(len(train), f"{data.name} rows")[: data.rows].sort().values
        self.used = used
        self.inputs, self.labels = train.normalised()[used].to(device), train.labels[used]
        self.test_inputs = test.normalised().to(device)
        order = fixed_permutation(len(used), f"{data.name} validation split")
        self.held_out, self.kept = (rows.sort().values for rows in order.tensor_split([data.validation_rows]))

    def noisy_labels(self, seed: int) -> Tensor:
        """Return the training labels with a seed's noise, (N,), on the CPU; without noise the labels themselves."""
        if self.data.noise is None:
            return self.labels
        if isinstance(self.data.noise, HumanLabels):
            return self.data.noise.draw(self.labels, self.classes, rows=self.used).labels
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, 71]).generate_state(1)[0]))
        return self.data.noise.draw(self.labels, self.classes, generator=generator).labels

    def parts(self, seeds: Sequence[int], *, search: bool) -> tuple[Labelled, Labelled, Labelled | None]:
        """Return the rows to train on, to judge by, and (final runs with noise) the equally noisy rows held out.

        A search is judged on the held-out rows and their labels as they are, noise included: a practitioner has no others.
        """
        true = self.labels.expand(len(seeds), -1)
        given = torch.stack([self.noisy_labels(seed) for seed in seeds])
        noisy = self.data.noise is not None
        if (search or noisy) and not len(self.kept):
            raise ValueError(
                f"validation_rows must leave some of {len(self.labels)} rows to train on, got {self.data.validation_rows}"
            )

        def labelled(rows: Tensor) -> Labelled:
            kept = [labels[:, rows].to(self.device) for labels in (given, true)]
            whole = len(rows) == len(self.labels)
            inputs = self.inputs if whole else self._rows(rows, search or noisy)
            return Labelled(inputs, kept[0], kept[1] if noisy else None)

        test = Labelled(self.test_inputs, self.test_labels.to(self.device).expand(len(seeds), -1))
        if search:
            return labelled(self.kept), labelled(self.held_out), None
        if noisy:
            return labelled(self.kept), test, labelled(self.held_out)
        return labelled(torch.arange(len(self.labels))), test, None

    def _rows(self, rows: Tensor, keep: bool) -> Tensor:
        """Return the inputs of rows; the two parts that every search run uses are copied once."""
        cache = self.__dict__.setdefault("_parts", {})
        name = len(rows)
        if name not in cache:
            cache[name] = self.inputs[rows.to(self.device)]
        return cache[name]

    def trainee(
        self, setting: Setting, arm: Arm, records: Sequence[RunRecord], *, search: bool, keep_logits: bool = False
    ) -> ImageTrainee:
        """Return the networks of records that differ in their seeds alone, ready to train."""
        seeds = [record.seed for record in records]
        train, test, validation = self.parts(seeds, search=search)
        knobs = records[0].knobs
        rows = fixed_permutation(len(train), f"{self.data.name} probe rows")[: self.data.probe_rows].sort().values
        return ImageTrainee(
            [_learner(setting, arm, record, self) for record in records],
            train,
            test,
            seeds=seeds,
            recipe=setting.recipe(),
            lr=knobs["lr"],
            weight_decay=knobs.get("weight_decay"),
            probe_rows=None if search else rows.to(self.device),
            validation=validation,
            keep_logits_at=(setting.epochs,) if keep_logits else (),
        )

    def logit_labels(self, seed: int) -> Tensor:
        """Return the labels of the test rows whose logits are kept."""
        return self.test_labels[:200]


class GraphSource:
    """One graph on a device, and the trainees that learn from it.

    Args:
        data: which, and how it is split.
        device: where it lives from now on.

    Attributes:
        checksum: of features, labels and edges as published, for records.
        classes: number of classes.
        graph: on the device.
    """

    def __init__(self, data: Graph, device: torch.device) -> None:
        self.data, self.device = data, device
        graph = load(data.name, sample=data.sample)
        self.checksum = fingerprint(graph.features, graph.labels, graph.edges)
        self.graph = SparseGraph.from_dense(graph.features, graph.edges).to(device)
        self.labels, self.classes = graph.labels, len(graph.classes)

    def split(self, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the training, validation and test nodes of a seed, each in ascending order."""
        nodes = len(self.labels)
        order = torch.from_numpy(np.random.Generator(np.random.PCG64([seed, 62])).permutation(nodes))
        train, validation = (round(ratio * nodes) for ratio in self.data.ratios[:2])
        return tuple(part.sort().values for part in order.tensor_split([train, train + validation]))

    def trainee(
        self, setting: Setting, arm: Arm, records: Sequence[RunRecord], *, search: bool, keep_logits: bool = False
    ) -> GraphTrainee:
        """Return the networks of records that differ in their seeds alone, ready to train."""
        splits = [self.split(record.seed) for record in records]
        knobs = records[0].knobs
        return GraphTrainee(
            [_learner(setting, arm, record, self) for record in records],
            self.graph,
            self.labels.to(self.device),
            train_rows=torch.stack([split[0] for split in splits]).to(self.device),
            test_rows=torch.stack([split[1 if search else 2] for split in splits]).to(self.device),
            seeds=[record.seed for record in records],
            recipe=setting.recipe(),
            lr=knobs["lr"],
            weight_decay=knobs.get("weight_decay"),
            full=not search,
            keep_logits_at=(setting.epochs,) if keep_logits else (),
        )

    def logit_labels(self, seed: int) -> Tensor:
        """Return the labels of the test nodes whose logits are kept."""
        return self.labels[self.split(seed)[2][:200]]


def _learner(setting: Setting, arm: Arm, record: RunRecord, source: ImageSource | GraphSource) -> Learner:
    network = network_of(setting, source, record.seed)
    objective = build_objective(arm.build, record.knobs, network, source.classes, seed=record.seed)
    return Learner(network, objective, precision=setting.precision).to(source.device)
