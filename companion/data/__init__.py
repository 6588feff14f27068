"""Data: loading with checksums, real samples in the package, splits, batches, augmentation, label noise."""

from __future__ import annotations

from companion.data.augmentation import flip_images, random_flip, random_shift, shift_images
from companion.data.formats import DamagedFileError
from companion.data.human_labels import HumanLabels, read_human_labels
from companion.data.label_noise import (
    NoisyLabels,
    PairFlips,
    TransitionNoise,
    UniformNoise,
    pair_flips,
    transition_noise,
    uniform_label_noise,
)
from companion.data.loading import DataNotFoundError, cache_folder, download_size, load
from companion.data.sets import Graph, Images
from companion.data.splits import batches, random_split

__all__ = [
    "DamagedFileError",
    "DataNotFoundError",
    "Graph",
    "HumanLabels",
    "Images",
    "NoisyLabels",
    "PairFlips",
    "TransitionNoise",
    "UniformNoise",
    "batches",
    "cache_folder",
    "download_size",
    "flip_images",
    "load",
    "pair_flips",
    "random_flip",
    "random_shift",
    "random_split",
    "read_human_labels",
    "shift_images",
    "transition_noise",
    "uniform_label_noise",
]
