"""The ledger of claims: its form, and the numbers that its verdicts rest on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from companion import papers

ROOT = Path(__file__).parents[2]


def loss_and_gradient(logits: list[float], label: int) -> tuple[float, list[float]]:
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    loss = cross_entropy(z, torch.tensor(label))
    return float(loss.detach()), torch.autograd.grad(loss, z)[0].tolist()


def test_claims_are_well_formed() -> None:
    claims = papers.claims("p_on")
    assert len({claim.id for claim in claims}) == len(claims)
    for claim in claims:
        assert claim.verdict in papers.VERDICTS
        assert claim.condition or claim.verdict in ("holds", "measured"), claim.id
        assert claim.shown_by, claim.id
        assert "false" not in claim.condition.lower(), "state when it holds instead"


@pytest.mark.parametrize("claim", papers.claims("p_on"), ids=lambda claim: claim.id)
def test_what_shows_a_claim_exists(claim: papers.Claim) -> None:
    notebook = (ROOT / "notebooks" / "01_partial_output_norm.ipynb").read_text(encoding="utf-8")
    for place in claim.shown_by:
        if place.startswith("tests/"):
            path, *names = place.split("::")
            source = (ROOT / path).read_text(encoding="utf-8")
            for name in names:
                assert re.search(rf"(def|class) {name}\b", source), place
        elif place.startswith("Appendix: "):
            appendix = (ROOT / "book" / "appendix_partial_output_norm.md").read_text(encoding="utf-8")
            assert f"## {place.removeprefix('Appendix: ')}\n" in appendix
        else:
            assert re.search(rf'"#+ [^"]*{re.escape(place)}', notebook), f"no heading {place!r} in the chapter"


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
