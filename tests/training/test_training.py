"""The loop, its checkpoints, the written-out perceptron step, and the probes."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy, multi_margin_loss

from companion import Objective, PartialNorm, length_stability, partial_norm
from companion.models.mlp import MLP
from companion.training.images import ImageTrainee
from companion.training.loop import fit
from companion.training.perceptrons import PerceptronTrainee, logit_gradient
from companion.training.probes import all_probes, class_loss, fit_probes, logit_probes, row_losses

KNOBS = [(float("inf"), 0.0), (1.0, 0.0), (float("inf"), 0.3), (1.0, 0.3)]


def _objective(threshold, stability):
    penalties = {"stability": (length_stability, stability)} if stability else {}
    return Objective(logit_transform=PartialNorm(threshold), penalties=penalties)


def _data(rows=70):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, 1, 3, 4, generator=generator, dtype=torch.float64)
    return inputs, (inputs.flatten(1) @ torch.randn(12, 3, generator=generator, dtype=torch.float64)).argmax(1)


def _trainee(kind=ImageTrainee, knobs=(1.0, 0.3), seed=5, **options):
    network = MLP((12, 8, 3), generator=torch.Generator().manual_seed(seed)).double()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.3, weight_decay=0.01)
    data = _data()
    return kind(
        network, data, data, probe_rows=torch.arange(50), objective=_objective(*knobs), optimiser=optimiser,
        batch_size=16, seed=seed, **options,
    )  # fmt: skip


class Shrinking:
    """A decoupled term that notes its step sizes."""

    def __init__(self):
        self.steps = []

    def decoupled_step_(self, lr, model):
        """Note the step size."""
        self.steps.append(lr)


class KilledError(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("kind", [ImageTrainee, PerceptronTrainee])
def test_killed_and_resumed_is_never_killed(kind, tmp_path):
    whole = _trainee(kind, keep_logits_at=(0, 3, 6))
    expected = fit(whole, 6, measure_at=range(7))
    checkpoint = tmp_path / "run.checkpoint"

    def kill(epoch):
        if epoch == 4:
            raise KilledError

    broken = _trainee(kind, keep_logits_at=(0, 3, 6))
    with pytest.raises(KilledError):
        fit(broken, 6, measure_at=range(7), checkpoint=checkpoint, checkpoint_every=0.0, on_epoch=kill)
    resumed = _trainee(kind, keep_logits_at=(0, 3, 6), seed=5)
    measured = fit(resumed, 6, measure_at=range(7), checkpoint=checkpoint, checkpoint_every=0.0)
    assert measured["epochs"] == expected["epochs"]
    assert measured["metrics"] == expected["metrics"]
    for name in (0, 3, 6):
        assert torch.equal(whole.kept[name], resumed.kept[name])


def test_a_resumed_run_keeps_its_momentum_and_its_seconds(tmp_path):
    def trainee():
        made = _trainee()
        made.optimiser.param_groups[0]["momentum"] = 0.9
        return made

    checkpoint, options = tmp_path / "run.checkpoint", {"measure_at": (6,), "checkpoint_every": 0.0}
    fit(trainee(), 3, checkpoint=checkpoint, **options)  # leaves the checkpoint of epoch 2
    torch.save({**torch.load(checkpoint, weights_only=True), "seconds": 1000.0}, checkpoint)
    resumed = fit(trainee(), 6, checkpoint=checkpoint, **options)
    assert resumed["metrics"] == fit(trainee(), 6, measure_at=(6,))["metrics"]
    assert resumed["seconds"] > 1000
    assert torch.load(checkpoint, weights_only=True)["seconds"] > 1000


@pytest.mark.parametrize("knobs", KNOBS)
def test_the_written_out_step_is_autograd_s(knobs):
    generic, written = _trainee(ImageTrainee, knobs), _trainee(PerceptronTrainee, knobs)
    for epoch in (1, 2, 3):
        generic.train_epoch(epoch)
        written.train_epoch(epoch)
    for mine, other in zip(written.network.parameters(), generic.network.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("knobs", KNOBS)
def test_the_logit_gradient_is_that_of_the_library(knobs):
    logits = 2 * torch.randn(32, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    labels = torch.randint(0, 5, (32,), generator=torch.Generator().manual_seed(4))
    leaf = logits.clone().requires_grad_()
    (expected,) = torch.autograd.grad(_objective(*knobs)(leaf, labels)["loss"], leaf)
    torch.testing.assert_close(logit_gradient(logits, labels, *knobs), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("logits", [torch.zeros(4, 3), torch.ones(4, 3), 1e4 * torch.eye(3)[[0, 1, 2, 0]]])
def test_the_logit_gradient_is_finite_at_its_corners(logits):
    leaf = logits.clone().requires_grad_()
    labels = torch.tensor([0, 1, 2, 1])
    (expected,) = torch.autograd.grad(_objective(1.0, 0.5)(leaf, labels)["loss"], leaf)
    torch.testing.assert_close(logit_gradient(logits, labels, 1.0, 0.5), expected, rtol=0, atol=1e-6)


def test_the_written_out_step_refuses_what_it_cannot_do():
    network = MLP((12, 3))
    data = _data()
    common = {"probe_rows": torch.arange(2), "batch_size": 4, "seed": 0}
    sgd = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    with pytest.raises(ValueError, match="momentum"):
        PerceptronTrainee(network, data, data, objective=Objective(), optimiser=sgd, **common)
    with pytest.raises(TypeError, match="SGD"):
        PerceptronTrainee(
            network, data, data, objective=Objective(), optimiser=torch.optim.Adam(network.parameters()), **common
        )
    plain = torch.optim.SGD(network.parameters(), lr=0.1)
    others = [
        Objective(criterion=torch.nn.functional.multi_margin_loss),
        Objective(head=lambda features, target: features),
        Objective(clip=lambda parameters: None),
        Objective(decoupled={"term": (Shrinking(), 0.5)}),
        Objective(logit_transform=lambda logits: logits),
    ]
    for other in others:
        with pytest.raises(ValueError, match="cross-entropy"):
            PerceptronTrainee(network, data, data, objective=other, optimiser=plain, **common)
    up = torch.optim.SGD(network.parameters(), lr=0.1, maximize=True)
    with pytest.raises(ValueError, match="maximising"):
        PerceptronTrainee(network, data, data, objective=Objective(), optimiser=up, **common)


def test_every_epoch_sees_every_row_once_in_an_order_of_its_own():
    trainee = _trainee()
    orders = [trainee.batch_order(epoch) for epoch in (1, 2, 1)]
    assert torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[1])
    assert torch.equal(orders[0].sort().values, torch.arange(70))
    assert not torch.equal(orders[0], _trainee(seed=6).batch_order(1))


def test_decoupled_terms_step_with_the_learning_rate():
    trainee, term = _trainee(), Shrinking()
    trainee.objective = Objective(decoupled={"term": (term, 0.5)})
    trainee.train_epoch(1)
    assert term.steps == pytest.approx([0.15] * 5)


def test_a_network_is_measured_without_its_dropout():
    trainee = _trainee()
    expected = trainee.measure(0)
    trainee.network = torch.nn.Sequential(trainee.network, torch.nn.Dropout(0.5))
    for name, value in trainee.measure(0).items():
        torch.testing.assert_close(value, expected[name])
    trainee.train_epoch(1)
    assert trainee.network.training


def test_training_probes_are_of_the_probe_rows():
    trainee = _trainee()
    trainee.probe_rows, trainee.batch_size = torch.arange(20, 70), 4
    inputs, labels = (part[20:] for part in trainee.train)
    measured = trainee.measure(0)
    error = 100 * (trainee.network(inputs).argmax(1) != labels).double().mean()
    torch.testing.assert_close(measured["train_error"][0], error)
    lengths = []
    for part in torch.arange(40).split(4):
        loss = trainee.objective(trainee.network(inputs[part]), labels[part])["loss"]
        gradients = torch.autograd.grad(loss, list(trainee.network.parameters()))
        lengths.append(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    torch.testing.assert_close(measured["parameter_gradient"][0], torch.stack(lengths).mean())


def test_arms_of_a_seed_are_paired():
    first, second = _trainee(knobs=KNOBS[0]), _trainee(knobs=KNOBS[3])
    assert torch.equal(first.batch_order(2), second.batch_order(2))
    assert torch.equal(first.network.layers[0].weight, second.network.layers[0].weight)


def test_probes_against_row_by_row():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(1, 20, 4, dtype=torch.float64, generator=generator)
    labels = torch.randint(0, 4, (1, 20), generator=generator)

    def transform(z):
        return partial_norm(z.flatten(0, -2), 2.5).view_as(z)

    probes = all_probes((logits, labels, None), (logits, labels, None), transform, class_loss)
    rows = {
        name: []
        for name in ("loss", "entropy", "length", "centred_length", "gradient", "radial_gradient", "growing_share")
    }
    for z, y in zip(logits[0], labels[0], strict=True):
        leaf = z.clone().requires_grad_()
        loss = cross_entropy(partial_norm(leaf, 2.5), y)
        (g,) = torch.autograd.grad(loss, leaf)
        p = partial_norm(z, 2.5).softmax(0)
        radial = (g @ z) / z.norm()
        rows["loss"].append(loss.item())
        rows["entropy"].append(-(p * p.log()).sum().item())
        rows["length"].append(z.norm().item())
        rows["centred_length"].append((z - z.mean()).norm().item())
        rows["gradient"].append(g.norm().item())
        rows["radial_gradient"].append(radial.abs().item())
        rows["growing_share"].append(float(z.norm() < 2.5 and radial < 0))
    expected = {name: torch.tensor(values, dtype=torch.float64).mean() for name, values in rows.items()}
    for name, value in expected.items():
        recorded = f"train_{name}" if name in ("loss", "entropy") else name
        torch.testing.assert_close(probes[recorded][0], value, rtol=0, atol=1e-12)
    deviation = torch.tensor(rows["length"], dtype=torch.float64).std(correction=0)
    torch.testing.assert_close(probes["length_deviation"][0], deviation, rtol=0, atol=1e-12)
    assert probes["generalisation_gap"].item() == 0


def _square(logits, labels):
    """An invented criterion, without ``reduction``: the mean square of 1 - p_y."""
    return (1 - logits.softmax(1).gather(1, labels[:, None])).square().mean()


WEIGHT = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
CRITERIA = {
    "no reduction": (_square, lambda z, y: (1 - z.softmax(0)[y]) ** 2),
    "argument": (partial(cross_entropy, weight=WEIGHT), lambda z, y: WEIGHT[y] * cross_entropy(z, y)),
    "attribute": (torch.nn.MultiMarginLoss(reduction="sum"), lambda z, y: multi_margin_loss(z[None], y[None])),
}


@pytest.mark.parametrize("name", CRITERIA)
def test_the_recorded_logit_gradient_is_that_of_the_run_s_criterion(name):
    criterion, of_one_row = CRITERIA[name]
    trainee = _trainee()
    trainee.objective = Objective(criterion=criterion, logit_transform=PartialNorm(1.0))
    measured = trainee.measure(0)
    lengths, radial = [], []
    for z, y in zip(trainee.network(trainee.train[0][:50]).detach(), trainee.train[1][:50], strict=True):
        leaf = z.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(of_one_row(partial_norm(leaf, 1.0), y), leaf)
        lengths.append(gradient.norm())
        radial.append((gradient @ z).abs() / z.norm())
    torch.testing.assert_close(measured["gradient"][0], torch.stack(lengths).mean(), rtol=0, atol=1e-12)
    torch.testing.assert_close(measured["radial_gradient"][0], torch.stack(radial).mean(), rtol=0, atol=1e-12)
    plain = Objective(logit_transform=PartialNorm(1.0))
    trainee.objective = plain
    assert abs(trainee.measure(0)["gradient"] - measured["gradient"]) > 1e-3, "it must not be cross-entropy's"


def test_row_losses_leave_the_criterion_alone():
    criterion = torch.nn.CrossEntropyLoss()
    logits, labels = torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long)
    assert row_losses(criterion)(logits, labels).shape == (2, 3)
    assert criterion.reduction == "mean"
    assert row_losses(cross_entropy) is class_loss


def test_a_mask_leaves_rows_out():
    logits = torch.randn(1, 10, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(1, 10, dtype=torch.long)
    mask = (torch.arange(10) < 6).double()[None]
    masked, cut = (
        logit_probes(logits, labels, lambda z: z, class_loss, mask),
        logit_probes(logits[:, :6], labels[:, :6], lambda z: z, class_loss),
    )
    for name, value in cut.items():
        torch.testing.assert_close(masked[name], value, rtol=0, atol=1e-12)


def test_blow_up_pressure_is_loss_minus_entropy():
    logits = 2 * torch.randn(1, 50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    labels = torch.randint(0, 4, (1, 50), generator=torch.Generator().manual_seed(3))
    log_probs = logits.log_softmax(-1)
    loss = -log_probs.gather(-1, labels[..., None]).squeeze(-1)
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    share = logit_probes(logits, labels, lambda z: z, class_loss)["growing_share"]
    assert share.item() == pytest.approx((loss < entropy).double().mean().item())


def test_training_and_test_probes_are_each_of_their_own_rows():
    generator = torch.Generator().manual_seed(0)
    train, test = (
        (
            2 * torch.randn(1, rows, 4, dtype=torch.float64, generator=generator),
            torch.randint(0, 4, (1, rows), generator=generator),
            (torch.arange(rows) < rows - 5).double()[None],
        )
        for rows in (30, 40)
    )

    def transform(z):
        return partial_norm(z.flatten(0, -2), 2.5).view_as(z)

    probes = all_probes(train, test, transform, class_loss)
    for split, (logits, labels, mask) in (("train", train), ("test", test)):
        for name, value in fit_probes(logits, labels, transform, mask).items():
            assert torch.equal(probes[f"{split}_{name}"], value)
        prefix = "test_" if split == "test" else ""
        lengths = logit_probes(logits, labels, transform, class_loss, mask)
        for name in ("length", "length_deviation"):
            assert torch.equal(probes[prefix + name], lengths[name])
    assert probes["train_error"] != probes["test_error"]
    assert torch.equal(probes["generalisation_gap"], probes["test_error"] - probes["train_error"])
