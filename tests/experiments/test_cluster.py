"""Runs on a cluster: joblib sends them to Ray, a node dies in the middle, and nothing is lost or done twice."""

from __future__ import annotations

import threading
import time

import pytest

from companion import experiments
from companion.experiments.design import Arm, Experiment, Images, Network, Search, Setting
from companion.experiments.running import retried
from companion.objective import Objective
from companion.training.optimisers import Sgd
from companion.training.records import RunStore

ray = pytest.importorskip("ray", reason="the extra 'cluster' is not installed; make test-long installs it")

FOUR_RUNS = Experiment(
    (Arm("vanilla", Objective),),
    (Setting(Images("mnist"), Network("mlp", sizes=(784, 32)), Sgd()),),
    sizes={"smoke": {"search": Search(points=1, seeds=1, epochs=1, moves=0), "seeds": 4, "epochs": 300}},
)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)
def test_four_runs_on_two_nodes_of_which_one_dies(tmp_path, monkeypatch):
    import joblib
    from ray.cluster_utils import Cluster
    from ray.util.joblib import register_ray

    monkeypatch.setattr("companion.experiments.registry.registered", lambda: {"four": FOUR_RUNS})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "180")  # a laptop that does other things too
    alone = experiments.run("four", "smoke", folder=tmp_path / "alone", fresh=True, verbose=False)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    register_ray()
    ray.init(address=cluster.address, log_to_driver=False)
    folder = tmp_path / "together"
    died = threading.Event()

    def kill_one():
        store = RunStore(folder / "four")
        while len(list(store.folder.glob("*.checkpoint"))) < 2:  # both nodes are in the middle of a run
            time.sleep(0.05)
        cluster.remove_node(second, allow_graceful=False)
        died.set()

    thread = threading.Thread(target=kill_one, daemon=True)
    try:
        thread.start()
        with joblib.parallel_config(backend="ray"):
            runs = experiments.run("four", "smoke", 2, folder=folder, fresh=True, verbose=False, checkpoint_every=0.0)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert died.is_set(), "the node was to die while its run was in training"
    assert runs.complete
    assert list(runs.final("vanilla")) == list(alone.final("vanilla"))
    # Killed in the middle of a write, a node leaves a torn file that nobody reads.
    files = sorted(path.name for path in (folder / "four").iterdir() if path.suffix != ".tmp")
    assert len(files) == 5, f"four runs and one of the search, each once, nothing left in flight: {files}"


def test_workers_that_die_are_replaced_and_errors_of_ours_are_not(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    calls = []

    def dies_twice():
        calls.append(len(calls))
        if len(calls) < 3:
            raise RuntimeError("a worker died")
        return "done"

    assert retried(dies_twice, lost=lambda error: "died" in str(error)) == "done"
    assert calls == [0, 1, 2]
    with pytest.raises(ValueError, match="ours"):
        retried(lambda: (_ for _ in ()).throw(ValueError("ours")), lost=lambda error: "died" in str(error))
    calls[:] = []
    with pytest.raises(RuntimeError, match="died"):
        retried(lambda: (_ for _ in ()).throw(RuntimeError("died")), lost=lambda error: "died" in str(error))
