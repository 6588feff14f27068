"""The five papers' methods, and in `baselines` what they are compared with.

Pure functions first, thin modules after them; each file is named like the chapter that teaches it.
"""

from __future__ import annotations

from companion.methods.partial_output_norm import LengthStability, PartialNorm, length_stability, partial_norm

__all__ = [
    "LengthStability",
    "PartialNorm",
    "length_stability",
    "partial_norm",
]
