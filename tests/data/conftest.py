"""Small data sets in every layout, written from the packaged samples, and a web without a network."""

from __future__ import annotations

import collections
import dataclasses
import gzip
import hashlib
import io
import pickle
import tarfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest

from companion.data import catalogue
from companion.data.formats import canonical_checksum
from companion.data.loading import channel_statistics, read_sample

ROWS = {"train": 40, "test": 20}


def image_arrays(name: str, split: str) -> dict[str, np.ndarray]:
    """Return some rows of a packed sample; grey digits stand in for the two sets that have no sample."""
    stand_in = {"fashion_mnist": "mnist", "svhn": "cifar10"}.get(name, name)
    arrays = read_sample(catalogue.CATALOGUE[stand_in], split)
    return {key: array[: ROWS[split]] for key, array in arrays.items()}


def cora_arrays() -> dict[str, np.ndarray]:
    return read_sample(catalogue.CATALOGUE["cora"], "train")


# ------------------------------------------------------------------------------------------------ writers of layouts
def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)


def write_idx_layout(root: Path, name: str, *, zipped: bool = True) -> Path:
    folder = root / {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[name] / "raw"
    ending = ".gz" if zipped else ""
    for split, stem in (("train", "train"), ("test", "t10k")):
        arrays = image_arrays(name, split)
        write_idx(folder / f"{stem}-images-idx3-ubyte{ending}", arrays["inputs"][:, 0])
        write_idx(folder / f"{stem}-labels-idx1-ubyte{ending}", arrays["labels"])
    return folder


def write_strips(path: Path, inputs: np.ndarray, rows_a_strip: int = 8) -> None:
    from PIL import Image

    with zipfile.ZipFile(path, "w") as archive:
        for start in range(0, len(inputs), rows_a_strip):
            strip = inputs[start : start + rows_a_strip].transpose(0, 2, 3, 1).reshape(-1, 32, 3)
            buffer = io.BytesIO()
            Image.fromarray(strip).save(buffer, "WEBP", lossless=True)
            archive.writestr(f"{start:05d}.webp", buffer.getvalue())


def write_strip_layout(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    train, test = image_arrays(name, "train"), image_arrays(name, "test")
    half = len(train["inputs"]) // 2
    write_strips(folder / "train_0.zip", train["inputs"][:half])
    write_strips(folder / "train_1.zip", train["inputs"][half:])
    write_strips(folder / "test.zip", test["inputs"])
    labels = {f"y_{split}": arrays["labels"].astype(np.uint8) for split, arrays in (("train", train), ("test", test))}
    np.savez(folder / "labels.npz", **labels)
    return folder


def write_cifar_pickles(root: Path, name: str) -> Path:
    folder = root / {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}[name]
    folder.mkdir(parents=True)
    key = {"cifar10": "labels", "cifar100": "fine_labels"}[name]
    files = {
        "cifar10": {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]},
        "cifar100": {"train": ["train"], "test": ["test"]},
    }[name]
    for split, names in files.items():
        arrays = image_arrays(name, split)
        inputs, labels = (np.array_split(arrays[part], len(names)) for part in ("inputs", "labels"))
        for file, batch, row in zip(names, inputs, labels, strict=True):
            content = {"data": batch.reshape(len(batch), -1), key: row.tolist(), "batch_label": "a batch"}
            (folder / file).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def write_svhn(root: Path) -> Path:
    from scipy.io import savemat

    folder = root / "SVHN"
    folder.mkdir(parents=True)
    for split in ROWS:
        arrays = image_arrays("svhn", split)
        labels = np.where(arrays["labels"] == 0, 10, arrays["labels"]).astype(np.uint8)[:, None]
        savemat(folder / f"{split}_32x32.mat", {"X": arrays["inputs"].transpose(2, 3, 1, 0), "y": labels})
    return folder


def write_planetoid(
    folder: Path, name: str, arrays: dict[str, np.ndarray], *, order: np.ndarray | None = None, protocol: int = 2
) -> Path:
    """Write a graph as Planetoid's eight files; ``order`` is that of ``test.index`` (default: a fixed shuffle)."""
    from scipy.sparse import csr_matrix

    folder.mkdir(parents=True)
    test = np.flatnonzero(arrays["test"])
    test = np.random.default_rng(0).permutation(test) if order is None else order
    known, train = int(test.min()), int(arrays["train"].sum())
    onehot = np.eye(int(arrays["labels"].max()) + 1, dtype=np.int32)[arrays["labels"]]
    neighbours = collections.defaultdict(list)
    for tail, head in arrays["edges"].T.tolist():
        neighbours[tail].append(head)
    neighbours[0] += [0, neighbours[0][0]] if neighbours[0] else [0]  # a self-loop and an edge that stands twice
    features = arrays["features"]
    parts = {
        "x": csr_matrix(features[:train]),
        "allx": csr_matrix(features[:known]),
        "tx": csr_matrix(features[test]),
        "y": onehot[:train],
        "ally": onehot[:known],
        "ty": onehot[test],
        "graph": neighbours,
    }
    for part, content in parts.items():
        (folder / f"ind.{name}.{part}").write_bytes(pickle.dumps(content, protocol=protocol))
    (folder / f"ind.{name}.test.index").write_text("".join(f"{node}\n" for node in test))
    return folder


# ------------------------------------------------------------------------------------------------------- fixtures
@pytest.fixture
def write() -> SimpleNamespace:
    """Return the writers of layouts."""
    return SimpleNamespace(
        idx=write_idx,
        idx_layout=write_idx_layout,
        strip_layout=write_strip_layout,
        cifar_pickles=write_cifar_pickles,
        svhn=write_svhn,
        planetoid=write_planetoid,
        image_arrays=image_arrays,
        cora_arrays=cora_arrays,
    )


@pytest.fixture
def places(tmp_path, monkeypatch) -> SimpleNamespace:
    """Return an empty data folder and an empty cache, which the environment variables name."""
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.mkdir()
    monkeypatch.setenv("COMPANION_DATA", str(data))
    monkeypatch.setenv("COMPANION_CACHE", str(cache))
    return SimpleNamespace(data=data, cache=cache)


@pytest.fixture
def register(monkeypatch):
    """Return a function that makes the small set in a folder the one that the catalogue knows, checksums and all."""

    def register_one(name: str, folder: Path, arrays_of=None, **changes) -> None:
        entry = catalogue.CATALOGUE[name]
        digests = {path.name: f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in folder.iterdir()}
        if entry.kind == "images":
            checksums = {split: canonical_checksum(image_arrays(name, split)) for split in ROWS}
            mean, std = channel_statistics(image_arrays(name, "train")["inputs"])
            changes = {"mean": mean, "std": std, **changes}
        else:
            checksums = dict.fromkeys(entry.splits, canonical_checksum((arrays_of or cora_arrays)()))
        small = dataclasses.replace(entry, digests=digests, checksums=checksums, **changes)
        monkeypatch.setattr(catalogue, "CATALOGUE", MappingProxyType({**catalogue.CATALOGUE, name: small}))

    return register_one


class _Response(io.BytesIO):
    def __init__(self, url: str, content: bytes) -> None:
        super().__init__(content)
        self.url, self.length = url, len(content)


@pytest.fixture
def web(monkeypatch) -> SimpleNamespace:
    """Stand in for the web at the one function that fetches an address: ``files`` by name, ``visited`` addresses."""
    state = SimpleNamespace(files={}, visited=[])

    def urlopen(request, *_, **__):
        url = request if isinstance(request, str) else request.full_url
        state.visited.append(url)
        name = url.rpartition("/")[2]
        if name not in state.files:
            raise urllib.error.URLError("the network is cut")
        return _Response(url, state.files[name])

    def serve_folder(folder: Path) -> None:
        state.files.update({path.name: path.read_bytes() for path in folder.iterdir()})

    def serve_archive(name: str, folder: Path) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            archive.add(folder, arcname=folder.name)
        state.files[name] = buffer.getvalue()

    state.serve_folder, state.serve_archive = serve_folder, serve_archive
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return state
