"""Run every check, cheap ones first, and stop at the first that fails: what `make test` and CI do.

The notebooks are run afresh, each once, and the pages that the last stage reads are made from just those runs.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from book.tools import browser, build

# Tests that read sources only: a missing field of a reference, a colour beside another, a stored output fail in seconds.
SOURCES = ("tests/book/test_bibliography.py", "tests/book/test_colours.py", "tests/test_repository.py")
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def command(*parts: str, **extra: str) -> Callable[[], int]:
    """Return a stage that runs a Python module with arguments."""
    return lambda: build.run(sys.executable, "-m", *parts, **extra)


def script(name: str, *parts: str) -> Callable[[], int]:
    """Return a stage that runs a script of the environment."""
    return lambda: build.run(str(Path(sys.executable).with_name(name)), *parts)


def sources() -> int:
    """Copy the sources and write the generated files."""
    build.prepare()
    return 0


def chromium() -> int:
    """Find a Chromium; say what is lost without one."""
    try:
        print(browser.ensure_chromium() or f"{browser.ADVICE}\nThe browser tests will be skipped.")
    except RuntimeError as error:
        print(error)
        return 1
    return 0


def stages(*, long: bool) -> list[tuple[str, Callable[[], int]]]:
    """Return the stages in order: what each looks at, and what runs it."""
    workers = str(min(os.cpu_count() or 1, 4))
    hurry = "" if long else " and not slow"
    others = ["tests", *(f"--ignore={path}" for path in SOURCES)]
    library = [*others, "companion", "--doctest-modules", "-n", workers, "-m", f"not book and not browser{hurry}"]
    pages = [*others, "-m", f"(book or browser){hurry}"]
    quiet = ["-q", "--no-header"]
    return [
        ("style of code and notebooks", command("ruff", "check", ".")),
        ("form of code and notebooks", command("ruff", "format", "--check", ".")),
        ("spelling", command("codespell_lib")),
        ("imports point one way", script("lint-imports", "--no-logo")),
        ("bibliography, colours, what git holds", command("pytest", *SOURCES, *quiet, **THREADS)),
        ("a Chromium for the last stage", chromium),
        ("unit tests, examples of docstrings, warnings as errors", command("pytest", *library, *quiet, **THREADS)),
        ("sources, fonts, scripts of the book", sources),
        ("every notebook, once", lambda: build.execute(fresh=True)),
        ("pages, strictly", lambda: build.pages(fresh=True)),
        ("links, buttons, plain copies, the pages in Chromium", command("pytest", *pages, *quiet, **THREADS)),
    ]


def main() -> int:
    """Run the stages; the last one ends with pytest's own closing line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help="with the tests marked slow")
    chosen = parser.parse_args()
    if said := build.without_environment("check"):
        print(said, file=sys.stderr)
        return 2
    todo = stages(long=chosen.long)
    begun = time.monotonic()
    for number, (title, stage) in enumerate(todo, 1):
        elapsed = time.monotonic() - begun
        print(f"\n[{number}/{len(todo)}] {title}  (at {elapsed // 60:.0f} min {elapsed % 60:.0f} s)", flush=True)
        if number == len(todo):
            print(f"The book being checked: {build.HTML / 'index.html'}", flush=True)
        if stage():
            print(f"\nFailed: {title}. The later stages did not run.", flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
