"""Heads that turn features into logits by angles instead of a plain linear layer.

Taught in chapter 02, whose paper compares scalable batch norm with both.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion._checks import (
    as_hyperparameter,
    as_indices,
    check_class_indices,
    check_count,
    check_floating,
    check_integer,
    check_integers,
    check_number,
    keep_hyperparameter,
    may_read_values,
    working_dtype,
)
from companion._numerics import unit_rows

__all__ = ["AMSoftmaxHead", "PEDCCHead", "evenly_distributed_centroids"]

_IGNORED = -100  # cross_entropy's default ignore_index


class AMSoftmaxHead(nn.Module):
    r"""Additive-margin softmax: logits are scaled cosines, and the true class must win by a margin.

    .. math:: z_c = s\,(\cos\theta_c - m\,[c = y]), \qquad \cos\theta_c = \hat w_c \cdot \hat x

    Without target (at test time) no margin is subtracted. A row with target −100 gets none.

    Args:
        in_features: D.
        num_classes: the number of classes, C.
        scale: s > 0; the paper uses 30.
        margin: m, in cosine units; the paper uses 0.35.

    Parameters:
        weight: (C, D), one direction a class.

    Example:
        >>> import torch
        >>> head = AMSoftmaxHead(in_features=2, num_classes=2, scale=10.0, margin=0.5)
        >>> _ = head.weight.data.copy_(torch.eye(2))
        >>> head(torch.tensor([[3.0, 4.0]]))
        tensor([[6., 8.]], grad_fn=<MulBackward0>)
        >>> head(torch.tensor([[3.0, 4.0]]), torch.tensor([1]))
        tensor([[6., 3.]], grad_fn=<MulBackward0>)

    Taught in: chapter 02. Source: Wang et al., Additive margin softmax for face verification, 2018;
    Scalable batch normalization, Eq. 2.
    """

    def __init__(
        self, in_features: int, num_classes: int, scale: float | Tensor = 30.0, margin: float | Tensor = 0.35
    ) -> None:
        super().__init__()
        _set_up(self, in_features, num_classes, scale, margin)
        self.weight = nn.Parameter(torch.empty(self.num_classes, self.in_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, features: Tensor, target: Tensor | None = None) -> Tensor:
        """Return the logits (N, C) of features (N, D); with class indices (N,) the margin is applied."""
        return _angular_logits(features, self.weight, target, self.scale, self.margin)

    def extra_repr(self) -> str:
        """Name the hyperparameters when the module is printed."""
        return f"{self.in_features}, {self.num_classes}, scale={float(self.scale):g}, margin={float(self.margin):g}"


class PEDCCHead(nn.Module):
    r"""Fixed, evenly distributed class centroids: features are trained to point at their class's centroid.

    .. math:: z_c = s\,(u_c \cdot \hat x - m\,[c = y])

    Args:
        in_features: D.
        num_classes: the number of classes, C.
        scale: s > 0.
        margin: m, in cosine units.
        seed: of the centroids' orientation.

    Buffers:
        centroids: (C, D), unit vectors from `evenly_distributed_centroids`; they are not trained.

    Example:
        >>> import torch
        >>> head = PEDCCHead(in_features=4, num_classes=3, scale=2.0, margin=0.0)
        >>> head(5 * head.centroids)  # each centroid: cosine 1 with itself, −1/2 with the others
        tensor([[ 2.0000, -1.0000, -1.0000],
                [-1.0000,  2.0000, -1.0000],
                [-1.0000, -1.0000,  2.0000]])

    Taught in: chapter 02. Source: Zhu et al., A new loss function for CNN classifier based on predefined
    evenly-distributed class centroids, IEEE Access 2020.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        scale: float | Tensor = 15.0,
        margin: float | Tensor = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        _set_up(self, in_features, num_classes, scale, margin)
        self.seed = seed
        centroids = evenly_distributed_centroids(num_classes, in_features, seed)
        self.register_buffer("centroids", centroids.to(torch.empty(0).device))  # the default device

    def forward(self, features: Tensor, target: Tensor | None = None) -> Tensor:
        """Return the logits (N, C) of features (N, D); with class indices (N,) the margin is applied."""
        return _angular_logits(features, self.centroids, target, self.scale, self.margin)

    def distance(self, features: Tensor, target: Tensor) -> Tensor:
        """Return the mean over rows of ‖x̂ − u_y‖²: a penalty on features; rows with target −100 do not count."""
        target = _checked_target(features, self.centroids, target)
        centroids = self.centroids.to(working_dtype(features.dtype))
        direction = unit_rows(features.to(working_dtype(features.dtype)), 1)
        kept = target != _IGNORED
        own = centroids.index_select(0, torch.where(kept, target, 0))  # (N, D)
        squared = (direction - own).square().sum(1)
        return torch.where(kept, squared, 0.0).sum() / kept.sum()

    distance.on = "features"  # read by companion.Objective

    def loss(self, features: Tensor, target: Tensor, distance_weight: float | Tensor = 1.0) -> Tensor:
        """Return the paper's whole loss: cross-entropy with margin + distance_weight·`distance`."""
        distance_weight = as_hyperparameter(check_number("distance_weight", distance_weight, at_least=0))
        penalty = distance_weight * self.distance(features, target)
        return F.cross_entropy(self(features, target), as_indices(target)) + penalty

    def extra_repr(self) -> str:
        """Name the hyperparameters when the module is printed."""
        return f"{self.in_features}, {self.num_classes}, scale={float(self.scale):g}, margin={float(self.margin):g}"


@torch.inference_mode(False)  # the search differentiates, and what it finds may stand in a head that is trained
def evenly_distributed_centroids(num_classes: int, dim: int, seed: int = 0) -> Tensor:
    """Return unit vectors that lie as far apart as they can.

    With dim ≥ C − 1 they form a regular simplex: every cosine is −1/(C − 1), the least possible, in a random
    orientation. With fewer dimensions random vectors are pushed apart (energy Σ 1/distance²), as well as that goes.

    Args:
        num_classes: C ≥ 1.
        dim: D ≥ 1.
        seed: of the orientation or of the start.

    Returns:
        (C, D), in the default dtype, on the CPU.

    Raises:
        TypeError, ValueError: a count is no integer, or less than 1.

    Example:
        >>> u = evenly_distributed_centroids(num_classes=3, dim=2)
        >>> (u @ u.T).round(decimals=4)
        tensor([[ 1.0000, -0.5000, -0.5000],
                [-0.5000,  1.0000, -0.5000],
                [-0.5000, -0.5000,  1.0000]])

    Taught in: chapter 02. Source: Zhu et al. 2020, section III, which pushes charges apart in every case.
    """
    num_classes, dim = check_count("num_classes", num_classes), check_count("dim", dim)
    with torch.device("cpu"):
        return _centroids(num_classes, dim, check_integer("seed", seed)).to(torch.get_default_dtype())


def _centroids(num_classes: int, dim: int, seed: int) -> Tensor:
    """Return the centroids in float64."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(num_classes, dim, dtype=torch.float64, generator=generator)
    if num_classes == 1:
        return unit_rows(start, 1)
    if dim >= num_classes - 1:
        # The centred basis vectors e_c − 1/C form a simplex in C − 1 dimensions; a random isometry carries it to D.
        centred = torch.eye(num_classes, dtype=torch.float64) - 1 / num_classes
        basis = torch.linalg.svd(centred)[0][:, : num_classes - 1]  # (C, C − 1), orthonormal columns
        turn = torch.linalg.qr(torch.randn(dim, num_classes - 1, dtype=torch.float64, generator=generator))[0]
        return math.sqrt(num_classes / (num_classes - 1)) * basis @ turn.T
    if dim == 1:
        return 1.0 - 2.0 * (torch.arange(num_classes, dtype=torch.float64)[:, None] % 2)
    return _pushed_apart(start)


@torch.enable_grad()
def _pushed_apart(start: Tensor, steps: int = 200) -> Tensor:
    """Return unit vectors of locally least energy Σ 1/distance², found by L-BFGS from the start."""
    free = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([free], max_iter=steps, tolerance_grad=1e-10, line_search_fn="strong_wolfe")
    itself = torch.diag(torch.full((len(start),), math.inf, dtype=start.dtype))

    def energy() -> Tensor:
        optimiser.zero_grad()
        unit = unit_rows(free, 1)
        value = (1 / (2 - 2 * unit @ unit.T + itself)).sum()
        value.backward()
        return value

    optimiser.step(energy)
    return unit_rows(free.detach(), 1)


def _angular_logits(
    features: Tensor, directions: Tensor, target: Tensor | None, scale: float | Tensor, margin: float | Tensor
) -> Tensor:
    """Return s·(cos θ_c − m·[c = y]), computed in float32 for half types, in the features' dtype."""
    target = _checked_target(features, directions, target)
    dtype = working_dtype(torch.promote_types(features.dtype, directions.dtype))
    with _without_autocast(features.device.type):  # it would take the product in half precision
        cosine = unit_rows(features.to(dtype), 1) @ unit_rows(directions.to(dtype), 1).T  # (N, C)
    if target is not None:
        is_target = target[:, None] == torch.arange(len(directions), device=target.device)
        # The margin is subtracted as a number, in the cosines' dtype: times a mask it would be held in float32.
        cosine = torch.where(is_target, cosine - as_hyperparameter(margin), cosine)
    return (as_hyperparameter(scale) * cosine).to(features.dtype)


def _without_autocast(device_type: str) -> AbstractContextManager:
    """Return a context without autocast, which the meta device does not know."""
    return nullcontext() if device_type == "meta" else torch.autocast(device_type, enabled=False)


def _set_up(head: nn.Module, in_features: int, num_classes: int, scale: float | Tensor, margin: float | Tensor) -> None:
    """Check what both heads are made from, and store it."""
    head.in_features = check_count("in_features", in_features)
    head.num_classes = check_count("num_classes", num_classes)
    keep_hyperparameter(head, "scale", check_number("scale", scale, above=0))
    keep_hyperparameter(head, "margin", check_number("margin", margin))


def _checked_target(features: Tensor, directions: Tensor, target: Tensor | None) -> Tensor | None:
    """Return the class indices (N,) as int64, or None; raise unless they and the features (N, D) fit the head."""
    num_classes, dim = directions.shape
    check_floating("features", features)
    if features.ndim != 2 or features.shape[1] != dim:
        raise ValueError(f"features must have shape (N, {dim}), got {tuple(features.shape)}")
    if target is None:
        return None
    check_integers("target", target)
    if target.shape != features.shape[:1]:
        raise ValueError(f"target must have shape ({len(features)},), got {tuple(target.shape)}")
    if may_read_values(target):
        check_class_indices("target", target, num_classes, _IGNORED)
    return as_indices(target)
