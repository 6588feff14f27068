"""The figure as anywidget mounts it: one ES module, a model that a kernel may change, several figures on a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from companion import widgets

pytestmark = pytest.mark.browser

# A model like anywidget's: what the figure sets is noted, what the kernel sets is told to the listeners.
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>figure</title><link rel="icon" href="data:,">
<style>%s</style><body><div id="one"></div><div id="two"></div><script type="module">
import figure from "./figure.mjs";
const make = (values) => {
  const listeners = {};
  return {
    values, saved: 0,
    get: (key) => values[key],
    set(key, value) { values[key] = value; (listeners[`change:${key}`] ?? []).forEach((listener) => listener()); },
    save_changes() { this.saved += 1; },
    on(event, listener) { (listeners[event] ??= []).push(listener); },
    off(event, listener) { listeners[event] = (listeners[event] ?? []).filter((other) => other !== listener); },
    count: () => Object.values(listeners).flat().length,
  };
};
window.models = {};
window.remove = {};
for (const [id, z] of [["one", [1, 2]], ["two", [3, -1]]]) {
  models[id] = make({ z, label: 0, threshold: 2, clip: false, compact: false });
  remove[id] = figure.render({ model: models[id], el: document.getElementById(id) });
}
</script></html>"""


@pytest.fixture
def page(open_page: Any, serve: Any, tmp_path: Path) -> Any:
    (tmp_path / "figure.mjs").write_text(widgets.module_source("output_ball"), encoding="utf-8")
    (tmp_path / "index.html").write_text(PAGE % widgets.tokens_css(), encoding="utf-8")
    opened = open_page(f"{serve(tmp_path)}/index.html")
    opened.locator("#two .lf-handle").wait_for()
    return opened


def test_the_module_reports_to_its_model_and_follows_it(page):
    one, two = page.locator("#one"), page.locator("#two")
    assert one.get_by_role("status").inner_text() == "loss > entropy: the vector shrinks"
    assert two.get_by_role("status").inner_text() == "loss < entropy: the vector grows"

    one.get_by_role("slider", name="first logit").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("models.one.values.z") == [2.1, 2]
    assert page.evaluate("models.one.saved") == 2
    assert page.evaluate("models.two.values.z") == [3, -1], "the other figure stands still"

    page.evaluate("models.two.set('z', [-2, 4]); models.two.set('clip', true); models.two.set('threshold', 1.2)")
    assert two.get_by_role("status").inner_text() == "outside the ball: the length gets no gradient"
    assert two.get_by_role("slider", name="threshold δ").input_value() == "1.2"
    assert two.get_by_role("button", name="Clip at δ").get_attribute("aria-pressed") == "true"
    assert two.locator(".lf-handle input").first.input_value() == "-2"


def test_reset_goes_back_to_where_the_figure_was_shown(page):
    one = page.locator("#one")
    one.get_by_role("button", name="Swap the label").click()
    one.get_by_role("slider", name="second logit").fill("-3")
    assert page.evaluate("models.one.values") == {
        "z": [1, -3],
        "label": 1,
        "threshold": 2,
        "clip": False,
        "compact": False,
    }
    one.get_by_role("button", name="Reset").click()
    assert page.evaluate("models.one.values") == {
        "z": [1, 2],
        "label": 0,
        "threshold": 2,
        "clip": False,
        "compact": False,
    }


def test_the_style_stands_once_and_a_removed_figure_listens_no_more(page):
    assert page.locator("style[data-lf]").count() == 1
    assert page.evaluate("models.one.count()") == 5
    page.evaluate("remove.one()")
    assert page.evaluate("models.one.count()") == 0
    assert page.evaluate("models.two.count()") == 5


def test_a_place_that_cannot_be_mounted_keeps_its_fallback(open_page, serve, tmp_path):
    places = [
        '<div data-widget="nothing"><p>first fallback</p></div>',
        "<div data-widget=\"output_ball\" data-model='{broken'><p>second fallback</p></div>",
        widgets.static_html("output_ball"),
    ]
    script = f"<script>{widgets.bundle()}</script>"
    head = '<!doctype html><meta charset="utf-8"><title>figures</title><link rel="icon" href="data:,">'
    (tmp_path / "index.html").write_text(head + "".join(places) + script, encoding="utf-8")
    page = open_page(f"{serve(tmp_path)}/index.html")
    page.locator(".lf-handle").wait_for()
    assert page.get_by_text("first fallback").is_visible()
    assert page.get_by_text("second fallback").is_visible()
    assert page.locator("[data-mounted]").count() == 1
    assert len(page.console_errors) == 2
    assert "no such figure" in page.console_errors[0]
    page.console_errors.clear()  # these two were asked for
