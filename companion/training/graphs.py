"""Graph networks in training: one graph, R runs with their own split and seed, one objective and optimiser."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from companion._checks import values_trusted
from companion.models.gnn import SparseGraph
from companion.training.images import Recipe
from companion.training.learner import Learner, Stack
from companion.training.probes import Measurement, Part, measured, row_losses

__all__ = ["GraphTrainee"]


class GraphTrainee:
    """R graph networks that train together, ready for :func:`companion.training.loop.fit`; an epoch is one full-batch step.

    The networks run side by side over one adjacency, the objectives on each run's training nodes by `torch.func.vmap`.

    Args:
        learners: one a run: a :class:`~companion.models.gnn.GCN` or :class:`~companion.models.gnn.GAT` of one run, and its objective.
        graph: what the networks run on.
        labels: (N,).
        train_rows, test_rows: node indices of each run, (R, n) and (R, m).
        seeds: one a run; dropout of epoch e is drawn from (seed, e).
        recipe: how; of it count optimiser, schedule, epochs and record.
        lr: top learning rate of every run.
        weight_decay: stands in for the optimiser's own; ``None`` keeps that.
        full: record the recipe's probes, or (False) test metrics alone.
        keep_logits_at: epochs at which each run's raw logits of its first ``keep_rows`` test nodes are kept.
        keep_rows: how many.

    Raises:
        ValueError: the objective has a head or a penalty on features (these networks have no method features), or the recipe asks
            for what one full-batch step in full precision does not have.
    """

    def __init__(
        self,
        learners: Sequence[Learner],
        graph: SparseGraph,
        labels: Tensor,
        *,
        train_rows: Tensor,
        test_rows: Tensor,
        seeds: Sequence[int],
        recipe: Recipe,
        lr: float,
        weight_decay: float | None = None,
        full: bool = True,
        keep_logits_at: Sequence[int] = (),
        keep_rows: int = 200,
    ) -> None:
        if recipe.augment or recipe.accumulate > 1 or recipe.precision != "float32" or recipe.channels_last:
            raise ValueError(
                "recipe must have no augment, accumulate, precision or channels_last for graphs: a step is one full batch"
            )
        self.stack, self.graph, self.recipe = Stack(learners), graph, recipe
        self.seeds, self.lr, self.full = tuple(seeds), lr, full
        self.train_rows, self.test_rows = train_rows, test_rows
        self.train_labels, self.test_labels = labels[train_rows], labels[test_rows]
        self.network = copy.deepcopy(learners[0].network)  # its parameters are never used: those of the stack are
        self.network.runs = len(learners)
        self.optimiser = recipe.optimiser.build(self.stack.parameters, lr=lr, weight_decay=weight_decay)
        self.generators = [torch.Generator(labels.device) for _ in seeds]
        self.keep_logits_at, self.keep_rows = tuple(keep_logits_at), keep_rows
        self.kept: dict[str, Tensor] = {}
        self.correct: Tensor | None = None  # (R, m), after the last measurement
        self.gradient_length = torch.zeros(len(self.seeds), device=labels.device)

    def logits(self, generators: Sequence[torch.Generator] | None = None) -> Tensor:
        """Return raw logits (R, N, C); with one generator a run dropout is on."""
        if len(self.stack) == 1:
            return self.stack.learners[0].network(self.graph, generators)
        prefix = "network."
        parameters = {
            name.removeprefix(prefix): parameter.squeeze(1)  # (R, 1, …): every learner is a stack of one
            for name, parameter in self.stack.stacked.items()
            if name.startswith(prefix)
        }
        return functional_call(self.network, parameters, (self.graph, generators))

    def train_epoch(self, epoch: int) -> None:
        """Take one step of every run; its dropout is drawn from (seed, epoch)."""
        self.stack.train()
        for generator, seed in zip(self.generators, self.seeds, strict=True):
            generator.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]) >> 1)
        rate = self.lr * self.recipe.schedule.factor(epoch - 1, self.recipe.epochs)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        with values_trusted():  # labels were checked when they were read
            logits = _take(self.logits(self.generators), self.train_rows)
            self.stack.losses(logits, self.train_labels, are_logits=True).sum().backward()
        runs = len(self.stack)
        gradients = [parameter.grad for parameter in self.stack.parameters if parameter.grad is not None]
        squares = [
            gradient.square().reshape(runs, -1).sum(1) if runs > 1 else gradient.square().sum()[None]
            for gradient in gradients
        ]
        self.gradient_length = torch.stack(squares).sum(0).sqrt()
        objective = self.stack.learners[0].objective
        if objective.clip is not None:
            for learner in self.stack.each_with_gradients():
                learner.objective.after_backward(learner.network)
        self.optimiser.step()
        if objective.decoupled:
            for learner in self.stack.learners:
                learner.objective.after_step(learner.network, rate)

    @torch.no_grad()
    def measure(self, epoch: int) -> dict[str, Tensor]:
        """Return metrics by name, each (R,); ``parameter_gradient`` is that of the last step, with dropout (0 before)."""
        self.stack.eval()
        logits = self.logits()
        test = Part(_take(logits, self.test_rows), self.test_labels)
        self.correct = (self._transform(test.logits).argmax(-1) == test.labels).cpu()
        if epoch in self.keep_logits_at:
            for run in range(len(self.stack)):
                self.kept[f"{run}/{epoch}"] = test.logits[run, : self.keep_rows].cpu().clone()
        measurement = Measurement(
            test=test,
            transform=self._transform,
            losses=row_losses(self.stack.learners[0].objective.criterion),
            train=Part(_take(logits, self.train_rows), self.train_labels) if self.full else None,
            parameter_gradient=lambda: self.gradient_length,
        )
        return measured(measurement, self.recipe.record)

    def _transform(self, logits: Tensor) -> Tensor:
        """Apply each run's own logit transform, in evaluation, to logits (R, n, C)."""
        return torch.stack(
            [learner.objective.transform(z) for learner, z in zip(self.stack.learners, logits, strict=True)]
        )

    def state_dict(self) -> dict[str, Any]:
        """Return networks and objectives, the optimiser, what was kept so far and the last gradient lengths."""
        return {
            "learners": self.stack.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "kept": dict(self.kept),
            "correct": self.correct,
            "gradient_length": self.gradient_length,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint."""
        self.stack.load_state_dict(state["learners"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.kept, self.correct, self.gradient_length = dict(state["kept"]), state["correct"], state["gradient_length"]


def _take(logits: Tensor, rows: Tensor) -> Tensor:
    """Return each run's own rows, (R, n, C), of logits (R, N, C)."""
    return logits.gather(1, rows.unsqueeze(2).expand(-1, -1, logits.shape[2]))
