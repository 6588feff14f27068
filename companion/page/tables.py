"""Tables of a page: the paper's beside ours, errors of all arms, how a paper trains; and how any table looks."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from companion import papers
from companion.page.display import MUTED, RULE, SANS, Panel, inline, plain, style
from companion.page.recorded import matched
from companion.results import Comparison, Results, compare_in


def fixed_seeds(experiment: str, setting: str) -> int | None:
    """Return the number of paired seeds that the contrasts of a setting fix, or None where there is no contrast.

    Args:
        experiment: its name.
        setting: data set and network, ``"mnist/mlp-3"``.

    Example:
        >>> fixed_seeds("pon-mnist", "mnist/mlp-3")
        5
    """
    contrasts = [contrast for paper in papers.names() for contrast in papers.load(paper).contrasts]
    asked = [c.n for c in contrasts if (c.experiment, f"{c.data}/{c.model}") == (experiment, setting)]
    return max(asked, default=None)


def compare_row(recorded: Mapping[str, Results], row: papers.Row, effect: float | None = None) -> Comparison | None:
    """Return our comparison for a printed row, judged against its own errors; None for a row that no run of ours repeats.

    Args:
        recorded: experiment name to recorded results.
        row: of a printed table.
        effect: the paper's effect, for a row that prints no errors.
    """
    if row.ours is None:
        return None
    experiment, setting = row.ours["experiment"], row.ours.get("setting")
    n = None
    if experiment in recorded:
        n = fixed_seeds(experiment, setting or recorded[experiment].settings[0])
    printed = round(row.baseline.mean - row.better.mean, 6) if row.baseline and row.better else effect
    return compare_in(recorded, experiment, setting, row.ours["better"], row.ours["baseline"], effect=printed, n=n)


def table_beside(
    recorded: Mapping[str, Results], table: papers.Table, *, effects: Mapping[str, float] | None = None
) -> Panel:
    """Show a printed table beside our runs: means ± sd, the paired difference with its 95 % interval, the verdict.

    Args:
        recorded: experiment name to recorded results, ``{"pon-mnist": companion.results.load("pon-mnist")}``.
        table: a printed table, from `companion.papers`.
        effects: arm to the paper's effect in points, where the table prints only relative reductions.

    Returns:
        A table, two lines for each printed comparison; those without a run of ours say so.
    """
    head = ["error, %", "paper", "ours", "relative gain", "difference [95 %]", "verdict"]
    rows = []
    for row in table.rows:
        printed = [_printed(cell) for cell in (row.baseline, row.better)]
        gain = "–" if row.reduction is None else f"{row.reduction:.2f}"
        ours = compare_row(recorded, row, (effects or {}).get(row.ours["better"]) if row.ours else None)
        if ours is None or ours.state == "not run":
            rows.append([row.label, printed[0], "not run", "", "", ""])
            rows.append(["· with it", printed[1], "not run", f"{gain} / – %", "", ""])
            continue
        better, baseline = (_mean(ours, arm) for arm in (0, 1))
        paper = f"paper {ours.effect:+.2f}" if ours.effect else ""
        rows.append([row.label, printed[0], baseline, "", paper, ""])
        relative = f"{gain} / {_relative(ours)} %"
        rows.append([f"· with it, n = {ours.n}", printed[1], better, relative, _difference(ours), _word(ours)])
    note = (
        "Relative gain: the paper's / ours. Differences in points; positive means a lower error with the method. "
        "The verdict compares points."
    )
    return render_table(head, rows, caption=f"{table.id}: {table.metric}. {note} Each interval is for one comparison.")


def _printed(cell: papers.Cell | None) -> str:
    if cell is None:
        return "–"
    return f"{cell.mean:.2f}" if cell.sd is None else f"{cell.mean:.2f} ± {cell.sd:g}"


def _mean(ours: Comparison, arm: int) -> str:
    lost = ours.diverged[arm]
    return lost_text(lost, ours.n) if lost else f"{ours.means[arm]:.2f} ± {ours.sds[arm]:.2f}"


def _relative(ours: Comparison) -> str:
    if ours.state != "ok":
        return "–"
    better, baseline = ours.means
    return f"{papers.relative_reduction(baseline, better):.2f}".replace("-", "−")


def _difference(ours: Comparison) -> str:
    return interval_text(ours) if ours.state == "ok" else ""


def _word(ours: Comparison) -> str:
    """Return the verdict, or why there is none: a state, or a dash where the paper prints no effect."""
    return ours.word or (ours.state if ours.state != "ok" else "–")


def lost_text(count: int, of: int) -> str:
    """Stand in for a mean error where runs diverged: a mean of ruined runs means nothing.

    Example:
        >>> lost_text(2, 5)
        '2 of 5 diverged'
    """
    return f"{count} of {of} diverged"


def interval_text(found: Comparison) -> str:
    """Write a difference with its interval, signs in full.

    Args:
        found: anything with ``mean``, ``low``, ``high``.

    Example:
        >>> from companion.results import paired
        >>> interval_text(paired([1.0, 1.2, 1.4], [1.0, 1.1, 1.2]))
        '+0.10 [−0.15, +0.35]'
    """
    return f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]".replace("-", "−")


def error_table(results: Results, arms: Sequence[str] | None = None, metric: str = "test_error") -> Panel:
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
        if lost := results.diverged(arm):
            said = lost_text(lost, n)
        rows.append([arm, said, str(n), knobs_text(results.knobs(arm))])
    head = ["arm", "test error, %", "seeds", "chosen: learning rate, knobs"]
    caption = "Last epoch, mean ± standard deviation over seeds; learning rate and knobs as the search chose them."
    return render_table(head, rows, caption=caption)


def table_matched(recorded: Mapping[str, Results], pairs: Sequence[tuple[str, str, str]]) -> Panel:
    """Show gains with each arm at its own best learning rate, with both at the method's, and with both at the baseline's.

    Args:
        recorded: experiment name to recorded results.
        pairs: (better, baseline, words that follow the setting's name), for each comparison.
    """
    rows = []
    for name, own in matched(recorded, pairs).items():
        three = (own, own.at_better, own.at_baseline)
        rows.append([name, *("not run" if one is None else _difference(one) or one.state for one in three)])
    head = ["gain in points [95 %]", "own rates", "the method's rate", "the baseline's rate"]
    caption = (
        "Error of the baseline minus error of the method, last epoch; positive favours the method. Each arm at its own learning "
        "rate, then both at one. Exploratory."
    )
    return render_table(head, rows, caption=caption)


def table_verdicts(
    recorded: Mapping[str, Results],
    pairs: Sequence[tuple[str, str, str]],
    *,
    effects: Mapping[str, float] | None = None,
) -> Panel:
    """Show for each comparison the paper's gain, both errors of ours, the difference at each arm's own learning rate, and the verdict.

    Args:
        recorded: experiment name to recorded results.
        pairs: (better, baseline, words that follow the setting's name), for each comparison.
        effects: name of a row (setting and words) to the paper's difference in points; without one there is no verdict.

    Returns:
        A row for each comparison with runs; those without any stand in a sentence below.
    """
    rows, absent = [], []
    for name, found in matched(recorded, pairs, effects).items():
        if found.state == "not run":
            absent.append(name)
            continue
        paper = f"{found.effect:+.2f}" if found.effect else "–"
        errors = [_mean(found, arm) for arm in (1, 0)]
        rows.append([f"{name}, n = {found.n}", paper, *errors, _difference(found), _word(found)])
    head = ["", "paper's gain", "baseline, error %", "with the method", "our gain [95 %]", "verdict"]
    left_out = f" Not run: {', '.join(absent)}." if absent else ""
    caption = f"Points of test error, each arm at its own learning rate; a dash: no printed number.{left_out}"
    return render_table(head, rows, caption=caption) if rows else render_table(head[:1], [["*Not recorded yet.*"]])


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
            if row.baseline is None or row.reduction is None:
                continue
            computed = papers.relative_reduction(row.baseline.mean, row.better.mean)
            agrees = abs(computed - row.reduction) < 0.011  # printed with two decimals, rounded or cut
            said = "follows" if agrees else "does not follow"
            errors = f"{row.baseline.mean:.2f} → {row.better.mean:.2f}"
            rows.append([row.label, errors, f"{row.reduction:.2f}", f"{computed:.2f}", said])
    head = ["", "printed errors, %", "printed gain, %", "recomputed", ""]
    return render_table(head, rows, caption="Relative gains, recomputed from the printed errors.")


def table_grid(paper: str, name: str, baseline: str = "CE") -> Panel:
    """Show a printed table of accuracies as it stands: the best of each column in bold, what lies below the baseline with an arrow.

    Args:
        paper: its stem, ``"tamed_cross_entropy"``.
        name: as printed, ``"Table 2"``.
        baseline: the row that the others are compared with.

    Raises:
        ValueError: the paper has no such table as a grid.

    Example:
        >>> table_grid("tamed_cross_entropy", "Table 1").text.splitlines()[-2][:16]
        'TCE 2   | ↓ 66.8'
    """
    grids = {grid.id: grid for grid in papers.load(paper).grids}
    if name not in grids:
        raise ValueError(f"no grid {name!r} of {paper}; there are: {', '.join(grids) or 'none'}")
    grid = grids[name]
    columns = zip(*grid.rows.values(), strict=True)
    best = [max((value for value in column if not math.isnan(value)), default=math.nan) for column in columns]

    def written(value: float, column: int) -> str:
        if math.isnan(value):
            return "–"
        below = "↓ " if value < grid.rows[baseline][column] else ""
        return f"**{value:.2f}**" if value == best[column] else f"{below}{value:.2f}"

    rows = [[method, *(written(value, k) for k, value in enumerate(values))] for method, values in grid.rows.items()]
    said = f"{name}: {grid.unit}. Bold: the best of its column; ↓: below {baseline}. {grid.note}".strip()
    return render_table(["", *grid.columns], rows, caption=said)


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


_CSS = style(
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
    figures = [not prose and all(_FIGURE.match(plain(row[column])) for row in cells) for column in range(len(head))]

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
        f'{_CSS}<figure class="luc-table{" luc-prose" if prose else ""}" tabindex="0" aria-label="{label}">'
        f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(lines)}</tbody></table>{words}</figure>"
    )
    return Panel(page, _table_text(head, cells, caption))


_FIGURE = re.compile(r"^$|^–$|^(not run|unfinished|diverged)$|^(paper |↓ )?[(+−]?[\d.]+")


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
