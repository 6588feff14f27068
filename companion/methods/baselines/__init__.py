"""What the papers' methods are compared with, and their near relatives.

`criteria` are losses, `transforms` and `penalties` act on logits, `heads` make logits from features, `clipping` acts
on parameter gradients.
"""

from __future__ import annotations

from companion.methods.baselines.clipping import adaptive_clip_grad_, clip_by_norm_
from companion.methods.baselines.criteria import (
    ActivePassiveLoss,
    BiTemperedLogisticLoss,
    FocalLoss,
    GeneralizedCrossEntropy,
    PartiallyHuberisedCrossEntropy,
    SoftmaxMAE,
    SoftmaxMSE,
    SymmetricCrossEntropy,
    active_passive_loss,
    bi_tempered_logistic_loss,
    focal_loss,
    generalized_cross_entropy,
    partially_huberised_cross_entropy,
    smooth_labels,
    softmax_mae,
    softmax_mse,
    symmetric_cross_entropy,
)
from companion.methods.baselines.heads import AMSoftmaxHead, PEDCCHead, evenly_distributed_centroids
from companion.methods.baselines.penalties import LogitPenalty, ZLoss, logit_penalty, z_loss
from companion.methods.baselines.transforms import (
    LogitNorm,
    SoftCap,
    TemperatureScale,
    logit_norm,
    soft_cap,
    temperature_scale,
)

__all__ = [
    "AMSoftmaxHead",
    "ActivePassiveLoss",
    "BiTemperedLogisticLoss",
    "FocalLoss",
    "GeneralizedCrossEntropy",
    "LogitNorm",
    "LogitPenalty",
    "PEDCCHead",
    "PartiallyHuberisedCrossEntropy",
    "SoftCap",
    "SoftmaxMAE",
    "SoftmaxMSE",
    "SymmetricCrossEntropy",
    "TemperatureScale",
    "ZLoss",
    "active_passive_loss",
    "adaptive_clip_grad_",
    "bi_tempered_logistic_loss",
    "clip_by_norm_",
    "evenly_distributed_centroids",
    "focal_loss",
    "generalized_cross_entropy",
    "logit_norm",
    "logit_penalty",
    "partially_huberised_cross_entropy",
    "smooth_labels",
    "soft_cap",
    "softmax_mae",
    "softmax_mse",
    "symmetric_cross_entropy",
    "temperature_scale",
    "z_loss",
]
