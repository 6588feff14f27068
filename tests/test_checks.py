"""The checks that all functions share: what they read, what they let pass, what they turn it into."""

from __future__ import annotations

import threading

import pytest
import torch

from companion import _checks, tamed_cross_entropy, validate
from companion._checks import may_read_values, values_trusted

LOGITS, WRONG = torch.zeros(2, 3), torch.full((2, 3), -1.0)  # probabilities below 0


def test_trusted_values_are_not_read(monkeypatch):
    def never(flags):
        raise AssertionError("a value was asked for")

    with pytest.raises(ValueError, match="target must hold finite probabilities >= 0"):
        tamed_cross_entropy(LOGITS, WRONG, 0.5)
    monkeypatch.setattr(_checks, "any_true", never)
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
