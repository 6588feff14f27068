"""The paper's table beside ours, and the rule for the verdict, fixed before the numbers."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from companion import papers
from companion.page.display import MUTED, RULE, SANS, Panel, inline, plain, style
from companion.results import holm

VERDICTS = {
    "agrees": "the interval lies above zero and reaches the paper's effect",
    "larger than printed": "the interval lies above the paper's effect",
    "same direction, smaller": "the interval lies above zero and below the paper's effect",
    "cannot tell": "the interval holds both zero and the paper's effect",
    "smaller than printed": "the interval holds zero and lies below the paper's effect",
    "opposite": "the interval lies below zero",
}
"""The words of the verdict and what each says about the 95 % interval of the paired difference."""


def verdict(low: float, high: float, effect: float) -> str:
    """Return the verdict on an interval of the difference error(baseline) − error(method).

    The rule knows the interval and the paper's effect, nothing else. An end that equals zero or the effect counts as
    reaching it.

    Args:
        low: lower end, in error points.
        high: upper end.
        effect: the paper's difference, positive.

    Returns:
        One of the words of `VERDICTS`.

    Raises:
        ValueError: the ends are not in order, a number is not finite, or the effect is not positive.

    Example:
        >>> verdict(0.1, 0.6, effect=0.5), verdict(-0.1, 0.2, effect=0.5), verdict(-0.1, 0.6, effect=0.5)
        ('agrees', 'smaller than printed', 'cannot tell')
    """
    if not (low <= high and abs(low) < float("inf") and abs(high) < float("inf")):
        raise ValueError(f"low and high must be finite and in order, got {low!r} and {high!r}")
    if not 0 < effect < float("inf"):
        raise ValueError(f"effect must be positive and finite, got {effect!r}")
    if high < 0:
        return "opposite"
    if low <= 0:
        return "cannot tell" if high >= effect else "smaller than printed"
    if low > effect:
        return "larger than printed"
    return "agrees" if high >= effect else "same direction, smaller"


def diverged(results: Any, arm: str) -> int:
    """Return how many of an arm's final runs diverged: their training loss is no longer a number."""
    return results.diverged(arm)


@dataclass(frozen=True)
class Comparison:
    """One paired comparison of ours beside the paper's.

    Attributes:
        label: data and model.
        better: the arm that the paper finds better.
        baseline: the arm it is compared with.
        means: our mean errors (baseline, better), in percent.
        sds: their standard deviations over seeds.
        n: paired seeds.
        difference: mean of error(baseline) − error(better), in points; positive is the paper's direction.
        low: lower end of its 95 % interval.
        high: upper end.
        p: two-sided p-value of the paired t test, not corrected.
        effect: the paper's difference, or None.
        diverged: how many runs of (baseline, better) diverged.
        unfinished: whether runs of either arm are still missing, or were never asked for: the record has fewer paired seeds
            than its contrast fixes, or is only a trial (the profile ``smoke``).
    """

    label: str
    better: str
    baseline: str
    means: tuple[float, float]
    sds: tuple[float, float]
    n: int
    difference: float
    low: float
    high: float
    p: float
    effect: float | None
    diverged: tuple[int, int] = (0, 0)
    unfinished: bool = False

    @property
    def mean(self) -> float:
        """The difference under the name that plots ask for."""
        return self.difference

    @property
    def verdict(self) -> str:
        """The verdict by the rule of `verdict`.

        No verdict is "diverged" (a run of either arm did), "unfinished" (not all seeds fixed beforehand have run: to judge
        earlier would be to stop when the numbers please; a smaller record is never judged), "one pair" (n is 1), and a dash (the paper prints no effect).
        """
        if any(self.diverged):
            return "diverged"
        if self.unfinished:
            return "unfinished"
        if self.effect is None:
            return "–"
        return verdict(self.low, self.high, self.effect) if self.n > 1 else "one pair"

    @property
    def judged(self) -> bool:
        """Whether the difference may be shown: no run diverged and the seeds are all there."""
        return not any(self.diverged) and not self.unfinished

    @property
    def relative(self) -> float:
        """By how many percent of the baseline's mean error the method's is lower."""
        return papers.relative_reduction(*self.means)


def compare(
    results: Any,
    better: str,
    baseline: str,
    *,
    effect: float | None = None,
    label: str = "",
    metric: str = "test_error",
) -> Comparison:
    """Compare two arms of recorded results, pair by pair of seeds.

    Args:
        results: as ``companion.results.load`` returns them, for one setting.
        better: the arm that should have the lower error.
        baseline: the arm it is compared with.
        effect: the paper's difference, if it prints one.
        label: data and model.
        metric: an error; smaller is better.
    """
    gain = results.gain(better, baseline, metric)
    first, second = results.summary(baseline, metric), results.summary(better, metric)
    return Comparison(
        label=label,
        better=better,
        baseline=baseline,
        means=(first.mean, second.mean),
        sds=(first.sd, second.sd),
        n=gain.n,
        difference=gain.mean,
        low=gain.low,
        high=gain.high,
        p=gain.p,
        effect=effect,
        diverged=(diverged(results, baseline), diverged(results, better)),
        unfinished=results.unfinished(better) or results.unfinished(baseline) or _smaller(results, gain.n),
    )


def _smaller(results: Any, n: int) -> bool:
    """Say whether a record of one setting, with ``n`` paired seeds, is smaller than what was fixed beforehand."""
    contrasts = [contrast for paper in papers.names() for contrast in papers.load(paper).contrasts]
    asked = [c.n for c in contrasts if (c.experiment, f"{c.data}/{c.model}") == (results.name, results.settings[0])]
    return results.profile == "smoke" or n < max(asked, default=0)


def _setting(results: Mapping[str, Any], ours: Mapping[str, Any]) -> Any | None:
    """Return the recorded results that repeat a printed row, or None where its runs are not recorded."""
    found = results.get(ours["experiment"])
    if found is None:
        return None
    chosen = found[ours["setting"]] if "setting" in ours else found
    shared = set(chosen.seeds(ours["better"])) & set(chosen.seeds(ours["baseline"]))
    return chosen if shared else None


def comparisons(
    results: Mapping[str, Any], table: papers.Table, effects: Mapping[str, float]
) -> list[Comparison | None]:
    """Return our comparison for every row of a printed table, None where we have no run.

    Args:
        results: experiment name to recorded results.
        table: a printed table.
        effects: arm to the paper's effect, where the table itself prints no errors.
    """
    found: list[Comparison | None] = []
    for row in table.rows:
        chosen = _setting(results, row.ours) if row.ours else None
        if chosen is None:
            found.append(None)
            continue
        printed = round(row.baseline.mean - row.better.mean, 6) if row.baseline else effects.get(row.ours["better"])
        found.append(compare(chosen, row.ours["better"], row.ours["baseline"], effect=printed, label=row.label))
    return found


def table_beside(
    results: Mapping[str, Any], table: papers.Table, *, effects: Mapping[str, float] | None = None
) -> Panel:
    """Show a printed table beside our runs: means ± sd, the paired difference with its 95 % interval, the verdict.

    Args:
        results: experiment name to recorded results, ``{"pon-mnist": companion.results.load("pon-mnist")}``.
        table: a printed table, from `companion.papers`.
        effects: arm to the paper's effect in points, where the table prints only relative reductions.

    Returns:
        A table, two lines for each printed comparison; those without a run of ours say so.
    """
    ours = comparisons(results, table, effects or {})
    head = ["error, %", "paper", "ours", "relative gain", "difference [95 %]", "verdict"]
    rows = []
    for row, comparison in zip(table.rows, ours, strict=True):
        printed = [f"{cell.mean:.2f} ± {cell.sd:g}" if cell else "–" for cell in (row.baseline, row.better)]
        if comparison is None:
            rows.append([row.label, printed[0], "not run", "", "", ""])
            rows.append(["· with it", printed[1], "not run", f"{row.reduction:.2f} / – %", "", ""])
            continue
        mine = [
            _lost(lost, comparison.n) if lost else f"{mean:.2f} ± {sd:.2f}"
            for mean, sd, lost in zip(comparison.means, comparison.sds, comparison.diverged, strict=True)
        ]
        own, difference = "–", ""
        if comparison.judged:
            own = f"{comparison.relative:.2f}".replace("-", "−")
            difference = interval_text(comparison.difference, comparison.low, comparison.high)
        paper = f"paper {comparison.effect:+.2f}" if comparison.effect else ""
        rows.append([row.label, printed[0], mine[0], "", paper, ""])
        name, relative = f"· with it, n = {comparison.n}", f"{row.reduction:.2f} / {own} %"
        rows.append([name, printed[1], mine[1], relative, difference, comparison.verdict])
    note = (
        "Relative gain: the paper's / ours. Differences in points; positive means a lower error with the method. "
        "The verdict compares points."
    )
    return render_table(head, rows, caption=f"{table.id}: {table.metric}. {note} Each interval is for one comparison.")


def _lost(count: int, of: int) -> str:
    """Stand in for a mean error where runs diverged: a mean of ruined runs means nothing."""
    return f"{count} of {of} diverged"


def interval_text(mean: float, low: float, high: float) -> str:
    """Write a difference with its interval, signs in full.

    Example:
        >>> interval_text(0.1, -0.05, 0.25)
        '+0.10 [−0.05, +0.25]'
    """
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")


def recorded_note(results: Any) -> str:
    """Say on what recorded runs were made, when, and what they took; and what is missing, if anything is.

    Args:
        results: as ``companion.results.load`` returns them.
    """
    made = results.provenance
    days = sorted({str(date)[:10] for date in (made["dates"] or [made["date"]])})
    note = (
        f"Recorded at the size `{results.profile}` on {made['device']}, torch {made['versions']['torch']}, {' to '.join(days)}: {made['runs']} runs, "
        f"the search included, {made['seconds'] / 3600:.1f} core-hours."
    )
    if results.complete:
        return note
    more = f" and {len(results.missing) - 1} more" if len(results.missing) > 1 else ""
    return f"{note} **Incomplete:** missing is {results.missing[0]}{more}."


def error_table(results: Any, arms: Sequence[str] | None = None, metric: str = "test_error") -> Panel:
    """Show the final errors of all arms: mean ± sd over the seeds, and the knobs that the search chose.

    Args:
        results: recorded results of one setting.
        arms: which arms, default all.
        metric: the metric, in percent.
    """
    rows = []
    for arm in arms or results.arms:
        if not results.seeds(arm):
            rows.append([arm, "not run", "0", ""])
            continue
        mean, sd, n = results.summary(arm, metric)
        said = f"{mean:.2f} ± {sd:.2f}" if n > 1 else f"{mean:.2f}"
        if lost := diverged(results, arm):
            said = _lost(lost, n)
        rows.append([arm, said, str(n), knobs_text(results.knobs(arm))])
    head = ["arm", "test error, %", "seeds", "chosen: learning rate, knobs"]
    caption = "Last epoch, mean ± standard deviation over seeds; learning rate and knobs as the search chose them."
    return render_table(head, rows, caption=caption)


def _knob_forms() -> dict[str, str]:
    """How a knob is written: as the papers say; one that none names is written under its own name."""
    found = {"weight_decay": "decay {:.2g}"}
    for paper in papers.names():
        found |= papers.load(paper).knobs
    return found


def knobs_text(knobs: Mapping[str, Any]) -> str:
    """Write an arm's learning rate and its knobs, as `companion.results.Results.knobs` returns them.

    Example:
        >>> knobs_text({"lr": 0.1, "threshold": 8.0, "strength": 0.25})
        '0.1, δ = 8, strength = 0.25'
    """
    parts, forms = [f"{knobs['lr']:.3g}"], _knob_forms()
    for name, value in knobs.items():
        if name != "lr":
            plain_form = "= {}" if isinstance(value, str) else "= {:.3g}"
            parts.append(forms.get(name, f"{name} {plain_form}").format(value))
    return ", ".join(parts)


def family_note(results: Mapping[str, Any], paper: str, family: str) -> str:
    """Say how many of a family's comparisons stay below 0.05 after Holm's correction.

    The correction counts every comparison fixed beforehand, also those without a verdict.

    Args:
        results: experiment name to recorded results.
        paper: its stem.
        family: name of the family among its contrasts.

    Returns:
        One sentence; it names the comparisons that stay, or says that none does.
    """
    members, p_values, lost, missing = [], [], 0, 0
    for contrast in papers.load(paper).contrasts:
        if contrast.family != family:
            continue
        found = _setting(results, {**asdict(contrast), "setting": f"{contrast.data}/{contrast.model}"})
        ours = compare(found, contrast.better, contrast.baseline) if found else None
        if ours is None or (ours.unfinished and not any(ours.diverged)):
            missing += 1
            continue
        if any(ours.diverged):
            lost += 1
            continue
        side = "lower" if ours.difference > 0 else "higher"
        where = f"{contrast.data}, {contrast.model}"
        members.append(f"{contrast.better} against {contrast.baseline} ({where}; its error is {side})")
        p_values.append(ours.p)
    reasons = [f"{lost} without a verdict, since runs diverged"] * bool(lost)
    reasons += [f"{missing} without a verdict, since runs are missing"] * bool(missing)
    without = f" ({'; '.join(reasons)}; counted all the same)" if reasons else ""
    if not members:
        return f"Of the family {family} no comparison can be judged yet{without}."
    size = len(members) + lost + missing
    corrected = holm(p_values + [1.0] * (lost + missing))[: len(members)]  # a family does not shrink because runs fail
    kept = [name for name, p in zip(members, corrected, strict=True) if p < 0.05]
    stays = f"{len(kept)} stay{'s' if len(kept) == 1 else ''} below 0.05" if kept else "none stays below 0.05"
    named = f": {'; '.join(kept)}" if kept else ""
    fixed = f"the {size} comparison{'s' * (size > 1)} fixed beforehand as one family{without}"
    return f"With Holm's correction over {fixed}, {stays}{named}."


def printed_reductions(paper: str) -> Panel:
    """Recompute every relative reduction that a paper prints with its errors, and mark those that do not follow.

    Args:
        paper: its stem, ``"partial_output_norm"``.

    Example:
        >>> [line for line in printed_reductions("partial_output_norm").text.splitlines() if "does not follow" in line][0][:9]
        'Cora, GAT'
    """
    rows = []
    for table in papers.load(paper).tables:
        for row in table.rows:
            if row.baseline is None:
                continue
            computed = papers.relative_reduction(row.baseline.mean, row.better.mean)
            agrees = abs(computed - row.reduction) < 0.011  # printed with two decimals, rounded or cut
            said = "follows" if agrees else "does not follow"
            errors = f"{row.baseline.mean:.2f} → {row.better.mean:.2f}"
            rows.append([row.label, errors, f"{row.reduction:.2f}", f"{computed:.2f}", said])
    head = ["", "printed errors, %", "printed gain, %", "recomputed", ""]
    return render_table(head, rows, caption="Relative gains, recomputed from the printed errors.")


def claims_table(paper: str) -> Panel:
    """Show a paper's numbered claims with our verdicts and conditions.

    Example:
        >>> "Lemma 2.2" in claims_table("partial_output_norm").text
        True
    """
    rows = [[c.place, c.says, c.verdict, c.condition or "–"] for c in papers.load(paper).claims]
    return render_table(["place", "the claim, in our words", "verdict", "condition"], rows, prose=True)


def recipe_table(paper: str, experiment: str) -> Panel:
    """Show how an experiment is trained: what the paper states, what it leaves open, and what we fixed.

    Args:
        paper: its stem, ``"partial_output_norm"``.
        experiment: name of the experiment, ``"pon-mnist"``.

    Example:
        >>> "learning rate" in recipe_table("partial_output_norm", "pon-mnist").text
        True
    """
    recipe = papers.load(paper).recipe(experiment)
    stated, ours = recipe["paper"], recipe["ours"]
    rows = [[key, _sentence(stated.get(key, "–")), _sentence(ours.get(key, "–"))] for key in {**stated, **ours}]
    return render_table(["", "the paper", "our runs"], rows, prose=True)


def _sentence(value: Any) -> str:
    """Write a recipe's entry: text as it is, a list with commas, ranges by name."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def render_table(
    head: Sequence[str], rows: Sequence[Sequence[Any]], *, caption: str = "", digits: int = 3, prose: bool = False
) -> Panel:
    """Return a table with thin rules: figures right-aligned, the first column fixed while the rest scrolls on a phone.

    Args:
        head: column names.
        rows: cells: light Markdown, or numbers (0-d tensors too), which are written with ``digits`` decimals.
        caption: one or two sentences below.
        digits: decimals of numbers.
        prose: columns of sentences instead of figures: wrapped.

    Example:
        >>> render_table(["a", "b"], [["one", -2.0]], digits=1)
        a   | b
        one | −2.0
    """
    cells = [[_written(cell, digits) for cell in row] for row in rows]
    figures = [not prose and all(_FIGURE.match(row[column]) for row in cells) for column in range(len(head))]
    css = style(
        f""".luc-table{{overflow-x:auto;margin:1.4em 0;max-width:1080px}}
        .luc-table table{{border-collapse:collapse;font:400 15px/1.45 {SANS};font-variant-numeric:tabular-nums;
        margin:0;width:auto;border:0;background:none}}
        .luc-table th,.luc-table td{{border:0;border-bottom:1px solid {RULE};padding:.45em .65em;text-align:left;
        vertical-align:top;white-space:nowrap;background:none}}
        .luc-table thead th{{font-weight:600}} .luc-table tbody th{{font-weight:400}}
        .luc-table .luc-figures{{text-align:right}}
        .luc-table tr>:last-child:not(.luc-figures){{white-space:normal;min-width:7.5em}}
        .luc-table tr>:first-child{{position:sticky;left:0;background:var(--luc-page, inherit);padding-left:0}}
        .luc-table.luc-prose th,.luc-table.luc-prose td{{white-space:normal;min-width:6em}}
        .luc-table.luc-prose td{{min-width:9em;max-width:26em}}
        .luc-table figcaption{{font:400 15px/1.5 {SANS};color:{MUTED};max-width:680px;margin:.6em 0 0;padding:0;
        text-align:left}}"""
    )

    def place(column: int) -> str:
        return ' class="luc-figures"' if figures[column] and column else ""

    titles = "".join(f'<th scope="col"{place(column)}>{inline(cell)}</th>' for column, cell in enumerate(head))
    lines = []
    for row in cells:
        rest = "".join(f"<td{place(column)}>{inline(cell)}</td>" for column, cell in enumerate(row[1:], start=1))
        lines.append(f'<tr><th scope="row">{inline(row[0])}</th>{rest}</tr>')
    words = f"<figcaption>{inline(caption)}</figcaption>" if caption else ""
    label = html.escape(plain(caption) or f"Table: {', '.join(plain(cell) for cell in head if cell)}", quote=True)
    page = (
        f'{css}<figure class="luc-table{" luc-prose" if prose else ""}" tabindex="0" aria-label="{label}">'
        f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(lines)}</tbody></table>{words}</figure>"
    )
    return Panel(page, _table_text(head, cells, caption))


_FIGURE = re.compile(r"^$|^–$|^(not run|unfinished|diverged)$|^(paper )?[(+−]?[\d.]+")


def _written(cell: Any, digits: int) -> str:
    """Write a cell: text as it is, an integer in full, any other number with some decimals; minus signs in full."""
    if isinstance(cell, int):
        return str(cell).replace("-", "−")
    if not isinstance(cell, str):
        text = f"{float(cell):.{digits}f}"
        cell = text.replace("-", "") if float(text) == 0 else text
    return re.sub(r"(?<![\w-])-(?=\d)", "−", cell)


def _table_text(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    cells = [[plain(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([*lines, plain(caption)] if caption else lines)
