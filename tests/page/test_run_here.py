"""The cell that trains on the device that is there: its size, what it says, how it is stopped and goes on, what it shows."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from companion import page
from companion.data import DataNotFoundError, download_size
from companion.experiments.design import Arm, Experiment, Here, Images, Network, SameRate, Setting
from companion.experiments.here import setting_here, size_here
from companion.experiments.partial_output_norm import EXPERIMENTS, partial_norm
from companion.experiments.registry import registered
from companion.page import here
from companion.training.images import ImageTrainee
from companion.training.optimisers import Sgd
from tests.recorded import synthetic

SMALL = Setting(
    Images("mnist", sample=True, probe_rows=64), Network("mlp", sizes=(784, 8)), Sgd(), epochs=3, record=("fit",),
    measure_at=(1, 2, 3),
)  # fmt: skip
WHOLE = replace(SMALL, data=replace(SMALL.data, sample=False), epochs=2, precision="fp16", measure_at=(1, 2))
TINY = Experiment(
    (Arm("vanilla", partial_norm), Arm("P-ON", partial_norm, threshold=8.0)),
    (SMALL,),
    SameRate("P-ON", "vanilla"),
    here=Here({"lr": 0.1, "threshold": 2.0}, {"smoke": SMALL, "laptop": WHOLE, "gpu": WHOLE}),
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
    monkeypatch.delenv("COMPANION_PROFILE", raising=False)
    monkeypatch.setenv("COMPANION_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(here, "registered", lambda: {"tiny": TINY, "none": replace(TINY, here=None)})


def stop_at(monkeypatch, epoch: int, times: int = 1) -> list[int]:
    """Let training be interrupted in an epoch, the first ``times`` times; return the list of epochs trained from now on."""
    real, trained, left = ImageTrainee.train_epoch, [], [times]

    def train_epoch(self, number):
        if number == epoch and left[0]:
            left[0] -= 1
            raise KeyboardInterrupt
        trained.append(number)
        real(self, number)

    monkeypatch.setattr(ImageTrainee, "train_epoch", train_epoch)
    return trained


def test_it_says_first_and_shows_both_arms(capfd):
    ran = page.run_here("tiny")
    out, err = capfd.readouterr()
    assert err == "", "the build takes stderr for an error"
    first = out.splitlines()[0]
    assert first.startswith(
        "Trains mlp on 2,000 images of MNIST, the sample that comes with the package: 3 epochs with vanilla"
    )
    assert "That takes about" in first
    assert ran.complete
    assert {arm: run.epochs for arm, run in ran.curves.items()} == {"vanilla": (1, 2, 3), "P-ON": (1, 2, 3)}
    for arm, run in ran.curves.items():
        assert run.errors[-1] < run.errors[0] + 1 < 91, "it learns"
        assert f"{run.errors[-1]:.1f} % with {arm}" in ran.text
    assert "threshold 8," not in ran.text
    assert "No run of tiny is recorded yet." in ran.text
    assert ran.html.count("<table>") == 1
    assert 'id="figure-run-here"' in ran.html


def test_arms_knobs_and_the_default_are_the_contrast_s():
    pair = here._arms("pon-cifar10", EXPERIMENTS["pon-cifar10"], None, None)
    assert pair == ("weight decay", "P-ON + weight decay")
    assert here._arms("pon-cifar10", EXPERIMENTS["pon-cifar10"], "vanilla", "P-ON") == ("vanilla", "P-ON")
    assert here._arms("tiny", TINY, None, None) == ("vanilla", "P-ON")
    with pytest.raises(ValueError, match="method must be one of 'vanilla', 'P-ON', got 'nothing'"):
        page.run_here("tiny", method="nothing")
    with pytest.raises(ValueError, match="name must be one of 'tiny', got 'none'"):
        page.run_here("none")


def test_the_device_picks_the_size_and_the_profile_overrides(monkeypatch):
    sizes = {kind: size_here(torch.device(kind)) for kind in ("cuda", "mps", "cpu")}
    assert sizes == {"cuda": "gpu", "mps": "laptop", "cpu": "smoke"}
    monkeypatch.setenv("COMPANION_PROFILE", "gpu")
    assert size_here(torch.device("cpu")) == "gpu"
    assert setting_here(TINY, "gpu", torch.device("cpu")).precision == "float32", "half precision needs CUDA"
    assert setting_here(TINY, "gpu", torch.device("cuda")).precision == "fp16"
    monkeypatch.setenv("COMPANION_PROFILE", "huge")
    with pytest.raises(ValueError, match="profile must be one of"):
        page.run_here("tiny")


@pytest.mark.parametrize("stop", [1, 2])
def test_stopped_it_shows_what_is_done_and_goes_on(stop, monkeypatch, tmp_path, capsys):
    whole = page.run_here("tiny", folder=tmp_path / "whole")
    stop_at(monkeypatch, stop)
    part = page.run_here("tiny")
    assert not part.complete
    assert part.curves["vanilla"].epochs == tuple(range(1, stop))
    assert part.curves["P-ON"].epochs == ()
    assert ("Stopped before the first epoch" if stop == 1 else "So far the test error here is") in part.text
    capsys.readouterr()
    trained = stop_at(monkeypatch, 9)
    again = page.run_here("tiny")
    assert trained == [*range(stop, 4), 1, 2, 3], "epochs that are done are not trained again"
    assert ("Goes on where it was stopped." in capsys.readouterr().out) == (stop > 1)
    assert again.complete
    assert {arm: run.errors for arm, run in again.curves.items()} == {
        arm: run.errors for arm, run in whole.curves.items()
    }


def test_what_is_trained_is_not_trained_again_unless_asked(monkeypatch, capsys):
    first = page.run_here("tiny")
    trained = stop_at(monkeypatch, 9)
    assert page.run_here("tiny").curves == first.curves
    assert trained == []
    assert "trained here already" in capsys.readouterr().out
    assert page.run_here("tiny", fresh=True).complete
    assert trained == [1, 2, 3, 1, 2, 3]


def test_recorded_curves_stand_beside(monkeypatch):
    errors = {"vanilla": [3.0, 3.2], "P-ON": [2.0, 2.2]}
    recorded = synthetic(errors, experiment="tiny", settings=("mnist/mlp",), kind=page.here.Results)
    ran = page.run_here("tiny", recorded={"tiny": recorded})
    assert "Beside it the recorded runs: Mean of 2 seeds" in ran.text
    assert ran.html.count("test error recorded, %") == 3, "wide, one column, phone"
    curves, _ = here._beside("tiny", recorded, ("vanilla", "P-ON"))
    epochs, values = curves.curve("P-ON", "test_error")
    assert epochs[0] > 0, "the point before training would flatten all others"
    np.testing.assert_allclose(values[:, -1], errors["P-ON"])
    assert "recorded yet" in here._beside("tiny", None, ("vanilla", "P-ON"))[1]
    trial = synthetic(errors, experiment="tiny", settings=("mnist/mlp",), profile="smoke", kind=page.here.Results)
    assert here._beside("tiny", trial, ("vanilla", "P-ON"))[0] is None


def test_data_that_cannot_be_had_give_way_to_the_sample(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COMPANION_PROFILE", "laptop")
    monkeypatch.delenv("COMPANION_DATA", raising=False)
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "cache"))
    real = here.source_of

    def offline(data, device):
        if not data.sample:
            raise DataNotFoundError("MNIST was not found and could not be downloaded: no network\nWhat to do: …")
        return real(data, device)

    monkeypatch.setattr(here, "source_of", offline)
    ran = page.run_here("tiny")
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "MNIST is not on this machine: it is downloaded first, 12 MB."
    for text in (out, ran.text):
        assert (
            "could not be had (MNIST was not found and could not be downloaded: no network), so this is the packaged sample"
            in text
        )
        assert 'companion.data.load("mnist")' in text
    assert ran.curves["P-ON"].epochs == (1, 2, 3), "the size of the sample"


def test_the_size_of_a_download(monkeypatch, tmp_path):
    monkeypatch.delenv("COMPANION_DATA", raising=False)
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path))
    assert (download_size("cifar10"), download_size("cora")) == (170, 1)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("test_batch", *(f"data_batch_{number}" for number in range(1, 5))):
        (folder / name).touch()
    assert download_size("cifar10") == 170, "one file is missing"
    (folder / "data_batch_5").touch()
    assert download_size("cifar10") == 0
    with pytest.raises(ValueError, match="name must be one of"):
        download_size("nothing")


def test_experiments_state_all_that_their_arms_need():
    for experiment in registered().values():
        if experiment.here is None:
            continue
        for arm in experiment.arms:
            assert set(arm.knobs) <= set(experiment.here.knobs) | set(arm.fixed), arm
        sizes = experiment.here.sizes
        assert sizes["smoke"].data.sample, "seconds, and no download"
        assert {setting.name for setting in sizes.values()} == {experiment.settings[0].name}
        for setting in sizes.values():
            assert setting.epochs_measured() == tuple(range(1, setting.epochs + 1))
    with pytest.raises(ValueError, match="got the knobs threshold and the sizes smoke"):
        Here({"threshold": 1.0}, {"smoke": SMALL})


def test_in_a_notebook_one_place_is_replaced_and_no_widget_is_needed(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient").NotebookClient
    code = f"""
import sys
sys.modules["ipywidgets"] = None
from companion import page
from companion.page import here
from tests.page.test_run_here import TINY
here.registered = lambda: {{"tiny": TINY}}
page.run_here("tiny", folder={str(tmp_path)!r})
"""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    client(book, timeout=300).execute()
    said, shown = book.cells[0].outputs
    assert said["output_type"] == "display_data"
    assert said["data"]["text/plain"].startswith("Trains mlp on 2,000 images")
    assert "epoch/s" not in json.dumps(said), "the bar is gone at the end"
    assert "figure-run-here" in shown["data"]["text/html"]


def test_the_page_imports_no_matplotlib_before_it_is_asked():
    code = "import sys; from companion import page; assert 'matplotlib' not in sys.modules; page.run_here; page.figure_length"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr == ""
