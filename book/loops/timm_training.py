"""timm, with the PowerGrad transform on mixed labels, and timm's own clipping."""

import timm
import torch
from timm.data import Mixup
from timm.optim import create_optimizer_v2
from timm.utils import dispatch_clip_grad

from companion import PowerGradCrossEntropy, data

train_loss_fn = PowerGradCrossEntropy(alpha=0.3)


def train(model, batches, mixup=None, lr=0.1, clip=0.1):
    """Take one step a batch."""
    optimiser = create_optimizer_v2(model, opt="momentum", lr=lr)
    clipped = timm.models.model_parameters(model, exclude_head=True)
    for batch, labels in batches:
        inputs, target = mixup(batch, labels) if mixup else (batch, labels)
        optimiser.zero_grad()
        loss = train_loss_fn(model(inputs), target)
        loss.backward()
        dispatch_clip_grad(clipped, clip, mode="agc")
        optimiser.step()


def padded(images):
    """Return images of 32 × 32."""
    return torch.nn.functional.pad(images.normalised(), [2] * 4)


if __name__ == "__main__":
    digits = data.load("mnist", sample=True)
    inputs, labels = padded(digits), digits.labels
    model = timm.create_model("test_vit", num_classes=10, in_chans=1, img_size=32)
    mixup = Mixup(mixup_alpha=0.2, label_smoothing=0.1, num_classes=10)
    for _ in range(5):
        train(model, data.batches(inputs, labels, 50, generator=None), mixup)

    test = data.load("mnist", "test", sample=True)
    right = model.eval()(padded(test)).argmax(1) == test.labels
    print(f"accuracy {right.float().mean():.3f}")
