"""Where and with what functions are called: inference mode, a default device or dtype, NumPy's numbers, exact ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import companion as c

LOGITS = 2 * torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
TARGET = torch.arange(6) % 3
SOFT = torch.softmax(LOGITS.flip(0), 1)
CRITERIA = {
    "tamed_cross_entropy": lambda z, t, **options: c.tamed_cross_entropy(z, t, 0.5, **options),
    "powergrad_cross_entropy": lambda z, t, **options: c.powergrad_cross_entropy(z, t, 0.3, **options),
    "powergrad_cross_entropy, α = 0": lambda z, t, **options: c.powergrad_cross_entropy(z, t, 0, **options),
    "softmax_mse": c.softmax_mse,
    "softmax_mae": c.softmax_mae,
    "generalized_cross_entropy": c.generalized_cross_entropy,
    "symmetric_cross_entropy": c.symmetric_cross_entropy,
    "focal_loss": c.focal_loss,
    "partially_huberised_cross_entropy": c.partially_huberised_cross_entropy,
    "active_passive_loss": c.active_passive_loss,
    "bi_tempered_logistic_loss": c.bi_tempered_logistic_loss,
}
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    **{name: lambda z, f=f: f(z, TARGET) for name, f in CRITERIA.items()},
    **{f"{name}, smoothed": lambda z, f=f: f(z, TARGET, label_smoothing=0.1) for name, f in CRITERIA.items()},
    **{f"{name}, probabilities": lambda z, f=f: f(z, SOFT.to(z.dtype)) for name, f in CRITERIA.items()},
    "partial_norm": lambda z: c.partial_norm(z, 2.0),
    "scalable_batch_norm": c.scalable_batch_norm,
    "logit_norm": c.logit_norm,
    "temperature_scale": lambda z: c.temperature_scale(z, 2.0),
    "soft_cap": lambda z: c.soft_cap(z, 3.0),
    "length_stability": c.length_stability,
    "logit_penalty": c.logit_penalty,
    "z_loss": c.z_loss,
    "tamed_posterior": lambda z: c.tamed_posterior(z.softmax(1), 0.5),
    "output_length": c.output_length,
    "output_length, centred": lambda z: c.output_length(z, centred=True),
    "split_radial": lambda z: c.split_radial(z, z.flip(0))[1],
    "margin": lambda z: c.margin(z, TARGET),
    "entropy": lambda z: c.entropy(z.softmax(1)),
    "renyi_entropy": lambda z: c.renyi_entropy(z.softmax(1), 0.5),
    "stationary_threshold": lambda z: c.stationary_threshold(z.softmax(1), 2),
    "expected_calibration_error": lambda z: c.expected_calibration_error(z.softmax(1), TARGET),
    "reliability_bins": lambda z: torch.stack(c.reliability_bins(z.softmax(1), TARGET)[2:]),
    "fit_temperature": lambda z: c.fit_temperature(z, TARGET),
}


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


SURROUNDINGS = {
    "inference mode": torch.inference_mode,
    "default device": lambda: torch.device("meta"),  # whatever lands there has no values, and no way back
    "default dtype float64": lambda: default_dtype(torch.float64),
    "default dtype bfloat16": lambda: default_dtype(torch.bfloat16),
}


@pytest.mark.parametrize("surroundings", SURROUNDINGS.values(), ids=SURROUNDINGS)
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_results_do_not_depend_on_surroundings(function, surroundings):
    for logits in (LOGITS, LOGITS.float()):
        expected = function(logits)
        with surroundings():
            result = function(logits)
        torch.testing.assert_close(result.clone(), expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_tensors_from_inference_mode_can_be_measured(function):
    with torch.inference_mode():
        logits = LOGITS.clone()
    torch.testing.assert_close(function(logits), function(LOGITS), equal_nan=True)


def test_modules_made_in_any_surroundings_are_the_same():
    made = {}
    for name, surroundings in SURROUNDINGS.items():
        if name != "default dtype bfloat16":
            with surroundings():
                norm, criterion = c.ScalableBatchNorm(3), c.TamedCrossEntropy(0.5, weight=torch.ones(3, device="cpu"))
            made[name] = norm, criterion(LOGITS, TARGET)
            torch.testing.assert_close(made[name][1], c.tamed_cross_entropy(LOGITS, TARGET, 0.5))
    assert made["default device"][0].running_mean.device.type == "meta"  # as torch's batch norm
    assert made["default dtype float64"][0].running_mean.dtype == torch.float64
    norm = c.ScalableBatchNorm(3)
    with torch.inference_mode():
        norm(LOGITS)
    norm(LOGITS.requires_grad_(False).clone().requires_grad_()).sum().backward()
    assert norm.num_batches_tracked == 2


# Numbers ---------------------------------------------------------------------------------------------------------

MAKERS = {  # takes a whole number
    "partial_norm": lambda n: c.partial_norm(LOGITS, n),
    "PartialNorm": lambda n: c.PartialNorm(n)(LOGITS),
    "scalable_batch_norm": lambda n: c.scalable_batch_norm(LOGITS, n, momentum=n / n, eps=n),
    "ScalableBatchNorm": lambda n: c.ScalableBatchNorm(3 * n / n, n, eps=n, momentum=n / n).double()(LOGITS),
    "logit_norm": lambda n: c.logit_norm(LOGITS, n, n),
    "LogitNorm": lambda n: c.LogitNorm(n, n)(LOGITS),
    "temperature_scale": lambda n: c.temperature_scale(LOGITS, n),
    "TemperatureScale": lambda n: c.TemperatureScale(n)(LOGITS),
    "soft_cap": lambda n: c.soft_cap(LOGITS, n),
    "SoftCap": lambda n: c.SoftCap(n)(LOGITS),
    "tamed_posterior": lambda n: c.tamed_posterior(SOFT, n),
    "smooth_labels": lambda n: c.smooth_labels(TARGET, 3 * n / n, n / (2 * n)),
    "renyi_entropy": lambda n: c.renyi_entropy(SOFT, n),
    "stationary_threshold": lambda n: c.stationary_threshold(SOFT, n),
    "confidence_ceiling, δ": lambda n: torch.tensor(c.confidence_ceiling(5 * n, threshold=n)),
    "confidence_ceiling, m": lambda n: torch.tensor(c.confidence_ceiling(5 * n, scale=n)),
    "expected_calibration_error": lambda n: c.expected_calibration_error(SOFT, TARGET, bins=n),
    "reliability_bins": lambda n: c.reliability_bins(SOFT, TARGET, bins=n).confidence,
    "Objective": lambda n: c.Objective(penalties={"size": (c.logit_penalty, n)})(LOGITS, TARGET)["loss"],
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_numbers_of_numpy_and_whole_floats_are_those_of_python(make):
    expected = make(2)
    for number in (2.0, np.float32(2), np.float64(2), np.int64(2), np.uint8(2), np.array(2.0)):
        result = make(number)
        torch.testing.assert_close(result, expected, rtol=0, atol=0, equal_nan=True)
        assert result.dtype == expected.dtype


EXACT = {  # with a number that float32 does not hold, against the same formula here
    "partial_norm": (lambda z, x: c.partial_norm(z, x), lambda z: 0.1 * F.normalize(z, dim=1)),
    "logit_norm": (lambda z, x: c.logit_norm(z, x, x), lambda z: z / (z.norm(dim=1, keepdim=True) + 0.1) / 0.1),
    "temperature_scale": (c.temperature_scale, lambda z: z / 0.1),
    "soft_cap": (c.soft_cap, lambda z: 0.1 * (z / 0.1).tanh()),
    "scalable_batch_norm": (
        lambda z, x: c.scalable_batch_norm(z, x, eps=x),
        lambda z: 0.1 * (z - z.mean(0)) / (z.var(0, correction=0) + 0.1).sqrt(),
    ),
    "tamed_posterior": (
        lambda z, x: c.tamed_posterior(z.softmax(1), x),
        lambda z: F.normalize(z.softmax(1) * (1 - z.log_softmax(1)) ** 0.1, p=1, dim=1),
    ),
    "tamed_cross_entropy": (
        lambda z, x: c.tamed_cross_entropy(z, TARGET, x, label_smoothing=x, reduction="none"),
        lambda z: (c.smooth_labels(TARGET, 3, 0.1, dtype=z.dtype) * ((1 - z.log_softmax(1)) ** 0.9 - 1) / 0.9).sum(1),
    ),
    "smooth_labels": (
        lambda z, x: c.smooth_labels(TARGET, 3, x, dtype=z.dtype),
        lambda z: 0.9 * F.one_hot(TARGET, 3).to(z.dtype) + 0.1 / 3,
    ),
    "smooth_labels, others": (
        lambda z, x: c.smooth_labels(TARGET, 3, x, "others", dtype=z.dtype),
        lambda z: torch.where(F.one_hot(TARGET, 3) == 1, torch.tensor(0.9, dtype=z.dtype), 0.05),
    ),
}


@pytest.mark.parametrize(("function", "formula"), EXACT.values(), ids=EXACT)
def test_hyperparameters_enter_in_the_computing_dtype(function, formula):
    for number in (0.1, torch.tensor(0.1, dtype=torch.float64)):
        exact = function(LOGITS, number)
        assert exact.dtype == torch.float64
        torch.testing.assert_close(exact, formula(LOGITS), rtol=1e-14, atol=1e-15)
        assert function(LOGITS.float(), number).dtype == torch.float32
