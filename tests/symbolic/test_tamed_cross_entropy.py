"""The chapter's derivations against autograd in float64, and the statements of its proofs on numbers."""

from __future__ import annotations

import itertools
import math

import pytest
import sympy as sp
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from companion.methods.baselines.criteria import generalized_cross_entropy, softmax_mae
from companion.methods.tamed_cross_entropy import tamed_cross_entropy, tamed_posterior
from companion.symbolic import tamed_cross_entropy as symbolic

CLASSES = 3
Z = symbolic.logits(CLASSES)
ALPHAS = (0.5, 1.0, 1.5, 2.0)
ONE_ANSWER = 1 + math.log(2)
"""Up to this α every posterior has one best prediction."""


def rows(count: int = 20, classes: int = CLASSES, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(count, classes, generator=generator, dtype=torch.float64)


def losses(z: Tensor, y: Tensor, alpha: float) -> Tensor:
    return tamed_cross_entropy(z, y, alpha, reduction="none")


def of_loss(loss: Tensor, alpha: float) -> Tensor:
    """Return tamed cross entropy of losses, by the library: two classes of which one has the logit log(e^L − 1)."""
    return losses(
        torch.stack([torch.zeros_like(loss), torch.log(torch.expm1(loss))], 1), torch.zeros(len(loss)).long(), alpha
    )


def gradient_of(z: Tensor, y: Tensor, alpha: float) -> Tensor:
    return torch.func.grad(lambda v: losses(v, y, alpha).sum())(z)


def numbers(arguments: list[sp.Symbol], expression: sp.Expr, *values: Tensor) -> Tensor:
    function = symbolic.as_function(arguments, expression)
    return torch.tensor(
        [function(*row) for row in zip(*[v.tolist() for v in values], strict=True)], dtype=torch.float64
    )


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


def risk(p: Tensor, posterior: Tensor, alpha: float) -> Tensor:
    """Return Σ_k posterior_k TCE(−log p_k) of predictions (…, C)."""
    return losses(p.log().flatten(0, -2).double(), posterior.expand(p.shape).flatten(0, -2), alpha).view(p.shape[:-1])


def two_values(q: Tensor, classes: int) -> Tensor:
    """Predictions (n, C) with q for the first class and the same for each other class."""
    return torch.cat([q[:, None], ((1 - q) / (classes - 1))[:, None].expand(-1, classes - 1)], 1)


def between(low: float, high: float, count: int = 200_001) -> Tensor:
    return torch.linspace(low, high, count, dtype=torch.float64)


class TestFromGradientToLoss:
    def test_sympy_integrates_the_wanted_gradient_to_the_loss(self) -> None:
        general = symbolic.integral()
        assert symbolic.vanishes(
            general.subs(symbolic.ALPHA, sp.Rational(3, 2)) - symbolic.tamed(alpha=sp.Rational(3, 2))
        )
        assert symbolic.vanishes(general.subs(symbolic.ALPHA, 1) - symbolic.tamed(alpha=1))
        assert symbolic.vanishes(general.args[0].expr - symbolic.tamed()), "the case α ≠ 1"

    @pytest.mark.parametrize("alpha", ALPHAS)
    def test_loss_and_wanted_gradient_are_the_librarys(self, alpha: float) -> None:
        loss = between(0.01, 30, 50).requires_grad_()
        value = of_loss(loss, alpha)
        exact = sp.nsimplify(alpha)
        close(value.detach(), numbers([symbolic.LOSS], symbolic.tamed(alpha=exact), loss))
        slope = torch.autograd.grad(value.sum(), loss)[0]
        close(slope, numbers([symbolic.LOSS], symbolic.weight(alpha=exact), loss))
        close(-slope, numbers([symbolic.LOG_Q], symbolic.wanted_gradient(alpha=exact), -loss))

    def test_special_exponents(self) -> None:
        loss = symbolic.LOSS
        assert sp.limit(symbolic.tamed(), symbolic.ALPHA, 1) == sp.log(1 + loss) == symbolic.tamed(alpha=1.0)
        assert symbolic.vanishes(symbolic.tamed(alpha=2) - loss / (1 + loss))
        assert symbolic.tamed(alpha=0) == loss == symbolic.eq9_as_printed(alpha=0)

    def test_bounded_only_above_one(self) -> None:
        excess = sp.Symbol("b", positive=True)
        assert sp.limit(symbolic.tamed(alpha=1 + excess), symbolic.LOSS, sp.oo) == 1 / excess
        for alpha in (sp.Rational(1, 2), 1):
            assert sp.limit(symbolic.tamed(alpha=alpha), symbolic.LOSS, sp.oo) == sp.oo

    def test_eq9_has_the_gradient_and_another_constant(self) -> None:
        assert symbolic.vanishes(sp.diff(symbolic.eq9_as_printed() - symbolic.tamed(), symbolic.LOSS))
        assert symbolic.vanishes(symbolic.eq9_as_printed() - symbolic.tamed() - symbolic.constant_of_eq9())
        assert symbolic.constant_of_eq9(sp.Rational(1, 2)) == symbolic.constant_of_eq9(2) == -2
        assert sp.limit(symbolic.constant_of_eq9(), symbolic.ALPHA, 1) == -sp.oo
        assert float(symbolic.eq9_as_printed(math.log(2), 0.99)) == pytest.approx(-9899, abs=1)


class TestAtTheLogits:
    @pytest.mark.parametrize("classes", [2, 3])
    def test_gradient_and_hessian_by_sympy(self, classes: int) -> None:
        z = symbolic.logits(classes)
        derived = symbolic.gradient(symbolic.tamed_cross_entropy(z, 1), z)
        assert symbolic.vanishes(symbolic.difference(derived, symbolic.gradient_closed_form(z, 1)))
        if classes == 2:  # three take sympy half a minute; autograd has them below
            assert symbolic.vanishes(symbolic.hessian(z, 1) - symbolic.hessian_closed_form(z, 1))

    @pytest.mark.parametrize("alpha", ALPHAS)
    def test_gradient_and_hessian_by_autograd(self, alpha: float) -> None:
        exact = sp.nsimplify(alpha)
        for y in range(CLASSES):
            first = symbolic.as_function(Z, symbolic.gradient_closed_form(Z, y, exact))
            second = symbolic.as_function(Z, symbolic.hessian_closed_form(Z, y, exact))
            for row in rows(5):
                loss = lambda v, y=y: tamed_cross_entropy(v, torch.tensor(y), alpha)  # noqa: E731
                close(torch.func.grad(loss)(row), torch.tensor(first(*row.tolist()), dtype=torch.float64))
                close(torch.func.hessian(loss)(row), torch.tensor(second(*row.tolist()), dtype=torch.float64))

    def test_compact_gives_names_and_keeps_the_value(self) -> None:
        derived = symbolic.gradient(symbolic.tamed_cross_entropy(Z, 0), Z)
        names = sp.symbols("p_{1} p_{2} p_{3}", positive=True)
        expected = [symbolic.weight() * (name - own) for name, own in zip(names, (1, 0, 0), strict=True)]
        assert symbolic.vanishes(
            [symbolic.compact(entry, Z, 0) - e for entry, e in zip(derived, expected, strict=True)]
        )

    def test_weights_of_losses_of_one_probability(self) -> None:
        z, y, k = rows(), torch.arange(20) % CLASSES, sp.Rational(7, 10)
        q = z.softmax(1).gather(1, y[:, None])[:, 0]
        residual = z.softmax(1) - torch.nn.functional.one_hot(y, CLASSES)
        for criterion, library in (
            (symbolic.tamed(-sp.log(symbolic.Q), 2), lambda v: tamed_cross_entropy(v, y, 2.0, reduction="sum")),
            (2 * (1 - symbolic.Q), lambda v: softmax_mae(v, y, reduction="sum")),
            ((1 - symbolic.Q**k) / k, lambda v: generalized_cross_entropy(v, y, q=0.7, reduction="sum")),
        ):
            weights = numbers([symbolic.Q], symbolic.weight_of(criterion), q)
            close(torch.func.grad(library)(z), weights[:, None] * residual)

    @pytest.mark.parametrize("alpha", ALPHAS)
    def test_sizes_of_the_gradient(self, alpha: float) -> None:
        z, y = rows(500, 5), torch.arange(500) % 5
        q = z.softmax(1).gather(1, y[:, None])[:, 0]
        force = numbers([symbolic.Q], symbolic.pull(alpha=sp.nsimplify(alpha)), q)
        g = gradient_of(z, y, alpha)
        close(g.abs().sum(1), 2 * force)
        close(-g.gather(1, y[:, None])[:, 0], force)
        length = torch.linalg.vector_norm(g, dim=1)
        assert (length >= math.sqrt(5 / 4) * force - 1e-14).all()
        assert (length <= math.sqrt(2) * force + 1e-14).all()


class TestPeakAndShape:
    @pytest.mark.parametrize(
        ("alpha", "place", "height"), [(0.5, 0.146, 0.499), (1, 0.318, 0.318), (1.5, 0.457, 0.228), (2, 0.558, 0.176)]
    )
    def test_peak_of_the_pull(self, alpha: float, place: float, height: float) -> None:
        top = float(symbolic.peak(alpha))
        q = between(1e-6, 1)
        force = -gradient_of(
            torch.stack([torch.logit(q[:-1]), torch.zeros(len(q) - 1)], 1).double(),
            torch.zeros(len(q) - 1).long(),
            alpha,
        )[:, 0]
        assert float(q[force.argmax()]) == pytest.approx(top, abs=1e-5)
        assert (force.diff() > 0)[q[1:-1] < top].all()
        assert (force.diff() < 0)[q[:-2] > top].all()
        assert (top, float(symbolic.pull(top, alpha))) == pytest.approx((place, height), abs=5e-4)
        s = 1 - math.log(top)
        assert (top, float(symbolic.pull(top, alpha))) == pytest.approx(
            (alpha / (alpha + s), s ** (1 - alpha) / (alpha + s))
        )

    def test_the_pull_fades_with_the_logarithm_only(self) -> None:
        assert float(symbolic.pull(1e-10, 1)) == pytest.approx(0.0416, abs=5e-5)
        assert float(symbolic.pull(1e-10, 1)) > float(1e-10**0.3)
        margin = torch.tensor([30.0, 60.0, 120.0], dtype=torch.float64)
        z = torch.stack([-margin, torch.zeros(3), torch.zeros(3)], 1).double()
        size = -gradient_of(z, torch.zeros(3).long(), 2.0)[:, 0]
        assert (size <= (1 + margin) ** -2).all()
        assert (size >= (1 - torch.exp(-margin)) * (1 + margin + math.log(3)) ** -2).all()

    @pytest.mark.parametrize("classes", [2, 3, 6])
    @pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0, 3.0])
    def test_convex_exactly_where_the_label_has_more_than_the_peaks_probability(
        self, alpha: float, classes: int
    ) -> None:
        z = rows(300, classes, seed=classes)
        target = torch.zeros((), dtype=torch.long)
        values = torch.linalg.eigvalsh(
            torch.func.vmap(torch.func.hessian(lambda v: tamed_cross_entropy(v, target, alpha)))(z)
        )
        loss = cross_entropy(z, torch.zeros(300).long(), reduction="none")
        convex = loss <= -math.log(float(symbolic.peak(alpha)))
        assert 20 < int(convex.sum()) < 280, "both sides are seen"
        assert (values[convex, 0] > -1e-12).all()
        assert (values[~convex, 0] < 0).all()
        assert (values[:, 1] > -1e-12).all(), "never more than one direction curves downwards"
        w, q = (1 + loss) ** -alpha, torch.exp(-loss)
        assert (values[:, -1] <= w / 2 + 1e-12).all()
        assert (values[:, 0] >= -2 * alpha * (1 - q) ** 2 * w / (1 + loss) - 1e-12).all()


class TestBatch:
    def test_the_step_on_a_batch_can_be_the_opposite_of_cross_entropys(self) -> None:
        shared = torch.tensor([math.log(3.0), 0.0], dtype=torch.float64)  # .75 for class 0
        y = torch.tensor([0, 0, 1])  # of which two thirds are right
        plain, tame = (
            torch.func.grad(lambda b, a=alpha: tamed_cross_entropy(b.expand(3, 2), y, a))(shared)
            for alpha in (0.0, 2.0)
        )
        assert float(plain[0]) == pytest.approx(1 / 12)
        assert float(tame[0]) == pytest.approx(-0.0566, abs=5e-5)

    def test_first_step_from_equal_logits_is_cross_entropys_at_a_smaller_rate(self) -> None:
        generator = torch.Generator().manual_seed(0)
        features = torch.randn(8, 4, generator=generator, dtype=torch.float64)
        y = torch.arange(8) % 10
        factor = float(symbolic.weight(math.log(10), 2))
        assert factor == pytest.approx(0.0917, abs=5e-5)
        steps = []
        for alpha, rate in ((2.0, 0.5), (0.0, 0.5 * factor)):
            layer = torch.nn.Linear(4, 10).double()
            with torch.no_grad():
                layer.weight.zero_()
                layer.bias.fill_(0.3)
            optimiser = torch.optim.SGD(layer.parameters(), lr=rate, momentum=0.9, nesterov=True)
            tamed_cross_entropy(layer(features), y, alpha).backward()
            optimiser.step()
            steps.append(layer.weight.detach().clone())
        close(steps[0], steps[1])
        assert steps[0].abs().max() > 1e-3

    def test_normalised_weights_are_the_gradient_of_nothing_unless_exponential(self) -> None:
        ell = sp.symbols("L_1:3", nonnegative=True)
        own = symbolic.normalised_weights(ell)
        curl = sp.diff(own[0], ell[1]) - sp.diff(own[1], ell[0])
        at = {symbolic.ALPHA: 2, ell[0]: 1}
        assert sp.simplify(curl.subs(at).subs(ell[1], 1)) == 0
        assert sp.simplify(curl.subs(at).subs(ell[1], 3)) != 0
        z, y, k = rows(2), torch.tensor([0, 1]), 0.7

        def tilted(v: Tensor) -> Tensor:
            return -torch.log(torch.exp(-k * cross_entropy(v, y, reduction="none")).mean()) / k

        q = z.softmax(1).gather(1, y[:, None])
        shares = q**k / (q**k).sum()
        close(torch.func.grad(tilted)(z), shares * (z.softmax(1) - torch.nn.functional.one_hot(y, CLASSES)))
        equal = symbolic.normalised_weights((ell[0], ell[0]))
        assert [sp.simplify(entry) for entry in equal] == [1, 1]


class TestFamily:
    @pytest.mark.parametrize("alpha", ALPHAS)
    def test_barrons_loss_of_the_loss(self, alpha: float) -> None:
        loss = between(0.01, 20, 30)
        close(numbers([symbolic.LOSS], symbolic.tamed_by_barron(alpha=sp.nsimplify(alpha)), loss), of_loss(loss, alpha))
        assert symbolic.vanishes(symbolic.tamed_by_barron() - symbolic.tamed())

    def test_barrons_limits(self) -> None:
        x = sp.Symbol("x", positive=True)
        excess = sp.Symbol("b", positive=True)
        general = symbolic.barron(x, excess)
        assert sp.limit(general, excess, 2) == symbolic.barron(x, 2)
        assert sp.limit(general.subs(sp.Abs(excess - 2), 2 - excess), excess, 0) == symbolic.barron(x, 0)
        assert symbolic.vanishes(sp.limit(symbolic.barron(x, -excess), excess, sp.oo) - symbolic.barron(x, -sp.oo))
        geman = x**2 / 2 / (1 + x**2 / 4)
        assert symbolic.vanishes(symbolic.barron(x, -2) - geman)

    def test_generalised_cross_entropy_is_the_limit(self) -> None:
        k, s = sp.symbols("k s", positive=True)
        assert sp.limit(symbolic.family_weight(symbolic.LOSS, s, k), s, 0) == sp.exp(-k * symbolic.LOSS)
        assert symbolic.family_weight(symbolic.LOSS, sp.Rational(1, 3), 3) == symbolic.weight(alpha=3)
        loss, k = between(0, 200, 4001), 0.7
        gaps = [
            float(((1 + s * k * loss) ** (-1 / s) - torch.exp(-k * loss)).abs().max()) for s in (1, 0.1, 0.01, 0.001)
        ]
        assert all(after < before / 5 for before, after in itertools.pairwise(gaps))
        q = torch.exp(-between(0.01, 20, 30))
        logits = torch.stack([torch.logit(q), torch.zeros(30)], 1).double()
        welsch = symbolic.barron(sp.sqrt(2 * sp.Rational(7, 10) * symbolic.LOSS), -sp.oo) / sp.Rational(7, 10)
        library = generalized_cross_entropy(logits, torch.zeros(30).long(), q=k, reduction="none")
        close(numbers([symbolic.LOSS], welsch, -q.log()), library)


class TestNoise:
    def test_sum_over_the_labels_is_not_constant(self) -> None:
        flat, sharp = [sp.Rational(1, 10)] * 10, [sp.Rational(91, 100)] + [sp.Rational(1, 100)] * 9
        for alpha, low, high in ((0, 23.0, 41.5), (1, 11.9, 15.6), (2, 6.97, 7.48)):
            assert float(symbolic.sum_over_labels(flat, alpha)) == pytest.approx(low, abs=0.05)
            assert float(symbolic.sum_over_labels(sharp, alpha)) == pytest.approx(high, abs=0.05)

    @pytest.mark.parametrize(("alpha", "classes"), [(0.5, 2), (1.0, 4), (1.4, 2), (2.0, 7), (2.2, 10), (3.0, 100)])
    def test_smallest_sum_is_at_equal_probabilities(self, alpha: float, classes: int) -> None:
        assert alpha <= 1 or (1 + math.log(classes)) ** alpha <= 1 + math.log(classes) + (alpha - 1) * (classes - 1)
        generator = torch.Generator().manual_seed(0)
        p = (torch.randn(20_000, classes, generator=generator, dtype=torch.float64) * 3).softmax(1)
        p = torch.cat([p, two_values(between(1 / classes, 1 - 1e-9, 10_001), classes)])
        sums = classes * risk(p, torch.full((classes,), 1 / classes, dtype=torch.float64), alpha)
        assert float(sums.min()) >= classes * float(symbolic.tamed(math.log(classes), alpha)) - 1e-9
        if 1 < alpha <= 2:
            assert float(sums.max()) < (classes - 1) / (alpha - 1)

    def test_where_equal_probabilities_stop_having_the_smallest_sum(self) -> None:
        def lead(alpha: float, classes: int = 10) -> float:
            p = two_values(between(1.1 / classes, 1 - 1e-9, 5001), classes)
            sums = classes * risk(p, torch.full((classes,), 1 / classes, dtype=torch.float64), alpha)
            return float(sums.min()) - classes * float(symbolic.tamed(math.log(classes), alpha))

        assert lead(2.649) > 0 > lead(2.650)
        assert lead(2.319, 5) > 0 > lead(2.321, 5)
        assert lead(3.498, 100) > 0 > lead(3.500, 100)
        two = [0.5, 0.5] + [1e-300] * 8
        assert float(symbolic.sum_over_labels(two, 2.8)) > 9 / 1.8, "then a vertex has not the largest sum either"

    def test_bound_on_the_clean_risk(self) -> None:
        """Of finite sets of hypotheses the noisy minimiser loses at most the bound of clean risk, and not nothing."""
        alpha, classes, rate = 2.0, 10, 0.4
        lowest, highest = classes * float(symbolic.tamed(math.log(classes), alpha)), (classes - 1) / (alpha - 1)
        bound = float(symbolic.noise_bound(rate, classes, lowest, highest))
        assert bound == pytest.approx(0.135, abs=5e-4)
        y = torch.arange(30) % classes
        identity = torch.eye(classes, dtype=torch.float64)[y]
        noisy = (1 - rate) * identity + rate / classes
        lost = []
        for seed in range(50):
            generator = torch.Generator().manual_seed(seed)
            scale = 4 * torch.rand(300, 1, 1, generator=generator, dtype=torch.float64)
            z = scale * (torch.randn(300, 30, classes, generator=generator, dtype=torch.float64) + identity)
            p = z.softmax(2)
            clean, mixed = (risk(p, target, alpha).mean(1) for target in (identity, noisy))
            lost.append(float(clean[mixed.argmin()] - clean.min()))
        assert 0 < max(lost) <= bound


class TestBestPrediction:
    @staticmethod
    def ends(posterior: Tensor, alpha: float) -> Tensor:
        """Return the predictions (n, C) where descent on the risk ends, from starts all over the simplex."""
        classes = len(posterior)
        z = torch.cat([3 * torch.eye(classes), 0.5 * torch.eye(classes), rows(6, classes)]).double().requires_grad_()
        optimiser = torch.optim.LBFGS(
            [z], max_iter=2000, tolerance_grad=1e-13, tolerance_change=0, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimiser.zero_grad()
            total = tamed_cross_entropy(z, posterior.expand(z.shape), alpha, reduction="sum")
            total.backward()
            return total

        optimiser.step(closure)
        return z.detach().softmax(1)

    def best(self, posterior: Tensor, alpha: float) -> Tensor:
        p = self.ends(posterior, alpha)
        return p[risk(p, posterior, alpha).argmin()]

    def test_one_end_up_to_one_plus_log_2_and_several_beyond(self) -> None:
        posterior = torch.tensor([0.48, 0.46, 0.05, 0.01], dtype=torch.float64)
        for alpha in (0.5, 1.5, 1.69):
            p = self.ends(posterior, alpha)
            torch.testing.assert_close(p, p[:1].expand(p.shape), rtol=1e-3, atol=1e-4)
        p = self.ends(posterior, 2.0)
        assert (p[:, 0] > 0.8).any()
        assert (p[:, 1] > 0.8).any(), "a local minimum that names the second class"
        torch.testing.assert_close(tamed_posterior(p, 2.0), posterior.expand(p.shape), rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 3.0])
    def test_of_a_posterior(self, alpha: float) -> None:
        for logits in rows(4, 4, seed=7) / 2:
            posterior = logits.softmax(0)
            p = self.best(posterior, alpha)
            torch.testing.assert_close(tamed_posterior(p, alpha), posterior, rtol=1e-5, atol=1e-6)
            link = symbolic.inverse_link([sp.Float(v, 17) for v in p.tolist()], sp.nsimplify(alpha))
            close(tamed_posterior(p, alpha), torch.tensor([float(v) for v in link], dtype=torch.float64))
            assert torch.equal(p.argsort(), posterior.argsort()), "the order of the classes"
            assert p.max() > posterior.max()
            assert int((p > math.exp(1 - alpha)).sum()) <= 1

    def test_worked_numbers(self) -> None:
        assert float(self.best(torch.tensor([0.7, 0.3]).double(), 1.0)[0]) == pytest.approx(0.856, abs=5e-4)
        noisy = two_values(torch.tensor([0.28], dtype=torch.float64), 10)[0]
        for alpha, expected in ((1.0, 0.451), (2.0, 0.911)):
            assert float(self.best(noisy, alpha)[0]) == pytest.approx(expected, abs=5e-4)

    @pytest.mark.parametrize("alpha", [0.5, 1.0, 1.69, 1.70, 2.0, 4.0])
    def test_two_classes_have_one_best_prediction_up_to_one_plus_log_2(self, alpha: float) -> None:
        p = between(1e-9, 1 - 1e-9)
        ratio = torch.log(tamed_posterior(torch.stack([p, 1 - p], 1), alpha)[:, 0]).diff()
        assert bool((ratio > 0).all()) == (alpha <= ONE_ANSWER), "the posterior grows with the prediction"
        even = risk(torch.stack([p, 1 - p], 1), torch.tensor([0.5, 0.5], dtype=torch.float64), alpha)
        best = float(p[even.argmin()])
        assert (abs(best - 0.5) < 1e-3) == (alpha <= ONE_ANSWER)

    def test_an_even_coin_at_two(self) -> None:
        p = self.best(torch.tensor([0.5, 0.5]).double(), 2.0)
        assert float(p.max()) == pytest.approx(0.897, abs=5e-4)

    def test_the_link_keeps_the_order_of_every_prediction_up_to_one_plus_log_2(self) -> None:
        p = torch.cat([rows(5000, 4).softmax(1), two_values(between(0.2, 0.9999, 2000), 4)])
        for alpha in (0.5, 1.0, 1.5, ONE_ANSWER):
            assert torch.equal(tamed_posterior(p, alpha).argmax(1), p.argmax(1))
        turned = tamed_posterior(torch.tensor([0.6, 0.4], dtype=torch.float64), 2.0)
        assert turned[0] < turned[1], "at α = 2 not of every one: this prediction is best for no posterior"

    def test_the_link_never_gives_the_top_class_more(self) -> None:
        p = rows(2000, 5).softmax(1)
        for alpha in (0.5, 2.0, 5.0):
            top = tamed_posterior(p, alpha).gather(1, p.argmax(1)[:, None])
            assert (top < p.max(1, keepdim=True).values).all()

    def test_the_best_prediction_can_jump(self) -> None:
        q = between(0.02, 1 - 1e-9)

        def best(posterior: float) -> float:
            target = two_values(torch.tensor([posterior], dtype=torch.float64), 10)[0]
            return float(q[risk(two_values(q, 10), target, 2.5).argmin()])

        assert best(0.1116) == pytest.approx(0.182, abs=5e-3)
        assert best(0.1117) == pytest.approx(0.752, abs=5e-3)
