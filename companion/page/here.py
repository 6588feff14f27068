"""The cell of a chapter that trains the paper's kind of network on the device that is there."""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import companion
from companion import papers, plots, results
from companion._checks import check_choice
from companion._extras import require
from companion.data import DataNotFoundError, download_size
from companion.data.catalogue import CATALOGUE
from companion.experiments.design import Experiment, Images, Setting
from companion.experiments.here import SoFar, groups_here, seconds_left, setting_here, size_here, so_far
from companion.experiments.planning import Group
from companion.experiments.registry import registered
from companion.experiments.running import train_group
from companion.experiments.status import said
from companion.experiments.trainees import GraphSource, ImageSource, source_of
from companion.page.display import MONO, MUTED, SANS, Panel, style
from companion.page.recorded import not_usable
from companion.page.tables import render_table
from companion.results import Results
from companion.training.provenance import provenance
from companion.training.records import RunStore, runs_folder

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Ran", "run_here"]


@dataclass(frozen=True)
class Ran(Panel):
    """What `run_here` shows, and the numbers in it.

    Attributes:
        curves: arm to the epochs measured and the test errors after them.
        device: its name.
        complete: whether both arms ran to their end.
    """

    curves: Mapping[str, SoFar] = field(repr=False)
    device: str
    complete: bool


def run_here(
    name: str,
    *,
    baseline: str | None = None,
    method: str | None = None,
    recorded: Results | Mapping[str, Results] | None = None,
    device: str | torch.device | None = None,
    folder: str | Path | None = None,
    fresh: bool = False,
) -> Ran:
    """Train the paper's kind of network with its method and its baseline on the device that is there, and show the errors.

    On CUDA it is the real network with all data, on Apple's MPS a smaller one, on a processor a few seconds on the packaged sample;
    ``COMPANION_PROFILE`` overrides. It says first what it will do and about how long. Stop it whenever you like: it shows
    what is done, and the next call goes on from there.

    Args:
        name: of an experiment that states how it is trained here, ``"pon-cifar10"``.
        baseline: an arm; by default that of the experiment's first contrast. (Keyword only, as all that follow.)
        method: the arm it is compared with; by default that of the contrast.
        recorded: recorded results of it, or experiment name to recorded results; by default those of the package.
        device: see `companion.device`.
        folder: of checkpoints and results, by default ``runs``.
        fresh: train again what is there already.

    Returns:
        A figure of the test error over the epochs, beside the recorded one, and a table.

    Raises:
        ValueError: an unknown name or arm, an experiment that states nothing for here, or a folder that cannot be written.

    Example:
        >>> run_here("pon-cifar10", baseline="vanilla", method="P-ON")  # doctest: +SKIP
    """
    known = {key: value for key, value in registered().items() if value.here}
    check_choice("name", name, known)
    arms = _arms(name, known[name], baseline, method)
    found = companion.device(device)
    store = RunStore(runs_folder(folder) / f"{name}-here")
    store.check_writable()
    notice = _Notice()
    setting, source, lack = _data(known[name], found, notice)
    groups = groups_here(known[name], setting, source, arms)
    if fresh:
        for group in groups.values():
            store.path(group.records[0].key).unlink(missing_ok=True)
            store.checkpoint(group.name).unlink(missing_ok=True)
    where = provenance(found)["device"]
    try:
        _announce(notice, groups, source, store, f"{where} ({found.type})")
        _train(notice, groups, store, str(found))
    except KeyboardInterrupt:  # what is done is shown; nothing of it is lost
        notice.bar("")
    curves = {arm: so_far(group, store) for arm, group in groups.items()}
    return _shown(name, curves, groups, _record(name, setting, recorded), where, lack)


def _arms(name: str, experiment: Experiment, baseline: str | None, method: str | None) -> tuple[str, str]:
    """Return baseline and method: those asked for, else those of the experiment's first contrast, else its first two arms."""
    known = [arm.name for arm in experiment.arms]
    fixed = [c for stem in papers.names() for c in papers.load(stem).contrasts if c.experiment == name]
    pair = (fixed[0].baseline, fixed[0].better) if fixed else known[:2]
    chosen = baseline or pair[0], method or pair[1]
    for what, arm in zip(("baseline", "method"), chosen, strict=True):
        check_choice(what, arm, known)
    return chosen


def _data(
    experiment: Experiment, device: torch.device, notice: _Notice
) -> tuple[Setting, ImageSource | GraphSource, str]:
    """Return setting and data; where the data are not to be had, those of the sample, and a sentence that says so."""
    setting = setting_here(experiment, size_here(device), device)
    title = CATALOGUE[setting.data.name].title
    try:
        if not setting.data.sample and (size := download_size(setting.data.name)):
            notice.say(f"{title} is not on this machine: it is downloaded first, {size} MB.")
        return setting, source_of(setting.data, str(device)), ""
    except (DataNotFoundError, ImportError) as error:
        small = setting_here(experiment, "smoke", device)
        if not small.data.sample or setting.data.sample:
            raise
        lack = (
            f"{title} could not be had ({str(error).splitlines()[0]}), so this is the packaged sample: say "
            f'companion.data.load("{setting.data.name}") to see what to do, and call again.'
        )
        notice.say(lack)
        return small, source_of(small.data, str(device)), lack


def _announce(
    notice: _Notice, groups: Mapping[str, Group], source: ImageSource | GraphSource, store: RunStore, where: str
) -> None:
    """Say what will be trained, on what, and about how long it takes."""
    setting = next(iter(groups.values())).setting
    rows = f"{len(source.labels):,} images" if isinstance(setting.data, Images) else f"{len(source.labels):,} nodes"
    sample = ", the sample that comes with the package" if setting.data.sample else ""
    left = {arm: setting.epochs - _done(so_far(group, store)) for arm, group in groups.items()}
    going = {arm: epochs for arm, epochs in left.items() if epochs}
    if not going:
        notice.say("Both arms have been trained here already; run_here(…, fresh=True) trains them again.")
        return
    before = "Goes on where it was stopped. " if any(epochs < setting.epochs for epochs in left.values()) else ""
    seconds = seconds_left(groups[next(iter(going))], source, sum(going.values()))
    todo = " and ".join(f"{epochs} epochs with {arm}" for arm, epochs in going.items())
    notice.say(
        f"{before}Trains {setting.network.name} on {rows} of {CATALOGUE[setting.data.name].title}{sample}: {todo}, on {where}. "
        f"That takes about {said(max(seconds, 1))}. Stop it whenever you like: the next call goes on from there."
    )


def _done(run: SoFar) -> int:
    return run.epochs[-1] if run.epochs else 0


def _train(notice: _Notice, groups: Mapping[str, Group], store: RunStore, device: str) -> None:
    """Train what is missing, one arm after the other, and show how far it is."""
    total = sum(group.setting.epochs for group in groups.values())
    done = {arm: _done(so_far(group, store)) for arm, group in groups.items()}
    if sum(done.values()) == total:
        return
    tqdm = require("tqdm.std", extra="experiments").tqdm  # the plain one: in a notebook, too, it needs no widgets
    with tqdm(
        total=total, initial=sum(done.values()), unit="epoch", file=notice, leave=False, ncols=76, ascii=False
    ) as bar:
        for arm, group in groups.items():

            def to(epoch: int, arm: str = arm) -> None:
                done[arm] = epoch
                bar.update(sum(done.values()) - bar.n)

            bar.set_description(arm)
            train_group(group, store.folder, device, checkpoint_every=0.0, on_epoch=to)


class _Notice:
    """What stands above the result: sentences, and tqdm's line, which a notebook replaces in place and a page does not keep."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.line, self.handle = "", None
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        self.notebook = hasattr(shell, "kernel")

    def say(self, sentence: str) -> None:
        """Add a sentence."""
        self.sentences.append(sentence)
        if self.notebook:
            self._show()
        else:
            print(sentence, flush=True)

    def bar(self, line: str) -> None:
        """Replace the line that says how far it is."""
        if self.notebook and line.strip() != self.line:
            self.line = line.strip()
            self._show()

    def write(self, text: str) -> None:
        """Take a line from tqdm."""
        if self.notebook:
            self.bar(text)
        else:
            sys.stdout.write(text)

    def flush(self) -> None:
        """Show it at once."""
        if not self.notebook:
            sys.stdout.flush()

    def _show(self) -> None:
        css = style(
            f".luc-here{{font:400 15px/1.5 {SANS};color:{MUTED};max-width:680px;margin:.6em 0}}"
            f".luc-here pre{{font:400 13px/1.5 {MONO};color:inherit;background:none;border:0;margin:.4em 0;padding:0;overflow-x:auto}}"
        )
        text = "\n".join([*self.sentences, *([self.line] if self.line else [])])
        words = "".join(f"<p>{html.escape(sentence, quote=False)}</p>" for sentence in self.sentences)
        line = f'<pre aria-hidden="true">{html.escape(self.line, quote=False)}</pre>' if self.line else ""
        panel = Panel(f'{css}<div class="luc-here" role="status">{words}{line}</div>', text)
        if self.handle is None:
            from IPython.display import display  # there where a notebook runs

            self.handle = display(panel, display_id=True)
        else:
            self.handle.update(panel)


# --- the result -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Curves:
    """Test errors of arms over the epochs after the first, in the form in which `companion.plots` draws them."""

    of: Mapping[str, tuple[np.ndarray, np.ndarray]]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(self.of)

    def curve(self, arm: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        return self.of[arm]


def _record(name: str, setting: Setting, recorded: Results | Mapping[str, Results] | None) -> Results | None:
    """Return the recorded results to show beside: those given, else those of the package."""
    if recorded is None:
        recorded = {name: results.load(name)} if name in results.available() else {}
    chosen = recorded.get(name) if isinstance(recorded, Mapping) else recorded
    return chosen[setting.name] if chosen is not None and setting.name in chosen.settings else None


def _beside(name: str, record: Results | None, arms: tuple[str, ...]) -> tuple[_Curves | None, str]:
    """Return the recorded curves and a sentence on them, or nothing to draw and the sentence that says why."""
    if record is None:
        return None, f"No run of {name} is recorded yet."
    if absent := not_usable(record, *reversed(arms)):
        return None, repr(absent)
    of = {}
    for arm in arms:
        epochs, values = record.curve(arm, "test_error")
        of[arm] = epochs[epochs > 0], values[:, epochs > 0]
    curves = _Curves(of, record.provenance)
    return curves, f"Beside it the recorded runs: {plots.provenance_note(curves, arms, 'test_error')}"


def _shown(
    name: str,
    curves: Mapping[str, SoFar],
    groups: Mapping[str, Group],
    record: Results | None,
    where: str,
    lack: str,
) -> Ran:
    baseline, method = groups
    setting, knobs = groups[method].setting, groups[method].records[0].knobs
    complete = all(_done(run) == setting.epochs for run in curves.values())
    seconds = sum(run.seconds for run in curves.values())
    stopped = "" if complete else "Stopped before the end; the next call goes on from there. "
    beside, words = _beside(name, record, (baseline, method))
    begun = {arm: run for arm, run in curves.items() if run.epochs}
    if not begun:
        text = f"Stopped before the first epoch was over. {words}"
        return Ran(f"<p>{html.escape(text, quote=False)}</p>", text, curves, where, False)
    errors = {arm: run.errors[-1] for arm, run in begun.items()}
    ends = " and ".join(f"{errors[arm]:.1f} % with {arm}" for arm in begun)
    after = f"After {_done(next(iter(begun.values())))} epochs" if complete else "So far"
    stated = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in knobs.items())
    caption = (
        f"{after} the test error here is {ends}. {stopped}One seed, at stated values ({stated}), not searched ones: a look, "
        f"no evidence. {lack + ' ' if lack else ''}{words}"
    )
    mine = _Curves({arm: (np.array(run.epochs), np.array([run.errors], float)) for arm, run in begun.items()})
    parts = [(mine, "here"), *([(beside, "recorded")] if beside else [])]
    top = 1.05 * max(values.max() for part, _ in parts for _, values in part.of.values() if values.size)

    def draw(axes: Axes | tuple[Axes, ...], narrow: bool) -> None:
        for ax, (part, place) in zip(axes if beside else (axes,), parts, strict=True):
            # Between two panels there is room for wrapped names only.
            plots.draw_curves(ax, narrow or bool(beside), part, "test_error", ylabel=f"test error {place}, %")
            ax.locator_params(axis="x", integer=True)
            for arm, (epochs, values) in part.of.items():
                if len(epochs) == 1:  # one epoch makes no line
                    plots.scatter(ax, epochs, values[0], arm)
            ax.set_ylim(0, top if math.isfinite(top) else 100)

    listed = "; ".join(f"{arm} {run.errors[-1]:.1f} % after {_done(run)} epochs" for arm, run in begun.items())
    alt = f"Curves of the test error over the epochs, trained here{' and as recorded' if beside else ''}. Last values here: {listed}."
    figure = plots.show(
        draw, title=f"{name}, trained here", alt=alt, caption=caption, panels=len(parts),
        width="wide" if beside else "text", name="figure-run-here",
    )  # fmt: skip
    rows = [[arm, f"{run.errors[-1]:.2f}", str(_done(run)), f"{run.seconds:.0f}"] for arm, run in begun.items()]
    table = render_table(
        ["", "test error, %", "epochs", "seconds"],
        rows,
        caption=f"{where}, torch {torch.__version__}; {said(seconds)} in all.",
    )
    return Ran(figure.html + table.html, f"{caption}\n{table.text}", curves, where, complete)
