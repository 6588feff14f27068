from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch

from companion import data
from companion.data import catalogue, formats, loading
from companion.data.formats import canonical_checksum

LAYOUTS = {
    "mnist, gz": ("mnist", lambda write, root: write.idx_layout(root, "mnist")),
    "mnist, unpacked": ("mnist", lambda write, root: write.idx_layout(root, "mnist", zipped=False)),
    "fashion_mnist": ("fashion_mnist", lambda write, root: write.idx_layout(root, "fashion_mnist")),
    "cifar10, pickles": ("cifar10", lambda write, root: write.cifar_pickles(root, "cifar10")),
    "cifar10, strips": ("cifar10", lambda write, root: write.strip_layout(root, "cifar10")),
    "cifar100, pickles": ("cifar100", lambda write, root: write.cifar_pickles(root, "cifar100")),
    "cifar100, strips": ("cifar100", lambda write, root: write.strip_layout(root, "cifar100")),
    "svhn": ("svhn", lambda write, root: write.svhn(root)),
}
GRAPH_PLACES = ("Planetoid/Cora/raw", "Cora/raw", "Cora/Cora/raw")


def snapshot(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


# ----------------------------------------------------------------------------------------------------- layouts
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("case", LAYOUTS)
def test_every_image_layout_gives_the_same_tensors(case, split, places, write, register):
    name, lay_out = LAYOUTS[case]
    register(name, lay_out(write, places.data))
    before = snapshot(places.data)
    loaded, expected = data.load(name, split), write.image_arrays(name, split)
    assert np.array_equal(loaded.inputs.numpy(), expected["inputs"])
    assert np.array_equal(loaded.labels.numpy(), expected["labels"])
    assert (loaded.inputs.dtype, loaded.labels.dtype) == (torch.uint8, torch.int64)
    assert loaded.checksum == canonical_checksum(expected)
    assert (loaded.name, loaded.split, len(loaded)) == (name, split, len(expected["labels"]))
    assert snapshot(places.data) == before, "the data folder must not be written to"


@pytest.mark.parametrize("place", GRAPH_PLACES)
def test_every_graph_layout_gives_the_same_tensors(place, places, write, register):
    register("cora", write.planetoid(places.data / place, "cora", write.cora_arrays()))
    before = snapshot(places.data)
    for split in ("train", "val", "test"):
        loaded, expected = data.load("cora", split), data.load("cora", split, sample=True)
        for field in ("features", "labels", "edges", "mask", "labelled"):
            assert torch.equal(getattr(loaded, field), getattr(expected, field)), field
        assert loaded.checksum == expected.checksum
    assert snapshot(places.data) == before


def test_torchvision_reads_the_same_from_its_own_layout(places, write, register):
    from torchvision.datasets import MNIST

    register("mnist", write.idx_layout(places.data, "mnist", zipped=False))
    ours, theirs = data.load("mnist"), MNIST(str(places.data))
    assert torch.equal(ours.inputs[:, 0], theirs.data)
    assert torch.equal(ours.labels, theirs.targets)


def test_cache_is_second(places, write, register):
    register("mnist", write.idx_layout(places.cache, "mnist"))
    assert len(data.load("mnist")) == 40


def test_data_folder_that_is_no_folder_is_named(places, monkeypatch):
    monkeypatch.setenv("COMPANION_DATA", str(places.data / "nowhere"))
    with pytest.raises(data.DataNotFoundError, match="nowhere, which is no folder"):
        data.load("mnist")


# ------------------------------------------------------------------------------------------------- decoded copies
def test_strips_are_decoded_once(places, write, register, monkeypatch):
    register("cifar10", write.strip_layout(places.data, "cifar10"))
    decoded = []
    read = formats.read_strips
    monkeypatch.setattr(formats, "read_strips", lambda path: decoded.append(path.name) or read(path))
    first, second = data.load("cifar10"), data.load("cifar10")
    assert decoded == ["train_0.zip", "train_1.zip"]
    assert torch.equal(first.inputs, second.inputs)
    assert first.checksum == second.checksum


def test_damaged_decoded_copy_is_made_anew(places, write, register, caplog):
    register("cifar10", write.strip_layout(places.data, "cifar10"))
    first = data.load("cifar10")
    (copy,) = places.cache.glob("decoded/*.npz")
    good = copy.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1  # one wrong bit in a pixel
    for bad in (good[:100], bytes(flipped)):
        copy.write_bytes(bad)
        assert torch.equal(data.load("cifar10").inputs, first.inputs)
        assert "is damaged" in caplog.text
        assert copy.read_bytes() == good
        caplog.clear()


def test_a_cache_that_cannot_be_written_only_costs_time(places, write, register, monkeypatch):
    register("cifar10", write.strip_layout(places.data, "cifar10"))
    (places.data / "a file").write_text("in the way")
    monkeypatch.setenv("COMPANION_CACHE", str(places.data / "a file" / "cache"))
    assert len(data.load("cifar10")) == 40


@pytest.fixture
def homeless(monkeypatch):
    """A user without HOME and without an entry in the password file, as containers run under any number."""
    for name in ("HOME", "XDG_CACHE_HOME", "COMPANION_CACHE", "LOCALAPPDATA", "USERPROFILE", "HOMEPATH", "HOMEDRIVE"):
        monkeypatch.delenv(name, raising=False)
    if os.name == "posix":
        import pwd

        def unknown(uid):
            raise KeyError(f"getpwuid(): uid not found: {uid}")

        monkeypatch.setattr(pwd, "getpwuid", unknown)


NO_HOME = "this user has no home folder.*: set COMPANION_CACHE to a folder to use"


def test_a_user_without_home_is_told_what_to_set(places, homeless, monkeypatch):
    with pytest.raises(RuntimeError, match=NO_HOME):
        data.cache_folder()
    with pytest.raises(data.DataNotFoundError, match=NO_HOME):
        data.load("mnist")
    monkeypatch.setenv("COMPANION_CACHE", "~/cache")
    with pytest.raises(RuntimeError, match=NO_HOME):
        data.cache_folder()


@pytest.mark.parametrize("case", ["mnist, gz", "cifar10, strips"])  # the second would keep a decoded copy
def test_a_user_without_home_can_read_a_data_folder(case, places, write, register, homeless):
    name, lay_out = LAYOUTS[case]
    register(name, lay_out(write, places.data))
    assert len(data.load(name)) == 40


def test_a_cache_that_cannot_be_written_says_what_to_set(places, web, monkeypatch):
    (places.data / "a file").write_text("in the way")
    monkeypatch.setenv("COMPANION_CACHE", str(places.data / "a file" / "cache"))
    message = r"the cache cannot be written \(.*a file.*\): set COMPANION_CACHE to a folder that can be"
    with pytest.raises(data.DataNotFoundError, match=message):
        data.load("mnist")
    assert not web.visited, "nothing is fetched that could not be kept"


@pytest.mark.parametrize("refused", ["open", "is_file"])
def test_a_folder_that_cannot_be_read_is_named_and_another_is_used(refused, places, write, register, monkeypatch):
    register("mnist", write.idx_layout(places.cache, "mnist"))
    write.idx_layout(places.data, "mnist")
    allowed = getattr(Path, refused)

    def guarded(path, *arguments, **options):
        if path.is_relative_to(places.data):
            raise PermissionError(13, "Permission denied", str(path))
        return allowed(path, *arguments, **options)

    monkeypatch.setattr(Path, refused, guarded)
    with pytest.warns(UserWarning, match=r"raw cannot be read: .*Permission denied.*; another copy is used"):
        assert len(data.load("mnist")) == 40


# --------------------------------------------------------------------------------------------- damage and download
def serve(case_name, write, root, web):
    """Put a set on the stand-in web in the form in which it is published; return the folder it was made in."""
    if case_name in ("mnist", "fashion_mnist"):
        folder = write.idx_layout(root, case_name)
    elif case_name.startswith("cifar"):
        folder = write.cifar_pickles(root, case_name)
        web.serve_archive(
            {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}[case_name], folder
        )
    elif case_name == "svhn":
        folder = write.svhn(root)
    else:
        folder = write.planetoid(root / "raw", case_name, write.cora_arrays())
    web.serve_folder(folder)
    return folder


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100", "svhn", "cora"])
def test_download_lands_in_the_cache_and_is_used_from_there(name, places, write, register, web, tmp_path):
    register(name, serve(name, write, tmp_path / "published", web))
    first = data.load(name, "test")
    assert web.visited
    assert all(url.startswith("http") for url in web.visited)
    web.files.clear()
    web.visited.clear()
    second = data.load(name, "test")
    assert not web.visited
    assert first.checksum == second.checksum
    assert not snapshot(places.data)
    assert not list(places.cache.glob(".incoming*"))


def test_second_mirror_is_tried(places, write, register, web, tmp_path, monkeypatch):
    register("mnist", serve("mnist", write, tmp_path / "published", web))
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", ["https://first.invalid/gone-", "https://second.invalid/"])
    assert len(data.load("mnist")) == 40


@pytest.mark.parametrize("where", ["data", "cache"])
def test_damaged_file_is_named_and_fetched_again(where, places, write, register, web, tmp_path):
    root = getattr(places, where)
    register("mnist", serve("mnist", write, tmp_path / "published", web))
    bad = write.idx_layout(root, "mnist") / "train-labels-idx1-ubyte.gz"
    bad.write_bytes(bad.read_bytes()[:-3])
    before = snapshot(places.data)
    with pytest.warns(UserWarning, match=r"train-labels-idx1-ubyte\.gz is damaged.*fetching MNIST again") as caught:
        loaded = data.load("mnist")
    assert caught[0].filename == __file__, "the warning points at the caller's line"
    assert np.array_equal(loaded.labels.numpy(), write.image_arrays("mnist", "train")["labels"])
    assert snapshot(places.data) == before


def test_damaged_file_is_named_when_the_cache_has_a_good_one(places, write, register):
    register("mnist", write.idx_layout(places.cache, "mnist"))
    bad = write.idx_layout(places.data, "mnist") / "t10k-images-idx3-ubyte.gz"
    bad.write_bytes(b"nothing")
    with pytest.warns(UserWarning, match=r"t10k-images-idx3-ubyte\.gz is damaged.*another copy is used"):
        assert len(data.load("mnist", "test")) == 20
    assert len(data.load("mnist", "train")) == 40, "the other split is not touched by the damage"


def test_wrong_content_with_no_file_checksum_is_caught_after_decoding(places, write, register, web):
    register("mnist", write.idx_layout(places.data, "mnist"))
    for path in places.data.rglob("*.gz"):
        path.unlink()
    folder = write.idx_layout(places.data, "mnist", zipped=False)
    labels = folder / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x09")
    with (
        pytest.warns(UserWarning, match="decoded sha256"),
        pytest.raises(data.DataNotFoundError, match="decoded sha256"),
    ):
        data.load("mnist")


def test_download_that_arrives_damaged_is_not_kept(places, write, register, web, tmp_path):
    register("mnist", serve("mnist", write, tmp_path / "published", web))
    web.files["train-images-idx3-ubyte.gz"] = b"a portal's login page"
    with pytest.raises(data.DataNotFoundError, match=r"train-images-idx3-ubyte\.gz is damaged"):
        data.load("mnist")
    assert not list(places.cache.rglob("*ubyte*"))


def test_offline_error_says_what_to_do(places, web):
    with pytest.raises(data.DataNotFoundError) as caught:
        data.load("mnist")
    text = str(caught.value)
    for expected in (
        "MNIST was not found and could not be downloaded",
        "the network is cut",
        str(places.data),
        str(places.cache),
        'load("mnist", sample=True)',
        "'MNIST/raw'",
        "COMPANION_DATA",
    ):
        assert expected in text
    assert isinstance(caught.value.__cause__, (urllib.error.URLError, RuntimeError))


def test_offline_error_names_missing_and_damaged_files(places, write, web):
    folder = write.idx_layout(places.data, "mnist")
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(data.DataNotFoundError, match=r"train-labels-idx1-ubyte\.gz is missing beside the other files"):
        data.load("mnist")
    warned, refused = r"t10k-images.* is damaged", r"Note: .*t10k-images.* is damaged"
    with pytest.warns(UserWarning, match=warned), pytest.raises(data.DataNotFoundError, match=refused):
        data.load("mnist", "test")  # small files are not the official ones


def test_offline_error_offers_no_sample_where_there_is_none(places, web):
    with pytest.raises(data.DataNotFoundError) as caught:
        data.load("svhn")
    assert "sample=True" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("mnist", "torchvision", "vision"), ("cora", "torch_geometric", "graph")]
)
def test_download_without_its_package_names_the_extra(name, package, extra, places, monkeypatch):
    for module in [module for module in sys.modules if module.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)

    class Absent:
        def find_spec(self, fullname, *_):
            if fullname.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with pytest.raises(ImportError, match=rf"logits-under-control\[{extra}\]") as caught:
        data.load(name)
    assert f'load("{name}", sample=True)' in str(caught.value)


# ------------------------------------------------------------------------------------------------------ arguments
def test_unknown_name_and_split_list_what_is_allowed():
    with pytest.raises(ValueError, match=r"name must be one of 'mnist', 'fashion_mnist', 'cifar10'.*got 'minst'"):
        data.load("minst")
    with pytest.raises(ValueError, match="split must be one of 'train', 'test', got 'val'"):
        data.load("mnist", "val")
    with pytest.raises(ValueError, match="split must be one of 'train', 'val', 'test', got 'all'"):
        data.load("cora", "all", sample=True)


@pytest.mark.parametrize("name", ["svhn", "fashion_mnist", "citeseer", "pubmed"])
def test_sets_without_a_sample_list_those_that_have_one(name):
    with pytest.raises(ValueError, match=rf"\(mnist, cifar10, cifar100, cora\) when sample=True, got '{name}'"):
        data.load(name, sample=True)


def test_device():
    assert data.load("mnist", sample=True, device="meta").inputs.device.type == "meta"
    with torch.device("meta"):
        assert data.load("cora", sample=True).edges.device.type == "meta"
    assert data.load("cora", sample=True).to("meta").mask.device.type == "meta"
    assert data.load("mnist", sample=True).to("meta").labels.device.type == "meta"


def test_what_is_loaded_in_inference_mode_can_be_trained_on():
    with torch.inference_mode():
        loaded = data.load("cora", sample=True)
    weight = torch.ones(loaded.features.shape[1], 1, requires_grad=True)
    (loaded.features @ weight).sum().backward()
    assert weight.grad.sum() == loaded.features.sum()


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path))
    assert data.cache_folder() == tmp_path
    monkeypatch.delenv("COMPANION_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert data.cache_folder() == tmp_path / "xdg" / "logits-under-control"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert data.cache_folder().parts[-3:] == ("Library", "Caches", "logits-under-control")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert data.cache_folder() == tmp_path / "local" / "logits-under-control"


# ---------------------------------------------------------------------------------------------------- normalisation
def test_normalised_is_centred_over_the_training_set_and_leaves_the_bytes_alone(places, write, register):
    register("cifar10", write.cifar_pickles(places.data, "cifar10"))
    images = data.load("cifar10")
    bytes_before = images.inputs.clone()
    inputs = images.normalised()
    assert inputs.dtype == torch.float32
    torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(inputs.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)
    assert torch.equal(images.inputs, bytes_before)


@pytest.mark.parametrize("split", ["train", "test"])
def test_statistics_not_on_record_come_from_the_training_set(split, places, write, register):
    register("svhn", write.svhn(places.data), mean=None, std=None)
    pixels = torch.from_numpy(write.image_arrays("svhn", "train")["inputs"]).double() / 255
    images = data.load("svhn", split)
    assert images.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=1e-12)
    assert images.std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), abs=1e-12)


# -------------------------------------------------------------------------------------- samples, and the real thing
def test_samples_need_numpy_and_torch_alone():
    code = """
import socket, sys
class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {"torchvision", "torch_geometric", "PIL", "scipy", "matplotlib", "sympy"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
def cut(*_, **__):
    raise OSError("no network")
socket.socket.connect = cut
import companion.data
for name in ("mnist", "cifar10", "cifar100", "cora"):
    for split in ("train", "test"):
        print(name, split, len(companion.data.load(name, split, sample=True)))
"""
    environment = {key: value for key, value in os.environ.items() if key != "COMPANION_DATA"}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=environment
    )
    assert result.returncode == 0, result.stderr
    counts = dict(line.rsplit(" ", 1) for line in result.stdout.splitlines())
    assert counts == {
        "mnist train": "2000",
        "mnist test": "1000",
        "cifar10 train": "500",
        "cifar10 test": "250",
        "cifar100 train": "500",
        "cifar100 test": "200",
        "cora train": "2708",
        "cora test": "2708",
    }


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100"])
def test_image_samples_are_balanced_and_in_official_order(name, split):
    images = data.load(name, split, sample=True)
    assert len(set(torch.bincount(images.labels, minlength=len(images.classes)).tolist())) == 1
    entry = catalogue.CATALOGUE[name]
    assert images.checksum == entry.sample_checksums[split]
    assert (images.mean, images.std) == (entry.mean, entry.std)
    packed = np.load(loading.resources.files("companion.data") / "samples" / f"{name}.npz", allow_pickle=False)
    assert (np.diff(packed[f"rows_{split}"]) > 0).all()


def test_cora_sample_is_cora():
    graph = data.load("cora", "val", sample=True)
    assert graph.features.shape == (2708, 1433)
    assert torch.bincount(graph.labels).tolist() == [351, 217, 418, 818, 426, 298, 180]
    tails, heads = graph.edges
    assert graph.edges.shape == (2, 2 * 5278)
    assert not (tails == heads).any()
    assert torch.equal(torch.unique(tails * 2708 + heads), tails * 2708 + heads), "sorted, none twice"
    assert torch.equal(torch.unique(heads * 2708 + tails), tails * 2708 + heads), "both directions"
    assert [int(data.load("cora", split, sample=True).mask.sum()) for split in ("train", "val", "test")] == [
        140,
        500,
        1000,
    ]
    assert graph.labelled.all()


def test_damaged_sample_is_caught(monkeypatch):
    read = loading.read_sample
    monkeypatch.setattr(loading, "read_sample", lambda *args: {key: array + 1 for key, array in read(*args).items()})
    with pytest.raises(data.DamagedFileError, match="the packaged sample of mnist is damaged"):
        data.load("mnist", sample=True)


def _here(name: str, split: str) -> bool:
    """Whether ``COMPANION_DATA`` holds the files of a split."""
    root = os.environ.get("COMPANION_DATA")
    layouts = catalogue.CATALOGUE[name].layouts
    return bool(root) and any(
        all((loading.Path(root) / place / file).is_file() for file in layout.files[split])
        for layout in layouts
        for place in layout.folders
    )


_SPLITS = [
    (name, split)
    for name, entry in catalogue.CATALOGUE.items()
    for split in (("train",) if entry.kind == "graph" else entry.splits)  # a graph comes whole whatever the split
]
REAL = [(name, split) for name, split in _SPLITS if _here(name, split)]
QUICK = [case for case in REAL if not (case[0].startswith("cifar") and case[1] == "train")]
SAMPLES = [case for case in _SPLITS if catalogue.CATALOGUE[case[0]].sample_checksums]
FACTS = {"mnist": (60000, 10000), "cifar10": (50000, 10000), "cifar100": (50000, 10000)}


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path))


def check_full(name: str, split: str) -> None:
    loaded = data.load(name, split)
    entry = catalogue.CATALOGUE[name]
    assert loaded.checksum == entry.checksums.get(split, loaded.checksum)
    assert len(loaded.classes) == int(loaded.labels.max()) + 1
    if name in FACTS:
        assert len(loaded) == FACTS[name][split == "test"]
    if name in FACTS and split == "train":
        assert data.loading.channel_statistics(loaded.inputs.numpy()) == (entry.mean, entry.std)
    if name == "citeseer":
        assert int((~loaded.labelled).sum()) == 15
        assert not loaded.features[~loaded.labelled].any()
        assert not loaded.mask[~loaded.labelled].any()
    if entry.kind == "images" and entry.sample_checksums:
        sample = data.load(name, split, sample=True)
        packed = np.load(loading.resources.files("companion.data") / "samples" / f"{name}.npz", allow_pickle=False)
        rows = torch.from_numpy(packed[f"rows_{split}"]).long()
        assert torch.equal(loaded.inputs[rows], sample.inputs)
        assert torch.equal(loaded.labels[rows], sample.labels)
    elif entry.sample_checksums:
        assert loaded.checksum == data.load(name, split, sample=True).checksum


@pytest.mark.parametrize(("name", "split"), QUICK or SAMPLES)
def test_recorded_checksums(name, split, own_cache):
    """On the full sets where ``COMPANION_DATA`` has them; where it is not set, on the samples."""
    if QUICK:
        check_full(name, split)
    else:
        assert data.load(name, split, sample=True).checksum == catalogue.CATALOGUE[name].sample_checksums[split]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "split"), [case for case in REAL if case not in QUICK] or SAMPLES)
def test_recorded_checksums_of_the_large_sets(name, split, own_cache):
    if REAL:
        check_full(name, split)
    else:
        assert data.load(name, split, sample=True).checksum == catalogue.CATALOGUE[name].sample_checksums[split]
