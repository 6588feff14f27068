"""The plain copy of every notebook with exercises runs; its head, which is the hand-out, holds and shows no solution."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from book.tools import build, portable

CHAPTERS = [path for path in build.notebooks() if "{exercise}" in path.read_text(encoding="utf-8")]


def texts(cells: list[dict[str, Any]]) -> str:
    return "\n".join("".join(cell["source"]) for cell in cells)


def shown(cells: list[dict[str, Any]]) -> str:
    """Return what the cells' outputs say, as text, one line each."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "\n".join("".join(output.get("data", {}).get("text/plain", output.get("text", ""))) for output in outputs)


def solutions(path: Path) -> list[str]:
    """Return the lines of a notebook's solutions that are long enough to be told from others, without those that a question gives."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    bodies = re.findall(r"```\{solution\}.*?\n(.*?)\n```", texts(cells), flags=re.DOTALL)
    bodies += ["".join(cell["source"]) for cell in cells if portable.REQUIRED.search("".join(cell["source"]))]
    given = [
        line for cell in cells if "..." in "".join(cell["source"]) for line in "".join(cell["source"]).splitlines()
    ]
    return [line for body in bodies for line in body.splitlines() if len(line) > 30 and line not in given]


@pytest.mark.timeout(1500)  # a minute; several beside other runs
@pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])
def test_the_handout_has_no_solution_and_runs_without_one(path: Path, tmp_path: Path) -> None:
    """One run serves both copies: the whole one begins with the cells of the hand-out and ends with the solutions."""
    handout = portable.copies(solutions=False)[path.name]["cells"]
    whole = portable.copies()[path.name]
    assert whole["cells"][1 : len(handout)] == handout[1:]
    assert ".require()" not in texts(handout)
    secret = solutions(path)
    assert len(secret) > 5
    assert [line for line in secret if line in texts(handout)] == []
    assert [line for line in secret if line.lstrip() in texts(whole["cells"])] != []

    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / path.name).write_text(json.dumps(whole), encoding="utf-8")
    (tmp_path / "run").mkdir()
    assert build.run_notebooks([tmp_path / "copy" / path.name], tmp_path / "run") == 0
    ran = json.loads((tmp_path / "run" / path.name).read_text(encoding="utf-8"))
    assert build.problems(ran) == []
    before, after = ran["cells"][: len(handout)], ran["cells"][len(handout) :]
    assert re.findall(r"^Right\..*", shown(before), flags=re.MULTILINE) == []
    asked = len(re.findall(r"```\{exercise\}", path.read_text(encoding="utf-8")))
    assert len(re.findall(r"^Your turn\.", shown(before), flags=re.MULTILINE)) == asked, "an exercise has no answer yet"
    assert len(re.findall(r"^Right\.", shown(after), flags=re.MULTILINE)) == asked, "every solution is right"
