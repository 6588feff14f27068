"""The VGG network of the scalable-batch-norm paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from companion._checks import check_count
from companion.models._network import ImageNetwork, initialise, keep_global_generator

_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and convolutions of configuration D


class VGG(ImageNetwork):
    """Five stages of 3×3 convolutions, each with batch normalisation and ReLU, the mean over pixels, a linear head.

    A stage ends in max pooling that halves height and width.

    Args:
        num_classes: the number of classes, C.
        in_channels: channels of the images.
        generator: source of the initial weights; ``None`` uses torch's global one.

    Raises:
        ValueError: fewer than one class or channel.

    Example:
        >>> VGG(num_classes=100).features(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 512])

    Source: Simonyan and Zisserman, Very deep convolutional networks, 2015, Table 1, configuration D.
    """

    def __init__(self, *, num_classes: int, in_channels: int = 3, generator: torch.Generator | None = None) -> None:
        super().__init__()
        check_count("num_classes", num_classes)
        check_count("in_channels", in_channels)
        layers: list[nn.Module] = []
        channels = in_channels
        with keep_global_generator(generator):
            for width, count in _STAGES:
                for _ in range(count):
                    convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
                    layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                    channels = width
                layers.append(nn.MaxPool2d(2))
            self.layers = nn.Sequential(*layers)
            self.num_features = channels
            self.head = nn.Linear(channels, num_classes)
        initialise(self, generator)

    def features(self, images: Tensor) -> Tensor:
        """Map images (N, channels, H, W), at least 32×32, to the last stage's means over pixels, (N, D)."""
        return self.layers(images).mean((2, 3))


def vgg_sbn(num_classes: int = 10, *, in_channels: int = 3, generator: torch.Generator | None = None) -> VGG:
    """Return the VGG of the scalable-batch-norm paper, as far as the paper tells it.

    The paper says "VGG", cites its authors, and writes the logits as one linear layer on the features (section 3). It
    leaves open the depth, batch normalisation, the classifier, dropout and the initial weights. Filled in as follows:

    - configuration D, the one of sixteen layers that "VGG" mostly means;
    - batch normalisation behind every convolution, for the paper's rate of 0.1 wants it;
    - the mean over pixels and one linear layer instead of two of 4096 with dropout: the same network then takes
      CIFAR's 32×32 images and the 64×64 ones of Tiny ImageNet and FaceScrub;
    - weights as in He et al., 2015.

    The authors' earlier code (PEDCC loss) calls another network VGG: thirteen convolutions of 96 to 384 channels with
    PReLU. The scalable batch norm itself is no part of the network; it is an `Objective`'s logit transform.

    Arguments and errors as in `VGG`.

    Example:
        >>> sum(weight.numel() for weight in vgg_sbn(num_classes=100).parameters())
        14770212

    Source: Scalable batch normalization, section 4.
    """
    return VGG(num_classes=num_classes, in_channels=in_channels, generator=generator)
