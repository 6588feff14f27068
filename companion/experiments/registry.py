"""Where experiments are found: every module of this package that defines ``EXPERIMENTS`` (name → experiment) adds its own."""

from __future__ import annotations

import importlib
import os
import pkgutil

from companion._checks import check_choice
from companion.experiments.design import PROFILES, Experiment

__all__ = ["experiment", "names", "profile_of", "registered"]


def registered() -> dict[str, Experiment]:
    """Return all experiments by name; this imports the modules of the package, in order of their names.

    Raises:
        ValueError: two modules define one name.
    """
    found: dict[str, Experiment] = {}
    home: dict[str, str] = {}
    path = importlib.import_module(__package__).__path__
    for entry in sorted(pkgutil.iter_modules(path), key=lambda entry: entry.name):
        module = importlib.import_module(f"{__package__}.{entry.name}")
        for name, value in getattr(module, "EXPERIMENTS", {}).items():
            if name in found:
                raise ValueError(
                    f"EXPERIMENTS must differ in their names, got {name!r} in {home[name]} and {entry.name}"
                )
            found[name], home[name] = value, entry.name
    return found


def names() -> tuple[str, ...]:
    """Return the names of the experiments."""
    return tuple(registered())


def profile_of(profile: str | None = None) -> str:
    """Return a profile's name, by default ``COMPANION_PROFILE``, then ``smoke``.

    Raises:
        ValueError: unknown; the message lists what there is.
    """
    profile = profile or os.environ.get("COMPANION_PROFILE", "smoke")
    check_choice("profile", profile, PROFILES)
    return profile


def experiment(name: str, profile: str | None = None) -> Experiment:
    """Return an experiment at a size.

    Args:
        name: for example ``"pon-mnist"``.
        profile: ``"smoke"`` (seconds), ``"laptop"`` or ``"gpu"``; default ``COMPANION_PROFILE``, then ``smoke``.

    Raises:
        ValueError: unknown name or profile; the message lists what there is.
    """
    found = registered()
    check_choice("name", name, found)
    return found[name].at(profile_of(profile))
