"""What every live figure must do, whatever it shows: a new one is found and held to all of it without an edit here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import ipywidgets
import pytest

from companion import look, widgets
from companion.widgets import _live, _scripts, _still, _values

FOLDER = Path(widgets.__file__).parent
every_figure = pytest.mark.parametrize("name", widgets.figures())

# What a figure says: its spoken line, its numbers, what its controls tell a screen reader. A native slider's own value is
# left out, because it moves also where nothing listens.
SAID = """place => [...place.querySelectorAll("[role=status], [role=meter], [role=slider], input, output, button, .lf-number")]
  .map(node => [node.textContent, ...["aria-valuetext", "aria-valuenow", "aria-pressed"].map(a => node.getAttribute(a))].join())
  .join("; ")"""
FOCUSED = """() => {
  const node = document.activeElement;
  const named = (node.getAttribute("aria-labelledby") ?? "").split(" ").map(id => document.getElementById(id)?.textContent ?? "");
  const words = [node.ariaLabel, ...named, ...[...(node.labels ?? [])].map(label => label.textContent), node.textContent];
  return { inside: node.closest("[data-widget]") !== null, slider: node.matches("input[type=range], [role=slider]"),
    name: words.map(word => (word ?? "").trim()).find(word => word) ?? "" };
}"""


def notebook_class(name: str) -> type[_live.LiveFigure]:
    """Return the notebook class of a figure: `TamedGradient` for `tamed_gradient`, found by itself."""
    return getattr(widgets, "".join(word.capitalize() for word in name.split("_")))


def mounted(page: Any) -> Any:
    """Return the only figure of a page of places, once it is mounted."""
    page.locator("[data-widget][data-mounted=true]").wait_for()
    return page.locator("[data-widget]")


# ---- one figure, two files ----


@every_figure
def test_python_reads_the_values_that_the_script_has(name, run_node):
    values = widgets.values_of(name)
    assert run_node(name, "const answer = [defaults, limits];") == [values.defaults, values.limits]
    assert values.checked() == values.defaults
    assert set(values.limits) <= set(values.defaults)


@every_figure
def test_only_the_figure_s_values_are_synchronised_under_its_names(name):
    figure = notebook_class(name)()
    own = {key for key in figure.keys if not key.startswith("_")} - set(ipywidgets.DOMWidget().keys)
    assert own == set(widgets.values_of(name).defaults)
    assert figure.values() == widgets.values_of(name).defaults
    assert figure._esm == widgets.module_source(name)
    assert "--luc-pon" in figure._css


@every_figure
def test_the_notebook_class_is_found_and_described(name):
    found = notebook_class(name)
    assert found.name == name
    assert found.__name__ in dir(widgets)
    arguments = found.__doc__.partition("Args:")[2]
    assert [key for key in widgets.values_of(name).defaults if f" {key}: " not in arguments] == []


@every_figure
def test_the_fallback_is_one_line_with_a_described_picture_and_a_sentence(name, parse):
    html = widgets.static_html(name)
    face = parse(html)
    assert not re.search(r"<(input|button|select)\b", html), "a control that moves nothing"
    assert "\n" not in html, "a line break would end the block in Markdown"
    assert face.depth == 0
    assert json.loads(face.models[0]["data-model"]) == widgets.values_of(name).defaults
    assert face.pictures[0]["role"] == "img"
    assert len(face.pictures[0]["aria-label"]) > 20
    assert face.words[-1].strip() == face.pictures[0]["aria-label"]


@every_figure
def test_a_figure_is_short_and_asks_for_nothing_from_outside(name):
    source = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
    assert source.count("\n") < 300
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|https?:", source)


# ---- in the page ----


@pytest.mark.browser
@every_figure
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_it_mounts_has_a_name_and_fits(name, open_places, width, scheme):
    """With the network cut and no error on the console: `open_page` judges both when the test ends."""
    page = open_places(widgets.static_html(name), width=width, scheme=scheme)
    figure = mounted(page)
    assert len(figure.get_by_role("group").first.get_attribute("aria-label")) > 10
    assert figure.locator(".luc-live-words").count() == 0, "the fallback stands beside the figure"
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


@pytest.mark.browser
@every_figure
def test_the_keyboard_reaches_it_and_moves_what_it_says(name, open_places):
    """Tab goes through the figure; each stop has a name, each slider answers an arrow key, and something changes."""
    page = open_places(widgets.static_html(name))
    figure = mounted(page)
    stops, moved = [], []
    for _ in range(40):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUSED)
        if not stop["inside"]:
            break
        assert stop["name"], f"stop {len(stops) + 1} of Tab has no accessible name"
        stops.append(stop["name"])
        for key in ("ArrowRight", "ArrowLeft") if stop["slider"] else ("Space",):
            before = figure.evaluate(SAID)
            page.keyboard.press(key)
            if figure.evaluate(SAID) != before:
                moved.append(stop["name"])
                break
        else:
            assert not stop["slider"], f"the slider {stop['name']!r} changes no number and no word"
    assert stops, "Tab finds nothing in the figure"
    assert moved, f"none of {stops} changes a number or the spoken line"


@pytest.mark.browser
@every_figure
def test_its_colour_is_one_of_the_book(name, open_places):
    figure = mounted(open_places(widgets.static_html(name)))
    chosen = figure.locator(".lf").first.evaluate("node => node.style.getPropertyValue('--lf-method')")
    assert look.token(re.match(r"var\(--luc-([\w-]+),", chosen)[1])


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_method_s_colour_is_the_figure_s_choice(open_places, scheme):
    """`frame(el, { method: "nl" })` is drawn in norm loss's colour, a frame without a method in ink."""
    frames = """for (const method of ["nl", "pgt", undefined]) {
      const root = kit.frame(document.body.appendChild(kit.html("div")), { name: "x", label: "a frame", method });
      root.append(kit.html("span", { class: "lf-tag", "data-method": true }, "δ"));
    }"""
    page = open_places(f"<script>{_scripts._kit()}{frames}</script>", scheme=scheme)
    shown = page.evaluate("[...document.querySelectorAll('.lf-tag')].map(node => getComputedStyle(node).color)")
    colors = [look.tokens(scheme)[name] for name in ("nl", "pgt", "ink")]
    assert shown == ["rgb({}, {}, {})".format(*bytes.fromhex(color[1:])) for color in colors]


@pytest.mark.browser
@every_figure
def test_without_scripts_picture_and_sentence_stand(name, open_places):
    page = open_places(widgets.static_html(name), javascript=False, width=390)
    picture = page.locator("[data-widget] svg[role=img]")
    assert picture.is_visible()
    assert picture.bounding_box()["width"] <= 390
    assert page.locator("[data-widget] .luc-live-words").is_visible()
    assert page.locator(".lf:not(.lf-still)").count() == 0


# ---- in a notebook ----


@pytest.mark.browser
@every_figure
def test_the_style_stands_once_and_a_removed_figure_listens_no_more(name, open_module):
    page = open_module(name, one={}, two={})
    assert page.locator("style[data-lf]").count() == 1
    listening = page.evaluate("models.one.count()")
    assert listening == page.evaluate("models.two.count()") > 0
    page.evaluate("remove.one()")
    assert page.evaluate("models.one.count()") == 0
    assert page.evaluate("models.two.count()") == listening


# ---- places ----


def test_an_unknown_figure_is_named():
    for function in (widgets.static_html, widgets.module_source):
        with pytest.raises(ValueError, match=r"no live figure 'nothing'; there are: .*output_ball"):
            function("nothing")


def test_an_unknown_colour_is_named():
    with pytest.raises(ValueError, match=r"no colour 'nothing'; there are: page, .*pon"):
        look.token("nothing")


def test_empty_places_in_a_page_are_filled_and_nothing_else_is():
    page = (
        """# Title\n\n<div data-widget="output_ball" data-model='{"label": 1}'></div>\n\n`<div data-widget="">` stays"""
    )
    filled = widgets.fill_places(page)
    face = widgets.static_html("output_ball", label=1)
    assert filled == f'# Title\n\n{face}\n\n`<div data-widget="">` stays'
    assert widgets.fill_places(filled) == filled
    with pytest.raises(ValueError, match="no live figure 'gone'"):
        widgets.fill_places('<div data-widget="gone"></div>')


# ---- the scripts ----


def test_the_bundle_is_one_classic_script_without_module_syntax_or_address(tmp_path, node):
    script = widgets.bundle()
    assert not re.search(r"^\s*(import|export)\b", script, re.MULTILINE)
    assert not re.search(r"\bimport\s*\(|import\.meta", script)
    assert not re.search(r"https?:|//[a-z0-9.-]+\.[a-z]{2,}/|\burl\(", script)
    assert "eval(" not in script
    for name in widgets.figures():
        assert f"figures.{name} = " in script
    file = tmp_path / "bundle.cjs"
    file.write_text(script, encoding="utf-8")
    subprocess.run([node, "--check", str(file)], check=True, capture_output=True)


def test_module_syntax_that_the_bundle_cannot_carry_is_refused(monkeypatch):
    read = _scripts.read
    monkeypatch.setattr(_scripts, "read", lambda file: read(file) + '\nimport { a } from "./other.js";\n')
    with pytest.raises(RuntimeError, match="module syntax"):
        widgets.bundle()


def test_every_colour_is_a_token_with_the_light_value_behind_it():
    light = look.tokens("light")
    faces = "\n".join(widgets.static_html(name) for name in widgets.figures())
    shown = f"{widgets.bundle()}\n{faces}"
    used = re.findall(r"var\(--luc-([a-z]+), (#[0-9a-f]{6})\)", shown)
    assert {name for name, _ in used} >= {"ink", "muted", "page", "card", "rule"}
    for name, value in used:
        assert light[name] == value, f"{name} falls back to {value}"
    assert not [name for name in re.findall(r"var\(--luc-([a-z]+)\)", shown) if name in light]
    loose = re.sub(r"var\(--luc-[a-z]+, #[0-9a-f]{6}\)|#000 80%", "", shown)
    loose = re.sub(r"&#?\w+;", "", loose)  # an escaped sign is no colour
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(", loose), "a colour that is no token"


# ---- the picture for pages without scripts ----


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let no picture that was drawn before be taken for one drawn now."""
    monkeypatch.setattr(_still, "drawn", _still.drawn.__wrapped__)
    return monkeypatch


def test_without_node_a_sentence_says_what_the_figure_is_about(bare):
    bare.setattr(_still, "find_node", lambda: None)
    face = widgets.static_html("output_ball")
    assert face.endswith(
        '<p class="luc-live-words">The output ball: one logit vector of two classes, its loss, its entropy, and what gradient '
        "steps do to its length.</p></div>"
    )


def test_a_script_that_cannot_be_drawn_is_told_and_leaves_the_sentence(bare, node):
    real = _scripts.read
    bare.setattr("companion.widgets._places.read", lambda file: real(file) + "\ndocument.body.click();")
    with pytest.warns(UserWarning, match=r"could not be drawn by .*TypeError"):
        face = widgets.static_html("output_ball")
    assert "<svg" not in face
    assert "The output ball" in face


def test_the_picture_says_no_more_than_its_page_may(bare, node):
    """What stands in a value or a word cannot end an attribute or a tag."""
    script = """document.createElement; const place = document.createElement("p");
      place.setAttribute("title", `"'><script>&`); place.append("<b>", "&"); process.stdout.write(place.write()); process.exit(0);"""
    done = subprocess.run(
        [node, "--input-type=module", "-"],
        input=_scripts.read("still.js") + script,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == '<p title="&quot;\'&gt;&lt;script&gt;&amp;">&lt;b&gt;&amp;</p>'


# ---- values ----

SCRIPT = """export const defaults = { z: [1.0, 2], kind: "warm", count: 2, on: true, size: 1.5 };
export const limits = {
  z: [-5, 5],
  kind: ["warm", "cold"],
  count: [1, 9],
};"""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"z": [6, 0]}, "z must be 2 numbers in [-5, 5], got [6, 0]"),
        ({"z": [1]}, "z must be 2 numbers in [-5, 5]"),
        ({"z": [float("nan"), 0]}, "z must be 2 numbers"),
        ({"z": None}, "z must be 2 numbers"),
        ({"kind": "hot"}, "kind must be one of 'warm', 'cold', got 'hot'"),
        ({"kind": 3}, "kind must be one of"),
        ({"count": 10}, "count must be a whole number in [1, 9], got 10"),
        ({"count": 2.5}, "count must be a whole number in [1, 9], got 2.5"),
        ({"on": 2}, "on must be true or false, got 2"),
        ({"size": float("inf")}, "size must be a finite number, got inf"),
        ({"size": "large"}, "size must be a finite number, got 'large'"),
    ],
)
def test_a_value_outside_what_the_script_allows_is_named(changes, words):
    values = _values.Values.read("x", SCRIPT)
    with pytest.raises(ValueError, match=re.escape(words)):
        values.checked(**changes)


def test_values_come_in_the_kind_of_the_default():
    values = _values.Values.read("x", SCRIPT)
    given = values.checked(z=(0, 1), size=3, on=0, count=3.0)
    assert json.dumps(given) == '{"z": [0.0, 1.0], "kind": "warm", "count": 3, "on": false, "size": 3.0}'
    with pytest.raises(TypeError, match="x has no value 'delta'; it has: z, kind, count, on, size"):
        values.checked(delta=1)


def test_values_that_are_no_plain_data_are_refused():
    with pytest.raises(ValueError, match=r"x\.js has no `export const limits"):
        _values.Values.read("x", "export const defaults = { a: 1 };")
    with pytest.raises(ValueError, match=r"x\.js: defaults must be plain data"):
        _values.Values.read("x", "export const defaults = { a: Math.PI };\nexport const limits = {};")


def test_without_the_extra_pages_are_built_and_the_notebook_class_names_it(monkeypatch):
    for name in ("anywidget", "ipywidgets", "traitlets"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("_live", "output_ball"):
        monkeypatch.delitem(sys.modules, f"companion.widgets.{name}", raising=False)
    assert "output_ball" in widgets.bundle()
    assert "luc-live-words" in widgets.static_html("output_ball")
    with pytest.raises(ImportError, match=r"anywidget is not installed.*logits-under-control\[widgets\]"):
        _ = widgets.OutputBall
