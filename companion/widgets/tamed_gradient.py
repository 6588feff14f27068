"""The tamed gradient in a notebook: its class."""

from __future__ import annotations

from companion.widgets._live import LiveFigure

__all__ = ["TamedGradient"]


class TamedGradient(LiveFigure):
    """How hard one sample pulls at its label's logit under tamed cross entropy, and who holds the gradient of a noisy batch.

    The pull is (1 − q)(1 − log q)^−α, the size of the gradient at the label's logit, where q is the label's probability. Who holds how
    much of the gradient is counted in summed pulls; where samples pull against each other, the gradient itself is shorter.

    Args:
        alpha: TCE's exponent α, in [0, 3]; 0 is cross entropy.
        right: the probability q that the net gives to right labels, in [0.01, 0.99].
        wrong: the q that it gives to wrong labels, in [0.01, 0.99].
        noise: the share of wrong labels in the batch (not the label-noise rate, of which some draws stay right), in [0.05, 0.95].
        view: ``"pull"`` or ``"loss"``: what is drawn over q.

    Raises:
        traitlets.TraitError: a value has the wrong type or is not allowed.

    Example:
        >>> TamedGradient(right=0.12, wrong=0.1).values()
        {'alpha': 2.0, 'right': 0.12, 'wrong': 0.1, 'noise': 0.4, 'view': 'pull'}

    Not tried in Google Colab.
    """

    name = "tamed_gradient"
