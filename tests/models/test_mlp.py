"""The perceptron: shapes, seeded starts, argument checks."""

from __future__ import annotations

import pytest
import torch

from companion.models.mlp import MLP


def test_equal_seeds_start_equal_and_others_do_not():
    first, second, third = (MLP((6, 5, 3), generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.layers[0].weight, third.layers[0].weight)


def test_is_the_formula():
    network = MLP((4, 3, 2), generator=torch.Generator().manual_seed(0)).double()
    inputs = torch.randn(5, 1, 2, 2, dtype=torch.float64)
    one, two = network.layers
    hidden = (inputs.flatten(1) @ one.weight.T + one.bias).clamp(min=0)
    torch.testing.assert_close(network(inputs), hidden @ two.weight.T + two.bias, rtol=0, atol=1e-12)


def test_initial_values_stay_in_their_bounds():
    network = MLP((100, 50, 10), generator=torch.Generator().manual_seed(0))
    for layer in network.layers:
        bound = layer.in_features**-0.5
        assert 0.9 * bound < layer.weight.abs().max() <= bound
        assert layer.bias.abs().max() <= bound


@pytest.mark.parametrize("sizes", [(3,), (3, 0, 2)])
def test_bad_sizes(sizes):
    with pytest.raises(ValueError, match="sizes"):
        MLP(sizes)
