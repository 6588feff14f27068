"""The paper's tables beside recorded runs, under the first recording's rule and under the rule of today."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from bs4 import BeautifulSoup

from companion import papers
from companion.experiments.partial_output_norm import ARMS as RECORDED_ARMS
from companion.page import (
    error_table,
    family_note,
    printed_reductions,
    recorded_note,
    render_table,
    table_beside,
    table_grid,
    table_pairs,
)
from companion.page.tables import fixed_seeds, knobs_text
from companion.results import Results
from companion.results.first_recording import VERDICTS, FirstRecording

ARMS = tuple(arm.name for arm in RECORDED_ARMS)

Make = Callable[..., Results]
NAN_VANILLA = {("vanilla", "train_loss"): [1, 1, 1, 1, math.nan]}


def test_a_record_with_fewer_seeds_than_its_contrast_fixes_gets_no_verdict(results: Make) -> None:
    """As a `smoke` record in the place of the full one would: complete by its own recipe, and yet nothing to judge by."""
    worse = {"weight decay": [1.0, 1.01, 1.0, 1.01, 1.0], "P-ON + weight decay": [2.0, 2.02, 2.01, 2.02, 2.01]}
    table = papers.load("partial_output_norm").table("Table 1")

    def shown(runs: Results) -> str:
        recorded = {"pon-mnist": runs}
        return (
            table_beside(recorded, table).text
            + family_note(recorded, "partial_output_norm", "pon-main")
            + recorded_note(runs)
        )

    whole = results(worse)
    assert whole.compare("P-ON + weight decay", "weight decay", effect=0.5).word == "opposite"
    assert "opposite" in shown(whole)
    assert "over the 5 comparisons fixed" in shown(whole)
    fewer, one_less = (results({arm: errors[:count] for arm, errors in worse.items()}) for count in (2, 4))
    smoke = FirstRecording({**whole.data, "profile": "smoke"})
    for runs in (fewer, one_less, smoke):
        assert runs.complete
        n = fixed_seeds("pon-mnist", "mnist/mlp-3")
        found = runs.compare("P-ON + weight decay", "weight decay", effect=0.5, n=n)
        assert (found.state, found.word) == ("unfinished", None)
        assert not any(word in shown(runs) for word in VERDICTS)
        assert (
            "no comparison can be judged yet (5 without a verdict, since runs are missing; counted all the same)"
            in shown(runs)
        )
    assert "at the size `smoke`" in recorded_note(smoke)
    assert "at the size `laptop`" in recorded_note(whole)
    assert fixed_seeds("pon-mnist", "mnist/another") is None


def test_no_verdict_before_all_seeds_have_run(results: Make) -> None:
    errors = {
        "vanilla": [2.0, 2.2, 2.4, 2.2, 2.2],
        "stability only": [1.5, 1.8, 1.8, 1.7, 1.7],
        "norm only": [1.4, 1.8, 1.8, 1.7, 1.7],
    }
    runs = results(errors, missing=[("mnist/mlp-3", "stability only")])
    assert runs.compare("stability only", "vanilla", effect=0.5).state == "unfinished"
    assert runs.compare("norm only", "vanilla", effect=0.5).word == "agrees"
    baseline = results(errors, missing=[("mnist/mlp-3", "vanilla")])
    assert baseline.compare("norm only", "vanilla", effect=0.5).state == "unfinished"
    note = family_note({"pon-mnist": runs}, "partial_output_norm", "pon-ablation")
    assert "over the 3 comparisons fixed beforehand as one family (2 without a verdict, since runs are missing" in note


def test_table_beside_joins_printed_rows_with_runs(results: Make) -> None:
    runs = results(
        {"weight decay": [1.64, 1.66, 1.62, 1.66, 1.62], "P-ON + weight decay": [1.14, 1.17, 1.11, 1.17, 1.11]}
    )
    panel = table_beside({"pon-mnist": runs}, papers.load("partial_output_norm").table("Table 1"))
    rows = [
        [cell.text for cell in row.find_all(["th", "td"])]
        for row in BeautifulSoup(panel.html, "html.parser").select("tr")
    ]
    assert rows[1] == ["MNIST, MLP-3", "1.64 ± 0.1", "1.64 ± 0.02", "", "paper +0.50", ""]
    assert rows[2][:4] == ["· with it, n = 5", "1.14 ± 0.08", "1.14 ± 0.03", "30.48 / 30.49 %"]
    assert rows[2][4].startswith("+0.50 [")
    assert rows[2][5] == "agrees"
    assert [row[2] for row in rows[3:]] == ["not run"] * 6
    assert "not run" in panel.text


def test_table_2_reads_each_setting(results: Make) -> None:
    settings = ("cora/gcn", "cora/gat", "pubmed/gcn", "pubmed/gat")
    runs = results({"vanilla": [20, 21] * 10, "P-ON": [15, 15.9] * 10}, experiment="pon-graphs", settings=settings)
    panel = table_beside({"pon-graphs": runs}, papers.load("partial_output_norm").table("Table 2"))
    assert panel.text.count("n = 20") == 4
    assert panel.text.count("| larger than printed") == 4


def test_table_3_takes_the_inferred_effects(results: Make) -> None:
    runs = results({arm: [v - 0.1 * k for v in (1.8, 1.9, 2.0, 2.1, 2.2)] for k, arm in enumerate(ARMS)})
    effects = {
        c.better: c.effect for c in papers.load("partial_output_norm").contrasts if c.effect_basis == "inference"
    }
    panel = table_beside({"pon-mnist": runs}, papers.load("partial_output_norm").table("Table 3"), effects=effects)
    lines = panel.text.splitlines()
    line = lines[1 + next(k for k, line in enumerate(lines) if line.startswith("P-ON-Reg "))]
    assert "+0.30 [+0.30, +0.30]" in line
    assert line.endswith("same direction, smaller")


def test_a_later_recording_gets_the_words_of_today(results: Make) -> None:
    errors = {"vanilla": [20, 21] * 10, "P-ON": [15, 15.9] * 10}
    settings = ("cora/gcn", "cora/gat", "pubmed/gcn", "pubmed/gat")
    runs = results(errors, experiment="pon-graphs", settings=settings, kind=Results)
    said = table_beside({"pon-graphs": runs}, papers.load("partial_output_norm").table("Table 2")).text
    assert said.count("| agrees") == 4
    assert not any(word in said for word in set(VERDICTS) - {"agrees", "opposite"})
    lost = results(errors, experiment="pon-graphs", settings=settings, kind=Results, curves=NAN_VANILLA)
    said = table_beside({"pon-graphs": lost}, papers.load("partial_output_norm").table("Table 2")).text
    assert said.count("| depends on tuning") == 4
    assert said.count("20 of 20 diverged") == 4


def test_arms_without_runs_are_said_not_hidden(results: Make) -> None:
    runs = results({"vanilla": [2.0, 2.2]}, missing=[("mnist/mlp-3", "P-ON"), ("mnist/mlp-3", "norm only")])
    table = table_beside({"pon-mnist": runs}, papers.load("partial_output_norm").table("Table 1"))
    assert table.text.count("not run") == 8
    assert error_table(runs).text.count("not run") == len(ARMS) - 1
    assert "Incomplete" in recorded_note(runs)
    assert "Incomplete" not in recorded_note(results({"vanilla": [2.0]}))
    assert "2.0 core-hours" in recorded_note(runs)
    assert "no comparison can be judged yet" in family_note({"pon-mnist": runs}, "partial_output_norm", "pon-ablation")


def test_a_diverged_baseline_is_no_gain(results: Make) -> None:
    nan = {("weight decay", "train_loss"): [1, 1, 1, 1, float("nan")]}
    runs = results({"weight decay": [90.2, 90.1], "P-ON + weight decay": [1.2, 1.3], "vanilla": [2, 2.1]}, curves=nan)
    found = runs.compare("P-ON + weight decay", "weight decay", effect=0.5)
    assert found.diverged == (0, 2)
    assert (found.state, found.word) == ("diverged", None)
    assert "2 of 2 diverged" in error_table(runs).text
    line, after = table_beside(
        {"pon-mnist": runs}, papers.load("partial_output_norm").table("Table 1")
    ).text.splitlines()[1:3]
    assert "2 of 2 diverged" in line, "the table says which arm"
    assert "2 of 2" not in after
    assert "30.48 / – %" in after
    assert "90.1" not in line
    assert "+88" not in after, "a ruined baseline's difference is not shown as a gain"
    assert after.endswith("diverged")
    assert "(1 without a verdict, since runs diverged; 2 without" in family_note(
        {"pon-mnist": runs}, "partial_output_norm", "pon-ablation"
    )


def test_family_note_corrects_for_the_number_of_comparisons(results: Make) -> None:
    clear, doubtful = [2.0, 2.01, 2.02, 2.03, 2.04], [2.0, 2.1, 2.2, 2.3, 2.4]
    runs = results(
        {
            "vanilla": doubtful,
            "norm only": [value - 1 for value in clear],
            "stability only": [2.0, 1.95, 2.1, 2.25, 2.3],
            "weight decay": doubtful,
        }
    )
    note = family_note({"pon-mnist": runs}, "partial_output_norm", "pon-ablation")
    assert "over the 3 comparisons" in note
    assert "1 stays below 0.05: norm only against vanilla (mnist, mlp-3; its error is lower)" in note


def test_a_family_does_not_shrink_because_runs_fail(results: Make) -> None:
    errors = {"vanilla": [2.0, 2.1, 2.2, 2.3, 2.4], "norm only": [1.98, 2.09, 2.16, 2.29, 2.36]}
    others = ("stability only", "weight decay")
    nan = {(arm, "train_loss"): [1, 1, 1, 1, math.nan] for arm in others}
    for runs in (results(errors), results({**errors, **dict.fromkeys(others, [90.0] * 5)}, curves=nan)):
        p = runs.compare("norm only", "vanilla").p
        assert 0.05 / 3 < p < 0.05
        assert "none stays below 0.05" in family_note({"pon-mnist": runs}, "partial_output_norm", "pon-ablation")


def test_a_knob_without_a_symbol_is_shown_by_its_name() -> None:
    said = knobs_text({"lr": 0.2808, "threshold": 2.779, "stability": 0.002629, "weight_decay": 7.208e-05})
    assert said == "0.281, δ = 2.78, α = 0.0026, decay 7.2e-05"
    assert knobs_text({"lr": 0.1, "gamma": 2.0, "kind": "soft"}) == "0.1, gamma = 2, kind = soft"


def test_printed_reductions_mark_the_one_that_does_not_follow() -> None:
    marked = [line for line in printed_reductions("partial_output_norm").text.splitlines() if "does not follow" in line]
    assert len(marked) == 1
    assert marked[0].startswith("Cora, GAT")


def test_a_printed_grid_marks_the_best_and_what_lies_below_the_baseline() -> None:
    def cells(name: str, **options: str) -> dict[str, list[str]]:
        shown = BeautifulSoup(table_grid("tamed_cross_entropy", name, **options).html, "html.parser")
        assert all("luc-figures" in cell["class"] for cell in shown.select("td")), "digits stand below each other"
        found = {}
        for row in shown.select("tbody tr"):
            found[row.th.text] = [f"best {cell.text}" if cell.strong else cell.text for cell in row.select("td")]
        return found

    hundred, ten = cells("Table 1"), cells("Table 2")
    assert hundred["TCE 2"] == ["↓ 66.81", "64.37", "best 61.51", "52.09", "↓ 18.75"]
    assert hundred["CE"] == ["68.18", "61.16", "54.52", "44.08", "20.30"]
    assert ten["MAE"][:3] == ["–", "–", "↓ 10.28"], "a dash of the paper is no number"
    assert ten["MSE"][3] == "best 92.15"
    marks = [cell for table in (hundred, ten) for row in table for cell in table[row] if row.startswith("TCE")]
    assert (len(marks), sum("↓" in cell for cell in marks), sum("best" in cell for cell in marks)) == (56, 7, 13)
    assert "CIFAR-100, η = 0.2 |" in table_grid("tamed_cross_entropy", "Table 1").text, (
        "on one line where there is no page"
    )
    assert cells("Table 1", baseline="MSE")["CE"][1] == "↓ 61.16"
    with pytest.raises(ValueError, match=r"no grid 'Table 9' of tamed_cross_entropy; there are: Table 1, Table 2"):
        table_grid("tamed_cross_entropy", "Table 9")
    with pytest.raises(ValueError, match="there are: none"):
        table_grid("partial_output_norm", "Table 1")


def test_tables_are_accessible_and_escaped() -> None:
    soup = BeautifulSoup(render_table(["a", "b"], [["<x>", "1"]], caption="All *of* it.").html, "html.parser")
    assert [cell["scope"] for cell in soup.select("thead th")] == ["col", "col"]
    assert soup.select_one("tbody th")["scope"] == "row"
    assert soup.select_one("tbody th").text == "<x>"
    assert soup.figure["aria-label"] == "All of it."


def test_a_setting_that_a_record_lacks_is_not_run(results: Make) -> None:
    """A trial has fewer settings than the recording."""
    paper = papers.load("tamed_cross_entropy")
    arms = {"vanilla": [8.0, 8.1, 8.2], "TCE 2": [7.0, 7.1, 7.3], "TCE 1": [7.5, 7.6, 7.7]}
    settings = ("mnist, η = 0.4/mlp-2",)
    runs = {"tce-mnist": results(arms, experiment="tce-mnist", settings=settings, arms=tuple(arms), controls={})}
    lines = table_beside(runs, paper.table("Table 2, as errors")).text.splitlines()
    first, other = (
        next(k for k, line in enumerate(lines) if f"η = {noise}, TCE 2" in line) for noise in ("0.4", "0.8")
    )
    assert "8.10 ± 0.10" in lines[first]
    assert "not run" in lines[other]
    pairs = [("tce-mnist", f"mnist, η = {noise}/mlp-2", "TCE 2", "vanilla") for noise in ("0.4", "0.8")]
    assert "Not recorded yet: mnist, η = 0.8/mlp-2: TCE 2 − vanilla (tce-mnist)." in table_pairs(runs, pairs).text
