"""Uniform label noise: exact counts, both conventions, one seed one noise."""

from __future__ import annotations

import pytest
import torch

from companion.data.label_noise import uniform_label_noise


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labels(count: int = 10_000, num_classes: int = 10) -> torch.Tensor:
    return torch.arange(count) % num_classes


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.33337, 1.0, 1])
@pytest.mark.parametrize("keep_true", [True, False])
def test_exactly_the_share_asked_for_is_drawn(rate, keep_true):
    y = labels()
    noisy = uniform_label_noise(y, rate, 10, generator=generator(), keep_true=keep_true)
    assert int(noisy.drawn.sum()) == round(rate * 10_000)
    assert torch.equal(noisy.true_labels, y)
    assert torch.equal(noisy.labels[~noisy.drawn], y[~noisy.drawn])
    assert noisy.labels.dtype == y.dtype
    assert noisy.drawn.dtype == torch.bool


def test_a_drawn_row_keeps_its_label_once_in_c_times_or_never():
    y = labels()
    noisy, drawn, _ = uniform_label_noise(y, 0.8, 10, generator=generator())
    wrong = (noisy != y).float().mean().item()
    assert wrong == pytest.approx(0.8 * 0.9, abs=0.01)
    noisy, drawn, _ = uniform_label_noise(y, 0.8, 10, generator=generator(), keep_true=False)
    assert torch.equal(noisy != y, drawn)


@pytest.mark.parametrize(("keep_true", "classes"), [(True, 5), (False, 4)])
def test_new_labels_are_uniform(keep_true, classes):
    y = torch.full((50_000,), 2)
    noisy = uniform_label_noise(y, 1.0, 5, generator=generator(), keep_true=keep_true)
    share = torch.bincount(noisy.labels, minlength=5) / 50_000
    expected = torch.full((5,), 1 / classes)
    if not keep_true:
        expected[2] = 0
    torch.testing.assert_close(share, expected, rtol=0, atol=0.01)


def test_rows_are_drawn_from_everywhere():
    drawn = uniform_label_noise(labels(), 0.5, 10, generator=generator()).drawn
    assert drawn.reshape(10, -1).float().mean(1).sub(0.5).abs().max() < 0.05


def test_the_seed_decides_and_nothing_else():
    first, second = (uniform_label_noise(labels(), 0.4, 10, generator=generator(3)) for _ in range(2))
    state = torch.get_rng_state()
    other = uniform_label_noise(labels(), 0.4, 10, generator=generator(4))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.labels, second.labels)
    assert not torch.equal(first.drawn, other.drawn)


def test_the_input_is_not_changed_nor_shared():
    y = labels()
    noisy = uniform_label_noise(y, 1.0, 10, generator=generator())
    assert torch.equal(y, labels())
    y[0] = 9
    assert noisy.true_labels[0] == 0


def test_no_rows_and_one_class():
    nothing = torch.zeros(0, dtype=torch.int64)
    assert uniform_label_noise(nothing, 0.5, 3, generator=generator()).labels.shape == (0,)
    one = torch.zeros(4, dtype=torch.uint8)
    noisy = uniform_label_noise(one, 0.5, 1, generator=generator())
    assert torch.equal(noisy.labels, one)
    assert noisy.labels.dtype == torch.uint8


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rate": 1.5}, ValueError, r"rate must be >= 0 and <= 1 and finite, got 1\.5"),
        ({"rate": None}, TypeError, "rate must be a number, got None"),
        ({"num_classes": 0}, ValueError, "num_classes must be >= 1, got 0"),
        ({"num_classes": 5}, ValueError, r"labels must hold class indices in \[0, 5\), got 5"),
        ({"labels": torch.zeros(3)}, TypeError, "labels must hold class indices"),
        ({"labels": torch.zeros(3, 2, dtype=torch.int64)}, ValueError, r"labels must have shape \(N,\), got \(3, 2\)"),
        ({"generator": 0}, TypeError, r"generator must be a torch\.Generator, got int"),
        (
            {"labels": torch.zeros(3, dtype=torch.int64), "num_classes": 1, "keep_true": False},
            ValueError,
            "keep_true=False needs at least two classes, got num_classes=1",
        ),
    ],
)
def test_errors(arguments, error, message):
    given = {"labels": labels(), "rate": 0.5, "num_classes": 10, "generator": generator(), **arguments}
    with pytest.raises(error, match=message):
        uniform_label_noise(**given)
