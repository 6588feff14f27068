from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from companion.data import batches, random_flip, random_shift, random_split


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------------------------------------- splits
@pytest.mark.parametrize("num_rows", [0, 1, 7, 2708])
@pytest.mark.parametrize("ratios", [(6, 2, 2), (0.6, 0.2, 0.2), (1,), (1, 1, 1, 1)])
def test_split_is_a_partition_of_the_right_sizes(num_rows, ratios):
    parts = random_split(num_rows, ratios, generator=seeded())
    assert torch.cat(parts).sort().values.tolist() == list(range(num_rows))
    assert all(abs(len(part) - num_rows * ratio / sum(ratios)) <= 1 for part, ratio in zip(parts, ratios, strict=True))
    assert all(part.dtype == torch.int64 for part in parts)


def test_split_follows_the_generator():
    first, again, other = (random_split(100, (1, 1), generator=seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])


def test_split_is_shuffled_evenly():
    """Each of 10 rows is in the first half half of the time: 2,000 draws, 5 standard deviations."""
    generator = seeded()
    counts = torch.zeros(10)
    for _ in range(2000):
        counts[random_split(10, (1, 1), generator=generator)[0]] += 1
    assert (counts - 1000).abs().max() < 5 * math.sqrt(2000 / 4)


@pytest.mark.parametrize(
    ("num_rows", "ratios", "error", "message"),
    [
        (-1, (1, 1), ValueError, "num_rows"),
        (5, (), ValueError, "ratios must hold at least one"),
        (5, (1, 0), ValueError, "ratios must be > 0"),
        (5, (1, math.nan), ValueError, "ratios"),
        (5, ("1",), TypeError, "ratios must be a number"),
        (2.5, (1,), TypeError, "num_rows must be an integer"),
    ],
)
def test_split_arguments(num_rows, ratios, error, message):
    with pytest.raises(error, match=message):
        random_split(num_rows, ratios, generator=None)


# ------------------------------------------------------------------------------------------------------------ batches
def test_batches_visit_every_row_once_with_its_label():
    inputs, labels = torch.arange(10).view(10, 1) * 10, torch.arange(10)
    seen = list(batches(inputs, labels, 4, generator=seeded()))
    assert [len(part) for _, part in seen] == [4, 4, 2]
    assert torch.cat([part for _, part in seen]).sort().values.tolist() == list(range(10))
    assert all(torch.equal(rows.view(-1), 10 * part) for rows, part in seen)


def test_batches_are_reproducible_and_differ_from_epoch_to_epoch():
    rows = torch.arange(50)

    def epochs(seed):
        generator = seeded(seed)
        return [torch.cat([part for _, part in batches(rows, rows, 8, generator=generator)]) for _ in range(2)]

    first, again = epochs(0), epochs(0)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], epochs(1)[0])


def test_batches_in_order_draw_nothing():
    generator, rows = seeded(), torch.arange(5)
    before = generator.get_state()
    seen = [part.tolist() for _, part in batches(rows, rows, 2, generator=generator, shuffle=False)]
    assert seen == [[0, 1], [2, 3], [4]]
    assert torch.equal(generator.get_state(), before)


def test_batches_of_nothing():
    assert not [part for _, part in batches(torch.zeros(0, 3), torch.zeros(0), 2, generator=None) if len(part)]


@pytest.mark.parametrize(("size", "length", "message"), [(0, 5, "batch_size must be >= 1"), (2, 4, "same length")])
def test_batches_complain_at_once(size, length, message):
    with pytest.raises(ValueError, match=message):
        batches(torch.zeros(5), torch.zeros(length), size, generator=None)


# ------------------------------------------------------------------------------------------------------- augmentation
@pytest.mark.parametrize(("padding", "mode"), [("zero", "constant"), ("reflect", "reflect")])
def test_shift_is_pad_and_crop(padding, mode):
    """Every image is one of the 25 crops of its padded self, and all 25 occur about equally often."""
    image = torch.arange(1.0, 31).view(1, 1, 5, 6)
    shifted = random_shift(image.expand(5000, 1, 5, 6), 2, generator=seeded(), padding=padding)
    padded = pad(image, (2, 2, 2, 2), mode=mode)
    crops = torch.stack([padded[0, :, i : i + 5, j : j + 6] for i in range(5) for j in range(5)])
    matches = (shifted[:, None] == crops).flatten(2).all(2)
    assert (matches.sum(1) == 1).all()
    assert (matches.sum(0) - 200).abs().max() < 5 * math.sqrt(200)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_shift_moves_all_channels_alike_and_keeps_dtype(dtype):
    inputs = torch.arange(1, 17).view(1, 1, 4, 4).to(dtype).repeat(20, 3, 1, 1)
    shifted = random_shift(inputs, 1, generator=seeded())
    assert shifted.dtype == dtype
    assert shifted.is_contiguous()
    assert torch.equal(shifted[:, 0], shifted[:, 1])
    assert torch.equal(shifted[:, 0], shifted[:, 2])


def test_shift_each_image_on_its_own():
    inputs = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    together = random_shift(inputs, 1, generator=seeded(3), padding="reflect")
    assert set(together[0].unique().tolist()) <= set(inputs[0].unique().tolist())
    assert set(together[1].unique().tolist()) <= set(inputs[1].unique().tolist())


def test_no_shift_changes_nothing():
    inputs = torch.rand(3, 2, 4, 4)
    assert torch.equal(random_shift(inputs, 0, generator=None), inputs)


def test_flip_flips_about_half_and_nothing_else():
    inputs = torch.arange(6.0).view(1, 1, 2, 3).expand(4000, 2, 2, 3)
    flipped = random_flip(inputs, generator=seeded())
    turned = (flipped == inputs.flip(-1)).flatten(1).all(1)
    kept = (flipped == inputs).flatten(1).all(1)
    assert (turned ^ kept).all()
    assert abs(int(turned.sum()) - 2000) < 5 * math.sqrt(1000)
    assert torch.equal(random_flip(inputs, generator=None, probability=0.0), inputs)
    assert torch.equal(random_flip(inputs, generator=None, probability=1.0), inputs.flip(-1))


def test_a_count_may_be_any_whole_number():
    inputs, labels = torch.rand(5, 1, 4, 4), torch.arange(5)
    expected = random_shift(inputs, 2, generator=seeded())
    for two in (2.0, np.int64(2), np.float32(2)):
        assert torch.equal(random_shift(inputs, two, generator=seeded()), expected)
        assert [len(part) for part in random_split(two, (1, 1), generator=seeded())] == [1, 1]
        parts = batches(inputs, labels, two, generator=None, shuffle=False)
        assert [len(part) for part, _ in parts] == [2, 2, 1]


@pytest.mark.parametrize(
    "augment", [lambda x, g: random_shift(x, 2, generator=g), lambda x, g: random_flip(x, generator=g)]
)
def test_augmentation_follows_the_generator_and_leaves_its_input_alone(augment):
    inputs = torch.rand(64, 1, 8, 8)
    before = inputs.clone()
    first, again, other = (augment(inputs, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(inputs, before)
    assert augment(inputs[:0], seeded()).shape == (0, 1, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: random_shift(x[0], 1, generator=None), r"inputs must have shape \(N, C, H, W\)"),
        (lambda x: random_shift(x, -1, generator=None), "max_shift must be >= 0"),
        (lambda x: random_shift(x, 4, generator=None, padding="reflect"), "max_shift must be < 4"),
        (lambda x: random_shift(x, 1, generator=None, padding="wrap"), "padding must be one of 'zero', 'reflect'"),
        (lambda x: random_flip(x, generator=None, probability=1.5), "probability must be"),
        (lambda x: random_flip(x[0], generator=None), "inputs must have shape"),
    ],
)
def test_augmentation_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(2, 1, 4, 4))
