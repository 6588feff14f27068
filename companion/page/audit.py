"""What a paper's audit shows: its claims with what came out, and every comparison with all its intervals, from both recordings.

Everything stands while records are missing: a table then says "not run", and `when_recorded` a plain sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from companion import papers, results
from companion.page.display import Panel, Prose, say
from companion.page.recorded import ends
from companion.page.tables import interval_text, knobs_text, lost_text, render_table
from companion.results import Comparison, Results, first_recording, judge_family
from companion.results.first_recording import FirstComparison

METRICS = {
    "test_error": ("test error, %", "{:.2f}"),
    "length": ("length ‖z‖", "{:.1f}"),
    "centred_length": ("centred length", "{:.1f}"),
    "length_deviation": ("SD of the lengths", "{:.2g}"),
    "gradient": ("logit gradient", "{:.2g}"),
    "radial_gradient": ("radial part of the logit gradient", "{:.2g}"),
    "parameter_gradient": ("parameter gradient", "{:.2g}"),
    "generalisation_gap": ("generalisation gap, points", "{:.2f}"),
    "train_loss": ("training loss", "{:.2g}"),
    "train_entropy": ("training entropy", "{:.2g}"),
    "test_loss": ("test loss", "{:.3f}"),
    "test_entropy": ("test entropy", "{:.3f}"),
    "wrong_label_accuracy": ("wrong labels given back, %", "{:.1f}"),
    "noisy_gradient_share": ("gradient share of wrong labels", "{:.2f}"),
    "relative_gradient": ("gradient over cross entropy's", "{:.2f}"),
    "confidence": ("mean confidence", "{:.2f}"),
    "noisy_calibration_error": ("calibration error, noisy labels", "{:.3f}"),
    "posterior_noisy_calibration_error": ("the same after the inverse link", "{:.3f}"),
    "calibration_error": ("calibration error, true labels", "{:.3f}"),
    "posterior_calibration_error": ("the same after the inverse link", "{:.3f}"),
}
"""How a metric is named at the head of a column, and how its values are written."""


# --- records that may be missing --------------------------------------------------------------------------------------


def recorded_runs(*names: str) -> dict[str, Results]:
    """Return those of some experiments that are recorded, each under the rule that was fixed before its runs.

    Args:
        names: of experiments.

    Example:
        >>> list(recorded_runs("pon-mnist", "pon-moon"))
        ['pon-mnist']
    """
    there = [name for name in names if name in results.available()]
    return {name: (first_recording if name in first_recording.EXPERIMENTS else results).load(name) for name in there}


def not_yet(recorded: Mapping[str, Results], *names: str) -> Prose:
    """Say which of some experiments are not recorded, and which only in part.

    Args:
        recorded: experiment name to recorded results.
        names: of experiments.

    Example:
        >>> not_yet({}, "pon-moon")
        Not recorded yet: pon-moon.
    """
    absent = [f"`{name}`" for name in names if name not in recorded]
    part = [name for name in names if name in recorded and not recorded[name].complete]
    settings = [
        f"`{name}` ({', '.join(setting for setting in recorded[name].settings if not recorded[name][setting].complete)})"
        for name in part
    ]
    said = [f"Not recorded yet: {', '.join(absent)}."] * bool(absent)
    said += [f"Recorded in part: {', '.join(settings)}."] * bool(part)
    return say(*said or ["All are recorded."])


def when_recorded(
    recorded: Mapping[str, Results], name: str, show: Callable[[Results], Any], setting: str | None = None
) -> Any:
    """Return what a function shows of an experiment's runs, or a sentence that they are not recorded yet.

    Args:
        recorded: experiment name to recorded results.
        name: of the experiment.
        show: takes the recorded results.
        setting: data set and network; None for an experiment of one setting.

    Example:
        >>> when_recorded({}, "pon-moon", print)
        Not recorded yet: pon-moon.
    """
    if name not in recorded:
        return not_yet(recorded, name)
    runs = recorded[name][setting] if setting else recorded[name]
    return show(runs) if any(map(runs.seeds, runs.arms)) else say(f"*Not recorded yet:* `{name}`, {runs.settings[0]}.")


# --- claims -----------------------------------------------------------------------------------------------------------


def claim_outcome(paper: papers.Paper, claim: papers.Claim, recorded: Mapping[str, Results]) -> str:
    """Say in one line what came out of a claim: its own sentence, then what the records say of its comparisons and curves.

    Args:
        paper: the claim's.
        claim: one of its claims.
        recorded: experiment name to recorded results.
    """
    said = [claim.outcome, *(_compared(paper, entry, recorded) for entry in claim.compared)]
    said += [_told(paper, entry, recorded) for entry in claim.curves]
    return " ".join(sentence for sentence in said if sentence)


def _stands_in(entry: Mapping[str, Any], recorded: Mapping[str, Results], arms: Sequence[str]) -> Results | None:
    """Return the runs of a claim's entry: of its experiment, or of the one before while that has none of the arms or not the setting."""
    for name in (entry["experiment"], entry.get("before")):
        setting = entry.get("setting", recorded[name].settings[0] if name in recorded else "")
        if name in recorded and setting in recorded[name].settings:
            runs = recorded[name][setting]
            if all(arm in (*runs.arms, *runs.controls) and runs.seeds(arm) for arm in arms):
                return runs
    return None


def _compared(paper: papers.Paper, entry: Mapping[str, str], recorded: Mapping[str, Results]) -> str:
    arms = (entry["better"], entry["baseline"])
    what, runs = f"{arms[0]} against {arms[1]}", _stands_in(entry, recorded, arms)
    if runs is None:
        return f"{what[0].upper()}{what[1:]}: not recorded yet."
    fixed = _contrast(paper, runs, arms)
    one = _judged(runs, arms, fixed)
    where = f"{_named(paper, runs)}, {what}"
    if one.state != "ok":
        lost = [f"{n} of {one.n} runs of {arm} diverged" for arm, n in zip(arms, one.diverged, strict=True) if n]
        return f"{where}: {'; '.join(lost) or one.state}."
    word = f", **{one.word}**{_not_excluded(one)}" if one.word else ""
    inferred = fixed is not None and fixed.effect_basis == "inference"
    word += f" (the paper's effect, {one.effect:+.2f}, is our inference)" if one.word and inferred else ""
    note = f" ({entry['before_note']})" if "before_note" in entry and runs.name == entry.get("before") else ""
    return f"{where}: {interval_text(one)}, n = {one.n}{word}{_at_equal_rates(one)}{note}."


def _contrast(paper: papers.Paper, runs: Results, arms: tuple[str, str]) -> papers.Contrast | None:
    """Return the contrast that has fixed the comparison of two arms, if there is one."""
    wanted = (runs.name, runs.settings[0], *arms)
    found = (c for c in paper.contrasts if (c.experiment, f"{c.data}/{c.model}", c.better, c.baseline) == wanted)
    return next(found, None)


def _judged(runs: Results, arms: tuple[str, str], fixed: papers.Contrast | None) -> Comparison:
    """Compare two arms with the effect and the number of seeds that a contrast has fixed."""
    return runs.compare(*arms, effect=fixed.effect, n=fixed.n) if fixed else runs.compare(*arms)


def _not_excluded(one: Comparison) -> str:
    """Add to "no clear effect", which might be read as "no effect", that the interval holds the paper's effect as well."""
    both = one.word == "no clear effect" and one.effect is not None and one.low <= one.effect <= one.high
    return f", which does not exclude the paper's {one.effect:+.2f} either" if both else ""


def _at_equal_rates(one: Comparison) -> str:
    """Add to a word of the first recording's rule, which knows own rates only, what a clear difference becomes at equal rates.

    Two arms that chose one rate are each other's control; their difference is not said twice.
    """
    own = (one.better, one.baseline)
    equal = [interval_text(at) for at in one.equal_rates if at.state == "ok" and (at.better, at.baseline) != own]
    clear = one.low > 0 or one.high < 0
    return f", at equal rates {' and '.join(equal)}" if isinstance(one, FirstComparison) and clear and equal else ""


def _named(paper: papers.Paper, runs: Results) -> str:
    """Return a setting as the paper's tables name it, "Cora, GAT" for "cora/gat"."""
    labels = {row.label.lower().replace(", ", "/"): row.label for table in paper.tables for row in table.rows}
    return labels.get(runs.settings[0], runs.settings[0])


def _told(paper: papers.Paper, entry: Mapping[str, Any], recorded: Mapping[str, Results]) -> str:
    metric, (name, form) = entry["metric"], METRICS[entry["metric"]]
    if (runs := _stands_in(entry, recorded, entry["arms"])) is None:
        return f"{name}: not recorded yet."
    arms = [arm for arm in entry["arms"] if not runs.diverged(arm)]
    parts = [f"{arm} {_course(runs, arm, metric, form)} (rate {runs.knobs(arm)['lr']:.3g})" for arm in arms]
    over = f", {runs.curve(arms[0], metric)[0][-1]} epochs" if arms else ""
    return f"{_named(paper, runs)}{over}, {name}: {', '.join(parts) or 'diverged'}."


def _course(runs: Results, arm: str, metric: str, form: str) -> str:
    """Write where a curve begins and ends, and its highest point between where that lies a tenth above both."""
    epochs, values = runs.curve(arm, metric)
    first, last = ends(runs, arm, metric)
    mean = values.mean(axis=0)
    top = mean.argmax()
    between = f"{form.format(mean[top])} (epoch {epochs[top]}) → " if mean[top] > 1.1 * max(first, last) else ""
    return f"{form.format(first)} → {between}{form.format(last)}"


def claims_table(paper: str, *, material: bool = False, recorded: Mapping[str, Results] | None = None) -> Panel:
    """Show a paper's claims with our verdicts, conditions and outcomes.

    Args:
        paper: its stem, ``"partial_output_norm"``.
        material: only the claims with which the paper stands or falls, each with its outcome.
        recorded: experiment name to recorded results; default what is packed of the experiments that have a recipe.

    Example:
        >>> "Lemma 2.2" in claims_table("partial_output_norm").text
        True
    """
    told = papers.load(paper)
    runs = recorded_runs(*told.recipes) if recorded is None else recorded
    rows = []
    for claim in told.claims:
        what, word = f"**{claim.place}.** {claim.says}", f"**{claim.verdict}.**"
        outcome = claim_outcome(told, claim, runs)
        if not material:
            found = " ".join(filter(None, (word, claim.condition, outcome)))
            rows.append([what, found, _shown(claim)])
        elif claim.material:
            rows.append([what, f"{word} {outcome}"])
    head = ["the claim, in our words", "verdict, and what came out", "shown by"]
    return render_table(head[: 2 + (not material)], rows, prose=True)


def _shown(claim: papers.Claim) -> str:
    """Name the sections and the tests that show a claim."""
    tests = [place.rsplit("::", 1)[-1] for place in claim.shown_by if "::" in place]
    files = [f"tests: `{place}`" for place in claim.shown_by if place.startswith("tests/") and "::" not in place]
    sections = [place for place in claim.shown_by if not place.startswith("tests/")]
    named = [f"test: {name.removeprefix('test_').replace('_', ' ')}" for name in tests]
    return "; ".join([*sections, *named, *files])


def headlines(paper: str, recorded: Mapping[str, Results] | None = None) -> Prose:
    """Return what the first page says of a paper, a line for each claim that has a headline.

    In a headline ``{0}`` stands for what the records say of the claim's first comparison, ``{1}`` for its second.

    Args:
        paper: its stem.
        recorded: experiment name to recorded results; default what is packed of the experiments that have a recipe.

    Example:
        >>> headlines("partial_output_norm").markdown.splitlines()[0][:2]
        '- '
    """
    told = papers.load(paper)
    runs = recorded_runs(*told.recipes) if recorded is None else recorded
    found = [
        (claim, [_in_short(told, entry, runs) for entry in claim.compared]) for claim in told.claims if claim.headline
    ]
    return Prose("\n".join(f"- {claim.headline.format(*words)}" for claim, words in found))


def _in_short(paper: papers.Paper, entry: Mapping[str, str], recorded: Mapping[str, Results]) -> str:
    """Return the verdict on a claim's comparison with its interval; runs of a first recording stand in for nothing here."""
    arms = (entry["better"], entry["baseline"])
    runs = _stands_in({**entry, "before": None}, recorded, arms)
    one = _judged(runs, arms, _contrast(paper, runs, arms)) if runs else None
    if one is None or one.word is None:
        return "not recorded yet"
    return (
        f"**{one.word}**, {interval_text(one)}{_not_excluded(one)}"
        if one.interval
        else f"**{one.word}**, since runs diverged"
    )


# --- comparisons ------------------------------------------------------------------------------------------------------


def table_contrasts(recorded: Mapping[str, Results], contrasts: Iterable[papers.Contrast]) -> Panel | Prose:
    """Show comparisons fixed beforehand: both intervals, p after Holm's correction within each family, the verdict.

    Args:
        recorded: experiment name to recorded results.
        contrasts: of one or more families, each whole.
    """
    contrasts = list(contrasts)
    judged = {}
    for family in dict.fromkeys(contrast.family for contrast in contrasts):
        mine = [contrast for contrast in contrasts if contrast.family == family]
        judged |= {c.id: one for c, one in zip(mine, judge_family(recorded, mine), strict=True)}
    rows, absent = [], []
    for contrast in contrasts:
        one = judged[contrast.id]
        if one.state == "not run":
            absent.append(_titled(contrast))
            continue
        holm = f"{one.holm:.2g}" if one.state == "ok" and one.holm is not None else "–"
        paper = f"{contrast.effect:+.2f}" + ("†" if contrast.effect_basis == "inference" else "")
        rows.append([_titled(contrast), paper, str(one.n), *_both(one), holm, one.word or one.state])
    head = ["", "paper", "n", "seeds alone", "images or splits", "p, Holm", "verdict"]
    caption = (
        "Error of the baseline minus error of the method, points, 95 %; positive favours the method. A paper's effect with a dagger "
        "is our inference; wd is weight decay. Seeds alone: the paired t interval. Beside it, over seeds and test images by components of variance, "
        "on graphs the corrected resampled interval over splits. p after Holm's correction over the whole family, missing "
        f"comparisons counted.{_absent(absent)}"
    )
    return render_table(head, rows, caption=caption) if rows else say(_absent(absent))


def _absent(names: Sequence[str]) -> str:
    return f" Not recorded yet: {'; '.join(names)}." if names else ""


def _titled(contrast: papers.Contrast) -> str:
    return _short(f"{contrast.data}/{contrast.model}: {contrast.better} − {contrast.baseline}")


def _short(arms: str) -> str:
    """Write weight decay as the paper's tables do, so that a row's numbers stay in view."""
    return arms.replace("weight decay", "wd")


def _both(one: Comparison) -> tuple[str, str]:
    """Write the interval over seeds alone, and the one over seeds and test examples or over splits."""
    wide = one.two_way or one.resampled
    return (interval_text(one.seeds_only) if one.seeds_only else "–", interval_text(wide) if wide else "–")


def table_pairs(recorded: Mapping[str, Results], pairs: Sequence[tuple[str, str, str, str]]) -> Panel | Prose:
    """Show comparisons that the paper prints no effect for, with both intervals; they explore and get no verdict.

    Args:
        recorded: experiment name to recorded results.
        pairs: (experiment, setting, better, baseline) of each; a baseline may be a control.
    """
    rows, absent = [], []
    for experiment, setting, better, baseline in pairs:
        name = _short(f"{setting}: {better} − {baseline}")
        there = experiment in recorded and setting in recorded[experiment].settings
        runs = recorded[experiment][setting] if there else None
        if runs is None or not all(
            arm in (*runs.arms, *runs.controls) and runs.seeds(arm) for arm in (better, baseline)
        ):
            absent.append(f"{name} (`{experiment}`)")
            continue
        one = runs.compare(better, baseline)
        said = _both(one) if one.state == "ok" else (one.state, "–")
        rows.append([name, *said, str(one.n), f"`{experiment}`"])
    if not rows:
        return say(_absent(absent))
    head = ["", "seeds alone", "images or splits", "n", "runs"]
    caption = (
        "Error of the second arm minus error of the first, points, 95 %; positive favours the first. Exploratory: no effect of the "
        f"paper, no word.{_absent(absent)}"
    )
    return render_table(head, rows, caption=caption)


def table_arms(results: Results, arms: Sequence[str], metrics: Sequence[str]) -> Panel:
    """Show final values of some metrics, mean ± sd over the seeds, an arm a row, with the knobs it ran at.

    Args:
        results: recorded results of one setting.
        arms: arms and controls.
        metrics: keys of `METRICS`.
    """
    rows = []
    for arm in arms:
        known = arm in (*results.arms, *results.controls) and results.seeds(arm)
        if not known or results.diverged(arm):
            lost = lost_text(results.diverged(arm), len(results.seeds(arm))) if known else "not run"
            rows.append([arm, *[lost] * len(metrics), knobs_text(results.knobs(arm)) if known else ""])
            continue
        cells = []
        for metric in metrics:
            mean, sd, n = results.summary(arm, metric)
            form = METRICS[metric][1]
            cells.append(f"{form.format(mean)} ± {form.format(sd)}" if n > 1 else form.format(mean))
        rows.append([arm, *cells, knobs_text(results.knobs(arm))])
    head = ["", *(METRICS[metric][0] for metric in metrics), "learning rate, knobs"]
    n = max((len(results.seeds(arm)) for arm in arms if arm in (*results.arms, *results.controls)), default=0)
    return render_table(
        head, rows, caption=f"Last epoch, mean ± standard deviation over {n} seeds, {results.settings[0]}."
    )


# --- the search -------------------------------------------------------------------------------------------------------


def table_search(results: Results) -> Panel:
    """Show what each arm's search drew and chose: the range of rates, the best point, and by how much it won.

    Args:
        results: recorded results of one setting.
    """
    rows = []
    for arm in results.arms:
        points = sorted(results.search(arm), key=lambda point: (point["error"], point["loss"]))
        if not points:
            rows.append([arm, "not run", "", "", "", ""])
            continue
        rates = [point["lr"] for point in points]
        drawn = f"{min(rates):.3g} to {max(rates):.3g}"
        chosen = next((point for point in points if point["chosen"]), None)
        if chosen is None:
            rows.append([arm, str(len(points)), drawn, "not over", "", "", ""])
            continue
        edge = {min(rates): "lowest", max(rates): "highest"}.get(chosen["lr"], "")
        ahead = f"{points[1]['error'] - points[0]['error']:.2f}" if len(points) > 1 else ""
        rows.append([arm, str(len(points)), drawn, f"{chosen['lr']:.3g}", edge, f"{points[0]['error']:.2f}", ahead])
    rows = [[*row, ""][:7] for row in rows]
    head = ["arm", "points", "rates drawn", "chosen", "which is the", "validation error, %", "ahead by"]
    return render_table(head, rows, caption=f"The search on {results.settings[0]}. Ahead by: of the next best point.")


def table_draws(results: Results, better: str, baseline: str) -> Panel:
    """Show a comparison under each draw of the whole search: what tuning adds to its uncertainty.

    Args:
        results: recorded results of one setting whose search was drawn more than once.
        better: the method's arm.
        baseline: the arm it is compared with.
    """
    rows, means = [], []
    for index in range(results.draws):
        part = results.draw(index)
        one = part.compare(better, baseline)
        chosen = [knobs_text(part.knobs(arm)) if part.seeds(arm) else "–" for arm in (better, baseline)]
        rows.append([f"draw {index + 1}", *chosen, interval_text(one) if one.state == "ok" else one.state])
        means += [one.mean] if one.state == "ok" else []
    between = ""
    if len(means) > 1:
        spread = (sum((mean - sum(means) / len(means)) ** 2 for mean in means) / (len(means) - 1)) ** 0.5
        between = f" Standard deviation between the draws: {spread:.2f} points."
    head = ["", f"{better}: rate, knobs", f"{baseline}: rate, knobs", "difference [95 %]"]
    return render_table(head, rows, caption=f"The same comparison after each draw of the search.{between}")
