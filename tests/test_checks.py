"""The checks that all functions share: what they read, what they let pass, what they turn it into."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from companion import _checks, tamed_cross_entropy, validate
from companion._checks import (
    as_indices,
    check_class_indices,
    check_count,
    check_integer,
    check_number,
    may_read_values,
    values_trusted,
)

LOGITS, WRONG = torch.zeros(2, 3), torch.full((2, 3), -1.0)  # probabilities below 0


def test_trusted_values_are_not_read(monkeypatch):
    def never(value):
        raise AssertionError("a value was asked for")

    with pytest.raises(ValueError, match="target must hold finite probabilities >= 0"):
        tamed_cross_entropy(LOGITS, WRONG, 0.5)
    monkeypatch.setattr(_checks, "known", never)
    with values_trusted():
        tamed_cross_entropy(LOGITS, WRONG, 0.5)
        with pytest.raises(ValueError, match="target as probabilities must have the logits' shape"):
            tamed_cross_entropy(LOGITS, WRONG[:1], 0.5)  # metadata is checked as ever


def test_trust_ends_with_its_block_also_after_an_error_and_nests():
    with pytest.raises(ZeroDivisionError), values_trusted():
        raise ZeroDivisionError
    with values_trusted(), values_trusted():
        pass
    assert may_read_values(LOGITS)
    with values_trusted():
        with values_trusted():
            pass
        assert not may_read_values(LOGITS)


def test_trust_of_one_thread_is_not_that_of_another():
    seen = []
    with values_trusted():
        thread = threading.Thread(target=lambda: seen.append(may_read_values(LOGITS)))
        thread.start()
        thread.join()
    assert seen == [True]


def test_validate_looks_also_where_values_are_trusted():
    with values_trusted(), pytest.raises(ValueError, match="target must hold finite probabilities >= 0"):
        validate(LOGITS, WRONG)


SCALARS = [2, 2.0, np.float64(2), np.float32(2), np.float16(2), np.int64(2), np.uint8(2), np.array(2), np.array(2.0)]


@pytest.mark.parametrize("value", SCALARS, ids=lambda value: f"{type(value).__name__} {value!r}")
def test_scalars_of_every_library_are_numbers_and_counts(value):
    number, count = check_number("alpha", value, at_least=0, at_most=2), check_count("bins", value)
    assert type(number) in (int, float)
    assert type(count) is int
    assert number == count == 2
    with pytest.raises(ValueError, match=r"alpha must be < 2 and finite, got "):
        check_number("alpha", value, below=2)
    with pytest.raises(ValueError, match="bins must be >= 3, got 2"):
        check_count("bins", value, at_least=3)


@pytest.mark.parametrize("value", [True, np.True_, "2", None, 2j, np.array([2.0]), np.complex64(2)])
def test_what_is_no_number(value):
    with pytest.raises(TypeError, match="alpha must be a number, got "):
        check_number("alpha", value)
    with pytest.raises(TypeError, match="bins must be an integer, got "):
        check_count("bins", value)


@pytest.mark.parametrize("value", [2.5, np.float32(2.5), float("inf"), float("nan"), np.array(2.5)])
def test_a_count_is_whole(value):
    with pytest.raises(TypeError, match="bins must be an integer, got "):
        check_count("bins", value)


@pytest.mark.parametrize("value", [2, np.int64(2), np.array(2)])
def test_an_index_is_an_integer_and_no_float(value):
    assert type(check_integer("ignore_index", value)) is int
    with pytest.raises(TypeError, match=r"ignore_index must be an integer, got 2\.0 of type float"):
        check_integer("ignore_index", float(value))


INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_class_indices_of_every_integer_dtype_are_compared_as_int64(dtype):
    for label in (100, 127, 255) if torch.iinfo(dtype).max > 127 else (100, 127):
        indices = torch.tensor([0, label]).to(dtype)
        assert torch.equal(as_indices(indices), torch.tensor([0, label]))
        for num_classes in (256, 300, 400, 70_000):  # in uint8 these are 0, 44, 144 and 112
            check_class_indices("target", indices, num_classes)
        for ignored in (label - 256, label - 65536, label + 256):  # equal to the label modulo the dtype's range
            with pytest.raises(ValueError, match=rf"\[0, {label}\) or be ignore_index={ignored}, got {label}"):
                check_class_indices("target", indices, label, ignored)
