"""A logit of −∞ is a class that is not there: every function of logits gives what it gives without that class."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from companion import (
    ScalableBatchNorm,
    expected_calibration_error,
    fit_temperature,
    length_stability,
    logit_norm,
    logit_penalty,
    margin,
    output_length,
    partial_norm,
    reliability_bins,
    scalable_batch_norm,
    soft_cap,
    split_radial,
    temperature_scale,
    z_loss,
)

TRANSFORMS = {
    "partial_norm": lambda z: partial_norm(z, 3.0),
    "partial_norm, small rows": lambda z: partial_norm(z, 1e-3),
    "partial_norm, δ a tensor": lambda z: partial_norm(z, torch.tensor(3.0)),
    "logit_norm": lambda z: logit_norm(z, 0.5),
    "temperature_scale": lambda z: temperature_scale(z, 2.0),
    "soft_cap": lambda z: soft_cap(z, 3.0),
    "scalable_batch_norm": lambda z: scalable_batch_norm(z, 0.8),
    "scalable_batch_norm, evaluation": lambda z: scalable_batch_norm(
        z, 0.8, running_mean=torch.arange(z.shape[1]) / 4, running_var=1 + torch.arange(z.shape[1]), training=False
    ),
}
PENALTIES = {
    "length_stability": length_stability,
    "logit_penalty": logit_penalty,
    "z_loss": z_loss,
    "output_length": lambda z: output_length(z).sum(),
    "output_length, centred": lambda z: output_length(z, centred=True).sum(),
}
each_transform = pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
each_penalty = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)


def logits(*shape: int, seed: int = 0) -> Tensor:
    """Return logits of lengths on both sides of 3 whose last class is masked."""
    z = 2 * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    z[:, -1] = -math.inf
    return z


@each_transform
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5)], ids=str)
def test_transforms_treat_the_others_as_if_it_were_not_there_and_hand_it_back(transform, shape):
    z = logits(*shape)
    masked, removed = z.clone().requires_grad_(), z[:, :-1].clone().requires_grad_()
    result, reference = transform(masked), transform(removed)
    assert torch.equal(result[:, -1], z[:, -1])
    torch.testing.assert_close(result[:, :-1], reference)
    seed = torch.randn(reference.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (result[:, :-1] * seed).sum().backward()  # what arrives from a criterion: nothing at the masked class
    (reference * seed).sum().backward()
    assert torch.equal(masked.grad[:, -1], torch.zeros_like(masked.grad[:, -1]))
    torch.testing.assert_close(masked.grad[:, :-1], removed.grad)


@each_penalty
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5)], ids=str)
def test_penalties_and_lengths_leave_it_out(penalty, shape):
    z = logits(*shape)
    masked, removed = z.clone().requires_grad_(), z[:, :-1].clone().requires_grad_()
    value, reference = penalty(masked), penalty(removed)
    value.backward()
    reference.backward()
    torch.testing.assert_close(value, reference)
    assert torch.equal(masked.grad[:, -1], torch.zeros_like(masked.grad[:, -1]))
    torch.testing.assert_close(masked.grad[:, :-1], removed.grad)


ROW_BY_ROW = {name: function for name, function in (TRANSFORMS | PENALTIES).items() if "batch_norm" not in name}


@pytest.mark.parametrize("name", [name for name in ROW_BY_ROW if name != "length_stability"])
def test_every_row_may_miss_other_classes_also_under_vmap_and_compiled(name):
    function = ROW_BY_ROW[name]
    z = logits(4, 4)
    z[:, -1] = 1.0
    for row in range(3):
        z[row, row] = -math.inf
    each = torch.stack([function(row.unsqueeze(0)).squeeze(0) for row in z])
    torch.testing.assert_close(vmap(lambda row: function(row.unsqueeze(0)).squeeze(0))(z), each)
    if name in TRANSFORMS:
        torch.testing.assert_close(function(z), each)
        torch.testing.assert_close(torch.compile(function, fullgraph=True, backend="aot_eager")(z), each)
    kept = z > -math.inf
    gradient = vmap(grad(lambda row: torch.where(row > -math.inf, function(row.unsqueeze(0)), 0.0).sum()))(z)
    assert torch.isfinite(gradient).all()
    assert torch.equal(gradient[~kept], torch.zeros(3, dtype=torch.float64))


def test_length_stability_of_rows_that_miss_different_classes():
    z = torch.tensor([[3.0, 4.0, -math.inf], [-math.inf, 0.0, 1.0]])  # lengths 5 and 1
    assert length_stability(z).item() == 2
    torch.testing.assert_close(vmap(length_stability)(z.unsqueeze(0)), torch.tensor([2.0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@each_transform
def test_half_types(transform, dtype):
    z = logits(6, 4).to(dtype)
    assert torch.equal(transform(z)[:, -1], z[:, -1])
    assert torch.isfinite(transform(z)[:, :-1]).all()


# Statistics over the batch ---------------------------------------------------------------------------------------


def standardised(z: Tensor, scale: float, eps: float) -> Tensor:
    """Return scalable batch norm, one class after the other, from the entries that are there."""
    result = torch.full_like(z, -math.inf)
    for c in range(z.shape[1]):
        own = z[:, c][z[:, c] > -math.inf]
        if len(own):
            result[:, c][z[:, c] > -math.inf] = scale * (own - own.mean()) / (own.var(correction=0) + eps).sqrt()
    return result


def test_scalable_batch_norm_uses_the_logits_that_are_there():
    z = logits(8, 5)
    for row, column in ((0, 0), (3, 0), (4, 1)):
        z[row, column] = -math.inf
    z[:7, 2] = -math.inf  # one left
    for train in (scalable_batch_norm, torch.compile(scalable_batch_norm, fullgraph=True, backend="aot_eager")):
        torch.testing.assert_close(train(z, 0.8, eps=1e-3), standardised(z, 0.8, 1e-3))
    torch.testing.assert_close(vmap(lambda t: scalable_batch_norm(t, 0.8))(z[None])[0], standardised(z, 0.8, 1e-5))
    kept = z > -math.inf

    def loss(values: Tensor, function=scalable_batch_norm) -> Tensor:
        full = z.clone().masked_scatter(kept, values)
        return torch.where(kept, function(full, 0.8, eps=1e-3), 0.0).sin().sum()

    values = z[kept].requires_grad_()
    assert torch.autograd.gradcheck(loss, values)
    assert torch.autograd.gradgradcheck(loss, values)


def test_running_statistics_move_only_where_two_logits_are_there():
    z = logits(8, 4)  # of class 3 none is there
    z[1:, 2] = -math.inf  # of class 2 one
    z[:5, 1] = -math.inf  # of class 1 three
    norm = ScalableBatchNorm(4, momentum=0.25).double()
    norm(z)
    expected_mean, expected_var = torch.zeros(4).double(), torch.ones(4).double()
    for c, own in ((0, z[:, 0]), (1, z[5:, 1])):
        expected_mean[c], expected_var[c] = 0.25 * own.mean(), 0.75 + 0.25 * own.var(correction=1)
    torch.testing.assert_close(norm.running_mean, expected_mean)
    torch.testing.assert_close(norm.running_var, expected_var)
    assert torch.equal(norm.eval()(z)[:, 3], z[:, 3])


# What is measured ------------------------------------------------------------------------------------------------


def test_temperature_and_calibration():
    z = logits(200, 4)
    without = z[:, :-1]
    y = torch.where(torch.arange(200) % 2 == 0, without.argmax(1), torch.arange(200) % 3)
    torch.testing.assert_close(fit_temperature(z, y), fit_temperature(without, y))
    assert 1e-2 < fit_temperature(z, y) < 1e2
    p, q = z.softmax(1), without.softmax(1)
    torch.testing.assert_close(expected_calibration_error(p, y), expected_calibration_error(q, y))
    torch.testing.assert_close(reliability_bins(p, y), reliability_bins(q, y), equal_nan=True)
    torch.testing.assert_close(margin(z, y), margin(without, y))


def test_no_temperature_helps_where_a_rows_own_class_is_masked():
    z, y = logits(4, 3), torch.tensor([0, 1, 2, 0])
    assert fit_temperature(z, y).item() == 1  # the loss is infinite at each
    assert fit_temperature(z, y % 2).item() != 1


def test_radial_part_has_none_of_it():
    z, g = logits(5, 4), logits(5, 4, seed=1).nan_to_num(neginf=0.0)
    radial, tangential = split_radial(z, g)
    expected = split_radial(z[:, :-1], g[:, :-1])
    torch.testing.assert_close((radial[:, :-1], tangential[:, :-1]), expected)
    assert torch.equal(radial[:, -1], torch.zeros(5).double())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", [*TRANSFORMS, *PENALTIES])
def test_nan_and_infinity_beside_a_masked_class_are_not_taken_for_one(bad, name):
    z = logits(6, 4)
    z[0, 0] = bad
    result = (TRANSFORMS | PENALTIES)[name](z)
    reached = result if name in PENALTIES else result[0, :-1]
    saturated = name == "soft_cap" and bad == math.inf  # tanh ∞ = 1
    assert torch.isfinite(reached).all() == saturated
