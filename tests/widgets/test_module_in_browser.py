"""`output_ball` as anywidget mounts it: one ES module, a model that a kernel may change, several figures on a page."""

from __future__ import annotations

from typing import Any

import pytest

from companion import widgets

pytestmark = pytest.mark.browser


@pytest.fixture
def page(open_module: Any) -> Any:
    return open_module("output_ball", one={"z": [1, 2]}, two={"z": [3, -1]})


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
        "rate": 1,
        "compact": False,
    }
    one.get_by_role("button", name="Reset").click()
    assert page.evaluate("models.one.values") == {
        "z": [1, 2],
        "label": 0,
        "threshold": 2,
        "clip": False,
        "rate": 1,
        "compact": False,
    }


def test_steps_are_reported_and_a_message_from_the_kernel_clears_the_trail(page):
    """A button that puts the figure where it stands already changes no value: the message alone says that it was pressed."""
    one = page.locator("#one")
    page.evaluate("models.one.set('clip', true); models.one.set('z', [-3.5, 3.5])")
    one.get_by_role("button", name="Take a step").click()
    assert page.evaluate("models.one.saved") == 1
    assert "step 1:" in one.locator(".lf-wide").inner_text()
    page.evaluate("models.one.tell('msg:custom')")
    assert "step 1:" not in one.locator(".lf-wide").inner_text()


def test_a_removed_figure_takes_no_more_steps(page):
    page.locator("#one").get_by_role("button", name="Play", exact=True).click()
    page.evaluate("remove.one()")
    stopped = page.evaluate("models.one.values.z")
    page.wait_for_timeout(400)
    assert page.evaluate("models.one.values.z") == stopped != [1, 2]


def test_a_place_that_cannot_be_mounted_keeps_its_fallback(open_places):
    places = [
        '<div data-widget="nothing"><p>first fallback</p></div>',
        "<div data-widget=\"output_ball\" data-model='{broken'><p>second fallback</p></div>",
        widgets.static_html("output_ball"),
    ]
    page = open_places("".join(places))
    page.locator(".lf-handle").wait_for()
    assert page.get_by_text("first fallback").is_visible()
    assert page.get_by_text("second fallback").is_visible()
    assert page.locator("[data-mounted]").count() == 1
    assert len(page.console_errors) == 2
    assert "no such figure" in page.console_errors[0]
    page.console_errors.clear()  # these two were asked for
