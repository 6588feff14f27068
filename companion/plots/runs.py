"""Figures of recorded runs over the epochs: mean, band, names at the ends, and where they ran."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes

from companion.plots.drawing import HEIGHTS, Width, band, line, name_axes, style_of
from companion.plots.labels import label_lines
from companion.plots.showing import Shown, show

#: The words, and the symbol, that name an axis for each recorded metric.
METRIC_NAMES: Mapping[str, str] = {
    "test_error": "test error, %",
    "train_loss": "loss on the training set",
    "train_entropy": "entropy on the training set",
    "test_loss": "loss on the test set",
    "test_entropy": "entropy on the test set",
    "length": "mean output length ‖z‖",
    "centred_length": "mean centred length ‖z − mean z‖",
    "length_deviation": "standard deviation of the lengths ‖z‖",
    "gradient": "mean length of the logit gradient",
    "radial_gradient": "mean radial part of the logit gradient",
    "parameter_gradient": "length of the parameter gradient",
    "generalisation_gap": "generalisation gap",
    "wrong_label_accuracy": "wrong labels given back, %",
    "noisy_gradient_share": "gradient share of wrong labels",
}


class Curves(Protocol):
    """What :func:`curves` asks of results; ``companion.results.load`` returns such an object."""

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms."""

    def curve(self, arm: str, metric: str) -> tuple[Any, Any]:
        """Epochs (E,) and values (n, E)."""


def mean_and_band(values: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Mean over runs and mean ± sd, at every epoch.

    .. math:: \bar v \pm s, \qquad s^2 = \frac{1}{n-1} \sum_{i=1}^{n} (v_i - \bar v)^2

    Args:
        values: shape (n, E), one row a run.

    Returns:
        Mean, lower and upper edge, each (E,); with one run all three are that run.

    Raises:
        ValueError: ``values`` is not two-dimensional or has no row.

    Example:
        >>> [part.tolist() for part in mean_and_band([[1.0], [3.0]])]
        [[2.0], [0.5857864376269049], [3.414213562373095]]
    """
    rows = np.asarray(values, dtype=float)
    if rows.ndim != 2 or len(rows) == 0:
        raise ValueError(f"values must have shape (runs, epochs), got {rows.shape}")
    mean = rows.mean(axis=0)
    spread = rows.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros_like(mean)
    return mean, mean - spread, mean + spread


def draw_curves(
    ax: Axes,
    narrow: bool,
    results: Curves,
    metric: str,
    *,
    arms: Sequence[str] | None = None,
    xlabel: str = "epoch",
    ylabel: str | None = None,
    from_zero: bool = True,
    yscale: str = "linear",
    labels: Mapping[str, str] | None = None,
) -> None:
    """Draw one metric of several arms over the epochs, mean and band of mean ± sd, names at the lines' ends.

    Args:
        ax: the axes.
        narrow: whether this is the phone's twin.
        results: recorded results.
        metric: name of the metric.
        arms: which arms, default all.
        xlabel: name of the horizontal axis.
        ylabel: name of the vertical axis, default that of :data:`METRIC_NAMES`.
        from_zero: start a linear axis at zero (set it to False where zero means nothing).
        yscale: ``"linear"`` or ``"log"``.
        labels: other names for some arms, ``{"P-ON": "P-ON, δ = 10"}``.

    Raises:
        ValueError: no arms, or an arm without a style.
    """
    chosen = tuple(results.arms if arms is None else arms)
    if not chosen:
        raise ValueError("no arms to draw")
    ends = []
    first, last = math.inf, -math.inf
    for arm in chosen:
        epochs, values = results.curve(arm, metric)
        mean, low, high = mean_and_band(values)
        if len(np.asarray(values)) > 1:
            band(ax, epochs, low, high, arm)
        line(ax, epochs, mean, arm, gid=f"arm-{arm}".replace(" ", "-"))
        first, last = min(first, float(epochs[0])), max(last, float(epochs[-1]))
        ends.append((float(mean[-1]), (labels or {}).get(arm, style_of(arm).label), arm))
    ax.set_yscale(yscale)
    ax.set_xlim(0.0 if from_zero and first <= 1 else first, last)
    if from_zero and yscale == "linear":
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]) if ax.dataLim.y0 < 0 else 0.0)
    name_axes(ax, xlabel, METRIC_NAMES.get(metric, metric) if ylabel is None else ylabel)
    label_lines(ax, ends, narrow=narrow)


def curves(
    results: Curves,
    metric: str,
    *,
    arms: Sequence[str] | None = None,
    alt: str,
    caption: str,
    title: str | None = None,
    width: Width = "text",
    height: float | None = None,
    name: str = "",
    note: bool = True,
    **drawing: Any,
) -> Shown:
    """Show one recorded metric of several arms over the epochs, as :func:`draw_curves` draws it.

    Args:
        results: recorded results, as ``companion.results.load`` returns them.
        metric: name of the metric, ``"length"``.
        arms: which arms, default all.
        alt: what one sees, for those who do not see it.
        caption: the message first; see :func:`claim`.
        title: a few words, default the metric's name.
        width: ``"text"`` or ``"wide"``.
        height: in pixels.
        name: an anchor for links.
        note: add what the band means, the number of runs, the device and the date to the caption.
        drawing: further arguments of :func:`draw_curves`.

    Example:
        >>> class Two:
        ...     arms = ("vanilla", "P-ON")
        ...     provenance = {}
        ...     def curve(self, arm, metric):
        ...         return np.array([1, 2]), np.array([[1.0, 2.0], [1.0, 3.0]])
        >>> curves(Two(), "length", alt="Two rising lines.", caption="Both grow.").alt
        'Two rising lines.'
    """
    chosen = tuple(results.arms if arms is None else arms)

    def draw(ax: Axes, narrow: bool) -> None:
        draw_curves(ax, narrow, results, metric, arms=chosen, **drawing)

    full = f"{caption.strip()} {provenance_note(results, chosen, metric)}" if note and caption.strip() else caption
    heading = title or METRIC_NAMES.get(metric, metric)
    return show(
        draw,
        title=heading,
        alt=alt,
        caption=full,
        width=width,
        height=height or height_for(len(chosen), width),
        narrow_height=height_for(len(chosen), "narrow"),
        name=name,
    )


def height_for(lines: int, width: str) -> float:
    """Enough pixels for the names of so many lines; on a phone a name may take two or three rows."""
    return max(HEIGHTS[width], 100.0 + lines * (32.0 if width == "narrow" else 20.0))


def provenance_note(results: Any, arms: Sequence[str], metric: str) -> str:
    """Say what the band means, how many runs it holds, and on what they ran and when.

    Args:
        results: recorded results; ``provenance`` may hold ``device`` and ``date``.
        arms: the arms shown.
        metric: the metric shown.

    Example:
        >>> class Two:
        ...     provenance = {"device": "CPU", "date": "2026-11-21"}
        ...     def curve(self, arm, metric):
        ...         return np.arange(2), np.zeros((5, 2))
        >>> provenance_note(Two(), ["P-ON"], "length")
        'Mean of 5 seeds, band ± 1 standard deviation; CPU, 2026-11-21.'
    """
    counts = sorted({len(results.curve(arm, metric)[1]) for arm in arms})
    if counts == [1]:
        spread = "One seed"
    else:
        runs = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        spread = f"Mean of {runs} seeds, band ± 1 standard deviation"
    source = getattr(results, "provenance", {})
    where = [str(source[key] if isinstance(source, Mapping) else getattr(source, key)) for key in _present(source)]
    where = [re.sub(r"T[\d:.]+Z?$", "", text) for text in where]  # of a time stamp, the day
    return f"{spread}; {', '.join(where)}." if where else f"{spread}."


def _present(source: Any) -> list[str]:
    found = source if isinstance(source, Mapping) else vars(source)
    return [key for key in ("device", "date") if found.get(key)]
