"""The states in which taming fails: for the buttons of the figure, and the sentence with numbers that goes with each."""

from __future__ import annotations

from companion.chapters.tamed_cross_entropy.pulls import pull, share
from companion.page import Prose

STATES = {
    "The first step": {"right": 0.11, "wrong": 0.1},
    "Learnt by heart": {"right": 0.95, "wrong": 0.85},
    "Hard but right": {"right": 0.05, "wrong": 0.3},
    "Too tame": {"alpha": 3.0, "right": 0.3, "wrong": 0.05},
    "The good case": {"right": 0.6, "wrong": 0.05},
}
"""Words on a button to what the state changes; otherwise α is 2 and 40 % of the labels are wrong."""
_DEFAULTS = {"alpha": 2.0, "noise": 0.4, "view": "pull"}


def states() -> dict[str, dict[str, object]]:
    """Return the states as `companion.widgets.states` takes them."""
    return {words: {**_DEFAULTS, **state} for words, state in STATES.items()}


def held(words: str, alpha: float | None = None) -> float:
    """Return the share of the gradient that wrong labels hold in a state, with its own α or another.

    Args:
        words: of the state.
        alpha: instead of the state's.
    """
    state = {**_DEFAULTS, **STATES[words]}
    alpha = state["alpha"] if alpha is None else alpha
    wrong = round(100 * state["noise"])
    return share([state["right"]] * (100 - wrong), [state["wrong"]] * wrong, alpha)


def step_left(words: str) -> float:
    """Return the tamed batch's summed pull over that of cross entropy."""
    state = {**_DEFAULTS, **STATES[words]}

    def total(alpha: float) -> float:
        parts = ((1 - state["noise"], state["right"]), (state["noise"], state["wrong"]))
        return sum(weight * float(pull(q, alpha)) for weight, q in parts)

    return total(state["alpha"]) / total(0.0)


def say_breaks() -> Prose:
    """Say what each state shows, with the numbers that the figure shows."""
    first, heart, tame = (held(words) for words in ("The first step", "Learnt by heart", "Too tame"))
    heart_plain, hard = held("Learnt by heart", 0.0), STATES["Hard but right"]
    return Prose(
        f"- **The first step.** Before anything is learnt all labels are as implausible: wrong ones, {100 * float(_DEFAULTS['noise']):.0f} % of the batch, hold "
        f"{100 * first:.0f} % of the gradient. "
        f"All that taming does is to shorten the step, to {step_left('The first step'):.3f} of cross entropy's: another learning rate.\n"
        f"- **Learnt by heart.** A network that has memorised wrong labels finds them plausible: they hold {100 * heart:.0f} %, with cross entropy "
        f"{100 * heart_plain:.0f} %. Taming comes before that, or not at all.\n"
        f"- **Hard but right.** A rare class with right labels looks as wrong labels look. Let the right ones have q = {hard['right']:g} and the wrong ones, of an "
        f"easy class, {hard['wrong']:g}: the wrong hold {100 * held('Hard but right'):.0f} %, with cross entropy {100 * held('Hard but right', 0.0):.0f} %. What taming spares "
        f"us from wrong labels it takes from rare classes.\n"
        f"- **Too tame.** With α = 3 the wrong labels hold {100 * tame:.0f} %, but the step is {step_left('Too tame'):.3f} of cross entropy's, and half-learnt right "
        f"samples wait as well."
    )
