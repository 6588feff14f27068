"""What the chapter and its audit say of the recorded runs: the general figures and sentences with this method's arms, and a few of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from companion import page, papers, plots
from companion.page import Panel, Prose, predict, render_table, say
from companion.page.recorded import ends, not_usable
from companion.plots import Shown, Style, forest
from companion.results import Comparison, Results
from companion.widgets import DrawCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER = papers.load("tamed_cross_entropy")
METHOD, EVEN = "TCE 2", "TCE 2, mean weight 1"
MNIST, CIFAR = "tce-mnist", "tce-cifar10"
MATCHED = ((METHOD, "vanilla", ""), ("TCE 1", "vanilla", ", α = 1"))
"""The comparisons that were also made at equal learning rates."""
RULES = ("last epoch", "best validation", "best test")
RULE_WORDS = ("the last epoch", "the best by held-out noisy labels", "the best by test error")
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


def gain(
    results: Results, better: str = METHOD, baseline: str = "vanilla", rule: str = "last epoch"
) -> Comparison | float:
    """Return the comparison after the last epoch, or by another stopping rule the mean difference in points."""
    if rule == "last epoch":
        return results.compare(better, baseline)
    return float((results.stopped(baseline, rule) - results.stopped(better, rule)).mean())


# --- the first screen, and how it was trained -----------------------------------------------------------------------------


def say_answer(recorded: Mapping[str, Results]) -> Prose:
    """Answer the chapter's question with one number: what taming changes under noise once each loss has its own learning rate."""
    results = at_noise(recorded)
    theory = (
        "**The answer.** A loss that weighs a sample by (1 + L)^−α listens less the less it believes the label; it also takes smaller steps and is surer than "
        "its labels are."
    )
    found = results.compare(METHOD, "vanilla") if METHOD in results.arms else None
    if found is None or found.state != "ok":
        return say(theory, "*Not recorded yet:* what that is worth.")
    verb = "lowers" if found.low > 0 else "raises" if found.high < 0 else "does not clearly change"
    return say(
        f"{theory} With 40 % of MNIST's labels drawn anew, and every loss at its own learning rate, it {verb} the test error of a small network: "
        f"{page.interval_text(found)} points for α = 2."
    )


def say_runs(results: Results) -> Prose:
    """Say how long and how often the networks were trained."""
    if absent := not_usable(results, "vanilla"):
        return absent
    epochs = int(results.curve("vanilla", "test_error")[0][-1])
    return say(
        f"They train for {epochs} **epochs**, passes over the data, from {len(results.seeds('vanilla'))} **seeds** (labels drawn, starting weights, order of "
        f"images), with a rate that falls to zero."
    )


# --- what the reader commits to -------------------------------------------------------------------------------------------


def draw_share(results: Results) -> DrawCurve | Prose:
    """Let the reader draw which share of the gradient wrong labels hold, then show it with cross entropy and tamed.

    Args:
        results: recorded results of one setting.
    """
    if absent := not_usable(results, "vanilla", METHOD):
        return absent
    name = "noisy_gradient_share"
    epochs, values = results.curve("vanilla", name)
    return DrawCurve.of(
        epochs, values, name_y="share of the gradient that wrong labels hold", other=results.curve(METHOD, name)[1],
        other_arm=METHOD, largest_y=1.0,
    )  # fmt: skip


def say_share(results: Results) -> Prose:
    """Say which share of the labels is wrong and which share of the gradient they hold, at the start, at the end, and at its peak."""
    if absent := not_usable(results, "vanilla", METHOD):
        return absent
    curves = {arm: results.curve(arm, "noisy_gradient_share")[1].mean(0) for arm in ("vanilla", METHOD)}
    learnt = {arm: ends(results, arm, "wrong_label_accuracy")[1] for arm in curves}
    return say(
        f"Before training wrong labels hold as much of the gradient as they are of the labels, {100 * curves['vanilla'][0]:.0f} %. With cross entropy the share "
        f"rises to {100 * curves['vanilla'].max():.0f} %, tamed to {100 * curves[METHOD].max():.0f} %. At the end the networks give {learnt['vanilla']:.0f} % "
        f"and {learnt[METHOD]:.0f} % of the wrong labels back: that is how much noise they have learnt by heart."
    )


RATES = (
    "Higher.",
    "About the same, within a factor of 2.",
    "Lower, by a factor of 2 to 10.",
    "More than ten times lower.",
)


def predict_rate(recorded: Mapping[str, Results]) -> Any:
    """Ask where noise moves the best learning rate of plain cross entropy, then show the search."""
    parts = {noise: at_noise(recorded, noise) for noise in ("0", "0.4")}
    if any(not_usable(part, "vanilla") for part in parts.values()):
        return say("*Not recorded yet:* the search with right labels and with wrong ones.")
    rates = {noise: part.knobs("vanilla")["lr"] for noise, part in parts.items()}
    ratio = rates["0"] / rates["0.4"]
    right = 0 if ratio < 0.5 else 1 if ratio <= 2 else 2 if ratio <= 10 else 3
    so = f"It is {rates['0']:.3g} with right labels and {rates['0.4']:.3g} with 40 % of them drawn anew. " + (
        "So a comparison at the clean rate compares a robust loss with a badly tuned one: small steps are themselves a defence against noise."
        if right >= 2
        else "So here the clean rate is no trap."
    )
    return predict(
        "Plain cross entropy, first with right labels, then with 40 % of them drawn anew. Where does its best learning rate go?",
        RATES, right=right, result=figure_search(parts["0.4"]), so=so,
    )  # fmt: skip


def ladder(results: Results) -> dict[str, Comparison]:
    """Return what taming gains as rivals are taken away: own rates, one rate from both sides, and with the mean weight held at 1."""
    at_better, at_baseline = results.same_rate(METHOD, "vanilla")
    rungs = {
        "each at its own rate": (METHOD, "vanilla"),
        "both at the tamed one's rate": (METHOD, at_better),
        "both at cross entropy's rate": (at_baseline, "vanilla"),
        "mean weight 1, own rates": (EVEN, "vanilla"),
        "mean weight 1, cross entropy's rate": (f"{EVEN} at vanilla's rate", "vanilla"),
    }
    known = (*results.arms, *results.controls)
    return {words: results.compare(*pair) for words, pair in rungs.items() if set(pair) <= set(known)}


def figure_ladder(results: Results) -> Shown | Prose:
    """Show what taming gains at its own rate, at equal rates, and without the smaller step."""
    if absent := not_usable(results, "vanilla", METHOD):
        return absent
    found = {words: one for words, one in ladder(results).items() if one.state == "ok"}
    rows = [(words, EVEN if "mean weight" in words else METHOD, one) for words, one in found.items()]
    clear = sum(one.low > 0 for one in found.values())
    caption = (
        f"In {clear} of {len(found)} comparisons the tamed loss is clearly better. Error of plain cross entropy minus error of the tamed one (α = 2), points, 95 % "
        f"intervals. In the lower rows its weights are divided by their mean over the batch, so that no step is smaller than cross entropy's."
    )
    alt = "; ".join(f"{words} {page.interval_text(one)}" for words, one in found.items())
    return forest(
        rows, xlabel="error of cross entropy minus error of the tamed loss, points", alt=f"Differences with intervals: {alt}.", caption=caption,
        better="right", name="figure-ladder",
    )  # fmt: skip


GAINS = (
    "The tamed loss is clearly better in all of them.",
    "It is better at its own rate, and not at every equal one.",
    "No clear difference at its own rate.",
    "It is clearly worse at its own rate.",
)


def predict_gain(results: Results) -> Any:
    """Ask whether a gain of taming survives its controls."""
    shown = figure_ladder(results)
    if isinstance(shown, Prose):
        return shown
    found = ladder(results)
    own, *others = found.values()
    if own.state != "ok":
        return say("*Unfinished:* runs are missing.")
    right = (
        3
        if own.high < 0
        else 2
        if own.low <= 0
        else 0
        if all(one.low > 0 for one in others if one.state == "ok")
        else 1
    )
    even = found.get("mean weight 1, own rates")
    so = (
        "So it is not the learning rate alone: re-weighting itself helps.",
        "So what the loss gains and what its smaller steps gain are not the same thing, and a table at one learning rate cannot tell them apart.",
        "So at fair rates nothing is left that these runs could see.",
        "So at fair rates the tamed loss loses.",
    )[right]
    if even is not None and even.state == "ok" and right < 2:
        part = "keeps" if even.low > 0 else "does not keep"
        so += f" With the mean weight held at 1 it {part} a clear gain: {page.interval_text(even)}."
    return predict(
        "The tamed loss (α = 2) against cross entropy, with 40 % of the labels drawn anew: at own rates, at one rate from both sides, and with weights whose mean is 1?",
        GAINS, right=right, result=shown, so=so,
    )  # fmt: skip


def figure_stopping(results: Results) -> Shown | Prose:
    """Show the test error of every arm by three stopping rules."""
    arms = [arm for arm in results.arms if results.seeds(arm) and not results.diverged(arm)]
    if absent := not_usable(results, "vanilla", METHOD):
        return absent
    errors = {arm: [float(results.stopped(arm, rule).mean()) for rule in RULES] for arm in arms}
    order = sorted(arms, key=lambda arm: errors[arm][0], reverse=True)
    ranks = [sorted(arms, key=lambda arm, k=k: errors[arm][k]) for k in range(3)]
    markers = ("o", "s", "x")

    def draw(ax: Axes, narrow: bool) -> None:
        for place, arm in enumerate(order):
            look = plots.style_of(arm)
            ax.plot([min(errors[arm]), max(errors[arm])], [place, place], color=look.color, linewidth=1.2)
            for value, marker in zip(errors[arm], markers, strict=True):
                ax.plot(
                    [value],
                    [place],
                    marker,
                    color=look.color,
                    markersize=6,
                    markerfacecolor="none" if marker == "s" else look.color,
                )
        ax.set_yticks(range(len(order)), [plots.style_of(arm).label for arm in order])
        for tick, arm in zip(ax.get_yticklabels(), order, strict=True):
            tick.set(color=plots.style_of(arm).color, weight=700)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        plots.name_axes(ax, "test error, %", "")

    same = ranks[0] == ranks[2]
    moved = max(arms, key=lambda arm: errors[arm][0] - errors[arm][2])
    caption = (
        f"{'The ranking is the same by all rules.' if same else 'The ranking depends on the stopping rule.'} Dots: last epoch; squares: best epoch by held-out noisy "
        f"labels; crosses: best by test error. *{moved}* gains most from the last, {errors[moved][0] - errors[moved][2]:.1f} points; best by the rules are "
        f"{ranks[0][0]}, {ranks[1][0]} and {ranks[2][0]}. Each arm at its own rate."
    )
    alt = f"A row for each of {len(arms)} losses with three marks; at the last epoch {ranks[0][0]} is best and {ranks[0][-1]} worst."
    return plots.show(
        draw, title="Three stopping rules", alt=alt, caption=caption, height=80 + 24 * len(arms), narrow_height=80 + 24 * len(arms),
        name="figure-stopping",
    )  # fmt: skip


def predict_stop(results: Results) -> Any:
    """Ask which stopping rule makes the tamed loss's gain look largest."""
    shown = figure_stopping(results)
    if isinstance(shown, Prose):
        return shown
    gains = [float((results.stopped("vanilla", rule) - results.stopped(METHOD, rule)).mean()) for rule in RULES]
    right = int(np.argmax(gains))
    listed = ", ".join(f"{value:+.2f} by {words}" for value, words in zip(gains, RULE_WORDS, strict=True)).replace(
        "-", "−"
    )
    flip = "The sign depends on it." if min(gains) < 0 < max(gains) else "Its sign does not depend on it."
    return predict(
        "Which stopping rule makes the gain of the tamed loss (α = 2) over cross entropy look largest?",
        [f"{words[0].upper()}{words[1:]}." for words in RULE_WORDS], right=right, result=shown,
        so=f"The mean gain is {listed} points. {flip} So a table of robust losses says little until it says when it stopped.",
    )  # fmt: skip


# --- what holds ---------------------------------------------------------------------------------------------------------------


def figure_alphas(recorded: Mapping[str, Results]) -> Shown | Prose:
    """Show the error over the exponent, each α at its own learning rate, for every noise rate that is recorded."""
    parts = {noise: at_noise(recorded, noise) for noise in ("0", "0.4", "0.8")}
    usable = {noise: part for noise, part in parts.items() if not not_usable(part, *ALPHAS.values())}
    if not usable:
        return say("*Not recorded yet:* the exponents at noise.")
    means = {noise: [float(part.final(arm).mean()) for arm in ALPHAS.values()] for noise, part in usable.items()}
    dashes = {"0": (0, (1.2, 1.6)), "0.4": (0, (5, 2.2)), "0.8": "-"}

    def draw(ax: Axes, narrow: bool) -> None:
        tips = []
        for noise, part in usable.items():
            look = Style("tce", dashes[noise], "o", f"η = {noise}")
            spread = [float(part.final(arm).std(ddof=1)) for arm in ALPHAS.values()]
            ax.errorbar(
                list(ALPHAS),
                means[noise],
                yerr=spread,
                color=look.color,
                linestyle=look.dash,
                marker="o",
                capsize=3,
                linewidth=1.6,
            )
            tips.append((means[noise][-1], look.label, look))
        ax.set(xlim=(-0.1, 2.1), ylim=(0, None))
        plots.name_axes(ax, "exponent α; 0 is cross entropy", "test error, %")
        plots.label_lines(ax, tips, narrow=narrow)

    best = {noise: list(ALPHAS)[int(np.argmin(values))] for noise, values in means.items()}
    spreads = {noise: max(values[1:]) - min(values[1:]) for noise, values in means.items()}
    searched = {noise: part.knobs("TCE")["alpha"] for noise, part in usable.items() if not not_usable(part, "TCE")}
    found = "; ".join(f"{noise}: {alpha:.2g}" for noise, alpha in searched.items())
    caption = (
        f"The best of the paper's exponents: {', '.join(f'{alpha:g} at η = {noise}' for noise, alpha in best.items())}. From α = 0.5 to 2 the error moves by "
        f"{', '.join(f'{value:.1f}' for value in spreads.values())} points. Each α at its own learning rate, bars one standard deviation over seeds."
        + (f" A search from 0 to 4 took α = {found} (noise: exponent)." if found else "")
    )
    alt = "Test error over the exponent, a line for each noise rate: " + "; ".join(
        f"η = {noise} from {values[0]:.1f} to {values[-1]:.1f}" for noise, values in means.items()
    )
    return plots.show(draw, title="The exponent", alt=alt + ".", caption=caption, name="figure-alphas")


def table_losses(results: Results) -> Panel | Prose:
    """Show every loss at its own rate: the rate, the error by three rules, and what became of the wrong labels."""
    if absent := not_usable(results, "vanilla"):
        return absent
    rows = []
    for arm in results.arms:
        if not results.seeds(arm) or results.unfinished(arm):
            continue
        if results.diverged(arm):
            rows.append([arm, f"{results.knobs(arm)['lr']:.3g}", f"{results.diverged(arm)} diverged", "", "", ""])
            continue
        errors = [results.stopped(arm, rule) for rule in RULES]
        learnt = float(results.final(arm, "wrong_label_accuracy").mean())
        rows.append(
            [arm, f"{results.knobs(arm)['lr']:.3g}", f"{errors[0].mean():.2f} ± {errors[0].std(ddof=1):.2f}", f"{errors[1].mean():.2f}", f"{errors[2].mean():.2f}", f"{learnt:.0f}"]
        )  # fmt: skip
    head = ["loss", "rate", "error, last epoch", "best held-out", "best test", "wrong labels learnt, %"]
    return render_table(
        head,
        rows,
        caption=f"Test error in percent, means of {len(results.seeds('vanilla'))} seeds (± standard deviation), each loss at the rate of its own search.",
    )


def say_what_holds(recorded: Mapping[str, Results]) -> Prose:
    """Say which gains are clear, and what they are relative to the error, ours beside the paper's."""
    found = page.matched(judged(recorded), MATCHED[:1], effects())
    usable = {name: one for name, one in found.items() if one.state == "ok"}
    if not usable:
        return say("*Not recorded yet:* no comparison can be judged.")
    rows = {f"{row.label}": row for row in PAPER.table("Table 2, as errors").rows if row.label.endswith(METHOD)}
    said = []
    for name, one in usable.items():
        data = name.split("/")[0].replace("mnist", "MNIST").replace("cifar10", "CIFAR-10")
        row = rows.get(f"{data}, {METHOD}")
        ours = papers.relative_reduction(one.means[1], one.means[0])
        printed = papers.relative_reduction(row.baseline.mean, row.better.mean) if row else float("nan")
        said.append(f"{data}: {ours:.0f} % of the error (paper: {printed:.0f} %)")
    clear = [name for name, one in usable.items() if one.low > 0]
    return say(
        f"Our networks err more often than the paper's, so points do not compare well. Relative to the error the gain is, {'; '.join(said)}.".replace(
            "-", "−"
        ),
        "None is clear of zero." if not clear else f"Clear of zero: {len(clear)} of {len(usable)}.",
    )


def say_baselines(results: Results) -> Prose:
    """Say how far the error of plain cross entropy moves with nothing but its rate and the stopping rule."""
    arms = [arm for arm in (*results.arms, *results.controls) if arm == "vanilla" or arm.startswith("vanilla at")]
    usable = [arm for arm in arms if not not_usable(results, arm) and results.seeds(arm) and not results.diverged(arm)]
    if len(usable) < 2:
        return say("*Not recorded yet:* cross entropy at another rate.")
    errors = {(arm, rule): float(results.stopped(arm, rule).mean()) for arm in usable for rule in RULES}
    low, high = min(errors, key=errors.get), max(errors, key=errors.get)
    return say(
        f"Here plain cross entropy, the same network on the same noisy labels, errs in {errors[low]:.1f} % to {errors[high]:.1f} %: the lowest at the rate "
        f"{results.knobs(low[0])['lr']:.3g} by *{low[1]}*, the highest at {results.knobs(high[0])['lr']:.3g} by *{high[1]}*."
    )


def say_calibration(results: Results) -> Prose:
    """Say how far the tamed network's confidence is from the noisy labels and from the true ones, before and after the inverse link."""
    if absent := not_usable(results, "vanilla", METHOD):
        return absent

    def error(arm: str, name: str) -> float:
        return 100 * float(results.final(arm, name).mean())

    names = (
        "noisy_calibration_error",
        "posterior_noisy_calibration_error",
        "calibration_error",
        "posterior_calibration_error",
    )
    before, after, clean, clean_after = (error(METHOD, name) for name in names)
    plain, plain_clean = error("vanilla", names[0]), error("vanilla", names[2])
    return say(
        f"Against labels as noisy as those it was trained on, the tamed network (α = 2) is off by {before:.0f} points of confidence, after the inverse link by {after:.0f} "
        f"(cross entropy: {plain:.0f}). Against the true labels it is off by {clean:.0f}, after the link by {clean_after:.0f} (cross entropy: {plain_clean:.0f})."
    )
