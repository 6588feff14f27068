"""Scalable batch norm (SBN): standardise each class's logit over the batch, then multiply by one chosen scale.

Batch normalisation on the logits, without learned scale and shift: the scale m is a hyperparameter. Over a training
batch every class then has mean 0 and standard deviation m, so that the root-mean-square length of a logit vector is
m√C. At test time the map is affine and folds into the last linear layer.

Taught in chapter 02.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from companion._checks import (
    as_hyperparameter,
    check_count,
    check_logits,
    check_number,
    keep_hyperparameter,
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
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    r"""Standardise each class over the batch and multiply by the scale m.

    .. math:: \hat z_c = m\,\frac{z_c - \mu_c}{\sqrt{\sigma_c^2 + \varepsilon}}

    In training μ_c and σ²_c (biased) are the batch's, over rows and extra dimensions, and the running statistics,
    when given, move towards them in place: mean ← (1 − momentum)·mean + momentum·μ, likewise the variance with the
    unbiased σ². Otherwise the running statistics are used. These are the conventions of torch's ``BatchNorm1d``.

    Args:
        logits: (N, C, …), any floating dtype; half types are computed in float32. (C,) outside training.
        scale: m > 0; a 0-d tensor is taken unchecked and detached.
        running_mean: (C,), given together with ``running_var`` or not at all. (Keyword only, as all that follow.)
        running_var: (C,).
        training: use and record the batch's statistics.
        momentum: in [0, 1], the weight of the new batch in the running statistics.
        eps: ε ≥ 0, added to the variance.

    Returns:
        A tensor of the shape and dtype of ``logits``. An empty batch leaves the running statistics untouched.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range or of the wrong shape, one running statistic comes without the other,
            ``training=False`` without them, or a training batch with one value a class.

    Example:
        >>> import torch
        >>> scalable_batch_norm(torch.tensor([[1.0, 5.0], [3.0, 1.0]]), scale=0.5, eps=0.0)
        tensor([[-0.5000,  0.5000],
                [ 0.5000, -0.5000]])

    Taught in: chapter 02. Source: Scalable batch normalization, Eqs. 3, 4 and 9.
    """
    axis = _check(logits, scale, running_mean, running_var, training, momentum, eps)
    z = logits.to(working_dtype(logits.dtype))
    if training:
        count = logits.numel() // logits.shape[axis]
        if count == 0:
            return logits.clone()
        mean, var = _batch_statistics(z, count)
        _record(running_mean, running_var, mean, var, count, momentum)
    else:
        mean, var = running_mean, running_var
    return _standardise(z, mean, var, scale, eps, axis).to(logits.dtype)


class ScalableBatchNorm(nn.Module):
    """`scalable_batch_norm` with running statistics: batch statistics in ``train()``, running ones in ``eval()``.

    Args:
        num_classes: the number of classes, C.
        scale: m > 0. The paper: 0.8 to 1 for 100 classes and more; for ten, 1 caps the confidence at 0.757.
        eps: ε ≥ 0.
        momentum: in [0, 1].
        synchronised: share the training statistics among the processes of ``torch.distributed``, as torch's
            ``SyncBatchNorm`` does, on any backend; every process must then take part in every training step,
            with an empty batch if it has no data.

    Buffers:
        running_mean, running_var: (C,).

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
        momentum: float = 0.1,
        synchronised: bool = False,
    ) -> None:
        super().__init__()
        check_count("num_classes", num_classes)
        _check_hyperparameters(scale, momentum, eps)
        self.num_classes, self.eps, self.momentum, self.synchronised = num_classes, eps, momentum, synchronised
        keep_hyperparameter(self, "scale", scale)
        self.register_buffer("running_mean", torch.zeros(num_classes))
        self.register_buffer("running_var", torch.ones(num_classes))

    def forward(self, logits: Tensor) -> Tensor:
        """Return the standardised logits, and in training record the batch's statistics."""
        if self.synchronised and self.training and torch.distributed.is_initialized():
            return self._forward_together(logits)
        return scalable_batch_norm(
            logits,
            self.scale,
            running_mean=self.running_mean,
            running_var=self.running_var,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )

    def _forward_together(self, logits: Tensor) -> Tensor:
        running = self.running_mean, self.running_var
        axis = _check(logits, self.scale, *running, True, self.momentum, self.eps, alone=False)
        z = logits.to(working_dtype(logits.dtype))
        others = [d for d in range(z.ndim) if d != axis]
        own = torch.full((1,), z.numel() // z.shape[axis], dtype=z.dtype, device=z.device)
        total, count = _SumOverProcesses.apply(torch.cat([z.sum(others), own])).split([self.num_classes, 1])
        if count == 0:
            return logits.clone()
        if count == 1:
            raise ValueError("training needs more than one value per class over all processes, got one")
        mean = total / count
        var = _SumOverProcesses.apply((z - _along(mean, z, axis)).square().sum(others)) / count
        _record(*running, mean, var, count, self.momentum)
        return _standardise(z, mean, var, self.scale, self.eps, axis).to(logits.dtype)

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
        return f"{self.num_classes}, scale={float(self.scale):g}, eps={self.eps:g}, momentum={self.momentum:g}"


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


def _along(values: Tensor, z: Tensor, axis: int) -> Tensor:
    """Return values (C,) in a shape that broadcasts along the class axis of ``z``."""
    return values.to(z.dtype).reshape([-1 if d == axis else 1 for d in range(z.ndim)])


def _batch_statistics(z: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance per class, (C,) each, over rows and extra dimensions."""
    others = [d for d in range(z.ndim) if d != 1]
    mean = z.sum(others) / count
    return mean, (z - _along(mean, z, 1)).square().sum(others) / count


def _standardise(z: Tensor, mean: Tensor, var: Tensor, scale: float | Tensor, eps: float, axis: int) -> Tensor:
    deviation = _along((var + eps).sqrt(), z, axis)
    return as_hyperparameter(scale) * (z - _along(mean, z, axis)) / deviation


@torch.no_grad()
def _record(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Tensor,
    var: Tensor,
    count: int | Tensor,
    momentum: float,
) -> None:
    """Move the running statistics towards the batch's, with the unbiased variance."""
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_((var * (count / (count - 1))).to(running_var.dtype), momentum)


def _check_hyperparameters(scale: float | Tensor, momentum: float, eps: float) -> None:
    check_number("scale", scale, above=0)
    check_number("momentum", momentum, at_least=0, at_most=1)
    check_number("eps", eps, at_least=0)


def _check(
    logits: Tensor,
    scale: float | Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    *,
    alone: bool = True,
) -> int:
    """Return the class axis of valid arguments."""
    _check_hyperparameters(scale, momentum, eps)
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
