"""The noisy posterior in a notebook: its class."""

from __future__ import annotations

from companion.widgets._live import LiveFigure

__all__ = ["NoisyPosterior"]


class NoisyPosterior(LiveFigure):
    """What a perfect fit predicts for the true class when labels are noisy: under cross entropy π, under TCE the surer q.

    A share η of the labels is replaced uniformly, so that π = 1 − η + η/C; q minimises the expected TCE, and its inverse
    link q(1 − log q)^α / Σ gives π back.

    Args:
        rate: the share η of labels replaced, in [0, 0.99].
        alpha: TCE's exponent α, in [0, 3].
        classes: the number of classes C as a word, ``"2"``, ``"10"`` or ``"100"``.

    Raises:
        traitlets.TraitError: a value has the wrong type or is not allowed.

    Example:
        >>> NoisyPosterior(alpha=1.0).values()
        {'rate': 0.8, 'alpha': 1.0, 'classes': '10'}

    Not tried in Google Colab.
    """

    name = "noisy_posterior"
