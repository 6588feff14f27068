"""An objective may hold state: running statistics, a learned head. It is trained, measured and saved with the network."""

from __future__ import annotations

import copy

import pytest
import torch

from companion import Objective, ScalableBatchNorm
from companion.methods.baselines import AMSoftmaxHead, PEDCCHead
from companion.training.loop import fit
from companion.training.optimisers import Sgd
from tests.training.small import Convolutional, convolutional, perceptron

ALL = ("fit", "lengths", "logit_gradients", "parameter_gradient")


def standardised(network):
    return Objective(logit_transform=ScalableBatchNorm(3, scale=0.8))


def headed(network):
    return Objective(head=AMSoftmaxHead(6, 3, scale=8.0, margin=0.1))


@pytest.mark.parametrize("seeds", [(5,), (5, 6)])
@pytest.mark.parametrize("network", [perceptron, convolutional])
def test_measuring_moves_nothing(make, network, seeds):
    trainee = make(seeds, standardised, network)
    trainee.train_epoch(1)
    before = copy.deepcopy(trainee.state_dict()["learners"])
    state = torch.random.get_rng_state()
    first = trainee.measure(1)
    for run, learner in before.items():
        after = trainee.state_dict()["learners"][run]
        assert all(torch.equal(after[name], value) for name, value in learner.items())
    assert any("running_mean" in name and value.abs().sum() > 0 for name, value in before["0"].items())
    assert torch.equal(state, torch.random.get_rng_state())
    again = trainee.measure(1)
    assert all(torch.equal(value, again[name]) for name, value in first.items())


def test_prediction_uses_the_running_statistics(make):
    trainee = make((5,), standardised)
    fit(trainee, 3, measure_at=())
    (learner,) = trainee.stack.learners
    norm = learner.objective.logit_transform
    raw = learner.network(trainee.test.inputs).detach()
    predicted = 0.8 * (raw - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    labels = trainee.test.labels[0]
    measured = trainee.measure(3)
    assert measured["test_error"].item() == pytest.approx(100 * (predicted.argmax(1) != labels).double().mean().item())
    nll = torch.nn.functional.cross_entropy(predicted, labels)
    assert measured["test_loss"].item() == pytest.approx(nll.item())
    assert torch.equal(trainee.correct[0], predicted.argmax(1) == labels)
    shifted = raw.argmax(1) != predicted.argmax(1)
    assert shifted.any(), "the transform moves classes against each other: raw logits would predict something else"


def test_a_checkpoint_holds_the_statistics(make, tmp_path):
    checkpoint, options = tmp_path / "run.checkpoint", {"measure_at": range(7), "checkpoint_every": 0.0}
    fit(make((5,), standardised), 4, checkpoint=checkpoint, **options)  # leaves the checkpoint of epoch 3
    saved = torch.load(checkpoint, weights_only=True)["trainee"]["learners"]["0"]
    assert saved["objective.logit_transform.running_var"].ne(1).all()
    resumed = fit(make((5,), standardised), 6, checkpoint=checkpoint, **options)
    assert resumed["metrics"] == fit(make((5,), standardised), 6, measure_at=range(7))["metrics"]


@pytest.mark.parametrize("seeds", [(5,), (5, 6)])
def test_a_learned_head_trains_and_gets_features(make, seeds, tmp_path):
    trainee = make(seeds, headed, convolutional, optimiser=Sgd(momentum=0.9))
    start = [learner.objective.head.weight.detach().clone() for learner in trainee.stack.learners]
    before = trainee.measure(0)["train_loss"]
    checkpoint = tmp_path / "run.checkpoint"
    fit(trainee, 5, measure_at=(), checkpoint=checkpoint, checkpoint_every=0.0)
    for learner, old in zip(trainee.stack.learners, start, strict=True):
        assert (learner.objective.head.weight - old).abs().max() > 1e-3
    assert (trainee.measure(5)["train_loss"] < before).all()
    learner = trainee.stack.learners[0]
    features = learner.network.features(trainee.test.inputs)
    logits = learner.objective.head(features, None)
    error = 100 * (logits.argmax(1) != trainee.test.labels[0]).double().mean()
    assert trainee.measure(5)["test_error"][0].item() == pytest.approx(error.item())
    resumed = make(seeds, headed, convolutional, optimiser=Sgd(momentum=0.9))
    fit(resumed, 5, measure_at=(), checkpoint=checkpoint, checkpoint_every=0.0)
    for mine, other in zip(resumed.stack.learners, trainee.stack.learners, strict=True):
        assert torch.equal(mine.objective.head.weight, other.objective.head.weight)


def test_a_head_s_features_are_the_network_s(make):
    centroids = PEDCCHead(6, 3)
    trainee = make((5,), lambda network: Objective(head=centroids), convolutional)
    trainee.train_epoch(1)
    assert trainee.stack.learners[0].network.convolution.weight.grad is not None
    with pytest.raises(ValueError, match="acts on features, and Sequential has no method features"):
        make((5,), headed, lambda seed: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)).double())


def test_the_gradient_probe_is_that_of_training_and_leaves_no_trace(make):
    """With batch statistics in network and objective: their gradient, not that of the running ones."""
    trainee = make((5,), standardised, convolutional)
    trainee.train_epoch(1)
    measured = trainee.measure(1)["parameter_gradient"].item()
    (learner,) = trainee.stack.learners
    twin = copy.deepcopy(learner).train()
    lengths = []
    for rows in torch.arange(50).split(16):
        gradients = torch.autograd.grad(
            twin(trainee.train.inputs[rows], trainee.train.labels[0, rows]), list(twin.parameters())
        )
        lengths.append(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    assert measured == pytest.approx(torch.stack(lengths).mean().item(), rel=1e-12)
    twin.eval()
    loss = twin(trainee.train.inputs[:16], trainee.train.labels[0, :16])
    other = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(twin.parameters()))]).norm()
    assert abs(other.item() - lengths[0].item()) > 1e-3


def test_dropout_is_drawn_from_seed_and_epoch_and_leaves_torch_s_own_source(make):
    def weights(seed, epoch):
        trainee = make((seed,), network=lambda _: Convolutional(1, dropout=0.5).double())
        state = torch.random.get_rng_state()
        trainee.train_epoch(epoch)
        assert torch.equal(state, torch.random.get_rng_state())
        return trainee.stack.learners[0].network.head.weight.detach().clone()

    assert torch.equal(weights(1, 2), weights(1, 2))
    assert not torch.equal(weights(1, 2), weights(1, 3))
    with pytest.raises(ValueError, match="dropout cannot be stacked"):
        make((1, 2), network=lambda seed: Convolutional(seed, dropout=0.5).double())


def test_frozen_parameters_stay(make):
    def frozen(seed):
        network = convolutional(seed)
        network.convolution.weight.requires_grad_(False)
        return network

    for seeds in ((5,), (5, 6)):
        trainee = make(seeds, network=frozen, weight_decay=0.1)
        start = [learner.network.convolution.weight.detach().clone() for learner in trainee.stack.learners]
        trainee.train_epoch(1)
        for learner, old in zip(trainee.stack.learners, start, strict=True):
            assert torch.equal(learner.network.convolution.weight, old)
