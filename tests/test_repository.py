"""The repository as a whole: what git holds, where the address stands, what the lock says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

from book.tools import build, set_address

AUTHORS = "The Logits Under Control authors"
NOTEBOOKS = build.notebooks()


def stored(notebook: dict) -> list[int]:
    """Return the numbers of the code cells that hold outputs or a count."""
    cells = enumerate(notebook["cells"])
    return [at for at, cell in cells if cell["cell_type"] == "code" and (cell["outputs"] or cell["execution_count"])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path):
    assert stored(nbformat.read(path, as_version=4)) == [], "strip it: make format"


def test_stored_outputs_are_noticed():
    cell = nbformat.v4.new_code_cell("1 + 1")
    assert stored({"cells": [cell]}) == []
    cell.outputs = [nbformat.v4.new_output("stream", text="2")]
    assert stored({"cells": [nbformat.v4.new_markdown_cell("text"), cell]}) == [1]
    cell.update(outputs=[], execution_count=3)
    assert stored({"cells": [cell]}) == [0]


@pytest.mark.parametrize("file", ["Makefile", ".pre-commit-config.yaml"])
def test_stripping_leaves_the_stored_notebooks_as_they_are(root, tmp_path, file):
    """Without `--keep-id` every named cell would become a number: a hundred changed lines that nobody made."""
    found = re.search(r"-m nbstripout((?: --\S+)*)", (root / file).read_text(encoding="utf-8"))
    assert found, f"{file} strips no notebooks"
    copies = [Path(shutil.copy(path, tmp_path)) for path in NOTEBOOKS]
    subprocess.run([sys.executable, "-m", "nbstripout", *found[1].split(), *copies], check=True)
    changed = [
        copy.name for copy, path in zip(copies, NOTEBOOKS, strict=True) if copy.read_bytes() != path.read_bytes()
    ]
    assert copies
    assert not changed, "make format changes what is stored: run it and commit the result, or mend its options"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_in_the_contents_and_named_after_its_method(path, root):
    contents = (root / "_toc.yml").read_text(encoding="utf-8")
    assert f"file: notebooks/{path.stem}\n" in contents
    assert re.fullmatch(r"\d\d_[a-z_]+", path.stem)
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata.kernelspec.name == "python3"
    nbformat.validate(notebook)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_that_a_learner_reads_are_short(path):
    too_long = []
    for at, cell in enumerate(nbformat.read(path, as_version=4).cells):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        if cell.cell_type == "code" and len(lines) > 15:
            too_long.append(f"cell {at}: {len(lines)} lines")
    assert not too_long, "what is longer than 15 lines belongs in companion"


def test_every_page_of_the_contents_exists(root):
    names = re.findall(r"(?:file|root): (\S+)", (root / "_toc.yml").read_text(encoding="utf-8"))
    missing = [name for name in names if not any((root / f"{name}{end}").is_file() for end in (".md", ".ipynb"))]
    assert len(names) == len(set(names)) > 5
    assert missing == []


def copy_of_texts(root: Path, to: Path) -> None:
    """Copy the repository's text files into a folder."""
    for path in set_address.files(root):
        target = to / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def test_one_command_changes_every_copy_of_the_address(root, tmp_path):
    copy_of_texts(root, tmp_path)
    old, new = set_address.current(root), "ada/loss-book"
    changed = {path.relative_to(tmp_path).as_posix() for path in set_address.set_address(new, tmp_path)}
    assert {"_config.yml", "README.md", "CITATION.cff", "pyproject.toml", "book/running.md"} <= changed
    assert set_address.current(tmp_path) == new
    for path in set_address.files(tmp_path):
        text = path.read_bytes().decode(errors="ignore")
        assert set_address.occurrences(text, old) == [], path
    config = yaml.safe_load((tmp_path / "_config.yml").read_text(encoding="utf-8"))
    assert config["html"]["baseurl"] == f"https://{set_address.pages_address(new)}/"
    set_address.set_address(old, tmp_path)
    for path in set_address.files(root):
        same = (tmp_path / path.relative_to(root)).read_bytes() == path.read_bytes()
        assert same, f"{path} there and back is another"


def test_copies_of_the_address_agree(root):
    owner, repository = set_address.current(root).split("/")
    for path in set_address.files(root):
        if path.is_relative_to(root / "tests"):
            continue
        text = path.read_bytes().decode(errors="ignore")
        for found in re.finditer(rf"github\.com[/:]([\w.-]+)/{re.escape(repository)}\b", text):
            assert found.group(1) == owner, path
        for found in re.finditer(rf"([\w-]+)\.github\.io/{re.escape(repository)}\b", text):
            assert found.group(1) == owner, path


@pytest.mark.parametrize("wrong", ["", "name", "a/b/c", "https://github.com/a/b", "-a/b", "a b/c"])
def test_an_address_that_is_none_is_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match="OWNER/REPO"):
        set_address.set_address(wrong, tmp_path)


def test_lock_holds_hashes_and_no_address(root):
    lock = (root / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert not re.search(r"^(--|-[a-z] )", lock, flags=re.MULTILINE)
    entries = re.findall(r"^([a-z0-9._-]+)==(\S+)(.*(?:\n    .*)*)", lock, flags=re.MULTILINE)
    assert len(entries) > 100
    assert [name for name, _, rest in entries if "--hash=sha256:" not in rest] == []


def test_lock_satisfies_every_range_of_the_metadata(root):
    lock = (root / "requirements.lock").read_text(encoding="utf-8")
    versions = dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", lock, flags=re.MULTILINE))
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    ranges = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    # A cluster is no part of `all`: only the long tests install it, beside the lock.
    extras = {name: extra for name, extra in project["project"]["optional-dependencies"].items() if name != "cluster"}
    ranges += [entry for extra in extras.values() for entry in extra]
    for requirement in map(Requirement, ranges):
        name = requirement.name.lower().replace("_", "-")
        if name != project["project"]["name"]:
            assert requirement.specifier.contains(versions[name], prereleases=True), name


def test_versions_and_authors_agree(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]
    assert f"## {project['version']}" in (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert [author["name"] for author in citation["authors"]] == [AUTHORS]
    assert [author["name"] for author in project["authors"]] == [AUTHORS]
    for name in ("LICENSE", "LICENSE-text", "_config.yml"):
        assert AUTHORS in (root / name).read_text(encoding="utf-8"), name


def targets(root: Path) -> set[str]:
    """Return the names of the make targets."""
    return set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


def test_every_make_command_that_is_written_down_exists(root):
    pages = [root / "README.md", root / "CONTRIBUTING.md", *(root / "book").rglob("*.md")]
    pages += [*(root / ".github").rglob("*.yml"), *(root / ".github").rglob("*.md")]
    for page in pages:
        named = set(re.findall(r"(?:^|`|run: )make ([a-z-]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE))
        assert named <= targets(root), page


def test_ci_runs_the_readmes_test_command_and_nothing_else(root):
    lines = (root / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith("#")]
    assert commands == ["set -e", 'cd "$(dirname "$0")/.."', "exec make test"]
    assert "make test" in (root / "README.md").read_text(encoding="utf-8")
    for workflow in (root / ".github" / "workflows").glob("*.yml"):
        assert "make " in workflow.read_text(encoding="utf-8"), workflow
