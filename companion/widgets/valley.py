"""The valley in a notebook: its class."""

from __future__ import annotations

from companion.widgets._live import LiveFigure

__all__ = ["Valley"]


class Valley(LiveFigure):
    """Loss and entropy of one sample of three classes along the ray of its logit vector: one valley, its floor at their crossing.

    The slope of the loss on the figure's logarithmic axis is the gap of the curves: s · dL(sz)/ds = L(sz) − H(sz).

    Args:
        sample: ``"right"`` (the floor lies at infinity), ``"narrowly wrong"`` (near s = 2) or ``"confidently wrong"`` (at 0).
        scale: the factor s of the logit vector, in [0.05, 8].

    Raises:
        traitlets.TraitError: a value has the wrong type or is not allowed.

    Example:
        >>> Valley(sample="right").values()
        {'sample': 'right', 'scale': 1.0}

    Not tried in Google Colab.
    """

    name = "valley"
