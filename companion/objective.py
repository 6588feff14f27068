"""The objective: a training step's places (head, logit transform, criterion, penalties, update rule) as one value.

    inputs ─► backbone ─► HEAD ─► logits z ─► LOGIT TRANSFORM ─► ẑ ─► CRITERION(ẑ, target) ─► loss ─► UPDATE RULE
                           │           └─► PENALTY on logits ───────────────────────────────► +
                           └────────────► PENALTY on features, on the model ────────────────► +

Each method of the five papers acts at one of these places, so that a combination is a value, not new code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from companion._checks import as_hyperparameter, check_choice, check_number, keep_hyperparameter

__all__ = ["Objective"]

PLACES = ("logits", "features", "model")
OWN_TERMS = ("criterion", "loss")


class Objective(nn.Module):
    r"""Compose a loss from the places of the training step, and keep its terms by name.

    .. math:: \text{loss} = \text{criterion}(\hat z, y) + \sum_k \lambda_k\,\text{penalty}_k

    Args:
        head: features → logits, called ``head(features, target)``; None if the model itself gives logits.
        logit_transform: logits → logits, applied before the criterion only; None for the identity.
        criterion: (logits, target) → 0-d loss. Default: `torch.nn.functional.cross_entropy`.
        penalties: name → (penalty, weight). A penalty says what it acts on: ``penalty.on`` is "logits" (called with
            the raw logits, before the transform), "features" (called with features and target, as a head is) or
            "model" (called with the model).
        clip: called with ``model.named_parameters()`` by `after_backward`: `adaptive_clip_grad_`, `clip_by_norm_`, or
            ``functools.partial`` of one.
        decoupled: name → (term, weight) of terms with ``decoupled_step_(lr, model)``, applied by `after_step`:
            `NormLoss`.

    Parts that are modules are submodules, and weights that are 0-d tensors are buffers: `train`, `to`, `parameters`,
    `state_dict` and ``torch.func.stack_module_state`` reach them. To predict, call
    ``objective.transform(objective.head(features, None))``, without the head ``objective.transform(logits)``.

    Attributes:
        penalties, decoupled: name → (part, weight).

    Raises:
        TypeError: a part cannot be called, a weight is no number, a decoupled term has no ``decoupled_step_``.
        ValueError: a penalty does not say what it acts on, or a name is taken.

    Example:
        >>> import torch
        >>> from companion import Objective, PartialNorm, length_stability
        >>> objective = Objective(
        ...     logit_transform=PartialNorm(threshold=2.0), penalties={"stability": (length_stability, 0.1)}
        ... )
        >>> logits = torch.tensor([[3.0, 4.0], [0.0, 1.0]], requires_grad=True)
        >>> terms = objective(logits, torch.tensor([1, 1]))
        >>> {name: round(term.item(), 4) for name, term in terms.items()}
        {'criterion': 0.4131, 'stability': 2.0, 'loss': 0.6131}
        >>> terms["loss"].backward()

    A whole step::

        terms = objective(model(inputs), target, model=model)
        terms["loss"].backward()
        objective.after_backward(model)
        optimiser.step()
        objective.after_step(model, lr)

    Taught in: chapter 06.
    """

    def __init__(
        self,
        head: Callable[[Tensor, Tensor], Tensor] | None = None,
        logit_transform: Callable[[Tensor], Tensor] | None = None,
        criterion: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
        penalties: Mapping[str, tuple[Callable[..., Tensor], float | Tensor]] | None = None,
        clip: Callable[[Any], Any] | None = None,
        decoupled: Mapping[str, tuple[Any, float | Tensor]] | None = None,
    ) -> None:
        super().__init__()
        parts = {"head": head, "logit_transform": logit_transform, "criterion": criterion, "clip": clip}
        for name, part in parts.items():
            optional = name != "criterion"
            if not (callable(part) or (part is None and optional)):
                raise TypeError(f"{name} must be callable{' or None' * optional}, got {part!r}")
            setattr(self, name, part)
        self._penalties = _weighted("penalties", penalties)
        self._decoupled = _weighted("decoupled", decoupled)
        for name, (penalty, _) in self.penalties.items():
            _check_penalty(name, penalty)
        for name, (term, _) in self.decoupled.items():
            if not callable(getattr(term, "decoupled_step_", None)):
                raise TypeError(f"decoupled[{name!r}] must have a method decoupled_step_(lr, model), got {term!r}")

    @property
    def penalties(self) -> dict[str, tuple[Callable[..., Tensor], float | Tensor]]:
        """Return the penalties and their weights by name."""
        return {term.name: (term.part, term.weight) for term in self._penalties}

    @property
    def decoupled(self) -> dict[str, tuple[Any, float | Tensor]]:
        """Return the decoupled terms and their weights by name."""
        return {term.name: (term.part, term.weight) for term in self._decoupled}

    def forward(
        self,
        logits: Tensor | None,
        target: Tensor,
        *,
        features: Tensor | None = None,
        model: nn.Module | None = None,
    ) -> dict[str, Tensor]:
        """Return the terms by name: ``criterion``, each penalty (unweighted), and ``loss``, the one to differentiate.

        Args:
            logits: what the model returns, (N, C, …); None if there is a head, which makes them from ``features``.
            target: what the criterion takes.
            features: (N, D), for a head and for penalties on features. (Keyword only.)
            model: for penalties on the model. (Keyword only.)

        Raises:
            ValueError: something a part needs is not given, logits are given beside a head, or a term is not 0-d.
        """
        given = {"logits": self._raw_logits(logits, target, features), "features": features, "model": model}
        terms = {"criterion": _scalar("criterion", self.criterion(self.transform(given["logits"]), target))}
        loss = terms["criterion"]
        for term in self._penalties:
            name, argument = term.name, given[term.on]
            if argument is None:
                raise ValueError(f"penalty {name!r} acts on {term.on}: call objective(…, {term.on}=…)")
            arguments = (argument, target) if term.on == "features" else (argument,)
            terms[name] = _scalar(name, term.part(*arguments))
            loss = loss + as_hyperparameter(term.weight, terms[name].dtype) * terms[name]
        return {**terms, "loss": loss}

    def transform(self, logits: Tensor) -> Tensor:
        """Return the logits as the criterion sees them."""
        return logits if self.logit_transform is None else self.logit_transform(logits)

    def after_backward(self, model: nn.Module) -> None:
        """Clip the gradients of the model, between ``backward()`` and the optimiser's ``step()``.

        A head that lives in this objective is no part of the model; its gradients are left alone.
        """
        if self.clip is not None:
            self.clip(model.named_parameters())

    def after_step(self, model: nn.Module, lr: float | Tensor) -> None:
        """Apply the decoupled terms, after the optimiser's ``step()``, each with step size lr·weight."""
        for term, weight in self.decoupled.values():
            term.decoupled_step_(lr * as_hyperparameter(weight), model)

    def extra_repr(self) -> str:
        """Name the parts that are not modules when the objective is printed."""
        plain = {name: getattr(self, name) for name in ("head", "logit_transform", "criterion", "clip")}
        shown = [f"{name}={_name(part)}" for name, part in plain.items() if not isinstance(part, nn.Module | None)]
        for group in ("penalties", "decoupled"):
            shown += [f"{name}={weight}·{_name(part)}" for name, (part, weight) in getattr(self, group).items()]
        return ", ".join(shown)

    def _raw_logits(self, logits: Tensor | None, target: Tensor, features: Tensor | None) -> Tensor:
        if self.head is None:
            if logits is None:
                raise ValueError("logits must be given when the objective has no head, got None")
            return logits
        if logits is not None:
            raise ValueError("logits must be None when the objective has a head: it makes them from features")
        if features is None:
            raise ValueError("features must be given when the objective has a head, got None")
        return self.head(features, target)


class _Weighted(nn.Module):
    """A part of the objective with its weight."""

    def __init__(self, name: str, part: Any, weight: float | Tensor) -> None:
        super().__init__()
        self.name, self.part, self.on = name, part, getattr(part, "on", None)
        keep_hyperparameter(self, "weight", weight)


def _weighted(argument: str, entries: Mapping[str, tuple[Any, float | Tensor]] | None) -> nn.ModuleList:
    """Return the entries as modules, after checking names and weights."""
    terms = nn.ModuleList()
    for name, entry in (entries or {}).items():
        if not isinstance(entry, tuple) or len(entry) != 2:
            raise TypeError(f"{argument}[{name!r}] must be a pair (term, weight), got {entry!r}")
        if argument == "penalties" and name in OWN_TERMS:
            raise ValueError(f"{argument} must not be named {' or '.join(map(repr, OWN_TERMS))}, got {name!r}")
        part, weight = entry
        terms.append(_Weighted(name, part, check_number(f"{argument}[{name!r}]'s weight", weight, at_least=0)))
    return terms


def _check_penalty(name: str, penalty: Any) -> None:
    if not callable(penalty):
        raise TypeError(f"penalties[{name!r}] must be callable, got {penalty!r}")
    check_choice(f"penalties[{name!r}].on", getattr(penalty, "on", None), PLACES)


def _scalar(name: str, term: Tensor) -> Tensor:
    if term.ndim != 0:
        raise ValueError(f"{name} must be a 0-d tensor (reduction 'mean' or 'sum'), got shape {tuple(term.shape)}")
    return term


def _name(part: Any) -> str:
    return getattr(part, "__name__", None) or type(part).__name__
