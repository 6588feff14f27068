"""Learning-rate schedules: how large the rate is at a share of the training, as a factor of its top value.

A schedule knows shares of the training, not epochs, so that a search of 30 epochs runs the same schedule as a final
training of 100.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from companion._checks import check_number

__all__ = ["Constant", "Cosine", "Schedule", "Steps"]


@dataclass(frozen=True)
class Schedule:
    """A learning rate over the training; `Constant`, `Cosine` and `Steps` are what there is.

    Attributes:
        warmup: share of the training over which the rate rises, by equal steps, to where the schedule then goes on.
    """

    warmup: float = 0.0

    def __post_init__(self) -> None:
        check_number("warmup", self.warmup, at_least=0, below=1)

    def factor(self, step: int, steps: int) -> float:
        """Return the factor of the learning rate in step number ``step``, counted from 0, of ``steps`` in all.

        The first step of a warm-up already moves: with w steps of warm-up it takes 1/w of the rate.
        """
        rising = round(self.warmup * steps)
        if step < rising:
            return (step + 1) / rising * self.shape(0.0)
        return self.shape((step - rising) / (steps - rising))

    def shape(self, share: float) -> float:
        """Return the factor after a share in [0, 1) of the training behind the warm-up."""
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate throughout.

    Example:
        >>> Constant(warmup=0.5).factor(0, 8), Constant(warmup=0.5).factor(5, 8)
        (0.25, 1.0)
    """

    def shape(self, share: float) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Cosine(Schedule):
    r"""Half a cosine down to zero: $\tfrac12 (1 + \cos \pi s)$ at the share s of the training.

    Example:
        >>> [round(Cosine().factor(step, 4), 3) for step in range(4)]
        [1.0, 0.854, 0.5, 0.146]

    Source: Loshchilov and Hutter, 2017, without restarts.
    """

    def shape(self, share: float) -> float:
        """Return the half cosine."""
        return 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class Steps(Schedule):
    """The rate times ``decay`` at each of the given shares of the training.

    Attributes:
        at: shares in (0, 1), ascending.
        decay: what the rate is multiplied by at each.

    Example:
        >>> [Steps(at=(0.5, 0.75), decay=0.1).factor(step, 4) for step in range(4)]
        [1.0, 1.0, 0.1, 0.010000000000000002]
    """

    at: tuple[float, ...] = (0.5, 0.75)
    decay: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("decay", self.decay, above=0, at_most=1)
        for share in self.at:
            check_number("at", share, above=0, below=1)
        if any(first >= second for first, second in pairwise(self.at)):
            raise ValueError(f"at must ascend, got {self.at}")

    def shape(self, share: float) -> float:
        """Return the product of the steps passed so far."""
        # A share of 150/300 computed from whole steps may lie one rounding below its decimal.
        return self.decay ** sum(share >= edge - 1e-12 for edge in self.at)
