"""Readers of the file formats in which the data sets come; numpy arrays out, nothing else happens.

Three of the official sets are Python pickles, a format that can run any code while it is read. They are read by
`RestrictedUnpickler`, which knows the few classes that such files need and refuses everything else.
"""

from __future__ import annotations

import collections
import gzip
import hashlib
import io
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from companion._extras import require


class DamagedFileError(ValueError):
    """A data file is not what its name promises; the message names it."""


# ------------------------------------------------------------------------------------------------- checksums
def file_digest(path: Path, kind: str) -> str:
    """Return the hexadecimal digest of a file; ``kind`` is ``"md5"`` or ``"sha256"`` (as the publishers state it)."""
    digest = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the sha256 of arrays in little-endian C order, each after a line with its name, dtype and shape.

    Example:
        >>> canonical_checksum({"labels": np.array([1, 2])})[:12]
        'd316c0109a2f'
    """
    digest = hashlib.sha256()
    for name, array in arrays.items():
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------------------- IDX
def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of bytes (MNIST's format), gzipped or not: two zeros, type 8, rank, sizes, then the data."""
    raw = path.read_bytes()
    try:
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from error
    rank = raw[3] if raw[:3] == b"\0\0\x08" and len(raw) > 3 else 0
    shape = tuple(np.frombuffer(raw, ">u4", count=rank, offset=4).tolist()) if len(raw) >= 4 + 4 * rank else ()
    if not rank or len(raw) != 4 + 4 * rank + int(np.prod(shape)):
        raise DamagedFileError(f"{path} is damaged: it is no complete IDX file of bytes")
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


# ---------------------------------------------------------------------------------------------- WebP strips
def read_strips(path: Path) -> np.ndarray:
    """Read a zip file of lossless WebP strips, images of one width stacked downwards, to uint8 (N, 3, W, W).

    Raises:
        ImportError: Pillow, which decodes WebP, is not installed (extra ``vision``).
    """
    image = require("PIL.Image", extra="vision")
    with zipfile.ZipFile(path) as archive:
        strips = [np.asarray(image.open(io.BytesIO(archive.read(name)))) for name in sorted(archive.namelist())]
    width = strips[0].shape[1]
    pixels = np.concatenate([strip.reshape(-1, width, width, 3) for strip in strips])
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


# ------------------------------------------------------------------------------------------------ MATLAB
def read_mat(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays ``X`` and ``y`` of a MATLAB file (SVHN's format).

    Raises:
        ImportError: scipy, which reads MATLAB's format, is not installed (extra ``vision``).
    """
    content = require("scipy.io", extra="vision").loadmat(path, variable_names=["X", "y"])
    return {"X": content["X"], "y": content["y"]}


# ------------------------------------------------------------------------------------------------ pickles
class _SparseRows:
    """Stands in for scipy's ``csr_matrix`` while a pickle is read, so that numpy is enough."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    _shape: tuple[int, int]


def _new_sparse_rows(cls: type, base: type, state: object) -> _SparseRows:
    if cls is not _SparseRows or base is not object or state is not None:
        raise pickle.UnpicklingError("a data file asks for an object that no data set needs")
    return _SparseRows()


def _latin1(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"a data file asks for the encoding {encoding!r}")
    return text.encode("latin1")


_RECONSTRUCT = np.empty(0).__reduce__()[0]  # numpy's own rebuilder of pickled arrays, wherever this version keeps it
_ALLOWED = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{(f"scipy.sparse.{module}", "csr_matrix"): _SparseRows for module in ("csr", "_csr")},
    **{(module, "_reconstructor"): _new_sparse_rows for module in ("copy_reg", "copyreg")},
    **{(module, "object"): object for module in ("__builtin__", "builtins")},
    **{(module, "list"): list for module in ("__builtin__", "builtins")},
    ("collections", "defaultdict"): collections.defaultdict,
    ("_codecs", "encode"): _latin1,
}


class RestrictedUnpickler(pickle.Unpickler):
    """An unpickler that builds arrays, sparse rows, lists and dictionaries, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the class or function of that name if data files need it; else refuse."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data set needs")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: object) -> NoReturn:
        """Refuse references to anything outside the file."""
        raise pickle.UnpicklingError("it refers to something outside the file")


def read_pickle(path: Path) -> Any:
    """Read a pickle of arrays, sparse rows, lists and dictionaries written by Python 2 or 3.

    Raises:
        pickle.UnpicklingError: the file asks for anything else; nothing of it has been run.
    """
    try:
        return RestrictedUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise pickle.UnpicklingError(f"{path} is refused: {error}") from error


def dense(matrix: np.ndarray | _SparseRows) -> np.ndarray:
    """Return a matrix read by `read_pickle` as an ordinary array."""
    if not isinstance(matrix, _SparseRows):
        return matrix
    result = np.zeros(matrix._shape, dtype=matrix.data.dtype)
    rows = np.repeat(np.arange(len(result)), np.diff(matrix.indptr))
    np.add.at(result, (rows, matrix.indices), matrix.data)  # scipy, too, adds entries that stand twice
    return result


# ---------------------------------------------------------------------------------------------- Planetoid
PLANETOID_PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")


def read_planetoid(folder: Path, prefix: str) -> dict[str, np.ndarray]:
    """Read the eight files of a Planetoid graph into arrays over all nodes.

    ``allx``/``ally`` hold the first nodes, of which the first ``len(y)`` are the public training nodes and the next
    500 the public validation nodes. ``tx``/``ty`` hold the test nodes in the order of ``test.index``. Node numbers that
    this index skips (15 in CiteSeer) have no features and no label: they get zeros and class 0.

    Returns:
        features float32 (N, F), labels int64 (N,), edges int64 (2, E), and bool (N,) train, val, test, labelled.
    """
    paths = {part: folder / f"{prefix}.{part}" for part in PLANETOID_PARTS}
    x, ally, tx, ty = (dense(read_pickle(paths[part])) for part in ("allx", "ally", "tx", "ty"))
    num_train = len(dense(read_pickle(paths["y"])))
    test_index = np.loadtxt(paths["test.index"], dtype=np.int64)
    num_nodes = max(len(x), int(test_index.max()) + 1)
    features = np.zeros((num_nodes, x.shape[1]), np.float32)
    onehot = np.zeros((num_nodes, ally.shape[1]), np.int64)
    features[: len(x)], onehot[: len(x)] = x, ally
    features[test_index], onehot[test_index] = tx, ty
    nodes = np.arange(num_nodes)
    return {
        "features": features,
        "labels": onehot.argmax(1),
        "edges": undirected_edges(read_pickle(paths["graph"]), num_nodes),
        "train": nodes < num_train,
        "val": (nodes >= num_train) & (nodes < num_train + 500),
        "test": np.isin(nodes, test_index),
        "labelled": onehot.any(1),
    }


def undirected_edges(neighbours: Mapping[int, list[int]], num_nodes: int) -> np.ndarray:
    """Return the edges of a dictionary of neighbours in both directions, sorted, none twice, no self-loops, (2, E).

    Example:
        >>> undirected_edges({0: [1, 1], 2: [2, 1]}, 3)
        array([[0, 1, 1, 2],
               [1, 0, 2, 1]])
    """
    tails = np.repeat(np.array(list(neighbours), np.int64), [len(heads) for heads in neighbours.values()])
    heads = np.array([head for row in neighbours.values() for head in row], np.int64)
    tails, heads = np.concatenate([tails, heads]), np.concatenate([heads, tails])
    codes = np.unique((tails * num_nodes + heads)[tails != heads])
    return np.stack([codes // num_nodes, codes % num_nodes])
