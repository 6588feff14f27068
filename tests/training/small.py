"""Small data in float64 and trainees on it, and the plain loop that every trainee must equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from companion import Objective
from companion.models.mlp import MLP
from companion.training.images import ImageTrainee, Labelled, Recipe
from companion.training.learner import Learner
from companion.training.optimisers import Sgd

ROWS, CLASSES = 70, 3


def data(channels: int = 1, height: int = 3, width: int = 4) -> tuple[Tensor, Tensor]:
    """Images (70, channels, height, width) in float64 and labels that a linear map gives them."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(ROWS, channels, height, width, generator=generator, dtype=torch.float64)
    teacher = torch.randn(channels * height * width, CLASSES, generator=generator, dtype=torch.float64)
    return inputs, (inputs.flatten(1) @ teacher).argmax(1)


def perceptron(seed: int) -> nn.Module:
    """A perceptron on `data`, its weights drawn from the seed."""
    return MLP((12, 8, CLASSES), generator=torch.Generator().manual_seed(seed)).double()


class Convolutional(nn.Module):
    """Convolution, batch norm, pooling, linear head: what an image network is made of, in a few hundred weights."""

    def __init__(self, seed: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 6, 3, padding=1, bias=False)  # batch norm takes it away again
        self.norm = nn.BatchNorm2d(6)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(6, CLASSES)
        self.num_features = 6
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in (self.convolution.weight, self.head.weight):
                weight.normal_(0, 0.4, generator=generator)
            self.head.bias.zero_()

    def features(self, inputs: Tensor) -> Tensor:
        """Return (N, 6)."""
        return self.dropout(self.norm(self.convolution(inputs)).relu().mean((2, 3)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (N, 3)."""
        return self.head(self.features(inputs))


def convolutional(seed: int) -> nn.Module:
    """A `Convolutional` in float64."""
    return Convolutional(seed).double()


def trainee(
    seeds: tuple[int, ...] = (5,),
    objective: Callable[[nn.Module], Objective] = lambda network: Objective(),
    network: Callable[[int], nn.Module] = perceptron,
    *,
    lr: float = 0.3,
    weight_decay: float | None = None,
    labels: Tensor | None = None,
    true_labels: Tensor | None = None,
    probe_rows: Tensor | None = ...,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    **values: Any,
) -> ImageTrainee:
    """A trainee on `data`; what is not an argument here is a value of its recipe."""
    keep = {name: values.pop(name) for name in ("keep_logits_at", "keep_rows", "validation") if name in values}
    recipe = Recipe(**{"optimiser": Sgd(), "epochs": 6, "batch_size": 16, **values})
    inputs, given = data()
    given = given.expand(len(seeds), -1) if labels is None else labels
    rows = Labelled(inputs.to(device, dtype), given.to(device), true_labels)
    networks = [network(seed) for seed in seeds]
    learners = [Learner(one, objective(one).double(), precision=recipe.precision).to(device, dtype) for one in networks]
    return ImageTrainee(
        learners, rows, rows, seeds=seeds, recipe=recipe, lr=lr, weight_decay=weight_decay,
        probe_rows=torch.arange(50, device=device) if probe_rows is ... else probe_rows, **keep,
    )  # fmt: skip
