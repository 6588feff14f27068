"""Read the packed files: final numbers of all seeds, curves, logits of some rows, and where all of it was made."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from companion._checks import check_choice
from companion.results.judging import Comparison, compare
from companion.results.statistics import Summary, summary

FORMAT = 2
_FOLDER = Path(__file__).parent


def available() -> tuple[str, ...]:
    """Return the names of the packed experiments."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def load(name: str, *, folder: str | Path | None = None) -> Results:
    """Return the packed results of an experiment.

    Args:
        name: for example ``"pon-mnist"``.
        folder: where to look instead of the package's own folder.

    Raises:
        ValueError: there is no such file; the message lists what there is.
    """
    path = Path(folder or _FOLDER) / f"{name}.json"
    if not path.exists():
        there = sorted(file.stem for file in path.parent.glob("*.json"))
        raise ValueError(f"no results named {name!r}; there are {', '.join(map(repr, there)) or 'none yet'}")
    return Results(json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Results:
    """Recorded runs of one experiment.

    An experiment has one or more settings (a data set and a network, ``"mnist/mlp-3"``, ``"cora/gat"``); ``results[setting]``
    is the part of one. What is asked of an arm needs a single setting.

    Attributes:
        data: the packed file, as read.
    """

    data: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self.data["experiment"]

    @property
    def profile(self) -> str:
        """Size the runs were made at: ``smoke``, ``laptop`` or ``gpu``."""
        return self.data["profile"]

    @property
    def complete(self) -> bool:
        """Whether every run of the experiment is in; if not, ``missing`` says which are not."""
        return not self.data["missing"]

    @property
    def missing(self) -> tuple[str, ...]:
        """What the experiment asks for and the file lacks, in words."""
        return tuple(_in_words(entry) for entry in self.data["missing"])

    def unfinished(self, arm: str) -> bool:
        """Say whether runs of an arm are still missing, so that its numbers may yet move.

        Example:
            >>> from companion import results
            >>> isinstance(results.load("pon-mnist").unfinished("vanilla"), bool)
            True
        """
        return any(entry["arm"] == arm and not entry.get("draw") for entry in self.data["missing"])

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings."""
        return tuple(self.data["settings"])

    def __getitem__(self, setting: str) -> Results:
        """Return the part of one setting."""
        if setting not in self.data["settings"]:
            raise ValueError(f"{self.name} has no setting {setting!r}; it has {', '.join(self.settings)}")
        missing = [entry for entry in self.data["missing"] if entry["setting"] == setting]
        return type(self)({**self.data, "missing": missing, "settings": {setting: self.data["settings"][setting]}})

    @cached_property
    def _setting(self) -> dict[str, Any]:
        if len(self.settings) != 1:
            raise ValueError(
                f"{self.name} has several settings; choose one: results[{self.settings[0]!r}], of {', '.join(self.settings)}"
            )
        return self.data["settings"][self.settings[0]]

    def _arm(self, arm: str) -> dict[str, Any]:
        arms = {**self._setting["arms"], **self._setting.get("controls", {})}
        if arm not in arms:
            raise ValueError(f"{self.name} has no arm {arm!r}; it has {', '.join(arms)}")
        return arms[arm]

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in the recipe's order."""
        return tuple(self._setting["arms"])

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the controls: arms at something that their own search did not choose."""
        return tuple(self._setting.get("controls", {}))

    def same_rate(self, better: str, baseline: str) -> tuple[str | None, str | None]:
        """Return the controls at equal learning rates: the baseline at better's, better at the baseline's; None for none.

        Two arms that chose the same rate, and have no control, are each other's.

        Example:
            >>> from companion import results
            >>> results.load("pon-mnist").same_rate("P-ON", "vanilla")
            ("vanilla at P-ON's rate", "P-ON at vanilla's rate")
        """

        def control(arm: str, rate_of: str) -> str | None:
            for name, said in self._setting.get("controls", {}).items():
                if said["arm"] == arm and rate_of in (said["rate_of"], said["point_of"]) and said["keep"] is None:
                    return name
            return None

        found = control(baseline, better), control(better, baseline)
        records = [self._arm(arm)["record"] for arm in (better, baseline)]
        if found == (None, None) and None not in records and records[0]["knobs"]["lr"] == records[1]["knobs"]["lr"]:
            return baseline, better
        return found

    @property
    def rows(self) -> Literal["fixed", "split"]:
        """Whether all seeds are tested on the same rows, or each on its own split."""
        return self._setting["rows"]

    @property
    def test_share(self) -> float:
        """Test rows over training rows, where each seed has its own split."""
        return self._setting["test_share"]

    @property
    def noisy(self) -> bool:
        """Whether the training labels are noisy, so that stopping rules matter."""
        return self._setting["noisy"]

    @property
    def draws(self) -> int:
        """How often the search was drawn."""
        return 1 + len(self._setting["draws"])

    def draw(self, index: int) -> Results:
        """Return the part of one draw of the search, 0 the first: its choices and their final runs, without controls."""
        if not 0 <= index < self.draws:
            raise ValueError(f"index must be in [0, {self.draws}), got {index}")
        if index == 0:
            return self
        part = {**self._setting, "arms": self._setting["draws"][index - 1], "controls": {}, "draws": []}
        missing = [{**entry, "draw": 0} for entry in self.data["missing"] if entry["draw"] == index]
        return type(self)({**self.data, "missing": missing, "settings": {self.settings[0]: part}})

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics of the final runs."""
        return tuple(dict.fromkeys(name for arm in self.arms for run in self._runs(arm) for name in run["metrics"]))

    def _runs(self, arm: str) -> list[dict[str, Any]]:
        return [self.data["runs"][key] for key in self._arm(arm)["keys"]]

    def seeds(self, arm: str) -> tuple[int, ...]:
        """Return the seeds of an arm's final runs."""
        return tuple(self._arm(arm)["seeds"])

    def diverged(self, arm: str) -> int:
        """Return how many of an arm's final runs diverged: their training loss is no longer a number.

        Example:
            >>> from companion import results
            >>> results.load("pon-mnist").diverged("vanilla")
            0
        """
        if not self.seeds(arm) or "train_loss" not in self.metrics:
            return 0
        return sum(not math.isfinite(value) for value in self.final(arm, "train_loss"))

    def curve(self, arm: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Return epochs (E,) and values (n, E) of the seeds whose whole curves are kept, the first few; epoch 0 is before training."""
        runs = [run for run in self._measured(arm, metric) if len(run["metrics"][metric]) == len(run["epochs"])]
        values = [[math.nan if value is None else value for value in run["metrics"][metric]] for run in runs]
        return np.array(runs[0]["epochs"]), np.array(values, dtype=np.float64)

    def final(self, arm: str, metric: str = "test_error") -> np.ndarray:
        """Return the values after the last epoch, (n,), one a seed."""
        last = [run["metrics"][metric][-1] for run in self._measured(arm, metric)]
        return np.array([math.nan if value is None else value for value in last], dtype=np.float64)

    def stopped(self, arm: str, rule: str = "last epoch", metric: str = "test_error") -> np.ndarray:
        """Return a metric at the epoch that a stopping rule takes, (n,), one a seed.

        Args:
            arm: which.
            rule: ``"last epoch"``; ``"best validation"``, the epoch with the lowest error on the held-out rows, whose labels are as
                noisy as the training labels; ``"best test"``, the one with the lowest test error, as many papers report it.
            metric: ``"test_error"`` or another whose whole curves are kept of every seed.

        Raises:
            ValueError: an unknown rule, or curves that were not kept.
        """
        by = {"last epoch": None, "best validation": "validation_error", "best test": "test_error"}
        check_choice("rule", rule, by)
        if by[rule] is None:
            return self.final(arm, metric)
        _, guide = self.curve(arm, by[rule])
        _, values = self.curve(arm, metric)
        if len(values) < len(self.seeds(arm)) or len(guide) < len(self.seeds(arm)):
            raise ValueError(
                f"{self.name} keeps whole curves of {metric!r} of {len(values)} of {len(self.seeds(arm))} seeds only"
            )
        return values[np.arange(len(values)), np.nanargmin(guide, axis=1)]

    def _measured(self, arm: str, metric: str) -> list[dict[str, Any]]:
        runs = self._runs(arm)
        if not runs:
            raise ValueError(f"{self.name} holds no final run of {arm!r} yet")
        if metric not in runs[0]["metrics"]:
            raise ValueError(f"{self.name} has no metric {metric!r}; it has {', '.join(self.metrics)}")
        return runs

    def summary(self, arm: str, metric: str = "test_error") -> Summary:
        """Return mean, sample deviation and n of the final values."""
        return summary(self.final(arm, metric))

    def record(self, arm: str) -> dict[str, Any]:
        """Return the frozen record of an arm's final runs, without the seed."""
        record = self._arm(arm)["record"]
        if record is None:
            raise ValueError(f"the search of {arm!r} is not over: it has no final record yet")
        return record

    def compare(self, better: str, baseline: str, *, effect: float | None = None, **options: Any) -> Comparison:
        """Return the comparison of two arms; see `companion.results.compare`.

        Example:
            >>> from companion import results
            >>> results.load("pon-mnist").compare("P-ON", "vanilla").state
            'ok'
        """
        return compare(self, better, baseline, effect=effect, **options)

    def knobs(self, arm: str) -> dict[str, Any]:
        """Return the arm's ``lr`` and its knobs, and a weight decay that the setting gives to every arm.

        Example:
            >>> from companion import results
            >>> sorted(results.load("pon-graphs")["cora/gcn"].knobs("norm only"))
            ['lr', 'threshold', 'weight_decay']
        """
        record = self.record(arm)
        decay = record["setting"]["optimiser"]["weight_decay"]
        return {
            **record["knobs"],
            **({"weight_decay": decay} if decay and "weight_decay" not in record["knobs"] else {}),
        }

    def search(self, arm: str) -> list[dict[str, float]]:
        """Return the points searched for an arm: its knobs, ``error`` and ``loss`` on validation rows, ``chosen``."""
        return self._arm(arm)["search"]

    def keys(self, arm: str) -> tuple[str, ...]:
        """Return the keys of the arm's final runs, one a seed."""
        return tuple(self._arm(arm)["keys"])

    def correct(self, arm: str) -> np.ndarray:
        """Return which test rows the final networks classify correctly, bool (n, rows).

        The rows are the test set in order, or the test nodes of the seed's own split in ascending order.
        """
        runs = self._runs(arm)
        packed = [np.frombuffer(base64.b64decode(run["correct"]), np.uint8) for run in runs]
        return np.array(
            [np.unpackbits(bits, count=run["rows"]) for bits, run in zip(packed, runs, strict=True)], dtype=bool
        )

    def logits(self, arm: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return epochs (E,), raw logits (E, 200, C) of fixed test rows of the first seed, and their labels (200,)."""
        runs = self._runs(arm)
        stored = runs[0]["logits"] if runs else {}
        if not stored:
            raise ValueError(f"{self.name} holds no logits of {arm!r}")
        labels, classes = np.array(self._setting["logit_labels"]), self._setting["classes"]
        epochs = sorted(map(int, stored))
        values = [
            np.frombuffer(base64.b64decode(stored[str(epoch)]), np.float16).reshape(-1, classes) for epoch in epochs
        ]
        return np.array(epochs), np.array(values, dtype=np.float32), labels

    @property
    def provenance(self) -> dict[str, Any]:
        """Return ``device``, ``versions``, ``date`` (of the last run), ``dates`` (first and last), ``commits``, ``runs`` and ``seconds``.

        ``seconds`` is the training time of all runs, the search included, on one thread each.
        """
        made = self.data["provenance"]

        def distinct(name: str) -> list[str]:
            return sorted({str(entry[name]) for entry in made if entry[name] is not None})

        dates = sorted(date for entry in made for date in entry["dates"])
        return {
            "device": ", ".join(distinct("device")),
            "versions": {name: ", ".join(distinct(name)) for name in ("python", "torch", "numpy", "system")},
            "date": dates[-1] if dates else None,
            "dates": [dates[0], dates[-1]] if dates else [],
            "commits": distinct("commit"),
            "runs": sum(entry["runs"] for entry in made),
            "seconds": sum(entry["seconds"] for entry in made),
        }

    def table(self, metric: str = "test_error", *, baseline: str | None = None) -> str:
        """Return a plain-text table: mean ± sd of every arm, and what `compare` finds against ``baseline`` (the first arm)."""
        lines = []
        for setting in self.settings:
            part = self[setting]
            reference = baseline or part.arms[0]
            lines += [
                f"{self.name} · {setting} · {metric}",
                f"{'arm':44} {'mean ± sd':>16} {'n':>3}  {reference + ' − arm, 95 %':>28}",
            ]
            for arm in (*part.arms, *part.controls):
                if not part.seeds(arm):
                    lines.append(f"{arm:44} {'no run yet':>16}")
                    continue
                mean, sd, n = part.summary(arm, metric)
                if lost := part.diverged(arm):
                    lines.append(f"{arm:44} {f'{lost} of {n} diverged':>16} {n:>3}")
                    continue
                found = part.compare(arm, reference, metric=metric) if arm != reference else None
                text = "" if found is None else found.state
                if found is not None and found.state == "ok":
                    text = f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
                lines.append(f"{arm:44} {f'{mean:.3f} ± {sd:.3f}':>16} {n:>3}  {text:>28}".rstrip())
            lines.append("")
        if self.missing:
            lines += [f"partial: {len(self.missing)} missing, the first: {self.missing[0]}", ""]
        return "\n".join(lines).rstrip()


def _in_words(entry: dict[str, Any]) -> str:
    """Say what is missing of an arm."""
    draw = f" (draw {entry['draw'] + 1} of the search)" if entry.get("draw") else ""
    head = f"{entry['setting']}: {entry['arm']}{draw}: "
    if entry["stage"] == "search":
        return f"{head}{entry['runs']} runs of the search, then {entry['then']} final runs"
    if entry["stage"] == "waiting":
        return f"{head}{entry['runs']} runs, once its search point is chosen"
    return f"{head}final runs of seeds {', '.join(map(str, entry['seeds']))}"
