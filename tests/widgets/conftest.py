"""What every test of a live figure may use: its JavaScript run by Node, its module in Chromium, its place in a page.

A new figure's test compares its mathematics with the library's in a few lines:

    def test_loss_is_the_library_s(run_node):
        shown = run_node("what_it_shows", "const answer = given.map((z) => loss(z, 0));", VECTORS)

`test_every_figure.py` asks of each figure what all of them must do.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from companion import look, widgets
from companion.widgets import _still

HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>figures</title><link rel="icon" href="data:,">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
)
# A model like anywidget's: what the figure sets is noted, what the kernel sets is told to the listeners.
MODULE = """<script type="module">
import figure from "./figure.mjs";
const make = (values) => {
  const listeners = {};
  return {
    values, saved: 0,
    get: (key) => values[key],
    set(key, value) {
      values[key] = value;
      for (const event of [`change:${key}`, "change"]) (listeners[event] ?? []).forEach((listener) => listener());
    },
    save_changes() { this.saved += 1; },
    tell: (event) => (listeners[event] ?? []).forEach((listener) => listener()),
    on(event, listener) { (listeners[event] ??= []).push(listener); },
    off(event, listener) { listeners[event] = (listeners[event] ?? []).filter((other) => other !== listener); },
    count: () => Object.values(listeners).flat().length,
  };
};
window.models = {};
window.remove = {};
for (const [id, values] of Object.entries(%s)) {
  models[id] = make(values);
  remove[id] = figure.render({ model: models[id], el: document.getElementById(id) });
}
document.body.dataset.ready = true;
</script>"""


@pytest.fixture(scope="session")
def node() -> str:
    """Return the path of a Node; skips where there is none, fails in CI."""
    found = _still.find_node()
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "no Node: neither in the playwright package nor on the PATH"
        )
    return found


@pytest.fixture(scope="session")
def run_node(node: str) -> Callable[..., Any]:
    """Return `run_node(name, code, given=None)`: run a figure's module followed by `code`, which sets `answer`.

    `code` reads `given` and whatever the figure defines; both `given` and `answer` travel as JSON.
    """

    def run(name: str, code: str, given: object = None) -> Any:
        program = f"{widgets.module_source(name)}\nconst given = {json.dumps(given)};\n{code}\n"
        program += "process.stdout.write(JSON.stringify(answer));\n"
        done = subprocess.run(
            [node, "--input-type=module", "-"], input=program, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def open_module(open_page: Any, serve: Any, tmp_path: Path) -> Callable[..., Any]:
    """Return `open_module(name, one={…}, two={…})`: figures mounted as anywidget does it, one for each keyword.

    Each keyword is the id of a figure with the values that differ from the defaults. The page has `models.one`
    (`values`, `saved`, `set(key, value)`, `tell(event)`, `count()` of listeners) and `remove.one()`.
    """

    def open_one(name: str, **figures: dict[str, Any]) -> Any:
        models = {key: {**widgets.values_of(name).defaults, **values} for key, values in figures.items()}
        places = "".join(f'<div id="{key}"></div>' for key in models)
        page = f"{HEAD}<style>{look.css()}</style><body>{places}{MODULE % json.dumps(models)}</html>"
        (tmp_path / "figure.mjs").write_text(widgets.module_source(name), encoding="utf-8")
        (tmp_path / "index.html").write_text(page, encoding="utf-8")
        opened = open_page(f"{serve(tmp_path)}/index.html")
        opened.locator("body[data-ready]").wait_for()
        return opened

    return open_one


@pytest.fixture
def open_places(open_page: Any, serve: Any, tmp_path: Path) -> Callable[..., Any]:
    """Return `open_places(html, **window)`: a page like the book's, with these places, the tokens and the bundle."""

    def open_one(html: str, **window: Any) -> Any:
        page = f"{HEAD}<style>{look.css()}</style><body>{html}<script>{widgets.bundle()}</script></html>"
        (tmp_path / "index.html").write_text(page, encoding="utf-8")
        return open_page(f"{serve(tmp_path)}/index.html", **window)

    return open_one


class Places(HTMLParser):
    """The places of figures in a piece of HTML: attributes, pictures, words, and how many tags stay open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.models: list[dict[str, str | None]] = []
        self.pictures: list[dict[str, str | None]] = []
        self.words: list[str] = []
        self.depth = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.depth += 1
        if "data-widget" in given:
            self.models.append(given)
        if tag == "svg":
            self.pictures.append(given)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Elements that close themselves leave the depth alone."""

    def handle_endtag(self, tag: str) -> None:
        self.depth -= 1

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="session")
def parse() -> type[Places]:
    """Return the reader of static faces: `parse(html).models`, `.pictures`, `.words`, `.depth`."""
    return Places
