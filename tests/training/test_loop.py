"""The loop and its checkpoints: killed anywhere and resumed, a run is the one that was never killed."""

from __future__ import annotations

import pytest
import torch

from companion import Objective, PartialNorm, length_stability
from companion.training.loop import fit
from companion.training.optimisers import Adam, Sgd
from tests.training.small import Convolutional, convolutional, perceptron


class KilledError(Exception):
    """Stands for a kill."""


def partial(network):
    return Objective(logit_transform=PartialNorm(1.0), penalties={"stability": (length_stability, 0.3)})


WAYS = {
    "written out": {"network": perceptron},
    "momentum": {"network": convolutional, "optimiser": Sgd(momentum=0.9)},
    "Adam in a stack": {"seeds": (5, 6), "network": convolutional, "optimiser": Adam(), "lr": 0.01},
    "augmented": {"seeds": (5, 6), "network": convolutional, "augment": ("shift1", "flip")},
    "with dropout": {"network": lambda seed: Convolutional(seed, dropout=0.3).double(), "batch_size": 7},
    "angles": {"network": perceptron, "record": ("fit", "angular_step", "filters")},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("killed_after", [1, 4])
def test_killed_and_resumed_is_never_killed(make, way, killed_after, tmp_path):
    def trainee():
        return make(objective=partial, keep_logits_at=(0, 3, 6), **WAYS[way])

    whole = trainee()
    expected = fit(whole, 6, measure_at=range(7))
    checkpoint = tmp_path / "run.checkpoint"

    def kill(epoch):
        if epoch == killed_after:
            raise KilledError

    with pytest.raises(KilledError):
        fit(trainee(), 6, measure_at=range(7), checkpoint=checkpoint, checkpoint_every=0.0, on_epoch=kill)
    resumed, told = trainee(), []
    measured = fit(resumed, 6, measure_at=range(7), checkpoint=checkpoint, checkpoint_every=0.0, on_epoch=told.append)
    assert told == list(range(killed_after, 7))
    assert measured["epochs"] == expected["epochs"]
    assert measured["metrics"] == expected["metrics"]
    assert set(resumed.kept) == set(whole.kept) != set()
    assert all(torch.equal(whole.kept[name], resumed.kept[name]) for name in whole.kept)
    assert torch.equal(resumed.correct, whole.correct)


def test_a_resumed_run_keeps_its_seconds(make, tmp_path):
    checkpoint, options = tmp_path / "run.checkpoint", {"measure_at": (6,), "checkpoint_every": 0.0}
    fit(make(), 3, checkpoint=checkpoint, **options)  # leaves the checkpoint of epoch 2
    torch.save({**torch.load(checkpoint, weights_only=True), "seconds": 1000.0}, checkpoint)
    assert fit(make(), 6, checkpoint=checkpoint, **options)["seconds"] > 1000
    assert torch.load(checkpoint, weights_only=True)["seconds"] > 1000


def test_ctrl_c_in_the_middle_of_an_epoch_leaves_the_last_whole_one(make, tmp_path):
    trainee, checkpoint, options = make(), tmp_path / "run.checkpoint", {"measure_at": (6,), "checkpoint_every": 0.0}
    step, left = trainee._step, [12]  # two epochs of five steps and two steps

    def interrupted(*batch):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        step(*batch)

    trainee._step = interrupted
    with pytest.raises(KeyboardInterrupt):
        fit(trainee, 6, checkpoint=checkpoint, **options)
    assert torch.load(checkpoint, weights_only=True)["done"] == 2
    assert fit(make(), 6, checkpoint=checkpoint, **options)["metrics"] == fit(make(), 6, measure_at=(6,))["metrics"]
