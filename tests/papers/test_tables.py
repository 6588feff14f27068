"""Every printed reduction recomputed from the printed errors, the one that does not follow among them."""

from __future__ import annotations

import json
import math
from importlib import resources

import pytest

from companion import papers

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
    return [row for name in ("Table 1", "Table 2") for row in papers.table("p_on", name).rows]


def follows(computed: float, printed: float) -> bool:
    """Whether a printed two-decimal number is the computed one, rounded or cut."""
    return printed in (round(computed, 2), math.floor(100 * computed) / 100)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.label)
def test_printed_reductions(row: papers.Row) -> None:
    computed = papers.relative_reduction(row.baseline.mean, row.better.mean)
    assert computed == pytest.approx(EXPECTED[row.label], abs=6e-4)
    assert follows(computed, row.reduction) == (row.label != "Cora, GAT")


def test_cora_gat_is_the_one_reduction_that_does_not_follow() -> None:
    gcn, gat = papers.table("p_on", "Table 2").rows[:2]
    assert (gat.label, gat.reduction) == ("Cora, GAT", 13.93)
    assert papers.relative_reduction(gat.baseline.mean, gat.better.mean) == pytest.approx(15.8, abs=0.01)
    with_the_neighbouring_entry = papers.relative_reduction(gat.baseline.mean, gcn.better.mean)
    assert follows(with_the_neighbouring_entry, gat.reduction)


def test_mean_reduction_of_gcn() -> None:
    printed = [row.reduction for row in papers.table("p_on", "Table 2").rows if "GCN" in row.label]
    assert sum(printed) / len(printed) == pytest.approx(4.66)


def test_reconstructed_table_3_reproduces_every_printed_percentage() -> None:
    text = resources.files("companion.papers").joinpath("tables.json").read_text(encoding="utf-8")
    entry = next(t for t in json.loads(text)["p_on"]["tables"] if t["id"] == "Table 3")
    errors = {row["method"]: row["error"] for row in entry["inference"]["rows"]}
    for row in entry["rows"]:
        for column, printed in enumerate(row["reduction"]):
            computed = papers.relative_reduction(errors["vanilla"][column], errors[row["method"]][column])
            assert follows(computed, printed), (row["method"], column, computed)


def test_effects_of_the_contrasts_are_those_of_the_tables() -> None:
    printed = {
        (row.ours["experiment"], row.ours.get("setting"), row.ours["better"]): row.baseline.mean - row.better.mean
        for row in rows()
        if row.ours
    }
    checked = 0
    for contrast in papers.contrasts("p_on"):
        setting = f"{contrast.data}/{contrast.model}" if contrast.experiment == "pon-graphs" else None
        key = (contrast.experiment, setting, contrast.better)
        if contrast.effect_basis == "printed":
            assert contrast.effect == pytest.approx(printed[key])
            checked += 1
    assert checked == 5


def test_recipes_say_what_the_paper_leaves_open() -> None:
    for experiment in {contrast.experiment for contrast in papers.contrasts("p_on")}:
        found = papers.recipe("p_on", experiment)
        assert found["paper"]["not stated"]
        assert found["ours"]["search"]


def test_unknown_names_are_listed() -> None:
    with pytest.raises(ValueError, match="no recipe 'pon-moon'"):
        papers.recipe("p_on", "pon-moon")
    with pytest.raises(ValueError, match="Table 1, Table 2, Table 3"):
        papers.table("p_on", "Table 9")
    with pytest.raises(ValueError, match=r"knows no paper 'p_off'.*p_on"):
        papers.claims("p_off")
