"""Gradient accumulation, with tamed cross entropy."""

import torch

from companion import TamedCrossEntropy, data
from companion.models.mlp import MLP

criterion = TamedCrossEntropy(alpha=0.5, reduction="sum")


def train(model, batches, part, lr=0.1):
    """Take one step a batch, whose gradient is summed up in parts."""
    optimiser = torch.optim.SGD(model.parameters(), lr=lr)
    for batch, labels in batches:
        optimiser.zero_grad()
        parts = zip(batch.split(part), labels.split(part), strict=True)
        for inputs, target in parts:
            loss = criterion(model(inputs), target) / len(labels)
            loss.backward()
        optimiser.step()


if __name__ == "__main__":
    digits = data.load("mnist", sample=True)
    inputs, labels = digits.normalised(), digits.labels
    model = MLP((784, 128, 10))
    for _ in range(5):
        train(model, data.batches(inputs, labels, 50, generator=None), part=16)

    test = data.load("mnist", "test", sample=True)
    right = model(test.normalised()).argmax(1) == test.labels
    print(f"accuracy {right.float().mean():.3f}")
