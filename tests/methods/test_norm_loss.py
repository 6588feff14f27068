"""Norm loss: weight vectors are pulled towards length one, as a loss term or by a decoupled step."""

from __future__ import annotations

import copy
import math
import warnings

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.utils import parametrizations, parametrize, prune
from torch.optim.swa_utils import AveragedModel

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


def hooked(name: str, layer: nn.Module) -> nn.Module:
    """Return the layer under the older form of a normalisation, which leaves a hook; newer torch advises against it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", f"`torch.nn.utils.{name}` is deprecated", FutureWarning)
        return getattr(nn.utils, name)(layer)


LAYERS = {
    "weight_norm": parametrizations.weight_norm,
    "weight_norm, hook": lambda layer: hooked("weight_norm", layer),
    "spectral_norm": lambda layer: parametrizations.spectral_norm(layer, n_power_iterations=3),
    "spectral_norm, hook": lambda layer: hooked("spectral_norm", layer),
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 4),
    "pruned twice": lambda layer: prune.l1_unstructured(prune.random_unstructured(layer, "weight", 3), "weight", 2),
    "two parametrisations": lambda layer: parametrizations.spectral_norm(parametrizations.weight_norm(layer)),
}
computed = pytest.mark.parametrize("wrap", LAYERS.values(), ids=LAYERS)


@computed
@pytest.mark.parametrize("training", [True, False])
def test_a_computed_weight_counts_by_its_value(wrap, training):
    layer = wrap(nn.Linear(3, 4, dtype=torch.float64)).train(training)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(2).add_(0.1)  # the tensor that a hook left on the layer is out of date now
    state = copy.deepcopy(layer.state_dict())
    term = NormLoss(layer)
    value = term.norm()
    assert term.names() == ["weight"]
    torch.testing.assert_close(layer.state_dict(), state, rtol=0, atol=0)  # no step of the power iteration
    used = (
        layer.eval()(torch.eye(3, dtype=torch.float64)).T - layer.bias[:, None]
    )  # (4, 3): what the layer multiplies by
    assert value.item() == pytest.approx(sum((1 - math.hypot(*row)) ** 2 for row in used.tolist()), rel=1e-12)
    trained = [parameter for parameter in layer.parameters() if parameter is not layer.bias]
    gradients = torch.autograd.grad(value, trained)
    with torch.no_grad():
        for parameter, gradient in zip(trained, gradients, strict=True):
            entry = (0,) * parameter.ndim
            parameter[entry] += 1e-6
            above = term.norm()
            parameter[entry] -= 2e-6
            assert (above - term.norm()).item() / 2e-6 == pytest.approx(gradient[entry].item(), rel=1e-6, abs=1e-8)
            parameter[entry] += 1e-6


@computed
def test_the_decoupled_step_on_a_computed_weight_is_gradient_descent_on_what_it_comes_from(wrap):
    layer = wrap(nn.Linear(3, 4, dtype=torch.float64))
    trained = [parameter for name, parameter in layer.named_parameters() if name != "bias"]
    gradients = torch.autograd.grad(NormLoss(layer).norm(), trained)
    expected = [(parameter - 0.1 * gradient).detach() for parameter, gradient in zip(trained, gradients, strict=True)]
    bias = layer.bias.detach().clone()
    with torch.inference_mode():
        NormLoss(layer).decoupled_step_(0.1)
    torch.testing.assert_close([parameter.detach() for parameter in trained], expected)
    assert torch.equal(layer.bias, bias)


def test_weight_normalisation_relaxes_as_a_plain_weight_does():
    layer = parametrizations.weight_norm(nn.Linear(3, 2, dtype=torch.float64))
    lengths, directions = layer.parametrizations.weight.parameters()
    before = directions.detach().clone()
    lengths.data.copy_(torch.tensor([[3.0], [0.5]]))
    NormLoss(layer).decoupled_step_(0.25)  # L ← L + 2·lr·(1 − L)
    torch.testing.assert_close(lengths.detach(), torch.tensor([[2.0], [0.75]], dtype=torch.float64))
    torch.testing.assert_close(directions.detach(), before)


def test_spectral_normalisation_by_hand():
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data.copy_(torch.diag(torch.tensor([3.0, 4.0])))  # largest singular value 4: the rows get 3/4 and 1
    parametrizations.spectral_norm(layer, n_power_iterations=50)
    assert NormLoss(layer).norm().item() == pytest.approx(1 / 16, rel=1e-5)


def test_an_orthogonal_square_weight_has_norm_loss_zero():
    layer = parametrizations.orthogonal(nn.Linear(4, 4, dtype=torch.float64))
    assert NormLoss(layer).names() == ["weight"]
    assert NormLoss(layer).norm().item() == pytest.approx(0, abs=1e-25)


@pytest.mark.parametrize(("make", "dims"), [(nn.ConvTranspose1d, 1), (nn.ConvTranspose2d, 2), (nn.ConvTranspose3d, 3)])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("wrap", [lambda layer: layer, lambda layer: prune.identity(layer, "weight")])
def test_a_filter_of_a_transposed_convolution_is_an_output_channel(make, dims, groups, wrap):
    layer = make(4, 6, kernel_size=2, groups=groups, bias=False, dtype=torch.float64)
    one_at_a_time = torch.eye(4, dtype=torch.float64).reshape(4, 4, *[1] * dims)

    def lengths(layer):
        """Return the filters' lengths, read off the outputs: one input at a time, one pixel each."""
        return layer(one_at_a_time).transpose(0, 1).flatten(1).norm(dim=1).detach()

    before = lengths(layer)
    layer = wrap(layer)
    assert NormLoss(layer).norm().item() == pytest.approx((1 - before).square().sum().item(), rel=1e-12)
    NormLoss(layer).decoupled_step_(0.25)
    torch.testing.assert_close(lengths(layer), (1 + before) / 2)


def test_a_grouped_convolution_has_a_filter_an_output_channel():
    layer = nn.Conv2d(4, 6, 2, groups=2, bias=False)
    nn.init.constant_(layer.weight, 0.5)  # (6, 2, 2, 2): eight weights a filter, of length √2
    assert NormLoss(layer).norm().item() == pytest.approx(6 * (1 - math.sqrt(2)) ** 2, rel=1e-6)


def test_a_layer_may_say_how_its_weight_vectors_lie():
    class Transposed(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([[3.0, 0.6], [4.0, 0.8]]))  # one a column, of lengths 5 and 1

        def weight_vectors(self, name, weight):
            assert name == "weight"
            return weight.T

    layer = Transposed()
    assert NormLoss(nn.Sequential(layer)).norm().item() == pytest.approx(16, rel=1e-6)
    NormLoss(layer).decoupled_step_(0.125)
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[2.4, 0.6], [3.2, 0.8]]))


def test_a_shared_weight_counts_once():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    assert NormLoss(model).names() == ["0.weight", "1.weight"]
    torch.testing.assert_close(NormLoss(model).norm(), norm_loss(model[0].weight) + norm_loss(model[1].weight))


def test_frozen_weights_do_not_count_and_are_not_moved():
    model = nn.Sequential(nn.Linear(3, 4), parametrizations.weight_norm(nn.Linear(4, 4)), nn.Linear(4, 2))
    model[:2].requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    term = NormLoss(model, include=lambda name, weight: weight.ndim == 2)
    assert term.names() == ["2.weight"]
    torch.testing.assert_close(term.norm(), norm_loss(model[2].weight))
    term.decoupled_step_(0.1)
    moved = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert moved == ["2.weight"]
    model.requires_grad_(True)  # thawed later
    assert term.names() == ["0.weight", "1.weight", "2.weight"]


def test_of_a_half_frozen_weight_only_the_rest_moves():
    layer = hooked("weight_norm", nn.Linear(3, 2))
    layer.weight_g.requires_grad_(False)
    before = copy.deepcopy(layer.state_dict())
    NormLoss(layer).decoupled_step_(0.1)
    torch.testing.assert_close(layer.weight_g, before["weight_g"], rtol=0, atol=0)


def test_names_are_the_networks_own_under_wrappers():
    net = Net()

    def exclude(name, _):
        return name.startswith("fc.")

    compiled = torch.compile(net, backend="eager")
    inner = nn.Sequential(torch.compile(nn.Linear(2, 2), backend="eager"))
    for wrapped in (nn.DataParallel(net), AveragedModel(net), compiled, nn.DataParallel(compiled)):
        assert NormLoss(wrapped, exclude=exclude).names() == NormLoss(net, exclude=exclude).names()
    assert NormLoss(inner).names() == ["0.weight"]
    own = nn.ModuleDict({"my_module": nn.Linear(2, 2)})  # no wrapper
    assert NormLoss(own).names() == ["my_module.weight"]


def test_nothing_to_count_is_zero_on_any_default_device():
    with torch.device("meta"):
        assert NormLoss(nn.ReLU()).norm().item() == 0


def test_the_default_choice_leaves_a_parametrised_normalisation_layer_out():
    class Doubled(nn.Module):
        def forward(self, weight):
            return 2 * weight

    layer = nn.LayerNorm((2, 2))
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert NormLoss(layer).names() == []


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
    with pytest.raises(TypeError, match=r"include must be a callable \(name, weight\) -> bool, got str"):
        NormLoss(Net(), include="fc")
    with pytest.raises(TypeError, match="exclude must be a callable"):
        NormLoss(Net(), exclude=["fc"])
    with pytest.raises(ValueError, match="lr must be >= 0 and finite, got -1"):
        NormLoss(Net()).decoupled_step_(-1)


def test_stacked_runs_have_the_norm_loss_of_each():
    """Under `vmap` a parameter does not say whether it may learn: it counts."""
    models = [torch.nn.Linear(3, 2) for _ in range(2)]
    parameters, _buffers = torch.func.stack_module_state(models)
    template = torch.nn.Sequential(models[0])  # the module whose parameters stand in for the others'
    term = NormLoss(template)

    class Penalised(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = template

        def forward(self):
            return term(self.network)

    named = {f"network.0.{name}": value for name, value in parameters.items()}
    values = torch.func.vmap(lambda state: torch.func.functional_call(Penalised(), state, ()))(named)
    expected = torch.stack([norm_loss(model.weight) for model in models])
    torch.testing.assert_close(values, expected)
    gradient = torch.autograd.grad(values.sum(), named["network.0.weight"])[0]
    for run, model in enumerate(models):
        (single,) = torch.autograd.grad(norm_loss(model.weight), model.weight)
        torch.testing.assert_close(gradient[run], single)
