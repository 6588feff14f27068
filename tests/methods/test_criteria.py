"""The baselines: limits and numbers of their papers, both conventions of label smoothing, modules, `validate`."""

from __future__ import annotations

import math

import pytest
import torch
from torch.func import grad, vmap
from torch.nn import functional

import companion
from companion.methods.baselines import criteria
from companion.methods.baselines.criteria import (
    ActivePassiveLoss,
    BiTemperedLogisticLoss,
    FocalLoss,
    GeneralizedCrossEntropy,
    PartiallyHuberisedCrossEntropy,
    SoftmaxMAE,
    SoftmaxMSE,
    SymmetricCrossEntropy,
    active_passive_loss,
    bi_tempered_logistic_loss,
    focal_loss,
    generalized_cross_entropy,
    partially_huberised_cross_entropy,
    smooth_labels,
    softmax_mae,
    softmax_mse,
    symmetric_cross_entropy,
)
from companion.validation import validate

F64 = {"dtype": torch.float64}
LOGITS = torch.tensor([[2.5, 1.2, 0.0], [0.0, 6.0, 1.0], [-3.0, 1.0, 40.0]], **F64)
TARGET = torch.tensor([1, 0, 2])
P = LOGITS.softmax(1).gather(1, TARGET.unsqueeze(1)).squeeze(1)  # of the target


def rows(criterion, **options):
    return criterion(LOGITS, TARGET, reduction="none", **options)


# Defaults, limits and relations ----------------------------------------------------------------------------------


def test_defaults_are_those_of_the_papers():
    torch.testing.assert_close(rows(softmax_mse), ((LOGITS.softmax(1) - torch.eye(3, **F64)[TARGET]) ** 2).sum(1))
    torch.testing.assert_close(rows(softmax_mae), 2 * (1 - P))
    torch.testing.assert_close(rows(generalized_cross_entropy), (1 - P**0.7) / 0.7)
    torch.testing.assert_close(rows(symmetric_cross_entropy), -0.1 * P.log() + 4 * (1 - P))
    torch.testing.assert_close(rows(focal_loss), -((1 - P) ** 2) * P.log())
    torch.testing.assert_close(
        rows(partially_huberised_cross_entropy), torch.where(P > 0.5, -P.log(), -2 * P + math.log(2) + 1)
    )
    share = P.log() / LOGITS.log_softmax(1).sum(1)
    torch.testing.assert_close(rows(active_passive_loss), share + 4 * (1 - P))
    torch.testing.assert_close(rows(bi_tempered_logistic_loss), rows(bi_tempered_logistic_loss, t1=0.8, t2=1.2))


def test_per_class_mean_divides_by_the_number_of_classes():
    for criterion in (softmax_mse, softmax_mae):
        torch.testing.assert_close(rows(criterion, per_class_mean=True), rows(criterion) / 3)


def test_generalized_cross_entropy_runs_from_cross_entropy_to_half_the_absolute_error():
    torch.testing.assert_close(rows(generalized_cross_entropy, q=1e-9), -P.log(), rtol=1e-6, atol=0)
    torch.testing.assert_close(rows(generalized_cross_entropy, q=torch.tensor(0.0)), -P.log())
    torch.testing.assert_close(rows(generalized_cross_entropy, q=1.0), rows(softmax_mae) / 2)


def test_focal_loss_below_gamma_one_has_a_finite_slope_at_certainty():
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    focal_loss(logits, torch.tensor([0]), gamma=0.5).backward()
    assert torch.equal(logits.grad, torch.zeros(1, 2))


def test_huberised_loss_joins_with_equal_slope():
    tau = 2.5
    p = torch.tensor([1 / tau - 1e-7, 1 / tau + 1e-7], **F64)
    logits, label = torch.stack([p, 1 - p], 1).log(), torch.tensor([0, 0])
    values = partially_huberised_cross_entropy(logits, label, tau=tau, reduction="none")
    assert (values[0] - values[1]).item() == pytest.approx(tau * 2e-7, rel=1e-3)
    gradient = grad(lambda z: partially_huberised_cross_entropy(z, label, tau=tau, reduction="sum"))(logits)
    torch.testing.assert_close(gradient[0], gradient[1], rtol=1e-5, atol=0)


def test_normalised_cross_entropy_sums_to_one_over_the_labels():
    losses = [active_passive_loss(LOGITS, torch.full((3,), y), beta=0.0, reduction="none") for y in range(3)]
    torch.testing.assert_close(sum(losses), torch.ones(3, **F64))


@pytest.mark.parametrize("t2", [1.0, 1.2, 2.0, 5.0])
def test_tempered_probabilities_sum_to_one_over_any_spread_of_logits(t2):
    generator = torch.Generator().manual_seed(0)
    for classes, spread in [(2, 1e4), (10, 0.0), (10, 3.0), (10, 1e4), (1000, 1.0), (1000, 1e4)]:
        logits = spread * torch.randn(8, classes, generator=generator, **F64)
        total = criteria._tempered_log_softmax(logits, t2, 1).exp().sum(1)
        torch.testing.assert_close(total, torch.ones(8, **F64), rtol=1e-11, atol=0)


def test_bi_tempered_limits():
    torch.testing.assert_close(rows(bi_tempered_logistic_loss, t1=1.0, t2=torch.tensor(1.0)), -P.log())
    torch.testing.assert_close(rows(bi_tempered_logistic_loss, t1=1 - 1e-9, t2=1 + 1e-9), -P.log(), rtol=1e-6, atol=0)
    soft = torch.tensor([[0.2, 0.5, 0.3], [0.0, 1.0, 0.0], [0.1, 0.0, 0.9]], **F64)
    entropy = -torch.special.xlogy(soft, soft).sum(1)
    limit = bi_tempered_logistic_loss(LOGITS, soft, t1=torch.tensor(1.0), t2=1.0, reduction="none")
    torch.testing.assert_close(limit, functional.cross_entropy(LOGITS, soft, reduction="none") - entropy)
    best = bi_tempered_logistic_loss(soft.clamp_min(1e-12).log(), soft, t1=0.5, t2=torch.tensor(1.0))
    assert best.item() == pytest.approx(0.0, abs=1e-5)  # a Bregman divergence: 0 where p = t


def test_soft_targets_may_be_learnt_also_where_they_are_zero():
    soft = torch.tensor([[0.0, 0.4, 0.6]], **F64, requires_grad=True)
    for t1 in (0.0, 0.8, torch.tensor(1.0)):
        (gradient,) = torch.autograd.grad(bi_tempered_logistic_loss(LOGITS[:1], soft, t1=t1), soft)
        assert torch.isfinite(gradient).all()


# Label smoothing -------------------------------------------------------------------------------------------------


def test_both_conventions_of_label_smoothing():
    y = torch.tensor([[0, 2], [1, 1]])
    one_hot = functional.one_hot(y, 3).movedim(-1, 1).double()
    uniform = smooth_labels(y, 3, 0.3, dtype=torch.float64)
    others = smooth_labels(y, 3, 0.3, "others", dtype=torch.float64)
    assert uniform.shape == others.shape == (2, 3, 2)
    torch.testing.assert_close(uniform, 0.7 * one_hot + 0.1)
    torch.testing.assert_close(others, 0.7 * one_hot + 0.15 * (1 - one_hot))
    torch.testing.assert_close(smooth_labels(y, 3, 0.3 * 2 / 3, "others", torch.float64), uniform)


def test_uniform_smoothing_is_torchs_and_the_conventions_differ():
    uniform, others = (smooth_labels(TARGET, 3, 0.2, name, torch.float64) for name in ("uniform", "others"))
    torch.testing.assert_close(
        functional.cross_entropy(LOGITS, uniform), functional.cross_entropy(LOGITS, TARGET, label_smoothing=0.2)
    )
    assert (uniform - others).abs().max() > 0.01


def test_smoothed_labels_in_float64_sum_to_one_also_where_eps_is_held_in_float32():
    for convention in ("uniform", "others"):
        smoothed = smooth_labels(TARGET, 3, torch.tensor(0.1), convention, torch.float64)
        torch.testing.assert_close(smoothed.sum(1), torch.ones(3, **F64), rtol=1e-15, atol=0)


def test_smoothed_labels_of_one_index_under_vmap_and_of_a_tensor_eps():
    assert torch.equal(smooth_labels(torch.tensor(1), 2, 0.0), torch.tensor([0.0, 1.0]))
    assert smooth_labels(torch.tensor([0]), 1, 0.5).tolist() == [[1.0]]
    assert smooth_labels(torch.zeros(0, dtype=torch.long), 3, 0.1).shape == (0, 3)
    assert smooth_labels(torch.tensor([1]), 3, 0.1, dtype=torch.float16).dtype == torch.float16
    together = vmap(lambda e: smooth_labels(TARGET, 3, e))(torch.tensor([0.0, 0.3]))
    torch.testing.assert_close(together[1], smooth_labels(TARGET, 3, 0.3))
    torch.testing.assert_close(vmap(lambda y: smooth_labels(y, 3, 0.3))(TARGET), smooth_labels(TARGET, 3, 0.3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"target": torch.tensor([0.5])}, TypeError, r"target must hold class indices \(integers\), got torch.float32"),
        ({"target": torch.tensor([True])}, TypeError, r"target must hold class indices \(integers\), got torch.bool"),
        ({"target": [0]}, TypeError, "target must be a tensor of class indices, got list"),
        ({"target": torch.tensor([3])}, ValueError, r"target must hold class indices in \[0, 3\), got 3"),
        ({"target": torch.tensor([-100])}, ValueError, r"target must hold class indices in \[0, 3\), got -100"),
        ({"num_classes": 0}, ValueError, "num_classes must be >= 1, got 0"),
        ({"num_classes": 1, "convention": "others"}, ValueError, "num_classes must be >= 2, got 1"),
        ({"num_classes": 3.5}, TypeError, "num_classes must be an integer, got 3.5"),
        ({"eps": 1.5}, ValueError, "eps must be >= 0 and <= 1 and finite, got 1.5"),
        ({"convention": "torch"}, ValueError, "convention must be one of 'uniform', 'others', got 'torch'"),
    ],
)
def test_smooth_labels_names_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        smooth_labels(**{"target": torch.tensor([0]), "num_classes": 3, "eps": 0.1, **arguments})


# Modules ---------------------------------------------------------------------------------------------------------

MODULES = [
    (SoftmaxMSE, softmax_mse, {"per_class_mean": True}),
    (SoftmaxMAE, softmax_mae, {"per_class_mean": True}),
    (GeneralizedCrossEntropy, generalized_cross_entropy, {"q": 0.4}),
    (SymmetricCrossEntropy, symmetric_cross_entropy, {"alpha": 0.3, "beta": 0.7, "log_zero": -2.0}),
    (FocalLoss, focal_loss, {"gamma": 1.0}),
    (PartiallyHuberisedCrossEntropy, partially_huberised_cross_entropy, {"tau": 4.0}),
    (ActivePassiveLoss, active_passive_loss, {"alpha": 0.3, "beta": 0.7, "log_zero": -2.0}),
    (BiTemperedLogisticLoss, bi_tempered_logistic_loss, {"t1": 0.5, "t2": 1.5}),
]


@pytest.mark.parametrize(("module", "function", "own"), MODULES)
def test_modules_are_their_functions(module, function, own):
    weight = torch.tensor([1.0, 2.0, 0.5], **F64)
    assert torch.equal(module()(LOGITS, TARGET), function(LOGITS, TARGET))  # the same defaults
    assert torch.equal(module(*own.values())(LOGITS, TARGET), function(LOGITS, TARGET, **own))
    options = {"weight": weight, "ignore_index": 2, "reduction": "none", "label_smoothing": 0.1}
    assert torch.equal(module(**own, **options)(LOGITS, TARGET), function(LOGITS, TARGET, **own, **options))
    assert next(iter(own)) in repr(module())
    name, value = list(own.items())[-1]
    with pytest.raises((TypeError, ValueError), match=f"{name} must be"):
        module(**{name: "wrong" if isinstance(value, bool) else math.nan})


def test_every_name_is_exported():
    for name in criteria.__all__:
        assert hasattr(companion.methods.baselines, name)
        assert getattr(companion, name) is getattr(criteria, name)


# validate --------------------------------------------------------------------------------------------------------


def test_validate_accepts_what_the_criteria_accept():
    assert companion.validate is validate
    validate(LOGITS, TARGET)
    validate(LOGITS, LOGITS.softmax(1))
    validate(LOGITS, torch.ones(3, 3))  # need not sum to 1
    validate(torch.full((2, 3), torch.nan), torch.tensor([0, -100]))  # logits are not looked at
    validate(LOGITS, torch.tensor([0, 1, -1]), ignore_index=-1)
    validate(torch.zeros(3), torch.tensor(2))
    validate(torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.int32))
    validate(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))


@pytest.mark.parametrize(
    ("logits", "target", "error", "message"),
    [
        ([1.0], TARGET, TypeError, "logits must be a tensor"),
        (LOGITS.long(), TARGET, TypeError, "logits must have a floating-point dtype"),
        (LOGITS, [0], TypeError, "target must be a tensor"),
        (LOGITS, TARGET[:2], ValueError, r"must have shape \(3,\), got \(2,\)"),
        (LOGITS, torch.tensor([0, 1, 3]), ValueError, r"in \[0, 3\) or be ignore_index=-100, got 3"),
        (LOGITS, torch.tensor([0, 1, -1]), ValueError, "got -1"),
        (LOGITS, -LOGITS.softmax(1), ValueError, "target must hold finite probabilities >= 0"),
        (LOGITS, LOGITS * torch.inf, ValueError, "target must hold finite probabilities >= 0"),
    ],
)
def test_validate_names_what_is_wrong(logits, target, error, message):
    with pytest.raises(error, match=message):
        validate(logits, target)
