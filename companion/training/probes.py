"""What is measured while networks train: one registry of probes by name, of which a setting lists those it records.

A probe takes a `Measurement` and returns its metrics by name, one number a run, shape (R,). What several probes need is
computed once, in the measurement.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn.functional import cross_entropy

from companion._checks import check_choice
from companion.geometry import expected_calibration_error, fit_temperature

ZERO_LENGTH = 1e-3
"""A weight vector shorter than this counts as zero: a thousandth of the length that the norm loss aims at."""

Rows = Callable[[Tensor, Tensor], Tensor]
"""(logits (R, N, C), labels (R, N)) → what is computed of every row, (R, N)."""


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of every row, (R, N), from logits (R, N, C) and labels (R, N)."""
    return cross_entropy(logits.transpose(1, 2), labels, reduction="none")


def row_losses(criterion: Callable[[Tensor, Tensor], Tensor]) -> Rows:
    """Return a criterion's loss row by row: logits (R, N, C) and labels (R, N) to losses (R, N).

    A criterion with ``reduction``, an argument or an attribute, is asked for ``"none"``. Any other is taken to be the mean
    or the sum of losses of single rows, and is called with one row at a time (by ``vmap``).

    Args:
        criterion: (logits (N, C), labels (N,)) to a 0-d loss.

    Example:
        >>> from torch.nn.functional import multi_margin_loss
        >>> row_losses(multi_margin_loss)(torch.tensor([[[2.0, 0.0], [0.0, 0.5]]]), torch.tensor([[0, 0]]))
        tensor([[0.0000, 0.7500]])
    """
    if criterion is cross_entropy:
        return class_loss
    if isinstance(criterion, nn.Module) and hasattr(criterion, "reduction"):
        rows = copy.copy(criterion)
        rows.reduction = "none"
    elif not isinstance(criterion, nn.Module) and "reduction" in inspect.signature(criterion).parameters:
        rows = partial(criterion, reduction="none")
    else:
        rows = vmap(lambda row, label: criterion(row.unsqueeze(0), label.unsqueeze(0)))
    return lambda logits, labels: rows(logits.flatten(0, -2), labels.flatten()).view_as(labels)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of ``values`` (R, N) over the rows kept, (R,), NaN for none; ``mask`` (R, N) holds ones and zeros."""
    return (values * mask).sum(1) / mask.sum(1)


def fit_probes(logits: Tensor, labels: Tensor, transform: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Return error (percent), loss and entropy of the probabilities that the run predicts with.

    Those are softmax(transform(z)): a logit transform is part of the network, so its loss and entropy are too.
    """
    final = transform(logits)
    log_probs = final.log_softmax(-1)
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    loss = -log_probs.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    wrong = (final.argmax(-1) != labels).to(logits.dtype)
    return {
        "error": 100 * wrong.mean(1),
        "loss": loss.mean(1),
        "entropy": entropy.mean(1),
    }


def length_probes(logits: Tensor) -> dict[str, Tensor]:
    """Return the mean of |z| (``length``), of |z - mean z| (``centred_length``), and the population deviation of |z|."""
    length = logits.norm(dim=-1)
    return {
        "length": length.mean(1),
        "centred_length": (logits - logits.mean(-1, keepdim=True)).norm(dim=-1).mean(1),
        "length_deviation": length.std(1, correction=0),
    }


def gradient_probes(logits: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    """Return what a gradient at raw logits does to their lengths, means over the rows.

    ``gradient`` is the mean of |g|, ``radial_gradient`` the mean of |g . z|/|z|, and ``growing_share`` the share of rows whose
    gradient step lengthens z (g . z < 0; a radial part of 0, as outside a norm's ball, does not).
    """
    length = logits.norm(dim=-1)
    radial = (gradient * logits).sum(-1) / length.clamp_min(torch.finfo(length.dtype).tiny)
    size = gradient.norm(dim=-1)
    # outside a norm's ball the radial part is 0 up to rounding
    shrinks_or_rests = radial >= -16 * torch.finfo(length.dtype).eps * size
    return {
        "gradient": size.mean(1),
        "radial_gradient": radial.abs().mean(1),
        "growing_share": (~shrinks_or_rests).to(length.dtype).mean(1),
    }


@dataclass(frozen=True)
class Part:
    """Rows on which R runs are measured.

    Attributes:
        logits: raw, (R, n, C).
        labels: what they are trained on or judged by, (R, n).
        true_labels: the labels before noise, (R, n); ``None`` without noise.
        features: (R, n, D), where a probe asked for them.
    """

    logits: Tensor
    labels: Tensor
    true_labels: Tensor | None = None
    features: Tensor | None = None


@dataclass(frozen=True)
class Measurement:
    """All that probes may look at, of R runs after one epoch.

    Attributes:
        test: rows that are judged.
        transform: the objective's logit transform, in evaluation, (R, n, C) to the same.
        losses: the rows' losses that the runs train on (see `row_losses`).
        train: the fixed rows of training probes; ``None`` in a search, which asks for test metrics alone.
        validation: rows held out of training, their labels as noisy as those; ``None`` where nothing is held out.
        parameter_gradient: gives the mean length of the parameter gradient over mini-batches, (R,).
        weights: of each run the weight vectors of its layers, a list of (rows, fan-in).
        weights_before: the same before the last step of the epoch; ``None`` before the first.
        posterior: what the criterion's predicted probabilities say of the classes, (…, C) to the same: the inverse link of a loss
            that is not proper; ``None`` where they say it themselves.
    """

    test: Part
    transform: Callable[[Tensor], Tensor]
    losses: Rows
    train: Part | None = None
    validation: Part | None = None
    parameter_gradient: Callable[[], Tensor] | None = None
    weights: Sequence[Sequence[Tensor]] = ()
    weights_before: Sequence[Sequence[Tensor]] | None = None
    posterior: Callable[[Tensor], Tensor] | None = None


Probe = Callable[[Measurement], dict[str, Tensor]]
PROBES: dict[str, Probe] = {}
"""Name to probe. A setting's ``record`` lists names of these."""

STANDARD = ("fit", "lengths", "logit_gradients", "parameter_gradient")
"""What is recorded where a setting does not say."""


def measured(measurement: Measurement, names: Sequence[str] = STANDARD) -> dict[str, Tensor]:
    """Return the metrics of the named probes, each (R,); in a search (no training part) those of ``fit`` alone.

    Args:
        measurement: what to look at.
        names: of `PROBES`.

    Raises:
        ValueError: an unknown name; the message lists what there is.
    """
    for name in names:
        check_choice("record", name, PROBES)
    if measurement.train is None:
        return PROBES["fit"](measurement)
    return {metric: value for name in names for metric, value in PROBES[name](measurement).items()}


def _register(probe: Probe) -> Probe:
    PROBES[probe.__name__.removeprefix("probe_")] = probe
    return probe


@_register
def probe_fit(m: Measurement) -> dict[str, Tensor]:
    """Error (percent), loss and entropy on training, test and validation rows; ``generalisation_gap`` in points.

    ``loss`` is the negative log-likelihood whatever the criterion, so that runs with different criteria can be compared.
    """
    parts = {"train": m.train, "test": m.test, "validation": m.validation}
    metrics = {
        f"{name}_{metric}": value
        for name, part in parts.items()
        if part is not None
        for metric, value in fit_probes(part.logits, part.labels, m.transform).items()
    }
    if m.train is not None:
        metrics["generalisation_gap"] = metrics["test_error"] - metrics["train_error"]
    return metrics


@_register
def probe_lengths(m: Measurement) -> dict[str, Tensor]:
    """Mean length |z|, centred length and deviation of the lengths: of training rows, and two of them of test rows."""
    on_train, on_test = length_probes(m.train.logits), length_probes(m.test.logits)
    return {
        **on_train,
        "test_length": on_test["length"],
        "test_length_deviation": on_test["length_deviation"],
    }


@_register
def probe_logit_gradients(m: Measurement) -> dict[str, Tensor]:
    """The gradient of the rows' own losses at the raw logits of training rows (see `gradient_probes`)."""
    return gradient_probes(m.train.logits, logit_gradient(m.train, m))


@_register
def probe_parameter_gradient(m: Measurement) -> dict[str, Tensor]:
    """Mean length of the parameter gradient over mini-batches of training rows."""
    return {"parameter_gradient": m.parameter_gradient()}


@_register
def probe_filters(m: Measurement) -> dict[str, Tensor]:
    """Lengths of all weight vectors: mean, deviation, smallest, largest, and the share that is zero (`ZERO_LENGTH`)."""
    lengths = [torch.cat([rows.norm(dim=1) for rows in run]) for run in m.weights]
    return {
        "filter_length": torch.stack([run.mean() for run in lengths]),
        "filter_length_deviation": torch.stack([run.std(correction=0) for run in lengths]),
        "filter_length_min": torch.stack([run.min() for run in lengths]),
        "filter_length_max": torch.stack([run.max() for run in lengths]),
        "zero_filters": torch.stack([(run < ZERO_LENGTH).to(run.dtype).mean() for run in lengths]),
    }


@_register
def probe_angular_step(m: Measurement) -> dict[str, Tensor]:
    """Mean angle in degrees by which the weight vectors turned in the last step of the epoch; 0 before the first."""
    if m.weights_before is None:
        return {"angular_step": torch.stack([run[0].new_zeros(()) for run in m.weights])}
    angles = [
        torch.cat([_angle(old, new) for old, new in zip(before, after, strict=True)]).mean()
        for before, after in zip(m.weights_before, m.weights, strict=True)
    ]
    return {"angular_step": torch.stack(angles)}


@_register
def probe_zero_features(m: Measurement) -> dict[str, Tensor]:
    """Share of features that are 0 on every test row: units that no input of these wakes."""
    if m.test.features is None:
        raise ValueError("the probe zero_features needs a network with a method features")
    return {"zero_features": (m.test.features == 0).all(1).to(m.test.logits.dtype).mean(1)}


@_register
def probe_noise(m: Measurement) -> dict[str, Tensor]:
    """What becomes of wrong labels, on training rows: accuracy on right ones, wrong ones learnt, wrong ones seen through.

    ``clean_label_accuracy`` and ``wrong_label_accuracy`` compare the prediction with the given label, on the rows whose label
    is right and on those whose label is wrong; ``wrong_label_recovered`` with the true one on the latter; all in percent.
    ``noisy_gradient_share`` is the part of the sum of the rows' gradient lengths that rows with wrong labels hold, in [0, 1].
    Without a wrong label they are NaN.
    """
    part = m.train
    true = part.labels if part.true_labels is None else part.true_labels
    wrong = part.labels != true
    guess = m.transform(part.logits).argmax(-1)
    size = logit_gradient(part, m).norm(dim=-1)
    dtype = part.logits.dtype
    return {
        "clean_label_accuracy": 100 * masked_mean((guess == part.labels).to(dtype), (~wrong).to(dtype)),
        "wrong_label_accuracy": 100 * masked_mean((guess == part.labels).to(dtype), wrong.to(dtype)),
        "wrong_label_recovered": 100 * masked_mean((guess == true).to(dtype), wrong.to(dtype)),
        "noisy_gradient_share": torch.where(wrong.any(1), (size * wrong).sum(1) / size.sum(1), math.nan),
    }


@_register
def probe_logit_deviation(m: Measurement) -> dict[str, Tensor]:
    r"""Standard deviation $\sigma_k$ of each class's raw logit over the test rows: mean, smallest, largest over the classes."""
    deviation = m.test.logits.std(1, correction=0)  # (R, C)
    return {
        "logit_deviation": deviation.mean(1),
        "logit_deviation_min": deviation.amin(1),
        "logit_deviation_max": deviation.amax(1),
    }


@_register
def probe_calibration(m: Measurement) -> dict[str, Tensor]:
    """Mean confidence, calibration error and the temperature that fits best, on test rows, of the predicted probabilities."""
    final = m.transform(m.test.logits)
    probabilities = final.softmax(-1)
    pairs = list(zip(probabilities, final, m.test.labels, strict=True))
    return {
        "confidence": probabilities.amax(-1).mean(1),
        "calibration_error": torch.stack([expected_calibration_error(p, y) for p, _, y in pairs]),
        "temperature": torch.stack([fit_temperature(z, y) for _, z, y in pairs]),
    }


@_register
def probe_posterior(m: Measurement) -> dict[str, Tensor]:
    """Calibration error of the predicted probabilities against noisy labels, and of the class posterior that they stand for.

    ``noisy_calibration_error`` and ``posterior_noisy_calibration_error`` on the held-out rows, whose labels are as noisy as the
    training labels; ``posterior_calibration_error`` on the test rows. Without a `Measurement.posterior` the pairs agree.
    """
    if m.validation is None:
        raise ValueError("the probe posterior needs rows held out, with labels as noisy as those of training")

    def error(part: Part, link: Callable[[Tensor], Tensor]) -> Tensor:
        probs = link(m.transform(part.logits).softmax(-1))
        pairs = zip(probs, part.labels, strict=True)
        return torch.stack([expected_calibration_error(p, y) for p, y in pairs])

    def same(probs: Tensor) -> Tensor:
        return probs

    posterior = m.posterior or same
    return {
        "noisy_calibration_error": error(m.validation, same),
        "posterior_noisy_calibration_error": error(m.validation, posterior),
        "posterior_calibration_error": error(m.test, posterior),
    }


@_register
def probe_relative_gradient(m: Measurement) -> dict[str, Tensor]:
    """Mean length of the training rows' gradients over that of cross-entropy's there: how much of a step a criterion leaves."""
    own, plain = (logit_gradient(m.train, m, losses).norm(dim=-1).mean(1) for losses in (m.losses, class_loss))
    return {"relative_gradient": own / plain}


def logit_gradient(part: Part, m: Measurement, losses: Rows | None = None) -> Tensor:
    """Return dL/dz of every row's own loss L = losses(transform(z), y) at the raw logits, (R, n, C); by default the run's."""
    leaf = part.logits.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad((losses or m.losses)(m.transform(leaf), part.labels).sum(), leaf)
    return gradient


def weight_rows(network: nn.Module) -> list[Tensor]:
    """Return the weight vectors of a network's linear and convolutional layers, one (rows, fan-in) a layer."""
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    return [part.weight.detach().flatten(1) for part in network.modules() if isinstance(part, kinds)]


def _angle(before: Tensor, after: Tensor) -> Tensor:
    """Return the angles between rows in degrees: 2·atan2(|û − v̂|, |û + v̂|), exact for small ones as acos is not."""
    first, second = nn.functional.normalize(before, dim=1), nn.functional.normalize(after, dim=1)
    return 2 * torch.rad2deg(torch.atan2((first - second).norm(dim=1), (first + second).norm(dim=1)))
