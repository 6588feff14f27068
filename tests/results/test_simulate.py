"""The simulation of the rule: its model, its arithmetic, and that the recorded table is what it gives."""

from __future__ import annotations

import math

import numpy as np
import pytest

from companion.results import tables
from companion.results.judging import WORDS
from companion.results.simulate import Setting, draw, half_widths, latent_correlation, measured, simulate, terms
from companion.results.statistics import components, paired, two_way

stats = pytest.importorskip("scipy.stats")

SETTING = Setting("a test", error=15.0, effect=1.0, within=0.8, across=0.6, spread=0.5, examples=3000)


def _full(bits, examples):
    """Return wrong answers with the images that nobody could get wrong put back."""
    return np.concatenate([bits, np.zeros((*bits.shape[:-1], examples - bits.shape[-1]), bool)], axis=-1)


def test_latent_correlation_inverts_the_bivariate_normal():
    for r in (-0.3, 0.0, 0.6, 0.97):
        at = stats.norm.ppf([0.015, 0.02])
        joint = stats.multivariate_normal.cdf(at, [0, 0], [[1, r], [r, 1]])
        assert latent_correlation(0.015, 0.02, joint) == pytest.approx(r, abs=1e-4)


def test_a_drawn_test_has_the_error_the_correlations_and_the_spread_that_were_asked_for():
    setting = Setting("many images", error=15.0, effect=3.0, within=0.8, across=0.6, spread=0.5, examples=200_000)
    drawn = draw(setting, [3.0], 40, np.random.default_rng(0))
    baseline, better = (_full(bits, setting.examples) for bits in (drawn.baseline[0], drawn.better[0, 0]))
    found = measured(~better, ~baseline)
    assert found["error"] == pytest.approx(15.0, abs=4 * 0.5 / math.sqrt(40))
    assert 100 * better.mean() == pytest.approx(12.0, abs=4 * 0.5 / math.sqrt(40))
    assert (found["within"], found["across"]) == pytest.approx((0.8, 0.6), abs=0.01)
    rates = 100 * baseline.mean(1)
    assert rates.std(ddof=1) == pytest.approx(0.5, rel=4 / math.sqrt(2 * 39))
    assert drawn.here[0] == pytest.approx(3.0, abs=0.2)


def test_images_left_out_as_out_of_reach_are_hardly_ever_wrong():
    setting = Setting("easy", error=1.5, effect=0.2, within=0.96, across=0.94, spread=0.05)
    drawn = [draw(setting, [0.0], 5, np.random.default_rng(seed)) for seed in range(200)]
    assert max(one.baseline.shape[-1] for one in drawn) < setting.examples
    errors = [100 * one.baseline.sum() / (10 * setting.examples) for one in drawn]
    assert np.mean(errors) == pytest.approx(1.5, abs=4 * np.std(errors) / math.sqrt(200))


def test_terms_and_intervals_are_those_of_statistics():
    drawn = draw(SETTING, [0.0, 1.0], 6, np.random.default_rng(1))
    found = terms(drawn, [4, 6], SETTING.examples)
    for pair, (baseline, better) in enumerate(((0, 0), (1, 0), (0, 1))):
        for effect in (0, 1):
            for at, n in enumerate((4, 6)):
                wrong = [
                    _full(bits[:n], SETTING.examples).astype(int)
                    for bits in (drawn.baseline[baseline], drawn.better[better, effect])
                ]
                points = 100 * (wrong[0] - wrong[1])
                alone = components(points)
                assert found[:, pair, effect, at] == pytest.approx(alone[:4])
                half, seeds = half_widths(alone), paired(*(100 * bits.mean(1) for bits in wrong))
                assert half["two-way"] == pytest.approx(two_way(points).high - alone.mean)
                assert half["seeds only"] == pytest.approx(seeds.high - seeds.mean)


def test_the_crossed_bootstrap_is_the_one_that_resamples():
    drawn = draw(SETTING, [1.0], 5, np.random.default_rng(2))
    points = 100 * (drawn.baseline[0].astype(int) - drawn.better[0, 0])
    points = np.hstack([points, np.zeros((5, SETTING.examples - points.shape[1]))])
    generator = np.random.default_rng(3)
    repetitions = 4000
    rows = generator.multinomial(5, np.full(5, 0.2), repetitions) / 5
    columns = generator.multinomial(SETTING.examples, np.full(SETTING.examples, 1 / SETTING.examples), repetitions)
    means = np.einsum("bi,bi->b", rows, columns @ points.T / SETTING.examples)
    width = half_widths(components(points))["crossed bootstrap"]
    assert 1.959964 * means.std() == pytest.approx(width, rel=4 / math.sqrt(2 * repetitions))
    low, high = np.quantile(means, [0.025, 0.975])
    assert (high - low) / 2 == pytest.approx(width, rel=0.08)  # its percentiles, with five seeds


def _agree(percent, repetitions, recorded, of):
    """Say whether two percentages differ by less than four standard errors; one hit more or less is never much."""
    pooled = (percent * repetitions + recorded * of + 200) / (repetitions + of + 4)
    error = math.sqrt(pooled * (100 - pooled) * (1 / repetitions + 1 / of))
    return abs(percent - recorded) < 4 * error + 100 / repetitions


@pytest.mark.parametrize("at", [0, 2, 5])
def test_a_short_simulation_gives_the_recorded_lines(at):
    table, repetitions, n = tables.load("judging"), 300, 5
    made = table["made"]
    setting = Setting(**made["settings"][at])
    lines = simulate(setting, repetitions=repetitions, seed=made["seed"] - 1, seeds=(n,), ratios=(0.5, 1.0))
    for line in lines:
        (recorded,) = [
            one for one in table["lines"] if all(one[key] == line[key] for key in ("setting", "effect", "n"))
        ]
        shares = [(line["coverage"], recorded["coverage"])]
        shares += [(line["words"][rates], recorded["words"][rates]) for rates in ("own rates", "equal rates too")]
        for ours, theirs in shares:
            assert ours.keys() == theirs.keys()
            for key, value in ours.items():
                assert _agree(value, repetitions, theirs[key], made["repetitions"]), (line["effect"], key)
        assert line["half_width"] == pytest.approx(recorded["half_width"], rel=0.1)


def test_the_recorded_table_is_whole():
    table = tables.load("judging")
    made, lines = table["made"], table["lines"]
    assert made["repetitions"] >= 5000
    assert made["nominal"] == 95.0
    assert {line["setting"] for line in lines} == {setting["name"] for setting in made["settings"]}
    assert len(lines) == len(made["settings"]) * 4 * 3
    for line in lines:
        for words in line["words"].values():
            assert tuple(words) == tuple(WORDS)
            assert sum(words.values()) == pytest.approx(100, abs=0.05)
        # A rule that looks at more comparisons can only move words to the last one.
        own, too, sides = (line["words"][rule] for rule in ("own rates", "equal rates too", "sides alone"))
        assert all(sides[key] <= too[key] <= own[key] for key in WORDS if key != "depends on tuning")


def test_the_rule_does_not_take_chance_for_tuning():
    """In every line the true effect is the same at all rates: whoever says "depends on tuning" is wrong."""
    lines = tables.load("judging")["lines"]
    wrong = {
        rule: [line["words"][rule]["depends on tuning"] for line in lines]
        for rule in ("equal rates too", "sides alone")
    }
    assert max(wrong["equal rates too"]) < 9
    nothing = [line["words"]["sides alone"]["depends on tuning"] for line in lines if line["effect"] == 0]
    assert (round(min(nothing)), round(max(nothing)), round(max(wrong["sides alone"]))) == (9, 15, 61)


def test_each_interval_covers_what_it_speaks_of():
    for line in tables.load("judging")["lines"]:
        covered = line["coverage"]
        assert abs(covered["two-way"] - 95) < 2, line
        assert abs(covered["seeds only, these examples"] - 95) < 2, line
        if line["n"] == 20:  # of new examples the seeds alone say too little, the more seeds the less
            assert covered["seeds only"] < 92, line


def test_an_unknown_table_is_an_error_that_lists_what_there_is():
    with pytest.raises(ValueError, match=r"no table named 'nothing'; there are .*'judging'"):
        tables.load("nothing")
