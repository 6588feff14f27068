"""What the audit shows over the epochs: how many wrong labels a network gives back, and what becomes of its test error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from companion import plots
from companion.chapters.tamed_cross_entropy.recorded import EVEN, METHOD, whole_arms
from companion.page import Prose, ends, say
from companion.page.recorded import not_usable
from companion.plots import Shown
from companion.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TICKS = (1, 2, 3, 5, 10, 20, 30, 50, 100)
SHOWN = ("vanilla", "TCE 1", METHOD, EVEN, "GCE")


def _arms(results: Results) -> tuple[str, ...] | Prose:
    """Return which of the arms shown are all in, or the sentence that stands in the figure's place."""
    if absent := not_usable(results, "vanilla", METHOD):
        return absent
    arms = tuple(arm for arm in SHOWN if arm in whole_arms(results)[0])
    return arms if {"vanilla", METHOD} <= set(arms) else say("*Unfinished:* runs are missing.")


def figure_learnt(results: Results) -> Shown | Prose:
    """Show how many of the wrong labels networks give back over the epochs.

    Args:
        results: recorded results of one setting with noise.
    """
    arms = _arms(results)
    if isinstance(arms, Prose):
        return arms
    name = "wrong_label_accuracy"
    last = {arm: ends(results, arm, name)[1] for arm in arms}
    shown = [round(last[arm]) for arm in ("vanilla", METHOD)]
    words = (
        "as many wrong labels back as"
        if shown[0] == shown[1]
        else f"{'more' if shown[0] > shown[1] else 'fewer'} wrong labels back than"
    )
    caption = (
        f"At the end plain cross entropy gives {words} the tamed loss (α = 2): {shown[0]} against {shown[1]} %. "
        f"Each loss at its own learning rate."
    )
    alt = f"Lines of the share of wrong labels given back over the epochs, ending at {', '.join(f'{value:.0f} ({arm})' for arm, value in last.items())}."
    return plots.curves(results, name, arms=arms, alt=alt, caption=caption, name="figure-learnt")


def figure_course(results: Results) -> Shown | Prose:
    """Show the test error over the epochs, as the paper's Figure 2 does, at our schedule.

    Args:
        results: recorded results of one setting.
    """
    arms = _arms(results)
    if isinstance(arms, Prose):
        return arms
    means = {arm: results.curve(arm, "test_error")[1].mean(0) for arm in arms}
    rise = {arm: float(mean[-1] - mean.min()) for arm, mean in means.items()}
    words = "further" if rise["vanilla"] > rise[METHOD] else "no further"
    lead = (
        "Neither plain cross entropy nor the tamed loss (α = 2) ends above its lowest mean error, by a tenth of a point or more."
        if max(rise["vanilla"], rise[METHOD]) < 0.1
        else f"From its lowest point to the end the mean error of plain cross entropy rises {words} than that of the tamed loss (α = 2): by "
        f"{rise['vanilla']:.1f} against {rise[METHOD]:.1f} points."
    )
    caption = f"{lead} Each loss at its own learning rate, which falls to zero. Logarithmic axis."
    alt = f"Lines of the test error over the epochs, ending at {', '.join(f'{mean[-1]:.1f} ({arm})' for arm, mean in means.items())}."

    def draw(ax: Axes, narrow: bool) -> None:
        plots.draw_curves(ax, narrow, results, "test_error", arms=arms, yscale="log", from_zero=False)
        low, high = ax.get_ylim()
        ax.set_yticks(
            [tick for tick in TICKS if low <= tick <= high], [f"{tick}" for tick in TICKS if low <= tick <= high]
        )
        ax.minorticks_off()

    return plots.show(
        draw, title="The test error over the epochs", alt=alt, caption=f"{caption} {plots.provenance_note(results, arms, 'test_error')}",
        narrow_height=360, name="figure-course",
    )  # fmt: skip
