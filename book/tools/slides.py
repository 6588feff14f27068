"""Make the slides of the teaching pages: one HTML file a deck, with its live figures inside, which opens from disk.

A deck is `book/teaching/slides/<stem>.html`: two comments with its title and its chapter's page, then one `<section>` a slide. Its
empty places of live figures are filled as in the pages, and `{valley}` or `{pulls}` by that drawing; `slides.html` beside this file is all
around it, in the colour of the chapter's method.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from book.tools.static import write_if_new
from companion import look, papers, widgets
from companion.chapters.tamed_cross_entropy.pulls import peak, pull

FOLDER = Path(__file__).resolve().parents[1] / "teaching" / "slides"
FRAME = Path(__file__).with_suffix(".html")
MARGINS = (3.0, 2.5, 2.0, 1.5, -1.0)
"""The label's logit minus the other, of five made-up samples with two classes; the last one is wrong."""


def mean_loss(scale: float, margins: tuple[float, ...] = MARGINS) -> float:
    """Return the mean cross entropy of two classes when all logits are multiplied by a factor: mean of log(1 + e^(−s·m))."""
    return sum(math.log1p(math.exp(-scale * margin)) for margin in margins) / len(margins)


def valley(margins: tuple[float, ...] = MARGINS, end: float = 3.0) -> str:
    """Return the curve of the mean loss along the common factor as SVG, its bottom marked."""
    scales = [end * k / 200 for k in range(201)]
    lowest = min(scales, key=lambda scale: mean_loss(scale, margins))

    def place(scale: float) -> str:
        return f"{2.4 * scale:.3f} {-6 * mean_loss(scale, margins):.3f}"

    x, y = place(lowest).split()
    alt = (
        f"The mean loss of five samples, one of them wrong, against a common factor s of their logits: it falls to a lowest point at "
        f"s = {lowest:.2f} and rises again."
    )
    return (
        f'<svg viewBox="-.6 -5 8.6 5.9" role="img" aria-label="{alt}">'
        '<path d="M0 -4.8 V0 H7.6" class="thin" />'
        f'<path d="M{" L".join(map(place, scales))}" />'
        f'<path d="M{x} {y} V0" class="thin" stroke-dasharray=".1 .1" /><circle cx="{x}" cy="{y}" r=".11" class="ink" />'
        '<text x=".15" y="-4.6">mean loss</text><text x="6.2" y=".55">factor s</text>'
        '<text x=".15" y="-.9">L &lt; H:</text><text x=".15" y="-.4">s grows</text>'
        '<text x="4.9" y="-.9">L &gt; H:</text><text x="4.9" y="-.4">s shrinks</text>'
        f'<text x="{x}" y="{float(y) - 0.35:.2f}" text-anchor="middle">L = H</text></svg>'
    )


def pulls(alphas: tuple[float, float, float] = (0.0, 1.0, 2.0)) -> str:
    """Return the curves of the pull over the label's probability as SVG, for cross entropy and tamed, the peaks marked."""
    probs = [(k / 150) ** 2 for k in range(1, 151)]  # close near 0, where the curves are steep

    def place(q: float, alpha: float) -> str:
        return f"{6.6 * q:.3f} {-4.4 * float(pull(q, alpha)):.3f}"

    curves, said = [], []
    looks = ('class="plain"', 'class="tamed" stroke-dasharray=".22 .14"', 'class="tamed"')
    for alpha, look_of, (at_x, at_y) in zip(alphas, looks, ((0, 0), (0.05, -1.6), (1.7, -0.22)), strict=True):
        curves.append(f'<path d="M{" L".join(place(q, alpha) for q in probs)}" {look_of} />')
        if alpha == 0:
            continue
        x, y = place(peak(alpha), alpha).split()
        said.append(f"α = {alpha:g} at q = {peak(alpha):.3f}")
        curves.append(
            f'<circle cx="{x}" cy="{y}" r=".11" class="dot" />'
            f'<text x="{at_x}" y="{at_y}" class="method">α = {alpha:g}: q* = {peak(alpha):.3f}</text>'
        )
    alt = f"The pull against the probability q of the label: of cross entropy a falling line, tamed two humps, highest for {' and for '.join(said)}."
    return (
        f'<svg viewBox="-.6 -5 8.6 5.9" role="img" aria-label="{alt}">'
        f'<path d="M0 -4.8 V0 H7.2" class="thin" />{"".join(curves)}'
        '<text x=".15" y="-4.65">pull</text><text x="1.7" y="-3.75">cross entropy: 1 − q</text>'
        '<text x="5.9" y=".55">q</text><text x="6.45" y=".55">1</text><text x="-.1" y=".55">0</text></svg>'
    )


DRAWINGS = {"valley": valley, "pulls": pulls}


def page(source: str) -> str:
    """Return the whole page of a deck.

    Args:
        source: the text of its file.

    Raises:
        ValueError: it lacks its title or chapter, or names a figure that there is not.

    """
    parts = {name: draw() for name, draw in DRAWINGS.items() if f"{{{name}}}" in source}
    for name in ("title", "chapter"):
        found = re.search(rf"<!-- {name}: (.+) -->\n", source)
        if found is None:
            raise ValueError(f"a deck needs a line <!-- {name}: … -->")
        parts[name], source = found[1], source.replace(found[0], "")
    parts["method_token"] = papers.load(re.sub(r".*/\d+_|\.html$", "", parts["chapter"])).colour.token
    parts["tokens"] = look.css()
    parts["light"] = "\n".join(f"    --luc-{name}: {value};" for name, value in look.tokens("light").items())
    parts["figures"] = widgets.bundle()
    parts["sections"] = widgets.fill_places(_fill(source.strip(), parts))
    return _fill(FRAME.read_text(encoding="utf-8"), parts)


def _fill(text: str, parts: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: parts.get(found[1], found[0]), text)


def write_all(folder: Path) -> list[Path]:
    """Write every deck's page into a folder of the built book, beside its other top folders, and return the files."""
    written = [folder / source.name for source in sorted(FOLDER.glob("*.html"))]
    for target in written:
        write_if_new(target, page((FOLDER / target.name).read_text(encoding="utf-8")).encode())
    return written
