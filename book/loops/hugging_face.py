"""Hugging Face's Trainer, with tamed cross entropy."""

import tempfile

from transformers import (
    Trainer,
    TrainingArguments,
    ViTConfig,
    ViTForImageClassification,
)

from companion import data, tamed_cross_entropy


def compute_loss(outputs, labels, num_items_in_batch=None):
    """Return a part's share of the batch's mean; without a count, the mean."""
    if num_items_in_batch is None:
        return tamed_cross_entropy(outputs.logits, labels, alpha=0.5)
    loss = tamed_cross_entropy(outputs.logits, labels, alpha=0.5, reduction="sum")
    return loss / num_items_in_batch


def items(images):
    """Return what the Trainer wants: a dict for each image."""
    pairs = zip(images.normalised(), images.labels, strict=True)
    return [{"pixel_values": image, "labels": label} for image, label in pairs]


def trainer(model, digits, folder, **options):
    """Return the Trainer; `options` are those of its arguments."""
    return Trainer(
        model,
        TrainingArguments(folder, save_strategy="no", **options),
        train_dataset=digits,
        compute_loss_func=compute_loss,
    )


if __name__ == "__main__":
    config = ViTConfig(image_size=28, patch_size=7, num_channels=1, num_labels=10)
    config.hidden_size, config.intermediate_size = 32, 64
    config.num_hidden_layers, config.num_attention_heads = 1, 4
    model = ViTForImageClassification(config)
    digits = items(data.load("mnist", sample=True))
    options = {"num_train_epochs": 5, "learning_rate": 0.005}
    options["per_device_train_batch_size"] = 25
    options["gradient_accumulation_steps"] = 2
    with tempfile.TemporaryDirectory() as folder:
        trainer(model, digits, folder, **options).train()

    test = data.load("mnist", "test", sample=True)
    right = model.cpu().eval()(test.normalised()).logits.argmax(1) == test.labels
    print(f"accuracy {right.float().mean():.3f}")
