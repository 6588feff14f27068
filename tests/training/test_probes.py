"""Every probe against its definition, row by row."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy, multi_margin_loss

from companion import Objective, PartialNorm, ScalableBatchNorm, TamedCrossEntropy, partial_norm, tamed_posterior
from companion.geometry import expected_calibration_error, fit_temperature
from companion.training.probes import PROBES, STANDARD, Measurement, Part, class_loss, measured, row_losses
from tests.training.small import convolutional, data, perceptron

SEARCHED = {"test_error", "test_loss", "test_entropy"}


def _labels():
    return torch.randint(0, 4, (1, 20), generator=torch.Generator().manual_seed(1))


def _logits():
    return 3 * torch.randn(1, 20, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_fit_lengths_and_gradients_row_by_row():
    logits, labels = _logits(), _labels()

    def transform(z):
        return partial_norm(z.flatten(0, -2), 5.0).view_as(z)

    part = Part(logits, labels)
    probes = measured(Measurement(part, transform, class_loss, train=part), ("fit", "lengths", "logit_gradients"))
    names = ("loss", "entropy", "length", "centred_length", "gradient", "radial_gradient", "growing_share", "error")
    rows = {name: [] for name in names}
    for z, y in zip(logits[0], labels[0], strict=True):
        leaf = z.clone().requires_grad_()
        loss = cross_entropy(partial_norm(leaf, 5.0), y)
        (g,) = torch.autograd.grad(loss, leaf)
        p = partial_norm(z, 5.0).softmax(0)
        radial = (g @ z) / z.norm()
        rows["loss"].append(loss.item())
        rows["entropy"].append(-(p * p.log()).sum().item())
        rows["error"].append(100.0 * (p.argmax() != y).item())
        rows["length"].append(z.norm().item())
        rows["centred_length"].append((z - z.mean()).norm().item())
        rows["gradient"].append(g.norm().item())
        rows["radial_gradient"].append(radial.abs().item())
        rows["growing_share"].append(float(z.norm() < 5.0 and radial < 0))
    for name, values in rows.items():
        recorded = f"train_{name}" if name in ("loss", "entropy", "error") else name
        expected = torch.tensor(values, dtype=torch.float64).mean()
        torch.testing.assert_close(probes[recorded][0], expected, rtol=0, atol=1e-12)
    assert 0 < probes["growing_share"] < 1
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
def test_the_recorded_logit_gradient_is_that_of_the_run_s_criterion(make, name):
    criterion, of_one_row = CRITERIA[name]
    trainee = make(objective=lambda network: Objective(criterion=criterion, logit_transform=PartialNorm(1.0)))
    measured_now = trainee.measure(0)
    lengths, radial = [], []
    network = trainee.stack.learners[0].network
    for z, y in zip(network(trainee.train.inputs[:50]).detach(), trainee.train.labels[0, :50], strict=True):
        leaf = z.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(of_one_row(partial_norm(leaf, 1.0), y), leaf)
        lengths.append(gradient.norm())
        radial.append((gradient @ z).abs() / z.norm())
    torch.testing.assert_close(measured_now["gradient"][0], torch.stack(lengths).mean(), rtol=0, atol=1e-12)
    torch.testing.assert_close(measured_now["radial_gradient"][0], torch.stack(radial).mean(), rtol=0, atol=1e-12)
    plain = make(objective=lambda network: Objective(logit_transform=PartialNorm(1.0))).measure(0)
    assert abs(plain["gradient"] - measured_now["gradient"]) > 1e-3, "it must not be cross-entropy's"


def test_row_losses_leave_the_criterion_alone():
    criterion = torch.nn.CrossEntropyLoss()
    row_losses(criterion)(torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.int64))
    assert criterion.reduction == "mean"


def test_filters_angles_and_zeros(make):
    trainee = make(network=convolutional, record=("filters", "angular_step", "zero_features"))
    network = trainee.stack.learners[0].network
    with torch.no_grad():
        network.convolution.weight[0] = 0
        network.norm.bias[0] = -1.0  # the first channel never wakes
    first = trainee.measure(0)
    assert first["angular_step"].item() == 0
    lengths = torch.cat([network.convolution.weight.flatten(1).norm(dim=1), network.head.weight.norm(dim=1)])
    assert first["filter_length"].item() == pytest.approx(lengths.mean().item())
    assert first["filter_length_deviation"].item() == pytest.approx(lengths.std(correction=0).item())
    assert (first["filter_length_min"].item(), first["filter_length_max"].item()) == (
        0,
        pytest.approx(lengths.max().item()),
    )
    assert first["zero_filters"].item() == pytest.approx(1 / 9)
    assert first["zero_features"].item() == pytest.approx(1 / 6)
    trainee._train_steps(1, 4)
    before = [network.convolution.weight.detach().flatten(1).clone(), network.head.weight.detach().clone()]
    fresh = make(network=convolutional, record=("angular_step",))
    fresh.stack.load_state_dict(trainee.stack.state_dict())
    # the last step of the epoch alone, from where the first four led
    rows = fresh.batch_order(1)[:, 64:]
    fresh.weights_before = [[weight.clone() for weight in before]]
    fresh.stack.train()
    fresh._step(*fresh._batch(rows, {}))
    angles = []
    after = fresh.stack.learners[0].network
    for old, new in zip(
        before, [after.convolution.weight.detach().flatten(1), after.head.weight.detach()], strict=True
    ):
        for w, v in zip(old, new, strict=True):
            cosine = (w @ v) / (w.norm() * v.norm()) if w.norm() > 0 else torch.ones(())
            angles.append(math.degrees(math.acos(min(1.0, cosine.item()))))
    assert fresh.measure(1)["angular_step"].item() == pytest.approx(
        sum(angles[1:]) / 9, rel=1e-5
    )  # the zero filter has no angle
    whole = make(network=convolutional, record=("angular_step",))
    whole.train_epoch(1)
    assert whole.measure(1)["angular_step"].item() > 0


def test_noise_probes_count_rows(make):
    _, true = data()
    given = true.clone()
    wrong = torch.arange(70) % 5 == 0
    given[wrong] = (true[wrong] + 1) % 3
    objective = TamedCrossEntropy(1.5)
    trainee = make(
        (5, 6), lambda network: Objective(criterion=objective), labels=given.expand(2, -1), true_labels=true.expand(2, -1),
        record=("fit", "noise"),
    )  # fmt: skip
    for epoch in (1, 2):
        trainee.train_epoch(epoch)
    found = trainee.measure(2)
    for run in range(2):
        z = trainee.stack.learners[run].network(trainee.train.inputs[:50]).detach().requires_grad_()
        y, t, bad = given[:50], true[:50], wrong[:50]
        guess = z.argmax(1)
        assert found["clean_label_accuracy"][run].item() == pytest.approx(
            100 * (guess == y)[~bad].double().mean().item()
        )
        assert found["wrong_label_accuracy"][run].item() == pytest.approx(
            100 * (guess == y)[bad].double().mean().item()
        )
        assert found["wrong_label_recovered"][run].item() == pytest.approx(
            100 * (guess == t)[bad].double().mean().item()
        )
        p = z.softmax(1)
        pull = (1 - p.log()[torch.arange(50), y]) ** -1.5  # (1 + L)^−α (p − e_y)
        sizes = pull * (p - torch.nn.functional.one_hot(y, 3)).norm(dim=1)
        assert found["noisy_gradient_share"][run].item() == pytest.approx((sizes[bad].sum() / sizes.sum()).item())
    assert "validation_error" not in found
    clean = make(record=("noise",)).measure(0)
    assert math.isnan(clean["noisy_gradient_share"])
    assert math.isnan(clean["wrong_label_accuracy"])


def test_deviation_calibration_and_validation(make):
    from companion.training.images import Labelled

    inputs, labels = data()
    held_out = Labelled(inputs[:20], (labels[:20] + 1).remainder(3)[None])
    trainee = make(
        objective=lambda network: Objective(logit_transform=ScalableBatchNorm(3, 0.8)), validation=held_out,
        record=("fit", "logit_deviation", "calibration"),
    )  # fmt: skip
    trainee.train_epoch(1)
    found = trainee.measure(1)
    learner = trainee.stack.learners[0]
    raw = learner.network(inputs).detach()
    final = learner.objective.transform(raw)
    deviation = raw.std(0, correction=0)
    assert found["logit_deviation"].item() == pytest.approx(deviation.mean().item())
    assert found["logit_deviation_min"].item() == pytest.approx(deviation.min().item())
    assert found["logit_deviation_max"].item() == pytest.approx(deviation.max().item())
    assert found["confidence"].item() == pytest.approx(final.softmax(1).amax(1).mean().item())
    assert found["calibration_error"].item() == pytest.approx(
        expected_calibration_error(final.softmax(1), labels).item()
    )
    assert found["temperature"].item() == pytest.approx(fit_temperature(final, labels).item())
    wrong = (final[:20].argmax(1) != held_out.labels[0]).double().mean()
    assert found["validation_error"].item() == pytest.approx(100 * wrong.item())
    assert found["validation_error"].item() != found["test_error"].item()


def test_a_search_measures_test_rows_alone_and_a_stack_each_run(make):
    searched = make((5, 6), probe_rows=None)
    whole = make((5, 6))
    alone = [make((seed,)) for seed in (5, 6)]
    for one in (searched, whole, *alone):
        one.train_epoch(1)
    assert set(searched.measure(1)) == SEARCHED
    found = whole.measure(1)
    assert all(torch.equal(value, found[name]) for name, value in searched.measure(1).items())
    for run, single in enumerate(alone):
        for name, value in single.measure(1).items():
            torch.testing.assert_close(found[name][run], value[0], rtol=0, atol=1e-9)


def test_training_probes_are_of_the_probe_rows(make):
    trainee = make(probe_rows=torch.arange(20, 70), batch_size=4)
    found = trainee.measure(0)
    network, inputs, labels = trainee.stack.learners[0].network, trainee.train.inputs[20:], trainee.train.labels[0, 20:]
    error = 100 * (network(inputs).argmax(1) != labels).double().mean()
    torch.testing.assert_close(found["train_error"][0], error)
    lengths = []
    for part in torch.arange(40).split(4):
        gradients = torch.autograd.grad(cross_entropy(network(inputs[part]), labels[part]), list(network.parameters()))
        lengths.append(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    torch.testing.assert_close(found["parameter_gradient"][0], torch.stack(lengths).mean())


def test_calibration_before_and_after_the_inverse_link():
    test, held_out = Part(_logits(), _labels()), Part(_logits().flip(1), _labels())
    criterion = TamedCrossEntropy(1.5)

    def found(**more):
        whole = Measurement(test, lambda z: 2 * z, class_loss, train=test, validation=held_out, **more)
        return {name: value.item() for name, value in measured(whole, ("posterior",)).items()}

    def error(part, alpha):
        return expected_calibration_error(
            tamed_posterior((2 * part.logits[0]).softmax(-1), alpha), part.labels[0]
        ).item()

    assert found(posterior=criterion.posterior) == pytest.approx(
        {
            "noisy_calibration_error": error(held_out, 0.0),
            "posterior_noisy_calibration_error": error(held_out, 1.5),
            "posterior_calibration_error": error(test, 1.5),
        }
    )
    proper = found()
    assert proper["noisy_calibration_error"] == proper["posterior_noisy_calibration_error"]
    assert error(held_out, 0.0) != pytest.approx(error(held_out, 1.5))


def test_a_runs_criterion_hands_its_inverse_link_to_the_probe(make):
    def calibration(objective):
        trainee = make(objective=lambda network: objective, record=("posterior",))
        trainee.validation = trainee.test
        return trainee.measure(0)

    tame, proper = calibration(Objective(criterion=TamedCrossEntropy(2.0))), calibration(Objective())
    assert tame["noisy_calibration_error"] == proper["noisy_calibration_error"]
    assert tame["posterior_noisy_calibration_error"] != proper["posterior_noisy_calibration_error"]


def test_relative_gradient_is_the_share_of_a_step_that_is_left():
    logits, labels = _logits(), _labels()
    part = Part(logits, labels)
    losses = row_losses(TamedCrossEntropy(2.0))
    found = measured(Measurement(part, lambda z: z, losses, train=part), ("relative_gradient",))["relative_gradient"]
    loss = class_loss(logits, labels)[0]
    size = (logits[0].softmax(-1) - torch.eye(4)[labels[0]]).norm(dim=-1)
    assert found.item() == pytest.approx(((1 + loss) ** -2 * size).sum().item() / size.sum().item())


def test_the_registry_knows_its_names(make):
    assert set(STANDARD) < set(PROBES)
    trainee = make(network=convolutional, record=tuple(PROBES))
    trainee.validation = trainee.test
    trainee.train_epoch(1)
    assert all(value.shape == (1,) for value in trainee.measure(1).values())
    with pytest.raises(ValueError, match="record must be one of 'fit', 'lengths'"):
        make(record=("fits",)).measure(0)
    part = Part(_logits(), _labels())
    with pytest.raises(ValueError, match="zero_features needs a network with a method features"):
        measured(Measurement(part, lambda z: z, class_loss, train=part), ("zero_features",))
    with pytest.raises(ValueError, match="the probe posterior needs rows held out"):
        measured(Measurement(part, lambda z: z, class_loss, train=part), ("posterior",))
    assert perceptron(1).layers  # the other network of these tests
