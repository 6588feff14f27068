"""Figures: themed, described, with a phone's twin, honest bands, and names that do not overlap."""

from __future__ import annotations

import io
import itertools
import re
import struct
import subprocess
import sys
import warnings
from functools import cache
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.text import Text

from companion import look, plots
from companion.plots import labels, runs, showing

ARMS = ("vanilla", "weight decay", "P-ON", "norm only", "stability only", "P-ON + weight decay")


class Recorded:
    """Five runs of a few arms, saturating curves that end close together."""

    provenance = {"device": "a laptop", "date": "2026-11-21"}

    def __init__(self, arms: tuple[str, ...] = ARMS, runs: int = 5) -> None:
        self.arms = arms
        self.runs = runs

    def curve(self, arm: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        epochs = np.arange(1, 31)
        noise = np.random.default_rng(len(arm)).normal(1, 0.02, size=(self.runs, 1))
        return epochs, (4 + 0.05 * self.arms.index(arm)) * np.log1p(epochs) * noise


def square(ax: Any, narrow: bool) -> None:
    plots.line(ax, [0, 1, 2], [0, 1, 4], "P-ON")
    plots.band(ax, [0, 1, 2], [0, 0.5, 3], [0.5, 1.5, 5], "P-ON")
    plots.scatter(ax, [0.5], [2], "SBN")
    plots.name_axes(ax, "x", "x²")


def shown(**changes: Any) -> plots.Shown:
    words = {"title": "A square", "alt": "A curve that rises ever faster.", "caption": "It rises. And how."}
    return plots.show(changes.pop("draw", square), **{**words, **changes})


@cache
def plain() -> plots.Shown:
    """The figure of most tests, drawn once."""
    return shown()


@cache
def lines() -> plots.Shown:
    """Six arms over the epochs, drawn once."""
    return plots.curves(Recorded(), "length", alt="Lines.", caption="They rise.")


def svgs(figure: plots.Shown) -> list[str]:
    return re.findall(r"<svg.*?</svg>", figure.html, flags=re.DOTALL)


def ids(figure: plots.Shown) -> list[str]:
    return re.findall(r'\bid="([^"]+)"', figure.html)


# ------------------------------------------------------------------------------------------------------ the themed SVG


@pytest.mark.parametrize("draw", [plain, lines])
def test_no_palette_colour_stands_outside_its_token(draw: Any) -> None:
    figure = draw()
    bare = re.sub(r"var\(--luc-[\w-]+, #[0-9a-f]{6}\)", "", "".join(svgs(figure)))
    left = {color.lower() for color in re.findall(r"#[0-9a-fA-F]{6}\b", bare)}
    assert not left & set(plots.tokens().values())
    assert "var(--luc-pon, #4661ba)" in figure.html


def test_a_token_carries_its_own_colour() -> None:
    for token, color in re.findall(r"var\(--luc-([\w-]+), (#[0-9a-f]{6})\)", "".join(svgs(plain()))):
        assert plots.tokens()[token] == color


def test_ids_are_unique_within_and_between_figures() -> None:
    one, other = plain(), shown()
    every = ids(one) + ids(other)
    assert len(every) == len(set(every))
    for figure in (one, other):
        referred = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', figure.html)
        assert referred
        assert {a or b for a, b in referred} <= set(ids(figure))


def test_every_drawing_is_well_formed_named_and_described() -> None:
    for svg in svgs(shown(title="Less < more", alt="Loss & entropy.")):
        root = ElementTree.fromstring(svg)  # our own text
        space = "{http://www.w3.org/2000/svg}"
        assert root.get("role") == "img"
        assert root.get("width") == "100%"
        assert root.get("height") is None
        assert root.find(f"{space}title").text == "Less < more"
        assert root.find(f"{space}desc").text == "Loss & entropy."
        assert root.get("aria-labelledby").split() == [
            root.find(f"{space}{part}").get("id") for part in ("title", "desc")
        ]
        assert [text for text in root.iter(f"{space}text") if "x²" in "".join(text.itertext())]  # text stays text


def test_the_svg_draws_no_ground_of_its_own() -> None:
    assert plots.tokens()["page"] not in re.sub(r"stroke: var\([^)]*\)", "", shown(draw=lambda ax, _: None).html)
    assert "#ffffff" not in "".join(svgs(plain())).lower()


def test_the_same_figure_is_written_the_same_way() -> None:
    first, second = (re.sub(r"luc\d+", "luc", figure.html) for figure in (plain(), shown()))
    assert first == second


# --------------------------------------------------------------------------------------------------------- the twins


def font_pixels(svg: str, at_width: float) -> float:
    """The smallest type of a drawing, in pixels, when the page shows it ``at_width`` pixels wide."""
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg).group(1))
    sizes = [float(size) for size in re.findall(r"font(?:-size)?:[^;\"]*?([\d.]+)px", svg)]
    return min(sizes) * at_width / width


def test_a_narrow_twin_keeps_labels_readable_on_a_phone() -> None:
    wide, narrow = svgs(plain())
    assert '<div class="luc-plot luc-plot-narrow">' in plain().html
    assert font_pixels(narrow, at_width=320) >= 11
    assert font_pixels(narrow, at_width=360) >= 11
    assert font_pixels(wide, at_width=521) >= 11  # the width at which the twin takes over


def test_a_wide_figure_is_drawn_for_middling_pages_too() -> None:
    wide, text, narrow = svgs(shown(width="wide"))
    assert font_pixels(wide, at_width=841) >= 11
    assert font_pixels(text, at_width=521) >= 11
    assert font_pixels(narrow, at_width=320) >= 11


def test_the_draw_function_learns_which_twin_it_draws_and_gets_all_panels() -> None:
    calls = []

    def draw(axes: Any, narrow: bool) -> None:
        calls.append((len(axes), narrow))

    shown(draw=draw, panels=3)
    assert calls == [(3, False), (3, True)]


# ------------------------------------------------------------------------------------------------- words are required


@pytest.mark.parametrize("missing", ["title", "alt", "caption"])
@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_figure_without_words_is_refused(missing: str, text: str) -> None:
    with pytest.raises(ValueError, match=missing):
        shown(**{missing: text})


def test_alt_cannot_be_left_out() -> None:
    with pytest.raises(TypeError, match="alt"):
        plots.show(square, title="A square", caption="It rises.")
    with pytest.raises(TypeError, match="alt"):
        plots.curves(Recorded(), "length", caption="They rise.")


@pytest.mark.parametrize(
    ("caption", "bold"),
    [
        ("It rises. And how.", "It rises."),
        ("It rises.", "It rises."),
        ("It rises by 0.5 points. 5 seeds.", "It rises by 0.5 points."),
        ("The paper says “always”. It does not hold.", "The paper says “always”."),
        ("Is it so? Yes.", "Is it so?"),
    ],
)
def test_the_first_sentence_of_the_caption_is_bold(caption: str, bold: str) -> None:
    assert showing._caption(caption).startswith(f"<strong>{bold}</strong>")


def test_names_of_arms_in_captions_are_italic() -> None:
    html = shown(caption="It ends below *norm only*. The peak q* of *P-ON* and r* stay, 2 * 3 * 4 too.").html
    assert "<strong>It ends below <em>norm only</em>.</strong>" in html
    assert "The peak q* of <em>P-ON</em> and r* stay, 2 * 3 * 4 too." in html


def test_captions_are_escaped() -> None:
    assert "<strong>Loss &lt; entropy.</strong>" in shown(caption="Loss < entropy. So it grows.").html


def test_a_claim_must_hold() -> None:
    assert plots.claim("It grew.", holds=np.float64(2) > 1) == "It grew."
    with pytest.raises(ValueError, match="It grew"):
        plots.claim("It grew.", holds=False)
    with pytest.raises(TypeError, match="holds"):
        plots.claim("It grew.", holds=np.array([True, True]))
    with pytest.raises(TypeError, match="holds"):
        plots.claim("It grew.", holds=1)
    with pytest.raises(ValueError, match="empty"):
        plots.claim(" ", holds=True)


# ------------------------------------------------------------------------------------------------------- mime bundle


def test_the_bundle_has_page_picture_and_words() -> None:
    bundle = plain()._repr_mimebundle_()
    assert list(bundle) == ["text/html", "image/png", "text/plain"]
    assert bundle["text/plain"] == "A curve that rises ever faster."
    assert bundle["image/png"].startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", bundle["image/png"][16:24])
    assert (width, height) == (1360, 800)


def test_the_picture_is_drawn_on_the_light_page() -> None:
    from matplotlib import image

    corner = image.imread(io.BytesIO(plain().png))[0, 0]
    page = plots.tokens()["page"]
    np.testing.assert_allclose(corner[:3] * 255, [int(page[i : i + 2], 16) for i in (1, 3, 5)], atol=1)
    assert corner[3] == 1


# ------------------------------------------------------------------------------------------------------------- curves


def test_bands_are_mean_and_sd_of_the_data() -> None:
    results = Recorded(("vanilla", "P-ON"))
    _, ax = plots.figure()
    plots.draw_curves(ax, False, results, "length")
    for arm, drawn, filled in zip(results.arms, ax.lines, ax.collections, strict=True):
        epochs, values = results.curve(arm, "length")
        mean, sd = values.mean(axis=0), values.std(axis=0, ddof=1)
        np.testing.assert_allclose(drawn.get_xydata(), np.column_stack([epochs, mean]))
        edge = filled.get_paths()[0].vertices
        for x, low, high in zip(epochs, mean - sd, mean + sd, strict=True):
            at = edge[edge[:, 0] == x, 1]
            assert at.min() == pytest.approx(low)
            assert at.max() == pytest.approx(high)


def test_mean_and_band_of_one_run_is_that_run() -> None:
    for part in plots.mean_and_band([[1.0, 2.0]]):
        np.testing.assert_array_equal(part, [1.0, 2.0])
    for wrong in ([1.0, 2.0], np.zeros((0, 3))):
        with pytest.raises(ValueError, match="shape"):
            plots.mean_and_band(wrong)


def test_one_run_has_no_band_and_says_so() -> None:
    results = Recorded(("P-ON",), runs=1)
    _, ax = plots.figure()
    plots.draw_curves(ax, False, results, "length")
    assert not ax.collections
    assert "One seed; a laptop, 2026-11-21." in plots.curves(results, "length", alt="A line.", caption="It rises.").html


def test_the_caption_says_what_the_band_is_and_where_it_ran() -> None:
    html = lines().html
    assert "Mean of 5 seeds, band ± 1 standard deviation; a laptop, 2026-11-21." in html


def test_a_length_starts_at_zero() -> None:
    _, ax = plots.figure()
    plots.draw_curves(ax, False, Recorded(), "length")
    assert ax.get_ylim()[0] == 0
    assert ax.get_xlim() == (0, 30)


def test_every_arm_has_its_own_look() -> None:
    looks = [(style.token, str(style.dash), style.marker) for style in look.styles().values()]
    assert len(set(looks)) == len(looks)
    own = [(token, dash) for token, dash, _ in looks if token != "muted"]
    assert len(set(own)) == len(own), "what is compared with may share a dash, and is told apart by marker and name"


def test_an_arm_without_a_style_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[\[arms\]\]"):
        plots.draw_curves(plots.figure()[1], False, Recorded(("sixth method",)), "length")
    with pytest.raises(ValueError, match="no arms"):
        plots.draw_curves(plots.figure()[1], False, Recorded(), "length", arms=[])


# ------------------------------------------------------------------------------------------- names at the lines' ends


def boxes(fig: Any, texts: list[Any]) -> list[Any]:
    fig.draw_without_rendering()
    return [Text.get_window_extent(text) for text in texts]  # an annotation's own extent has its leader in it


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("arms", [ARMS[:1], ARMS, tuple(look.styles())[:11]])
def test_names_do_not_overlap_and_stay_inside(narrow: bool, arms: tuple[str, ...]) -> None:
    width = "narrow" if narrow else "text"
    fig, ax = plots.figure(width, height=runs.height_for(len(arms), width))  # as `curves` does
    with plots.style(narrow):
        plots.draw_curves(ax, narrow, Recorded(arms), "length")
    texts = [text for text in ax.texts if text.get_text()]
    assert len(texts) == len(arms)
    placed = boxes(fig, texts)
    for one, other in itertools.combinations(placed, 2):
        assert one.y0 >= other.y1 - 0.5 or other.y0 >= one.y1 - 0.5
    width, height = fig.bbox.size
    for box in placed:
        assert box.x0 > ax.get_window_extent().x1
        assert box.x1 <= width + 0.5
        assert box.y0 >= -0.5
        assert box.y1 <= height + 0.5


def test_names_keep_the_order_of_the_lines_and_their_colours() -> None:
    _, ax = plots.figure()
    plots.draw_curves(ax, False, Recorded(), "length")
    results = Recorded()
    ends = {arm: results.curve(arm, "length")[1].mean(axis=0)[-1] for arm in results.arms}
    by_place = sorted((Text.get_window_extent(text).y0, text.get_text()) for text in ax.texts if text.get_text())
    assert [name for _, name in by_place] == sorted(ends, key=ends.get)
    for text in ax.texts:
        assert text.get_color() == plots.style_of(text.get_text().replace("\n", " ")).color


def test_more_names_than_fit_are_refused() -> None:
    _, ax = plots.figure("text", height=120)
    with pytest.raises(ValueError, match="fit"):
        plots.draw_curves(ax, False, Recorded(tuple(look.styles())), "length")


def test_spread_is_the_least_squares_solution() -> None:
    from scipy import optimize

    generator = np.random.default_rng(0)
    for _ in range(20):
        wanted = generator.uniform(0, 60, size=5)
        heights = generator.uniform(5, 15, size=5)
        places = np.array(labels._spread(list(wanted), list(heights), -1000, 1000))
        order = np.argsort(wanted)
        needed = (heights[order][1:] + heights[order][:-1]) / 2
        assert (np.diff(places[order]) >= needed - 1e-9).all()
        rule = {"type": "ineq", "fun": lambda x, order=order, needed=needed: np.diff(x[order]) - needed}
        start = np.empty(5)
        start[order] = np.arange(5) * 20.0
        best = optimize.minimize(lambda x, wanted=wanted: ((x - wanted) ** 2).sum(), start, constraints=[rule])
        assert ((places - wanted) ** 2).sum() <= best.fun + 1e-6


def test_spread_leaves_alone_what_is_apart_and_keeps_within_bounds() -> None:
    assert labels._spread([30.0, 10.0], [5.0, 5.0], 0, 40) == [30.0, 10.0]
    assert labels._spread([0.0, 0.0], [4.0, 4.0], 0, 40) == [2.0, 6.0]
    assert labels._spread([40.0, 40.0], [4.0, 4.0], 0, 40) == [34.0, 38.0]


# ------------------------------------------------------------------------------------------------------------- forest


def interval(mean: float, half: float) -> SimpleNamespace:
    return SimpleNamespace(mean=mean, low=mean - half, high=mean + half)


def test_forest_draws_each_interval_and_writes_its_numbers() -> None:
    rows = [("P-ON", "P-ON", interval(-0.2, 0.1)), ("weight decay", "weight decay", interval(0.05, 0.1))]
    _, ax = plots.figure()
    plots.draw_forest(ax, False, rows, xlabel="points")
    spans = [
        drawn.get_xdata() for drawn in ax.lines if len(drawn.get_xdata()) == 2 and list(drawn.get_xdata()) != [0, 0]
    ]
    np.testing.assert_allclose(spans, [[-0.05, 0.15], [-0.3, -0.1]])
    words = [text.get_text() for text in ax.texts]
    assert "−0.20 [−0.30, −0.10]" in words
    assert "+0.05 [−0.05, +0.15]" in words
    assert [label.get_text() for label in ax.get_yticklabels()] == ["weight decay", "P-ON"]
    low, high = ax.get_xlim()
    assert low < -0.3
    assert high > 0.15


def test_forest_shows_and_refuses() -> None:
    figure = plots.forest([("P-ON", "P-ON", interval(0.0, 0.0))], xlabel="points", alt="A point.", caption="No effect.")
    assert "0.00 [0.00, 0.00]" in figure.svg
    with pytest.raises(ValueError, match="no rows"):
        plots.forest([], xlabel="points", alt="Nothing.", caption="Nothing.")


# ------------------------------------------------------------------------------------------------- fonts, tokens, extra


def test_no_warning_where_the_fonts_are_missing() -> None:
    """A fresh interpreter that finds no font package draws with matplotlib's own font, silently."""
    program = """
import importlib.util, logging, sys, warnings
warnings.simplefilter("error")
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.startswith("font_source") else real(name, *rest)
from companion import plots
from companion.plots import drawing
assert drawing._families() == ["DejaVu Sans"]
def draw(ax, narrow):
    plots.line(ax, [0, 1], [0, 1], "P-ON")
    plots.label_lines(ax, [(1.0, "P-ON", "P-ON")], narrow=narrow)
plots.show(draw, title="t", alt="a", caption="c")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "findfont" not in done.stderr


def test_the_book_font_is_used_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("font_source_sans_pro")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plots.curves(Recorded(), "length", alt="Lines.", caption="They rise.")
    assert "'Source Sans Pro'" in figure.svg
    assert "findfont" not in caplog.text


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="theme"):
        plots.tokens("sepia")
    with pytest.raises(ValueError, match="width"):
        plots.figure("huge")
    with pytest.raises(ValueError, match="width"):
        shown(width="narrow")
    with pytest.raises(ValueError, match="panels"):
        plots.figure(panels=0)


def test_drawing_leaves_matplotlibs_settings_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    shown()
    assert dict(matplotlib.rcParams) == before
