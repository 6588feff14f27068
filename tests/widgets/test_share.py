"""Figures that share their values, in a page and in a kernel, and the buttons that put them into a state."""

from __future__ import annotations

import gc
import json
import subprocess
from typing import Any

import pytest
import traitlets

from companion import widgets
from companion.widgets import _scripts, _share
from companion.widgets._share import Share
from companion.widgets._values import Values

WIDE = Values(
    "wide", {"z": [1.0, 1.0], "size": 2.0, "kind": "warm", "compact": False}, {"z": [-5, 5], "kind": ["warm", "cold"]}
)
NARROW = Values(
    "narrow",
    {"size": 0.5, "z": [0.0, 0.0], "kind": "warm", "compact": True},
    {"z": [-2, 2], "size": [0, 1], "kind": ["warm"]},
)
FLAT = Values("flat", {"z": [0.0, 0.0, 0.0], "size": 3}, {"size": [1, 9]})


class Figure(traitlets.HasTraits):
    """What a share asks of a figure."""

    z = traitlets.List()
    size = traitlets.Any()
    kind = traitlets.Unicode()
    compact = traitlets.Bool()


def joined(share: Share, allowed: Values, **given: Any) -> Figure:
    """Return a new figure of a share."""
    figure = Figure(**(allowed.defaults | share.starts(allowed, given) | given))
    share.join(figure, allowed, given)
    return figure


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """Return a share's name that no other test has."""
    return request.node.name


# ---- in a kernel ----


def test_figures_keep_equal_what_they_have_in_common(key):
    one, two = widgets.OutputBall(share=key, z=(1, 2)), widgets.OutputBall(share=key, compact=True)
    other = widgets.OutputBall()
    assert two.z == [1, 2]
    one.threshold, two.z, two.clip = 3.0, [0.5, -1.0], True
    assert one.values() == {**two.values(), "compact": False}
    assert one.values() == {"z": [0.5, -1], "label": 0, "threshold": 3, "clip": True, "rate": 1, "compact": False}
    assert other.values() == widgets.values_of("output_ball").defaults


def test_running_the_cell_again_joins_a_new_figure(key):
    """It stands where the others are, or where it was put; the old ones follow."""
    one, two = widgets.OutputBall(share=key), widgets.OutputBall(share=key)
    two.z = [0.5, -1.0]
    again = widgets.OutputBall(share=key)
    assert again.z == [0.5, -1.0]
    again.label = 1
    assert (one.label, two.label) == (1, 1)
    widgets.OutputBall(share=key, z=(3, 3))
    assert (one.z, two.z, again.z) == ([3, 3], [3, 3], [3, 3])


def test_a_value_outside_a_figure_s_limits_moves_the_others_alone():
    share = Share()
    wide, narrow, wider = joined(share, WIDE), joined(share, NARROW), joined(share, WIDE)
    assert (narrow.z, narrow.size) == ([1, 1], 1), "it takes the nearest that it may have"
    assert wide.size == 2, "and does not write it back"
    wide.z, wide.kind = [4.0, -1.5], "cold"
    assert (narrow.z, wider.z) == ([2, -1.5], [4, -1.5])
    assert (narrow.kind, wider.kind) == ("warm", "cold")
    assert joined(share, WIDE).z == [4, -1.5]
    narrow.z = [1.0, 1.0]
    assert wide.z == [1, 1]
    assert (wide.compact, narrow.compact) == (False, True)


def test_a_value_of_another_kind_leaves_a_figure_where_it_is():
    share = Share()
    wide, flat = joined(share, WIDE), joined(share, FLAT)
    assert (flat.z, flat.size) == ([0, 0, 0], 2)
    wide.z, wide.size = [1.0, 2.0], 2.5
    assert (flat.z, flat.size) == ([0, 0, 0], 2)
    wide.size = 20.0
    assert flat.size == 9


def test_a_share_holds_no_figure_alive_and_forgets_with_the_last():
    share = Share()
    figure = joined(share, WIDE, size=7.0)
    assert share.starts(WIDE) == {"z": [1, 1], "size": 7.0, "kind": "warm"}
    del figure
    gc.collect()
    assert len(share.figures) == 0
    assert share.starts(WIDE) == {}


def test_the_face_in_the_page_has_the_share(key, parse):
    place = parse(widgets.OutputBall(share=key)._repr_mimebundle_()[0]["text/html"]).models[0]
    assert place["data-share"] == key
    filled = widgets.fill_places("""<div data-widget="output_ball" data-share="pon" data-model='{"label": 1}'></div>""")
    assert filled == widgets.static_html("output_ball", share="pon", label=1)


STATES = {"Right & long": {"z": [3.0, -2.0], "label": 0}, "A trap": {"z": [-3.5, 3.5], "clip": True}}


def test_a_button_puts_all_figures_of_a_share_into_its_state(key, monkeypatch):
    one, two = widgets.OutputBall(share=key, label=1), widgets.OutputBall(share=key)
    sent = []
    monkeypatch.setattr(widgets.OutputBall, "send", lambda self, content: sent.append((self, content)))
    row = widgets.states(key, STATES)
    assert [button.description for button in row.children] == list(STATES)
    row.children[1].click()
    assert (one.z, one.clip, one.label) == ([-3.5, 3.5], True, 1)
    assert two.values() == one.values()
    assert {id(figure) for figure, _ in sent} == {id(one), id(two)}, "each view hears that it was no step"


def test_the_row_in_the_page_has_the_same_words(key):
    widgets.OutputBall(share=key)
    html = widgets.states(key, STATES)._repr_mimebundle_()[0]["text/html"]
    assert f'data-states="{key}"' in html
    assert " hidden>" in html
    assert html.count("<button") == 2
    assert "Right &amp; long" in html


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ({"z": [6, 0]}, ValueError, r"z must be 2 numbers in \[-5, 5\]"),
        ({"clip": 3}, ValueError, "clip must be true or false"),
        ({"delta": 1}, TypeError, "no value 'delta'"),
    ],
)
def test_a_state_that_no_figure_can_take_is_refused_when_it_is_written(key, state, error, words):
    widgets.OutputBall(share=key)
    with pytest.raises(error, match=words):
        widgets.states(key, {"words": state})


def test_a_state_that_one_figure_can_take_is_allowed():
    share = Share()
    kept = joined(share, NARROW), joined(share, WIDE)
    assert share.checked({"z": [4, 4]}) == {"z": [4.0, 4.0]}
    with pytest.raises(ValueError, match="z must be 2 numbers"):
        share.checked({"z": [6, 0]})
    assert kept


def test_buttons_without_a_figure_are_refused():
    with pytest.raises(ValueError, match="no figure shares its values under this name yet"):
        widgets.states("nobody", STATES)
    assert _share.share("nobody") is _share.share("nobody")


# ---- in a page ----


def in_loader(node: str, code: str) -> Any:
    """Run the loader and then code, which sets `answer`."""
    program = f"{_scripts.read('loader.js')}\n{code}\nprocess.stdout.write(JSON.stringify(answer));"
    done = subprocess.run([node, "--input-type=module", "-"], input=program, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_page_s_share_is_the_kernel_s(node):
    """The same figures, the same moves, the same values at the end."""
    figures = [WIDE, NARROW, WIDE, FLAT]
    moves: list[tuple[int, str, Any]] = [
        (0, "z", [4.0, -1.5]), (0, "kind", "cold"), (2, "size", 0.25), (3, "size", 8), (1, "z", [-2.0, 2.0]), (3, "z", [1.0, 1.0, 1.0]),
        (2, "compact", True), (0, "size", 4.0),
    ]  # fmt: skip
    share = Share()
    kernel = [joined(share, values) for values in figures]
    for at, name, value in moves:
        setattr(kernel[at], name, value)
    code = f"""
      const share = makeShare();
      const models = {json.dumps([[v.defaults, v.limits] for v in figures])}.map(([defaults, limits]) => {{
        const model = makeModel(structuredClone(defaults));
        share.join(model, {{ defaults, limits }}, null);
        return [model, Object.keys(defaults)];
      }});
      for (const [at, name, value] of {json.dumps(moves)}) models[at][0].set(name, value);
      const answer = models.map(([model, keys]) => Object.fromEntries(keys.map((key) => [key, model.get(key)])));"""
    shown = in_loader(node, code)
    assert shown == [
        {name: getattr(figure, name) for name in v.defaults} for figure, v in zip(kernel, figures, strict=True)
    ]


def places(*shares: str | None) -> str:
    return "".join(widgets.static_html("output_ball", share=share) for share in shares)


def value(page: Any, at: int) -> list[float]:
    inputs = page.locator("[data-widget]").nth(at).locator(".lf-handle input")
    return [float(inputs.nth(k).input_value()) for k in (0, 1)]


@pytest.mark.browser
def test_figures_of_a_page_move_together_and_others_do_not(open_places):
    page = open_places(places("pon", None, "pon", "sbn"))
    page.locator("[data-mounted]").nth(3).wait_for()
    figures = page.locator("[data-widget]")
    slider = figures.nth(2).get_by_role("slider", name="first logit")
    slider.focus()
    page.keyboard.press("Shift+ArrowLeft")
    assert [value(page, at) for at in range(4)] == [[1.5, 1.2], [2.5, 1.2], [1.5, 1.2], [2.5, 1.2]]
    figures.first.get_by_role("button", name="Clip at δ").click()
    pressed = [figure.get_by_role("button", name="Clip at δ").get_attribute("aria-pressed") for figure in figures.all()]
    assert pressed == ["true", "false", "true", "false"]
    figures.first.get_by_role("button", name="Take a step").click()
    assert value(page, 0) == value(page, 2) != [1.5, 1.2]
    assert page.locator(".lf-dots[d*=M]").count() == 1, "the trail is that of the figure whose button was pressed"


@pytest.fixture
def row(request: pytest.FixtureRequest) -> str:
    """Return the row of buttons in a page, written by a notebook."""
    key = request.node.name
    figure = widgets.OutputBall(share=key)
    html = widgets.states(key, STATES)._repr_mimebundle_()[0]["text/html"].replace(f'"{key}"', '"pon"')
    assert figure.share == key
    return html


@pytest.mark.browser
def test_a_button_beside_the_figure_sets_it_clears_its_trail_and_stays(open_places, row):
    page = open_places(f"{row}{places('pon')}")
    figure = page.locator("[data-widget]")
    trap = page.get_by_role("button", name="A trap")
    trap.click()
    assert figure.get_by_role("status").inner_text() == "wrong by a mile, and no gradient at all"
    figure.get_by_role("button", name="Take a step").click()
    assert "step 1:" in figure.locator(".lf-wide").inner_text()
    trap.click()
    assert "step 1:" not in figure.locator(".lf-wide").inner_text(), "also where no value changes"
    assert page.locator(".luc-back").count() == 0
    assert trap.evaluate("node => node === document.activeElement")
    assert min(trap.bounding_box()["height"], trap.bounding_box()["width"]) >= 44


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height", "motion"), [(1280, 900, "no-preference"), (390, 780, "reduce")])
def test_a_button_far_from_the_figure_brings_the_reader_there_and_back(open_places, row, width, height, motion):
    page = open_places(
        f'{places("pon")}<div style="height: 4000px"></div>{row}<div style="height: 900px"></div>',
        width=width, height=height, reduced_motion=motion,
    )  # fmt: skip
    trap = page.get_by_role("button", name="A trap")
    trap.focus()
    start = page.evaluate("scrollY")
    page.keyboard.press("Enter")
    back = page.get_by_role("button", name="Back to the text")
    plane = page.locator(".lf-plane")
    page.wait_for_function("document.querySelector('.lf-plane').getBoundingClientRect().top >= 0")
    assert value(page, 0) == [-3.5, 3.5]
    assert plane.bounding_box()["y"] + plane.bounding_box()["height"] <= height
    assert back.evaluate("node => node === document.activeElement")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "first logit", "Tab goes on into the figure"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("start => Math.abs(scrollY - start) < innerHeight", arg=start)
    assert trap.evaluate("node => node === document.activeElement")
    assert back.count() == 0


@pytest.mark.browser
def test_who_scrolls_back_needs_no_button_for_it(open_places, row):
    page = open_places(f'{places("pon")}<div style="height: 4000px"></div>{row}', reduced_motion="reduce")
    page.get_by_role("button", name="A trap").click()
    page.locator(".luc-back").wait_for()
    page.wait_for_timeout(200)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.locator(".luc-back").wait_for(state="detached")


@pytest.mark.browser
def test_without_scripts_there_are_no_buttons(open_places, row):
    page = open_places(f"{row}{places('pon')}", javascript=False)
    assert not page.get_by_role("button").first.is_visible()


@pytest.mark.browser
def test_a_row_without_figures_stays_away_and_says_why(open_places, row):
    page = open_places(row)
    page.wait_for_timeout(100)
    assert not page.get_by_text("A trap").is_visible()
    assert len(page.console_errors) == 1
    assert 'buttons for "pon"' in page.console_errors[0]
    page.console_errors.clear()  # it was asked for
