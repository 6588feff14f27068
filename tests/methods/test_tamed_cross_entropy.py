"""Tamed cross entropy against the paper's equations: gradient, closed forms, smoothness in α, inverse link, module."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional

from companion.methods.tamed_cross_entropy import TamedCrossEntropy, tamed_cross_entropy, tamed_posterior

LOGITS = torch.tensor([[2.5, 1.2, 0.0], [0.0, 6.0, 1.0], [-3.0, 1.0, 40.0]], dtype=torch.float64)
TARGET = torch.tensor([1, 0, 2])
LOSS = functional.cross_entropy(LOGITS, TARGET, reduction="none")


def test_closed_forms():
    forms = {0.0: LOSS, 0.5: 2 * ((1 + LOSS).sqrt() - 1), 1.0: torch.log(1 + LOSS), 2.0: LOSS / (1 + LOSS)}
    for alpha, form in forms.items():
        torch.testing.assert_close(tamed_cross_entropy(LOGITS, TARGET, alpha, reduction="none"), form)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0, 1.5, 2.0, 5.0])
def test_gradient_is_that_of_cross_entropy_times_the_weight_of_equation_8(alpha):
    gradient = grad(lambda z: tamed_cross_entropy(z, TARGET, alpha, reduction="sum"))(LOGITS)
    residual = LOGITS.softmax(1) - torch.eye(3, dtype=torch.float64)[TARGET]
    torch.testing.assert_close(gradient, (1 + LOSS).pow(-alpha).unsqueeze(1) * residual)


def test_pull_on_the_target_logit_peaks_where_the_lambert_function_says():
    for alpha, peak, height in [(0.5, 0.146, 0.499), (1.0, 0.318, 0.318), (1.5, 0.457, 0.228), (2.0, 0.558, 0.176)]:
        q = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
        logits = torch.stack([q, 1 - q], 1).log()
        label = torch.zeros(999, dtype=torch.long)
        pull = -grad(lambda z, y=label, a=alpha: tamed_cross_entropy(z, y, a, reduction="sum"))(logits)[:, 0]
        assert q[pull.argmax()].item() == pytest.approx(peak, abs=1e-3)
        assert pull.max().item() == pytest.approx(height, abs=1e-3)


@pytest.mark.parametrize("around", [0.0, 1.0])
def test_smooth_in_alpha(around):
    def value(alpha):
        return tamed_cross_entropy(LOGITS, TARGET, alpha, reduction="none")

    centre = value(around)
    for step in (1e-3, 1e-6, 1e-9, 1e-12, 1e-16, 1e-25):
        assert (value(around + step) - centre).abs().max() <= 50 * step + 1e-12
    torch.testing.assert_close(value(torch.tensor(around)), centre)
    torch.testing.assert_close(value(torch.tensor(around, dtype=torch.float16)), centre)
    assert (value(1 - 1e-6) - value(1 + 1e-6)).abs().max() > 1e-7  # not merely constant around 1


def test_accurate_where_the_loss_is_tiny():
    logits = torch.tensor([[60.0, 0.0]], dtype=torch.float64)
    for alpha in (0.5, 1.0, 2.0):
        assert tamed_cross_entropy(logits, torch.tensor([0]), alpha).item() == pytest.approx(math.exp(-60), rel=1e-12)


def test_bounded_above_one_and_unbounded_below():
    logits, label = torch.tensor([[-1e4, 0.0]], dtype=torch.float64), torch.tensor([0])
    assert tamed_cross_entropy(logits, label, 2.0).item() == pytest.approx(1.0, abs=1e-3)
    assert tamed_cross_entropy(logits, label, 3.0).item() == pytest.approx(0.5, abs=1e-6)
    assert tamed_cross_entropy(logits, label, 0.5).item() == pytest.approx(2 * (math.sqrt(1 + 1e4) - 1))


# The inverse link ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 1.5, 2.0])
def test_posterior_is_the_one_for_which_the_prediction_is_optimal(alpha):
    logits = torch.tensor([[1.0, -0.5, 0.3, 2.0]], dtype=torch.float64)
    posterior = tamed_posterior(logits.softmax(1), alpha)
    assert posterior.sum().item() == pytest.approx(1.0)
    gradient = grad(lambda z: tamed_cross_entropy(z, posterior, alpha))(logits)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))


def test_posterior_of_zero_and_sharp_probabilities_half_types_and_axes():
    probs = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]], requires_grad=True)
    posterior = tamed_posterior(probs, 2.0)
    torch.testing.assert_close(posterior.detach(), probs.detach())
    posterior[:, 0].sum().backward()
    assert torch.isfinite(probs.grad).all()
    sharp = torch.tensor([[0.9, 0.1]])
    q = torch.tensor([0.9, 0.1])
    expected = q * (1 - q.log()) ** 50
    torch.testing.assert_close(tamed_posterior(sharp, 50.0)[0], expected / expected.sum())
    assert torch.isfinite(tamed_posterior(torch.tensor([[1.0, 1e-38]]), 500.0)).all()
    half = tamed_posterior(sharp.half(), torch.tensor(1.0))
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), tamed_posterior(sharp.half().float(), 1.0), rtol=1e-3, atol=0)
    torch.testing.assert_close(tamed_posterior(q, 1.0), tamed_posterior(sharp, 1.0)[0])
    torch.testing.assert_close(tamed_posterior(sharp.T, 1.0, dim=0), tamed_posterior(sharp, 1.0).T)
    assert vmap(lambda a: tamed_posterior(sharp, a))(torch.tensor([0.0, 1.0])).shape == (2, 1, 2)
    assert tamed_posterior(torch.zeros(0, 3), 1.0).shape == (0, 3)


def test_posterior_names_wrong_arguments():
    with pytest.raises(ValueError, match="alpha must be >= 0 and finite, got -1"):
        tamed_posterior(torch.ones(1, 2), -1)
    with pytest.raises(TypeError, match="probs must have a floating-point dtype"):
        tamed_posterior(torch.ones(1, 2, dtype=torch.long), 1.0)
    with pytest.raises(ValueError, match=r"probs must hold finite probabilities >= 0, got -1\.0"):
        tamed_posterior(-torch.ones(1, 2), 1.0)


# The module ------------------------------------------------------------------------------------------------------


def test_module_is_the_function():
    weight = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    options = {"weight": weight, "ignore_index": 2, "reduction": "sum", "label_smoothing": 0.1}
    module = TamedCrossEntropy(1.5, **options)
    reference = tamed_cross_entropy(LOGITS, TARGET, 1.5, **options)
    for each in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(each(LOGITS, TARGET), reference)
    assert module.to(torch.float32).weight.dtype == torch.float32
    assert "alpha=1.5" in repr(module)
    assert "reduction='sum'" in repr(module)
    assert not list(module.parameters())


def test_module_checks_in_the_constructor():
    for wrong, message in [
        ({"alpha": -1.0}, "alpha must be >= 0"),
        ({"alpha": 1.0, "reduction": "max"}, "reduction must be one of"),
        ({"alpha": 1.0, "label_smoothing": 2.0}, "label_smoothing must be"),
        ({"alpha": 1.0, "weight": torch.ones(2, 2)}, "weight must have shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            TamedCrossEntropy(**wrong)
    with pytest.raises(TypeError, match="ignore_index must be an integer"):
        TamedCrossEntropy(1.0, ignore_index=0.5)
    with pytest.raises(TypeError, match="weight must be a tensor"):
        TamedCrossEntropy(1.0, weight=[1.0, 2.0])


def test_modules_with_different_alphas_stack():
    alphas = [0.5, 1.0, 2.0]
    modules = [TamedCrossEntropy(torch.tensor(alpha)) for alpha in alphas]
    parameters, buffers = stack_module_state(modules)
    losses = vmap(lambda b: functional_call(modules[0], {**parameters, **b}, (LOGITS, TARGET)))(buffers)
    torch.testing.assert_close(losses, torch.stack([tamed_cross_entropy(LOGITS, TARGET, a) for a in alphas]))
