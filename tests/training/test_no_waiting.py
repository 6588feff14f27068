"""Nothing in a step waits for the host: no value of a tensor is asked for, and none is copied to the host."""

from __future__ import annotations

import functools
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from companion import (
    NormLoss,
    Objective,
    PartialNorm,
    PowerGradCrossEntropy,
    ScalableBatchNorm,
    TamedCrossEntropy,
    adaptive_clip_grad_,
    length_stability,
)
from companion.methods.baselines import GeneralizedCrossEntropy
from companion.models.gnn import GAT, GCN
from companion.training.optimisers import Adam, Sgd
from tests.training.small import convolutional, perceptron
from tests.training.test_graphs import raw, trainee  # noqa: F401 (a fixture)

ASKING = {"aten._local_scalar_dense.default", "aten.nonzero.default", "aten.equal.default", "aten.is_nonzero.default",
          "aten.masked_select.default", "aten._unique2.default", "aten.item.default"}  # fmt: skip
"""Operations that make a GPU finish all it has to do, because their answer or its size is a value."""


class Waits(TorchDispatchMode):
    """Counts what would make an accelerator wait: values asked for, and copies from it to the host.

    Adam's count of steps is left out: torch keeps it on the host wherever the parameters are.
    """

    def __init__(self, device: str, optimiser: torch.optim.Optimizer | None = None) -> None:
        super().__init__()
        states = () if optimiser is None else optimiser.state.values()
        self.on_host = {state["step"].data_ptr() for state in states if "step" in state}
        self.device, self.found = device, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = str(func)
        leaves = [part for part in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(part, torch.Tensor)]
        to_host = (
            self.device != "cpu"
            and isinstance(result, torch.Tensor)
            and result.device.type == "cpu"
            and any(part.device.type != "cpu" for part in leaves)
        )
        # indexing by a mask asks how many entries are set
        by_mask = name.startswith("aten.index") and any(part.dtype == torch.bool for part in leaves[1:])
        if (name in ASKING and leaves[0].data_ptr() not in self.on_host) or to_host or by_mask:
            self.found.append(name)
        return result


@pytest.fixture(autouse=True)
def as_on_an_accelerator(monkeypatch):
    """Where values lie at hand, on a CPU, the library may look at them; here nothing is at hand."""
    for name, module in list(sys.modules.items()):
        if name.startswith("companion.") and hasattr(module, "at_hand"):
            monkeypatch.setattr(module, "at_hand", lambda tensor: False)


DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

OBJECTIVES = {
    "cross-entropy": lambda network: Objective(),
    "partial norm": lambda network: Objective(
        logit_transform=PartialNorm(1.0), penalties={"s": (length_stability, 0.3)}
    ),
    "batch norm of logits": lambda network: Objective(logit_transform=ScalableBatchNorm(3, 0.8)),
    "tamed": lambda network: Objective(criterion=TamedCrossEntropy(1.5)),
    "PowerGrad": lambda network: Objective(criterion=PowerGradCrossEntropy(0.3)),
    "generalised": lambda network: Objective(criterion=GeneralizedCrossEntropy(q=0.7)),
    "norm loss": lambda network: Objective(penalties={"norm": (NormLoss(network), 0.05)}),
    "decoupled": lambda network: Objective(decoupled={"norm": (NormLoss(network), 0.05)}),
    "clipped": lambda network: Objective(clip=functools.partial(adaptive_clip_grad_, clipping=0.02, exclude=())),
}


def test_the_counter_sees_what_waits():
    values = torch.arange(3.0)
    with Waits("cpu") as mode:
        float(values.sum())
        values[values > 1]
        bool((values > 5).any())
    assert [name.split(".")[1] for name in mode.found] == ["_local_scalar_dense", "index", "_local_scalar_dense"]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seeds", [(5,), (5, 6)])
@pytest.mark.parametrize("network", [perceptron, convolutional])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_epoch_of_images(make, name, network, seeds, device):
    for values in (
        {},
        {"optimiser": Sgd(momentum=0.9, nesterov=True), "augment": ("shift1", "flip")},
        {"optimiser": Adam(), "accumulate": 2},
    ):
        made = make(seeds, OBJECTIVES[name], network, device=device, **values)
        made.train_epoch(1)  # what a first step prepares is no step
        with Waits(device, made.optimiser) as mode:
            made.train_epoch(2)
        assert not mode.found


@pytest.mark.parametrize("make_network", [GCN, GAT])
@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "clipped"])
def test_an_epoch_of_graphs(raw, name, seeds, make_network):  # noqa: F811
    made = trainee(raw, seeds, OBJECTIVES[name], make_network)
    made.train_epoch(1)
    with Waits("cpu", made.optimiser) as mode:
        made.train_epoch(2)
    assert not mode.found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_an_epoch_on_a_gpu_makes_no_synchronising_call(make):
    made = make((5, 6), OBJECTIVES["partial norm"], convolutional, device="cuda", augment=("shift1", "flip"))
    made.train_epoch(1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        made._train_steps(2, made.steps_per_epoch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
