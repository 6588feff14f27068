r"""What every criterion shares: targets in all forms that `cross_entropy` takes, and its reductions.

A criterion of this library is one formula for one row, Σ_c w_c t_c ℓ(L_c) with L_c = −log p_c, or a function of the
whole row. `Rows` holds everything else, so that a criterion reads like its formula::

    rows = Rows(input, target, weight, ignore_index, reduction, label_smoothing)
    return rows.reduce(rows.expect(loss_of_class, rows.log_softmax()))

Class indices are gathered before ℓ is applied, never expanded to one-hot rows, and probabilities of exactly 0 leave
out what is infinite: the −∞ of a masked class that is not the target then meets neither ℓ nor its derivative.
Everything here is safe under ``torch.compile`` and ``torch.func``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from companion._checks import (
    as_hyperparameter,
    as_indices,
    at_hand,
    check_choice,
    check_class_indices,
    check_floating,
    check_integer,
    check_logits,
    check_number,
    check_probabilities,
    check_target,
    known,
    may_read_values,
    plain,
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
        shape: that of the rows' losses, (N, …).

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
        self.axis = check_logits(name, input)
        self.num_classes = input.shape[self.axis]
        self.shape = input.shape[: self.axis] + input.shape[self.axis + 1 :]
        self.reduction = reduction
        self._input, self._target_given, self._weight_given = input, target, weight
        self._ignore_index = check_integer("ignore_index", ignore_index)
        self._smoothing = check_number("label_smoothing", label_smoothing, at_least=0, at_most=1)
        self._check(input, target, weight)
        self.dtype = _answer_dtype(input, target, weight)
        self.logits = input.to(working_dtype(self.dtype))
        self._weight = None if weight is None else weight.to(self.logits.dtype)

        if target.is_floating_point():
            self._kept = None  # every row counts
            self._index = None
            self._target = self._smooth(target.to(self.logits.dtype))
        else:
            self._index = as_indices(target)
            self._kept = self._index != self._ignore_index
            if at_hand(target) and known(self._kept.all()) is True:
                self._kept = None
            smoothed = not is_exactly(self._smoothing, 0)
            # A smoothed index is a dense row by nature; a plain one stays an index.
            self._target = self._smooth(self._is_target().to(self.logits.dtype)) if smoothed else None

    # What a formula is made of -------------------------------------------------------------------------------

    def log_softmax(self) -> Tensor:
        """Return log p (N, C, …)."""
        return functional.log_softmax(self.logits, self.axis)

    def softmax(self) -> Tensor:
        """Return p (N, C, …)."""
        return functional.softmax(self.logits, self.axis)

    def hyperparameter(self, value: float | Tensor) -> float | Tensor:
        """Return a hyperparameter ready for arithmetic: a number as it is, a tensor detached, in the working dtype."""
        return as_hyperparameter(value, self.logits.dtype)

    def expect(self, loss: Callable[[Tensor], Tensor], log_p: Tensor, *, weighted: bool = True) -> Tensor:
        """Return Σ_c w_c t_c loss(−log p_c) for every row (N, …); without the w_c if not ``weighted``.

        Where a row is ignored, or a target of exactly 0 meets an infinite −log p_c (a masked class), the loss is
        taken at 0 instead: what it would be there is multiplied by 0, and 0·∞ is NaN.
        """
        if self._target is None:
            own = functional.nll_loss(log_p, self._index, ignore_index=self._ignore_index, reduction="none")  # (N, …)
            return self.weigh(loss(own)) if weighted else loss(own)
        none = (self._target == 0) & log_p.isinf()
        values = loss(-self.zero_ignored(log_p.masked_fill(none, 0.0)))
        return ((self._weighted_target() if weighted else self._target) * values).sum(self.axis)

    def weigh(self, values: Tensor) -> Tensor:
        """Return values of rows (N, …) or of their classes (N, C, …) times Σ_c w_c t_c of their row."""
        if self._target is None and self._weight is None:
            return values
        row_weight = self._index_weight() if self._target is None else self._weighted_target().sum(self.axis)
        return values * (row_weight if values.ndim == row_weight.ndim else row_weight.unsqueeze(self.axis))

    def residual(self, probabilities: Tensor) -> Tensor:
        """Return p − t (N, C, …)."""
        if self._target is not None:
            return probabilities - self._target
        index = self._valid_index().unsqueeze(self.axis)
        return probabilities.scatter_add(self.axis, index, -torch.ones_like(index, dtype=probabilities.dtype))

    def target_sum(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return Σ_c g(t_c) for every row, for a g with g(0) = 0."""
        if self._target is None:
            return function(torch.ones_like(self._index, dtype=self.logits.dtype))
        return function(self._target).sum(self.axis)

    # What becomes of the rows' losses ------------------------------------------------------------------------

    def reduce(self, losses: Tensor) -> Tensor:
        """Return the rows' losses (N, …) reduced as `cross_entropy` reduces them, in the dtype it would answer in."""
        if self.reduction == "mean" and self._kept is None and (self._index is None or self._weight is None):
            losses = losses.mean()
        elif self.reduction == "none":
            losses = self.zero_ignored(losses)
        else:
            losses = self.zero_ignored(losses).sum() / self.divisor()
        return losses.to(self.dtype)

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
        if self._index is not None and self._weight is not None:
            return self.zero_ignored(self._index_weight()).sum()
        return self.shape.numel() if self._kept is None else self._kept.sum()

    def cross_entropy(self, *, of_constant_logits: bool = False) -> Tensor:
        """Return `torch.nn.functional.cross_entropy` of the arguments given, itself; with no gradient for logits if so.

        One thing is added: probabilities of exactly 0 leave out masked classes, where torch's answer is 0·∞ = NaN.
        """
        input, target = self._input.detach() if of_constant_logits else self._input, self._target_given
        weight = self._weight_given
        from_index = self._index is not None
        if from_index:
            target = self._index
            weight = None if weight is None else weight.to(self.dtype)
        else:
            # A class so far below the others has probability 0 as well, but a finite logarithm.
            low = input.detach().amax(self.axis, keepdim=True) - 1000
            input = torch.where((input == -math.inf) & (target == 0), low, input)
        smoothing = self._smoothing
        if not isinstance(smoothing, Tensor) and not (from_index and smoothing and _is_compiling()):
            try:
                return functional.cross_entropy(
                    input,
                    target,
                    weight,
                    ignore_index=self._ignore_index,
                    reduction=self.reduction,
                    label_smoothing=smoothing,
                )
            except RuntimeError:
                # torch cannot vmap smoothing over index targets (masked_select); the formula below can.
                if not (from_index and smoothing):
                    raise
        logits = self.logits.detach() if of_constant_logits else self.logits
        return self.reduce(self.expect(_itself, functional.log_softmax(logits, self.axis)))

    # Inside --------------------------------------------------------------------------------------------------

    def _weighted_target(self) -> Tensor:
        """Return w_c t_c (N, C, …)."""
        return self._target if self._weight is None else self._target * self._per_class(self._weight)

    def _valid_index(self) -> Tensor:
        """Return the class indices, 0 for ignored rows (N, …)."""
        return self._index if self._kept is None else torch.where(self._kept, self._index, 0)

    def _per_class(self, values: Tensor) -> Tensor:
        """Return (C,) values shaped so that they broadcast along the class axis."""
        return values.view(-1, *[1] * (self.logits.ndim - self.axis - 1))

    def _is_target(self) -> Tensor:
        """Return which class is the target (N, C, …), as booleans (``one_hot`` fails under vmap)."""
        classes = torch.arange(self.num_classes, device=self._index.device)
        return self._per_class(classes) == self._index.unsqueeze(self.axis)

    def _index_weight(self) -> Tensor:
        """Return w_y of every row (N, …) (``w[y]`` fails under vmap)."""
        return self._weight.index_select(0, self._valid_index().flatten()).view(self.shape)

    def _smooth(self, target: Tensor) -> Tensor:
        epsilon = self.hyperparameter(self._smoothing)
        return target if is_exactly(epsilon, 0) else target * (1 - epsilon) + epsilon / self.num_classes

    def _check(self, input: Tensor, target: Any, weight: Any) -> None:
        """Raise a ``TypeError`` or ``ValueError`` unless options, weight and target fit the logits."""
        check_choice("reduction", self.reduction, REDUCTIONS)
        if weight is not None:
            check_floating("weight", weight)
            if tuple(weight.shape) != (self.num_classes,):
                raise ValueError(
                    f"weight must have shape ({self.num_classes},), one a class, got {tuple(weight.shape)}"
                )
        check_target("target", input, target, self._ignore_index)
        if may_read_values(target):
            if target.is_floating_point():
                check_probabilities("target", target)
            else:
                check_class_indices("target", target, self.num_classes, self._ignore_index)


def _itself(loss: Tensor) -> Tensor:
    return loss


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
                setattr(self, name, plain(value))

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
