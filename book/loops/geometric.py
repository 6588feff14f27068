"""torch-geometric, with the partial norm and its penalty."""

import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCN

from companion import Objective, PartialNorm, data, length_stability

objective = Objective(logit_transform=PartialNorm(threshold=5.0), penalties={"stability": (length_stability, 0.1)})


def train(model, graph, steps, lr=0.01):
    """Take steps on the whole graph."""
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        logits = model(graph.x, graph.edge_index)
        loss = objective(logits[graph.train_mask], graph.y[graph.train_mask])["loss"]
        loss.backward()
        optimiser.step()


def graph_of(cora):
    """Return a data set of this library as torch-geometric's Data."""
    return Data(x=cora.features, edge_index=cora.edges, y=cora.labels, train_mask=cora.mask)


if __name__ == "__main__":
    graph = graph_of(data.load("cora", sample=True))
    model = GCN(graph.num_features, hidden_channels=16, num_layers=2, out_channels=7)
    train(model, graph, steps=100)
    unseen = data.load("cora", "test", sample=True).mask
    right = (model(graph.x, graph.edge_index).argmax(1) == graph.y)[unseen]
    print(f"accuracy {right.float().mean():.3f}")
