"""What the derivations of every chapter share, as sympy expressions: logits, softmax, loss, entropy, lengths, gradients.

Logits are a tuple of real symbols ``z`` = (z_1, ..., z_n), the class index ``y`` counts from 0 as in PyTorch. A chapter's
own module imports what it needs from here, so that a notebook finds everything under one name. `as_function` turns an
expression into numbers, which the tests compare with autograd in float64; `vanishes` proves an identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from companion._extras import require

sp = require("sympy", extra="math")

Expression = Any
"""A sympy expression (sympy is imported only with this module, hence no narrower type)."""


# --- the objects -------------------------------------------------------------------------------------------------


def logits(num_classes: int = 3) -> tuple[Expression, ...]:
    """Return the logit symbols (z_1, ..., z_n), all real.

    Raises:
        ValueError: there are fewer than two classes.

    Example:
        >>> logits(2)
        (z_1, z_2)
    """
    if num_classes < 2:
        raise ValueError(f"num_classes must be >= 2, got {num_classes}")
    return sp.symbols(f"z_1:{num_classes + 1}", real=True)


def softmax(z: Sequence[Expression]) -> tuple[Expression, ...]:
    """Return the prediction p_i = e^{z_i} / Σ_j e^{z_j}.

    Example:
        >>> softmax((0, sp.log(3)))
        (1/4, 3/4)
    """
    total = sum(sp.exp(entry) for entry in z)
    return tuple(sp.exp(entry) / total for entry in z)


def cross_entropy(z: Sequence[Expression], y: int) -> Expression:
    """Return L = log Σ_j e^{z_j} − z_y, the cross entropy of logits z for class index y.

    Example:
        >>> cross_entropy((0, sp.log(3)), 0)
        log(4)
    """
    return sp.log(sum(sp.exp(entry) for entry in z)) - z[y]


def entropy(z: Sequence[Expression]) -> Expression:
    """Return H = −Σ_i p_i log p_i of p = softmax(z), written with log p_i = z_i − log Σ_j e^{z_j}.

    Example:
        >>> entropy((0, 0))
        log(2)
    """
    log_total = sp.log(sum(sp.exp(entry) for entry in z))
    return -sum(p * (entry - log_total) for p, entry in zip(softmax(z), z, strict=True))


def length(z: Sequence[Expression]) -> Expression:
    """Return the length ‖z‖ = √(Σ_i z_i²); a common positive factor comes out: ‖s·z‖ = s‖z‖.

    Example:
        >>> length((3, 4))
        5
    """
    return sp.sqrt(sp.factor(sum(entry**2 for entry in z)))


def centred(z: Sequence[Expression]) -> tuple[Expression, ...]:
    """Return z − mean(z): the logits with softmax's free choice of origin removed.

    Example:
        >>> centred(sp.sympify((1, 4)))
        (-3/2, 3/2)
    """
    mean = sum(z) / len(z)
    return tuple(entry - mean for entry in z)


def predictive_mean(z: Sequence[Expression]) -> Expression:
    """Return E_p[z] = Σ_i p_i z_i with p = softmax(z), the logit that the prediction expects.

    Example:
        >>> predictive_mean((2, 2))
        2
    """
    return sum(p * entry for p, entry in zip(softmax(z), z, strict=True))


def predictive_variance(z: Sequence[Expression]) -> Expression:
    """Return Var_p(z) = Σ_i p_i z_i² − (Σ_i p_i z_i)², the spread of the logits under the prediction p = softmax(z).

    Example:
        >>> predictive_variance((2, 2))
        0
    """
    return sum(p * entry**2 for p, entry in zip(softmax(z), z, strict=True)) - predictive_mean(z) ** 2


# --- vectors and derivatives -------------------------------------------------------------------------------------------


def dot(left: Sequence[Expression], right: Sequence[Expression]) -> Expression:
    """Return Σ_i left_i · right_i.

    Example:
        >>> dot((1, 2), (3, 4))
        11
    """
    return sum(a * b for a, b in zip(left, right, strict=True))


def difference(left: Sequence[Expression], right: Sequence[Expression]) -> tuple[Expression, ...]:
    """Return left − right, entry by entry: 0 in every entry says that two derivations agree.

    Example:
        >>> difference((3, 4), (3, 1))
        (0, 3)
    """
    return tuple(a - b for a, b in zip(left, right, strict=True))


def squared_distance(point: Sequence[Expression], other: Sequence[Expression]) -> Expression:
    """Return ‖point − other‖² = Σ_i (point_i − other_i)².

    Example:
        >>> squared_distance((0, 0), (3, 4))
        25
    """
    return sum((a - b) ** 2 for a, b in zip(point, other, strict=True))


def gradient(expression: Expression, z: Sequence[Expression]) -> tuple[Expression, ...]:
    """Return (∂/∂z_1, ..., ∂/∂z_n) of an expression, by differentiation.

    Example:
        >>> z = logits(2)
        >>> gradient(z[0] ** 2 * z[1], z)
        (2*z_1*z_2, z_1**2)
    """
    return tuple(sp.diff(expression, entry) for entry in z)


def softmax_gradient(z: Sequence[Expression], y: int) -> tuple[Expression, ...]:
    """Return p − e_y, the closed form of the gradient of `cross_entropy`: the prediction minus the label.

    Example:
        >>> softmax_gradient((0, sp.log(3)), 0)
        (-3/4, 3/4)
    """
    return tuple(p - (1 if index == y else 0) for index, p in enumerate(softmax(z)))


# --- from expressions to numbers and to proofs --------------------------------------------------------------------


def vanishes(expression: Expression) -> bool:
    """Return whether sympy can show that an expression (or each entry of a sequence or matrix) is 0.

    The exponentials are replaced by independent positive symbols first: what is then 0 as an algebraic identity is
    0 for all logits.

    Example:
        >>> z = logits(2)
        >>> vanishes(difference(gradient(cross_entropy(z, 0), z), softmax_gradient(z, 0)))
        True
    """
    if isinstance(expression, (tuple, list, sp.MatrixBase)):
        return all(vanishes(entry) for entry in expression)
    expression = sp.expand_power_exp(sp.sympify(expression)).replace(sp.exp, _stand_in)
    return sp.simplify(expression) == 0


def _stand_in(exponent: Expression) -> Expression:
    """Return E^k with a positive symbol E for e^{k·a}: equal exponentials stay equal, powers stay powers."""
    factor, rest = exponent.as_coeff_Mul()
    return sp.Symbol(f"E_{{{sp.srepr(rest)}}}", positive=True) ** factor


def as_function(arguments: Sequence[Expression], expression: Expression) -> Callable[..., Any]:
    """Return a Python function of numbers from an expression, a tuple of them or a matrix (as rows), in float64.

    Example:
        >>> z = logits(2)
        >>> round(as_function(z, cross_entropy(z, 0))(2.5, 1.2), 4)
        0.241
    """
    if isinstance(expression, sp.MatrixBase):
        expression = expression.tolist()
    return sp.lambdify(list(arguments), expression, modules="math")
