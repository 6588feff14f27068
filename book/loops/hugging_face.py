"""Hugging Face's Trainer, with tamed cross entropy."""

import tempfile

from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

from companion import data, tamed_cross_entropy


def compute_loss(outputs, labels, num_items_in_batch=None):
    """Return the loss of one part of a batch of `num_items_in_batch` items; without that number, the mean."""
    if num_items_in_batch is None:
        return tamed_cross_entropy(outputs.logits, labels, alpha=0.5)
    return tamed_cross_entropy(outputs.logits, labels, alpha=0.5, reduction="sum") / num_items_in_batch


class Digits(Dataset):
    """Images as the Trainer wants them: a dict each."""

    def __init__(self, images):
        self.pixels, self.labels = images.normalised(), images.labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, at):
        return {"pixel_values": self.pixels[at], "labels": self.labels[at]}


def trainer(model, digits, folder, **options):
    """Return the Trainer; `options` are those of its arguments."""
    arguments = TrainingArguments(folder, report_to="none", save_strategy="no", **options)
    return Trainer(model, arguments, train_dataset=digits, eval_dataset=digits, compute_loss_func=compute_loss)


if __name__ == "__main__":
    shape = {"image_size": 28, "patch_size": 7, "num_channels": 1, "num_labels": 10}
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    model = ViTForImageClassification(ViTConfig(**shape, **size))
    with tempfile.TemporaryDirectory() as folder:
        options = {"per_device_train_batch_size": 25, "gradient_accumulation_steps": 2, "learning_rate": 0.005}
        trainer(model, Digits(data.load("mnist", sample=True)), folder, num_train_epochs=5, **options).train()
    test = data.load("mnist", "test", sample=True)
    right = model.cpu().eval()(test.normalised()).logits.argmax(1) == test.labels
    print(f"accuracy {right.float().mean():.3f}")
