"""Penalties on the logits: mean squared length, mean squared log-normaliser."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from companion import LogitPenalty, ZLoss, logit_penalty, z_loss

both = pytest.mark.parametrize(("penalty", "module"), [(logit_penalty, LogitPenalty), (z_loss, ZLoss)])


def rows(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return 2 * torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def test_formulas():
    z = rows(4, 3)
    squares = [sum(x * x for x in row) for row in z.tolist()]
    assert logit_penalty(z).item() == pytest.approx(sum(squares) / 4, rel=1e-14)
    normalisers = [math.log(sum(math.exp(x) for x in row)) ** 2 for row in z.tolist()]
    assert z_loss(z).item() == pytest.approx(sum(normalisers) / 4, rel=1e-14)


def test_gradients():
    z = rows(4, 3).requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(logit_penalty(z), z)[0], z.detach() / 2)
    expected = 2 / 4 * z.detach().logsumexp(1, keepdim=True) * torch.softmax(z.detach(), 1)
    torch.testing.assert_close(torch.autograd.grad(z_loss(z), z)[0], expected)


@both
def test_one_dimension_is_one_row_and_module_is_the_function(penalty, module):
    z = rows(3)
    torch.testing.assert_close(penalty(z), penalty(z[None]))
    assert torch.equal(module()(z), penalty(z))
    assert penalty.on == module.on == "logits"


@both
def test_gradcheck_and_torch_func(penalty, module):
    z = rows(4, 3).requires_grad_()
    assert gradcheck(penalty, z)
    assert gradgradcheck(penalty, z)
    stack = rows(2, 4, 3)
    torch.testing.assert_close(torch.func.vmap(penalty)(stack), torch.stack([penalty(b) for b in stack]))
    torch.testing.assert_close(
        torch.func.hessian(penalty)(stack[0]), torch.autograd.functional.hessian(penalty, stack[0])
    )


@both
@pytest.mark.parametrize("value", [0.0, 1e4, -1e4])
def test_equal_logits_give_finite_value_and_gradient(penalty, module, value):
    z = torch.full((2, 3), value, requires_grad=True)
    result = penalty(z)
    result.backward()
    assert result.isfinite()
    assert z.grad.isfinite().all()


@both
def test_half_types_answer_in_float32(penalty, module):
    for dtype in (torch.float16, torch.bfloat16):
        z = torch.full((2, 100), 1e4, dtype=dtype)
        assert penalty(z).dtype == torch.float32
        torch.testing.assert_close(penalty(z), penalty(z.float()))
    z = rows(4, 3, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = penalty(z)
    assert torch.equal(inside, penalty(z))


@both
def test_empty_batch_is_nan(penalty, module):
    assert penalty(torch.zeros(0, 3)).isnan()


def test_captured_as_one_graph():
    def together(z):
        return logit_penalty(z) + z_loss(z)

    z = rows(4, 3)
    torch.testing.assert_close(torch.compile(together, fullgraph=True, backend="aot_eager")(z), together(z))


@both
def test_errors(penalty, module):
    with pytest.raises(TypeError, match="logits must have a floating-point dtype"):
        penalty(torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="logits must have at least one class"):
        penalty(torch.zeros(2, 0))
