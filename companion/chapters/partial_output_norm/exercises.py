"""The checks of the chapter's exercises, its quiz, and the one of the audit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from companion import page, papers
from companion.chapters.partial_output_norm.ball import loss_gradient, required_threshold
from companion.geometry import entropy
from companion.methods.partial_output_norm import partial_norm
from companion.page import Feedback, Panel, check_function, check_number, check_paired, exercise, feedback


@exercise
def check_first_sample(answer: Any) -> Feedback:
    """Exercise 1: loss minus entropy of the logits (3, 1, 0.5) with the third class true."""
    z = torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64)
    p = torch.softmax(z, 0)
    loss, spread = float(-p[2].log()), float(entropy(p, dim=0))
    return check_number(
        answer,
        loss - spread,
        right="The difference is positive: this length wants to shrink.",
        hint="Loss first: minus the logarithm of the *third* probability. Then subtract the entropy, in nats.",
        slips={
            "That is entropy minus loss; the sign tells growth from shrinking, so mind it.": spread - loss,
            "That is the loss alone; subtract the entropy.": loss,
            "Your loss takes the first class for the label; the third one is true.": float(-p[0].log()) - spread,
            "Logarithms here are natural ones (nats); yours look like base 2.": (loss - spread) / math.log(2),
        },
    )


@exercise
def check_threshold(answer: Any) -> Feedback:
    """Exercise 2: the smallest δ with which ten classes allow 99.9 % confidence."""
    right = required_threshold(0.999, 10)
    return check_number(
        answer,
        right,
        right="With any smaller ball, no training can make this network 99.9 % sure.",
        hint="Set the loss floor equal to $-\\log 0.999$ and solve for δ; two decimals are wanted.",
        slips={
            "That would be right if the margin were δ itself; it is $\\delta\\sqrt{C/(C-1)}$.": math.log(9 * 999),
            "The root is upside down: δ is the margin *divided* by it.": math.log(9 * 999) * math.sqrt(10 / 9),
        },
        tolerance=6e-4,
    )


@exercise
def check_partial_norm(answer: Any) -> Feedback:
    """Exercise 3: the reader's own partial norm, on rows inside, outside, and at zero, with its gradient."""
    rows = torch.tensor([[3.0, 4.0, 0.0], [0.3, 0.4, 0.0], [0.0, 0.0, 0.0], [-6.0, 8.0, 0.0]], dtype=torch.float64)

    def factor_held(z: Tensor, threshold: float) -> Tensor:
        return z * (threshold / z.detach().norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1.0)

    def direction_of_zero(z: Tensor, threshold: float) -> Tensor:
        return normalize(z) * z.norm(dim=1, keepdim=True).clamp(max=threshold)

    return check_function(
        answer,
        partial_norm,
        [(rows, 1.0), (rows, 5.0), (rows, 100.0)],
        right="It agrees on rows inside, outside and on the ball, and at zero.",
        hint="Each *row* has its own length (`dim=1, keepdim=True`); rows inside stay as they are; a row of zeros must "
        "not divide by zero.",
        gradients=[(rows, 1.0), (rows, 100.0)],  # at 5.0 a row lies on the ball, where there is a kink
        gradient_hint="Inside the ball it passes unchanged, for a row of zeros too; outside, its radial part goes.",
        slips={
            "The values agree, but the gradient does not: outside the ball its radial part is still there. The length must be "
            "computed from the input with gradients on: no `no_grad`, no `detach`, no `float(…)`.": factor_held,
            "The values agree, but at a row of zeros the gradient should pass unchanged: it lies "
            "inside.": direction_of_zero,
        },
    )


def check_missing_error(answer: Any) -> Feedback:
    """Exercise 4: the vanilla error of the lost Table 3 (MLP), from five printed percentages."""
    return check_number(
        answer,
        1.84,
        right="1.84 % is the only such error from 1 to 3 %: one consistent reading, still not the printed table.",
        hint="Try every error from 1.00 to 3.00 in steps of 0.01 as the vanilla one. For each printed percentage there "
        "must be a second error with two decimals that gives it, rounded or cut.",
        slips={"That is the error *with* weight decay (Table 1); the one without is asked for.": 1.64},
        tolerance=1e-6,
    )


@exercise
def check_temperature_form(answer: Any) -> Feedback:
    """Exercise 5: the partial norm's gradient as that of a temperature, damped and with its radial part removed."""
    z = torch.tensor([[2.5, 1.2, -3.0], [0.0, 4.0, 3.0]], dtype=torch.float64)
    cases = [(z, torch.tensor([0, 2]), 1.0), (z, torch.tensor([1, 1]), 2.5)]

    def reference(logits: Tensor, target: Tensor, threshold: float) -> Tensor:
        return loss_gradient(logits, target, threshold)[1]

    return check_function(
        answer,
        reference,
        cases,
        right="Outside its ball the partial norm is a temperature ‖z‖/δ of each sample's own, damped, without its "
        "radial part.",
        hint="Write a = δ/‖z‖. What is δẑ in terms of a and z? Which part does the Jacobian delete, and what does it multiply?",
        slips={
            "The softmax is at the wrong temperature: it takes the raw logits. The ball makes δẑ of them first.": partial(
                _gradient_form, cold=False
            ),
            "The radial part is still there: take away what points along z.": partial(_gradient_form, project=False),
            "Direction and projection are right; the Jacobian also multiplies by δ/‖z‖.": partial(
                _gradient_form, damp=False
            ),
            "The sign is the other way round: the gradient is prediction minus label.": partial(
                _gradient_form, sign=-1.0
            ),
            "The projection goes along the logits, not along their unit vector: divide z by its length first.": partial(
                _gradient_form, unit=False
            ),
        },
        tolerance=1e-5,
    )


def _gradient_form(
    logits: Tensor, target: Tensor, threshold: float, *, cold: bool = True, project: bool = True, damp: bool = True, sign: float = 1.0,
    unit: bool = True,
) -> Tensor:  # fmt: skip
    """Return the gradient behind the ball, or what it becomes by one slip."""
    length = logits.norm(dim=1, keepdim=True)
    damping = threshold / length
    pull = sign * (torch.softmax(damping * logits if cold else logits, 1) - one_hot(target, logits.shape[1]))
    along = logits / length if unit else logits
    if project:
        pull = pull - along * (pull * along).sum(1, keepdim=True)
    return damping * pull if damp else pull


@exercise
def check_wrong_yet_growing(logits: Any, label: Any) -> Feedback:
    """Exercise 6: any logits and a label with two larger ones, and with loss below entropy."""
    if logits is Ellipsis or label is Ellipsis or logits is None:
        return feedback(
            "open", "Put a list of logits and a label (0, 1, …) where the dots are, and run the cell again."
        )
    wanted = feedback("not yet", "Wanted are a list of finite logits and a label: the position of one of them, from 0.")
    try:
        z, place = torch.as_tensor(logits, dtype=torch.float64), int(label)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return wanted
    if place != label:
        return wanted
    label = place
    if z.ndim != 1 or label not in range(len(z)) or not torch.isfinite(z).all():
        return wanted
    ahead = int((z > z[label]).sum())
    if ahead < 2:
        said = {0: "This sample is right, or tied", 1: "One class is ahead of the label"}[ahead]
        return feedback("not yet", f"{said}; *two* other logits must be larger than the label's.")
    p = torch.softmax(z, 0)
    gap = float(-p[label].log() - entropy(p, dim=0))
    if gap >= 0:
        hint = "Keep the leaders close, and let a class below the label pull the mean down."
        return feedback("not yet", f"Two are ahead, but the loss is {gap:.3f} above the entropy. {hint}")
    if len(z) > 4:
        return feedback(
            "not yet",
            f"It grows, its loss is {-gap:.3f} below the entropy. But it can be done with fewer than {len(z)} classes.",
        )
    return feedback(
        "right",
        f"{ahead} classes are ahead of the label, and its loss is {-gap:.3f} below the entropy: it still grows. Four is the least.",
    )


@exercise
def check_stability_norm(answer: Any) -> Feedback:
    """Exercise 7: the length of the penalty's gradient with respect to the lengths, for a batch of 128 and α = 1."""
    return check_number(
        answer,
        1 / math.sqrt(128),
        right="It is α/√B for every deviation above zero: the penalty pushes as hard at the end as at the start.",
        hint="Square $(\\ell_b-\\bar\\ell)/(B\\cdot SD)$, sum over $b$, and use what SD² is.",
        slips={"That is the square; take the root.": 1 / 128, "A length is never negative.": -1 / math.sqrt(128)},
        tolerance=5e-4,
    )


@exercise
def check_evening(errors: Mapping[str, Sequence[float]] | Any) -> Feedback:
    """Exercise 8, the investigation: whether the reader's test errors allow a statement, and which.

    Args:
        errors: arm to test errors in percent, one a seed; the first arm is the baseline.
    """
    return check_paired(
        errors,
        beside="Say beside it how δ and the rates were chosen, and what the difference is with both arms at one rate.",
    )


report = partial(page.report, "partial_output_norm")
exercise_minutes = partial(page.exercise_minutes, "partial_output_norm")


def chapter_quiz() -> Panel:
    """Return the quiz of the chapter, whose questions are data of its paper."""
    return page.quiz(papers.load("partial_output_norm").quiz)
