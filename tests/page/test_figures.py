"""The figures of recorded runs: both outcomes of every caption."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from companion import page
from companion.page import interval_text
from companion.page.figures import _Multiple
from companion.results import Results, share_of_orders
from tests.recorded import ARMS

Make = Callable[..., Results]
ERRORS = {arm: [1.8 - 0.1 * k, 1.9 - 0.1 * k, 2.1 - 0.1 * k] for k, arm in enumerate(ARMS)}


def caption(shown: object) -> str:
    return shown.html.split("<figcaption>")[1]


def test_length_grows_or_shrinks(results: Make) -> None:
    grows = results(ERRORS, curves={("vanilla", "length"): [1, 2, 3, 4, 9], ("P-ON", "length"): [1, 2, 3, 3, 3]})
    assert "grows from 1.0 to 9.0" in caption(page.figure_length(grows, "P-ON"))
    assert "ends at 3.0, less than without" in caption(page.figure_length(grows, "P-ON"))
    shrinks = results(ERRORS, curves={("vanilla", "length"): [9, 4, 3, 2, 1], ("P-ON", "length"): [1, 2, 3, 3, 3]})
    assert "shrinks from 9.0 to 1.0" in caption(page.figure_length(shrinks, "P-ON"))
    assert "no less than without" in caption(page.figure_length(shrinks, "P-ON"))
    centred = results(ERRORS, curves={("vanilla", "centred_length"): [1, 2, 3, 4, 8]})
    assert "centred length grows from 1.0 to 8.0" in caption(page.figure_length(centred, "P-ON", centred=True))


def test_radial_share(results: Make) -> None:
    whole = {("vanilla", "gradient"): [1.0, 1.0, 1.0, 1.0, 1.0]}
    follows = results(ERRORS, curves={**whole, ("vanilla", "radial_gradient"): [0.5, 0.5, 0.4, 0.4, 0.4]})
    assert page.radial_share(follows).tolist() == pytest.approx([0.5, 0.5, 0.4, 0.4, 0.4])
    assert "40% to 50% of the gradient's length is radial, 40% at the end" in caption(
        page.figure_gradient(follows, "P-ON")
    )


@pytest.mark.parametrize(("loss", "word"), [(0.1, "below"), (0.9, "above")])
def test_loss_and_entropy(results: Make, loss: float, word: str) -> None:
    curves = {("vanilla", "train_loss"): [1, 1, 1, 1, loss], ("vanilla", "train_entropy"): [1, 1, 1, 1, 0.5]}
    shown = page.figure_loss_and_entropy(results(ERRORS, curves=curves))
    assert f"the mean loss is {word} the mean entropy on the training rows" in caption(shown)


@pytest.mark.parametrize(("last", "word"), [(0.1, "smaller"), (0.9, "larger")])
def test_parameter_gradient(results: Make, last: float, word: str) -> None:
    curves = {
        ("vanilla", "parameter_gradient"): [1, 1, 1, 1, 0.5],
        ("P-ON", "parameter_gradient"): [1, 1, 1, 1, last],
    }
    assert f"is {word} than without" in caption(page.figure_parameter_gradient(results(ERRORS, curves=curves), "P-ON"))


@pytest.mark.parametrize(("sign", "word"), [(1, "rise together"), (-1, "go opposite ways")])
def test_gap(results: Make, sign: int, word: str) -> None:
    curves = {}
    for k, arm in enumerate(ARMS):
        curves[arm, "length_deviation"] = [0, 0, 0, 0, 1 + k]
        curves[arm, "generalisation_gap"] = [0, 0, 0, 0, 10 + sign * k]
    shown = page.figure_gap(results(ERRORS, curves=curves), "P-ON")
    assert "0% of all orders" in caption(shown)
    assert word in caption(shown)


def test_the_order_over_the_epochs_leaves_out_what_was_before_training(results: Make) -> None:
    curves = {("vanilla", "length_deviation"): [9, 1, 2, 3, 4], ("vanilla", "generalisation_gap"): [0, 1, 2, 3, 4]}
    assert "over the epochs, it is +1.00" in caption(page.figure_gap(results(ERRORS, curves=curves), "P-ON"))


def test_search_names_the_best_rates(results: Make) -> None:
    assert "the same learning rate: 0.03" in caption(page.figure_search(results(ERRORS), "P-ON"))


def test_search_speaks_of_other_knobs_only_where_there_are_some(results: Make) -> None:
    runs = results(ERRORS)
    said = "The method's other knobs differ from point to point."
    assert said not in caption(page.figure_search(runs, "P-ON"))
    points = runs.data["settings"]["mnist/mlp-3"]["arms"]["P-ON"]["search"]
    for point in points:
        point["threshold"] = 8.0
    assert said not in caption(page.figure_search(runs, "P-ON")), "a knob that is fixed"
    points[0]["threshold"] = 4.0
    assert said in caption(page.figure_search(runs, "P-ON"))


def test_a_weak_order_of_few_arms_is_not_called_one(results: Make) -> None:
    curves = {}
    for k, (arm, gap) in enumerate(zip(ARMS, (1, 3, 2, 6, 4, 5), strict=True)):
        curves[arm, "length_deviation"] = [0, 0, 0, 0, 1 + k]
        curves[arm, "generalisation_gap"] = [0, 0, 0, 0, gap]
    runs = results({arm: errors for arm, errors in ERRORS.items() if arm != "P-ON + weight decay"}, curves=curves)
    assert "show no clear order: rank correlation +0.80 over 5 arms" in caption(page.figure_gap(runs, "P-ON"))
    assert share_of_orders(0.6, 5) == pytest.approx(42 / 120)


PAIRS = (("P-ON", "vanilla", ""), ("P-ON + weight decay", "weight decay", ", with weight decay"))


def test_forest_counts_what_is_clear_and_what_stays_at_equal_rates(results: Make) -> None:
    own = {"vanilla": [3.0, 3.1, 3.2], "P-ON": [2.0, 2.1, 2.3]}
    stays = {"vanilla at P-ON's rate": [2.5, 2.6, 2.8], "P-ON at vanilla's rate": [2.6, 2.8, 2.7]}
    goes = {**stays, "P-ON at vanilla's rate": [3.0, 3.0, 3.3]}
    effects = {"mnist/mlp-3": 0.5, "mnist/mlp-3, with weight decay": 0.5}
    for equal, kept in ((stays, True), (goes, False), ({}, False)):
        shown = page.figure_forest({"pon-mnist": results({**own, **equal})}, PAIRS, effects=effects)
        fate = "it stays so" if kept else "it does not stay so"
        said = (
            f"The one difference is clear of zero at each arm's own learning rate; with both arms at one rate, {fate}."
        )
        assert said in caption(shown)
        assert "Left out: mnist/mlp-3, with weight decay (not run)." in caption(shown)
        assert shown.alt.startswith(f"{1 + len(equal)} differences with their intervals")
        assert "paper +0.50" in shown.svg.replace("&#43;", "+")
    runs = results({**own, **stays}, curves={("vanilla at P-ON's rate", "train_loss"): [1, 1, 1, 1, math.nan]})
    assert "it does not stay so" in caption(page.figure_forest({"pon-mnist": runs}, PAIRS, effects=effects)), (
        "a run diverged"
    )
    unclear = results({"vanilla": [2.0, 2.1, 2.2], "P-ON": [2.1, 2.0, 2.3]})
    assert "No difference is clear of zero" in caption(
        page.figure_forest({"pon-mnist": unclear}, PAIRS[:1], effects=effects)
    )


def test_forest_is_drawn_in_multiples_of_the_papers_effect(results: Make) -> None:
    found = results({"vanilla": [3.0, 3.1, 3.2], "P-ON": [2.0, 2.1, 2.3]})["mnist/mlp-3"].compare(
        "P-ON", "vanilla", effect=0.5
    )
    one = _Multiple(found, found.effect)
    assert (one.mean, one.low, one.high) == pytest.approx((found.mean / 0.5, found.low / 0.5, found.high / 0.5))


def test_verdicts_stand_beside_both_errors(results: Make) -> None:
    runs = {"pon-mnist": results({"vanilla": [3.0, 3.1, 3.2], "P-ON": [2.0, 2.1, 2.3]})}
    said = page.table_verdicts(runs, PAIRS, effects={"mnist/mlp-3": 0.5}).text
    found = runs["pon-mnist"].compare("P-ON", "vanilla", effect=0.5)
    assert [part in said for part in ("+0.50", "3.10 ± 0.10", "2.13 ± 0.15", interval_text(found), found.word)] == [
        True
    ] * 5
    assert "Not run: mnist/mlp-3, with weight decay." in said


def test_forest_without_a_row_says_why(results: Make) -> None:
    lost = results(ERRORS, curves={("vanilla", "train_loss"): [1, 1, 1, 1, float("nan")]})
    assert (
        page.figure_forest({"pon-mnist": lost}, PAIRS[:1], effects={"mnist/mlp-3": 0.5}).markdown
        == "*Nothing to compare yet:* diverged."
    )
    assert "not run" in page.figure_forest({}, PAIRS, effects={}).markdown
