"""Norm loss (NL): pull every weight vector of a network towards length one.

A weight vector is a row: all weights of one filter or one neuron. Weight decay pulls it towards length 0; the norm
loss lengthens a short one and shortens a long one. Its effect is weight decay with coefficient λ(1 − 1/‖w‖).

Taught in chapter 05.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from companion._checks import as_hyperparameter, check_floating, check_number, working_dtype
from companion._numerics import row_length, unit_rows

__all__ = ["NormLoss", "norm_loss"]

Choice = Callable[[str, nn.Parameter], bool]


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

    Args:
        model: the network; it is not registered as a submodule, so its parameters stay its own.
        include: (name, parameter) → whether it counts. Default: weights with two or more dimensions outside
            normalisation layers.
        exclude: (name, parameter) → whether to leave it out after all.

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
                raise TypeError(f"{name} must be a callable (name, parameter) -> bool, got {type(choice).__name__}")
        self._model = (model,)  # in a tuple: a submodule would hand its parameters to the optimiser twice
        self._include, self._exclude = include, exclude

    def forward(self, model: nn.Module | None = None) -> Tensor:
        """Return the sum of `norm_loss` over the weights chosen, of the model given or else of its own."""
        terms = [norm_loss(weight) for _, weight in self._weights(model)]
        return torch.stack(terms).sum() if terms else torch.zeros(())

    def norm(self) -> Tensor:
        """Return the loss term of its own model: a 0-d tensor, to be multiplied by λ and added to the loss."""
        return self()

    @torch.no_grad()
    def decoupled_step_(self, lr: float | Tensor, model: nn.Module | None = None) -> None:
        """Move each weight vector towards length one, in place: w ← w − lr·2w(1 − 1/‖w‖).

        Args:
            lr: the step's size, at least 0; it includes λ.
            model: another model of the same make; default: its own.
        """
        check_number("lr", lr, at_least=0)
        for _, weight in self._weights(model):
            rows = _rows(weight)
            weight.sub_((2 * as_hyperparameter(lr) * (rows - unit_rows(rows, 1))).reshape(weight.shape))

    def names(self) -> list[str]:
        """Return the names of the weights that count."""
        return [name for name, _ in self._weights(None)]

    def _weights(self, model: nn.Module | None) -> Iterator[tuple[str, nn.Parameter]]:
        model = self._model[0] if model is None else model
        include = self._include or _weights_outside(_normalisation_parameters(model))
        for name, parameter in model.named_parameters():
            if include(name, parameter) and not (self._exclude and self._exclude(name, parameter)):
                yield name, parameter


def _rows(weight: Tensor) -> Tensor:
    """Return the weight vectors as rows of a matrix (C, D·…), in the dtype to compute in."""
    check_floating("weight", weight, min_dim=2)
    rows = weight.flatten(1)
    if rows.shape[1] == 0:
        raise ValueError(f"weight must have entries in its rows, got shape {tuple(weight.shape)}")
    return rows.to(working_dtype(weight.dtype))


def _normalisation_parameters(model: nn.Module) -> set[int]:
    """Return the ids of the parameters of normalisation layers: classes named …Norm, …Norm1d, …Norm2d and so on."""
    layers = (module for module in model.modules() if re.search(r"Norm(\dd)?$", type(module).__name__))
    return {id(parameter) for layer in layers for parameter in layer.parameters(recurse=False)}


def _weights_outside(excluded: set[int]) -> Choice:
    def include(name: str, parameter: nn.Parameter) -> bool:
        is_weight = "weight" in name.rpartition(".")[2] and parameter.ndim >= 2 and parameter.numel() > 0
        return is_weight and id(parameter) not in excluded

    return include
