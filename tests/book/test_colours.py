"""The colours of the book, recomputed from the CSS: told apart by every eye, read on page and card in both themes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from companion import plots

ROOT = Path(__file__).resolve().parents[2]
METHODS = ("pon", "sbn", "pgt", "tce", "nl", "muted")
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
# The smallest distance in OKLab between any two of the six, to three decimals: what the colours were chosen for.
SMALLEST = {
    "light": {"normal": 0.125, "protan": 0.086, "deutan": 0.085, "tritan": 0.083},
    "dark": {"normal": 0.144, "protan": 0.108, "deutan": 0.112, "tritan": 0.107},
}
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


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_methods_are_told_apart(theme: str, sight: str) -> None:
    seen = {name: oklab(SIGHT[sight] @ linear(plots.tokens(theme)[name])) for name in METHODS}
    distance, pair = min((np.linalg.norm(seen[a] - seen[b]), (a, b)) for a, b in itertools.combinations(METHODS, 2))
    assert round(float(distance), 3) >= SMALLEST[theme][sight], pair


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "card"])
@pytest.mark.parametrize("text", TEXT)
def test_every_text_colour_reads(theme: str, ground: str, text: str) -> None:
    colors = plots.tokens(theme)
    assert contrast(colors[text], colors[ground]) >= 4.5


def test_the_dark_colours_stand_twice_and_agree() -> None:
    light, dark, by_system = plots._blocks()
    assert dark == by_system
    assert light.keys() == dark.keys()
    assert len(set(light.values())) == len(light)  # plots tell tokens by their colour


def test_every_style_of_a_plot_has_its_token() -> None:
    assert {style.token for style in plots.METHOD_STYLE.values()} <= plots.tokens().keys()


def test_the_pages_name_no_colour_of_their_own() -> None:
    css = (ROOT / "book" / "_static" / "book.css").read_text(encoding="utf-8")
    screen, _, on_paper = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL).partition("@media print")
    assert on_paper
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[^{}]*;)", screen) == []
    assert set(re.findall(r"var\(--luc-([\w-]+)", css)) - {"text", "wide", "quiet", "serif", "sans", "mono"} <= (
        plots.tokens().keys()
    )
