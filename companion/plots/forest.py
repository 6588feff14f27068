"""Paired differences with their intervals, a row each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from matplotlib.axes import Axes

from companion.look import Style, tokens
from companion.plots.drawing import Width, style_of
from companion.plots.showing import Shown, show


class Interval(Protocol):
    """What :func:`forest` asks of a paired difference: its mean and the ends of its interval."""

    @property
    def mean(self) -> float:
        """The difference."""

    @property
    def low(self) -> float:
        """Lower end of the interval."""

    @property
    def high(self) -> float:
        """Upper end."""


def draw_forest(
    ax: Axes,
    narrow: bool,
    rows: Sequence[tuple[str, str | Style, Interval]],
    *,
    xlabel: str,
    better: Literal["left", "right", ""] = "left",
    digits: int = 2,
    numbers: Sequence[str] | None = None,
    mark: float | None = None,
) -> None:
    """Draw one point with its interval a row, against a line at zero, the numbers written beside it.

    Args:
        ax: the axes.
        narrow: whether this is the phone's twin.
        rows: for each row its name, its arm or style, and an object with ``mean``, ``low``, ``high``.
        xlabel: what the differences are, ``"difference of the test error to vanilla, points"``.
        better: the side on which a row is better than its baseline; ``""`` writes nothing.
        digits: decimals of the numbers.
        numbers: what to write beside each row instead of its own numbers, where the axis has another unit.
        mark: where a second line stands, for example at a printed effect; the caption says what it is.

    Raises:
        ValueError: there is no row, or not as many numbers as rows.
    """
    if not rows:
        raise ValueError("no rows to draw")
    written = [_numbers(interval, digits) for _, _, interval in rows] if numbers is None else list(numbers)
    narrow = narrow or _too_wide(
        ax, [label for label, _, _ in rows], written
    )  # then the words stand above their intervals
    muted = tokens()["muted"]
    if not narrow:
        ax.axvline(0.0, color=muted, linewidth=0.8)
    if mark is not None:
        ax.axvline(mark, color=tokens()["ink"], linewidth=1.0, linestyle=(0, (5, 2.2)))
    for place, ((label, arm, interval), number) in enumerate(zip(reversed(rows), reversed(written), strict=True)):
        _draw_row(ax, narrow, place, label, style_of(arm), interval, number)
    ax.set_xlim(*_reach([interval for _, _, interval in rows], mark))
    ax.set_ylim(-0.6, len(rows) - (0.2 if narrow else 0.4))
    ax.set_yticks(range(len(rows)), [] if narrow else [label for label, _, _ in reversed(rows)])
    for tick, (_, arm, _) in zip(ax.get_yticklabels(), reversed(rows), strict=False):
        tick.set(color=style_of(arm).color, weight=700)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(xlabel, color=muted)
    if better:
        _name_sides(ax, "better" if better == "left" else "worse", "worse" if better == "left" else "better")


def _draw_row(ax: Axes, narrow: bool, place: int, label: str, look: Style, interval: Interval, number: str) -> None:
    """Draw one interval with its mean, and write its numbers."""
    ax.plot([interval.low, interval.high], [place, place], color=look.color, linewidth=1.6, solid_capstyle="butt")
    ax.plot([interval.mean], [place], look.marker, color=look.color, markersize=6.5)
    if narrow:  # the words stand above their interval, so the line at zero leaves room for them
        ax.vlines(0.0, place - 0.38, place + 0.14, color=tokens()["muted"], linewidth=0.8)
        number = f"{label}\n{number}" if _is_phone(ax) and len(label) + len(number) > 42 else f"{label}  {number}"
    written = ax.annotate(
        number,
        (0.0 if narrow else 1.0, place),
        xycoords=("axes fraction", "data"),
        xytext=(0, 9) if narrow else (10, 0),
        textcoords="offset points",
        color=look.color,
        ha="left",
        va="bottom" if narrow else "center",
        annotation_clip=False,
    )
    written.set_in_layout(not narrow)  # a long line may reach beyond the intervals, and must not shrink them


def _too_wide(ax: Axes, labels: Sequence[str], numbers: Sequence[str]) -> bool:
    """Say whether names and numbers beside the intervals would leave them less than half of the picture."""
    pixels = 8.0 * (max(map(len, labels)) + max(map(len, numbers)))
    return pixels > 50.0 * float(ax.figure.get_figwidth())


def _is_phone(ax: Axes) -> bool:
    return float(ax.figure.get_figwidth()) < 5.0


def _numbers(interval: Interval, digits: int) -> str:
    return f"{_signed(interval.mean, digits)} [{_signed(interval.low, digits)}, {_signed(interval.high, digits)}]"


def _reach(intervals: Sequence[Interval], mark: float | None) -> tuple[float, float]:
    """Return limits that hold zero, the mark and every interval, and some room."""
    more = [] if mark is None else [mark]
    lows, highs = [*more, *(one.low for one in intervals)], [*more, *(one.high for one in intervals)]
    room = 0.08 * (max(map(abs, lows + highs)) or 1.0)
    return min(0.0, *lows) - room, max(0.0, *highs) + room


def _name_sides(ax: Axes, left: str, right: str) -> None:
    """Write above the line at zero what each side of it means."""
    for word, offset, align in ((f"← {left}", -6, "right"), (f"{right} →", 6, "left")):
        ax.annotate(
            word,
            (0.0, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(offset, 3),
            textcoords="offset points",
            color=tokens()["muted"],
            ha=align,
            va="bottom",
            annotation_clip=False,
        )


def _signed(value: float, digits: int) -> str:
    """A number with a real minus sign and always a sign, so that columns read."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) != 0 else text.replace("-", "").replace("+", "")


def forest(
    rows: Sequence[tuple[str, str | Style, Interval]],
    *,
    xlabel: str,
    alt: str,
    caption: str,
    title: str = "Paired differences",
    better: Literal["left", "right", ""] = "left",
    digits: int = 2,
    width: Width = "text",
    name: str = "",
    numbers: Sequence[str] | None = None,
    mark: float | None = None,
) -> Shown:
    """Show paired differences with their intervals, as :func:`draw_forest` draws them.

    Args:
        rows: for each row its name, its arm or style, and an object with ``mean``, ``low``, ``high``.
        xlabel: what the differences are.
        alt: what one sees, for those who do not see it.
        caption: the message first; see :func:`claim`.
        title: a few words.
        better: the side on which a row is better than its baseline.
        digits: decimals of the numbers.
        width: ``"text"`` or ``"wide"``.
        name: an anchor for links.
        numbers: what to write beside each row instead of its own numbers.
        mark: where a second line stands.

    Example:
        >>> from types import SimpleNamespace
        >>> row = ("P-ON", "P-ON", SimpleNamespace(mean=-0.2, low=-0.3, high=-0.1))
        >>> forest([row], xlabel="points", alt="One interval below zero.", caption="It helps.").alt
        'One interval below zero.'
    """

    def draw(ax: Axes, narrow: bool) -> None:
        draw_forest(ax, narrow, rows, xlabel=xlabel, better=better, digits=digits, numbers=numbers, mark=mark)

    return show(
        draw,
        title=title,
        alt=alt,
        caption=caption,
        width=width,
        height=110.0 + (44.0 if width == "wide" else 34.0) * len(rows),
        narrow_height=110.0 + (68.0 if width == "wide" else 52.0) * len(rows),
        name=name,
    )
