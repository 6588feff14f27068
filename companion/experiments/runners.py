"""From records to raw results: data, network, training, one JSON file a run."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from companion.data import load
from companion.models.gnn import GAT, GCN, SparseGraph
from companion.training.graphs import GraphTrainee
from companion.training.images import ImageTrainee
from companion.training.loop import fit
from companion.training.provenance import provenance
from companion.training.records import RunRecord, RunStore, fingerprint

if TYPE_CHECKING:
    from companion.experiments.partial_output_norm import GraphRecipe
    from companion.experiments.recipes import ImageRecipe, Recipe


class Runner(Protocol):
    """The data of a recipe on a device, and what turns its records into raw results.

    Attributes:
        checksum: of the data, for records.
        classes: number of classes.
    """

    checksum: str
    classes: int

    def train(self, records: Sequence[RunRecord], store: RunStore, *, search: bool, keep: Collection[str] = ()) -> None:
        """Train the records and save their raw results; ``keep`` names the keys whose logits are kept."""

    def logit_labels(self, seed: int) -> Tensor:
        """Return the labels of the test rows whose logits are kept."""


@lru_cache(maxsize=2)
def runner_for(recipe: Recipe, device: str) -> Runner:
    """Return the runner of a recipe, its data read once a process."""
    return recipe.runner(torch.device(device))


def fixed_permutation(rows: int, name: str) -> Tensor:
    """Return a permutation of ``rows`` that depends on ``name`` alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return torch.from_numpy(np.random.Generator(np.random.PCG64(seed)).permutation(rows))


def _measure_at(recipe: Recipe, epochs: int, search: bool) -> set[int]:
    """Return the epochs to measure after; the last is always one, since what counts is measured there."""
    return {epochs} if search else {*recipe.measure_at, epochs}


class ImageRunner:
    """Images on a device, and what turns a record into a raw result.

    Attributes:
        checksum: of the data, for records.
        test_labels: labels of the test rows.
        classes: number of classes.
    """

    def __init__(self, recipe: ImageRecipe, device: torch.device) -> None:
        self.recipe, self.device, self.provenance = recipe, device, provenance(device)
        train, test = (load(recipe.dataset, split, sample=recipe.sample) for split in ("train", "test"))
        self.checksum = fingerprint(train.inputs, train.labels, test.inputs, test.labels)
        self.classes, self.test_labels = len(train.classes), test.labels
        self.data = {part.split: (part.normalised().to(device), part.labels.to(device)) for part in (train, test)}
        order = fixed_permutation(len(train), f"{recipe.dataset} validation split")
        held_out, kept = (rows.sort().values.to(device) for rows in order.tensor_split([recipe.validation_rows]))
        inputs, labels = self.data["train"]
        self.search_data = {"train": (inputs[kept], labels[kept]), "test": (inputs[held_out], labels[held_out])}
        self.probe_rows = (
            fixed_permutation(len(train), f"{recipe.dataset} probe rows")[: recipe.probe_rows].sort().values.to(device)
        )

    def train(self, records: Sequence[RunRecord], store: RunStore, *, search: bool, keep: Collection[str] = ()) -> None:
        """Train each record and save its raw result; ``keep`` names the keys whose logits are kept."""
        for record in records:
            self._train(record, store, search=search, keep=record.key in keep)

    def trainee(self, record: RunRecord, *, search: bool, keep: bool = False) -> ImageTrainee:
        """Return the network of a record, ready to train."""
        data = self.search_data if search else self.data
        network = self.recipe.build(record).to(self.device)
        return self.recipe.trainee(
            network,
            data["train"],
            data["test"],
            probe_rows=self.probe_rows[:0] if search else self.probe_rows,
            objective=self.recipe.objective(record.objective).to(self.device),
            optimiser=self.recipe.optimiser(network.parameters(), record),
            batch_size=record.schedule["batch_size"],
            seed=record.seed,
            keep_logits_at=self.recipe.keep_logits_at if keep else (),
        )

    def _train(self, record: RunRecord, store: RunStore, *, search: bool, keep: bool) -> None:
        trainee = self.trainee(record, search=search, keep=keep)
        epochs, checkpoint = record.schedule["epochs"], store.checkpoint(record.key)
        measured = fit(trainee, epochs, measure_at=_measure_at(self.recipe, epochs, search), checkpoint=checkpoint)
        metrics = {name: [row[0] for row in rows] for name, rows in measured["metrics"].items()}
        result = {**measured, "metrics": metrics, "stacked_with": 1}
        kept = {str(epoch): logits for epoch, logits in trainee.kept.items()}
        store.save(record.key, _raw(record, result, trainee.correct, kept, self.provenance))
        checkpoint.unlink(missing_ok=True)

    def logit_labels(self, seed: int) -> Tensor:
        """Return the labels of the test rows whose logits are kept."""
        return self.test_labels[:200]


class GraphRunner:
    """One graph, and what turns records into raw results, a stack at a time.

    Attributes:
        checksum: of the data, for records.
        classes: number of classes.
    """

    def __init__(self, recipe: GraphRecipe, device: torch.device) -> None:
        self.recipe, self.device, self.provenance = recipe, device, provenance(device)
        graph = load(recipe.dataset, sample=recipe.sample)
        self.checksum = fingerprint(graph.features, graph.labels, graph.edges)
        self.graph = SparseGraph.from_dense(graph.features, graph.edges).to(device)
        self.labels, self.classes = graph.labels, len(graph.classes)

    def split(self, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the training, validation and test nodes of a seed, each in ascending order."""
        nodes = len(self.labels)
        order = torch.from_numpy(np.random.Generator(np.random.PCG64([seed, 62])).permutation(nodes))
        train, validation = (round(ratio * nodes) for ratio in self.recipe.ratios[:2])
        return tuple(part.sort().values for part in order.tensor_split([train, train + validation]))

    def train(self, records: Sequence[RunRecord], store: RunStore, *, search: bool, keep: Collection[str] = ()) -> None:
        """Train the records in one stack and save their raw results; ``keep`` names the keys whose logits are kept."""
        trainee = self.trainee(records, search=search, keep=keep)
        epochs = records[0].schedule["epochs"]
        checkpoint = store.checkpoint(
            hashlib.sha256("".join(record.key for record in records).encode()).hexdigest()[:20]
        )
        measured = fit(trainee, epochs, measure_at=_measure_at(self.recipe, epochs, search), checkpoint=checkpoint)
        for run, record in enumerate(records):
            metrics = {name: [row[run] for row in rows] for name, rows in measured["metrics"].items()}
            seconds = measured["seconds"] / len(records)
            result = {
                "epochs": measured["epochs"],
                "metrics": metrics,
                "seconds": seconds,
                "stacked_with": len(records),
            }
            kept = {
                name.split("/")[1]: logits for name, logits in trainee.kept.items() if name.split("/")[0] == str(run)
            }
            store.save(record.key, _raw(record, result, trainee.correct[run], kept, self.provenance))
        checkpoint.unlink(missing_ok=True)

    def trainee(self, records: Sequence[RunRecord], *, search: bool, keep: Collection[str] = ()) -> GraphTrainee:
        """Return the stacked networks of records that differ in seed and hyperparameters alone."""
        model = dict(records[0].model)
        make = {"gcn": GCN, "gat": GAT}[model.pop("name")]
        generators = [torch.Generator().manual_seed(record.seed) for record in records]
        network = make(self.graph.num_features, self.classes, **model, generators=generators).to(self.device)
        splits = [self.split(record.seed) for record in records]
        column = [torch.tensor([record.objective[name] for record in records]) for name in ("threshold", "stability")]
        lr = torch.tensor([record.optimiser["lr"] for record in records])
        return GraphTrainee(
            network,
            self.graph,
            self.labels.to(self.device),
            train_rows=torch.stack([split[0] for split in splits]).to(self.device),
            test_rows=torch.stack([split[1 if search else 2] for split in splits]).to(self.device),
            threshold=column[0].to(self.device),
            stability=column[1].to(self.device),
            lr=lr.to(self.device),
            weight_decay=records[0].optimiser["weight_decay"],
            seeds=[record.seed for record in records],
            full=not search,
            keep_logits={run: self.recipe.keep_logits_at for run, record in enumerate(records) if record.key in keep},
        )

    def logit_labels(self, seed: int) -> Tensor:
        """Return the labels of the test rows whose logits are kept."""
        return self.labels[self.split(seed)[2][:200]]


def _raw(
    record: RunRecord,
    measured: Mapping[str, Any],
    correct: Tensor,
    logits: Mapping[str, Tensor],
    made: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what the raw file of a run holds."""
    return {
        "key": record.key,
        "record": record.to_dict(),
        **measured,
        "correct": base64.b64encode(np.packbits(correct.cpu().numpy()).tobytes()).decode(),
        "rows": len(correct),
        "logits": {
            epoch: base64.b64encode(values.half().numpy().tobytes()).decode() for epoch, values in logits.items()
        },
        "provenance": {**made, "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())},
    }
