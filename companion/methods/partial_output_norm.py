"""Partial output norm (P-ON): a ceiling on the length of the logit vector, and a penalty on how much lengths differ.

Both parts of the method act on the logits z of a sample. `partial_norm` (Γ in the paper) shortens a vector that is
longer than δ to length δ and leaves the others alone; `length_stability` is the standard deviation of the lengths
in the batch. The gradient of the first is purely tangential outside the ball, that of the second purely radial.

Taught in chapter 01. Wei et al. (2023) publish the same map as LogitClip, for robustness to label noise.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from companion._autograd import closed_form
from companion._checks import (
    as_hyperparameter,
    at_hand,
    check_logits,
    check_number,
    keep_hyperparameter,
    known,
    working_dtype,
)
from companion._numerics import in_units, restore_masked, row_length, split_masked

__all__ = ["LengthStability", "PartialNorm", "length_stability", "partial_norm"]


def partial_norm(logits: Tensor, threshold: float | Tensor) -> Tensor:
    r"""Shorten each logit vector to length δ where it is longer: the projection onto the ball of radius δ.

    .. math:: \Gamma(z) = z \ \text{ if } \|z\| \le \delta, \qquad \Gamma(z) = \delta\, z / \|z\| \ \text{ otherwise}

    Inside the ball and on its boundary the Jacobian is the identity; outside it is
    (δ/‖z‖)(I − ẑẑᵀ), ẑ = z/‖z‖, which deletes the radial part of a gradient and damps the rest. A class masked by
    −∞ has no part in the length and stays masked.

    Args:
        logits: (N, C, …) or (C,), any floating dtype; half types are computed in float32.
        threshold: δ > 0; ``inf`` returns ``logits`` itself. A 0-d tensor is taken unchecked and detached.

    Returns:
        A tensor of the shape and dtype of ``logits``.

    Raises:
        TypeError: ``logits`` is not a floating-point tensor, or ``threshold`` is not a number.
        ValueError: ``threshold`` is not positive, or there is no class.

    In a training loop: ``book/in_your_loop.md``.

    Example:
        >>> import torch
        >>> partial_norm(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), threshold=1.0)
        tensor([[0.6000, 0.8000],
                [0.3000, 0.4000]])

    Taught in: chapter 01. Source: Partial output norm, Eq. 5; Lemmas 3.1 and 3.2 describe its gradient.
    """
    threshold = check_number("threshold", threshold, above=0, allow_infinite=True)
    axis = check_logits("logits", logits)
    if not isinstance(threshold, Tensor) and math.isinf(threshold):
        return logits
    z = logits.to(working_dtype(logits.dtype))
    threshold = as_hyperparameter(threshold, z.dtype)
    factor = _usual_factor(z, threshold, axis)
    masks = factor is None
    if masks:
        filled, _ = split_masked(z.detach())
        relative, unit = in_units(filled, axis)
        length, limit = torch.linalg.vector_norm(relative, dim=axis, keepdim=True), threshold / unit
        factor = torch.where(length > limit, limit / length, 1.0)  # (N, 1, …)
    shortened, _ = _project(z, factor, threshold, axis, masks)
    return shortened.to(logits.dtype)


def _usual_factor(z: Tensor, threshold: float | Tensor, axis: int) -> Tensor | None:
    """Return min(1, δ/‖z‖) of every row (N, 1, …), or None unless it is known that all lengths are usual ones.

    An infinite length tells of a square that overflows and of a masked class alike: one pass answers all questions.
    """
    limits = torch.finfo(z.dtype)
    # Where δ is no smaller, the squares of a longer row keep their digits.
    if (
        not at_hand(z)
        or z.numel() == 0
        or isinstance(threshold, Tensor)
        or threshold < (limits.tiny / limits.eps) ** 0.5
    ):
        return None
    length = torch.linalg.vector_norm(z.detach(), dim=axis, keepdim=True)
    return torch.where(length > threshold, threshold / length, 1.0) if known(length.amax()) < math.inf else None


class _Projection:
    """Γ and each row's factor f = min(1, δ/‖z‖), with derivatives in closed form.

    Written in the result Γ = f·z, which is δẑ outside the ball, they need no other row of numbers:
    dΓ = f·(dz − Γ (Γ·dz)/δ²) and df = −f² (Γ·dz)/δ². Inside, dΓ = dz and df = 0. With ``masks``, classes at −∞ stay
    there and take no part.
    """

    @staticmethod
    def forward(z: Tensor, factor: Tensor, threshold: float | Tensor, axis: int, masks: bool) -> tuple[Tensor, Tensor]:
        shortened = factor * z
        return restore_masked(shortened, z == -math.inf) if masks else shortened, factor.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        _, _, threshold, ctx.axis, ctx.masks = inputs
        ctx.number = None if isinstance(threshold, Tensor) else threshold
        saved = output if ctx.number is not None else (*output, threshold)
        ctx.save_for_backward(*saved)
        ctx.save_for_forward(*saved)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, of_factor: Tensor | None) -> tuple[Tensor | None, ...]:
        return _differential(ctx, gradient, of_factor)[0], None, None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor, Tensor]:
        change, radial = _differential(ctx, tangent, None)  # the Jacobian is symmetric
        return change, -ctx.saved_tensors[1] * radial


_project = closed_form(_Projection, may_be_none=True)


def _differential(ctx: Any, change: Tensor | None, of_factor: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return f·change − Γ·r and r = f·(Γ·change + f·of_factor)/δ², which is 0 inside; None stands for zeros."""
    shortened, factor, *threshold = ctx.saved_tensors
    threshold = threshold[0] if threshold else ctx.number
    change = torch.zeros_like(shortened) if change is None else change
    if ctx.masks:
        masked = shortened == -math.inf
        shortened, change = shortened.masked_fill(masked, 0.0), change.masked_fill(masked, 0.0)
    radial = (shortened * change).sum(ctx.axis, keepdim=True)
    if of_factor is not None:
        radial = radial + factor * of_factor
    radial = torch.where(factor < 1, factor * (radial / threshold / threshold), 0.0)  # δ² may overflow
    return torch.addcmul(factor * change, shortened, radial, value=-1), radial


def length_stability(logits: Tensor) -> Tensor:
    r"""Return the population standard deviation of the logit vectors' lengths.

    .. math:: \mathrm{SD} = \sqrt{\tfrac1N \sum_i (\|z_i\| - \bar\ell)^2}, \qquad \bar\ell = \tfrac1N \sum_i \|z_i\|

    It sees the raw logits, before `partial_norm`. The gradient on row i is (‖z_i‖ − ℓ̄)/(N·SD)·ẑ_i; it has no limit
    where all lengths agree. There (SD ≤ 4·eps·(largest length), one row, no row) value and gradient are 0. A class
    masked by −∞ has no part in its row's length.

    Args:
        logits: (N, C), raw logits; half types are computed in float32. With extra dimensions every
            vector along the class axis counts as a row; a one-dimensional input is one row.

    Returns:
        A 0-d tensor, float32 for half types, else of the dtype of ``logits``.

    Raises:
        TypeError: ``logits`` is not a floating-point tensor.
        ValueError: there is no class.

    In a training loop: ``book/in_your_loop.md``.

    Example:
        >>> import torch
        >>> length_stability(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))  # lengths 5 and 1
        tensor(2.)

    Taught in: chapter 01. Source: Partial output norm, Eqs. 10 and 11.
    """
    axis = check_logits("logits", logits)
    z, _ = split_masked(logits.to(working_dtype(logits.dtype)))
    lengths = row_length(z, axis).flatten()  # (N·…,)
    if lengths.numel() == 0:
        return lengths.sum()
    largest = lengths.detach().max()
    unit = torch.where((largest > 0) & torch.isfinite(largest), largest, 1.0)  # squares stay finite
    relative = lengths / unit
    variance = relative.var(correction=0)
    stable = variance.detach().sqrt() * unit <= 4 * torch.finfo(lengths.dtype).eps * largest
    return torch.where(stable, 0.0, unit * torch.where(stable, 1.0, variance).sqrt())


length_stability.on = "logits"  # read by companion.Objective


class PartialNorm(nn.Module):
    """`partial_norm` as a module: logits in, logits out.

    Args:
        threshold: δ > 0, a number or a 0-d tensor.

    In a training loop: ``book/in_your_loop.md``.

    Example:
        >>> import torch
        >>> PartialNorm(threshold=2.0)(torch.tensor([0.0, 8.0]))
        tensor([0., 2.])
    """

    def __init__(self, threshold: float | Tensor) -> None:
        super().__init__()
        check_number("threshold", threshold, above=0, allow_infinite=True)
        keep_hyperparameter(self, "threshold", threshold)

    def forward(self, logits: Tensor) -> Tensor:
        """Return the logits, shortened to length δ where they are longer."""
        return partial_norm(logits, self.threshold)

    def extra_repr(self) -> str:
        """Name δ when the module is printed."""
        return f"threshold={float(self.threshold):g}"


class LengthStability(nn.Module):
    """`length_stability` as a module; ``on = "logits"`` tells `Objective` to hand it the raw logits.

    In a training loop: ``book/in_your_loop.md``.

    Example:
        >>> import torch
        >>> LengthStability()(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        tensor(2.)
    """

    on = "logits"

    def forward(self, logits: Tensor) -> Tensor:
        """Return the standard deviation of the lengths of the raw logits."""
        return length_stability(logits)
