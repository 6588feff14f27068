"""Sentences whose numbers come from recorded runs: both outcomes are written, the data decide.

A sentence takes recorded results and the arms that it speaks of, and stands in every state of the record: where runs are missing, are
only a trial or have diverged, it says so instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from companion import papers
from companion.page.display import Prose, say
from companion.page.recorded import (
    ends,
    in_words,
    matched,
    not_recorded,
    not_usable,
    place_in_search,
    said_lost,
    steady_arms,
    why_not,
)
from companion.page.tables import fixed_seeds, interval_text
from companion.results import Comparison, Results, judge_family


def recorded_note(results: Results) -> str:
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


def family_note(recorded: Mapping[str, Results], paper: str, family: str) -> str:
    """Say how many of a family's comparisons stay below 0.05 after Holm's correction.

    The correction counts every comparison fixed beforehand, also those without a verdict.

    Args:
        recorded: experiment name to recorded results.
        paper: its stem.
        family: name of the family among its contrasts.

    Returns:
        One sentence; it names the comparisons that stay, or says that none does.
    """
    contrasts = [contrast for contrast in papers.load(paper).contrasts if contrast.family == family]
    found = judge_family(recorded, contrasts)
    states = [one.state for one in found]
    lost, size = states.count("diverged"), len(found)
    missing = size - lost - states.count("ok")
    reasons = [f"{lost} without a verdict, since runs diverged"] * bool(lost)
    reasons += [f"{missing} without a verdict, since runs are missing"] * bool(missing)
    without = f" ({'; '.join(reasons)}; counted all the same)" if reasons else ""
    if "ok" not in states:
        return f"Of the family {family} no comparison can be judged yet{without}."
    kept = [
        f"{c.better} against {c.baseline} ({c.data}, {c.model}; its error is {'lower' if one.mean > 0 else 'higher'})"
        for c, one in zip(contrasts, found, strict=True)
        if one.holm is not None and one.holm < 0.05
    ]
    stays = f"{len(kept)} stay{'s' if len(kept) == 1 else ''} below 0.05" if kept else "none stays below 0.05"
    named = f": {'; '.join(kept)}" if kept else ""
    fixed = f"the {size} comparison{'s' * (size > 1)} fixed beforehand as one family{without}"
    return f"With Holm's correction over {fixed}, {stays}{named}."


def say_matched(recorded: Mapping[str, Results], pairs: Sequence[tuple[str, str, str]]) -> Prose:
    """Say which clear gains and losses go, and which stay, when both arms get the same learning rate.

    Args:
        recorded: experiment name to recorded results.
        pairs: (better, baseline, words that follow the setting's name), for each comparison.
    """
    known = {name: own for name, own in matched(recorded, pairs).items() if own.state == "ok" and _equal(own)}
    if not known:
        return say("*Not recorded yet:* the control runs.")
    clear = {name: own for name, own in known.items() if own.low > 0 or own.high < 0}
    if not clear:
        return say(f"In none of the {len(known)} settings with a control is there a clear difference to explain.")
    return say(*(_fate(name, own) for name, own in clear.items()))


def _equal(own: Comparison) -> list[Comparison]:
    return [one for one in own.equal_rates if one.state == "ok"]


def _fate(name: str, own: Comparison) -> str:
    """Say what becomes of a clear difference: towards its own side, does it stay there, is it gone, or has it turned?"""
    word, side = ("gain", 1) if own.low > 0 else ("loss", -1)
    near = [min(side * one.low, side * one.high) for one in _equal(own)]
    far = [max(side * one.low, side * one.high) for one in _equal(own)]
    if min(near) > 0:
        fate = f"the {word} stays"
    elif max(far) < 0:
        fate = f"the {word} turns into its opposite"
    elif max(near) > 0:
        fate = f"the {word} is clear at one rate only"
    else:
        fate = f"no clear {word} is left"
    texts = " and ".join(map(interval_text, _equal(own)))
    own_text = f"{own.mean:+.2f}".replace("-", "−")
    return f"On *{name}* the {word} of {own_text} points becomes {texts} at equal rates: {fate}."


def say_growing(results: Results, arms: Sequence[str]) -> Prose:
    """Say which share of the training rows each arm still lengthens after the last epoch.

    Args:
        results: recorded results of one setting.
        arms: those that hold no length down.
    """
    if absent := not_usable(results):
        return absent
    steady = [arm for arm in arms if arm in steady_arms(results)[0]]
    if not steady:
        return not_recorded(results, arms[0]) or not_usable(results, arms[0]) or say("*Unfinished.*")
    parts = [
        f"{100 * ends(results, arm, 'growing_share')[1]:.1f} % with *{arm}* "
        f"(training error {ends(results, arm, 'train_error')[1]:.2f} %)"
        for arm in steady
    ]
    return say(
        f"Sample by sample, the share of training images whose vector cross entropy alone (the penalty not counted) still "
        f"lengthens at the end, in single precision: {', '.join(parts)}."
    )


def growing_counts(logits: Tensor, target: Tensor) -> tuple[int, int, int]:
    """Return how many rows are right, how many of these grow, and how many of these do so in single precision.

    The second counts g·z = Σᵢ pᵢ (zᵢ − z_y) < 0, a sum of terms of one sign for a right row, so nothing cancels; the third
    the same from autograd's gradient in single precision, as the probes see it.

    Args:
        logits: (N, C).
        target: (N,) class indices.

    Example:
        >>> growing_counts(torch.tensor([[2.0, 0.0], [60.0, 1.0]]), torch.tensor([0, 0]))
        (2, 2, 1)
    """
    exact = logits.double()
    own = exact.gather(1, target[:, None])
    right = (exact >= own).sum(1) == 1
    slope = (torch.softmax(exact, 1) * (exact - own)).sum(1)
    rows = logits[right].float().requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(rows, target[right], reduction="sum"), rows)
    lost = 16 * torch.finfo(rows.dtype).eps * gradient.norm(dim=1) * rows.norm(dim=1)
    return len(rows), int((slope[right] < 0).sum()), int(((gradient * rows).sum(1) < -lost).sum())


def say_precision(results: Results, arm: str = "vanilla") -> Prose:
    """Say on the recorded logits how many right answers grow by the formula, and how many single precision can tell.

    Args:
        results: recorded results of one setting.
        arm: one whose logits are kept.
    """
    if absent := not_usable(results, arm):
        return absent
    epochs, logits, labels = results.logits(arm)
    right, grow, single = growing_counts(torch.as_tensor(logits[-1]), torch.as_tensor(labels))
    return say(
        f"Of the {len(labels)} test images whose logits are kept (*{arm}*, first seed, epoch {epochs[-1]}), {right} are right. "
        f"Of these {grow} grow by the formula, Σ pᵢ (zᵢ − z_y) < 0, in which nothing cancels; the gradient in single "
        f"precision shows it for {single}."
    )


def say_rival(results: Results, better: str, rival: str, *, lead: str, control: str | None = None) -> Prose:
    """Compare a method with a rival, or with a control of the rival where runs of that diverged.

    Args:
        results: recorded results of one setting.
        better: the method's arm.
        rival: the arm that might do as well.
        lead: how the sentence begins.
        control: the rival at a learning rate that another arm chose, as `Results.same_rate` names it.
    """
    if absent := not_recorded(results, better, rival) or not_usable(results):
        return absent
    duel = results.compare(better, rival)
    if duel.state == "diverged" and control:
        duel = results.compare(better, control)
        where = place_in_search(results, rival, control)
        lead = f"{said_lost(results, rival)} Against {rival} at {where}, exploratory"
    if duel.state != "ok":
        return why_not(results, results.compare(better, rival))
    word = "lower" if duel.low > 0 else "higher" if duel.high < 0 else "not clearly different"
    return say(f"{lead}: {interval_text(duel)} points, n = {duel.n}. The method's error is {word}.")


def say_search_edge(results: Results) -> Prose:
    """Say which arms chose the largest learning rate that their search drew.

    Args:
        results: recorded results of one setting.
    """
    searched = [arm for arm in results.arms if any(point["chosen"] for point in results.search(arm))]
    if not searched:
        return say("*Not recorded yet:* the search.")
    at_edge = [arm for arm in searched if results.knobs(arm)["lr"] >= max(p["lr"] for p in results.search(arm))]
    if not at_edge:
        return say("No arm chose the largest learning rate that its search drew.")
    rate = f"{results.knobs(at_edge[0])['lr']:.3g}"
    return say(f"At the largest learning rate drawn, {rate}, stand {len(at_edge)} arms: {', '.join(at_edge)}.")


def say_parts(results: Results, parts: Sequence[str], baseline: str = "vanilla") -> Prose:
    """Say what each part of a method does alone, in every setting of an experiment.

    Args:
        results: recorded results of an experiment.
        parts: arms with one part each.
        baseline: the arm they are compared with.
    """
    said = []
    for setting in results.settings:
        found = {arm: results[setting].compare(arm, baseline) for arm in parts}
        if all(one.state == "ok" for one in found.values()):
            said.append(f"{setting}: {', '.join(f'*{arm}* {interval_text(one)}' for arm, one in found.items())}")
    if not said:
        first = results[results.settings[0]]
        return not_usable(first, *parts, baseline) or say("*Unfinished:* runs of the parts are missing.")
    return say(
        f"Each part alone, against {baseline}, in points (no printed numbers to compare with): {'; '.join(said)}."
    )


def say_in_one_line(results: Results, better: str, baseline: str, *, lead: str, effect: float) -> Prose:
    """State the main comparison with its verdict, or why there is none and what the control at one learning rate says.

    Args:
        results: recorded results of one setting.
        better: the method's arm.
        baseline: the arm it is compared with.
        lead: how the sentence begins: what the paper prints.
        effect: the paper's difference in points.
    """
    if absent := not_recorded(results, better, baseline) or not_usable(results):
        return absent
    main = results.compare(better, baseline, effect=effect, n=fixed_seeds(results.name, results.settings[0]))
    if main.state == "ok":
        return say(f"{lead} we find {interval_text(main)} over {main.n} seeds: **{main.word}**.")
    control = main.at_better
    if main.state != "diverged" or control is None or control.state != "ok":
        return why_not(results, main)
    where = place_in_search(results, baseline, control.baseline)
    plain = results.compare(better, "vanilla")
    beside = f"; against {in_words('vanilla')} {interval_text(plain)}" if plain.state == "ok" else ""
    return say(
        f"{lead} by our rule there is no verdict. {said_lost(results, baseline)} With {baseline} at {where}, the difference is "
        f"{interval_text(control)} over {control.n} seeds{beside}. {_held(results, main)}These comparisons were added afterwards "
        f"and explore."
    )


def _held(results: Results, main: Comparison) -> str:
    """Say how many runs of the method held at the learning rate that broke its baseline, where they were made."""
    if main.at_baseline is None or not results.seeds(main.at_baseline.better):
        return ""
    n, lost = len(results.seeds(main.at_baseline.better)), main.at_baseline.diverged[0]
    return f"At the rate that broke {main.baseline}, {n - lost} of {n} runs of the method with it held. "
