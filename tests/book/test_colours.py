"""The colours of the book, recomputed from the style sheet that `companion.look` makes: told apart by every eye, read on page and card in both themes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from companion import look, papers

ROOT = Path(__file__).resolve().parents[2]
NO_METHOD = ("page", "card", "ink", "rule", "link")
METHODS = tuple(name for name in look.tokens() if name not in NO_METHOD)  # and muted: what they are compared with
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
    """Return the spare colours that no paper has taken yet, by theme."""
    taken = {papers.load(stem).colour.spare for stem in papers.names()}
    free = {f"spare {name}": pair for name, pair in look.SPARES.items() if name not in taken}
    return {theme: {name: pair[at] for name, pair in free.items()} for at, theme in enumerate(("light", "dark"))}


def blocks() -> list[dict[str, str]]:
    """Return the colours of each rule of the style sheet that declares some: light, dark, dark by the system."""
    rules = re.findall(r"\{([^{}]*)\}", look.css())
    found = [dict(re.findall(r"--luc-([\w-]+):\s*(#[0-9a-fA-F]{6})\s*;", rule)) for rule in rules]
    return [colors for colors in found if colors]


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
    colors = {name: look.tokens(theme)[name] for name in METHODS} | spares()[theme]
    pairs = too_close(colors, sight)
    assert not pairs, f"{theme} theme, {sight} sight; see CONTRIBUTING.md, Choose a colour:\n" + "\n".join(pairs)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_the_first_six_keep_the_distance_they_were_chosen_for(theme: str, sight: str) -> None:
    seen = {name: oklab(SIGHT[sight] @ linear(look.tokens(theme)[name])) for name in FIRST}
    distance, pair = min((np.linalg.norm(seen[a] - seen[b]), (a, b)) for a, b in itertools.combinations(FIRST, 2))
    assert round(float(distance), 3) >= SMALLEST[theme][sight], pair


def test_a_colour_beside_another_is_named_with_its_distance() -> None:
    assert too_close({"pon": "#4661ba", "new": "#4a65be", "tce": "#9d0211"}, "normal") == [
        "pon #4661ba and new #4a65be: 0.0133 apart in OKLab, at least 0.12 is asked"
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "card"])
def test_every_text_colour_reads(theme: str, ground: str) -> None:
    colors = look.tokens(theme)
    texts = {name: colors[name] for name in TEXT} | spares()[theme]
    ratios = {name: contrast(color, colors[ground]) for name, color in texts.items()}
    faint = [f"{name} {texts[name]}: {ratio:.2f} to 1" for name, ratio in ratios.items() if ratio < 4.5]
    assert not faint, f"on {ground} {colors[ground]} of the {theme} theme, at least 4.5 to 1 is asked: {faint}"


def test_the_style_sheet_declares_every_colour_in_both_themes() -> None:
    light, dark, by_system = blocks()
    assert light == look.tokens("light")
    assert dark == by_system == look.tokens("dark")
    assert len(set(light.values())) == len(light)  # plots tell tokens by their colour


def test_every_colour_of_text_has_its_class_and_every_method_s_is_bold() -> None:
    bold = re.search(r":is\(([^()]*)\) \{ font-weight: 600; \}", look.css())
    for name in (*METHODS, "ink"):
        assert f".luc-{name} {{ color: var(--luc-{name}); }}" in look.css()
    assert {f".luc-{name}" for name in METHODS if name != "muted"} == set(bold[1].split(", "))


def test_every_method_s_colour_has_an_arm_and_every_arm_a_colour() -> None:
    assert {style.token for style in look.styles().values()} == set(METHODS)


def test_an_arm_s_look_stands_once_and_is_no_other_s() -> None:
    labels = [label for label, *_ in look._COMPARED] + [
        arm.label for stem in papers.names() for arm in papers.load(stem).arms
    ]
    assert len(set(labels)) == len(labels), "an arm that two papers share belongs to companion/look.py"
    looks = [(style.token, str(style.dash), style.marker) for style in look.styles().values()]
    assert len(set(looks)) == len(looks)


def test_an_arm_without_a_look_is_told_where_one_is_added() -> None:
    with pytest.raises(ValueError, match=r"no look for the arm 'x'; add it to \[\[arms\]\] of its paper"):
        look.style("x")
    with pytest.raises(ValueError, match="theme must be 'light' or 'dark', got 'sepia'"):
        look.tokens("sepia")


def test_a_paper_takes_a_spare_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    real = papers._read
    calm = {**real("norm_loss"), "colour": {"token": "calm", "spare": "violet"}}
    monkeypatch.setattr(papers, "_read", lambda stem: calm if stem == "norm_loss" else real(stem))
    assert (look.tokens()["calm"], look.tokens("dark")["calm"]) == look.SPARES["violet"]
    assert list(spares()["light"]) == ["spare magenta"]


def test_the_pages_name_no_colour_of_their_own() -> None:
    css = (ROOT / "book" / "_static" / "book.css").read_text(encoding="utf-8")
    screen, _, on_paper = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL).partition("@media print")
    assert on_paper
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[^{}]*;)", screen) == []
    assert set(re.findall(r"var\(--luc-([\w-]+)", css)) - {"text", "wide", "quiet", "serif", "sans", "mono"} <= (
        look.tokens().keys()
    )


def test_a_colour_is_written_once() -> None:
    """Each colour stands in its paper's file or in companion/look.py, and in examples of docstrings, nowhere else."""
    written: dict[str, list[str]] = {}
    kinds = {".py", ".js", ".css", ".toml", ".md", ".ipynb", ".svg", ".yml"}
    files = [path for folder in ("companion", "book", "notebooks") for path in (ROOT / folder).rglob("*")]
    for path in files:
        if path.suffix in kinds and "generated" not in path.parts:
            text = re.sub(r"(?m)^ +(>>>|'|\(').*$", "", path.read_text(encoding="utf-8"))  # double quotes are for code
            for color in re.findall(r"#[0-9a-f]{6}\b", text.lower()):
                written.setdefault(color, []).append(str(path.relative_to(ROOT)))
    for theme in ("light", "dark"):
        for name, color in look.tokens(theme).items():
            assert len(written[color]) == 1, f"{name} {color} stands in {written[color]}"
