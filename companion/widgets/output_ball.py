"""The output ball in a notebook: its class, its controls, and the threshold that the reader has chosen in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from companion.widgets._live import Controls, LiveFigure, ipywidgets, traitlets
from companion.widgets._scripts import values_of

__all__ = ["OutputBall", "chosen_threshold", "output_ball_controls"]

_VALUES = values_of("output_ball")


class OutputBall(LiveFigure):
    """One logit vector of two classes: its loss, its entropy, and what gradient steps do to its length.

    The length is pushed up exactly while the loss is below the entropy: −∂L/∂‖z‖ = (H(p) − L)/‖z‖. With ``clip`` the
    partial norm acts first, and outside the ball of radius ``threshold`` the length gets no gradient at all. The buttons take
    steps of plain gradient descent, z ← z − h ∂L/∂z, which leave a trail.

    Args:
        z: the logit vector, two numbers in [-5, 5].
        label: the true class, 0 or 1.
        threshold: the ball's radius δ > 0.
        clip: whether the partial norm acts on the logits.
        rate: the step size h, in [0.01, 100].
        compact: the small form, with two bars and two buttons.
        share: the figures with the same word here keep the values equal that they have in common by name.

    Raises:
        traitlets.TraitError: a value has the wrong type or lies outside its range.

    Example:
        >>> figure = OutputBall(label=1)
        >>> figure.values()["z"]
        [2.5, 1.2]

    Not tried in Google Colab.
    """

    name = "output_ball"


def output_ball_controls(
    figure: OutputBall,
    on_run: Callable[[float], object] | None = None,
    *,
    run_label: str = "Train with this δ",
) -> Any:
    """Return notebook controls for an `OutputBall`, linked both ways: what one moves, the other follows.

    Sliders for the two logits and δ, a switch for the clip, the label; with ``on_run`` also a button that calls it with
    the δ of the moment and writes what it returns below. Where no widgets run (the rendered book, a plain run of the
    notebook) one sentence stands for the controls, so give the training cell its δ by `chosen_threshold`.

    Args:
        figure: the figure to control.
        on_run: a function of δ, for example one that trains a small network; what it returns is shown as text.
        run_label: the words on the button.

    Returns:
        A box of ipywidgets with its parts as attributes: ``first``, ``second``, ``threshold``, ``clip``, ``label``, and
        with ``on_run`` also ``run`` and ``answer``.

    Example:
        >>> figure = OutputBall()
        >>> controls = output_ball_controls(figure, on_run=lambda threshold: f"trained with {threshold:g}")
        >>> controls.threshold.value = 3.0
        >>> figure.threshold
        3.0

    Not tried in Google Colab.
    """
    least, most = _VALUES.limits["z"]
    controls = {
        name: ipywidgets.FloatSlider(figure.z[k], min=least, max=most, step=0.05, description=f"z{'₁₂'[k]}")
        for k, name in enumerate(("first", "second"))
    } | {
        "threshold": ipywidgets.FloatSlider(
            figure.threshold, min=0.5, max=max(most, figure.threshold), step=0.1, description="δ"
        ),
        "clip": ipywidgets.Checkbox(figure.clip, description="clip at δ", indent=False),
        "label": ipywidgets.ToggleButtons(
            options=[("class 1", 0), ("class 2", 1)], value=figure.label, description="true:"
        ),
    }
    for k, name in enumerate(("first", "second")):
        traitlets.link(
            (figure, "z"),
            (controls[name], "value"),
            transform=(lambda z, k=k: z[k], lambda value, k=k: [*figure.z[:k], round(value, 6), *figure.z[k + 1 :]]),
        )
    for name in ("threshold", "clip", "label"):
        ipywidgets.link((figure, name), (controls[name], "value"))
    says = "In a running notebook this cell shows sliders for z and δ that move with the figure above."
    box = Controls(controls, says=says)
    if on_run is not None:
        box.add_run(run_label, lambda: on_run(figure.threshold))
    return box


def chosen_threshold(figure: OutputBall | None = None, default: float = _VALUES.defaults["threshold"]) -> float:
    """Return the δ that the reader has set in a figure, or ``default`` where there is none to ask.

    Args:
        figure: the figure; None gives ``default``.
        default: the δ without a figure, > 0.

    Example:
        >>> chosen_threshold(OutputBall(threshold=3.5)), chosen_threshold(None, default=10.0)
        (3.5, 10.0)
    """
    return float(default if figure is None else figure.threshold)
