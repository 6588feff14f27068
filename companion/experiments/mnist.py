"""Run the MNIST experiment: search, choose, train the chosen settings on all rows with several seeds."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.experiments.partial_output_norm import ARMS, MnistRecipe, arm_knobs
from companion.models.mlp import MLP
from companion.training.images import ImageTrainee
from companion.training.loop import fit
from companion.training.provenance import provenance
from companion.training.records import RunRecord, RunStore, fingerprint


def load_mnist() -> dict[str, tuple[Tensor, Tensor]]:
    root = Path(os.environ["COMPANION_DATA"]) / "MNIST" / "raw"
    def one(stem: str) -> tuple[Tensor, Tensor]:
        images = np.frombuffer(gzip.open(root / f"{stem}-images-idx3-ubyte.gz").read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
        labels = np.frombuffer(gzip.open(root / f"{stem}-labels-idx1-ubyte.gz").read(), np.uint8, offset=8)
        return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))
    return {"train": one("train"), "test": one("t10k")}


def fixed_permutation(rows: int, name: str) -> Tensor:
    """Return a permutation of ``rows`` that depends on ``name`` alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return torch.from_numpy(np.random.Generator(np.random.PCG64(seed)).permutation(rows))


class Mnist:
    """The experiment's data and store, and what turns a record into a raw result."""

    def __init__(self, recipe: MnistRecipe, store: RunStore) -> None:
        self.recipe, self.store, self.provenance = recipe, store, provenance()
        raw = load_mnist()
        self.checksum = fingerprint(*raw["train"], *raw["test"])
        pixels = raw["train"][0].double() / 255
        mean, std = pixels.mean().item(), pixels.std(correction=0).item()
        del pixels
        self.data = {name: ((images.float() / 255 - mean) / std, labels) for name, (images, labels) in raw.items()}
        order = fixed_permutation(len(raw["train"][1]), "mnist validation split")
        held_out, kept = order[: recipe.validation_rows].sort().values, order[recipe.validation_rows :].sort().values
        inputs, labels = self.data["train"]
        self.search_data = {"train": (inputs[kept], labels[kept]), "test": (inputs[held_out], labels[held_out])}
        self.probe_rows = fixed_permutation(len(raw["train"][1]), "mnist probe rows")[:10_000].sort().values

    def run(self, record: RunRecord, *, search: bool, keep_logits: bool) -> dict[str, Any]:
        """Return the raw result of a record, training only if the store has none."""
        if self.store.has(record.key):
            return self.store.load(record.key)
        data = self.search_data if search else self.data
        network = MLP(record.model["sizes"], generator=torch.Generator().manual_seed(record.seed))
        optimiser = torch.optim.SGD(network.parameters(), lr=record.optimiser["lr"], weight_decay=record.optimiser["weight_decay"])
        trainee = ImageTrainee(
            network, data["train"], data["test"],
            probe_rows=torch.empty(0, dtype=torch.long) if search else self.probe_rows,
            threshold=record.objective["threshold"], stability=record.objective["stability"], optimiser=optimiser,
            batch_size=record.schedule["batch_size"], seed=record.seed,
            keep_logits_at=self.recipe.keep_logits_at if keep_logits else (),
        )
        epochs = record.schedule["epochs"]
        checkpoint = self.store.checkpoint(record.key)
        result = fit(trainee, epochs, measure_at={epochs // 2, epochs} if search else set(self.recipe.measure_at), checkpoint=checkpoint)
        result = {"key": record.key, "record": record.to_dict(), **result, "correct": base64.b64encode(np.packbits(trainee.correct.numpy()).tobytes()).decode(),
            "logits": {str(epoch): base64.b64encode(z.half().numpy().tobytes()).decode() for epoch, z in trainee.kept.items()}, "provenance": {**self.provenance, "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}}
        self.store.save(record.key, result)
        checkpoint.unlink(missing_ok=True)
        return result

    def search(self, arm: str) -> dict[str, float]:
        """Return the knobs of the arm's best point: lowest validation error, then lowest validation loss."""
        def score(point: dict[str, float]) -> tuple[float, float]:
            record = self.recipe.record(arm_knobs(arm, point), checksum=self.checksum, seed=self.recipe.search_seed, search=True)
            metrics = self.run(record, search=True, keep_logits=False)["metrics"]
            error, loss = (metrics[name][-1][0] for name in ("test_error", "test_loss"))
            print(time.strftime("%H:%M:%S"), arm, arm_knobs(arm, point), error, loss, flush=True)
            return error, float("inf") if loss is None else loss
        return arm_knobs(arm, min(self.recipe.space.draw(), key=score))


def main(arms: Sequence[str] = tuple(ARMS)) -> None:
    torch.set_num_threads(1)
    recipe = MnistRecipe("laptop")
    experiment = Mnist(recipe, RunStore("runs/pon-mnist"))
    chosen = {arm: experiment.search(arm) for arm in arms}
    for seed in recipe.seeds:
        for arm, knobs in chosen.items():
            record = recipe.record(knobs, checksum=experiment.checksum, seed=seed, search=False)
            result = experiment.run(record, search=False, keep_logits=seed == recipe.seeds[0])
            print(time.strftime("%H:%M:%S"), "final", arm, seed, knobs, result["metrics"]["test_error"][-1], round(result["seconds"]), flush=True)


if __name__ == "__main__":
    main()
