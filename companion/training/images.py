"""One image classifier in training: network, device-resident data, objective and optimiser."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from companion.objective import Objective
from companion.training.probes import all_probes, fit_probes, row_losses


class ImageTrainee:
    """An image network with its data on the device, ready for :func:`companion.training.loop.fit`.

    Args:
        network: maps (N, C, H, W) to logits.
        train: inputs (N, C, H, W) and labels (N,) to train on.
        test: inputs and labels to measure on.
        probe_rows: indices into ``train`` of the fixed rows on which training probes are taken; empty for test error and
            loss alone, which is all that a search needs.
        objective: called as ``objective(logits, labels, model=network)``; its logit transform and its criterion
            are part of what is measured.
        optimiser: of the network's parameters.
        batch_size: rows a step; the last step of an epoch takes what is left.
        seed: fixes the batch order: epoch e is a permutation drawn from (seed, e).
        keep_logits_at: epochs at which the raw logits of the first ``keep_rows`` test rows are kept.
        keep_rows: how many.
    """

    def __init__(
        self,
        network: nn.Module,
        train: tuple[Tensor, Tensor],
        test: tuple[Tensor, Tensor],
        *,
        probe_rows: Tensor,
        objective: Objective,
        optimiser: torch.optim.Optimizer,
        batch_size: int,
        seed: int,
        keep_logits_at: tuple[int, ...] = (),
        keep_rows: int = 200,
    ) -> None:
        self.network, self.train, self.test, self.optimiser = network, train, test, optimiser
        self.probe_rows, self.objective = probe_rows, objective
        self.batch_size, self.seed = batch_size, seed
        self.keep_logits_at, self.keep_rows, self.kept = keep_logits_at, keep_rows, {}

    def transform(self, logits: Tensor) -> Tensor:
        """Apply the objective's logit transform to the last axis of logits (..., C)."""
        return self.objective.transform(logits.flatten(0, -2)).view_as(logits)

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Return the objective's loss on a batch, a 0-d tensor."""
        return self.objective(self.network(inputs), labels, model=self.network)["loss"]

    def batch_order(self, epoch: int) -> Tensor:
        """Return the permutation of the training rows for one epoch."""
        generator = np.random.Generator(np.random.PCG64([self.seed, epoch]))
        return torch.from_numpy(generator.permutation(len(self.train[1]))).to(self.train[1].device)

    def train_epoch(self, epoch: int) -> None:
        """Take one pass over the training rows."""
        inputs, labels = self.train
        self.network.train()
        for rows in self.batch_order(epoch).split(self.batch_size):
            self.optimiser.zero_grad(set_to_none=True)
            self.loss(inputs[rows], labels[rows]).backward()
            self.objective.after_backward(self.network)
            self.optimiser.step()
            self.objective.after_step(self.network, self.optimiser.param_groups[0]["lr"])

    @torch.no_grad()
    def measure(self, epoch: int) -> dict[str, Tensor]:
        """Return probes by name, each of shape (1,)."""
        self.network.eval()
        test = self._logits(self.test[0])
        self.correct = (test.argmax(-1) == self.test[1]).cpu()
        if epoch in self.keep_logits_at:
            self.kept[epoch] = test[: self.keep_rows].cpu()
        if not len(self.probe_rows):
            probes = fit_probes(test[None], self.test[1][None], self.transform)
            return {f"test_{name}": value for name, value in probes.items()}
        train = (self._logits(self.train[0][self.probe_rows])[None], self.train[1][self.probe_rows][None], None)
        losses = row_losses(self.objective.criterion)
        probes = all_probes(train, (test[None], self.test[1][None], None), self.transform, losses)
        return {**probes, "parameter_gradient": self._parameter_gradient()}

    def _logits(self, inputs: Tensor) -> Tensor:
        return torch.cat([self.network(part) for part in inputs.split(2000)])

    @torch.enable_grad()
    def _parameter_gradient(self) -> Tensor:
        """Return the mean length of the parameter gradient over the first ten fixed mini-batches of probe rows, (1,)."""
        lengths = []
        for rows in self.probe_rows[: 10 * self.batch_size].split(self.batch_size):
            gradients = torch.autograd.grad(
                self.loss(self.train[0][rows], self.train[1][rows]), list(self.network.parameters())
            )
            lengths.append(torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt())
        return torch.stack(lengths).mean()[None]

    def state_dict(self) -> dict[str, Any]:
        """Return network, optimiser and the logits kept so far."""
        return {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(), "kept": dict(self.kept)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.kept = dict(state["kept"])
