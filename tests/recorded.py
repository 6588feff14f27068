"""Synthetic recorded runs, in the packed form, with effects that a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
    missing: Sequence[tuple[str, str]] = (),
) -> Results:
    """Recorded runs whose last test errors are given for each arm, one a seed; an arm left out has no run.

    Every other metric is a plain falling curve unless ``curves`` gives (arm, metric) its values. ``missing`` names the
    (setting, arm) of which final runs are missing.
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
            knobs = {"threshold": 8.0} if "P-ON" in arm else {}
            knobs |= {"weight_decay": 1e-4} if "decay" in arm else {}
            record = {"setting": {"optimiser": {"weight_decay": 0.0}}, "knobs": {"lr": 0.1, **knobs}}
            search = [{"lr": 0.01 * (k + 1), "error": 3.0 - 0.5 * k, "loss": 1.0, "chosen": k == 2} for k in range(3)]
            arms[arm] = {"keys": keys, "seeds": list(range(len(keys))), "record": record, "search": search}
        controls = {name: {**arms.pop(name), **_taken(name)} for name in CONTROLS}
        rows = {"rows": "fixed", "noisy": False, "draws": []}
        parts[setting] = {"classes": 10, "logit_labels": [], "arms": arms, "controls": controls, **rows}
    provenance = [
        {
            "device": "a processor",
            "dates": ["2026-11-20T10:00:00Z", "2026-11-21T10:00:00Z"],
            "torch": "2.15.0",
            "python": "3.11.7",
            "numpy": "2.4.6",
            "system": "Linux",
            "runs": 90,
            "seconds": 7200.0,
            "commit": "0",
        }
    ]
    return Results(
        {
            "experiment": experiment,
            "profile": "laptop",
            "missing": [
                {"setting": setting, "arm": arm, "draw": 0, "stage": "final", "runs": 1, "seeds": [4]}
                for setting, arm in missing
            ],
            "provenance": provenance,
            "settings": parts,
            "runs": runs,
        }
    )


def _taken(control: str) -> dict[str, Any]:
    """Return what a control is made of: "A at B's rate" is A with the learning rate of B."""
    arm, other = control.removesuffix("'s rate").split(" at ")
    return {"arm": arm, "rate_of": other, "point_of": None, "keep": None}


def _curve(arm: str, name: str, seed: int, curves: Mapping[tuple[str, str], Sequence[float]]) -> list[float]:
    given = curves.get((arm, name))
    values = np.asarray(
        given if given is not None else np.linspace(1.0, 0.5, len(EPOCHS)) + (*ARMS, *CONTROLS).index(arm), dtype=float
    )
    return [float(value) for value in values * (1 + 0.001 * seed)]
