"""Recorded runs with effects that a test chooses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from companion.results import Results
from tests.recorded import synthetic


@pytest.fixture
def results() -> Callable[..., Results]:
    """Make synthetic recorded runs; see `tests.recorded.synthetic`."""
    return synthetic
