"""Names at the ends of lines, moved apart just enough not to overlap."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes

from companion.look import Style
from companion.plots.drawing import style_of


def label_lines(
    ax: Axes, ends: Iterable[tuple[float, str, str | Style]], *, narrow: bool = False, gap: float = 1.25
) -> list[Any]:
    """Write each line's name at its right end, in its colour, moved apart just enough not to overlap.

    The heights are the least-squares solution of "as near to the lines' ends as possible, at least one line of
    text apart, inside the axes". A thin leader joins a name that had to move. Call it last: it lays the figure out.

    Args:
        ax: the axes; the right edge of its x limits is where the lines end.
        ends: for each line its last value, its name, and its arm or style.
        narrow: break long names into several lines.
        gap: distance of neighbouring names, in line heights.

    Returns:
        The text artists, in the order of ``ends``.

    Raises:
        ValueError: there are more names than the axes' height can hold.

    Example:
        >>> from companion.plots import figure, line
        >>> _, ax = figure()
        >>> _ = line(ax, [0, 1], [0, 1], "P-ON")
        >>> [text.get_text() for text in label_lines(ax, [(1.0, "P-ON", "P-ON")])]
        ['P-ON']
    """
    entries = [(float(y), _wrap(name) if narrow else name, style_of(arm)) for y, name, arm in ends]
    if not entries:
        return []
    ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())  # from here on the lines' ends stay where they are
    texts = [
        ax.annotate(
            name,
            (1.0, y),
            xycoords=("axes fraction", "data"),
            xytext=(12, 0),
            textcoords="offset points",
            color=s.color,
            weight=700,
            va="center",
            ha="left",
            annotation_clip=False,
            linespacing=1.05,
            arrowprops={"arrowstyle": "-", "color": s.color, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 2},
        )
        for y, name, s in entries
    ]
    fig = ax.get_figure()
    fig.draw_without_rendering()
    point = fig.dpi / 72
    bottom, top = (value / point for value in ax.get_window_extent().intervaly)
    wanted = [ax.transData.transform((1.0, y))[1] / point for y, _, _ in entries]
    line_height = texts[0].get_fontsize() * gap
    heights = [line_height * (1 + text.get_text().count("\n")) for text in texts]
    places = _spread(wanted, heights, bottom - line_height / 2, top + line_height / 2)
    moves = [place - want for place, want in zip(places, wanted, strict=True)]
    indent = 12 if any(abs(move) > 2 for move in moves) else 6
    for text, move in zip(texts, moves, strict=True):
        text.xyann = (indent, move)
        text.arrow_patch.set_visible(abs(move) > 2)
    return texts


def _wrap(name: str, longest: int = 12) -> str:
    """Break a name at its spaces into lines of about ``longest`` characters; a sign stays with what follows it."""
    lines: list[str] = []
    for word in name.replace("+ ", "+\N{NO-BREAK SPACE}").split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= longest:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return "\n".join(lines)


def _spread(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Move centres apart so that boxes of the given heights neither overlap nor leave [low, high].

    Minimises Σ (place − wanted)² subject to place_{i+1} − place_i ≥ (h_i + h_{i+1})/2 in the order of ``wanted``:
    subtracting the running sum of the distances turns it into isotonic regression, solved by pooling neighbours.

    Example:
        >>> _spread([0.0, 0.0], [2.0, 2.0], -10, 10)
        [-1.0, 1.0]
    """
    if sum(heights) > high - low + 1e-9:
        raise ValueError(f"{len(heights)} names do not fit beside this figure; show fewer lines or make it higher")
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    steps = [0.0]
    for before, after in itertools.pairwise(order):
        steps.append(steps[-1] + (heights[before] + heights[after]) / 2)
    pools: list[list[float]] = []  # mean, size
    for index, step in zip(order, steps, strict=True):
        pools.append([wanted[index] - step, 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, size = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + mean * size) / (last[1] + size)
            last[1] += size
    level = [mean for mean, size in pools for _ in range(int(size))]
    first, final = low + heights[order[0]] / 2, high - heights[order[-1]] / 2 - steps[-1]
    places = [0.0] * len(wanted)
    for index, step, value in zip(order, steps, level, strict=True):
        places[index] = min(max(value, first), final) + step
    return places
