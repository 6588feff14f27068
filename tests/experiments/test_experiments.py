"""Experiments end to end on the packaged samples: run, kill, resume, pack, load; searches; the command."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from companion import cli, experiments, results
from companion.experiments import running
from companion.experiments.packing import recorded_runs
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
    assert f"difference from {packed[packed.settings[0]].arms[0]}" in packed.table()


def test_packed_runs_count_as_done(smoke, tmp_path):
    experiments.pack("pon-mnist", "smoke", folder=smoke[0], target=tmp_path)
    recorded = recorded_runs("pon-mnist", tmp_path)
    recipe = experiments.recipes("pon-mnist", "smoke")[0]
    plan = running.make_plan(
        recipe, runner_for(recipe, "cpu").checksum, RunStore(tmp_path / "empty", recorded=recorded)
    )
    assert all(record.key in recorded for records in plan.final.values() for record in records)


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


def test_an_empty_folder_packs_to_a_file_that_says_so(tmp_path):
    experiments.pack("pon-mnist", "smoke", folder=tmp_path / "none", target=tmp_path)
    packed = results.load("pon-mnist", folder=tmp_path)
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
