"""`companion run`, killed at random moments and started again, gives the results of one clean run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from companion.training.records import RunStore

CODE = """
import sys
from companion import experiments
from companion.data import UniformNoise
from companion.experiments.design import *
from companion.experiments.ranges import Log
from companion.training.optimisers import Sgd
import companion.experiments.registry as registry
from companion import Objective, ScalableBatchNorm

def standardised(num_classes, scale=1.0):
    return Objective(logit_transform=ScalableBatchNorm(num_classes, scale))

registry.registered = lambda: {"killed": Experiment(
    (Arm("vanilla", Objective), Arm("SBN", standardised, scale=Log(0.5, 2.0))),
    (Setting(Images("mnist", noise=UniformNoise(0.2), augment=("shift1",)), Network("mlp", sizes=(784, 12)), Sgd(momentum=0.9), stack=2),
     Setting(Graph("cora"), Network("gcn"), Sgd(momentum=0.9), stack=2, epochs=8)),
    SameRate("SBN", "vanilla"),
    sizes={"smoke": {"search": Search(points=2, seeds=2, epochs=2, moves=1), "seeds": 2}},
)}
experiments.run("killed", "smoke", folder=sys.argv[1], fresh=True, verbose=False, checkpoint_every=0.0)
print("finished")
"""


def run(folder, after=None):
    """Run the experiment in a process of its own, killed after some seconds; say whether it finished."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return False
    assert process.returncode == 0, err
    return "finished" in out


def contents(folder):
    """Everything in the raw results but times and dates."""
    store = RunStore(folder / "killed")
    raw = {path.stem: store.load(path.stem) for path in store.folder.glob("*.json")}
    return {
        key: {name: value for name, value in result.items() if name not in ("seconds", "provenance")}
        for key, result in raw.items()
    }


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_killed_runs_are_clean_runs(kills, tmp_path):
    start = time.monotonic()
    assert run(tmp_path / "clean")
    whole = time.monotonic() - start
    moments = random.Random(2026)
    killed = 0
    for _ in range(10 * kills):
        # A process starts in a few seconds and is then in the middle of something.
        if killed < kills and not run(tmp_path / f"killed-{killed // 4}", after=whole * moments.uniform(0.3, 0.9)):
            killed += 1
        if killed == kills:
            break
    assert killed == kills, f"only {killed} of {10 * kills} attempts were killed before they finished"
    expected = contents(tmp_path / "clean")
    assert len(expected) > 20
    for number in range(-(-kills // 4)):
        folder = tmp_path / f"killed-{number}"
        assert run(folder)
        assert contents(folder) == expected
        assert not list((folder / "killed").glob("*.together"))
        assert not list((folder / "killed").glob("*.checkpoint"))
