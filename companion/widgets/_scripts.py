"""The scripts of the live figures: which there are, what their values may be, one module for a notebook, one script for the pages."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from companion import look
from companion.widgets._values import Values

_NOT_FIGURES = ("kit.js", "loader.js", "still.js")
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./kit\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|let|class) (\w+))", re.MULTILINE)
_DEFAULT = re.compile(r"^export default \{ render \};$", re.MULTILINE)
_MODULE_SYNTAX = re.compile(r"^\s*(?:import|export)\b|\bimport\s*[(.]", re.MULTILINE)


def read(file: str) -> str:
    """Return a file of this folder as text."""
    return resources.files("companion.widgets").joinpath(file).read_text(encoding="utf-8")


def figures() -> tuple[str, ...]:
    """Return the names of the live figures, sorted: every ``.js`` file of this folder but those that all figures share."""
    files = [entry.name for entry in resources.files("companion.widgets").iterdir()]
    return tuple(sorted(file[:-3] for file in files if file.endswith(".js") and file not in _NOT_FIGURES))


def _check_name(name: str) -> None:
    if name not in figures():
        raise ValueError(f"there is no live figure {name!r}; there are: {', '.join(figures())}")


@cache
def values_of(name: str) -> Values:
    """Return a figure's values, read from its script: ``defaults``, ``limits``, and ``checked(**changes)``.

    Args:
        name: one of `figures()`.

    Raises:
        ValueError: there is no such figure, or its script does not declare them as plain data.

    Example:
        >>> values_of("output_ball").defaults["z"]
        [2.5, 1.2]
    """
    _check_name(name)
    return Values.read(name, read(f"{name}.js"))


def _as_function(source: str, *, file: str, extra: str = "") -> str:
    """Turn an ES module into a function that is called at once and returns its exports: no module syntax is left."""
    exports = [*_EXPORT.findall(source), *(["render"] if _DEFAULT.search(source) else [])]
    body = _DEFAULT.sub("", _EXPORT.sub("", _IMPORT.sub(r"const {\1} = kit;", source)))
    left = _MODULE_SYNTAX.search(body)
    if left:
        raise RuntimeError(f"{file}: module syntax that the bundle cannot carry: {left.group().strip()!r}")
    return f"(() => {{\n{extra}{body.rstrip()}\nreturn {{ {', '.join(exports)} }};\n}})()"


def _kit() -> str:
    """Return the kit as a constant, the light theme's values behind its tokens for pages that have none."""
    return f"const kit = {_as_function(look.with_light_values(read('kit.js')), file='kit.js')};\n"


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
    return _kit() + _IMPORT.sub(r"const {\1} = kit;", read(f"{name}.js"))


def bundle() -> str:
    """Return one classic script with the kit, every figure and the loader: what the pages of the book load.

    It holds no module syntax (browsers refuse modules that come from a file on disk) and no address.

    Example:
        >>> bundle().startswith("(() => {")
        True
    """
    parts = [f"figures.{name} = {_as_function(read(f'{name}.js'), file=f'{name}.js')};\n" for name in figures()]
    loader = read("loader.js")
    return f'(() => {{\n"use strict";\n{_kit()}const figures = {{}};\n{"".join(parts)}{loader}start(figures);\n}})();\n'


def about(name: str) -> str:
    """Return the first sentence of the comment at the head of a figure's script.

    Example:
        >>> about("output_ball")[:35]
        'The output ball: one logit vector o'
    """
    head = re.match(r"/\*\*(.*?)\*/", read(f"{name}.js"), flags=re.DOTALL)
    words = " ".join(re.sub(r"^\s*\*", "", head[1], flags=re.MULTILINE).split()) if head else name
    return re.split(r"(?<=\.) ", words)[0]
