"""Partial output norm: the projection onto the ball, and the penalty on how much lengths differ."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import hessian, jacfwd, jacrev
from torch.nn import functional as F

from companion import LengthStability, PartialNorm, length_stability, partial_norm

INF = float("inf")


def rows(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Random logits of lengths on both sides of 2."""
    return 2 * torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def gradient(logits: list[float], target: int, threshold: float) -> torch.Tensor:
    """The gradient of the cross-entropy of one sample behind partial_norm, float64."""
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    F.cross_entropy(partial_norm(z, threshold), torch.tensor(target)).backward()
    return z.grad


def loss(logits: list[float], target: int, threshold: float) -> float:
    z = torch.tensor(logits, dtype=torch.float64)
    return F.cross_entropy(partial_norm(z, threshold), torch.tensor(target)).item()


class TestPartialNormValue:
    def test_formula_row_by_row(self):
        z = rows(20, 3)
        result = partial_norm(z, 2.0)
        lengths = [math.sqrt(sum(x * x for x in row)) for row in z.tolist()]
        assert min(lengths) < 2 < max(lengths)
        for row, length, answer in zip(z.tolist(), lengths, result.tolist(), strict=True):
            factor = 1 if length <= 2 else 2 / length
            assert answer == pytest.approx([factor * x for x in row], rel=1e-15, abs=0)

    def test_class_axis_is_1_with_extra_dimensions_and_0_alone(self):
        z = rows(4, 3, 5, 2)
        flat = z.movedim(1, -1).reshape(-1, 3)
        expected = partial_norm(flat, 1.0).reshape(4, 5, 2, 3).movedim(-1, 1)
        torch.testing.assert_close(partial_norm(z, 1.0), expected)
        torch.testing.assert_close(partial_norm(flat[0], 1.0), partial_norm(flat, 1.0)[0])

    def test_infinite_threshold_returns_its_input(self):
        z = rows(2, 3)
        assert partial_norm(z, INF) is z

    def test_input_is_not_changed(self):
        z = rows(4, 3)
        before = z.clone()
        partial_norm(z, 0.5)
        assert torch.equal(z, before)

    def test_it_projects_and_never_stretches(self):
        z, w = rows(50, 4, seed=1), rows(50, 4, seed=2)
        assert torch.linalg.vector_norm(partial_norm(z, 1.5), dim=1).max() <= 1.5 + 1e-12
        before, after = (z - w).norm(dim=1), (partial_norm(z, 1.5) - partial_norm(w, 1.5)).norm(dim=1)
        assert (after <= before + 1e-12).all()  # 1-Lipschitz

    def test_not_invariant_to_a_common_shift(self):
        near, far = partial_norm(torch.tensor([[2.0, 0.0], [12.0, 10.0]], dtype=torch.float64), 2.0)
        assert (near[0] - near[1]).item() == pytest.approx(2)
        assert (far[0] - far[1]).item() == pytest.approx(0.256, abs=5e-4)


class TestPartialNormGradient:
    @pytest.mark.parametrize("z", [[0.0, 0.0], [0.3, -0.4], [3.0, 4.0]], ids=["zero", "inside", "on the boundary"])
    def test_jacobian_is_the_identity_inside_and_on_the_boundary(self, z):
        jacobian = torch.func.jacrev(lambda t: partial_norm(t, 5.0))(torch.tensor(z))
        assert torch.equal(jacobian, torch.eye(2))

    def test_jacobian_outside(self):
        z = torch.tensor([3.0, -4.0, 12.0], dtype=torch.float64)  # length 13
        unit = z / 13
        expected = 2 / 13 * (torch.eye(3, dtype=torch.float64) - torch.outer(unit, unit))
        torch.testing.assert_close(torch.func.jacrev(lambda t: partial_norm(t, 2.0))(z), expected)

    def test_radial_derivative_is_zero_outside_and_loss_minus_entropy_inside(self):
        z = rows(40, 5).requires_grad_()
        y = torch.arange(40) % 5
        F.cross_entropy(partial_norm(z, 3.5), y, reduction="sum").backward()
        radial = (z * z.grad).sum(1)
        outside = z.norm(dim=1) > 3.5
        assert outside.any()
        assert not outside.all()
        assert radial[outside].abs().max() < 1e-13
        p = torch.softmax(z, 1)
        excess = F.cross_entropy(z, y, reduction="none") + (p * p.log()).sum(1)
        torch.testing.assert_close(radial[~outside], excess[~outside])

    def test_paper_equation_6_one_sided_slopes_at_the_kink(self):
        z, h = torch.tensor([1.2, 1.6], dtype=torch.float64), 1e-6  # length 2 = δ
        at = [loss((s * z).tolist(), 0, 2.0) for s in (1 - h, 1.0, 1 + h)]
        p = torch.softmax(z, 0)
        excess = (-p[0].log() + (p * p.log()).sum()).item()
        assert (at[1] - at[0]) / (2 * h) == pytest.approx(excess / 2, rel=1e-5)
        assert at[2] == pytest.approx(at[1], abs=1e-15)

    def test_lemma_3_2_gradient_scales_with_one_over_length_outside_only(self):
        near, far = gradient([2.5, 1.2], 0, 1.0), gradient([5.0, 2.4], 0, 1.0)
        torch.testing.assert_close(far, near / 2)
        inside = gradient([0.5, 0.2], 0, 3.0), gradient([1.0, 0.4], 0, 3.0)
        assert inside[0].tolist() == pytest.approx([-0.4256, 0.4256], abs=5e-5)
        assert inside[1].tolist() == pytest.approx([-0.3543, 0.3543], abs=5e-5)

    def test_equation_8_in_its_corrected_form(self):
        x, target, threshold = torch.tensor([2.5, 1.2], dtype=torch.float64), 0, 1.0
        unit = x / x.norm()
        difference = torch.softmax(threshold * unit, 0) - torch.eye(2, dtype=torch.float64)[target]
        expected = threshold / x.norm() * (difference - unit * (unit @ difference))
        result = gradient(x.tolist(), target, threshold)
        torch.testing.assert_close(result, expected)
        assert result.tolist() == pytest.approx([-0.0801, 0.1670], abs=5e-5)

    def test_floor_of_the_loss_on_the_ray_towards_the_class(self):
        printed = {(10, 1): 1.420, (10, 3): 0.323, (10, 5): 0.045, (100, 3): 1.767, (100, 5): 0.501, (1000, 10): 0.044}
        for (n, threshold), value in printed.items():
            ray = (100 * (torch.eye(n, dtype=torch.float64)[0] - 1 / n)).tolist()
            floor = math.log(1 + (n - 1) * math.exp(-threshold * math.sqrt(n / (n - 1))))
            assert loss(ray, 0, threshold) == pytest.approx(floor, rel=1e-9)
            assert floor == pytest.approx(value, abs=6e-4)
            assert gradient(ray, 0, threshold).abs().max() < 1e-15

    def test_trap_on_the_opposite_ray(self):
        assert loss([5.0, -5.0], 1, 2.0) == pytest.approx(2.886, abs=5e-4)
        assert gradient([5.0, -5.0], 1, 2.0).abs().max() < 1e-15
        assert gradient([4.9, -5.0], 1, 2.0).abs().max() > 1e-4  # beside the ray there is a way out, a slow one

    def test_a_step_of_gradient_descent_still_lengthens_by_pythagoras(self):
        x, g = torch.tensor([4.0, 2.0], dtype=torch.float64), gradient([4.0, 2.0], 1, 2.0)
        after = (x - 0.5 * g).square().sum()
        torch.testing.assert_close(after, x.square().sum() + 0.25 * g.square().sum())

    def test_the_mean_logit_drifts(self):
        x, g = torch.tensor([2.5, 1.2], dtype=torch.float64), gradient([2.5, 1.2], 1, 2.0)
        unit = x / x.norm()
        difference = torch.softmax(2 * unit, 0) - torch.tensor([0.0, 1.0], dtype=torch.float64)
        expected = -2 / x.norm() * unit.sum() * (unit @ difference)
        assert abs(expected) > 0.01
        torch.testing.assert_close(g.sum(), expected)

    def test_flow_shrinks_before_it_grows(self):
        x, step = torch.tensor([2.5, 1.2], dtype=torch.float64), 0.1
        lengths = [x.norm().item()]
        for _ in range(400):  # Runge–Kutta on dx/dt = −gradient, to t = 40; the ball of radius 10 is never left
            k1 = -gradient(x.tolist(), 1, 10.0)
            k2 = -gradient((x + step / 2 * k1).tolist(), 1, 10.0)
            x = x + step * k2
            lengths.append(x.norm().item())
        assert lengths[0] == pytest.approx(2.773, abs=5e-4)
        assert min(lengths) == pytest.approx(2.616, abs=5e-4)
        assert lengths[-1] == pytest.approx(4.02, abs=5e-3)

    @pytest.mark.parametrize("shape", [(6, 5), (5,), (2, 3, 4)])
    def test_gradcheck(self, shape):
        z = rows(*shape).requires_grad_()
        for threshold in (2.0, torch.tensor(2.0, dtype=torch.float64)):
            assert gradcheck(lambda t, d=threshold: partial_norm(t, d), z, check_forward_ad=True)
            assert gradgradcheck(lambda t, d=threshold: partial_norm(t, d), z)

    def test_closed_form_is_what_differentiating_the_formula_gives_up_to_the_third_order(self):
        def formula(t):
            length = t.square().sum(1, keepdim=True).sqrt()
            return torch.where(length > 2, 2 * t / length, t)

        z = rows(4, 2)
        assert z.norm(dim=1).min() < 2 < z.norm(dim=1).max()
        for derivative in (jacrev, jacfwd, hessian, lambda f: jacrev(hessian(f)), lambda f: hessian(jacrev(f))):
            ours = derivative(lambda t: partial_norm(t, 2.0).exp().sum())(z)
            torch.testing.assert_close(ours, derivative(lambda t: formula(t).exp().sum())(z))

    def test_gradients_of_runs_with_their_own_thresholds(self):
        def loss(t, threshold):
            return partial_norm(t, threshold).exp().sum()

        z, thresholds = rows(6, 3), torch.tensor([0.5, 2.0, INF], dtype=torch.float64)
        for derivative in (torch.func.grad, hessian):
            together = torch.func.vmap(derivative(loss), in_dims=(None, 0))(z, thresholds)
            alone = torch.stack([derivative(loss)(z, threshold) for threshold in thresholds.tolist()])
            torch.testing.assert_close(together, alone)


class TestPartialNormEverywhere:
    @pytest.mark.parametrize(
        ("size", "dtype"),
        [(1e200, torch.float64), (1e-200, torch.float64), (1e30, torch.float32), (1e4, torch.float32)],
    )
    def test_extreme_lengths(self, size, dtype):
        z = torch.tensor([[3.0, 4.0]], dtype=dtype) * size
        threshold = size if size < 1 else 1.0
        z.requires_grad_()
        result = partial_norm(z, threshold)
        torch.testing.assert_close(result, torch.tensor([[0.6, 0.8]], dtype=dtype) * threshold, rtol=1e-6, atol=0)
        (gradient,) = torch.autograd.grad(result[0, 0], z)
        expected = torch.tensor([[0.64, -0.48]], dtype=dtype) / (5 * size / threshold)
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=0)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_rows_of_every_length_side_by_side(self, dtype):
        largest = 1e160 if dtype == torch.float64 else 1e20  # whose square is too large
        lengths = torch.tensor([0.0, 1 / largest, 1.0, 2.0, 3.0, 1e4, largest], dtype=dtype)
        z = (lengths[:, None] * torch.tensor([0.6, 0.8], dtype=dtype)).requires_grad_()
        for threshold in (2.0, torch.tensor(2.0)):
            result = partial_norm(z, threshold)
            expected = lengths.clamp_max(2)[:, None] * torch.tensor([0.6, 0.8], dtype=dtype)
            torch.testing.assert_close(result, expected, atol=0, rtol=4 * torch.finfo(dtype).eps)
            (gradient,) = torch.autograd.grad(result[:, 0].sum(), z)
            inside = (lengths <= 2)[:, None]
            tangential = 2 / lengths.clamp_min(1)[:, None] * torch.tensor([0.64, -0.48], dtype=dtype)
            expected = torch.where(inside, torch.tensor([1.0, 0.0], dtype=dtype), tangential)
            torch.testing.assert_close(gradient, expected, atol=0, rtol=1e-5)

    @pytest.mark.parametrize("value", [0.0, 1e4, -1e4])
    def test_equal_logits_give_finite_value_and_gradient(self, value):
        z = torch.full((2, 3), value, requires_grad=True)
        result = partial_norm(z, 1.0)
        result.sum().backward()
        assert result.isfinite().all()
        assert z.grad.isfinite().all()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_types_compute_in_float32_and_answer_in_their_own(self, dtype):
        z = torch.full((1, 100), 1e4, dtype=dtype, requires_grad=True)
        result = partial_norm(z, 2.0)
        result.sum().backward()
        assert result.dtype == dtype
        assert torch.equal(result, torch.full((1, 100), 0.2).to(dtype))
        many = rows(50, 10).to(dtype)
        assert torch.equal(partial_norm(many, 0.7), partial_norm(many.float(), 0.7).to(dtype))
        assert z.grad.isfinite().all()

    def test_autocast_leaves_float32_alone(self):
        z = rows(4, 3, dtype=torch.float32)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = partial_norm(z, 1.0), length_stability(z)
        torch.testing.assert_close(inside, (partial_norm(z, 1.0), length_stability(z)), rtol=0, atol=0)

    def test_nan_stays_in_its_row(self):
        z = torch.tensor([[float("nan"), 1.0], [3.0, 4.0]])
        result = partial_norm(z, 1.0)
        assert result[0].isnan().any()
        torch.testing.assert_close(result[1], torch.tensor([0.6, 0.8]))

    def test_empty_batch(self):
        assert partial_norm(torch.zeros(0, 3), 1.0).shape == (0, 3)

    def test_torch_func(self):
        z = rows(6, 3)
        torch.testing.assert_close(torch.func.vmap(lambda r: partial_norm(r, 2.0))(z), partial_norm(z, 2.0))
        hessian = torch.func.vmap(torch.func.hessian(lambda r: partial_norm(r, 2.0).exp().sum()))(z)
        expected = torch.stack(
            [torch.autograd.functional.hessian(lambda r: partial_norm(r, 2.0).exp().sum(), r) for r in z]
        )
        torch.testing.assert_close(hessian, expected)

    def test_thresholds_as_tensors_train_together(self):
        z, thresholds = rows(6, 3), torch.tensor([0.5, 2.0, INF], dtype=torch.float64)
        stacked = torch.func.vmap(partial_norm, in_dims=(None, 0))(z, thresholds)
        for result, threshold in zip(stacked, thresholds.tolist(), strict=True):
            torch.testing.assert_close(result, partial_norm(z, threshold))

    def test_a_tensor_threshold_is_detached_and_may_be_infinite(self):
        z = rows(6, 3).requires_grad_()
        threshold = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        partial_norm(z, threshold).sum().backward()
        assert threshold.grad is None
        z.grad = None
        partial_norm(z, torch.tensor(INF)).sum().backward()
        assert torch.equal(z.grad, torch.ones_like(z))

    def test_captured_as_one_graph(self):
        z = rows(6, 3)

        def both(t):
            return partial_norm(t, 2.0).square().sum() + length_stability(t)

        compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
        expected = torch.func.grad_and_value(both)(z)
        z.requires_grad_()
        value = compiled(z)
        value.backward()
        torch.testing.assert_close((z.grad, value.detach()), expected)

    @pytest.mark.parametrize(
        ("logits", "threshold", "error", "message"),
        [
            (torch.zeros(2, 3), 0.0, ValueError, r"threshold must be > 0, got 0\.0"),
            (torch.zeros(2, 3), -1, ValueError, "threshold must be > 0, got -1"),
            (torch.zeros(2, 3), float("nan"), ValueError, "threshold must be > 0, got nan"),
            (torch.zeros(2, 3), "2", TypeError, "threshold must be a number, got '2'"),
            (torch.zeros(2, 3), torch.ones(2), TypeError, r"threshold must be a number or a 0-d tensor.*\(2,\)"),
            ([1.0], 1.0, TypeError, "logits must be a tensor, got list"),
            (torch.zeros(2, 3, dtype=torch.int64), 1.0, TypeError, "logits must have a floating-point dtype"),
            (torch.zeros(()), 1.0, ValueError, r"logits must have at least 1 dimension\(s\), got shape \(\)"),
            (torch.zeros(2, 0), 1.0, ValueError, r"logits must have at least one class on axis 1, got shape \(2, 0\)"),
        ],
    )
    def test_errors(self, logits, threshold, error, message):
        with pytest.raises(error, match=message):
            partial_norm(logits, threshold)

    def test_module(self):
        z = rows(6, 3)
        torch.testing.assert_close(PartialNorm(2.0)(z), partial_norm(z, 2.0), rtol=0, atol=0)
        assert repr(PartialNorm(2.5)) == "PartialNorm(threshold=2.5)"
        assert list(PartialNorm(torch.tensor(2.0)).state_dict()) == ["threshold"]  # moves and stacks with the module
        with pytest.raises(ValueError, match="threshold must be > 0"):
            PartialNorm(-1.0)


class TestLengthStability:
    def test_formula_with_the_population_deviation(self):
        z = rows(7, 3)
        lengths = [math.sqrt(sum(x * x for x in row)) for row in z.tolist()]
        mean = sum(lengths) / 7
        expected = math.sqrt(sum((length - mean) ** 2 for length in lengths) / 7)
        assert length_stability(z).item() == pytest.approx(expected, rel=1e-14)

    def test_gradient_is_radial_and_of_total_length_one_over_root_n(self):
        z = rows(7, 3).requires_grad_()
        value = length_stability(z)
        value.backward()
        lengths = z.detach().norm(dim=1, keepdim=True)
        expected = (lengths - lengths.mean()) / (7 * value.detach()) * z.detach() / lengths
        torch.testing.assert_close(z.grad, expected)
        assert z.grad.norm().item() == pytest.approx(1 / math.sqrt(7))

    def test_blind_to_a_common_change_of_length(self):
        z = rows(7, 3)
        lengths = z.norm(dim=1, keepdim=True)
        longer = z / lengths * (lengths + 3)
        torch.testing.assert_close(length_stability(longer), length_stability(z))

    @pytest.mark.parametrize(
        "z",
        [[[3.0, 4.0], [0.0, 5.0], [5.0, 0.0]], [[3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]], [[1e4, 1e4], [-1e4, 1e4]]],
        ids=["equal lengths", "one row", "zeros", "large"],
    )
    def test_zero_with_zero_gradient_where_lengths_agree(self, z):
        z = torch.tensor(z, requires_grad=True)
        value = length_stability(z)
        value.backward()
        assert value.item() == 0
        assert torch.equal(z.grad, torch.zeros_like(z))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("size", [1.0, 2.0**40])
    def test_agreement_means_four_eps_of_the_largest_length(self, dtype, size):
        eps = torch.finfo(dtype).eps
        for steps, zero in ((6, True), (12, False)):  # SD = 3 eps and 6 eps
            z = (torch.tensor([[1.0], [1 + steps * eps]], dtype=dtype) * size).requires_grad_()
            value = length_stability(z)
            value.backward()
            expected = torch.zeros(2, 1) if zero else torch.tensor([[-0.5], [0.5]])
            torch.testing.assert_close(z.grad, expected.to(dtype), rtol=0, atol=0.1)  # so close, all is rounding
            assert value.item() == (0 if zero else pytest.approx(6 * eps * size, rel=0.2))

    def test_empty_batch_is_zero(self):
        z = torch.zeros(0, 3, requires_grad=True)
        value = length_stability(z)
        value.backward()
        assert value.item() == 0
        assert z.grad.shape == (0, 3)

    def test_a_zero_row_gets_no_gradient(self):
        z = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
        value = length_stability(z)
        value.backward()
        assert value.item() == 2.5
        torch.testing.assert_close(z.grad, torch.tensor([[0.3, 0.4], [0.0, 0.0]]))

    @pytest.mark.parametrize(
        ("size", "dtype"), [(1e200, torch.float64), (1e-200, torch.float64), (1e30, torch.float32)]
    )
    def test_extreme_lengths(self, size, dtype):
        z = (torch.tensor([[3.0, 4.0], [0.0, 1.0]], dtype=dtype) * size).requires_grad_()
        value = length_stability(z)
        value.backward()
        assert value.item() == pytest.approx(2 * size, rel=1e-6)
        torch.testing.assert_close(z.grad, torch.tensor([[0.3, 0.4], [0.0, -0.5]], dtype=dtype))

    def test_nan_propagates(self):
        assert length_stability(torch.tensor([[float("nan"), 1.0], [3.0, 4.0]])).isnan()
        assert not length_stability(torch.tensor([[float("inf"), 1.0], [3.0, 4.0]])).isfinite()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_types_answer_in_float32(self, dtype):
        z = torch.stack([torch.full((100,), 1e4), torch.zeros(100)]).to(dtype)
        value = length_stability(z)
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(5e4, rel=1e-2)

    def test_gradcheck(self):
        z = rows(5, 3).requires_grad_()
        assert gradcheck(length_stability, z)
        assert gradgradcheck(length_stability, z)

    def test_torch_func(self):
        z = rows(4, 5, 3)
        torch.testing.assert_close(torch.func.vmap(length_stability)(z), torch.stack([length_stability(b) for b in z]))
        hessian = torch.func.hessian(length_stability)(z[0])
        torch.testing.assert_close(hessian, torch.autograd.functional.hessian(length_stability, z[0]))

    def test_every_vector_along_the_class_axis_is_a_row(self):
        z = rows(4, 3, 5)
        torch.testing.assert_close(length_stability(z), length_stability(z.movedim(1, -1).reshape(-1, 3)))

    def test_module_and_declaration(self):
        z = rows(5, 3)
        assert length_stability.on == LengthStability.on == "logits"
        assert torch.equal(LengthStability()(z), length_stability(z))
        with pytest.raises(TypeError, match="logits must be a tensor, got int"):
            length_stability(3)
