"""Plain PyTorch, with the partial norm and its penalty."""

import torch

from companion import Objective, PartialNorm, data, length_stability
from companion.models.mlp import MLP

objective = Objective(
    logit_transform=PartialNorm(threshold=5.0),
    penalties={"stability": (length_stability, 0.1)},
)


def train(model, batches, lr=0.1):
    """Take one step a batch."""
    optimiser = torch.optim.SGD(model.parameters(), lr=lr)
    for inputs, target in batches:
        optimiser.zero_grad()
        loss = objective(model(inputs), target)["loss"]
        loss.backward()
        optimiser.step()


def predict(model, inputs):
    """Return probabilities, of the logits that the criterion saw."""
    with torch.no_grad():
        return objective.transform(model(inputs)).softmax(1)


if __name__ == "__main__":
    digits = data.load("mnist", sample=True)
    inputs, labels = digits.normalised(), digits.labels
    model = MLP((784, 128, 10))
    for _ in range(5):
        train(model, data.batches(inputs, labels, 50, generator=None))

    test = data.load("mnist", "test", sample=True)
    right = predict(model, test.normalised()).argmax(1) == test.labels
    print(f"accuracy {right.float().mean():.3f}")
