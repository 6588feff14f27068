"""What the notebook faces of all live figures share: the anywidget class, and a box of ipywidgets controls.

Tried in JupyterLab 4.6 with anywidget 0.11 and ipywidgets 8. Google Colab runs anywidget classes through its own widget
manager, which anywidget switches on by itself; that has not been tried with these figures.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

from companion import look
from companion._extras import require
from companion.widgets._places import static_html
from companion.widgets._scripts import module_source, values_of

anywidget = require("anywidget", extra="widgets")
ipywidgets = require("ipywidgets", extra="widgets")
traitlets = require("traitlets", extra="widgets")

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

    Example:
        >>> class Small(LiveFigure):
        ...     name = "output_ball"
        >>> Small().threshold
        2.0
        >>> Small(threshold=-1)
        Traceback (most recent call last):
        traitlets.traitlets.TraitError: threshold must be a finite number in [0.001, 1000], got -1.0
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

    def values(self) -> dict[str, Any]:
        """Return the figure's values as they are now, by name."""
        return {key: getattr(self, key) for key in values_of(self.name).defaults}

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return anywidget's bundle with the static face added as ``text/html``."""
        data, metadata = super()._repr_mimebundle_(**options)
        return {**data, "text/html": static_html(self.name, **self.values())}, metadata


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
