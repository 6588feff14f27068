"""Run the tests with every Python that the package allows, and with the oldest packages: what `make test-versions` does.

Each gets an environment of its own under `_build/versions`. A Python that is not there is named and left out; one that
pyenv keeps is found. The oldest packages are what uv's "lowest-direct" takes from the ranges of `pyproject.toml`; with them
run the library's tests, for the book and its tools have a lock.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "_build" / "versions"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
OLDEST = "oldest"
LIBRARY = ("tests/methods", "tests/models", "tests/data", "tests/training", "tests/experiments", "tests/results")
LIBRARY += ("tests/symbolic", "tests/test_objective.py", "tests/test_geometry.py", "tests/test_numerics.py")
LIBRARY += ("tests/test_checks.py", "tests/test_package.py")
EXTRAS = "vision,graph,math,plots,experiments"
TOOLS = ("pytest==8.*", "pytest-timeout", "pytest-xdist", "hypothesis", "hatchling", "editables")


def executable(version: str) -> str | None:
    """Return the command that runs a Python, or None: ``python3.12`` on the path, or one that pyenv keeps."""
    keep = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    kept = sorted(
        keep.glob(f"{version}.*/bin/python"), key=lambda path: [int(n) for n in re.findall(r"\d+", path.parts[-3])]
    )
    names = [shutil.which(f"python{version}"), *map(str, reversed(kept))]
    probe = f"import sys; sys.exit('%d.%d' % sys.version_info[:2] != {version!r})"
    return next((name for name in names if name and not _run(name, "-c", probe, quiet=True)), None)


def environment(name: str, python: str, *what: str) -> Path:
    """Make an environment under `_build/versions` hold what uv is told to install; return its Python."""
    uv = Path(sys.executable).with_name("uv")
    inside = FOLDER / name / "bin" / "python"
    if not inside.exists() and _run(uv, "venv", "--quiet", "--no-config", "--python", python, FOLDER / name):
        raise SystemExit(f"uv could not make an environment with {python}")
    install = (uv, "pip", "install", "--quiet", "--no-config", "--python", inside)
    if _run(*install, *what):
        raise SystemExit(f"the packages for {name} could not be installed: see above")
    return inside


def tried(name: str) -> bool | None:
    """Run the tests for one name of `PYTHONS` or `OLDEST`; say whether they passed, None if there is no such Python."""
    version = PYTHONS[0] if name == OLDEST else name
    if (python := executable(version)) is None:
        print(f"Python {version} is not on this machine", flush=True)
        return None
    if name != OLDEST:
        inside = environment(name, python, "--require-hashes", "-r", str(ROOT / "requirements.lock"))
        environment(name, python, "--no-deps", "--no-build-isolation", "-e", str(ROOT))
        return _run(inside, "-m", "book.tools.check") == 0
    inside = environment(name, python, "--resolution", "lowest-direct", "-e", f"{ROOT}[{EXTRAS}]")
    environment(name, python, *TOOLS)
    # A deprecation here is that of an old package by a newer one, which nobody can mend any more.
    quiet = ("-q", "--no-header", "-n", str(min(os.cpu_count() or 1, 4)), "-W", "ignore::DeprecationWarning")
    return _run(inside, "-m", "pytest", *LIBRARY, *quiet, "-m", "not slow", OMP_NUM_THREADS="1") == 0


def _run(*command: str | Path, quiet: bool = False, **extra: str) -> int:
    pipe = subprocess.DEVNULL if quiet else None
    parts = [str(part) for part in command]
    return subprocess.run(
        parts, cwd=ROOT, env={**os.environ, **extra}, stdout=pipe, stderr=pipe, check=False
    ).returncode


def main() -> int:
    """Try all, or those that are named; the last lines say what passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PYTHONS)}, {OLDEST}; default all")
    names = parser.parse_args().names or [*PYTHONS, OLDEST]
    if unknown := set(names) - {*PYTHONS, OLDEST}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    results = {name: tried(name) for name in names}
    words = {True: "passed", False: "failed", None: "not on this machine"}
    print("\n" + "\n".join(f"{name}: {words[result]}" for name, result in results.items()))
    return int(False in results.values())


if __name__ == "__main__":
    sys.exit(main())
