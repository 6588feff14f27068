"""The VGG of the scalable-batch-norm paper: torchvision's convolutions, a pooled linear head, both image sizes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from companion.models.vgg import vgg_sbn


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [32, 64])
def test_its_convolutions_are_torchvisions(size):
    """Ours have no bias, which batch normalisation would take away again; torchvision's are set to zero."""
    ours = vgg_sbn(num_classes=7, generator=seeded(0)).double()
    theirs = make_layers(cfgs["D"], batch_norm=True).double()
    layers = [[layer for layer in network.modules() if isinstance(layer, nn.Conv2d)] for network in (ours, theirs)]
    with torch.no_grad():
        for mine, other in zip(*layers, strict=True):
            other.weight.copy_(mine.weight)
            other.bias.zero_()
    images = torch.randn(2, 3, size, size, dtype=torch.float64, generator=seeded(1))
    features = theirs(images).flatten(2).mean(2)
    torch.testing.assert_close(ours.features(images), features, rtol=1e-9, atol=1e-11)
    assert ours(images).shape == (2, 7)
    assert (features.shape[1], ours.num_features, ours.head.in_features) == (512, 512, 512)


def test_initial_weights_have_the_papers_spread():
    for layer in vgg_sbn(generator=seeded(0)).modules():
        if isinstance(layer, nn.Conv2d):
            expected = (2 / (9 * layer.out_channels)) ** 0.5
            tolerance = 5 / (2 * layer.weight.numel()) ** 0.5  # five standard errors
            assert layer.weight.std().item() == pytest.approx(expected, rel=tolerance)
