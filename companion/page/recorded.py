"""Reading recorded runs for a page: which arms can be shown, and in what words the others cannot.

Everything takes recorded results as ``companion.results.load`` returns them. A figure begins with
``if absent := not_usable(results, "vanilla", "P-ON"): return absent``, so that a page is whole before its runs are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from companion import papers
from companion.page.display import Prose, say
from companion.results import Comparison, Results


def in_words(arm: str) -> str:
    """Return an arm in the words of a sentence: a method by its name, plain cross entropy as that, another as it is written.

    Example:
        >>> in_words("vanilla"), in_words("P-ON"), in_words("weight decay")
        ('plain cross entropy', 'the partial norm', '*weight decay*')
    """
    if arm == "vanilla":
        return "plain cross entropy"
    names = {paper.method.short: paper.method.name for paper in map(papers.load, papers.names())}
    return f"the {names[arm]}" if arm in names else f"*{arm}*"


def ends(results: Results, arm: str, metric: str) -> tuple[float, float]:
    """Return the mean over seeds of a metric before training and after the last epoch.

    Args:
        results: recorded results of one setting.
        arm: name of the arm.
        metric: name of a curve, ``"length"``.
    """
    values = results.curve(arm, metric)[1]
    return float(values[:, 0].mean()), float(values[:, -1].mean())


def recorded_arms(results: Results) -> tuple[str, ...]:
    """Return the arms that have at least one recorded run.

    Args:
        results: recorded results of one setting.
    """
    return tuple(arm for arm in results.arms if results.seeds(arm))


def not_recorded(results: Results, *arms: str) -> Prose | None:
    """Return a sentence that names the arms without a recorded run, or None if all have one.

    Args:
        results: recorded results of one setting.
        arms: those that are wanted.
    """
    absent = [arm for arm in arms if not results.seeds(arm)]
    if not absent:
        return None
    command = f'`companion.experiments.run("{results.name}", "laptop")`'
    return say(f"*Not recorded yet:* the full runs of {', '.join(absent)}. {command} makes them, in hours.")


def not_usable(results: Results, *arms: str) -> Prose | None:
    """Return a sentence if an arm has no recorded run, one of a trial (`smoke`) or a diverged one, else None.

    Args:
        results: recorded results of one setting.
        arms: those that are wanted; without any, only a trial is refused.
    """
    if absent := not_recorded(results, *arms):
        return absent
    if results.profile == "smoke":
        return say(
            f"*Only a trial:* these runs of `{results.name}` were made at the size `smoke`, too small to show anything."
        )
    lost = {arm: results.diverged(arm) for arm in arms if results.diverged(arm)}
    if not lost:
        return None
    runs = "; ".join(
        f"{n} of {len(results.seeds(arm))} runs of *{arm}* (learning rate {results.knobs(arm)['lr']:.3g})"
        for arm, n in lost.items()
    )
    return say(f"**Diverged:** {runs}. Their loss stopped being a number, so there is nothing to compare here.")


def why_not(results: Results, found: Comparison) -> Prose:
    """Return the sentence that stands in the place of a difference that cannot be shown.

    Args:
        results: recorded results of one setting.
        found: a comparison whose state is not ``"ok"``.
    """
    said = not_usable(results, found.better, found.baseline)
    return said or say(f"*Unfinished:* runs of {found.better} or {found.baseline} are missing.")


def steady_arms(results: Results) -> tuple[tuple[str, ...], str]:
    """Return the arms with recorded runs of which none diverged, and a sentence that names those left out for that.

    Args:
        results: recorded results of one setting.
    """
    arms = recorded_arms(results)
    lost = [arm for arm in arms if results.diverged(arm)]
    note = f"Left out, because runs diverged: {', '.join(lost)}. " if lost else ""
    return tuple(arm for arm in arms if arm not in lost), note


def said_lost(results: Results, arm: str) -> str:
    """Say how many of an arm's runs diverged, and at which learning rate.

    Args:
        results: recorded results of one setting.
        arm: name of the arm.
    """
    rate, lost = results.knobs(arm)["lr"], results.diverged(arm)
    return f"Of the {len(results.seeds(arm))} runs of *{arm}*, {lost} diverged at the learning rate {rate:.3g} that its search chose."


def search_rank(results: Results, arm: str, knobs: Mapping[str, float]) -> int | None:
    """Return which place a setting took in an arm's own search (1 is the best), or None if it was not among its points.

    Args:
        results: recorded results of one setting.
        arm: name of the arm.
        knobs: name to value; those that the search has are compared.
    """
    points = sorted(results.search(arm), key=lambda point: (point["error"], point["loss"]))
    names = [name for name in knobs if name in points[0] and points[0][name] is not None] if points else []
    for place, point in enumerate(points, start=1):
        if all(math.isclose(point[name], knobs[name], rel_tol=1e-6) for name in names):
            return place
    return None


def place_in_search(results: Results, arm: str, control: str) -> str:
    """Name a control's learning rate, and which place that setting took in the arm's own search.

    Args:
        results: recorded results of one setting.
        arm: name of the arm.
        control: the same arm at the learning rate that another one chose.
    """
    knobs = results.knobs(control)
    rank = search_rank(results, arm, knobs)
    places = {1: "best", 2: "second best", 3: "third best"}
    whose = f", the {places.get(rank, f'{rank}th best')} point of its own search" if rank else ""
    return f"the rate {knobs['lr']:.3g} that the method chose{whose}"


def matched(
    recorded: Mapping[str, Results], pairs: Sequence[tuple[str, str, str]], effects: Mapping[str, float] | None = None
) -> dict[str, Comparison]:
    """Return the comparison of two arms, which has those at equal learning rates within it, for every setting that knows both.

    Args:
        recorded: experiment name to recorded results.
        pairs: (better, baseline, words that follow the setting's name), for each comparison.
        effects: name of a comparison (setting and words) to the paper's difference in points.
    """
    parts = [(setting, results[setting]) for results in recorded.values() for setting in results.settings]
    return {
        f"{setting}{words}": part.compare(better, baseline, effect=(effects or {}).get(f"{setting}{words}"))
        for setting, part in parts
        for better, baseline, words in pairs
        if {better, baseline} <= set(part.arms)
    }
