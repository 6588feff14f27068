"""What chapter 01 alone says: which arms its figures and sentences speak of, the ball's floor, and the checks of its exercises.

Its recorded runs are those of `companion.results.first_recording`: `load` reads them, `verdict` is their rule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from companion import page, papers, plots
from companion.geometry import confidence_ceiling, entropy
from companion.methods.partial_output_norm import partial_norm
from companion.page import Feedback, Panel, Prose, check_function, check_number, feedback, live, say
from companion.results import Results
from companion.results.first_recording import load, verdict  # noqa: F401  (the notebook takes both from here)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER = papers.load("partial_output_norm")
METHOD, WITH_DECAY, DECAY = "P-ON", "P-ON + weight decay", "weight decay"
PARTS = ("norm only", "stability only")
MATCHED = ((METHOD, "vanilla", ""), (WITH_DECAY, DECAY, ", with weight decay"))
"""The comparisons that were also made at equal learning rates."""

# --- figures and sentences from recorded runs: those of every chapter, with this one's arms ---------------------------

figure_length = partial(
    page.figure_length, method=METHOD, note="Lengths are of the raw logits, before the ball."
)  # the paper's Figure 2, with all arms
figure_gradient = partial(page.figure_gradient, method=METHOD)  # Figure 3
figure_parameter_gradient = partial(page.figure_parameter_gradient, method=METHOD)  # Figure 5
figure_gap = partial(page.figure_gap, method=METHOD)  # Figure 8, with our arms
figure_search = partial(page.figure_search, method=METHOD)
say_growing = partial(page.say_growing, arms=("vanilla", "stability only", DECAY))  # without the ball
table_matched_rate = partial(page.table_matched, pairs=MATCHED)
say_matched_rate = partial(page.say_matched, pairs=MATCHED)


def say_rival(results: Results) -> Prose:
    """Compare the method without weight decay with tuned weight decay, or with its control where runs of that diverged."""
    control, _ = results.same_rate(WITH_DECAY, DECAY)
    lead = "The method without weight decay against tuned weight decay alone"
    return page.say_rival(results, METHOD, DECAY, lead=lead, control=control)


def say_graph_parts(recorded: Mapping[str, Results]) -> Prose:
    """Say what each part alone does on the graphs, and what the doubtful entry of Table 2 would change."""
    graphs = recorded["pon-graphs"]
    said = page.say_parts(graphs, PARTS)
    rows = {row.label: row for row in PAPER.table("Table 2").rows}
    suspect, copied = rows["Cora, GAT"], rows["Cora, GCN"].better.mean
    effects = [round(suspect.baseline.mean - error, 6) for error in (suspect.better.mean, copied)]
    words = [graphs["cora/gat"].compare(METHOD, "vanilla", effect=effect).word for effect in effects]
    if None in words:
        return said
    return say(
        said.markdown,
        f"For GAT on Cora the verdict *{words[0]}* takes the printed error {suspect.better.mean:.2f}; with the error that the "
        f"printed percentage asks for, {copied:.2f}, the paper's effect is {effects[1]:.2f} and the word is *{words[1]}*.",
    )


def say_in_one_line(results: Results) -> Prose:
    """State the main comparison on MNIST with its verdict, or why there is none and what the control says."""
    effect = next(c.effect for c in PAPER.contrasts if c.id == "pon-t1-mnist")
    lead = (
        f"In one line, on MNIST: the paper prints a gain of {effect:.2f} points for the method on top of weight decay;"
    )
    return page.say_in_one_line(results, WITH_DECAY, DECAY, lead=lead, effect=effect)


# --- the ball -------------------------------------------------------------------------------------------------------


def figure_floor(num_classes: tuple[int, ...] = (2, 10, 100, 1000)) -> plots.Shown:
    """The highest confidence that a ball of radius δ allows, for several numbers of classes."""
    radii = np.linspace(0.2, 20, 200)
    dashes = ("-", (0, (5, 2.2)), (0, (1.2, 1.6)), (0, (6, 1.8, 1.2, 1.8)))
    looks = [plots.Style("pon", dash, "o", f"C = {n}") for n, dash in zip(num_classes, dashes, strict=False)]
    curves = [[float(confidence_ceiling(n, threshold=float(r))) for r in radii] for n in num_classes]

    def draw(ax: Axes, narrow: bool) -> None:
        for look, values, height in zip(looks, curves, np.linspace(0.7, 0.25, len(looks)), strict=True):
            plots.line(ax, radii, values, look)
            at = int(np.searchsorted(values, height))  # each name at a height of its own, so that none covers another
            place = {"xytext": (5, -8), "textcoords": "offset points"}
            ax.annotate(look.label, (radii[at], values[at]), color=look.color, weight=700, **place)
        ax.set_xlim(0, 20)
        ax.set_ylim(0, 1.02)
        plots.name_axes(ax, "threshold δ", "highest possible confidence")

    need = [float(required_threshold(0.99, n)) for n in num_classes]
    caption = (
        "The more classes, the larger a ball must be: 99 % confidence needs "
        + ", ".join(f"δ = {value:.1f} for C = {n}" for value, n in zip(need, num_classes, strict=True))
        + ". From the loss floor derived above."
    )
    alt = "Rising curves, one for each number of classes; with more classes the curve rises at a larger threshold."
    return plots.show(draw, title="Confidence ceiling of the ball", alt=alt, caption=caption, name="figure-floor")


def required_threshold(confidence: float, num_classes: int) -> float:
    """Return the smallest δ that allows a confidence: √((C−1)/C)·log((C−1)·c/(1−c)).

    Example:
        >>> round(required_threshold(0.99, 10), 2)
        6.44
    """
    n = num_classes
    return math.sqrt((n - 1) / n) * math.log((n - 1) * confidence / (1 - confidence))


def behind_ball(threshold: float) -> live.Losses:
    """Return the loss of every row behind a ball of radius δ; ``inf`` is plain cross entropy."""
    return lambda logits, target: cross_entropy(partial_norm(logits, threshold), target, reduction="none")


def loss_gradient(logits: Tensor, target: Tensor, threshold: float = math.inf) -> tuple[Tensor, Tensor]:
    """Return losses (N,) and gradients (N, C) with respect to the raw logits, with the partial norm before the loss.

    Example:
        >>> loss, gradient = loss_gradient(torch.tensor([[5.0, -5.0]]), torch.tensor([1]), threshold=2.0)
        >>> round(float(loss), 3), round(float(gradient.abs().max()), 6)
        (2.886, 0.0)
    """
    return live.loss_gradient(logits, target, behind_ball(threshold))


def descend(logits: Tensor, target: Tensor, *, rate: float, steps: int, threshold: float = math.inf) -> Tensor:
    """Return the path of free logits under gradient descent behind the ball, (steps + 1, N, C)."""
    return live.descend(logits, target, rate=rate, steps=steps, losses=behind_ball(threshold))


def table_small_run(lengths: Mapping[str, Sequence[float]], outputs: Mapping[str, Tensor], target: Tensor) -> Panel:
    """Show the small run's answers; lengths are those before the ball, outputs those after it."""
    return live.table_small_run(lengths, outputs, target, note=" before the ball")


# --- exercises -----------------------------------------------------------------------------------------------------


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
        tolerance=1e-5,
    )


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
    return feedback(
        "right",
        f"{ahead} classes are ahead of the label, and its loss is {-gap:.3f} below the entropy: it still grows.",
    )


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


def chapter_quiz() -> Panel:
    """Return the quiz of the chapter, whose questions are data of its paper."""
    return page.quiz(PAPER.quiz)
