r"""The losses that the papers' methods are compared with, as functions of logits.

Most are functions ℓ of the target's probability p_y and differ in one thing only: how hard they push along p − y
(−p_y ℓ'(p_y), see chapter 04). All take `cross_entropy`'s arguments, and their own by keyword. `smooth_labels` makes
the smoothed targets that any of them accepts.

Taught in chapter 04, the focal loss in chapter 00, label smoothing in chapter 03.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from companion._checks import (
    as_hyperparameter,
    as_indices,
    check_choice,
    check_class_indices,
    check_count,
    check_integers,
    check_number,
    may_read_values,
)
from companion._numerics import split_masked
from companion.methods._criterion import Criterion, Rows, box_cox, is_exactly, nonzero

NEWTON_STEPS = 8  # for the normaliser of bi-tempered probabilities, see `_tempered_log_softmax`

__all__ = [
    "ActivePassiveLoss",
    "BiTemperedLogisticLoss",
    "FocalLoss",
    "GeneralizedCrossEntropy",
    "PartiallyHuberisedCrossEntropy",
    "SoftmaxMAE",
    "SoftmaxMSE",
    "SymmetricCrossEntropy",
    "active_passive_loss",
    "bi_tempered_logistic_loss",
    "focal_loss",
    "generalized_cross_entropy",
    "partially_huberised_cross_entropy",
    "smooth_labels",
    "softmax_mae",
    "softmax_mse",
    "symmetric_cross_entropy",
]


def smooth_labels(
    target: Tensor,
    num_classes: int,
    eps: float | Tensor,
    convention: str = "uniform",
    dtype: torch.dtype | None = None,
) -> Tensor:
    r"""Turn class indices into smoothed probabilities, in either of the two conventions in use.

    .. math:: \text{uniform: } t = (1-\varepsilon)\,e_y + \varepsilon/K \qquad
              \text{others: } t = (1-\varepsilon)\,e_y + \frac{\varepsilon}{K-1}(1 - e_y)

    "uniform" is torch's ``label_smoothing``, "others" that of the PowerGrad paper (Eq. 7). They agree when
    ε_others = ε_uniform·(K−1)/K: 0.1 and 0.09 for ten classes.

    Args:
        target: class indices (N, …) or (), any integer dtype.
        num_classes: K ≥ 1; at least 2 for "others".
        eps: ε in [0, 1]. A 0-d tensor is taken unchecked and detached.
        convention: "uniform" or "others".
        dtype: of the result; None means torch's default dtype.

    Returns:
        Probabilities (N, K, …), or (K,) for a single index.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or range; the message names it. Labels are looked at
            on a CPU only, outside ``torch.compile`` and vmap.

    Example:
        >>> import torch
        >>> smooth_labels(torch.tensor([0, 2]), num_classes=3, eps=0.3)
        tensor([[0.8000, 0.1000, 0.1000],
                [0.1000, 0.1000, 0.8000]])
        >>> smooth_labels(torch.tensor([0, 2]), num_classes=3, eps=0.3, convention="others")
        tensor([[0.7000, 0.1500, 0.1500],
                [0.1500, 0.1500, 0.7000]])

    Taught in: chapter 03. Source: Szegedy et al. (2016); Das et al. (2021), Eq. 7, for "others".
    """
    check_integers("target", target)
    check_choice("convention", convention, ("uniform", "others"))
    num_classes = check_count("num_classes", num_classes, at_least=1 if convention == "uniform" else 2)
    eps = check_number("eps", eps, at_least=0, at_most=1)
    if may_read_values(target):
        check_class_indices("target", target, num_classes)
    dtype = dtype or torch.get_default_dtype()
    eps = as_hyperparameter(eps, dtype)
    other = eps / (num_classes if convention == "uniform" else num_classes - 1)
    own = 1 - eps + other if convention == "uniform" else 1 - eps
    axis = min(target.ndim, 1)
    classes = torch.arange(num_classes, device=target.device).view(-1, *[1] * (target.ndim - axis))
    is_target = (classes == as_indices(target).unsqueeze(axis)).to(dtype)  # (N, K, …)
    return is_target * (own - other) + other


def softmax_mse(
    input: Tensor,
    target: Tensor,
    *,
    per_class_mean: bool = False,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float | Tensor = 0.0,
) -> Tensor:
    r"""Squared error of the probabilities: Σ_c (p_c − t_c)², the Brier score.

    The sum over classes is the scaling of the tamed-cross-entropy paper. A row with class weights or unnormalised
    targets is multiplied by Σ_c w_c t_c.

    Args:
        input: logits (N, C, …) or (C,).
        target: class indices (N, …), or probabilities of the shape of ``input``.
        per_class_mean: divide by C.
        weight: one weight a class (C,), any floating dtype.
        ignore_index: rows with this target count for nothing.
        reduction: "mean" (as `cross_entropy` takes it), "sum" or "none".
        label_smoothing: ε in t ← (1−ε)t + ε/C, inside the sum.

    Returns:
        A 0-d tensor, or (N, …) for "none", in the dtype that `cross_entropy` would give.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, shape or range; the message names it.

    Example:
        >>> import torch
        >>> softmax_mse(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
        tensor(0.5000)

    Taught in: chapter 04. Source: Ghosh et al. (2017); Martinez and Stiefelhagen (2018), Section 3.2, for the scaling.
    """
    rows = Rows(input, target, weight, ignore_index, reduction, label_smoothing)
    losses = rows.residual(rows.softmax()).square().sum(rows.axis)
    return rows.reduce(rows.weigh(losses) / _class_divisor(per_class_mean, rows))


def softmax_mae(
    input: Tensor,
    target: Tensor,
    *,
    per_class_mean: bool = False,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float | Tensor = 0.0,
) -> Tensor:
    r"""Absolute error of the probabilities: Σ_c abs(p_c − t_c), which is 2(1 − p_y) for a class index.

    Bounded and symmetric over classes, hence tolerant of uniform label noise; and slow to learn from it, since a row's
    push 2p_y vanishes where the label is thought unlikely.

    Args:
        input: logits (N, C, …) or (C,).
        target: class indices (N, …), or probabilities of the shape of ``input``.
        per_class_mean: divide by C.
        weight: one weight a class (C,), any floating dtype; a row is multiplied by Σ_c w_c t_c.
        ignore_index: rows with this target count for nothing.
        reduction: "mean" (as `cross_entropy` takes it), "sum" or "none".
        label_smoothing: ε in t ← (1−ε)t + ε/C, inside the sum.

    Returns:
        A 0-d tensor, or (N, …) for "none", in the dtype that `cross_entropy` would give.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, shape or range; the message names it.

    Example:
        >>> import torch
        >>> softmax_mae(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
        tensor(1.)

    Taught in: chapter 04. Source: Ghosh et al. (2017); Martinez and Stiefelhagen (2018), Section 3.2, for the scaling.
    """
    rows = Rows(input, target, weight, ignore_index, reduction, label_smoothing)
    losses = rows.residual(rows.softmax()).abs().sum(rows.axis)
    return rows.reduce(rows.weigh(losses) / _class_divisor(per_class_mean, rows))


def generalized_cross_entropy(
    input: Tensor,
    target: Tensor,
    *,
    q: float | Tensor = 0.7,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float | Tensor = 0.0,
) -> Tensor:
    r"""Generalised cross entropy, between cross entropy (q = 0) and half the absolute error (q = 1).

    .. math:: \sum_c w_c\, t_c\, \frac{1 - p_c^{\,q}}{q}

    Args:
        input: logits (N, C, …) or (C,).
        target: class indices (N, …), or probabilities of the shape of ``input``.
        q: in [0, 1]; 0 is `cross_entropy` itself. A 0-d tensor is taken unchecked and detached.
        weight: one weight a class (C,), any floating dtype.
        ignore_index: rows with this target count for nothing.
        reduction: "mean" (as `cross_entropy` takes it), "sum" or "none".
        label_smoothing: ε in t ← (1−ε)t + ε/C, inside the sum.

    Returns:
        A 0-d tensor, or (N, …) for "none", in the dtype that `cross_entropy` would give.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, shape or range; the message names it.

    Example:
        >>> import torch
        >>> generalized_cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([0]), q=1.0)
        tensor(0.5000)

    Taught in: chapter 04. Source: Zhang and Sabuncu (2018).
    """
    q = check_number("q", q, at_least=0, at_most=1)
    rows = Rows(input, target, weight, ignore_index, reduction, label_smoothing)
    if is_exactly(q, 0):
        return rows.cross_entropy()
    q = rows.hyperparameter(q)
    return rows.reduce(rows.expect(lambda loss: -box_cox(-loss, q), rows.log_softmax()))  # (1 − e^(−qL))/q


def symmetric_cross_entropy(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float | Tensor = 0.1,
    beta: float | Tensor = 1.0,
    log_zero: float | Tensor = -4.0,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float | Tensor = 0.0,
) -> Tensor:
    r"""Cross entropy plus reverse cross entropy, with A = ``log_zero`` standing for log 0.

    .. math:: \sum_c w_c\, t_c \big(\alpha\,(-\log p_c) + \beta\,(-A)(1 - p_c)\big)

    Args:
        input: logits (N, C, …) or (C,).
        target: class indices (N, …), or probabilities of the shape of ``input``.
        alpha: α ≥ 0. A 0-d tensor is taken unchecked and detached, here and below.
        beta: β ≥ 0.
        log_zero: A < 0.
        weight: one weight a class (C,), any floating dtype.
        ignore_index: rows with this target count for nothing.
        reduction: "mean" (as `cross_entropy` takes it), "sum" or "none".
        label_smoothing: ε in t ← (1−ε)t + ε/C, inside the sum.

    Returns:
        A 0-d tensor, or (N, …) for "none", in the dtype that `cross_entropy` would give.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, shape or range; the message names it.

    Example:
        >>> import torch
        >>> symmetric_cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # 0.1·log 2 + 4·½
        tensor(2.0693)

    Taught in: chapter 04. Source: Wang et al. (2019).
    """
    alpha, beta, log_zero = _check_pair(alpha, beta, log_zero)
    rows = Rows(input, target, weight, ignore_index, reduction, label_smoothing)
    alpha, beta, log_zero = map(rows.hyperparameter, (alpha, beta, log_zero))

    def symmetric(loss: Tensor) -> Tensor:
        return alpha * loss + beta * log_zero * torch.expm1(-loss)

    return rows.reduce(rows.expect(symmetric, rows.log_softmax()))


def focal_loss(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float | Tensor = 2.0,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float | Tensor = 0.0,
) -> Tensor:
    r"""Focal loss: cross entropy that turns away from what is already learnt.

    .. math:: \sum_c w_c\, t_c\, (1 - p_c)^\gamma\, (-\log p_c)

    Args:
        input: logits (N, C, …) or (C,).
        target: class indices (N, …), or probabilities of the shape of ``input``.
        gamma: γ ≥ 0; 0 is `cross_entropy` itself. A 0-d tensor is taken unchecked and detached.
        weight: one weight a class (C,), any floating dtype.
        ignore_index: rows with this target count for nothing.
        reduction: "mean" (as `cross_entropy` takes it), "sum" or "none".
        label_smoothing: ε in t ← (1−ε)t + ε/C, inside the sum.

    Returns:
        A 0-d tensor, or (N, …) for "none", in the dtype that `cross_entropy` would give.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, shape or range; the message names it.

    Example:
        >>> import torch
        >>> focal_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([0]), gamma=2.0)  # ¼·log 2
        tensor(0.1733)

    Taught in: chapter 00. Source: Lin et al. (2017), Eq. 4, for two classes.
    """
    gamma = check_number("gamma", gamma, at_least=0)
    rows = Rows(input, target, weight, ignore_index, reduction, label_smoothing)
    if is_exactly(gamma, 0):
        return rows.cross_entropy()
    gamma = rows.hyperparameter(gamma)

    def focal(loss: Tensor) -> Tensor:
        # For γ < 1 the power's slope at p = 1 is infinite while the product's is 0: stop it just short of there.
        miss = (-torch.expm1(-loss)).clamp_min(torch.finfo(loss.dtype).tiny)
        return miss**gamma * loss

    return rows.reduce(rows.expect(focal, rows.log_softmax()))


def partially_huberised_cross_entropy(
    input: Tensor,
    target: Tensor,
    *,
    tau: float | Tensor = 2.0,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float | Tensor = 0.0,
) -> Tensor:
    r"""Cross entropy as a function of p, continued by its tangent below p = 1/τ.

    .. math:: \sum_c w_c\, t_c\, \ell(p_c), \qquad \ell(p) = -\log p \ \text{ if } p > 1/\tau, \qquad
              \ell(p) = -\tau p + \log\tau + 1 \ \text{ otherwise}

    Args:
        input: logits (N, C, …) or (C,).
        target: class indices (N, …), or probabilities of the shape of ``input``.
        tau: τ > 1, the largest slope. A 0-d tensor is taken unchecked and detached.
        weight: one weight a class (C,), any floating dtype.
        ignore_index: rows with this target count for nothing.
        reduction: "mean" (as `cross_entropy` takes it), "sum" or "none".
        label_smoothing: ε in t ← (1−ε)t + ε/C, inside the sum.

    Returns:
        A 0-d tensor, or (N, …) for "none", in the dtype that `cross_entropy` would give.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, shape or range; the message names it.

    Example:
        >>> import torch
        >>> logits, target = torch.tensor([[4.0, 0.0], [-4.0, 0.0]]), torch.tensor([0, 0])
        >>> partially_huberised_cross_entropy(logits, target, tau=2.0, reduction="none")
        tensor([0.0181, 1.6572])

    Taught in: chapter 04. Source: Menon et al. (2020).
    """
    tau = check_number("tau", tau, above=1)
    rows = Rows(input, target, weight, ignore_index, reduction, label_smoothing)
    tau = rows.hyperparameter(tau)
    log_tau = tau.log() if isinstance(tau, Tensor) else math.log(tau)

    def huberised(loss: Tensor) -> Tensor:
        return torch.where(loss < log_tau, loss, 1 + log_tau - tau * torch.exp(-loss))

    return rows.reduce(rows.expect(huberised, rows.log_softmax()))


def active_passive_loss(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float | Tensor = 1.0,
    beta: float | Tensor = 1.0,
    log_zero: float | Tensor = -4.0,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float | Tensor = 0.0,
) -> Tensor:
    r"""Normalised cross entropy (active) plus reverse cross entropy (passive), A = ``log_zero`` standing for log 0.

    .. math:: \sum_c w_c\, t_c \Big(\alpha\,\frac{\log p_c}{\sum_k \log p_k} + \beta\,(-A)(1 - p_c)\Big)

    A class masked by −∞ is left out of the sum over k.

    Args:
        input: logits (N, C, …) or (C,).
        target: class indices (N, …), or probabilities of the shape of ``input``.
        alpha: α ≥ 0. A 0-d tensor is taken unchecked and detached, here and below.
        beta: β ≥ 0.
        log_zero: A < 0.
        weight: one weight a class (C,), any floating dtype.
        ignore_index: rows with this target count for nothing.
        reduction: "mean" (as `cross_entropy` takes it), "sum" or "none".
        label_smoothing: ε in t ← (1−ε)t + ε/C, inside the sum.

    Returns:
        A 0-d tensor, or (N, …) for "none", in the dtype that `cross_entropy` would give.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, shape or range; the message names it.

    Example:
        >>> import torch
        >>> active_passive_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # ½ + 4·½
        tensor(2.5000)

    Taught in: chapter 04. Source: Ma et al. (2020), NCE + RCE.
    """
    alpha, beta, log_zero = _check_pair(alpha, beta, log_zero)
    rows = Rows(input, target, weight, ignore_index, reduction, label_smoothing)
    alpha, beta, log_zero = map(rows.hyperparameter, (alpha, beta, log_zero))
    log_p = rows.log_softmax()
    # The sum is at least C·log C > 0 but for a single class, whose loss is 0.
    all_classes = (-split_masked(log_p)[0]).sum(rows.axis).clamp_min(torch.finfo(log_p.dtype).tiny)
    active = rows.expect(lambda loss: loss, log_p) / all_classes
    passive = rows.expect(lambda loss: log_zero * torch.expm1(-loss), log_p)
    return rows.reduce(alpha * active + beta * passive)


def bi_tempered_logistic_loss(
    input: Tensor,
    target: Tensor,
    *,
    t1: float | Tensor = 0.8,
    t2: float | Tensor = 1.2,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float | Tensor = 0.0,
) -> Tensor:
    r"""Bi-tempered logistic loss: a bounded logarithm (t1 < 1) of heavy-tailed probabilities (t2 > 1).

    .. math:: \sum_c \Big[ t_c (\log_{t_1} t_c - \log_{t_1} p_c) - \frac{t_c^{2-t_1} - p_c^{2-t_1}}{2 - t_1} \Big],
              \qquad p = \exp_{t_2}(z - \lambda(z)), \quad \sum_c p_c = 1

    with log_t x = (x^(1−t) − 1)/(1−t) and exp_t its inverse. The row is multiplied by Σ_c w_c t_c.

    Args:
        input: logits (N, C, …) or (C,).
        target: class indices (N, …), or probabilities of the shape of ``input``.
        t1: in [0, 1]. A 0-d tensor is taken unchecked and detached.
        t2: ≥ 1. With t1 = t2 = 1 this is `cross_entropy` itself (for soft targets the limit is less by H(t)).
        weight: one weight a class (C,), any floating dtype.
        ignore_index: rows with this target count for nothing.
        reduction: "mean" (as `cross_entropy` takes it), "sum" or "none".
        label_smoothing: ε in t ← (1−ε)t + ε/C, inside the sum.

    Returns:
        A 0-d tensor, or (N, …) for "none", in the dtype that `cross_entropy` would give.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, shape or range; the message names it.

    Example:
        >>> import torch
        >>> bi_tempered_logistic_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
        tensor(0.5394)

    Taught in: chapter 04. Source: Amid et al. (2019).
    """
    t1 = check_number("t1", t1, at_least=0, at_most=1)
    t2 = check_number("t2", t2, at_least=1)
    rows = Rows(input, target, weight, ignore_index, reduction, label_smoothing)
    if is_exactly(t1, 1) and is_exactly(t2, 1):
        return rows.cross_entropy()
    t1, t2 = rows.hyperparameter(t1), rows.hyperparameter(t2)
    log_p = _tempered_log_softmax(rows.logits, t2, rows.axis)

    def of_target(t: Tensor) -> Tensor:  # t·log_t1 t − t^(2−t1)/(2−t1), which is 0 at t = 0
        log_t = torch.where(t > 0, t, 1.0).log()
        return t * box_cox(log_t, 1 - t1) - t ** (2 - t1) / (2 - t1)

    cross = rows.expect(lambda loss: -box_cox(-loss, 1 - t1), log_p, weighted=False)
    power = torch.exp((2 - t1) * log_p).sum(rows.axis) / (2 - t1)
    return rows.reduce(rows.weigh(cross + rows.target_sum(of_target) + power))


def _tempered_log_softmax(logits: Tensor, t2: float | Tensor, axis: int) -> Tensor:
    r"""Return log p with p = exp_t2(z − λ), Σp = 1.

    With s = t2 − 1, p = (1 + s(λ − z))^(−1/s). The function ((Σp)^(−s) − 1)/s of λ is increasing and concave (a power
    mean of affine functions), so that Newton's method on it, started at λ = max z, climbs to the root without
    overshooting; for s → 0 its first step is logsumexp. The steps before the last two carry no gradient; two exact
    steps from the root give the first and the second derivative by implicit differentiation.
    """
    s = nonzero(t2 - 1)

    def log_p(normaliser: Tensor, z: Tensor) -> Tensor:
        return -torch.log1p(s * (normaliser - z)) / s

    normaliser = logits.detach().amax(axis, keepdim=True)  # (N, 1, …)
    for z in (*[logits.detach()] * NEWTON_STEPS, logits, logits):
        log_prob = log_p(normaliser, z)
        total = log_prob.exp().sum(axis, keepdim=True)
        normaliser = normaliser + total * box_cox(total.log(), s) / (t2 * log_prob).exp().sum(axis, keepdim=True)
    return log_p(normaliser, logits)


def _class_divisor(per_class_mean: bool, rows: Rows) -> int:
    if not isinstance(per_class_mean, bool):
        raise TypeError(f"per_class_mean must be True or False, got {per_class_mean!r}")
    return rows.num_classes if per_class_mean else 1


def _check_pair(alpha: Any, beta: Any, log_zero: Any) -> tuple[float | Tensor, float | Tensor, float | Tensor]:
    alpha = check_number("alpha", alpha, at_least=0)
    beta = check_number("beta", beta, at_least=0)
    return alpha, beta, check_number("log_zero", log_zero, below=0)


# The modules: hyperparameters and options in the constructor, input and target in the call -----------------------


class SoftmaxMSE(Criterion):
    """`softmax_mse` as a module; the arguments are those of the function."""

    def __init__(self, per_class_mean: bool = False, **options: Any) -> None:
        super().__init__(softmax_mse, {"per_class_mean": per_class_mean}, **options)


class SoftmaxMAE(Criterion):
    """`softmax_mae` as a module; the arguments are those of the function."""

    def __init__(self, per_class_mean: bool = False, **options: Any) -> None:
        super().__init__(softmax_mae, {"per_class_mean": per_class_mean}, **options)


class GeneralizedCrossEntropy(Criterion):
    """`generalized_cross_entropy` as a module; the arguments are those of the function.

    Example:
        >>> import torch
        >>> criterion = GeneralizedCrossEntropy(q=0.5, reduction="sum")
        >>> criterion(torch.zeros(2, 4), torch.tensor([3, 1]))
        tensor(2.)
    """

    def __init__(self, q: float | Tensor = 0.7, **options: Any) -> None:
        super().__init__(generalized_cross_entropy, {"q": q}, **options)


class SymmetricCrossEntropy(Criterion):
    """`symmetric_cross_entropy` as a module; the arguments are those of the function."""

    def __init__(
        self,
        alpha: float | Tensor = 0.1,
        beta: float | Tensor = 1.0,
        log_zero: float | Tensor = -4.0,
        **options: Any,
    ) -> None:
        super().__init__(symmetric_cross_entropy, {"alpha": alpha, "beta": beta, "log_zero": log_zero}, **options)


class FocalLoss(Criterion):
    """`focal_loss` as a module; the arguments are those of the function."""

    def __init__(self, gamma: float | Tensor = 2.0, **options: Any) -> None:
        super().__init__(focal_loss, {"gamma": gamma}, **options)


class PartiallyHuberisedCrossEntropy(Criterion):
    """`partially_huberised_cross_entropy` as a module; the arguments are those of the function."""

    def __init__(self, tau: float | Tensor = 2.0, **options: Any) -> None:
        super().__init__(partially_huberised_cross_entropy, {"tau": tau}, **options)


class ActivePassiveLoss(Criterion):
    """`active_passive_loss` as a module; the arguments are those of the function."""

    def __init__(
        self,
        alpha: float | Tensor = 1.0,
        beta: float | Tensor = 1.0,
        log_zero: float | Tensor = -4.0,
        **options: Any,
    ) -> None:
        super().__init__(active_passive_loss, {"alpha": alpha, "beta": beta, "log_zero": log_zero}, **options)


class BiTemperedLogisticLoss(Criterion):
    """`bi_tempered_logistic_loss` as a module; the arguments are those of the function."""

    def __init__(self, t1: float | Tensor = 0.8, t2: float | Tensor = 1.2, **options: Any) -> None:
        super().__init__(bi_tempered_logistic_loss, {"t1": t1, "t2": t2}, **options)
