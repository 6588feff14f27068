"""What a ball costs, in a notebook: its class."""

from __future__ import annotations

from companion.widgets._live import LiveFigure

__all__ = ["BallFloor"]


class BallFloor(LiveFigure):
    """The highest confidence and the lowest loss that logits inside a ball can have, for 2, 10, 100 and 1000 classes.

    The confidence is at most 1/(1 + (C−1) e^{−δ√(C/(C−1))}), and the loss at least −log of that.

    Args:
        threshold: the ball's radius δ > 0; the plot shows 0.5 to 20.

    Raises:
        traitlets.TraitError: the value has the wrong type or lies outside its range.

    Example:
        >>> BallFloor(threshold=3.0).values()
        {'threshold': 3.0}

    Not tried in Google Colab.
    """

    name = "ball_floor"
