"""Make the samples that ship with the package: ``python -m companion.data.make_samples``.

Of an image set, the first rows of every class in the official order, equally many of each, in that order; of Cora,
everything. Nothing is drawn at random, so that making them again from the full sets gives the same arrays.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from companion.data import catalogue
from companion.data.catalogue import Arrays
from companion.data.formats import canonical_checksum
from companion.data.loading import full_arrays

#: Rows of each class, in train and test.
ROWS_PER_CLASS: Mapping[str, Mapping[str, int]] = {
    "mnist": {"train": 200, "test": 100},
    "cifar10": {"train": 50, "test": 25},
    "cifar100": {"train": 5, "test": 2},
}


def first_of_each_class(labels: np.ndarray, per_class: int) -> np.ndarray:
    """Return the sorted indices of the first ``per_class`` rows of every class.

    Example:
        >>> first_of_each_class(np.array([1, 1, 0, 1, 0, 0]), 2)
        array([0, 1, 2, 4])
    """
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:per_class] for label in np.unique(labels)]))


def image_sample(name: str) -> Arrays:
    """Return the packed sample of an image set: inputs, labels and official row numbers of both splits."""
    packed = {}
    for split, per_class in ROWS_PER_CLASS[name].items():
        arrays = full_arrays(name, split)
        rows = first_of_each_class(arrays["labels"], per_class)
        packed[f"inputs_{split}"] = arrays["inputs"][rows]
        packed[f"labels_{split}"] = arrays["labels"][rows].astype(np.uint8)
        packed[f"rows_{split}"] = rows.astype(np.int32)
    return packed


def pack_graph(arrays: Arrays) -> Arrays:
    """Return a graph with binary features in a small form: columns of the ones, edges once, masks as node numbers."""
    features, edges = arrays["features"], arrays["edges"]
    if not np.isin(features, (0, 1)).all():
        raise ValueError("features must be zeros and ones to be packed")
    rows, columns = np.nonzero(features)
    return {
        "shape": np.array(features.shape, np.int32),
        "feature_counts": np.bincount(rows, minlength=len(features)).astype(np.int16),
        "feature_columns": columns.astype(np.int16),
        "labels": arrays["labels"].astype(np.uint8),
        "edges": edges[:, edges[0] < edges[1]].astype(np.int16),
        **{key: np.flatnonzero(arrays[key]).astype(np.int16) for key in ("train", "val", "test", "labelled")},
    }


def main(arguments: list[str] | None = None) -> None:
    """Write all samples into a folder and print the checksums that `companion.data.catalogue` records."""
    parser = argparse.ArgumentParser(prog="python -m companion.data.make_samples", description=__doc__)
    parser.add_argument("--into", type=Path, default=Path(__file__).parent / "samples", help="the folder to write to")
    folder = parser.parse_args(arguments).into
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*ROWS_PER_CLASS, "cora"):
        graph = catalogue.CATALOGUE[name].kind == "graph"
        packed = pack_graph(full_arrays(name, "train")) if graph else image_sample(name)
        np.savez_compressed(folder / f"{name}.npz", **packed)
        print(f"{name}: {(folder / f'{name}.npz').stat().st_size / 1e6:.2f} MB")
        for split in () if graph else ("train", "test"):
            labels = packed[f"labels_{split}"].astype(np.int64)
            print(f"  {split}", canonical_checksum({"inputs": packed[f"inputs_{split}"], "labels": labels}))


if __name__ == "__main__":
    main()
