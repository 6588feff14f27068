"""What chapter 04 says of recorded runs: both outcomes of every sentence, and every state of a record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from companion import papers
from companion.chapters import tamed_cross_entropy as chapter
from companion.chapters.tamed_cross_entropy.predictions import GAINS, RATES, RULE_WORDS, ladder
from companion.chapters.tamed_cross_entropy.recorded import (
    ALPHAS,
    CIFAR,
    EXPONENTS,
    MNIST,
    at_each_noise,
    effects,
    whole_arms,
)
from companion.page import Panel, Prose
from companion.plots import Shown
from companion.results import Results
from tests.recorded import synthetic

SETTINGS = tuple(f"mnist, η = {noise}/mlp-2" for noise in ("0.4", "0.8", "0"))
CONTROLS = {
    "vanilla at TCE 2's rate": ("vanilla", "TCE 2"),
    "TCE 2 at vanilla's rate": ("TCE 2", "vanilla"),
    "TCE 2, mean weight 1 at vanilla's rate": ("TCE 2, mean weight 1", "vanilla"),
}
ARMS = ("vanilla", "TCE 0.5", "TCE 1", "TCE 1.5", "TCE 2", "TCE", "TCE 2, mean weight 1", "GCE")
SEEDS = np.array([0.0, 0.1, 0.2, 0.05, 0.12, 0.02, 0.18, 0.08, 0.15, 0.07])


def made(
    means: Mapping[str, float],
    curves: Mapping[tuple[str, str], Sequence[float]] | None = None,
    missing: Sequence[tuple[str, str]] = (),
    settings: Sequence[str] = SETTINGS,
    **options: Any,
) -> dict[str, Results]:
    """Return a record, of tce-mnist and of the exponents alike, in which every arm has ten seeds about its mean error; an arm left out has 20."""
    wobble = 0.01 * (-1.0) ** np.arange(10)
    errors = {}
    for at, arm in enumerate((*ARMS, *CONTROLS)):
        errors[arm] = (means.get(arm, 20.0) + SEEDS + (1 + at % 3) * wobble).tolist()
    runs = synthetic(
        errors, experiment=MNIST, settings=settings, curves=curves, missing=missing, arms=ARMS, controls=CONTROLS,
        kind=Results, **options,
    )  # fmt: skip
    return {MNIST: runs, EXPONENTS: runs}


def rates(recorded: dict[str, Results], noise: str, **chosen: float) -> None:
    """Let arms of one noise rate choose learning rates."""
    arms = recorded[MNIST].data["settings"][f"mnist, η = {noise}/mlp-2"]["arms"]
    for arm, rate in chosen.items():
        arms[arm]["record"]["knobs"]["lr"] = rate


def caption(shown: Any) -> str:
    assert isinstance(shown, Shown), shown
    return shown.html.split("<figcaption>")[1]


def answer(shown: Any) -> str:
    """Return what the runs say, after the question and its choices."""
    assert isinstance(shown, Panel), shown
    return shown.text.partition("The runs say: ")[2]


# --- records in part -------------------------------------------------------------------------------------------------


def test_a_record_of_one_noise_rate_is_enough_for_no_error() -> None:
    """As a trial is, which has one setting."""
    part = made({}, settings=SETTINGS[:1])
    assert list(at_each_noise(part)) == ["0.4"]
    assert isinstance(chapter.predict_rate(part), Prose)
    assert "Not in yet: η = 0.8." in caption(chapter.figure_alphas(part))
    assert chapter.table_rates(part).text.splitlines()[0].split(" | ")[1:] == ["η = 0.4"]


def test_unfinished_and_diverged_arms_are_left_out_by_name() -> None:
    lost = {("GCE", "train_loss"): [1, 1, 1, 1, math.nan]}
    some = made({"TCE 2": 18.0}, curves=lost, missing=[(SETTINGS[0], "TCE 1")])
    arms, note = whole_arms(chapter.at_noise(some))
    assert set(ARMS) - set(arms) == {"TCE 1", "GCE"}
    assert note == "Left out, because runs diverged: GCE. Runs are missing of TCE 1. "
    said = caption(chapter.figure_stopping(chapter.at_noise(some)))
    assert note.strip() in said
    table = chapter.table_losses(chapter.at_noise(some)).text
    assert "10 of 10 diverged" in table
    assert not any(line.startswith("TCE 1 ") for line in table.splitlines())
    assert "Not in yet: η = 0.4." in caption(chapter.figure_alphas(some)), "α = 1 is wanted there"


@pytest.mark.parametrize(
    "name", ["figure_ladder", "predict_gain", "figure_stopping", "predict_stop", "say_calibration"]
)
def test_without_the_last_seeds_a_sentence_stands_there(name: str) -> None:
    part = made({}, missing=[(SETTINGS[0], arm) for arm in ARMS])
    assert getattr(chapter, name)(chapter.at_noise(part)).markdown == "*Unfinished:* runs are missing."


def test_a_search_that_is_not_over_has_chosen_nothing() -> None:
    recorded = made({})
    for arm in recorded[MNIST].data["settings"][SETTINGS[0]]["arms"].values():
        for point in arm["search"]:
            point["chosen"] = False
        arm["record"] = None
    rows = chapter.table_rates(recorded).text.splitlines()
    assert [cell.strip() for cell in rows[1].split("|")] == ["vanilla", "0.03 ↑", "not over", "0.03 ↑"]
    assert "search of both arms" in chapter.figure_search(chapter.at_noise(recorded)).markdown


# --- predictions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("noisy", "right"), [(0.3, 0), (0.1, 1), (0.06, 1), (0.02, 2), (0.005, 3)])
def test_where_noise_moves_the_rate(noisy: float, right: int) -> None:
    recorded = made({})
    rates(recorded, "0", vanilla=0.1)
    rates(recorded, "0.4", vanilla=noisy)
    said = answer(chapter.predict_rate(recorded))
    assert said.startswith(RATES[right])
    assert f"It is 0.1 with right labels and {noisy:g} with 40 %" in said
    assert ("badly tuned" in said, "no trap" in said) == (right >= 2, right < 2)


GAIN = {"vanilla": 30.0, "TCE 2": 10.0, "vanilla at TCE 2's rate": 35.0, "TCE 2 at vanilla's rate": 20.0}
GAIN |= {"TCE 2, mean weight 1": 15.0, "TCE 2, mean weight 1 at vanilla's rate": 16.0}


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({}, 0),
        ({"TCE 2 at vanilla's rate": 30.0}, 1),
        ({"TCE 2, mean weight 1": 35.0}, 1),
        ({"vanilla at TCE 2's rate": 10.0}, 1),
        ({"TCE 2": 30.0}, 2),
        ({"TCE 2": 40.0}, 3),
    ],
)
def test_what_survives_its_controls(changes: dict[str, float], right: int) -> None:
    results = chapter.at_noise(made({**GAIN, **changes}))
    said = answer(chapter.predict_gain(results))
    assert said.startswith(GAINS[right].rstrip("."))
    found = ladder(results)
    assert len(found) == 5
    clear = sum(one.low > 0 for one in found.values())
    assert f"In {clear} of 5 comparisons the tamed loss is clearly better." in caption(chapter.figure_ladder(results))
    kept = found["mean weight 1, own rates"].low > 0
    words = f"With the mean weight held at 1 it {'keeps' if kept else 'does not keep'} a clear gain"
    assert (words in said) == (right < 2)


def test_a_rung_that_diverged_is_named() -> None:
    lost = {("vanilla at TCE 2's rate", "train_loss"): [1, 1, 1, 1, math.nan]}
    said = caption(chapter.figure_ladder(chapter.at_noise(made(GAIN, curves=lost))))
    assert "In 4 of 4 comparisons" in said
    assert "Left out: both at the tamed one's rate (diverged)." in said


def stops(vanilla: Sequence[float], tamed: Sequence[float]) -> Results:
    """Return runs whose held-out labels are best at the second epoch measured, and whose test errors before the last are given."""
    curves = {("vanilla", "test_error"): [*vanilla, 0], ("TCE 2", "test_error"): [*tamed, 0]}
    curves |= {(arm, "validation_error"): [90, 50, 60, 70, 80] for arm in ARMS}
    curves |= {(arm, "test_error"): [90, 21, 30, 30, 0] for arm in ARMS if (arm, "test_error") not in curves}
    return chapter.at_noise(made({"vanilla": 25.0, "TCE 2": 24.0}, curves=curves))


@pytest.mark.parametrize(
    ("vanilla", "tamed", "gains", "right", "depends"),
    [
        ((90, 20, 20, 20), (90, 22, 22, 22), ("+1.00", "−2.01", "−2.01"), 0, True),
        ((90, 24, 20, 20), (90, 21, 21, 19.5), ("+1.00", "+3.01", "+0.50"), 1, False),
        ((90, 20, 21, 24), (90, 24, 15, 23), ("+1.00", "−4.02", "+5.02"), 2, True),
        ((90, 25, 25, 25), (90, 24, 24, 24), ("+1.00", "+1.00", "+1.00"), 3, False),
    ],
)
def test_which_rule_makes_the_gain_look_largest(
    vanilla: Sequence[float], tamed: Sequence[float], gains: tuple[str, ...], right: int, depends: bool
) -> None:
    results = stops(vanilla, tamed)
    said = answer(chapter.predict_stop(results))
    assert said.startswith((*(f"T{words[1:]}" for words in RULE_WORDS), "They agree, within a tenth")[right])
    assert ("little left for a rule to flatter" in said) == (right == 3)
    assert f"In this order the mean gain is {', '.join(gains)} points." in said
    assert ("Its sign depends on the rule." in said) == depends
    assert "held−out" not in chapter.predict_stop(results).text, "its hyphen is no minus sign"


def test_the_ranking_by_three_rules_is_compared_as_a_whole() -> None:
    flat = {(arm, "test_error"): [90, 50, 40, 30, 0] for arm in ARMS}
    flat |= {(arm, "validation_error"): [90, 80, 70, 60, 50] for arm in ARMS}
    means = {arm: 20.0 + k for k, arm in enumerate(ARMS)}
    same = chapter.figure_stopping(chapter.at_noise(made(means, curves=flat)))
    assert "The ranking is the same by all rules." in caption(same)
    middle = {**flat, ("GCE", "validation_error"): [90, 80, 50, 60, 70]}
    other = chapter.figure_stopping(chapter.at_noise(made({**means, "GCE": 20.5}, curves=middle)))
    assert "The ranking depends on the stopping rule." in caption(other), "by the second of the three alone"
    assert "The lowest mean error by the three rules: vanilla, vanilla, vanilla." in caption(other)
    assert "<em>" in caption(other)
    assert "*" not in caption(other)


def test_the_share_of_the_gradient_is_told_at_its_highest() -> None:
    name = "noisy_gradient_share"
    curves = {("vanilla", name): [0.36, 0.6, 0.7, 0.5, 0.4], ("TCE 2", name): [0.36, 0.2, 0.2, 0.25, 0.3]}
    curves |= {("vanilla", "wrong_label_accuracy"): [10, 10, 10, 20, 40]}
    curves |= {("TCE 2", "wrong_label_accuracy"): [10, 10, 10, 10, 12]}
    said = chapter.say_share(chapter.at_noise(made({}, curves=curves))).markdown
    assert "At its highest the share is 70 % with cross entropy and 36 % tamed." in said
    assert "give 40 % and 12 % of the wrong labels back" in said


# --- what holds -------------------------------------------------------------------------------------------------------


def test_the_best_exponent_and_how_far_the_error_moves() -> None:
    errors = {"vanilla": 20.0, "TCE 0.5": 19.0, "TCE 1": 17.0, "TCE 1.5": 15.5, "TCE 2": 16.0}
    said = caption(chapter.figure_alphas(made(errors)))
    assert "lowest with α = 1.5 at η = 0, 1.5 at η = 0.4, 1.5 at η = 0.8." in said
    spread = max(value for arm, value in errors.items() if arm != "vanilla") - 15.5
    assert f"it moves by {spread:.1f} at η = 0, {spread:.1f} at η = 0.4" in said, (
        "over the paper's exponents, without 0"
    )
    assert "The exponent searched from 0 to 4: 2 at η = 0" in said
    assert "lowest with α = 0 at η = 0," in caption(chapter.figure_alphas(made({**errors, "vanilla": 10.0})))


def test_the_exponents_stand_at_their_means(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    original = Axes.errorbar
    monkeypatch.setattr(Axes, "errorbar", lambda ax, x, y, **kw: drawn.append((x, y, kw)) or original(ax, x, y, **kw))
    recorded = made({"TCE 2": 15.0})
    chapter.figure_alphas(recorded)
    part = chapter.at_noise(recorded, "0")
    x, y, options = drawn[0]
    assert list(x) == list(ALPHAS)
    assert list(y) == pytest.approx([part.final(arm).mean() for arm in ALPHAS.values()])
    assert list(options["yerr"]) == pytest.approx([part.final(arm).std(ddof=1) for arm in ALPHAS.values()])


def test_every_loss_stands_at_its_own_rate_with_three_errors() -> None:
    nothing = {(arm, "wrong_label_accuracy"): [math.nan] * 5 for arm in ARMS}
    results = chapter.at_noise(made({"GCE": 16.0}, curves=nothing), "0")
    rates({MNIST: results}, "0", GCE=0.25)
    line = next(line for line in chapter.table_losses(results).text.splitlines() if line.startswith("GCE"))
    cells = [cell.strip() for cell in line.split("|")]
    last, held_out, best = (results.stopped("GCE", rule) for rule in ("last epoch", "best validation", "best test"))
    assert cells[1:] == [
        "0.25", f"{last.mean():.2f} ± {last.std(ddof=1):.2f}", f"{held_out.mean():.2f}", f"{best.mean():.2f}", "–",
    ]  # fmt: skip


def test_gains_are_told_as_shares_of_the_error() -> None:
    def said(tamed: float, plain: float = 20.0) -> str:
        return chapter.say_what_holds(made({"vanilla": plain, "TCE 2": tamed})).markdown

    row = next(
        row
        for row in papers.load("tamed_cross_entropy").table("Table 2, as errors").rows
        if row.label == "MNIST, η = 0.4, TCE 2"
    )
    printed = papers.relative_reduction(row.baseline.mean, row.better.mean)
    assert f"% on MNIST, η = 0.4 (paper: {printed:.0f} %); " in said(15.0)
    assert "is 25 % on MNIST" in said(15.0)
    assert "Of 3 differences 3 are clearly above zero, 0 clearly below." in said(15.0)
    assert "Of 3 differences 0 are clearly above zero, 3 clearly below." in said(25.0)
    assert "−25 % on MNIST" in said(25.0)
    assert "Our networks err more often" in said(15.0)
    assert "Our networks err more often" not in said(0.1, 0.2), "then points do compare"


def test_a_data_set_keeps_the_hyphen_of_its_name() -> None:
    arms = ("vanilla", "TCE 2")
    errors = {"vanilla": [30.0, 30.1, 30.2, 30.0, 30.1], "TCE 2": [26.0, 26.2, 26.1, 26.1, 26.1]}
    name = "cifar10, η = 0.4/resnet"
    assert name in effects()
    cifar = synthetic(errors, experiment=CIFAR, settings=(name,), arms=arms, controls={}, kind=Results)
    none = made({}, profile="smoke")
    assert "on CIFAR-10, η = 0.4 (paper: 29 %)" in chapter.say_what_holds({**none, CIFAR: cifar}).markdown


def test_how_far_plain_cross_entropy_moves_by_rate_and_stopping_rule() -> None:
    flat = {(arm, "test_error"): [90, 50, 40, 30, 0] for arm in (*ARMS, *CONTROLS)}
    flat |= {(arm, "validation_error"): [90, 80, 70, 60, 65] for arm in (*ARMS, *CONTROLS)}
    recorded = made({"vanilla": 20.0, "vanilla at TCE 2's rate": 25.0}, curves=flat)
    said = chapter.say_baselines(chapter.at_noise(recorded)).markdown
    assert "errs in 20.1 % to 30.1 %: the lowest at the rate 0.1 by *last epoch*" in said
    assert said.endswith("by *best validation*.")
    missing = [(SETTINGS[0], "vanilla at TCE 2's rate")]
    assert "Not recorded yet" in chapter.say_baselines(chapter.at_noise(made({}, missing=missing))).markdown


def test_confidence_is_told_before_and_after_the_link() -> None:
    ends = {"noisy_calibration_error": 0.3, "posterior_noisy_calibration_error": 0.05}
    ends |= {"calibration_error": 0.01, "posterior_calibration_error": 0.25}
    curves = {("TCE 2", name): [value] * 5 for name, value in ends.items()}
    curves |= {("vanilla", "noisy_calibration_error"): [0.1] * 5, ("vanilla", "calibration_error"): [0.2] * 5}
    said = chapter.say_calibration(chapter.at_noise(made({}, curves=curves))).markdown
    assert "is off by 30 points of confidence, after the inverse link by 5 (cross entropy: 10)" in said
    assert "is off by 1, after the link by 25 (cross entropy: 20)" in said


def test_the_audits_exercise() -> None:
    assert chapter.check_cells(7).passed
    assert "do not lie below" in chapter.check_cells(49).text
    assert "first table alone" in chapter.check_cells(2).text
    assert "count cells, in both" in chapter.check_cells(5).text
    assert not chapter.check_cells(8).passed
    assert chapter.check_cells(...).state == "open"


# --- over the epochs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "tamed", "words"),
    [
        (40, 12, "gives more wrong labels back than"),
        (10, 12, "gives fewer wrong labels back than"),
        (12.3, 11.8, "gives as many wrong labels back as"),
    ],
)
def test_who_gives_more_wrong_labels_back(plain: float, tamed: float, words: str) -> None:
    name = "wrong_label_accuracy"
    curves = {("vanilla", name): [10, 10, 10, 10, plain], ("TCE 2", name): [10, 10, 10, 10, tamed]}
    said = caption(chapter.figure_learnt(chapter.at_noise(made({}, curves=curves))))
    assert words in said
    assert f"(α = 2): {plain:.0f} against {tamed:.0f} %." in said


def test_two_errors_that_end_at_their_lowest_are_not_set_against_each_other() -> None:
    curves = {(arm, "test_error"): [90, 30, 25, 22, 0] for arm in ("vanilla", "TCE 2")}
    said = caption(chapter.figure_course(chapter.at_noise(made({"vanilla": 20.0, "TCE 2": 19.0}, curves=curves))))
    assert "Neither plain cross entropy nor the tamed loss" in said
    assert "against" not in said


@pytest.mark.parametrize(("lowest", "further"), [(10.0, True), (20.0, False)])
def test_whose_error_rises_further_from_its_lowest_point(lowest: float, further: bool) -> None:
    curves = {("vanilla", "test_error"): [90, lowest, 20, 20, 0], ("TCE 2", "test_error"): [90, 18, 18, 18, 0]}
    results = chapter.at_noise(made({"vanilla": 20.0, "TCE 2": 19.0}, curves=curves))
    rise = [float(np.ptp(results.curve(arm, "test_error")[1].mean(0)[1:])) for arm in ("vanilla", "TCE 2")]
    said = caption(chapter.figure_course(results))
    assert ("rises further" in said, "rises no further" in said) == (further, not further)
    assert f"by {rise[0]:.1f} against {rise[1]:.1f} points" in said


def test_over_the_epochs_only_arms_that_are_whole_are_drawn() -> None:
    results = chapter.at_noise(made({}, missing=[(SETTINGS[0], "GCE")]))
    assert "GCE" not in chapter.figure_course(results).alt
    gone = chapter.at_noise(made({}, missing=[(SETTINGS[0], "TCE 2")]))
    assert chapter.figure_learnt(gone).markdown == "*Unfinished:* runs are missing."
