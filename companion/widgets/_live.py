"""The notebook faces of the live figures: anywidget classes, and ipywidgets controls linked with them both ways.

Tried in JupyterLab 4.6 with anywidget 0.11 and ipywidgets 8. Google Colab runs anywidget classes through its own widget
manager, which anywidget switches on by itself; that has not been tried with these figures.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

from companion._extras import require
from companion.widgets import module_source, output_ball, python_side, static_html, tokens_css

anywidget = require("anywidget", extra="widgets")
ipywidgets = require("ipywidgets", extra="widgets")
traitlets = require("traitlets", extra="widgets")


def _checked(figure: LiveFigure, proposal: Any) -> Any:
    """Return a proposed value as the figure's ``checked`` does, so that page and notebook allow the same values."""
    side, name = python_side(figure.name), proposal["trait"].name
    try:
        return side.checked({**side.DEFAULTS, name: proposal["value"]})[name]
    except (TypeError, ValueError) as error:
        raise traitlets.TraitError(str(error)) from None


class LiveFigure(anywidget.AnyWidget):
    """A live figure with two faces: its view where a front end runs widgets, its place in the page everywhere else.

    A figure sets ``name`` and one synchronised trait for each of its ``DEFAULTS``; its script, its style and the check
    of every value by its ``checked`` follow from the name.

    Example:
        >>> class Small(LiveFigure):
        ...     name = "output_ball"
        ...     threshold = traitlets.Float(2.0).tag(sync=True)
        >>> Small(threshold=-1)
        Traceback (most recent call last):
        traitlets.traitlets.TraitError: threshold must be > 0 and finite, got -1.0
    """

    name = ""

    def __init_subclass__(cls, **options: Any) -> None:
        """Give a named figure its script, its style and its check; traitlets' own subclasses of it have them already."""
        if "name" in cls.__dict__:
            cls._esm, cls._css = module_source(cls.name), tokens_css()
            cls._checked = traitlets.validate(*python_side(cls.name).DEFAULTS)(_checked)
        super().__init_subclass__(**options)

    def values(self) -> dict[str, Any]:
        """Return the figure's values as they are now, by name."""
        return {key: getattr(self, key) for key in python_side(self.name).DEFAULTS}

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return anywidget's bundle with the static face added as ``text/html``."""
        data, metadata = super()._repr_mimebundle_(**options)
        return {**data, "text/html": static_html(self.name, **self.values())}, metadata


class OutputBall(LiveFigure):
    """One logit vector of two classes: its loss, its entropy, and what the next gradient step does to its length.

    The length is pushed up exactly while the loss is below the entropy: −∂L/∂‖z‖ = (H(p) − L)/‖z‖. With ``clip`` the
    partial norm acts first, and outside the ball of radius ``threshold`` the length gets no gradient at all.

    Args:
        z: the logit vector, two numbers in [-5, 5].
        label: the true class, 0 or 1.
        threshold: the ball's radius δ > 0.
        clip: whether the partial norm acts on the logits.
        compact: the small form: one vector, two bars, one arrow, one sentence.

    Raises:
        traitlets.TraitError: a value has the wrong type or lies outside its range.

    Example:
        >>> figure = OutputBall(label=1)
        >>> figure.values()["z"]
        [2.5, 1.2]

    Not tried in Google Colab.
    """

    name = "output_ball"
    z = traitlets.List(traitlets.Float(), output_ball.DEFAULTS["z"], minlen=2, maxlen=2).tag(sync=True)
    label = traitlets.Int(output_ball.DEFAULTS["label"]).tag(sync=True)
    threshold = traitlets.Float(output_ball.DEFAULTS["threshold"]).tag(sync=True)
    clip = traitlets.Bool(output_ball.DEFAULTS["clip"]).tag(sync=True)
    compact = traitlets.Bool(output_ball.DEFAULTS["compact"]).tag(sync=True)


class _Controls(ipywidgets.VBox):
    """A box of controls that says, where no widgets run, what stands here in a live notebook."""

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any] | tuple[dict[str, Any], dict[str, Any]]:
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        note = "In a running notebook this cell shows sliders for z and δ that move with the figure above."
        return {**data, "text/html": f'<p class="luc-live-words">{note}</p>'}, metadata


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
    limit = output_ball.LIMIT
    slider = ipywidgets.FloatSlider
    first, second = (slider(figure.z[k], min=-limit, max=limit, step=0.05, description=f"z{'₁₂'[k]}") for k in (0, 1))
    threshold = slider(figure.threshold, min=0.5, max=max(limit, figure.threshold), step=0.1, description="δ")
    clip = ipywidgets.Checkbox(figure.clip, description="clip at δ", indent=False)
    label = ipywidgets.ToggleButtons(options=[("class 1", 0), ("class 2", 1)], value=figure.label, description="true:")

    for k, coordinate in enumerate((first, second)):
        traitlets.link(
            (figure, "z"),
            (coordinate, "value"),
            transform=(lambda z, k=k: z[k], lambda value, k=k: [*figure.z[:k], round(value, 6), *figure.z[k + 1 :]]),
        )
    for name, control in (("threshold", threshold), ("clip", clip), ("label", label)):
        ipywidgets.link((figure, name), (control, "value"))

    box = _Controls([first, second, threshold, clip, label])
    box.first, box.second, box.threshold, box.clip, box.label = first, second, threshold, clip, label
    if on_run is not None:
        box.run, box.answer = ipywidgets.Button(description=run_label), ipywidgets.HTML()
        box.run.on_click(lambda _: _answer(box, on_run, figure))
        box.children = (*box.children, box.run, box.answer)
    return box


def _answer(box: Any, on_run: Callable[[float], object], figure: OutputBall) -> None:
    """Call ``on_run`` with the figure's δ; meanwhile the button rests. An error is shown, and raised for the log."""
    box.run.disabled = True
    box.answer.value = f"<p>running with δ = {figure.threshold:g} …</p>"
    try:
        box.answer.value = f"<pre>{html.escape(str(on_run(figure.threshold)))}</pre>"
    except Exception as error:
        box.answer.value = f"<pre>{html.escape(f'{type(error).__name__}: {error}')}</pre>"
        raise
    finally:
        box.run.disabled = False


def chosen_threshold(figure: OutputBall | None = None, default: float = output_ball.DEFAULTS["threshold"]) -> float:
    """Return the δ that the reader has set in a figure, or ``default`` where there is none to ask.

    Args:
        figure: the figure; None gives ``default``.
        default: the δ without a figure, > 0.

    Example:
        >>> chosen_threshold(OutputBall(threshold=3.5)), chosen_threshold(None, default=10.0)
        (3.5, 10.0)
    """
    return float(default if figure is None else figure.threshold)
