"""What the tests of the training loops share: an example as a module, a small real batch, one step written out by hand."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from book.tools import browser
from companion import data
from companion.models.mlp import MLP

FOLDER = Path(__file__).resolve().parents[2] / "book" / "loops"

# example → the package of the extra `loops` or `graph` that it is for
PACKAGES = {
    "geometric": "torch_geometric",
    "hugging_face": "transformers",
    "lightning_module": "lightning",
    "skorch_classifier": "skorch",
    "timm_training": "timm",
}

# Rounding in float64: weights below 1 and steps of a few hundredths, each a sum of some thousand products.
SAME = {"rtol": 0.0, "atol": 1e-13}


def require(name: str) -> None:
    """Skip the test where the example's package is not installed; fail in CI, where it must be."""
    package = PACKAGES.get(name)
    if package and importlib.util.find_spec(package) is None:
        (pytest.fail if browser.in_ci() else pytest.skip)(
            f"{package} is not installed; it comes with the extra 'loops'"
        )


@pytest.fixture
def example() -> Callable[[str], ModuleType]:
    """Return a function that imports a file of `book/loops`, the text that the page shows."""

    def load(name: str) -> ModuleType:
        require(name)
        spec = importlib.util.spec_from_file_location(f"loop_{name}", FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Return sixty digits in float64, of all classes, and their labels."""
    digits = data.load("mnist", sample=True)
    rows = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))[:60]
    return digits.normalised()[rows].double(), digits.labels[rows]


@pytest.fixture
def model() -> nn.Module:
    """Return a small perceptron in float64 whose logit vectors are between 2 and 20 long."""
    network = MLP((784, 16, 10), generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        network.layers[-1].weight.mul_(20)
    return network


def gradients(model: nn.Module, loss: Callable[[nn.Module], Tensor]) -> list[Tensor]:
    """Return the gradient of `loss(model)` for every parameter."""
    return list(torch.autograd.grad(loss(model), list(model.parameters())))


def step(model: nn.Module, loss: Callable[[nn.Module], Tensor], lr: float) -> nn.Module:
    """Return a copy of the model after one step of plain gradient descent on the whole batch."""
    after, found = copy.deepcopy(model), gradients(model, loss)
    with torch.no_grad():
        for parameter, gradient in zip(after.parameters(), found, strict=True):
            parameter.sub_(lr * gradient)
    return after


def distance(one: nn.Module, other: nn.Module) -> float:
    """Return the largest difference between two models' parameters."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a.detach().double() - b.detach().double()).abs().max()) for a, b in pairs)
