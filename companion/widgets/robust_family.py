"""The robust family in a notebook: its class."""

from __future__ import annotations

from companion.widgets._live import LiveFigure

__all__ = ["RobustFamily"]


class RobustFamily(LiveFigure):
    """Robust losses as places on a map of tail s and slope k, and the weight of the chosen one on the gradient p − y.

    The weight at a cross entropy L is w(L) = (1 + skL)^(−1/s), e^(−kL) at s = 0; TCE(α) is k = α, s = 1/α, GCE(q) is s = 0, k = q.
    The loss is bounded, by 1/(k(1 − s)), where s < 1.

    Args:
        tail: the tail s of the weight, in [0, 2].
        slope: how fast the weight falls at L = 0, k in [0, 2].

    Raises:
        traitlets.TraitError: a value has the wrong type or is not allowed.

    Example:
        >>> RobustFamily(tail=1.0, slope=1.0).values()
        {'tail': 1.0, 'slope': 1.0}

    Not tried in Google Colab.
    """

    name = "robust_family"
