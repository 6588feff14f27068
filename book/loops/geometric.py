"""torch-geometric, with the partial norm and its penalty."""

import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCN

from companion import Objective, PartialNorm, data, length_stability

objective = Objective(
    logit_transform=PartialNorm(threshold=5.0),
    penalties={"stability": (length_stability, 0.1)},
)


def train(model, graph, steps, lr=0.01):
    """Take steps on the whole graph."""
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    rows = graph.train_mask
    for _ in range(steps):
        optimiser.zero_grad()
        logits = model(graph.x, graph.edge_index)
        loss = objective(logits[rows], graph.y[rows])["loss"]
        loss.backward()
        optimiser.step()


def graph_of(cora):
    """Return a graph of this library as torch-geometric's Data."""
    parts = {"x": cora.features, "edge_index": cora.edges, "y": cora.labels}
    return Data(**parts, train_mask=cora.mask)


if __name__ == "__main__":
    graph = graph_of(data.load("cora", sample=True))
    shape = {"hidden_channels": 16, "num_layers": 2, "out_channels": 7}
    model = GCN(graph.num_features, **shape)
    train(model, graph, steps=100)

    unseen = data.load("cora", "test", sample=True).mask
    right = model(graph.x, graph.edge_index).argmax(1) == graph.y
    print(f"accuracy {right[unseen].float().mean():.3f}")
