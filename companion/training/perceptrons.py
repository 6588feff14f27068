r"""Plain SGD on perceptrons with the backward pass written out: the same steps, faster, for any objective on logits.

Autograd gives the gradient at the logits, whatever the objective; behind it lie only matrix products. With $g$ the gradient
at a layer's output (B, out) and $h$ its input (B, in), SGD with weight decay is

.. math:: W \leftarrow (1 - \eta\lambda)\,W - \eta\,g^\top h

so gradient, decay and step are a single product, batched over the runs of a stack, and no gradient is ever stored.
"""

from __future__ import annotations

import torch
from torch import Tensor

from companion.models.mlp import MLP
from companion.training.learner import Stack

__all__ = ["can_write_out", "written_out_step"]


def can_write_out(stack: Stack, optimiser: torch.optim.Optimizer, accumulate: int = 1) -> bool:
    """Say whether a stack's step may be written out.

    It may for a :class:`~companion.models.mlp.MLP` in full precision under plain SGD (no momentum), when the objective acts on
    logits alone and learns nothing itself: no head, no penalty on features or model, no clipping, no decoupled term.
    """
    learner, (group, *more) = stack.learners[0], optimiser.param_groups
    objective = learner.objective
    return (
        type(learner.network) is MLP
        and learner.precision == "float32"
        and accumulate == 1
        and type(optimiser) is torch.optim.SGD
        and not (more or group["momentum"] or group["maximize"])
        and objective.head is None
        and objective.clip is None
        and not objective.decoupled
        and all(penalty.on == "logits" for penalty, _ in objective.penalties.values())
        and next(objective.parameters(), None) is None
        and all(parameter.requires_grad for parameter in learner.parameters())
    )


@torch.no_grad()
def written_out_step(stack: Stack, optimiser: torch.optim.Optimizer, inputs: Tensor, labels: Tensor) -> None:
    """Take one step of every run; `can_write_out` says when it is the step that the optimiser would take.

    Args:
        stack: R perceptrons with their objectives.
        optimiser: gives learning rate and weight decay.
        inputs: (R, B, …).
        labels: (R, B).
    """
    (group,) = optimiser.param_groups
    lr, keep = group["lr"], 1 - group["lr"] * group["weight_decay"]
    hidden, below = inputs.flatten(2), []  # (R, B, D)
    layers = _layers(stack)
    for index, (weight, bias) in enumerate(layers):
        below.append(hidden)
        hidden = torch.baddbmm(bias.unsqueeze(1), hidden, weight.mT)  # (R, B, width)
        if index < len(layers) - 1:
            hidden.relu_()
    gradient = _logit_gradient(stack, hidden, labels)
    for index in reversed(range(len(layers))):
        (weight, bias), hidden = layers[index], below[index]
        lower = torch.bmm(gradient, weight) if index else None
        weight.baddbmm_(gradient.mT, hidden, beta=keep, alpha=-lr)
        bias.mul_(keep).sub_(gradient.sum(1), alpha=lr)
        # The backward of relu itself: one pass, and no mask is written.
        gradient = torch.ops.aten.threshold_backward(lower, hidden, 0.0) if index else None


def _layers(stack: Stack) -> list[tuple[Tensor, Tensor]]:
    """Return each layer's weights (R, out, in) and biases (R, out)."""
    names = [f"network.layers.{index}" for index in range(len(stack.learners[0].network.layers))]
    if len(stack) == 1:
        layers = stack.learners[0].network.layers
        return [(layer.weight.detach()[None], layer.bias.detach()[None]) for layer in layers]
    return [(stack.stacked[f"{name}.weight"].detach(), stack.stacked[f"{name}.bias"].detach()) for name in names]


@torch.enable_grad()
def _logit_gradient(stack: Stack, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of every run's loss at its logits, (R, B, C), by autograd."""
    leaf = logits.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(stack.losses(leaf, labels, are_logits=True).sum(), leaf)
    return gradient
