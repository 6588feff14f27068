"""``python -m companion.bench``: ``methods``, ``parts``, ``training``."""

from __future__ import annotations

import argparse
import ctypes
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

import companion
from companion.bench import CASES, SIZES, cost_table, made_with, measure, parts_table
from companion.bench.cost import CLOCKS, MODES
from companion.bench.training import training_ratios

QUICK = {"rounds": 5, "sample_ms": 2.0}


def size(text: str) -> tuple[int, int]:
    """Return the (rows, classes) that "1024x1000" names.

    Example:
        >>> size("128x10")
        (128, 10)
    """
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"a size is ROWSxCLASSES, as in 1024x1000, got {text!r}")
    rows, classes = text.split("x")
    return int(rows), int(classes)


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    top = argparse.ArgumentParser(prog="python -m companion.bench", description="Measure the methods of the library.")
    commands = top.add_subparsers(dest="command", required=True)
    methods = commands.add_parser("methods", help="time and peak memory, forward and backward, against cross entropy")
    methods.add_argument(
        "--methods", nargs="+", choices=CASES, default=list(CASES), metavar="NAME", help="default: all"
    )
    methods.add_argument("--sizes", nargs="+", type=size, default=SIZES, metavar="ROWSxCLASSES")
    methods.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    methods.add_argument("--device", help="cpu, cuda or mps; default what there is")
    methods.add_argument("--threads", type=int, help="of torch; default what it takes")
    methods.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu where others use the cores too")
    methods.add_argument("--rounds", type=int, default=30, metavar="N", help="samples of each method")
    methods.add_argument("--json", type=Path, metavar="FILE", help="write the record to this file")
    methods.add_argument("--quick", action="store_true", help="eager only, few rounds: to see that it runs")
    commands.add_parser("parts", help="how far the gradient of a batch in parts is from that of the whole batch")
    training = commands.add_parser("training", help="how much faster stacked runs train than a plain loop")
    training.add_argument("--runs", nargs="+", type=int, default=[1, 5, 10], metavar="N", help="runs at once")
    training.add_argument("--device", help="cpu, cuda or mps; default what there is")
    training.add_argument("--threads", type=int, help="of torch; default what it takes")
    training.add_argument("--rounds", type=int, default=15, metavar="N", help="epochs of each")
    return top


def keep_freed_memory() -> str:
    """Let glibc's malloc keep what is freed, and return what is so.

    Otherwise a large tensor's memory goes back to the system and comes anew, page by page. Whether it does depends on what ran
    before, and costs as much as a whole cross entropy: ratios of 0.6 and of 2 for the same code.
    """
    trim_threshold, mmap_max = -1, -4  # as in malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    kept = mallopt is not None and mallopt(mmap_max, 0) and mallopt(trim_threshold, 2**31 - 1)
    return "freed memory is kept" if kept else "as the system has it"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and print its tables in Markdown; progress goes to the error stream."""
    chosen = parser().parse_args(arguments)
    if chosen.command == "parts":
        print(parts_table())
        return 0
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    if chosen.command == "training":
        device = companion.device(chosen.device)
        for line in training_ratios(chosen.runs, device=device, rounds=chosen.rounds):
            print(line, flush=True)
        return 0
    allocator = keep_freed_memory()
    modes, how = (("eager",), QUICK) if chosen.quick else (chosen.modes, {"rounds": chosen.rounds})
    record = measure(
        chosen.methods,
        chosen.sizes,
        device=companion.device(chosen.device),
        modes=modes,
        clock=chosen.clock,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
        **how,
    )
    record["made"]["allocator"] = allocator
    present = {row["mode"] for row in record["lines"]}
    for column in (*(mode for mode in MODES if mode in present), "memory"):
        print(f"\n{column}\n\n{cost_table(record, column)}")
    print(f"\n{made_with(record)}")
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
