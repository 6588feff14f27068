r"""What every criterion shares: targets in all forms that `cross_entropy` takes, and its reductions.

A criterion of this library is one formula for one row, Σ_c w_c t_c ℓ(log p_c) or a function of the whole row. `Rows`
holds everything else, so that a criterion reads like its formula::

    rows = Rows(input, target, weight, ignore_index, reduction, label_smoothing)
    return rows.reduce(rows.expect(loss_of_log_p, rows.log_softmax()))

Class indices are gathered before ℓ is applied, never expanded to one-hot rows: the −∞ of a masked class that is not
the target then meets neither ℓ nor its derivative. Everything here is safe under ``torch.compile`` and ``torch.func``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from companion._checks import (
    as_hyperparameter,
    check_choice,
    check_class_indices,
    check_floating,
    check_number,
    check_probabilities,
    check_target,
    class_axis,
    may_read_values,
    working_dtype,
)

REDUCTIONS = ("none", "mean", "sum")


def is_exactly(hyperparameter: float | Tensor, neutral: float) -> bool:
    """Tell whether a hyperparameter is the Python number ``neutral``; a tensor never is, so that no value is read."""
    return not isinstance(hyperparameter, Tensor) and hyperparameter == neutral


def nonzero(power: float | Tensor) -> float | Tensor:
    """Return ``power``, or 1e-20 for a zero: there (e^{s·x} − 1)/s and its kin equal their limits to the last digit."""
    if isinstance(power, Tensor):
        return torch.where(power.abs() > 1e-20, power, 1e-20)
    return power if abs(power) > 1e-20 else 1e-20


def box_cox(x: Tensor, power: float | Tensor) -> Tensor:
    r"""Return (e^{s·x} − 1)/s with s = power, which is x at s = 0: the Box–Cox transform of e^x, smooth in s.

    Example:
        >>> import torch
        >>> box_cox(torch.tensor(1.0), power=0), box_cox(torch.tensor(1.0), power=1)
        (tensor(1.), tensor(1.7183))
    """
    power = nonzero(power)
    return torch.expm1(power * x) / power


class Rows:
    """Logits and their targets, checked and brought into one form; a "row" is one vector along the class axis.

    Args:
        input: logits (N, C), (N, C, d1, …) or (C,).
        target: class indices (N, …), or probabilities of the shape of ``input``.
        weight: None or one weight a class (C,), any floating dtype.
        ignore_index: rows with this target count for nothing; must be negative for probabilities.
        reduction: "none", "mean" or "sum".
        label_smoothing: ε in t ← (1−ε)t + ε/C.
        name: what the caller calls ``input``, for messages.

    Attributes:
        logits: ``input`` in the dtype to compute in, the half types' being float32.
        axis: the class axis.
        num_classes: the number of classes, C.
        row_weight: Σ_c w_c t_c of each row (N, …).

    Raises:
        TypeError, ValueError: an argument is not as stated above; the message names it.
    """

    def __init__(
        self,
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float | Tensor = 0.0,
        *,
        name: str = "input",
    ) -> None:
        _check_options(name, input, target, weight, ignore_index, reduction, label_smoothing)
        self._given = (input, target, weight, ignore_index, label_smoothing)
        self.reduction = reduction
        self.dtype = _answer_dtype(input, target, weight)
        self.axis = class_axis(input)
        self.num_classes = input.shape[self.axis]
        self.logits = input.to(working_dtype(self.dtype))
        self._weight = None if weight is None else weight.to(self.logits.dtype)

        if target.is_floating_point():
            self._kept = None  # probabilities have no rows to ignore
            self._index = None
            self._target = self._smooth(target.to(self.logits.dtype))
        else:
            self._kept = target != ignore_index
            self._index = torch.where(self._kept, target, 0).long()
            smoothed = not is_exactly(label_smoothing, 0)
            # A smoothed index is a dense row by nature; a plain one stays an index.
            self._target = self._smooth(self._is_target().to(self.logits.dtype)) if smoothed else None

        if self._target is not None:
            self._weighted_target = self._target if weight is None else self._target * self._per_class(self._weight)
            self.row_weight = self._weighted_target.sum(self.axis)
        else:
            self.row_weight = self._index_weight()

    # What a formula is made of -------------------------------------------------------------------------------

    def log_softmax(self) -> Tensor:
        """Return log p (N, C, …)."""
        return functional.log_softmax(self.logits, self.axis)

    def softmax(self) -> Tensor:
        """Return p (N, C, …)."""
        return functional.softmax(self.logits, self.axis)

    def hyperparameter(self, value: float | Tensor) -> float | Tensor:
        """Return a hyperparameter ready for arithmetic: a number as it is, a tensor detached, in the working dtype."""
        value = as_hyperparameter(value)
        return value.to(self.logits.dtype) if isinstance(value, Tensor) else value

    def expect(self, loss: Callable[[Tensor], Tensor], per_class: Tensor, *, weighted: bool = True) -> Tensor:
        """Return Σ_c w_c t_c loss(x_c) for every row (N, …); without the w_c if not ``weighted``.

        An ignored row is evaluated at x = 0 instead: what an infinite logit of padding would give there is
        multiplied by 0 later, and 0·∞ is NaN.
        """
        if self._target is None:
            chosen = per_class.gather(self.axis, self._index.unsqueeze(self.axis)).squeeze(self.axis)  # (N, …)
            value = loss(self.zero_ignored(chosen))
            return self.row_weight * value if weighted else value
        target = self._weighted_target if weighted else self._target
        return (target * loss(self.zero_ignored(per_class))).sum(self.axis)

    def residual(self, probabilities: Tensor) -> Tensor:
        """Return p − t (N, C, …)."""
        if self._target is None:
            return torch.where(self._is_target(), probabilities - 1, probabilities)
        return probabilities - self._target

    def target_sum(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return Σ_c g(t_c) for every row, for a g with g(0) = 0."""
        if self._target is None:
            return function(torch.ones_like(self._index, dtype=self.logits.dtype))
        return function(self._target).sum(self.axis)

    # What becomes of the rows' losses ------------------------------------------------------------------------

    def reduce(self, losses: Tensor) -> Tensor:
        """Return the rows' losses (N, …) reduced as `cross_entropy` reduces them, in the dtype it would answer in."""
        return self.reduce_precisely(losses).to(self.dtype)

    def reduce_precisely(self, losses: Tensor) -> Tensor:
        """Return what `reduce` returns, still in the working dtype."""
        losses = self.zero_ignored(losses)
        if self.reduction == "none":
            return losses
        return losses.sum() / self.divisor()

    def zero_ignored(self, values: Tensor) -> Tensor:
        """Return values of rows (N, …) or of their classes (N, C, …) with those of ignored rows set to 0."""
        if self._kept is None:
            return values
        kept = self._kept if values.ndim == self._kept.ndim else self._kept.unsqueeze(self.axis)
        return torch.where(kept, values, 0.0)

    def divisor(self) -> Tensor | float:
        """Return what the sum over rows is divided by.

        For "mean" that is Σ w_y over the rows kept, also under smoothing; for probabilities the plain number of
        rows, whatever the weights (torch's conventions). With no row it is 0, so that the mean is NaN.
        """
        if self.reduction != "mean":
            return 1.0
        if self._kept is None:
            return self.logits.new_tensor(self.logits.numel() // self.num_classes)
        return self.zero_ignored(self._index_weight()).sum()

    def cross_entropy(self) -> Tensor:
        """Return `torch.nn.functional.cross_entropy` of the arguments given, itself."""
        input, target, weight, ignore_index, label_smoothing = self._given
        from_index = self._index is not None
        if from_index:
            target = target.long()
            weight = None if weight is None else weight.to(self.dtype)
        if not isinstance(label_smoothing, Tensor) and not (from_index and label_smoothing and _is_compiling()):
            try:
                return functional.cross_entropy(
                    input,
                    target,
                    weight,
                    ignore_index=ignore_index,
                    reduction=self.reduction,
                    label_smoothing=label_smoothing,
                )
            except RuntimeError:
                # torch cannot vmap smoothing over index targets (masked_select); the formula below can.
                if not (from_index and label_smoothing):
                    raise
        return self.reduce(self.expect(torch.neg, self.log_softmax()))

    # Inside --------------------------------------------------------------------------------------------------

    def _per_class(self, values: Tensor) -> Tensor:
        """Return (C,) values shaped so that they broadcast along the class axis."""
        return values.view(-1, *[1] * (self.logits.ndim - self.axis - 1))

    def _is_target(self) -> Tensor:
        """Return which class is the target (N, C, …), as booleans (``one_hot`` fails under vmap)."""
        classes = torch.arange(self.num_classes, device=self._index.device)
        return self._per_class(classes) == self._index.unsqueeze(self.axis)

    def _index_weight(self) -> Tensor:
        """Return w_y of every row (N, …), 1 without weights (``w[y]`` fails under vmap)."""
        if self._weight is None:
            return torch.ones_like(self._index, dtype=self.logits.dtype)
        return self._weight.index_select(0, self._index.flatten()).view(self._index.shape)

    def _smooth(self, target: Tensor) -> Tensor:
        epsilon = self.hyperparameter(self._given[-1])
        return target if is_exactly(epsilon, 0) else target * (1 - epsilon) + epsilon / self.num_classes


class Criterion(nn.Module):
    """A criterion as a module: its hyperparameters and `cross_entropy`'s options, kept; input and target, called.

    Tensors among them become buffers: they move with the module and stack with ``torch.func.stack_module_state``.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        hyperparameters: dict[str, Any],
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float | Tensor = 0.0,
    ) -> None:
        super().__init__()
        options = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
        options |= {"label_smoothing": label_smoothing, **hyperparameters}
        # One row of zeros through the function checks every argument, by the function's own rules.
        tensors = [value for value in options.values() if isinstance(value, Tensor)]
        device = tensors[0].device if tensors else None
        num_classes = max(weight.numel(), 1) if isinstance(weight, Tensor) else 2
        row = torch.zeros(1, num_classes, device=device)
        function(row, torch.zeros(1, dtype=torch.long, device=device), **options)

        self._function = function
        self._names = tuple(options)
        self._own = tuple(hyperparameters)
        for name, value in options.items():
            if isinstance(value, Tensor) or name == "weight":
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return self._function(input, target, **{name: getattr(self, name) for name in self._names})

    def extra_repr(self) -> str:
        shown = (*self._own, "ignore_index", "reduction", "label_smoothing")
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)


def _is_compiling() -> bool:
    return torch.compiler.is_compiling()


def _answer_dtype(input: Tensor, target: Tensor, weight: Tensor | None) -> torch.dtype:
    """Return the dtype in which `cross_entropy` would answer."""
    dtype = input.dtype
    if target.is_floating_point():  # torch multiplies logits, probabilities and weights, which promotes
        dtype = torch.promote_types(dtype, target.dtype)
        dtype = dtype if weight is None else torch.promote_types(dtype, weight.dtype)
    half = working_dtype(dtype) != dtype
    return torch.float32 if half and torch.is_autocast_enabled(input.device.type) else dtype


def _check_options(
    name: str,
    input: Any,
    target: Any,
    weight: Any,
    ignore_index: Any,
    reduction: Any,
    label_smoothing: Any,
) -> None:
    """Raise a ``TypeError`` or ``ValueError`` unless the arguments common to all criteria are valid."""
    check_floating(name, input)
    axis = class_axis(input)
    num_classes = input.shape[axis]
    if num_classes == 0:
        raise ValueError(f"{name} must have at least one class on axis {axis}, got shape {tuple(input.shape)}")
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int):
        raise TypeError(f"ignore_index must be an int, got {ignore_index!r} of type {type(ignore_index).__name__}")
    check_choice("reduction", reduction, REDUCTIONS)
    check_number("label_smoothing", label_smoothing, at_least=0, at_most=1)
    if weight is not None:
        check_floating("weight", weight)
        if tuple(weight.shape) != (num_classes,):
            raise ValueError(f"weight must have shape ({num_classes},), one a class, got {tuple(weight.shape)}")
    check_target("target", input, target, ignore_index)
    if may_read_values(target):
        if target.is_floating_point():
            check_probabilities("target", target)
        else:
            check_class_indices("target", target, num_classes, ignore_index)
