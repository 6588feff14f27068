"""Chapter 01's paper: the numbers that its verdicts rest on, and its printed reductions recomputed."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from companion import papers
from companion.methods import partial_norm

PAPER = papers.load("partial_output_norm")


def loss_and_gradient(logits: list[float], label: int) -> tuple[float, list[float]]:
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    loss = cross_entropy(z, torch.tensor(label))
    return float(loss.detach()), torch.autograd.grad(loss, z)[0].tolist()


def test_intro_example() -> None:
    short, long = loss_and_gradient([1.8, 1.4], 0)[0], loss_and_gradient([3.6, 2.8], 0)[0]
    assert (round(short, 3), round(long, 3)) == (0.513, 0.371)
    assert long < short


def test_figure_1_belongs_to_the_other_label() -> None:
    loss, gradient = loss_and_gradient([2.5, 1.2], 1)
    assert (round(loss, 2), [round(g, 2) for g in gradient]) == (1.54, [0.79, -0.79])
    loss, gradient = loss_and_gradient([2.5, 1.2], 0)
    assert (round(loss, 3), [round(g, 3) for g in gradient]) == (0.241, [-0.214, 0.214])
    assert 2.5 * gradient[0] + 1.2 * gradient[1] < 0, "minus the gradient points outwards for the label named"


def test_shifting_all_logits_changes_the_length_but_not_the_loss() -> None:
    z = torch.tensor([2.0, 0.0], dtype=torch.float64)
    shifted = z + 10
    assert float(cross_entropy(z, torch.tensor(0))) == pytest.approx(float(cross_entropy(shifted, torch.tensor(0))))
    assert torch.linalg.vector_norm(shifted) > 7 * torch.linalg.vector_norm(z)


def test_a_wrong_sample_shrinks_before_it_grows() -> None:
    z, lengths = torch.tensor([2.5, 1.2], dtype=torch.float64), []
    for _ in range(40_000):
        lengths.append(float(torch.linalg.vector_norm(z)))
        p = torch.softmax(z, 0)
        z = z - 0.001 * (p - torch.tensor([0.0, 1.0]))
    shortest = min(lengths)
    assert lengths[0] == pytest.approx(2.773, abs=1e-3)
    assert shortest == pytest.approx(2.616, abs=1e-3)
    assert lengths[-1] == pytest.approx(4.02, abs=0.01)


def test_variance_of_a_product() -> None:
    generator = torch.Generator().manual_seed(0)
    reciprocal = torch.rand(4_000_000, generator=generator, dtype=torch.float64) + 0.5
    factor = 0.2 * torch.randn(4_000_000, generator=generator, dtype=torch.float64) + 1
    affine = (factor**2).mean() * reciprocal.var() + reciprocal.mean() ** 2 * factor.var()
    assert float((reciprocal * factor).var()) == pytest.approx(float(affine), rel=2e-3)
    assert float((reciprocal * 1.0).var()) < 0.8 * float(affine), "a constant factor is a different law"


def test_a_radial_push_turns_other_samples() -> None:
    features = torch.tensor([[1.0, 2.0], [-2.0, 0.5]], dtype=torch.float64)
    weight = torch.tensor([[2.0, 0.5], [-1.0, 1.0]], dtype=torch.float64)
    before = features @ weight.T  # (2, 2)
    push = torch.outer(before[0] / torch.linalg.vector_norm(before[0]), features[0])  # lengthens the first sample only
    after = features @ (weight + push).T
    cosine = torch.nn.functional.cosine_similarity(before, after)
    assert cosine[0] == pytest.approx(1.0, abs=1e-12)
    assert cosine[1] < 1 - 1e-3


def test_stretching_short_logits() -> None:
    def slopes(logits: list[float], label: int, length: float) -> tuple[float, float, float]:
        z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
        stretched = length * z / torch.linalg.vector_norm(z)
        (seen,) = torch.autograd.grad(cross_entropy(stretched, torch.tensor(label)), stretched, retain_graph=True)
        plain, raw = (
            torch.autograd.grad(cross_entropy(output, torch.tensor(label)), z)[0].norm() for output in (z, stretched)
        )
        return float(plain), float(raw), float(seen.norm())

    plain, _, seen = slopes([0.2, 0.0], 0, length=50.0)
    assert seen < 1e-6 * plain, "right: saturated at the stretched logits"
    grows = [([1.0, 0.8], 0, 2.0), ([0.2, 0.0], 1, 10.0)]  # right, wrong
    shrinks = [([0.2, 0.0], 0, 10.0), ([-0.3, 0.5], 0, 1.0)]
    for logits, label, length in grows:
        plain, raw, _ = slopes(logits, label, length)
        assert raw > 1.1 * plain
    for logits, label, length in shrinks:
        plain, raw, _ = slopes(logits, label, length)
        assert raw < 0.9 * plain
    for label in (0, 1):
        assert slopes([0.1, -0.1], label, 2.0)[1] < 1e-12, "on the class axis nothing is left"


def test_behind_a_ball_a_gradient_can_be_larger() -> None:
    def across(threshold: float) -> float:
        z = torch.tensor([[10.0, 1.0, -2.0, -3.0]], dtype=torch.float64, requires_grad=True)
        (g,) = torch.autograd.grad(cross_entropy(partial_norm(z, threshold), torch.tensor([0])), z)
        along = z.detach() / torch.linalg.vector_norm(z.detach())
        return float((g - (g * along).sum() * along).norm())

    plain, behind = across(100.0), across(4.0)
    assert (plain, behind) == pytest.approx((1.4e-4, 1.4e-2), rel=0.05), "a right sample outside a ball of radius 4"


def test_a_wrong_sample_grows_where_its_label_is_above_the_predicted_mean() -> None:
    def grows(p: list[float], label: int) -> tuple[bool, bool]:
        q = torch.tensor(p, dtype=torch.float64)
        loss, entropy = -float(q[label].log()), -float((q * q.log()).sum())
        return loss < entropy, float(q[label].log()) > float((q * q.log()).sum())

    assert grows([0.51, 0.46, 0.03], 1) == (True, True), "loss 0.777, entropy 0.806"
    assert grows([0.51, 0.25, 0.24], 1) == (False, False), "as confident, and it shrinks"
    assert grows([0.51, 0.49], 1) == (False, False), "two classes"


def test_errors_are_bounded_by_the_mean_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    z = 3 * torch.randn(20_000, 4, generator=generator, dtype=torch.float64)
    label = torch.randint(4, (20_000,), generator=generator)
    losses = cross_entropy(z, label, reduction="none")
    wrong = z.argmax(1) != label
    assert losses[wrong].min() >= math.log(2)
    assert float(losses.mean()) / math.log(2) >= float(wrong.double().mean())
    assert losses[~wrong].max() > math.log(2), "a right answer may have a larger loss"


def test_weight_decay_scales_all_logits_alike_only_without_biases() -> None:
    def logits(factor: float, biases: float) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(50, 6, generator=generator, dtype=torch.float64)
        for size in ((6, 8), (8, 8), (8, 3)):
            w, b = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in (size, size[1:]))
            x = (x if size[0] == 6 else x.relu()) @ (factor * w) + factor * biases * b
        return x

    torch.testing.assert_close(logits(0.9, 0.0), 0.9**3 * logits(1.0, 0.0))
    ratio = logits(0.9, 1.0) / logits(1.0, 1.0)
    assert ratio.std() > 0.01, "with biases no common factor is left"


def test_lengths_grow_without_end_and_the_loss_dies() -> None:
    """Proofs, Proposition on the ball's inside: after time t the loss is at most L(u) + ‖z(0) − u‖²/2t for every u."""
    z = torch.tensor([[2.5, 1.2, -1.0]], dtype=torch.float64)
    label, start = torch.tensor([2]), torch.tensor([[2.5, 1.2, -1.0]], dtype=torch.float64)
    for _ in range(20_000):  # time 200
        z = z - 0.01 * (torch.softmax(z, 1) - torch.nn.functional.one_hot(label, 3))
    u = torch.tensor([[-3.0, -3.0, 6.0]], dtype=torch.float64)
    bound = float(cross_entropy(u, label)) + float((start - u).square().sum()) / (2 * 200)
    assert float(cross_entropy(z, label)) <= bound
    assert float(torch.linalg.vector_norm(z)) > 3


# --- the printed tables --------------------------------------------------------------------------------------------

EXPECTED = {  # recomputed to three decimals; the paper cuts or rounds to two
    "MNIST, MLP-3": 30.488,
    "CIFAR-10, ResNet-18": 12.892,
    "CIFAR-100, ResNet-34": 6.360,
    "ImageNet, ResNet-50": 5.640,
    "Cora, GCN": 1.879,
    "Cora, GAT": 15.805,
    "PubMed, GCN": 7.458,
    "PubMed, GAT": 3.686,
}


def rows() -> list[papers.Row]:
    return [row for name in ("Table 1", "Table 2") for row in PAPER.table(name).rows]


def follows(computed: float, printed: float) -> bool:
    """Whether a printed two-decimal number is the computed one, rounded or cut."""
    return printed in (round(computed, 2), math.floor(100 * computed) / 100)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.label)
def test_printed_reductions(row: papers.Row) -> None:
    computed = papers.relative_reduction(row.baseline.mean, row.better.mean)
    assert computed == pytest.approx(EXPECTED[row.label], abs=6e-4)
    assert follows(computed, row.reduction) == (row.label != "Cora, GAT")


def test_cora_gat_is_the_one_reduction_that_does_not_follow() -> None:
    gcn, gat = PAPER.table("Table 2").rows[:2]
    assert (gat.label, gat.reduction) == ("Cora, GAT", 13.93)
    assert papers.relative_reduction(gat.baseline.mean, gat.better.mean) == pytest.approx(15.8, abs=0.01)
    with_the_neighbouring_entry = papers.relative_reduction(gat.baseline.mean, gcn.better.mean)
    assert follows(with_the_neighbouring_entry, gat.reduction)


def test_mean_reduction_of_gcn() -> None:
    printed = [row.reduction for row in PAPER.table("Table 2").rows if "GCN" in row.label]
    assert sum(printed) / len(printed) == pytest.approx(4.66)


def test_reconstructed_table_3_reproduces_every_printed_percentage() -> None:
    entry = next(table for table in papers._read(PAPER.stem)["tables"] if table["id"] == "Table 3")
    errors = {row["method"]: row["error"] for row in entry["inference"]["rows"]}
    for row in entry["rows"]:
        for column, printed in enumerate(row["reduction"]):
            computed = papers.relative_reduction(errors["vanilla"][column], errors[row["method"]][column])
            assert follows(computed, printed), (row["method"], column, computed)
