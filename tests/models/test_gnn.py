"""The graph networks against PyTorch Geometric, and a stack of runs against each run alone."""

from __future__ import annotations

import pytest
import torch

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
