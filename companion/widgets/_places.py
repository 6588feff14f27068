"""The places of live figures in a page: their values, and what stands there where no script runs."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any

from companion import look
from companion.widgets import _still
from companion.widgets._scripts import about, module_source, read, values_of

_PLACE = re.compile(r"""<div data-widget="(\w+)"(?: data-share="([\w-]+)")?(?: data-model='([^']*)')?></div>""")


def static_html(name: str, *, share: str | None = None, **changes: Any) -> str:
    """Return the place of a figure in a page: one line of HTML with its values and a fallback without scripts.

    The fallback is drawn by the figure's own script (`companion.widgets._still`): its picture, and the sentence that describes
    it. Where there is no Node to run the script, one sentence says what the figure is about. The loader in `bundle()` replaces
    it by the live figure.

    Args:
        name: one of `figures()`.
        share: the figures of a page with the same word here keep the values equal that they have in common by name; those of the
            first are where they start.
        **changes: the figure's values where they differ from its defaults.

    Raises:
        ValueError: there is no such figure, or a value is outside its range.
        TypeError: the figure has no value of that name.

    Example:
        >>> 'data-model="{&quot;z&quot;: [2.5, 1.2], &quot;label&quot;: 1' in static_html("output_ball", label=1)
        True
    """
    values = json.dumps(values_of(name).checked(**changes), ensure_ascii=True)
    fallback = _still.drawn(f"{module_source(name)}\n{read('still.js')}", values)
    fallback = look.with_light_values(fallback) or f'<p class="luc-live-words">{html.escape(about(name))}</p>'
    data = html.escape(values, quote=True)
    shared = f' data-share="{html.escape(share, quote=True)}"' if share else ""
    return f'<div class="luc-live" data-widget="{name}"{shared} data-model="{data}">{fallback}</div>'


def states_html(share: str, states: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a row of buttons that put the figures of a share into states: one line of HTML, hidden until the loader shows it.

    Example:
        >>> states_html("pon", {"clip": {"clip": True}})[-77:]
        '<button type="button" data-set="{&quot;clip&quot;: true}">clip</button></div>'
    """
    buttons = "".join(
        f'<button type="button" data-set="{html.escape(json.dumps(state), quote=True)}">{html.escape(words)}</button>'
        for words, state in states.items()
    )
    head = f'class="luc-states" data-states="{html.escape(share, quote=True)}" role="group" aria-label="States of the figure"'
    return f"<div {head} hidden>{buttons}</div>"


def fill_places(text: str) -> str:
    """Fill every empty place of a figure in a page's source by `static_html`, so that no source holds a drawing.

    Args:
        text: a page in Markdown or HTML; a place is ``<div data-widget="name" data-share="pon" data-model='{"label": 1}'></div>``,
            both of ``data-share`` and ``data-model`` optional. What is not such a place stays as it is.

    Raises:
        ValueError: a place names no figure, or a value is outside its range or no JSON.
        TypeError: a figure has no value of the name given.

    Example:
        >>> "luc-live-words" in fill_places('<div data-widget="output_ball"></div>')
        True
    """

    def fill(match: re.Match[str]) -> str:
        return static_html(match[1], share=match[2], **json.loads(match[3] or "{}"))

    return _PLACE.sub(fill, text)
