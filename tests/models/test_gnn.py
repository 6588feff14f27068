"""The graph networks against PyTorch Geometric, and a stack of runs against each run alone."""

from __future__ import annotations

import runpy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from companion import NormLoss, Objective, adaptive_clip_grad_, clip_by_norm_, norm_loss
from companion.models import gnn
from companion.models.gnn import GAT, GCN, SparseGraph, SparseMatrix, keep_mask

NODES, FEATURES, CLASSES = 40, 30, 4


@pytest.fixture(scope="module")
def raw():
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(0, NODES, (2, 150), generator=generator)
    pairs = pairs[:, pairs[0] != pairs[1]]
    edges = torch.unique(torch.cat([pairs, pairs.flip(0)], 1), dim=1)
    features = torch.rand(NODES, FEATURES, generator=generator, dtype=torch.float64)
    features = features * (torch.rand(NODES, FEATURES, generator=generator) < 0.3)
    labels = torch.randint(0, CLASSES, (NODES,), generator=generator)
    return features, edges, labels


@pytest.fixture(scope="module")
def graph(raw):
    return SparseGraph.from_dense(raw[0], raw[1], dtype=torch.float64)


def _generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def _scramble(network):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(
                0.5 * torch.randn(parameter.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
            )
    return network


def _normalised(features):
    return features / features.sum(1, keepdim=True).clamp_min(1e-300)


def test_sparse_matrix_and_its_transpose():
    dense = torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]])
    row, col = dense.nonzero(as_tuple=True)
    pattern, order = SparseMatrix.from_pairs(row, col, (2, 3))
    values = dense[row, col][order]
    assert torch.equal(pattern.matrix(values).to_dense(), dense)
    assert torch.equal(pattern.matrix(values, transposed=True).to_dense(), dense.T)
    assert pattern.rows().tolist() == [0, 1, 1]


def test_gcn_is_geometric_s(raw, graph):
    geometric = pytest.importorskip("torch_geometric.nn")
    network = _scramble(GCN(FEATURES, CLASSES, generators=_generators(0)).double())
    one, two = geometric.GCNConv(FEATURES, 16).double(), geometric.GCNConv(16, CLASSES).double()
    for layer, index in ((one, 1), (two, 2)):
        layer.lin.weight.data = getattr(network, f"weight{index}")[0].detach().T.clone()
        layer.bias.data = getattr(network, f"bias{index}")[0, 0].detach().clone()
    expected = two(torch.relu(one(_normalised(raw[0]), raw[1])), raw[1])
    torch.testing.assert_close(network(graph)[0], expected, rtol=0, atol=1e-10)


def test_gat_is_geometric_s_with_its_gradient(raw, graph):
    geometric = pytest.importorskip("torch_geometric.nn")
    network = _scramble(GAT(FEATURES, CLASSES, generators=_generators(0)).double())
    one, two = geometric.GATConv(FEATURES, 8, heads=8).double(), geometric.GATConv(64, CLASSES, heads=1).double()
    for layer, index in ((one, 1), (two, 2)):
        layer.lin.weight.data = getattr(network, f"weight{index}")[0].detach().T.clone()
        layer.bias.data = getattr(network, f"bias{index}")[0, 0].detach().clone()
        layer.att_src.data = getattr(network, f"source{index}").detach().clone()
        layer.att_dst.data = getattr(network, f"target{index}").detach().clone()
    expected = two(torch.nn.functional.elu(one(_normalised(raw[0]), raw[1])), raw[1])
    logits = network(graph)[0]
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)
    weights = torch.randn(logits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    theirs = torch.autograd.grad((expected * weights).sum(), [one.lin.weight, one.att_src, one.att_dst, two.att_src])
    ours = torch.autograd.grad(
        (logits * weights).sum(), [network.weight1, network.source1, network.target1, network.source2]
    )
    for mine, other in zip(ours, theirs, strict=True):
        mine = mine[0].T if mine.shape[1:] != other.shape[1:] else mine
        torch.testing.assert_close(mine.reshape(-1), other.reshape(-1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("make", [GCN, GAT])
def test_gradient_with_dropout(graph, make):
    network = _scramble(make(FEATURES, CLASSES, generators=_generators(0)).double())
    network.dropout = 0.5
    parameters = list(network.parameters())
    names = [name for name, _ in network.named_parameters()]

    def total(*values):
        logits = torch.func.functional_call(network, dict(zip(names, values, strict=True)), (graph, _generators(3)))
        return logits.square().sum()

    assert torch.autograd.gradcheck(total, parameters, fast_mode=True)


def test_attention_survives_scores_far_apart(graph):
    network = _scramble(GAT(FEATURES, CLASSES, generators=_generators(0)).double())
    with torch.no_grad():
        network.source1.mul_(1e5)
    logits = network(graph)
    assert torch.isfinite(logits).all()
    gradients = torch.autograd.grad(logits.square().sum(), list(network.parameters()))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_masks_keep_the_right_share_and_follow_their_generator():
    masks = keep_mask((1000, 100), 0.6, _generators(1, 2, 1), device=torch.device("cpu"), dtype=torch.float64)
    assert torch.equal(masks[0], masks[2])
    assert not torch.equal(masks[0], masks[1])
    assert masks.ne(0).double().mean(dim=(1, 2)).sub(0.4).abs().max() < 0.01
    assert masks.max().item() == pytest.approx(1 / 0.4, rel=1e-4)


def test_attention_is_exact_where_a_node_is_far_below_the_largest():
    """Scores 2,000 apart: a shift by the largest of all would leave 0/0 at nodes whose neighbours are all low."""
    edges = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
    graph = SparseGraph.from_dense(torch.eye(4), edges)
    network = GAT(4, 1, heads=1, hidden=1, generators=_generators(0))
    value = torch.tensor([1000.0, 1000.5, -1000.0, -1000.5])
    with torch.no_grad():
        network.weight1.copy_(value[None, :, None])
        network.source1.fill_(1.0)
        network.target1.fill_(0.0)
        network.weight2.fill_(1.0)
        network.source2.fill_(0.0)  # the second layer takes the plain mean
        network.target2.fill_(0.0)
    logits = network(graph)[0, :, 0].double()
    high = (1000 + 1000.5 * torch.e**0.5) / (1 + torch.e**0.5)  # two neighbours, scores 0.5 apart
    assert logits[:2].tolist() == pytest.approx([high, high], rel=1e-6)
    assert logits[2:].tolist() == pytest.approx([-1.0, -1.0], rel=1e-6)  # elu of about −1000
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(logits.sum(), list(network.parameters())))


class _Asks(TorchDispatchMode):
    """Notes operations whose answer, or its size, is a value: an accelerator would make the host wait for it."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        asking = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2")
        self.found += [name for name in asking if func.overloadpacket.__name__ == name]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("make", [GCN, GAT])
def test_no_step_asks_for_a_value(graph, make):
    with _Asks() as asks:
        bool(torch.ones(1).any())
    assert asks.found == ["_local_scalar_dense"]
    network = make(FEATURES, CLASSES, generators=_generators(0, 1)).double()
    with _Asks() as asks:
        network(graph, _generators(2, 3)).square().sum().backward()
    assert asks.found == []


def _total(network, graph, generators=None):
    """Return what `gradcheck` wants: a function of the parameters."""
    names = [name for name, _ in network.named_parameters()]

    def total(*values):
        draws = None if generators is None else _generators(*generators)
        return torch.func.functional_call(network, dict(zip(names, values, strict=True)), (graph, draws)).square().sum()

    return total


@pytest.mark.parametrize("make", [GCN, GAT])
@pytest.mark.parametrize("dropped", [None, (3, 4)])
def test_second_derivatives(graph, make, dropped):
    network = _scramble(make(FEATURES, CLASSES, generators=_generators(0, 1)).double())
    assert torch.autograd.gradgradcheck(_total(network, graph, dropped), list(network.parameters()), fast_mode=True)


@pytest.mark.parametrize("make", [GCN, GAT])
def test_a_derivative_to_be_differentiated_is_the_same(graph, make):
    network = _scramble(make(FEATURES, CLASSES, generators=_generators(0, 1)).double())
    parameters, total = list(network.parameters()), _total(network, graph, (3, 4))
    plain = torch.autograd.grad(total(*parameters), parameters)
    recorded = torch.autograd.grad(total(*parameters), parameters, create_graph=True)
    torch.testing.assert_close([gradient.detach() for gradient in recorded], list(plain), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [GCN, GAT])
def test_a_second_derivative_with_a_frozen_part(graph, make):
    network = _scramble(make(FEATURES, CLASSES, generators=_generators(0)).double())
    last = "weight2" if make is GCN else "source2"
    network.requires_grad_(False).get_parameter(last).requires_grad_(True)
    parameter = network.get_parameter(last)
    (gradient,) = torch.autograd.grad(network(graph).square().sum(), parameter, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), parameter)
    assert second.abs().max() > 0


@pytest.mark.parametrize("make", [GCN, GAT])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_leaves_the_networks_in_float32(raw, make, dtype):
    graph = SparseGraph.from_dense(*raw[:2])
    network = make(FEATURES, CLASSES, generators=_generators(0, 1))
    expected = network(graph, _generators(2, 3))
    gradients = torch.autograd.grad(expected.square().sum(), list(network.parameters()))
    with torch.autocast("cpu", dtype):
        logits = network(graph, _generators(2, 3))
        inside = torch.autograd.grad(logits.square().sum(), list(network.parameters()), retain_graph=True)
    outside = torch.autograd.grad(logits.square().sum(), list(network.parameters()))
    assert torch.equal(logits, expected)
    torch.testing.assert_close(outside, gradients, rtol=0, atol=0)
    # torch advises against a backward pass inside: it takes the dense products in half precision.
    for mine, other in zip(inside, gradients, strict=True):
        assert (mine - other).norm() < 8 * torch.finfo(dtype).eps * other.norm()


@pytest.mark.parametrize("make", [GCN, GAT])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_compute_in_float32(raw, make, dtype):
    graph = SparseGraph.from_dense(*raw[:2])
    network = make(FEATURES, CLASSES, generators=_generators(0, 1)).to(dtype)
    logits = network(graph, _generators(2, 3))
    logits.float().square().sum().backward()
    wide = make(FEATURES, CLASSES, generators=_generators(0, 1))
    wide.load_state_dict(network.state_dict())
    assert logits.dtype == dtype
    assert torch.equal(logits, wide(graph, _generators(2, 3)).to(dtype))
    assert all(p.grad.dtype == dtype and p.grad.isfinite().all() for p in network.parameters())
    half = SparseGraph.from_dense(*raw[:2], dtype=dtype)
    assert half.feature_values.dtype == half.gcn_weights.dtype == dtype
    torch.testing.assert_close(half.gcn_weights, graph.gcn_weights.to(dtype), rtol=0, atol=0)
    torch.testing.assert_close(wide(half), wide(graph), rtol=0, atol=0.05)


@pytest.mark.parametrize("make", [GCN, GAT])
def test_the_weights_decide_the_dtype(raw, graph, make):
    network = make(FEATURES, CLASSES, generators=_generators(0))
    assert network(graph).dtype == torch.float32
    torch.testing.assert_close(network(graph), network(SparseGraph.from_dense(*raw[:2])))


def test_a_row_whose_sum_is_zero_becomes_zero_and_a_negative_sum_divides():
    features = torch.tensor([[1.0, -1.0], [0.0, 0.0], [-3.0, 1.0], [1.0, 3.0]])
    edges = torch.tensor([[0, 1], [1, 0]])
    graph = SparseGraph.from_dense(features, edges)
    dense = graph.features.matrix(graph.feature_values).to_dense()
    assert dense.tolist() == [[0.0, 0.0], [0.0, 0.0], [1.5, -0.5], [0.25, 0.75]]
    raw = SparseGraph.from_dense(features, edges, normalise=False)
    assert torch.equal(raw.features.matrix(raw.feature_values).to_dense(), features)


def test_dropout_of_one_drops_everything_as_in_torch(graph):
    masks = keep_mask((1000,), 1.0, _generators(1), device=torch.device("cpu"), dtype=torch.float32)
    assert masks.abs().max() == 0
    almost = keep_mask((1000,), 1 - 1e-7, _generators(1), device=torch.device("cpu"), dtype=torch.float32)
    assert almost.abs().max() == 0
    assert keep_mask((10**5,), 0.0, _generators(1), device=torch.device("cpu"), dtype=torch.float32).min() == 1
    for make in (GCN, GAT):
        network = _scramble(make(FEATURES, CLASSES, dropout=1.0, generators=_generators(0)).double())
        torch.testing.assert_close(network(graph, _generators(1)), network.bias2.expand(1, NODES, CLASSES))


@pytest.mark.parametrize("make", [GCN, GAT])
def test_errors(graph, make):
    for dropout in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="dropout must be >= 0 and <= 1"):
            make(FEATURES, CLASSES, dropout=dropout)
    network = make(FEATURES, CLASSES).double()
    network.dropout = 1.5
    with pytest.raises(ValueError, match="dropout must be >= 0 and <= 1"):
        network(graph, _generators(0))
    with pytest.raises(IndexError):
        network.layers(1)
    with pytest.raises(ValueError, match="slope must be >= 0"):
        GAT(FEATURES, CLASSES, slope=-0.2)  # the largest score would not be that of the largest neighbour


def test_default_device():
    with torch.device("meta"):
        names = runpy.run_path(gnn.__file__)  # the module can be imported
        network = GAT(FEATURES, CLASSES, generators=_generators(0, 1))
    assert "GAT" in names
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}


@pytest.mark.parametrize("make", [GCN, GAT])
def test_a_graph_built_in_inference_mode_can_be_trained_on(raw, make):
    with torch.inference_mode():
        graph = SparseGraph.from_dense(*raw[:2])
        network = make(FEATURES, CLASSES, generators=_generators(0))
        inside = network(graph)
    network = make(FEATURES, CLASSES, generators=_generators(0))
    logits = network(graph)
    logits.sum().backward()
    assert torch.equal(logits, inside)


SEEDS = (5, 6, 7)


def _long(network):
    """Lengthen some weight vectors, so that norm loss pulls in both directions."""
    with torch.no_grad():
        network.weight1[..., ::2].mul_(3)
        network.weight2[..., 0].mul_(2)
    return network


def _as_linear(network):
    """Return a single network's two weights as ordinary layers, copied: what its stack's run should be taken for."""
    layers = nn.ModuleDict()
    for index in (1, 2):
        weight, bias = (getattr(network, f"{kind}{index}").detach()[0] for kind in ("weight", "bias"))
        layers[str(index)] = nn.Linear(*weight.shape, dtype=weight.dtype)
        layers[str(index)].load_state_dict({"weight": weight.T.clone(), "bias": bias[0].clone()})
    return layers


@pytest.mark.parametrize("make", [GCN, GAT])
def test_norm_loss_of_each_run_is_that_of_the_network_alone(make):
    stack = _long(make(FEATURES, CLASSES, generators=_generators(*SEEDS)).double())
    term, values = NormLoss(stack), []
    with torch.inference_mode():
        measured = [term(stack.layers(run)).item() for run in range(3)]
    for run, seed in enumerate(SEEDS):
        single = _long(make(FEATURES, CLASSES, generators=_generators(seed)).double())
        linear = _as_linear(single)
        expected = norm_loss(linear["1"].weight) + norm_loss(linear["2"].weight)
        gradients = torch.autograd.grad(expected, [linear["1"].weight, linear["2"].weight])
        values.append(expected.detach())
        torch.testing.assert_close(torch.tensor(measured[run], dtype=torch.float64), values[run])
        for network, index in ((stack, run), (single, 0)):  # a single network is a stack of one
            value = term(network.layers(index))
            torch.testing.assert_close(value.detach(), values[run])
            found = torch.autograd.grad(value, [network.weight1, network.weight2])
            for mine, other in zip(found, gradients, strict=True):
                torch.testing.assert_close(mine[index], other.T)
                assert mine.flatten(1).any(1).sum() == 1  # no other run is touched
        torch.testing.assert_close(NormLoss(single).norm().detach(), values[run])
    assert term.names() == ["weight1", "weight2"]
    torch.testing.assert_close(term.norm().detach(), torch.stack(values).sum())


@pytest.mark.parametrize("make", [GCN, GAT])
def test_decoupled_steps_and_clipping_act_on_one_run(make):
    stack = _long(make(FEATURES, CLASSES, generators=_generators(*SEEDS)).double())
    before = {name: parameter.detach().clone() for name, parameter in stack.named_parameters()}
    single = _as_linear(_long(make(FEATURES, CLASSES, generators=_generators(SEEDS[1])).double()))
    for parameter in (*stack.parameters(), *single.parameters()):
        parameter.grad = torch.ones_like(parameter)
    for clip in (adaptive_clip_grad_, lambda named: clip_by_norm_([p for n, p in named if "weight" in n], 2.0)):
        Objective(clip=clip).after_backward(stack.layers(1))
        Objective(clip=clip).after_backward(single)
        for index in ("1", "2"):
            weight, bias = stack.get_parameter(f"weight{index}"), stack.get_parameter(f"bias{index}")
            torch.testing.assert_close(weight.grad[1], single[index].weight.grad.T)
            torch.testing.assert_close(bias.grad[1, 0], single[index].bias.grad)
            assert (weight.grad[::2] == 1).all()
            assert (bias.grad[::2] == 1).all()
    objective = Objective(decoupled={"norm": (NormLoss(stack), 0.5)})
    objective.after_step(stack.layers(1), lr=0.2)
    objective.after_step(single, lr=0.2)
    for name, parameter in stack.named_parameters():
        moved = [not torch.equal(parameter[run], before[name][run]) for run in range(3)]
        assert moved == [False, name.startswith("weight"), False]
    torch.testing.assert_close(stack.weight1[1].detach(), single["1"].weight.detach().T)
    weights = [stack.weight1, stack.weight2]
    gradients = torch.autograd.grad(NormLoss(stack).norm(), weights)
    expected = [(weight - 0.1 * gradient).detach() for weight, gradient in zip(weights, gradients, strict=True)]
    NormLoss(stack).decoupled_step_(0.1)  # on the whole stack
    torch.testing.assert_close([weight.detach() for weight in weights], expected)


def test_a_frozen_run_stays_frozen_in_its_layers():
    stack = GCN(FEATURES, CLASSES, generators=_generators(*SEEDS))
    stack.weight1.requires_grad_(False)
    assert [name for name, p in stack.layers(0).named_parameters() if not p.requires_grad] == ["weight1"]
    assert NormLoss(stack).names() == ["weight2"]
