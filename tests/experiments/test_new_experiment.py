"""A new experiment is one new module: that of CONTRIBUTING.md, run, packed and loaded; and what is said of wrong ones."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import pytest

from companion import cli, experiments, results


@pytest.fixture
def add(monkeypatch, tmp_path):
    """Return a function that puts a module beside those of the package."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    monkeypatch.setattr(experiments, "__path__", [*experiments.__path__, str(folder)])
    added = []

    def put(name, text):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        added.append(name)

    yield put
    for name in added:
        sys.modules.pop(f"{experiments.__name__}.{name}", None)
        vars(experiments).pop(name, None)


def _example(root):
    section = (root / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Add an experiment")[1].split("\n## ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    return textwrap.dedent(block)


def test_the_module_of_the_guide_is_all_it_takes(add, root, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COMPANION_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("COMPANION_PROFILE", raising=False)
    example = _example(root).replace("focal-mnist", "guide-mnist")  # should that experiment exist one day
    assert len(example.splitlines()) <= 25
    add("focal_loss_of_the_guide", example)
    assert "guide-mnist" in experiments.names()
    assert experiments.experiment("guide-mnist", "laptop").rules_broken() == []
    packed_to = tmp_path / "packed"
    assert cli.main(["run", "guide-mnist", "--quiet"]) == 0
    assert cli.main(["pack", "guide-mnist", "--profile", "smoke", "--target", str(packed_to)]) == 0
    assert cli.main(["results", "guide-mnist", "--folder", str(packed_to)]) == 0
    assert "vanilla − arm" in capsys.readouterr().out
    packed = results.load("guide-mnist", folder=packed_to)
    assert packed.complete
    assert packed.arms == ("vanilla", "focal loss")
    assert packed.controls == ("vanilla at focal loss's rate", "focal loss at vanilla's rate")
    assert set(packed.knobs("vanilla")) == {"lr"}
    chosen = next(point for point in packed.search("focal loss") if point["chosen"])
    assert packed.knobs("focal loss") == {"lr": chosen["lr"], "gamma": chosen["gamma"]}
    assert packed.knobs("vanilla at focal loss's rate") == {"lr": chosen["lr"]}
    other = packed.knobs("focal loss at vanilla's rate")
    assert other == {"lr": packed.knobs("vanilla")["lr"], "gamma": chosen["gamma"]}
    lengths = [packed.curve(arm, "gradient")[1][:, 0] for arm in ("vanilla", "focal loss")]
    assert (abs(lengths[0] - lengths[1]) > 1e-3).all(), (
        "before training, equal networks differ in the criterion's gradient alone"
    )


def test_no_experiment_is_imported_before_it_is_asked_for():
    code = (
        "import sys; from companion import experiments; "
        "name = 'companion.experiments.partial_output_norm'; assert name not in sys.modules; "
        "experiments.names(); assert name in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_may_be_taken_once(add):
    add("invented_twice", 'EXPERIMENTS = {"pon-mnist": {}}')
    with pytest.raises(ValueError, match="'pon-mnist' in invented_twice and partial_output_norm"):
        experiments.experiment("pon-mnist", "smoke")
