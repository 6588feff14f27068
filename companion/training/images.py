"""Image classifiers in training: R runs with their data on the device, each with its own seed, one objective and optimiser."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion._checks import check_choice, check_count, values_trusted
from companion.data.augmentation import flip_images, shift_images
from companion.training.learner import PRECISIONS, Learner, Stack
from companion.training.optimisers import Optimiser
from companion.training.perceptrons import can_write_out, written_out_step
from companion.training.probes import (
    STANDARD,
    Measurement,
    Part,
    measured,
    row_losses,
    weight_rows,
)
from companion.training.schedules import Constant, Schedule

__all__ = ["ImageTrainee", "Labelled", "Recipe"]


@dataclass(frozen=True)
class Labelled:
    """Images with the labels of R runs, on one device.

    Attributes:
        inputs: (N, C, H, W), the same for all runs.
        labels: (R, N): a run draws its own noise.
        true_labels: (R, N), the labels before noise; ``None`` without noise.
    """

    inputs: Tensor
    labels: Tensor
    true_labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: the values of a setting that a training step reads.

    Attributes:
        optimiser: which, and with what constants.
        schedule: of the learning rate.
        epochs: in all; the schedule ends with the last.
        batch_size: rows a step; the last step of an epoch takes what is left.
        augment: names, applied in their order to every batch: ``"shift4"`` (up to 4 pixels each way, zeros come in), ``"flip"``.
        precision: ``"float32"`` (the dtype of the weights), ``"bf16"``, or ``"fp16"`` with a loss scaler, on a GPU.
        channels_last: keep images and convolutions in that memory format.
        accumulate: micro-batches a step. Losses that are means over rows are the same to rounding; batch statistics and
            penalties on a whole batch see a micro-batch.
        record: names of probes (`companion.training.probes.PROBES`).
    """

    optimiser: Optimiser
    schedule: Schedule = field(default_factory=Constant)
    epochs: int = 100
    batch_size: int = 128
    augment: tuple[str, ...] = ()
    precision: str = "float32"
    channels_last: bool = False
    accumulate: int = 1
    record: tuple[str, ...] = STANDARD

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate"):
            check_count(name, getattr(self, name))
        check_choice("precision", self.precision, PRECISIONS)
        for name in self.augment:
            if not re.fullmatch(r"shift\d+|flip", name):
                raise ValueError(f"augment must hold 'flip' or 'shift' and a number of pixels, 'shift4', got {name!r}")


class ImageTrainee:
    """R image networks that train together, ready for :func:`companion.training.loop.fit`.

    Epoch e of the run with seed s goes through a permutation drawn from (s, e); augmentation and dropout are drawn from
    (s, e) too. So a run does not depend on what it is stacked with, and a resumed run repeats the one that was not interrupted.

    Args:
        learners: one a run: network and objective, on the device of the data.
        train: rows to train on.
        test: rows to judge by.
        seeds: one a run.
        recipe: how.
        lr: top learning rate of every run.
        weight_decay: stands in for the optimiser's own; ``None`` keeps that.
        probe_rows: indices into ``train`` of the fixed rows on which training probes are taken; ``None`` for test metrics alone,
            which is all that a search needs.
        validation: rows held out of training whose labels are as noisy as the training labels.
        keep_logits_at: epochs at which the raw logits of the first ``keep_rows`` test rows are kept.
        keep_rows: how many.

    Raises:
        ValueError: half precision "fp16" without a GPU.
    """

    def __init__(
        self,
        learners: Sequence[Learner],
        train: Labelled,
        test: Labelled,
        *,
        seeds: Sequence[int],
        recipe: Recipe,
        lr: float,
        weight_decay: float | None = None,
        probe_rows: Tensor | None = None,
        validation: Labelled | None = None,
        keep_logits_at: Sequence[int] = (),
        keep_rows: int = 200,
    ) -> None:
        self.train, self.test, self.validation, self.probe_rows = train, test, validation, probe_rows
        self.seeds, self.recipe, self.lr = tuple(seeds), recipe, lr
        self.device = train.inputs.device
        if recipe.precision == "fp16" and self.device.type != "cuda":
            raise ValueError(f"precision 'fp16' needs a CUDA device, got {self.device.type}; 'bf16' works everywhere")
        self.scaler = torch.amp.GradScaler("cuda") if recipe.precision == "fp16" else None
        if recipe.channels_last:
            learners = [learner.to(memory_format=torch.channels_last) for learner in learners]
        self.stack = Stack(learners)
        self.optimiser = recipe.optimiser.build(self.stack.parameters, lr=lr, weight_decay=weight_decay)
        self.write_out = can_write_out(self.stack, self.optimiser, recipe.accumulate)
        self.keep_logits_at, self.keep_rows = tuple(keep_logits_at), keep_rows
        self.kept: dict[str, Tensor] = {}
        self.correct: Tensor | None = None  # (R, N of test), after the last measurement
        self.weights_before: list[list[Tensor]] | None = None
        self.steps_per_epoch = -(-len(train) // recipe.batch_size)

    # ---- one epoch -----------------------------------------------------------------------------------------------------

    def batch_order(self, epoch: int) -> Tensor:
        """Return each run's permutation of the training rows for one epoch, (R, N)."""
        orders = [
            np.random.Generator(np.random.PCG64([seed, epoch])).permutation(len(self.train)) for seed in self.seeds
        ]
        return torch.from_numpy(np.stack(orders)).to(self.device)

    def train_epoch(self, epoch: int) -> None:
        """Take one pass over the training rows."""
        self._train_steps(epoch, self.steps_per_epoch)

    def _train_steps(self, epoch: int, count: int) -> None:
        """Take the first steps of an epoch."""
        self.stack.train()
        order, draws = self.batch_order(epoch), self._augmentation(epoch)
        first = (epoch - 1) * self.steps_per_epoch
        # Labels were checked when they were read. Dropout draws from torch's own source, which is left as it was.
        with values_trusted(), self._dropout_seeded(epoch):
            for step, rows in enumerate(order.split(self.recipe.batch_size, 1)[:count]):
                self._set_rate(first + step)
                start = step * self.recipe.batch_size
                part = {name: values[..., start : start + rows.shape[1]] for name, values in draws.items()}
                if step == self.steps_per_epoch - 1 and "angular_step" in self.recipe.record:
                    self.weights_before = [[w.clone() for w in weight_rows(one.network)] for one in self.stack.learners]
                self._step(*self._batch(rows, part))

    def time_steps(self, count: int) -> float:
        """Take ``count`` steps, after one that meets cold caches, and return the seconds of one. The networks change."""
        self._train_steps(1, 1)
        self._wait()
        start = time.perf_counter()
        self._train_steps(1, count)
        self._wait()
        return (time.perf_counter() - start) / count

    def _wait(self) -> None:
        """Wait for what was handed to the device."""
        if self.device.type != "cpu":
            getattr(torch, self.device.type).synchronize()

    @contextmanager
    def _dropout_seeded(self, epoch: int) -> Iterator[None]:
        if not self.stack.learners[0].has_dropout():
            yield
            return
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(_seed(self.seeds[0], epoch, 2))
            yield

    def _set_rate(self, step: int) -> None:
        rate = self.lr * self.recipe.schedule.factor(step, self.recipe.epochs * self.steps_per_epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def _augmentation(self, epoch: int) -> dict[str, Tensor]:
        """Return the draws of a whole epoch by name of the augmentation: one trip to the device, none in a step."""
        draws: dict[str, list[Tensor]] = {name: [] for name in self.recipe.augment}
        for seed in self.seeds if draws else ():
            generator = torch.Generator().manual_seed(_seed(seed, epoch, 1))
            for name in draws:
                if name == "flip":
                    draws[name].append(torch.rand(len(self.train), generator=generator) < 0.5)
                else:
                    reach = int(name.removeprefix("shift"))
                    draws[name].append(torch.randint(-reach, reach + 1, (2, len(self.train)), generator=generator))
        return {name: torch.stack(values).to(self.device) for name, values in draws.items()}

    def _batch(self, rows: Tensor, draws: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return inputs (R, B, …) and labels (R, B) of each run's rows (R, B), augmented."""
        inputs = self.train.inputs.index_select(0, rows.flatten())
        for name, values in draws.items():
            if name == "flip":
                inputs = flip_images(inputs, values.flatten())
            else:
                inputs = shift_images(inputs, values.transpose(0, 1).flatten(1))
        if self.recipe.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return inputs.unflatten(0, rows.shape), self.train.labels.gather(1, rows)

    def _step(self, inputs: Tensor, labels: Tensor) -> None:
        if self.write_out:
            written_out_step(self.stack, self.optimiser, inputs, labels)
            return
        self.optimiser.zero_grad(set_to_none=True)
        size = labels.shape[1]
        parts = zip(inputs.chunk(self.recipe.accumulate, 1), labels.chunk(self.recipe.accumulate, 1), strict=True)
        for part_inputs, part_labels in parts:
            loss = self.stack.losses(part_inputs, part_labels).sum() * (part_labels.shape[1] / size)
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        if self.scaler is not None:
            self.scaler.unscale_(self.optimiser)
        objective = self.stack.learners[0].objective
        if objective.clip is not None:
            for learner in self.stack.each_with_gradients():
                learner.objective.after_backward(learner.network)
        if self.scaler is None:
            self.optimiser.step()
        else:
            self.scaler.step(self.optimiser)
            self.scaler.update()
        if objective.decoupled:
            for learner in self.stack.learners:
                learner.objective.after_step(learner.network, self.optimiser.param_groups[0]["lr"])

    # ---- measuring -----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def measure(self, epoch: int) -> dict[str, Tensor]:
        """Return metrics by name, each of shape (R,); networks, statistics and random numbers stay as they were."""
        self.stack.eval()
        each = [self._measure_one(run, epoch) for run in range(len(self.stack))]
        self.correct = torch.stack([correct for _, correct in each]).cpu()
        return {name: torch.cat([metrics[name] for metrics, _ in each]) for name in each[0][0]}

    def _measure_one(self, run: int, epoch: int) -> tuple[dict[str, Tensor], Tensor]:
        learner = self.stack.learners[run]

        def transform(logits: Tensor) -> Tensor:
            return learner.objective.transform(logits.flatten(0, -2)).view_as(logits)

        test = self._part(run, self.test, None, "zero_features" in self.recipe.record)
        if epoch in self.keep_logits_at:
            self.kept[f"{run}/{epoch}"] = test.logits[0, : self.keep_rows].cpu().clone()
        whole = self.probe_rows is not None
        before = None if self.weights_before is None else [self.weights_before[run]]
        measurement = Measurement(
            test=test,
            transform=transform,
            losses=row_losses(learner.objective.criterion),
            train=self._part(run, self.train, self.probe_rows) if whole else None,
            validation=None if self.validation is None else self._part(run, self.validation, None),
            parameter_gradient=lambda: self._parameter_gradient(run),
            weights=[weight_rows(learner.network)],
            weights_before=before,
            posterior=getattr(learner.objective.criterion, "posterior", None),
        )
        return measured(measurement, self.recipe.record), (transform(test.logits)[0].argmax(-1) == test.labels[0])

    def _part(self, run: int, rows: Labelled, chosen: Tensor | None, with_features: bool = False) -> Part:
        """Return a run's raw logits of the rows, or of the chosen ones among them, with their labels."""
        learner = self.stack.learners[run]
        inputs = rows.inputs if chosen is None else rows.inputs[chosen]
        at_once = max(1, 2000 * 784 // inputs[0].numel())  # larger parts leave a processor's caches
        outputs = [learner.outputs(part, with_features=with_features) for part in inputs.split(at_once)]
        labels, true = (
            None if values is None else (values[run] if chosen is None else values[run, chosen])[None]
            for values in (rows.labels, rows.true_labels)
        )
        features = torch.cat([part for _, part in outputs])[None] if with_features else None
        return Part(torch.cat([logits for logits, _ in outputs])[None], labels, true, features)

    @torch.enable_grad()
    def _parameter_gradient(self, run: int) -> Tensor:
        """Return the mean length of the parameter gradient over the first ten fixed mini-batches of probe rows, (1,)."""
        learner, lengths = self.stack.learners[run], []
        parameters = [parameter for parameter in learner.parameters() if parameter.requires_grad]
        with learner.training_without_memory():
            for rows in self.probe_rows[: 10 * self.recipe.batch_size].split(self.recipe.batch_size):
                loss = learner(self.train.inputs[rows], self.train.labels[run, rows])
                gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
                squares = [gradient.square().sum() for gradient in gradients if gradient is not None]
                lengths.append(torch.stack(squares).sum().sqrt())
        return torch.stack(lengths).mean()[None]

    # ---- checkpoints ---------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return networks and objectives, the optimiser, and what was kept so far."""
        return {
            "learners": self.stack.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "kept": dict(self.kept),
            "correct": self.correct,
            "weights_before": self.weights_before,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint."""
        self.stack.load_state_dict(state["learners"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        self.kept, self.correct, self.weights_before = dict(state["kept"]), state["correct"], state["weights_before"]


def _seed(*parts: int) -> int:
    """Return a seed for torch that depends on all parts."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0]) >> 1
