"""What the tests of training share; the small data and networks are in ``small``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from companion.training.images import ImageTrainee
from tests.training.small import trainee


@pytest.fixture
def make() -> Callable[..., ImageTrainee]:
    """See `tests.training.small.trainee`."""
    return trainee
