"""The derivations of chapter 04 (tamed cross entropy) as sympy expressions.

Every displayed step of the chapter is an object returned by a function of this module, and the tests turn the same
objects into numbers and compare them with autograd in float64. Logits ``z`` and class index ``y`` are those of
`companion.symbolic.common`; ``q`` is the label's probability, ``loss`` the cross entropy L = −log q, ``alpha`` the exponent.
Functions named ``..._as_printed`` hold what the paper prints.

Taught in: chapter 04. Source: Martinez and Stiefelhagen, "Taming the Cross Entropy Loss" (2018), equations as numbered there.
"""

from __future__ import annotations

from collections.abc import Sequence

from companion._extras import require
from companion.symbolic.common import (  # noqa: F401 - the chapter finds the shared objects under this module's name, too
    Expression,
    as_function,
    cross_entropy,
    difference,
    gradient,
    logits,
    softmax,
    softmax_gradient,
    vanishes,
)

sp = require("sympy", extra="math")

ALPHA = sp.Symbol("alpha", positive=True)
"""The exponent α."""
LOG_Q = sp.Symbol("ell", nonpositive=True)
"""The logarithm of the label's probability, ℓ = log q."""
LOSS = sp.Symbol("L", nonnegative=True)
"""The cross entropy L = −log q."""
Q = sp.Symbol("q", positive=True)
"""The label's probability q."""


# --- from the wanted gradient to the loss: Eqs. 8 and 9 ----------------------------------------------------------------


def wanted_gradient(log_q: Expression = LOG_Q, alpha: Expression = ALPHA) -> Expression:
    """Return −(1 − log q)^{−α}, the derivative by log q that the authors ask for (Eq. 8); cross entropy has −1.

    Example:
        >>> wanted_gradient(-1, 2)
        -1/4
    """
    return -((1 - sp.sympify(log_q)) ** (-alpha))


def integral(loss: Expression = LOSS, alpha: Expression = ALPHA) -> Expression:
    """Return the loss with the wanted gradient that is 0 at q = 1, as sympy integrates it: two cases, α ≠ 1 and α = 1.

    Example:
        >>> integral(alpha=1)
        log(L + 1)
    """
    part = sp.Symbol("t", nonnegative=True)  # from 0 to L = −log q
    return sp.integrate(-wanted_gradient(-part, alpha), (part, 0, loss))


def tamed(loss: Expression = LOSS, alpha: Expression = ALPHA) -> Expression:
    """Return ((1+L)^{1−α} − 1)/(1−α), and log(1+L) at α = 1: tamed cross entropy as a function of the loss.

    Example:
        >>> tamed(alpha=1), tamed(3, alpha=2), tamed(alpha=0)
        (log(L + 1), 3/4, L)
    """
    power = 1 - sp.sympify(alpha)
    if power.is_zero:
        return sp.log(1 + sp.sympify(loss))
    return ((1 + sp.sympify(loss)) ** power - 1) / power


def eq9_as_printed(loss: Expression = LOSS, alpha: Expression = ALPHA) -> Expression:
    """Return Eq. 9, ((1+L)^{1−α} − 1/(1−α))/(1−α): the same gradient with another constant.

    Example:
        >>> eq9_as_printed(0, 2)
        -2
    """
    power = 1 - sp.sympify(alpha)
    return ((1 + sp.sympify(loss)) ** power - 1 / power) / power


def constant_of_eq9(alpha: Expression = ALPHA) -> Expression:
    """Return −α/(1−α)², the value of Eq. 9 at q = 1 and what it differs by from `tamed`; it has no limit at α = 1.

    Example:
        >>> constant_of_eq9()
        -alpha/(alpha - 1)**2
    """
    return sp.factor(eq9_as_printed(0, alpha))


# --- at the logits -----------------------------------------------------------------------------------------------------


def weight(loss: Expression = LOSS, alpha: Expression = ALPHA) -> Expression:
    """Return (1+L)^{−α}, the share of cross entropy's gradient that a sample keeps: the derivative of `tamed`.

    Example:
        >>> weight(3, 2)
        1/16
    """
    return (1 + sp.sympify(loss)) ** (-alpha)


def weight_of(criterion: Expression, q: Expression = Q) -> Expression:
    """Return −q dℓ/dq, the weight on p − e_y of a loss ℓ that depends on the label's probability q alone.

    Example:
        >>> weight_of(-sp.log(Q)), weight_of(2 * (1 - Q))  # cross entropy; mean absolute error
        (1, 2*q)
    """
    return sp.simplify(-q * sp.diff(criterion, q))


def tamed_cross_entropy(z: Sequence[Expression], y: int, alpha: Expression = ALPHA) -> Expression:
    """Return tamed cross entropy of logits z for class index y.

    Example:
        >>> tamed_cross_entropy((0, 0), 0, 1)
        log(log(2) + 1)
    """
    return tamed(cross_entropy(z, y), alpha)


def gradient_closed_form(z: Sequence[Expression], y: int, alpha: Expression = ALPHA) -> tuple[Expression, ...]:
    """Return (1+L)^{−α}(p − e_y), the gradient of `tamed_cross_entropy`."""
    return tuple(weight(cross_entropy(z, y), alpha) * entry for entry in softmax_gradient(z, y))


def hessian(z: Sequence[Expression], y: int, alpha: Expression = ALPHA) -> Expression:
    """Return the second derivatives of `tamed_cross_entropy`, by differentiation (an n × n matrix)."""
    return sp.hessian(tamed_cross_entropy(z, y, alpha), list(z))


def hessian_closed_form(z: Sequence[Expression], y: int, alpha: Expression = ALPHA) -> Expression:
    """Return (1+L)^{−α}[diag p − ppᵀ − α/(1+L) (p−e_y)(p−e_y)ᵀ]: what cross entropy has, minus one direction."""
    loss = cross_entropy(z, y)
    p, residual = sp.Matrix(softmax(z)), sp.Matrix(softmax_gradient(z, y))
    return weight(loss, alpha) * (sp.diag(*p) - p * p.T - alpha / (1 + loss) * residual * residual.T)


def pull(q: Expression = Q, alpha: Expression = ALPHA) -> Expression:
    """Return (1−q)(1 − log q)^{−α}, the force on the label's logit: minus the gradient there.

    Example:
        >>> pull(1), pull(alpha=0)
        (0, 1 - q)
    """
    return (1 - q) * weight(-sp.log(q), alpha)


def peak(alpha: Expression = ALPHA) -> Expression:
    """Return q* = exp(1 + α + W₋₁(−α e^{−1−α})), where the pull is largest and above which the loss is convex.

    W₋₁ is the lower real branch of Lambert's W; the upper one, sympy's default, gives a q above 1.

    Example:
        >>> [round(float(peak(alpha)), 3) for alpha in (0.5, 1, 2)]
        [0.146, 0.318, 0.558]
    """
    return sp.exp(1 + alpha + sp.LambertW(-alpha * sp.exp(-1 - sp.sympify(alpha)), -1))


# --- Barron's family, and the limit --------------------------------------------------------------------------------------


def barron(x: Expression, shape: Expression, scale: Expression = 1) -> Expression:
    """Return Barron's robust loss ρ(x; a, c) = (|a−2|/a)[((x/c)²/|a−2| + 1)^{a/2} − 1], and its limits at a = 2, 0, −∞.

    Example:
        >>> x = sp.Symbol("x", real=True)
        >>> barron(x, 2), barron(x, 1), barron(x, 0)
        (x**2/2, sqrt(x**2 + 1) - 1, log(x**2/2 + 1))
    """
    shape, square = sp.sympify(shape), (sp.sympify(x) / scale) ** 2
    if shape == -sp.oo:
        return 1 - sp.exp(-square / 2)
    if shape.is_zero:
        return sp.log(square / 2 + 1)
    if (shape - 2).is_zero:
        return square / 2
    room = sp.Abs(shape - 2)
    return room / shape * ((square / room + 1) ** (shape / 2) - 1)


def tamed_by_barron(loss: Expression = LOSS, alpha: Expression = ALPHA) -> Expression:
    """Return ρ(√(2αL); 2−2α, 1)/α, which is `tamed`: the squared residual is 2αL.

    Example:
        >>> vanishes(tamed_by_barron() - tamed())
        True
    """
    return barron(sp.sqrt(2 * alpha * loss), 2 - 2 * sp.sympify(alpha)) / alpha


def family_weight(loss: Expression, s: Expression, k: Expression) -> Expression:
    """Return (1 + s k L)^{−1/s}: the weight of TCE with α = 1/s at k = α, that of GCE with exponent k as s → 0.

    Example:
        >>> k, s = sp.symbols("k s", positive=True)
        >>> sp.limit(family_weight(LOSS, s, k), s, 0)  # q^k
        exp(-L*k)
    """
    return (1 + s * k * loss) ** (-1 / sp.sympify(s))


def normalised_weights(losses: Sequence[Expression], alpha: Expression = ALPHA) -> tuple[Expression, ...]:
    """Return each sample's weight divided by the mean weight of the batch.

    Example:
        >>> normalised_weights((0, 1), 1)
        (4/3, 2/3)
    """
    weights = [weight(loss, alpha) for loss in losses]
    return tuple(len(weights) * entry / sum(weights) for entry in weights)


# --- noisy labels ----------------------------------------------------------------------------------------------------------


def sum_over_labels(p: Sequence[Expression], alpha: Expression = ALPHA) -> Expression:
    """Return Σ_k TCE(−log p_k), the loss of a prediction summed over all labels it might meet; constant if "symmetric".

    Example:
        >>> sum_over_labels((sp.exp(-1), sp.exp(-1)), 2)
        1
    """
    return sum(tamed(-sp.log(entry), alpha) for entry in p)


def noise_bound(rate: Expression, num_classes: Expression, lowest: Expression, highest: Expression) -> Expression:
    """Return η(B−A)/(n(1−η)), how much clean risk the noisy minimiser can lose if `sum_over_labels` stays in [A, B].

    Example:
        >>> noise_bound(sp.Rational(1, 2), 10, 7, 9)
        1/5
    """
    return rate * (highest - lowest) / (num_classes * (1 - rate))


def link_score(q: Expression = Q, alpha: Expression = ALPHA) -> Expression:
    """Return q(1 − log q)^α, to which the posterior of a class is proportional where q is its best prediction.

    Example:
        >>> link_score(sp.exp(-1), 2)
        4*exp(-1)
    """
    return q * (1 - sp.log(q)) ** alpha


def inverse_link(p: Sequence[Expression], alpha: Expression = ALPHA) -> tuple[Expression, ...]:
    """Return the posterior under which the prediction p is stationary: p_k(1 − log p_k)^α over its sum.

    Example:
        >>> inverse_link((sp.Rational(1, 2), sp.Rational(1, 2)))
        (1/2, 1/2)
    """
    scores = [link_score(entry, alpha) for entry in p]
    return tuple(score / sum(scores) for score in scores)


# --- for reading -------------------------------------------------------------------------------------------------------------


def compact(expression: Expression, z: Sequence[Expression], y: int) -> Expression:
    """Rewrite an expression for reading: L for the cross entropy of label y, p_i for softmax(z). No value changes.

    Example:
        >>> z = logits(2)
        >>> compact(gradient(tamed_cross_entropy(z, 0, 2), z)[1], z, 0)
        p_{2}/(L + 1)**2
    """
    powers = [sp.exp(entry) for entry in z]
    total = sp.Symbol("S", positive=True)
    names = [sp.Symbol(f"p_{{{index + 1}}}", positive=True) for index in range(len(z))]
    expression = expression.subs(sp.log(sum(powers)), LOSS + z[y]).subs(sum(powers), total)
    return sp.simplify(expression.subs({power: name * total for power, name in zip(powers, names, strict=True)}))
