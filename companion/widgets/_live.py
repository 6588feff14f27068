"""What the notebook faces of all live figures share: the anywidget class, a box of controls, and buttons for states of a figure.

Tried in JupyterLab 4.6 with anywidget 0.11 and ipywidgets 8. Google Colab runs anywidget classes through its own widget
manager, which anywidget switches on by itself; that has not been tried with these figures.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

from companion import look
from companion._extras import require
from companion.widgets._places import states_html, static_html
from companion.widgets._scripts import module_source, values_of
from companion.widgets._share import share as shared

anywidget = require("anywidget", extra="widgets")
ipywidgets = require("ipywidgets", extra="widgets")
traitlets = require("traitlets", extra="widgets")

__all__ = ["states"]

_KINDS = {bool: traitlets.Bool, int: traitlets.Int, float: traitlets.Float, str: traitlets.Unicode}


def _trait(default: Any) -> Any:
    """Return the synchronised trait for a value of a figure, of the kind of its default."""
    if isinstance(default, list):
        size = len(default)
        return traitlets.List(traitlets.Float(), default, minlen=size, maxlen=size).tag(sync=True)
    return _KINDS[type(default)](default).tag(sync=True)


def _checked(figure: LiveFigure, proposal: Any) -> Any:
    """Return a proposed value as the figure's script allows it, so that page and notebook allow the same values."""
    name = proposal["trait"].name
    try:
        return values_of(figure.name).checked(**{name: proposal["value"]})[name]
    except ValueError as error:
        raise traitlets.TraitError(str(error)) from None


class LiveFigure(anywidget.AnyWidget):
    """A live figure with two faces: its view where a front end runs widgets, its place in the page everywhere else.

    A figure sets ``name``. Its script, its style, one synchronised trait for each of the script's ``defaults`` and the check of
    each by its ``limits`` follow from that.

    Args:
        share: figures with the same word here, in one kernel as in one page, keep the values equal that they have in common by name
            (but ``compact``). A new one takes the values that the others have, and brings those that it is given. A value outside a
            figure's limits leaves this figure at its nearest one, and the others where they are.
        **values: the figure's values where they differ from its defaults.

    Example:
        >>> class Small(LiveFigure):
        ...     name = "output_ball"
        >>> Small().threshold
        2.0
        >>> Small(threshold=-1)
        Traceback (most recent call last):
        traitlets.traitlets.TraitError: threshold must be a finite number in [0.001, 1000], got -1.0
        >>> one, two = Small(share="example"), Small(share="example")
        >>> one.threshold = 3.0
        >>> two.threshold
        3.0
    """

    name = ""

    def __init_subclass__(cls, **options: Any) -> None:
        """Give a named figure its script, its style, its traits and their check; traitlets' own subclasses have them already."""
        if "name" in cls.__dict__:
            cls._esm, cls._css = module_source(cls.name), look.css()
            defaults = values_of(cls.name).defaults
            for key, default in defaults.items():
                trait = _trait(default)
                setattr(cls, key, trait)
                trait.class_init(cls, key)  # the metaclass does this for what stands in the class's body
            cls._checked = traitlets.validate(*defaults)(_checked)
        super().__init_subclass__(**options)

    def __init__(self, *, share: str | None = None, **values: Any) -> None:
        self.share = share
        if share is None:
            super().__init__(**values)
            return
        allowed = values_of(self.name)
        super().__init__(**(shared(share).starts(allowed, values) | values))
        shared(share).join(self, allowed, values)

    def values(self) -> dict[str, Any]:
        """Return the figure's values as they are now, by name."""
        return {key: getattr(self, key) for key in values_of(self.name).defaults}

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return anywidget's bundle with the static face added as ``text/html``."""
        data, metadata = super()._repr_mimebundle_(**options)
        return {**data, "text/html": static_html(self.name, share=self.share, **self.values())}, metadata


class Controls(ipywidgets.VBox):
    """A box of controls of a figure, with a button if asked; where no widgets run it says what stands here in a live notebook.

    Args:
        controls: name to control; each is an attribute of the box.
        says: the sentence for pages.

    Example:
        >>> box = Controls({"width": ipywidgets.FloatSlider(2.0)}, says="In a running notebook this cell shows a slider.")
        >>> box.width.value
        2.0
    """

    def __init__(self, controls: dict[str, Any], *, says: str) -> None:
        super().__init__(list(controls.values()))
        self._says = says
        for name, control in controls.items():
            setattr(self, name, control)

    def add_run(self, label: str, on_run: Callable[[], object]) -> None:
        """Add a button ``run`` that calls a function, and below it the place ``answer`` where what it returns is shown."""
        self.run, self.answer = ipywidgets.Button(description=label), ipywidgets.HTML()
        self.run.on_click(lambda _: self._answer(on_run))
        self.children = (*self.children, self.run, self.answer)

    def _answer(self, on_run: Callable[[], object]) -> None:
        """Call the function; meanwhile the button rests. An error is shown, and raised for the log."""
        self.run.disabled = True
        self.answer.value = "<p>running …</p>"
        try:
            self.answer.value = f"<pre>{html.escape(str(on_run()))}</pre>"
        except Exception as error:
            self.answer.value = f"<pre>{html.escape(f'{type(error).__name__}: {error}')}</pre>"
            raise
        finally:
            self.run.disabled = False

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any] | tuple[dict[str, Any], dict[str, Any]]:
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": f'<p class="luc-live-words">{self._says}</p>'}, metadata


class States(ipywidgets.HBox):
    """The row of buttons that `states` makes; in the page it is the loader's row of the same words."""

    def __init__(self, share: str, buttons: Mapping[str, Mapping[str, Any]]) -> None:
        checked = {words: shared(share).checked(state) for words, state in buttons.items()}
        layout = {"width": "auto", "height": "auto", "min_height": "44px"}
        children = [ipywidgets.Button(description=words, layout=layout) for words in checked]
        super().__init__(children, layout={"flex_flow": "row wrap"})
        self._face = states_html(share, checked)
        for button, state in zip(children, checked.values(), strict=True):
            button.on_click(lambda _, state=state: self._show(share, state))

    @staticmethod
    def _show(share: str, state: Mapping[str, Any]) -> None:
        """Put the figures there, and tell their views that this is no step of theirs."""
        shared(share).show(state)
        for figure in shared(share).figures:
            figure.send({"state": state})

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any] | tuple[dict[str, Any], dict[str, Any]]:
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": self._face}, metadata


def states(share: str, buttons: Mapping[str, Mapping[str, Any]]) -> States:
    """Return a row of buttons, each of which puts the figures of a share into a state and clears their trails.

    The same words work in a notebook and in the page, where a button also scrolls to the figure if it is out of view, and offers the
    way back. Without scripts and without widgets no button is shown, so let the text around them stand without them.

    Args:
        share: the word that the figures were made with.
        buttons: the words on each button to the values it sets; others stay as they are.

    Raises:
        ValueError: no figure has been made with this word yet, or none that was allows a value.
        TypeError: none of the figures has a value of that name.

    Example:
        >>> class Small(LiveFigure):
        ...     name = "output_ball"
        >>> figure = Small(share="pon")
        >>> row = states("pon", {"Wrong by a mile": {"z": [-3.5, 3.5], "label": 0, "clip": True}})
        >>> row.children[0].click()
        >>> figure.z, figure.clip
        ([-3.5, 3.5], True)
    """
    return States(share, buttons)
