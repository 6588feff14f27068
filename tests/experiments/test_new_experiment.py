"""A new experiment is one new module: that of CONTRIBUTING.md, run, packed and loaded; and what is said of wrong ones."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from typing import ClassVar

import pytest

from companion import Objective, cli, experiments, results
from companion.experiments.recipes import SMOKE, ImageRecipe, SearchSpace


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
    packed_to = tmp_path / "packed"
    assert cli.main(["run", "guide-mnist"]) == 0
    assert cli.main(["pack", "guide-mnist", "--profile", "smoke", "--target", str(packed_to)]) == 0
    assert cli.main(["results", "guide-mnist", "--folder", str(packed_to)]) == 0
    assert "difference from vanilla" in capsys.readouterr().out
    packed = results.load("guide-mnist", folder=packed_to)
    assert packed.complete
    assert packed.arms == ("vanilla", "focal loss")
    assert packed.controls == ("vanilla at focal loss's rate",)
    assert set(packed.knobs("vanilla")) == {"lr"}
    chosen = next(point for point in packed.search("focal loss") if point["chosen"])
    assert packed.knobs("focal loss") == {"lr": chosen["lr"], "gamma": chosen["gamma"]}
    assert packed.knobs(packed.controls[0]) == {"lr": chosen["lr"]}
    lengths = {arm: packed.curve(arm, "gradient")[1][:, 0] for arm in (*packed.controls, "focal loss")}
    first, second = lengths.values()
    assert (abs(first - second) > 1e-3).all(), (
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
        experiments.recipes("pon-mnist", "smoke")


def test_a_recipe_stands_under_its_own_profile(add):
    add(
        "invented_profile",
        "from companion.experiments.partial_output_norm import MnistRecipe\n"
        'EXPERIMENTS = {"invented": {"smoke": (MnistRecipe("laptop"),)}}',
    )
    with pytest.raises(ValueError, match="profile of a recipe of 'invented' must be one of 'smoke', got 'laptop'"):
        experiments.names()


class Invented(ImageRecipe):
    """A recipe of a knob that no other has."""

    arms: ClassVar = {"plain": (), "strong": ("strength",)}
    neutral: ClassVar = {"strength": 1.0}
    ranges: ClassVar = (("lr", 0.1, 0.2), ("strength", 2.0, 4.0))

    def objective(self, knobs):
        """Return cross-entropy of multiplied logits."""
        return Objective(logit_transform=lambda logits: knobs["strength"] * logits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ranges": (("strength", 2.0, 4.0),)}, "ranges must have 'lr', which every arm turns, got strength"),
        ({"ranges": (("lr", 0.1, 0.2),)}, "ranges must have 'strength', which the arm 'strong' turns, got lr"),
        ({"neutral": {}}, "neutral must have 'strength', which the arm 'strong' turns, got none"),
        ({"controls": {"c": ("plain", "weak")}}, r"controls\['c'\] must be one of 'plain', 'strong', got 'weak'"),
        ({"controls": {"c": ("weak", "plain", "lr")}}, r"controls\['c'\] must be one of 'plain', 'strong', got 'weak'"),
    ],
)
def test_what_does_not_fit_is_said_at_once(changes, message):
    with pytest.raises(ValueError, match=message):
        type("Wrong", (Invented,), changes)("smoke")


def test_a_record_says_every_knob_and_the_size_its_points():
    recipe = Invented("smoke", **SMOKE)
    assert recipe.space == SearchSpace(Invented.ranges, points=2)
    point = recipe.space.draw()[0]
    strong, plain = (
        recipe.record(recipe.arm_knobs(arm, point), checksum="x", seed=0, search=False) for arm in ("strong", "plain")
    )
    assert strong.objective == {"strength": point["strength"]}
    assert plain.objective == {"strength": 1.0}
    assert strong.optimiser == {"name": "sgd", "lr": point["lr"], "weight_decay": 0.0}
    assert strong.key != plain.key
    assert json.loads(strong.canonical())["profile"] == "smoke"


def test_the_last_epoch_is_measured_whatever_the_recipe_lists(tmp_path, monkeypatch, add):
    add(
        "invented_epochs",
        textwrap.dedent("""\
            from companion.experiments.partial_output_norm import MnistRecipe
            from companion.experiments.recipes import SMOKE

            RECIPE = MnistRecipe("smoke", **{**SMOKE, "points": 1, "search_epochs": 1, "epochs": 2, "seeds": (0,),
                                             "measure_at": (1,)})
            EXPERIMENTS = {"invented": {"smoke": (RECIPE,)}}"""),
    )
    runs = experiments.run("invented", "smoke", folder=tmp_path, verbose=False)
    assert runs.curve("vanilla", "length")[0].tolist() == [1, 2]


def test_a_control_takes_the_others_point_or_its_learning_rate_alone():
    controls = {"point": ("strong", "plain"), "rate": ("strong", "plain", "lr")}
    recipe = type("Controlled", (Invented,), {"controls": controls})("smoke")
    points = [{"lr": 0.1, "strength": 2.0}, {"lr": 0.2, "strength": 3.0}]
    chosen = {"plain": 0, "strong": 1}
    assert recipe.control_knobs("point", points, chosen) == {"lr": 0.1, "strength": 2.0}
    assert recipe.control_knobs("rate", points, chosen) == {"lr": 0.1, "strength": 3.0}
    assert recipe.control_knobs("point", points, {"plain": 0, "strong": None}) == {"lr": 0.1, "strength": 2.0}
    assert recipe.control_knobs("rate", points, {"plain": 0, "strong": None}) is None
