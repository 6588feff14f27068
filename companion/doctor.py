"""What a stranger's machine has and lacks: one line each, with what to do."""

from __future__ import annotations

import importlib
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

import companion

__all__ = ["examine", "main"]

EXTRAS = {
    "vision": ("torchvision", "PIL"),
    "graph": ("torch_geometric",),
    "math": ("sympy",),
    "widgets": ("anywidget", "ipywidgets"),
    "plots": ("matplotlib",),
    "experiments": ("joblib", "scipy", "tqdm"),
}
"""Extra → what it brings."""


def examine() -> list[tuple[bool, str]]:
    """Return what was looked at, in order: whether it is as it should be, and a line that says so or says what to do.

    Example:
        >>> ok, line = examine()[0]
        >>> ok, line.split()[0]
        (True, 'Python')
    """
    return [
        (True, f"Python {platform.python_version()}, companion {companion.__version__}, PyTorch {torch.__version__}"),
        (True, f"device: {companion.device()}, {torch.get_num_threads()} threads"),
        *(_extra(name, modules) for name, modules in EXTRAS.items()),
        _writable("folder of raw results", _runs_folder, "set COMPANION_RUNS to a folder that you can write"),
        _writable("folder of data", _data_folder, "set COMPANION_DATA to a folder that you can write"),
        *_data_sets(),
    ]


def main() -> int:
    """Print what `examine` finds and return the exit status: 0, or 2 where something is to be mended."""
    found = examine()
    for ok, line in found:
        print(f"{'ok' if ok else '!!'}  {line}")
    return 0 if all(ok for ok, _ in found) else 2


def _extra(name: str, modules: tuple[str, ...]) -> tuple[bool, str]:
    """Look whether an extra's packages can be imported; one that is not there is no fault, a broken one is."""
    absent, broken = [], []
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            (absent if error.name == module else broken).append(
                f"{module} ({error})" if error.name != module else module
            )
        except Exception as error:  # noqa: BLE001 (whatever an import raises is what we are looking for)
            broken.append(f"{module} ({type(error).__name__}: {error})")
    if broken:
        return False, f"extra '{name}': cannot import {', '.join(broken)}; install it again"
    if absent:
        return (
            True,
            f"extra '{name}': not installed ({', '.join(absent)}); pip install \"logits-under-control[{name}]\" brings it",
        )
    return True, f"extra '{name}': installed"


def _runs_folder() -> Path:
    from companion.training.records import runs_folder

    return runs_folder()


def _data_folder() -> Path:
    from companion.data import cache_folder

    return cache_folder()


def _writable(what: str, where: Callable[[], Path], way_out: str) -> tuple[bool, str]:
    """Look whether a folder, or the first above it that exists, can be written."""
    try:
        folder = where()
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not os.access(there, os.W_OK) or not there.is_dir():
            return False, f"{what}: {folder} cannot be written; {way_out}"
        with tempfile.TemporaryFile(dir=there):
            return True, f"{what}: {folder}"
    except (OSError, ValueError, RuntimeError) as error:
        return False, f"{what}: {error}; {way_out}"


def _data_sets() -> Iterator[tuple[bool, str]]:
    """Say which full data sets the experiments would find, without reading them all."""
    root = os.environ.get("COMPANION_DATA")
    if root and not Path(root).is_dir():
        yield False, f"COMPANION_DATA names {root}, which is no folder"
        return
    source = "COMPANION_DATA" if root else "the cache; what is missing is downloaded when it is asked for"
    yield True, f"data sets are looked for in {source}; samples for a trial ship with the package"
