"""The papers' tables as runnable experiments: run what is missing, pack what is there."""

from __future__ import annotations

from companion.experiments.packing import pack
from companion.experiments.registry import experiment, names
from companion.experiments.running import run

__all__ = ["experiment", "names", "pack", "run"]
