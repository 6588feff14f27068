"""Augmentation of image batches on the device, each image with its own draw."""

from __future__ import annotations

import torch
from torch import Tensor

from companion._checks import check_choice, check_count, check_number


def random_shift(inputs: Tensor, max_shift: int, *, generator: torch.Generator | None, padding: str = "zero") -> Tensor:
    """Shift every image by its own whole number of pixels, up to ``max_shift`` each way.

    out[n, c, i, j] = in[n, c, i + u_n, j + v_n], with u_n and v_n drawn uniformly from −max_shift … max_shift. This is
    the usual "pad, then crop at random".

    Args:
        inputs: (N, C, H, W), of any dtype.
        max_shift: in pixels, at least 0; below min(H, W) for ``padding="reflect"``.
        generator: fixes the draws, which are made where it lives: one on the CPU gives the same on every device.
            None draws from torch's global one.
        padding: what comes in from outside: ``"zero"``, or ``"reflect"``, the image mirrored at its outermost pixels.

    Returns:
        A new tensor like ``inputs``.

    Raises:
        ValueError: another number of dimensions, an unknown padding, or a shift out of range.

    Example:
        >>> random_shift(torch.ones(1, 1, 2, 2), 0, generator=None).flatten()
        tensor([1., 1., 1., 1.])
    """
    max_shift = check_count("max_shift", max_shift, at_least=0)
    num, _, height, width = _image_shape(inputs)
    if padding == "reflect" and max_shift >= min(height, width):
        raise ValueError(f"max_shift must be < {min(height, width)} for padding='reflect', got {max_shift}")
    device = "cpu" if generator is None else generator.device
    shifts = torch.randint(-max_shift, max_shift + 1, (2, num), generator=generator, device=device)
    return shift_images(inputs, shifts.to(inputs.device), padding=padding)


def shift_images(inputs: Tensor, shifts: Tensor, *, padding: str = "zero") -> Tensor:
    """Shift every image by its own given number of pixels: out[n, c, i, j] = in[n, c, i + u_n, j + v_n].

    Args:
        inputs: (N, C, H, W), of any dtype.
        shifts: integers (2, N) on the same device, u above v; for ``padding="reflect"`` below min(H, W) in size.
        padding: what comes in from outside, ``"zero"`` or ``"reflect"``. (Keyword only.)

    Returns:
        A new tensor like ``inputs``.

    Raises:
        ValueError: another number of dimensions, another shape of ``shifts``, or an unknown padding.

    Example:
        >>> shift_images(torch.tensor([[[[1, 2, 3]]]]), torch.tensor([[0], [1]]))
        tensor([[[[2, 3, 0]]]])
    """
    check_choice("padding", padding, ("zero", "reflect"))
    num, _, height, width = _image_shape(inputs)
    if tuple(shifts.shape) != (2, num):
        raise ValueError(f"shifts must have shape (2, {num}), got {tuple(shifts.shape)}")
    rows, row_inside = _sources(shifts[0], height, padding)
    columns, column_inside = _sources(shifts[1], width, padding)
    images = torch.arange(num, device=inputs.device)[:, None, None]
    shifted = inputs.movedim(1, -1)[images, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
    inside = (row_inside[:, :, None] & column_inside[:, None, :])[:, None]
    return shifted.masked_fill(~inside, 0).contiguous()


def random_flip(inputs: Tensor, *, generator: torch.Generator | None, probability: float = 0.5) -> Tensor:
    """Mirror each image left to right with the given probability.

    Args:
        inputs: (N, C, H, W), of any dtype.
        generator: fixes the draws, as in `random_shift`.
        probability: in [0, 1].

    Returns:
        A new tensor like ``inputs``.

    Raises:
        ValueError: another number of dimensions, or a probability outside [0, 1].

    Example:
        >>> random_flip(torch.tensor([[[[1, 2, 3]]]]), generator=None, probability=1.0)
        tensor([[[[3, 2, 1]]]])
    """
    check_number("probability", probability, at_least=0, at_most=1)
    num = _image_shape(inputs)[0]
    device = "cpu" if generator is None else generator.device
    flipped = (torch.rand(num, generator=generator, device=device) < probability).to(inputs.device)
    return flip_images(inputs, flipped)


def flip_images(inputs: Tensor, flipped: Tensor) -> Tensor:
    """Mirror the given images left to right.

    Args:
        inputs: (N, C, H, W), of any dtype.
        flipped: bool (N,), on the same device.

    Returns:
        A new tensor like ``inputs``.

    Raises:
        ValueError: another number of dimensions, or another shape of ``flipped``.

    Example:
        >>> flip_images(torch.tensor([[[[1, 2, 3]]]]), torch.tensor([True]))
        tensor([[[[3, 2, 1]]]])
    """
    num = _image_shape(inputs)[0]
    if tuple(flipped.shape) != (num,):
        raise ValueError(f"flipped must have shape ({num},), got {tuple(flipped.shape)}")
    return torch.where(flipped.view(-1, 1, 1, 1), inputs.flip(-1), inputs)


def _image_shape(inputs: Tensor) -> torch.Size:
    if inputs.ndim != 4:
        raise ValueError(f"inputs must have shape (N, C, H, W), got {tuple(inputs.shape)}")
    return inputs.shape


def _sources(shift: Tensor, size: int, padding: str) -> tuple[Tensor, Tensor]:
    """Return for each image the source index of every pixel along one axis, (N, size), and whether it lies inside."""
    source = shift[:, None] + torch.arange(size, device=shift.device)
    inside = (source >= 0) & (source < size)
    if padding == "reflect":
        return (size - 1) - ((size - 1) - source.abs()).abs(), torch.ones_like(inside)
    return source.clamp(0, size - 1), inside
