"""Experiments end to end on the packaged samples: run, resume, pack, load; the command."""

from __future__ import annotations

import json
import os
import stat

import numpy as np
import pytest
import torch

from companion import cli, experiments, results
from companion.data import UniformNoise
from companion.experiments import running
from companion.experiments.design import Arm, Experiment, Graph, Images, Network, SameRate, Setting
from companion.experiments.packing import packed, recorded_runs
from companion.experiments.planning import make_plan
from companion.experiments.ranges import Log
from companion.experiments.registry import experiment
from companion.experiments.trainees import source_of
from companion.results import Results
from companion.training.optimisers import Sgd
from companion.training.records import RunStore


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.delenv("COMPANION_PROFILE", raising=False)
    monkeypatch.setenv("COMPANION_RUNS", str(tmp_path / "runs"))


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The smoke profile of all experiments, run once: name to (folder of raw results, results)."""
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
        for arm in (*packed[setting].arms, *packed[setting].controls):
            np.testing.assert_allclose(packed[setting].final(arm), ran[name][setting].final(arm))
            assert packed[setting].seeds(arm) == ran[name][setting].seeds(arm)
            _, logits, labels = packed[setting].logits(arm)
            wrong = (logits[-1].argmax(1) != labels).mean()
            assert wrong == pytest.approx(1 - packed[setting].correct(arm)[0][: len(labels)].mean(), abs=0.011)
            np.testing.assert_allclose(
                100 * (1 - packed[setting].correct(arm).mean(1)), packed[setting].final(arm), atol=2e-4
            )
    assert f"{packed[packed.settings[0]].arms[0]} − arm" in packed.table()
    text = path.read_text()
    assert text.count('"device"') == len(packed.data["provenance"]), "where runs were made is said once"


def test_what_is_recorded_is_not_trained_again(smoke, tmp_path, monkeypatch):
    experiments.pack("pon-mnist", "smoke", folder=smoke[0], target=tmp_path)
    recorded = recorded_runs("pon-mnist", tmp_path)
    chosen = experiment("pon-mnist", "smoke")
    (setting,) = chosen.settings
    store = RunStore(tmp_path / "empty", recorded=recorded)
    plan = make_plan(chosen, setting, source_of(setting.data, "cpu"), store)
    assert all(not plan.missing(stage, store) for stage in ("search", "final runs", "controls"))
    monkeypatch.setattr("companion.experiments.running.train_group", lambda *_, **__: pytest.fail("it trained"))
    assert experiments.run("pon-mnist", "smoke", folder=smoke[0], fresh=True, verbose=False).complete


def test_a_fresh_run_does_not_ask_what_is_recorded(smoke, monkeypatch):
    monkeypatch.setattr("companion.experiments.running.recorded_runs", lambda name: pytest.fail("it asked"))
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
    with pytest.raises(ValueError, match=r"holds 1 runs that the experiment no longer asks for.*force=True"):
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
    assert packed.missing == ("mnist/mlp-3: P-ON: final runs of seeds 0",)
    assert packed.unfinished("P-ON")
    assert not packed.unfinished("vanilla")
    assert packed.seeds("P-ON") == (1,)
    assert packed.compare("P-ON", "vanilla").n == 1


def test_an_empty_folder_is_not_packed_and_what_is_missing_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"holds no run of 'pon-mnist' at the size 'smoke'; `companion run"):
        experiments.pack("pon-mnist", "smoke", folder=tmp_path / "none", target=tmp_path)
    assert not list(tmp_path.glob("*.json"))
    chosen = experiment("pon-mnist", "smoke")
    empty = Results(packed("pon-mnist", chosen, "smoke", RunStore(tmp_path / "none")))
    assert len(empty.missing) == 10
    assert "vanilla: 2 runs of the search, then 2 final runs" in empty.missing[0]
    assert "no run yet" in empty.table()
    with pytest.raises(ValueError, match="no final run"):
        empty.final("vanilla")
    with pytest.raises(ValueError, match="not over"):
        empty.record("vanilla")


def test_the_search_never_sees_the_test_rows():
    source = source_of(Images("mnist", sample=True, validation_rows=400), "cpu")
    train, validation, none = source.parts((0,), search=True)
    assert none is None
    assert (len(train), len(validation)) == (1600, 400)
    images = torch.cat([train.inputs, validation.inputs]).flatten(1).sum(1).sort().values
    assert torch.equal(images, source.inputs.flatten(1).sum(1).sort().values)
    whole, test, none = source.parts((0,), search=False)
    assert none is None
    assert len(whole) == 2000
    assert torch.equal(test.inputs, source.test_inputs)


def test_noisy_labels_are_each_seed_s_own_and_never_the_test_s():
    data = Images("mnist", sample=True, validation_rows=400, noise=UniformNoise(0.5, keep_true=False))
    source = source_of(data, "cpu")
    train, test, validation = source.parts((0, 1), search=False)
    assert (len(train), len(validation)) == (1600, 400)
    for part in (train, validation):
        wrong = (part.labels != part.true_labels).double().mean(1)
        assert (wrong - 0.5).abs().max() < 0.1, "held-out labels are as noisy as the others"
        assert not torch.equal(part.labels[0], part.labels[1])
    assert torch.equal(test.labels, source.test_labels.expand(2, -1))
    assert test.true_labels is None
    assert torch.equal(train.labels[0], source.parts((0,), search=False)[0].labels[0])
    searched, judged, none = source.parts((0,), search=True)
    assert torch.equal(searched.labels[0], train.labels[0])
    assert torch.equal(judged.labels[0], validation.labels[0])
    assert none is None


def test_fewer_rows_are_a_fixed_choice():
    source = source_of(Images("mnist", sample=True, rows=500, validation_rows=100), "cpu")
    assert source.inputs.shape[0] == len(source.labels) == 500
    again = source_of(Images("mnist", sample=True, rows=500, validation_rows=100, augment=("flip",)), "cpu")
    assert torch.equal(source.labels, again.labels)


def test_a_record_is_trained_as_it_says():
    chosen = experiment("pon-mnist", "smoke")
    (setting,) = chosen.settings
    source = source_of(setting.data, "cpu")
    plan = make_plan(chosen, setting, source, RunStore("nowhere"))
    points = plan.draws[0].rounds[0]
    arm = chosen.arm("P-ON + weight decay")
    records = points.records[arm.name][0]
    trainee = source.trainee(setting, arm, records, search=True)
    (group,) = trainee.optimiser.param_groups
    knobs = points.points[arm.name][0]
    assert (trainee.lr, group["weight_decay"]) == (knobs["lr"], knobs["weight_decay"])
    (learner,) = trainee.stack.learners
    assert learner.objective.logit_transform.threshold == knobs["threshold"]
    assert learner.objective.penalties["stability"][1] == knobs["stability"]
    twin = source.trainee(setting, chosen.arm("vanilla"), records, search=False)
    assert torch.equal(twin.stack.learners[0].network.layers[0].weight, learner.network.layers[0].weight)


def test_graph_splits_are_disjoint_and_cover_the_graph():
    source = source_of(Graph("cora", sample=True), "cpu")
    train, validation, test = source.split(3)
    assert torch.equal(torch.cat([train, validation, test]).sort().values, torch.arange(len(source.labels)))
    assert [len(part) for part in (train, validation, test)] == [1625, 542, 541]
    assert not torch.equal(train, source.split(4)[0])


def plain():
    """A builder that a record can name."""
    from companion import Objective

    return Objective()


NOISY = Experiment(
    (Arm("vanilla", plain), Arm("decay", plain, weight_decay=Log(1e-3, 1e-1))),
    (
        Setting(
            Images("mnist", noise=UniformNoise(0.4)),
            Network("mlp", sizes=(784, 16)),
            Sgd(),
            record=("fit", "noise"),
            stack=2,
        ),
    ),
    SameRate("decay", "vanilla"),
)


def test_stopping_rules_of_a_noisy_experiment(tmp_path, monkeypatch):
    monkeypatch.setattr("companion.experiments.registry.registered", lambda: {"noisy": NOISY})
    runs = experiments.run("noisy", "smoke", folder=tmp_path, verbose=False)
    assert runs.noisy
    assert set(runs.controls) == {"vanilla at decay's rate", "decay at vanilla's rate"}
    assert runs.same_rate("decay", "vanilla") == ("vanilla at decay's rate", "decay at vanilla's rate")
    _, test = runs.curve("vanilla", "test_error")
    _, held_out = runs.curve("vanilla", "validation_error")
    assert test.shape == held_out.shape == (2, 6)
    np.testing.assert_array_equal(runs.stopped("vanilla"), test[:, -1])
    np.testing.assert_array_equal(runs.stopped("vanilla", "best test"), test.min(1))
    np.testing.assert_array_equal(runs.stopped("vanilla", "best validation"), test[[0, 1], held_out.argmin(1)])
    assert (runs.stopped("vanilla", "best test") <= runs.stopped("vanilla", "best validation")).all()
    with pytest.raises(ValueError, match="rule must be one of 'last epoch'"):
        runs.stopped("vanilla", "luck")
    assert runs.final("vanilla", "noisy_gradient_share").shape == (2,)


def test_curves_are_kept_of_a_few_seeds_and_last_epochs_of_all(tmp_path, monkeypatch):
    from dataclasses import replace

    many = replace(NOISY, settings=(replace(NOISY.settings[0], data=Images("mnist"), record=("fit",)),),
                   sizes={"smoke": {"seeds": 7, "epochs": 2}})  # fmt: skip
    monkeypatch.setattr("companion.experiments.registry.registered", lambda: {"many": many})
    runs = experiments.run("many", "smoke", folder=tmp_path, verbose=False)
    assert runs.curve("vanilla", "train_loss")[1].shape == (5, 3)
    assert runs.final("vanilla", "train_loss").shape == (7,)


def test_unknown_names_and_profiles():
    with pytest.raises(ValueError, match="pon-mnist"):
        experiments.run("nothing")
    with pytest.raises(ValueError, match="laptop"):
        experiments.run("pon-mnist", "huge")
    with pytest.raises(ValueError, match="workers"):
        experiments.run("pon-mnist", "smoke", workers=0)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert cli.main(["run", "pon-mnist", "--folder", str(locked)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "cannot be written" in said
    assert "COMPANION_RUNS" in said


def test_a_file_where_the_folder_should_be_is_said_in_one_line(tmp_path, capsys):
    (tmp_path / "runs").write_text("")
    assert cli.main(["run", "pon-mnist", "--folder", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "name another folder with --folder or COMPANION_RUNS" in said


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "train_group", interrupted)
    assert cli.main(["run", "pon-mnist", "--profile", "smoke", "--folder", str(tmp_path), "--fresh"]) == 130
    assert "Nothing is lost: `companion run pon-mnist --profile smoke` goes on from here." in capsys.readouterr().out


def test_progress_is_tqdm_s_and_silence_is_silent(smoke, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("companion.experiments.registry.registered", lambda: {"noisy": NOISY})
    experiments.run("noisy", "smoke", folder=tmp_path / "loud")
    said = capsys.readouterr()
    assert "mnist/mlp, search" in said.err
    assert "epoch" in said.err
    assert "100%" in said.err
    experiments.run("noisy", "smoke", folder=tmp_path / "quiet", verbose=False)
    assert capsys.readouterr() == ("", "")


def test_command(smoke, tmp_path, capsys):
    folder = str(smoke[0])
    assert cli.main(["run", "pon-mnist", "--profile", "smoke", "--folder", folder]) == 0
    assert "No finding" in capsys.readouterr().out
    assert cli.main(["status", "pon-mnist", "--profile", "smoke", "--folder", folder]) == 0
    assert "pon-mnist: nothing is missing" in capsys.readouterr().out
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
    assert cli.main(["doctor"]) == 0
    assert "ok  Python" in capsys.readouterr().out


def test_the_doctor_names_what_is_wrong(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("COMPANION_RUNS", str(tmp_path / "file"))
    assert cli.main(["doctor"]) == 2
    said = capsys.readouterr().out
    assert "!!  folder of raw results" in said
    assert "set COMPANION_RUNS" in said
    assert "!!  COMPANION_DATA names" in said
