"""Every figure and sentence of every chapter, and every general one, in every state of the record that a page can meet.

A chapter's figure, sentence or table of runs is a function `figure_…`, `say_…` or `table_…` whose first argument is `results` (one setting
of recorded runs) or `recorded` (experiment name to recorded runs); it is found by that. The runs are made up, with the arms, settings and
controls of the chapter's own experiments.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import pkgutil
import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from bs4 import BeautifulSoup

from companion import chapters, page, papers
from companion import results as packed
from companion.page import Panel, Prose
from companion.plots import Shown
from companion.results import Results
from companion.results.first_recording import FirstRecording
from companion.widgets import static_html
from companion.widgets._live import LiveFigure
from tests.recorded import synthetic

STATES = ("recorded", "absent", "trial", "diverged")
GENERAL = [  # what no chapter shows yet, with arms that there are
    partial(page.figure_loss_and_entropy, arm="P-ON"),
    partial(page.figure_forest, pairs=(("P-ON", "vanilla", ""),), effects={"mnist/mlp-3": 0.5}),
    partial(page.table_verdicts, pairs=(("P-ON", "vanilla", ""),), effects={"mnist/mlp-3": 0.5}),
    page.say_precision,
    page.say_search_edge,
    page.error_table,
]


def modules() -> dict[str, ModuleType]:
    names = [found.name for found in pkgutil.iter_modules(chapters.__path__)]
    return {name: importlib.import_module(f"companion.chapters.{name}") for name in names}


def shows(stem: str, module: ModuleType) -> Iterator[Any]:
    """Yield a chapter's figures, sentences and tables of recorded runs."""
    for name, function in vars(module).items():
        if re.match("(figure|say|table|draw|predict)_", name) and callable(function):
            first = next(iter(inspect.signature(function).parameters), "")
            if first in ("results", "recorded"):
                yield pytest.param(stem, function, id=f"{stem}-{name}")


FUNCTIONS = [each for stem, module in modules().items() for each in shows(stem, module)]
FUNCTIONS += [
    pytest.param("partial_output_norm", each, id=f"page-{getattr(each, 'func', each).__name__}") for each in GENERAL
]


@cache
def experiments(stem: str) -> dict[str, Any]:
    """Return a chapter's experiments; chapters that tell of no paper have none of their own."""
    name = f"companion.experiments.{stem}"
    return importlib.import_module(name).EXPERIMENTS if importlib.util.find_spec(name) else {}


@cache
def records(stem: str, state: str, kind: type[Results]) -> dict[str, Results]:
    """Make the record of every experiment of a chapter, in one state."""
    made = {}
    for name, experiment in experiments(stem).items():
        arms = [arm.name for arm in experiment.arms]
        controls = {control.name: (control.arm, control.rate_of or control.point_of) for control in experiment.controls}
        errors = {arm: [3 - 0.1 * k, 3.2 - 0.1 * k, 3.1 - 0.12 * k] * 7 for k, arm in enumerate((*arms, *controls))}
        nan = {(arm, "train_loss"): [1, 1, 1, 1, math.nan] for arm in errors}
        made[name] = synthetic(
            {} if state == "absent" else errors,
            experiment=name,
            settings=[setting.name for setting in experiment.settings],
            curves=nan if state == "diverged" else None,
            arms=arms,
            controls=controls,
            profile="smoke" if state == "trial" else "laptop",
            kind=kind,
        )
    return made


def show(function: Callable[..., Any], recorded: dict[str, Results]) -> str:
    """Call it with all records, or with the first setting of the one with the most controls; return its words."""
    asks_for = next(iter(inspect.signature(function).parameters))
    first = max(recorded.values(), key=lambda results: len(results[results.settings[0]].controls))
    return words(function(recorded if asks_for == "recorded" else first[first.settings[0]]))


def words(shown: Any) -> str:
    if isinstance(shown, LiveFigure):
        return BeautifulSoup(static_html(shown.name, **shown.values()), "html.parser").get_text(" ")
    assert isinstance(shown, (Shown, Panel, Prose))
    if isinstance(shown, Shown):
        assert shown.alt
        assert "<figcaption><strong>" in shown.html
        return f"{shown.alt} {shown.html.partition('<figcaption>')[2]}"
    return shown.text if isinstance(shown, Panel) else shown.markdown


WANTED = {
    "recorded": r"\d",
    "absent": "Not recorded yet|Nothing to compare yet|not run|Unfinished|No arm chose|largest learning rate|The two arms did best",
    "trial": "Only a trial|Not recorded yet|unfinished|Nothing to compare yet|largest learning rate|The two arms did best|No arm chose|seeds",
    "diverged": "[Dd]iverged|Not recorded yet|Nothing to compare yet|largest learning rate|The two arms did best|No arm chose",
}


@pytest.mark.parametrize("kind", [FirstRecording, Results], ids=["first-rule", "rule"])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("stem", "function"), FUNCTIONS)
def test_it_stands_in_every_state(stem: str, function: Callable[..., Any], state: str, kind: type[Results]) -> None:
    said = show(function, records(stem, state, kind))
    assert said.strip()
    assert re.search(WANTED[state], said), said
    assert not re.search(r"\bnan\b|\binf\b|\bNone\b", said), said
    if state != "recorded":
        assert not re.search(r"[+−]\d[\d.]* \[[+−]", said), f"an interval of runs that cannot be compared: {said}"


def test_every_written_chapter_has_its_module_and_the_test_finds_its_figures() -> None:
    written = {stem for stem in papers.names() if papers.load(stem).chapter.written}
    assert written <= set(modules())
    assert sum(each.id.startswith("partial_output_norm-") for each in FUNCTIONS) >= 10


def files(stem: str) -> list[Path]:
    """Return the files of a chapter: its module, or those of its package."""
    path = Path(inspect.getfile(modules()[stem]))
    return sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]


@pytest.mark.parametrize(
    "path", [path for stem in modules() for path in files(stem)], ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_what_a_chapter_alone_says_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, (
        "what a second chapter would need goes to companion.page"
    )


@pytest.mark.parametrize("stem", [stem for stem in modules() if experiments(stem)])
def test_its_own_records_are_shown(stem: str) -> None:
    """With the packed results, where there are: no figure falls back to a sentence that nothing was recorded."""
    names = experiments(stem)
    load = getattr(modules()[stem], "load", packed.load)
    recorded = {name: load(name) for name in names if name in packed.available()}
    whole = {name: results for name, results in recorded.items() if results.complete}
    if not whole or any(results.profile == "smoke" for results in recorded.values()):
        pytest.skip("no experiment is recorded in full")
    for each in shows(stem, modules()[stem]):
        asks_for = next(iter(inspect.signature(each.values[1]).parameters))
        said = show(each.values[1], recorded if asks_for == "recorded" else whole)
        assert not re.search(r"Not recorded yet|Only a trial|\bnan\b", said), (each.id, said)


@pytest.mark.parametrize("stem", [stem for stem in papers.names() if stem in modules()])
def test_the_report_counts_every_exercise(stem: str) -> None:
    """The exercises of the paper's file are the checks of the chapter, each remembers its answer, and `report` is bound."""
    module = modules()[stem]
    own = {name: found for name, found in vars(module).items() if name.startswith("check_")}
    own = {
        name: check for name, check in own.items() if hasattr(check, "__wrapped__")
    }  # the audit's own are not counted
    asked = papers.load(stem).exercises
    assert {f"check_{each.key}" for each in asked} == set(own)
    for each in asked:
        check = own[f"check_{each.key}"]
        said = check(*[...] * len(inspect.signature(check).parameters))
        assert said.key == (stem, each.key), f"@exercise is missing at check_{each.key}"
        assert said.state == "open"
    assert [line.split(" | ")[0].strip() for line in module.report().text.splitlines()[1 : len(asked) + 1]] == [
        each.title for each in asked
    ]
