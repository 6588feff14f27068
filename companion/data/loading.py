"""Find a data set on this machine, or fetch it, and hand it over as tensors."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from companion._checks import check_choice
from companion._extras import require
from companion.data import catalogue
from companion.data.catalogue import Arrays, Entry, Layout
from companion.data.formats import DamagedFileError, canonical_checksum, file_digest
from companion.data.sets import Graph, Images

logger = logging.getLogger(__name__)

_DOWNLOAD_ERRORS = (OSError, RuntimeError, http.client.HTTPException, EOFError, tarfile.TarError, DamagedFileError)


class DataNotFoundError(FileNotFoundError):
    """A data set is neither on this machine nor to be had; the message says where it was sought and what to do."""


def load(
    name: str, split: str = "train", *, sample: bool = False, device: torch.device | str | None = None
) -> Images | Graph:
    """Load a data set as tensors.

    It is sought in the folder that the environment variable ``COMPANION_DATA`` names, which is only ever read; then in
    the user's cache (`cache_folder`); then it is downloaded into that cache through torchvision or PyTorch Geometric.
    Every file and the decoded arrays are checked against known checksums. A damaged file is named in a warning, and the
    set is fetched again.

    Args:
        name: ``"mnist"``, ``"fashion_mnist"``, ``"cifar10"``, ``"cifar100"``, ``"svhn"`` (images), ``"cora"``,
            ``"citeseer"`` or ``"pubmed"`` (graphs).
        split: ``"train"`` or ``"test"``; for graphs, which always come whole, the part of the public split that
            ``mask`` marks: ``"train"``, ``"val"`` or ``"test"``.
        sample: load the real, class-balanced sample that ships with the package: numpy is enough, and no network is
            needed. There are samples of mnist, cifar10, cifar100 and cora (which is whole).
        device: where the tensors shall lie; None for torch's default device.

    Returns:
        `Images` or `Graph`.

    Raises:
        ValueError: unknown name or split, or a sample of a set that has none; the message lists what there is.
        DataNotFoundError: the set is not here and could not be downloaded; the message says what to do.
        ImportError: a format or the download needs an extra that is not installed; the message names it.

    Example:
        >>> digits = load("mnist", "test", sample=True)
        >>> digits.inputs.shape, digits.labels[:3]
        (torch.Size([1000, 1, 28, 28]), tensor([7, 2, 1]))
    """
    check_choice("name", name, catalogue.CATALOGUE)
    entry = catalogue.CATALOGUE[name]
    check_choice("split", split, entry.splits)
    if sample:
        arrays = read_sample(entry, split)
        checksum = _verified(arrays, (entry.sample_checksums or {}).get(split), f"the packaged sample of {name}")
    else:
        arrays, checksum = _full(entry, split)
    if entry.kind == "graph":
        return _graph(entry, split, arrays, checksum, device)
    mean, std = (entry.mean, entry.std) if entry.mean else _training_statistics(entry, split, arrays)
    inputs, labels = (_tensor(arrays[key], device) for key in ("inputs", "labels"))
    return Images(name, split, inputs, labels, entry.classes, mean, std, checksum)


def download_size(name: str) -> int:
    """Return the megabytes that `load` fetches before it hands over a set, 0 where its files are on this machine.

    The files are looked for, not read: damaged ones are fetched again all the same.

    Args:
        name: as in `load`.

    Raises:
        ValueError: unknown name.
        DataNotFoundError: ``COMPANION_DATA`` names no folder.
    """
    check_choice("name", name, catalogue.CATALOGUE)
    entry = catalogue.CATALOGUE[name]

    def here(split: str) -> bool:
        places = [
            (root / place, layout) for root in data_roots() for layout in entry.layouts for place in layout.folders
        ]
        return any(all((folder / file).is_file() for file in layout.files[split]) for folder, layout in places)

    return 0 if all(here(split) for split in entry.splits) else entry.megabytes


def cache_folder() -> Path:
    """Return the user's cache folder for data: ``COMPANION_CACHE``, or the platform's place for caches.

    Raises:
        RuntimeError: the user has no home folder, as in some containers; the message says what to set.
    """
    try:
        if chosen := os.environ.get("COMPANION_CACHE"):
            return Path(chosen).expanduser()
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return base / "logits-under-control"
    except RuntimeError as error:
        raise RuntimeError(
            "this user has no home folder, so there is no place for a cache: set COMPANION_CACHE to a folder to use"
        ) from error


def _cache() -> Path | None:
    """Return the cache folder if there is a place for one: data that lie elsewhere can be read without."""
    try:
        return cache_folder()
    except RuntimeError:
        return None


def channel_statistics(inputs: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and population standard deviation of each channel of uint8 (N, C, H, W), pixels in [0, 1].

    Both come from sums of whole numbers, so they are the same on every machine.

    Example:
        >>> channel_statistics(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1))
        ((0.5,), (0.5,))
    """
    means, deviations = [], []
    values = range(256)
    for channel in inputs.swapaxes(0, 1):
        counts = np.bincount(channel.reshape(-1), minlength=256).tolist()
        number = sum(counts)
        total = sum(count * value for count, value in zip(counts, values, strict=True))
        squares = sum(count * value**2 for count, value in zip(counts, values, strict=True))
        means.append(total / number / 255)
        deviations.append((number * squares - total**2) ** 0.5 / number / 255)
    return tuple(means), tuple(deviations)


# --------------------------------------------------------------------------------------------------------- samples
def read_sample(entry: Entry, split: str) -> Arrays:
    """Return the arrays of the packaged sample, of the same names and dtypes as those of the full set."""
    if entry.sample_checksums is None:
        there = ", ".join(name for name, other in catalogue.CATALOGUE.items() if other.sample_checksums)
        raise ValueError(f"name must be one with a packaged sample ({there}) when sample=True, got {entry.name!r}")
    path = resources.files("companion.data") / "samples" / f"{entry.name}.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as packed:
        if entry.kind == "images":
            return {"inputs": packed[f"inputs_{split}"], "labels": packed[f"labels_{split}"].astype(np.int64)}
        return unpack_graph({key: packed[key] for key in packed.files})


def unpack_graph(packed: Arrays) -> Arrays:
    """Return the arrays of a graph with binary features from its packed form (`make_samples.pack_graph`)."""
    num_nodes, num_features = packed["shape"].tolist()
    features = np.zeros((num_nodes, num_features), np.float32)
    features[np.repeat(np.arange(num_nodes), packed["feature_counts"]), packed["feature_columns"]] = 1
    tails, heads = packed["edges"].astype(np.int64)
    tails, heads = np.concatenate([tails, heads]), np.concatenate([heads, tails])
    order = np.lexsort((heads, tails))
    masks = {key: np.isin(np.arange(num_nodes), packed[key]) for key in ("train", "val", "test", "labelled")}
    edges = np.stack([tails[order], heads[order]])
    return {"features": features, "labels": packed["labels"].astype(np.int64), "edges": edges, **masks}


# ------------------------------------------------------------------------------------------------------- full sets
def full_arrays(name: str, split: str) -> Arrays:
    """Return the checked arrays of a full set, sought as in `load`."""
    return _full(catalogue.CATALOGUE[name], split)[0]


def _full(entry: Entry, split: str) -> tuple[Arrays, str]:
    """Return the arrays of a full set and their checksum, from the first place that has them undamaged."""
    problems = _Problems()
    for root in data_roots():
        if (found := _read_from(root, entry, split, problems)) is not None:
            problems.warn("another copy is used")
            return found
    try:
        problems.warn(f"fetching {entry.title} again into {cache_folder()}")
        _download(entry, split)
    except ImportError as error:
        raise ImportError(_advice(entry, error, problems), name=error.name) from error
    except _DOWNLOAD_ERRORS as error:
        raise DataNotFoundError(_advice(entry, error, problems)) from error
    arrived = _Problems()
    if (found := _read_from(cache_folder(), entry, split, arrived)) is not None:
        return found
    raise DataNotFoundError(_advice(entry, DamagedFileError("; ".join(arrived.all())), problems))


@dataclass
class _Problems:
    """What was wrong with the files met on the way: worth a warning if damaged, worth a note if some are missing."""

    damaged: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        return self.damaged + self.missing

    def warn(self, remedy: str) -> None:
        for problem in self.damaged:
            warnings.warn(f"{problem}; {remedy}", UserWarning, stacklevel=4)  # at the line that called `load`


def data_roots() -> list[Path]:
    """Return the folders in which data are looked for: `COMPANION_DATA`, then the cache."""
    roots = [cache] if (cache := _cache()) else []
    if chosen := os.environ.get("COMPANION_DATA"):
        folder = Path(chosen).expanduser()
        if not folder.is_dir():
            raise DataNotFoundError(f"COMPANION_DATA names {folder}, which is no folder: correct it, or unset it")
        roots.insert(0, folder)
    return roots


def _read_from(root: Path, entry: Entry, split: str, problems: _Problems) -> tuple[Arrays, str] | None:
    """Return a set's arrays and checksum from the first undamaged layout under a root; note what is damaged."""
    for layout in entry.layouts:
        for place in layout.folders:
            folder = root / place
            try:
                missing = [file for file in layout.files[split] if not (folder / file).is_file()]
                if missing:
                    if len(missing) < len(layout.files[split]):
                        problems.missing.append(f"{folder / missing[0]} is missing beside the other files")
                    continue
                if layout.slow and (kept := _read_decoded(entry, split)) is not None:
                    return kept
                _verify_files(entry, layout, folder, split)
                arrays = layout.read(folder, layout.files[split], split)
                checksum = _verified(arrays, entry.checksums.get(split), f"{entry.title} as read from {folder}")
            except DamagedFileError as error:
                problems.damaged.append(str(error))
                continue
            except OSError as error:
                problems.damaged.append(f"{folder} cannot be read: {error}")
                continue
            if layout.slow:
                _keep_decoded(entry, split, arrays)
            return arrays, checksum
    return None


def _verify_files(entry: Entry, layout: Layout, folder: Path, split: str) -> None:
    for file in layout.files[split]:
        kind, _, expected = entry.digests.get(file, "").partition(":")
        if kind and (actual := file_digest(folder / file, kind)) != expected:
            raise DamagedFileError(f"{folder / file} is damaged ({kind} {actual}, expected {expected})")


def _verified(arrays: Arrays, expected: str | None, what: str) -> str:
    checksum = canonical_checksum(arrays)
    if expected is not None and checksum != expected:
        raise DamagedFileError(f"{what} is damaged (decoded sha256 {checksum}, expected {expected})")
    return checksum


# ----------------------------------------------------------------------------------------- decoded copies in the cache
def _decoded_path(entry: Entry, split: str) -> Path:
    return cache_folder() / "decoded" / f"{entry.name}-{split}-{entry.checksums[split][:12]}.npz"


def _read_decoded(entry: Entry, split: str) -> tuple[Arrays, str] | None:
    """Return the decoded copy if there is one and it is right; a damaged copy counts as none and is written anew."""
    if _cache() is None:
        return None
    path = _decoded_path(entry, split)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as packed:
            arrays = {key: packed[key] for key in ("inputs", "labels")}
        return arrays, _verified(arrays, entry.checksums[split], str(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        logger.warning("%s is damaged (%s); decoding %s again", path, error, entry.title)
        return None


def _keep_decoded(entry: Entry, split: str, arrays: Arrays) -> None:
    """Write a decoded copy to the cache, whole or not at all; where the cache cannot be written, say so in the log."""
    try:
        path = _decoded_path(entry, split)
        with _new_folder_in(path.parent) as folder:
            np.savez(folder / path.name, **arrays)
            (folder / path.name).replace(path)
    except (OSError, RuntimeError) as error:
        logger.info("%s is decoded at every load, because no copy can be kept: %s", entry.title, error)


@contextlib.contextmanager
def _new_folder_in(parent: Path) -> Iterator[Path]:
    try:
        parent.mkdir(parents=True, exist_ok=True)
        new = tempfile.TemporaryDirectory(dir=parent, prefix=".incoming-")
    except OSError as error:
        raise OSError(f"the cache cannot be written ({error}): set COMPANION_CACHE to a folder that can be") from error
    with new as folder:
        yield Path(folder)


# -------------------------------------------------------------------------------------------------------- downloading
def _download(entry: Entry, split: str) -> None:
    """Fetch a set's files into a new folder, check them, and move them to their place in the cache."""
    layout = entry.layouts[0]
    target = cache_folder() / layout.folders[0]
    with _new_folder_in(cache_folder()) as folder:
        fetch = _fetch_graph if entry.kind == "graph" else _fetch_images
        arrived = fetch(entry, layout, split, folder)
        for part in layout.files:
            if all((arrived / file).is_file() for file in layout.files[part]):
                _verify_files(entry, layout, arrived, part)
        target.mkdir(parents=True, exist_ok=True)
        for file in arrived.iterdir():
            if file.is_file():
                file.replace(target / file.name)


def _fetch_images(entry: Entry, layout: Layout, split: str, folder: Path) -> Path:
    """Fetch with torchvision's downloader, which shows progress, from the addresses that torchvision knows."""
    datasets = require("torchvision.datasets", extra="vision")
    utils = require("torchvision.datasets.utils", extra="vision")
    kind = {
        "mnist": datasets.MNIST,
        "fashion_mnist": datasets.FashionMNIST,
        "cifar10": datasets.CIFAR10,
        "cifar100": datasets.CIFAR100,
        "svhn": datasets.SVHN,
    }[entry.name]
    if entry.name == "svhn":
        url, file, _ = kind.split_list[split]
        utils.download_url(url, folder, file)
        return folder
    if entry.name.startswith("cifar"):
        utils.download_and_extract_archive(kind.url, folder, filename=kind.filename)
        return folder / kind.base_folder
    for file, _ in kind.resources:
        _from_first_mirror(utils, kind.mirrors, file, folder)
    return folder


def _from_first_mirror(utils, mirrors: list[str], file: str, folder: Path) -> None:
    failures = []
    for mirror in mirrors:
        try:
            return utils.download_url(mirror + file, folder, file)
        except _DOWNLOAD_ERRORS as error:
            failures.append(f"{mirror}: {error}")
    raise RuntimeError("; ".join(failures))


def _fetch_graph(entry: Entry, layout: Layout, split: str, folder: Path) -> Path:
    """Fetch with PyTorch Geometric's downloader, which says what it fetches, from the address that it knows."""
    url = require("torch_geometric.datasets", extra="graph").Planetoid.url
    download_url = require("torch_geometric.data", extra="graph").download_url
    for file in layout.files[split]:
        download_url(f"{url}/{file}", str(folder))
    return folder


def _advice(entry: Entry, error: Exception, problems: _Problems) -> str:
    roots = [f"COMPANION_DATA ({os.environ['COMPANION_DATA']})"] if os.environ.get("COMPANION_DATA") else []
    caches = [f"the cache ({cache})"] if (cache := _cache()) else []
    lines = [
        f"{entry.title} was not found and could not be downloaded: {error}",
        f"Looked in: {', '.join(roots + caches) or 'no folder'}.",
        *(f"Note: {problem}." for problem in problems.all()),
        "What to do, any one of these:",
    ]
    if entry.sample_checksums is not None:
        lines.append(f'  - for a first look, load("{entry.name}", sample=True): packaged real data, no network;')
    if isinstance(error, ImportError):
        lines.append("  - install the extra named above and run this again;")
    line = f"python -c \"import companion; companion.data.load('{entry.name}')\""
    lines += [
        "  - run this again when the network is there;",
        f"  - on a machine with a network, run `{line}`, then copy the folder",
        f"    {entry.layouts[0].folders[0]!r} from its cache to here and point COMPANION_DATA at the folder around it.",
    ]
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------------------------- tensors
@torch.inference_mode(False)  # what is read while testing may be trained on later
def _tensor(array: np.ndarray, device: torch.device | str | None) -> torch.Tensor:
    return torch.from_numpy(array).to(torch.empty(0).device if device is None else device)


def _graph(entry: Entry, split: str, arrays: Arrays, checksum: str, device: torch.device | str | None) -> Graph:
    features, labels, edges, mask, labelled = (
        _tensor(arrays[key], device) for key in ("features", "labels", "edges", split, "labelled")
    )
    return Graph(entry.name, split, features, labels, edges, entry.classes, mask, labelled, checksum)


def _training_statistics(entry: Entry, split: str, arrays: Arrays) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return channel_statistics(arrays["inputs"] if split == "train" else _full(entry, "train")[0]["inputs"])
