"""The derivations of chapter 01 (partial output norm) as sympy expressions.

Every displayed step of the chapter is an object returned by a function of this module, and the tests turn the
same objects into numbers and compare them with autograd in float64: the derivation that is read is the one that
is tested. Logits ``z`` and class index ``y`` are those of `companion.symbolic.common`, ``delta`` is the threshold.
Functions named ``..._as_printed`` hold what the paper's copy prints.

Taught in: chapter 01. Source: "Partial Output Norm" (anonymous, under review), equations as numbered there.
"""

from __future__ import annotations

from collections.abc import Sequence

from companion._extras import require
from companion.symbolic.common import (  # noqa: F401 - the chapter finds the shared objects under this module's name, too
    Expression,
    as_function,
    centred,
    cross_entropy,
    difference,
    dot,
    entropy,
    gradient,
    length,
    logits,
    predictive_mean,
    predictive_variance,
    softmax,
    softmax_gradient,
    squared_distance,
    vanishes,
)

sp = require("sympy", extra="math")

DELTA = sp.Symbol("delta", positive=True)
"""The threshold δ of the partial norm."""


# --- the blow-up: Definition 2.1, Eq. 4, Lemma 2.2 ----------------------------------------------------------------


def radial_derivative(z: Sequence[Expression], y: int) -> Expression:
    """Return ∂L/∂‖z‖ by differentiation: ∇L · z/‖z‖ (the left side of Definition 2.1)."""
    return dot(gradient(cross_entropy(z, y), z), z) / length(z)


def loss_minus_entropy(z: Sequence[Expression], y: int) -> Expression:
    """Return (L − H)/‖z‖, the form of the radial derivative that shows where its sign changes."""
    return (cross_entropy(z, y) - entropy(z)) / length(z)


def eq4_corrected(z: Sequence[Expression], y: int) -> Expression:
    """Return Eq. 4 with its indices set right: Σ_{i≠y} (z_i − z_y) e^{z_i} / (Σ_j e^{z_j} · ‖z‖).

    The class in the difference is the label ``y``; the paper has the largest logit there, which is the same only when
    the sample is classified correctly.
    """
    total = sum(sp.exp(entry) for entry in z)
    return sum((z[i] - z[y]) * sp.exp(z[i]) / (total * length(z)) for i in range(len(z)) if i != y)


def eq4_as_printed(z: Sequence[Expression], m: int, j: int) -> Expression:
    """Return Eq. 4 letter by letter: Σ_{i≠m} (z_i − z_m) e^{z_j} / (Σ_j e^{z_i} · ‖z‖), with m the largest logit.

    In print the exponents of numerator and denominator have their letters exchanged: the numerator's ``j`` is bound by
    no sum, so it must be handed in, and the denominator sums a term that does not depend on its own index.
    """
    n = len(z)
    return sum((z[i] - z[m]) * sp.exp(z[j]) / (n * sp.exp(z[i]) * length(z)) for i in range(n) if i != m)


def loss_along_the_ray(z: Sequence[Expression], y: int, scale: Expression) -> Expression:
    """Return L(s·z), the loss when all logits are multiplied by s."""
    return cross_entropy(tuple(scale * entry for entry in z), y)


def second_derivative_along_the_ray(z: Sequence[Expression], y: int) -> Expression:
    """Return d²L(s·z)/ds² at s = 1, by differentiation; it equals Var_p(z), so the loss is convex along every ray."""
    scale = sp.Symbol("s", positive=True)
    return sp.diff(loss_along_the_ray(z, y, scale), scale, 2).subs(scale, 1)


# --- the partial norm: Eq. 5, Lemma 3.1 ---------------------------------------------------------------------------


def partial_norm(z: Sequence[Expression], delta: Expression = DELTA) -> tuple[Expression, ...]:
    """Return Γ(z) of Eq. 5: z inside the ball of radius δ, δ·z/‖z‖ outside."""
    return tuple(
        sp.Piecewise((entry, length(z) <= delta), (scaled, True))
        for entry, scaled in zip(z, partial_norm_outside(z, delta), strict=True)
    )


def partial_norm_outside(z: Sequence[Expression], delta: Expression = DELTA) -> tuple[Expression, ...]:
    """Return the second branch of Eq. 5, δ·z/‖z‖: the logits put back on the sphere of radius δ."""
    return tuple(delta * entry / length(z) for entry in z)


def jacobian_outside(z: Sequence[Expression], delta: Expression = DELTA) -> Expression:
    """Return the Jacobian of the outer branch, by differentiation (an n × n matrix)."""
    return sp.Matrix(partial_norm_outside(z, delta)).jacobian(list(z))


def jacobian_outside_closed_form(z: Sequence[Expression], delta: Expression = DELTA) -> Expression:
    """Return (δ/‖z‖)(I − ẑẑᵀ) with ẑ = z/‖z‖: shrink by δ/‖z‖, and delete what points along z."""
    unit = sp.Matrix([entry / length(z) for entry in z])
    return (delta / length(z)) * (sp.eye(len(z)) - unit * unit.T)


def loss_outside(z: Sequence[Expression], y: int, delta: Expression = DELTA) -> Expression:
    """Return L(Γ(z)) outside the ball: the cross entropy of logits of length exactly δ."""
    return cross_entropy(partial_norm_outside(z, delta), y)


def gradient_outside(z: Sequence[Expression], y: int, delta: Expression = DELTA) -> tuple[Expression, ...]:
    """Return ∇ L(Γ(z)) outside the ball, by differentiation."""
    return gradient(loss_outside(z, y, delta), z)


def radial_derivative_outside(z: Sequence[Expression], y: int, delta: Expression = DELTA) -> Expression:
    """Return ∂L(Γ(z))/∂‖z‖ outside the ball (Eq. 6); it simplifies to 0."""
    return dot(gradient_outside(z, y, delta), z) / length(z)


# --- the gradient in full: Eqs. 7 to 9, Lemma 3.2 -----------------------------------------------------------------


def eq8_corrected(z: Sequence[Expression], y: int, delta: Expression = DELTA) -> tuple[Expression, ...]:
    """Return Eq. 8 set right: (δ/‖z‖)[p̂_j − 1{j=y} − ẑ_j Σ_i ẑ_i (p̂_i − 1{i=y})], p̂ = softmax(δẑ), ẑ = z/‖z‖."""
    unit = tuple(entry / length(z) for entry in z)
    pull = softmax_gradient(tuple(delta * entry for entry in unit), y)
    along = dot(unit, pull)
    return tuple((delta / length(z)) * (g - direction * along) for g, direction in zip(pull, unit, strict=True))


def eq8_as_printed(
    z: Sequence[Expression], m: int, delta: Expression = DELTA, reading: str = "product"
) -> tuple[Expression, ...]:
    """Return Eq. 8 as our copy prints it, in one of the readings that its unbalanced braces allow.

    Args:
        z: The logit symbols.
        m: The class that the paper writes ``m``.
        delta: The threshold.
        reading: ``"product"`` takes the three exponentials as factors; ``"nested"`` follows the braces literally and
            leaves what follows the second exponential inside its exponent; ``"sum"`` lets the first sum run over the
            whole product, with its letter in place of ``j``.

    Returns:
        One expression for each class.

    Raises:
        ValueError: The reading is none of the three.
    """
    if reading not in ("product", "nested", "sum"):
        raise ValueError(f"reading must be 'product', 'nested' or 'sum', got {reading!r}")
    r = length(z)
    squash = [sp.exp(delta * entry / r) for entry in z]
    denominator = sum(sp.exp(entry / r) for entry in z) ** 2 * r
    brackets = [z[m] * entry / r**2 - 1 for entry in z]
    if reading == "product":
        return tuple(sum(squash) * squash[m] * e * b / denominator for e, b in zip(squash, brackets, strict=True))
    if reading == "nested":
        return tuple(
            sum(squash) * sp.exp(delta * z[m] / r * e * b) / denominator for e, b in zip(squash, brackets, strict=True)
        )
    whole = sum(e * squash[m] * b for e, b in zip(squash, brackets, strict=True))
    return tuple(whole * e / denominator for e in squash)


def homogeneity_defect(z: Sequence[Expression], y: int, delta: Expression = DELTA) -> tuple[Expression, ...]:
    """Return s·g(s·z) − g(z) for the gradient g outside the ball; 0 for all s > 0 is Lemma 3.2: g shrinks as 1/‖z‖."""
    scale = sp.Symbol("s", positive=True)
    scaled = eq8_corrected(tuple(scale * entry for entry in z), y, delta)
    return tuple(scale * after - before for after, before in zip(scaled, eq8_corrected(z, y, delta), strict=True))


def squared_length_after_step(
    z: Sequence[Expression], y: int, rate: Expression, delta: Expression = DELTA
) -> Expression:
    """Return ‖z − η g‖² for one gradient step outside the ball; since g ⟂ z it is ‖z‖² + η²‖g‖²."""
    g = gradient_outside(z, y, delta)
    return sum((entry - rate * slope) ** 2 for entry, slope in zip(z, g, strict=True))


def drift_of_the_sum(z: Sequence[Expression], y: int, delta: Expression = DELTA) -> Expression:
    """Return Σ_j g_j outside the ball; plain cross entropy has 0 there, the partial norm in general has not."""
    return sum(gradient_outside(z, y, delta))


# --- what a ball costs: the loss's floor and ceiling --------------------------------------------------------------


def class_axis_point(num_classes: int, y: int, radius: Expression) -> tuple[Expression, ...]:
    """Return the point of length ``radius`` on the class axis e_y − 1/n: where the margin is largest for its length."""
    n = sp.Integer(num_classes)
    scale = radius / sp.sqrt((n - 1) / n)
    return tuple(scale * ((1 if index == y else 0) - 1 / n) for index in range(num_classes))


def loss_floor(num_classes: Expression, delta: Expression = DELTA) -> Expression:
    """Return log(1 + (n−1) e^{−δ√(n/(n−1))}), the smallest cross entropy that logits of length at most δ can have."""
    n = sp.sympify(num_classes)
    return sp.log(1 + (n - 1) * sp.exp(-delta * sp.sqrt(n / (n - 1))))


def loss_at_antipode(num_classes: Expression, delta: Expression = DELTA) -> Expression:
    """Return log(1 + (n−1) e^{+δ√(n/(n−1))}), the loss at the point of length δ opposite the class.

    There all other logits are equal and exceed the label's by δ√(n/(n−1)), and the gradient behind the ball is 0. For
    two classes it is the largest loss of the ball; for more it is a saddle once δ > √(n(n−1)).
    """
    n = sp.sympify(num_classes)
    return sp.log(1 + (n - 1) * sp.exp(delta * sp.sqrt(n / (n - 1))))


# --- the stability penalty: Eq. 10 --------------------------------------------------------------------------------


def lengths(batch: int = 3) -> tuple[Expression, ...]:
    """Return symbols (l_1, ..., l_B) for the output lengths of a batch, all positive."""
    return sp.symbols(f"l_1:{batch + 1}", positive=True)


def stability(ell: Sequence[Expression]) -> Expression:
    """Return SD(l) = √(Σ_b (l_b − mean)²/B), the penalty of Eq. 10 without its factor α."""
    mean = sum(ell) / len(ell)
    return sp.sqrt(sum((entry - mean) ** 2 for entry in ell) / len(ell))


def stability_gradient_closed_form(ell: Sequence[Expression]) -> tuple[Expression, ...]:
    """Return (l_b − mean)/(B·SD), the derivative of the penalty with respect to each length."""
    mean = sum(ell) / len(ell)
    return tuple((entry - mean) / (len(ell) * stability(ell)) for entry in ell)


# --- from expressions to numbers and to proofs --------------------------------------------------------------------


def compact(expression: Expression, z: Sequence[Expression], delta: Expression = DELTA) -> Expression:
    """Rewrite an expression for reading: p_i for softmax(z), p̂_i for softmax(δz/‖z‖), and ‖z‖ for the length.

    The value does not change; only names are given to what repeats.
    """
    r = sp.Symbol(r"\lVert z\rVert", positive=True)
    outside = [delta * entry / length(z) for entry in z]
    for exponents, letter in ((outside, r"\hat{p}"), (list(z), "p")):
        powers = [sp.exp(exponent) for exponent in exponents]
        total = sp.Symbol("S" if letter == "p" else r"\hat{S}", positive=True)
        names = [sp.Symbol(f"{letter}_{{{index + 1}}}", positive=True) for index in range(len(z))]
        expression = expression.subs(sum(powers), total)
        expression = expression.subs({power: name * total for power, name in zip(powers, names, strict=True)})
    return expression.subs(length(z), r).subs(length(z) ** 2, r**2)
