"""What the image networks share: features, then a head that can be exchanged; weights drawn from one generator."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn


class ImageNetwork(nn.Module):
    """A network whose logits are ``head(features(images))``.

    Attributes:
        head: the last layer, from features (N, D) to logits (N, C); another may be assigned.
        num_features: D.
    """

    head: nn.Module
    num_features: int

    def features(self, images: Tensor) -> Tensor:
        """Map images (N, channels, height, width) to features (N, D)."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, channels, height, width) to logits (N, C)."""
        return self.head(self.features(images))


def keep_global_generator(generator: torch.Generator | None) -> AbstractContextManager[None]:
    """Return a context in which torch's layers may draw their own initial values, which the network then replaces.

    With a generator of one's own, torch's global one stands afterwards where it stood before.
    """
    return torch.random.fork_rng(devices=[], enabled=generator is not None)


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator | None = None) -> None:
    r"""Draw the weights of every convolution and linear layer, in the order of ``network.modules()``.

    A convolution of $n$ output channels with $k \times k$ weights each starts normal with standard deviation
    $\sqrt{2/(n k^2)}$, which keeps the variance of gradients through a ReLU; a linear layer starts uniform in
    $\pm 1/\sqrt{\text{fan-in}}$; biases start at 0. Batch normalisation keeps torch's constants: 1 and 0.

    Args:
        network: changed in place.
        generator: source of the values; ``None`` uses torch's global one.

    Source: He et al., Delving deep into rectifiers, 2015, Eq. 14; counted by output channels and with linear
    layers so in the authors' code of ResNet (fb.resnet.torch) and of wide ResNet.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.out_channels * math.prod(layer.kernel_size)
            layer.weight.normal_(0.0, math.sqrt(2.0 / fan_out), generator=generator)
        elif isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            layer.weight.uniform_(-bound, bound, generator=generator)
        else:
            continue
        if layer.bias is not None:
            layer.bias.zero_()
