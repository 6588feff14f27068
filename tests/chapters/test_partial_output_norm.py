"""Chapter 01's figures and sentences: both outcomes of every claim, and what they say where nothing is recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from companion import papers
from companion import results as recorded_results
from companion.chapters import partial_output_norm as chapter
from companion.experiments.partial_output_norm import ARMS as RECORDED_ARMS
from companion.page import Prose, place_in_search, search_rank
from companion.results import Results

ARMS = tuple(arm.name for arm in RECORDED_ARMS)

Make = Callable[..., Results]
ERRORS = {arm: [1.8 - 0.1 * k, 1.9 - 0.1 * k, 2.1 - 0.1 * k] for k, arm in enumerate(ARMS)}
FIGURES = (
    chapter.figure_length,
    chapter.figure_gradient,
    chapter.figure_loss_and_entropy,
    chapter.figure_parameter_gradient,
    chapter.figure_gap,
    chapter.figure_search,
)


@pytest.mark.parametrize("figure", FIGURES)
def test_figures_have_words_and_say_what_they_were_made_of(results: Make, figure: object) -> None:
    shown = figure(results(ERRORS))
    assert shown.alt
    assert "<figcaption><strong>" in shown.html


@pytest.mark.parametrize("figure", FIGURES[:-1])
def test_where_nothing_is_recorded_they_say_so(results: Make, figure: object) -> None:
    said = figure(results({}))
    assert isinstance(said, Prose)
    assert "Not recorded yet" in said.markdown


def caption(shown: object) -> str:
    return shown.html.split("<figcaption>")[1]


def test_length_grows_or_shrinks(results: Make) -> None:
    grows = results(ERRORS, curves={("vanilla", "length"): [1, 2, 3, 4, 9], ("P-ON", "length"): [1, 2, 3, 3, 3]})
    assert "grows from 1.0 to 9.0" in caption(chapter.figure_length(grows))
    assert "ends at 3.0, less than without" in caption(chapter.figure_length(grows))
    shrinks = results(ERRORS, curves={("vanilla", "length"): [9, 4, 3, 2, 1], ("P-ON", "length"): [1, 2, 3, 3, 3]})
    assert "shrinks from 9.0 to 1.0" in caption(chapter.figure_length(shrinks))
    assert "no less than without" in caption(chapter.figure_length(shrinks))
    centred = results(ERRORS, curves={("vanilla", "centred_length"): [1, 2, 3, 4, 8]})
    assert "centred length grows from 1.0 to 8.0" in caption(chapter.figure_length(centred, centred=True))


def test_radial_share(results: Make) -> None:
    whole = {("vanilla", "gradient"): [1.0, 1.0, 1.0, 1.0, 1.0]}
    follows = results(ERRORS, curves={**whole, ("vanilla", "radial_gradient"): [0.5, 0.5, 0.4, 0.4, 0.4]})
    assert chapter.radial_share(follows).tolist() == pytest.approx([0.5, 0.5, 0.4, 0.4, 0.4])
    assert "40% to 50% of the gradient's length is radial, 40% at the end" in caption(chapter.figure_gradient(follows))


@pytest.mark.parametrize(("loss", "word"), [(0.1, "below"), (0.9, "above")])
def test_loss_and_entropy(results: Make, loss: float, word: str) -> None:
    curves = {("vanilla", "train_loss"): [1, 1, 1, 1, loss], ("vanilla", "train_entropy"): [1, 1, 1, 1, 0.5]}
    shown = chapter.figure_loss_and_entropy(results(ERRORS, curves=curves))
    assert f"the mean loss is {word} the mean entropy on the training rows" in caption(shown)


@pytest.mark.parametrize(("last", "word"), [(0.1, "smaller"), (0.9, "larger")])
def test_parameter_gradient(results: Make, last: float, word: str) -> None:
    curves = {
        ("vanilla", "parameter_gradient"): [1, 1, 1, 1, 0.5],
        ("P-ON", "parameter_gradient"): [1, 1, 1, 1, last],
    }
    assert f"is {word} than without" in caption(chapter.figure_parameter_gradient(results(ERRORS, curves=curves)))


@pytest.mark.parametrize(("sign", "word"), [(1, "rise together"), (-1, "go opposite ways")])
def test_gap(results: Make, sign: int, word: str) -> None:
    curves = {}
    for k, arm in enumerate(ARMS):
        curves[arm, "length_deviation"] = [0, 0, 0, 0, 1 + k]
        curves[arm, "generalisation_gap"] = [0, 0, 0, 0, 10 + sign * k]
    shown = chapter.figure_gap(results(ERRORS, curves=curves))
    assert "0% of all orders" in caption(shown)
    assert word in caption(shown)


def test_the_order_over_the_epochs_leaves_out_what_was_before_training(results: Make) -> None:
    curves = {("vanilla", "length_deviation"): [9, 1, 2, 3, 4], ("vanilla", "generalisation_gap"): [0, 1, 2, 3, 4]}
    assert "over the epochs, it is +1.00" in caption(chapter.figure_gap(results(ERRORS, curves=curves)))


def test_temperature_is_fitted_on_the_first_half() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2000, 4, generator=generator, dtype=torch.float64)
    target = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    first = (torch.arange(2000) < 1000)[:, None]
    outputs = {name: torch.where(first, scale * logits, logits) for name, scale in (("sharp", 3.0), ("flat", 0.3))}
    sharp, flat = chapter.table_temperature(outputs, target).text.splitlines()[1:3]
    assert [cell.strip() for cell in sharp.split("|")[2:3]] == ["over-confident"]
    assert [cell.strip() for cell in flat.split("|")[2:3]] == ["under-confident"]
    assert float(sharp.split("|")[1]) == pytest.approx(3, abs=0.3)
    assert float(flat.split("|")[1]) == pytest.approx(0.3, abs=0.03)


def test_the_small_run_s_table() -> None:
    outputs = {"one": torch.tensor([[0.0, 0.0], [5.0, -50.0]])}
    shown = chapter.table_small_run({"one": [1.0, 2.0, 3.0, 4.0]}, outputs, torch.tensor([1, 0]))
    assert [cell.strip() for cell in shown.text.splitlines()[1].split("|")] == ["one", "2.0", "4.0", "75.0", "50.0"]


def test_search_names_the_best_rates(results: Make) -> None:
    assert "the same learning rate: 0.03" in caption(chapter.figure_search(results(ERRORS)))


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


def test_a_weak_order_of_few_arms_is_not_called_one(results: Make) -> None:
    curves = {}
    for k, (arm, gap) in enumerate(zip(ARMS, (1, 3, 2, 6, 4, 5), strict=True)):
        curves[arm, "length_deviation"] = [0, 0, 0, 0, 1 + k]
        curves[arm, "generalisation_gap"] = [0, 0, 0, 0, gap]
    runs = results({arm: errors for arm, errors in ERRORS.items() if arm != "P-ON + weight decay"}, curves=curves)
    assert "show no clear order: rank correlation +0.80 over 5 arms" in caption(chapter.figure_gap(runs))
    assert chapter.share_of_orders(0.6, 5) == pytest.approx(42 / 120)


def test_growing_counts_do_not_lose_digits() -> None:
    rows = torch.tensor([[2.0, 0.0], [60.0, 1.0], [0.0, 3.0], [1.0, 1.0]])  # right, right and sure, wrong, tied
    assert chapter.growing_counts(rows, torch.zeros(4, dtype=torch.long)) == (2, 2, 1)
    assert chapter.growing_counts(rows[2:], torch.zeros(2, dtype=torch.long)) == (0, 0, 0)


def test_a_control_stands_in_for_a_diverged_baseline(results: Make) -> None:
    nan = {("weight decay", "train_loss"): [1, 1, 1, 1, float("nan")]}
    errors = {"P-ON": [1.4, 1.5, 1.6], "P-ON + weight decay": [1.1, 1.21, 1.29], "weight decay": [90.2, 90.2, 1.9]}
    runs = results({**errors, chapter.DECAY_CONTROL: [1.6, 1.7, 1.8]}, curves=nan)
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


def test_where_there_is_no_gain_it_is_said_why(results: Make) -> None:
    errors = {"vanilla": [3.0, 3.1, 3.2], "P-ON": [2.0, 2.1, 2.3]}

    def gain(errors: dict, baseline: str = "vanilla", **more: object) -> object:
        return chapter.gain_or_why(results(errors, **more), "P-ON", baseline)

    assert gain(errors).n == 3
    assert gain(errors, "nothing") == "not run"
    for arm in errors:
        assert gain({**errors, arm: [2.0]}) == "not run"
        assert gain(errors, missing=[("mnist/mlp-3", arm)]) == "unfinished"
        assert gain(errors, curves={(arm, "train_loss"): [1, 1, 1, 1, float("nan")]}) == "diverged"


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
    said = chapter.say_search_edge(runs).markdown
    assert said == "At the largest learning rate drawn, 0.03, stand 2 arms: vanilla, stability only."
    setting["arms"]["vanilla"]["record"]["knobs"]["lr"] = 0.01
    setting["arms"]["stability only"]["record"]["knobs"]["lr"] = 0.01
    assert "No arm" in chapter.say_search_edge(runs).markdown


def test_parts_on_graphs_and_the_doubtful_entry(results: Make) -> None:
    settings = ("cora/gcn", "cora/gat", "pubmed/gcn", "pubmed/gat")
    rows = [20.0 + 0.1 * k for k in range(20)]
    errors = {"vanilla": rows, "P-ON": [r - 4 + 0.05 * (-1) ** k - 0.15 for k, r in enumerate(rows)]}
    errors |= {"norm only": [r - 1 for r in rows], "stability only": [r + 1 for r in rows]}
    said = chapter.say_graph_parts(results(errors, experiment="pon-graphs", settings=settings)).markdown
    assert "cora/gcn: *norm only* +1.00 [+1.00, +1.00], *stability only* −1.00 [−1.00, −1.00]" in said
    assert "the verdict *same direction, smaller* takes the printed error 22.48" in said
    assert "with the error that the printed percentage asks for, 22.98, the paper's effect is 3.72" in said
    assert "the word is *larger than printed*" in said


def test_floor_figure_states_the_thresholds() -> None:
    shown = chapter.figure_floor()
    assert f"δ = {chapter.required_threshold(0.99, 10):.1f} for C = 10" in caption(shown)


def test_rank_correlation_with_ties() -> None:
    assert chapter.rank_correlation([1, 2, 2, 3], [1, 2, 2, 3]) == pytest.approx(1)
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 5, 50), rng.integers(0, 5, 50)
    from scipy.stats import spearmanr

    assert chapter.rank_correlation(left, right) == pytest.approx(spearmanr(left, right).statistic)


def test_descend_follows_the_gradient() -> None:
    start = torch.tensor([[2.5, 1.2]], dtype=torch.float64)
    path = chapter.descend(start, torch.tensor([0]), rate=0.1, steps=2)
    assert path.shape == (3, 1, 2)
    step = chapter.loss_gradient(start, torch.tensor([0]))[1]
    torch.testing.assert_close(path[1], start - 0.1 * step)


def test_quiz_has_five_questions() -> None:
    assert chapter.chapter_quiz().html.count("<fieldset>") == 5


def test_a_trial_shows_no_result_anywhere(results: Make) -> None:
    own = {**ERRORS, "vanilla at P-ON's rate": [2.5, 2.6, 2.8], chapter.DECAY_CONTROL: [2.5, 2.6, 2.8]}
    trial = Results({**results(own).data, "profile": "smoke"})
    assert chapter.table_matched_rate({"pon-mnist": trial}).text.count("unfinished") >= 3
    assert "[" not in chapter.say_matched_rate({"pon-mnist": trial}).markdown
    for shown in (
        chapter.figure_length,
        chapter.figure_gap,
        chapter.say_growing,
        chapter.say_rival,
        chapter.say_in_one_line,
    ):
        assert "Only a trial" in shown(trial).markdown


def test_what_the_first_page_says_of_the_recorded_runs_holds() -> None:
    page = " ".join((Path(__file__).parents[2] / "book" / "index.md").read_text(encoding="utf-8").split())
    mnist, graphs = recorded_results.load("pon-mnist"), recorded_results.load("pon-graphs")

    assert (
        "the penalty alone lowers the test error, by less than the paper’s text lets one reconstruct; so do both parts"
        in page
    )
    for better in ("stability only", "P-ON"):
        gain = mnist.gain(better, "vanilla")
        assert gain.low > 0
        assert gain.high < min(
            c.effect
            for c in papers.load("partial_output_norm").contrasts
            if c.better in ("stability only", "P-ON + weight decay") and c.data == "mnist"
        )

    assert "weight decay broke down in most runs; with the method it did not" in page
    assert mnist.diverged("weight decay") > len(mnist.seeds("weight decay")) / 2
    same = "P-ON + weight decay at weight decay's rate"
    assert len(mnist.seeds(same)) == 5
    assert mnist.diverged(same) == 0
    assert mnist.knobs(same)["lr"] == mnist.knobs("weight decay")["lr"]

    assert "stays clear at both of two equal learning rates" in page
    for own, *matched in chapter.matched_gains({"pon-graphs": graphs}).values():
        assert len(matched) == 2
        for side in (1, -1):
            assert not all(min(side * gain.low, side * gain.high) > 0 for gain in (own, *matched))

    assert "the vectors stay far shorter all the same" in page
    lengths = {
        arm: mnist.final(arm, "length").mean() for arm in ("P-ON", "P-ON at vanilla's rate", "vanilla at P-ON's rate")
    }
    assert max(lengths["P-ON"], lengths["P-ON at vanilla's rate"]) < lengths["vanilla at P-ON's rate"] / 5
