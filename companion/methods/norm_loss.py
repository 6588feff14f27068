"""Norm loss (NL): pull every weight vector of a network towards length one.

A weight vector is a row: all weights of one filter or one neuron. Weight decay pulls it towards length 0; the norm
loss lengthens a short one and shortens a long one. Its effect is weight decay with coefficient λ(1 − 1/‖w‖).

Taught in chapter 05.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from companion._checks import as_hyperparameter, check_floating, check_number, working_dtype
from companion._numerics import row_length, unit_rows
from companion.methods._names import unwrapped

__all__ = ["NormLoss", "norm_loss"]

Choice = Callable[[str, Tensor], bool]


def norm_loss(weight: Tensor) -> Tensor:
    r"""Return the sum over weight vectors of the squared difference between 1 and their length.

    .. math:: \mathrm{NL}(W) = \sum_c (1 - \|w_c\|)^2, \qquad \nabla_{w_c} = 2 w_c (1 - 1/\|w_c\|)

    The gradient at w = 0, which has no limit, is taken as 0. In float32 it is finite and right for entries from
    1e-30 to 1e+30; the value itself overflows to ``inf`` above 1.8e19.

    Args:
        weight: (C, D, …), one weight vector a row, flattened from axis 1; half types are computed in float32.

    Returns:
        A 0-d tensor, float32 for half types, else of the dtype of ``weight``.

    Raises:
        TypeError: ``weight`` is not a floating-point tensor.
        ValueError: it has fewer than two dimensions, or rows without entries.

    In a training loop: ``book/in_your_loop.md``.

    Example:
        >>> import torch
        >>> norm_loss(torch.tensor([[3.0, 4.0], [0.6, 0.8]]))  # (1 − 5)² + (1 − 1)²
        tensor(16.)

    Taught in: chapter 05. Source: Norm loss, Eqs. 1 and 6.
    """
    rows = _rows(weight)
    # Above 4/eps, (1 − ‖w‖)² and Σw² agree to rounding; the second has no product of two such numbers in its gradient.
    long = rows.detach().abs().amax(1) > 4 / torch.finfo(rows.dtype).eps  # (C,)
    usual = (1 - row_length(torch.where(long[:, None], 0.0, rows), 1)).square()
    return torch.where(long, rows.square().sum(1), usual).sum()


class NormLoss(nn.Module):
    """The norm loss of a whole model, as a loss term or as a decoupled step.

    The two forms differ. `norm()` adds λ·NL to the loss, so that its gradient passes through the optimiser: momentum
    averages it, Adam divides it by the gradient's size. `decoupled_step_` moves the weights directly, beside the
    optimiser, as AdamW does for weight decay. For plain SGD both give the same step.

    What counts is the weight that a layer uses, in training mode or not. A weight that is computed from others
    (`torch.nn.utils.parametrize`, weight and spectral normalisation, pruning) counts by its value, and its gradient goes
    to what it is computed from. A weight that several layers share counts once. A weight vector is an output channel, in
    a transposed convolution too, whose weight has it on axis 1; a layer that keeps its weights in a way of its own has a
    method ``weight_vectors(name, weight)``, which returns them with one weight vector on axis 0. Frozen weights
    (``requires_grad=False``) do not count and are not moved.

    Args:
        model: the network; it is not registered as a submodule, so its parameters stay its own.
        include: (name, weight) → whether it counts. Default: weights with two or more dimensions outside
            normalisation layers. Names are the network's own, without ``module.`` or ``_orig_mod.`` of a wrapper.
        exclude: (name, weight) → whether to leave it out after all.

    In a training loop: ``book/in_your_loop.md``.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        >>> term = NormLoss(model)
        >>> term.names()
        ['0.weight']
        >>> bool(term.norm() == norm_loss(model[0].weight))
        True

    Taught in: chapter 05. Source: Norm loss, Eqs. 2 and 6.
    """

    on = "model"

    def __init__(self, model: nn.Module, include: Choice | None = None, exclude: Choice | None = None) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        for name, choice in (("include", include), ("exclude", exclude)):
            if choice is not None and not callable(choice):
                raise TypeError(f"{name} must be a callable (name, weight) -> bool, got {type(choice).__name__}")
        self._model = (model,)  # in a tuple: a submodule would hand its parameters to the optimiser twice
        self._include, self._exclude = include, exclude

    def forward(self, model: nn.Module | None = None) -> Tensor:
        """Return the sum of `norm_loss` over the weights chosen, of the model given or else of its own."""
        terms = [norm_loss(weight.vectors()) for weight in self._weights(model)]
        if not terms:
            return torch.zeros((), device="cpu")
        return torch.stack([term.to(terms[0].device) for term in terms]).sum()

    def norm(self) -> Tensor:
        """Return the loss term of its own model: a 0-d tensor, to be multiplied by λ and added to the loss."""
        return self()

    @torch.no_grad()
    def decoupled_step_(self, lr: float | Tensor, model: nn.Module | None = None) -> None:
        """Move each weight vector towards length one, in place: w ← w − lr·2w(1 − 1/‖w‖).

        Where w is computed from other parameters, those take the same step down the gradient of the term.

        Args:
            lr: the step's size, at least 0; it includes λ.
            model: another model of the same make; default: its own.
        """
        lr = as_hyperparameter(check_number("lr", lr, at_least=0))
        with torch.inference_mode(False), torch.enable_grad():
            steps = [step for weight in self._weights(model) for step in weight.gradients()]
        for parameter, gradient in steps:
            parameter.sub_(lr * gradient)

    def names(self) -> list[str]:
        """Return the names of the weights that count."""
        return [weight.name for weight in self._weights(None)]

    def _weights(self, model: nn.Module | None) -> Iterator[_Weight]:
        for weight in _trained_weights(self._model[0] if model is None else model):
            include = self._include or weight.counts_by_default
            if include(weight.name, weight.value) and not (self._exclude and self._exclude(weight.name, weight.value)):
                yield weight


class _Weight(NamedTuple):
    """A tensor as a layer uses it, and the parameters it comes from."""

    name: str
    value: Tensor
    layer: nn.Module
    sources: tuple[nn.Parameter, ...]

    def counts_by_default(self, name: str, value: Tensor) -> bool:
        """Whether this is a weight, of two or more dimensions, outside normalisation layers (…Norm, …Norm2d, …)."""
        is_weight = "weight" in name.rpartition(".")[2] and value.ndim >= 2 and value.numel() > 0
        return is_weight and not re.search(r"Norm(\dd)?$", type(self.layer).__name__)

    def vectors(self) -> Tensor:
        """Return the value with one weight vector on axis 0."""
        if callable(arranged := getattr(self.layer, "weight_vectors", None)):
            return arranged(self.name.rpartition(".")[2], self.value)
        if isinstance(self.layer, _ConvTransposeNd) and self.value.ndim > 2:
            # (in, out/groups, …) → (groups, out/groups, in/groups, …) → (out, in/groups, …)
            return self.value.unflatten(0, (self.layer.groups, -1)).transpose(1, 2).flatten(0, 1)
        return self.value

    def gradients(self) -> list[tuple[Tensor, Tensor]]:
        """Return the trained parameters behind the value, each with its gradient of the norm loss."""
        vectors = self.vectors()
        rows = _rows(vectors.detach())
        gradient = (2 * (rows - unit_rows(rows, 1))).reshape(vectors.shape)
        if vectors is self.sources[0]:
            return [(vectors, gradient)]
        trained = [source for source in self.sources if _may_learn(source)]
        found = torch.autograd.grad(vectors, trained, gradient.to(vectors.dtype), allow_unused=True)
        return [(source, part) for source, part in zip(trained, found, strict=True) if part is not None]


def _may_learn(parameter: Tensor) -> bool:
    """Whether a parameter is not frozen; one inside a `torch.func` transform does not tell, and counts.

    A frozen one then adds a constant to the value, and still gets no gradient.
    """
    return parameter.requires_grad or torch._C._functorch.is_functorch_wrapped_tensor(parameter)


def _trained_weights(model: nn.Module) -> Iterator[_Weight]:
    """Yield every tensor that a layer uses and that training moves, once."""
    parametrised = [layer for layer in model.modules() if is_parametrized(layer)]
    inside = {id(part) for layer in parametrised for part in layer.parametrizations.modules()}
    seen = set()
    for path, layer in model.named_modules():
        for name, value, sources in () if id(layer) in inside else _tensors(layer):
            origin = tuple(id(source) for source in sources)
            if origin not in seen and any(_may_learn(source) for source in sources):
                seen.add(origin)
                yield _Weight(unwrapped(f"{path}.{name}" if path else name), value, layer, sources)


def _tensors(layer: nn.Module) -> Iterator[tuple[str, Tensor, tuple[nn.Parameter, ...]]]:
    """Yield name, value and parameters behind it of the tensors that a layer computes with."""
    own = {name: parameter for name, parameter in layer._parameters.items() if parameter is not None}
    computed = {}
    for hook in layer._forward_pre_hooks.values():  # what `weight_norm`, `spectral_norm` and `prune` left behind
        if isinstance(hook, WeightNorm):
            computed[hook.name] = hook.compute_weight(layer), (f"{hook.name}_g", f"{hook.name}_v")
        elif isinstance(hook, SpectralNorm):
            computed[hook.name] = hook.compute_weight(layer, do_power_iteration=False), (f"{hook.name}_orig",)
        elif isinstance(hook, BasePruningMethod):
            computed[hook._tensor_name] = hook.apply_mask(layer), (f"{hook._tensor_name}_orig",)
    for name, (value, sources) in computed.items():
        yield name, value, tuple(own.pop(source) for source in sources)
    for name, parameter in own.items():
        yield name, parameter, (parameter,)
    for name, parametrisation in layer.parametrizations.items() if is_parametrized(layer) else ():
        with _at_rest(parametrisation):
            value = parametrisation()
        yield name, value, tuple(parametrisation.parameters())


@contextmanager
def _at_rest(module: nn.Module) -> Iterator[None]:
    """Switch a module to evaluation for a moment: `spectral_norm` takes a step of its own when asked while training.

    Its weight is then the one of the last forward pass.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _rows(weight: Tensor) -> Tensor:
    """Return the weight vectors as rows of a matrix (C, D·…), in the dtype to compute in."""
    check_floating("weight", weight, min_dim=2)
    rows = weight.flatten(1)
    if rows.shape[1] == 0:
        raise ValueError(f"weight must have entries in its rows, got shape {tuple(weight.shape)}")
    return rows.to(working_dtype(weight.dtype))
