"""Networks by name: what every one of them must do."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from companion import models

IMAGES = tuple(name for name in models.names() if name not in ("mlp", "gcn", "gat"))
# One of each kind, small enough to run often; the larger ones differ from these in numbers only.
KINDS = {
    "mlp": {"sizes": (3 * 32 * 32, 16)},
    "resnet8": {},
    "resnet50": {"stem": "7x7"},
    "se_resnet18": {"stem": "7x7"},
    "resnet18_unnormalised": {"stem": "7x7"},
    "vgg_sbn": {},
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(0))


def made(name: str, seed: int = 1, **options) -> nn.Module:
    """Return a network of one kind with running statistics that are not the initial ones."""
    network = models.build(name, num_classes=10, generator=seeded(seed), **{**KINDS.get(name, {}), **options})
    network.train()(images(4, 3, 32, 32))
    return network.eval()


def test_import_is_light():
    script = """if True:
        import sys
        import companion.models
        companion.models.names()
        dir(companion.models)
        for name in ("mlp", "vgg_sbn"):
            companion.models.build(name, num_classes=2)
        print([name for name in ("torchvision", "torch_geometric", "scipy") if name in sys.modules])
        companion.models.resnet8
        print("torchvision" in sys.modules)
    """
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert printed.split("\n")[:2] == ["[]", "True"]


def test_names_are_those_of_functions():
    assert len(set(models.names())) == len(models.names())
    for name in IMAGES:
        assert name in models.__all__
        assert getattr(models, name).__name__ == name
        assert getattr(models, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'resnet21'"):
        _ = models.resnet21


def test_an_unknown_name_is_told_what_there_is():
    with pytest.raises(ValueError, match=r"name must be one of 'mlp', .*'resnet20', .*'gat', got 'resnet21'"):
        models.build("resnet21", num_classes=10)


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("resnet20", {"num_classes": 10}, 269_722),
        ("resnet110", {"num_classes": 10}, 1_727_962),
        ("resnet18", {"num_classes": 10}, 11_173_962),
        ("resnet18_unnormalised", {"num_classes": 1000, "stem": "7x7"}, 11_689_512 - 2 * 4800),  # less 4800 BN channels
        ("se_resnet18", {"num_classes": 1000, "stem": "7x7"}, 11_778_592),
        ("se_resnet50", {"num_classes": 1000, "stem": "7x7"}, 28_088_024),
        ("wide_resnet28_10", {"num_classes": 10}, 36_479_194),
        ("mlp", {"num_classes": 10}, 785 * 512 + 513 * 256 + 257 * 10),
        ("gcn", {"num_classes": 7, "num_features": 1433}, 23_063),
        ("gat", {"num_classes": 7, "num_features": 1433}, 92_373),
    ],
)
def test_number_of_parameters(name, options, count):
    assert sum(weight.numel() for weight in models.build(name, **options).parameters()) == count


@pytest.mark.parametrize("name", models.names())
def test_weights_come_from_the_generator_alone(name):
    options = {"num_features": 20} if name in ("gcn", "gat") else {}
    states = []
    for globally, seed in ((1, 5), (2, 5), (2, 6)):
        torch.manual_seed(globally)
        before = torch.get_rng_state()
        network = models.build(name, num_classes=3, generator=seeded(seed), **options)
        assert torch.equal(torch.get_rng_state(), before)
        states.append(network.state_dict())
    first, second, third = states
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    drawn = [key for key, value in first.items() if value.ndim > 1 and value.std() > 0]
    assert drawn
    assert not any(torch.equal(first[key], third[key]) for key in drawn)


@pytest.mark.parametrize("name", ["mlp", "resnet8", "gcn"])
def test_without_a_generator_the_global_one_is_used(name):
    options = {"num_features": 20} if name == "gcn" else {}

    def first_weight(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return next(models.build(name, num_classes=3, **options).parameters())

    assert torch.equal(first_weight(1), first_weight(1))
    assert not torch.equal(first_weight(1), first_weight(2))


@pytest.mark.parametrize("name", IMAGES)
def test_forward_and_backward(name):
    network = models.build(name, num_classes=5, in_channels=1, generator=seeded(0))
    inputs = images(2, 1, 32, 32)
    nn.functional.cross_entropy(network(inputs), torch.tensor([1, 4])).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    features = network.eval().features(inputs)
    assert features.shape == (2, network.num_features)
    assert network(inputs).shape == (2, 5)
    assert torch.equal(network(inputs), network.head(features))


@pytest.mark.parametrize("name", KINDS)
def test_the_head_can_be_exchanged(name):
    network, inputs = made(name), images(3, 3, 32, 32)
    features, keys = network.features(inputs), set(network.state_dict())
    assert isinstance(network.head, nn.Linear)
    assert network.head.in_features == network.num_features
    network.head = head = nn.Linear(network.num_features, 7)
    assert network.head is head
    assert torch.equal(network.features(inputs), features)
    assert torch.equal(network(inputs), head(features))
    assert set(network.state_dict()) == keys
    assert sum(parameter is head.weight for parameter in network.parameters()) == 1


@pytest.mark.parametrize("name", KINDS)
def test_copies_and_states_compute_the_same(name):
    network, other, inputs = made(name), made(name, seed=2), images(3, 3, 32, 32)
    logits = network(inputs)
    twin = copy.deepcopy(network)
    assert not torch.equal(other(inputs), logits)
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        next(network.parameters()).zero_()
    assert torch.equal(twin(inputs), logits)
    assert torch.equal(other(inputs), logits)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "mlp"])
def test_channels_last(name):
    network, inputs = made(name).double(), images(3, 3, 32, 32).double()
    expected = network(inputs)
    network.to(memory_format=torch.channels_last)
    last = inputs.to(memory_format=torch.channels_last)
    kept = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(
                lambda _, __, out: kept.append(out.is_contiguous(memory_format=torch.channels_last))
            )
    torch.testing.assert_close(network(last), expected, rtol=1e-10, atol=1e-12)
    assert all(kept)


@pytest.mark.parametrize("name", KINDS)
def test_bfloat16_autocast(name):
    network, inputs = made(name), images(2, 3, 32, 32)
    with torch.no_grad():
        expected = network(inputs)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(inputs)
    assert logits.dtype == torch.bfloat16
    # a layer rounds four times (input, weight, output, normalised), by at most 2^-8; layers' errors add as if independent
    layers = sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in network.modules())
    error = (logits.float() - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert 0 < error < 2**-8 * 4 * layers**0.5


@pytest.mark.parametrize("name", ["mlp", "resnet8"])
def test_bfloat16_training(name):
    network = made(name).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nn.functional.cross_entropy(network(images(4, 3, 32, 32)), torch.arange(4))
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())
    assert all(parameter.grad.any() for parameter in network.parameters())


@pytest.mark.parametrize("name", [name for name in models.names() if name not in ("gcn", "gat")])
def test_refuses_no_classes(name):
    with pytest.raises(ValueError, match=r"num_classes must be >= 1|sizes must be at least two widths >= 1"):
        models.build(name, num_classes=0)


def test_refuses_what_a_network_does_not_have():
    with pytest.raises(TypeError, match="stem"):
        models.build("resnet20", num_classes=10, stem="7x7")
    with pytest.raises(ValueError, match="in_channels must be >= 1"):
        models.build("resnet20", num_classes=10, in_channels=0)


@pytest.mark.parametrize("name", ["gcn", "gat"])
def test_graph_networks_take_a_generator_a_run(name):
    options = {"num_classes": 3, "num_features": 20}
    stacked = models.build(name, **options, generators=[seeded(1), seeded(2)])
    single = models.build(name, **options, generator=seeded(2), hidden=4)
    alone = models.build(name, **options, generator=seeded(2))
    assert stacked.runs == 2
    assert torch.equal(stacked.weight1[1], alone.weight1[0])
    assert single.weight1.shape[2] < alone.weight1.shape[2]
    with pytest.raises(TypeError, match="generator or generators, not both"):
        models.build(name, **options, generator=seeded(1), generators=[seeded(1)])
