"""The networks of the experiments, by name: perceptron, residual networks, VGG, and two-layer graph networks.

    >>> import torch
    >>> from companion.models import build
    >>> build("mlp", num_classes=10, generator=torch.Generator().manual_seed(0)).num_features
    256

Every network on images has ``features(images)`` (N, D), ``num_features`` = D and ``head``, from features to logits
(N, C); its logits are ``head(features(images))``. All initial weights come from the generator: equal seeds make equal
networks, and torch's global generator is left where it stood. Without one, torch's global generator is used.

The functions that build one network, such as ``companion.models.resnet20``, are imported when first asked for; so is
torchvision, which has the blocks of the residual networks.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

from companion._checks import check_choice

_IMAGE_NETWORKS = {  # the function's name and the module that has it
    "resnet8": "resnet",
    "resnet20": "resnet",
    "resnet110": "resnet",
    "resnet18": "resnet",
    "resnet34": "resnet",
    "resnet50": "resnet",
    "resnet101": "resnet",
    "se_resnet18": "resnet",
    "se_resnet50": "resnet",
    "resnet18_unnormalised": "resnet",
    "wide_resnet28_10": "wide_resnet",
    "vgg_sbn": "vgg",
}
_GRAPH_NETWORKS = {"gcn": "GCN", "gat": "GAT"}

__all__ = ["build", "names", *_IMAGE_NETWORKS]


def names() -> tuple[str, ...]:
    """Return the names that `build` knows.

    Example:
        >>> "resnet20" in names()
        True
    """
    return ("mlp", *_IMAGE_NETWORKS, *_GRAPH_NETWORKS)


def build(name: str, *, num_classes: int, generator: torch.Generator | None = None, **options: Any) -> nn.Module:
    """Return the network of a name, its weights newly drawn.

    Args:
        name: one of `names`.
        num_classes: the number of classes, C.
        generator: source of the initial weights; ``None`` uses torch's global one.
        **options: those of the network. ``mlp``: ``sizes``, the widths from input to last hidden layer, by default
            784, 512, 256. ``gcn``, ``gat``: ``num_features`` and what :class:`~companion.models.gnn.GCN` and
            :class:`~companion.models.gnn.GAT` take; ``generators``, one a run, in place of ``generator``. All others:
            ``in_channels`` and what the function of that name takes.

    Raises:
        ValueError: an unknown name, or a value the network refuses.
        TypeError: an option the network does not have, or both ``generator`` and ``generators``.
        ImportError: the residual networks need the extra "vision".

    Example:
        >>> network = build("mlp", num_classes=3, sizes=(4, 5), generator=torch.Generator().manual_seed(0))
        >>> network(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
        >>> build("no_such_network", num_classes=10)
        Traceback (most recent call last):
        ValueError: name must be one of 'mlp', 'resnet8', ..., got 'no_such_network'
    """
    check_choice("name", name, names())
    if name == "mlp":
        return _mlp(num_classes, generator, **options)
    if name in _GRAPH_NETWORKS:
        if "generators" not in options:
            options["generators"] = (generator,)
        elif generator is not None:
            raise TypeError(f"{name} takes generator or generators, not both")
        network = getattr(importlib.import_module("companion.models.gnn"), _GRAPH_NETWORKS[name])
        return network(num_classes=num_classes, **options)
    return __getattr__(name)(num_classes=num_classes, generator=generator, **options)


def _mlp(num_classes: int, generator: torch.Generator | None, sizes: tuple[int, ...] = (784, 512, 256)) -> nn.Module:
    from companion.models.mlp import MLP

    return MLP((*sizes, num_classes), generator=generator)


def __getattr__(name: str) -> Any:
    if name in _IMAGE_NETWORKS:
        return getattr(importlib.import_module(f"{__name__}.{_IMAGE_NETWORKS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
