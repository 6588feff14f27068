"""The rule of the verdict, edge by edge, and the one comparison that pages, tables and figures rest on."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from companion import results
from companion.results.judging import WORDS, Comparison, compare, judge, side, verdict, word
from companion.results.statistics import paired, resampled, two_way

PAPER = 0.5
UNCLEAR, AGREES, SMALLER, OPPOSITE = (-0.1, 0.6), (0.1, 0.6), (0.1, 0.4), (-0.4, -0.1)
NOTHING = (-0.3, 0.3)  # is not clear, and excludes the difference in the middle of AGREES


@dataclasses.dataclass
class Record:
    """What `compare` asks of recorded results, for runs whose right answers are given."""

    runs: dict[str, dict[int, np.ndarray]]  # arm → seed → which rows are right
    rates: tuple[str | None, str | None] = (None, None)
    profile: str = "laptop"
    rows: str = "fixed"
    test_share: float = 0.25
    lost: dict[str, int] = dataclasses.field(default_factory=dict)
    missing: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()

    @property
    def arms(self):
        return tuple(arm for arm in self.runs if arm not in self.controls)

    def seeds(self, arm):
        return tuple(self.runs[arm])

    def correct(self, arm):
        return np.array(list(self.runs[arm].values()), dtype=bool)

    def final(self, arm, metric="test_error"):
        errors = 100 * (1 - self.correct(arm).mean(1))
        return {"test_error": errors, "test_loss": errors / 50, "broken": errors * math.nan}[metric]

    def diverged(self, arm):
        return self.lost.get(arm, 0)

    def unfinished(self, arm):
        return arm in self.missing

    def same_rate(self, better, baseline):
        return self.rates if (better, baseline) == ("method", "vanilla") else (None, None)


def _runs(error, *, seeds=range(6), rows=2000, noise=1):
    """Return right answers by seed: a mean error in percent, the same hard rows for all arms, some rows by chance."""
    found = {}
    for seed in seeds:
        generator = np.random.default_rng([seed, noise])
        wrong = np.zeros(rows, bool)
        wrong[: round(rows * error / 100) - 10] = True
        more = 10 + 2 * ((seed + noise) % 3 - 1)  # seeds differ, and their mean over 0, 1, 2 is 10
        wrong[generator.choice(np.arange(1500, rows), more, replace=False)] = True
        found[seed] = ~wrong
    return found


def _record(**more):
    return Record({"vanilla": _runs(10.0, noise=1), "method": _runs(8.0, noise=2)}, **more)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (*AGREES, "agrees"),
        (0.1, 0.5, "agrees"),  # an upper end that equals the effect reaches it
        (0.6, 0.9, "agrees"),  # wholly above it
        (0.5, 0.5, "agrees"),
        (0.1, math.nextafter(0.5, 0), "smaller"),
        (math.nextafter(0, 1), 0.1, "smaller"),
        (0.0, 0.6, "no clear effect"),  # an end that equals zero holds it
        (-0.1, 0.2, "no clear effect"),  # also where the paper's effect is excluded
        (-0.6, 0.0, "no clear effect"),
        (0.0, 0.0, "no clear effect"),
        (-0.6, math.nextafter(0, -1), "opposite"),
    ],
)
def test_word_at_one_rate(low, high, expected):
    assert verdict(low, high, PAPER) == expected == word(PAPER, (low, high))


@pytest.mark.parametrize(
    ("own", "equal", "expected"),
    [
        (AGREES, (AGREES, AGREES), "agrees"),
        (AGREES, (SMALLER, AGREES), "agrees"),  # size is not clearness
        (SMALLER, (AGREES,), "smaller"),
        (AGREES, (AGREES, NOTHING), "depends on tuning"),
        (AGREES, (NOTHING, AGREES), "depends on tuning"),
        (AGREES, (NOTHING,), "depends on tuning"),  # one that is in does not wait for the other
        (AGREES, (AGREES, UNCLEAR), "agrees"),  # no longer clear, but chance explains it
        (AGREES, ((-0.1, 0.35),), "agrees"),  # an end that equals the difference holds it
        (AGREES, (OPPOSITE, AGREES), "depends on tuning"),
        (UNCLEAR, (AGREES, UNCLEAR), "no clear effect"),
        (UNCLEAR, ((0.3, 0.6), UNCLEAR), "depends on tuning"),
        (UNCLEAR, (UNCLEAR, OPPOSITE), "depends on tuning"),
        (UNCLEAR, ((-0.6, 0.1), UNCLEAR), "no clear effect"),  # an unclear sign counts for nothing
        (OPPOSITE, (OPPOSITE, OPPOSITE), "opposite"),
        (OPPOSITE, (UNCLEAR, OPPOSITE), "depends on tuning"),
        (None, (), "depends on tuning"),
        (None, (AGREES, AGREES), "depends on tuning"),
        (AGREES, (AGREES, None), "depends on tuning"),
        (UNCLEAR, (None,), "depends on tuning"),
    ],
)
def test_word_with_equal_rates(own, equal, expected):
    assert word(PAPER, own, *equal) == expected
    assert expected in WORDS


def test_the_rule_refuses_what_is_no_interval_or_effect():
    for low, high in ((0.2, 0.1), (math.nan, 1.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match="in order"):
            side(low, high)
    for effect in (0.0, -0.1, math.nan, math.inf):
        for call in (
            lambda: verdict(0.1, 0.2, effect),  # noqa: B023 (called before the next)
            lambda: word(effect, None),  # noqa: B023
            lambda: compare(_record(), "method", "vanilla", effect=effect),  # noqa: B023
        ):
            with pytest.raises(ValueError, match="effect must be positive"):
                call()


def test_fixed_rows_are_judged_over_seeds_and_examples():
    record = _record()
    found = compare(record, "method", "vanilla", effect=2.0)
    bits = record.correct("method").astype(int) - record.correct("vanilla")
    assert found.state == "ok"
    assert found.interval is found.two_way
    assert found.two_way == two_way(100 * bits)
    assert found.seeds_only == paired(record.final("vanilla"), record.final("method"))
    assert found.resampled is None
    assert (found.mean, found.low, found.high, found.p) == (*found.two_way[:1], *found.two_way[3:])
    assert found.mean == pytest.approx(2.0)
    assert found.means == pytest.approx((8.0, 10.0))
    assert found.sds == pytest.approx((record.final("method").std(ddof=1), record.final("vanilla").std(ddof=1)))
    assert (found.n, found.word, found.holm) == (6, "agrees", None)
    assert str(found).endswith("n = 6: agrees")


def test_splits_are_judged_with_the_resampled_interval():
    record = _record(rows="split", test_share=1.5)
    found = compare(record, "method", "vanilla", effect=2.0, level=0.9)
    assert found.interval is found.resampled
    assert found.two_way is None
    assert found.resampled == resampled(record.final("vanilla") - record.final("method"), test_share=1.5, level=0.9)
    assert found.seeds_only == paired(record.final("vanilla"), record.final("method"), level=0.9)


def test_another_metric_is_judged_over_seeds_alone():
    found = compare(_record(), "method", "vanilla", metric="test_loss")
    assert found.interval is found.seeds_only
    assert found.mean == pytest.approx(2 / 50)
    assert found.word is None


def test_differences_are_taken_seed_by_seed_whatever_their_order():
    record = _record()
    straight = compare(record, "method", "vanilla")
    record.runs["method"] = dict(reversed(record.runs["method"].items())) | {99: np.zeros(2000, bool)}
    turned = compare(record, "method", "vanilla")
    assert turned.means == pytest.approx(straight.means)
    assert turned.two_way == straight.two_way
    assert turned.seeds_only.sd == pytest.approx(straight.seeds_only.sd)
    assert turned.seeds_only.p == pytest.approx(straight.seeds_only.p)


def test_swapping_the_arms_turns_the_interval_round():
    gain, loss = (
        compare(_record(), "method", "vanilla", effect=2.0),
        compare(_record(), "vanilla", "method", effect=2.0),
    )
    assert (loss.mean, loss.low, loss.high) == pytest.approx((-gain.mean, -gain.high, -gain.low))
    assert loss.word == "opposite"


@pytest.mark.parametrize(
    ("change", "n", "state", "said"),
    [
        ({}, 6, "ok", "agrees"),
        ({}, 5, "ok", "agrees"),
        ({}, 7, "unfinished", None),
        ({"missing": ("method",)}, None, "unfinished", None),
        ({"missing": ("vanilla",)}, None, "unfinished", None),
        ({"profile": "smoke"}, None, "unfinished", None),
        ({"profile": "smoke", "lost": {"method": 1}}, None, "unfinished", None),
        ({"lost": {"vanilla": 2}}, None, "diverged", "depends on tuning"),
        ({"lost": {"method": 1}, "missing": ("method",)}, 9, "diverged", "depends on tuning"),
    ],
)
def test_states(change, n, state, said):
    found = compare(_record(**change), "method", "vanilla", effect=2.0, n=n)
    assert (found.state, found.word) == (state, said)
    assert (found.interval is None) == math.isnan(found.mean) == math.isnan(found.p) == (state != "ok")
    assert found.means == pytest.approx((8.0, 10.0))


def test_states_of_few_seeds():
    record = _record()
    record.runs["method"] = _runs(8.0, seeds=[3])
    assert compare(record, "method", "vanilla", effect=2.0).state == "unfinished"
    record.runs["method"] = _runs(8.0, seeds=[77])
    found = compare(record, "method", "vanilla", effect=2.0)
    assert (found.state, found.n, found.word) == ("not run", 0, None)
    record.runs["method"] = {}
    assert compare(record, "method", "vanilla").state == "not run"


def test_a_metric_that_is_no_number_is_a_run_that_diverged():
    found = compare(_record(), "method", "vanilla", effect=2.0, metric="broken")
    assert (found.state, found.diverged, found.word) == ("diverged", (6, 6), "depends on tuning")


def test_an_arm_that_the_record_does_not_know_is_an_error():
    with pytest.raises(ValueError, match=r"no arm 'methud'; it has vanilla, method"):
        compare(_record(), "methud", "vanilla")


def _with_controls(vanilla_there, method_there, **more):
    record = _record(controls=("vanilla there", "method there"), rates=("vanilla there", "method there"), **more)
    record.runs["vanilla there"], record.runs["method there"] = vanilla_there, method_there
    return record


def test_equal_rates_are_compared_from_both_sides():
    record = _with_controls(_runs(9.0, noise=3), _runs(9.2, noise=4))
    found = compare(record, "method", "vanilla", effect=2.0)
    assert (found.at_better.better, found.at_better.baseline) == ("method", "vanilla there")
    assert (found.at_baseline.better, found.at_baseline.baseline) == ("method there", "vanilla")
    assert (found.at_better.mean, found.at_baseline.mean) == pytest.approx((1.0, 0.8))
    assert found.equal_rates == (found.at_better, found.at_baseline)
    assert found.controlled
    assert found.word == "agrees"
    assert found.at_better.word is None
    assert found.at_better.at_better is None


def test_a_gain_that_goes_at_an_equal_rate_depends_on_tuning():
    record = _with_controls(_runs(8.0, noise=3), _runs(8.0, noise=4))
    found = compare(record, "method", "vanilla", effect=2.0)
    assert (found.controlled, found.word) == (True, "depends on tuning")
    assert compare(dataclasses.replace(record, rates=(None, None)), "method", "vanilla", effect=2.0).word == "agrees"
    one = compare(dataclasses.replace(record, rates=("vanilla there", None)), "method", "vanilla", effect=2.0)
    assert (one.controlled, one.word) == (False, "depends on tuning")


def test_a_control_without_its_runs_is_left_out_and_said():
    record = _with_controls({}, _runs(8.0, noise=4))
    found = compare(record, "method", "vanilla", effect=2.0)
    assert (found.at_better.state, found.controlled, found.word) == ("not run", False, "agrees")
    waiting = _with_controls(_runs(8.0, noise=3), _runs(8.0, noise=4), missing=("vanilla there",))
    assert compare(waiting, "method", "vanilla", effect=2.0).word == "agrees"


def test_a_control_that_diverged_decides():
    record = _with_controls(_runs(9.0, noise=3), _runs(9.0, noise=4), lost={"vanilla there": 1})
    found = compare(record, "method", "vanilla", effect=2.0)
    assert (found.state, found.at_better.state) == ("ok", "diverged")
    assert (found.controlled, found.word) == (True, "depends on tuning")
    assert not math.isnan(found.mean)


def test_controls_may_have_fewer_seeds_than_the_contrast_fixes():
    record = _with_controls(_runs(9.0, seeds=range(3), noise=3), _runs(9.0, noise=4))
    found = compare(record, "method", "vanilla", effect=2.0, n=6)
    assert (found.controlled, found.at_better.n, found.word) == (True, 3, "agrees")


def _judged(p, state="ok"):
    found = compare(_record(), "method", "vanilla")
    return dataclasses.replace(
        found, state=state, two_way=found.two_way._replace(p=p) if state == "ok" else None, seeds_only=None
    )


def test_a_family_keeps_its_size():
    family = [_judged(0.03), _judged(0.0, "diverged"), _judged(0.01), _judged(0.0, "unfinished")]
    assert [one.holm for one in judge(family)] == pytest.approx([0.09, 1.0, 0.04, 1.0])
    assert [one.holm for one in judge(family, size=10)] == pytest.approx([0.27, 1.0, 0.10, 1.0])
    assert [one.holm for one in judge(family[:1])] == [0.03]
    assert judge([], size=3) == []
    assert [one.holm for one in family] == [None] * 4
    with pytest.raises(ValueError, match="size must be at least the number of comparisons, 4"):
        judge(family, size=3)


def test_the_words_are_the_five_of_the_rule():
    assert tuple(WORDS) == ("agrees", "smaller", "no clear effect", "opposite", "depends on tuning")
    assert Comparison.__dataclass_params__.frozen


@pytest.mark.parametrize("name", results.available())
def test_real_records_are_judged_on_the_rows_they_were_tested_on(name):
    runs = results.load(name)
    for part in (runs[setting] for setting in runs.settings):
        baseline, *others = part.arms
        for better in others:
            found = part.compare(better, baseline, effect=0.5)
            assert found.word in WORDS or found.state in ("not run", "unfinished")
            if found.state != "ok":
                continue
            assert found.interval is (found.two_way if part.rows == "fixed" else found.resampled)
            # The bits and the errors are stored apart; if their seeds went different ways, the means would not agree.
            assert found.mean == pytest.approx(found.seeds_only.mean, abs=2e-4)
