"""The compared logit transforms: LogitNorm, temperature, soft-cap."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from companion import LogitNorm, SoftCap, TemperatureScale, logit_norm, soft_cap, temperature_scale

TRANSFORMS = {
    "logit_norm": lambda z: logit_norm(z, 0.5),
    "temperature_scale": lambda z: temperature_scale(z, 2.0),
    "soft_cap": lambda z: soft_cap(z, 3.0),
}
each = pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)


def rows(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return 2 * torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def test_logit_norm_formula():
    z = rows(4, 3)
    for row, result in zip(z.tolist(), logit_norm(z, 0.5, eps=0.1).tolist(), strict=True):
        length = math.sqrt(sum(x * x for x in row))
        assert result == pytest.approx([x / ((length + 0.1) * 0.5) for x in row], rel=1e-14)


def test_logit_norm_defaults():
    torch.testing.assert_close(logit_norm(rows(4, 3)).norm(dim=1), torch.full((4,), 25.0, dtype=torch.float64))


def test_logit_norm_at_zero_has_the_promised_jacobian():
    jacobian = torch.func.jacrev(lambda z: logit_norm(z, 0.5, eps=1e-3))(torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(jacobian, 2000 * torch.eye(2, dtype=torch.float64))
    half = torch.zeros(1, 2, dtype=torch.float16, requires_grad=True)
    logit_norm(half).sum().backward()
    assert half.grad.isinf().all()  # 1/(eps τ) = 2.5e8


@pytest.mark.parametrize("size", [1e200, 1e-100])
def test_logit_norm_of_extreme_lengths(size):
    z = torch.tensor([3.0, 4.0], dtype=torch.float64) * size
    torch.testing.assert_close(logit_norm(z, 1.0, eps=0.0), torch.tensor([0.6, 0.8], dtype=torch.float64))


def test_temperature_and_soft_cap_formulas():
    z = rows(4, 3)
    torch.testing.assert_close(temperature_scale(z, 2.5), z / 2.5)
    expected = [[3 * math.tanh(x / 3) for x in row] for row in z.tolist()]
    torch.testing.assert_close(soft_cap(z, 3.0), torch.tensor(expected, dtype=torch.float64))
    assert soft_cap(torch.tensor([1e4, -1e4]), 3.0).tolist() == [3, -3]


def test_class_axis_of_logit_norm():
    z = rows(4, 3, 5)
    expected = logit_norm(z.movedim(1, -1).reshape(-1, 3), 0.5).reshape(4, 5, 3).movedim(-1, 1)
    torch.testing.assert_close(logit_norm(z, 0.5), expected)
    torch.testing.assert_close(logit_norm(z[0, :, 0], 0.5), expected[0, :, 0])


@each
def test_gradcheck(transform):
    z = rows(4, 3).requires_grad_()
    assert gradcheck(transform, z)
    assert gradgradcheck(transform, z)


@each
def test_shape_empty_batch_and_half_types(transform):
    assert transform(rows(2, 3, 4)).shape == (2, 3, 4)
    assert transform(torch.zeros(0, 3)).shape == (0, 3)
    for dtype in (torch.float16, torch.bfloat16):
        z = (1000 * rows(2, 100)).to(dtype)
        result = transform(z)
        assert result.dtype == dtype
        torch.testing.assert_close(result, transform(z.float()).to(dtype))


@each
@pytest.mark.parametrize("value", [0.0, 1e4, -1e4])
def test_equal_logits_give_finite_value_and_gradient(transform, value):
    z = torch.full((2, 3), value, requires_grad=True)
    result = transform(z)
    result.sum().backward()
    assert result.isfinite().all()
    assert z.grad.isfinite().all()


@each
def test_autocast_leaves_float32_alone(transform):
    z = rows(2, 3, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = transform(z)
    assert torch.equal(inside, transform(z))


def test_torch_func_on_logit_norm():
    z = rows(4, 3)
    torch.testing.assert_close(torch.func.vmap(TRANSFORMS["logit_norm"])(z), logit_norm(z, 0.5))
    hessian = torch.func.vmap(torch.func.hessian(lambda r: logit_norm(r, 0.5).exp().sum()))(z)
    expected = torch.autograd.functional.hessian(lambda r: logit_norm(r, 0.5).exp().sum(), z[0])
    torch.testing.assert_close(hessian[0], expected)


def test_captured_as_one_graph():
    z = rows(4, 3)

    def together(t):
        return sum(transform(t).square().sum() for transform in TRANSFORMS.values())

    torch.testing.assert_close(torch.compile(together, fullgraph=True, backend="aot_eager")(z), together(z))


@pytest.mark.parametrize(
    ("function", "module", "name"),
    [
        (logit_norm, LogitNorm, "temperature"),
        (temperature_scale, TemperatureScale, "temperature"),
        (soft_cap, SoftCap, "cap"),
    ],
)
def test_modules_and_errors(function, module, name):
    z = rows(4, 3)
    assert torch.equal(module(2.0)(z), function(z, 2.0))
    assert f"{name}=2" in repr(module(2.0))
    assert name in module(torch.tensor(2.0)).state_dict()
    value = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    assert not function(z, value).requires_grad  # hyperparameters are detached
    torch.testing.assert_close(function(z, value), function(z, 2.0))
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=rf"{name} must be > 0 and finite, got {wrong}"):
            function(z, wrong)
        with pytest.raises(ValueError, match=f"{name} must be > 0"):
            module(wrong)
    with pytest.raises(TypeError, match=f"{name} must be a number"):
        function(z, None)
    with pytest.raises(TypeError, match="logits must be a tensor"):
        function(3.0, 2.0)
    with pytest.raises(ValueError, match="logits must have at least one class"):
        function(torch.zeros(2, 0), 2.0)


def test_logit_norm_eps_is_checked():
    with pytest.raises(ValueError, match="eps must be >= 0"):
        logit_norm(rows(2, 3), 1.0, eps=-1.0)
    with pytest.raises(ValueError, match="eps must be >= 0"):
        LogitNorm(1.0, eps=-1.0)
    assert torch.equal(LogitNorm(1.0, 0.5)(rows(2, 3)), logit_norm(rows(2, 3), 1.0, 0.5))
