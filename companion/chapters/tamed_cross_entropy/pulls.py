"""How hard one sample pulls, who holds a batch's gradient, and what a network that fits perfectly would say: plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def pull(q: float | np.ndarray, alpha: float) -> float | np.ndarray:
    """Return the size of the gradient at the label's logit, (1 − q)(1 − log q)^−α.

    Args:
        q: probability of the label, in (0, 1].
        alpha: α ≥ 0; 0 is cross entropy.

    Example:
        >>> round(float(pull(0.05, 0.0)), 3), round(float(pull(0.05, 2.0)), 3)
        (0.95, 0.06)
    """
    return (1 - q) * (1 - np.log(q)) ** -alpha


def loss(q: float | np.ndarray, alpha: float) -> float | np.ndarray:
    """Return the tamed cross entropy of a label with probability q.

    Example:
        >>> round(float(loss(0.05, 2.0)), 3)
        0.75
    """
    plain = -np.log(q)
    return np.log1p(plain) if alpha == 1 else np.expm1((1 - alpha) * np.log1p(plain)) / (1 - alpha)


def peak(alpha: float) -> float:
    """Return the q at which the pull is strongest: the solution of α(1 − q)/q = 1 − log q, by halving an interval.

    Example:
        >>> round(peak(1.0), 3), round(peak(2.0), 3)
        (0.318, 0.558)
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        rising = alpha * (1 - middle) / middle > 1 - math.log(middle)
        low, high = (middle, high) if rising else (low, middle)
    return (low + high) / 2


def share(right: Sequence[float], wrong: Sequence[float], alpha: float) -> float:
    """Return the share of a batch's summed pulls that the samples with wrong labels hold.

    Args:
        right: probabilities that the network gives to right labels.
        wrong: those that it gives to wrong ones.
        alpha: α ≥ 0.

    Example:
        >>> round(share([0.9] * 9, [0.02], 0.0), 2), round(share([0.9] * 9, [0.02], 2.0), 2)
        (0.52, 0.05)
    """
    of_wrong, of_right = (float(np.sum(pull(np.asarray(q, dtype=float), alpha))) for q in (wrong, right))
    return of_wrong / (of_wrong + of_right)


def noisy_posterior(noise: float, num_classes: int) -> float:
    """Return how likely the label of a sample is its true class, when a share of the labels is replaced uniformly: 1 − η + η/C.

    Example:
        >>> round(noisy_posterior(0.8, 10), 2)
        0.28
    """
    return 1 - noise + noise / num_classes


def best_prediction(noise: float, num_classes: int, alpha: float) -> float:
    """Return the probability of the true class at which the expected tamed loss under uniform noise is lowest.

    All other classes are alike, so the search runs over that one probability: a fine grid, then a finer one about its best point.

    Args:
        noise: η in [0, 1].
        num_classes: C.
        alpha: α ≥ 0.

    Example:
        >>> [round(best_prediction(0.8, 10, alpha), 3) for alpha in (0.0, 1.0, 2.0)]
        [0.28, 0.451, 0.911]
    """
    own, others = noisy_posterior(noise, num_classes), num_classes - 1

    def expected(q: np.ndarray) -> np.ndarray:
        return own * loss(q, alpha) + (1 - own) * loss((1 - q) / others, alpha)

    low, high = 1e-9, 1 - 1e-9
    for _ in range(6):
        grid = np.linspace(low, high, 2001)
        best = int(np.argmin(expected(grid)))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float((low + high) / 2)


def class_sum(q: np.ndarray, num_classes: int, alpha: float) -> np.ndarray:
    """Return the losses of all labels added up, for a prediction with q on one class and the rest spread evenly.

    Example:
        >>> round(float(class_sum(np.array(0.1), 10, 2.0)), 3)
        6.972
    """
    return loss(q, alpha) + (num_classes - 1) * loss((1 - q) / (num_classes - 1), alpha)
