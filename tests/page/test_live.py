"""What a page computes while it is read."""

from __future__ import annotations

import pytest
import torch

from companion import page


def test_temperature_is_fitted_on_the_first_half() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2000, 4, generator=generator, dtype=torch.float64)
    target = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    first = (torch.arange(2000) < 1000)[:, None]
    outputs = {name: torch.where(first, scale * logits, logits) for name, scale in (("sharp", 3.0), ("flat", 0.3))}
    sharp, flat = page.table_temperature(outputs, target).text.splitlines()[1:3]
    assert [cell.strip() for cell in sharp.split("|")[2:3]] == ["over-confident"]
    assert [cell.strip() for cell in flat.split("|")[2:3]] == ["under-confident"]
    assert float(sharp.split("|")[1]) == pytest.approx(3, abs=0.3)
    assert float(flat.split("|")[1]) == pytest.approx(0.3, abs=0.03)


def test_the_small_run_s_table() -> None:
    outputs = {"one": torch.tensor([[0.0, 0.0], [5.0, -50.0]])}
    shown = page.table_small_run({"one": [1.0, 2.0, 3.0, 4.0]}, outputs, torch.tensor([1, 0]))
    assert [cell.strip() for cell in shown.text.splitlines()[1].split("|")] == ["one", "2.0", "4.0", "75.0", "50.0"]
