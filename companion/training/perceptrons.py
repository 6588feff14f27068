"""A multilayer perceptron under plain SGD with the backward pass written out: the same steps, faster on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from companion.methods.partial_output_norm import PartialNorm, length_stability
from companion.models.mlp import MLP
from companion.training.images import ImageTrainee


def logit_gradient(logits: Tensor, labels: Tensor, threshold: float, stability: float) -> Tensor:
    r"""Return the gradient of mean cross-entropy of the partial norm plus the length-stability penalty, in closed form.

    With $\hat z = z/\|z\|$, $s = \min(1, \delta/\|z\|)$, $p = \mathrm{softmax}(s z)$ and $r = (p - e_y)/N$, row by row:

    .. math:: g = \begin{cases} r & \|z\| \le \delta \\ s\,(r - \hat z\,(\hat z \cdot r)) & \|z\| > \delta \end{cases}
        \;+\; \alpha\,\frac{\|z\| - \bar\ell}{N\,\mathrm{SD}}\,\hat z

    It is what autograd makes of :class:`companion.Objective` with these parts, in a sixth of the operations.

    Args:
        logits: (N, C).
        labels: (N,).
        threshold: of the partial norm, inf for none.
        stability: weight of the penalty.

    Returns:
        (N, C).

    Example:
        >>> logit_gradient(torch.tensor([[0.0, 0.0]]), torch.tensor([0]), float("inf"), 0.0)
        tensor([[-0.5000,  0.5000]])
    """
    rows = len(logits)
    if threshold == float("inf") and not stability:
        residual = logits.softmax(1)
        return residual.scatter_add_(1, labels[:, None], residual.new_full((rows, 1), -1.0)).div_(rows)
    length = torch.linalg.vector_norm(logits, dim=1, keepdim=True)  # (N, 1)
    direction = logits / torch.where(length > 0, length, 1.0)
    scale = (threshold / length).clamp_(max=1.0)
    residual = (scale * logits).softmax(1)
    residual = residual.scatter_add_(1, labels[:, None], residual.new_full((rows, 1), -1.0)).div_(rows)
    tangential = residual - direction * (direction * residual).sum(1, keepdim=True)
    gradient = torch.where(scale < 1, scale * tangential, residual)
    if stability:
        excess = length - length.mean()
        deviation = excess.square().mean().sqrt()
        stable = deviation <= 4 * torch.finfo(length.dtype).eps * length.max()
        gradient += (
            torch.where(stable, 0.0, stability * excess / (rows * torch.where(stable, 1.0, deviation))) * direction
        )
    return gradient


class PerceptronTrainee(ImageTrainee):
    r"""An :class:`~companion.training.images.ImageTrainee` with a written-out step: no autograd, one product a layer.

    With $g$ the gradient of the loss at a layer's output (B, out) and $h$ its input (B, in), plain SGD with weight decay is
    $W \leftarrow (1 - \eta\lambda)\,W - \eta\,g^\top h$: gradient, decay and step in a single matrix product.

    Takes the arguments of :class:`~companion.training.images.ImageTrainee`.

    Raises:
        TypeError: the network is no :class:`~companion.models.mlp.MLP` or the optimiser no SGD.
        ValueError: SGD with momentum, or an objective other than cross-entropy, partial norm and length stability.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(self.network, MLP) or not isinstance(self.optimiser, torch.optim.SGD):
            raise TypeError(
                f"needs an MLP and SGD, got {type(self.network).__name__} and {type(self.optimiser).__name__}"
            )
        (self.group,) = self.optimiser.param_groups
        if self.group["momentum"] or self.group["nesterov"] or self.group["maximize"]:
            raise ValueError("needs plain SGD: no momentum, no maximising")
        self.threshold, self.stability = _knobs(self.objective)
        self.rows = self.train[0].flatten(1)  # (N, D)

    def train_epoch(self, epoch: int) -> None:
        """Take one pass over the training rows."""
        self.network.train()
        for rows in self.batch_order(epoch).split(self.batch_size):
            self._step(self.rows.index_select(0, rows), self.train[1][rows])

    @torch.no_grad()
    def _step(self, hidden: Tensor, labels: Tensor) -> None:
        layers, inputs = self.network.layers, []
        for layer in layers[:-1]:
            inputs.append(hidden)
            hidden = torch.addmm(layer.bias, hidden, layer.weight.t()).relu_()  # (B, width)
        inputs.append(hidden)
        logits = torch.addmm(layers[-1].bias, hidden, layers[-1].weight.t())  # (B, C)
        gradient = logit_gradient(logits, labels, self.threshold, self.stability)
        lr, keep = self.group["lr"], 1 - self.group["lr"] * self.group["weight_decay"]
        for index in reversed(range(len(layers))):
            weight, bias, hidden = layers[index].weight, layers[index].bias, inputs[index]
            below = gradient @ weight if index else None
            weight.addmm_(gradient.t(), hidden, beta=keep, alpha=-lr)
            bias.mul_(keep).sub_(gradient.sum(0), alpha=lr)
            gradient = below.masked_fill_(hidden <= 0, 0.0) if index else None


def _knobs(objective: Any) -> tuple[float, float]:
    """Return threshold and stability of an objective that has nothing else."""
    penalties = dict(objective.penalties)
    penalty, stability = penalties.pop("stability", (length_stability, 0.0))
    plain = objective.criterion is torch.nn.functional.cross_entropy and penalty is length_stability and not penalties
    transform = objective.logit_transform
    if (
        not plain
        or objective.head
        or objective.clip
        or objective.decoupled
        or not isinstance(transform, PartialNorm | None)
    ):
        raise ValueError(
            "needs an objective of cross-entropy, a partial norm and a penalty 'stability' on lengths, nothing else"
        )
    return float("inf") if transform is None else float(transform.threshold), float(stability)
