"""Is the gradient of a batch that is computed in parts still the gradient of the batch?

Parts are the micro-batches of gradient accumulation, or the shares of the processes of data-parallel training. A loss
that is a mean over rows survives, if every part counts by its share of what the mean divides by; a loss that looks at
all rows at once does not survive, whatever the divisor.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from companion.bench.cases import CASES
from companion.methods import NormLoss

EQUAL, UNEQUAL = (15, 15, 15, 15), (24, 18, 12, 6)
"""The rows of each part of a batch of 60."""

EXACT = 1e-10
"""A relative difference below this is rounding: float64 keeps 16 digits, a gradient here sums some thousand terms."""

CLASS_WEIGHTS = tuple(0.5 + 0.2 * label for label in range(10))


def gradient_error(
    loss: Callable[[Tensor, Tensor], Tensor],
    sizes: Sequence[int] = EQUAL,
    *,
    divisor: Callable[[Tensor], Tensor] | None = None,
    ignored: int = 0,
) -> float:
    r"""Return how far the gradient of a batch in parts is from that of the whole batch.

    .. math:: \frac{\|\sum_k s_k \nabla L(\text{part}_k) - \nabla L(\text{batch})\|}{\|\nabla L(\text{batch})\|},
              \qquad s_k = \frac1K \text{ or } \frac{d(\text{part}_k)}{d(\text{batch})}

    The gradient is that of all weights of a small perceptron, in float64, on digits of the packaged MNIST sample, after
    a few steps of training.

    Args:
        loss: (logits, target) → 0-d loss, or (logits, target, model) where it has a true attribute ``of_model``.
        sizes: the number of rows of each part.
        divisor: target of a part → what the loss's mean divides by; None counts every one of the K parts as 1/K, as
            dividing by the number of micro-batches does, or averaging over processes. (Keyword only, like the last.)
        ignored: every row of the first part but one, up to this number, gets the target −100.

    Returns:
        The relative difference: 0 up to rounding, if the parts lose nothing.

    Example:
        >>> gradient_error(functional.cross_entropy) < EXACT
        True
        >>> gradient_error(functional.cross_entropy, UNEQUAL) > 0.01
        True
        >>> gradient_error(functional.cross_entropy, UNEQUAL, divisor=rows_kept) < EXACT
        True
    """
    model, inputs, target = _trained(sum(sizes))
    target = target.clone()
    target[: min(ignored, sizes[0] - 1)] = -100
    parts = list(zip(inputs.split(list(sizes)), target.split(list(sizes)), strict=True))
    shares = [1 / len(parts)] * len(parts)
    if divisor is not None:
        shares = [divisor(labels).item() / divisor(target).item() for _, labels in parts]
    whole = _gradient(loss, model, [(inputs, target)], [1.0])
    return float((_gradient(loss, model, parts, shares) - whole).norm() / whole.norm())


def rows_kept(target: Tensor) -> Tensor:
    """Return what a mean divides by: the number of rows that are not ignored."""
    return (target != -100).sum()


def weight_kept(target: Tensor) -> Tensor:
    """Return what a mean with `CLASS_WEIGHTS` divides by: the sum of the weights of the rows' classes."""
    return torch.tensor(CLASS_WEIGHTS, dtype=torch.float64)[target].sum()


@cache
def errors() -> dict[str, tuple[float, float, float]]:
    """Return for every case: the error in equal parts, in unequal parts, in unequal parts counted by their share.

    Beside the cases of the library there are cross entropy with class weights, cross entropy with ignored rows, and the
    norm loss, which does not look at rows at all.

    Example:
        >>> equal, unequal, by_share = errors()["partial_norm"]
        >>> equal < EXACT, unequal > EXACT, by_share < EXACT
        (True, True, True)
    """

    def row(
        loss: Callable[..., Tensor], divisor: Callable[[Tensor], Tensor] = rows_kept, ignored: int = 0
    ) -> tuple[float, float, float]:
        error = partial(gradient_error, loss, ignored=ignored)
        return error(EQUAL), error(UNEQUAL), error(UNEQUAL, divisor=divisor)

    found = {name: row(case.loss) for name, case in CASES.items()}
    found["class weights"] = row(_with_class_weights, weight_kept)
    found["ignored rows"] = row(functional.cross_entropy, ignored=10)
    found["norm_loss"] = row(_with_norm_loss)
    return found


def parts_table() -> str:
    """Return a Markdown table of `errors`: what behaves alike shares a line, with the largest error of its kind.

    Example:
        >>> "length_stability" in parts_table()
        True
    """
    alike: dict[tuple[object, ...], list[str]] = {}
    for name, row in errors().items():
        exact = tuple(error < EXACT for error in row)
        # What no divisor mends stands alone: its number is its own.
        alike.setdefault((exact, _kind(name)) if exact[-1] else (name,), []).append(name)
    lines = ["| loss | equal parts, each 1/K | unequal parts, each 1/K | unequal parts, each by its share |"]
    lines.append("|---|---:|---:|---:|")
    for names in alike.values():
        largest = [max(errors()[name][column] for name in names) for column in range(3)]
        lines.append(f"| {', '.join(map(_shown, names))} | {' | '.join(map(_percent, largest))} |")
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------------------------ inside


def _with_class_weights(logits: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(logits, target, logits.new_tensor(CLASS_WEIGHTS))


def _with_norm_loss(logits: Tensor, target: Tensor, model: nn.Module) -> Tensor:
    return functional.cross_entropy(logits, target) + 0.01 * NormLoss(model).norm()


_with_norm_loss.of_model = True


@cache
def _trained(rows: int) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a perceptron after twenty steps, and the inputs and labels of a batch that it was trained on."""
    from companion import data
    from companion.models.mlp import MLP

    digits = data.load("mnist", sample=True, device="cpu")
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))[:rows]
    inputs, target = digits.normalised()[order].double(), digits.labels[order]
    model = MLP((784, 16, 10), generator=torch.Generator().manual_seed(0)).double()
    for _ in range(20):
        gradients = torch.autograd.grad(functional.cross_entropy(model(inputs), target), list(model.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter.sub_(0.1 * gradient)
    return model, inputs, target


def _gradient(
    loss: Callable[..., Tensor], model: nn.Module, parts: Sequence[tuple[Tensor, Tensor]], shares: Sequence[float]
) -> Tensor:
    """Return the gradient of Σ share·loss(part) as one vector."""
    model = copy.deepcopy(model)
    also = (model,) if getattr(loss, "of_model", False) else ()
    for (inputs, target), share in zip(parts, shares, strict=True):
        (share * loss(model(inputs), target, *also)).backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def _kind(name: str) -> str:
    return CASES[name].place if name in CASES else name


def _shown(name: str) -> str:
    return name if " " in name else f"`{name}`"


def _percent(error: float) -> str:
    return "exact" if error < EXACT else f"{100 * error:.2g} %"
