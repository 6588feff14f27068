"""The packed files that ship with the package hold what the recipes ask for, or say what is missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from companion import results
from companion.experiments import recipes
from companion.experiments.running import make_plan
from companion.results import Results, available, holm  # noqa: F401 (part of the public interface)
from companion.training.records import RunStore

METRICS = {
    "test_error", "train_loss", "train_entropy", "test_loss", "test_entropy", "length", "centred_length", "length_deviation",
    "gradient", "radial_gradient", "parameter_gradient", "generalisation_gap",
}  # fmt: skip


@pytest.mark.parametrize("name", available())
def test_every_file_agrees_with_its_recipe(name):
    runs = results.load(name)
    assert runs.name == name
    settings = {recipe.setting: recipe for recipe in recipes(name, runs.profile)}
    assert runs.settings == tuple(settings)
    for setting, recipe in settings.items():
        part = runs[setting]
        assert part.arms == tuple(recipe.arms)
        points = recipe.space.draw()
        for arm in part.arms:
            searched = part.search(arm)
            for point, entry in zip(points, searched, strict=len(searched) == len(points)):
                for knob, value in recipe.arm_knobs(arm, point).items():
                    assert entry[knob] == (None if math.isinf(value) else value)
            assert set(part.seeds(arm)) <= set(recipe.seeds)
            absent = set(recipe.seeds) - set(part.seeds(arm))
            said = any(item.startswith(f"{setting}: {arm}:") for item in part.missing)
            assert bool(absent) == said


@pytest.mark.parametrize("name", available())
def test_the_recipes_still_ask_for_every_recorded_run(name):
    runs = results.load(name)
    store, asked = RunStore("nowhere", recorded=runs.data["runs"]), set()
    for recipe in recipes(name, runs.profile):
        part = runs[recipe.setting]
        checksum = next(part.record(arm)["dataset"]["checksum"] for arm in part.arms if part.seeds(arm))
        plan = make_plan(recipe, checksum, store)
        asked |= {record.key for points in plan.search.values() for records in points for record in records}
        asked |= {record.key for records in plan.final.values() for record in records}
    assert set(runs.data["runs"]) <= asked, "a changed record has another key: hours of runs would count as not done"


@pytest.mark.parametrize("name", available())
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


@pytest.mark.parametrize("name", available())
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
    with pytest.raises(ValueError, match="cora/gcn"):
        runs["cora/mlp"]
    with pytest.raises(ValueError, match="vanilla"):
        runs["cora/gcn"].seeds("nothing")
    with pytest.raises(ValueError, match="test_error"):
        runs["cora/gcn"].final("vanilla", "nothing")


def test_gain_is_oriented_as_the_contrasts():
    part = results.load("pon-graphs")["cora/gcn"]
    gain, difference = part.gain("P-ON", "vanilla"), part.paired("P-ON", "vanilla")
    assert gain.mean == -difference.mean
    assert (gain.low, gain.high) == pytest.approx((-difference.high, -difference.low))
    assert gain.n == 20


def _recorded(errors, *, missing=(), settings=("a/b",)):
    """Return runs of arms whose last errors are given seed by seed."""
    runs = {
        f"{arm}-{seed}": {"epochs": [0, 1], "metrics": {"test_error": [0.0, value]}}
        for arm, of_seed in errors.items()
        for seed, value in of_seed.items()
    }
    arms = {
        arm: {"keys": [f"{arm}-{seed}" for seed in of_seed], "seeds": list(of_seed)} for arm, of_seed in errors.items()
    }
    data = {"experiment": "x", "profile": "laptop", "missing": list(missing), "runs": runs}
    return Results({**data, "settings": {setting: {"arms": arms} for setting in settings}})


def test_differences_are_taken_seed_by_seed_whatever_their_order():
    runs = _recorded({"one": {0: 1.0, 1: 2.0, 2: 4.0}, "two": {2: 3.5, 0: 0.0, 7: 9.0}})
    found = runs.paired("one", "two")
    assert (found.mean, found.n) == (0.75, 2)
    assert runs.gain("two", "one") == found
    assert runs.gain("two", "one", level=0.5) == runs.paired("one", "two", level=0.5) != found


def test_unfinished_is_said_of_the_arm_and_the_setting_alone():
    missing = ["a/b: P-ON + weight decay: final runs of seeds 0", "a/c: P-ON: final runs of seeds 1"]
    runs = _recorded({}, missing=missing, settings=("a/b", "a/c"))
    arms = ("P-ON", "weight decay", "P-ON + weight decay")
    assert [runs["a/b"].unfinished(arm) for arm in arms] == [False, False, True]
    assert [runs["a/c"].unfinished(arm) for arm in arms] == [True, False, False]
    assert runs["a/b"].missing == (missing[0],)


def test_knobs_are_what_differs_from_neutral():
    """An infinite number is None in a file; a file from before there was ``neutral`` has 0 and None for it."""
    record = {
        "objective": {"threshold": None, "gamma": 1.0, "strength": 0.0, "kind": "soft"},
        "optimiser": {"name": "sgd", "lr": 0.1, "weight_decay": 0.0},
    }
    part = {"arms": {"one": {"record": record, "keys": [], "seeds": [], "search": []}}}

    def knobs(**more):
        return Results(
            {"experiment": "x", "profile": "smoke", "missing": [], "settings": {"a/b": {**part, **more}}}
        ).knobs

    assert knobs()("one") == {"lr": 0.1, "gamma": 1.0, "kind": "soft"}
    neutral = {"threshold": None, "gamma": 1.0, "strength": 0.5, "kind": "hard"}
    assert knobs(neutral=neutral)("one") == {"lr": 0.1, "strength": 0.0, "kind": "soft"}
    assert knobs(neutral={**neutral, "threshold": 3.0})("one")["threshold"] == math.inf
