"""Time and peak memory of every method, forward and backward, against cross entropy on the same input."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.bench.cases import BASELINE, CASES
from companion.training.provenance import provenance

Loss = Callable[[Tensor, Tensor], Tensor]
Clock = Callable[[], float]

SIZES = ((128, 10), (1024, 1000), (256, 32_000), (64, 128_000))
"""(rows, classes): a small image set, ImageNet, and the vocabularies of two generations of language models."""

RECORD = Path(__file__).resolve().parents[1] / "results" / "tables" / "cost.json"
"""The measurement that the book shows."""

QUANTILES = {"p20": 0.2, "p50": 0.5, "p80": 0.8}
MODES = ("eager", "compiled")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def measure(
    names: Iterable[str] = tuple(CASES),
    sizes: Iterable[tuple[int, int]] = SIZES,
    *,
    device: torch.device | str = "cpu",
    modes: Iterable[str] = MODES,
    clock: str = "wall",
    rounds: int = 30,
    sample_ms: float = 5.0,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    r"""Measure methods against cross entropy, each round a sample of one and a sample of the other.

    .. math:: \text{ratio} = \mathrm{median}_r \frac{t_r(\text{method})}{t_r(\text{cross entropy})}

    Both of a round run within milliseconds of each other, so that a ratio holds where other work slows the machine
    down. The baseline is always eager: "compiled" says what compiling the method brings to a loop that was eager. Logits
    are float32, five times a standard normal; labels are uniform. What a loop pays is measured, the checks of arguments
    included; compiling is not. Peak memory is what one step allocates at most beyond its input, the gradient included:
    on CUDA ``max_memory_allocated``, on a CPU the same sum over the allocations that ``torch.profiler`` sees.

    Args:
        names: of `CASES`.
        sizes: (rows, classes) pairs.
        device: where to compute. (Keyword only, like all that follow.)
        modes: "eager", "compiled" or both; "compiled" is left out where no compiler is found.
        clock: "wall", or "cpu" for the processor time of this process, which leaves out the time that other processes
            take from it; with more than one thread it is their sum. CUDA's events keep their own.
        rounds: samples of each method.
        sample_ms: a sample repeats the step until it takes about so many milliseconds.
        tell: called with a line for every method measured.

    Returns:
        The record: ``about``, ``made`` (device, threads, versions, date, clock, …) and ``lines``, one for each method, size
        and mode with times in milliseconds (``forward``, ``backward``, ``step``: p20, p50, p80), ``ratio`` (the same
        quantiles), ``peak_bytes`` and ``peak_ratio``.

    Raises:
        ValueError: an unknown method, mode or clock; the message lists what there is.

    Example:
        >>> record = measure(["soft_cap"], [(8, 3)], modes=["eager"], rounds=3, sample_ms=0.1)
        >>> record["lines"][0]["method"], sorted(record["lines"][0]["ratio"])
        ('soft_cap', ['p20', 'p50', 'p80'])

    Form of the record: one line a measurement with three quantiles, as in Liger-Kernel's
    ``benchmark/data/all_benchmark_data.csv``; versions and card beside them, as in the names of timm's ``results/*.csv``.
    """
    names, sizes, modes, device = list(names), list(sizes), list(modes), torch.device(device)
    _check_known("method", names, CASES)
    _check_known("mode", modes, MODES)
    _check_known("clock", [clock], CLOCKS)
    missing = missing_compiler(device) if "compiled" in modes else "not looked for"
    lines = []
    for size in sizes:
        logits, target = _input(*size, device)
        base_peak = peak_bytes(CASES[BASELINE].loss, logits, target)
        for mode, name in ((mode, name) for mode in modes for name in names):
            if mode == "compiled" and missing:
                continue
            eager = CASES[name].loss
            loss = torch.compile(eager, dynamic=False) if mode == "compiled" else eager
            times = _rounds((CASES[BASELINE].loss, loss), logits, target, CLOCKS[clock], rounds, sample_ms / 1000)
            peak = peak_bytes(loss, logits, target)
            if mode == "compiled":
                torch.compiler.reset()  # else the cases' compiled code would count against torch's limit of variants
            line = {"method": name, "place": CASES[name].place, "size": list(size), "mode": mode, **times}
            line["peak_bytes"], line["peak_ratio"] = peak, peak and base_peak and _short(peak / base_peak)
            lines.append(line)
            tell(f"{size} {mode} {name}: {line['step']['p50']:.4g} ms, {line['ratio']['p50']:.2f} × {BASELINE}")
    made = {**provenance(device), "load": _load(), "compiler": missing or "found", "dtype": "float32"}
    made |= {"clock": "CUDA events" if device.type == "cuda" else f"{clock} time", "memory": _memory_by(device)}
    about = "time and peak memory of every method's forward and backward, against cross entropy on the same input"
    return {"about": about, "made": {**made, "rounds": rounds, "sample_ms": sample_ms}, "lines": lines}


def peak_bytes(loss: Loss, logits: Tensor, target: Tensor) -> int | None:
    """Return the most bytes that one forward and backward hold at once beyond their input, the gradient included.

    Args:
        loss: (logits, target) → 0-d loss.
        logits: (N, C), requiring a gradient.
        target: what the loss takes.

    Returns:
        Bytes as the allocator counts them, on a CPU without its rounding; None on a device that keeps no such count.

    Example:
        >>> logits = torch.zeros(100, 50, requires_grad=True)
        >>> peak_bytes(lambda z, y: z.sum(), logits, torch.zeros(0)) >= logits.nbytes  # the gradient at least
        True
    """
    logits.grad = None
    if logits.device.type == "cuda":
        torch.cuda.synchronize(logits.device)
        torch.cuda.reset_peak_memory_stats(logits.device)
        before = torch.cuda.memory_allocated(logits.device)
        loss(logits, target).backward()
        return torch.cuda.max_memory_allocated(logits.device) - before
    if logits.device.type != "cpu":
        return None
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as seen:
        loss(logits, target).backward()
    # Every allocation (positive) and release (negative) in order of time; `events()` only has sums of them.
    changes = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = np.cumsum([event.nbytes() for event in sorted(changes, key=lambda event: event.start_ns())])
    return int(held.max(initial=0))


def missing_compiler(device: torch.device) -> str:
    """Return what ``torch.compile`` lacks on a device, or nothing.

    Example:
        >>> missing_compiler(torch.device("meta"))
        "torch.compile has no back end for 'meta'"
    """
    if device.type == "cuda":
        return "" if find_spec("triton") else "no Triton"
    if device.type == "cpu":
        names = [os.environ.get("CXX", ""), "g++", "clang++", "cl"]
        return "" if any(name and shutil.which(name) for name in names) else "no C++ compiler"
    return f"torch.compile has no back end for {device.type!r}"


def cost_table(record: Mapping[str, Any], column: str) -> str:
    """Return a Markdown table of a record: a row for each method, a column for each size.

    Args:
        record: as `measure` returns it.
        column: "eager" or "compiled", the time of forward and backward as a multiple of cross entropy's (median, and
            in brackets the 20th and 80th percentile), or "memory", the peak in copies of the logits, eager → compiled.

    Raises:
        ValueError: another column, or the record has no such measurement.

    Example:
        >>> record = measure(["soft_cap"], [(8, 3)], modes=["eager"], rounds=3, sample_ms=0.1)
        >>> print(cost_table(record, "eager").splitlines()[0])
        | method | 8 × 3 |
    """
    _check_known("column", [column], (*MODES, "memory"))
    found = {(row["method"], tuple(row["size"]), row["mode"]): row for row in record["lines"]}
    sizes = list(dict.fromkeys(size for _, size, mode in found if column in (mode, "memory")))
    if not sizes:
        raise ValueError(f"the record holds nothing {column}: run `python -m companion.bench methods --json` again")
    lines = ["| method | " + " | ".join(f"{rows:,} × {classes:,}" for rows, classes in sizes) + " |"]
    lines.append("|---|" + "---:|" * len(sizes))
    lines += [
        f"| `{name}` | " + " | ".join(_cell(found, name, size, column) for size in sizes) + " |"
        for name in dict.fromkeys(name for name, _, _ in found)
    ]
    return "\n".join(lines)


def made_with(record: Mapping[str, Any]) -> str:
    """Return one sentence on where, when and how a record was made.

    Example:
        >>> made_with(measure(["soft_cap"], [(8, 3)], modes=["eager"], rounds=3, sample_ms=0.1)).startswith("Measured on")
        True
    """
    made = record["made"]
    threads = "one thread" if made["threads"] == 1 else f"{made['threads']} threads"
    kept = f"; {made['allocator']}" if "allocator" in made else ""
    load = "" if made["load"] is None else f", load average {made['load']:g}"
    return (
        f"Measured on {made['date'][:10]} on {made['device']} ({made['system']}, {threads}{load}), "
        f"Python {made['python']}, torch {made['torch']}, {made['dtype']}; {made['clock']}, {made['rounds']} rounds of samples of at least "
        f"{made['sample_ms']:g} ms{kept}. Memory: {made['memory']}."
    )


def load_record(path: str | Path = RECORD) -> dict[str, Any]:
    """Return a record from its file.

    Example:
        >>> len(load_record()["lines"]) > 0
        True
    """
    return json.loads(Path(path).read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------------------------------------ inside


def _input(rows: int, classes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return logits that require a gradient and labels, the same on every device."""
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(rows, classes, generator=generator)
    target = torch.randint(classes, (rows,), generator=generator)
    return logits.to(device).requires_grad_(), target.to(device)


def _rounds(
    losses: tuple[Loss, Loss], logits: Tensor, target: Tensor, clock: Clock, rounds: int, sample: float
) -> dict[str, Any]:
    """Return quantiles of the times of the second loss, and of its ratio to the first in the same round."""
    calls = [_calls(loss, logits, target, clock, sample) for loss in losses]
    steps, ratios = [], []
    for _ in range(rounds):
        base, (forward, backward) = (
            _seconds(loss, logits, target, clock, times) for loss, times in zip(losses, calls, strict=True)
        )
        steps.append((forward, backward, forward + backward))
        ratios.append((forward + backward) / sum(base))
    columns = zip(("forward", "backward", "step"), zip(*steps, strict=True), strict=True)
    times = {name: _quantiles([1000 * seconds for seconds in values]) for name, values in columns}
    return {**times, "ratio": _quantiles(ratios)}


def _calls(loss: Loss, logits: Tensor, target: Tensor, clock: Clock, sample: float) -> int:
    """Return how many steps make a sample, after steps that warm up and, where asked, compile."""
    _seconds(loss, logits, target, clock, 3)
    once = min(sum(_seconds(loss, logits, target, clock, 1)) for _ in range(5))
    return max(1, math.ceil(sample / once))


def _seconds(loss: Loss, logits: Tensor, target: Tensor, clock: Clock, calls: int) -> tuple[float, float]:
    """Return the mean seconds of the forward and of the backward pass over some calls."""
    on_gpu = logits.device.type == "cuda"
    mark = _event if on_gpu else clock
    marks = []
    for _ in range(calls):
        logits.grad = None
        begun = mark()
        value = loss(logits, target)
        between = mark()
        value.backward()
        marks.append((begun, between, mark()))
    if on_gpu:
        torch.cuda.synchronize(logits.device)
    elapsed = (lambda a, b: a.elapsed_time(b) / 1000) if on_gpu else (lambda a, b: b - a)
    forward = sum(elapsed(begun, between) for begun, between, _ in marks)
    backward = sum(elapsed(between, ended) for _, between, ended in marks)
    return forward / calls, backward / calls


def _event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    return {name: _short(np.quantile(values, at)) for name, at in QUANTILES.items()}


def _short(value: float) -> float:
    """Return a number to four digits: the rest is noise."""
    return float(f"{value:.4g}")


def _cell(found: Mapping[tuple, Mapping[str, Any]], name: str, size: tuple[int, int], column: str) -> str:
    if column != "memory":
        if (row := found.get((name, size, column))) is None:
            return "–"
        ratio = row["ratio"]
        return f"{ratio['p50']:.2f} ({ratio['p20']:.2f}–{ratio['p80']:.2f})"
    copies = 4 * size[0] * size[1]  # bytes of the logits in float32
    there = [row for mode in MODES if (row := found.get((name, size, mode)))]
    return " → ".join(f"{row['peak_bytes'] / copies:.1f}" for row in there if row["peak_bytes"]) or "–"


def _check_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}; there are: {', '.join(known)}")


def _load() -> float | None:
    """Return how many processes wanted a core over the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def _memory_by(device: torch.device) -> str:
    ways = {"cuda": "torch.cuda.max_memory_allocated", "cpu": "the allocations that torch.profiler sees"}
    return ways.get(device.type, "not measured")
