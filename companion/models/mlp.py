"""The multilayer perceptron of the first chapter."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from companion.models._network import ImageNetwork, keep_global_generator


class MLP(ImageNetwork):
    r"""Fully connected network with ReLU between its layers: $z = W_L\,\mathrm{relu}(\dots\mathrm{relu}(W_1 x + b_1)\dots) + b_L$.

    Weights and biases start uniform in $\pm 1/\sqrt{\text{fan-in}}$, torch's own choice for a linear layer, drawn from
    ``generator`` so that two networks with the same seed start equal. ``head`` is the last of ``layers``, so that it
    has one name in a ``state_dict``; assigning to ``head`` replaces it there.

    Args:
        sizes: widths from input to logits, for example ``(784, 512, 256, 10)``.
        generator: source of the initial values; ``None`` uses torch's global one.

    Raises:
        ValueError: fewer than two widths, or a width below 1.

    Example:
        >>> network = MLP((784, 512, 256, 10), generator=torch.Generator().manual_seed(0))
        >>> network(torch.zeros(32, 1, 28, 28)).shape
        torch.Size([32, 10])
    """

    def __init__(self, sizes: Sequence[int] = (784, 512, 256, 10), *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes must be at least two widths >= 1, got {tuple(sizes)}")
        self.num_features = sizes[-2]
        with keep_global_generator(generator):
            self.layers = nn.ModuleList(nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(sizes))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw every weight and bias again, layer by layer, weight before bias."""
        with torch.no_grad():
            for layer in self.layers:
                bound = layer.in_features**-0.5
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.uniform_(-bound, bound, generator=generator)

    @property
    def head(self) -> nn.Module:
        """The last layer, from features (N, D) to logits (N, C)."""
        return self.layers[-1]

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "head":  # a property's setter would not do: nn.Module registers modules before it looks for one
            self.layers[-1] = value
        else:
            super().__setattr__(name, value)

    def features(self, images: Tensor) -> Tensor:
        """Map images (N, ...) to the last hidden layer (N, D); trailing dimensions are flattened."""
        hidden = images.flatten(1)  # (N, widths from here on)
        for layer in self.layers[:-1]:
            hidden = torch.relu(layer(hidden))
        return hidden
