"""The colours of the book, recomputed from the CSS: told apart by every eye, read on page and card in both themes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from companion import plots
from companion.page.strip import METHODS as METHODS_OF_THE_STRIP

ROOT = Path(__file__).resolve().parents[2]
NO_METHOD = ("page", "card", "ink", "rule", "link")
METHODS = tuple(name for name in plots.tokens() if name not in NO_METHOD)  # and muted: what they are compared with
TEXT = (*METHODS, "ink", "link")

# Colour-blind sight at full severity, in linear RGB: Machado, Oliveira, Fernandes (2009), "A physiologically-based
# model for simulation of color vision deficiency".
SIGHT = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# The smallest distance in OKLab between any two of the book's first six, to three decimals: what they were chosen for.
FIRST = ("pon", "sbn", "pgt", "tce", "nl", "muted")
SMALLEST = {
    "light": {"normal": 0.125, "protan": 0.086, "deutan": 0.085, "tritan": 0.083},
    "dark": {"normal": 0.144, "protan": 0.108, "deutan": 0.112, "tritan": 0.107},
}
# The smallest distance that a further colour, or a spare, may have from any other; about 0.02 is the least that an eye can tell, and
# thin lines and small dots need several times that.
LIMIT = {"normal": 0.12, "protan": 0.08, "deutan": 0.08, "tritan": 0.08}
# Ottosson (2020), "A perceptual color space for image processing".
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def linear(color: str) -> np.ndarray:
    srgb = np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    return TO_LAB @ np.cbrt(TO_LMS @ np.clip(rgb, 0, 1))


def contrast(one: str, other: str) -> float:
    dim, bright = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (one, other))
    return (bright + 0.05) / (dim + 0.05)


def test_the_measures_know_their_landmarks() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    np.testing.assert_allclose(oklab(linear("#ffffff")), [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(oklab(linear("#ff0000")), [0.62796, 0.22486, 0.12585], atol=1e-4)
    for matrix in SIGHT.values():
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=2e-6)  # greys stay grey


def spares() -> dict[str, dict[str, str]]:
    """Return the spare colours that the head of tokens.css offers to the next methods, by theme."""
    lines = [line for line in plots._tokens_css().splitlines() if line.startswith(" *   spare ")]
    found = [re.match(r" \*   spare (\w+): light (#[0-9a-f]{6}), dark (#[0-9a-f]{6})\b", line) for line in lines]
    assert all(found), f"a line of a spare in tokens.css has another form: {lines}"
    colors = [match.groups() for match in found if match]
    return {"light": {f"spare {n}": c for n, c, _ in colors}, "dark": {f"spare {n}": c for n, _, c in colors}}


def too_close(colors: dict[str, str], sight: str) -> list[str]:
    """Return the pairs that lie closer together than the limit, each in words."""
    seen = {name: oklab(SIGHT[sight] @ linear(color)) for name, color in colors.items()}
    pairs = [(float(np.linalg.norm(seen[a] - seen[b])), a, b) for a, b in itertools.combinations(seen, 2)]
    return [
        f"{a} {colors[a]} and {b} {colors[b]}: {distance:.4f} apart in OKLab, at least {LIMIT[sight]} is asked"
        for distance, a, b in sorted(pairs)
        if distance < LIMIT[sight]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_methods_are_told_apart(theme: str, sight: str) -> None:
    """The spares are held to it too, so that they are still free when the next method comes."""
    colors = {name: plots.tokens(theme)[name] for name in METHODS} | spares()[theme]
    pairs = too_close(colors, sight)
    assert not pairs, f"{theme} theme, {sight} sight; see CONTRIBUTING.md, Choose a colour:\n" + "\n".join(pairs)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_the_first_six_keep_the_distance_they_were_chosen_for(theme: str, sight: str) -> None:
    seen = {name: oklab(SIGHT[sight] @ linear(plots.tokens(theme)[name])) for name in FIRST}
    distance, pair = min((np.linalg.norm(seen[a] - seen[b]), (a, b)) for a, b in itertools.combinations(FIRST, 2))
    assert round(float(distance), 3) >= SMALLEST[theme][sight], pair


def test_a_colour_beside_another_is_named_with_its_distance() -> None:
    assert too_close({"pon": "#4661ba", "new": "#4a65be", "tce": "#9d0211"}, "normal") == [
        "pon #4661ba and new #4a65be: 0.0133 apart in OKLab, at least 0.12 is asked"
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "card"])
def test_every_text_colour_reads(theme: str, ground: str) -> None:
    colors = plots.tokens(theme)
    texts = {name: colors[name] for name in TEXT} | spares()[theme]
    ratios = {name: contrast(color, colors[ground]) for name, color in texts.items()}
    faint = [f"{name} {texts[name]}: {ratio:.2f} to 1" for name, ratio in ratios.items() if ratio < 4.5]
    assert not faint, f"on {ground} {colors[ground]} of the {theme} theme, at least 4.5 to 1 is asked: {faint}"


def test_the_dark_colours_stand_twice_and_agree() -> None:
    light, dark, by_system = plots._blocks()
    assert dark == by_system
    assert light.keys() == dark.keys()
    assert len(set(light.values())) == len(light)  # plots tell tokens by their colour


def test_every_method_s_token_has_a_style_and_every_style_a_token() -> None:
    assert {style.token for style in plots.METHOD_STYLE.values()} == set(METHODS), "METHOD_STYLE in companion/plots.py"


def test_every_method_s_token_has_its_dot_in_the_strip() -> None:
    assert {method.colour for method in METHODS_OF_THE_STRIP.values()} == set(METHODS) - {"muted"}, (
        "METHODS in companion/page/strip.py"
    )


def test_every_method_s_token_has_its_class_in_the_pages() -> None:
    css = (ROOT / "book" / "_static" / "book.css").read_text(encoding="utf-8")
    missing = [name for name in METHODS if f".luc-{name} {{ color: var(--luc-{name}); }}" not in css]
    bold = re.search(r":is\(([^()]*)\) \{ font-weight: 600; \}", css)
    assert not missing, "book/_static/book.css, under 'one colour, one meaning'"
    assert bold
    assert {f".luc-{name}" for name in METHODS if name != "muted"} == set(bold[1].split(", "))


def test_the_pages_name_no_colour_of_their_own() -> None:
    css = (ROOT / "book" / "_static" / "book.css").read_text(encoding="utf-8")
    screen, _, on_paper = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL).partition("@media print")
    assert on_paper
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[^{}]*;)", screen) == []
    assert set(re.findall(r"var\(--luc-([\w-]+)", css)) - {"text", "wide", "quiet", "serif", "sans", "mono"} <= (
        plots.tokens().keys()
    )
