"""Synthetic recorded runs, in the packed form, with effects that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from companion.results import Results

ARMS = ("vanilla", "P-ON", "norm only", "stability only", "weight decay", "P-ON + weight decay")
CONTROL = "vanilla at P-ON's rate"
CONTROLS = (CONTROL, "weight decay at P-ON + weight decay's rate", "P-ON at vanilla's rate")
METRICS = (
    "test_error",
    "train_error",
    "train_loss",
    "train_entropy",
    "test_loss",
    "test_entropy",
    "length",
    "centred_length",
    "length_deviation",
    "gradient",
    "radial_gradient",
    "parameter_gradient",
    "generalisation_gap",
    "growing_share",
)
EPOCHS = (0, 1, 2, 5, 10)


def synthetic(
    errors: Mapping[str, Sequence[float]],
    *,
    experiment: str = "pon-mnist",
    settings: Sequence[str] = ("mnist/mlp-3",),
    curves: Mapping[tuple[str, str], Sequence[float]] | None = None,
    missing: Sequence[str] = (),
) -> Results:
    """Recorded runs whose last test errors are given for each arm, one a seed; an arm left out has no run.

    Every other metric is a plain falling curve unless ``curves`` gives (arm, metric) its values.
    """
    runs: dict[str, Any] = {}
    parts = {}
    for setting in settings:
        arms = {}
        for arm in (*ARMS, *CONTROLS):
            keys = []
            for seed, error in enumerate(errors.get(arm, ())):
                metrics = {name: _curve(arm, name, seed, curves or {}) for name in METRICS}
                metrics["test_error"][-1] = float(error)
                key = f"{setting}-{arm}-{seed}"
                runs[key] = {"epochs": list(EPOCHS), "metrics": metrics, "logits": {}, "rows": 0, "correct": ""}
                keys.append(key)
            record = {
                "optimiser": {"name": "sgd", "lr": 0.1, "weight_decay": 1e-4 if "decay" in arm else 0.0},
                "objective": {"threshold": 8.0 if "P-ON" in arm else None, "stability": 0.0},
            }
            search = [{"lr": 0.01 * (k + 1), "error": 3.0 - 0.5 * k, "loss": 1.0, "chosen": k == 2} for k in range(3)]
            arms[arm] = {"keys": keys, "seeds": list(range(len(keys))), "record": record, "search": search}
        controls = {name: arms.pop(name) for name in CONTROLS}
        parts[setting] = {"classes": 10, "logit_labels": [], "arms": arms, "controls": controls}
    provenance = {
        "device": "a processor",
        "date": "2026-11-21T10:00:00Z",
        "dates": ["2026-11-20T10:00:00Z", "2026-11-21T10:00:00Z"],
        "versions": {"torch": "2.15.0"},
        "runs": 90,
        "seconds": 7200.0,
        "commit": "0",
    }
    return Results(
        {
            "experiment": experiment,
            "profile": "laptop",
            "missing": list(missing),
            "provenance": provenance,
            "settings": parts,
            "runs": runs,
        }
    )


def _curve(arm: str, name: str, seed: int, curves: Mapping[tuple[str, str], Sequence[float]]) -> list[float]:
    given = curves.get((arm, name))
    values = np.asarray(
        given if given is not None else np.linspace(1.0, 0.5, len(EPOCHS)) + (*ARMS, *CONTROLS).index(arm), dtype=float
    )
    return [float(value) for value in values * (1 + 0.001 * seed)]


@pytest.fixture
def results() -> Callable[..., Results]:
    """Make synthetic recorded runs; see `synthetic`."""
    return synthetic
