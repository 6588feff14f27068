"""How often the intervals hold the true difference, and which words the rule gives when the truth is known.

``python -m companion.results.simulate`` draws test results of two arms at both learning rates, many times, from a model
with the spreads that recorded runs have, and writes ``companion/results/tables/judging.json``, which
``companion.results.tables.load("judging")`` reads. It takes ten minutes on a core of its own.

The model. Arm a with seed i is wrong on image j where

    h_a + √A θ_j + √(W − A) δ_aj + ψ s_ai + √(1 − W − ψ²) ε_aij > 0,

all of θ, δ, s, ε independent and standard normal: how hard the image is, how hard it is for this arm, the seed, the rest.
So an arm's error is Φ(h_a), exactly; on one image two seeds of an arm correlate with W, two arms with A; and over seeds the
error moves with the deviation ψ φ(h_a), to first order. An arm at another learning rate has a δ and seeds of its own.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import platform
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from companion._extras import require
from companion.results.judging import WORDS, side, word
from companion.results.recorded import Results, load
from companion.results.statistics import Components, components, components_of_sums, variance_of_mean

SEEDS = (5, 10, 20)
RATIOS = (0.0, 0.5, 1.0, 2.0)
NOMINAL = 95.0
_NORMAL = NormalDist()
_OUT_OF_REACH = 5.0  # a network is wrong on such an image once in 3.5 million


@dataclass(frozen=True)
class Setting:
    """What is simulated.

    Attributes:
        name: a few words.
        error: the baseline's error, in percent.
        effect: the paper's effect, in points.
        within: latent correlation W of two seeds of one arm on one image.
        across: that of two arms, A.
        spread: deviation of an arm's error over seeds that is due to the seed alone, in points.
        examples: test images.
    """

    name: str
    error: float
    effect: float
    within: float
    across: float
    spread: float
    examples: int = 10_000


@dataclass(frozen=True)
class Draw:
    """One drawn test: which images that anyone could get wrong were wrong.

    Attributes:
        baseline: bool (2, n, images), at its own rate and at the other's.
        better: bool (2, effects, n, images), the same.
        here: true differences on these images, in points, (effects,).
    """

    baseline: np.ndarray
    better: np.ndarray
    here: np.ndarray


def latent_correlation(first: float, second: float, joint: float) -> float:
    """Return the correlation at which two standard normals exceed thresholds together with a given probability.

    Args:
        first: probability that the first exceeds its own.
        second: that of the second.
        joint: that both do.

    Example:
        >>> round(latent_correlation(0.5, 0.5, 1 / 3), 6)
        0.5
    """
    stats, optimize = require("scipy.stats", extra="experiments"), require("scipy.optimize", extra="experiments")
    at = [_NORMAL.inv_cdf(first), _NORMAL.inv_cdf(second)]

    def excess(r: float) -> float:
        return stats.multivariate_normal.cdf(at, [0, 0], [[1, r], [r, 1]]) - joint

    return float(optimize.brentq(excess, -0.99, 0.9999))


def measured(better: np.ndarray, baseline: np.ndarray) -> dict[str, float]:
    """Return error, W and A of the model from which answers of two arms are right, bool (n, images) each.

    A is taken from pairs of different seeds, W from the mean over both arms.
    """
    n, images = baseline.shape
    wrong = [~better, ~baseline]
    errors = [float(of.mean()) for of in wrong]
    counts = [of.sum(0, dtype=np.int64) for of in wrong]
    pairs = n * (n - 1) * images
    within = [
        latent_correlation(error, error, float((count * (count - 1)).sum()) / pairs)
        for error, count in zip(errors, counts, strict=True)
    ]
    together = float((counts[0] * counts[1]).sum() - (wrong[0] & wrong[1]).sum()) / pairs
    return {
        "error": 100 * errors[1],
        "within": sum(within) / 2,
        "across": latent_correlation(*errors, together),
    }


def seed_spread(results: Results) -> float:
    """Return the deviation of an arm's error that is due to the seed alone, in points, pooled over arms that did not diverge."""
    arms = [arm for arm in (*results.arms, *results.controls) if results.seeds(arm) and not results.diverged(arm)]
    found = [components(100 * (~results.correct(arm)).astype(np.int8)) for arm in arms]
    return math.sqrt(max(0.0, sum(terms.n * (terms.rows - terms.rest) for terms in found) / len(found)))


def settings() -> tuple[Setting, ...]:
    """Return what is simulated: the spreads recorded on MNIST, and others, at errors of 1.5 and of 15 percent."""
    results = load("pon-mnist")
    recorded = measured(results.correct("P-ON"), results.correct("vanilla"))
    low = Setting("1.5 %, as recorded", effect=0.2, spread=seed_spread(results), **recorded)
    high = replace(low, name="15 %, images as recorded", error=15.0, effect=1.0, spread=0.25)
    return (
        low,
        replace(low, name="1.5 %, no seed effect", spread=0.0),
        replace(low, name="1.5 %, seeds far apart", spread=0.1),
        high,
        replace(high, name="15 %, no seed effect", spread=0.0),
        replace(high, name="15 %, seeds far apart", spread=0.6),
        replace(high, name="15 %, seeds wrong on other images", within=0.85, across=0.8),
    )


def draw(setting: Setting, effects: Sequence[float], n: int, generator: np.random.Generator) -> Draw:
    """Draw one test of two arms at both rates with ``n`` seeds, for several true effects from the same noise."""
    special = require("scipy.special", extra="experiments")
    errors = np.array([setting.error, *(setting.error - effect for effect in effects)]) / 100
    thresholds = np.array([_NORMAL.inv_cdf(error) for error in errors], np.float32)
    seed = setting.spread / 100 / _NORMAL.pdf(float(thresholds[0]))
    rest = math.sqrt(1 - setting.within - seed**2)

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, dtype=np.float32)

    images = math.sqrt(setting.across) * normal(setting.examples)
    images = images + math.sqrt(setting.within - setting.across) * normal(4, setting.examples)
    images = images[:, thresholds.max() + images.max(0) > -_OUT_OF_REACH * math.sqrt(1 - setting.within)]
    latent = normal(4, n, images.shape[1])
    latent *= rest
    latent += images[:, None]
    latent += seed * normal(4, n, 1)
    chance = special.ndtr((thresholds[:, None] + images[[0, *[2] * len(effects)]]) / math.sqrt(1 - setting.within))
    here = 100 * chance.sum(1, dtype=np.float64) / setting.examples
    return Draw(
        latent[:2] > -thresholds[0],
        latent[2:, None] > -thresholds[1:, None, None],
        here[0] - here[1:],
    )


def terms(drawn: Draw, seeds: Sequence[int], examples: int) -> np.ndarray:
    """Return mean, rows, columns and rest of the differences, (4, 3 pairs, effects, numbers of seeds).

    The pairs are own rates, both at better's, both at the baseline's. Fewer seeds are the first ones of those drawn.
    """
    found = []
    for baseline, better in ((0, 0), (1, 0), (0, 1)):
        signs = drawn.baseline[baseline].view(np.int8) - drawn.better[better].view(np.int8)
        rows, squares = signs.sum(2, dtype=np.int64), np.count_nonzero(signs, axis=2)
        of_n = [
            components_of_sums(
                100 * rows[:, :n], 100 * signs[:, :n].sum(1, dtype=np.int16), 1e4 * squares[:, :n].sum(1), examples
            )[:4]
            for n in seeds
        ]
        found.append(np.moveaxis(np.array(of_n), 0, -1))
    return np.stack(found, axis=1)


def half_widths(found: Components) -> dict[str, np.ndarray]:
    """Return half the width of each kind of 95 % interval.

    The crossed bootstrap resamples seeds and images independently; its variance is known in closed form, and with
    10,000 images its distribution is close to normal, so nothing is resampled here.
    """
    student = require("scipy.stats", extra="experiments").t
    upper = (1 + NOMINAL / 100) / 2
    n, examples = found.n, found.examples
    variance, freedom = variance_of_mean(found)
    bare, bare_freedom = variance_of_mean(found, floor=False)
    bootstrap = (
        found.rows * (n - 1) / n
        + found.columns * (examples - 1) / examples
        + found.rest * (n - 1) * (examples - 1) / (n * examples)
    )
    return {
        "two-way": student.ppf(upper, freedom) * np.sqrt(variance),
        "two-way without floor": student.ppf(upper, bare_freedom) * np.sqrt(bare),
        "two-way, n - 1 degrees": student.ppf(upper, n - 1) * np.sqrt(variance),
        "two-way, normal": _NORMAL.inv_cdf(upper) * np.sqrt(variance),
        "seeds only": student.ppf(upper, n - 1) * np.sqrt(found.rows),
        "crossed bootstrap": _NORMAL.inv_cdf(upper) * np.sqrt(bootstrap),
    }


def simulate(
    setting: Setting,
    *,
    repetitions: int,
    seed: int,
    seeds: Sequence[int] = SEEDS,
    ratios: Sequence[float] = RATIOS,
) -> list[dict[str, Any]]:
    """Return one line for each true effect and number of seeds.

    Args:
        setting: what is simulated.
        repetitions: how many tests are drawn; all lines come from the same draws.
        seed: of the generator.
        seeds: numbers of paired seeds, ascending.
        ratios: true effects over the paper's.

    Returns:
        Lines with ``coverage`` (percent of the intervals that hold the true difference; for "seeds only, these examples",
        the true difference on the drawn images), ``half_width`` (means, in points), and ``words`` (percent of each word:
        at the own rates alone, with comparisons at equal rates whose true effect is the same, and by a rule that takes every
        other side there for a change).
    """
    generator = np.random.default_rng(seed)
    effects = [setting.effect * ratio for ratio in ratios]
    found = np.empty((repetitions, 4, 3, len(effects), len(seeds)))
    here = np.empty((repetitions, len(effects)))
    for at in range(repetitions):
        drawn = draw(setting, effects, max(seeds), generator)
        found[at], here[at] = terms(drawn, seeds, setting.examples), drawn.here
    lines = []
    for column, effect in enumerate(effects):
        for place, n in enumerate(seeds):
            of_pairs = [
                Components(*np.moveaxis(found[:, :, pair, column, place], 1, 0), n, setting.examples)
                for pair in range(3)
            ]
            lines.append(
                {"setting": setting.name, "effect": round(effect, 6), "n": n}
                | _line(of_pairs, effect, here[:, column], setting.effect)
            )
    return lines


def _line(pairs: Sequence[Components], truth: float, here: np.ndarray, paper: float) -> dict[str, Any]:
    """Return coverage, half widths and words of one line."""
    widths = [half_widths(found) for found in pairs]
    own, off = widths[0], np.abs(pairs[0].mean - truth)
    coverage = {kind: _percent(off <= half) for kind, half in own.items()}
    coverage["seeds only, these examples"] = _percent(np.abs(pairs[0].mean - here) <= own["seeds only"])
    ends = [
        list(zip((of.mean - half["two-way"]).tolist(), (of.mean + half["two-way"]).tolist(), strict=True))
        for of, half in zip(pairs, widths, strict=True)
    ]
    total = len(here)
    words = {
        "own rates": Counter(word(paper, one) for one in ends[0]),
        "equal rates too": Counter(word(paper, *three) for three in zip(*ends, strict=True)),
        "sides alone": Counter(_by_sides_alone(paper, *three) for three in zip(*ends, strict=True)),
    }
    return {
        "coverage": coverage,
        "half_width": {kind: round(float(half.mean()), 4) for kind, half in own.items()},
        "words": {name: {one: round(100 * count[one] / total, 2) for one in WORDS} for name, count in words.items()},
    }


def _by_sides_alone(paper: float, own: tuple[float, float], *equal_rates: tuple[float, float]) -> str:
    """Return the word of a rule that forgives chance nothing: what shows why `word` asks for more than another side."""
    changes = any(side(*own) != side(*other) for other in equal_rates)
    return "depends on tuning" if changes else word(paper, own)


def _percent(hits: np.ndarray) -> float:
    return round(100 * float(hits.mean()), 2)


def standard_error(percent: float, repetitions: int) -> float:
    """Return the Monte-Carlo standard error of a percentage, in percent.

    Example:
        >>> round(standard_error(95.0, 10_000), 2)
        0.22
    """
    return math.sqrt(percent * (100 - percent) / repetitions)


def main() -> None:
    """Simulate all settings and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=20_261_128)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "tables" / "judging.json")
    asked = parser.parse_args()
    begun, lines, chosen = time.perf_counter(), [], settings()
    for at, setting in enumerate(chosen):
        lines += simulate(setting, repetitions=asked.repetitions, seed=asked.seed + at)
        print(f"{setting.name}: {time.perf_counter() - begun:.0f} s", flush=True)
    made = {
        "by": "python -m companion.results.simulate",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": require("scipy", extra="experiments").__version__,
        },
        "seconds": round(time.perf_counter() - begun),
        "repetitions": asked.repetitions,
        "seed": asked.seed,
        "nominal": NOMINAL,
        "standard_error": {f"at {p} %": round(standard_error(p, asked.repetitions), 3) for p in (50, 80, 95, 99)},
        "settings": [asdict(setting) for setting in chosen],
    }
    about = (
        "Percent of simulated intervals that hold the true difference, their mean half widths in points, and percent of the "
        "words that the rule gives, for true effects of 0, 0.5, 1 and 2 times the paper's. The settings' spreads are those "
        "of recorded runs of P-ON and vanilla on MNIST, and variations; the model stands in companion/results/simulate.py."
    )
    _write(asked.out, {"about": about, "made": made, "lines": lines})


def _write(path: Path, table: dict[str, Any]) -> None:
    """Write a table, one line of text a line."""
    lines = ",\n".join(f"    {json.dumps(line, ensure_ascii=False)}" for line in table["lines"])
    head = json.dumps({**table, "lines": []}, ensure_ascii=False, indent=2)
    path.write_text(head.removesuffix("[]\n}") + f"[\n{lines}\n  ]\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
