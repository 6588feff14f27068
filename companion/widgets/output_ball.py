"""The output ball without scripts: its values, their ranges, and picture and sentence for pages that cannot move."""

from __future__ import annotations

import html
import math
from typing import Any

from companion.widgets import token

DEFAULTS: dict[str, Any] = {"z": [2.5, 1.2], "label": 0, "threshold": 2.0, "clip": False, "compact": False}
"""The state that surprises: the sample of the paper's first figure is classified rightly, and still wants to grow."""

LIMIT = 5.0
"""Half the side of the square in which the logit vector may lie."""

_VIEW = 5.8
_ARROWS = 7.0  # how much longer than the gradient the arrows are drawn


def checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values in plain types that JSON can hold, or raise ``ValueError`` with what is allowed."""
    z = [float(value) for value in values["z"]]
    if len(z) != 2 or not all(abs(value) <= LIMIT for value in z):
        raise ValueError(f"z must be two numbers in [-{LIMIT:g}, {LIMIT:g}], got {values['z']!r}")
    if values["label"] not in (0, 1):
        raise ValueError(f"label must be 0 or 1, got {values['label']!r}")
    threshold = float(values["threshold"])
    if not (threshold > 0 and math.isfinite(threshold)):
        raise ValueError(f"threshold must be > 0 and finite, got {values['threshold']!r}")
    return {
        "z": z,
        "label": int(values["label"]),
        "threshold": threshold,
        "clip": bool(values["clip"]),
        "compact": bool(values["compact"]),
    }


def facts(values: dict[str, Any]) -> dict[str, Any]:
    """Return what the figure shows in this state: ``output``, ``loss``, ``entropy``, ``step`` and its part ``along`` z.

    With p the softmax of the output (z, or δz/‖z‖ where the clip acts), L = −log p_y and H = −Σ p log p; the step is
    −∂L/∂z.

    Args:
        values: the figure's values, as `checked` returns them.

    Example:
        >>> round(facts(DEFAULTS)["loss"], 4)
        0.241
    """
    z, label = values["z"], values["label"]
    length = math.hypot(*z)
    outside = values["clip"] and length > values["threshold"]
    factor = values["threshold"] / length if outside else 1.0
    output = [factor * value for value in z]
    log_sum = max(output) + math.log1p(math.exp(-abs(output[0] - output[1])))
    log_p = [value - log_sum for value in output]
    p = [math.exp(value) for value in log_p]
    step = [(k == label) - p[k] for k in (0, 1)]
    radial = sum(s * value for s, value in zip(step, z, strict=True)) / length**2 if length else 0.0
    along = [radial * value for value in z]
    if outside:
        step, along = [factor * (s - a) for s, a in zip(step, along, strict=True)], [0.0, 0.0]
    return {
        "output": output,
        "outside": outside,
        "loss": -log_p[label],
        "entropy": -sum(q * log_q for q, log_q in zip(p, log_p, strict=True)),
        "step": step,
        "along": along,
    }


def sentence(values: dict[str, Any]) -> str:
    """Return the one sentence that the fallback says about the state, numbers included.

    Example:
        >>> print(sentence(DEFAULTS))
        At z = (2.50, 1.20) with class 1 true, the loss 0.241 is below the entropy 0.519: gradient descent lengthens z.
    """
    now = facts(values)
    gap = now["entropy"] - now["loss"]
    case, end = "equals", "gradient descent leaves the length of z alone"
    if gap > 1e-9:
        case, end = "is below", "gradient descent lengthens z"
    elif gap < -1e-9:
        case, end = "is above", "gradient descent shortens z"
    if now["outside"]:
        end = f"outside the ball of radius {values['threshold']:g} the length gets no gradient"
    z = ", ".join(f"{value:.2f}" for value in values["z"])
    return (
        f"At z = ({z}) with class {values['label'] + 1} true, the loss {now['loss']:.3f} {case} the entropy "
        f"{now['entropy']:.3f}: {end}."
    ).replace("-", "−")


def fallback(values: dict[str, Any]) -> str:
    """Return picture and sentence as one line of HTML, in the book's tokens, the picture's description inside."""
    words = html.escape(sentence(values))
    (x, y), size = values["z"], _VIEW
    parts = [
        *_regions(values["label"]),
        _path(f"M{-size} 0 H{size} M0 {-size} V{size}", _stroke("muted", ".02")),
        _path(f"M{-size} {size} L{size} {-size}", _stroke("muted", ".04", "stroke-dasharray: .18 .15")),
        _path(_line([0, 0], [x, y]), _stroke("ink", ".07")),
        *_arrows(values),
        f'<circle cx="{x:g}" cy="{-y:g}" r=".2" style="fill: {token("ink")}"/>',
    ]
    if not values["compact"]:
        dots = _stroke("pon", ".05", "stroke-dasharray: .05 .13")
        parts.append(f'<circle r="{values["threshold"]:g}" style="{dots}"/>')
    picture = (
        f'<svg viewBox="{-size} {-size} {2 * size} {2 * size}" role="img" aria-label="{words}" '
        f'style="display: block; width: 100%; max-width: 360px; height: auto">{"".join(parts)}</svg>'
    )
    return f'{picture}<p class="luc-live-words">{words}</p>'


def _regions(label: int) -> list[str]:
    """Return the two sides of the diagonal with their names: under it the first class leads."""
    size, style = _VIEW, f"fill: {token('muted')}; font: 600 .42px var(--luc-sans, sans-serif)"
    parts = []
    for side, corner, place in [
        (0, f"H{size} V{-size}", f'x="{size - 0.2:g}" y="{size - 0.3:g}" text-anchor="end"'),
        (1, f"V{-size} H{size}", f'x="{0.2 - size:g}" y="{0.6 - size:g}" text-anchor="start"'),
    ]:
        name, sign = ("pon", "&lt;") if side == label else ("muted", "&gt;")
        parts.append(_path(f"M{-size} {size} {corner} Z", f"fill: {token(name)}; fill-opacity: .1"))
        parts.append(f'<text {place} style="{style}">loss {sign} entropy</text>')
    return parts


def _arrows(values: dict[str, Any]) -> list[str]:
    """Return the descent step, its part across z and its part along z; the small form has the last one only."""
    now, z = facts(values), values["z"]
    wish = 2 * _ARROWS if values["compact"] else _ARROWS
    longest = [wish * value for value in now["along" if values["compact"] else "step"]]
    room = [(_VIEW - 0.2 - math.copysign(1, d) * v) / abs(d) for d, v in zip(longest, z, strict=True) if d]
    scale = wish * min([1.0, *room])
    end, bend = ([v + scale * part[k] for k, v in enumerate(z)] for part in (now["step"], now["along"]))
    arrows = [(bend, end, "muted", ".05"), (z, end, "ink", ".05"), (z, bend, "pon", ".09")]
    return [
        _path(_line(tail, tip), _stroke(colour, width)) + _head(tail, tip, colour)
        for tail, tip, colour, width in (arrows[-1:] if values["compact"] else arrows)
    ]


def _stroke(colour: str, width: str, more: str = "") -> str:
    return f"stroke: {token(colour)}; stroke-width: {width}; fill: none; {more}".rstrip("; ")


def _path(d: str, style: str) -> str:
    return f'<path d="{d}" style="{style}"/>'


def _line(start: list[float], end: list[float]) -> str:
    return f"M{start[0]:.3f} {-start[1]:.3f} L{end[0]:.3f} {-end[1]:.3f}"


def _head(tail: list[float], tip: list[float], colour: str) -> str:
    """Return an arrow's head, smaller on a short arrow."""
    length = math.dist(tail, tip)
    if length < 0.02:
        return ""
    size = min(0.32, 0.6 * length)
    ux, uy = (tip[0] - tail[0]) / length, (tip[1] - tail[1]) / length
    x, y, half = tip[0] - size * ux, tip[1] - size * uy, 0.42 * size
    corners = [tip, [x - half * uy, y + half * ux], [x + half * uy, y - half * ux]]
    d = " L".join(f"{a:.3f} {-b:.3f}" for a, b in corners)
    return _path(f"M{d} Z", f"fill: {token(colour)}")
