"""What a method costs and what it does in parts: the measurements measure, and the book shows what was measured."""

from __future__ import annotations

import json
import time

import pytest
import torch
from torch.nn import functional

from companion import bench, methods
from companion.bench import __main__ as command
from companion.bench import cost, page, parts, training
from companion.bench.cases import BASELINE, CASES, Case
from companion.data import load

# What is no loss on logits by itself: targets, links, heads' parts, hooks, penalties on weights, clipping.
OTHERS = {
    "adaptive_clip_grad_",
    "clip_by_norm_",
    "evenly_distributed_centroids",
    "norm_loss",
    "powergrad_hook",
    "smooth_labels",
    "tamed_posterior",
}
SMALL = {"modes": ["eager"], "rounds": 3, "sample_ms": 1e-6}  # one step a sample


@pytest.fixture
def add_case(monkeypatch):
    """Return a function that adds a case for the time of a test."""

    def add(name: str, loss, place: str = "criterion") -> None:
        monkeypatch.setitem(CASES, name, Case(place, loss))

    return add


def test_every_function_of_the_library_is_measured():
    functions = {name for name in methods.__all__ if name.islower()}
    assert set(CASES) - {BASELINE} == functions - OTHERS
    assert functions >= OTHERS


@pytest.mark.parametrize("name", [name for name in CASES if name != BASELINE])
def test_no_case_is_neutral(name):
    logits, target = (
        torch.randn(8, 5, generator=torch.Generator().manual_seed(0)).mul(5).requires_grad_(),
        torch.ones(8).long(),
    )
    (own,) = torch.autograd.grad(CASES[name].loss(logits, target), logits)
    (plain,) = torch.autograd.grad(functional.cross_entropy(logits, target), logits)
    assert not torch.allclose(own, plain, atol=1e-4)


class TestTime:
    def test_forward_and_backward_are_told_apart(self, add_case):
        class SlowBackward(torch.autograd.Function):
            @staticmethod
            def forward(ctx, logits):
                return logits.sum()

            @staticmethod
            def backward(ctx, gradient):
                time.sleep(0.02)
                return gradient.expand(8, 3)

        add_case("slow_backward", lambda logits, target: SlowBackward.apply(logits))
        (row,) = bench.measure(["slow_backward"], [(8, 3)], **SMALL)["lines"]
        assert row["backward"]["p20"] >= 20 > row["forward"]["p50"]
        assert row["step"]["p20"] >= 20
        assert row["ratio"]["p80"] > 1

    def test_the_processors_clock_leaves_waiting_out(self, add_case):
        def waits(logits, target):
            time.sleep(0.05)
            return logits.sum()

        add_case("waits", waits)
        by = {
            clock: bench.measure(["waits"], [(8, 3)], clock=clock, **SMALL)["lines"][0]["step"]["p50"]
            for clock in cost.CLOCKS
        }
        assert by["wall"] >= 50 > by["cpu"]

    def test_method_and_baseline_take_turns(self, add_case):
        order = []

        def noting(letter):
            def loss(logits, target):
                order.append(letter)
                return logits.sum()

            return loss

        add_case(BASELINE, noting("b"))
        add_case("own", noting("m"))
        bench.measure(["own"], [(8, 3)], **{**SMALL, "rounds": 4})
        *timed, _peak = order
        assert "".join(timed).endswith("bm" * 4)

    def test_quantiles_are_in_order_and_a_sample_is_long_enough(self):
        record = bench.measure(["soft_cap"], [(8, 3), (16, 4)], modes=["eager"], rounds=5, sample_ms=2)
        assert [row["size"] for row in record["lines"]] == [[8, 3], [16, 4]]
        for row in record["lines"]:
            for name in ("forward", "backward", "step", "ratio"):
                assert 0 < row[name]["p20"] <= row[name]["p50"] <= row[name]["p80"]
        assert record["made"]["threads"] == torch.get_num_threads()
        assert record["made"]["clock"] == "wall time"

    def test_compiled_is_compiled_and_left_out_without_a_compiler(self, monkeypatch):
        compiled = []
        monkeypatch.setattr(torch, "compile", lambda loss, **options: compiled.append(options) or loss)
        both = {**SMALL, "modes": ["eager", "compiled"]}
        record = bench.measure(["soft_cap"], [(8, 3)], **both)
        assert [row["mode"] for row in record["lines"]] == ["eager", "compiled"]
        assert compiled == [{"dynamic": False}]
        monkeypatch.setattr(cost, "missing_compiler", lambda device: "no C++ compiler")
        record = bench.measure(["soft_cap"], [(8, 3)], **both)
        assert [row["mode"] for row in record["lines"]] == ["eager"]
        assert record["made"]["compiler"] == "no C++ compiler"

    def test_a_compiler_is_looked_for(self, monkeypatch):
        monkeypatch.setattr(cost.shutil, "which", lambda name: None)
        assert cost.missing_compiler(torch.device("cpu")) == "no C++ compiler"
        monkeypatch.setattr(cost.shutil, "which", lambda name: "there" if name == "clang++" else None)
        assert cost.missing_compiler(torch.device("cpu")) == ""
        monkeypatch.setattr(cost, "find_spec", lambda name: None)
        assert cost.missing_compiler(torch.device("cuda")) == "no Triton"

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"names": ["no_such"]}, "unknown method 'no_such'; there are: cross_entropy, tamed"),
            ({"modes": ["fast"]}, "unknown mode 'fast'; there are: eager, compiled"),
            ({"clock": "sun"}, "unknown clock 'sun'; there are: wall, cpu"),
        ],
    )
    def test_what_is_unknown_is_refused(self, wrong, message):
        with pytest.raises(ValueError, match=message):
            bench.measure(**wrong)


class TestMemory:
    LOGITS = torch.zeros(400, 100, requires_grad=True)

    def copies(self, loss) -> float:
        return bench.peak_bytes(loss, self.LOGITS, torch.zeros(400).long()) / self.LOGITS.nbytes

    def test_what_is_held_at_once_counts(self):
        def at_once(logits, target):
            held = [logits.detach().clone() for _ in range(3)]
            return logits.sum() + 0 * held[0].sum()

        def one_by_one(logits, target):
            for _ in range(3):
                logits.detach().clone()
            return logits.sum()

        assert self.copies(at_once) == pytest.approx(3, abs=0.01)
        assert self.copies(one_by_one) == pytest.approx(1, abs=0.01)  # in the end the gradient alone

    def test_cross_entropy_holds_probabilities_and_gradient(self):
        assert self.copies(functional.cross_entropy) == pytest.approx(3, abs=0.05)

    def test_a_device_without_a_count_has_none(self):
        logits = torch.zeros(2, 3, device="meta", requires_grad=True)
        assert bench.peak_bytes(lambda z, y: z.sum(), logits, logits) is None


class TestTable:
    def record(self) -> dict:
        def row(method, size, mode, middle, peak):
            return {
                "method": method,
                "size": list(size),
                "mode": mode,
                "ratio": {"p20": middle - 0.1, "p50": middle, "p80": middle + 0.2},
                "peak_bytes": peak,
            }

        rows = [row("soft_cap", (10, 5), "eager", 2.0, 600), row("soft_cap", (10, 5), "compiled", 1.0, 400)]
        return {"lines": [*rows, row("focal_loss", (20, 1000), "eager", 1.5, None)]}

    def test_cells(self):
        assert bench.cost_table(self.record(), "eager").splitlines() == [
            "| method | 10 × 5 | 20 × 1,000 |",
            "|---|---:|---:|",
            "| `soft_cap` | 2.00 (1.90–2.20) | – |",
            "| `focal_loss` | – | 1.50 (1.40–1.70) |",
        ]
        assert "| `soft_cap` | 1.00 (0.90–1.20) |" in bench.cost_table(self.record(), "compiled")
        memory = bench.cost_table(self.record(), "memory").splitlines()
        assert memory[2:] == ["| `soft_cap` | 3.0 → 2.0 | – |", "| `focal_loss` | – | – |"]

    def test_what_is_not_there_is_said(self):
        with pytest.raises(ValueError, match="unknown column 'speed'; there are: eager, compiled, memory"):
            bench.cost_table(self.record(), "speed")
        with pytest.raises(ValueError, match="the record holds nothing compiled"):
            bench.cost_table({"lines": self.record()["lines"][:1]}, "compiled")


class TestRecord:
    def test_it_holds_every_method_at_every_size_in_both_modes(self):
        found = [(row["method"], tuple(row["size"]), row["mode"]) for row in cost.load_record()["lines"]]
        assert len(found) == len(set(found))
        assert set(found) == {(name, size, mode) for name in CASES for size in bench.SIZES for mode in cost.MODES}

    def test_it_says_with_what_it_was_made(self):
        record = cost.load_record()
        assert {"device", "threads", "torch", "python", "date", "load", "compiler"} <= set(record["made"])
        assert record["made"]["device"] in bench.made_with(record)
        assert record["made"]["allocator"] in bench.made_with(record)

    def test_the_baseline_against_itself_is_one(self):
        """The noise floor: if these are far from 1, no other ratio of the record says anything."""
        selves = [row for row in cost.load_record()["lines"] if row["method"] == BASELINE and row["mode"] == "eager"]
        assert len(selves) == len(bench.SIZES)
        assert [row for row in selves if not 0.9 < row["ratio"]["p50"] < 1.1] == []


class TestParts:
    def test_what_survives_and_what_does_not(self):
        inexact = {name: [error > parts.EXACT for error in row] for name, row in parts.errors().items()}
        alone = {"scalable_batch_norm": [True, True, True], "length_stability": [True, True, True]}
        alone |= {"class weights": [True, True, False], "ignored rows": [True, True, False]}
        assert inexact == {
            name: alone.get(name, [False, True, False]) for name in [*CASES, *set(alone) - set(CASES), "norm_loss"]
        }

    def test_what_is_not_exact_is_far_from_it(self):
        """Nothing lies between rounding and a difference that one would notice, so that the word exact has a meaning."""
        errors = [error for row in parts.errors().values() for error in row]
        assert [error for error in errors if parts.EXACT / 100 < error < 1e-3] == []

    def test_a_sum_in_k_parts_is_short_by_a_factor_k(self):
        def total(logits, target):
            return functional.cross_entropy(logits, target, reduction="sum")

        assert bench.gradient_error(total) == pytest.approx(1 - 1 / 4, rel=1e-12)
        assert bench.gradient_error(total, (60,)) == 0

    def test_ignored_rows_are_of_the_first_part_only(self):
        kept = []

        def noting(logits, target):
            kept.append(int(parts.rows_kept(target)))
            return functional.cross_entropy(logits, target)

        bench.gradient_error(noting, (5, 4), ignored=10)
        assert sorted(kept) == [1, 4, 5]

    def test_lines_are_shared_by_what_behaves_alike(self):
        lines = bench.parts_table().splitlines()[2:]
        assert len(lines) == 8
        assert sum(line.count("`") // 2 for line in lines) == len(CASES) + 1
        assert lines[0].startswith("| `cross_entropy`, `tamed_cross_entropy`")
        assert lines[0].endswith(" % | exact |")


class TestTraining:
    def test_ratio_counts_the_runs_that_go_at_once(self, monkeypatch):
        clock = iter(range(100))  # every epoch takes one tick
        monkeypatch.setattr(training.time, "perf_counter", lambda: next(clock))
        pair = training._Pair(lambda: None, lambda: None, steps=10, networks=())
        ratio = training._compared("three", 3, pair, rounds=2)
        assert (ratio.ratio, ratio.low, ratio.high, ratio.plain_ms) == (3, 3, 3, 100)
        assert str(ratio) == "three, 3 at once: 3.00 (3.00–3.00) times the plain loop, whose step takes 100.00 ms"

    @pytest.mark.parametrize("name", training.OBJECTIVES)
    def test_both_loops_learn(self, name):
        """A loop that forgot its step, or stepped upwards, would be measured too."""
        images = load("mnist", sample=True)
        pair = training._perceptrons(images, training.OBJECTIVES[name], 2)
        inputs, labels = images.normalised(), images.labels
        for network, epoch in zip(pair.networks, (pair.plain, pair.ours), strict=True):
            before = functional.cross_entropy(network(inputs), labels)
            for _ in range(10):
                epoch()
            assert functional.cross_entropy(network(inputs), labels) < 0.95 * before


class TestPages:
    def test_places_are_filled(self, monkeypatch):
        monkeypatch.setitem(page._FILLINGS, "made", lambda: "A sentence.")
        assert bench.fill_places('a\n\n<div data-bench="made"></div>\n\nb') == "a\n\nA sentence.\n\nb"
        with pytest.raises(ValueError, match="data-bench must be one of eager, compiled, memory, made, parts, got 'x'"):
            bench.fill_places('<div data-bench="x"></div>')

    @pytest.mark.parametrize("name", ["cost", "in_your_loop"])
    def test_the_books_pages_are_filled(self, root, name):
        text = (root / "book" / f"{name}.md").read_text(encoding="utf-8")
        filled = bench.fill_places(text)
        assert "data-bench" in text
        assert "data-bench" not in filled
        assert filled.count("\n| ") > text.count("\n| ") + 5


class TestCommand:
    def test_methods(self, tmp_path, capsys):
        file = tmp_path / "new" / "cost.json"
        chosen = ["--methods", "soft_cap", "--sizes", "8x3", "16x4", "--device", "cpu", "--quick", "--json", str(file)]
        assert command.main(["methods", *chosen]) == 0
        record = json.loads(file.read_text(encoding="utf-8"))
        assert [row["size"] for row in record["lines"]] == [[8, 3], [16, 4]]
        assert record["made"]["rounds"] == command.QUICK["rounds"]
        said = capsys.readouterr()
        assert bench.cost_table(record, "eager") in said.out
        assert "(8, 3) eager soft_cap" in said.err

    def test_parts(self, capsys):
        assert command.main(["parts"]) == 0
        assert capsys.readouterr().out == bench.parts_table() + "\n"

    def test_training(self, capsys):
        assert command.main(["training", "--runs", "2", "--rounds", "1", "--device", "cpu"]) == 0
        lines = capsys.readouterr().out.splitlines()
        names = [line.partition(", 2 at once: ")[0] for line in lines]
        perceptrons = [f"perceptron, {name}" for name in training.OBJECTIVES]
        assert names in ([*perceptrons, "GCN, Cora", "GAT, Cora"], perceptrons)

    @pytest.mark.parametrize("size", ["8", "0x3", "8x3x1", "ax3"])
    def test_a_size_that_is_none_is_refused(self, size, capsys):
        with pytest.raises(SystemExit):
            command.main(["methods", "--sizes", size])
        assert "a size is ROWSxCLASSES" in capsys.readouterr().err


@pytest.mark.slow
def test_compiling_saves_memory():
    """One real compilation: of partial norm, whose seven copies of the logits a compiler brings down."""
    record = bench.measure(["partial_norm"], [(512, 200)], rounds=3, sample_ms=1)
    eager, compiled = record["lines"]
    assert compiled["mode"] == "compiled", record["made"]["compiler"]
    assert compiled["peak_bytes"] < eager["peak_bytes"]
