"""What an audit shows: claims with what came out, comparisons with all their intervals, and sentences where runs are missing."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest

from companion import page, papers
from companion.page import Prose
from companion.page.audit import METRICS, claim_outcome
from companion.results import Results

Make = Callable[..., Results]
PAPER = papers.load("partial_output_norm")
CLAIMS = {claim.id: claim for claim in PAPER.claims}
FIVE = {"vanilla": [1.5, 1.6, 1.7, 1.6, 1.5], "P-ON": [1.3, 1.4, 1.45, 1.4, 1.3]}
FIVE |= {"norm only": [1.5, 1.6, 1.7, 1.6, 1.51], "stability only": [1.2, 1.3, 1.4, 1.3, 1.21]}


def rows(shown: page.Panel) -> list[str]:
    return shown.text.splitlines()[1:]


# --- claims -----------------------------------------------------------------------------------------------------------


def test_the_ledger_has_every_claim_and_the_first_table_the_material_ones() -> None:
    every = page.claims_table(PAPER.stem, recorded={})
    assert len(rows(every)) == len(PAPER.claims)
    assert "test: variance of a product" in every.text
    whole = page.claims_table("tamed_cross_entropy", recorded={}).text
    assert "tests: tests/symbolic/test_tamed_cross_entropy.py" in whole, "a file of tests keeps its name"
    assert "Eq. 5. The partial norm leaves" in every.text
    few = page.claims_table(PAPER.stem, material=True, recorded={})
    assert len(rows(few)) == sum(claim.material for claim in PAPER.claims) < len(PAPER.claims)


def test_a_claim_says_what_came_out(results: Make) -> None:
    parts = CLAIMS["pon-table-3"]
    assert claim_outcome(PAPER, parts, {}).count("not recorded yet") == 2
    first = {"pon-mnist": results(FIVE)}
    said = claim_outcome(PAPER, parts, first)
    assert "MNIST, MLP-3, stability only against vanilla: +0.30 [" in said
    assert "**same direction, smaller**" in said
    assert "**smaller than printed** (the paper's effect, +0.39, is our inference)" in said
    assert "inference" not in claim_outcome(PAPER, CLAIMS["pon-table-1"], first), "printed"
    later = {"vanilla": [1.5] * 10, "norm only": [1.9] * 10, "stability only": [1.8] * 10}
    second = results(later, experiment="pon-mnist-parts", kind=Results)
    assert "n = 10" in claim_outcome(PAPER, parts, {**first, "pon-mnist-parts": second}), "the newer record counts"
    some = results({"vanilla": [1.5] * 10}, experiment="pon-mnist-parts", kind=Results)
    assert claim_outcome(PAPER, parts, {**first, "pon-mnist-parts": some}) == said, "a record without the arm does not"


def test_a_clear_difference_of_the_first_rule_stands_beside_those_at_equal_rates(results: Make) -> None:
    errors = {"vanilla": [3.0, 3.1, 3.2, 3.0, 3.1] * 4, "P-ON": [2.0, 2.1, 2.3, 2.0, 2.1] * 4}
    errors["vanilla at P-ON's rate"] = [2.0, 2.2, 2.2, 2.1, 2.0] * 4
    settings = ("cora/gcn", "cora/gat", "pubmed/gcn", "pubmed/gat")
    said = claim_outcome(
        PAPER, CLAIMS["pon-table-2"], {"pon-graphs": results(errors, experiment="pon-graphs", settings=settings)}
    )
    assert "Cora, GAT, P-ON against vanilla: +0.98 [" in said
    assert ", at equal rates 0.00 [" in said.replace("+", "").replace("−", "")


def test_two_arms_of_one_rate_are_compared_once(results: Make) -> None:
    runs = results(FIVE)
    assert runs.compare("stability only", "vanilla").controlled, "each is the other's control"
    said = claim_outcome(PAPER, CLAIMS["pon-table-3"], {"pon-mnist": runs})
    assert "stability only against vanilla: +0.30 [" in said
    assert "at equal rates" not in said


def test_no_clear_effect_says_when_the_papers_is_not_excluded(results: Make) -> None:
    settings = ("cora/gcn", "cora/gat", "pubmed/gcn", "pubmed/gat")
    errors = {"vanilla": [13.0, 15.0, 13.0, 11.0] * 13, "P-ON": [12.9, 14.8, 12.8, 10.9] * 13}
    runs = results(errors, experiment="pon-graphs-resampled", settings=settings, kind=Results)
    one = runs["cora/gcn"].compare("P-ON", "vanilla", effect=0.44)
    assert one.word == "no clear effect"
    assert one.low < 0.44 < one.high < 4.22, "so this one is not excluded, and that of GAT is"
    said = claim_outcome(PAPER, CLAIMS["pon-table-2"], {runs.name: runs})
    gcn, gat = (next(part for part in said.split(". ") if f"Cora, {model}" in part) for model in ("GCN", "GAT"))
    assert gcn.endswith("**no clear effect**, which does not exclude the paper's +0.44 either")
    assert gat.endswith("**no clear effect**")
    first_page = page.headlines(PAPER.stem, {runs.name: runs}).markdown
    assert first_page.count("does not exclude the paper's +0.44 either") == 1
    assert "paper's +4.22" not in first_page


def test_a_ruined_search_of_the_first_recording_is_told(results: Make) -> None:
    settings = ("cora/gcn", "cora/gat", "pubmed/gcn", "pubmed/gat")
    errors = {"vanilla": [15.0, 15.5, 14.8, 15.1] * 13, "P-ON": [20.0, 15.2, 26.0, 20.5] * 13}
    for experiment, kind in (("pon-graphs", None), ("pon-graphs-resampled", Results)):
        runs = results(errors, experiment=experiment, settings=settings, **({"kind": kind} if kind else {}))
        said = claim_outcome(PAPER, CLAIMS["pon-table-2"], {experiment: runs})
        assert said.count("its search had ruined the method") == (kind is None)
    recorded = page.recorded_runs("pon-graphs")["pon-graphs"]["pubmed/gat"]
    (_, good, _), *ruined = (recorded.summary(arm) for arm in ("vanilla", "P-ON", "vanilla at P-ON's rate"))
    assert all(sd > 5 * good for _, sd, _ in ruined), "the rate spoils the method and plain cross entropy alike"


def test_runs_that_diverged_are_no_outcome(results: Make) -> None:
    nan = {("weight decay", "train_loss"): [1, 1, 1, 1, float("nan")]}
    runs = results({"weight decay": [90.0, 2.0, 2.0], "P-ON + weight decay": [1.0, 1.1, 1.2]}, curves=nan)
    said = claim_outcome(PAPER, CLAIMS["pon-table-1"], {"pon-mnist": runs})
    assert "3 of 3 runs of weight decay diverged" in said
    assert "[" not in said


def test_a_claim_tells_its_curves(results: Make) -> None:
    curves = {("vanilla", "length"): [2.0, 3, 4, 5, 31.75]}
    said = claim_outcome(PAPER, CLAIMS["pon-fig-2-3"], {"pon-mnist": results(FIVE, curves=curves)})
    assert "10 epochs, length ‖z‖: vanilla 2.0 → 31.8 (rate 0.1)." in said
    assert "radial part of the logit gradient: vanilla 1" in said
    curves = {("P-ON", "length"): [1.0, 6.0, 7.0, 5.0, 4.0]}
    said = claim_outcome(PAPER, CLAIMS["pon-eliminates"], {"pon-mnist": results(FIVE, curves=curves)})
    assert "P-ON 1.0 → 7.0 (epoch 2) → 4.0 (rate 0.1)" in said, "a length that falls again is no length that grew"


def test_headlines_are_a_list_of_claims_with_what_came_out() -> None:
    lines = page.headlines(PAPER.stem, {}).markdown.splitlines()
    assert len(lines) == sum(bool(claim.headline) for claim in PAPER.claims) >= 2
    assert all(line.startswith("- ") for line in lines)
    assert sum("recorded yet" in line for line in lines) == len(lines) - 1, "the lemma needs no runs"


# --- comparisons ------------------------------------------------------------------------------------------------------


def test_contrasts_show_both_intervals_and_count_what_is_missing(results: Make) -> None:
    family = [contrast for contrast in PAPER.contrasts if contrast.family == "pon-ablation"]
    shown = page.table_contrasts({"pon-mnist": results(FIVE)}, family)
    (line,) = [line for line in rows(shown) if "stability only − vanilla" in line]
    assert line.count("[") == 2, "seeds alone, and seeds with images"
    assert "+0.39†" in line
    assert "Not recorded yet: mnist/mlp-3: wd − vanilla." in shown.text
    p = results(FIVE).compare("stability only", "vanilla").p
    assert f"{min(1.0, 3 * p):.2g}" in line, "Holm over all three, the missing one too"
    absent = page.table_contrasts({}, family)
    assert isinstance(absent, Prose)


def test_pairs_show_controls_too_and_name_what_is_not_recorded(results: Make) -> None:
    errors = {**FIVE, "vanilla at P-ON's rate": [1.6, 1.7, 1.8, 1.7, 1.6]}
    pairs = [
        ("pon-mnist", "mnist/mlp-3", "P-ON", "vanilla at P-ON's rate"),
        ("pon-mnist", "mnist/mlp-3", "P-ON", "weight decay"),
        ("pon-mnist", "mnist/mlp-3", "P-ON", "no such arm"),
        ("pon-moon", "moon/mlp-3", "P-ON", "vanilla"),
    ]
    shown = page.table_pairs({"pon-mnist": results(errors)}, pairs)
    assert len(rows(shown)) == 2, "one pair, and the caption"
    assert "+0.31 [" in shown.text
    assert shown.text.count("no such arm") == shown.text.count("pon-moon") == 1
    assert isinstance(page.table_pairs({}, pairs), Prose)


def test_final_values_of_arms_that_ran(results: Make) -> None:
    nan = {("norm only", "train_loss"): [1, 1, 1, 1, float("nan")]}
    shown = page.table_arms(
        results(FIVE, curves=nan), ["vanilla", "norm only", "no such arm"], ["test_error", "length"]
    )
    vanilla, norm, none, _ = rows(shown)
    assert "1.58 ± 0.08" in vanilla
    assert norm.count("5 of 5 diverged") == 2
    assert none.count("not run") == 2


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_shown(results: Make, metric: str) -> None:
    assert METRICS[metric][0] in page.table_arms(results(FIVE), ["vanilla"], [metric]).text


# --- the search -------------------------------------------------------------------------------------------------------


def test_the_search_says_where_the_chosen_rate_lies(results: Make) -> None:
    runs = results(FIVE)
    vanilla = next(line for line in rows(page.table_search(runs)) if line.startswith("vanilla"))
    assert [part.strip() for part in vanilla.split("|")][1:] == ["3", "0.01 to 0.03", "0.03", "highest", "2.00", "0.50"]
    for arm in runs.data["settings"]["mnist/mlp-3"]["arms"].values():
        arm["search"] = []
    assert all("not run" in line for line in rows(page.table_search(runs))[:-1])


def test_a_search_that_is_not_over_has_chosen_nothing(results: Make) -> None:
    runs = results(FIVE)
    arms = runs.data["settings"]["mnist/mlp-3"]["arms"]
    for point in arms["vanilla"]["search"]:
        point["chosen"] = False
    arms["vanilla"]["record"] = None
    vanilla, method, *_ = rows(page.table_search(runs))
    assert [part.strip() for part in vanilla.split("|")][1:] == ["3", "0.01 to 0.03", "not over", "", "", ""]
    assert "not over" not in method
    assert "stand 5 arms: P-ON," in page.say_search_edge(runs).markdown, "those whose search is over"
    assert "search of both arms" in page.figure_search(runs, "P-ON").markdown


def test_draws_of_the_search_stand_side_by_side(results: Make) -> None:
    runs = results(FIVE, kind=Results)
    setting = runs.data["settings"]["mnist/mlp-3"]
    other = copy.deepcopy(setting["arms"])
    other["P-ON"]["keys"] = setting["arms"]["stability only"]["keys"]
    setting["draws"] = [other]
    shown = page.table_draws(runs, "P-ON", "vanilla")
    gains = [runs.draw(index).compare("P-ON", "vanilla").mean for index in (0, 1)]
    assert gains[0] != gains[1]
    assert f"between the draws: {np.std(gains, ddof=1):.2f} points" in shown.text
    assert len(rows(shown)) == 3


def test_what_is_not_recorded_is_a_sentence(results: Make) -> None:
    recorded = {"pon-mnist": results(FIVE), "pon-graphs": results({}, experiment="pon-graphs", settings=("cora/gcn",))}
    assert "`pon-moon`" in page.not_yet(recorded, "pon-mnist", "pon-moon").markdown
    assert page.not_yet(recorded, "pon-mnist").markdown == "All are recorded."
    part = results(FIVE, missing=[("mnist/mlp-3", "P-ON")])
    assert "in part: `pon-mnist` (mnist/mlp-3)" in page.not_yet({"pon-mnist": part}, "pon-mnist").markdown
    assert page.when_recorded(recorded, "pon-mnist", lambda runs: runs.name) == "pon-mnist"
    for name, setting in (("pon-moon", None), ("pon-graphs", "cora/gcn")):
        assert "recorded yet" in page.when_recorded(recorded, name, lambda runs: runs.name, setting).markdown


def test_each_record_is_read_under_its_own_rule() -> None:
    recorded = page.recorded_runs("pon-mnist", "pon-graphs-resampled", "pon-moon")
    assert {name: type(runs).__name__ for name, runs in recorded.items()} == {
        "pon-mnist": "FirstRecording",
        "pon-graphs-resampled": "Results",
    }
