"""Make the slides of the teaching pages: one HTML file a deck, with its live figures inside, which opens from disk.

A deck is `book/teaching/slides/<stem>.html`: two comments with its title and its chapter's page, then one `<section>` a slide. Its
empty places of live figures are filled as in the pages, and `{valley}` by a curve; `slides.html` beside this file is all around it.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from book.tools.static import write_if_new
from companion import look, widgets

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


def page(source: str) -> str:
    """Return the whole page of a deck.

    Args:
        source: the text of its file.

    Raises:
        ValueError: it lacks its title or chapter, or names a figure that there is not.

    """
    parts = {"valley": valley()}
    for name in ("title", "chapter"):
        found = re.search(rf"<!-- {name}: (.+) -->\n", source)
        if found is None:
            raise ValueError(f"a deck needs a line <!-- {name}: … -->")
        parts[name], source = found[1], source.replace(found[0], "")
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
