"""Reading recorded runs for a chapter: which arms can be shown, and in what words the others cannot.

Everything takes recorded results as ``companion.results.load`` returns them. A figure begins with
``if absent := not_usable(results, "vanilla", "P-ON"): return absent``, so that a page is whole before its runs are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from companion.page.display import Panel, Prose, say
from companion.page.tables import diverged, interval_text, render_table

NO_GAIN = ("not run", "unfinished", "diverged")
"""Why there may be no paired difference."""


def ends(results: Any, arm: str, metric: str) -> tuple[float, float]:
    """Return the mean over seeds of a metric before training and after the last epoch.

    Args:
        results: recorded results of one setting.
        arm: name of the arm.
        metric: name of a curve, ``"length"``.
    """
    values = results.curve(arm, metric)[1]
    return float(values[:, 0].mean()), float(values[:, -1].mean())


def recorded_arms(results: Any) -> tuple[str, ...]:
    """Return the arms that have at least one recorded run.

    Args:
        results: recorded results of one setting.
    """
    return tuple(arm for arm in results.arms if results.seeds(arm))


def not_recorded(results: Any, *arms: str) -> Prose | None:
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


def not_usable(results: Any, *arms: str) -> Prose | None:
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
    lost = {arm: diverged(results, arm) for arm in arms if diverged(results, arm)}
    if not lost:
        return None
    runs = "; ".join(
        f"{n} of {len(results.seeds(arm))} runs of *{arm}* (learning rate {results.knobs(arm)['lr']:.3g})"
        for arm, n in lost.items()
    )
    return say(f"**Diverged:** {runs}. Their loss stopped being a number, so there is nothing to compare here.")


def steady_arms(results: Any) -> tuple[tuple[str, ...], str]:
    """Return the arms with recorded runs of which none diverged, and a sentence that names those left out for that.

    Args:
        results: recorded results of one setting.
    """
    arms = recorded_arms(results)
    lost = [arm for arm in arms if diverged(results, arm)]
    note = f"Left out, because runs diverged: {', '.join(lost)}. " if lost else ""
    return tuple(arm for arm in arms if arm not in lost), note


def said_lost(results: Any, arm: str) -> str:
    """Say how many of an arm's runs diverged, and at which learning rate.

    Args:
        results: recorded results of one setting.
        arm: name of the arm.
    """
    rate, lost = results.knobs(arm)["lr"], diverged(results, arm)
    return f"Of the {len(results.seeds(arm))} runs of *{arm}*, {lost} diverged at the learning rate {rate:.3g} that its search chose."


def search_rank(results: Any, arm: str, knobs: Mapping[str, float]) -> int | None:
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


def place_in_search(results: Any, arm: str, control: str) -> str:
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


def gain_or_why(results: Any, better: str, baseline: str) -> Any:
    """Return the paired difference of two arms, or the one of `NO_GAIN` that says why there is none.

    Args:
        results: recorded results of one setting.
        better: name of the arm whose error is expected to be lower.
        baseline: the arm or control it is compared with.
    """
    if not {better, baseline} <= {*results.arms, *results.controls}:
        return "not run"
    if len(set(results.seeds(better)) & set(results.seeds(baseline))) < 2:
        return "not run"
    if diverged(results, better) + diverged(results, baseline):
        return "diverged"
    if results.profile == "smoke" or results.unfinished(better) or results.unfinished(baseline):
        return "unfinished"
    return results.gain(better, baseline)


def matched_gains(recorded: Mapping[str, Any], pairs: Sequence[tuple[str, str, str]]) -> dict[str, tuple[Any, ...]]:
    """Return for every setting a method's gain at each arm's own learning rate, at the method's, and at the baseline's.

    Args:
        recorded: experiment name to recorded results.
        pairs: (better, baseline, words that follow the setting's name), for each comparison.

    Returns:
        Name of the setting to three paired differences; for each that cannot be had, one of `NO_GAIN`.
    """
    found = {}
    for runs in recorded.values():
        for setting in runs.settings:
            part = runs[setting]
            for better, baseline, words in pairs:
                if better in part.arms:
                    at_better, at_baseline = part.same_rate(better, baseline)
                    arms = ((better, baseline), (better, at_better), (at_baseline, baseline))
                    found[f"{setting}{words}"] = tuple(
                        "not run" if None in two else gain_or_why(part, *two) for two in arms
                    )
    return found


def table_of_matched_gains(gains: Mapping[str, tuple[Any, ...]]) -> Panel:
    """Show `matched_gains`: each arm at its own best learning rate, both at the method's, both at the baseline's.

    Args:
        gains: as `matched_gains` returns them.
    """
    rows = []
    for name, three in gains.items():
        cells = [gain if isinstance(gain, str) else interval_text(gain.mean, gain.low, gain.high) for gain in three]
        rows.append([name, *cells])
    head = ["gain in points [95 %]", "own rates", "the method's rate", "the baseline's rate"]
    caption = (
        "Error of the baseline minus error of the method, last epoch; positive favours the method. Each arm at its own learning "
        "rate, then both at one. Exploratory."
    )
    return render_table(head, rows, caption=caption)


def say_matched_gains(gains: Mapping[str, tuple[Any, ...]]) -> Prose:
    """Say which clear gains and losses go, and which stay, when both arms get the same learning rate.

    Args:
        gains: as `matched_gains` returns them.
    """
    known = {
        name: (own, [gain for gain in matched if not isinstance(gain, str)])
        for name, (own, *matched) in gains.items()
        if not isinstance(own, str)
    }
    known = {name: pair for name, pair in known.items() if pair[1]}
    if not known:
        return say("*Not recorded yet:* the control runs.")
    clear = {name: pair for name, pair in known.items() if pair[0].low > 0 or pair[0].high < 0}
    if not clear:
        return say(f"In none of the {len(known)} settings with a control is there a clear difference to explain.")
    sentences = []
    for name, (own, matched) in clear.items():
        word, side = ("gain", 1) if own.low > 0 else ("loss", -1)
        # Towards the side on which the difference lay: does it stay there, is it gone, or has it turned?
        near = [min(side * gain.low, side * gain.high) for gain in matched]
        far = [max(side * gain.low, side * gain.high) for gain in matched]
        if min(near) > 0:
            fate = f"the {word} stays"
        elif max(far) < 0:
            fate = f"the {word} turns into its opposite"
        elif max(near) > 0:
            fate = f"the {word} is clear at one rate only"
        else:
            fate = f"no clear {word} is left"
        texts = " and ".join(interval_text(gain.mean, gain.low, gain.high) for gain in matched)
        own_text = f"{own.mean:+.2f}".replace("-", "−")
        sentences.append(f"On *{name}* the {word} of {own_text} points becomes {texts} at equal rates: {fate}.")
    return say(*sentences)


def rank_correlation(left: Any, right: Any) -> float:
    """Return Spearman's rank correlation (ties share their mean rank).

    Args:
        left: (n,) numbers.
        right: (n,) numbers.

    Example:
        >>> rank_correlation([1, 2, 3], [10, 30, 20])
        0.5
    """
    ranks = []
    for values in (left, right):
        values = np.asarray(values, dtype=float)
        ranks.append([(values < v).sum() + ((values == v).sum() - 1) / 2 for v in values])
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def share_of_orders(correlation: float, n: int) -> float:
    """Return which share of all orders of n things have a rank correlation at least as far from 0.

    Args:
        correlation: the one that was found.
        n: how many things; all n! orders are gone through.

    Example:
        >>> share_of_orders(1.0, 5) == 2 / math.factorial(5)
        True
    """
    first = range(n)
    found = [rank_correlation(first, order) for order in itertools.permutations(first)]
    return sum(abs(value) >= abs(correlation) - 1e-12 for value in found) / len(found)
