"""skorch, with tamed cross entropy."""

import torch
from skorch import NeuralNetClassifier

from companion import TamedCrossEntropy, data
from companion.models.mlp import MLP


def classifier(**options):
    """Return an estimator with scikit-learn's interface; `options` are those of skorch."""
    return NeuralNetClassifier(
        MLP,
        module__sizes=(784, 128, 10),
        criterion=TamedCrossEntropy,
        criterion__alpha=0.5,
        predict_nonlinearity=lambda logits: logits.softmax(1),
        optimizer=torch.optim.SGD,
        **options,
    )


if __name__ == "__main__":
    digits, test = data.load("mnist", sample=True), data.load("mnist", "test", sample=True)
    estimator = classifier(lr=0.1, batch_size=50, max_epochs=5)
    estimator.fit(digits.normalised(), digits.labels)
    print(f"accuracy {estimator.score(test.normalised(), test.labels):.3f}")
