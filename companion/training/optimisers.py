"""Optimisers as values: what a record says of one, and torch's own optimiser made from it.

A stack of runs trains on tensors with a leading run axis. SGD and Adam act on every entry by itself, so that torch's
optimiser over the stacked tensors is each run's own: momentum and moments are a run's, never shared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from companion._checks import check_number

__all__ = ["Adam", "Optimiser", "Sgd"]


@dataclass(frozen=True)
class Optimiser:
    """What steps are made of gradients; `Sgd` and `Adam` are what there is.

    Attributes:
        weight_decay: coefficient λ of every arm that does not turn this knob itself.
    """

    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_number("weight_decay", self.weight_decay, at_least=0)

    def build(
        self, parameters: Iterable[Tensor], *, lr: float, weight_decay: float | None = None
    ) -> torch.optim.Optimizer:
        """Return torch's optimiser of the parameters; ``weight_decay`` stands in for the value of the setting."""
        raise NotImplementedError

    def _decay(self, weight_decay: float | None) -> float:
        return self.weight_decay if weight_decay is None else weight_decay


@dataclass(frozen=True)
class Sgd(Optimiser):
    """Stochastic gradient descent, `torch.optim.SGD`: the decay is added to the gradient.

    Attributes:
        momentum: μ in [0, 1).
        nesterov: take Nesterov's form of it.
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("momentum", self.momentum, at_least=0, below=1)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True needs momentum > 0, got 0")

    def build(self, parameters: Iterable[Tensor], *, lr: float, weight_decay: float | None = None) -> torch.optim.SGD:
        """Return `torch.optim.SGD`."""
        return torch.optim.SGD(
            parameters, lr=lr, momentum=self.momentum, nesterov=self.nesterov, weight_decay=self._decay(weight_decay)
        )


@dataclass(frozen=True)
class Adam(Optimiser):
    """Adam, or AdamW with ``decoupled=True``, whose decay acts on the weights beside the moments.

    Attributes:
        betas: of the two moments.
        eps: added to the root of the second.
        decoupled: `torch.optim.AdamW` instead of `torch.optim.Adam`.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    decoupled: bool = False

    def build(
        self, parameters: Iterable[Tensor], *, lr: float, weight_decay: float | None = None
    ) -> torch.optim.Optimizer:
        """Return `torch.optim.Adam` or `torch.optim.AdamW`."""
        make = torch.optim.AdamW if self.decoupled else torch.optim.Adam
        return make(parameters, lr=lr, betas=self.betas, eps=self.eps, weight_decay=self._decay(weight_decay))
