"""What loading returns: a set of labelled images, or a citation graph, as tensors on one device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images of one split, as they were published: bytes, not yet normalised.

    Attributes:
        name: of the data set, for example ``"mnist"``.
        split: ``"train"`` or ``"test"``.
        inputs: uint8 (N, C, H, W).
        labels: int64 (N,), class indices.
        classes: the classes' names, in the order of their indices.
        mean: one number a channel, over the whole training set, with pixels in [0, 1].
        std: the same for the (population) standard deviation.
        checksum: sha256 of inputs and labels, the same whatever files they were read from.
    """

    name: str
    split: str
    inputs: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    checksum: str

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Images:
        """Return the same images on another device."""
        return replace(self, inputs=self.inputs.to(device), labels=self.labels.to(device))

    def normalised(self) -> Tensor:
        """Return (inputs/255 − mean) / std as float32 (N, C, H, W), with the training set's mean and deviation."""
        mean, std = (
            self.inputs.new_tensor(row, dtype=torch.float32).view(1, -1, 1, 1) for row in (self.mean, self.std)
        )
        return self.inputs.float().div_(255).sub_(mean).div_(std)


@dataclass(frozen=True, eq=False)
class Graph:
    """A citation graph with a feature row and a label for every node.

    Attributes:
        name: of the data set, for example ``"cora"``.
        split: the part of the public split that ``mask`` marks: ``"train"``, ``"val"`` or ``"test"``.
        features: float32 (N, F), as published (not normalised).
        labels: int64 (N,), class indices.
        edges: int64 (2, E), every edge in both directions, no self-loops, none twice, sorted.
        classes: the classes' names, in the order of their indices.
        mask: bool (N,), the nodes of the public split asked for.
        labelled: bool (N,), False for CiteSeer's 15 nodes that come with neither features nor label. They carry
            label 0, as PyTorch Geometric gives it to them; leave them out of a split of one's own.
        checksum: sha256 of features, labels, edges and masks, the same whatever files they were read from.
    """

    name: str
    split: str
    features: Tensor
    labels: Tensor
    edges: Tensor
    classes: tuple[str, ...]
    mask: Tensor
    labelled: Tensor
    checksum: str

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Graph:
        """Return the same graph on another device."""
        fields = ("features", "labels", "edges", "mask", "labelled")
        return replace(self, **{field: getattr(self, field).to(device) for field in fields})
