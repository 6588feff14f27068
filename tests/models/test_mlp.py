"""The perceptron: shapes, seeded starts, argument checks."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

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


def test_draws_stay_as_recorded_runs_had_them():
    """Weight before bias, layer by layer, uniform within 1/sqrt(fan-in)."""
    source = torch.Generator().manual_seed(11)
    expected = []
    for fan_in, fan_out in ((6, 5), (5, 3)):
        for shape in ((fan_out, fan_in), (fan_out,)):
            bound = fan_in**-0.5
            expected.append(torch.empty(shape).uniform_(-bound, bound, generator=source))
    network = MLP((6, 5, 3), generator=torch.Generator().manual_seed(11))
    assert list(network.state_dict()) == ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
    assert all(torch.equal(mine, other) for mine, other in zip(network.parameters(), expected, strict=True))


def test_features_are_what_the_head_reads():
    network = MLP((4, 3, 2), generator=torch.Generator().manual_seed(0)).double()
    inputs = torch.randn(5, 4, dtype=torch.float64)
    hidden = (inputs @ network.layers[0].weight.T + network.layers[0].bias).clamp(min=0)
    torch.testing.assert_close(network.features(inputs), hidden, rtol=0, atol=1e-12)
    assert network.num_features == 3
    assert network.head is network.layers[-1]
    assert MLP((4, 2)).num_features == 4


def test_assigning_the_head_replaces_the_last_layer():
    network = MLP((4, 3, 2), generator=torch.Generator().manual_seed(0))
    network.head = head = nn.Linear(3, 7)
    assert network.layers[-1] is head
    assert list(network.state_dict()) == ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
    assert network(torch.zeros(5, 4)).shape == (5, 7)


def test_several_seeds_at_once():
    alone = [MLP((4, 3, 2), generator=torch.Generator().manual_seed(seed)).double() for seed in range(3)]
    inputs = torch.randn(5, 4, dtype=torch.float64)
    parameters, buffers = stack_module_state(alone)
    logits = vmap(lambda p, b: functional_call(alone[0], (p, b), (inputs,)))(parameters, buffers)
    expected = torch.stack([network(inputs) for network in alone])
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
