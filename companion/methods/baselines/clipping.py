"""Clipping of parameter gradients, between ``backward()`` and the optimiser's ``step()``.

Taught in chapter 03. Under a loss scaler, unscale the gradients first.

What is clipped is the gradient of a parameter as the model holds it: under `torch.nn.utils.parametrize` that of the
originals. A sparse gradient (``Embedding(sparse=True)``) is coalesced, and then clipped as the dense one would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from companion._checks import as_hyperparameter, check_number, working_dtype
from companion._numerics import row_length
from companion.methods._names import unwrapped

__all__ = ["adaptive_clip_grad_", "clip_by_norm_"]

Parameters = Tensor | Iterable[Tensor] | Iterable[tuple[str, Tensor]]


@torch.no_grad()
def adaptive_clip_grad_(
    parameters: Parameters,
    clipping: float | Tensor = 0.01,
    eps: float | Tensor = 1e-3,
    exclude: Sequence[Tensor | str] | None = None,
) -> None:
    r"""Shorten, in place, each unit's gradient that is long compared with the unit's weights (AGC).

    .. math:: g \leftarrow g \cdot \min\Big(1, \frac{\lambda \max(\|w\|, \varepsilon)}{\|g\|}\Big)

    A unit is what one index of axis 0 holds: one filter, one neuron, one word of an embedding. In a transposed
    convolution, whose weight has its input channels there, it is an input channel. A bias or gain is one unit.

    Args:
        parameters: tensors, or (name, tensor) pairs as from ``model.named_parameters()``. Those without gradient
            are left alone.
        clipping: λ > 0.
        eps: ε ≥ 0, the least length that a unit counts as having, so that fresh zeros can move.
        exclude: tensors, or patterns of names ("head.*") when pairs are given, with or without the ``module.`` or
            ``_orig_mod.`` of a wrapper. Default: ("head.*", "fc.*") for pairs, as the paper leaves the last layer
            out; nothing for plain tensors.

    Raises:
        TypeError, ValueError: an argument has the wrong type, is out of range, or is a pattern without names.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [3.0, 4.0]]))
        >>> weight.grad = torch.tensor([[0.0, 8.0], [0.0, 0.1]])
        >>> adaptive_clip_grad_([weight], clipping=0.1)  # 0.1·5 = 0.5 for each row
        >>> weight.grad
        tensor([[0.0000, 0.5000],
                [0.0000, 0.1000]])

    Taught in: chapter 03. Source: Brock et al., High-performance large-scale image recognition without
    normalization, ICML 2021, Eq. 3.
    """
    clipping = as_hyperparameter(check_number("clipping", clipping, above=0))
    eps = as_hyperparameter(check_number("eps", eps, at_least=0))
    for parameter, gradient in _selected(parameters, exclude):
        weight = parameter
        if parameter.grad.is_sparse and parameter.ndim >= 2:
            weight = parameter.index_select(0, parameter.grad.indices()[0])
        allowed = clipping * _unit_length(weight).clamp(min=eps)
        length = _unit_length(gradient)
        factor = torch.where(length > allowed, allowed / length, 1.0)  # (units, 1, …)
        gradient.mul_(factor.to(gradient.dtype))


@torch.no_grad()
def clip_by_norm_(
    parameters: Parameters, max_norm: float | Tensor = 1.0, exclude: Sequence[Tensor | str] = ()
) -> Tensor:
    r"""Shorten, in place, the gradient of all parameters together to a largest length (GC).

    .. math:: g \leftarrow g \cdot \min(1, \mathrm{max\_norm}/\|g\|)

    Args:
        parameters: tensors, or (name, tensor) pairs as from ``model.named_parameters()``.
        max_norm: the largest length, > 0.
        exclude: tensors, or patterns of names when pairs are given, as in `adaptive_clip_grad_`.

    Returns:
        The length before clipping, a 0-d tensor.

    Raises:
        TypeError, ValueError: an argument has the wrong type, is out of range, or is a pattern without names.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.zeros(2))
        >>> weight.grad = torch.tensor([3.0, 4.0])
        >>> clip_by_norm_([weight], max_norm=1.0)
        tensor(5.)
        >>> weight.grad
        tensor([0.6000, 0.8000])

    Taught in: chapter 03. Source: Pascanu et al., On the difficulty of training recurrent neural networks,
    ICML 2013, Algorithm 1; PowerGrad Transform, Eq. 5.
    """
    max_norm = as_hyperparameter(check_number("max_norm", max_norm, above=0))
    gradients = [gradient for _, gradient in _selected(parameters, exclude)]
    if not gradients:
        return torch.zeros((), device="cpu")
    device = gradients[0].device
    lengths = [row_length(g.flatten().to(working_dtype(g.dtype)), 0).to(device) for g in gradients]
    length = row_length(torch.stack(lengths), 0)
    factor = torch.where(length > max_norm, max_norm / length, 1.0)
    for gradient in gradients:
        gradient.mul_(factor.to(gradient.device, gradient.dtype))
    return length


def _unit_length(tensor: Tensor) -> Tensor:
    """Return the units' lengths in a shape that broadcasts against the tensor: (rows, 1, …), or (1, …) for one unit."""
    start = 1 if tensor.ndim >= 2 else 0
    rows = tensor.flatten(start).to(working_dtype(tensor.dtype))
    return row_length(rows, start).reshape([-1] + [1] * (tensor.ndim - 1) if tensor.ndim else [])


def _selected(parameters: Parameters, exclude: Sequence[Tensor | str] | None) -> list[tuple[Tensor, Tensor]]:
    """Return the parameters that have a gradient and are not excluded, each with its gradient's entries."""
    entries = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    named = [entry if isinstance(entry, tuple) else (None, entry) for entry in entries]
    has_names = all(name is not None for name, _ in named)
    if exclude is None:
        exclude = ("head.*", "fc.*") if has_names else ()
    if isinstance(exclude, (str, Tensor)):
        exclude = (exclude,)
    patterns = [entry for entry in exclude if isinstance(entry, str)]
    if patterns and not has_names:
        raise ValueError(f"exclude holds name patterns {patterns}, which need (name, tensor) pairs as parameters")
    tensors = {id(entry) for entry in exclude if isinstance(entry, Tensor)}
    selected = [
        (parameter, _entries(parameter))
        for name, parameter in named
        if parameter.grad is not None
        and id(parameter) not in tensors
        and not any(fnmatchcase(known, pattern) for pattern in patterns for known in (name, unwrapped(name)))
    ]
    return [(parameter, gradient) for parameter, gradient in selected if gradient.numel() > 0]


def _entries(parameter: Tensor) -> Tensor:
    """Return the entries of a parameter's gradient, sharing its memory: of a sparse one the rows that are there."""
    gradient = parameter.grad
    if gradient.layout is torch.strided:
        return gradient
    if gradient.layout is not torch.sparse_coo:
        raise TypeError(f"gradients must be dense or sparse (COO), got {gradient.layout}")
    gradient = gradient.coalesce() if gradient.sparse_dim() == 1 else gradient.to_dense().to_sparse(1)
    parameter.grad = gradient  # the clipped entries must be those of the gradient itself
    return gradient.values()
