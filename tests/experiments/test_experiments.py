"""Experiments end to end on the packaged samples: run, kill, resume, pack, load; searches; the command."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from companion import cli, experiments, results
from companion.experiments import running
from companion.experiments.packing import pack_settings, recorded_runs
from companion.experiments.runners import runner_for
from companion.training.records import RunStore


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.delenv("COMPANION_PROFILE", raising=False)
    monkeypatch.setenv("COMPANION_RUNS", str(tmp_path / "runs"))


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The smoke profile of both experiments, run once: name to (folder of raw results, results)."""
    folder = tmp_path_factory.mktemp("runs")
    names = experiments.names()
    return folder, {name: experiments.run(name, "smoke", folder=folder, fresh=True, verbose=False) for name in names}


@pytest.mark.parametrize("name", experiments.names())
def test_run_pack_load(name, smoke, tmp_path):
    folder, ran = smoke
    path = experiments.pack(name, "smoke", folder=folder, target=tmp_path)
    packed = results.load(name, folder=tmp_path)
    assert path.name == f"{name}.json"
    assert packed.complete
    assert packed.provenance["runs"] == len(packed.data["runs"])
    for setting in packed.settings:
        for arm in packed[setting].arms:
            np.testing.assert_allclose(packed[setting].final(arm), ran[name][setting].final(arm))
            assert packed[setting].seeds(arm) == ran[name][setting].seeds(arm)
            _, logits, labels = packed[setting].logits(arm)
            right = (logits[-1].argmax(1) == labels).mean()
            assert right == pytest.approx(packed[setting].correct(arm)[0][: len(labels)].mean(), abs=0.011)
    assert f"difference from {packed[packed.settings[0]].arms[0]}" in packed.table()


def test_packed_runs_count_as_done(smoke, tmp_path):
    experiments.pack("pon-mnist", "smoke", folder=smoke[0], target=tmp_path)
    recorded = recorded_runs("pon-mnist", tmp_path)
    recipe = experiments.recipes("pon-mnist", "smoke")[0]
    plan = running.make_plan(
        recipe, runner_for(recipe, "cpu").checksum, RunStore(tmp_path / "empty", recorded=recorded)
    )
    assert all(record.key in recorded for records in plan.final.values() for record in records)


def test_a_fresh_run_does_not_ask_what_is_recorded(smoke, monkeypatch):
    monkeypatch.setattr("companion.experiments.packing.recorded_runs", lambda name: pytest.fail("it asked"))
    assert experiments.run("pon-mnist", "smoke", folder=smoke[0], fresh=True, verbose=False).complete


def test_packing_twice_changes_nothing_but_the_date(smoke, tmp_path):
    experiments.pack("pon-graphs", "smoke", folder=smoke[0], target=tmp_path)
    first = results.load("pon-graphs", folder=tmp_path).data
    experiments.pack("pon-graphs", "smoke", folder=tmp_path / "nothing", target=tmp_path)
    second = results.load("pon-graphs", folder=tmp_path).data
    assert {**first, "packed": None} == {**second, "packed": None}


def test_a_pack_that_would_lose_runs_is_refused(smoke, tmp_path, capsys):
    path = experiments.pack("pon-mnist", "smoke", folder=smoke[0], target=tmp_path)
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match=r"profile must be 'smoke', that of the \d+ runs.*got 'gpu'.*--target.*--force"
    ):
        experiments.pack("pon-mnist", "gpu", folder=tmp_path, target=tmp_path)
    assert cli.main(["pack", "pon-mnist", "--profile", "gpu", "--target", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert path.read_bytes() == before
    data = json.loads(before)
    data["runs"]["stray"] = next(iter(data["runs"].values()))
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"holds 1 runs that the recipe no longer asks for.*force=True"):
        experiments.pack("pon-mnist", "smoke", folder=smoke[0], target=tmp_path)
    experiments.pack("pon-mnist", "smoke", folder=smoke[0], target=tmp_path, force=True)
    assert set(json.loads(path.read_text())["runs"]) == set(json.loads(before)["runs"])


def test_a_partial_pack_says_what_is_missing(smoke, tmp_path):
    store = RunStore(smoke[0] / "pon-mnist")
    ran = smoke[1]["pon-mnist"]
    partial = RunStore(tmp_path / "runs" / "pon-mnist")
    gone = ran.keys("P-ON")[0]
    for key in ran.data["runs"]:
        if key != gone:
            partial.save(key, store.load(key))
    experiments.pack("pon-mnist", "smoke", folder=tmp_path / "runs", target=tmp_path)
    packed = results.load("pon-mnist", folder=tmp_path)
    assert not packed.complete
    assert "P-ON: final runs of seeds 0" in "\n".join(packed.missing)
    assert packed.seeds("P-ON") == (1,)
    assert packed.paired("P-ON", "vanilla").n == 1


def test_an_empty_folder_is_not_packed_and_what_is_missing_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"holds no run of 'pon-mnist' at the size 'smoke'; `companion run"):
        experiments.pack("pon-mnist", "smoke", folder=tmp_path / "none", target=tmp_path)
    assert not list(tmp_path.glob("*.json"))
    empty = pack_settings(
        "pon-mnist", experiments.recipes("pon-mnist", "smoke"), RunStore(tmp_path / "none"), device="cpu"
    )
    packed = results.Results(empty)
    assert len(packed.missing) >= 6
    assert "no run yet" in packed.table()
    with pytest.raises(ValueError, match="no final run"):
        packed.final("vanilla")
    with pytest.raises(ValueError, match="not over"):
        packed.record("vanilla")


def test_every_arm_gets_the_same_points_by_its_own_coordinates():
    recipe = experiments.recipes("pon-mnist", "laptop")[0]
    neutral = {"threshold": math.inf, "stability": 0.0, "weight_decay": 0.0}
    point = {"lr": 0.1, "threshold": 2.0, "stability": 0.3, "weight_decay": 1e-4}
    assert recipe.arm_knobs("vanilla", point) == {"lr": 0.1, **neutral}
    assert recipe.arm_knobs("norm only", point) == {"lr": 0.1, **neutral, "threshold": 2.0}
    assert recipe.arm_knobs("P-ON + weight decay", point) == point
    with pytest.raises(ValueError, match="arm must be one of 'vanilla'"):
        recipe.arm_knobs("nothing", point)
    space = recipe.space
    points = space.draw()
    assert points == space.draw()
    assert len(points) == 12
    for name, low, high in space.ranges:
        column = [math.log(p[name] / low) / math.log(high / low) for p in points]
        assert min(column) >= 0
        assert max(column) <= 1
        assert sorted(int(4 * u) for u in column[:4]) == [0, 1, 2, 3]  # a Sobol net: one point a quarter


def test_neutral_knobs_share_a_run():
    recipe = experiments.recipes("pon-mnist", "smoke")[0]
    vanilla = {"lr": 0.1, "threshold": math.inf, "stability": 0.0, "weight_decay": 0.0}
    records = [recipe.record(vanilla, checksum="x", seed=0, search=False) for _ in range(2)]
    assert records[0].key == records[1].key


def test_the_search_never_sees_the_test_rows():
    recipe = experiments.recipes("pon-mnist", "smoke")[0]
    runner = runner_for(recipe, "cpu")
    trained, validated = (runner.search_data[part][0].flatten(1) for part in ("train", "test"))
    assert len(trained) + len(validated) == len(runner.data["train"][0])
    images = torch.cat([trained, validated])
    assert torch.equal(images.sum(1).sort().values, runner.data["train"][0].flatten(1).sum(1).sort().values)


def test_a_record_is_trained_as_it_says():
    recipe = experiments.recipes("pon-mnist", "smoke")[0]
    runner = runner_for(recipe, "cpu")
    knobs = {"lr": 0.1, "threshold": 2.0, "stability": 0.3, "weight_decay": 1e-3}

    def trainee(seed=0, search=False):
        return runner.trainee(recipe.record(knobs, checksum="x", seed=seed, search=search), search=search)

    final, searched, other = trainee(), trainee(search=True), trainee(seed=1)
    for part in ("train", "test"):
        assert getattr(final, part) is runner.data[part]
        assert getattr(searched, part) is runner.search_data[part]
    (group,) = final.optimiser.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.1, 1e-3)
    assert (final.threshold, final.stability, final.seed, other.seed) == (2.0, 0.3, 0, 1)
    weights = [made.network.layers[0].weight for made in (final, searched, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_stack_of_graph_records_is_trained_as_they_say():
    recipe = experiments.recipes("pon-graphs", "smoke")[0]
    runner = runner_for(recipe, "cpu")
    knobs = [{"lr": 0.01, "threshold": 2.0, "stability": 0.1}, {"lr": 0.02, "threshold": math.inf, "stability": 0.0}]
    for search in (True, False):
        records = [recipe.record(k, checksum="x", seed=seed, search=search) for seed, k in enumerate(knobs)]
        trainee = runner.trainee(records, search=search)
        columns = {"lr": trainee.optimiser.lr, "threshold": trainee.threshold, "stability": trainee.stability}
        for run, values in enumerate(knobs):
            train, validation, test = runner.split(run)
            assert torch.equal(trainee.train_rows[run], train)
            assert torch.equal(trainee.test_rows[run], validation if search else test)
            assert {name: column[run].item() for name, column in columns.items()} == pytest.approx(values)
        assert (trainee.seeds, trainee.optimiser.weight_decay, trainee.full) == ((0, 1), 5e-4, not search)


def test_graph_splits_are_disjoint_and_cover_the_graph():
    recipe = experiments.recipes("pon-graphs", "smoke")[0]
    runner = runner_for(recipe, "cpu")
    train, validation, test = runner.split(3)
    assert torch.equal(torch.cat([train, validation, test]).sort().values, torch.arange(len(runner.labels)))
    assert [len(part) for part in (train, validation, test)] == [1625, 542, 541]
    assert not torch.equal(train, runner.split(4)[0])


def test_the_choice_prefers_the_lower_loss_among_equal_errors(tmp_path):
    recipe = experiments.recipes("pon-mnist", "smoke")[0]
    store = RunStore(tmp_path)
    scores = [(5.0, None), (5.0, 0.3)]
    for arm in recipe.arms:
        for point, (error, loss) in zip(recipe.space.draw(), scores, strict=True):
            record = recipe.record(recipe.arm_knobs(arm, point), checksum="x", seed=recipe.search_seeds[0], search=True)
            store.save(record.key, {"metrics": {"test_error": [error], "test_loss": [loss]}})
    assert set(running.make_plan(recipe, "x", store).chosen.values()) == {1}


def test_unknown_names_and_profiles():
    with pytest.raises(ValueError, match="pon-mnist"):
        experiments.run("nothing")
    with pytest.raises(ValueError, match="laptop"):
        experiments.run("pon-mnist", "huge")
    with pytest.raises(ValueError, match="workers"):
        experiments.run("pon-mnist", "smoke", workers=0)


def test_command(smoke, tmp_path, capsys):
    folder = str(smoke[0])
    assert cli.main(["run", "pon-mnist", "--profile", "smoke", "--folder", folder]) == 0
    assert "all 12 runs are there" in capsys.readouterr().out
    assert cli.main(["pack", "pon-mnist", "--profile", "smoke", "--folder", folder, "--target", str(tmp_path)]) == 0
    assert "pon-mnist.json" in capsys.readouterr().out
    assert cli.main(["results", "pon-mnist", "--folder", str(tmp_path)]) == 0
    assert "P-ON + weight decay" in capsys.readouterr().out
    assert cli.main(["data", "mnist", "--sample"]) == 0
    assert "2000 rows" in capsys.readouterr().out
    assert cli.main(["results", "pon-mnist", "--folder", str(tmp_path), "--baseline", "strength"]) == 2
    assert "has no arm 'strength'; it has vanilla" in capsys.readouterr().err
    assert cli.main(["run", "nothing"]) == 2
    assert "must be one of" in capsys.readouterr().err
