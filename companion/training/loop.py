"""The one training loop, over anything that can train an epoch and measure itself."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from companion.training.records import write_atomic


class Trainee(Protocol):
    """A network, or a stack of networks that train together, with its data and objective.

    An epoch must depend on its number and on the state alone (batch order, augmentation and dropout are drawn from the seed and
    the epoch), so that a resumed run repeats the one that was not interrupted.
    """

    correct: Tensor | None
    kept: dict[str, Tensor]

    def train_epoch(self, epoch: int) -> None:
        """Train epoch number ``epoch``, counted from 1."""

    def measure(self, epoch: int) -> dict[str, Tensor]:
        """Return metrics by name, each of shape (R,) for R runs; epoch 0 is before training."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that a checkpoint needs."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint."""


def fit(
    trainee: Trainee,
    epochs: int,
    *,
    measure_at: Collection[int],
    checkpoint: Path | None = None,
    checkpoint_every: float = 20.0,
    on_epoch: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Train for ``epochs`` epochs and return what was measured.

    An interrupt (Ctrl-C) or a kill loses what came after the last checkpoint: the epoch in flight, or a few seconds of short ones.

    Args:
        trainee: what to train.
        epochs: number of epochs in all.
        measure_at: epochs after which to measure; 0 is before the first.
        checkpoint: file to resume from and to write to; ``None`` for neither.
        checkpoint_every: seconds between checkpoints.
        on_epoch: called with the number of each epoch done, also of those that a checkpoint holds (once, with the last).

    Returns:
        ``epochs`` (list of E), ``metrics`` (name to a list of E lists of R numbers), ``seconds`` (training and measuring
        time, also that before an interruption).
    """
    done, seconds, history = 0, 0.0, {"epochs": [], "metrics": {}}
    if checkpoint is not None and checkpoint.exists():
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        done, seconds, history = saved["done"], saved["seconds"], saved["history"]
        trainee.load_state_dict(saved["trainee"])
        if on_epoch is not None:
            on_epoch(done)
    elif 0 in measure_at:
        _record(history, 0, trainee.measure(0))
    start = last = time.perf_counter()

    def save(epoch: int) -> None:
        spent = seconds + time.perf_counter() - start
        state = {"done": epoch, "seconds": spent, "history": history, "trainee": trainee.state_dict()}
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomic(checkpoint, buffer.getvalue())

    for epoch in range(done + 1, epochs + 1):
        trainee.train_epoch(epoch)
        if epoch in measure_at:
            _record(history, epoch, trainee.measure(epoch))
        if checkpoint is not None and epoch < epochs and time.perf_counter() - last >= checkpoint_every:
            save(epoch)
            last = time.perf_counter()
        if on_epoch is not None:
            on_epoch(epoch)
    return {**history, "seconds": seconds + time.perf_counter() - start}


def _record(history: dict[str, Any], epoch: int, measured: dict[str, Tensor]) -> None:
    history["epochs"].append(epoch)
    for name, values in measured.items():
        history["metrics"].setdefault(name, []).append(values.cpu().double().tolist())
