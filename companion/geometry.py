"""Geometry of logits and predictions: lengths, margins, radial parts, entropies, ceilings, calibration.

What the chapters measure. Every function takes ``dim``, the class axis: 1 unless said, and the only axis of
one-dimensional input. Float32 and float64; half types are computed in float32. A class masked by a logit of −∞ has no
part in lengths, directions and temperatures.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from companion._checks import (
    as_hyperparameter,
    as_indices,
    at_hand,
    check_class_indices,
    check_count,
    check_floating,
    check_integers,
    check_number,
    check_probabilities,
    known,
    may_read_values,
    working_dtype,
)
from companion._numerics import row_length, split_masked, unit_rows

__all__ = [
    "ReliabilityBins",
    "confidence_ceiling",
    "entropy",
    "expected_calibration_error",
    "fit_temperature",
    "margin",
    "output_length",
    "reliability_bins",
    "renyi_entropy",
    "split_radial",
    "stationary_threshold",
]


def output_length(logits: Tensor, centred: bool = False, dim: int = 1) -> Tensor:
    r"""Return the length of each logit vector, or of its part that softmax can see.

    .. math:: \|z\| \qquad \text{or, centred,} \qquad \|z - \bar z\|

    Softmax does not change when all logits of a row move together; ‖z‖ does, ‖z − z̄‖ does not.

    Args:
        logits: (N, C, …) or (C,).
        centred: subtract each row's mean first.
        dim: the class axis.

    Returns:
        (N, …), or 0-d. The derivative at a zero vector is taken as 0.

    Example:
        >>> import torch
        >>> output_length(torch.tensor([[3.0, 4.0], [1.0, 1.0]]))
        tensor([5.0000, 1.4142])
        >>> output_length(torch.tensor([[3.0, 4.0], [1.0, 1.0]]), centred=True)
        tensor([0.7071, 0.0000])

    Taught in: chapter 01. Source: Partial output norm, Definition 2.1.
    """
    z, axis = _values("logits", logits, dim)
    z, masked = split_masked(z)
    if centred and masked is None:
        z = z - z.mean(axis, keepdim=True)
    elif centred:
        mean = z.sum(axis, keepdim=True) / (~masked).sum(axis, keepdim=True)  # over the classes that are there
        z = (z - mean).masked_fill(masked, 0.0)
    return row_length(z, axis)


def split_radial(logits: Tensor, gradient: Tensor, dim: int = 1) -> tuple[Tensor, Tensor]:
    r"""Split a gradient at the logits into its part along the logit vector and the rest.

    .. math:: g_\parallel = (g \cdot \hat z)\,\hat z, \qquad g_\perp = g - g_\parallel, \qquad \hat z = z/\|z\|

    Args:
        logits: (N, C, …) or (C,).
        gradient: of the same shape.
        dim: the class axis.

    Returns:
        (radial, tangential), each of that shape. At a zero vector, which has no direction, all is tangential.

    Example:
        >>> import torch
        >>> split_radial(torch.tensor([2.0, 0.0]), torch.tensor([0.5, -1.0]))
        (tensor([0.5000, 0.0000]), tensor([ 0., -1.]))

    Taught in: chapter 01. Source: Partial output norm, section 2.2.
    """
    z, axis = _values("logits", logits, dim)
    g, _ = _values("gradient", gradient, dim)
    if z.shape != g.shape:
        raise ValueError(f"gradient must have the logits' shape {tuple(z.shape)}, got {tuple(g.shape)}")
    direction = unit_rows(split_masked(z)[0], axis)
    radial = (g * direction).sum(axis, keepdim=True) * direction
    return radial, g - radial


def margin(logits: Tensor, target: Tensor, dim: int = 1) -> Tensor:
    r"""Return by how much the true class's logit exceeds the largest other one: positive where the row is right.

    .. math:: z_y - \max_{c \ne y} z_c

    Args:
        logits: (N, C, …) or (C,), at least two classes.
        target: class indices (N, …), or 0-d.
        dim: the class axis.

    Returns:
        (N, …), or 0-d.

    Example:
        >>> import torch
        >>> margin(torch.tensor([[2.5, 1.2, 0.0], [2.5, 1.2, 0.0]]), torch.tensor([0, 1]))
        tensor([ 1.3000, -1.3000])

    Taught in: chapter 01.
    """
    z, axis = _values("logits", logits, dim)
    if z.shape[axis] < 2:
        raise ValueError(f"logits must have at least two classes, got shape {tuple(z.shape)}")
    target = _indices(target, z, axis).unsqueeze(axis)
    own = z.gather(axis, target).squeeze(axis)
    return own - z.scatter(axis, target, -math.inf).amax(axis)


def entropy(probs: Tensor, dim: int = 1) -> Tensor:
    r"""Return the Shannon entropy of each row, in nats.

    .. math:: H(p) = -\sum_c p_c \log p_c, \qquad 0 \log 0 = 0

    Args:
        probs: probabilities (N, C, …) or (C,). The derivative by an entry that is 0 is taken as 0.
        dim: the class axis.

    Returns:
        (N, …), or 0-d.

    Example:
        >>> import torch
        >>> entropy(torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
        tensor([0.6931, 0.0000])

    Taught in: chapter 01: a step shortens a logit vector where the loss exceeds this entropy.
    """
    p, axis = _probabilities(probs, dim)
    _, log_p = _log(p)
    return 0.0 - (p * log_p).sum(axis)  # 0 − 0, not −0


def renyi_entropy(probs: Tensor, alpha: float | Tensor, dim: int = 1) -> Tensor:
    r"""Return the Rényi entropy of order α of each row, in nats.

    .. math:: H_\alpha(p) = \frac{1}{1-\alpha} \log \frac{\sum_c p_c^\alpha}{\sum_c p_c}

    Limits: α = 1 is Shannon's entropy, α = 0 the logarithm of the number of non-zero entries, α = ∞ is −log max p.

    Args:
        probs: probabilities (N, C, …) or (C,). The derivative by an entry that is 0 is taken as 0.
        alpha: α ≥ 0, ``inf`` allowed; a 0-d tensor is taken unchecked and detached.
        dim: the class axis.

    Returns:
        (N, …), or 0-d.

    Example:
        >>> import torch
        >>> p = torch.tensor([0.5, 0.25, 0.25])
        >>> [round(renyi_entropy(p, alpha).item(), 4) for alpha in (0, 1, 2, float("inf"))]
        [1.0986, 1.0397, 0.9808, 0.6931]

    Taught in: chapter 03. Source: Rényi, On measures of entropy and information, 1961.
    """
    alpha = check_number("alpha", alpha, at_least=0, allow_infinite=True)
    p, axis = _probabilities(probs, dim)
    alpha = torch.as_tensor(as_hyperparameter(alpha), dtype=p.dtype, device=p.device)
    present, log_p = _log(p)
    total = p.sum(axis)
    # Each form is evaluated at an order that suits it, so that none passes a NaN on to the others' gradients.
    near_one, is_one, is_infinite = (alpha - 1).abs() < 0.1, alpha == 1, torch.isinf(alpha)
    near = torch.where(near_one & ~is_one, alpha, 1.05)
    close = torch.log1p((p * torch.expm1((near - 1) * log_p)).sum(axis) / total) / (1 - near)
    away = torch.where(near_one | is_infinite, 2.0, alpha)
    powers = torch.where(present, away * log_p, -math.inf)
    far = (powers.logsumexp(axis) - total.log()) / (1 - away)
    shannon = (0.0 - (p * log_p).sum(axis)) / total
    finite = torch.where(is_one, shannon, torch.where(near_one, close, far))
    return torch.where(is_infinite, -torch.where(present, log_p, -math.inf).amax(axis), finite)


def stationary_threshold(probs: Tensor, alpha: float | Tensor, dim: int = 1) -> Tensor:
    r"""Return the probability that the power transform p ↦ p^α/Σp^α leaves where it is.

    .. math:: \tau_\alpha = e^{-H_\alpha(p)} = \Big(\sum_c p_c^\alpha\Big)^{1/(\alpha - 1)}

    For α < 1 entries above τ shrink and entries below it grow. It rises with α, from one over the number of non-zero
    entries (α = 0) through e^{−H} (α = 1) to max p (α = ∞).

    Args:
        probs: probabilities (N, C, …) or (C,).
        alpha: α ≥ 0, ``inf`` allowed.
        dim: the class axis.

    Returns:
        (N, …), or 0-d.

    Example:
        >>> import torch
        >>> stationary_threshold(torch.tensor([[0.9, 0.1]]), alpha=0.5)
        tensor([0.6250])

    Taught in: chapter 03. Source: PowerGrad Transform, Lemma 1 and Theorem 1.
    """
    return torch.exp(-renyi_entropy(probs, alpha, dim))


def confidence_ceiling(
    num_classes: int, *, threshold: float | Tensor | None = None, scale: float | Tensor | None = None
) -> float | Tensor:
    r"""Return the largest confidence that a logit transform allows on all samples together.

    .. math:: \frac{1}{1 + (C-1)e^{-g}}, \qquad g = \delta\sqrt{\tfrac{C}{C-1}} \ \text{(partial norm)}
        \quad\text{or}\quad g = \frac{mC}{\sqrt{C-1}} \ \text{(scalable batch norm)}

    For partial norm it bounds each sample; for scalable batch norm, in training, the batch's geometric mean, attained
    by balanced batches. The two agree for δ = m√C. The least mean cross-entropy is −log of it.

    Args:
        num_classes: C ≥ 1.
        threshold: δ > 0 of `partial_norm`, or
        scale: m > 0 of `scalable_batch_norm`: exactly one of the two.

    Returns:
        A number, or a 0-d tensor if the hyperparameter is one.

    Raises:
        TypeError, ValueError: an argument has the wrong type or is out of range; none or both of the two are given.

    Example:
        >>> round(confidence_ceiling(10, threshold=3.0), 4), round(confidence_ceiling(10, scale=1.0), 4)
        (0.7241, 0.757)

    Taught in: chapters 01 and 02.
    """
    num_classes = check_count("num_classes", num_classes)
    if (threshold is None) == (scale is None):
        raise ValueError(f"exactly one of threshold and scale must be given, got {threshold!r} and {scale!r}")
    if threshold is not None:
        threshold = check_number("threshold", threshold, above=0, allow_infinite=True)
    else:
        scale = check_number("scale", scale, above=0)
    others = num_classes - 1
    if others == 0:
        return 1.0
    if threshold is not None:
        gap = as_hyperparameter(threshold) * math.sqrt(num_classes / others)
    else:
        gap = as_hyperparameter(scale) * num_classes / math.sqrt(others)
    return 1 / (1 + others * (torch.exp(-gap) if isinstance(gap, Tensor) else math.exp(-gap)))


class ReliabilityBins(NamedTuple):
    """A reliability diagram's data, from `reliability_bins`."""

    edges: Tensor  # (bins + 1,)
    count: Tensor  # (bins,), int64
    accuracy: Tensor  # (bins,), share of right rows; NaN in an empty bin
    confidence: Tensor  # (bins,), mean top probability; NaN in an empty bin


def reliability_bins(probs: Tensor, target: Tensor, bins: int = 15, dim: int = 1) -> ReliabilityBins:
    """Sort rows into bins of equal width by their top probability, and compare it with their accuracy.

    Bin b holds the rows with confidence in (b/bins, (b + 1)/bins]. Rows are counted in int64 and summed in float64.

    Args:
        probs: probabilities (N, C, …) or (C,).
        target: class indices (N, …), or 0-d.
        bins: how many, at least 1.
        dim: the class axis.

    Returns:
        A named tuple (edges, count, accuracy, confidence).

    Example:
        >>> import torch
        >>> p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
        >>> reliability_bins(p, torch.tensor([0, 1, 1]), bins=2)
        ReliabilityBins(edges=tensor([0.0000, 0.5000, 1.0000]), count=tensor([0, 3]),
            accuracy=tensor([   nan, 0.6667]), confidence=tensor([   nan, 0.8000]))

    Taught in: chapter 04. Source: Guo et al., On calibration of modern neural networks, ICML 2017.
    """
    edges, count, right, claimed = _bin_sums(probs, target, bins, dim)
    return ReliabilityBins(edges, count, (right / count).to(edges.dtype), (claimed / count).to(edges.dtype))


def expected_calibration_error(probs: Tensor, target: Tensor, bins: int = 15, dim: int = 1) -> Tensor:
    r"""Return the mean gap between confidence and accuracy, over bins of equal width.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{N}\, |\mathrm{acc}_b - \mathrm{conf}_b|

    Args:
        probs: probabilities (N, C, …) or (C,).
        target: class indices (N, …), or 0-d.
        bins: how many, at least 1.
        dim: the class axis.

    Returns:
        A 0-d tensor in [0, 1]; NaN for an empty set.

    Example:
        >>> import torch
        >>> p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
        >>> expected_calibration_error(p, torch.tensor([0, 1, 1]), bins=2)  # 2/3 right, 0.8 claimed
        tensor(0.1333)

    Taught in: chapter 04. Source: Guo et al., On calibration of modern neural networks, ICML 2017.
    """
    edges, count, right, claimed = _bin_sums(probs, target, bins, dim)
    error = (right - claimed).abs().sum() / count.sum()  # n·|acc − conf| is the gap between the bin's two sums
    return error.to(edges.dtype)


def _bin_sums(probs: Tensor, target: Tensor, bins: int, dim: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the bins' edges, and for each its rows (int64), its right rows and its summed confidence (float64)."""
    bins = check_count("bins", bins)
    p, axis = _probabilities(probs, dim)
    right = (p.argmax(axis) == _indices(target, p, axis)).flatten()  # (rows,); of equal classes the first
    confidence = p.amax(axis).flatten()
    edges = torch.tensor([b / bins for b in range(bins + 1)], dtype=p.dtype, device=p.device)
    place = torch.bucketize(confidence.detach(), edges[1:-1])  # edge b−1 < confidence ≤ edge b
    exact = _exact_dtype(p)

    def summed(values: Tensor) -> Tensor:
        return torch.zeros(bins, dtype=values.dtype, device=p.device).index_add(0, place, values)

    count = summed(torch.ones((), dtype=torch.int64, device=p.device).expand(place.shape))
    return edges, count, summed(right.to(exact)), summed(confidence.to(exact))


@torch.no_grad()
def fit_temperature(logits: Tensor, target: Tensor, dim: int = 1) -> Tensor:
    r"""Return the temperature at which cross-entropy is least.

    .. math:: T^* = \arg\min_T \sum_i \mathrm{CE}(z_i/T, y_i)

    In s = 1/T the sum is convex, with derivative Σ(CE − H)/s, H the entropy of the prediction: at an optimum
    inside the bounds mean loss and mean entropy agree. A class masked by −∞ is left out; if it is a row's own, the
    loss is infinite at every temperature.

    Args:
        logits: (N, C, …) or (C,).
        target: class indices (N, …), or 0-d.
        dim: the class axis.

    Returns:
        A 0-d tensor in [1e-3, 1e3], the bound if the optimum lies beyond; 1 if every temperature is as good.
        NaN for an empty set.

    Example:
        >>> import torch
        >>> z = torch.tensor([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 0.0]])  # says 98 %
        >>> temperature = fit_temperature(z, torch.tensor([0, 0, 0, 1]))  # 75 % are right
        >>> torch.softmax(z / temperature, 1)[0]
        tensor([0.7500, 0.2500])

    Taught in: chapter 04. Source: Guo et al., On calibration of modern neural networks, ICML 2017.
    """
    z, axis = _values("logits", logits, dim)
    target = _indices(target, z, axis)
    if z.numel() == 0:
        return z.sum() / 0.0
    exact = _exact_dtype(z)
    own = z.gather(axis, target.unsqueeze(axis)).to(exact).flatten()  # (rows,)
    masked_rows = z.to(exact).movedim(axis, -1).flatten(0, -2)  # (rows, C)
    rows, _ = split_masked(masked_rows)

    def slope(log_scale: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of E_p[z] − z_y at s = exp(log_scale), and its derivative by log_scale."""
        scale = log_scale.exp()
        p = torch.softmax(scale * masked_rows, -1)
        expected = (p * rows).sum(-1, keepdim=True)
        return (expected[:, 0] - own).mean(), scale * (p * (rows - expected).square()).sum(-1).mean()

    low, high = (torch.tensor(math.log(s), dtype=exact, device=z.device) for s in (1e-3, 1e3))
    at_low, at_high = slope(low)[0], slope(high)[0]
    log_scale = torch.zeros_like(low)
    for _ in range(100):  # Newton's step where it stays between the bounds, else their middle
        value, derivative = slope(log_scale)
        low, high = torch.where(value < 0, log_scale, low), torch.where(value < 0, high, log_scale)
        newton = log_scale - value / derivative
        step = torch.where((newton > low) & (newton < high), newton, (low + high) / 2) - log_scale
        log_scale = log_scale + step
        if at_hand(step) and known(step.abs() > 1e-14) is False:
            break
    fitted = torch.exp(-log_scale)
    fitted = torch.where(at_high <= 0, 1e-3, torch.where(at_low >= 0, 1e3, fitted))
    all_equal = ((at_low >= 0) & (at_high <= 0)) | (own == -math.inf).any()
    return torch.where(all_equal, 1.0, fitted).to(z.dtype)


def _values(name: str, values: Any, dim: int) -> tuple[Tensor, int]:
    """Return a floating-point tensor in its working dtype, and the class axis, counted from the front."""
    check_floating(name, values)
    axis = 0 if values.ndim == 1 else dim
    if not -values.ndim <= axis < values.ndim:
        raise ValueError(f"dim must be an axis of {name}, got {dim} for shape {tuple(values.shape)}")
    axis %= values.ndim
    if values.shape[axis] == 0:
        raise ValueError(f"{name} must have at least one class on axis {axis}, got shape {tuple(values.shape)}")
    return values.to(working_dtype(values.dtype)), axis


def _probabilities(probs: Any, dim: int) -> tuple[Tensor, int]:
    p, axis = _values("probs", probs, dim)
    if may_read_values(p):
        check_probabilities("probs", p)
    return p, axis


def _log(p: Tensor) -> tuple[Tensor, Tensor]:
    """Return which entries are positive, and log p with 0 in place of −∞, whose gradient is 0 too."""
    present = p > 0
    return present, torch.where(present, p, 1.0).log()


def _indices(target: Any, values: Tensor, axis: int) -> Tensor:
    """Return class indices, one a row of the values, as int64; raise unless they are that."""
    check_integers("target", target)
    rows = tuple(n for d, n in enumerate(values.shape) if d != axis)
    if tuple(target.shape) != rows:
        raise ValueError(f"target must have shape {rows}, got {tuple(target.shape)}")
    if may_read_values(target):
        check_class_indices("target", target, values.shape[axis])
    return as_indices(target)


def _exact_dtype(values: Tensor) -> torch.dtype:
    """Return the dtype to sum many rows in: float64, which MPS does not have."""
    return torch.float32 if values.device.type == "mps" else torch.float64
