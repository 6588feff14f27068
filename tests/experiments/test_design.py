"""Experiments as values: ranges, arms, settings, sizes, and the rules that a recorded experiment keeps."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from companion import Objective, PartialNorm
from companion.data import PairFlips, UniformNoise
from companion.experiments import names
from companion.experiments.design import (
    PROFILES,
    Arm,
    Experiment,
    Graph,
    Images,
    Network,
    Parts,
    SamePoint,
    SameRate,
    Search,
    Setting,
    standard_epochs,
)
from companion.experiments.planning import draw_points, make_plan, shared_points
from companion.experiments.ranges import Choice, Linear, Log
from companion.experiments.recording import build_objective, described, setting_record
from companion.experiments.registry import experiment, registered
from companion.experiments.trainees import network_of, source_of
from companion.methods.baselines import AMSoftmaxHead
from companion.training.optimisers import Adam, Sgd
from companion.training.records import RunStore
from companion.training.schedules import Constant, Cosine, Steps


def ball(threshold: float = math.inf, slope: float = 1.0) -> Objective:
    """A builder that a record can name."""
    return Objective(logit_transform=PartialNorm(threshold))


def headed(num_classes: int, in_features: int, scale: float = 8.0) -> Objective:
    """A builder that asks the trainee for sizes."""
    return Objective(head=AMSoftmaxHead(in_features, num_classes, scale=scale))


SETTING = Setting(
    Images("mnist", sample=True, validation_rows=400), Network("mlp", sizes=(784, 8)), Sgd(), lr=Log(0.01, 1.0)
)
ARMS = (Arm("vanilla", ball), Arm("P-ON", ball, threshold=Log(1.0, 32.0)))


def test_ranges_reach_their_ends_and_may_hold_zero():
    assert [Log(0.01, 1.0).at(u) for u in (0, 0.5, 1)] == [0.01, 0.1, 1.0]
    assert [Log(0.01, 1.0, zero=True).at(u) for u in (0, 0.124, 0.125, 1)] == [0.0, 0.0, 0.01, 1.0]
    assert [Linear(0.0, 2.0).at(u) for u in (0, 0.25, 1)] == [0.0, 0.5, 2.0]
    assert [Choice(("a", "b", "c")).at(u) for u in (0, 0.34, 0.99)] == ["a", "b", "c"]
    for make, message in (
        (lambda: Log(0.0, 1.0), "low must be > 0"),
        (lambda: Log(1.0, 0.5), "high must be >= 1"),
        (lambda: Linear(1.0, 0.5), "high must be >= 1"),
        (lambda: Choice(()), "at least one"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_a_range_moves_by_half_its_width_and_widens_where_both_ends_call():
    span = Log(0.01, 1.0)
    assert (span.moved(up=True), span.moved(down=True)) == (Log(0.1, 10.0), Log(0.001, 0.1))
    assert span.moved(up=True, down=True) == Log(0.001, 10.0)


def test_an_arm_says_what_it_turns_and_refuses_what_no_record_could_name():
    arm = Arm("P-ON", ball, threshold=Log(1.0, 32.0), slope=2.0, weight_decay=Log(1e-5, 1e-2))
    assert arm.searched == ("threshold", "weight_decay")
    assert arm.fixed == {"slope": 2.0}
    assert arm.builder.endswith("test_design.ball")
    with pytest.raises(ValueError, match="a named function"):
        Arm("x", lambda: Objective())
    with pytest.raises(ValueError, match="lr is searched by every arm"):
        Arm("x", ball, lr=0.1)
    with pytest.raises(TypeError, match="build must be callable"):
        Arm("x", 3)


def test_every_value_of_a_setting_is_in_its_record():
    """Whatever is changed, the record changes: nothing that moves the numbers can be left out of it."""
    changes = {
        "data": Images("mnist", sample=True, validation_rows=401),
        "network": Network("mlp", sizes=(784, 9)),
        "optimiser": Sgd(momentum=0.9),
        "schedule": Steps(),
        "epochs": 7,
        "batch_size": 64,
        "precision": "bf16",
        "channels_last": True,
        "accumulate": 2,
        "record": ("fit",),
        "measure_at": (3,),
        "version": 2,
    }
    free = {"name": "another", "stack": 3, "lr": Log(0.1, 0.2)}
    assert set(changes) | set(free) == set(vars(SETTING)), "a new field of Setting belongs into one of these"
    whole = setting_record(SETTING)
    records = [setting_record(replace(SETTING, **{name: value})) for name, value in changes.items()]
    for first, second in itertools.combinations([whole, *records], 2):
        assert first != second
    assert all(setting_record(replace(SETTING, **{name: value})) == whole for name, value in free.items())
    data = {
        "augment": ("flip",),
        "noise": UniformNoise(0.4),
        "rows": 100,
        "validation_rows": 10,
        "probe_rows": 5,
        "sample": False,
    }
    assert {"name", "_", *data} >= set(vars(SETTING.data)), "a new field of Images belongs here"
    for name, value in data.items():
        assert setting_record(replace(SETTING, data=replace(SETTING.data, **{name: value}))) != whole
    noises = [UniformNoise(0.4), UniformNoise(0.4, keep_true=False), PairFlips(0.4), UniformNoise(0.2)]
    said = [str(setting_record(replace(SETTING, data=replace(SETTING.data, noise=noise)))) for noise in noises]
    assert len(set(said)) == len(noises)
    optimisers = [
        Sgd(momentum=0.9),
        Sgd(momentum=0.9, nesterov=True),
        Adam(),
        Adam(decoupled=True),
        Adam(betas=(0.8, 0.9)),
    ]
    said = [str(setting_record(replace(SETTING, optimiser=optimiser))) for optimiser in optimisers]
    assert len(set(said)) == len(optimisers), "a PGT recipe with Nesterov once shared its key with a TCE recipe without"


def test_a_description_tells_objectives_apart():
    import functools

    from companion import NormLoss, TamedCrossEntropy, length_stability
    from companion.methods.baselines import GeneralizedCrossEntropy, clip_by_norm_

    network = torch.nn.Linear(3, 2)
    objectives = [
        Objective(),
        Objective(criterion=TamedCrossEntropy(0.5)),
        Objective(criterion=TamedCrossEntropy(1.0)),
        Objective(criterion=GeneralizedCrossEntropy(q=0.5)),
        Objective(criterion=functools.partial(torch.nn.functional.cross_entropy, label_smoothing=0.1)),
        Objective(logit_transform=PartialNorm(2.0)),
        Objective(penalties={"stability": (length_stability, 0.1)}),
        Objective(penalties={"stability": (length_stability, 0.2)}),
        Objective(penalties={"norm": (NormLoss(network), 0.1)}),
        Objective(decoupled={"norm": (NormLoss(network), 0.1)}),
        Objective(clip=functools.partial(clip_by_norm_, max_norm=1.0)),
        Objective(head=AMSoftmaxHead(3, 2, scale=8.0)),
        Objective(head=AMSoftmaxHead(3, 2, scale=9.0)),
    ]
    for first, second in itertools.combinations([described(objective) for objective in objectives], 2):
        assert first != second
    assert described(Objective(criterion=TamedCrossEntropy(0.5))) == described(objectives[1])
    with pytest.raises(ValueError, match="has no name that a record could hold"):
        described(Objective(criterion=lambda z, y: z.sum()))


@pytest.mark.parametrize("name", names())
def test_equal_records_build_equal_objectives(name):
    """Over all experiments and sizes: what a record says decides the loss of a batch to the last bit."""
    generator = torch.Generator().manual_seed(0)
    seen: dict[str, float] = {}
    for profile in PROFILES:
        chosen = experiment(name, profile)
        for setting in chosen.settings:
            more = {"name": "cora"} if isinstance(setting.data, Graph) else {}  # of the graphs this one has a sample
            setting = replace(setting, data=replace(setting.data, sample=True, **more))
            source = source_of(setting.data, "cpu")
            network = network_of(setting, source, 0)
            plan = make_plan(chosen, setting, source, RunStore("nowhere"))
            z = 3 * torch.randn(16, source.classes, generator=generator.manual_seed(1))
            y = torch.randint(0, source.classes, (16,), generator=generator)
            for draw in plan.draws:
                for arm in chosen.arms:
                    for point, records in zip(
                        draw.rounds[0].points[arm.name], draw.rounds[0].records[arm.name], strict=True
                    ):
                        objective = build_objective(arm.build, point, network, source.classes)
                        if objective.head is not None:
                            continue
                        loss = objective(z, y, model=network)["loss"].item()
                        record = records[0]
                        key = f"{record.builder} {record.knobs} {record.objective} {setting.network}"
                        assert seen.setdefault(key, loss) == loss
                        assert described(objective) == record.objective


@pytest.mark.parametrize("name", names())
def test_every_experiment_keeps_the_rules(name):
    chosen = registered()[name]
    if chosen.first_recording:
        assert chosen.rules_broken(), "an experiment that keeps the rules needs no exemption"
        return
    for profile in ("laptop", "gpu"):
        assert chosen.at(profile).rules_broken() == []


def test_the_rules_say_what_is_broken():
    lawful = Experiment(ARMS, (SETTING,), SameRate("P-ON", "vanilla"))
    assert lawful.rules_broken() == []
    constant = replace(SETTING, schedule=Constant())
    graph = Setting(Graph("cora", sample=True), Network("gcn"), Adam(), Cosine())
    for changes, word in (
        ({"search": Search(seeds=1)}, "1 search seeds, at least 2"),
        ({"search": Search(tail=0.05)}, "less than the last tenth"),
        ({"search": Search(moves=0)}, "does not move"),
        ({"search": Search(shared=True)}, "share one list"),
        ({"settings": (constant,)}, "does not decay"),
        ({"settings": (graph,)}, "at least 10"),
        ({"controls": SameRate("P-ON", "vanilla")[:1]}, "equal rates from both sides"),
    ):
        (said,) = replace(lawful, **changes).rules_broken()
        assert word in said


def test_sizes_change_what_they_say_and_smoke_is_small():
    whole = Experiment(
        ARMS,
        (replace(SETTING, measure_at=(0, 50)),),
        sizes={"gpu": {"seeds": 10, "epochs": 200, "search": Search(points=20)}},
    )
    gpu, laptop, smoke = (whole.at(profile) for profile in ("gpu", "laptop", "smoke"))
    assert (gpu.seeds, gpu.settings[0].epochs, gpu.search.points) == (tuple(range(10)), 200, 20)
    assert gpu.settings[0].epochs_measured() == standard_epochs(200)
    assert (laptop.seeds, laptop.settings) == (tuple(range(5)), whole.settings)
    assert (smoke.seeds, smoke.settings[0].epochs, smoke.settings[0].data.sample) == ((0, 1), 5, True)
    assert (smoke.search.points, smoke.search.epochs, len(smoke.search.seeds)) == (2, 2, 1)
    with pytest.raises(ValueError, match="profile must be one of 'smoke', 'laptop', 'gpu', got 'huge'"):
        whole.at("huge")


def test_what_does_not_fit_is_said_at_once():
    for changes, message in (
        ({"arms": (*ARMS, ARMS[0])}, "must differ in their names, got vanilla twice"),
        (
            {"controls": (SamePoint("nothing", "P-ON"),)},
            'an arm of the control "nothing at P-ON\'s rate" must be one of',
        ),
        ({"settings": (SETTING, SETTING)}, "settings must differ"),
        ({"sizes": {"huge": {}}}, "sizes must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            Experiment(**{"arms": ARMS, "settings": (SETTING,), **changes})
    with pytest.raises(ValueError, match="record must be one of"):
        replace(SETTING, record=("nothing",))
    with pytest.raises(ValueError, match="precision must be one of"):
        replace(SETTING, precision="half")


def test_noise_measures_every_epoch():
    noisy = replace(SETTING, data=replace(SETTING.data, noise=UniformNoise(0.4)), epochs=30)
    assert noisy.epochs_measured() == tuple(range(31))
    assert replace(SETTING, epochs=30).epochs_measured() == standard_epochs(30)


def test_points_of_an_arm_are_untied():
    """No knob follows the learning rate: for every arm, draw and round the ranks are nearly uncorrelated."""
    arm = Arm("both", ball, threshold=Log(1.0, 32.0), slope=Linear(0.0, 1.0))
    for seed in range(20):
        points = draw_points(arm, SETTING.lr, Search(points=12), seed * 1000)
        columns = torch.tensor([[point[name] for point in points] for name in ("lr", "threshold", "slope")]).double()
        ranks = columns.argsort(1).argsort(1).double()
        ties = torch.corrcoef(ranks) - torch.eye(3)
        assert ties.abs().max() < 0.25
        for row in ranks:
            assert sorted(row.tolist()) == list(range(12))
        assert points == draw_points(arm, SETTING.lr, Search(points=12), seed * 1000)
    assert draw_points(arm, SETTING.lr, Search(), 0) != draw_points(arm, SETTING.lr, Search(), 7)


def test_the_first_recording_reads_all_arms_off_one_list():
    chosen = Experiment(ARMS, (SETTING,), search=Search(points=3, shared=True))
    points = shared_points(chosen, SETTING.lr)
    assert [point["lr"] for point in points["vanilla"]] == [point["lr"] for point in points["P-ON"]]
    assert set(points["vanilla"][0]) == {"lr"}
    assert set(points["P-ON"][0]) == {"lr", "threshold"}


def test_builders_get_what_they_ask_for():
    source = source_of(SETTING.data, "cpu")
    network = network_of(SETTING, source, 0)
    objective = build_objective(headed, {"lr": 0.1, "weight_decay": 0.0, "scale": 5.0}, network, 10, seed=3)
    assert objective.head.weight.shape == (10, 8)
    again = build_objective(headed, {"scale": 5.0}, network, 10, seed=3)
    other = build_objective(headed, {"scale": 5.0}, network, 10, seed=4)
    assert torch.equal(objective.head.weight, again.head.weight)
    assert not torch.equal(objective.head.weight, other.head.weight)


def test_parts_are_the_cells_of_a_two_by_two():
    controls = Parts("P-ON", "vanilla", ball_alone=("threshold",), penalty_alone=("stability",))
    assert [(control.name, control.arm, control.keep) for control in controls] == [
        ("ball alone at P-ON's point", "P-ON", ("threshold",)),
        ("penalty alone at P-ON's point", "P-ON", ("stability",)),
        ("vanilla at P-ON's rate", "vanilla", None),
    ]
