"""Data: loading with checksums, real samples in the package, splits, batches, augmentation, label noise."""

from __future__ import annotations

from companion.data.augmentation import random_flip, random_shift
from companion.data.formats import DamagedFileError
from companion.data.label_noise import NoisyLabels, uniform_label_noise
from companion.data.loading import DataNotFoundError, cache_folder, load
from companion.data.sets import Graph, Images
from companion.data.splits import batches, random_split

__all__ = [
    "DamagedFileError",
    "DataNotFoundError",
    "Graph",
    "Images",
    "NoisyLabels",
    "batches",
    "cache_folder",
    "load",
    "random_flip",
    "random_shift",
    "random_split",
    "uniform_label_noise",
]
