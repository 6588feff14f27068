"""What the chapter and its audit say of the recorded runs: the general figures and sentences with this method's arms, and a few of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from companion import page, papers, plots
from companion.look import DASHES
from companion.page import Panel, Prose, render_table, say, steady_arms
from companion.page.recorded import not_usable, recorded_arms
from companion.page.tables import lost_text
from companion.plots import Shown, Style
from companion.results import Comparison, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER = papers.load("tamed_cross_entropy")
METHOD, EVEN = "TCE 2", "TCE 2, mean weight 1"
MNIST, EXPONENTS, CIFAR = "tce-mnist", "tce-mnist-exponents", "tce-cifar10"
MATCHED = ((METHOD, "vanilla", ""), ("TCE 1", "vanilla", ", α = 1"))
"""The comparisons that were also made at equal learning rates."""
RULES = ("last epoch", "best validation", "best test")
"""When to stop: what is compared, then the best epoch by held-out noisy labels, then the best by test error."""
NOISES = ("0", "0.4", "0.8")
ALPHAS = {0.0: "vanilla", 0.5: "TCE 0.5", 1.0: "TCE 1", 1.5: "TCE 1.5", 2.0: METHOD}

figure_search = partial(page.figure_search, method=METHOD)
table_matched_rate = partial(page.table_matched, pairs=MATCHED)
say_matched_rate = partial(page.say_matched, pairs=MATCHED)
run_here = page.run_here


def at_noise(recorded: Mapping[str, Results], noise: str = "0.4") -> Results:
    """Return the runs on MNIST at one noise rate.

    Args:
        recorded: experiment name to recorded results.
        noise: ``"0"``, ``"0.4"`` or ``"0.8"``.
    """
    return recorded[MNIST][f"mnist, η = {noise}/mlp-2"]


def at_each_noise(recorded: Mapping[str, Results], experiment: str = MNIST) -> dict[str, Results]:
    """Return the runs on MNIST by noise rate, ``"0"``, ``"0.4"``, ``"0.8"``; a record of a part has some of them.

    Args:
        recorded: experiment name to recorded results.
        experiment: which; one that is not recorded has none.
    """
    there = recorded[experiment].settings if experiment in recorded else ()
    settings = {noise: f"mnist, η = {noise}/mlp-2" for noise in NOISES}
    return {noise: recorded[experiment][name] for noise, name in settings.items() if name in there}


def whole_arms(results: Results) -> tuple[tuple[str, ...], str]:
    """Return the arms whose runs are all in, none of them diverged, and a sentence that names the others.

    Args:
        results: recorded results of one setting.
    """
    steady, note = steady_arms(results)
    waiting = [arm for arm in results.arms if results.unfinished(arm) or not results.seeds(arm)]
    if waiting:
        note += f"Runs are missing of {', '.join(waiting)}. "
    return tuple(arm for arm in steady if arm not in waiting), note


def effects() -> dict[str, float]:
    """Return the paper's effects in points by the names of the rows of `figure_what_holds`."""
    words = {better: words for better, _, words in MATCHED}
    return {f"{c.data}/{c.model}{words[c.better]}": c.effect for c in PAPER.contrasts}


def judged(recorded: Mapping[str, Results]) -> dict[str, Results]:
    """Return the recorded experiments that bear on the paper's table."""
    return {name: recorded[name] for name in (MNIST, CIFAR) if name in recorded}


def figure_what_holds(recorded: Mapping[str, Results]) -> Shown | Prose:
    """Show the paper's effects beside ours, for α = 2: each arm at its own rate, and both at one."""
    return page.figure_forest(judged(recorded), MATCHED[:1], effects=effects())


def table_what_holds(recorded: Mapping[str, Results]) -> Panel:
    """Show the errors and the verdicts behind `figure_what_holds`."""
    return page.table_verdicts(judged(recorded), MATCHED, effects=effects())


# --- the first screen, and how it was trained -----------------------------------------------------------------------------


def say_answer(recorded: Mapping[str, Results]) -> Prose:
    """Answer the chapter's question with one number: what taming changes under noise once each loss has its own learning rate."""
    results = at_noise(recorded)
    theory = (
        "**The answer.** A loss that weighs a sample by a power of 1/(1 + L) listens less the less it believes the label; its steps are smaller, and it is "
        "surer than its labels."
    )
    found = results.compare(METHOD, "vanilla") if METHOD in results.arms else None
    if found is None or found.state != "ok":
        return say(theory, "*Not recorded yet:* what that is worth.")
    verb = "lowers" if found.low > 0 else "raises" if found.high < 0 else "does not clearly change"
    return say(
        f"{theory} With 40 % of MNIST's labels drawn anew, and every loss at its own learning rate, it {verb} the test error of a small network: "
        f"{page.interval_text(found)} points for α = 2.",
        _at_one_rate(found),
    )


def _at_one_rate(found: Comparison) -> str:
    """Say what the gain is with both losses at one rate, from both sides, where those runs are in."""
    both = (found.at_better, found.at_baseline)
    if any(one is None or one.state != "ok" for one in both):
        return ""
    tamed, plain = (f"{one.mean:+.2f}".replace("-", "−") for one in both)
    return f"With one rate for both it is {tamed} at the tamed loss's and {plain} at cross entropy's."


def say_runs(results: Results) -> Prose:
    """Say how long and how often the networks were trained."""
    if absent := not_usable(results, "vanilla"):
        return absent
    epochs = int(results.curve("vanilla", "test_error")[0][-1])
    return say(
        f"They train for {epochs} **epochs**, passes over the data, from {len(results.seeds('vanilla'))} **seeds** (labels drawn, starting weights, order of "
        f"images), with a rate that falls to zero."
    )


# --- what holds ---------------------------------------------------------------------------------------------------------------


def figure_alphas(recorded: Mapping[str, Results]) -> Shown | Prose:
    """Show the error over the exponent, each α at its own learning rate, for every noise rate that is recorded."""
    arms = list(ALPHAS.values())
    parts = {
        noise: part
        for noise, part in at_each_noise(recorded, EXPONENTS).items()
        if not not_usable(part, *arms) and set(arms) <= set(whole_arms(part)[0])
    }
    if not parts:
        return say("*Not recorded yet:* the exponents at noise.")
    errors = {noise: np.array([part.final(arm) for arm in arms]) for noise, part in parts.items()}
    means = {noise: values.mean(1) for noise, values in errors.items()}
    dashes = {"0": DASHES["dotted"], "0.4": DASHES["dashed"], "0.8": "-"}

    def draw(ax: Axes, narrow: bool) -> None:
        looks = {noise: Style("tce", dashes[noise], "o", f"η = {noise}") for noise in parts}
        for noise, look in looks.items():
            spread = errors[noise].std(1, ddof=1)
            ax.errorbar(
                list(ALPHAS), means[noise], yerr=spread, color=look.color, linestyle=look.dash, marker="o", capsize=3, linewidth=1.6,
            )  # fmt: skip
        ax.set(xlim=(-0.1, 2.1), ylim=(0, 1.08 * max(map(max, means.values()))))
        plots.name_axes(ax, "exponent α; 0 is cross entropy", "test error, %")
        plots.label_lines(ax, [(means[noise][-1], look.label, look) for noise, look in looks.items()], narrow=narrow)

    best = [f"{list(ALPHAS)[int(values.argmin())]:g} at η = {noise}" for noise, values in means.items()]
    moves = [f"{values[1:].max() - values[1:].min():.1f} at η = {noise}" for noise, values in means.items()]
    searched = {noise: part.knobs("TCE")["alpha"] for noise, part in parts.items() if "TCE" in whole_arms(part)[0]}
    found = f" The exponent searched from 0 to 4: {', '.join(f'{alpha:.2g} at η = {noise}' for noise, alpha in searched.items())}."
    absent = [noise for noise in NOISES[1:] if noise not in parts]
    not_in = f" Not in yet: η = {', '.join(absent)}."
    caption = (
        f"The mean error is lowest with α = {', '.join(best)}. Over the paper's exponents, 0.5 to 2, it moves by {', '.join(moves)} points. "
        f"Each α at its own learning rate, bars one standard deviation over {errors[next(iter(errors))].shape[1]} seeds."
        f"{found if searched else ''}{not_in if absent else ''}"
    )
    alt = "Test error over the exponent, a line for each noise rate: " + "; ".join(
        f"η = {noise} from {values[0]:.1f} to {values[-1]:.1f}" for noise, values in means.items()
    )
    return plots.show(draw, title="The exponent", alt=alt + ".", caption=caption, name="figure-alphas")


def table_losses(results: Results) -> Panel | Prose:
    """Show every loss at its own rate: the rate, the error by three rules, and what became of the wrong labels."""
    if absent := not_usable(results, "vanilla"):
        return absent
    whole, note = whole_arms(results)
    rows = []
    for arm in recorded_arms(results):
        rate = f"{results.knobs(arm)['lr']:.3g}"
        if lost := results.diverged(arm):
            rows.append([arm, rate, lost_text(lost, len(results.seeds(arm))), "", "", ""])
        elif arm in whole:
            last, *others = (results.stopped(arm, rule) for rule in RULES)
            learnt = float(results.final(arm, "wrong_label_accuracy").mean())
            cells = [f"{last.mean():.2f} ± {last.std(ddof=1):.2f}", *(f"{error.mean():.2f}" for error in others)]
            rows.append([arm, rate, *cells, f"{learnt:.0f}" if np.isfinite(learnt) else "–"])
    head = ["loss", "rate", "error, last epoch", "best held-out", "best test", "wrong labels learnt, %"]
    caption = (
        f"Test error in percent, means of {len(results.seeds('vanilla'))} seeds (± standard deviation), each loss at the rate of its own search. "
        f"{note}"
    )
    return render_table(head, rows, caption=caption.strip())


def table_rates(recorded: Mapping[str, Results], experiment: str = MNIST) -> Panel | Prose:
    """Show the learning rate that every loss chose, by noise rate, and whether it was at the end of those drawn.

    Args:
        recorded: experiment name to recorded results.
        experiment: which of those on MNIST with uniform noise.
    """
    parts = at_each_noise(recorded, experiment)
    if not parts:
        return say(f"*Not recorded yet:* `{experiment}`.")
    arms = list(dict.fromkeys(arm for part in parts.values() for arm in part.arms))
    rows = [[arm, *(_rate(part, arm) for part in parts.values())] for arm in arms]
    caption = "What each search chose; ↑ is the largest learning rate that it drew, ↓ the smallest."
    return render_table(["loss", *(f"η = {noise}" for noise in parts)], rows, caption=caption)


def _rate(results: Results, arm: str) -> str:
    """Write the rate that an arm's search chose, or that the search is not over."""
    rates = [point["lr"] for point in results.search(arm)]
    chosen = [point["lr"] for point in results.search(arm) if point["chosen"]]
    if not chosen:
        return "not over" if rates else "not run"
    return f"{chosen[0]:.3g}{' ↓' if chosen[0] == min(rates) else ' ↑' if chosen[0] == max(rates) else ''}"


def say_what_holds(recorded: Mapping[str, Results]) -> Prose:
    """Say which gains are clear, and what they are relative to the error, ours beside the paper's."""
    found = page.matched(judged(recorded), MATCHED[:1], effects())
    usable = {name: one for name, one in found.items() if one.state == "ok" and name in effects()}
    if not usable:
        return say("*Not recorded yet:* no comparison can be judged.")
    rows = {row.label: row for row in PAPER.table("Table 2, as errors").rows}
    said, higher = [], 0
    for name, one in usable.items():
        data = name.split("/")[0].replace("mnist", "MNIST").replace("cifar10", "CIFAR-10")
        row = rows[f"{data}, {METHOD}"]
        ours, printed = (
            papers.relative_reduction(*pair) for pair in (one.means[::-1], (row.baseline.mean, row.better.mean))
        )
        said.append(f"{ours:.0f} % on {data} (paper: {printed:.0f} %)")
        higher += one.means[1] > row.baseline.mean
    why = "Our networks err more often than the paper's, so points do not compare well. " * (higher == len(usable))
    clear = [sum(one.low > 0 for one in usable.values()), sum(one.high < 0 for one in usable.values())]
    return say(
        f"{why}As a share of the error the mean gain is {'; '.join(said)}.",
        f"Of {len(usable)} differences {clear[0]} {'is' if clear[0] == 1 else 'are'} clearly above zero, {clear[1]} clearly below."
        * (len(usable) > 1),
    )


def say_baselines(results: Results) -> Prose:
    """Say how far the error of plain cross entropy moves with nothing but its rate and the stopping rule."""
    arms = ["vanilla", *(name for name in results.controls if name.startswith("vanilla at"))]
    usable = [arm for arm in arms if not not_usable(results, arm) and not results.unfinished(arm)]
    if len(usable) < 2:
        return say("*Not recorded yet:* cross entropy at another rate.")
    errors = {(arm, rule): float(results.stopped(arm, rule).mean()) for arm in usable for rule in RULES}
    low, high = min(errors, key=errors.get), max(errors, key=errors.get)
    ends = (f"{results.knobs(arm)['lr']:.3g} by *{rule}*" for arm, rule in (low, high))
    return say(
        f"Here plain cross entropy, the same network on the same noisy labels, errs in {errors[low]:.1f} % to {errors[high]:.1f} %: "
        f"the lowest at the rate {next(ends)}, the highest at {next(ends)}."
    )


def say_calibration(results: Results) -> Prose:
    """Say how far the tamed network's confidence is from the noisy labels and from the true ones, before and after the inverse link."""
    if absent := not_usable(results, "vanilla", METHOD):
        return absent
    if not {"vanilla", METHOD} <= set(whole_arms(results)[0]):
        return say("*Unfinished:* runs are missing.")

    def error(arm: str, name: str) -> float:
        return 100 * float(results.final(arm, name).mean())

    noisy, after, clean, clean_after = (
        error(METHOD, f"{link}{labels}calibration_error") for labels in ("noisy_", "") for link in ("", "posterior_")
    )
    plain, plain_clean = error("vanilla", "noisy_calibration_error"), error("vanilla", "calibration_error")
    return say(
        f"Against labels as noisy as those it was trained on, the tamed network (α = 2) is off by {noisy:.0f} points of confidence, after the inverse link by {after:.0f} "
        f"(cross entropy: {plain:.0f}). Against the true labels it is off by {clean:.0f}, after the link by {clean_after:.0f} (cross entropy: {plain_clean:.0f})."
    )
