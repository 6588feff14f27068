"""What an experiment is made of: a search space, a recipe with its arms, and where recipes are found.

Every module of this package that defines ``EXPERIMENTS`` (name → profile → recipes, one a setting) adds its experiments.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from companion._checks import check_choice
from companion.experiments.runners import ImageRunner, Runner
from companion.models.mlp import MLP
from companion.objective import Objective
from companion.training.images import ImageTrainee
from companion.training.records import RunRecord

Ranges = tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class SearchSpace:
    """A box in the logarithms of learning rate and knobs, and how its points are drawn.

    Attributes:
        ranges: (name, low, high) of each; the order fixes which Sobol coordinate is whose.
        points: how many points.
        seed: of the scrambling.

    Example:
        >>> SearchSpace((("lr", 0.01, 0.5), ("strength", 0.1, 2.0)), points=1).draw()
        [{'lr': 0.03166, 'strength': 0.3658}]
    """

    ranges: Ranges
    points: int = 12
    seed: int = 2026

    def draw(self) -> list[dict[str, float]]:
        """Return the points, rounded to four significant digits so that a record reads well."""
        sobol = torch.quasirandom.SobolEngine(len(self.ranges), scramble=True, seed=self.seed)
        return [
            {
                name: float(f"{math.exp(math.log(low) + u * (math.log(high) - math.log(low))):.4g}")
                for (name, low, high), u in zip(self.ranges, row, strict=True)
            }
            for row in sobol.draw(self.points).double().tolist()
        ]


@dataclass(frozen=True)
class Recipe(ABC):
    """One setting of an experiment at one size, all of it frozen; a subclass says what is trained.

    Of the class, the same at every size:

    - ``arms``: name → the knobs it turns. The first arm is the one that tables compare with.
    - ``neutral``: knob → its value in the arms that do not turn it, where it should do nothing.
    - ``ranges``: (name, low, high) of ``lr`` and of every knob that an arm turns: what is searched, in logarithms.
    - ``controls``: name → (arm, other): the arm's knobs at the search point that the other arm chose; or
      (arm, other, "lr"): the arm's own choice, but for the learning rate, which is the other's. Trained last.
    - ``version``: raised when the code changes what a record means.

    Attributes:
        profile: name of the size.
        points: how many points the search draws; all arms get the same, each uses the coordinates it has.
        search_seeds: the search averages over these.
        seeds: of the final runs.
        epochs: of the final runs.
        sample: use the data that ships with the package.
        measure_at: epochs of the final runs after which everything is measured; after the last it is in any case.
        keep_logits_at: epochs at which the first seed's logits of 200 test rows are kept.
        stack: how many runs train together; it changes the speed alone.

    Raises:
        ValueError: an arm turns a knob that is not in ``ranges`` and ``neutral``, or a control names no arm.
    """

    arms: ClassVar[Mapping[str, tuple[str, ...]]]
    neutral: ClassVar[Mapping[str, float]]
    ranges: ClassVar[Ranges]
    controls: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    version: ClassVar[int] = 1

    profile: str
    _: KW_ONLY
    points: int = 12
    search_seeds: tuple[int, ...] = (100,)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    epochs: int = 100
    sample: bool = False
    measure_at: tuple[int, ...] = (*range(11), *range(12, 21, 2), *range(25, 101, 5))
    keep_logits_at: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 7, 10, 14, 20, 25, 30, 35, 40, 50, 60, 70, 80, 90, 100)
    stack: int = 1

    def __post_init__(self) -> None:
        searched = [name for name, _, _ in self.ranges]
        turned = [
            ("every arm", "lr"),
            *((f"the arm {arm!r}", knob) for arm, knobs in self.arms.items() for knob in knobs),
        ]
        for who, knob in turned:
            if knob not in searched:
                raise ValueError(f"ranges must have {knob!r}, which {who} turns, got {', '.join(searched) or 'none'}")
            if knob != "lr" and knob not in self.neutral:
                raise ValueError(
                    f"neutral must have {knob!r}, which {who} turns, got {', '.join(self.neutral) or 'none'}"
                )
        for control, (*pair, last) in self.controls.items():
            for arm in (*pair, *([last] if last != "lr" else [])):
                check_choice(f"controls[{control!r}]", arm, self.arms)

    @property
    def space(self) -> SearchSpace:
        """What is searched at this size."""
        return SearchSpace(self.ranges, self.points)

    def arm_knobs(self, arm: str, point: Mapping[str, float]) -> dict[str, float]:
        """Return learning rate and knobs of an arm at a search point: its own coordinates, the rest neutral."""
        check_choice("arm", arm, self.arms)
        turned = self.arms[arm]
        knobs = {name: point[name] if name in turned else value for name, value in self.neutral.items()}
        return {"lr": point["lr"], **knobs}

    def control_knobs(
        self, control: str, points: Sequence[Mapping[str, float]], chosen: Mapping[str, int | None]
    ) -> dict[str, float] | None:
        """Return learning rate and knobs of a control, or None while a search that decides them is not over.

        Args:
            control: its name.
            points: the search points.
            chosen: arm to the index of the point that its search chose.
        """
        arm, other, *only = self.controls[control]
        own, theirs = chosen[arm], chosen[other]
        if theirs is None or (only and own is None):
            return None
        if not only:
            return self.arm_knobs(arm, points[theirs])
        return {**self.arm_knobs(arm, points[own]), "lr": points[theirs]["lr"]}

    @property
    @abstractmethod
    def setting(self) -> str:
        """Name of data set and network, ``mnist/mlp-3``."""

    @abstractmethod
    def record(self, knobs: Mapping[str, float], *, checksum: str, seed: int, search: bool) -> RunRecord:
        """Return the record of one run, of the search or of the final training: all that its numbers depend on."""

    @abstractmethod
    def runner(self, device: torch.device) -> Runner:
        """Read the data and return what trains the records."""


@dataclass(frozen=True)
class ImageRecipe(Recipe):
    """A network on images, by default MLP-3 on MNIST under SGD with a constant rate; a subclass gives the `objective`.

    Another network or optimiser: override `build` or `optimiser`, and in `record` say so, since runs with equal records are
    one run.

    Attributes:
        dataset: a name that ``companion.data.load`` knows.
        network: its name.
        sizes: widths of the network.
        search_epochs, validation_rows: the search trains this long on the rows that a fixed permutation leaves after the
            validation rows, and is judged on those; the final runs train on all training rows.
        batch_size: rows a step.
        probe_rows: training rows, fixed, on which training probes are taken.
    """

    trainee: ClassVar[type[ImageTrainee]] = ImageTrainee

    _: KW_ONLY
    dataset: str = "mnist"
    network: str = "mlp-3"
    sizes: tuple[int, ...] = (784, 512, 256, 10)
    search_epochs: int = 20
    validation_rows: int = 10_000
    batch_size: int = 128
    probe_rows: int = 10_000

    @abstractmethod
    def objective(self, knobs: Mapping[str, float]) -> Objective:
        """Return what is trained: a function of the knobs, without ``lr`` and ``weight_decay``, and of nothing else."""

    def build(self, record: RunRecord) -> nn.Module:
        """Return the network of a record, its weights drawn from the seed."""
        return MLP(record.model["sizes"], generator=torch.Generator().manual_seed(record.seed))

    def optimiser(self, parameters: Iterable[Tensor], record: RunRecord) -> torch.optim.Optimizer:
        """Return the optimiser of a record: plain SGD."""
        return torch.optim.SGD(parameters, lr=record.optimiser["lr"], weight_decay=record.optimiser["weight_decay"])

    @property
    def setting(self) -> str:
        """Name of data set and network."""
        return f"{self.dataset}/{self.network}"

    def record(self, knobs: Mapping[str, float], *, checksum: str, seed: int, search: bool) -> RunRecord:
        """Return the record of one run, of the search or of the final training."""
        rows = {
            "train": f"all but the {self.validation_rows} validation rows",
            "test": f"{self.validation_rows} validation rows",
        }
        return RunRecord(
            dataset={
                "name": self.dataset,
                "checksum": checksum,
                **(rows if search else {"train": "all", "test": "test"}),
            },
            model={"name": self.network, "sizes": list(self.sizes)},
            objective={name: value for name, value in knobs.items() if name not in ("lr", "weight_decay")},
            optimiser={"name": "sgd", "lr": knobs["lr"], "weight_decay": knobs.get("weight_decay", 0.0)},
            schedule={
                "kind": "constant",
                "epochs": self.search_epochs if search else self.epochs,
                "batch_size": self.batch_size,
            },
            seed=seed,
            profile=self.profile,
            recipe_version=self.version,
        )

    def runner(self, device: torch.device) -> ImageRunner:
        """Read the images and return what trains the records."""
        return ImageRunner(self, device)


SMOKE: dict[str, Any] = {
    "sample": True, "points": 2, "search_epochs": 2, "validation_rows": 400, "epochs": 5, "seeds": (0, 1),
    "probe_rows": 256, "measure_at": tuple(range(6)), "keep_logits_at": tuple(range(6)),
}  # fmt: skip
"""Fields of an `ImageRecipe` whose runs take seconds: ``MyRecipe("smoke", **SMOKE)``."""


def registered() -> dict[str, dict[str, tuple[Recipe, ...]]]:
    """Return all experiments, name → profile → recipes; this imports the modules of the package, in order of their names.

    Raises:
        ValueError: two modules define one name, or a recipe's profile is not the one it stands under.
    """
    found: dict[str, dict[str, tuple[Recipe, ...]]] = {}
    home: dict[str, str] = {}
    path = importlib.import_module(__package__).__path__
    for entry in sorted(pkgutil.iter_modules(path), key=lambda entry: entry.name):
        module = importlib.import_module(f"{__package__}.{entry.name}")
        for name, profiles in getattr(module, "EXPERIMENTS", {}).items():
            if name in found:
                raise ValueError(
                    f"EXPERIMENTS must differ in their names, got {name!r} in {home[name]} and {entry.name}"
                )
            for profile, recipes in profiles.items():
                for recipe in recipes:
                    check_choice(f"profile of a recipe of {name!r}", recipe.profile, (profile,))
            found[name], home[name] = dict(profiles), entry.name
    return found
