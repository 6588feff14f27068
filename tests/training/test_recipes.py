"""Every value of a recipe, alone and in a stack, against a plain loop that a reader would write, in float64."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from companion import NormLoss, Objective, PartialNorm, TamedCrossEntropy, adaptive_clip_grad_, length_stability
from companion.methods.baselines import clip_by_norm_
from companion.training.images import Recipe
from companion.training.optimisers import Adam, Sgd
from companion.training.schedules import Constant, Cosine, Steps
from tests.training.small import convolutional, data, perceptron

SEEDS = (5, 6, 7)


def plain_loop(
    seed, network, objective, make_optimiser, *, epochs=3, rate=lambda step, steps: 1.0, batch=16, augment=None
):
    """Train a network as a tutorial does and return its parameters."""
    inputs, labels = data()
    net = network(seed)
    loss = objective(net).double()
    optimiser = make_optimiser([*net.parameters(), *loss.parameters()])
    (top,) = {group["lr"] for group in optimiser.param_groups}
    steps, step = epochs * math.ceil(len(labels) / batch), itertools.count()
    net.train()
    for epoch in range(1, epochs + 1):
        order = torch.from_numpy(np.random.Generator(np.random.PCG64([seed, epoch])).permutation(len(labels)))
        for start in range(0, len(labels), batch):
            rows = order[start : start + batch]
            for group in optimiser.param_groups:
                group["lr"] = top * rate(next(step), steps)
            images = inputs[rows] if augment is None else augment(inputs[rows], seed, epoch, start)
            optimiser.zero_grad()
            loss(net(images), labels[rows], model=net)["loss"].backward()
            loss.after_backward(net)
            optimiser.step()
            loss.after_step(net, optimiser.param_groups[0]["lr"])
    return net


def agrees(make, network, objective, make_optimiser, recipe, *, tolerance=1e-10, lr=0.3, loop=None, **more):
    """Train one by one, in a stack and by the plain loop, and compare all weights."""
    epochs = recipe.pop("epochs", 3)
    stack = make(SEEDS, objective, network, epochs=epochs, lr=lr, **recipe, **more)
    alone = [make((seed,), objective, network, epochs=epochs, lr=lr, **recipe, **more) for seed in SEEDS]
    for epoch in range(1, epochs + 1):
        for one in (stack, *alone):
            one.train_epoch(epoch)
    for run, seed in enumerate(SEEDS):
        wanted = plain_loop(seed, network, objective, make_optimiser, epochs=epochs, **(loop or {}))
        start = network(seed)
        moved = max((a - b).abs().max() for a, b in zip(wanted.parameters(), start.parameters(), strict=True))
        assert moved > 1e-3, "a loop that does not move agrees with anything"
        for found in (stack.stack.learners[run].network, alone[run].stack.learners[0].network):
            for mine, other in zip(found.parameters(), wanted.parameters(), strict=True):
                torch.testing.assert_close(mine, other, rtol=0, atol=tolerance)
    return stack


def plain(network):
    return Objective()


def partial(network):
    return Objective(logit_transform=PartialNorm(1.0), penalties={"stability": (length_stability, 0.3)})


OPTIMISERS = {
    "sgd": (Sgd(), functools.partial(torch.optim.SGD, lr=0.3)),
    "decay": (Sgd(weight_decay=0.02), functools.partial(torch.optim.SGD, lr=0.3, weight_decay=0.02)),
    "momentum": (Sgd(momentum=0.9), functools.partial(torch.optim.SGD, lr=0.3, momentum=0.9)),
    "nesterov": (
        Sgd(momentum=0.8, nesterov=True, weight_decay=0.01),
        functools.partial(torch.optim.SGD, lr=0.3, momentum=0.8, nesterov=True, weight_decay=0.01),
    ),
    "adam": (
        Adam(betas=(0.8, 0.9), eps=1e-6, weight_decay=0.01),
        functools.partial(torch.optim.Adam, lr=0.3, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.01),
    ),
    "adamw": (
        Adam(weight_decay=0.1, decoupled=True),
        functools.partial(torch.optim.AdamW, lr=0.3, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize("network", [perceptron, convolutional])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers(make, name, network):
    value, by_hand = OPTIMISERS[name]
    stack = agrees(make, network, plain, by_hand, {"optimiser": value}, tolerance=1e-9)
    assert stack.write_out == (network is perceptron and name in ("sgd", "decay"))


@pytest.mark.parametrize("network", [perceptron, convolutional])
def test_an_arm_s_weight_decay_stands_in_for_the_setting_s(make, network):
    by_hand = functools.partial(torch.optim.SGD, lr=0.3, weight_decay=0.05)
    agrees(make, network, plain, by_hand, {"optimiser": Sgd(weight_decay=0.9)}, weight_decay=0.05)


SCHEDULES = {
    "constant": (Constant(), lambda t, T: 1.0),
    "cosine": (Cosine(), lambda t, T: (1 + math.cos(math.pi * t / T)) / 2),
    "steps": (Steps(at=(0.5, 0.8), decay=0.1), lambda t, T: 0.1 ** ((t >= 0.5 * T) + (t >= 0.8 * T))),
    "warm-up": (
        Cosine(warmup=0.2),
        lambda t, T: (t + 1) / 3 if t < 3 else (1 + math.cos(math.pi * (t - 3) / (T - 3))) / 2,
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(make, name):
    value, rate = SCHEDULES[name]  # three epochs of five steps
    agrees(
        make,
        perceptron,
        plain,
        functools.partial(torch.optim.SGD, lr=0.3),
        {"optimiser": Sgd(), "schedule": value},
        loop={"rate": rate},
    )


def test_cosine_is_torch_s_and_a_search_runs_the_same_shape():
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 40)
    for step in range(40):
        assert Cosine().factor(step, 40) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-12)
        optimiser.step()
        theirs.step()
    for schedule in (Cosine(warmup=0.1), Steps(), Constant(warmup=0.1)):
        assert [schedule.factor(10 * k, 1000) for k in range(20, 100)] == pytest.approx(
            [schedule.factor(k, 100) for k in range(20, 100)], abs=2e-2
        )


OBJECTIVES = {
    "partial norm": partial,
    "tamed": lambda network: Objective(criterion=TamedCrossEntropy(1.5)),
    "norm loss": lambda network: Objective(penalties={"norm": (NormLoss(network), 0.05)}),
    "decoupled norm loss": lambda network: Objective(decoupled={"norm": (NormLoss(network), 0.05)}),
    "clipped": lambda network: Objective(clip=functools.partial(clip_by_norm_, max_norm=0.1)),
    "adaptively clipped": lambda network: Objective(
        clip=functools.partial(adaptive_clip_grad_, clipping=0.02, exclude=())
    ),
}


@pytest.mark.parametrize("network", [perceptron, convolutional])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives(make, name, network):
    by_hand = functools.partial(torch.optim.SGD, lr=0.3, momentum=0.5)
    stack = agrees(make, network, OBJECTIVES[name], by_hand, {"optimiser": Sgd(momentum=0.5), "schedule": Cosine()},
                   loop={"rate": SCHEDULES["cosine"][1]}, tolerance=1e-9)  # fmt: skip
    assert not stack.write_out
    reference = plain_loop(5, network, plain, by_hand, rate=SCHEDULES["cosine"][1])
    found = stack.stack.learners[0].network
    gaps = [(a - b).abs().max() for a, b in zip(found.parameters(), reference.parameters(), strict=True)]
    assert max(gaps) > 1e-4, "the objective must make a difference"


@pytest.mark.parametrize("name", ["partial norm", "tamed"])
def test_the_written_out_step_is_the_optimiser_s(make, name):
    stack = agrees(make, perceptron, OBJECTIVES[name], functools.partial(torch.optim.SGD, lr=0.3, weight_decay=0.01),
                   {"optimiser": Sgd(weight_decay=0.01)}, tolerance=1e-12)  # fmt: skip
    assert stack.write_out


@pytest.mark.parametrize("name", ["norm loss", "decoupled norm loss", "clipped", "adaptively clipped"])
def test_what_acts_on_weights_is_not_written_out(make, name):
    assert not make((5,), OBJECTIVES[name]).write_out
    assert not make((5,), accumulate=2).write_out
    assert not make((5,), optimiser=Adam()).write_out


def test_augmentation_is_each_image_s_own_and_each_epoch_s(make):
    reach = 1

    def augmented(images, seed, epoch, start):
        generator = torch.Generator().manual_seed(
            int(np.random.SeedSequence((seed, epoch, 1)).generate_state(1, np.uint64)[0]) >> 1
        )
        shifts = torch.randint(-reach, reach + 1, (2, 70), generator=generator)[:, start : start + len(images)]
        flips = (torch.rand(70, generator=generator) < 0.5)[start : start + len(images)]
        out = []
        for image, (down, right), flip in zip(images, shifts.T.tolist(), flips.tolist(), strict=True):
            padded = F.pad(image, (reach,) * 4)
            moved = padded[:, reach + down : reach + down + 3, reach + right : reach + right + 4]
            out.append(moved.flip(-1) if flip else moved)
        return torch.stack(out)

    by_hand = functools.partial(torch.optim.SGD, lr=0.3)
    agrees(
        make,
        convolutional,
        plain,
        by_hand,
        {"optimiser": Sgd(), "augment": ("shift1", "flip")},
        loop={"augment": augmented},
    )
    trainee = make((5,), augment=("shift1", "flip"))
    assert not torch.equal(trainee._augmentation(1)["shift1"], trainee._augmentation(2)["shift1"])


@pytest.mark.parametrize("network", [perceptron, convolutional])
def test_channels_last_changes_nothing(make, network):
    agrees(make, network, partial, functools.partial(torch.optim.SGD, lr=0.3, momentum=0.9),
           {"optimiser": Sgd(momentum=0.9), "channels_last": True}, tolerance=1e-9)  # fmt: skip


@pytest.mark.parametrize("parts", [2, 3, 16])
def test_accumulated_micro_batches_are_the_whole_batch(make, parts):
    agrees(make, perceptron, plain, functools.partial(torch.optim.SGD, lr=0.3, momentum=0.9),
           {"optimiser": Sgd(momentum=0.9), "accumulate": parts}, tolerance=1e-9)  # fmt: skip


def test_a_penalty_on_the_batch_sees_micro_batches(make):
    """Length stability is no mean over rows: the docstring says so, and this is by how much."""
    whole, parts = make((5,), partial), make((5,), partial, accumulate=4)
    for one in (whole, parts):
        one.train_epoch(1)
    gap = max((a - b).abs().max() for a, b in zip(whole.stack.parameters, parts.stack.parameters, strict=True))
    assert gap > 1e-4


def test_bf16_stays_within_its_rounding(make):
    """Forward and backward in bf16, weights and objective in float32: a step's gradient is right to about 2⁻⁸ of its length."""
    found = {}
    for precision in ("float32", "bf16"):
        trainee = make((5,), partial, convolutional, dtype=torch.float32, precision=precision)
        before = [parameter.detach().clone() for parameter in trainee.stack.parameters]
        trainee._train_steps(1, 1)
        steps = [old - parameter.detach() for old, parameter in zip(before, trainee.stack.parameters, strict=True)]
        found[precision] = torch.cat([step.flatten() for step in steps])
        assert all(parameter.dtype == torch.float32 for parameter in trainee.stack.parameters)
        logits, _ = trainee.stack.learners[0].outputs(trainee.train.inputs)
        assert logits.dtype == torch.float32
    gap = (found["bf16"] - found["float32"]).norm() / found["float32"].norm()
    assert 1e-5 < gap < 2**-5, "not the same numbers, and close to them"


def test_fp16_wants_a_gpu(make):
    if torch.cuda.is_available():
        trainee = make((5,), partial, convolutional, dtype=torch.float32, precision="fp16", device="cuda")
        trainee.train_epoch(1)
        assert trainee.scaler.state_dict()["scale"] > 0
    else:
        with pytest.raises(ValueError, match="'fp16' needs a CUDA device, got cpu; 'bf16' works everywhere"):
            make((5,), partial, convolutional, dtype=torch.float32, precision="fp16")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"augment": ("rotate",)}, "augment must hold 'flip' or 'shift' and a number"),
        ({"precision": "half"}, "precision must be one of 'float32', 'bf16', 'fp16', got 'half'"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
        ({"accumulate": 0}, "accumulate must be >= 1, got 0"),
    ],
)
def test_a_recipe_refuses_what_it_cannot_do(values, message):
    with pytest.raises(ValueError, match=message):
        Recipe(Sgd(), **values)


@pytest.mark.parametrize(
    ("make_value", "message"),
    [
        (lambda: Sgd(momentum=1.0), "momentum must be >= 0 and < 1"),
        (lambda: Sgd(nesterov=True), "nesterov=True needs momentum > 0"),
        (lambda: Adam(weight_decay=-1.0), "weight_decay must be >= 0"),
        (lambda: Steps(at=(0.5, 0.5)), "at must ascend"),
        (lambda: Steps(at=(1.5,)), "at must be > 0 and < 1"),
        (lambda: Cosine(warmup=1.0), "warmup must be >= 0 and < 1"),
    ],
)
def test_values_refuse_what_makes_no_sense(make_value, message):
    with pytest.raises(ValueError, match=message):
        make_value()


def test_batch_orders_are_paired_between_arms_and_differ_between_seeds_and_epochs(make):
    trainee = make((5, 6))
    orders = [trainee.batch_order(epoch) for epoch in (1, 2)]
    assert torch.equal(orders[0], make((5, 6), partial).batch_order(1))
    assert torch.equal(orders[0][0], make((5,)).batch_order(1)[0])
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0][0], orders[0][1])
    assert torch.equal(orders[0].sort(1).values, torch.arange(70).expand(2, -1))
