"""Network and objective as one thing that is switched, optimised and saved together; one run of it, or a stack.

An objective may hold state of its own: running statistics of a logit transform, a learned head. Whatever switches, moves,
optimises or saves the network without it measures a different method.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from companion._checks import check_choice
from companion.objective import Objective

__all__ = ["PRECISIONS", "Learner", "Stack"]

PRECISIONS = ("float32", "bf16", "fp16")


class Learner(nn.Module):
    """A network and the objective that it is trained with.

    Args:
        network: maps inputs to logits. With ``features`` and ``head`` its logits are ``head(features(x))``; an objective with a
            head of its own, or with a penalty on features, needs ``features``.
        objective: the loss.
        precision: "float32" computes in the dtype of the weights; "bf16" and "fp16" run the network under autocast and hand
            float32 to the objective.

    Raises:
        ValueError: the objective wants features and the network has none, or an unknown precision.
    """

    def __init__(self, network: nn.Module, objective: Objective, *, precision: str = "float32") -> None:
        super().__init__()
        check_choice("precision", precision, PRECISIONS)
        self.network, self.objective, self.precision = network, objective, precision
        on_features = any(penalty.on == "features" for penalty, _ in objective.penalties.values())
        self.wants_features = objective.head is not None or on_features
        if self.wants_features and not hasattr(network, "features"):
            raise ValueError(f"the objective acts on features, and {type(network).__name__} has no method features")

    def forward(self, inputs: Tensor, labels: Tensor, *, are_logits: bool = False) -> Tensor:
        """Return the loss to differentiate, 0-d, of inputs (N, …) and labels (N,).

        Args:
            inputs: what the network takes, or raw logits (N, C).
            labels: (N,).
            are_logits: the inputs are logits, and the network is not run. (Keyword only.)
        """
        logits, features = (inputs, None) if are_logits else self.outputs(inputs, predict=False)
        return self.objective(logits, labels, features=features, model=self.network)["loss"]

    def outputs(
        self, inputs: Tensor, *, predict: bool = True, with_features: bool = False
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return raw logits (N, C) and features (N, D), the latter ``None`` where nothing asks for them.

        Args:
            inputs: (N, …).
            predict: logits of an objective's own head too, as it predicts; without, ``None`` for those. (Keyword only.)
            with_features: return features in any case. (Keyword only.)
        """
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        with nullcontext() if half is None else torch.autocast(inputs.device.type, half):
            features = self.network.features(inputs) if self.wants_features or with_features else None
            if self.objective.head is None:
                logits = self.network(inputs) if features is None else self.network.head(features)
            else:
                logits = None
        logits, features = (
            part.float() if part is not None and part.dtype in (torch.bfloat16, torch.float16) else part
            for part in (logits, features)
        )
        if logits is None and predict:
            logits = self.objective.head(features, None)
        return logits, features

    def has_dropout(self) -> bool:
        """Say whether a step of training draws random numbers."""
        return any(isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0 for part in self.modules())

    @contextmanager
    def training_without_memory(self) -> Any:
        """Compute as in training (batch statistics), and leave running statistics and modes as they were."""
        modes = {part: part.training for part in self.modules()}
        buffers = {name: buffer.clone() for name, buffer in self.named_buffers()}
        self.train()
        for part in self.modules():
            if isinstance(part, nn.modules.dropout._DropoutNd):
                part.eval()  # a measurement draws no random numbers
        try:
            yield
        finally:
            with torch.no_grad():
                for name, buffer in self.named_buffers():
                    buffer.copy_(buffers[name])
            for part, mode in modes.items():
                part.training = mode


class Stack:
    """R learners that take their steps together: parameters and buffers side by side in tensors (R, …).

    The learners stay as they are, usable one by one: their parameters, gradients and buffers are views of the stacked
    tensors. So measuring, clipping, decoupled steps and saving go learner by learner, and only the expensive part, forward
    and backward, goes through `torch.func.vmap`. A stack of one is the plain module, without vmap.

    Args:
        learners: of equal make; they may differ in their values (the seed), not in their hyperparameters.

    Raises:
        ValueError: none is given, or several have dropout, whose draws would depend on the stack.
    """

    def __init__(self, learners: Sequence[Learner]) -> None:
        self.learners = list(learners)
        if not self.learners:
            raise ValueError("learners must hold at least one, got none")
        if len(self.learners) == 1:
            self.parameters = [p for p in self.learners[0].parameters() if p.requires_grad]
            return
        if any(learner.has_dropout() for learner in self.learners):
            raise ValueError("learners with dropout cannot be stacked: train them one by one")
        self.template = copy.deepcopy(self.learners[0])
        self.stacked = {
            name: nn.Parameter(_side_by_side(parts), requires_grad=parts[0].requires_grad)
            for name, parts in self._parts("named_parameters")
        }
        self.buffers = {name: _side_by_side(parts) for name, parts in self._parts("named_buffers")}
        self.parameters = [parameter for parameter in self.stacked.values() if parameter.requires_grad]
        for run, learner in enumerate(self.learners):
            for name, parameter in learner.named_parameters():
                parameter.data = self.stacked[name].data[run]
            for name, _ in list(learner.named_buffers()):
                owner, _, last = name.rpartition(".")
                learner.get_submodule(owner)._buffers[last] = self.buffers[name][run]

    def __len__(self) -> int:
        return len(self.learners)

    def _parts(self, kind: str) -> list[tuple[str, list[Tensor]]]:
        each = [dict(getattr(learner, kind)()) for learner in self.learners]
        return [(name, [parts[name] for parts in each]) for name in each[0]]

    def train(self) -> None:
        """Switch networks and objectives to training."""
        for learner in self.learners:
            learner.train()
        if len(self) > 1:
            self.template.train()

    def eval(self) -> None:
        """Switch networks and objectives to evaluation."""
        for learner in self.learners:
            learner.eval()
        if len(self) > 1:
            self.template.eval()

    def losses(self, inputs: Tensor, labels: Tensor, *, are_logits: bool = False) -> Tensor:
        """Return every run's loss, (R,), of its own batch: inputs (R, B, …) or raw logits (R, B, C), labels (R, B)."""
        if len(self) == 1:
            return self.learners[0](inputs[0], labels[0], are_logits=are_logits).unsqueeze(0)

        def loss(parameters: dict[str, Tensor], buffers: dict[str, Tensor], *batch: Tensor) -> Tensor:
            return functional_call(self.template, (parameters, buffers), batch, {"are_logits": are_logits})

        return vmap(loss)(self.stacked, self.buffers, inputs, labels)

    def each_with_gradients(self) -> list[Learner]:
        """Return the learners, each parameter's ``grad`` a view of the stacked gradient, so that it may be changed there."""
        if len(self) > 1:
            for run, learner in enumerate(self.learners):
                for name, parameter in learner.named_parameters():
                    gradient = self.stacked[name].grad
                    parameter.grad = None if gradient is None else gradient[run]
        return self.learners

    def state_dict(self) -> dict[str, Any]:
        """Return every learner's network and objective."""
        return {str(run): learner.state_dict() for run, learner in enumerate(self.learners)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them up again."""
        for run, learner in enumerate(self.learners):
            learner.load_state_dict(state[str(run)])


def _side_by_side(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack([part.detach() for part in parts])
