"""Chapter 04's paper: its printed tables recounted, and the numbers that its verdicts rest on."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch.nn.functional import cross_entropy

from companion import papers
from companion.methods import tamed_cross_entropy

PAPER = papers.load("tamed_cross_entropy")
EXPONENTS = ("TCE 0.5", "TCE 1", "TCE 1.5", "TCE 2")


def columns(*ids: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each column of the printed tables as method to accuracy; a dash of the paper is left out."""
    for grid in PAPER.grids:
        if not ids or grid.id in ids:
            for at, name in enumerate(grid.columns):
                column = {method: values[at] for method, values in grid.rows.items()}
                yield name, {method: value for method, value in column.items() if not math.isnan(value)}


COLUMNS = dict(columns())


def tamed(column: dict[str, float]) -> dict[str, float]:
    return {method: column[method] for method in EXPONENTS}


def best(column: dict[str, float]) -> str:
    """Return the one method with the highest accuracy; two that share it would be an error here."""
    (found,) = [method for method, value in column.items() if value == max(column.values())]
    return found


def spread(column: dict[str, float]) -> float:
    return round(max(tamed(column).values()) - min(tamed(column).values()), 2)


# --- the gradient ----------------------------------------------------------------------------------------------------


def test_batch_gradients_can_be_opposite() -> None:
    """Proofs, Proposition on the sum over a batch: two labels of the first class, one of the second, the same logits."""
    label = torch.tensor([0, 0, 1])

    def gradient(alpha: float) -> torch.Tensor:
        shared = torch.tensor([math.log(3), 0.0], dtype=torch.float64, requires_grad=True)
        loss = tamed_cross_entropy(shared.expand(3, 2), label, alpha)
        return torch.autograd.grad(loss, shared)[0]

    plain, other = gradient(0.0), gradient(2.0)
    assert float(plain[0]) == pytest.approx(1 / 12)
    assert other[0] < -0.05
    assert float(torch.cosine_similarity(plain, other, dim=0)) == pytest.approx(-1.0)


def pull(q: float, alpha: float) -> float:
    """Return minus the gradient at the label's logit where its probability is q, by autograd."""
    z = torch.tensor([[math.log(q) - math.log1p(-q), 0.0]], dtype=torch.float64, requires_grad=True)
    return -float(torch.autograd.grad(tamed_cross_entropy(z, torch.tensor([0]), alpha), z)[0][0, 0])


def test_the_gradient_fades_slowly() -> None:
    assert pull(1e-10, 1.0) == pytest.approx(0.0416, abs=5e-5), "a twenty-fourth of cross entropy's"
    for alpha in (0.5, 1.0, 2.0):
        assert pull(1 - 1e-9, alpha) / pull(1 - 1e-9, 0.0) == pytest.approx(1.0, abs=1e-8), "sure and right: weight 1"
        assert pull(1e-300, alpha) < pull(1e-10, alpha), "and 0 in the end"
        assert pull(1e-10, alpha) > 1e-10**0.3, "slower than the weight q ** 0.3 of generalised cross entropy"
    even = torch.zeros(4, 10, dtype=torch.float64, requires_grad=True)
    label = torch.tensor([0, 1, 2, 2])
    steps = [torch.autograd.grad(tamed_cross_entropy(even, label, alpha), even)[0] for alpha in (0.0, 2.0)]
    torch.testing.assert_close(steps[1], steps[0] * (1 + math.log(10)) ** -2)


def test_the_printed_constant() -> None:
    def printed(loss: torch.Tensor, alpha: float) -> torch.Tensor:
        return ((1 + loss) ** (1 - alpha) - 1 / (1 - alpha)) / (1 - alpha)

    z = torch.tensor([[2.0, 0.0, -1.0]], dtype=torch.float64, requires_grad=True)
    label = torch.tensor([1])
    for alpha in (0.0, 0.5, 0.99, 1.5, 2.0):
        as_printed, ours = printed(cross_entropy(z, label), alpha), tamed_cross_entropy(z, label, alpha)
        torch.testing.assert_close(
            torch.autograd.grad(as_printed, z, retain_graph=True)[0], torch.autograd.grad(ours, z)[0]
        )
        assert float((as_printed - ours).detach()) == pytest.approx(-alpha / (1 - alpha) ** 2), alpha
    assert float(printed(torch.tensor(math.log(2), dtype=torch.float64), 0.99)) < -9000, "no limit at α = 1"


def test_noise_bound() -> None:
    classes, noise, alpha = 10, 0.4, 2.0
    label = torch.arange(classes)

    def summed(z: torch.Tensor) -> torch.Tensor:
        return tamed_cross_entropy(z.expand(classes, classes), label, alpha, reduction="sum")

    low, high = float(summed(torch.zeros(classes, dtype=torch.float64))), classes - 1

    def bound(noise: float) -> float:
        return noise * (high - low) / (classes * (1 - noise))

    assert (round(low, 3), round(bound(0.4), 3), round(bound(0.8), 2)) == (6.972, 0.135, 0.81)
    generator = torch.Generator().manual_seed(0)
    some = torch.randn(2000, classes, generator=generator, dtype=torch.float64)
    some = some * torch.logspace(-1, 2, 2000, dtype=torch.float64)[:, None]
    sums = torch.vmap(summed)(some)
    assert low <= sums.min()
    assert sums.max() <= high
    clean = torch.tensor([float(tamed_cross_entropy(row[None], torch.tensor([0]), alpha)) for row in some])
    noisy = (1 - noise) * clean + noise / classes * sums  # the label is 0, and with probability η any class
    assert clean[noisy.argmin()] - clean.min() <= bound(noise)
    for unbounded in (0.5, 1.0):
        far = torch.tensor([[0.0, 1e300]], dtype=torch.float64)
        assert tamed_cross_entropy(far, torch.tensor([0]), unbounded) > 500, "no A and B for α up to 1"


# --- the printed tables ----------------------------------------------------------------------------------------------


def test_cells_below_cross_entropy() -> None:
    cells = [(name, method) for name, column in COLUMNS.items() for method in tamed(column)]
    below = {(name, method) for name, method in cells if COLUMNS[name][method] < COLUMNS[name]["CE"]}
    assert len(cells) == 56
    assert below == {
        ("CIFAR-100, η = 0", "TCE 2"),
        ("CIFAR-100, η = 0.8", "TCE 2"),
        ("CIFAR-10, η = 0", "TCE 1"),
        ("CIFAR-10, η = 0", "TCE 1.5"),
        ("CIFAR-10, η = 0", "TCE 2"),
        ("CIFAR-10, η = 0.8", "TCE 1"),
        ("SVHN, η = 0.8", "TCE 0.5"),
    }
    assert all(max(tamed(column).values()) > column["CE"] for column in COLUMNS.values()), "but never all four"


def test_best_in_all_columns_but_one() -> None:
    other = {name: column for name, column in COLUMNS.items() if max(column, key=column.get) not in EXPONENTS}
    assert list(other) == ["CIFAR-10, η = 0"]
    (column,) = other.values()
    ranked = sorted(column, key=column.get, reverse=True)
    assert (ranked[0], ranked[1]) == ("MSE", "TCE 0.5")
    assert (column["MSE"], column["TCE 0.5"]) == (92.15, 92.13)


def test_improvements_follow_from_the_tables() -> None:
    printed = {"CIFAR-10": (9.36, "TCE 2"), "CIFAR-100": (9.80, "TCE 1.5"), "SVHN": (4.94, "TCE 2")}
    for data, (points, exponent) in printed.items():
        column = COLUMNS[f"{data}, η = 0.8"]
        assert best(tamed(column)) == exponent
        assert round(column[exponent] - column["CE"], 2) == points


def test_squared_error_in_the_tables() -> None:
    better = {name: column["MSE"] > column["CE"] for name, column in COLUMNS.items()}
    claimed = {name: float(name.rpartition(" ")[2]) <= 0.4 for name in COLUMNS}
    assert {name for name in COLUMNS if better[name] != claimed[name]} == {
        "MNIST, η = 0.4",
        "MNIST, η = 0.8",
        "CIFAR-100, η = 0",
    }
    assert [COLUMNS["MNIST, η = 0.4"][loss] for loss in ("MSE", "CE")] == [99.22, 99.25]
    assert [COLUMNS["MNIST, η = 0.8"][loss] for loss in ("MSE", "CE")] == [98.01, 97.77]


def test_spread_over_the_exponents() -> None:
    spreads = {name: spread(column) for name, column in COLUMNS.items()}
    at = {rate: max(value for name, value in spreads.items() if name.endswith(f"= {rate}")) for rate in ("0", "0.2")}
    assert at == {"0": 1.64, "0.2": 1.52}
    assert {data: spreads[f"{data}, η = 0.4"] for data in ("CIFAR-100", "CIFAR-10", "SVHN")} == {
        "CIFAR-100": 3.63,
        "CIFAR-10": 3.21,
        "SVHN": 2.21,
    }
    assert {data: spreads[f"{data}, η = 0.8"] for data in ("CIFAR-100", "CIFAR-10", "SVHN")} == {
        "CIFAR-100": 11.35,
        "CIFAR-10": 9.81,
        "SVHN": 4.98,
    }
    assert max(value for name, value in spreads.items() if name.startswith("MNIST")) == 0.74


def test_the_grid_ends_at_its_best_value() -> None:
    tops = {name: best(tamed(column)) for name, column in columns("Table 2")}
    assert sum(top == "TCE 2" for top in tops.values()) == 7
    assert {name for name, top in tops.items() if top != "TCE 2"} == {"MNIST, η = 0", "CIFAR-10, η = 0"}
    of_a_hundred = dict(columns("Table 1"))
    assert [name for name, column in of_a_hundred.items() if best(tamed(column)) == "TCE 2"] == ["CIFAR-100, η = 0.4"]
    worst = [name for name, column in of_a_hundred.items() if min(tamed(column), key=column.get) == "TCE 2"]
    assert worst == ["CIFAR-100, η = 0", "CIFAR-100, η = 0.8"]
