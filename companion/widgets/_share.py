"""What the live figures of one kernel share: the values that they have in common by name, as ``loader.js`` does it in a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from companion.widgets._values import Values


class Share:
    """The values that somebody has set last, by name, and the figures that follow them, held weakly.

    A figure whose limits forbid a value stands at its nearest one; the others do not hear of that. ``compact`` is each figure's own.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.figures: WeakKeyDictionary[Any, Values] = WeakKeyDictionary()
        self._spreading = False

    def starts(self, allowed: Values, given: Iterable[str] = ()) -> dict[str, Any]:
        """Return the values that a new figure takes from here: all it can take but those given to it."""
        if not self.figures:
            self.values.clear()  # nobody is left who stands there
        names = [name for name in self.values if name in allowed.defaults and name not in given]
        return {name: allowed.nearest(name, self.values[name], allowed.defaults[name]) for name in names}

    def join(self, figure: Any, allowed: Values, given: Iterable[str] = ()) -> None:
        """Let a figure lead and follow; the values that were given to it are the share's from now on."""
        self.figures[figure] = allowed
        names = [name for name in allowed.defaults if name != "compact"]
        for name in names:
            if name in given:
                self._spread(name, getattr(figure, name), figure)
            self.values.setdefault(name, getattr(figure, name))
        figure.observe(self._hear, names)

    def show(self, state: Mapping[str, Any]) -> None:
        """Put all figures into a state."""
        for name, value in state.items():
            self._spread(name, value, None)

    def checked(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return a state in plain types; some figure here must be able to take each of its values.

        Raises:
            ValueError: no figure has joined, or none allows a value.
            TypeError: no figure here has a value of that name.
        """
        if not self.figures:
            raise ValueError("no figure shares its values under this name yet: make one with share=… first")
        return {name: self._checked(name, value) for name, value in state.items()}

    def _checked(self, name: str, value: Any) -> Any:
        error: Exception | None = None
        for allowed in self.figures.values():
            try:
                return allowed.checked(**{name: value})[name]
            except (TypeError, ValueError) as refused:
                # that a value is not allowed says more than that another figure does not have it
                error = refused if error is None or isinstance(refused, ValueError) else error
        raise error or TypeError(name)

    def _hear(self, change: Any) -> None:
        if not self._spreading:
            self._spread(change["name"], change["new"], change["owner"])

    def _spread(self, name: str, value: Any, leader: Any) -> None:
        self.values[name], self._spreading = value, True
        try:
            for figure, allowed in list(self.figures.items()):
                if figure is not leader and name in allowed.defaults:
                    setattr(figure, name, allowed.nearest(name, value, getattr(figure, name)))
        finally:
            self._spreading = False


@cache
def share(key: str) -> Share:
    """Return the kernel's share of a name, made when first asked for.

    Example:
        >>> share("here") is share("here")
        True
    """
    return Share()
