"""Synthetic recorded runs, in the packed form, with effects that a test chooses."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from companion.plots import METRIC_NAMES
from companion.results import Results
from companion.results.first_recording import FirstRecording

ARMS = ("vanilla", "P-ON", "norm only", "stability only", "weight decay", "P-ON + weight decay")
CONTROLS = {  # name: (arm, whose learning rate it takes)
    "vanilla at P-ON's rate": ("vanilla", "P-ON"),
    "weight decay at P-ON + weight decay's rate": ("weight decay", "P-ON + weight decay"),
    "P-ON at vanilla's rate": ("P-ON", "vanilla"),
}
FRACTIONS = (
    "confidence",
    "noisy_gradient_share",
    "calibration_error",
    "noisy_calibration_error",
    "posterior_calibration_error",
    "posterior_noisy_calibration_error",
)
METRICS = tuple(dict.fromkeys((*METRIC_NAMES, "train_error", "growing_share", "validation_error", "relative_gradient")))
EPOCHS = (0, 1, 2, 5, 10)
CLASSES, LOGIT_ROWS, ROWS = 10, 200, 1000
PROVENANCE = {
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


def synthetic(
    errors: Mapping[str, Sequence[float]],
    *,
    experiment: str = "pon-mnist",
    settings: Sequence[str] = ("mnist/mlp-3",),
    curves: Mapping[tuple[str, str], Sequence[float]] | None = None,
    missing: Sequence[tuple[str, str]] = (),
    arms: Sequence[str] = ARMS,
    controls: Mapping[str, tuple[str, str]] = CONTROLS,
    profile: str = "laptop",
    kind: type[Results] = FirstRecording,
) -> Results:
    """Recorded runs whose last test errors are given for each arm, one a seed; an arm left out has no run.

    Every other metric is a plain falling curve unless ``curves`` gives (arm, metric) its values. ``missing`` names the
    (setting, arm) of which final runs are missing. The rows that a run gets right have no more to do with another run's than chance.
    """
    runs: dict[str, Any] = {}
    parts = {}
    for setting in settings:
        made = {}
        for at, arm in enumerate((*arms, *controls)):
            keys = [f"{setting}-{arm}-{seed}" for seed in range(len(errors.get(arm, ())))]
            for seed, key in enumerate(keys):
                runs[key] = _run(arm, at, seed, errors[arm][seed], curves or {})
            knobs = {"threshold": 8.0} if "P-ON" in arm else {}
            knobs |= {"weight_decay": 1e-4} if "decay" in arm else {}
            knobs |= {"alpha": 2.0} if arm.startswith("TCE") else {}
            record = {"setting": {"optimiser": {"weight_decay": 0.0}}, "knobs": {"lr": 0.1, **knobs}}
            search = [{"lr": 0.01 * (k + 1), "error": 3.0 - 0.5 * k, "loss": 1.0, "chosen": k == 2} for k in range(3)]
            made[arm] = {"keys": keys, "seeds": list(range(len(keys))), "record": record, "search": search}
        taken = {
            name: {**made.pop(name), "arm": arm, "rate_of": other, "point_of": None, "keep": None}
            for name, (arm, other) in controls.items()
        }
        labels = [row % CLASSES for row in range(LOGIT_ROWS)]
        rows = {"rows": "fixed", "noisy": False, "draws": [], "classes": CLASSES, "logit_labels": labels}
        parts[setting] = {"arms": made, "controls": taken, **rows}
    gone = [
        {"setting": setting, "arm": arm, "draw": 0, "stage": "final", "runs": 1, "seeds": [4]}
        for setting, arm in missing
    ]
    whole = {"experiment": experiment, "profile": profile, "missing": gone, "provenance": [PROVENANCE]}
    return kind({**whole, "settings": parts, "runs": runs})


def _run(
    arm: str, at: int, seed: int, error: float, curves: Mapping[tuple[str, str], Sequence[float]]
) -> dict[str, Any]:
    """Return one final run; its right rows, and its logits after the last epoch, are drawn by chance."""
    names = dict.fromkeys((*METRICS, *(name for _, name in curves)))
    metrics = {name: _curve(curves.get((arm, name)), at, seed) for name in names}
    metrics |= {name: _curve(curves.get((arm, name)), 0, seed) for name in FRACTIONS}
    metrics["test_error"][-1] = float(error)
    chance = np.random.default_rng((at, seed))
    right = chance.permutation(ROWS) >= round(ROWS * min(max(error, 0), 100) / 100)
    logits = 4 * chance.standard_normal((LOGIT_ROWS, CLASSES)).astype(np.float16)
    return {
        "epochs": list(EPOCHS),
        "metrics": metrics,
        "logits": {str(EPOCHS[-1]): base64.b64encode(logits.tobytes()).decode()},
        "rows": ROWS,
        "correct": base64.b64encode(np.packbits(right).tobytes()).decode(),
    }


def _curve(given: Sequence[float] | None, at: int, seed: int) -> list[float]:
    values = np.asarray(given if given is not None else np.linspace(1.0, 0.5, len(EPOCHS)) + at, dtype=float)
    return [float(value) for value in values * (1 + 0.001 * seed)]
