"""One of two processes of `test_distributed`: the example's step on a given batch; the first writes what it found."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch

if __name__ == "__main__":
    folder, lr = Path(sys.argv[1]), float(sys.argv[2])
    file = Path(__file__).resolve().parents[2] / "book" / "loops" / "distributed.py"
    spec = importlib.util.spec_from_file_location("loop_distributed", file)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)

    torch.distributed.init_process_group("gloo")
    model, inputs, target = torch.load(folder / "given.pt", weights_only=False)
    trained, norm = example.train(model, [(inputs, target)], lr)
    if torch.distributed.get_rank() == 0:
        torch.save((trained, norm), folder / "found.pt")
    torch.distributed.destroy_process_group()
