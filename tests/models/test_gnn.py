"""The graph networks against PyTorch Geometric, and a stack of runs against each run alone."""

from __future__ import annotations

import pytest
import torch

from companion.models.gnn import GAT, GCN, SparseGraph, SparseMatrix, keep_mask
from companion.training.graphs import GraphTrainee, StackedAdam
from companion.training.loop import fit

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


def _trainee(make, raw, graph, seeds, threshold, stability, lr):
    network = make(FEATURES, CLASSES, generators=_generators(*seeds)).double()
    orders = torch.stack([torch.randperm(NODES, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    columns = [torch.tensor(values, dtype=torch.float64) for values in (threshold, stability, lr)]
    return GraphTrainee(
        network, graph, raw[2], train_rows=orders[:, :24], test_rows=orders[:, 32:], threshold=columns[0],
        stability=columns[1], lr=columns[2], weight_decay=5e-4, seeds=seeds,
    )  # fmt: skip


@pytest.mark.parametrize("make", [GCN, GAT])
def test_a_run_in_a_stack_is_the_run_alone(make, raw, graph):
    knobs = ([1, 2, 3], [float("inf"), 0.5, 1.0], [0.0, 0.1, 0.0], [0.01, 0.02, 0.05])
    stack = _trainee(make, raw, graph, *knobs)
    alone = [_trainee(make, raw, graph, *([column[run]] for column in knobs)) for run in range(3)]
    for step in range(1, 21):
        for trainee in (stack, *alone):
            trainee.train_epoch(step)
    measured = stack.measure(20)
    for run, single in enumerate(alone):
        for mine, other in zip(stack.parameters, single.parameters, strict=True):
            torch.testing.assert_close(mine[run], other[0], rtol=0, atol=1e-9)
        for name, value in single.measure(20).items():
            torch.testing.assert_close(measured[name][run], value[0], rtol=0, atol=1e-9)


KNOBS = ([1, 2], [float("inf"), 0.5], [0.0, 0.1], [0.01, 0.05])


def test_dropout_is_drawn_from_the_seed_and_the_epoch(raw, graph):
    def length(seed, epoch):
        trainee = _trainee(GCN, raw, graph, *([column[0]] for column in KNOBS))
        trainee.seeds = (seed,)
        trainee.train_epoch(epoch)
        return trainee.gradient_length.item()

    assert length(1, 1) == length(1, 1)
    assert len({length(1, 1), length(2, 1), length(1, 2)}) == 3


def test_a_resumed_stack_repeats_the_one_that_was_not_killed(raw, graph, tmp_path):
    whole, resumed = (_trainee(GCN, raw, graph, *KNOBS) for _ in range(2))
    whole.keep_logits = resumed.keep_logits = {1: (1, 5)}
    expected = fit(whole, 6, measure_at=range(7))
    broken = _trainee(GCN, raw, graph, *KNOBS)
    broken.keep_logits = {1: (1, 5)}
    options = {"measure_at": range(7), "checkpoint": tmp_path / "run.checkpoint", "checkpoint_every": 0.0}
    fit(broken, 3, **options)  # leaves the checkpoint of epoch 2
    assert fit(resumed, 6, **options)["metrics"] == expected["metrics"]
    assert set(resumed.kept) == {"1/1", "1/5"}
    assert all(torch.equal(whole.kept[name], resumed.kept[name]) for name in whole.kept)


def test_a_stack_measures_its_own_rows_and_gradient(raw, graph):
    trainee = _trainee(GCN, raw, graph, *KNOBS)
    trainee.network.dropout = 0.0
    logits = trainee.network(graph)
    train, test = (
        torch.stack([logits[run, rows[run]] for run in range(2)]) for rows in (trainee.train_rows, trainee.test_rows)
    )
    gradients = torch.autograd.grad(trainee.loss(train).sum(), trainee.parameters)
    lengths = torch.cat([gradient.flatten(1) for gradient in gradients], 1).norm(dim=1)
    full = trainee.measure(0)
    torch.testing.assert_close(
        full["test_error"], 100 * (test.argmax(-1) != trainee.test_labels).double().mean(1), rtol=0, atol=1e-12
    )
    trainee.full = False
    searched = trainee.measure(0)
    assert set(searched) == {"test_error", "test_loss", "test_entropy"}
    assert all(torch.equal(value, full[name]) for name, value in searched.items())
    trainee.full = True
    trainee.train_epoch(1)
    torch.testing.assert_close(trainee.measure(1)["parameter_gradient"], lengths, rtol=0, atol=1e-12)


def test_the_stacked_loss_is_the_objective(raw, graph):
    from companion import Objective, PartialNorm, length_stability

    trainee = _trainee(GCN, raw, graph, [1, 2], [float("inf"), 0.05], [0.3, 0.0], [0.1, 0.1])
    logits = trainee.network(graph).detach()[:, :24]
    losses = trainee.loss(logits)
    for run, (threshold, weight) in enumerate([(float("inf"), 0.3), (0.05, 0.0)]):
        objective = Objective(
            logit_transform=PartialNorm(threshold), penalties={"stability": (length_stability, weight)}
        )
        torch.testing.assert_close(
            losses[run], objective(logits[run], trainee.train_labels[run])["loss"], rtol=0, atol=1e-12
        )


def test_stacked_adam_is_torch_s():
    start = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rates = [0.1, 0.01]
    stacked = torch.nn.Parameter(start.clone())
    ours = StackedAdam([stacked], torch.tensor(rates, dtype=torch.float64), weight_decay=0.01)
    singles = [torch.nn.Parameter(part.clone()) for part in start]
    theirs = [torch.optim.Adam([part], lr=rate, weight_decay=0.01) for part, rate in zip(singles, rates, strict=True)]
    for _ in range(10):
        (gradient,) = torch.autograd.grad(stacked.sin().sum(), stacked)
        ours.step([gradient])
        for part, optimiser in zip(singles, theirs, strict=True):
            optimiser.zero_grad()
            part.sin().sum().backward()
            optimiser.step()
    torch.testing.assert_close(stacked.detach(), torch.stack([part.detach() for part in singles]), rtol=0, atol=1e-12)
