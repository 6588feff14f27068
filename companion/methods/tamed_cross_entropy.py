"""Tamed cross entropy (TCE): cross entropy whose pull on a sample fades as the sample's loss grows.

Every criterion of one probability p_y pushes the logits along p − y and only chooses how hard. Cross entropy pushes
with weight 1 whatever its loss L is, tamed cross entropy with (1 + L)^−α: a label that the network finds absurd, and
that may be wrong, pulls less. Read the other way round, the loss is Barron's general robust loss with the cross
entropy in the place of the squared residual (α = ½ Charbonnier, 1 Cauchy, 2 Geman–McClure).

Taught in chapter 04.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from companion._checks import (
    as_hyperparameter,
    check_floating,
    check_number,
    check_probabilities,
    may_read_values,
    working_dtype,
)
from companion.methods._criterion import Criterion, Rows, box_cox, is_exactly

__all__ = ["TamedCrossEntropy", "tamed_cross_entropy", "tamed_posterior"]


def tamed_cross_entropy(
    input: Tensor,
    target: Tensor,
    alpha: float | Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float | Tensor = 0.0,
) -> Tensor:
    r"""Cross entropy L, compressed: its gradient is that of L times (1 + L)^−α.

    .. math:: \mathrm{TCE}_\alpha = \sum_c w_c\, t_c\, f(\log p_c), \qquad
              f(\ell) = \frac{(1-\ell)^{1-\alpha} - 1}{1-\alpha}, \qquad f(\ell) = \log(1-\ell) \ \text{ at } \alpha = 1

    Smooth in α: α = 0 is cross entropy (called itself), 1 is log(1 + L), 2 is L/(1 + L); above 1 the loss is bounded
    by 1/(α − 1). Not convex in the logits for any α > 0, and not a proper loss: `tamed_posterior` undoes the bias.

    Args:
        input: logits (N, C), (N, C, d1, …) or (C,).
        target: class indices (N, …), or probabilities of the shape of ``input``.
        alpha: α ≥ 0; the paper tries 0.5 to 2. A 0-d tensor is taken unchecked and detached.
        weight: one weight a class (C,). (Keyword only, like all that follow.)
        ignore_index: rows with this target count for nothing.
        reduction: "mean" (by weight, as in `cross_entropy`), "sum" or "none".
        label_smoothing: ε in t ← (1−ε)t + ε/C, inside the sum.

    Returns:
        A 0-d tensor, or (N, …) for "none", in the dtype that `cross_entropy` would give.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, shape or range; the message names it. Labels and
            probabilities are looked at on a CPU only, outside ``torch.compile`` and vmap.

    In a training loop: ``book/in_your_loop.md``.

    Example:
        >>> import torch
        >>> logits, target = torch.tensor([[2.0, 0.0], [0.0, 6.0]]), torch.tensor([0, 0])
        >>> tamed_cross_entropy(logits, target, alpha=0.0, reduction="none")  # cross entropy
        tensor([0.1269, 6.0025])
        >>> tamed_cross_entropy(logits, target, alpha=2.0, reduction="none")  # L/(1 + L): the error counts for less
        tensor([0.1126, 0.8572])

    Taught in: chapter 04. Source: Martinez and Stiefelhagen (2018), Eqs. 8 and 9; the constant inside the bracket
    of Eq. 9 is 1 here, not 1/(1−α), which leaves the gradient as it is, puts the minimum at 0 and makes the loss
    smooth across α = 1. Barron (2019) for the robust loss.
    """
    alpha = check_number("alpha", alpha, at_least=0)
    rows = Rows(input, target, weight, ignore_index, reduction, label_smoothing)
    if is_exactly(alpha, 0):
        return rows.cross_entropy()
    power = 1 - rows.hyperparameter(alpha)

    def tamed(loss: Tensor) -> Tensor:
        return box_cox(torch.log1p(loss), power)  # ((1 + L)^(1−α) − 1)/(1−α)

    return rows.reduce(rows.expect(tamed, rows.log_softmax()))


def tamed_posterior(probs: Tensor, alpha: float | Tensor, dim: int = 1) -> Tensor:
    r"""Return the class posterior that makes ``probs`` the optimal prediction under tamed cross entropy.

    .. math:: \mathrm{posterior}_c \propto q_c\, (1 - \log q_c)^\alpha, \qquad 0 \log 0 = 0

    A network trained with TCE predicts q too sharply with respect to the labels it was given; this inverse link undoes
    that. For α ≤ 1 + log 2 it keeps the order of the classes, so the decision stays; for larger α it keeps that of every
    best prediction, and can turn round that of a row that is best for no posterior (two classes near ½, for example).

    Args:
        probs: predicted probabilities (N, C, …) or (C,).
        alpha: α ≥ 0 of the training; 0 only divides by the sum. A 0-d tensor is taken unchecked and detached.
        dim: the class axis (0 for a one-dimensional input).

    Returns:
        Probabilities of the shape and dtype of ``probs``.

    Raises:
        TypeError: ``probs`` is not a floating-point tensor or ``alpha`` not a number.
        ValueError: ``alpha`` is negative, or (on a CPU, in eager mode) a probability is negative or not finite.

    Example:
        >>> import torch
        >>> tamed_posterior(torch.tensor([[0.9, 0.1]]), alpha=1.0)
        tensor([[0.7508, 0.2492]])

    Taught in: chapter 04. Source: our derivation from Martinez and Stiefelhagen (2018), Eq. 8, in the way
    Charoenphakdee et al. (2021) derive the inverse link of the focal loss.
    """
    alpha = check_number("alpha", alpha, at_least=0)
    check_floating("probs", probs)
    if may_read_values(probs):
        check_probabilities("probs", probs)
    q = probs.to(working_dtype(probs.dtype))
    alpha = as_hyperparameter(alpha, q.dtype)
    possible = q > 0
    log_q = torch.where(possible, q, 1.0).log()
    score = log_q + alpha * torch.log1p(-log_q)  # of q(1 − log q)^α the logarithm: no power can overflow
    score = torch.where(possible, score, -torch.inf)
    return score.softmax(0 if probs.ndim == 1 else dim).to(probs.dtype)


class TamedCrossEntropy(Criterion):
    """`tamed_cross_entropy` as a module; the arguments are those of the function.

    In a training loop: ``book/in_your_loop.md``.

    Example:
        >>> import torch
        >>> TamedCrossEntropy(alpha=1.0, reduction="sum")(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0]))
        tensor(2.9651)
    """

    def __init__(self, alpha: float | Tensor, **options: Any) -> None:
        super().__init__(tamed_cross_entropy, {"alpha": alpha}, **options)

    def posterior(self, probs: Tensor) -> Tensor:
        """Return the class posterior that predicted probabilities (…, C) stand for: `tamed_posterior` along the last axis."""
        return tamed_posterior(probs, self.alpha, dim=-1)
