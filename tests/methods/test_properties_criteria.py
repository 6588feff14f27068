"""The property table of the criteria: every row of it for every criterion.

`CASES` gives each criterion with hyperparameters that are not neutral, and its formula for one row, written down here a
second time in plain float64 torch. Everything else (targets, weights, smoothing, ignored rows, reductions, extra
dimensions) is recomputed by `expected`, row by row.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import grad, hessian, jacrev, vmap
from torch.nn import functional

import companion
from companion import _checks, _numerics
from companion.methods import _criterion
from companion.methods.baselines import criteria
from companion.methods.baselines.criteria import (
    active_passive_loss,
    bi_tempered_logistic_loss,
    focal_loss,
    generalized_cross_entropy,
    partially_huberised_cross_entropy,
    softmax_mae,
    softmax_mse,
    symmetric_cross_entropy,
)
from companion.methods.powergrad_transform import powergrad_cross_entropy
from companion.methods.tamed_cross_entropy import tamed_cross_entropy

F64 = {"dtype": torch.float64}
MODULES = [
    companion.TamedCrossEntropy,
    companion.PowerGradCrossEntropy,
    *(getattr(criteria, name) for name in criteria.__all__ if name[0].isupper()),
]


def tempered_probabilities(z: Tensor, t2: float) -> Tensor:
    """Return exp_t2(z − λ) with λ found by bisection."""

    def p(normaliser: float) -> Tensor:
        return (1 + (1 - t2) * (z - normaliser)).clamp_min(1e-300) ** (1 / (1 - t2))

    low, high = z.max().item(), z.max().item() + len(z) ** (t2 - 1) / (t2 - 1)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if p(middle).sum() > 1 else (low, middle)
    return p((low + high) / 2)


def bi_tempered_row(z: Tensor, t: Tensor, w: Tensor, t1: float = 0.8, t2: float = 1.3) -> Tensor:
    p = tempered_probabilities(z, t2)

    def log_t1(x: Tensor) -> Tensor:
        return (x ** (1 - t1) - 1) / (1 - t1)

    row = t * (log_t1(t) - log_t1(p)) - (t ** (2 - t1) - p ** (2 - t1)) / (2 - t1)
    return (w * t).sum() * row.sum()


def of_target_probability(loss: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the row formula Σ_c w_c t_c ℓ(p_c)."""
    return lambda z, t, w: (w * t * loss(z.softmax(0))).sum()


def huberised(p: Tensor, tau: float = 2.5) -> Tensor:
    return torch.where(p > 1 / tau, -p.log(), -tau * p + torch.tensor(tau, **F64).log() + 1)


class Case(NamedTuple):
    criterion: Callable[..., Tensor]
    hyperparameters: dict[str, Any]
    row: Callable[[Tensor, Tensor, Tensor], Tensor]  # (z, t, w) → the row's loss
    values: dict[str, list[float]]  # what each hyperparameter takes when several runs train together

    def __call__(self, input: Tensor, target: Tensor, **options: Any) -> Tensor:
        return self.criterion(input, target, **{**self.hyperparameters, **options})


CASES = {
    "tamed_cross_entropy": Case(
        tamed_cross_entropy,
        {"alpha": 1.3},
        of_target_probability(lambda p: ((1 - p.log()) ** (1 - 1.3) - 1) / (1 - 1.3)),
        {"alpha": [0.0, 0.5, 1.0, 2.0]},
    ),
    "powergrad_cross_entropy": Case(
        powergrad_cross_entropy,
        {"alpha": 0.3},
        of_target_probability(lambda p: -p.log()),
        {"alpha": [0.0, 1e-31, 0.3, 1.0]},
    ),
    "softmax_mse": Case(softmax_mse, {}, lambda z, t, w: (w * t).sum() * ((z.softmax(0) - t) ** 2).sum(), {}),
    "softmax_mse, mean over classes": Case(
        softmax_mse,
        {"per_class_mean": True},
        lambda z, t, w: (w * t).sum() * ((z.softmax(0) - t) ** 2).mean(),
        {},
    ),
    "softmax_mae": Case(softmax_mae, {}, lambda z, t, w: (w * t).sum() * (z.softmax(0) - t).abs().sum(), {}),
    "softmax_mae, mean over classes": Case(
        softmax_mae,
        {"per_class_mean": True},
        lambda z, t, w: (w * t).sum() * (z.softmax(0) - t).abs().mean(),
        {},
    ),
    "generalized_cross_entropy": Case(
        generalized_cross_entropy,
        {"q": 0.6},
        of_target_probability(lambda p: (1 - p**0.6) / 0.6),
        {"q": [0.0, 0.3, 1.0]},
    ),
    "symmetric_cross_entropy": Case(
        symmetric_cross_entropy,
        {"alpha": 0.3, "beta": 0.7, "log_zero": -3.0},
        of_target_probability(lambda p: 0.3 * -p.log() + 0.7 * 3.0 * (1 - p)),
        {"alpha": [0.0, 0.5], "beta": [0.0, 2.0], "log_zero": [-6.0, -1.0]},
    ),
    "focal_loss": Case(
        focal_loss,
        {"gamma": 1.5},
        of_target_probability(lambda p: (1 - p) ** 1.5 * -p.log()),
        {"gamma": [0.0, 0.5, 3.0]},
    ),
    "partially_huberised_cross_entropy": Case(
        partially_huberised_cross_entropy,
        {"tau": 2.5},
        of_target_probability(huberised),
        {"tau": [1.5, 10.0]},
    ),
    "active_passive_loss": Case(
        active_passive_loss,
        {"alpha": 0.8, "beta": 0.6, "log_zero": -3.0},
        of_target_probability(lambda p: 0.8 * p.log() / p.log().sum() + 0.6 * 3.0 * (1 - p)),
        {"alpha": [0.0, 2.0], "beta": [0.0, 2.0], "log_zero": [-6.0, -1.0]},
    ),
    "bi_tempered_logistic_loss": Case(
        bi_tempered_logistic_loss,
        {"t1": 0.8, "t2": 1.3},
        bi_tempered_row,
        {"t1": [0.0, 0.5, 1.0], "t2": [1.0, 1.2, 3.0]},
    ),
}
every_case = pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
ONCE = {name: case for name, case in CASES.items() if "," not in name}  # one entry a function
every_criterion = pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in ONCE.items()])

SHAPES = [(5, 4), (2, 4, 3), (4,), (1, 4, 2, 2)]
WEIGHT = torch.tensor([0.5, 2.0, 1.0, 0.25], **F64)


def sample(shape: tuple[int, ...], kind: str, *, ignored: bool = False, dtype: torch.dtype = torch.float64):
    """Return logits and targets of a kind, always the same for the same arguments."""
    generator = torch.Generator().manual_seed(len(shape) + 10 * shape[0])
    logits = 1.7 * torch.randn(shape, generator=generator, **F64)
    axis = min(len(shape) - 1, 1)
    if kind == "probabilities":  # they need not sum to 1
        target = 1.3 * torch.randn(shape, generator=generator, **F64).softmax(axis)
        target.select(axis, 0).zero_()
        return logits.to(dtype), target.to(dtype)
    target = torch.randint(shape[axis], shape[:axis] + shape[axis + 1 :], generator=generator)
    if ignored:
        target.view(-1)[0] = -100
    return logits.to(dtype), target


def expected(
    case: Case,
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the criterion, recomputed one row at a time from the row formula and torch's stated conventions."""
    axis = min(logits.ndim - 1, 1)
    classes = logits.shape[axis]
    w = torch.ones(classes, **F64) if weight is None else weight
    rows = logits.movedim(axis, -1).reshape(-1, classes)
    losses, kept_weights = [], []
    soft = target.is_floating_point()
    targets = target.movedim(axis, -1).reshape(-1, classes) if soft else target.reshape(-1)
    for z, y in zip(rows, targets, strict=True):
        if not soft and y == ignore_index:
            losses.append(torch.zeros((), **F64))
            continue
        t = y if soft else torch.eye(classes, **F64)[y]
        losses.append(case.row(z, (1 - label_smoothing) * t + label_smoothing / classes, w))
        kept_weights.append(torch.ones((), **F64) if soft else w[y])
    losses = torch.stack(losses)
    if reduction == "none":
        return losses.reshape(logits.shape[:axis] + logits.shape[axis + 1 :])
    return losses.sum() if reduction == "sum" else losses.sum() / torch.stack(kept_weights).sum()


def options_of(kind: str) -> list[dict[str, Any]]:
    """Return all combinations of the options that a kind of target has."""
    ignored = [False, True] if kind == "index" else [False]
    grid = itertools.product([None, WEIGHT], [0.0, 0.2], ["none", "sum", "mean"], ignored)
    return [dict(zip(("weight", "label_smoothing", "reduction", "ignored"), values, strict=True)) for values in grid]


# Formula ---------------------------------------------------------------------------------------------------------


@every_case
@pytest.mark.parametrize("kind", ["index", "probabilities"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_its_formula_with_every_option(case, kind, shape):
    for options in options_of(kind):
        ignored = options.pop("ignored") and len(shape) > 1
        logits, target = sample(shape, kind, ignored=ignored)
        actual = case(logits, target, **options)
        torch.testing.assert_close(actual, expected(case, logits, target, **options), rtol=1e-10, atol=1e-12)


@every_case
def test_another_class_can_be_ignored(case):
    logits, target = sample((6, 4), "index")
    assert (target == 2).any()
    for reduction, smoothing in itertools.product(["none", "sum", "mean"], [0.0, 0.2]):
        options = {"ignore_index": 2, "reduction": reduction, "label_smoothing": smoothing, "weight": WEIGHT}
        torch.testing.assert_close(case(logits, target, **options), expected(case, logits, target, **options))


INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32, torch.uint64]


@every_criterion
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_class_indices_of_any_integer_dtype_are_the_same_classes(case, dtype):
    # Modulo 256, −100 is class 156 and the count of 300 classes is 44: each has to stay what it is.
    labels = torch.tensor([3, 44, 100] if dtype == torch.int8 else [156, 44, 255])
    logits = torch.randn(3, 300, generator=torch.Generator().manual_seed(0), **F64)
    for options in ({"ignore_index": -100}, {"ignore_index": 44}, {"label_smoothing": 0.1}, {"ignore_index": 300}):
        expected = case(logits, labels, reduction="none", **options)
        assert torch.equal(case(logits, labels.to(dtype), reduction="none", **options), expected)
        assert torch.equal(expected == 0, labels == options.get("ignore_index", -100))


@every_criterion
def test_any_memory_layout(case):
    logits, target = sample((2, 4, 3), "index")
    reference = case(logits, target, weight=WEIGHT)
    strided = logits.movedim(1, 2).contiguous().movedim(2, 1)
    torch.testing.assert_close(case(strided, target, weight=WEIGHT), reference)


NEUTRAL = {
    "tamed_cross_entropy": partial(tamed_cross_entropy, alpha=0),
    "powergrad_cross_entropy": partial(powergrad_cross_entropy, alpha=1),
    "generalized_cross_entropy": partial(generalized_cross_entropy, q=0.0),
    "focal_loss": partial(focal_loss, gamma=0),
    "bi_tempered_logistic_loss": partial(bi_tempered_logistic_loss, t1=1.0, t2=1),
}


NEUTRAL_OPTIONS = {function.func: [function.keywords] for function in NEUTRAL.values()}


@pytest.mark.parametrize("name", NEUTRAL)
@pytest.mark.parametrize("kind", ["index", "probabilities"])
def test_is_cross_entropy_itself_at_the_neutral_hyperparameter(name, kind):
    for shape, dtype in itertools.product(SHAPES, [torch.float64, torch.float32, torch.bfloat16]):
        for options in options_of(kind):
            ignored = options.pop("ignored") and len(shape) > 1
            logits, target = sample(shape, kind, ignored=ignored, dtype=dtype)
            weight = options.pop("weight")
            options["weight"] = None if weight is None else weight.to(dtype)
            ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
            value, reference = (
                NEUTRAL[name](ours, target, **options),
                functional.cross_entropy(theirs, target, **options),
            )
            assert torch.equal(value, reference)
            value.sum().backward()
            reference.sum().backward()
            assert torch.equal(ours.grad, theirs.grad)


# Derivatives -----------------------------------------------------------------------------------------------------

OPTIONS = {
    "index": {"weight": WEIGHT, "label_smoothing": 0.0},
    "smoothed index": {"weight": WEIGHT, "label_smoothing": 0.2},
    "probabilities": {"weight": WEIGHT, "label_smoothing": 0.1, "reduction": "sum"},
}
every_kind = pytest.mark.parametrize("kind", OPTIONS)
differentiable = pytest.mark.parametrize(
    "case", [pytest.param(case, id=name) for name, case in ONCE.items() if name != "powergrad_cross_entropy"]
)


def small(kind: str) -> tuple[Tensor, Tensor]:
    """Return three rows, one of them ignored where that is possible; interior probabilities."""
    logits, target = sample((3, 4), kind.split()[-1], ignored=True)
    return logits, target + 0.05 if target.is_floating_point() else target


@differentiable
@every_kind
def test_gradcheck_and_gradgradcheck(case, kind):
    logits, target = small(kind)
    inputs = [each.requires_grad_() for each in (logits, target) if each.is_floating_point()]

    def loss(logits: Tensor, target: Tensor = target) -> Tensor:
        return case(logits, target, **OPTIONS[kind])

    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.autograd.gradgradcheck(loss, inputs)


@every_criterion
@every_kind
def test_torch_func_agrees_with_autograd(case, kind):
    logits, target = small(kind)

    def loss(z: Tensor, reduction: str = "sum") -> Tensor:
        return case(z, target, **{**OPTIONS[kind], "reduction": reduction})

    z = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(z), z, create_graph=True)
    second = torch.stack([torch.autograd.grad(g, z, retain_graph=True)[0] for g in gradient.flatten()])
    torch.testing.assert_close(grad(loss)(logits), gradient)
    torch.testing.assert_close(jacrev(partial(loss, reduction="none"))(logits).sum(0), gradient)
    torch.testing.assert_close(hessian(loss)(logits).reshape(second.shape), second)


@every_criterion
@every_kind
def test_vmap_over_rows_over_batches_and_of_gradients(case, kind):
    logits, target = sample((3, 4, 2), kind.split()[-1], ignored=True)  # three batches of four classes, two rows
    logits, target = logits.transpose(1, 2), target.transpose(1, 2) if target.ndim == 3 else target  # (3, 2, 4)
    loss = partial(case, **OPTIONS[kind])
    torch.testing.assert_close(
        vmap(loss)(logits, target),
        torch.stack([loss(z, t) for z, t in zip(logits, target, strict=True)]),
        equal_nan=True,
    )
    rows, targets = logits.flatten(0, 1), target.flatten(0, 1)
    summed = partial(case, **{**OPTIONS[kind], "reduction": "sum"})
    torch.testing.assert_close(
        vmap(grad(summed))(rows, targets), grad(summed)(rows, targets), msg="per-sample gradients differ"
    )


@pytest.mark.parametrize(
    ("case", "name"),
    [
        pytest.param(case, name, id=f"{key}-{name}")
        for key, case in ONCE.items()
        for name in [*case.values, "label_smoothing"]
    ],
)
def test_runs_with_different_hyperparameters_train_together(case, name):
    values = case.values.get(name, [0.0, 0.1, 0.4])
    logits, target = sample((3, 4), "index", ignored=True)

    def gradient_and_value(value: Any) -> tuple[Tensor, Tensor]:
        loss = partial(case, target=target, weight=WEIGHT, **{name: value})
        return grad(loss)(logits), loss(logits)

    together = vmap(gradient_and_value)(torch.tensor(values, **F64))
    alone = [torch.stack(each) for each in zip(*map(gradient_and_value, values), strict=True)]
    torch.testing.assert_close(together, tuple(alone), rtol=1e-9, atol=1e-12)

    tensor = torch.tensor(values[-1], requires_grad=True)
    assert not case(logits, target, **{name: tensor}).requires_grad  # taken detached


@every_criterion
def test_numbers_of_numpy_are_those_of_python(case):
    logits, target = sample((5, 4), "index")
    plain = {**{name: values[-1] for name, values in case.values.items()}, "label_smoothing": 0.25, "ignore_index": 1}
    for kind in (np.float64, np.float32, np.array):  # which all hold these values
        scalars = {name: kind(value) for name, value in plain.items()} | {"ignore_index": np.int64(1)}
        assert torch.equal(case(logits, target, **scalars), case(logits, target, **plain))
        module = next(made for made in MODULES if made.__name__.lower() == case.criterion.__name__.replace("_", ""))
        made = module(**scalars)
        assert torch.equal(made(logits, target), case.criterion(logits, target, **plain))
        assert all(type(getattr(made, name)) in (int, float) for name in plain)  # torch.compile takes no others
    for whole in case.values:
        assert torch.isfinite(
            case(logits, target, **{whole: np.int64(-1 if whole == "log_zero" else 1 + (whole == "tau"))})
        )


@every_criterion
def test_compiles_whole(case):
    torch._dynamo.reset()
    logits, target = sample((3, 4), "index", ignored=True)
    criterion, own = case.criterion, case.hyperparameters  # an older torch.compile cannot call a tuple

    def both(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        smoothed = criterion(logits, target, weight=WEIGHT, label_smoothing=0.1, **own)
        return criterion(logits, target, weight=WEIGHT, **own), smoothed

    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    results = []
    for function in (compiled, both):
        z = logits.clone().requires_grad_()
        values = function(z, target)
        sum(values).backward()
        results.append((*values, z.grad))
    torch.testing.assert_close(*results)


def test_stays_compiled_when_a_number_changes_and_takes_probabilities():
    torch._dynamo.reset()
    logits, target = sample((3, 4), "probabilities")
    compiled = torch.compile(tamed_cross_entropy, fullgraph=True, backend="aot_eager")
    for alpha in (0.5, 0.75, 1.5):
        torch.testing.assert_close(compiled(logits, target, alpha), tamed_cross_entropy(logits, target, alpha))


# Number formats --------------------------------------------------------------------------------------------------


@every_case
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("kind", ["index", "probabilities"])
def test_half_types_are_computed_in_float32(case, dtype, kind):
    logits, target = sample((5, 4), kind, dtype=dtype)
    weight = WEIGHT.to(dtype)
    soft = target.is_floating_point()
    exact = case(logits.double(), target.double() if soft else target, weight=WEIGHT, reduction="none")
    plain = case(logits, target, weight=weight, reduction="none")
    assert plain.dtype == functional.cross_entropy(logits, target, weight).dtype == dtype
    torch.testing.assert_close(plain.double(), exact, rtol=1.5 * torch.finfo(dtype).eps, atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = case(logits, target, weight=weight, reduction="none")
        assert under_autocast.dtype == functional.cross_entropy(logits, target, weight).dtype == torch.float32
    if case.criterion is not powergrad_cross_entropy:  # its value is torch's, rounding included
        torch.testing.assert_close(under_autocast.double(), exact, rtol=1e-5, atol=1e-6)


@every_criterion
def test_mixed_dtypes_answer_as_cross_entropy_does(case):
    logits, target = sample((5, 4), "probabilities")
    for first, second, third in itertools.product([torch.float64, torch.float32, torch.bfloat16], repeat=3):
        arguments = logits.to(first), target.to(second), WEIGHT.to(third)
        assert case(*arguments[:2], weight=arguments[2]).dtype == functional.cross_entropy(*arguments).dtype
    index = target.argmax(1)
    for dtype in (torch.float64, torch.bfloat16):  # torch wants the weight in the input's dtype here, we do not
        assert case(logits.float(), index, weight=WEIGHT.to(dtype)).dtype == torch.float32


@every_criterion
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_extreme_and_equal_logits_give_finite_values_and_gradients(case, dtype):
    extreme = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [0.0, 0.0, 0.0], [1e4, 1e4, -1e4]], dtype=dtype)
    alternatives = [{name: value} for name, values in case.values.items() for value in values]
    for options, y, smoothing in itertools.product([{}, *alternatives], range(3), [0.0, 0.1]):
        logits = extreme.clone().requires_grad_()
        loss = case(logits, torch.full((4,), y), **options, label_smoothing=smoothing, reduction="none")
        loss.sum().backward()
        assert torch.isfinite(loss).all(), (options, y, smoothing, loss)
        assert torch.isfinite(logits.grad).all(), (options, y, smoothing, logits.grad)


@every_criterion
def test_a_single_class_costs_nothing(case):
    logits = torch.tensor([[3.0], [-2.0]], requires_grad=True)
    loss = case(logits, torch.tensor([0, 0]))
    loss.backward()
    assert loss == 0
    assert torch.equal(logits.grad, torch.zeros(2, 1))


@every_criterion
def test_a_masked_class_that_is_not_the_target_does_not_exist(case):
    logits, target = sample((5, 4), "index")
    target = target % 3
    logits[:, 3] = -torch.inf
    alternatives = [{name: value} for name, values in case.values.items() for value in values]
    for options in [{}, *alternatives]:
        masked, removed = logits.clone().requires_grad_(), logits[:, :3].clone().requires_grad_()
        value, reference = case(masked, target, **options), case(removed, target, **options)
        value.backward()
        reference.backward()
        assert torch.isfinite(value)
        assert torch.equal(masked.grad[:, 3], torch.zeros(5, **F64))
        assert torch.isfinite(masked.grad).all()
        torch.testing.assert_close(value, reference)
        torch.testing.assert_close(masked.grad[:, :3], removed.grad)


def of_class(target: Tensor, classes: int, like: Tensor) -> Tensor:
    """Return the probabilities (N, C, …) that say the same as class indices."""
    return functional.one_hot(target, classes).movedim(-1, min(target.ndim, 1)).to(like.dtype)


@every_criterion
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_probabilities_of_exactly_zero_leave_masked_classes_out_as_the_index_does(case, dtype):
    for shape in ((5, 4), (2, 4, 3), (4,)):
        logits, target = sample(shape, "index", dtype=dtype)
        axis = min(logits.ndim - 1, 1)
        target = target % 3
        logits.select(axis, 3).fill_(-torch.inf)
        alternatives = [{name: value} for name, values in case.values.items() for value in values]
        for options, weight in itertools.product(
            [{}, *alternatives, *NEUTRAL_OPTIONS.get(case.criterion, [])], [None, WEIGHT]
        ):
            results = []
            for form in (target, of_class(target, 4, logits)):
                z = logits.clone().requires_grad_()
                weight_form = None if weight is None else weight.to(dtype)
                loss = case(z, form, weight=weight_form, reduction="sum", **options)
                loss.backward()
                results.append((loss.detach(), z.grad))
                assert torch.isfinite(loss), options
                assert torch.equal(z.grad.select(axis, 3), torch.zeros_like(z.grad.select(axis, 3)))
            torch.testing.assert_close(*results, rtol=4 * torch.finfo(dtype).eps, atol=4 * torch.finfo(dtype).eps)


@every_criterion
def test_soft_targets_do_not_see_a_masked_class_that_they_leave_out(case):
    logits, target = sample((5, 4), "probabilities")
    logits, target = logits.flip(1), target.flip(1)  # whose last class has probability 0
    logits[:, 3] = -torch.inf
    masked, removed = logits.clone().requires_grad_(), logits[:, :3].clone().requires_grad_()
    value, reference = case(masked, target, weight=WEIGHT), case(removed, target[:, :3], weight=WEIGHT[:3])
    value.backward()
    reference.backward()
    torch.testing.assert_close(value, reference)
    torch.testing.assert_close(masked.grad, torch.cat([removed.grad, torch.zeros(5, 1, **F64)], 1))
    together = vmap(partial(case, weight=WEIGHT))(logits.unsqueeze(1), target.unsqueeze(1)).mean()
    torch.testing.assert_close(together, reference.detach())


@pytest.mark.parametrize("kind", ["probabilities", "label smoothing"])
def test_probability_above_zero_on_a_masked_class_gives_what_torch_gives(kind):
    logits, options = torch.tensor([[1.0, 2.0, -torch.inf]], **F64), {}
    target = torch.tensor([[0.3, 0.3, 0.4]], **F64)
    if kind == "label smoothing":
        target, options = torch.tensor([1]), {"label_smoothing": 0.1}
    theirs, ours = (logits.clone().requires_grad_() for _ in range(2))
    functional.cross_entropy(theirs, target, **options).backward()
    for loss in (partial(powergrad_cross_entropy, alpha=1 - 1e-12), partial(tamed_cross_entropy, alpha=0.0)):
        ours.grad = None
        value = loss(ours, target, **options)
        assert value == functional.cross_entropy(logits, target, **options) == torch.inf
        value.backward()
        torch.testing.assert_close(ours.grad, theirs.grad)
    for case in ONCE.values():  # a bounded loss stays so, an unbounded one says that the label is impossible
        assert not torch.isnan(case(logits, target, **options)), case.criterion


@every_criterion
def test_padding_is_harmless(case):
    logits, target = sample((3, 4), "index", ignored=True)
    alternatives = [{name: value} for name, values in case.values.items() for value in values]
    for options, smoothing in itertools.product([{}, *alternatives], [0.0, 0.1]):
        reference = case(logits, target, **options, label_smoothing=smoothing)
        padded = logits.clone()
        padded[0] = torch.tensor([-torch.inf, 1e30, 0.0, -torch.inf])
        padded.requires_grad_()
        loss = case(padded, target, **options, label_smoothing=smoothing)
        loss.backward()
        torch.testing.assert_close(loss, reference)
        assert torch.equal(padded.grad[0], torch.zeros(4, **F64))
        assert torch.isfinite(padded.grad).all()


@every_criterion
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_nan_and_infinite_logits_reach_value_and_gradient(case, bad):
    logits, target = sample((3, 4), "index")
    logits[1, 2] = bad  # a loss scaler has to see it
    alternatives = [{name: value} for name, values in case.values.items() for value in values]
    for options in [{}, *alternatives]:
        z = logits.clone().requires_grad_()
        loss = case(z, target, **options)
        loss.backward()
        assert torch.isnan(loss)
        assert torch.isnan(z.grad[1]).all()
        assert torch.isfinite(z.grad[[0, 2]]).all()


@every_criterion
def test_empty_and_all_ignored_batches_answer_as_torch_does(case):
    batches = [
        (torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)),
        (torch.zeros(0, 4), torch.zeros(0, 4)),
        (torch.zeros(2, 4, 0), torch.zeros(2, 0, dtype=torch.long)),
        (torch.zeros(3, 4), torch.full((3,), -100)),
    ]
    for (logits, target), reduction in itertools.product(batches, ["mean", "sum", "none"]):
        z = logits.clone().requires_grad_()
        value = case(z, target, reduction=reduction)
        torch.testing.assert_close(
            value.detach(), functional.cross_entropy(logits, target, reduction=reduction), equal_nan=True
        )
        value.sum().backward()
        assert z.grad.shape == logits.shape
    assert case(torch.zeros(3, 4), torch.full((3,), -100), reduction="sum") == 0


# What is checked -------------------------------------------------------------------------------------------------

INDEX = torch.tensor([0, 1])
WRONG = [
    ({"input": [[1.0]]}, TypeError, r"input must be a tensor, got list"),
    (
        {"input": torch.zeros(2, 3, dtype=torch.long)},
        TypeError,
        r"input must have a floating-point dtype, got torch.int64",
    ),
    ({"input": torch.tensor(1.0)}, ValueError, r"input must have at least 1 dimension\(s\), got shape \(\)"),
    ({"input": torch.zeros(2, 0)}, ValueError, r"input must have at least one class on axis 1, got shape \(2, 0\)"),
    ({"target": [0, 1]}, TypeError, r"target must be a tensor, got list"),
    ({"target": torch.tensor([True, False])}, TypeError, r"target must hold class indices .* got torch.bool"),
    (
        {"target": torch.zeros(2, 3, dtype=torch.cfloat)},
        TypeError,
        r"target must hold class indices .* got torch.complex64",
    ),
    ({"target": torch.tensor([0])}, ValueError, r"class indices must have shape \(2,\), got \(1,\) \(torch.int64\)"),
    (
        {"target": torch.zeros(2, 3, dtype=torch.long)},
        ValueError,
        r"class indices must have shape \(2,\), got \(2, 3\)",
    ),
    ({"target": torch.zeros(2)}, ValueError, r"as probabilities must have the logits' shape \(2, 3\), got \(2,\)"),
    ({"target": torch.tensor([0, 3])}, ValueError, r"class indices in \[0, 3\) or be ignore_index=-100, got 3"),
    ({"target": torch.tensor([-1, 0])}, ValueError, r"class indices in \[0, 3\) or be ignore_index=-100, got -1"),
    ({"target": torch.tensor([-100, 0]), "ignore_index": -1}, ValueError, r"or be ignore_index=-1, got -100"),
    ({"target": torch.full((2, 3), -0.5)}, ValueError, r"target must hold finite probabilities >= 0, got -0.5"),
    ({"target": torch.full((2, 3), torch.nan)}, ValueError, r"target must hold finite probabilities >= 0, got nan"),
    ({"target": torch.full((2, 3), torch.inf)}, ValueError, r"target must hold finite probabilities >= 0, got inf"),
    ({"target": torch.ones(2, 3), "ignore_index": 0}, ValueError, r"ignore_index must be negative .* got 0"),
    ({"ignore_index": 1.0}, TypeError, r"ignore_index must be an integer, got 1.0"),
    ({"ignore_index": True}, TypeError, r"ignore_index must be an integer, got True"),
    ({"reduction": "average"}, ValueError, r"reduction must be one of 'none', 'mean', 'sum', got 'average'"),
    ({"reduction": None}, ValueError, r"reduction must be one of 'none', 'mean', 'sum', got None"),
    ({"label_smoothing": -0.1}, ValueError, r"label_smoothing must be >= 0 and <= 1 and finite, got -0.1"),
    ({"label_smoothing": 1.1}, ValueError, r"label_smoothing must be >= 0 and <= 1 and finite, got 1.1"),
    ({"label_smoothing": "0.1"}, TypeError, r"label_smoothing must be a number, got '0.1'"),
    ({"weight": [1.0, 1.0, 1.0]}, TypeError, r"weight must be a tensor, got list"),
    ({"weight": torch.ones(3, dtype=torch.long)}, TypeError, r"weight must have a floating-point dtype"),
    ({"weight": torch.ones(2)}, ValueError, r"weight must have shape \(3,\), one a class, got \(2,\)"),
    ({"weight": torch.ones(3, 1)}, ValueError, r"weight must have shape \(3,\), one a class, got \(3, 1\)"),
]


@every_criterion
@pytest.mark.parametrize(("arguments", "error", "message"), WRONG)
def test_wrong_arguments_are_named(case, arguments, error, message):
    with pytest.raises(error, match=message):
        case(**{"input": torch.zeros(2, 3), "target": INDEX, **arguments})


OUT_OF_RANGE = [
    ("tamed_cross_entropy", {"alpha": -0.1}, r"alpha must be >= 0 and finite, got -0.1"),
    ("tamed_cross_entropy", {"alpha": float("nan")}, r"alpha must be >= 0 and finite, got nan"),
    ("tamed_cross_entropy", {"alpha": float("inf")}, r"alpha must be >= 0 and finite, got inf"),
    ("powergrad_cross_entropy", {"alpha": -0.1}, r"alpha must be >= 0 and <= 1 and finite, got -0.1"),
    ("powergrad_cross_entropy", {"alpha": 1.1}, r"alpha must be >= 0 and <= 1 and finite, got 1.1"),
    ("generalized_cross_entropy", {"q": -0.1}, r"q must be >= 0 and <= 1 and finite, got -0.1"),
    ("generalized_cross_entropy", {"q": 1.1}, r"q must be >= 0 and <= 1 and finite, got 1.1"),
    ("symmetric_cross_entropy", {"alpha": -1}, r"alpha must be >= 0 and finite, got -1"),
    ("symmetric_cross_entropy", {"beta": -1}, r"beta must be >= 0 and finite, got -1"),
    ("symmetric_cross_entropy", {"log_zero": 0}, r"log_zero must be < 0 and finite, got 0"),
    ("symmetric_cross_entropy", {"log_zero": -float("inf")}, r"log_zero must be < 0 and finite, got -inf"),
    ("focal_loss", {"gamma": -0.1}, r"gamma must be >= 0 and finite, got -0.1"),
    ("partially_huberised_cross_entropy", {"tau": 1.0}, r"tau must be > 1 and finite, got 1.0"),
    ("active_passive_loss", {"alpha": -1}, r"alpha must be >= 0 and finite, got -1"),
    ("active_passive_loss", {"beta": -1}, r"beta must be >= 0 and finite, got -1"),
    ("active_passive_loss", {"log_zero": 0.0}, r"log_zero must be < 0 and finite, got 0.0"),
    ("bi_tempered_logistic_loss", {"t1": -0.1}, r"t1 must be >= 0 and <= 1 and finite, got -0.1"),
    ("bi_tempered_logistic_loss", {"t1": 1.1}, r"t1 must be >= 0 and <= 1 and finite, got 1.1"),
    ("bi_tempered_logistic_loss", {"t2": 0.9}, r"t2 must be >= 1 and finite, got 0.9"),
]


@pytest.mark.parametrize(("name", "hyperparameter", "message"), OUT_OF_RANGE)
def test_hyperparameters_out_of_range_are_named(name, hyperparameter, message):
    case = CASES[name]
    with pytest.raises(ValueError, match=message):
        case(torch.zeros(2, 3), INDEX, **hyperparameter)
    (own,) = hyperparameter
    for wrong in ("1", None, True):
        with pytest.raises(TypeError, match=f"{own} must be a number, got {wrong!r}"):
            case(torch.zeros(2, 3), INDEX, **{own: wrong})
    with pytest.raises(TypeError, match=rf"{own} must be a number or a 0-d tensor, got a tensor of shape \(1,\)"):
        case(torch.zeros(2, 3), INDEX, **{own: torch.ones(1)})


def test_per_class_mean_is_a_truth_value():
    for criterion in (softmax_mse, softmax_mae):
        with pytest.raises(TypeError, match="per_class_mean must be True or False, got 'yes'"):
            criterion(torch.zeros(2, 3), INDEX, per_class_mean="yes")


@every_criterion
def test_values_are_not_read_on_an_accelerator_nor_under_vmap(case, monkeypatch):
    wrong = torch.full((4, 2, 3), -1.0)
    assert vmap(case)(torch.zeros(4, 2, 3), wrong).shape == (4,)

    def never(value: Tensor) -> float:
        raise AssertionError("a value was asked for")

    for module in (_checks, _criterion, _numerics):
        monkeypatch.setattr(module, "known", never)
    for target in (torch.tensor([0, 9], device="meta"), wrong[0].to("meta")):
        assert case(torch.zeros(2, 3, device="meta"), target).shape == ()


@every_criterion
def test_unnormalised_probabilities_and_infinite_logits_are_no_error(case):
    case(torch.zeros(2, 3), torch.ones(2, 3))
    case(torch.full((2, 3), torch.inf), INDEX)
    case(torch.full((2, 3), -torch.inf), INDEX)
