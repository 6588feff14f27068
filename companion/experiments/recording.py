"""From a setting, an arm and its knobs to the frozen record of a run: all that determines its numbers.

The record is the whole setting, the builder's name, the knobs, and a description of the objective that they build, so that a
changed builder cannot pass off old runs as its own.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from companion.experiments.design import OWN_KNOBS, Arm, Network, Search, Setting
from companion.objective import Objective
from companion.training.records import RunRecord

__all__ = ["build_objective", "described", "record_of", "setting_record"]

UNRECORDED = ("name", "stack", "lr")
"""Fields of a setting that no number depends on: its title, how many seeds train at once, and the range (the rate is a knob)."""

CONTEXT = ("model", "num_classes", "in_features")


def build_objective(
    build: Callable[..., Objective], knobs: Mapping[str, Any], network: nn.Module, num_classes: int, *, seed: int = 0
) -> Objective:
    """Return the objective of knobs for a network; what it draws at random (a learned head) is drawn from the seed.

    Args:
        build: knobs → objective; see `companion.experiments.design.Arm`.
        knobs: name to value; the optimiser's own are left out.
        network: the one to be trained.
        num_classes: C.
        seed: of the run. (Keyword only.)
    """
    asked = inspect.signature(build).parameters
    given = {
        "model": network,
        "num_classes": num_classes,
        "in_features": getattr(network, "num_features", None),
    }
    context = {name: given[name] for name in CONTEXT if name in asked}
    own = {name: value for name, value in knobs.items() if name not in OWN_KNOBS}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(**context, **own)


def setting_record(setting: Setting) -> dict[str, Any]:
    """Return the setting as plain values, whole but for `UNRECORDED`."""
    kept = {f.name: getattr(setting, f.name) for f in fields(setting) if f.name not in UNRECORDED}
    kept["measure_at"] = list(setting.epochs_measured())
    return {name: _plain(value) for name, value in kept.items()}


def record_of(
    setting: Setting,
    arm: Arm,
    knobs: Mapping[str, Any],
    objective: Any,
    *,
    checksum: str,
    seed: int,
    search: Search | None = None,
) -> RunRecord:
    """Return the record of one run.

    Args:
        setting: of the final runs.
        arm: gives the builder.
        knobs: learning rate and knobs.
        objective: `described` of what they build.
        checksum: of the data. (Keyword only, as all that follow.)
        seed: of the run.
        search: a run of this search, which is trained for its epochs and judged on validation rows; ``None`` for a final run.
    """
    return RunRecord(
        setting=setting_record(setting if search is None else searched(setting, search)),
        role="final" if search is None else "search",
        builder=arm.builder,
        knobs=dict(knobs),
        objective=objective,
        checksum=checksum,
        seed=seed,
    )


def searched(setting: Setting, search: Search) -> Setting:
    """Return the setting as a search trains it: its epochs, measured where the score is taken."""
    epochs = search.epochs or setting.epochs
    return replace(setting, epochs=epochs, measure_at=search.scored_epochs(epochs))


def described(part: Any) -> Any:
    """Return what a part of an objective is, as plain values: class and attributes of modules, names of functions.

    Example:
        >>> from companion import Objective, PartialNorm
        >>> described(Objective(logit_transform=PartialNorm(2.0)))["logit_transform"]["threshold"]
        2.0

    Raises:
        ValueError: a function without a name that can be found again (a lambda, a function inside a function), or a value of a
            kind that no record can hold.
    """
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, Tensor):
        return (
            part.item()
            if part.ndim == 0
            else {"tensor": list(part.shape), "values": part.tolist() if part.numel() <= 64 else None}
        )
    if isinstance(part, functools.partial):
        return {"partial": described(part.func), "args": described(part.args), **_named(part.keywords)}
    if isinstance(part, nn.Module):
        return _described_module(part)
    if isinstance(part, Mapping):
        return _named(part)
    if isinstance(part, list | tuple):
        return [described(item) for item in part]
    if is_dataclass(part):
        return {"kind": type(part).__name__, **_named({f.name: getattr(part, f.name) for f in fields(part)})}
    if callable(part) and hasattr(part, "__qualname__"):
        if "<" in part.__qualname__:
            raise ValueError(
                f"{part.__qualname__} of {part.__module__} has no name that a record could hold: use a function of a module, "
                "functools.partial of one, or a torch.nn.Module"
            )
        return f"{part.__module__}.{part.__qualname__}"
    if hasattr(part, "__dict__"):
        return {"kind": _class_name(part), **_named(vars(part))}
    raise ValueError(f"no record can hold {part!r} of type {type(part).__name__}")


def _described_module(module: nn.Module) -> dict[str, Any]:
    """Describe a module by its class and what it was made of, under the names of its constructor.

    Not by all it holds: how a class keeps its parts may change, and no recorded run may lose its key for that.
    """
    said: dict[str, Any] = {"kind": _class_name(module)}
    for name in _constructor_arguments(type(module)):
        value = getattr(module, name, getattr(module, f"_{name}", _ABSENT))
        if value is _ABSENT and type(module).__module__.startswith("torch."):
            continue  # a deprecated argument, which torch translates into another
        if value is _ABSENT:
            raise ValueError(
                f"{_class_name(module)} does not keep its argument {name!r}: no record could say what it was made of"
            )
        # A penalty on the model holds the model, in a tuple; a record names it elsewhere.
        holds_model = isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], nn.Module)
        said[name] = "model" if holds_model else described(value)
    return said


_ABSENT = object()


def _constructor_arguments(kind: type) -> Iterator[str]:
    """Yield the names of a class's arguments; where it hands others on (``**options``), the options of the class above too."""
    for ancestor in kind.__mro__:
        if ancestor is nn.Module:
            return
        parameters = inspect.signature(ancestor.__init__).parameters.values()
        kinds = (
            inspect.Parameter.KEYWORD_ONLY,
            *((inspect.Parameter.POSITIONAL_OR_KEYWORD,) if ancestor is kind else ()),
        )
        yield from (p.name for p in parameters if p.name != "self" and p.kind in kinds)
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): described(value) for name, value in values.items()}


def _class_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _plain(value: Any) -> Any:
    """Return a value of a setting as JSON can hold it; dataclasses say their class."""
    if isinstance(value, Network):
        return {"name": value.name, **{name: _plain(item) for name, item in value.options.items()}}
    if is_dataclass(value):
        return {"kind": type(value).__name__, **{f.name: _plain(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
