"""Scalable batch norm (SBN): standardise each class's logit over the batch, then multiply by one chosen scale.

Batch normalisation on the logits, without learned scale and shift: the scale m is a hyperparameter. Over a training
batch every class then has mean 0 and standard deviation m, so that the root-mean-square length of a logit vector is
m√C. At test time the map is affine and folds into the last linear layer.

Taught in chapter 02.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from companion._checks import (
    as_hyperparameter,
    at_hand,
    check_count,
    check_logits,
    check_number,
    keep_hyperparameter,
    known,
    working_dtype,
)

__all__ = ["ScalableBatchNorm", "scalable_batch_norm"]


def scalable_batch_norm(
    logits: Tensor,
    scale: float | Tensor = 1.0,
    *,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    training: bool = True,
    momentum: float | Tensor = 0.1,
    eps: float | Tensor = 1e-5,
) -> Tensor:
    r"""Standardise each class over the batch and multiply by the scale m.

    .. math:: \hat z_c = m\,\frac{z_c - \mu_c}{\sqrt{\sigma_c^2 + \varepsilon}}

    In training μ_c and σ²_c (biased) are the batch's, over rows and extra dimensions, and the running statistics,
    when given, move towards them in place: mean ← (1 − momentum)·mean + momentum·μ, likewise the variance with the
    unbiased σ². Otherwise the running statistics are used. These are the conventions of torch's ``BatchNorm1d``.

    Logits of −∞ (masked classes) have no part in μ and σ² and stay −∞; a class with fewer than two others in the batch
    leaves its running statistics as they are.

    Args:
        logits: (N, C, …), any floating dtype; half types are computed in float32. (C,) outside training.
        scale: m > 0; a 0-d tensor is taken unchecked and detached.
        running_mean: (C,), given together with ``running_var`` or not at all. (Keyword only, as all that follow.)
        running_var: (C,).
        training: use and record the batch's statistics.
        momentum: in [0, 1], the weight of the new batch in the running statistics.
        eps: ε ≥ 0, added to the variance. 0-d tensors are taken unchecked and detached, here and for ``momentum``.

    Returns:
        A tensor of the shape and dtype of ``logits``. An empty batch leaves the running statistics untouched.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range or of the wrong shape, one running statistic comes without the other,
            ``training=False`` without them, or a training batch with one value a class.

    In a training loop: ``book/in_your_loop.md``.

    Example:
        >>> import torch
        >>> scalable_batch_norm(torch.tensor([[1.0, 5.0], [3.0, 1.0]]), scale=0.5, eps=0.0)
        tensor([[-0.5000,  0.5000],
                [ 0.5000, -0.5000]])

    Taught in: chapter 02. Source: Scalable batch normalization, Eqs. 3, 4 and 9.
    """
    return _apply(logits, scale, running_mean, running_var, training, momentum, eps)


class ScalableBatchNorm(_BatchNorm):
    """`scalable_batch_norm` with running statistics: batch statistics in ``train()``, running ones in ``eval()``.

    It is one of torch's batch norms, with the constants m and 0 in the place of weight and bias, neither of which is a
    parameter. So `torch.optim.swa_utils.update_bn` measures its running statistics anew, and
    ``torch.nn.SyncBatchNorm.convert_sync_batchnorm`` makes a ``SyncBatchNorm`` with a frozen weight m of it (for GPUs;
    ``synchronised`` does the same on any backend, and knows masked classes).

    Args:
        num_classes: the number of classes, C.
        scale: m > 0. The paper: 0.8 to 1 for 100 classes and more; for ten, 1 caps the confidence at 0.757.
        eps: ε ≥ 0.
        momentum: in [0, 1]; None for the average over all batches since `reset_running_stats`.
        synchronised: share the training statistics among the processes of ``torch.distributed``, as torch's
            ``SyncBatchNorm`` does, on any backend; every process must then take part in every training step,
            with an empty batch if it has no data.

    Buffers:
        running_mean, running_var: (C,).
        num_batches_tracked: how many batches they have seen.

    In a training loop: ``book/in_your_loop.md``.

    Example:
        >>> import torch
        >>> norm = ScalableBatchNorm(num_classes=2, scale=1.0)
        >>> norm(torch.tensor([[1.0, 5.0], [3.0, 1.0]]))
        tensor([[-1.0000,  1.0000],
                [ 1.0000, -1.0000]])
        >>> norm.running_mean
        tensor([0.2000, 0.3000])

    Taught in: chapter 02. Source: Scalable batch normalization, Eq. 9.
    """

    def __init__(
        self,
        num_classes: int,
        scale: float | Tensor = 1.0,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        synchronised: bool = False,
    ) -> None:
        num_classes = check_count("num_classes", num_classes)
        scale, checked, eps = _check_hyperparameters(scale, 0.0 if momentum is None else momentum, eps)
        super().__init__(num_classes, eps, None if momentum is None else checked, affine=False)
        self.num_classes, self.synchronised = num_classes, synchronised
        keep_hyperparameter(self, "scale", scale)
        self.affine = True  # for torch's tools, which then ask for weight and bias

    def __getattr__(self, name: str) -> Any:
        """Hand torch's tools the constants m and 0 as weight and bias, which no optimiser can find here."""
        if name in ("weight", "bias") and self.__dict__.get("affine", False):
            constant = as_hyperparameter(self.scale) if name == "weight" else 0.0
            return nn.Parameter(torch.zeros_like(self.running_mean) + constant, requires_grad=False)
        return super().__getattr__(name)

    def forward(self, logits: Tensor) -> Tensor:
        """Return the standardised logits, and in training record the batch's statistics."""
        training = self.training or self.running_mean is None  # as in torch: without running statistics, the batch's
        total = None
        if training and self.synchronised and torch.distributed.is_initialized():
            total = _SumOverProcesses.apply
        momentum = self.momentum
        if momentum is None:  # the average over all batches
            momentum = 1 / (self.num_batches_tracked + 1) if training else 0.0
        running = self.running_mean, self.running_var
        result = _apply(logits, self.scale, *running, training, momentum, self.eps, total)
        if self.training and self.num_batches_tracked is not None and (total or logits.numel() > 0):
            self.num_batches_tracked.add_(1)
        return result

    @torch.no_grad()
    def fold_into(self, linear: nn.Linear) -> nn.Linear:
        """Return a new linear layer, with bias, equal to ``linear`` followed by this module in ``eval()``.

        The weight vector of class c becomes m·w_c/√(σ²_c + ε), its bias m·(b_c − μ_c)/√(σ²_c + ε).

        Args:
            linear: the layer that makes the logits, (C, D); it is not changed.

        Raises:
            TypeError: ``linear`` is no `torch.nn.Linear`.
            ValueError: it has another number of outputs.

        Example:
            >>> import torch
            >>> linear, norm = torch.nn.Linear(3, 2), ScalableBatchNorm(2).eval()
            >>> x = torch.randn(5, 3)
            >>> torch.allclose(norm.fold_into(linear)(x), norm(linear(x)), atol=1e-6)
            True
        """
        if not isinstance(linear, nn.Linear):
            raise TypeError(f"linear must be a torch.nn.Linear, got {type(linear).__name__}")
        if linear.out_features != self.num_classes:
            raise ValueError(f"linear must have {self.num_classes} outputs, got {linear.out_features}")
        weight = linear.weight
        gain = as_hyperparameter(self.scale) / (self.running_var + self.eps).sqrt()  # (C,)
        bias = torch.zeros_like(self.running_mean) if linear.bias is None else linear.bias
        folded = nn.utils.skip_init(
            nn.Linear, linear.in_features, linear.out_features, device=weight.device, dtype=weight.dtype
        )
        folded.weight.copy_(gain[:, None] * weight)
        folded.bias.copy_(gain * (bias - self.running_mean))
        return folded

    def extra_repr(self) -> str:
        """Name the hyperparameters when the module is printed."""
        return f"{self.num_classes}, scale={float(self.scale):g}, eps={self.eps:g}, momentum={self.momentum}"


class _SumOverProcesses(torch.autograd.Function):
    """The sum over all processes; its gradient is again the sum of theirs."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, value: Tensor) -> Tensor:
        total = value.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        return _SumOverProcesses.apply(gradient.contiguous())


def _apply(
    logits: Tensor,
    scale: float | Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float | Tensor,
    eps: float | Tensor,
    total: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return `scalable_batch_norm`; ``total`` adds sums over all processes that share the batch."""
    scale, momentum, eps = _check_hyperparameters(scale, momentum, eps)
    axis = _check(logits, running_mean, running_var, training, alone=total is None)
    z = logits.to(working_dtype(logits.dtype))
    scale, eps = as_hyperparameter(scale, z.dtype), as_hyperparameter(eps, z.dtype)
    if not training:
        gain = scale / (running_var.to(z.dtype) + eps).sqrt()
        return ((z - _along(running_mean.to(z.dtype), z, axis)) * _along(gain, z, axis)).to(logits.dtype)
    if total is None and logits.numel() == 0:
        return logits.clone()
    result, mean, var, known = _train(z, scale, eps, axis, total)
    _record(running_mean, running_var, mean, var, known, momentum)
    return result.to(logits.dtype)


def _train(
    z: Tensor, scale: float | Tensor, eps: float | Tensor, axis: int, total: Callable[[Tensor], Tensor] | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Return m(z − μ)/√(σ² + ε), and of each class μ, the unbiased σ² and whether these are known (None: all are)."""
    others = [d for d in range(z.ndim) if d != axis]
    if total is None and at_hand(z) and not isinstance(eps, Tensor) and eps > 0:
        shift = z.detach().mean(others)
        if known(shift.amin()) > -math.inf:  # no class is masked: this is torch's own batch norm
            # Its kernel multiplies before it subtracts, which costs digits where logits are far from 0: it gets them
            # less their means. Differentiation need not know of a shift that changes nothing.
            mean, var = torch.zeros_like(shift), torch.ones_like(shift)
            centred = z - _along(shift, z, axis)
            # A gain for each run of a stack has wrong derivatives in torch 2.4; a factor of the result has right ones.
            gain, factor = (None, scale) if isinstance(scale, Tensor) else (torch.full_like(shift, scale), None)
            # With momentum 1 its running statistics are those of the batch.
            result = functional.batch_norm(centred, mean, var, gain, None, True, 1.0, eps)
            return result if factor is None else factor * result, shift + mean, var, None
    masked = z == -math.inf
    count = (~masked).to(z.dtype).sum(others)  # (C,)
    if total is not None:
        count = total(count)
        if count.max() == 1:
            raise ValueError("training needs more than one value per class over all processes, got one")
    total = total or (lambda values: values)
    divisor = count.clamp_min(1)
    mean = total(z.masked_fill(masked, 0.0).sum(others)) / divisor
    centred = (z - _along(mean, z, axis)).masked_fill(masked, 0.0)
    square = total(centred.square().sum(others))
    gain = scale / (square / divisor + eps).sqrt()
    result = (centred * _along(gain, z, axis)).masked_fill(masked, -math.inf)
    return result, mean, square / (count - 1).clamp_min(1), count > 1


def _along(values: Tensor, z: Tensor, axis: int) -> Tensor:
    """Return values (C,) in a shape that broadcasts along the class axis of ``z``."""
    return values.reshape([-1 if d == axis else 1 for d in range(z.ndim)])


@torch.no_grad()
def _record(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Tensor,
    var: Tensor,
    known: Tensor | None,
    momentum: float | Tensor,
) -> None:
    """Move the running statistics towards the batch's, where those are known."""
    for running, new in ((running_mean, mean), (running_var, var)):
        if running is None:
            continue
        new, weight = new.to(running.dtype), as_hyperparameter(momentum, running.dtype)
        if known is None:
            running.lerp_(new, weight)
        else:  # perhaps under vmap, which has no rule for lerp_
            running.add_(torch.where(known, (new - running) * weight, 0.0))


def _check_hyperparameters(scale: Any, momentum: Any, eps: Any) -> tuple[Any, Any, Any]:
    return (
        check_number("scale", scale, above=0),
        check_number("momentum", momentum, at_least=0, at_most=1),
        check_number("eps", eps, at_least=0),
    )


def _check(
    logits: Tensor, running_mean: Tensor | None, running_var: Tensor | None, training: bool, *, alone: bool
) -> int:
    """Return the class axis of valid arguments."""
    axis = check_logits("logits", logits)
    shape, num_classes = tuple(logits.shape), logits.shape[axis]
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must be given together, got one of them")
    for name, value in (("running_mean", running_mean), ("running_var", running_var)):
        if value is not None and tuple(value.shape) != (num_classes,):
            raise ValueError(f"{name} must have shape ({num_classes},), got {tuple(value.shape)}")
    if not training and running_mean is None:
        raise ValueError("training=False needs running_mean and running_var, got None")
    if training and alone and logits.numel() == num_classes:
        raise ValueError(f"training needs more than one value per class, got logits of shape {shape}")
    return axis
