"""Norm loss: weight vectors are pulled towards length one, as a loss term or by a decoupled step."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from companion import NormLoss, norm_loss


def rows(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_formula():
    weight = rows(4, 3)
    expected = sum((1 - math.sqrt(sum(x * x for x in row))) ** 2 for row in weight.tolist())
    assert norm_loss(weight).item() == pytest.approx(expected, rel=1e-14)


def test_filters_are_flattened_from_axis_1():
    weight = rows(4, 3, 2, 2)
    torch.testing.assert_close(norm_loss(weight), norm_loss(weight.reshape(4, 12)))


def test_gradient_is_weight_decay_with_a_sign():
    weight = rows(4, 3).requires_grad_()
    norm_loss(weight).backward()
    length = weight.detach().norm(dim=1, keepdim=True)
    assert length.min() < 1 < length.max()
    torch.testing.assert_close(weight.grad, 2 * weight.detach() * (1 - 1 / length))


def test_zero_vector_has_value_one_and_gradient_zero():
    weight = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    value = norm_loss(weight)
    value.backward()
    assert value.item() == 17
    torch.testing.assert_close(weight.grad, torch.tensor([[0.0, 0.0], [4.8, 6.4]]))


@pytest.mark.parametrize("exponent", [*range(-30, 31, 5), 9, 18, 19])
def test_float32_gradient_is_right_from_1e_minus_30_to_1e_30(exponent):
    weight = (torch.tensor([[3.0, 4.0]], dtype=torch.float64) * 10.0**exponent).float().requires_grad_()
    norm_loss(weight).backward()
    exact = weight.detach().double()
    expected = 2 * (exact - exact / exact.norm())
    torch.testing.assert_close(weight.grad.double(), expected, rtol=1e-6, atol=1e-6)


def test_float32_value_is_right_and_overflows_only_above_1_8e19():
    assert norm_loss(torch.full((1, 1), 1e-30)).item() == 1
    assert norm_loss(torch.full((1, 1), 1e19)).item() == pytest.approx(1e38, rel=1e-6)
    assert norm_loss(torch.full((1, 1), 1e20)).item() == math.inf


def test_flow_relaxes_to_length_one_on_the_same_ray():
    weight, lr = torch.tensor([[6.0, 8.0]], dtype=torch.float64), 0.05
    model = nn.Linear(2, 1, bias=False).double()
    model.weight.data.copy_(weight)
    term = NormLoss(model)
    for step in range(1, 11):
        term.decoupled_step_(lr)
        length = 1 + (1 - 2 * lr) ** step * 9
        torch.testing.assert_close(model.weight.detach(), weight / 10 * length)


def test_decoupled_step_equals_plain_gradient_descent_on_the_term():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3, 2)).double()
    twin = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3, 2)).double()
    twin.load_state_dict(model.state_dict())
    NormLoss(model).decoupled_step_(0.3)
    optimiser = torch.optim.SGD(twin.parameters(), lr=0.3)
    NormLoss(twin).norm().backward()
    optimiser.step()
    torch.testing.assert_close(model.state_dict(), twin.state_dict())


def test_decoupled_step_leaves_a_dead_row_dead_and_biases_alone():
    model = nn.Linear(2, 2)
    model.weight.data.copy_(torch.tensor([[0.0, 0.0], [0.0, 2.0]]))
    bias = model.bias.detach().clone()
    NormLoss(model).decoupled_step_(torch.tensor(0.25))
    assert torch.equal(model.weight.detach(), torch.tensor([[0.0, 0.0], [0.0, 1.5]]))
    assert torch.equal(model.bias, bias)
    assert model.weight.requires_grad


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.layer_norm = nn.LayerNorm((2, 2))  # a weight with two dimensions, but a normalisation layer's
        self.attention = nn.MultiheadAttention(4, 2)
        self.act = nn.PReLU(4)  # a weight of one dimension
        self.fc = nn.Linear(4, 2)
        self.scores = nn.Parameter(torch.ones(2, 2))  # two dimensions, but no weight by name


def test_default_choice():
    names = ["conv.weight", "attention.in_proj_weight", "attention.out_proj.weight", "fc.weight"]
    assert NormLoss(Net()).names() == names


def test_include_and_exclude():
    net = Net()
    assert NormLoss(net, exclude=lambda name, _: name.startswith(("fc", "attention"))).names() == ["conv.weight"]
    square = NormLoss(net, include=lambda _, parameter: parameter.shape == (2, 2))
    assert square.names() == ["scores", "layer_norm.weight", "layer_norm.bias"]
    both = NormLoss(net, include=lambda name, _: "fc" in name, exclude=lambda _, parameter: parameter.ndim < 2)
    assert both.names() == ["fc.weight"]


def test_norm_is_the_sum_over_the_model():
    net = Net()
    expected = sum(norm_loss(p) for n, p in net.named_parameters() if n in NormLoss(net).names())
    torch.testing.assert_close(NormLoss(net).norm(), expected)
    other = Net()
    torch.testing.assert_close(NormLoss(net)(other), NormLoss(other).norm())
    assert NormLoss(nn.ReLU()).norm().item() == 0


def test_the_model_is_not_a_submodule():
    assert list(NormLoss(Net()).parameters()) == []
    assert NormLoss.on == "model"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_answer_in_float32(dtype):
    weight = torch.full((1, 100), 1e4, dtype=dtype, requires_grad=True)
    value = norm_loss(weight)
    value.backward()
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx((1 - 1e5) ** 2, rel=1e-2)
    assert weight.grad.isfinite().all()
    linear = nn.Linear(2, 1, dtype=dtype)
    linear.weight.data.copy_(torch.tensor([[0.0, 3.0]]))
    NormLoss(linear).decoupled_step_(0.25)
    assert linear.weight.dtype == dtype
    assert linear.weight[0, 1].item() == 2


def test_gradcheck_and_torch_func():
    weight = rows(4, 3).requires_grad_()
    assert gradcheck(norm_loss, weight)
    assert gradgradcheck(norm_loss, weight)
    weight = weight.detach()
    stack = torch.stack([weight, 2 * weight])
    torch.testing.assert_close(torch.func.vmap(norm_loss)(stack), torch.stack([norm_loss(w) for w in stack]))
    hessian = torch.func.hessian(norm_loss)(weight)
    torch.testing.assert_close(hessian, torch.autograd.functional.hessian(norm_loss, weight))


def test_curvature():
    hessian = torch.func.hessian(norm_loss)(torch.tensor([[0.5, 0.0]], dtype=torch.float64)).reshape(2, 2)
    expected = torch.diag(torch.tensor([2.0, 2 * (1 - 1 / 0.5)], dtype=torch.float64))  # radial, tangential
    torch.testing.assert_close(hessian, expected)


def test_captured_as_one_graph():
    weight = rows(4, 3)
    compiled = torch.compile(norm_loss, fullgraph=True, backend="aot_eager")
    expected = torch.func.grad(norm_loss)(weight)
    compiled(weight.requires_grad_()).backward()
    torch.testing.assert_close(weight.grad, expected)


def test_long_float64_rows_keep_their_precision():
    weight = torch.tensor([[3e10, 4e10], [3e17, 4e17]], dtype=torch.float64, requires_grad=True)
    norm_loss(weight).backward()
    expected = torch.tensor([[6e10 - 1.2, 8e10 - 1.6], [6e17, 8e17]], dtype=torch.float64)
    torch.testing.assert_close(weight.grad, expected, rtol=1e-15, atol=0)


def test_no_row_is_zero():
    assert norm_loss(torch.zeros(0, 3)).item() == 0


def test_errors():
    with pytest.raises(ValueError, match=r"weight must have at least 2 dimension\(s\), got shape \(3,\)"):
        norm_loss(torch.ones(3))
    with pytest.raises(ValueError, match=r"weight must have entries in its rows, got shape \(3, 0\)"):
        norm_loss(torch.ones(3, 0))
    with pytest.raises(TypeError, match="weight must have a floating-point dtype"):
        norm_loss(torch.ones(3, 2, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got list"):
        NormLoss([])
    with pytest.raises(TypeError, match=r"include must be a callable \(name, parameter\) -> bool, got str"):
        NormLoss(Net(), include="fc")
    with pytest.raises(TypeError, match="exclude must be a callable"):
        NormLoss(Net(), exclude=["fc"])
    with pytest.raises(ValueError, match="lr must be >= 0 and finite, got -1"):
        NormLoss(Net()).decoupled_step_(-1)
