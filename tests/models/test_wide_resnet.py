"""Wide residual networks: the formula written out anew, dropout, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from companion.models.wide_resnet import WideResNet, wide_resnet28_10


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=seeded(0))


def normalised(x: torch.Tensor) -> torch.Tensor:
    """Return relu of the channels standardised over batch and pixels, as at the start of training."""
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    return ((x - mean) / (variance + 1e-5).sqrt()).clamp(min=0)


def test_is_the_formula():
    network = WideResNet(16, 1, num_classes=3, in_channels=1, generator=seeded(0)).double()
    state = dict(network.named_parameters())
    images = randn(2, 1, 16, 16)
    x = nn.functional.conv2d(images, state["stem.weight"], padding=1)
    for index, stride in enumerate((1, 1, 2, 1, 2, 1)):
        h = normalised(x)
        branch = nn.functional.conv2d(h, state[f"blocks.{index}.conv1.weight"], stride=stride, padding=1)
        branch = nn.functional.conv2d(normalised(branch), state[f"blocks.{index}.conv2.weight"], padding=1)
        projection = state.get(f"blocks.{index}.shortcut.weight")
        assert (projection is None) == (index in (0, 1, 3, 5))
        x = branch + (x if projection is None else nn.functional.conv2d(h, projection, stride=stride))
    expected = normalised(x).mean((2, 3)) @ state["head.weight"].T + state["head.bias"]
    torch.testing.assert_close(network(images), expected, rtol=0, atol=1e-11)


def test_channels_grow_with_the_width():
    network = wide_resnet28_10()
    assert [block.conv2.out_channels for block in network.blocks] == [160] * 4 + [320] * 4 + [640] * 4
    assert [block.conv1.stride[0] for block in network.blocks] == [1] * 4 + [2, 1, 1, 1] * 2
    assert network.num_features == 640


def test_initial_weights_have_the_papers_spread():
    for layer in WideResNet(16, 4, num_classes=10, generator=seeded(0)).modules():
        if isinstance(layer, nn.Conv2d):
            expected = (2 / (layer.out_channels * layer.kernel_size[0] ** 2)) ** 0.5
            tolerance = 5 / (2 * layer.weight.numel()) ** 0.5  # five standard errors
            assert layer.weight.std().item() == pytest.approx(expected, rel=tolerance)


def test_dropout_acts_in_training_alone():
    plain, dropping = (WideResNet(10, 1, num_classes=3, dropout=rate, generator=seeded(0)) for rate in (0.0, 0.5))
    images = torch.randn(4, 3, 16, 16, generator=seeded(1))
    torch.manual_seed(0)
    assert not torch.equal(dropping(images), dropping(images))
    assert not torch.equal(dropping(images), plain(images))
    dropping.load_state_dict(plain.state_dict())
    assert torch.equal(dropping.eval()(images), plain.eval()(images))


def test_several_seeds_at_once():
    alone = [WideResNet(10, 1, num_classes=3, generator=seeded(seed)).double() for seed in range(2)]
    images = randn(4, 3, 16, 16)
    parameters, buffers = stack_module_state(alone)
    logits = vmap(lambda p, b: functional_call(alone[0], (p, b), (images,)))(parameters, buffers)
    expected = torch.stack([network(images) for network in alone])
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("depth", "options", "message"),
    [
        (12, {}, r"depth must be 6n \+ 4, got 12"),
        (4, {}, "depth must be >= 10, got 4"),
        (10, {"dropout": 1.0}, "dropout must be >= 0 and < 1"),
        (10, {"width": 0}, "width must be >= 1"),
    ],
)
def test_refusals(depth, options, message):
    with pytest.raises(ValueError, match=message):
        WideResNet(depth, **{"width": 1, "num_classes": 2, **options})
