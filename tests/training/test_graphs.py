"""Stacks of graph networks under any objective: a run in a stack is the run alone."""

from __future__ import annotations

import functools

import pytest
import torch

from companion import (
    NormLoss,
    Objective,
    PartialNorm,
    PowerGradCrossEntropy,
    ScalableBatchNorm,
    TamedCrossEntropy,
    length_stability,
)
from companion.methods.baselines import AMSoftmaxHead, clip_by_norm_
from companion.models.gnn import GAT, GCN, SparseGraph
from companion.training.graphs import GraphTrainee
from companion.training.images import Recipe
from companion.training.learner import Learner
from companion.training.loop import fit
from companion.training.optimisers import Adam, Sgd
from companion.training.schedules import Cosine

NODES, FEATURES, CLASSES = 40, 12, 3


@pytest.fixture(scope="module")
def raw():
    generator = torch.Generator().manual_seed(0)
    features = (torch.rand(NODES, FEATURES, generator=generator) < 0.3).double()
    features[features.sum(1) == 0, 0] = 1
    pairs = torch.combinations(torch.arange(NODES))
    pairs = pairs[torch.rand(len(pairs), generator=generator) < 0.1].T
    edges = torch.cat([pairs, pairs.flip(0)], 1)
    return SparseGraph.from_dense(features, edges, dtype=torch.float64), torch.randint(
        0, CLASSES, (NODES,), generator=generator
    )


def partial(network):
    return Objective(logit_transform=PartialNorm(0.7), penalties={"stability": (length_stability, 0.2)})


OBJECTIVES = {
    "cross-entropy": lambda network: Objective(),
    "partial norm": partial,
    "tamed": lambda network: Objective(criterion=TamedCrossEntropy(1.5)),
    "PowerGrad": lambda network: Objective(criterion=PowerGradCrossEntropy(0.3)),
    "batch norm of logits": lambda network: Objective(logit_transform=ScalableBatchNorm(CLASSES, 0.8)),
    "norm loss": lambda network: Objective(penalties={"norm": (NormLoss(network), 0.05)}),
    "decoupled norm loss": lambda network: Objective(decoupled={"norm": (NormLoss(network), 0.05)}),
    "clipped": lambda network: Objective(clip=functools.partial(clip_by_norm_, max_norm=0.01)),
}


def trainee(raw, seeds, objective=OBJECTIVES["cross-entropy"], make=GCN, *, lr=0.02, epochs=20, **values):
    graph, labels = raw
    options = {name: values.pop(name) for name in ("full", "weight_decay", "keep_logits_at") if name in values}
    recipe = Recipe(**{"optimiser": Adam(weight_decay=5e-4), "epochs": epochs, **values})
    learners = []
    for seed in seeds:
        network = make(FEATURES, CLASSES, generators=[torch.Generator().manual_seed(seed)]).double()
        learners.append(Learner(network, objective(network).double()))
    orders = torch.stack([torch.randperm(NODES, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    return GraphTrainee(
        learners,
        graph,
        labels,
        train_rows=orders[:, :24],
        test_rows=orders[:, 32:],
        seeds=seeds,
        recipe=recipe,
        lr=lr,
        **options,
    )


@pytest.mark.parametrize("make", [GCN, GAT])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_run_in_a_stack_is_the_run_alone(raw, name, make):
    # Batch norm takes a shift of the logits away again: the last bias has no gradient but rounding, which Adam would blow up.
    values = {"optimiser": Sgd(momentum=0.9), "lr": 0.2} if name == "batch norm of logits" else {}
    stack = trainee(raw, (1, 2, 3), OBJECTIVES[name], make, **values)
    alone = [trainee(raw, (seed,), OBJECTIVES[name], make, **values) for seed in (1, 2, 3)]
    for step in range(1, 21):
        for one in (stack, *alone):
            one.train_epoch(step)
    measured = stack.measure(20)
    for run, single in enumerate(alone):
        mine, other = stack.stack.learners[run].state_dict(), single.stack.learners[0].state_dict()
        for key, value in mine.items():
            torch.testing.assert_close(value, other[key], rtol=0, atol=1e-9)
        for key, value in single.measure(20).items():
            torch.testing.assert_close(measured[key][run], value[0], rtol=0, atol=1e-9)
        assert torch.equal(stack.correct[run], single.correct[0])


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "cross-entropy"])
def test_the_objective_is_the_one_that_trains(raw, name):
    plain, other = trainee(raw, (1, 2)), trainee(raw, (1, 2), OBJECTIVES[name])
    for step in (1, 2, 3):
        plain.train_epoch(step)
        other.train_epoch(step)
    gaps = [
        (a - b).abs().max()
        for one, two in zip(plain.stack.learners, other.stack.learners, strict=True)
        for a, b in zip(one.network.parameters(), two.network.parameters(), strict=True)
    ]
    assert max(gaps) > 1e-4


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_steps_are_the_plain_loop_s(raw, seeds):
    graph, labels = raw
    made = trainee(
        raw, seeds, partial, optimiser=Sgd(momentum=0.9, weight_decay=0.01), schedule=Cosine(), epochs=4, lr=0.5
    )
    for epoch in range(1, 5):
        made.train_epoch(epoch)
    for run, seed in enumerate(seeds):
        network = GCN(FEATURES, CLASSES, generators=[torch.Generator().manual_seed(seed)]).double()
        objective = partial(network)
        optimiser = torch.optim.SGD(network.parameters(), lr=0.5, momentum=0.9, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 4)
        for epoch in range(1, 5):
            made.generators[run].manual_seed(_dropout_seed(seed, epoch))
            logits = network(graph, [made.generators[run]])[0, made.train_rows[run]]
            optimiser.zero_grad()
            objective(logits, labels[made.train_rows[run]])["loss"].backward()
            optimiser.step()
            schedule.step()
        for mine, other in zip(made.stack.learners[run].network.parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-10)


def _dropout_seed(seed, epoch):
    import numpy as np

    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]) >> 1


def test_dropout_is_drawn_from_the_seed_and_the_epoch(raw):
    def length(seed, epoch):
        made = trainee(raw, (1,))
        made.seeds = (seed,)
        made.train_epoch(epoch)
        return made.gradient_length.item()

    assert length(1, 1) == length(1, 1)
    assert len({length(1, 1), length(2, 1), length(1, 2)}) == 3


def test_a_resumed_stack_repeats_the_one_that_was_not_killed(raw, tmp_path):
    def made():
        return trainee(raw, (1, 2), OBJECTIVES["batch norm of logits"], keep_logits_at=(1, 5))

    whole, resumed = made(), made()
    expected = fit(whole, 6, measure_at=range(7))
    options = {"measure_at": range(7), "checkpoint": tmp_path / "run.checkpoint", "checkpoint_every": 0.0}
    fit(made(), 3, **options)  # leaves the checkpoint of epoch 2
    assert fit(resumed, 6, **options)["metrics"] == expected["metrics"]
    assert set(resumed.kept) == {"0/1", "0/5", "1/1", "1/5"}
    assert all(torch.equal(whole.kept[name], resumed.kept[name]) for name in whole.kept)


def test_a_stack_measures_its_own_rows_and_gradient(raw):
    graph, labels = raw
    made = trainee(raw, (1, 2), make=functools.partial(GCN, dropout=0.0))
    full = made.measure(0)
    for run, learner in enumerate(made.stack.learners):
        logits = learner.network(graph)[0]
        rows, tested = made.train_rows[run], made.test_rows[run]
        loss = torch.nn.functional.cross_entropy(logits[rows], labels[rows])
        gradients = torch.autograd.grad(loss, list(learner.network.parameters()))
        length = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        error = 100 * (logits[tested].argmax(1) != labels[tested]).double().mean()
        torch.testing.assert_close(full["test_error"][run], error, rtol=0, atol=1e-12)
        made_length = length
        fresh = trainee(raw, (1, 2), make=functools.partial(GCN, dropout=0.0))
        fresh.train_epoch(1)
        torch.testing.assert_close(fresh.measure(1)["parameter_gradient"][run], made_length, rtol=0, atol=1e-12)
    searched = trainee(raw, (1, 2), make=functools.partial(GCN, dropout=0.0), full=False).measure(0)
    assert set(searched) == {"test_error", "test_loss", "test_entropy"}
    assert all(torch.equal(value, full[name]) for name, value in searched.items())


def test_what_graphs_cannot_do_is_said(raw):
    with pytest.raises(ValueError, match="acts on features, and GCN has no method features"):
        trainee(raw, (1,), lambda network: Objective(head=AMSoftmaxHead(4, CLASSES)))
    for values in ({"augment": ("flip",)}, {"accumulate": 2}, {"precision": "bf16"}, {"channels_last": True}):
        with pytest.raises(ValueError, match="a step is one full batch"):
            trainee(raw, (1,), **values)
