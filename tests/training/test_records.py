"""Records, keys, atomic files."""

from __future__ import annotations

import json
import math
import os
from dataclasses import fields

import pytest
import torch

from companion.training.records import RunRecord, RunStore, fingerprint, plain, write_atomic


def _record(**changes):
    values = {
        "setting": {"data": {"name": "mnist"}, "network": {"name": "mlp", "sizes": [4, 2]}, "epochs": 2},
        "role": "final",
        "builder": "module.build",
        "knobs": {"lr": 0.1, "threshold": math.inf},
        "objective": {"kind": "Objective"},
        "checksum": "abc",
        "seed": 3,
    }
    return RunRecord(**{**values, **changes})


def test_the_key_never_changes_by_itself():
    assert _record().key == "79f668fa895570d0d7ed"


def test_the_key_depends_on_every_field_and_not_on_order():
    base = _record()
    assert _record(knobs={"threshold": math.inf, "lr": 0.1}).key == base.key
    changes = [
        {"setting": {"data": {"name": "mnist"}, "network": {"name": "mlp", "sizes": [4, 2]}, "epochs": 3}},
        {"role": "search"}, {"builder": "module.other"}, {"knobs": {"lr": 0.2, "threshold": math.inf}},
        {"objective": {"kind": "Other"}}, {"checksum": "abd"}, {"seed": 4},
    ]  # fmt: skip
    assert {name for change in changes for name in change} == {f.name for f in fields(base)} - {"key"}
    keys = {_record(**change).key for change in changes}
    assert len(keys) == len(changes)
    assert base.key not in keys


def test_a_record_survives_json_and_cannot_be_changed():
    record = _record()
    assert RunRecord.from_dict(json.loads(record.canonical())).key == record.key
    with pytest.raises(AttributeError):
        record.seed = 5


def test_plain_has_no_infinities():
    assert plain({"a": (math.inf, math.nan, 1.5), 2: "x"}) == {"a": [None, None, 1.5], "2": "x"}


def test_fingerprint_sees_values_dtype_and_shape():
    base = torch.arange(6)
    others = [base.int(), base.view(2, 3), base + 1]
    assert fingerprint(base) == fingerprint(base.clone())
    assert len({fingerprint(tensor) for tensor in (base, *others)}) == 4


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_atomic(path, b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("companion.training.records.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_others_may_read_what_is_written(tmp_path):
    plain_file, path = tmp_path / "plain", tmp_path / "run.json"
    plain_file.write_bytes(b"")
    write_atomic(path, b"new")
    assert path.stat().st_mode == plain_file.stat().st_mode, "packed files are installed with the package"


def test_store_knows_recorded_runs_but_prefers_its_own(tmp_path):
    store = RunStore(tmp_path, recorded={"a": {"from": "file"}})
    assert store.has("a")
    assert not store.has("b")
    store.save("a", {"from": "run", "loss": math.nan})
    assert store.load("a") == {"from": "run", "loss": None}


def test_runs_that_trained_together_appear_together(tmp_path, monkeypatch):
    store = RunStore(tmp_path)
    results = {name: {"loss": number} for number, name in enumerate("abc")}
    save, saved = RunStore.save, []

    def killed(self, key, result):
        if len(saved) == 1:
            raise KeyboardInterrupt
        saved.append(key)
        save(self, key, result)

    monkeypatch.setattr(RunStore, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        store.save_together("stack", results)
    assert [store.has(key) for key in "abc"] == [True, False, False]
    monkeypatch.setattr(RunStore, "save", save)
    again = RunStore(tmp_path)
    assert {key: again.load(key) for key in "abc"} == results
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json", "c.json"]
