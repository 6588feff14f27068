"""Labels that people gave: files of the published form are read, everything else is refused, and a network trains on them."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from companion.data import DamagedFileError, HumanLabels, load, read_human_labels
from companion.data.formats import file_digest
from companion.experiments.design import Arm, Images, Network, Setting
from companion.experiments.recording import record_of, setting_record
from companion.experiments.trainees import ImageSource
from companion.objective import Objective
from companion.training.optimisers import Sgd

FILE = "CIFAR-10_human.pt"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file of the published form for the packaged sample: one label in five is the next class."""
    true = load("cifar10", "train", sample=True).labels.numpy()
    worse = np.where(np.arange(len(true)) % 5 == 0, (true + 1) % 10, true)
    (tmp_path / "cifar-n").mkdir()
    torch.save(
        {"clean_label": true, "worse_label": worse, "random_label1": true[::-1].copy()}, tmp_path / "cifar-n" / FILE
    )
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    return tmp_path / "cifar-n" / FILE


def test_labels_of_a_published_file(published):
    labels = read_human_labels(published)
    assert set(labels) == {"clean_label", "worse_label", "random_label1"}
    true = load("cifar10", "train", sample=True).labels
    noisy = HumanLabels(FILE).draw(true, 10)
    assert torch.equal(noisy.drawn, torch.arange(len(true)) % 5 == 0)
    assert torch.equal(noisy.labels, torch.from_numpy(labels["worse_label"]).to(true.dtype))
    rows = torch.tensor([10, 3, 5])
    assert HumanLabels(FILE).draw(true[rows], 10, rows=rows).drawn.tolist() == [True, False, True]


def test_the_older_form_of_torch_save_is_read(published):
    whole = read_human_labels(published)
    torch.save(dict(whole), published, _use_new_zipfile_serialization=False)
    assert np.array_equal(read_human_labels(published)["worse_label"], whole["worse_label"])


def test_another_data_set_another_file_and_another_name_are_refused(published):
    true = load("cifar10", "train", sample=True).labels
    with pytest.raises(DamagedFileError, match="not those of the data set, row by row"):
        HumanLabels(FILE).draw(true.flip(0), 10)
    with pytest.raises(DamagedFileError, match="not those of the data set"):
        HumanLabels(FILE).draw(true[:7], 10)
    with pytest.raises(DamagedFileError, match="another checksum"):
        HumanLabels(FILE, sha256="0" * 64).draw(true, 10)
    assert HumanLabels(FILE, sha256=file_digest(published, "sha256")).draw(true, 10).drawn.any()
    with pytest.raises(ValueError, match="name must be one of 'worse_label', 'random_label1'"):
        HumanLabels(FILE, name="clean_label").draw(true, 10)
    with pytest.raises(
        FileNotFoundError, match=r"fetch it from the page of CIFAR-N .*folder cifar-n of COMPANION_DATA"
    ):
        HumanLabels("CIFAR-100_human.pt").draw(true, 10)


class Bomb:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_not_run(published, capsys, zipped):
    torch.save({"clean_label": Bomb()}, published, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DamagedFileError, match="which no data set needs"):
        read_human_labels(published)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2]), pickle.dumps({"a": np.arange(3)})])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"refused|holds no clean labels"):
        read_human_labels(path)


def test_the_recipe_of_the_chapter_trains_on_them(published):
    data = Images("cifar10", noise=HumanLabels(FILE), validation_rows=400, probe_rows=64, sample=True)
    setting = Setting(data, Network("resnet8"), Sgd(momentum=0.9, nesterov=True), epochs=1, record=("fit", "noise"))
    assert setting.noisy
    assert setting_record(setting)["data"]["noise"]["file"] == FILE
    source, arm = ImageSource(data, torch.device("cpu")), Arm("vanilla", Objective)
    record = record_of(setting, arm, {"lr": 0.1}, None, checksum=source.checksum, seed=0)
    trainee = source.trainee(setting, arm, [record], search=False)
    trainee._train_steps(1, 1)
    found = trainee.measure(1)
    assert 0 <= found["wrong_label_accuracy"].item() <= 100
    assert torch.equal(source.noisy_labels(0), source.noisy_labels(1))
    again = replace(data, rows=500)
    assert (
        ImageSource(again, torch.device("cpu")).noisy_labels(0) != ImageSource(again, torch.device("cpu")).labels
    ).any()
