"""A stack of graph networks in training: one graph, R runs with their own split, seed and hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import vmap

from companion.methods.partial_output_norm import length_stability, partial_norm
from companion.models.gnn import SparseGraph
from companion.training.probes import all_probes, class_loss, fit_probes


class StackedAdam:
    """Adam with a learning rate for every run of a stack; weight decay is added to the gradient, as in torch's Adam.

    Args:
        parameters: tensors of shape (R, ...).
        lr: (R,).
        weight_decay: added to the gradient.
        betas, eps: as in torch.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        lr: Tensor,
        *,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.parameters, self.lr, self.weight_decay, self.betas, self.eps = (
            list(parameters),
            lr,
            weight_decay,
            betas,
            eps,
        )
        self.steps = 0
        self.first = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second = [torch.zeros_like(parameter) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take one step."""
        self.steps += 1
        beta1, beta2 = self.betas
        for parameter, gradient, first, second in zip(self.parameters, gradients, self.first, self.second, strict=True):
            gradient = gradient.add(parameter, alpha=self.weight_decay)
            first.lerp_(gradient, 1 - beta1)
            second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            root = (second / (1 - beta2**self.steps)).sqrt_().add_(self.eps)
            lr = self.lr.view(-1, *[1] * (parameter.ndim - 1)) / (1 - beta1**self.steps)
            parameter.sub_(lr * first / root)

    def state_dict(self) -> dict[str, Any]:
        """Return step count and moments."""
        return {"steps": self.steps, "first": self.first, "second": self.second}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint."""
        self.steps = state["steps"]
        for mine, saved in zip([*self.first, *self.second], [*state["first"], *state["second"]], strict=True):
            mine.copy_(saved)


class GraphTrainee:
    """A stack of R graph networks, ready for :func:`companion.training.loop.fit`; an epoch is one full-batch step.

    Args:
        network: a stacked :class:`~companion.models.gnn.GCN` or :class:`~companion.models.gnn.GAT`.
        graph: what it runs on.
        labels: (N,).
        train_rows, test_rows: node indices of each run, (R, n) and (R, m).
        threshold: (R,) thresholds of the partial norm, inf for none.
        stability: (R,) weights of the length-stability penalty.
        lr: (R,); weight_decay: of all.
        seeds: one a run; dropout of epoch e is drawn from (seed, e).
        full: measure every probe, or (False) error and loss on ``test_rows`` alone.
        keep_logits: run index to the epochs at which raw logits of its first 200 test rows are kept.
    """

    def __init__(
        self,
        network: nn.Module,
        graph: SparseGraph,
        labels: Tensor,
        *,
        train_rows: Tensor,
        test_rows: Tensor,
        threshold: Tensor,
        stability: Tensor,
        lr: Tensor,
        weight_decay: float,
        seeds: Sequence[int],
        full: bool = True,
        keep_logits: dict[int, tuple[int, ...]] | None = None,
        keep_rows: int = 200,
    ) -> None:
        self.network, self.graph, self.labels, self.seeds, self.full = network, graph, labels, tuple(seeds), full
        self.train_rows, self.test_rows = train_rows, test_rows
        self.train_labels, self.test_labels = labels[train_rows], labels[test_rows]
        self.threshold, self.stability = threshold, stability
        self.parameters = list(network.parameters())
        self.optimiser = StackedAdam(self.parameters, lr, weight_decay=weight_decay)
        self.generators = [torch.Generator(labels.device) for _ in seeds]
        self.keep_logits, self.keep_rows = keep_logits or {}, keep_rows
        self.kept: dict[str, Tensor] = {}
        self.gradient_length = torch.zeros(len(seeds), device=labels.device)

    def transform(self, logits: Tensor) -> Tensor:
        """Apply each run's partial norm to logits (R, N, C)."""
        return vmap(partial_norm)(logits, self.threshold)

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the criterion of every row, (R, n), from transformed logits (R, n, C) and labels (R, n)."""
        return class_loss(logits, labels)

    def loss(self, logits: Tensor) -> Tensor:
        """Return the objective of every run, (R,), from logits of the training rows (R, n, C)."""
        criterion = self.losses(self.transform(logits), self.train_labels).mean(1)
        return criterion + self.stability * vmap(length_stability)(logits)

    def train_epoch(self, epoch: int) -> None:
        """Take one step of every run; its dropout is drawn from (seed, epoch)."""
        for generator, seed in zip(self.generators, self.seeds, strict=True):
            generator.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1))
        logits = _take(self.network(self.graph, self.generators), self.train_rows)
        gradients = torch.autograd.grad(self.loss(logits).sum(), self.parameters)
        squares = torch.stack([gradient.square().flatten(1).sum(1) for gradient in gradients])
        self.gradient_length = squares.sum(0).sqrt()
        self.optimiser.step(gradients)

    @torch.no_grad()
    def measure(self, epoch: int) -> dict[str, Tensor]:
        """Return probes by name, each (R,); ``parameter_gradient`` is that of the last step, with dropout (0 before)."""
        logits = self.network(self.graph)
        test = _take(logits, self.test_rows)
        self.correct = (test.argmax(-1) == self.test_labels).cpu()
        for run, epochs in self.keep_logits.items():
            if epoch in epochs:
                self.kept[f"{run}/{epoch}"] = test[run, : self.keep_rows].cpu().clone()
        if not self.full:
            return {f"test_{name}": value for name, value in fit_probes(test, self.test_labels, self.transform).items()}
        train = _take(logits, self.train_rows)
        probes = all_probes(
            (train, self.train_labels, None), (test, self.test_labels, None), self.transform, self.losses
        )
        return {**probes, "parameter_gradient": self.gradient_length}

    def state_dict(self) -> dict[str, Any]:
        """Return networks, optimiser, the logits kept so far and the last gradient lengths."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "kept": dict(self.kept),
            "gradient_length": self.gradient_length,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.kept, self.gradient_length = dict(state["kept"]), state["gradient_length"]


def _take(logits: Tensor, rows: Tensor) -> Tensor:
    """Return each run's own rows, (R, n, C), of logits (R, N, C)."""
    return logits.gather(1, rows.unsqueeze(2).expand(-1, -1, logits.shape[2]))
