"""Geometry of logits and predictions, against plain sums, hand-computed examples and optimisation."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from companion import (
    confidence_ceiling,
    entropy,
    expected_calibration_error,
    fit_temperature,
    margin,
    output_length,
    partial_norm,
    reliability_bins,
    renyi_entropy,
    scalable_batch_norm,
    split_radial,
    stationary_threshold,
)

INF = float("inf")


def rows(*shape: int, seed: int = 0) -> torch.Tensor:
    return 2 * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def probabilities(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.softmax(rows(*shape, seed=seed), min(1, len(shape) - 1))


class TestLengths:
    def test_formula(self):
        z = rows(5, 3)
        for row, length, centred in zip(z.tolist(), output_length(z), output_length(z, centred=True), strict=True):
            mean = sum(row) / 3
            assert length.item() == pytest.approx(math.sqrt(sum(x * x for x in row)))
            assert centred.item() == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in row)))

    def test_only_the_centred_length_ignores_a_common_shift(self):
        z = rows(5, 3)
        torch.testing.assert_close(output_length(z + 7, centred=True), output_length(z, centred=True))
        assert not torch.allclose(output_length(z + 7), output_length(z))

    def test_axis(self):
        z = rows(4, 3, 5)
        torch.testing.assert_close(output_length(z), output_length(z.movedim(1, -1), dim=-1))
        torch.testing.assert_close(output_length(z, dim=0), output_length(z.movedim(0, 1)))
        torch.testing.assert_close(output_length(z[0, :, 0]), output_length(z)[0, 0])

    def test_extremes(self):
        z = torch.tensor([[3e200, 4e200], [0.0, 0.0], [3e-200, 4e-200]], dtype=torch.float64, requires_grad=True)
        length = output_length(z)
        torch.testing.assert_close(length, torch.tensor([5e200, 0, 5e-200], dtype=torch.float64), atol=0, rtol=1e-15)
        length.sum().backward()
        torch.testing.assert_close(z.grad, torch.tensor([[0.6, 0.8], [0, 0], [0.6, 0.8]], dtype=torch.float64))
        bad = output_length(torch.tensor([[float("nan"), 1.0], [INF, 1.0]]))
        assert bad[0].isnan()
        assert bad[1] == INF

    def test_gradcheck(self):
        z = rows(4, 3).requires_grad_()
        for centred in (False, True):
            assert gradcheck(lambda t, c=centred: output_length(t, c), z)
            assert gradgradcheck(lambda t, c=centred: output_length(t, c), z)


class TestSplitRadial:
    def test_parts_are_radial_orthogonal_and_complete(self):
        z, g = rows(5, 3), rows(5, 3, seed=1)
        radial, tangential = split_radial(z, g)
        torch.testing.assert_close(radial + tangential, g)
        assert (tangential * z).sum(1).abs().max() < 1e-14
        for row, gradient, part in zip(z.tolist(), g.tolist(), radial.tolist(), strict=True):
            ratio = sum(x * y for x, y in zip(row, gradient, strict=True)) / sum(x * x for x in row)
            assert part == pytest.approx([ratio * x for x in row])

    def test_figure_1_of_the_partial_norm_paper(self):
        z = torch.tensor([2.5, 1.2], dtype=torch.float64)
        p = torch.softmax(z, 0)
        for label, loss, gradient, slope in ((0, 0.2410, -0.2142, -0.1004), (1, 1.5410, 0.7858, 0.3684)):
            g = p - F.one_hot(torch.tensor(label), 2)
            radial, _ = split_radial(z, g)
            assert -p[label].log().item() == pytest.approx(loss, abs=5e-5)
            assert g[0].item() == pytest.approx(gradient, abs=5e-5)
            assert (radial @ z / z.norm()).item() == pytest.approx(slope, abs=5e-5)
        radial, tangential = split_radial(z, p - torch.tensor([1.0, 0.0]))
        assert radial.norm().item() == pytest.approx(0.1004, abs=5e-5)
        assert tangential.norm().item() == pytest.approx(0.2858, abs=5e-5)

    def test_radial_derivative_is_loss_minus_entropy(self):
        z, y = rows(20, 4), torch.arange(20) % 4
        p = torch.softmax(z, 1)
        radial, _ = split_radial(z, p - F.one_hot(y, 4))
        expected = (F.cross_entropy(z, y, reduction="none") - entropy(p)) / output_length(z)
        torch.testing.assert_close((radial * z).sum(1) / output_length(z), expected)

    def test_zero_vector_axis_and_gradcheck(self):
        g = torch.tensor([1.0, 2.0])
        radial, tangential = split_radial(torch.zeros(2), g)
        assert torch.equal(radial, torch.zeros(2))
        assert torch.equal(tangential, g)
        z, g = rows(4, 3, 5), rows(4, 3, 5, seed=1)
        moved = split_radial(z.movedim(1, -1), g.movedim(1, -1), dim=-1)
        torch.testing.assert_close(split_radial(z, g)[0].movedim(1, -1), moved[0])
        z, g = rows(2, 3).requires_grad_(), rows(2, 3, seed=1).requires_grad_()
        assert gradcheck(split_radial, (z, g))
        assert gradgradcheck(split_radial, (z, g))


class TestMargin:
    def test_formula_and_sign(self):
        z, y = rows(20, 4), torch.arange(20) % 4
        for row, label, value in zip(z.tolist(), y.tolist(), margin(z, y).tolist(), strict=True):
            assert value == pytest.approx(row[label] - max(x for c, x in enumerate(row) if c != label))
        assert torch.equal(margin(z, y) > 0, z.argmax(1) == y)

    def test_ties_masked_classes_and_axes(self):
        assert margin(torch.tensor([1.0, 1.0]), torch.tensor(0)).item() == 0
        assert margin(torch.tensor([1.0, -INF, 0.5]), torch.tensor(0)).item() == 0.5
        z, y = rows(4, 3, 5), torch.randint(3, (4, 5), generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(margin(z, y), margin(z.movedim(1, -1), y, dim=-1))
        assert margin(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)).shape == (0,)

    def test_gradcheck_and_vmap(self):
        z, y = rows(6, 3).requires_grad_(), torch.arange(6) % 3
        assert gradcheck(lambda t: margin(t, y), z)
        torch.testing.assert_close(torch.func.vmap(margin)(z, y), margin(z, y))


class TestEntropies:
    def test_shannon(self):
        p = probabilities(5, 4)
        expected = [-sum(x * math.log(x) for x in row) for row in p.tolist()]
        assert entropy(p).tolist() == pytest.approx(expected)
        assert entropy(torch.tensor([1.0, 0.0])).item() == 0
        torch.testing.assert_close(entropy(p.T, dim=0), entropy(p))

    @pytest.mark.parametrize("alpha", [0.3, 0.5, 0.85, 0.95, 0.999, 1.001, 1.05, 1.2, 2, 5])
    def test_renyi_formula(self, alpha):
        p = probabilities(5, 4)
        expected = [math.log(math.fsum(x**alpha for x in row)) / (1 - alpha) for row in p.tolist()]
        assert renyi_entropy(p, alpha).tolist() == pytest.approx(expected, rel=1e-9)

    def test_renyi_limits(self):
        p = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.1, 0.2, 0.3, 0.4]], dtype=torch.float64)
        torch.testing.assert_close(renyi_entropy(p, 0), torch.tensor([3.0, 4.0], dtype=torch.float64).log())
        torch.testing.assert_close(renyi_entropy(p, 1), entropy(p))
        torch.testing.assert_close(renyi_entropy(p, INF), -p.amax(1).log())
        torch.testing.assert_close(renyi_entropy(p, 1e-12), renyi_entropy(p, 0), rtol=1e-10, atol=0)
        for near in (1 - 1e-9, 1 + 1e-9):
            torch.testing.assert_close(renyi_entropy(p, near), entropy(p), rtol=1e-8, atol=0)
        torch.testing.assert_close(renyi_entropy(p, 1e6), renyi_entropy(p, INF), rtol=2e-5, atol=0)

    def test_renyi_is_continuous_where_the_computation_changes(self):
        p = torch.softmax(torch.linspace(-20, 5, 1000, dtype=torch.float64), 0)
        for edge in (0.9, 1.1):
            below, above = (renyi_entropy(p, edge + step) for step in (-1e-9, 1e-9))
            torch.testing.assert_close(below, above, rtol=1e-7, atol=0)

    def test_renyi_divides_by_the_sum(self):
        p = torch.tensor([0.6, 0.3], dtype=torch.float64)
        for alpha in (0.5, 0.95, 2.0):
            expected = math.log((0.6**alpha + 0.3**alpha) / 0.9) / (1 - alpha)
            assert renyi_entropy(p, alpha).item() == pytest.approx(expected)
        expected = -(0.6 * math.log(0.6) + 0.3 * math.log(0.3)) / 0.9
        assert renyi_entropy(p, 1).item() == pytest.approx(expected)

    @pytest.mark.parametrize("alpha", [0.0, 0.5, 0.95, 1.0, 1.05, 2.0, INF])
    def test_gradients_are_right_and_finite_with_zero_entries(self, alpha):
        p = probabilities(3, 4).requires_grad_()
        assert gradcheck(lambda t: renyi_entropy(t, alpha), p)
        assert gradgradcheck(lambda t: renyi_entropy(t, alpha), p)
        z = torch.tensor([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]], requires_grad=True)
        value = renyi_entropy(torch.softmax(z, 1), alpha) + entropy(torch.softmax(z, 1))
        value.sum().backward()
        assert value.isfinite().all()
        assert z.grad.isfinite().all()

    def test_orders_as_tensors(self):
        p = probabilities(5, 4)
        orders = torch.tensor([0.0, 0.5, 1.0, 1.05, 3.0, INF], dtype=torch.float64)
        stacked = torch.func.vmap(lambda a: renyi_entropy(p, a))(orders)
        for result, alpha in zip(stacked, orders.tolist(), strict=True):
            torch.testing.assert_close(result, renyi_entropy(p, alpha))

    def test_stationary_threshold(self):
        p = torch.tensor([0.9, 0.1], dtype=torch.float64)
        assert stationary_threshold(p, 0.5).item() == pytest.approx((0.9**0.5 + 0.1**0.5) ** -2)
        assert stationary_threshold(p, 0).item() == pytest.approx(0.5)
        assert stationary_threshold(p, 1).item() == pytest.approx(math.exp(-entropy(p).item()))
        assert stationary_threshold(p, INF).item() == pytest.approx(0.9)
        assert stationary_threshold(torch.tensor([0.5, 0.5, 0.0]), 0).item() == 0.5
        three = torch.tensor([0.5, 0.45, 0.05], dtype=torch.float64)
        assert stationary_threshold(three, 0.3).item() == pytest.approx(0.370, abs=5e-4)

    def test_stationary_threshold_rises_and_is_a_fixed_point_of_the_power_transform(self):
        p = probabilities(8, 5)
        orders = [0, 0.3, 0.7, 0.97, 1, 1.03, 2, 8, INF]
        levels = torch.stack([stationary_threshold(p, a) for a in orders])
        assert (levels.diff(dim=0) > 0).all()
        level = stationary_threshold(p, 0.3)
        power = p**0.3 / (p**0.3).sum(1, keepdim=True)
        torch.testing.assert_close(power, p**0.3 * level[:, None] ** 0.7)
        assert torch.equal(power > p, p < level[:, None])


class TestConfidenceCeiling:
    def test_formulas(self):
        gap = 3 * math.sqrt(10 / 9)
        assert confidence_ceiling(10, threshold=3) == pytest.approx(1 / (1 + 9 * math.exp(-gap)))
        gap = 0.9 * 10 / 3
        assert confidence_ceiling(10, scale=0.9) == pytest.approx(1 / (1 + 9 * math.exp(-gap)))
        assert confidence_ceiling(10, threshold=INF) == 1
        assert confidence_ceiling(1, threshold=2.0) == confidence_ceiling(1, scale=2.0) == 1
        tensor = confidence_ceiling(10, threshold=torch.tensor(3.0, dtype=torch.float64))
        assert tensor.item() == pytest.approx(confidence_ceiling(10, threshold=3))

    def test_printed_numbers(self):
        for num_classes, value in ((2, 0.881), (10, 0.757), (100, 0.9957)):
            assert confidence_ceiling(num_classes, scale=1) == pytest.approx(value, abs=5e-4)
        for num_classes, scale in ((2, 2.30), (10, 2.04), (100, 0.914), (200, 0.697), (361, 0.551), (1000, 0.364)):
            assert confidence_ceiling(num_classes, scale=scale) == pytest.approx(0.99, abs=2e-4)

    @pytest.mark.parametrize("num_classes", [2, 10, 1000])
    def test_the_two_agree_for_threshold_equal_to_scale_times_root_c(self, num_classes):
        ours = confidence_ceiling(num_classes, scale=0.8)
        assert confidence_ceiling(num_classes, threshold=0.8 * math.sqrt(num_classes)) == pytest.approx(ours, rel=1e-12)

    def test_partial_norm_attains_it_and_never_exceeds_it(self):
        ceiling = confidence_ceiling(4, threshold=1.5)
        loss = best_loss(torch.zeros(1, dtype=torch.int64), lambda z: partial_norm(z, 1.5), 4)
        assert math.exp(-loss) == pytest.approx(ceiling, rel=1e-7)
        random = torch.softmax(partial_norm(10 * rows(500, 4), 1.5), 1)
        assert random.max().item() <= ceiling

    def test_a_balanced_batch_attains_it_under_scalable_batch_norm(self):
        loss = best_loss(torch.arange(16) % 4, lambda z: scalable_batch_norm(z, 0.9, eps=0.0), 4)
        assert loss == pytest.approx(0.31872126, abs=1e-7)
        assert math.exp(-loss) == pytest.approx(confidence_ceiling(4, scale=0.9), rel=1e-7)

    def test_an_unbalanced_batch_stays_below_it(self):
        y = torch.tensor([0] * 9 + [1] * 4 + [2] * 2 + [3])
        loss = best_loss(y, lambda z: scalable_batch_norm(z, 0.9, eps=0.0), 4)
        assert loss > -math.log(confidence_ceiling(4, scale=0.9)) + 1e-3

    def test_errors(self):
        for arguments in ({}, {"threshold": 1.0, "scale": 1.0}):
            with pytest.raises(ValueError, match="exactly one of threshold and scale must be given"):
                confidence_ceiling(3, **arguments)
        with pytest.raises(ValueError, match="num_classes must be >= 1, got 0"):
            confidence_ceiling(0, scale=1.0)
        with pytest.raises(ValueError, match="threshold must be > 0"):
            confidence_ceiling(3, threshold=0.0)
        with pytest.raises(ValueError, match="scale must be > 0 and finite, got inf"):
            confidence_ceiling(3, scale=INF)


def best_loss(target: torch.Tensor, transform, num_classes: int) -> float:
    """Least mean cross-entropy over all raw logits, found by L-BFGS from a random start."""
    z = rows(len(target), num_classes, seed=3).requires_grad_()
    optimiser = torch.optim.LBFGS([z], max_iter=400, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = F.cross_entropy(transform(z), target)
        value.backward()
        return value

    optimiser.step(loss)
    return loss().item()


class TestCalibration:
    # Five rows in five bins of width 0.2: (0.4, 0.6] holds a, b; (0.6, 0.8] holds c, on its upper edge; (0.8, 1] d, e.
    P = torch.tensor([[0.5, 0.5], [0.45, 0.55], [0.8, 0.2], [0.1, 0.9], [1.0, 0.0]], dtype=torch.float64)
    Y = torch.tensor([0, 0, 0, 1, 1])  # right: a (the first of equals), c, d

    def test_bins_by_hand(self):
        edges, count, accuracy, confidence = reliability_bins(self.P, self.Y, bins=5)
        assert edges.tolist() == [0, 0.2, 0.4, 0.6, 0.8, 1]
        assert count.tolist() == [0, 0, 2, 1, 2]
        assert count.dtype == torch.int64
        assert accuracy.tolist() == pytest.approx([math.nan, math.nan, 0.5, 1, 0.5], nan_ok=True)
        assert confidence.tolist() == pytest.approx([math.nan, math.nan, 0.525, 0.8, 0.95], nan_ok=True)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    def test_many_rows_are_counted_and_summed_exactly(self, dtype):
        rows = 2**20 + 3  # one bin holds all; bfloat16 counts to 256, and float32 sums of so many lose a percent
        p = torch.tensor([0.9, 0.1], dtype=dtype).expand(rows, 2)
        y = (torch.arange(rows) < rows // 2).long()
        claimed, right = p[0, 0].item(), (rows - rows // 2) / rows
        _, count, accuracy, confidence = reliability_bins(p, y)
        assert count.tolist() == [0] * 13 + [rows, 0]
        assert accuracy[13].item() == torch.tensor(right).item()
        assert confidence[13].item() == claimed
        assert accuracy.dtype == confidence.dtype == torch.float32
        assert expected_calibration_error(p, y).item() == torch.tensor(claimed - right, dtype=torch.float64).float()

    @pytest.mark.slow
    def test_a_hundred_million_rows(self):
        p = torch.tensor([0.9, 0.1]).expand(10**8, 2)
        y = (torch.arange(10**8, dtype=torch.int32) < 5 * 10**7).to(torch.uint8)
        assert expected_calibration_error(p, y).item() == pytest.approx(0.4, abs=1e-6)
        table = reliability_bins(p, y)
        assert table.count[13].item() == 10**8
        assert table.confidence[13].item() == pytest.approx(0.9, abs=1e-6)
        assert table.accuracy[13].item() == pytest.approx(0.5, abs=1e-6)

    @pytest.mark.parametrize("bins", [1, 2, 3, 7, 10, 15, 100])
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
    def test_a_confidence_of_exactly_one_is_in_the_last_bin(self, dtype, bins):
        p = torch.eye(3, dtype=dtype)
        _, count, accuracy, confidence = reliability_bins(p, torch.tensor([0, 1, 1]), bins)
        assert count.tolist() == [0] * (bins - 1) + [3]
        assert confidence[-1] == 1
        assert accuracy[-1].item() == pytest.approx(2 / 3, rel=1e-6)
        assert expected_calibration_error(p, torch.tensor([0, 1, 1]), bins).item() == pytest.approx(1 / 3, rel=1e-6)

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.uint64], ids=str)
    def test_labels_of_any_integer_dtype(self, dtype):
        z = torch.randn(3, 300, generator=torch.Generator().manual_seed(0))
        y = torch.tensor([156, 44, 255])
        for measure in (margin, fit_temperature, lambda z, y: expected_calibration_error(z.softmax(1), y)):
            assert torch.equal(measure(z, y.to(dtype)), measure(z, y))

    def test_error_by_hand(self):
        expected = (2 * abs(0.5 - 0.525) + 1 * abs(1 - 0.8) + 2 * abs(0.5 - 0.95)) / 5
        assert expected_calibration_error(self.P, self.Y, bins=5).item() == pytest.approx(expected)
        assert expected_calibration_error(self.P, self.Y, bins=1).item() == pytest.approx(abs(0.6 - 3.75 / 5))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_upper_edges_belong_to_their_bin_in_every_dtype(self, dtype):
        for bins in (5, 10, 15):
            for b in range(bins // 2, bins):
                p = torch.tensor([(b + 1) / bins, 1 - (b + 1) / bins], dtype=dtype)
                assert reliability_bins(p, torch.tensor(0), bins).count.argmax().item() == b

    def test_default_is_fifteen_bins(self):
        p, y = probabilities(200, 3), torch.arange(200) % 3
        assert len(reliability_bins(p, y).count) == 15
        assert torch.equal(expected_calibration_error(p, y), expected_calibration_error(p, y, bins=15))

    def test_against_a_plain_loop(self):
        p, y = probabilities(300, 4), torch.arange(300) % 4
        groups: dict[int, list[tuple[bool, float]]] = {}
        for row, label in zip(p.tolist(), y.tolist(), strict=True):
            top = max(row)
            groups.setdefault(math.ceil(top * 10), []).append((row.index(top) == label, top))
        gaps = [abs(sum(r for r, _ in g) - sum(c for _, c in g)) for g in groups.values()]
        assert expected_calibration_error(p, y, bins=10).item() == pytest.approx(sum(gaps) / 300)

    def test_empty_set_axes_and_gradient(self):
        nothing = torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)
        assert expected_calibration_error(*nothing).isnan()
        assert reliability_bins(*nothing).count.sum() == 0
        p, y = probabilities(4, 3, 5), torch.randint(3, (4, 5), generator=torch.Generator().manual_seed(0))
        moved = expected_calibration_error(p.movedim(1, -1).reshape(-1, 3), y.flatten())
        torch.testing.assert_close(expected_calibration_error(p, y), moved)
        p = probabilities(20, 3).requires_grad_()
        assert gradcheck(lambda t: expected_calibration_error(t, torch.arange(20) % 3), p)

    def test_errors(self):
        p, y = self.P, self.Y
        for arguments, error, message in [
            ((p, y, 0), ValueError, "bins must be >= 1, got 0"),
            ((-p, y), ValueError, r"probs must hold finite probabilities >= 0, got -0\.5"),
            ((p * math.nan, y), ValueError, "probs must hold finite probabilities >= 0, got nan"),
            ((p, y + 1), ValueError, r"target must hold class indices in \[0, 2\), got 2"),
            ((p, y - 101), ValueError, r"target must hold class indices in \[0, 2\)"),
            ((p, y[:2]), ValueError, r"target must have shape \(5,\), got \(2,\)"),
            ((p, y.float()), TypeError, "target must hold class indices"),
            ((p.long(), y), TypeError, "probs must have a floating-point dtype"),
        ]:
            with pytest.raises(error, match=message):
                expected_calibration_error(*arguments)


class TestFitTemperature:
    def test_mean_loss_equals_mean_entropy(self):
        z, y = rows(300, 5), torch.arange(300) % 5
        z[range(300), y] += 2
        temperature = fit_temperature(4 * z, y)
        assert temperature.shape == ()
        scaled = 4 * z / temperature
        loss, predicted = F.cross_entropy(scaled, y), entropy(torch.softmax(scaled, 1)).mean()
        assert loss.item() == pytest.approx(predicted.item(), abs=1e-10)
        for factor in (0.99, 1.01):
            assert F.cross_entropy(scaled * factor, y) > loss
        assert fit_temperature(8 * z, y).item() == pytest.approx(2 * temperature.item())

    @pytest.mark.parametrize("size", [1e-3, 1.0, 300.0])
    def test_two_classes_in_closed_form(self, size):
        z, y = torch.tensor([[1.0, 0.0]] * 4, dtype=torch.float64) * size, torch.tensor([0, 0, 0, 1])
        expected = size / math.log(3)  # 75 % right: z/T = log 3
        assert fit_temperature(z, y).item() == pytest.approx(max(expected, 1e-3), rel=1e-9)

    def test_bounds(self):
        z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        assert fit_temperature(z, torch.tensor([0, 1])).item() == pytest.approx(
            1e-3
        )  # all right: the colder the better
        assert fit_temperature(z, torch.tensor([1, 0])).item() == pytest.approx(1e3)  # all wrong: the hotter the better
        assert fit_temperature(1e-4 * z, torch.tensor([0, 1])).item() == pytest.approx(1e-3)
        assert fit_temperature(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])).item() == 1  # all the same
        assert fit_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)).isnan()

    def test_extreme_logits_axes_and_dtype(self):
        z = torch.tensor([[1e4, 0.0]] * 3 + [[0.0, 1e4]])
        temperature = fit_temperature(z, torch.tensor([0, 0, 0, 0]))
        assert temperature.item() == pytest.approx(1e3)  # log 3 would need 9102
        assert temperature.dtype == torch.float32
        z, y = rows(4, 3, 50), torch.randint(3, (4, 50), generator=torch.Generator().manual_seed(0))
        moved = fit_temperature(z.movedim(1, -1).reshape(-1, 3), y.flatten())
        torch.testing.assert_close(fit_temperature(z, y), moved)
        assert not fit_temperature(z.requires_grad_(), y).requires_grad


def test_common_errors():
    z = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"dim must be an axis of logits, got 2 for shape \(2, 3\)"):
        output_length(z, dim=2)
    with pytest.raises(ValueError, match=r"logits must have at least one class on axis 1, got shape \(2, 0\)"):
        output_length(torch.zeros(2, 0))
    with pytest.raises(TypeError, match="logits must be a tensor, got list"):
        output_length([1.0])
    with pytest.raises(ValueError, match=r"gradient must have the logits' shape \(2, 3\), got \(2, 2\)"):
        split_radial(z, torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"logits must have at least two classes, got shape \(2, 1\)"):
        margin(torch.zeros(2, 1), torch.tensor([0, 0]))
    with pytest.raises(ValueError, match="target must hold class indices"):
        margin(z, torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="alpha must be >= 0, got -1"):
        renyi_entropy(torch.tensor([1.0]), -1)
    with pytest.raises(TypeError, match="alpha must be a number"):
        stationary_threshold(torch.tensor([1.0]), "1")
    with pytest.raises(ValueError, match="probs must hold finite probabilities"):
        entropy(torch.tensor([1.5, -0.5]))
    with pytest.raises(ValueError, match="target must hold class indices"):
        fit_temperature(z, torch.tensor([0, -1]))
