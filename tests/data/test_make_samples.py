from __future__ import annotations

import numpy as np
import pytest

from companion.data import make_samples
from companion.data.formats import canonical_checksum
from companion.data.loading import unpack_graph


def test_image_sample_takes_the_first_rows_of_each_class(places, write, register, monkeypatch):
    register("mnist", write.idx_layout(places.data, "mnist"))
    monkeypatch.setattr(make_samples, "ROWS_PER_CLASS", {"mnist": {"train": 2, "test": 1}})
    packed = make_samples.image_sample("mnist")
    for split, per_class in (("train", 2), ("test", 1)):
        full = write.image_arrays("mnist", split)
        rows = packed[f"rows_{split}"]
        assert np.array_equal(packed[f"inputs_{split}"], full["inputs"][rows])
        assert np.array_equal(packed[f"labels_{split}"], full["labels"][rows])
        for label in np.unique(full["labels"]):
            assert np.array_equal(
                rows[packed[f"labels_{split}"] == label], np.flatnonzero(full["labels"] == label)[:per_class]
            )


def test_graph_packs_and_unpacks_to_the_same(write):
    arrays = write.cora_arrays()
    assert canonical_checksum(unpack_graph(make_samples.pack_graph(arrays))) == canonical_checksum(arrays)


def test_only_binary_features_are_packed(write):
    arrays = write.cora_arrays()
    with pytest.raises(ValueError, match="zeros and ones"):
        make_samples.pack_graph({**arrays, "features": arrays["features"] / 2})


def test_command_writes_the_same_twice(places, write, register, monkeypatch, tmp_path, capsys):
    register("mnist", write.idx_layout(places.data, "mnist"))
    register("cora", write.planetoid(places.data / "Planetoid/Cora/raw", "cora", write.cora_arrays()))
    monkeypatch.setattr(make_samples, "ROWS_PER_CLASS", {"mnist": {"train": 2, "test": 1}})
    for folder in ("one", "two"):
        make_samples.main(["--into", str(tmp_path / folder)])
    for name in ("mnist", "cora"):
        assert (tmp_path / "one" / f"{name}.npz").read_bytes() == (tmp_path / "two" / f"{name}.npz").read_bytes()
    assert "mnist: " in capsys.readouterr().out


def test_the_wheel_holds_the_samples(root):
    from hatchling.builders.wheel import WheelBuilder

    included = {file.distribution_path for file in WheelBuilder(str(root)).recurse_included_files()}
    for file in ("mnist.npz", "cifar10.npz", "cifar100.npz", "cora.npz", "README.md"):
        assert f"companion/data/samples/{file}" in included
