"""Wide residual networks: few layers, many channels, normalisation before each convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from companion._checks import check_count, check_number
from companion.models._network import ImageNetwork, initialise, keep_global_generator


class WideResNet(ImageNetwork):
    r"""Wide residual network WRN-d-k: three stages of (d − 4)/6 blocks with 16k, 32k and 64k channels.

    A block adds to its input two 3×3 convolutions, each behind batch normalisation and ReLU; where the shape changes,
    a 1×1 convolution of the normalised input takes the input's place in the sum:

    .. math:: x' = s + W_2\,\mathrm{relu}(\mathrm{bn}(W_1 h)), \qquad h = \mathrm{relu}(\mathrm{bn}(x)), \qquad s = x \text{ or } W_s h

    Args:
        depth: d = 6n + 4.
        width: k, the factor on the channels.
        num_classes: the number of classes, C.
        dropout: rate between a block's two convolutions, in [0, 1).
        in_channels: channels of the images.
        generator: source of the initial weights; ``None`` uses torch's global one. Dropout always uses that.

    Raises:
        ValueError: another depth, fewer than one class or channel, a rate out of range.

    Example:
        >>> network = WideResNet(16, 2, num_classes=10, dropout=0.3)
        >>> network(torch.zeros(2, 3, 32, 32)).shape, network.num_features
        (torch.Size([2, 10]), 128)

    Source: Zagoruyko and Komodakis, Wide residual networks, 2016, Table 1; weights start as in the authors' code.
    """

    def __init__(
        self,
        depth: int,
        width: int,
        *,
        num_classes: int,
        dropout: float = 0.0,
        in_channels: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("num_classes", num_classes), ("in_channels", in_channels)):
            check_count(name, value)
        check_count("depth", depth, at_least=10)
        if depth % 6 != 4:
            raise ValueError(f"depth must be 6n + 4, got {depth}")
        check_number("dropout", dropout, at_least=0, below=1)
        channels = 16
        with keep_global_generator(generator):
            self.stem = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
            blocks = []
            for index in range(3 * (depth // 6)):
                stage, place = divmod(index, depth // 6)
                out = 16 * width * 2**stage
                blocks.append(_Block(channels, out, 2 if stage and not place else 1, dropout))
                channels = out
            self.blocks = nn.Sequential(*blocks)
            self.norm = nn.BatchNorm2d(channels)
            self.num_features = channels
            self.head = nn.Linear(channels, num_classes)
        initialise(self, generator)

    def features(self, images: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to the last stage's means over pixels, (N, D)."""
        return torch.relu(self.norm(self.blocks(self.stem(images)))).mean((2, 3))


class _Block(nn.Module):
    """The basic block of a wide residual network."""

    def __init__(self, channels: int, out: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(out)
        self.conv1 = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        # A layer of rate 0 would still ask for random numbers under `torch.func.vmap`.
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.shortcut = nn.Conv2d(channels, out, 1, stride=stride, bias=False) if channels != out else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, out, H/stride, W/stride)."""
        hidden = torch.relu(self.norm1(x))
        branch = self.conv2(self.dropout(torch.relu(self.norm2(self.conv1(hidden)))))
        return branch + (x if self.shortcut is None else self.shortcut(hidden))


def wide_resnet28_10(
    num_classes: int = 10, *, dropout: float = 0.0, in_channels: int = 3, generator: torch.Generator | None = None
) -> WideResNet:
    """Return WRN-28-10, four blocks a stage of 160, 320 and 640 channels; arguments as in `WideResNet`.

    Example:
        >>> sum(weight.numel() for weight in wide_resnet28_10().parameters())
        36479194

    Source: Zagoruyko and Komodakis, Wide residual networks, 2016, Table 5. A network of the norm-loss paper.
    """
    return WideResNet(28, 10, num_classes=num_classes, dropout=dropout, in_channels=in_channels, generator=generator)
