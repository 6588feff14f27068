"""The chapter's derivations against autograd in float64, and the paper's misprints against the corrected forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import sympy as sp
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from companion.geometry import confidence_ceiling, entropy, output_length, split_radial
from companion.methods.partial_output_norm import length_stability, partial_norm
from companion.symbolic import partial_output_norm as symbolic

CLASSES = 3
Z = symbolic.logits(CLASSES)
DELTA = 2.0


def rows(count: int = 20, seed: int = 0) -> Tensor:
    """Random logits of length 3 to 12: all outside the ball of radius ``DELTA``."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(count, CLASSES, generator=generator, dtype=torch.float64)
    radii = 3 + 9 * torch.rand(count, 1, generator=generator, dtype=torch.float64)
    return directions / torch.linalg.vector_norm(directions, dim=1, keepdim=True) * radii


def labels(count: int = 20) -> Tensor:
    return torch.arange(count) % CLASSES


def gradient_of(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> Tensor:
    leaf = logits.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf, target), leaf)[0]


def plain(logits: Tensor, target: Tensor) -> Tensor:
    return cross_entropy(logits, target, reduction="sum")


def with_partial_norm(logits: Tensor, target: Tensor) -> Tensor:
    return cross_entropy(partial_norm(logits, DELTA), target, reduction="sum")


def evaluate(builder: Callable[..., object], logits: Tensor, target: Tensor, *, delta: bool = False) -> Tensor:
    """Evaluate a symbolic function of (z, y[, delta]) at each row."""
    extra = (sp.Float(DELTA, 17),) if delta else ()
    functions = [symbolic.as_function(Z, builder(Z, y, *extra)) for y in range(CLASSES)]
    values = [functions[int(y)](*row) for row, y in zip(logits.tolist(), target.tolist(), strict=True)]
    return torch.tensor(values, dtype=torch.float64)


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


class TestObjects:
    def test_softmax_loss_and_entropy(self) -> None:
        z = rows()
        probability = symbolic.as_function(Z, symbolic.softmax(Z))
        probs = torch.tensor([probability(*row) for row in z.tolist()], dtype=torch.float64)
        close(probs, torch.softmax(z, 1))
        close(evaluate(symbolic.cross_entropy, z, labels()), cross_entropy(z, labels(), reduction="none"))
        close(evaluate(lambda s, y: symbolic.entropy(s), z, labels()), entropy(torch.softmax(z, 1)))

    def test_lengths(self) -> None:
        z = rows()
        close(evaluate(lambda s, y: symbolic.length(s), z, labels()), output_length(z))
        close(evaluate(lambda s, y: symbolic.length(symbolic.centred(s)), z, labels()), output_length(z, centred=True))

    def test_predictive_moments(self) -> None:
        z = rows()
        p = torch.softmax(z, 1)
        mean = (p * z).sum(1)
        close(evaluate(lambda s, y: symbolic.predictive_mean(s), z, labels()), mean)
        close(
            evaluate(lambda s, y: symbolic.predictive_variance(s), z, labels()),
            (p * (z - mean[:, None]) ** 2).sum(1),
        )

    def test_at_least_two_classes(self) -> None:
        with pytest.raises(ValueError, match="num_classes must be >= 2"):
            symbolic.logits(1)


class TestBlowUp:
    def test_gradient_is_prediction_minus_label(self) -> None:
        by_hand = symbolic.softmax_gradient(Z, 1)
        derived = symbolic.gradient(symbolic.cross_entropy(Z, 1), Z)
        assert symbolic.vanishes([a - b for a, b in zip(derived, by_hand, strict=True)])
        close(evaluate(symbolic.softmax_gradient, rows(), labels()), gradient_of(plain, rows(), labels()))

    @pytest.mark.parametrize("form", [symbolic.radial_derivative, symbolic.loss_minus_entropy, symbolic.eq4_corrected])
    def test_radial_derivative_in_three_forms(self, form: Callable[..., object]) -> None:
        z, y = rows(), labels()
        g = gradient_of(plain, z, y)
        close(evaluate(form, z, y), (g * z).sum(1) / output_length(z))

    def test_the_three_forms_are_one_identity(self) -> None:
        for y in range(CLASSES):
            derived = symbolic.radial_derivative(Z, y)
            assert symbolic.vanishes(derived - symbolic.loss_minus_entropy(Z, y))
            assert symbolic.vanishes(derived - symbolic.eq4_corrected(Z, y))

    def test_radial_part_of_split_radial(self) -> None:
        z, y = rows(), labels()
        radial, tangential = split_radial(z, gradient_of(plain, z, y))
        close(radial, evaluate(symbolic.radial_derivative, z, y)[:, None] * z / output_length(z)[:, None])
        close((tangential * z).sum(1), torch.zeros(len(z), dtype=torch.float64))

    @pytest.mark.parametrize("free_index", range(CLASSES))
    def test_eq4_as_printed_differs(self, free_index: int) -> None:
        z, y = rows(), rows().argmax(1)
        printed = evaluate(lambda s, m: symbolic.eq4_as_printed(s, m, free_index), z, y)
        assert (printed - evaluate(symbolic.eq4_corrected, z, y)).abs().min() > 1e-6

    def test_lemma_holds_for_correct_samples_and_fails_beyond_the_boundary(self) -> None:
        z = rows(200)
        correct = evaluate(symbolic.radial_derivative, z, z.argmax(1))
        assert (correct < 0).all()
        z2 = symbolic.logits(2)
        wrong = symbolic.as_function(z2, symbolic.radial_derivative(z2, 1))(2.5, 1.2)
        assert wrong == pytest.approx(0.3684, abs=5e-5)
        wrong_yet_growing = symbolic.as_function(Z, symbolic.radial_derivative(Z, 1))(1.0, 0.9, -1.0)
        assert wrong_yet_growing * math.sqrt(2.81) == pytest.approx(-0.077, abs=5e-4)
        assert symbolic.as_function(Z, symbolic.radial_derivative(Z, 0))(2.0, 2.0, 2.0) == pytest.approx(0, abs=1e-15)

    def test_loss_is_convex_along_the_ray(self) -> None:
        assert symbolic.vanishes(symbolic.second_derivative_along_the_ray(Z, 0) - symbolic.predictive_variance(Z))
        z, y = rows(5), labels(5)
        for row, label, expected in zip(z, y, evaluate(symbolic.second_derivative_along_the_ray, z, y), strict=True):
            scaled = lambda s, row=row, label=label: cross_entropy(s * row, label)  # noqa: E731
            second = torch.func.grad(torch.func.grad(scaled))(torch.tensor(1.0, dtype=torch.float64))
            close(second, expected)


class TestPartialNorm:
    def test_values_inside_and_outside(self) -> None:
        z = torch.cat([rows(10), rows(10) / 20])
        found = evaluate(lambda s, y, d: symbolic.partial_norm(s, d), z, labels(), delta=True)
        close(found, partial_norm(z, DELTA))

    def test_jacobian_is_the_shrunken_projection(self) -> None:
        assert symbolic.vanishes(symbolic.jacobian_outside(Z) - symbolic.jacobian_outside_closed_form(Z))
        z = rows(5)
        closed = symbolic.as_function(Z, symbolic.jacobian_outside_closed_form(Z, sp.Float(DELTA, 17)))
        for row in z:
            found = torch.func.jacrev(lambda v: partial_norm(v, DELTA))(row)
            close(found, torch.tensor(closed(*row.tolist()), dtype=torch.float64))

    def test_it_is_the_nearest_point_of_the_ball(self) -> None:
        z = rows(10)
        distance = symbolic.as_function(
            Z, symbolic.squared_distance(symbolic.partial_norm_outside(Z, sp.Float(DELTA)), Z)
        )
        inside = rows(500, seed=1)
        inside = inside / output_length(inside)[:, None] * DELTA * torch.linspace(0, 1, 500).double()[:, None]
        for row in z:
            assert distance(*row.tolist()) <= ((inside - row) ** 2).sum(1).min() + 1e-12

    def test_radial_derivative_is_zero_outside(self) -> None:
        assert symbolic.vanishes(symbolic.radial_derivative_outside(Z, 0))
        g = gradient_of(with_partial_norm, rows(), labels())
        assert (g * rows()).sum(1).abs().max() < 1e-14

    def test_eq8_corrected_is_the_gradient(self) -> None:
        derived = symbolic.gradient_outside(Z, 2)
        assert symbolic.vanishes([a - b for a, b in zip(derived, symbolic.eq8_corrected(Z, 2), strict=True)])
        close(
            evaluate(symbolic.eq8_corrected, rows(), labels(), delta=True),
            gradient_of(with_partial_norm, rows(), labels()),
        )

    @pytest.mark.parametrize("reading", ["product", "nested", "sum"])
    @pytest.mark.parametrize("m", range(CLASSES))
    def test_eq8_as_printed_is_not_the_gradient_in_any_reading(self, reading: str, m: int) -> None:
        z = rows()
        function = symbolic.as_function(Z, symbolic.eq8_as_printed(Z, m, sp.Float(DELTA), reading))
        printed = torch.tensor([function(*row) for row in z.tolist()], dtype=torch.float64)
        for y in range(CLASSES):
            truth = gradient_of(with_partial_norm, z, torch.full((len(z),), y))
            assert (printed - truth).norm(dim=1).min() > 1e-4
        assert (printed * z).sum(1).abs().max() > 1e-3, "the true gradient is orthogonal to z"

    def test_eq8_worked_numbers(self) -> None:
        z = symbolic.logits(2)
        true = symbolic.as_function(z, symbolic.eq8_corrected(z, 0, sp.Integer(1)))(2.5, 1.2)
        printed = symbolic.as_function(z, symbolic.eq8_as_printed(z, 0, sp.Integer(1)))(2.5, 1.2)
        assert true == pytest.approx((-0.0801, 0.1670), abs=5e-5)
        assert printed == pytest.approx((-0.1023, -0.2085), abs=5e-5)

    def test_unknown_reading(self) -> None:
        with pytest.raises(ValueError, match="reading must be"):
            symbolic.eq8_as_printed(Z, 0, reading="loud")

    def test_gradient_shrinks_as_one_over_length(self) -> None:
        assert symbolic.vanishes(symbolic.homogeneity_defect(Z, 0))
        z, y = rows(), labels()
        close(gradient_of(with_partial_norm, 4 * z, y) * 4, gradient_of(with_partial_norm, z, y))

    def test_a_step_lengthens_the_logits(self) -> None:
        rate = sp.Symbol("h", positive=True)
        z = symbolic.logits(2)
        g = symbolic.gradient_outside(z, 0)
        assert symbolic.vanishes(
            symbolic.squared_length_after_step(z, 0, rate) - symbolic.length(z) ** 2 - rate**2 * symbolic.dot(g, g)
        )
        rows_, y = rows(), labels()
        stepped = rows_ - 0.3 * gradient_of(with_partial_norm, rows_, y)
        expected = evaluate(
            lambda s, k, d: symbolic.squared_length_after_step(s, k, sp.Float(0.3, 17), d), rows_, y, delta=True
        )
        close((stepped**2).sum(1), expected)

    def test_the_sum_of_the_logits_drifts(self) -> None:
        z, y = rows(), labels()
        drift = evaluate(symbolic.drift_of_the_sum, z, y, delta=True)
        close(drift, gradient_of(with_partial_norm, z, y).sum(1))
        assert drift.abs().max() > 1e-3
        assert gradient_of(plain, z, y).sum(1).abs().max() < 1e-14


class TestFloorAndTrap:
    @pytest.mark.parametrize("num_classes", [2, 3, 10, 100])
    def test_floor_of_the_loss(self, num_classes: int) -> None:
        axis = torch.tensor([float(v) for v in symbolic.class_axis_point(num_classes, 0, sp.Integer(3))]).double()
        target = torch.tensor(0)
        assert float(output_length(axis)) == pytest.approx(3, rel=1e-6)
        floor = float(symbolic.loss_floor(num_classes, sp.Integer(3)))
        assert float(cross_entropy(axis, target)) == pytest.approx(floor, rel=1e-6)
        assert math.exp(-floor) == pytest.approx(float(confidence_ceiling(num_classes, threshold=3.0)), rel=1e-9)
        generator = torch.Generator().manual_seed(0)
        others = torch.randn(2000, num_classes, generator=generator, dtype=torch.float64)
        losses = cross_entropy(partial_norm(100 * others, 3.0), target.expand(2000), reduction="none")
        assert floor - 1e-12 <= losses.min()
        opposite = float(symbolic.loss_at_antipode(num_classes, sp.Integer(3)))
        assert float(cross_entropy(-axis, target)) == pytest.approx(opposite, rel=1e-6)
        if num_classes == 2:
            assert losses.max() <= opposite + 1e-12

    @pytest.mark.parametrize("num_classes", [3, 5, 10])
    def test_opposite_the_class_is_a_maximum_or_a_saddle(self, num_classes: int) -> None:
        turning_point = math.sqrt(num_classes * (num_classes - 1))
        for factor, saddle in ((0.95, False), (1.05, True)):
            radius = factor * turning_point
            axis = torch.tensor([float(v) for v in symbolic.class_axis_point(num_classes, 0, sp.Integer(1))]).double()
            hessian = torch.func.hessian(lambda z, r=radius: cross_entropy(partial_norm(z, r), torch.tensor(0)))(
                -2 * radius * axis
            )
            assert (torch.linalg.eigvalsh(hessian).max() > 1e-9) == saddle

    def test_the_gradient_is_zero_in_the_trap(self) -> None:
        z = torch.tensor([[5.0, -5.0]], dtype=torch.float64)
        target = torch.tensor([1])
        assert float(with_partial_norm(z, target)) == pytest.approx(2.886, abs=5e-4)
        assert gradient_of(with_partial_norm, z, target).abs().max() < 1e-15


class TestAppendix:
    def test_slope_in_a_common_factor_is_mean_loss_minus_mean_entropy(self) -> None:
        z, y = rows(), labels()
        for s in (0.1, 0.5, 2.0):
            factor = torch.tensor(s, dtype=torch.float64, requires_grad=True)
            loss = cross_entropy(factor * z, y)
            (slope,) = torch.autograd.grad(loss, factor)
            close(s * slope, loss.detach() - entropy(torch.softmax(s * z, 1)).mean())

    def test_the_partial_norm_never_lengthens_distances(self) -> None:
        z = torch.cat([rows(200, seed=1), rows(200, seed=2) / 6])
        other = z[torch.randperm(len(z), generator=torch.Generator().manual_seed(3))]
        moved = output_length(partial_norm(z, DELTA) - partial_norm(other, DELTA))
        assert (moved <= output_length(z - other) + 1e-12).all()
        assert (moved < 0.9 * output_length(z - other)).any(), "the map is not the identity"

    def test_bound_on_the_gradient_behind_the_ball(self) -> None:
        z, y = rows(500), labels(500)
        p = torch.softmax(partial_norm(z, DELTA), 1).gather(1, y[:, None])[:, 0]
        bound = math.sqrt(2) * (1 - p) * DELTA / output_length(z)
        assert (output_length(gradient_of(with_partial_norm, z, y)) <= bound + 1e-12).all()

    def test_two_classes_in_one_angle(self) -> None:
        y = torch.tensor([0])
        for angle in (0.3, 1.5, 3.0):
            # the class axis of two classes is (1, −1)/√2; the direction of growing angle is across it
            along = torch.tensor([1.0, -1.0], dtype=torch.float64) / math.sqrt(2)
            across = torch.tensor([1.0, 1.0], dtype=torch.float64) / math.sqrt(2)
            z = 5 * (math.cos(angle) * along + math.sin(angle) * across)
            turn = -math.sin(angle) * along + math.cos(angle) * across
            found = -(gradient_of(with_partial_norm, z[None], y)[0] @ turn) / 5
            pull = torch.sigmoid(torch.tensor(-math.sqrt(2) * DELTA * math.cos(angle), dtype=torch.float64))
            close(found, -math.sqrt(2) * DELTA * math.sin(angle) * pull / 25)

    @staticmethod
    def angle_to_the_trap(delta: float, start: float, *, mean: float = 0.0, steps: int = 300) -> float:
        """Angle in degrees to the point opposite class 0 of three, after descent from ``start`` degrees beside it."""
        opposite = torch.tensor([-2.0, 1.0, 1.0], dtype=torch.float64) / math.sqrt(6)
        beside = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64) / math.sqrt(2)
        radians = math.radians(start)
        z = 6 * (math.cos(radians) * opposite + math.sin(radians) * beside)[None] + mean
        for _ in range(steps):
            leaf = z.clone().requires_grad_()
            (g,) = torch.autograd.grad(cross_entropy(partial_norm(leaf, delta), torch.tensor([0])), leaf)
            z = z - 0.2 * g
        return math.degrees(math.acos(min(1.0, float(z[0] @ opposite / output_length(z)[0]))))

    def test_the_point_opposite_the_class_attracts_logits_with_mean_zero(self) -> None:
        assert self.angle_to_the_trap(4.0, 10.0) < 0.1, "δ is above √6: drawn in"
        assert self.angle_to_the_trap(4.0, 40.0) > 90, "but not from afar"
        assert self.angle_to_the_trap(4.0, 10.0, mean=0.5) > 90, "nor with another mean"
        assert self.angle_to_the_trap(2.0, 10.0) > 20, "δ is below √6: pushed out"

    def test_the_centred_length_grows_behind_the_ball(self) -> None:
        z, y = torch.tensor([[12.0, 10.0]], dtype=torch.float64), torch.tensor([0])
        start, centred = float(output_length(z)[0]), float(output_length(z, centred=True)[0])
        for _ in range(5000):
            z = z - 0.5 * gradient_of(with_partial_norm, z, y)
        assert float(output_length(z)[0]) < 1.001 * start
        assert float(output_length(z, centred=True)[0]) > 10 * centred


class TestStability:
    def test_gradient_by_sympy_and_autograd(self) -> None:
        ell = symbolic.lengths(4)
        derived = symbolic.gradient(symbolic.stability(ell), ell)
        closed = symbolic.stability_gradient_closed_form(ell)
        assert symbolic.vanishes([a - b for a, b in zip(derived, closed, strict=True)])
        z = rows(4)
        leaf = z.clone().requires_grad_()
        value = length_stability(leaf)
        values = output_length(z).tolist()
        assert float(value.detach()) == pytest.approx(symbolic.as_function(ell, symbolic.stability(ell))(*values))
        slopes = torch.tensor(symbolic.as_function(ell, closed)(*values), dtype=torch.float64)
        found = torch.autograd.grad(value, leaf)[0]
        close(found, slopes[:, None] * z / output_length(z)[:, None])

    def test_total_norm_is_one_over_root_of_the_batch(self) -> None:
        for batch in (2, 5):
            ell = symbolic.lengths(batch)
            slopes = symbolic.as_function(ell, symbolic.stability_gradient_closed_form(ell))
            for spread in (1e-3, 1.0, 50.0):
                values = slopes(*[10 + spread * index for index in range(batch)])
                assert math.sqrt(sum(v * v for v in values)) == pytest.approx(1 / math.sqrt(batch), rel=1e-6)


def test_compact_changes_no_value() -> None:
    z = symbolic.logits(2)
    expression = symbolic.radial_derivative(z, 0)
    short = symbolic.compact(expression, z)
    names = sorted(short.free_symbols - set(z), key=str)
    assert {str(name) for name in names} == {"p_{1}", "p_{2}", r"\lVert z\rVert"}
    p = symbolic.as_function(z, symbolic.softmax(z))(2.5, 1.2)
    by_name = {"p_{1}": p[0], "p_{2}": p[1], r"\lVert z\rVert": math.hypot(2.5, 1.2)}
    values = {z[0]: 2.5, z[1]: 1.2, **{name: by_name[str(name)] for name in names}}
    assert float(short.subs(values)) == pytest.approx(symbolic.as_function(z, expression)(2.5, 1.2))


def test_vanishes_tells_zero_from_not_zero() -> None:
    z = symbolic.logits(2)
    assert symbolic.vanishes(sp.exp(z[0]) ** 2 - sp.exp(2 * z[0]))
    assert not symbolic.vanishes(sp.exp(z[0]) - sp.exp(z[1]))
    assert not symbolic.vanishes([0, z[0]])
