"""An experiment as data: arms, settings, how they are searched, and what they are controlled against.

def tamed(alpha): return Objective(criterion=TamedCrossEntropy(alpha))

EXPERIMENTS = {
    "tce-mnist": Experiment(
        arms=(Arm("vanilla", Objective), Arm("TCE", tamed, alpha=Log(0.1, 2.0))),
        settings=(Setting(Images("mnist", noise=UniformNoise(0.4)), Network("mlp", sizes=(784, 256)), Sgd(), Cosine()),),
        controls=SameRate("TCE", "vanilla"),
    )
}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

from companion._checks import check_choice, check_count, check_number
from companion.data.human_labels import HumanLabels
from companion.data.label_noise import PairFlips, TransitionNoise, UniformNoise
from companion.experiments.ranges import Log, Range
from companion.objective import Objective
from companion.training.images import Recipe
from companion.training.optimisers import Optimiser
from companion.training.probes import PROBES, STANDARD
from companion.training.schedules import Cosine, Schedule

__all__ = [
    "PROFILES",
    "Arm",
    "Control",
    "Experiment",
    "Graph",
    "Here",
    "Images",
    "Network",
    "Parts",
    "SamePoint",
    "SameRate",
    "Search",
    "Setting",
]

PROFILES = ("smoke", "laptop", "gpu")
OWN_KNOBS = ("lr", "weight_decay")
"""Knobs that the optimiser takes; all others go to the arm's builder."""

Noise = UniformNoise | PairFlips | TransitionNoise | HumanLabels


class Arm:
    """A named way to train: a builder of objectives, and the knobs it turns.

    Args:
        name: as tables and plots show it.
        build: knobs → `companion.Objective`: a named function of a module, so that a record can name it. Of its arguments,
            ``model``, ``num_classes`` and ``in_features`` are given by the trainee, where they are asked for; every other is a knob.
            Knobs that an arm does not turn stand at the builder's own defaults, at which they should do nothing.
        **knobs: name to a range, which the search draws from, or to a fixed value. ``weight_decay`` goes to the optimiser.

    Example:
        >>> from companion.experiments.ranges import Log
        >>> Arm("vanilla", Objective, weight_decay=Log(1e-5, 1e-2)).searched
        ('weight_decay',)
    """

    def __init__(self, name: str, build: Callable[..., Objective], **knobs: Any) -> None:
        if not callable(build):
            raise TypeError(f"build must be callable, got {build!r}")
        if "<" in getattr(build, "__qualname__", "<"):
            raise ValueError(
                f"build must be a named function or class of a module, which a record can name, got {build!r}"
            )
        if "lr" in knobs:
            raise ValueError("lr is searched by every arm over the range of the setting: it is no knob of an arm")
        self.name, self.build, self.knobs = name, build, dict(knobs)

    @property
    def searched(self) -> tuple[str, ...]:
        """The knobs that a search draws, without the learning rate."""
        return tuple(name for name, value in self.knobs.items() if isinstance(value, Range))

    @property
    def fixed(self) -> dict[str, Any]:
        """The knobs that stand still."""
        return {name: value for name, value in self.knobs.items() if not isinstance(value, Range)}

    @property
    def builder(self) -> str:
        """What a record calls the builder."""
        return f"{self.build.__module__}.{self.build.__qualname__}"

    def __repr__(self) -> str:
        knobs = "".join(f", {name}={value!r}" for name, value in self.knobs.items())
        return f"Arm({self.name!r}, {self.build.__qualname__}{knobs})"


@dataclass(frozen=True)
class Images:
    """Images to train on.

    Attributes:
        name: of a data set that `companion.data.load` knows.
        augment: see `companion.training.images.Recipe`.
        noise: of the training labels, each seed its own draw; ``None`` for none. Test labels are never touched.
        rows: training images used, the first of a fixed permutation; ``None`` for all.
        validation_rows: held out of training, by a fixed permutation: in a search always, in final runs where labels are noisy
            (for the second stopping rule). Their labels are as noisy as the others.
        probe_rows: training rows, fixed, on which training probes are taken.
        sample: the sample that ships with the package.
    """

    name: str
    _: KW_ONLY
    augment: tuple[str, ...] = ()
    noise: Noise | None = None
    rows: int | None = None
    validation_rows: int = 10_000
    probe_rows: int = 10_000
    sample: bool = False


@dataclass(frozen=True)
class Graph:
    """A citation graph to train on; each seed has its own random split.

    Attributes:
        name: of a data set that `companion.data.load` knows.
        ratios: of the split into training, validation and test nodes.
        sample: the sample that ships with the package.
    """

    name: str
    _: KW_ONLY
    ratios: tuple[float, float, float] = (0.6, 0.2, 0.2)
    sample: bool = False


@dataclass(frozen=True, init=False)
class Network:
    """A network by name, see `companion.models.build`.

    Args:
        name: of the network.
        **options: what its builder takes besides ``num_classes``, ``num_features`` and ``generator``, which come with data and seed.
    """

    name: str
    options: Mapping[str, Any]

    def __init__(self, name: str, **options: Any) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "options", options)


def standard_epochs(epochs: int) -> tuple[int, ...]:
    """Return epochs at which to measure: each of the first ten, then ever fewer, then the last.

    Example:
        >>> standard_epochs(30)
        (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 25, 30)
    """
    wanted = (*range(11), *range(12, 21, 2), *range(25, 101, 5), *range(120, epochs, 20), epochs)
    return tuple(sorted({epoch for epoch in wanted if epoch <= epochs}))


@dataclass(frozen=True)
class Setting:
    """What all arms of a comparison share: data, network, and how it is trained.

    Attributes:
        data: images or a graph.
        network: by name.
        optimiser, schedule: values of `companion.training`.
        lr: range of the top learning rate, searched by every arm; it moves for all arms when an arm's best lies at its edge.
        epochs: of the final runs.
        batch_size, precision, channels_last, accumulate: see `companion.training.images.Recipe`.
        record: names of the probes to record.
        measure_at: epochs of the final runs after which to measure; ``None``: with noise all, else `standard_epochs`.
        name: as tables show it; by default data set and network.
        stack: how many seeds of a point train together; it changes the speed alone.
        version: raised when the code changes what a record means.
    """

    data: Images | Graph
    network: Network
    optimiser: Optimiser
    schedule: Schedule = field(default_factory=Cosine)
    _: KW_ONLY
    lr: Log = field(default_factory=lambda: Log(0.003, 0.3))
    epochs: int = 100
    batch_size: int = 128
    precision: str = "float32"
    channels_last: bool = False
    accumulate: int = 1
    record: tuple[str, ...] = STANDARD
    measure_at: tuple[int, ...] | None = None
    name: str = ""
    stack: int = 1
    version: int = 1

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"{self.data.name}/{self.network.name}")
        for name in self.record:
            check_choice("record", name, PROBES)
        check_count("stack", self.stack)
        self.recipe()  # its own checks, at once

    @property
    def noisy(self) -> bool:
        """Whether the training labels are noisy."""
        return isinstance(self.data, Images) and self.data.noise is not None

    def recipe(self) -> Recipe:
        """Return what a training step reads."""
        return Recipe(
            optimiser=self.optimiser,
            schedule=self.schedule,
            epochs=self.epochs,
            batch_size=self.batch_size,
            augment=self.data.augment if isinstance(self.data, Images) else (),
            precision=self.precision,
            channels_last=self.channels_last,
            accumulate=self.accumulate,
            record=self.record,
        )

    def epochs_measured(self) -> tuple[int, ...]:
        """Return the epochs after which final runs are measured; the last is one in any case."""
        if self.measure_at is not None:
            return tuple(sorted({*self.measure_at, self.epochs}))
        return tuple(range(self.epochs + 1)) if self.noisy else standard_epochs(self.epochs)


@dataclass(frozen=True)
class Search:
    """How learning rate and knobs are chosen, alike for every arm.

    Attributes:
        points: how many an arm gets.
        seeds: runs a point, at least two (graphs: ten); or the seeds themselves.
        epochs: of a search run, with the schedule of the final runs; ``None`` for as many as those.
        tail: a point's score is its mean validation error over this share of the last epochs; 0 takes the last alone.
        draws: how often the whole search is drawn and its choice trained; the spread between draws is that of tuning.
        moves: how often the range of the learning rate may move because an arm's best is the lowest or highest drawn.
        shared: all arms read their coordinates off one list of points, as in the first recording; else each arm has points of
            its own, drawn so that learning rate and knobs are not tied to each other.
    """

    points: int = 12
    seeds: int | tuple[int, ...] = 2
    epochs: int | None = None
    tail: float = 0.1
    draws: int = 1
    moves: int = 3
    shared: bool = False

    def __post_init__(self) -> None:
        for name in ("points", "draws"):
            check_count(name, getattr(self, name))
        check_count("moves", self.moves, at_least=0)
        check_number("tail", self.tail, at_least=0, at_most=1)
        if isinstance(self.seeds, int):
            check_count("seeds", self.seeds)
            object.__setattr__(self, "seeds", tuple(range(1000, 1000 + self.seeds)))

    def scored_epochs(self, epochs: int) -> tuple[int, ...]:
        """Return the epochs whose validation errors make a point's score.

        Example:
            >>> Search().scored_epochs(30), Search(tail=0).scored_epochs(30)
            ((28, 29, 30), (30,))
        """
        return tuple(range(epochs - max(1, round(self.tail * epochs)) + 1, epochs + 1))


@dataclass(frozen=True)
class Control:
    """An arm trained at something that its own search did not choose, so that one difference is left.

    Attributes:
        name: as tables show it.
        arm: whose builder, fixed knobs and chosen values it has, but for the following.
        rate_of: the arm whose chosen learning rate it takes; ``None`` for its own.
        point_of: the arm whose chosen values it takes wherever it has the knob, the learning rate too.
        keep: the knobs that stay turned, the others standing at the builder's defaults; ``None`` for all.
    """

    name: str
    arm: str
    rate_of: str | None = None
    point_of: str | None = None
    keep: tuple[str, ...] | None = None


def SameRate(better: str, baseline: str) -> tuple[Control, Control]:
    """Return the controls at equal learning rates from both sides: the baseline at the method's, the method at the baseline's.

    Example:
        >>> [control.name for control in SameRate("TCE", "vanilla")]
        ["vanilla at TCE's rate", "TCE at vanilla's rate"]
    """
    return (
        Control(f"{baseline} at {better}'s rate", baseline, rate_of=better),
        Control(f"{better} at {baseline}'s rate", better, rate_of=baseline),
    )


def SamePoint(arm: str, other: str) -> Control:
    """Return the control of an arm at all that another arm chose, as far as it has the knobs."""
    return Control(f"{arm} at {other}'s rate", arm, point_of=other)


def Parts(whole: str, baseline: str, **parts: Sequence[str]) -> tuple[Control, ...]:
    """Return what a 2×2 of a method's parts lacks: each part alone at the whole method's knobs and rate, and none of them.

    Args:
        whole: the arm with all parts.
        baseline: the arm with none, trained at the whole's rate.
        **parts: name of a part (underscores become spaces) to the knobs that make it.

    Example:
        >>> [control.name for control in Parts("P-ON", "vanilla", ball_alone=("threshold",))]
        ["ball alone at P-ON's point", "vanilla at P-ON's rate"]
    """
    alone = tuple(
        Control(f"{name.replace('_', ' ')} at {whole}'s point", whole, keep=tuple(knobs))
        for name, knobs in parts.items()
    )
    return (*alone, Control(f"{baseline} at {whole}'s rate", baseline, rate_of=whole))


SMOKE = {"search": Search(points=2, seeds=1, epochs=2, moves=0), "seeds": 2, "epochs": 5, "sample": True}
"""What the size ``smoke`` changes, unless an experiment says otherwise: seconds on the packaged samples, to see that it runs."""


@dataclass(frozen=True)
class Here:
    """How a reader trains one network an arm in minutes, at stated values: a look, no evidence.

    Attributes:
        knobs: name to value, the learning rate ``lr`` among them; an arm takes those that it has.
        sizes: profile to setting: ``gpu`` on CUDA, at most five minutes for two arms on a T4; ``laptop`` on Apple's MPS, the
            same, smaller; ``smoke`` on a processor, seconds on a sample that ships with the package.
    """

    knobs: Mapping[str, Any]
    sizes: Mapping[str, Setting]

    def __post_init__(self) -> None:
        if "lr" not in self.knobs or set(self.sizes) != set(PROFILES):
            raise ValueError(
                f"here needs the knob 'lr' and a size for each of {', '.join(PROFILES)}, "
                f"got the knobs {', '.join(self.knobs)} and the sizes {', '.join(self.sizes)}"
            )


@dataclass(frozen=True)
class Experiment:
    """Arms in settings, searched, trained with several seeds, and controlled.

    Attributes:
        arms: the first is the one that tables compare with.
        settings: each is a comparison of its own.
        controls: trained last.
        search: how knobs are chosen.
        seeds: of the final runs: how many, or the seeds themselves.
        sizes: profile → what it changes: ``search``, ``seeds``, ``settings``, ``sample``, or any field of every setting.
        first_recording: made before the rules of `rules_broken` were fixed; kept as it was.
        here: how a reader trains it in minutes; ``None`` for not at all.

    Raises:
        ValueError: two arms or controls share a name, or a control names no arm.
    """

    arms: tuple[Arm, ...]
    settings: tuple[Setting, ...]
    controls: tuple[Control, ...] = ()
    search: Search = field(default_factory=Search)
    seeds: int | tuple[int, ...] = 5
    sizes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    first_recording: bool = False
    here: Here | None = None

    def __post_init__(self) -> None:
        if isinstance(self.seeds, int):
            object.__setattr__(self, "seeds", tuple(range(self.seeds)))
        names = [part.name for part in (*self.arms, *self.controls)]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"arms and controls must differ in their names, got {', '.join(sorted(twice))} twice")
        settings = [setting.name for setting in self.settings]
        if len(set(settings)) < len(settings):
            raise ValueError(f"settings must differ in their names, got {', '.join(settings)}")
        for control in self.controls:
            for arm in (control.arm, control.rate_of, control.point_of):
                if arm is not None:
                    check_choice(f"an arm of the control {control.name!r}", arm, [arm.name for arm in self.arms])
        for profile in self.sizes:
            check_choice("sizes", profile, PROFILES)

    def arm(self, name: str) -> Arm:
        """Return the arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def at(self, profile: str) -> Experiment:
        """Return the experiment at a size.

        Raises:
            ValueError: an unknown profile.
        """
        check_choice("profile", profile, PROFILES)
        changes = dict(self.sizes.get(profile, {}))
        if profile == "smoke":
            changes = {**SMOKE, **changes}
        own = {name: changes.pop(name) for name in ("search", "seeds") if name in changes}
        settings = changes.pop("settings", self.settings)
        sample = changes.pop("sample", False)
        resized = []
        for setting in settings:
            data = replace(setting.data, sample=sample or setting.data.sample)
            if isinstance(data, Images) and sample:
                data = replace(data, validation_rows=400, probe_rows=256, rows=None)
            # what is measured at which epoch is a matter of the epochs
            measure_at = {"measure_at": None} if "epochs" in changes and "measure_at" not in changes else {}
            resized.append(replace(setting, data=data, **{**measure_at, **changes}))
        return replace(self, settings=tuple(resized), sizes={}, **own)

    def rules_broken(self) -> list[str]:
        """Return in words which of the rules for recorded experiments do not hold; the size ``smoke`` records nothing.

        Every search has at least two seeds a point (graphs: ten), is scored over the last tenth of its epochs, moves its range of
        learning rates when an arm's best lies at the edge, and gives each arm points of its own; rates decay (to zero, or by steps to a twentieth); every arm
        but the first is compared with the first at equal rates from both sides.
        """
        broken = []
        for setting in self.settings:
            least = 10 if isinstance(setting.data, Graph) else 2
            if len(self.search.seeds) < least:
                broken.append(f"{setting.name}: {len(self.search.seeds)} search seeds, at least {least} are asked for")
            if setting.schedule.factor(10**6 - 1, 10**6) > 0.05:
                broken.append(f"{setting.name}: the learning rate does not decay")
        if self.search.tail < 0.1:
            broken.append("the search is scored on less than the last tenth of its epochs")
        if not self.search.moves:
            broken.append("the range of learning rates does not move")
        if self.search.shared:
            broken.append("all arms share one list of points")
        sides = {(control.arm, control.rate_of) for control in self.controls}
        first = self.arms[0].name
        both = [arm.name for arm in self.arms[1:] if {(first, arm.name), (arm.name, first)} <= sides]
        if len(self.arms) > 1 and not both:
            broken.append(f"no arm is compared with {first} at equal rates from both sides")
        return broken
