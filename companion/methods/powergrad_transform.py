"""PowerGrad transform (PGT): the value of cross entropy, the gradient of a softer one.

In the backward pass the probabilities p of the gradient p − t are replaced by p^α/Σp^α = softmax(αz). That vector field
is the gradient of S = cross_entropy(αz, t)/α, an ordinary convex loss at temperature 1/α. The value of one function,
the derivatives (of every order) of another: here that is cross entropy plus a zero that has derivatives.

Taught in chapter 03.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from companion._autograd import closed_form
from companion._checks import check_floating, check_number
from companion.methods._criterion import Criterion, Rows, is_exactly

__all__ = ["PowerGradCrossEntropy", "powergrad_cross_entropy", "powergrad_hook"]

SMALLEST_ALPHA = 1e-30  # below it α is taken as 0, which is exact to the last digit


def powergrad_cross_entropy(
    input: Tensor,
    target: Tensor,
    alpha: float | Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float | Tensor = 0.0,
) -> Tensor:
    r"""Cross entropy in value; in gradient, cross entropy at temperature 1/α.

    .. math:: \text{value } \sum_c w_c t_c (-\log p_c), \qquad
              \text{gradient } \Big(\sum_c w_c t_c\Big)\, \mathrm{softmax}(\alpha z) - w \circ t

    over `cross_entropy`'s divisor. Derivatives by the logits are, in every order, those of S = cross_entropy(αz, t)/α; at
    α = 0 of its limit Σ_c w_c t_c (mean z − z_c). Value and gradient belong to different functions, so ``gradcheck`` holds
    for S. By probabilities as targets the derivative is cross entropy's, since that of S has no limit.

    Args:
        input: logits (N, C), (N, C, d1, …) or (C,).
        target: class indices (N, …), or probabilities of the shape of ``input``.
        alpha: 0 ≤ α ≤ 1; 1 is `cross_entropy` itself, below 1e-30 counts as 0 (p' uniform over the classes that are
            not masked by −∞). The paper uses 0.05 to 0.3, and up to 0.92 without batch normalisation. A 0-d tensor
            is taken unchecked and detached.
        weight: one weight a class (C,). (Keyword only, like all that follow.)
        ignore_index: rows with this target count for nothing.
        reduction: "mean" (by weight, as in `cross_entropy`), "sum" or "none".
        label_smoothing: ε in t ← (1−ε)t + ε/C.

    Returns:
        A 0-d tensor, or (N, …) for "none", equal to `cross_entropy`'s.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, shape or range; the message names it. Labels and
            probabilities are looked at on a CPU only, outside ``torch.compile`` and vmap.

    In a training loop: ``book/in_your_loop.md``.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[4.0, 0.0, 0.0]], requires_grad=True)
        >>> loss = powergrad_cross_entropy(logits, torch.tensor([0]), alpha=0.25)
        >>> loss.item() == torch.nn.functional.cross_entropy(logits, torch.tensor([0])).item()
        True
        >>> loss.backward()
        >>> logits.grad  # softmax(logits/4) − (1, 0, 0)
        tensor([[-0.4239,  0.2119,  0.2119]])

    Taught in: chapter 03. Source: Das et al. (2021), Eqs. 8 and 9; its Section 2 names the kinship with temperature,
    as Hinton et al. (2015) and Agarwala et al. (2023) use it.
    """
    alpha = check_number("alpha", alpha, at_least=0, at_most=1)
    rows = Rows(input, target, weight, ignore_index, reduction, label_smoothing)
    if is_exactly(alpha, 1):
        return rows.cross_entropy()
    zeros = _tempered_zero(rows.logits, rows.hyperparameter(alpha), rows.axis)
    return rows.cross_entropy(of_constant_logits=True) + rows.reduce(rows.expect(lambda loss: loss, zeros))


def powergrad_hook(
    logits: Tensor,
    target: Tensor,
    alpha: float | Tensor,
    *,
    reduction: str = "mean",
    loss_scale: float | Tensor | Callable[[], float | Tensor] = 1.0,
    sample_weight: Tensor | None = None,
) -> RemovableHandle:
    r"""Replace the gradient that reaches ``logits`` by PowerGrad's: for training loops whose loss one cannot change.

    .. math:: \frac{\partial L}{\partial z} \leftarrow \frac{\text{loss scale} \cdot \text{sample weight}}
              {\text{divisor}} \Big( \big(\textstyle\sum_c t_c\big)\,\mathrm{softmax}(\alpha z) - t \Big)

    Whatever gradient arrives is discarded, so the hook has to be told how the loss was reduced and scaled. Neither
    ``torch.compile`` nor vmap takes part. `powergrad_cross_entropy` needs none of this and is to be preferred.

    Args:
        logits: (N, C, …) or (C,); must require a gradient.
        target: class indices (N, …), where rows with −100 get gradient 0, or probabilities of the shape of ``logits``.
        alpha: 0 ≤ α ≤ 1. A 0-d tensor is taken unchecked.
        reduction: how the loss reduces its rows: "mean" divides by the rows kept, "sum" and "none" by 1. (Keyword
            only, like all that follow.)
        loss_scale: what the loss is multiplied by before ``backward``: a number > 0, or a callable that is read during
            the backward pass, such as ``scaler.get_scale`` of automatic mixed precision.
        sample_weight: (N, …), multiplies each row's gradient; the divisor stays. Needed for "none", where it stands
            for the gradient that arrives at each row's loss.

    Returns:
        The hook's handle; ``handle.remove()`` takes the hook off.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, shape or range; the message names it.

    In a training loop: ``book/in_your_loop.md``.

    Example:
        >>> import torch
        >>> logits, target = torch.tensor([[4.0, 0.0, 0.0]], requires_grad=True), torch.tensor([0])
        >>> handle = powergrad_hook(logits, target, alpha=0.25)
        >>> torch.nn.functional.cross_entropy(logits, target).backward()
        >>> logits.grad
        tensor([[-0.4239,  0.2119,  0.2119]])

    Taught in: chapter 03. Source: Das et al. (2021), Eqs. 8 and 9. The listing of their Fig. 9 recovers p from the
    gradient that arrives, for which the reduction and the loss scale have to be right by construction; here p comes
    from the logits.
    """
    alpha = check_number("alpha", alpha, at_least=0, at_most=1)
    rows = Rows(logits.detach() if isinstance(logits, Tensor) else logits, target, reduction=reduction, name="logits")
    if not callable(loss_scale):
        loss_scale = check_number("loss_scale", loss_scale, above=0)
    if sample_weight is not None:
        check_floating("sample_weight", sample_weight, min_dim=0)
        if sample_weight.shape != rows.shape:
            shapes = f"{tuple(rows.shape)}, one a row, got {tuple(sample_weight.shape)}"
            raise ValueError(f"sample_weight must have shape {shapes}")
    elif reduction == "none":
        raise ValueError("sample_weight must be given for reduction='none', got None")
    if not logits.requires_grad:
        raise ValueError("logits must require a gradient: there is none to replace")
    alpha = rows.hyperparameter(alpha)

    def replace(gradient: Tensor) -> Tensor:
        new = rows.residual(rows.weigh(_tempered(rows.logits, alpha, rows.axis)))  # (Σ_c t_c)·softmax(αz) − t
        new = rows.zero_ignored(new) / rows.divisor()
        if sample_weight is not None:
            new = new * sample_weight.detach().unsqueeze(rows.axis)
        scale = loss_scale() if callable(loss_scale) else loss_scale
        return (new * scale).to(gradient.dtype)

    return logits.register_hook(replace)


class PowerGradCrossEntropy(Criterion):
    """`powergrad_cross_entropy` as a module; the arguments are those of the function.

    In a training loop: ``book/in_your_loop.md``.

    Example:
        >>> import torch
        >>> PowerGradCrossEntropy(alpha=0.3)(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0]))
        tensor(1.0986)
    """

    def __init__(self, alpha: float | Tensor, **options: Any) -> None:
        super().__init__(powergrad_cross_entropy, {"alpha": alpha}, **options)


def _tempered(logits: Tensor, alpha: float | Tensor, axis: int) -> Tensor:
    """Return softmax(αz); classes masked by −∞ keep probability 0 at α = 0 as well."""
    if not isinstance(alpha, Tensor) and alpha >= SMALLEST_ALPHA:
        return (alpha * logits).softmax(axis)
    alpha = torch.where(alpha < SMALLEST_ALPHA, 0.0, alpha) if isinstance(alpha, Tensor) else 0.0
    masked = logits == -torch.inf  # 0·∞ is NaN
    return (alpha * logits.masked_fill(masked, 0.0)).masked_fill(masked, -torch.inf).softmax(axis)


class _TemperedZero:
    """A zero for every class, with the derivatives of log softmax(αz)_c/α: dz_c − Σ_k softmax(αz)_k dz_k.

    The value is never needed, and for α → 0 it has no limit, unlike its derivatives.
    """

    @staticmethod
    def forward(logits: Tensor, alpha: float | Tensor, axis: int) -> Tensor:
        return torch.zeros_like(logits)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float | Tensor, int], output: Tensor) -> None:
        logits, alpha, ctx.axis = inputs
        ctx.number = None if isinstance(alpha, Tensor) else alpha
        saved = (logits,) if ctx.number is not None else (logits, alpha)
        ctx.save_for_backward(*saved)
        ctx.save_for_forward(*saved)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        total = gradient.sum(ctx.axis, keepdim=True)
        return torch.addcmul(gradient, _saved_probabilities(ctx), total, value=-1), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return tangent - (_saved_probabilities(ctx) * tangent).sum(ctx.axis, keepdim=True)


_tempered_zero = closed_form(_TemperedZero)


def _saved_probabilities(ctx: Any) -> Tensor:
    logits, *alpha = ctx.saved_tensors
    return _tempered(logits, alpha[0] if alpha else ctx.number, ctx.axis)
