"""Live figures: the same JavaScript in a notebook (anywidget) and in the rendered book (no kernel, no network).

A figure called ``name`` is two files. ``name.js`` is all of it: an ES module with the mathematics as exported pure functions,
``defaults`` and ``limits`` (its values and what they may be), and ``export default { render }``, the front-end contract of
anywidget. ``name.py`` is its face in notebooks: a class of the same name and what goes with it, such as controls; what its
``__all__`` lists is found here. Nothing needs an extra but these, which come with ``widgets``. Figures made with the same ``share`` keep
their common values equal; `states` makes buttons that put them where a sentence wants them.

Example:
    >>> "output_ball" in figures()
    True
    >>> static_html("output_ball", label=1).startswith('<div class="luc-live" data-widget="output_ball"')
    True
"""

from __future__ import annotations

import ast
import importlib
from functools import cache
from typing import Any

from companion.widgets._places import fill_places, static_html
from companion.widgets._scripts import bundle, figures, module_source, read, values_of


@cache
def _homes() -> dict[str, str]:
    """Return which notebook face's file has which public name: its ``__all__``, read without importing what it needs."""
    found = {}
    for home in (*figures(), "_live"):
        for node in ast.parse(read(f"{home}.py")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                found |= dict.fromkeys(ast.literal_eval(node.value), home)
    return found


__all__ = ["bundle", "figures", "fill_places", "module_source", "static_html", "values_of", *_homes()]


def __getattr__(name: str) -> Any:
    """Import a figure's notebook face when something of it is first asked for: it needs the extra ``widgets``."""
    if name in _homes():
        return getattr(importlib.import_module(f".{_homes()[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
