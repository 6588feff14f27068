"""Every criterion, logit transform and penalty on logits of the library as the loss that a user differentiates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor
from torch.nn import functional

from companion import methods

BASELINE = "cross_entropy"


@dataclass(frozen=True)
class Case:
    """One method as a loss.

    Attributes:
        place: where in the training step it acts: "criterion", "logit transform" (cross entropy follows) or "penalty"
            (added to cross entropy).
        loss: (logits (N, C), class indices (N,)) → 0-d loss, a mean over rows.
    """

    place: str
    loss: Callable[[Tensor, Tensor], Tensor]


def _after(transform: Callable[[Tensor], Tensor]) -> Case:
    return Case("logit transform", lambda logits, target: functional.cross_entropy(transform(logits), target))


def _with(penalty: Callable[[Tensor], Tensor]) -> Case:
    return Case("penalty", lambda logits, target: functional.cross_entropy(logits, target) + 0.1 * penalty(logits))


def _criterion(function: Callable[..., Tensor], **own: float) -> Case:
    return Case("criterion", partial(function, **own))


# No hyperparameter here is neutral: there a method calls cross entropy itself, and would cost what that costs.
CASES: dict[str, Case] = {
    BASELINE: Case("criterion", functional.cross_entropy),
    "tamed_cross_entropy": _criterion(methods.tamed_cross_entropy, alpha=0.5),
    "powergrad_cross_entropy": _criterion(methods.powergrad_cross_entropy, alpha=0.25),
    "softmax_mse": _criterion(methods.softmax_mse),
    "softmax_mae": _criterion(methods.softmax_mae),
    "generalized_cross_entropy": _criterion(methods.generalized_cross_entropy),
    "symmetric_cross_entropy": _criterion(methods.symmetric_cross_entropy),
    "focal_loss": _criterion(methods.focal_loss),
    "partially_huberised_cross_entropy": _criterion(methods.partially_huberised_cross_entropy),
    "active_passive_loss": _criterion(methods.active_passive_loss),
    "bi_tempered_logistic_loss": _criterion(methods.bi_tempered_logistic_loss),
    "partial_norm": _after(partial(methods.partial_norm, threshold=5.0)),
    "scalable_batch_norm": _after(methods.scalable_batch_norm),
    "logit_norm": _after(methods.logit_norm),
    "temperature_scale": _after(partial(methods.temperature_scale, temperature=2.0)),
    "soft_cap": _after(partial(methods.soft_cap, cap=30.0)),
    "length_stability": _with(methods.length_stability),
    "logit_penalty": _with(methods.logit_penalty),
    "z_loss": _with(methods.z_loss),
}
"""The library's functions by name; a test holds that none is missing."""
