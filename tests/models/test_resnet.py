"""Residual networks: against definitions written out anew, against torchvision's, several seeds at once."""

from __future__ import annotations

import math

import pytest
import torch
import torchvision
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torchvision.models.resnet import BasicBlock

from companion.models.resnet import (
    ResNet,
    ZeroPaddedShortcut,
    resnet8,
    resnet18,
    resnet18_unnormalised,
    resnet34,
    resnet50,
    resnet101,
    se_resnet18,
    se_resnet50,
)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=seeded(seed))


@torch.no_grad()
def scramble(network: nn.Module) -> nn.Module:
    """Give batch normalisation values and statistics that are not the initial ones."""
    source = seeded(7)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for value in (layer.weight, layer.running_var):
                value.uniform_(0.5, 1.5, generator=source)
            for value in (layer.bias, layer.running_mean):
                value.normal_(generator=source)
    return network


@pytest.mark.parametrize(("channels", "extra", "stride", "size"), [(2, 2, 2, 6), (3, 1, 2, 5), (2, 3, 1, 4)])
def test_zero_padded_shortcut_is_its_definition(channels, extra, stride, size):
    inputs = randn(2, channels, size, size)
    rows = math.ceil(size / stride)
    expected = torch.zeros(2, channels + extra, rows, rows, dtype=torch.float64)
    for c in range(channels):
        for i in range(rows):
            for j in range(rows):
                expected[:, c, i, j] = inputs[:, c, stride * i, stride * j]
    assert torch.equal(ZeroPaddedShortcut(extra, stride)(inputs), expected)


def by_hand(network: ResNet, images: torch.Tensor) -> torch.Tensor:
    """Return the logits of two stages of one block, one and two channels, in training: loops and means only."""

    def convolve(x, weight, stride):
        count, _, height, width = x.shape
        framed = torch.zeros(count, x.shape[1], height + 2, width + 2, dtype=x.dtype)
        framed[:, :, 1:-1, 1:-1] = x
        out = torch.zeros(count, len(weight), height // stride, width // stride, dtype=x.dtype)
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                patch = framed[:, :, stride * i : stride * i + 3, stride * j : stride * j + 3]
                for k, kernel in enumerate(weight):
                    out[:, k, i, j] = (patch * kernel).sum((1, 2, 3))
        return out

    def normalise(x, layer):
        y = torch.zeros_like(x)
        for k in range(x.shape[1]):
            deviation = x[:, k] - x[:, k].mean()
            y[:, k] = layer.weight[k] * deviation / (deviation.square().mean() + 1e-5).sqrt() + layer.bias[k]
        return y

    hidden = normalise(convolve(images, network.stem[0].weight, 1), network.stem[1]).clamp(min=0)
    for stage, stride in ((0, 1), (1, 2)):
        block = network.stages[stage][0]
        branch = normalise(convolve(hidden, block.conv1.weight, stride), block.bn1).clamp(min=0)
        branch = normalise(convolve(branch, block.conv2.weight, 1), block.bn2)
        if stage == 0:
            shortcut = hidden
        else:
            shortcut = torch.cat([hidden[:, :, ::2, ::2], torch.zeros_like(hidden[:, :, ::2, ::2])], 1)
        hidden = (branch + shortcut).clamp(min=0)
    return hidden.flatten(2).mean(2) @ network.head.weight.T + network.head.bias


def test_a_tiny_network_is_its_formula():
    network = ResNet(BasicBlock, (1, 1), (1, 2), num_classes=3, padded=True, in_channels=2, generator=seeded(0))
    network = scramble(network.double())
    images = randn(3, 2, 6, 6)
    torch.testing.assert_close(network(images), by_hand(network, images), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(resnet18, "resnet18"), (resnet34, "resnet34"), (resnet50, "resnet50"), (resnet101, "resnet101")],
)
def test_with_the_large_stem_it_is_torchvisions(ours, theirs):
    theirs = scramble(getattr(torchvision.models, theirs)()).eval()
    ours = ours(num_classes=1000, stem="7x7").eval()
    state = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))  # in the same order, other names
    ours.load_state_dict(state)
    assert sum(weight.numel() for weight in ours.parameters()) == sum(w.numel() for w in theirs.parameters())
    images = randn(1, 3, 64, 64)
    expected = theirs.double()(images)
    torch.testing.assert_close(ours.double()(images), expected, rtol=1e-10, atol=1e-10 * expected.abs().max().item())


def test_the_small_stem_keeps_the_size_and_strides_begin_with_the_second_stage():
    network, sizes = resnet18(), []
    for part in (network.stem, *network.stages):
        part.register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape[1:])))
    network(torch.zeros(1, 3, 32, 32).expand(2, -1, -1, -1))
    assert sizes == [(64, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]


@pytest.mark.parametrize(("make", "last"), [(se_resnet18, "bn2"), (se_resnet50, "bn3")])
def test_squeeze_and_excitation_weighs_the_branch(make, last):
    network = scramble(make(stem="7x7", generator=seeded(0)).double()).eval()
    block = network.stages[1][1]
    seen = {}
    getattr(block, last)[0].register_forward_hook(lambda _, __, out: seen.update(branch=out))
    block.register_forward_hook(lambda _, args, out: seen.update(x=args[0].clone(), out=out))
    network(randn(2, 3, 64, 64))
    gate = getattr(block, last)[1]
    means = seen["branch"].mean((2, 3))
    hidden = (means @ gate.fc1.weight.flatten(1).T + gate.fc1.bias).clamp(min=0)
    weights = torch.sigmoid(hidden @ gate.fc2.weight.flatten(1).T + gate.fc2.bias)
    expected = (seen["branch"] * weights[:, :, None, None] + seen["x"]).clamp(min=0)
    torch.testing.assert_close(seen["out"], expected, rtol=1e-10, atol=1e-12)
    assert gate.fc1.out_channels == len(gate.fc2.weight) // 16


def test_initial_weights_have_the_papers_spread():
    network = resnet50(generator=seeded(0))
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            expected = (2 / (layer.out_channels * layer.kernel_size[0] ** 2)) ** 0.5
            # the standard deviation of n normal values has a relative standard error of 1/sqrt(2n); five of them
            tolerance = 5 / (2 * layer.weight.numel()) ** 0.5
            assert layer.weight.std().item() == pytest.approx(expected, rel=tolerance), name
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.eq(1).all()
            assert layer.bias.eq(0).all()
    bound = network.num_features**-0.5
    assert 0.99 * bound < network.head.weight.abs().max() <= bound
    assert network.head.bias.eq(0).all()


def test_the_unnormalised_network_has_no_normalisation_and_no_more_than_the_paper_names():
    network = resnet18_unnormalised(stem="7x7")
    kinds = [type(layer).__name__ for layer in network.modules() if list(layer.parameters(recurse=False))]
    assert kinds.count("Conv2d") == 20
    assert kinds.count("Linear") == 1
    assert len(kinds) == 21
    assert sum(parameter.ndim == 1 for parameter in network.parameters()) == 1  # the head's bias


def test_scaled_branches_keep_the_size_of_the_features():
    images = torch.randn(16, 3, 32, 32, generator=seeded(3))

    def size(scale: float) -> float:
        with torch.no_grad():
            network = resnet18_unnormalised(branch_scale=scale, generator=seeded(0))
            return network.stages(network.stem(images)).square().mean().item()

    without = size(0.0)
    assert size(8**-0.5) / without < math.e**2  # (1 + 2/L)^L, however many blocks
    assert size(1.0) / without > 10 * math.e**2  # 3 for each block
    default, scaled = (resnet18_unnormalised(generator=seeded(0), **o) for o in ({}, {"branch_scale": 8**-0.5}))
    assert all(torch.equal(a, b) for a, b in zip(default.parameters(), scaled.parameters(), strict=True))
    with pytest.raises(ValueError, match="branch_scale must be >= 0"):
        resnet18_unnormalised(branch_scale=-1.0)


def test_several_seeds_at_once_compute_what_each_computes_alone():
    alone = [resnet8(generator=seeded(seed)).double() for seed in range(3)]
    images, labels = randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    parameters, buffers = stack_module_state(alone)
    network = resnet8().double()
    untouched = [buffer.clone() for buffer in network.buffers()]

    def loss(parameters, buffers):
        logits = functional_call(network, (parameters, buffers), (images,))
        return nn.functional.cross_entropy(logits, labels)

    gradients = vmap(grad(loss))(parameters, buffers)
    for run, single in enumerate(alone):
        nn.functional.cross_entropy(single(images), labels).backward()
        for name, parameter in single.named_parameters():
            torch.testing.assert_close(gradients[name][run], parameter.grad, rtol=0, atol=1e-12)
        for name, buffer in single.named_buffers():  # moved in place by the training step
            torch.testing.assert_close(buffers[name][run], buffer, rtol=0, atol=1e-12)
    assert all(torch.equal(now, then) for now, then in zip(network.buffers(), untouched, strict=True))
    network.eval()
    logits = vmap(lambda p, b: functional_call(network, (p, b), (images,)))(parameters, buffers)
    expected = torch.stack([single.eval()(images) for single in alone])
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        ((1, 1), {"stem": "5x5"}, "stem must be one of '3x3', '7x7', got '5x5'"),
        ((1, 0), {}, "counts must be >= 1, got 0"),
        ((1, 1, 1), {}, "zip"),
    ],
)
def test_refusals(counts, options, message):
    with pytest.raises(ValueError, match=message):
        ResNet(BasicBlock, counts, (2, 4), num_classes=2, **options)
