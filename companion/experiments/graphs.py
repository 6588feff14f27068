"""Run the graph experiment: every network on every graph, runs stacked, each equal to the run alone."""

from __future__ import annotations

import base64
import hashlib
import os
import pickle
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.experiments.partial_output_norm import GRAPH_ARMS, GraphRecipe, arm_knobs
from companion.models.gnn import GAT, GCN, SparseGraph
from companion.training.graphs import GraphTrainee
from companion.training.loop import fit
from companion.training.provenance import provenance
from companion.training.records import RunRecord, RunStore, fingerprint

STACK = {"cora/gcn": 10, "cora/gat": 5, "pubmed/gcn": 5, "pubmed/gat": 4}


def load_graph(name: str) -> tuple[Tensor, Tensor, Tensor]:
    import scipy.sparse as sp

    stem = {"cora": "Cora", "pubmed": "PubMed"}[name]
    root = Path(os.environ["COMPANION_DATA"]) / "Planetoid" / stem / "raw"
    read = lambda e: pickle.loads((root / f"ind.{name}.{e}").read_bytes(), encoding="latin1")
    tx, allx, ty, ally, graph = (read(e) for e in ("tx", "allx", "ty", "ally", "graph"))
    rows = np.loadtxt(root / f"ind.{name}.test.index", dtype=int)
    features, labels = sp.vstack([allx, tx]).tolil(), np.vstack([ally, ty])
    features[rows], labels[rows] = features[np.sort(rows)], labels[np.sort(rows)]
    pairs = np.array([(i, j) for i, js in graph.items() for j in js if i != j])
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    return (
        torch.from_numpy(features.toarray().astype(np.float32)),
        torch.from_numpy(labels.argmax(1).astype(np.int64)),
        torch.from_numpy(pairs.T.astype(np.int64).copy()),
    )


class Graphs:
    """One setting: the graph, the store, and what turns records into raw results, many at a time."""

    def __init__(self, recipe: GraphRecipe, store: RunStore) -> None:
        self.recipe, self.store, self.provenance = recipe, store, provenance()
        features, self.labels, edges = load_graph(recipe.dataset)
        self.checksum = fingerprint(features, self.labels, edges)
        self.graph = SparseGraph.from_dense(features, edges)
        self.classes = int(self.labels.max()) + 1

    def split(self, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sorted training, validation and test nodes of a seed."""
        nodes = len(self.labels)
        order = torch.from_numpy(np.random.Generator(np.random.PCG64([seed, 62])).permutation(nodes))
        train, validation = round(self.recipe.ratios[0] * nodes), round(self.recipe.ratios[1] * nodes)
        parts = order[:train], order[train : train + validation], order[train + validation :]
        return tuple(part.sort().values for part in parts)

    def run(self, records: Sequence[RunRecord], *, search: bool, keep: Sequence[RunRecord] = ()) -> list[dict[str, Any]]:
        """Return the raw results of the records, training those that the store lacks, some at a time."""
        missing = list({record.key: record for record in records if not self.store.has(record.key)}.values())
        size = STACK[self.recipe.setting]
        for start in range(0, len(missing), size):
            self._train(missing[start : start + size], search=search, keep={record.key for record in keep})
        return [self.store.load(record.key) for record in records]

    def _train(self, records: Sequence[RunRecord], *, search: bool, keep: set[str]) -> None:
        splits = [self.split(record.seed) for record in records]
        model = dict(records[0].model)
        make = {"gcn": GCN, "gat": GAT}[model.pop("name")]
        model.pop("slope", None)
        generators = [torch.Generator().manual_seed(record.seed) for record in records]
        network = make(self.graph.num_features, self.classes, **model, generators=generators)
        trainee = GraphTrainee(
            network,
            self.graph,
            self.labels,
            train_rows=torch.stack([split[0] for split in splits]),
            test_rows=torch.stack([split[1 if search else 2] for split in splits]),
            threshold=torch.tensor([record.objective["threshold"] for record in records]),
            stability=torch.tensor([record.objective["stability"] for record in records]),
            lr=torch.tensor([record.optimiser["lr"] for record in records]),
            weight_decay=records[0].optimiser["weight_decay"],
            seeds=[record.seed for record in records],
            full=not search,
            keep_logits={run: self.recipe.keep_logits_at for run, record in enumerate(records) if record.key in keep},
        )
        epochs = records[0].schedule["epochs"]
        name = hashlib.sha256("".join(record.key for record in records).encode()).hexdigest()[:20]
        checkpoint = self.store.checkpoint(name)
        measured = fit(trainee, epochs, measure_at={epochs} if search else set(self.recipe.measure_at), checkpoint=checkpoint)
        date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for run, record in enumerate(records):
            kept = {name.split("/")[1]: z for name, z in trainee.kept.items() if name.startswith(f"{run}/")}
            self.store.save(
                record.key,
                {
                    "key": record.key,
                    "record": record.to_dict(),
                    "epochs": measured["epochs"],
                    "metrics": {name: [row[run] for row in rows] for name, rows in measured["metrics"].items()},
                    "seconds": measured["seconds"] / len(records),
                    "stacked_with": len(records),
                    "correct": base64.b64encode(np.packbits(trainee.correct[run].numpy()).tobytes()).decode(),
                    "logits": {epoch: base64.b64encode(z.half().numpy().tobytes()).decode() for epoch, z in kept.items()},
                    "provenance": {**self.provenance, "date": date},
                },
            )
        checkpoint.unlink(missing_ok=True)

    def search(self) -> dict[str, dict[str, float]]:
        """Return each arm's knobs: lowest validation error averaged over the search seeds, then lowest validation loss."""
        recipe, points = self.recipe, self.recipe.space.draw()
        points = [{**point, "weight_decay": 0.0} for point in points]
        grid = list(product(GRAPH_ARMS, points, recipe.search_seeds))
        records = [recipe.record(arm_knobs(arm, point), checksum=self.checksum, seed=seed, search=True) for arm, point, seed in grid]
        results = self.run(records, search=True)
        chosen = {}
        for arm in GRAPH_ARMS:
            scores = []
            for point in points:
                rows = [r["metrics"] for (a, p, _), r in zip(grid, results, strict=True) if a == arm and p is point]
                losses = [row["test_loss"][-1] for row in rows]
                loss = float("inf") if None in losses else float(np.mean(losses))
                scores.append((float(np.mean([row["test_error"][-1] for row in rows])), loss))
                print(recipe.setting, arm, arm_knobs(arm, point), *scores[-1], flush=True)
            chosen[arm] = arm_knobs(arm, points[scores.index(min(scores))])
        return chosen


def main() -> None:
    torch.set_num_threads(1)
    for dataset, network in (("cora", "gcn"), ("cora", "gat"), ("pubmed", "gcn"), ("pubmed", "gat")):
        start = time.time()
        recipe = GraphRecipe("laptop", dataset, network)
        setting = Graphs(recipe, RunStore("runs/pon-graphs"))
        chosen = setting.search()
        print(time.strftime("%H:%M:%S"), recipe.setting, "search done in", round(time.time() - start), "s", flush=True)
        grid = list(product(recipe.seeds, chosen))
        records = [recipe.record(chosen[arm], checksum=setting.checksum, seed=seed, search=False) for seed, arm in grid]
        results = setting.run(records, search=False, keep=[r for r in records if r.seed == recipe.seeds[0]])
        for arm in chosen:
            errors = [r["metrics"]["test_error"][-1] for (_, a), r in zip(grid, results, strict=True) if a == arm]
            print(time.strftime("%H:%M:%S"), recipe.setting, "final", arm, chosen[arm], np.mean(errors), np.std(errors, ddof=1), flush=True)
        print("seconds", round(time.time() - start), flush=True)


if __name__ == "__main__":
    main()
