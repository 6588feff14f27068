"""skorch, with tamed cross entropy."""

import torch
from skorch import NeuralNetClassifier

from companion import TamedCrossEntropy, data
from companion.models.mlp import MLP


def classifier(**options):
    """Return an estimator of scikit-learn's kind; `options` are skorch's."""
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
    digits = data.load("mnist", sample=True)
    estimator = classifier(lr=0.1, batch_size=50, max_epochs=5)
    estimator.fit(digits.normalised(), digits.labels)

    test = data.load("mnist", "test", sample=True)
    print(f"accuracy {estimator.score(test.normalised(), test.labels):.3f}")
