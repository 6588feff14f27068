"""`validate`: the checks of values that criteria leave out where they would cost time or break a graph.

Criteria look at labels and probabilities on a CPU only. On an accelerator that would make the device wait at every
step, and torch's own error for a wrong label is hard to read: call `validate` on one batch, or on a whole data set.
"""

from __future__ import annotations

from torch import Tensor

from companion._checks import check_class_indices, check_floating, check_probabilities, check_target, class_axis

__all__ = ["validate"]


def validate(logits: Tensor, target: Tensor, *, ignore_index: int = -100) -> None:
    """Raise unless ``target`` is one that every criterion accepts for these ``logits``, on any device.

    The values of ``logits`` are not looked at: infinite or NaN logits are no error anywhere in this library (a loss
    scaler depends on seeing them). Neither are probabilities that do not sum to 1.

    Args:
        logits: (N, C), (N, C, d1, …) or (C,).
        target: class indices (N, …), or probabilities of the shape of ``logits``.
        ignore_index: a label outside [0, C) that is allowed.

    Raises:
        TypeError: an argument is no tensor or has the wrong kind of dtype.
        ValueError: the shapes do not fit; a label lies outside [0, C) and is not ``ignore_index``; a probability is
            negative or not finite.

    Example:
        >>> import torch
        >>> validate(torch.zeros(2, 3), torch.tensor([0, 3]))
        Traceback (most recent call last):
            ...
        ValueError: target must hold class indices in [0, 3) or be ignore_index=-100, got 3

    Taught in: chapter 00.
    """
    check_floating("logits", logits)
    check_target("target", logits, target)
    if target.is_floating_point():
        check_probabilities("target", target)
    else:
        check_class_indices("target", target, logits.shape[class_axis(logits)], ignore_index)
