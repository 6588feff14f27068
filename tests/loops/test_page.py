"""The page of training loops shows the files that are tested, and marks the lines that a reader has to change."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

import companion
from companion import bench

from .conftest import FOLDER

EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py"))
# What is changed beside the names that come from `companion`.
OURS = {"objective", "criterion", "criterion__alpha", "train_loss_fn", "compute_loss", "compute_loss_func"}
OURS |= {"norm", "num_items_in_batch", "predict_nonlinearity", "unscale_"}


@pytest.fixture(scope="module")
def page(root) -> str:
    return (root / "book" / "in_your_loop.md").read_text(encoding="utf-8")


def shown(page: str) -> dict[str, list[int]]:
    """Return each example that the page includes, with the lines it marks."""
    found = re.findall(r"```{literalinclude} loops/(\w+)\.py\n:language: python\n:emphasize-lines: ([\d,]+)\n```", page)
    return {name: [int(line) for line in lines.split(",")] for name, lines in found}


def changed(text: str) -> list[int]:
    """Return the numbers of an example's lines that use something of this library, up to where it loads its data."""
    tree = ast.parse(text)
    names = set(OURS)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "companion":
            names |= {alias.name for alias in node.names} - {"data"}
    documented = (ast.Module, ast.FunctionDef, ast.ClassDef)
    strings = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)]
    words = {line for string in strings for line in range(string.lineno, string.end_lineno + 1)}
    code = text.partition("\nif __name__")[0].splitlines()
    found = {
        number for number, line in enumerate(code, 1) if number not in words and names & set(re.findall(r"\w+", line))
    }
    # The bracket that ends a changed statement belongs to it.
    ends = {node.end_lineno for node in ast.walk(tree) if isinstance(node, ast.stmt) and node.lineno in found}
    return sorted(found | {number for number in ends if text.splitlines()[number - 1].strip() == ")"})


METHODS = (
    "partial_norm",
    "length_stability",
    "PartialNorm",
    "LengthStability",
    "scalable_batch_norm",
    "ScalableBatchNorm",
)
METHODS += ("powergrad_cross_entropy", "powergrad_hook", "PowerGradCrossEntropy", "tamed_cross_entropy")
METHODS += ("TamedCrossEntropy", "norm_loss", "NormLoss")


@pytest.mark.parametrize("name", METHODS)
def test_help_names_the_page(root, name):
    assert "book/in_your_loop.md" in inspect.getdoc(getattr(companion, name))
    assert (root / "book" / "in_your_loop.md").is_file()


def test_every_example_is_shown_once(page):
    assert sorted(shown(page)) == EXAMPLES
    assert page.count("literalinclude") == len(EXAMPLES) == 9


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_marked_lines_are_those_that_change(page, name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert shown(page)[name] == changed(text)
    assert 2 <= len(changed(text)) <= 9


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_short_and_names_what_it_shows(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert max(map(len, text.splitlines())) <= 82, "a longer line is cut off in the page's column"
    assert ast.get_docstring(ast.parse(text))


def test_the_first_page_leads_here(root):
    index = (root / "book" / "index.md").read_text(encoding="utf-8")
    assert "<in_your_loop>`" in index
    assert "<cost>`" in index


def test_what_the_page_says_of_parts_is_what_the_table_finds(page):
    """The two that it calls not to be split are the two that no divisor mends."""
    from companion.bench import parts

    lost = {name for name, (*_, by_share) in parts.errors().items() if by_share > parts.EXACT}
    assert lost == {"scalable_batch_norm", "length_stability"}
    sentence = re.search(r"\*\*Not to be split:\*\* (.*?)\n- ", page, flags=re.DOTALL)[1]
    assert all(name.replace("_", " ") in sentence for name in lost)
    assert bench.parts_table() in bench.fill_places(page)
