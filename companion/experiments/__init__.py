"""The papers' tables as runnable grids: run what is missing, pack what is there."""

from __future__ import annotations

from companion.experiments.packing import pack
from companion.experiments.running import names, recipes, run

__all__ = ["names", "pack", "recipes", "run"]
