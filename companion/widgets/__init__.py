"""Live figures: the same JavaScript in a notebook (anywidget) and in the rendered book (no kernel, no network).

A figure called ``name`` is two files: ``name.js`` (an ES module: the mathematics as exported pure functions,
``defaults``, and ``export default { render }``, the front-end contract of anywidget) and ``name.py`` (the same
defaults, and the picture and the sentence that stand where scripts do not run). Its notebook class is in ``_live.py``.
Nothing here needs an extra but the notebook classes and controls, which come with ``widgets``.

Example:
    >>> "output_ball" in figures()
    True
    >>> static_html("output_ball", label=1).startswith('<div class="luc-live" data-widget="output_ball"')
    True
"""

from __future__ import annotations

import html
import importlib
import json
import re
from importlib import resources
from types import ModuleType
from typing import Any

__all__ = [
    "OutputBall",
    "bundle",
    "chosen_threshold",
    "figures",
    "fill_places",
    "module_source",
    "output_ball_controls",
    "static_html",
    "token",
    "tokens_css",
]

_PLACE = re.compile(r"""<div data-widget="(\w+)"(?: data-model='([^']*)')?></div>""")
_NOT_FIGURES = ("kit.js", "loader.js")
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./kit\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|let|class) (\w+))", re.MULTILINE)
_DEFAULT = re.compile(r"^export default \{ render \};$", re.MULTILINE)
_MODULE_SYNTAX = re.compile(r"^\s*(?:import|export)\b|\bimport\s*[(.]", re.MULTILINE)


def __getattr__(name: str) -> Any:
    """Import the notebook classes when they are first asked for: they need the extra ``widgets``."""
    if name in __all__:  # and not here, else nobody had asked this function
        return getattr(importlib.import_module("._live", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _read(file: str) -> str:
    return resources.files(__package__).joinpath(file).read_text(encoding="utf-8")


def tokens_css() -> str:
    """Return the colours and type of the book as CSS, as every page and live figure uses them."""
    return resources.files("companion").joinpath("tokens.css").read_text(encoding="utf-8")


def token(name: str) -> str:
    """Return a colour of the book as CSS, with the light theme's value for pages that have no tokens.

    Args:
        name: a colour of ``tokens.css`` without the prefix, ``"pon"`` or ``"muted"``.

    Raises:
        ValueError: there is no such colour.

    Example:
        >>> token("pon")
        'var(--luc-pon, #4661ba)'
    """
    light = dict(re.findall(r"--luc-([\w-]+):\s*(#[0-9a-fA-F]{6})\s*;", tokens_css().partition("}")[0]))
    if name not in light:
        raise ValueError(f"there is no colour {name!r} in tokens.css; there are: {', '.join(light)}")
    return f"var(--luc-{name}, {light[name]})"


def figures() -> tuple[str, ...]:
    """Return the names of the live figures, sorted: every ``.js`` file of this folder but the kit and the loader."""
    files = [entry.name for entry in resources.files(__package__).iterdir()]
    return tuple(sorted(file[:-3] for file in files if file.endswith(".js") and file not in _NOT_FIGURES))


def _check_name(name: str) -> None:
    if name not in figures():
        raise ValueError(f"there is no live figure {name!r}; there are: {', '.join(figures())}")


def python_side(name: str) -> ModuleType:
    """Return the module ``name.py`` of a figure: ``DEFAULTS``, ``checked(values)``, ``fallback(values)``."""
    return importlib.import_module(f".{name}", __name__)


def _as_function(source: str, *, file: str, extra: str = "") -> str:
    """Turn an ES module into a function that is called at once and returns its exports: no module syntax is left."""
    exports = [*_EXPORT.findall(source), *(["render"] if _DEFAULT.search(source) else [])]
    body = _DEFAULT.sub("", _EXPORT.sub("", _IMPORT.sub(r"const {\1} = kit;", source)))
    left = _MODULE_SYNTAX.search(body)
    if left:
        raise RuntimeError(f"{file}: module syntax that the bundle cannot carry: {left.group().strip()!r}")
    return f"(() => {{\n{extra}{body.rstrip()}\nreturn {{ {', '.join(exports)} }};\n}})()"


def _kit() -> str:
    return f"const kit = {_as_function(_read('kit.js'), file='kit.js')};\n"


def module_source(name: str) -> str:
    """Return a figure as one self-contained ES module: the kit, then the figure. This is what anywidget loads.

    Args:
        name: one of `figures()`.

    Raises:
        ValueError: there is no such figure.

    Example:
        >>> module_source("output_ball").count("export default")
        1
    """
    _check_name(name)
    return _kit() + _IMPORT.sub(r"const {\1} = kit;", _read(f"{name}.js"))


def bundle() -> str:
    """Return one classic script with the kit, every figure and the loader: what the pages of the book load.

    It holds no module syntax (browsers refuse modules that come from a file on disk) and no address.

    Example:
        >>> bundle().startswith("(() => {")
        True
    """
    parts = [f"figures.{name} = {_as_function(_read(f'{name}.js'), file=f'{name}.js')};\n" for name in figures()]
    loader = _read("loader.js")
    return f'(() => {{\n"use strict";\n{_kit()}const figures = {{}};\n{"".join(parts)}{loader}start(figures);\n}})();\n'


def static_html(name: str, **model: Any) -> str:
    """Return the place of a figure in a page: one line of HTML with its values and a fallback without scripts.

    The loader in `bundle()` replaces the fallback (a picture with its description, and a sentence) by the live figure.

    Args:
        name: one of `figures()`.
        **model: the figure's values where they differ from its defaults.

    Raises:
        ValueError: there is no such figure, or a value is outside its range.
        TypeError: the figure has no value of that name.

    Example:
        >>> "loss 1.541" in static_html("output_ball", label=1)
        True
    """
    _check_name(name)
    side = python_side(name)
    unknown = sorted(set(model) - set(side.DEFAULTS))
    if unknown:
        raise TypeError(f"{name} has no value {unknown[0]!r}; it has: {', '.join(side.DEFAULTS)}")
    values = side.checked({**side.DEFAULTS, **model})
    data = html.escape(json.dumps(values, ensure_ascii=True), quote=True)
    return f'<div class="luc-live" data-widget="{name}" data-model="{data}">{side.fallback(values)}</div>'


def fill_places(text: str) -> str:
    """Fill every empty place of a figure in a page's source by `static_html`, so that no source holds a drawing.

    Args:
        text: a page in Markdown or HTML; a place is ``<div data-widget="name" data-model='{"label": 1}'></div>``, its
            ``data-model`` optional. What is not such a place stays as it is.

    Raises:
        ValueError: a place names no figure, or a value is outside its range or no JSON.
        TypeError: a figure has no value of the name given.

    Example:
        >>> "<svg" in fill_places('<div data-widget="output_ball"></div>')
        True
    """

    def fill(match: re.Match[str]) -> str:
        return static_html(match[1], **json.loads(match[2] or "{}"))

    return _PLACE.sub(fill, text)
