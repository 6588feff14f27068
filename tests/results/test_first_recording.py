"""The first recording keeps its rule: over seeds alone, six words, whatever equal rates say."""

from __future__ import annotations

import itertools
import math

import pytest

from companion import results
from companion.results import Results, compare
from companion.results.first_recording import VERDICTS, FirstComparison, FirstRecording, load, verdict
from tests.recorded import synthetic


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.1, 0.6, "agrees"),
        (0.1, 0.5, "agrees"),
        (0.5, 0.9, "agrees"),
        (0.51, 0.9, "larger than printed"),
        (0.1, 0.49, "same direction, smaller"),
        (-0.1, 0.5, "cannot tell"),
        (0.0, 0.5, "cannot tell"),
        (-0.1, 0.49, "smaller than printed"),
        (-0.1, 0.0, "smaller than printed"),
        (-0.5, -0.1, "opposite"),
    ],
)
def test_the_rule(low: float, high: float, word: str) -> None:
    assert verdict(low, high, 0.5) == word


def test_every_interval_has_exactly_one_word_and_every_word_occurs() -> None:
    grid = [k / 10 for k in range(-10, 11)]
    words = {verdict(low, high, 0.5) for low, high in itertools.combinations_with_replacement(grid, 2)}
    assert words == set(VERDICTS)


@pytest.mark.parametrize("arguments", [(1.0, 0.0, 0.5), (0.0, 1.0, 0.0), (0.0, math.nan, 0.5), (0.0, math.inf, 0.5)])
def test_the_rule_refuses_nonsense(arguments: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        verdict(*arguments)


def test_it_is_oriented_so_that_a_falling_error_is_positive() -> None:
    runs = synthetic({"vanilla": [2.0, 2.2, 2.4, 2.2, 2.2], "P-ON": [1.5, 1.8, 1.8, 1.7, 1.7]})
    found = runs.compare("P-ON", "vanilla", effect=0.5)
    assert found.means == pytest.approx((1.7, 2.2))
    assert found.mean == pytest.approx(0.5)
    sd = math.sqrt(((0.4 - 0.5) ** 2 + (0.6 - 0.5) ** 2) / 4)
    half = 2.7764451051977987 * sd / math.sqrt(5)  # Student's t for 95 %, four degrees of freedom
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half))
    assert found.word == "agrees"
    assert runs.compare("vanilla", "P-ON", effect=0.5).word == "opposite"
    assert runs.compare("P-ON", "vanilla").word is None


def test_one_pair_gets_no_verdict() -> None:
    runs = synthetic({"vanilla": [2.0], "P-ON": [1.5]}, experiment="without a contrast")
    assert runs.compare("P-ON", "vanilla", effect=0.5).state == "unfinished"


def test_only_interval_and_word_differ_from_the_comparison_of_today() -> None:
    first, today = (kind("pon-mnist").compare("P-ON", "vanilla", effect=0.5) for kind in (load, results.load))
    assert isinstance(first, FirstComparison)
    assert (first.interval, today.interval) == (today.seeds_only, today.two_way)
    assert isinstance(first.at_better, FirstComparison)
    assert first.at_better.interval == today.at_better.seeds_only
    assert (first.n, first.means, first.state, first.diverged) == (today.n, today.means, today.state, today.diverged)


def test_a_part_of_the_recording_keeps_the_rule() -> None:
    part = load("pon-graphs")["cora/gcn"]
    assert isinstance(part, FirstRecording)
    assert isinstance(part.compare("P-ON", "vanilla"), FirstComparison)
    assert not isinstance(compare(Results(part.data), "P-ON", "vanilla"), FirstComparison)
