"""Lengths and directions at every size, and rules for derivatives in every form that torch takes."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, vmap

from companion._autograd import closed_form
from companion._numerics import row_length, unit_rows

SIZES = [
    (torch.float64, 1e-200),
    (torch.float64, 1e-150),
    (torch.float64, 1.0),
    (torch.float64, 1e200),
    (torch.float32, 1e-30),
    (torch.float32, 1e-17),
    (torch.float32, 1e4),
    (torch.float32, 1e30),
]


@pytest.mark.parametrize(("dtype", "size"), SIZES)
def test_lengths_and_directions_at_every_size_beside_any_other(dtype, size):
    for other in (0.0, 1.0, size):
        v = torch.tensor([[3.0, 4.0], [other, 0.0]], dtype=dtype)
        v[0] *= size
        v.requires_grad_()
        length, unit = row_length(v, 1), unit_rows(v, 1)
        direction = torch.tensor([0.6, 0.8], dtype=dtype)
        torch.testing.assert_close(length[0], torch.tensor(5.0, dtype=dtype) * size, rtol=1e-6, atol=0)
        assert length[1] == other
        torch.testing.assert_close(unit[0], direction, rtol=1e-6, atol=0)
        (gradient,) = torch.autograd.grad(length.sum(), v)
        torch.testing.assert_close(gradient[0], direction, rtol=1e-6, atol=0)
        expected = torch.tensor([float(other > 0), 0.0], dtype=dtype)
        torch.testing.assert_close(gradient[1], expected, rtol=1e-6, atol=0)


def test_length_has_no_derivative_of_any_order_at_zero():
    for zero in (torch.zeros(1, 3), torch.zeros(2, 3, dtype=torch.float64)):

        def total(v: torch.Tensor) -> torch.Tensor:
            return row_length(v, 1).sum()

        assert not grad(total)(zero).any()
        assert not hessian(total)(zero).any()
        assert not jacfwd(total)(zero).any()


def test_derivatives_of_lengths():
    v = torch.randn(3, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for dim in range(3):
        assert gradcheck(lambda t, d=dim: row_length(t, d), v, check_forward_ad=True)
        assert gradgradcheck(lambda t, d=dim: row_length(t, d, keepdim=True), v)
    third = jacrev(hessian(lambda t: row_length(t, 0)))(v[:, 0, 0].detach())
    with_root = jacrev(hessian(lambda t: t.square().sum().sqrt()))(v[:, 0, 0].detach())
    torch.testing.assert_close(third, with_root)


def test_nan_and_infinity_stay_in_their_rows():
    length = row_length(torch.tensor([[torch.nan, 1.0], [torch.inf, 1.0], [3.0, 4.0]]), 1)
    assert length[0].isnan()
    assert length[1:].tolist() == [torch.inf, 5.0]


@closed_form
class scaled_cube:  # noqa: N801 — it is a function
    """x³·s, its rule written wrongly by a factor of 2 on purpose: what is used is the rule, not torch's own."""

    @staticmethod
    def forward(x, scale):
        return scale * x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.scale = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx, gradient):
        return 6 * ctx.scale * ctx.saved_tensors[0] ** 2 * gradient, None

    @staticmethod
    def jvp(ctx, tangent, _):
        return 6 * ctx.scale * ctx.saved_tensors[0] ** 2 * tangent


def test_a_rule_is_used_by_autograd_its_transforms_and_the_compiler():
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    first, second = 6 * 3.0 * x**2, torch.diag(12 * 3.0 * x)

    def cube(t: torch.Tensor) -> torch.Tensor:
        return scaled_cube(t, 3.0)

    def total(t: torch.Tensor) -> torch.Tensor:
        return cube(t).sum()

    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(total(leaf), leaf, create_graph=True)
    torch.testing.assert_close(gradient, first)
    torch.testing.assert_close(torch.autograd.grad(gradient.sum(), leaf)[0], second.sum(0))
    torch.testing.assert_close(grad(total)(x), first)
    torch.testing.assert_close(hessian(total)(x), second)
    torch.testing.assert_close(vmap(grad(cube))(x), first)
    torch.testing.assert_close(jacfwd(cube)(x), torch.diag(first))
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, torch.ones_like(x))
        torch.testing.assert_close(forward_ad.unpack_dual(cube(dual)).tangent, first)
    leaf.grad = None
    torch.compile(total, fullgraph=True, backend="aot_eager")(leaf).backward()
    torch.testing.assert_close(leaf.grad, first)
    assert "on purpose" in scaled_cube.__doc__


def test_an_error_of_the_rule_itself_is_not_lost():
    with pytest.raises(RuntimeError, match="must match the size"):
        scaled_cube(torch.zeros(2), torch.zeros(3))
