"""Sentences and tables of recorded runs, with chapter 01's arms: both outcomes of every claim."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from companion import page
from companion.chapters import partial_output_norm as chapter
from companion.page import Prose, place_in_search, search_rank
from companion.results import Results
from tests.recorded import ARMS

DECAY_CONTROL = "weight decay at P-ON + weight decay's rate"
Make = Callable[..., Results]
ERRORS = {arm: [1.8 - 0.1 * k, 1.9 - 0.1 * k, 2.1 - 0.1 * k] for k, arm in enumerate(ARMS)}


def caption(shown: object) -> str:
    return shown.html.split("<figcaption>")[1]


def test_sentences_follow_the_data(results: Make) -> None:
    good = results({**ERRORS, "P-ON": [1.0, 1.1, 1.2], "weight decay": [2.0, 2.1, 2.21]})
    assert "method's error is lower" in chapter.say_rival(good).markdown
    bad = results({**ERRORS, "P-ON": [3.0, 3.1, 3.2], "weight decay": [2.0, 2.1, 2.21]})
    assert "method's error is higher" in chapter.say_rival(bad).markdown
    same = results({**ERRORS, "P-ON": [2.1, 2.0, 2.2], "weight decay": [2.0, 2.1, 2.21]})
    assert "not clearly different" in chapter.say_rival(same).markdown
    main = results({"weight decay": [1.6, 1.7, 1.8] * 2, "P-ON + weight decay": [1.1, 1.21, 1.29] * 2})
    assert "**agrees**" in chapter.say_in_one_line(main).markdown
    share = results(ERRORS, curves={("vanilla", "growing_share"): [0.5, 0.6, 0.7, 0.8, 0.9]})
    assert "90.1 % with *vanilla*" in chapter.say_growing(share).markdown
    for sentence in (chapter.say_rival, chapter.say_growing, chapter.say_in_one_line):
        assert "Not recorded yet" in sentence(results({})).markdown


def test_diverged_runs_are_named_and_never_called_a_gain(results: Make) -> None:
    nan = {("weight decay", "train_loss"): [1, 1, 1, 1, float("nan")]}
    runs = results({**ERRORS, "weight decay": [90.2, 90.2, 90.1]}, curves=nan)
    said = chapter.say_in_one_line(runs).markdown
    assert "**Diverged:** 3 of 3 runs of *weight decay* (learning rate 0.1)" in said
    assert "Diverged" in chapter.say_rival(runs).markdown
    assert "weight decay" not in chapter.say_growing(runs).markdown
    assert "Left out, because runs diverged: weight decay." in caption(chapter.figure_length(runs))
    assert "Left out" in caption(chapter.figure_gap(runs))
    assert "Left out" not in caption(chapter.figure_gap(results(ERRORS)))
    assert "| diverged" in chapter.table_matched_rate({"pon-mnist": runs}).text
    lost = results(ERRORS, curves={("vanilla", "train_loss"): [1, 1, 1, 1, float("nan")]})
    assert isinstance(chapter.figure_length(lost), Prose)


def test_growing_counts_do_not_lose_digits() -> None:
    rows = torch.tensor([[2.0, 0.0], [60.0, 1.0], [0.0, 3.0], [1.0, 1.0]])  # right, right and sure, wrong, tied
    assert page.growing_counts(rows, torch.zeros(4, dtype=torch.long)) == (2, 2, 1)
    assert page.growing_counts(rows[2:], torch.zeros(2, dtype=torch.long)) == (0, 0, 0)


def test_a_control_stands_in_for_a_diverged_baseline(results: Make) -> None:
    nan = {("weight decay", "train_loss"): [1, 1, 1, 1, float("nan")]}
    errors = {"P-ON": [1.4, 1.5, 1.6], "P-ON + weight decay": [1.1, 1.21, 1.29], "weight decay": [90.2, 90.2, 1.9]}
    runs = results({**errors, DECAY_CONTROL: [1.6, 1.7, 1.8]}, curves=nan)
    said = chapter.say_in_one_line(runs).markdown
    assert "no verdict. Of the 3 runs of *weight decay*, 3 diverged at the learning rate 0.1" in said
    assert "the difference is +0.50 [" in said
    assert "added afterwards and explore" in said
    rival = chapter.say_rival(runs).markdown
    assert "exploratory: +0.20 [+0.20, +0.20] points, n = 3. The method's error is lower." in rival


def test_search_rank_finds_a_setting_among_an_arms_points(results: Make) -> None:
    runs = results({"vanilla": [1.0]})  # three points; the third has the lowest error
    for lr, place in ((0.03, 1), (0.02, 2), (0.01, 3), (0.04, None)):
        assert search_rank(runs, "vanilla", {"lr": lr, "threshold": 5.0}) == place
    assert place_in_search(runs, "vanilla", "vanilla").startswith("the rate 0.1 that the method chose")
    runs.search("vanilla")[1].update(error=2.0, loss=1.5)  # the loss decides among equal errors
    assert [search_rank(runs, "vanilla", {"lr": lr}) for lr in (0.03, 0.02, 0.01)] == [1, 2, 3]


def test_matched_rates_are_compared_from_both_sides(results: Make) -> None:
    own = {"vanilla": [3.0, 3.1, 3.2], "P-ON": [2.0, 2.1, 2.3]}
    equal = {"vanilla at P-ON's rate": [2.5, 2.6, 2.8], "P-ON at vanilla's rate": [2.6, 2.8, 2.7]}
    recorded = {"pon-graphs": results({**own, **equal}, settings=("cora/gcn", "cora/gat"))}
    lines = chapter.table_matched_rate(recorded).text.splitlines()
    line = next(line for line in lines if line.startswith("cora/gat "))
    assert [part in line for part in ("+0.97 [", "+0.50 [+0.50, +0.50]", "+0.40 [+0.15, +0.65]")] == [True] * 3
    said = chapter.say_matched_rate(recorded).markdown
    gains = "+0.50 [+0.50, +0.50] and +0.40 [+0.15, +0.65]"
    assert f"On *cora/gat* the gain of +0.97 points becomes {gains} at equal rates: the gain stays." in said
    assert chapter.table_matched_rate({"pon-mnist": results({})}).text.count("not run") == 6
    assert "Not recorded yet" in chapter.say_matched_rate({"pon-mnist": results({})}).markdown


@pytest.mark.parametrize(
    ("own", "equal", "words"),
    [
        (([3.0, 3.1, 3.2], [2.0, 2.1, 2.3]), ([2.0, 2.2, 2.2], [3.0, 3.0, 3.3]), "no clear gain is left"),
        (([3.0, 3.1, 3.2], [2.0, 2.1, 2.3]), ([2.5, 2.6, 2.8], [3.0, 3.0, 3.3]), "the gain is clear at one rate only"),
        (([3.0, 3.1, 3.2], [2.0, 2.1, 2.3]), ([1.0, 1.1, 1.2], [4.0, 4.1, 4.3]), "the gain turns into its opposite"),
        (([1.0, 1.1, 1.2], [2.0, 2.1, 2.3]), ([0.5, 0.6, 0.7], [3.0, 3.2, 3.3]), "the loss stays"),
        (([1.0, 1.1, 1.2], [2.0, 2.1, 2.3]), ([2.1, 2.1, 2.2], [1.0, 1.1, 1.3]), "no clear loss is left"),
    ],
)
def test_what_equal_rates_leave_is_called_so(results: Make, own: tuple, equal: tuple, words: str) -> None:
    errors = dict(zip(("vanilla", "P-ON"), own, strict=True))
    errors |= dict(zip(("vanilla at P-ON's rate", "P-ON at vanilla's rate"), equal, strict=True))
    assert f"at equal rates: {words}." in chapter.say_matched_rate({"pon-mnist": results(errors)}).markdown


def test_without_a_clear_difference_there_is_nothing_to_explain(results: Make) -> None:
    none = results({"vanilla": [2.0, 2.1, 2.2], "P-ON": [2.1, 2.0, 2.3], "vanilla at P-ON's rate": [2.0, 2.2, 2.2]})
    assert "clear difference to explain" in chapter.say_matched_rate({"pon-mnist": none}).markdown


def test_search_edge_names_the_arms(results: Make) -> None:
    runs = results({"vanilla": [1.0]})
    setting = runs.data["settings"]["mnist/mlp-3"]
    for arm, rate in zip(
        setting["arms"], (0.03, 0.02, 0.01, 0.03, 0.02, 0.02), strict=True
    ):  # 0.03 is the largest drawn
        setting["arms"][arm]["record"]["knobs"]["lr"] = rate
    said = page.say_search_edge(runs).markdown
    assert said == "At the largest learning rate drawn, 0.03, stand 2 arms: vanilla, stability only."
    setting["arms"]["vanilla"]["record"]["knobs"]["lr"] = 0.01
    setting["arms"]["stability only"]["record"]["knobs"]["lr"] = 0.01
    assert "No arm" in page.say_search_edge(runs).markdown


def test_a_setting_whose_own_runs_diverged_is_none_to_explain(results: Make) -> None:
    errors = {"vanilla": [2.0, 2.1, 2.2], "P-ON": [2.1, 2.0, 2.3], "vanilla at P-ON's rate": [2.0, 2.2, 2.2]}
    fine = results(errors)
    lost = results(errors, curves={("vanilla", "train_loss"): [1, 1, 1, 1, float("nan")]}, settings=("mnist/other",))
    said = chapter.say_matched_rate({"one": fine, "other": lost}).markdown
    assert said.startswith("In none of the 1 settings with a control")
