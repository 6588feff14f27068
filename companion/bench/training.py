"""How much faster the training of this library is than the plain loop of a tutorial, step for step and run for run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from companion.data import Graph, Images, load
from companion.methods import PartialNorm, TamedCrossEntropy, length_stability
from companion.models import build
from companion.models.gnn import SparseGraph
from companion.objective import Objective
from companion.training.graphs import GraphTrainee
from companion.training.images import ImageTrainee, Labelled, Recipe
from companion.training.learner import Learner
from companion.training.optimisers import Adam, Sgd

BATCH = 128


class Ratio(NamedTuple):
    """How many times faster than the plain loop one run of a stack trains: median, and the middle half."""

    name: str
    runs: int
    plain_ms: float  # of one step of one run
    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        spread = f"{self.ratio:.2f} ({self.low:.2f}–{self.high:.2f})"
        return (
            f"{self.name}, {self.runs} at once: {spread} times the plain loop, whose step takes {self.plain_ms:.2f} ms"
        )


class _Pair(NamedTuple):
    """Two ways to train: an epoch of one network, an epoch of a stack, and a network of each."""

    plain: Callable[[], None]
    ours: Callable[[], None]
    steps: int
    networks: tuple[nn.Module, nn.Module]


def training_ratios(runs: Sequence[int] = (1, 5, 10), *, device: str = "cpu", rounds: int = 15) -> Iterator[Ratio]:
    """Measure perceptron and graph networks against plain loops that do the same.

    The plain perceptron loop keeps its data on the device, takes batches by index, and steps with torch's own SGD: it is the loop
    without a loader, which would be slower still. The plain graph loop is torch-geometric's layers on dense features, as its
    examples have them, under torch's Adam; ours keeps features sparse, which is a part of the gain. Without that package
    graphs are left out. Each round takes an epoch of one and of the other.

    Args:
        runs: sizes of the stacks.
        device: where to train. (Keyword only, like the next.)
        rounds: how often.

    Example:
        >>> str(next(training_ratios([2], rounds=3)))
        'perceptron, cross entropy, 2 at once: ...
    """
    images = load("mnist", sample=True).to(device)
    for name, objective in OBJECTIVES.items():
        for number in runs:
            yield _compared(f"perceptron, {name}", number, _perceptrons(images, objective, number), rounds)
    if find_spec("torch_geometric") is None:
        return
    graph = load("cora", sample=True).to(device)
    for kind in ("GCN", "GAT"):
        for number in runs:
            yield _compared(f"{kind}, Cora", number, _graphs(graph, kind, number), rounds)


OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "cross entropy": Objective,
    "partial norm with its penalty": lambda: Objective(
        logit_transform=PartialNorm(5.0), penalties={"stability": (length_stability, 0.1)}
    ),
    "tamed cross entropy": lambda: Objective(criterion=TamedCrossEntropy(0.5)),
}


def _compared(name: str, runs: int, pair: _Pair, rounds: int) -> Ratio:
    pair.plain(), pair.ours()
    seconds = np.array([(_seconds(pair.plain), _seconds(pair.ours)) for _ in range(rounds)])
    low, ratio, high = np.quantile(runs * seconds[:, 0] / seconds[:, 1], (0.25, 0.5, 0.75))
    return Ratio(name, runs, 1000 * float(np.median(seconds[:, 0])) / pair.steps, float(ratio), float(low), float(high))


def _seconds(epoch: Callable[[], None]) -> float:
    start = time.perf_counter()
    epoch()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _perceptrons(images: Images, objective: Callable[[], Objective], runs: int) -> _Pair:
    inputs, labels = images.normalised(), images.labels
    copies = -(-10 * BATCH // len(labels))
    inputs, labels = inputs.repeat(copies, 1, 1, 1)[: 10 * BATCH], labels.repeat(copies)[: 10 * BATCH]
    rows = Labelled(inputs, labels.expand(runs, -1))

    def new() -> Learner:
        return Learner(build("mlp", num_classes=10).to(inputs.device), objective())

    trainee = ImageTrainee(
        [new() for _ in range(runs)], rows, rows, seeds=range(runs), recipe=Recipe(Sgd(), batch_size=BATCH), lr=0.01
    )
    network, loss = new().network, objective()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)

    def plain() -> None:
        for batch in torch.randperm(len(labels), device=labels.device).split(BATCH):
            optimiser.zero_grad()
            loss(network(inputs[batch]), labels[batch])["loss"].backward()
            optimiser.step()

    return _Pair(plain, lambda: trainee.train_epoch(1), 10, (network, trainee.stack.learners[0].network))


def _graphs(graph: Graph, kind: str, runs: int) -> _Pair:
    edges, labels, rows = graph.edges, graph.labels, graph.mask.nonzero().flatten()
    features = functional.normalize(graph.features, 1, dim=1)
    sizes = {"num_features": features.shape[1], "num_classes": len(graph.classes)}
    learners = [Learner(build(kind.lower(), **sizes).to(features.device), Objective()) for _ in range(runs)]
    sparse = SparseGraph.from_dense(features, edges)
    trainee = GraphTrainee(
        learners, sparse, labels, train_rows=rows.expand(runs, -1), test_rows=rows.expand(runs, -1), seeds=range(runs),
        recipe=Recipe(Adam(weight_decay=5e-4)), lr=0.01,
    )  # fmt: skip
    network = _geometric(kind, *sizes.values()).to(features.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01, weight_decay=5e-4)

    def plain() -> None:
        network.train()
        optimiser.zero_grad()
        functional.cross_entropy(network(features, edges)[rows], labels[rows]).backward()
        optimiser.step()

    return _Pair(plain, lambda: trainee.train_epoch(1), 1, (network, trainee.stack.learners[0].network))


def _geometric(kind: str, in_features: int, num_classes: int) -> nn.Module:
    from torch_geometric.nn import GATConv, GCNConv

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            if kind == "GCN":
                self.layers = nn.ModuleList(
                    [GCNConv(in_features, 16, cached=True), GCNConv(16, num_classes, cached=True)]
                )
                self.dropout, self.bend = 0.5, functional.relu
            else:
                first = GATConv(in_features, 8, heads=8, dropout=0.6)
                self.layers = nn.ModuleList([first, GATConv(64, num_classes, heads=1, concat=False, dropout=0.6)])
                self.dropout, self.bend = 0.6, functional.elu

        def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
            first, second = self.layers
            hidden = self.bend(first(functional.dropout(nodes, self.dropout, self.training), edges))
            return second(functional.dropout(hidden, self.dropout, self.training), edges)

    return Plain()
