"""Mixed precision, with the PowerGrad transform and adaptive clipping."""

from functools import partial

import torch

import companion
from companion import Objective, PowerGradCrossEntropy, adaptive_clip_grad_, data
from companion.models.mlp import MLP

objective = Objective(
    criterion=PowerGradCrossEntropy(alpha=0.3),
    clip=partial(adaptive_clip_grad_, clipping=0.1),
)


def train(model, batches, dtype, lr=0.1):
    """Take one step a batch, in float16 with a scaled loss."""
    device = next(model.parameters()).device.type
    optimiser = torch.optim.SGD(model.parameters(), lr=lr)
    scaler = torch.amp.GradScaler(device, enabled=dtype == torch.float16)
    for inputs, target in batches:
        optimiser.zero_grad()
        with torch.autocast(device, dtype):
            loss = objective(model(inputs), target)["loss"]
        scaler.scale(loss).backward()
        scaler.unscale_(optimiser)
        objective.after_backward(model)
        scaler.step(optimiser)
        scaler.update()


if __name__ == "__main__":
    device = companion.device()
    dtype = torch.float16 if device.type == "cuda" else torch.bfloat16
    digits = data.load("mnist", sample=True, device=device)
    inputs, labels = digits.normalised(), digits.labels
    model = MLP((784, 128, 10)).to(device)
    for _ in range(5):
        train(model, data.batches(inputs, labels, 50, generator=None), dtype)

    test = data.load("mnist", "test", sample=True, device=device)
    right = model(test.normalised()).argmax(1) == test.labels
    print(f"accuracy {right.float().mean():.3f}")
