"""The five papers' methods, and in `baselines` what they are compared with.

Pure functions first, thin modules after them; each file is named like the chapter that teaches it.
"""

from __future__ import annotations

from companion.methods import baselines
from companion.methods.baselines import *  # noqa: F403
from companion.methods.norm_loss import NormLoss, norm_loss
from companion.methods.partial_output_norm import LengthStability, PartialNorm, length_stability, partial_norm
from companion.methods.scalable_batch_norm import ScalableBatchNorm, scalable_batch_norm

__all__ = [
    "LengthStability",
    "NormLoss",
    "PartialNorm",
    "ScalableBatchNorm",
    "length_stability",
    "norm_loss",
    "partial_norm",
    "scalable_batch_norm",
    *baselines.__all__,
]
