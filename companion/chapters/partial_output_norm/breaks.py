"""The states in which the ball fails: for the buttons of the figure, and the sentence with numbers that goes with each."""

from __future__ import annotations

import math

import torch

from companion.chapters.partial_output_norm.ball import descend, loss_gradient
from companion.methods.partial_output_norm import partial_norm
from companion.page import Prose

RADIUS = 2.0
STATES = {
    "The trap": {"z": [3.5, -3.5], "label": 1},
    "Beside the trap": {"z": [3.5, -3.2], "label": 1},
    "A large mistake": {"z": [4.8, 0.5], "label": 1},
    "Half as large": {"z": [2.4, 0.25], "label": 1},
    "Far from zero": {"z": [4.0, 3.6], "label": 0},
}
"""Words on a button to the state that it sets; the ball has the radius `RADIUS` and is switched on."""


def states() -> dict[str, dict[str, object]]:
    """Return the states with the ball in them, as `companion.widgets.states` takes them."""
    return {words: {**state, "threshold": RADIUS, "clip": True} for words, state in STATES.items()}


def steps_until_right(words: str, threshold: float = RADIUS, most: int = 2000) -> int | None:
    """Return after how many steps of size 1 the label leads, or None if it does not within ``most``.

    Args:
        words: of a state.
        threshold: of the ball; ``inf`` for none.
        most: steps to try.
    """
    z, label = torch.tensor([STATES[words]["z"]], dtype=torch.float64), STATES[words]["label"]
    path = descend(z, torch.tensor([label]), rate=1.0, steps=most, threshold=threshold)[:, 0]
    right = (path[:, label] > path[:, 1 - label]).nonzero()
    return int(right[0]) if len(right) else None


def say_breaks() -> Prose:
    """Say what each state shows, with the numbers that the figure shows."""
    beside, large, half = (
        steps_until_right(words) for words in ("Beside the trap", "A large mistake", "Half as large")
    )
    free = [steps_until_right(words, math.inf) for words in ("Beside the trap", "A large mistake")]
    z, label = torch.tensor([STATES["Far from zero"]["z"]], dtype=torch.float64), torch.tensor([0])
    seen, clipped = z[0], partial_norm(z, RADIUS)[0]
    losses = [float(loss_gradient(z, label, threshold)[0]) for threshold in (math.inf, RADIUS)]
    return Prose(
        f"- **The trap.** Opposite its class, on the ray where the label's logit is lowest and all others are equal, a sample outside the ball gets no "
        f"gradient at all: all that cross entropy asks of it is “shorter!”, and that is what the ball deletes. *Beside the trap* it takes {beside} steps "
        f"until it is right; without the ball {free[0]}.\n"
        f"- **A large mistake** learns slowly, since its gradient is divided by its length: {large} steps until it is right, *half as large* {half}, and "
        f"without the ball {free[1]}.\n"
        f"- **Far from zero.** Softmax does not see a number that is added to all logits; the ball does. The difference of these logits is a timid "
        f"{seen[0] - seen[1]:.1f}, but the ball takes their sum for loudness and cuts it to {clipped[0] - clipped[1]:.2f}: the loss rises from {losses[0]:.3f} to "
        f"{losses[1]:.3f}, and descent first has to turn the sum away."
    )
