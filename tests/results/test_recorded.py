"""The packed files that ship with the package hold what the recipes ask for, or say what is missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from companion import results
from companion.experiments import names, recipes
from companion.experiments.partial_output_norm import arm_knobs
from companion.results import holm  # noqa: F401 (part of the public interface)

METRICS = {
    "test_error", "train_loss", "train_entropy", "test_loss", "test_entropy", "length", "centred_length", "length_deviation",
    "gradient", "radial_gradient", "parameter_gradient", "generalisation_gap",
}  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_every_file_agrees_with_its_recipe(name):
    runs = results.load(name)
    assert runs.name == name
    settings = {recipe.setting: recipe for recipe in recipes(name, runs.profile)}
    assert runs.settings == tuple(settings)
    for setting, recipe in settings.items():
        part = runs[setting]
        assert part.arms == recipe.arms
        points = recipe.space.draw()
        for arm in part.arms:
            searched = part.search(arm)
            for point, entry in zip(points, searched, strict=len(searched) == len(points)):
                for knob, value in arm_knobs(arm, {"weight_decay": 0.0, **point}).items():
                    assert entry[knob] == (None if math.isinf(value) else value)
            assert set(part.seeds(arm)) <= set(recipe.seeds)
            absent = set(recipe.seeds) - set(part.seeds(arm))
            said = any(item.startswith(f"{setting}: {arm}:") for item in part.missing)
            assert bool(absent) == said


@pytest.mark.parametrize("name", names())
def test_the_chosen_point_has_the_lowest_validation_error(name):
    runs = results.load(name)
    for setting in runs.settings:
        part = runs[setting]
        for arm in part.arms:
            searched = part.search(arm)
            if not any(entry["chosen"] for entry in searched):
                continue
            (chosen,) = [entry for entry in searched if entry["chosen"]]
            best = min(entry["error"] for entry in searched)
            assert chosen["error"] == best
            assert part.knobs(arm)["lr"] == chosen["lr"]


@pytest.mark.parametrize("name", names())
def test_final_error_is_the_share_of_wrong_rows(name):
    runs = results.load(name)
    for setting in runs.settings:
        part = runs[setting]
        for arm in (*part.arms, *part.controls):
            if not part.seeds(arm):
                continue
            assert set(part.metrics) >= METRICS
            np.testing.assert_allclose(100 * (1 - part.correct(arm).mean(1)), part.final(arm), atol=2e-4)
            epochs, values = part.curve(arm, "length")
            assert values.shape == (len(part.seeds(arm)), len(epochs))
            assert epochs[0] == 0
            assert part.record(arm)["schedule"]["epochs"] == epochs[-1]


def test_logits_give_the_recorded_labels_back():
    part = results.load("pon-graphs")["cora/gcn"]
    epochs, logits, labels = part.logits("vanilla")
    assert logits.shape == (len(epochs), 200, 7)
    wrong = (logits[-1].argmax(1) != labels).mean()
    assert wrong == pytest.approx(
        1 - part.correct("vanilla")[0][:200].mean(), abs=0.011
    )  # half precision may flip a tie


def test_errors_say_what_there_is():
    with pytest.raises(ValueError, match="pon-mnist"):
        results.load("nothing")
    runs = results.load("pon-graphs")
    with pytest.raises(ValueError, match="several settings"):
        runs.arms  # noqa: B018
    with pytest.raises(KeyError, match="cora/gcn"):
        runs["cora/mlp"]
    with pytest.raises(KeyError, match="vanilla"):
        runs["cora/gcn"].seeds("nothing")
    with pytest.raises(KeyError, match="test_error"):
        runs["cora/gcn"].final("vanilla", "nothing")


def test_gain_is_oriented_as_the_contrasts():
    part = results.load("pon-graphs")["cora/gcn"]
    gain, difference = part.gain("P-ON", "vanilla"), part.paired("P-ON", "vanilla")
    assert gain.mean == -difference.mean
    assert (gain.low, gain.high) == pytest.approx((-difference.high, -difference.low))
    assert gain.n == 20
