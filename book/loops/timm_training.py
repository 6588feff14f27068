"""timm, with the PowerGrad transform on mixed-up labels and timm's own adaptive clipping."""

import timm
import torch
from timm.data import Mixup
from timm.optim import create_optimizer_v2
from timm.utils import dispatch_clip_grad

from companion import PowerGradCrossEntropy, data

train_loss_fn = PowerGradCrossEntropy(alpha=0.3)


def train(model, batches, mixup=None, lr=0.1, clip=0.1):
    """Take one step a batch."""
    optimiser = create_optimizer_v2(model, opt="momentum", lr=lr, weight_decay=0.0)
    for inputs, target in batches:
        if mixup is not None:
            inputs, target = mixup(inputs, target)
        optimiser.zero_grad()
        loss = train_loss_fn(model(inputs), target)
        loss.backward()
        dispatch_clip_grad(timm.models.model_parameters(model, exclude_head=True), clip, mode="agc")
        optimiser.step()


if __name__ == "__main__":
    digits, test = data.load("mnist", sample=True), data.load("mnist", "test", sample=True)
    model = timm.create_model("test_vit", num_classes=10, in_chans=1, img_size=32)
    mixup = Mixup(mixup_alpha=0.2, label_smoothing=0.1, num_classes=10)
    inputs, unseen = (torch.nn.functional.pad(images.normalised(), [2] * 4) for images in (digits, test))
    for _ in range(5):
        train(model, data.batches(inputs, digits.labels, 50, generator=None), mixup)
    right = model.eval()(unseen).argmax(1) == test.labels
    print(f"accuracy {right.float().mean():.3f}")
