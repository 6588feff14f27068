"""Penalties on the logits that length stability is compared with.

Taught in chapter 01. Both act on the raw logits (``on = "logits"``), before any logit transform.
"""

from __future__ import annotations

from torch import Tensor, nn

from companion._checks import check_logits, working_dtype
from companion._numerics import split_masked

__all__ = ["LogitPenalty", "ZLoss", "logit_penalty", "z_loss"]


def logit_penalty(logits: Tensor) -> Tensor:
    r"""Return the mean squared length of the logit vectors.

    .. math:: \tfrac1N \sum_i \|z_i\|^2

    Args:
        logits: (N, C), or (C,) for one row; half types are computed in float32. A class masked by −∞ has no part in
            the length.

    Returns:
        A 0-d tensor, float32 for half types; NaN for an empty batch.

    Raises:
        TypeError, ValueError: ``logits`` is not a floating-point tensor, or has no class.

    Example:
        >>> import torch
        >>> logit_penalty(torch.tensor([[3.0, 4.0], [1.0, 0.0]]))  # (25 + 1)/2
        tensor(13.)

    Taught in: chapter 01. Source: Kornblith et al., Why do better loss functions lead to less transferable
    features?, NeurIPS 2021, where it is one of the losses compared.
    """
    axis = check_logits("logits", logits)
    z, _ = split_masked(logits.to(working_dtype(logits.dtype)))
    return z.square().sum(axis).mean()


def z_loss(logits: Tensor) -> Tensor:
    r"""Return the mean square of the logarithm of the softmax's normaliser.

    .. math:: \tfrac1N \sum_i \Big(\log \sum_c e^{z_{ic}}\Big)^2

    Args:
        logits: (N, C), or (C,) for one row; half types are computed in float32.

    Returns:
        A 0-d tensor, float32 for half types; NaN for an empty batch.

    Raises:
        TypeError, ValueError: ``logits`` is not a floating-point tensor, or has no class.

    Example:
        >>> import torch
        >>> z_loss(torch.zeros(3, 1))  # log 1 = 0
        tensor(0.)

    Taught in: chapter 01. Source: Chowdhery et al., PaLM, JMLR 2023, section 5 (there with weight 1e-4).
    """
    axis = check_logits("logits", logits)
    return logits.to(working_dtype(logits.dtype)).logsumexp(axis).square().mean()


logit_penalty.on = "logits"  # read by companion.Objective
z_loss.on = "logits"


class LogitPenalty(nn.Module):
    """`logit_penalty` as a module.

    Example:
        >>> import torch
        >>> LogitPenalty()(torch.tensor([[3.0, 4.0]]))
        tensor(25.)
    """

    on = "logits"

    def forward(self, logits: Tensor) -> Tensor:
        """Return the mean squared length of the logit vectors."""
        return logit_penalty(logits)


class ZLoss(nn.Module):
    """`z_loss` as a module.

    Example:
        >>> import torch
        >>> ZLoss()(torch.zeros(3, 1))
        tensor(0.)
    """

    on = "logits"

    def forward(self, logits: Tensor) -> Tensor:
        """Return the mean squared log-normaliser."""
        return z_loss(logits)
