"""The five papers' methods, and in `baselines` what they are compared with.

Pure functions first, thin modules after them; each file is named like the chapter that teaches it.
"""

from __future__ import annotations

from companion.methods import baselines
from companion.methods.baselines import *  # noqa: F403
from companion.methods.norm_loss import NormLoss, norm_loss
from companion.methods.partial_output_norm import LengthStability, PartialNorm, length_stability, partial_norm
from companion.methods.powergrad_transform import PowerGradCrossEntropy, powergrad_cross_entropy, powergrad_hook
from companion.methods.scalable_batch_norm import ScalableBatchNorm, scalable_batch_norm
from companion.methods.tamed_cross_entropy import TamedCrossEntropy, tamed_cross_entropy, tamed_posterior

__all__ = [
    "LengthStability",
    "NormLoss",
    "PartialNorm",
    "PowerGradCrossEntropy",
    "ScalableBatchNorm",
    "TamedCrossEntropy",
    "length_stability",
    "norm_loss",
    "partial_norm",
    "powergrad_cross_entropy",
    "powergrad_hook",
    "scalable_batch_norm",
    "tamed_cross_entropy",
    "tamed_posterior",
    *baselines.__all__,
]
