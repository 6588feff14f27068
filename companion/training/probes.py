"""What is measured while a network trains, computed from its logits in one go.

All functions take stacked logits, shape (R, N, C) for R runs at once, and return one number a run, shape (R,).
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn.functional import cross_entropy

Rows = Callable[[Tensor, Tensor], Tensor]
"""(logits (R, N, C), labels (R, N)) → what is computed of every row, (R, N)."""


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of every row, (R, N), from logits (R, N, C) and labels (R, N)."""
    return cross_entropy(logits.transpose(1, 2), labels, reduction="none")


def row_losses(criterion: Callable[[Tensor, Tensor], Tensor]) -> Rows:
    """Return a criterion's loss row by row: logits (R, N, C) and labels (R, N) to losses (R, N).

    A criterion with ``reduction``, an argument or an attribute, is asked for ``"none"``. Any other is taken to be the mean
    or the sum of losses of single rows, and is called with one row at a time (by ``vmap``).

    Args:
        criterion: (logits (N, C), labels (N,)) to a 0-d loss.

    Example:
        >>> from torch.nn.functional import multi_margin_loss
        >>> row_losses(multi_margin_loss)(torch.tensor([[[2.0, 0.0], [0.0, 0.5]]]), torch.tensor([[0, 0]]))
        tensor([[0.0000, 0.7500]])
    """
    if criterion is cross_entropy:
        return class_loss
    if isinstance(criterion, nn.Module) and hasattr(criterion, "reduction"):
        rows = copy.copy(criterion)
        rows.reduction = "none"
    elif not isinstance(criterion, nn.Module) and "reduction" in inspect.signature(criterion).parameters:
        rows = partial(criterion, reduction="none")
    else:
        rows = vmap(lambda row, label: criterion(row.unsqueeze(0), label.unsqueeze(0)))
    return lambda logits, labels: rows(logits.flatten(0, -2), labels.flatten()).view_as(labels)


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean of ``values`` (R, N) over the rows kept, shape (R,); ``mask`` (R, N) holds ones and zeros."""
    return values.mean(1) if mask is None else (values * mask).sum(1) / mask.sum(1)


def fit_probes(
    logits: Tensor, labels: Tensor, transform: Callable[[Tensor], Tensor], mask: Tensor | None = None
) -> dict[str, Tensor]:
    """Return error (percent), loss and entropy of the probabilities that the run predicts with.

    Those are softmax(transform(z)): the partial norm is part of the network, so its loss and entropy are too.
    """
    final = transform(logits)
    log_probs = final.log_softmax(-1)
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    loss = -log_probs.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    wrong = (logits.argmax(-1) != labels).to(logits.dtype)
    return {
        "error": 100 * masked_mean(wrong, mask),
        "loss": masked_mean(loss, mask),
        "entropy": masked_mean(entropy, mask),
    }


def logit_probes(
    logits: Tensor, labels: Tensor, transform: Callable[[Tensor], Tensor], losses: Rows, mask: Tensor | None = None
) -> dict[str, Tensor]:
    """Return lengths and logit gradients, means over the rows kept.

    ``length`` is the mean of |z|, ``centred_length`` that of |z - mean z|, ``length_deviation`` the population standard
    deviation of |z|. ``gradient`` is the mean length of g = dL/dz of one row's own loss L = losses(transform(z), y): that of
    the run's criterion (raw logits z, so the transform's Jacobian is in it), ``radial_gradient`` the mean of |g . z|/|z|, and ``growing_share`` the share of rows whose
    gradient step lengthens z (g . z < 0; a radial part of 0, as outside a norm's ball, does not).
    """
    leaf = logits.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(losses(transform(leaf), labels).sum(), leaf)
    logits = leaf.detach()
    length = logits.norm(dim=-1)
    mean_length = masked_mean(length, mask)
    radial = (gradient * logits).sum(-1) / length.clamp_min(torch.finfo(length.dtype).tiny)
    size = gradient.norm(dim=-1)
    shrinks_or_rests = (
        radial >= -16 * torch.finfo(length.dtype).eps * size
    )  # outside a norm's ball radial is 0 up to rounding
    return {
        "length": mean_length,
        "centred_length": masked_mean((logits - logits.mean(-1, keepdim=True)).norm(dim=-1), mask),
        "length_deviation": masked_mean((length - mean_length.unsqueeze(1)).square(), mask).sqrt(),
        "gradient": masked_mean(size, mask),
        "radial_gradient": masked_mean(radial.abs(), mask),
        "growing_share": masked_mean((~shrinks_or_rests).to(length.dtype), mask),
    }


def all_probes(
    train: tuple[Tensor, Tensor, Tensor | None],
    test: tuple[Tensor, Tensor, Tensor | None],
    transform: Callable[[Tensor], Tensor],
    losses: Rows,
) -> dict[str, Tensor]:
    """Return every probe by its recorded name; ``train`` and ``test`` are (logits, labels, mask).

    ``losses`` are the rows' losses that the run trains on (see `row_losses`); gradients are theirs. ``loss`` is the negative
    log-likelihood whatever the criterion, so that runs with different criteria can be compared.

    Lengths and gradients are of training rows (as in the paper's Figures 2 and 3); the same two lengths of test rows are
    recorded as ``test_length`` and ``test_length_deviation``. ``generalisation_gap`` is test minus train error in points.
    """
    on_train, on_test = fit_probes(*train[:2], transform, train[2]), fit_probes(*test[:2], transform, test[2])
    lengths = logit_probes(*test[:2], transform, losses, test[2])
    return {
        **{f"train_{name}": value for name, value in on_train.items()},
        **{f"test_{name}": value for name, value in on_test.items()},
        **logit_probes(*train[:2], transform, losses, train[2]),
        "test_length": lengths["length"],
        "test_length_deviation": lengths["length_deviation"],
        "generalisation_gap": on_test["error"] - on_train["error"],
    }
