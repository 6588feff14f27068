"""The packed files that ship with the package hold what the recipes ask for, or say what is missing."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from companion import results
from companion.experiments.packing import CURVES
from companion.experiments.planning import shared_points
from companion.experiments.recording import build_objective, described, setting_record
from companion.experiments.registry import experiment
from companion.results import Results, available, holm  # noqa: F401 (part of the public interface)
from companion.training.records import RunRecord, plain

METRICS = {
    "test_error", "train_loss", "train_entropy", "test_loss", "test_entropy", "length", "centred_length", "length_deviation",
    "gradient", "radial_gradient", "parameter_gradient", "generalisation_gap",
}  # fmt: skip


@pytest.mark.parametrize("name", available())
def test_every_file_agrees_with_its_experiment(name):
    runs = results.load(name)
    assert runs.name == name
    chosen = experiment(name, runs.profile)
    assert runs.settings == tuple(setting.name for setting in chosen.settings)
    for setting in chosen.settings:
        part = runs[setting.name]
        assert part.arms == tuple(arm.name for arm in chosen.arms)
        assert part.controls == tuple(control.name for control in chosen.controls)
        for arm in part.arms:
            assert set(part.seeds(arm)) <= set(chosen.seeds)
            absent = set(chosen.seeds) - set(part.seeds(arm))
            assert bool(absent) == part.unfinished(arm)


@pytest.mark.parametrize("name", available())
def test_the_experiments_still_ask_for_every_recorded_run(name):
    """A changed record has another key, and hours of runs would count as not done: records are made anew and compared."""
    runs = results.load(name)
    chosen = experiment(name, runs.profile)
    checked = 0
    for setting in chosen.settings:
        part = runs[setting.name]
        rounds = runs.data["settings"][setting.name]["rounds"]
        controls = {control.name: control.arm for control in chosen.controls}
        for arm in (*part.arms, *part.controls):
            if not part.seeds(arm):  # packed in part: its search is not over
                continue
            record = part.record(arm)
            builder = chosen.arm(controls.get(arm, arm))
            assert record["setting"] == plain(setting_record(setting))
            assert record["builder"] == builder.builder
            said = described(build_objective(builder.build, record["knobs"], torch.nn.Linear(2, 2), 10))
            assert record["objective"] == plain(said)
            for seed, key in zip(part.seeds(arm), part.keys(arm), strict=True):
                assert RunRecord.from_dict({**record, "seed": seed}).key == key
                checked += 1
            for point in part.search(arm):
                assert len(point["keys"]) == len(chosen.search.seeds)
                assert set(point["keys"]) <= set(runs.data["runs"])
        if chosen.search.shared:
            drawn = shared_points(chosen, setting.lr)
            for arm in part.arms:
                knobs = [{name: point[name] for name in drawn[arm][0]} for point in part.search(arm)]
                assert knobs == drawn[arm]
        assert rounds[0]["lr"] == [setting.lr.low, setting.lr.high]
    # of a search that is not over there is no final run yet, but its runs are there to go on from
    assert checked > 0 or (not runs.complete and runs.data["runs"])


@pytest.mark.parametrize("name", available())
def test_the_chosen_point_has_the_lowest_validation_error(name):
    runs = results.load(name)
    for setting in runs.settings:
        part = runs[setting]
        for arm in part.arms:
            searched = part.search(arm)
            if not part.seeds(arm):
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
            lengths = "lengths" in part.record(arm)["setting"]["record"]
            assert set(part.metrics) >= (METRICS if lengths else {"train_loss", "test_error", "test_loss"})
            metric = "length" if lengths else "train_loss"
            np.testing.assert_allclose(100 * (1 - part.correct(arm).mean(1)), part.final(arm), atol=2e-4)
            epochs, values = part.curve(arm, metric)
            assert values.shape == (min(CURVES, len(part.seeds(arm))), len(epochs))
            assert part.final(arm, metric).shape == (len(part.seeds(arm)),)
            assert epochs[0] == 0
            assert part.record(arm)["setting"]["epochs"] == epochs[-1]


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


def test_the_table_shows_what_compare_finds():
    part = results.load("pon-graphs")["cora/gcn"]
    found = part.compare("P-ON", "vanilla")
    assert found.mean == pytest.approx((part.final("vanilla") - part.final("P-ON")).mean())
    assert found.interval is found.resampled, "each seed has its own split"
    (line,) = [line for line in part.table().splitlines() if line.startswith("P-ON  ")]
    assert line.endswith(f" {found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]")
    (lost,) = [line for line in results.load("pon-mnist").table().splitlines() if line.startswith("weight decay  ")]
    assert lost.split() == ["weight", "decay", "4", "of", "5", "diverged", "5"]


def _recorded(errors, *, missing=(), settings=("a/b",)):
    """Return runs of arms whose last errors are given seed by seed."""
    runs = {
        f"{arm}-{seed}": {"epochs": [0, 1], "metrics": {"test_error": [0.0, value]}}
        for arm, of_seed in errors.items()
        for seed, value in of_seed.items()
    }
    arms = {
        arm: {"keys": [f"{arm}-{seed}" for seed in of_seed], "seeds": list(of_seed), "record": None}
        for arm, of_seed in errors.items()
    }
    said = [
        {"setting": setting, "arm": arm, "draw": 0, "stage": "final", "runs": 1, "seeds": [0]}
        for setting, arm in missing
    ]
    data = {"experiment": "x", "profile": "laptop", "missing": said, "runs": runs}
    return Results({**data, "settings": {setting: {"arms": arms} for setting in settings}})


def test_differences_are_taken_seed_by_seed_whatever_their_order():
    part = results.load("pon-mnist")
    expected = part.compare("P-ON", "vanilla")
    other = copy.deepcopy(part.data)
    arm = other["settings"]["mnist/mlp-3"]["arms"]["P-ON"]
    arm["keys"], arm["seeds"] = arm["keys"][3:0:-1], arm["seeds"][3:0:-1]
    found = Results(other).compare("P-ON", "vanilla")
    assert (found.n, expected.n) == (3, 5)
    differences = part.final("vanilla") - part.final("P-ON")
    assert found.mean == pytest.approx(differences[1:4].mean())
    assert found.mean != pytest.approx(expected.mean)


def test_unfinished_is_said_of_the_arm_and_the_setting_alone():
    missing = [("a/b", "P-ON + weight decay"), ("a/c", "P-ON")]
    runs = _recorded({}, missing=missing, settings=("a/b", "a/c"))
    arms = ("P-ON", "weight decay", "P-ON + weight decay")
    assert [runs["a/b"].unfinished(arm) for arm in arms] == [False, False, True]
    assert [runs["a/c"].unfinished(arm) for arm in arms] == [True, False, False]
    assert runs["a/b"].missing == ("a/b: P-ON + weight decay: final runs of seeds 0",)


def test_knobs_are_the_record_s_and_a_decay_of_all_arms():
    def knobs(decay, **own):
        record = {"setting": {"optimiser": {"weight_decay": decay}}, "knobs": {"lr": 0.1, **own}}
        part = {"arms": {"one": {"record": record, "keys": [], "seeds": [], "search": []}}}
        return Results({"experiment": "x", "profile": "smoke", "missing": [], "settings": {"a/b": part}}).knobs("one")

    assert knobs(0.0, gamma=1.0, kind="soft") == {"lr": 0.1, "gamma": 1.0, "kind": "soft"}
    assert knobs(5e-4, gamma=1.0) == {"lr": 0.1, "gamma": 1.0, "weight_decay": 5e-4}
    assert knobs(5e-4, weight_decay=0.1) == {"lr": 0.1, "weight_decay": 0.1}


def test_controls_at_equal_rates_are_found_by_what_they_are():
    part = results.load("pon-mnist")
    assert part.same_rate("P-ON + weight decay", "weight decay") == (
        "weight decay at P-ON + weight decay's rate", "P-ON + weight decay at weight decay's rate"
    )  # fmt: skip
    assert part.same_rate("norm only", "vanilla") == (None, None)


def test_a_comparison_carries_its_controls():
    found = results.load("pon-mnist").compare("P-ON", "vanilla", effect=0.5)
    assert found.state == "ok"
    assert (found.at_better.baseline, found.at_baseline.better) == ("vanilla at P-ON's rate", "P-ON at vanilla's rate")
    assert found.mean == pytest.approx(found.seeds_only.mean, abs=1e-4)
