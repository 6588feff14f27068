"""What chapter 04 alone says: its pulls, its pictures, its failures, its small run, and the checks of its exercises."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, nll_loss, one_hot

from companion import data
from companion.chapters import tamed_cross_entropy as chapter
from companion.chapters.tamed_cross_entropy.breaks import STATES, held, step_left
from companion.chapters.tamed_cross_entropy.pictures import (
    RIGHT,
    SUM_FEATURES,
    SUM_MARGINS,
    SUM_WEIGHTS,
    WRONG,
    batch_steps,
    printed_loss,
)
from companion.chapters.tamed_cross_entropy.pulls import class_sum, loss, noisy_posterior
from companion.chapters.tamed_cross_entropy.recorded import MNIST
from companion.chapters.tamed_cross_entropy.small_run import PARTS
from companion.methods import tamed_cross_entropy, tamed_posterior
from companion.results import Results
from companion.widgets import TamedGradient
from tests.recorded import synthetic

ALPHAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
PROBS = (1e-6, 0.01, 0.05, 0.3, 0.6, 0.95, 1 - 1e-6)


def simplex(*spreads: float) -> np.ndarray:
    """Return 3,000 predictions of ten classes for each spread: near the corners where it is small, near the centre where it is large."""
    chance = np.random.default_rng(0)
    return np.concatenate([chance.dirichlet([spread] * 10, 3000) for spread in spreads]).clip(min=1e-300)


def caption(shown: object) -> str:
    return shown.html.split("<figcaption>")[1]


def library(probs: list[float] | tuple[float, ...], alpha: float, classes: int = 4) -> tuple[Tensor, Tensor]:
    """Return the library's losses of samples whose label has these probabilities, and the gradients at the label's logit."""
    q = torch.tensor(probs, dtype=torch.float64)
    rest = torch.linspace(1, 2, classes - 1, dtype=torch.float64)  # how the others share the rest does not matter
    rows = torch.cat([q[:, None], (1 - q)[:, None] * rest / rest.sum()], 1).log().requires_grad_()
    losses = tamed_cross_entropy(rows, torch.zeros(len(probs), dtype=torch.long), alpha, reduction="none")
    return losses.detach(), torch.autograd.grad(losses.sum(), rows)[0][:, 0]


def one_and_others(q: float, classes: int) -> Tensor:
    """Return probabilities (1, C) with q on the first class and the rest spread evenly."""
    return torch.tensor([[q] + [(1 - q) / (classes - 1)] * (classes - 1)], dtype=torch.float64)


class TestPulls:
    @pytest.mark.parametrize("alpha", ALPHAS)
    def test_loss_and_pull_are_the_library_s(self, alpha: float) -> None:
        losses, slopes = library(PROBS, alpha)
        assert loss(np.array(PROBS), alpha) == pytest.approx(losses.numpy(), rel=1e-9, abs=1e-12)
        assert chapter.pull(np.array(PROBS), alpha) == pytest.approx(-slopes.numpy(), rel=1e-9, abs=1e-12)

    @pytest.mark.parametrize("alpha", ALPHAS[1:])
    def test_the_library_s_gradient_is_largest_at_the_peak(self, alpha: float) -> None:
        at = chapter.peak(alpha)
        assert chapter.pull(at, alpha) > max(chapter.pull(0.99 * at, alpha), chapter.pull(at + 0.01 * (1 - at), alpha))
        _, slopes = library(list(np.linspace(0.001, 0.999, 999)), alpha)
        assert abs((int((-slopes).argmax()) + 1) / 1000 - at) <= 1e-3

    @pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0])
    def test_the_share_is_that_of_the_gradients_at_the_labels(self, alpha: float) -> None:
        (_, right), (_, wrong) = library(RIGHT, alpha), library(WRONG, alpha)
        expected = float(wrong.sum() / (wrong.sum() + right.sum()))
        assert chapter.share(RIGHT, WRONG, alpha) == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize("classes", [2, 10])
    @pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.0])
    @pytest.mark.parametrize("noise", [0.1, 0.4, 0.8])
    def test_the_inverse_link_gives_the_posterior_of_the_best_prediction(
        self, noise: float, alpha: float, classes: int
    ) -> None:
        best = chapter.best_prediction(noise, classes, alpha)
        said = tamed_posterior(one_and_others(best, classes), alpha)[0, 0]
        assert float(said) == pytest.approx(noisy_posterior(noise, classes), abs=1e-6)

    def test_no_other_prediction_has_a_lower_expected_loss(self) -> None:
        posterior = one_and_others(noisy_posterior(0.8, 10), 10)[0]
        probs = torch.tensor(simplex(0.1, 1.0))

        def expected(rows: Tensor, alpha: float) -> Tensor:
            return tamed_cross_entropy(rows.log(), posterior.expand(len(rows), 10), alpha, reduction="none")

        for alpha in (0.0, 1.0, 2.0):
            best = expected(one_and_others(chapter.best_prediction(0.8, 10, alpha), 10), alpha)
            assert float(best) < float(expected(probs, alpha).min()), alpha

    def test_the_posterior_is_that_of_the_noise_that_the_library_draws(self) -> None:
        labels = torch.arange(20_000) % 10
        drawn = data.uniform_label_noise(labels, 0.8, 10, generator=torch.Generator().manual_seed(0))
        assert float((drawn.labels == labels).double().mean()) == pytest.approx(noisy_posterior(0.8, 10), abs=0.01)

    @pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0])
    def test_the_sum_is_over_all_labels(self, alpha: float) -> None:
        rows = one_and_others(0.7, 10).log().expand(10, 10)
        summed = tamed_cross_entropy(rows, torch.arange(10), alpha, reduction="sum")
        assert float(class_sum(np.array(0.7), 10, alpha)) == pytest.approx(float(summed), rel=1e-9)


class TestPictures:
    def test_batch(self) -> None:
        said = caption(chapter.figure_batch())
        plain, tamed = (round(100 * chapter.share(RIGHT, WRONG, alpha)) for alpha in (0.0, 2.0))
        assert f"hold {plain} % of cross entropy's pull and {tamed} % of the tamed one's" in said
        assert len(WRONG) == 3
        assert len(RIGHT) == 7
        probs = np.array([*RIGHT, *WRONG])
        pulls = {alpha: chapter.pull(probs, alpha) for alpha in (0.0, 2.0)}
        kept = (pulls[2.0] / pulls[0.0])[np.argsort(probs)]
        assert (np.diff(kept) > 0).all(), "the less plausible, the more it is shortened"
        assert kept.max() < 1
        assert pulls[0.0][7:].min() > pulls[0.0][:7].max(), "the longest bars"
        assert pulls[2.0][7:].max() < np.median(pulls[2.0]), "the shorter half"

    def test_the_constants_only_shift(self) -> None:
        said = caption(chapter.figure_constant())
        q = np.linspace(0.01, 1.0, 50)
        shifts = {}
        for alpha in (0.5, 0.7, 1.5):
            apart = printed_loss(q, alpha) - loss(q, alpha)
            assert apart == pytest.approx(np.full(50, -alpha / (1 - alpha) ** 2), rel=1e-9)
            shifts[alpha] = float(apart[0])
        assert ", ".join(f"{shift:.1f}" for shift in shifts.values()).replace("-", "−") in said
        assert max(shifts.values()) < 0, "all begin below zero"
        assert shifts[0.7] == min(shifts.values()), "the nearest to 1"

    @pytest.mark.parametrize("alpha", [0.0, 2.0])
    def test_the_steps_are_those_of_a_linear_classifier(self, alpha: float) -> None:
        weights = torch.tensor(SUM_WEIGHTS, requires_grad=True)
        margins = torch.tensor(SUM_FEATURES) @ weights
        assert margins.tolist() == pytest.approx(SUM_MARGINS.tolist())
        rows = torch.stack([margins, torch.zeros_like(margins)], 1)
        losses = tamed_cross_entropy(rows, torch.zeros(4, dtype=torch.long), alpha, reduction="none")
        gradients = [torch.autograd.grad(each, weights, retain_graph=True)[0] for each in losses]
        steps, total = batch_steps(alpha)
        assert steps == pytest.approx(-torch.stack(gradients).numpy(), rel=1e-9)
        assert total == pytest.approx(-sum(gradients).numpy(), rel=1e-9)

    def test_the_sum_turns_and_no_sample_does(self) -> None:
        (plain, a), (tamed, b) = batch_steps(0.0), batch_steps(2.0)
        ratio = tamed / plain
        assert ratio[:, 0] == pytest.approx(ratio[:, 1])
        assert ratio.min() > 0
        turn = math.degrees(math.acos(a @ b / math.sqrt((a @ a) * (b @ b))))
        said = caption(chapter.figure_sum())
        assert f"their sum turns by {turn:.0f}°" in said
        assert f"probability {1 / (1 + math.exp(-SUM_MARGINS[3])):.3f}" in said
        sizes = [np.linalg.norm(steps, axis=1) for steps in (plain, tamed)]
        assert sizes[0].argmax() == 3
        assert sizes[1].argmin() == 3
        assert a[0] < 0 < b[0], "with cross entropy the sum is on the side of the wrong label"

    def test_the_curves_bend_down_from_the_dots_on(self) -> None:
        said = caption(chapter.figure_curvature())
        for alpha in (1.0, 2.0):
            at = chapter.peak(alpha)
            assert f"{at:.3f} for α = {alpha:g}" in said
            leads = math.log((1 - at) / at) + np.array([-1.0, -0.1, 0.0, 0.1, 1.0, 5.0])
            rows = torch.tensor(leads, requires_grad=True)
            total = tamed_cross_entropy(
                torch.stack([torch.zeros_like(rows), rows], 1), torch.zeros(6, dtype=torch.long), alpha, reduction="sum"
            )
            (slope,) = torch.autograd.grad(total, rows, create_graph=True)
            (bend,) = torch.autograd.grad(slope.sum(), rows)
            assert [int(value) for value in bend.sign()[[0, 1, 3, 4, 5]]] == [1, 1, -1, -1, -1]
            assert abs(float(bend[2])) < 1e-9
        assert loss(1e-300, 2.0) < 1 < loss(1e-300, 1.0)

    def test_the_sum_over_all_labels_is_bounded_for_two_and_not_for_one(self) -> None:
        found = re.search(r"stays between ([\d.]+) and (\d+) \(dotted\)", caption(chapter.figure_class_sum()))
        low, high = float(found[1]), float(found[2])
        probs = simplex(0.02, 0.2, 2.0, 50.0)
        sums = loss(probs, 2.0).sum(1)
        assert low - 0.005 <= sums.min() < low + 0.01
        assert high - 0.5 < sums.max() < high
        sure = (torch.eye(10).double()[0] * 1e30).expand(10, 10)
        assert tamed_cross_entropy(sure, torch.arange(10), 1.0, reduction="sum") > 600, "no end in sight"
        assert 2 * (1 - probs).sum(1) == pytest.approx(18), (
            "the absolute error 2(1 − q) does not depend on the prediction"
        )


class TestBreaks:
    def test_every_state_can_be_shown(self) -> None:
        for state in chapter.states().values():
            assert TamedGradient(**state).values() == state
        assert set(chapter.states()["The good case"].items()) == set(TamedGradient().values().items())

    @pytest.mark.parametrize("words", STATES)
    def test_who_holds_the_gradient(self, words: str) -> None:
        state = chapter.states()[words]
        noise, pulls = state["noise"], {}
        for alpha in (state["alpha"], 0.0):
            right, wrong = (-float(library((state[side],), alpha)[1]) for side in ("right", "wrong"))
            pulls[alpha] = noise * wrong + (1 - noise) * right
            assert held(words, alpha) == pytest.approx(noise * wrong / pulls[alpha], rel=1e-9)
        assert held(words) == held(words, state["alpha"])
        assert step_left(words) == pytest.approx(pulls[state["alpha"]] / pulls[0.0], rel=1e-9)

    def test_each_state_shows_what_its_sentence_says(self) -> None:
        assert held("The first step") == pytest.approx(0.4, abs=0.02)
        assert held("The first step") == pytest.approx(held("The first step", 0.0), abs=0.02)
        assert step_left("The first step") == pytest.approx((1 + math.log(10)) ** -2, rel=0.05)
        assert 0.5 < held("Learnt by heart") < held("Learnt by heart", 0.0)
        assert held("Hard but right") > held("Hard but right", 0.0)
        assert step_left("Too tame") < step_left("The good case")
        assert held("The good case") < held("The good case", 0.0) / 2
        half_learnt = STATES["Too tame"]["right"]
        assert half_learnt < chapter.peak(3.0), "half-learnt right samples wait as well"
        said = chapter.say_breaks().markdown
        for words in STATES:
            if words != "The good case":
                assert f"**{words}.**" in said
                assert f"{100 * held(words):.0f} %" in said
        assert f"to {step_left('The first step'):.3f} of" in said


class TestSmallRun:
    WRONG = torch.tensor([False] * 6 + [True] * 4)

    def course(self, *levels: tuple[float, float]) -> list[Tensor]:
        """Return ten epochs in which right and wrong labels have these probabilities: at the second, the third, the tenth."""
        at = [levels[0]] * 2 + [levels[1]] * 7 + [levels[2]]
        return [torch.where(self.WRONG, bad, good) for good, bad in at]

    def test_a_label_is_learnt_above_a_half(self) -> None:
        believed = torch.tensor([0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.51, 0.5, 0.49, 0.9])
        assert chapter.learnt(believed, self.WRONG) == 0.5
        assert chapter.learnt(believed, ~self.WRONG) == 0.5

    @pytest.mark.parametrize(
        ("levels", "said"),
        [
            (((0.6, 0.1), (0.9, 0.3), (0.99, 0.9)), "First the network learns what fits together, then the exceptions."),
            (((0.6, 0.1), (0.9, 0.3), (0.99, 0.45)), "To the end the network tells wrong labels from right ones."),
            (((0.1, 0.1), (0.4, 0.1), (0.9, 0.3)), "To the end the network tells wrong labels from right ones."),
            (((0.9, 0.6), (0.9, 0.8), (0.99, 0.9)), "In none of these epochs"),
            (((0.1, 0.1), (0.2, 0.1), (0.3, 0.1)), "In none of these epochs"),
        ],
    )  # fmt: skip
    def test_the_caption_says_what_was_learnt(self, levels: tuple[tuple[float, float], ...], said: str) -> None:
        told = caption(chapter.figure_memory(self.course(*levels), self.WRONG))
        assert said in told
        assert f"goes from {levels[0][1]:.2f} to {levels[2][1]:.2f}, that of right ones to {levels[2][0]:.2f}" in told

    @pytest.mark.parametrize(("learnt", "part"), [(0, 0), (1, 1), (2, 2), (4, 3)])
    def test_the_question_s_answer_is_counted(self, learnt: int, part: int) -> None:
        believed = [torch.where(self.WRONG, 0.1, 0.9) for _ in range(4)]
        believed[-1][6 : 6 + learnt] = 0.9
        answer = chapter.predict_small_run(believed, self.WRONG).text.partition("The runs say")[2]
        assert PARTS[part] in answer
        assert f"It is {25 * learnt} %." in answer
        assert ("early." in answer, "too small" in answer) == (learnt >= 2, learnt < 2)

    def test_the_table_counts_rows(self) -> None:
        logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 0.5]])
        believed = torch.where(self.WRONG, 0.7, 0.9)
        shown = chapter.table_small_run({"one": (logits, believed)}, torch.tensor([0, 1, 1, 1]), self.WRONG).text
        sure = 100 * float(torch.softmax(logits, 1).amax(1).mean())
        assert [cell.strip() for cell in shown.splitlines()[1].split("|")] == ["one", "25.0", "100.0", f"{sure:.1f}"]


def tame(losses: Tensor, alpha: float) -> Tensor:
    return losses.log1p() if alpha == 1 else ((1 + losses) ** (1 - alpha) - 1) / (1 - alpha)


def by_power_transform(z: Tensor, y: Tensor, alpha: float) -> Tensor:
    log = torch.log1p(cross_entropy(z, y, reduction="none"))
    return (log if alpha == 1 else torch.expm1((1 - alpha) * log) / (1 - alpha)).mean()


def row_by_row(z: Tensor, y: Tensor, alpha: float) -> Tensor:
    return sum(tame(-log_softmax(row, 0)[label], alpha) for row, label in zip(z, y, strict=True)) / len(y)


def picked(z: Tensor, y: Tensor) -> Tensor:
    return z[torch.arange(len(y)), y]


RIGHT_WAYS: dict[str, Callable[..., Tensor]] = {
    "the library's": tamed_cross_entropy,
    "nll_loss": lambda z, y, a: tame(nll_loss(log_softmax(z, 1), y, reduction="none"), a).mean(),
    "cross_entropy": lambda z, y, a: tame(cross_entropy(z, y, reduction="none"), a).mean(),
    "expm1": by_power_transform,
    "float32 throughout": lambda z, y, a: tame(-picked(log_softmax(z, 1, dtype=torch.float32), y), a).mean(),
    "float64 throughout": lambda z, y, a: tame(-picked(log_softmax(z.double(), 1), y), a).mean(),
    "logsumexp": lambda z, y, a: tame(z.logsumexp(1) - picked(z, y), a).mean(),
    "row by row": row_by_row,
}


def only_in_double(z: Tensor, y: Tensor, alpha: float) -> Tensor:
    if z.dtype == torch.half:  # as some PyTorch does on a processor
        raise RuntimeError("not implemented for 'Half'")
    return tamed_cross_entropy(z, y, alpha)


SLIPS: dict[str, tuple[Callable[..., Tensor], str]] = {
    "of the mean": (lambda z, y, a: tame(cross_entropy(z, y), a), "You tamed the mean"),
    "summed": (lambda z, y, a: tame(cross_entropy(z, y, reduction="none"), a).sum(), "the mean over the batch"),
    "as printed": (
        lambda z, y, a: (((1 + cross_entropy(z, y, reduction="none")) ** (1 - a) - 1 / (1 - a)) / (1 - a)).mean() if a != 1 else z.sum(),
        "as it is printed",
    ),
    "no constant": (
        lambda z, y, a: ((1 + cross_entropy(z, y, reduction="none")) ** (1 - a) / (1 - a)).mean() if a != 1 else z.sum(),
        "is missing",
    ),
    "weighted": (
        lambda z, y, a: (cross_entropy(z, y, reduction="none") * (1 + cross_entropy(z, y, reduction="none").detach()) ** -a).mean(),
        "The weight is the slope",
    ),
    "no limit at 1": (
        lambda z, y, a: (((1 + cross_entropy(z, y, reduction="none")) ** (1 - a) - 1) / (1 - a)).mean(),
        "gives nan, wanted is 0.98",
    ),
    "one-hot": (lambda z, y, a: tame(-(one_hot(y, z.shape[1]) * log_softmax(z, 1)).sum(1), a).mean(), "0 · ∞"),
    "log of softmax": (lambda z, y, a: tame(-picked(z.softmax(1), y).log(), a).mean(), "gives 1.0, wanted is 0.999"),
    "no mean": (lambda z, y, a: tame(cross_entropy(z, y, reduction="none"), a), "another shape"),
    "no gradient": (torch.no_grad()(tamed_cross_entropy), "no gradient passes"),
    "half a gradient": (
        lambda z, y, a: (tamed_cross_entropy(z, y, a) + tamed_cross_entropy(z.detach(), y, a)) / 2, "no detach",
    ),
    "raises in half": (only_in_double, "In half precision it raises RuntimeError: not implemented for 'Half'"),
    "overflows in half": (lambda z, y, a: tamed_cross_entropy(z * 1e4 / 1e4, y, a), "In half precision it gives nan"),
    "raises": (lambda z, y: z.sum(), "raises TypeError"),
}  # fmt: skip


class TestExercises:
    def test_peak(self) -> None:
        low, high = 0.1, 0.9  # where the library's own gradient turns, by halving
        for _ in range(30):
            middle = (low + high) / 2
            rising = library([middle + 1e-6], 1.0)[1] < library([middle], 1.0)[1]
            low, high = (middle, high) if rising else (low, middle)
        assert chapter.check_peak(round(low, 3)).passed
        assert chapter.check_peak(np.float64(low)).passed
        assert "for α = 2" in chapter.check_peak(0.558).text
        assert "level" in chapter.check_peak(0.5).text
        for near in (0.315, 0.32, 1 - low):
            assert "Set the derivative" in chapter.check_peak(near).text
        assert chapter.check_peak(...).state == "open"
        assert "A number is wanted" in chapter.check_peak("q").text
        assert not chapter.check_peak(math.nan).passed

    def test_bound(self) -> None:
        """The right answer is the range of the library's loss, not the chapter's formula for it."""
        rows = torch.stack([torch.zeros(10), torch.eye(10)[0] * 1e30]).double()
        low, high = (
            float(tamed_cross_entropy(row.expand(10, 10), torch.arange(10), 2.0, reduction="sum")) for row in rows
        )

        def harm(noise: float, low: float, high: float, classes: int = 10, kept: float | None = None) -> float:
            return noise * (high - low) / (classes * (1 - noise if kept is None else kept))

        right = harm(0.4, low, high)
        assert chapter.check_bound(round(right, 3)).passed
        for answer, said in (
            (harm(0.4, 0, high), "B − A is the range"),
            (harm(0.4, low / 10, high), "A adds up ten losses"),
            (harm(0.4, 10 * 1 / 2, high), "natural logarithm"),
            (harm(0.8, low, high), "0.4 is asked for"),
            (harm(0.4, low, high, kept=1.0), "1 − η"),
            (harm(0.4, low, high, classes=1), "number of classes"),
            (harm(0.4, low, 10), "the sure one costs nothing"),
            (round(right, 2), "A is the sum of the ten losses"),
            (round(right, 1), "A is the sum of the ten losses"),
        ):
            assert said in chapter.check_bound(answer).text, answer
        assert chapter.check_bound(None).state == "open"
        assert "A number is wanted" in chapter.check_bound([right]).text

    def test_posterior(self) -> None:
        check = chapter.check_posterior

        def score(q: Tensor, alpha: float) -> Tensor:
            return q * (1 - q.log()) ** alpha

        for right in (
            tamed_posterior,
            lambda q, a: score(q, a) / score(q, a).sum(1, keepdim=True),
            lambda q, a: torch.softmax(q.log() + a * torch.log1p(-q.log()), 1),
            lambda q, a: torch.stack([score(row, a) / score(row, a).sum() for row in q]),
        ):
            assert check(right).passed
        for slip, said in (
            (score, "do not add up to 1"),
            (lambda q, a: score(q, a) / score(q, a).sum(1), "keepdim"),
            (lambda q, a: score(q, -a) / score(q, -a).sum(1, keepdim=True), "on the wrong side"),
            (lambda q, a: ((1 - q.log()) ** a) / ((1 - q.log()) ** a).sum(1, keepdim=True), "not enough"),
            (lambda q, a: score(q, a) / score(q, a).sum(), "add up to 1"),
            (lambda q, a: q, "Solve for the posterior"),
            (lambda q, a: tamed_posterior(q, a)[:, 0], "another shape"),
            (lambda q, a: q.no_such_thing(), "raises AttributeError"),
        ):
            said_of = check(slip)
            assert not said_of.passed
            assert said in said_of.text
        assert check(lambda q, a: ...).state == "open"
        assert check(...).state == "open"

    def test_batch(self) -> None:
        check = chapter.check_batch
        assert check([0.99] * 9, 0.11).passed, "the solution's"
        assert check(torch.tensor([0.99] * 9), torch.tensor(0.11)).passed
        said = check([0.99] * 9, 0.11)
        plain = 0.89 / (0.89 + 9 * 0.01)
        assert f"with cross entropy {100 * plain:.0f} %" in said.text
        assert "no veto" in said.text
        assert "all but learnt" in check([0.98] * 9, 0.11).text
        assert "all but learnt" in check([0.99] * 11, 0.11).text
        assert "pull harder" in check([0.995] * 9, 0.11).text
        assert "pull harder" in check([1e-9] * 9, 0.11).text
        strange = check([0.9999] * 8 + [0.01], 0.966)
        assert strange.passed, "what was asked for"
        assert "believes it more than a right one" in strange.text

    def test_batch_refuses_what_is_no_batch(self) -> None:
        check = chapter.check_batch
        for right, wrong in ((..., ...), (..., 0.1), ([0.9] * 9, ...), (None, 0.1), ([0.9] * 9, None)):
            assert check(right, wrong).state == "open"
        for right, wrong in ((0.9, 0.1), ("abc", 0.1), ([0.9] * 9, [0.1]), ([0.9] * 9, "x"), ([10**400] * 9, 0.1)):
            assert "a list of probabilities" in check(right, wrong).text
        for right, wrong in (([0.99] * 8, 0.11), ([0.99] * 9, 0.0), ([1.1] * 9, 0.1), ([math.nan] * 9, 0.1), ([], 0.1)):
            assert "Probabilities lie" in check(right, wrong).text
        assert "nobody pulls" in check([1] * 9, 1).text
        assert "holds 100 %" in check([1] * 9, 0.5).text

    @pytest.mark.parametrize("way", RIGHT_WAYS)
    def test_tamed_is_right_in_many_ways(self, way: str) -> None:
        said = chapter.check_tamed(RIGHT_WAYS[way])
        assert said.passed, said.text

    @pytest.mark.parametrize("slip", SLIPS)
    def test_each_slip_of_the_tamed_loss_has_its_hint(self, slip: str) -> None:
        function, words = SLIPS[slip]
        said = chapter.check_tamed(function)
        assert not said.passed
        assert words in said.text

    def test_tamed_of_nothing_is_open(self) -> None:
        assert chapter.check_tamed(lambda z, y, a: ...).state == "open"
        assert chapter.check_tamed(...).state == "open"

    def test_flattered(self) -> None:
        seeds = [3.0, 3.1, 3.2, 3.0, 3.1]
        arms = ("vanilla", "TCE 1", "TCE 2")
        early = {(arm, "test_error"): [9, 9, low, 9, 9] for arm, low in zip(arms, (1.0, 2.5, 2.0), strict=True)}

        def recorded(**changes: object) -> dict[str, Results]:
            settings = [f"mnist, η = {noise}/mlp-2" for noise in ("0", "0.4", "0.8")]
            options = {"arms": arms, "controls": {}, "kind": Results, "curves": early, **changes}
            return {MNIST: synthetic(dict.fromkeys(arms, seeds), experiment=MNIST, settings=settings, **options)}

        check, runs = chapter.check_flattered, recorded()
        results = chapter.at_noise(runs)
        gains = {arm: float((results.final(arm) - results.stopped(arm, "best test")).mean()) for arm in arms}
        assert max(gains, key=gains.get) == "vanilla"
        said = check("vanilla", runs)
        assert said.passed
        assert f"{gains['vanilla']:.1f} points, TCE 2 {gains['TCE 2']:.1f}" in said.text
        assert f"TCE 2 gains {gains['TCE 2']:.1f} points" in check("TCE 2", runs).text
        for bad in ("cross entropy", 3, ["vanilla"]):
            assert "Wanted is one of 'vanilla', 'TCE 1', 'TCE 2'" in check(bad, runs).text
        assert check(..., runs).state == check(None, runs).state == "open"
        gone = recorded(missing=[("mnist, η = 0.4/mlp-2", "TCE 2")])
        assert check("vanilla", gone).passed, "the method's own runs may be missing"
        assert "Wanted is one of 'vanilla', 'TCE 1'." in check("TCE 2", gone).text
        none = recorded(missing=[("mnist, η = 0.4/mlp-2", arm) for arm in arms])
        assert "not recorded yet" in check("vanilla", none).text

    def test_the_evening_says_what_belongs_beside_a_difference(self) -> None:
        said = chapter.check_evening(
            {"vanilla": [20.0, 21.0, 19.5, 20.5, 20.2], "tamed": [18.0, 19.1, 17.4, 18.6, 18.1]}
        )
        assert said.passed
        assert "tamed is better" in said.text
        assert "how the noise depends on the input" in said.text
        assert chapter.check_evening(...).state == "open"

    def test_quiz_has_five_questions(self) -> None:
        assert chapter.chapter_quiz().html.count("<fieldset>") == 5
