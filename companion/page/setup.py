"""The first cell of every chapter: install what is missing (never torch), say what runs here."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import metadata

import torch

import companion
from companion.page.display import MUTED, SANS, Panel, style

PACKAGES: dict[str, tuple[str, ...]] = {
    "math": ("sympy",),
    "plots": ("matplotlib",),
    "widgets": ("anywidget", "ipywidgets"),
    "vision": ("torchvision",),
    "graph": ("torch_geometric", "scipy"),
    "experiments": ("joblib", "scipy", "tqdm"),
}
"""What the extras that chapters use bring, by import name."""

_NEVER = ("torch", "torchvision")


def missing(extras: Sequence[str]) -> list[str]:
    """Return the import names of the packages of some extras that are not installed here.

    Raises:
        ValueError: an extra is unknown.

    Example:
        >>> missing([])
        []
    """
    unknown = [extra for extra in extras if extra not in PACKAGES]
    if unknown:
        raise ValueError(f"unknown extra {unknown[0]!r}; known: {', '.join(PACKAGES)}")
    names = dict.fromkeys(name for extra in extras for name in PACKAGES[extra])
    return [name for name in names if importlib.util.find_spec(name) is None]


def install(names: Sequence[str], run: Callable[[list[str]], object] = subprocess.check_call) -> None:
    """Install packages into the running Python, but never torch or torchvision: their builds must match the machine.

    Args:
        names: import names.
        run: what executes the command.

    Raises:
        RuntimeError: torchvision is asked for, or the installation fails; the message says what to type.
    """
    refused = [name for name in names if name in _NEVER]
    if refused:
        raise RuntimeError(f"{refused[0]} is missing; install it together with torch, as pytorch.org says")
    if not names:
        return
    packages = [name.replace("_", "-") for name in names]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *packages]
    try:
        run(command)
    except (subprocess.CalledProcessError, OSError) as error:
        raise RuntimeError(f"could not install {', '.join(packages)}; try it by hand: {' '.join(command)}") from error


def setup(*extras: str) -> Panel:
    """Install what the chapter needs and this Python lacks, and say on what the page was made.

    Args:
        extras: the chapter's extras, ``"math", "plots", "widgets"``.

    Returns:
        A panel with Python, torch and the extras' versions, the device and the profile.

    Raises:
        ValueError: an extra is unknown.
        RuntimeError: something is missing and cannot be installed, or is there only after a restart.

    Example:
        >>> "torch" in setup().text
        True
    """
    install(missing(extras))
    importlib.invalidate_caches()  # Python may have listed pip's folder before
    if unseen := missing(extras):
        raise RuntimeError(
            f"pip has installed {', '.join(unseen)} where this kernel, which started before, does not look: "
            "restart the kernel and run this cell again"
        )
    versions = {"Python": platform.python_version(), "torch": torch.__version__, "companion": companion.__version__}
    for name in dict.fromkeys(name for extra in extras for name in PACKAGES[extra]):
        versions[name] = _version(name)
    facts = [f"{name} {version}" for name, version in versions.items()]
    facts.append(f"device {companion.device()}")
    facts.append(f"profile {os.environ.get('COMPANION_PROFILE', 'smoke')}")
    text = " · ".join(facts)
    css = style(f".luc-setup{{font:400 14px/1.5 {SANS};color:{MUTED};margin:.4em 0}}")
    return Panel(f'{css}<p class="luc-setup">{text}</p>', text)


def _version(name: str) -> str:
    """Return the version of an import name's package; not every installer leaves a record of it."""
    try:
        return metadata.version(name.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return "of unknown version"
