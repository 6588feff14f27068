"""Residual networks for images: the narrow ones of CIFAR, the wide ones of ImageNet, with and without normalisation.

Blocks are torchvision's. A bottleneck therefore has its stride in the 3×3 convolution, as torchvision's own networks.

Several seeds at once: stack parameters *and* buffers, since a training step writes the running statistics of batch
normalisation in place and `torch.func.vmap` cannot write into buffers that the runs share:

    >>> import torch
    >>> from torch.func import functional_call, stack_module_state, vmap
    >>> runs = [resnet8(generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    >>> parameters, buffers = stack_module_state(runs)
    >>> images = torch.zeros(4, 3, 32, 32)
    >>> vmap(lambda p, b: functional_call(runs[0], (p, b), (images,)))(parameters, buffers).shape
    torch.Size([3, 4, 10])
    >>> buffers["stem.1.num_batches_tracked"]  # the stacked buffers moved, those of ``runs`` did not
    tensor([1, 1, 1])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from companion._checks import check_choice, check_count, check_number
from companion._extras import require
from companion.models._network import ImageNetwork, initialise, keep_global_generator

_torchvision = require("torchvision.models.resnet", extra="vision")
_SqueezeExcitation = require("torchvision.ops", extra="vision").SqueezeExcitation
_BasicBlock, _Bottleneck = _torchvision.BasicBlock, _torchvision.Bottleneck

Normalisation = Callable[[int], nn.Module]

_REDUCTION = 16  # a squeeze has one channel for sixteen


class ZeroPaddedShortcut(nn.Module):
    r"""The short-cut without parameters: every ``stride``-th pixel, and channels of zeros behind its own.

    $s(x)_{n,c,i,j} = x_{n,c,ri,rj}$ for the channels that $x$ has, 0 for the others; $r$ is the stride.

    Args:
        extra_channels: number of channels of zeros.
        stride: r.

    Example:
        >>> ZeroPaddedShortcut(1, 2)(torch.arange(4.0).view(1, 1, 2, 2)).flatten()
        tensor([0., 0.])

    Source: He et al., Deep residual learning, 2016, section 3.3, option A.
    """

    def __init__(self, extra_channels: int, stride: int) -> None:
        super().__init__()
        self.extra_channels, self.stride = extra_channels, stride

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C + extra, H/stride, W/stride), rounded up."""
        kept = images[:, :, :: self.stride, :: self.stride]
        return nn.functional.pad(kept, (0, 0, 0, 0, 0, self.extra_channels))


class ResNet(ImageNetwork):
    """A stem, stages of residual blocks, the mean over pixels, and a linear head.

    Args:
        block: torchvision's ``BasicBlock`` or ``Bottleneck``.
        counts: blocks a stage; all stages but the first begin with stride 2.
        widths: channels of the 3×3 convolutions in each stage.
        num_classes: the number of classes, C.
        stem: ``"3x3"`` for small images, or ``"7x7"``: stride 2, then max pooling with stride 2, as for ImageNet.
        padded: short-cuts that change shape pad with zeros (option A) instead of projecting (option B).
        squeeze: each branch ends in a squeeze-and-excitation layer.
        normalisation: makes the layer behind each convolution from a number of channels.
        in_channels: channels of the images.
        generator: source of the initial weights; ``None`` uses torch's global one.

    Raises:
        ValueError: a count, a width or a number below 1, counts and widths of unequal lengths, an unknown stem.

    Example:
        >>> from torchvision.models.resnet import BasicBlock
        >>> ResNet(BasicBlock, (1, 1), (4, 8), num_classes=2).features(torch.zeros(5, 3, 8, 8)).shape
        torch.Size([5, 8])

    Source: He et al., Deep residual learning, 2016.
    """

    def __init__(
        self,
        block: type[nn.Module],
        counts: Sequence[int],
        widths: Sequence[int],
        *,
        num_classes: int,
        stem: str = "3x3",
        padded: bool = False,
        squeeze: bool = False,
        normalisation: Normalisation = nn.BatchNorm2d,
        in_channels: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_count("num_classes", num_classes)
        check_count("in_channels", in_channels)
        check_choice("stem", stem, ("3x3", "7x7"))
        for name, values in (("counts", counts), ("widths", widths)):
            for value in values:
                check_count(name, value)
        channels = widths[0]
        with keep_global_generator(generator):
            self.stem = _stem(stem, in_channels, channels, normalisation)
            stages = []
            for stage, (count, width) in enumerate(zip(counts, widths, strict=True)):
                blocks = []
                for index in range(count):
                    stride = 2 if stage and not index else 1
                    blocks.append(_block(block, channels, width, stride, padded, squeeze, normalisation))
                    channels = width * block.expansion
                stages.append(nn.Sequential(*blocks))
            self.stages = nn.Sequential(*stages)
            self.num_features = channels
            self.head = nn.Linear(channels, num_classes)
        initialise(self, generator)

    def features(self, images: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to the last stage's means over pixels, (N, D)."""
        return self.stages(self.stem(images)).mean((2, 3))


def _stem(kind: str, in_channels: int, channels: int, normalisation: Normalisation) -> nn.Sequential:
    if kind == "3x3":
        convolution = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        return nn.Sequential(convolution, normalisation(channels), nn.ReLU(inplace=True))
    convolution = nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False)
    return nn.Sequential(convolution, normalisation(channels), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1))


def _block(
    block: type[nn.Module],
    channels: int,
    width: int,
    stride: int,
    padded: bool,
    squeeze: bool,
    normalisation: Normalisation,
) -> nn.Module:
    out = width * block.expansion
    shortcut = None
    if padded and (stride != 1 or channels != out):
        shortcut = ZeroPaddedShortcut(out - channels, stride)
    elif stride != 1 or channels != out:
        projection = nn.Conv2d(channels, out, 1, stride=stride, bias=False)
        shortcut = nn.Sequential(projection, normalisation(out))
    made = block(channels, width, stride, shortcut, norm_layer=normalisation)
    if squeeze:  # torchvision's blocks have no place for it; behind the branch's last normalisation is where it belongs
        last = "bn3" if block is _Bottleneck else "bn2"
        setattr(made, last, nn.Sequential(getattr(made, last), _SqueezeExcitation(out, out // _REDUCTION)))
    return made


def _cifar(depth: int, num_classes: int, in_channels: int, generator: torch.Generator | None) -> ResNet:
    """Return the network of 6n + 2 layers: n blocks a stage of 16, 32 and 64 channels, short-cuts padded with zeros."""
    counts = (depth // 6,) * 3
    return ResNet(
        _BasicBlock,
        counts,
        (16, 32, 64),
        num_classes=num_classes,
        padded=True,
        in_channels=in_channels,
        generator=generator,
    )


def _imagenet(block: type[nn.Module], counts: Sequence[int], num_classes: int, **options: Any) -> ResNet:
    """Return the network of four stages of 64 to 512 channels with projecting short-cuts."""
    return ResNet(block, counts, (64, 128, 256, 512), num_classes=num_classes, **options)


def resnet8(num_classes: int = 10, *, in_channels: int = 3, generator: torch.Generator | None = None) -> ResNet:
    """Return the smallest residual network of CIFAR's shape: one block a stage of 16, 32 and 64 channels.

    Arguments as in `resnet20`. It is smaller than any in the paper, for runs of seconds.

    Example:
        >>> sum(weight.numel() for weight in resnet8().parameters())
        75290

    Source: He et al., Deep residual learning, 2016, section 4.2, with n = 1.
    """
    return _cifar(8, num_classes, in_channels, generator)


def resnet20(num_classes: int = 10, *, in_channels: int = 3, generator: torch.Generator | None = None) -> ResNet:
    """Return ResNet-20 of CIFAR: three blocks a stage of 16, 32 and 64 channels, short-cuts without parameters.

    Args:
        num_classes: the number of classes, C.
        in_channels: channels of the images.
        generator: source of the initial weights; ``None`` uses torch's global one.

    Returns:
        A network from images (N, in_channels, H, W) to logits (N, C), with D = 64 features.

    Raises:
        ValueError: fewer than one class or channel.

    Example:
        >>> network = resnet20(num_classes=10, generator=torch.Generator().manual_seed(0))
        >>> network(torch.zeros(2, 3, 32, 32)).shape, sum(weight.numel() for weight in network.parameters())
        (torch.Size([2, 10]), 269722)

    Source: He et al., Deep residual learning, 2016, section 4.2, with n = 3. The tamed-cross-entropy paper's network.
    """
    return _cifar(20, num_classes, in_channels, generator)


def resnet110(num_classes: int = 10, *, in_channels: int = 3, generator: torch.Generator | None = None) -> ResNet:
    """Return ResNet-110 of CIFAR: eighteen blocks a stage of 16, 32 and 64 channels.

    Arguments as in `resnet20`. Its authors begin with a rate of 0.01 until the error falls below 80 %, then 0.1.

    Example:
        >>> sum(weight.numel() for weight in resnet110().parameters())
        1727962

    Source: He et al., Deep residual learning, 2016, section 4.2, with n = 18. A network of the norm-loss paper.
    """
    return _cifar(110, num_classes, in_channels, generator)


def resnet18(num_classes: int = 10, *, stem: str = "3x3", **options: Any) -> ResNet:
    """Return ResNet-18: two basic blocks in each of four stages of 64 to 512 channels.

    Args:
        num_classes: the number of classes, C.
        stem: ``"3x3"`` for images of about 32×32 pixels, ``"7x7"`` for ImageNet's.
        **options: ``in_channels`` and ``generator``, as in `resnet20`.

    Returns:
        A network from images (N, in_channels, H, W) to logits (N, C), with D = 512 features.

    Raises:
        ValueError: fewer than one class or channel, or an unknown stem.

    Example:
        >>> sum(weight.numel() for weight in resnet18().parameters())
        11173962
        >>> sum(weight.numel() for weight in resnet18(num_classes=1000, stem="7x7").parameters())
        11689512

    Source: He et al., Deep residual learning, 2016, Table 1; CIFAR's 3×3 stem is common practice.
    """
    return _imagenet(_BasicBlock, (2, 2, 2, 2), num_classes, stem=stem, **options)


def resnet34(num_classes: int = 10, *, stem: str = "3x3", **options: Any) -> ResNet:
    """Return ResNet-34: 3, 4, 6 and 3 basic blocks in four stages of 64 to 512 channels; arguments as in `resnet18`.

    Example:
        >>> sum(weight.numel() for weight in resnet34(num_classes=1000, stem="7x7").parameters())
        21797672

    Source: He et al., Deep residual learning, 2016, Table 1.
    """
    return _imagenet(_BasicBlock, (3, 4, 6, 3), num_classes, stem=stem, **options)


def resnet50(num_classes: int = 10, *, stem: str = "3x3", **options: Any) -> ResNet:
    """Return ResNet-50: 3, 4, 6 and 3 bottlenecks in four stages, D = 2048 features; arguments as in `resnet18`.

    Example:
        >>> sum(weight.numel() for weight in resnet50(num_classes=1000, stem="7x7").parameters())
        25557032

    Source: He et al., Deep residual learning, 2016, Table 1; strides as in torchvision.
    """
    return _imagenet(_Bottleneck, (3, 4, 6, 3), num_classes, stem=stem, **options)


def resnet101(num_classes: int = 10, *, stem: str = "3x3", **options: Any) -> ResNet:
    """Return ResNet-101: 3, 4, 23 and 3 bottlenecks in four stages, D = 2048 features; arguments as in `resnet18`.

    Example:
        >>> sum(weight.numel() for weight in resnet101(num_classes=1000, stem="7x7").parameters())
        44549160

    Source: He et al., Deep residual learning, 2016, Table 1; strides as in torchvision.
    """
    return _imagenet(_Bottleneck, (3, 4, 23, 3), num_classes, stem=stem, **options)


def se_resnet18(num_classes: int = 10, *, stem: str = "3x3", **options: Any) -> ResNet:
    r"""Return SE-ResNet-18: `resnet18` whose branches weigh their channels; arguments as there.

    A branch's output $u$ becomes $u \cdot \sigma(W_2\,\mathrm{relu}(W_1 \bar u + b_1) + b_2)$, with $\bar u$ its means over
    pixels and one hidden channel for sixteen.

    Example:
        >>> sum(weight.numel() for weight in se_resnet18(num_classes=1000, stem="7x7").parameters())
        11778592

    Source: Hu et al., Squeeze-and-excitation networks, 2018, Eqs. 2 to 4, with reduction 16.
    """
    return _imagenet(_BasicBlock, (2, 2, 2, 2), num_classes, stem=stem, squeeze=True, **options)


def se_resnet50(num_classes: int = 10, *, stem: str = "3x3", **options: Any) -> ResNet:
    """Return SE-ResNet-50: `resnet50` whose branches weigh their channels, as in `se_resnet18`.

    Example:
        >>> sum(weight.numel() for weight in se_resnet50(num_classes=1000, stem="7x7").parameters())
        28088024

    Source: Hu et al., Squeeze-and-excitation networks, 2018, Table 1, with reduction 16.
    """
    return _imagenet(_Bottleneck, (3, 4, 6, 3), num_classes, stem=stem, squeeze=True, **options)


def resnet18_unnormalised(
    num_classes: int = 10, *, stem: str = "3x3", branch_scale: float = 8**-0.5, **options: Any
) -> ResNet:
    r"""Return ResNet-18 without normalisation: twenty convolutions without biases, one linear layer, nothing else.

    The PowerGrad paper names its layers but not their start; in its code batch normalisation gives way to the identity
    and every convolution starts as in `resnet18`. A branch then adds twice its input's second moment to a block's
    output, which over L blocks grows like $3^L$. Here the last convolution of each branch is scaled by $1/\sqrt L$
    once, after it is drawn; the growth becomes $(1 + 2/L)^L < e^2$, whatever the depth. That is SkipInit's largest safe
    multiplier, kept in the weights: the layers stay the paper's, and no filter starts at length zero, as with Fixup,
    where the paper would count it as lost and adaptive clipping would hold it.

    Args:
        num_classes: the number of classes, C.
        stem: as in `resnet18`.
        branch_scale: the factor on the last convolution of each of the eight branches, >= 0; 1 is the paper's code.
        **options: ``in_channels`` and ``generator``, as in `resnet20`.

    Returns:
        A network from images (N, in_channels, H, W) to logits (N, C), with D = 512 features.

    Raises:
        ValueError: fewer than one class or channel, an unknown stem, or a negative scale.

    Example:
        >>> any("Norm" in type(layer).__name__ for layer in resnet18_unnormalised().modules())
        False

    Source: PowerGrad transform, sections 5.2 and 8.7; De and Smith, Batch normalization biases residual blocks towards
    the identity, 2020 (SkipInit); Zhang et al., Fixup initialization, 2019.
    """
    check_number("branch_scale", branch_scale, at_least=0)
    network = _imagenet(_BasicBlock, (2, 2, 2, 2), num_classes, stem=stem, normalisation=_nothing, **options)
    with torch.no_grad():
        for stage in network.stages:
            for block in stage:
                block.conv2.weight.mul_(branch_scale)
    return network


def _nothing(channels: int) -> nn.Module:
    """Return what stands in the place of a normalisation layer."""
    return nn.Identity()
