"""The package itself: a light import, one list of names, parts when first used, clear words when one is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import companion
from companion._extras import require

HEAVY = ("torchvision", "torch_geometric", "matplotlib", "sympy", "ipywidgets", "anywidget", "joblib", "scipy")


def test_import_is_light():
    script = f"import sys, companion; print([name for name in {HEAVY} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]"


def test_every_public_name_is_there_once_and_documented():
    assert len(companion.__all__) == len(set(companion.__all__))
    for name in companion.__all__:
        assert getattr(companion, name).__doc__, name
    for source in (companion.geometry, companion.methods, companion.methods.baselines):
        assert set(source.__all__) <= set(companion.__all__)
        assert set(source.__all__) <= set(dir(source))


def test_parts_are_loaded_when_first_used():
    assert companion.data.__name__ == "companion.data"
    assert callable(companion.validate)
    assert {"data", "plots", "training", "validate"} <= set(dir(companion))
    with pytest.raises(AttributeError, match="module 'companion' has no attribute 'no_such_part'"):
        _ = companion.no_such_part


def test_device(monkeypatch):
    def machine(cuda: bool, mps: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    machine(cuda=False, mps=False)
    assert companion.device() == companion.device("cuda") == companion.device("mps") == torch.device("cpu")
    machine(cuda=False, mps=True)
    assert companion.device() == companion.device("cuda") == torch.device("mps")
    assert companion.device("cpu") == torch.device("cpu")
    machine(cuda=True, mps=True)
    assert companion.device() == torch.device("cuda")
    assert companion.device("cuda:1") == companion.device(torch.device("cuda:1")) == torch.device("cuda:1")
    assert companion.device("mps") == torch.device("mps")
    with pytest.raises(ValueError, match="prefer must be one of 'cuda', 'mps', 'cpu', got 'tpu'"):
        companion.device("tpu")


def test_require_names_the_extra():
    with pytest.raises(
        ImportError, match=r"no_such_package is not installed; it comes with the extra 'plots'"
    ) as caught:
        require("no_such_package.part", extra="plots")
    assert 'pip install "logits-under-control[plots]"' in str(caught.value)
    assert "if it was installed while this Python ran, restart the kernel" in str(caught.value)
    assert require("math", extra="math").__name__ == "math"


def test_require_passes_on_what_breaks_inside_a_package(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import no_such_dependency\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_dependency'"):
        require("broken_package", extra="plots")
