"""What the papers' methods are compared with, and their near relatives.

`criteria` are losses, `transforms` and `penalties` act on logits, `heads` make logits from features, `clipping` acts
on parameter gradients.
"""

from __future__ import annotations

from companion.methods.baselines.clipping import adaptive_clip_grad_, clip_by_norm_
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
    "LogitNorm",
    "LogitPenalty",
    "PEDCCHead",
    "SoftCap",
    "TemperatureScale",
    "ZLoss",
    "adaptive_clip_grad_",
    "clip_by_norm_",
    "evenly_distributed_centroids",
    "logit_norm",
    "logit_penalty",
    "soft_cap",
    "temperature_scale",
    "z_loss",
]
