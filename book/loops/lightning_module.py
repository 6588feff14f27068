"""Lightning, with the norm loss as a decoupled step and clipping by norm."""

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from companion import NormLoss, Objective, clip_by_norm_, data
from companion.models.mlp import MLP


class Classifier(lightning.LightningModule):
    """A network with what trains it."""

    def __init__(self, model, lr=0.1):
        super().__init__()
        self.model, self.lr = model, lr
        self.objective = Objective(
            clip=clip_by_norm_,
            decoupled={"norm loss": (NormLoss(model), 0.01)},
        )

    def training_step(self, batch, index):
        """Return the loss; log its terms by name."""
        inputs, target = batch
        terms = self.objective(self.model(inputs), target)
        self.log_dict(terms)
        return terms["loss"]

    def configure_optimizers(self):
        """Return the optimiser."""
        return torch.optim.SGD(self.model.parameters(), lr=self.lr)

    def on_before_optimizer_step(self, optimizer):
        """Clip: Lightning has unscaled and summed up the gradients by now."""
        self.objective.after_backward(self.model)

    def optimizer_step(self, *arguments, **named):
        """Take the optimiser's step, then the decoupled one."""
        super().optimizer_step(*arguments, **named)
        self.objective.after_step(self.model, self.lr)


if __name__ == "__main__":
    digits = data.load("mnist", sample=True)
    rows = TensorDataset(digits.normalised(), digits.labels)
    classifier = Classifier(MLP((784, 128, 10)))
    quiet = {"logger": False, "enable_checkpointing": False}
    trainer = lightning.Trainer(max_epochs=5, **quiet)
    trainer.fit(classifier, DataLoader(rows, batch_size=50, shuffle=True))

    test = data.load("mnist", "test", sample=True)
    right = classifier.cpu().model(test.normalised()).argmax(1) == test.labels
    print(f"accuracy {right.float().mean():.3f}")
