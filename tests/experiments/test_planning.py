"""Searching, moving, choosing, controlling: what is run next, from the results that are there."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from companion import Objective, PartialNorm, length_stability
from companion.experiments.design import Arm, Experiment, Images, Network, Parts, SamePoint, SameRate, Search, Setting
from companion.experiments.packing import packed
from companion.experiments.planning import make_plan, score
from companion.experiments.ranges import Log
from companion.experiments.status import status
from companion.experiments.trainees import source_of
from companion.results import Results
from companion.training.optimisers import Sgd
from companion.training.records import RunStore


def both(threshold: float = math.inf, stability: float = 0.0) -> Objective:
    """Both parts of the partial norm."""
    penalties = {"stability": (length_stability, stability)} if stability else {}
    return Objective(logit_transform=PartialNorm(threshold), penalties=penalties)


ARMS = (
    Arm("vanilla", both),
    Arm("P-ON", both, threshold=Log(1.0, 32.0), stability=Log(1e-3, 1.0)),
    Arm("decay", both, weight_decay=Log(1e-5, 1e-2)),
)
SETTING = Setting(
    Images("mnist", sample=True, validation_rows=400),
    Network("mlp", sizes=(784, 8)),
    Sgd(),
    lr=Log(0.01, 1.0),
    epochs=20,
)
CONTROLS = (
    *Parts("P-ON", "vanilla", ball_alone=("threshold",), penalty_alone=("stability",)),
    SameRate("P-ON", "vanilla")[1],
    SamePoint("decay", "P-ON"),
)
EXPERIMENT = Experiment(ARMS, (SETTING,), CONTROLS, Search(points=6, moves=2), seeds=3)


@pytest.fixture
def source():
    return source_of(SETTING.data, "cpu")


def fill(store, round_, error, epochs=2):
    """Give every run of a round the validation errors that ``error`` (arm, point, seed) says."""
    for arm, lists in round_.records.items():
        for point, records in zip(round_.points[arm], lists, strict=True):
            for record in records:
                value = error(arm, point, record.seed)
                store.recorded[record.key] = {
                    "metrics": {"test_error": [value] * epochs, "test_loss": [value] * epochs}
                }


def at_rate(best):
    """Errors that grow with the distance of the learning rate from ``best``, in logarithms."""
    return lambda arm, point, seed: 10 + abs(math.log(point["lr"] / best))


def test_a_search_is_scored_over_its_last_tenth_and_its_seeds(source):
    store = RunStore("nowhere")
    plan = make_plan(EXPERIMENT, SETTING, source, store)
    records = plan.draws[0].rounds[0].records["P-ON"][0]
    assert len(records) == 2
    said = records[0].setting
    assert said["epochs"] == 20
    assert said["measure_at"] == [19, 20]
    assert said["schedule"] == {"kind": "Cosine", "warmup": 0.0}
    store.recorded = {
        records[0].key: {"metrics": {"test_error": [1.0, 2.0], "test_loss": [1.0, 3.0]}},
        records[1].key: {"metrics": {"test_error": [3.0, 6.0], "test_loss": [1.0, None]}},
    }
    assert score(records, store) == (3.0, math.inf)


def test_the_best_inside_is_chosen_and_equal_errors_go_by_the_loss(source):
    store = RunStore("nowhere")
    first = make_plan(EXPERIMENT, SETTING, source, store).draws[0].rounds[0]
    fill(store, first, at_rate(0.1))
    draw = make_plan(EXPERIMENT, SETTING, source, store).draws[0]
    assert len(draw.rounds) == 1
    for arm in ("vanilla", "P-ON", "decay"):
        best = min(first.points[arm], key=lambda point: abs(math.log(point["lr"] / 0.1)))
        assert draw.chosen[arm] == best
        assert [record.knobs for record in draw.final[arm]] == [best] * 3
        assert [record.seed for record in draw.final[arm]] == [0, 1, 2]
    for number, records in enumerate(first.records["vanilla"]):
        for record in records:
            loss = None if number == 0 else 1.0 + abs(number - 3)
            store.recorded[record.key] = {"metrics": {"test_error": [5.0], "test_loss": [loss]}}
    assert make_plan(EXPERIMENT, SETTING, source, store).draws[0].rounds[0].best["vanilla"] == 3


@pytest.mark.parametrize(("best", "expected"), [(5.0, Log(0.1, 10.0)), (1e-4, Log(0.001, 0.1))])
def test_one_arm_at_the_edge_moves_the_range_for_all(source, best, expected):
    store = RunStore("nowhere")
    first = make_plan(EXPERIMENT, SETTING, source, store).draws[0].rounds[0]
    inside, outside = at_rate(0.1), at_rate(best)
    fill(store, first, lambda arm, point, seed: (outside if arm == "decay" else inside)(arm, point, seed))
    draw = make_plan(EXPERIMENT, SETTING, source, store).draws[0]
    assert draw.rounds[0].edge == {"decay": "high" if best > 1 else "low"}
    assert (len(draw.rounds), draw.rounds[1].lr) == (2, expected)
    assert draw.chosen == {}
    assert all(not records for records in draw.final.values())
    assert set(draw.rounds[1].records) == {"vanilla", "P-ON", "decay"}
    rates = [point["lr"] for points in draw.rounds[1].points.values() for point in points]
    assert min(rates) >= expected.low
    assert max(rates) <= expected.high
    fill(store, draw.rounds[1], at_rate(math.sqrt(expected.low * expected.high)))
    settled = make_plan(EXPERIMENT, SETTING, source, store).draws[0]
    assert len(settled.rounds) == 2
    assert settled.chosen


def test_after_the_last_move_the_edge_is_taken_and_said(source):
    store = RunStore("nowhere")
    for _ in range(3):
        fill(store, make_plan(EXPERIMENT, SETTING, source, store).draws[0].rounds[-1], at_rate(1e6))
    draw = make_plan(EXPERIMENT, SETTING, source, store).draws[0]
    assert [round_.lr for round_ in draw.rounds] == [Log(0.01, 1.0), Log(0.1, 10.0), Log(1.0, 100.0)]
    assert draw.chosen
    file = packed("x", EXPERIMENT, "laptop", _with_raw(store, draw))
    rounds = file["settings"]["mnist/mlp"]["rounds"]
    assert [round_["lr"] for round_ in rounds] == [[0.01, 1.0], [0.1, 10.0], [1.0, 100.0]]
    assert rounds[-1]["edge"] == {"vanilla": "high", "P-ON": "high", "decay": "high"}


def _with_raw(store, draw):
    """Make the search runs of a store whole raw results."""
    made = {
        "device": "a",
        "threads": 1,
        "system": "s",
        "python": "3",
        "torch": "2",
        "numpy": "2",
        "commit": None,
        "date": "2026",
    }
    for run in store.recorded.values():
        run |= {"epochs": [1, 2], "seconds": 1.0, "provenance": made}
    return store


def test_controls_differ_from_their_arm_in_one_thing(source):
    store = RunStore("nowhere")
    first = make_plan(EXPERIMENT, SETTING, source, store).draws[0].rounds[0]
    rates = {"vanilla": 0.08, "P-ON": 0.2, "decay": 0.12}
    fill(store, first, lambda arm, point, seed: at_rate(rates[arm])(arm, point, seed))
    draw = make_plan(EXPERIMENT, SETTING, source, store).draws[0]
    chosen = draw.chosen
    assert len({knobs["lr"] for knobs in chosen.values()}) == 3, "else the controls could not be told apart"

    def knobs(name):
        (found,) = {tuple(sorted(record.knobs.items())) for record in draw.final[name]}
        return dict(found)

    method, rate = chosen["P-ON"], chosen["P-ON"]["lr"]
    assert knobs("ball alone at P-ON's point") == {"lr": rate, "threshold": method["threshold"]}
    assert knobs("penalty alone at P-ON's point") == {"lr": rate, "stability": method["stability"]}
    assert knobs("vanilla at P-ON's rate") == {"lr": rate}
    assert knobs("P-ON at vanilla's rate") == {**method, "lr": chosen["vanilla"]["lr"]}
    assert knobs("decay at P-ON's rate") == {**chosen["decay"], "lr": rate}
    assert all(len(draw.final[control.name]) == 3 for control in CONTROLS)


def test_three_draws_search_three_times(source):
    three = replace(EXPERIMENT, search=replace(EXPERIMENT.search, draws=3))
    store = RunStore("nowhere")
    plan = make_plan(three, SETTING, source, store)
    points = [draw.rounds[0].points["P-ON"] for draw in plan.draws]
    assert len(points) == 3
    assert points[0] != points[1] != points[2] != points[0]
    for draw in plan.draws:
        fill(store, draw.rounds[0], at_rate(0.1))
    plan = make_plan(three, SETTING, source, store)
    assert all(draw.chosen for draw in plan.draws)
    assert set(plan.draws[1].final) == {"vanilla", "P-ON", "decay"}, "controls belong to the first draw"
    for draw in plan.draws:
        _with_raw(store, draw)
    runs = Results(packed("x", three, "laptop", store))
    assert runs.draws == 3
    assert runs.draw(1).search("P-ON") != runs.search("P-ON")
    assert runs.draw(0) is runs
    with pytest.raises(ValueError, match=r"index must be in \[0, 3\)"):
        runs.draw(3)


def test_a_stack_holds_seeds_of_one_point_and_first_seeds_come_first(source):
    stacked = replace(SETTING, stack=2)
    experiment = replace(EXPERIMENT, settings=(stacked,))
    store = RunStore("nowhere")
    plan = make_plan(experiment, stacked, source, store)
    groups = plan.missing("search", store)
    assert {len(group.records) for group in groups} == {2}
    for group in groups:
        assert len({str(record.knobs) for record in group.records}) == 1
    fill(store, plan.draws[0].rounds[0], at_rate(0.1))
    finals = make_plan(experiment, stacked, source, store).missing("final runs", store)
    assert [[record.seed for record in group.records] for group in finals] == [[0, 1]] * 3 + [[2]] * 3
    assert [len(group.keep) for group in finals] == [1] * 3 + [0] * 3
    plan = make_plan(experiment, stacked, source, store)
    assert plan.missing("search", store) == []


def test_equal_runs_of_two_arms_are_trained_once(source):
    twins = replace(EXPERIMENT, arms=(ARMS[0], Arm("twin", both)), controls=())
    plan = make_plan(twins, SETTING, source, RunStore("nowhere"))
    keys = [
        [record.key for records in lists for record in records] for lists in plan.draws[0].rounds[0].records.values()
    ]
    assert keys[0] != keys[1], "arms have points of their own"
    shared = replace(twins, search=replace(twins.search, shared=True))
    plan = make_plan(shared, SETTING, source, RunStore("nowhere"))
    assert sum(len(group.records) for group in plan.missing("search", RunStore("nowhere"))) == 12


def test_status_counts_what_is_there_and_what_waits(tmp_path):
    stages = status("pon-mnist", "smoke", folder=tmp_path, measure=False)
    assert [(stage.stage, stage.done, stage.missing, stage.waiting) for stage in stages] == [
        ("search", 0, 12, False), ("final runs", 0, 12, True), ("controls", 0, 8, True)
    ]  # fmt: skip
    assert {stage.seconds for stage in stages} == {None}
    measured = status("pon-mnist", "smoke", folder=tmp_path)
    assert all(stage.seconds > 0 for stage in measured)
    assert "to go, once the search is over" in str(measured[1])
