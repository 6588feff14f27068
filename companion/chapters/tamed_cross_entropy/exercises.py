"""The checks of the chapter's exercises, and its quiz."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from companion import page, papers
from companion.chapters.tamed_cross_entropy.pulls import class_sum, peak, share
from companion.chapters.tamed_cross_entropy.recorded import ALPHAS, METHOD, PAPER, at_noise
from companion.methods.tamed_cross_entropy import tamed_cross_entropy, tamed_posterior
from companion.page import Feedback, Panel, check_function, check_number, check_paired, exercise, feedback
from companion.results import Results


@exercise
def check_peak(answer: Any) -> Feedback:
    """Exercise 1: the probability at which the pull is strongest, for α = 1."""
    return check_number(
        answer,
        peak(1.0),
        right="A sample with a less plausible label pulls less: below this q the loss begins to give up.",
        hint="Set the derivative of $(1-q)/(1-\\log q)$ to zero: it leads to $(1-q)/q = 1 - \\log q$. Halve an interval of q, or try values.",
        slips={
            "That is the peak for α = 2; α = 1 is asked for.": peak(2.0),
            "That is a half: where the two classes are level. The peak lies lower.": 0.5,
        },
    )


@exercise
def check_bound(answer: Any) -> Feedback:
    """Exercise 2: how much worse, in clean risk, noise of η = 0.4 can make the best hypothesis, for α = 2 and ten classes."""
    low, high = float(class_sum(np.array(0.1), 10, 2.0)), 9.0
    decimal = 10 * math.log10(10) / (1 + math.log10(10))

    def harm(noise: float, low: float = low, high: float = high) -> float:
        return noise * (high - low) / (10 * (1 - noise))

    return check_number(
        answer,
        harm(0.4),
        right="In units of a loss that is at most 1. It bounds the harm to the *minimiser*, not to what training finds.",
        hint="A is the sum of the ten losses at an even prediction: ten times $L/(1+L)$ at $L = \\log 10$. B is what it tends to for a sure one: nine labels at the bound 1. Then put η = 0.4 into the inequality.",
        slips={
            "You left out the even prediction's sum: B − A is the range, not B.": harm(0.4, low=0.0),
            "A adds up ten losses; you took one.": harm(0.4, low=low / 10),
            "Take the natural logarithm.": harm(0.4, low=decimal),
            "That is the bound at η = 0.8; 0.4 is asked for.": harm(0.8),
            "The noise goes into the denominator too: 1 − η.": 0.4 * (high - low) / 10,
            "Divide by the number of classes as well.": 10 * harm(0.4),
            "B counts the nine *other* labels; the sure one costs nothing.": harm(0.4, high=10.0),
        },
    )


@exercise
def check_posterior(answer: Any) -> Feedback:
    """Exercise 3: the class posterior from the probabilities that a tamed network predicts."""
    rows = torch.tensor([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05], [1 / 3, 1 / 3, 1 / 3]], dtype=torch.float64)

    def no_sum(q: Tensor, alpha: float) -> Tensor:
        return q * (1 - q.log()) ** alpha

    def other_way(q: Tensor, alpha: float) -> Tensor:
        return torch.softmax(q.log() - alpha * torch.log1p(-q.log()), 1)

    def by_column(q: Tensor, alpha: float) -> Tensor:
        score = no_sum(q, alpha)
        return score / score.sum(1)

    def weight_alone(q: Tensor, alpha: float) -> Tensor:
        weight = (1 - q.log()) ** alpha
        return weight / weight.sum(1, keepdim=True)

    return check_function(
        answer,
        tamed_posterior,
        [(rows, 0.0), (rows, 1.0), (rows, 2.0)],
        right="The order of the classes stays; only how sure the answer is changes.",
        hint="At the best prediction every class's pull is proportional to its own probability: posterior times weight ∝ q. Solve for the posterior, and make each row add up to 1.",
        slips={
            "The rows do not add up to 1 yet.": no_sum,
            "Divide each row by its own sum: `sum(1, keepdim=True)`. Without `keepdim` the sums stand beside the columns.": by_column,
            "The weight is on the wrong side: you tamed the probabilities once more.": other_way,
            "The weight alone is not enough: it stands beside q.": weight_alone,
        },
    )


@exercise
def check_batch(right: Any, wrong: Any) -> Feedback:
    """Exercise 4: a batch in which one wrong label holds half of the tamed pull, though most labels are plausible."""
    if any(given is Ellipsis or given is None for given in (right, wrong)):
        return feedback(
            "open", "Put a list of probabilities and one probability where the dots are, and run the cell again."
        )
    try:
        plausible, bad = [float(q) for q in right], float(wrong)
    except (TypeError, ValueError, OverflowError):
        return feedback(
            "not yet", "Wanted are a list of probabilities, for the right labels, and one number for the wrong one."
        )
    if not all(0 < q <= 1 for q in (*plausible, bad)) or len(plausible) < 9:
        return feedback("not yet", "Probabilities lie in (0, 1], and at least nine right labels are wanted.")
    if min(*plausible, bad) == 1:
        return feedback("not yet", "At q = 1 nobody pulls, and there is nothing to share.")
    held, plain = (share(plausible, [bad], alpha) for alpha in (2.0, 0.0))
    shares = f"holds {100 * held:.0f} % of the tamed pull, with cross entropy {100 * plain:.0f} %"
    if held < 0.48:
        return feedback("not yet", f"The wrong label {shares}. Let the right labels be all but learnt.")
    if held > 0.52:
        return feedback(
            "not yet",
            f"The wrong label {shares}. Let the right labels pull harder, with a q nearer to {peak(2.0):.2f}.",
        )
    if min(plausible) <= bad:
        return feedback(
            "right", f"It {shares}. But here the network believes it more than a right one. It can be had among right labels that are all but learnt, too."
        )  # fmt: skip
    return feedback(
        "right",
        f"It {shares}. Taming is no veto: when all else is learnt, what is left of the gradient belongs to the labels that the network does not believe.",
    )  # fmt: skip


@exercise
def check_tamed(answer: Any) -> Feedback:
    """Exercise 5: the reader's own tamed cross entropy, with gradients, a masked class, α = 1 and half precision."""
    generator = torch.Generator().manual_seed(4)
    logits = 4 * torch.randn(6, 4, generator=generator, dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 3, 0, 1])
    masked = logits.clone()
    masked[:, 3] = -math.inf
    kept = torch.tensor([0, 1, 2, 2, 0, 1])
    far = torch.tensor([[0.0, 1000.0, 0.0, 0.0]], dtype=torch.float64)  # softmax gives the label 0, in float64 too

    def reference(z: Tensor, y: Tensor, alpha: float) -> Tensor:
        return tamed_cross_entropy(z.double(), y, alpha)

    def of_the_mean(z: Tensor, y: Tensor, alpha: float) -> Tensor:
        plain = cross_entropy(z, y)
        return plain.log1p() if alpha == 1 else ((1 + plain) ** (1 - alpha) - 1) / (1 - alpha)

    def summed(z: Tensor, y: Tensor, alpha: float) -> Tensor:
        return tamed_cross_entropy(z, y, alpha, reduction="sum")

    def losses(z: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(z, y, reduction="none")

    def as_printed(z: Tensor, y: Tensor, alpha: float) -> Tensor:
        if alpha == 1:
            return losses(z, y).mean() * math.nan
        return (((1 + losses(z, y)) ** (1 - alpha) - 1 / (1 - alpha)) / (1 - alpha)).mean()

    def no_constant(z: Tensor, y: Tensor, alpha: float) -> Tensor:
        return losses(z, y).log1p().mean() if alpha == 1 else ((1 + losses(z, y)) ** (1 - alpha) / (1 - alpha)).mean()

    def weighted(z: Tensor, y: Tensor, alpha: float) -> Tensor:
        return (losses(z, y) * (1 + losses(z, y)) ** -alpha).mean()

    cases = [(logits, target, alpha) for alpha in (0.0, 0.5, 2.0, 1.0)]
    cases += [(masked, kept, 1.5), (far, torch.tensor([0]), 2.0)]
    slips: dict[str, Callable[..., Any]] = {
        "You tamed the mean; each sample has to be tamed by itself, before the mean.": of_the_mean,
        "The sum is there; the mean over the batch is wanted.": summed,
        "That is Eq. 9 as it is printed: with 1 for the constant in the bracket the loss is 0 for a sure and right answer.": as_printed,
        "The −1 in the bracket is missing: a sure and right answer should cost nothing.": no_constant,
        "That is the weight times the loss. The weight is the slope; the loss is its integral over L.": weighted,
    }
    said = check_function(
        answer, reference, cases, slips=slips, gradients=True, tolerance=1e-5,  # float32 throughout is right too
        right="It agrees with its gradient, at α = 1, with a masked class, far out and in half precision.",
        hint="`log_softmax`, gather the label's entry (a product with one-hot rows makes 0 · ∞ of a masked class), then $((1+L)^{1-\\alpha}-1)/(1-\\alpha)$, at α = 1 its limit, and the mean.",
        gradient_hint="Leave the weight to autograd: no `detach`, no `no_grad`.",
    )  # fmt: skip
    if not said.passed:
        return said
    try:
        half = float(answer(logits.half(), target, 2.0))
    except Exception as error:  # noqa: BLE001  (the reader's own function may raise anything)
        found = f"it raises {type(error).__name__}: {error}"
    else:
        if abs(half - float(reference(logits, target, 2.0))) <= 0.02:
            return said
        found = f"it gives {half:.4f}"
    return feedback("not yet", f"In half precision {found}. `log_softmax(…, dtype=torch.float32)` computes in float32.")


@exercise
def check_flattered(answer: Any, recorded: Mapping[str, Results]) -> Feedback:
    """Exercise 6: which loss's error falls most from the last epoch to the best by test error, at η = 0.4.

    Args:
        answer: an arm's name.
        recorded: experiment name to recorded results.
    """
    if answer is Ellipsis or answer is None:
        return feedback("open", "Put the name of an arm where the dots are, and run the cell again.")
    results = at_noise(recorded)
    arms = [
        arm for arm in results.arms if results.seeds(arm) and not results.unfinished(arm) and not results.diverged(arm)
    ]
    if not arms:
        return feedback("open", "The runs are not recorded yet.")
    if answer not in arms:
        return feedback("not yet", f"Wanted is one of {', '.join(map(repr, arms))}.")
    gains = {arm: float((results.final(arm) - results.stopped(arm, "best test")).mean()) for arm in arms}
    if gains[answer] == max(gains.values()):
        beside = f", {METHOD} {gains[METHOD]:.1f}" if METHOD in gains and answer != METHOD else ""
        return feedback(
            "right",
            f"{gains[answer]:.1f} points{beside}: a table of best epochs hides what a loss does when it is left alone.",
        )
    return feedback(
        "not yet",
        f"{answer} gains {gains[answer]:.1f} points, another one more. `results.stopped(arm, rule)` and `results.final(arm)` give errors, one a seed.",
    )


def check_cells(answer: Any) -> Feedback:
    """The audit's exercise: how many printed cells of the tamed loss lie below cross entropy's of the same column."""
    columns = [
        (plain, [grid.rows[arm][at] for arm in ALPHAS.values() if arm in grid.rows])
        for grid in PAPER.grids
        for at, plain in enumerate(grid.rows["CE"])
    ]
    below = [sum(value < plain for value in tamed) for plain, tamed in columns]
    cells, first = sum(len(tamed) for _, tamed in columns), len(PAPER.grids[0].columns)
    return check_number(
        answer,
        sum(below),
        right=f"Of {cells} cells, in {sum(map(bool, below))} of {len(columns)} columns. In no column all four lie below, so the best of four never does.",
        hint="Go through `grid.columns`; compare the four rows whose names begin with TCE with the row CE at the same place, and add up.",
        slips={
            "Those are the cells that do *not* lie below.": cells - sum(below),
            "That is the first table alone.": sum(below[:first]),
            "That is the second table alone, or the number of columns with such a cell; count cells, in both.": sum(
                below[first:]
            ),
        },
    )


@exercise
def check_evening(errors: Mapping[str, Sequence[float]] | Any) -> Feedback:
    """Exercise 7, the investigation: what the reader's test errors under noise that depends on the input allow to be said.

    Args:
        errors: arm to test errors in percent, one a seed; the first arm is the baseline.
    """
    return check_paired(
        errors,
        beside="Say beside it how the rates were chosen, when each run stopped, and how the noise depends on the input.",
    )


report = partial(page.report, "tamed_cross_entropy")
exercise_minutes = partial(page.exercise_minutes, "tamed_cross_entropy")


def chapter_quiz() -> Panel:
    """Return the quiz of the chapter, whose questions are data of its paper."""
    return page.quiz(papers.load("tamed_cross_entropy").quiz)
