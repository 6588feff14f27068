"""PowerGrad: torch's value, Eq. 9's gradient, the surrogate's derivatives, and the hook that equals the criterion."""

from __future__ import annotations

import gc
import itertools
import weakref

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, vmap
from torch.nn import functional

from companion.methods.powergrad_transform import PowerGradCrossEntropy, powergrad_cross_entropy, powergrad_hook

F64 = {"dtype": torch.float64}
ALPHAS = [0.0, 1e-40, 1e-30, 1e-12, 0.05, 0.3, 1.0]
WEIGHT = torch.tensor([0.5, 2.0, 1.0, 0.25], **F64)


def logits_and_targets():
    generator = torch.Generator().manual_seed(5)
    logits = 3 * torch.randn(6, 4, generator=generator, **F64)
    index = torch.tensor([0, 1, -100, 2, 3, 1])
    probabilities = 1.4 * torch.randn(6, 4, generator=generator, **F64).softmax(1)
    return logits, {"index": index, "probabilities": probabilities}


def surrogate(logits, target, alpha, **options):
    """Return S, or its limit at α = 0 (which for index targets needs no weights here)."""
    if alpha >= 1e-30:
        return functional.cross_entropy(alpha * logits, target, **options) / alpha
    linear = logits.mean(1) - (logits * target).sum(1) / target.sum(1)
    return (linear * target.sum(1)).sum()


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("kind", ["index", "probabilities"])
def test_value_is_torchs_and_gradient_is_equation_9(alpha, kind):
    logits, targets = logits_and_targets()
    target = targets[kind]
    softer = (alpha * logits).softmax(1)
    for weight, smoothing, reduction in itertools.product([None, WEIGHT], [0.0, 0.2], ["mean", "sum"]):
        options = {"weight": weight, "label_smoothing": smoothing, "reduction": reduction}
        z = logits.clone().requires_grad_()
        loss = powergrad_cross_entropy(z, target, alpha, **options)
        assert torch.equal(loss, functional.cross_entropy(logits, target, **options))
        loss.backward()

        w = torch.ones(4, **F64) if weight is None else weight
        kept = target != -100 if kind == "index" else torch.ones(6, dtype=torch.bool)
        t = functional.one_hot(target.clamp_min(0), 4).double() if kind == "index" else target
        wt = w * ((1 - smoothing) * t + smoothing / 4) * kept.unsqueeze(1)
        expected = wt.sum(1, keepdim=True) * softer - wt
        if reduction == "mean":
            expected = expected / (w[target[kept]].sum() if kind == "index" else 6)
        torch.testing.assert_close(z.grad, expected)


@pytest.mark.parametrize("alpha", [0.05, 0.3, 1.0])
def test_derivatives_of_every_order_are_those_of_the_surrogate(alpha):
    logits, targets = logits_and_targets()
    logits, target = logits[:3], targets["index"][:3]

    def s(z):
        return surrogate(z, target, alpha, weight=WEIGHT, label_smoothing=0.1)

    def ours(z):
        return powergrad_cross_entropy(z, target, alpha, weight=WEIGHT, label_smoothing=0.1)

    assert gradcheck(s, logits.clone().requires_grad_())
    assert gradgradcheck(s, logits.clone().requires_grad_())
    torch.testing.assert_close(grad(ours)(logits), grad(s)(logits))
    torch.testing.assert_close(hessian(ours)(logits), hessian(s)(logits))
    third = [grad(lambda z, f=f: hessian(f)(z)[0, 0, 0, 1])(logits) for f in (ours, s)]
    torch.testing.assert_close(*third)
    assert third[1].abs().max() > 1e-6


def test_at_alpha_zero_the_surrogate_is_linear():
    logits, targets = logits_and_targets()
    for alpha in (0.0, 1e-31, torch.tensor(0.0, **F64)):

        def loss(z, alpha=alpha):
            return powergrad_cross_entropy(z, targets["probabilities"], alpha, reduction="sum")

        torch.testing.assert_close(
            grad(loss)(logits), grad(lambda z: surrogate(z, targets["probabilities"], 0.0))(logits)
        )
        assert torch.equal(hessian(loss)(logits), torch.zeros(6, 4, 6, 4, **F64))


def test_small_alpha_tends_to_zero():
    logits, targets = logits_and_targets()
    gradients = {
        alpha: grad(lambda z, a=alpha: powergrad_cross_entropy(z, targets["index"], a))(logits.float())
        for alpha in ALPHAS
    }
    torch.testing.assert_close(gradients[1e-30], gradients[0.0])
    torch.testing.assert_close(gradients[1e-12], gradients[0.0])
    assert (gradients[0.05] - gradients[0.0]).abs().max() > 1e-3


def test_masked_classes_keep_probability_zero_also_at_alpha_zero():
    logits = torch.tensor([[1.0, 2.0, -torch.inf, 0.0]], requires_grad=True)
    for alpha in (0.0, torch.tensor(0.0)):
        (gradient,) = torch.autograd.grad(powergrad_cross_entropy(logits, torch.tensor([0]), alpha), logits)
        torch.testing.assert_close(gradient, torch.tensor([[1 / 3 - 1, 1 / 3, 0.0, 1 / 3]]))


def test_a_masked_target_has_infinite_value_and_a_useful_gradient_as_in_torch():
    for alpha in (0.0, 0.3, torch.tensor(0.3)):
        logits = torch.tensor([[-torch.inf, 2.0, 0.0]], requires_grad=True)
        loss = powergrad_cross_entropy(logits, torch.tensor([0]), alpha)
        assert loss == torch.inf
        loss.backward()
        softer = (float(alpha) * torch.tensor([2.0, 0.0])).softmax(0)
        torch.testing.assert_close(logits.grad, torch.tensor([[-1.0, *softer.tolist()]]))


def test_half_inputs_have_the_gradient_of_float32():
    logits, targets = logits_and_targets()
    for dtype, alpha in itertools.product([torch.float16, torch.bfloat16], [1e-20, 0.05, 0.3]):
        half = logits.to(dtype)
        gradient = grad(lambda z, a=alpha: powergrad_cross_entropy(z, targets["index"], a))(half)
        exact = grad(lambda z, a=alpha: powergrad_cross_entropy(z, targets["index"], a))(half.float())
        assert gradient.dtype == dtype
        assert torch.equal(gradient, exact.to(dtype))  # one rounding, at the end
        value = powergrad_cross_entropy(half, targets["index"], alpha)
        assert torch.equal(value, functional.cross_entropy(half, targets["index"]))


def test_gradients_of_a_network_are_those_at_temperature_one_over_alpha():
    torch.manual_seed(0)
    linear, inputs, target = torch.nn.Linear(5, 3), torch.randn(8, 5), torch.randint(3, (8,))
    ours = torch.autograd.grad(powergrad_cross_entropy(linear(inputs), target, 0.25), linear.weight)
    theirs = torch.autograd.grad(functional.cross_entropy(0.25 * linear(inputs), target) / 0.25, linear.weight)
    torch.testing.assert_close(ours, theirs)


# The hook --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 1e-12, 0.3, 1.0])
@pytest.mark.parametrize("kind", ["index", "probabilities"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_hook_equals_the_criterion(alpha, kind, reduction):
    logits, targets = logits_and_targets()
    target = targets[kind]
    hooked, direct = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    powergrad_hook(hooked, target, alpha, reduction=reduction, loss_scale=8.0)
    (8.0 * functional.cross_entropy(hooked, target, reduction=reduction)).backward()
    (8.0 * powergrad_cross_entropy(direct, target, alpha, reduction=reduction)).backward()
    torch.testing.assert_close(hooked.grad, direct.grad)
    if kind == "index":
        assert torch.equal(hooked.grad[2], torch.zeros(4, **F64))


def test_hook_revives_the_gradient_of_a_saturated_sample():
    logits, label = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True), torch.tensor([0])
    powergrad_hook(logits, label, 0.01)
    functional.cross_entropy(logits, label).backward()  # whose own gradient is 0 in float32
    expected = (0.01 * logits.detach()).softmax(1) - torch.tensor([[1.0, 0.0, 0.0]])
    torch.testing.assert_close(logits.grad, expected)
    assert expected.abs().max() > 0.2


def test_hook_weighs_samples_for_every_reduction():
    logits, targets = logits_and_targets()
    target, sample_weight = targets["index"], torch.tensor([1.0, 0.5, 3.0, 0.0, 2.0, 1.5], **F64)
    per_row = {"none": 1.0, "sum": 1.0, "mean": 5.0}  # five rows are kept; the weights do not enter the divisor
    for reduction, divisor in per_row.items():
        hooked, direct = logits.clone().requires_grad_(), logits.clone().requires_grad_()
        powergrad_hook(hooked, target, 0.3, reduction=reduction, sample_weight=sample_weight)
        functional.cross_entropy(hooked, target).backward()
        losses = powergrad_cross_entropy(direct, target, 0.3, reduction="none")
        ((losses * sample_weight).sum() / divisor).backward()
        torch.testing.assert_close(hooked.grad, direct.grad)


def test_hook_reads_a_callable_scale_during_backward_and_can_be_removed():
    logits, targets = logits_and_targets()
    scale = 1.0
    z = logits.clone().requires_grad_()
    handle = powergrad_hook(z, targets["index"], 0.3, loss_scale=lambda: scale)
    scale = 4.0
    functional.cross_entropy(z, targets["index"]).backward()
    expected = grad(lambda z: 4.0 * powergrad_cross_entropy(z, targets["index"], 0.3))(logits)
    torch.testing.assert_close(z.grad, expected)
    handle.remove()
    z.grad = None
    functional.cross_entropy(z, targets["index"]).backward()
    torch.testing.assert_close(z.grad, grad(lambda z: functional.cross_entropy(z, targets["index"]))(logits))


def test_hook_takes_extra_dimensions_half_types_masked_classes_and_an_inner_tensor():
    logits, target = (
        torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1)),
        torch.zeros(2, 4, dtype=torch.long),
    )
    logits[:, 2] = -torch.inf
    for dtype, alpha in itertools.product([torch.float32, torch.float16], [0.0, 0.3]):
        leaf = logits.to(dtype, copy=True).requires_grad_()
        inner = leaf * 1
        inner.retain_grad()
        powergrad_hook(inner, target, torch.tensor(alpha))
        functional.cross_entropy(inner, target).backward()
        expected = grad(lambda z, a=alpha: powergrad_cross_entropy(z, target, a))(leaf.detach())
        torch.testing.assert_close(leaf.grad, expected)
        assert leaf.grad.dtype == dtype


def test_hook_keeps_no_cycle_alive():
    z = torch.zeros(2, 3, requires_grad=True)
    logits = z * 1
    powergrad_hook(logits, torch.tensor([0, 1]), 0.3)
    alive = weakref.ref(logits)
    gc.disable()
    try:
        del logits
        assert alive() is None
    finally:
        gc.enable()


WRONG = [
    ({"alpha": 1.5}, ValueError, "alpha must be >= 0 and <= 1 and finite, got 1.5"),
    ({"logits": [1.0]}, TypeError, "logits must be a tensor, got list"),
    ({"logits": torch.zeros(2, 3)}, ValueError, "logits must require a gradient"),
    ({"target": torch.tensor([0, 3])}, ValueError, r"target must hold class indices in \[0, 3\)"),
    ({"target": torch.tensor([0])}, ValueError, r"target as class indices must have shape \(2,\)"),
    ({"reduction": "max"}, ValueError, "reduction must be one of"),
    ({"reduction": "none"}, ValueError, "sample_weight must be given for reduction='none', got None"),
    ({"sample_weight": torch.ones(3)}, ValueError, r"sample_weight must have shape \(2,\), one a row, got \(3,\)"),
    ({"sample_weight": [1.0, 1.0]}, TypeError, "sample_weight must be a tensor, got list"),
    ({"loss_scale": 0.0}, ValueError, "loss_scale must be > 0 and finite, got 0.0"),
    ({"loss_scale": "1"}, TypeError, "loss_scale must be a number, got '1'"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG)
def test_hook_names_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        powergrad_hook(
            **{
                "logits": torch.zeros(2, 3, requires_grad=True),
                "target": torch.tensor([0, 1]),
                "alpha": 0.5,
                **arguments,
            }
        )


def test_module_is_the_function():
    logits, targets = logits_and_targets()
    module = PowerGradCrossEntropy(0.3, weight=WEIGHT, label_smoothing=0.1)
    ours = grad(lambda z: module(z, targets["index"]))(logits)
    options = {"weight": WEIGHT, "label_smoothing": 0.1}
    theirs = grad(lambda z: powergrad_cross_entropy(z, targets["index"], 0.3, **options))(logits)
    assert torch.equal(ours, theirs)
    with pytest.raises(ValueError, match="alpha must be >= 0 and <= 1"):
        PowerGradCrossEntropy(1.5)


def test_smoothing_under_vmap_where_torchs_own_cannot():
    logits, targets = logits_and_targets()
    z, y = logits.view(2, 3, 4), targets["index"].view(2, 3)
    loss = vmap(lambda z, y: powergrad_cross_entropy(z, y, 1.0, label_smoothing=0.2, weight=WEIGHT))(z, y)
    each = [functional.cross_entropy(z[i], y[i], WEIGHT, label_smoothing=0.2) for i in range(2)]
    torch.testing.assert_close(loss, torch.stack(each))
