"""Build the book: copy its sources, run each notebook once, make the pages, say where they lie.

    make book            notebooks that have not changed since they last ran are taken from the cache

Nothing is written outside `_build`: the sources go to `_build/work`, executed notebooks to `_build/cache/executed`, the
pages to `_build/html`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from book.tools import budget, portable, slides, static

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "_build"
WORK = BUILD / "work"
CACHE = BUILD / "cache"
HTML = BUILD / "html"
STATUS_MARK = "<!-- the build writes the table here -->"


def environment(**extra: str) -> dict[str, str]:
    """Return the variables for notebooks and pages: this Python, the smoke profile, nobody's own settings."""
    own = {
        "COMPANION_PROFILE": os.environ.get("COMPANION_PROFILE", "smoke"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_PLATFORM_DIRS": "1",
        "IPYTHONDIR": str(BUILD / "ipython"),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",  # the networks here are small: more threads wait for each other
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    return {**os.environ, **own, **extra}


def run(*command: str, cwd: Path = ROOT, **extra: str) -> int:
    """Run a command with its output shown and nothing to read from; return its answer."""
    BUILD.mkdir(exist_ok=True)  # a kernel's own folder will lie there
    sys.stdout.flush()
    return subprocess.run(
        list(command), cwd=cwd, env=environment(**extra), stdin=subprocess.DEVNULL, check=False
    ).returncode


def notebooks() -> list[Path]:
    """Return the book's notebooks in order."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def prepare() -> None:
    """Bring `_build/work` up to date with the sources and the generated files; notebooks come with `execute`."""
    WORK.mkdir(parents=True, exist_ok=True)
    for name in ("_config.yml", "_toc.yml"):
        static.write_if_new(WORK / name, (ROOT / name).read_bytes())
    static.mirror(ROOT / "book", WORK / "book")
    static.write_generated(WORK / "book" / "_static" / "generated", CACHE)


def library_digest() -> str:
    """Return the SHA-256 of what a notebook's outputs depend on besides itself: library, lock, Python, profile."""
    total = hashlib.sha256()
    for path in sorted((ROOT / "companion").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            total.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    total.update((ROOT / "requirements.lock").read_bytes())
    total.update(f"{platform.python_version()} {environment()['COMPANION_PROFILE']}".encode())
    return total.hexdigest()


def cached(notebook: Path, library: str) -> Path:
    """Return where the executed form of a notebook is kept."""
    key = hashlib.sha256(library.encode() + notebook.read_bytes()).hexdigest()[:16]
    return CACHE / "executed" / f"{notebook.stem}-{key}.ipynb"


def problems(notebook: dict[str, Any]) -> list[str]:
    """Say what is wrong with an executed notebook.

    Args:
        notebook: the parsed file.

    Returns:
        One sentence for each code cell that did not run, raised (unless tagged `raises-exception`) or wrote to stderr.

    """
    found = []
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "code" or not "".join(cell["source"]).strip():
            continue
        expected = "raises-exception" in cell["metadata"].get("tags", [])
        if cell.get("execution_count") is None:
            found.append(f"cell {number} did not run")
        for output in cell.get("outputs", []):
            if output["output_type"] == "error" and not expected:
                found.append(f"cell {number} raised {output['ename']}: {output['evalue']}")
            if output["output_type"] == "stream" and output["name"] == "stderr":
                found.append(f"cell {number} wrote to stderr: {''.join(output['text'])[:200]!r}")
    return found


def execute(*, fresh: bool = False) -> int:
    """Run every notebook whose executed form is not cached, all of them if `fresh`, and put them into `_build/work`.

    Returns:
        0, or the answer of the test run that failed.

    """
    library = library_digest()
    due = [path for path in notebooks() if fresh or not cached(path, library).is_file()]
    print(f"Notebooks to run: {', '.join(path.stem for path in due) or 'none, all are cached'}", flush=True)
    # Away from the repository: a notebook that leans on its folder is caught, and nbmake passes over `_build`.
    with tempfile.TemporaryDirectory(prefix="book-") as name:
        folder = Path(name)
        code = run_notebooks(due, folder) if due else 0
        return code or keep(due, folder, library)


def run_notebooks(due: list[Path], folder: Path) -> int:
    """Copy notebooks into a folder and run them there, each once, with nbmake; return its answer."""
    settings = folder / "pytest.ini"
    settings.write_text("[pytest]\n", encoding="utf-8")
    copies = [shutil.copy(path, folder / path.name) for path in due]
    workers = min(len(due), os.cpu_count() or 1, 4)
    parallel = ["-n", str(workers)] if workers > 1 else ["-p", "no:xdist"]
    options = [
        "--nbmake",
        "--overwrite",
        "--nbmake-timeout=900",
        "-c",
        str(settings),
        "-p",
        "no:cacheprovider",
        *parallel,
    ]
    return run(sys.executable, "-m", "pytest", *options, *map(str, copies), cwd=folder)


def keep(due: Iterable[Path], folder: Path, library: str) -> int:
    """Check what has just run, keep it in the cache, and give the book's copy its executed notebooks."""
    code = 0
    for path in due:
        text = (folder / path.name).read_text(encoding="utf-8")
        wrong = problems(json.loads(text))
        for sentence in wrong:
            print(f"{path.name}: {sentence}", flush=True)
        code = code or int(bool(wrong))
        if not wrong:
            for stale in (CACHE / "executed").glob(f"{path.stem}-*.ipynb"):
                stale.unlink()
            counted = json.dumps(budget.with_minutes(json.loads(text)), ensure_ascii=False, indent=1)
            static.write_if_new(cached(path, library), counted.encode())
    if code:
        return code
    target = WORK / "notebooks"
    for path in notebooks():
        static.write_if_new(target / path.name, cached(path, library).read_bytes())
    for path in target.glob("*.ipynb"):
        if not (ROOT / "notebooks" / path.name).is_file():
            path.unlink()
    write_status()
    return 0


def seconds_and_date(notebook: dict[str, Any]) -> tuple[float, str]:
    """Return how many seconds an executed notebook's cells took together and the day they ran, by their time stamps."""
    total, day = 0.0, ""
    for cell in notebook["cells"]:
        times = cell["metadata"].get("execution", {})
        if "iopub.execute_input" in times and "shell.execute_reply" in times:
            start, end = (
                datetime.fromisoformat(times[key].replace("Z", "+00:00"))
                for key in ("iopub.execute_input", "shell.execute_reply")
            )
            total, day = total + (end - start).total_seconds(), start.date().isoformat()
    return total, day


def write_status() -> None:
    """Fill the table of the status page from the executed notebooks."""
    from importlib import metadata

    rows = ["| page | seconds | run on |", "|---|---:|---|"]
    for path in sorted((WORK / "notebooks").glob("*.ipynb")):
        content = json.loads(path.read_text(encoding="utf-8"))
        seconds, day = seconds_and_date(content)
        rows.append(f"| [{portable.title_of(content)}](/notebooks/{path.name}) | {seconds:.0f} | {day} |")
    names = ("torch", "numpy", "sympy", "matplotlib", "torchvision", "torch-geometric", "anywidget", "jupyter-book")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    profile = environment()["COMPANION_PROFILE"]
    rows += ["", f"Profile `{profile}` on {system}; {versions}."]
    page = WORK / "book" / "status.md"
    text = (ROOT / "book" / "status.md").read_text(encoding="utf-8")
    if STATUS_MARK not in text:
        raise ValueError(f"book/status.md has lost its mark {STATUS_MARK!r}")
    static.write_if_new(page, text.replace(STATUS_MARK, "\n".join(rows)).encode())


def pages(*, fresh: bool = False) -> int:
    """Make the pages from `_build/work`, every warning an error.

    Args:
        fresh: start from nothing; else only pages that changed are made again.

    Returns:
        0, or the answer of `jupyter-book build`. After a failure nothing is kept: the next build sees all again.

    """
    trees = BUILD / ".doctrees"
    if fresh:
        shutil.rmtree(HTML, ignore_errors=True)
        shutil.rmtree(trees, ignore_errors=True)
    strict = ["-n", "-W", "--keep-going", "-q", "--path-output", str(ROOT)]
    code = run(str(Path(sys.executable).with_name("jupyter-book")), "build", *strict, str(WORK))
    if code == 0 and not (HTML / "book" / "index.html").is_file():
        print("The build made no first page.", flush=True)
        code = 1
    if code:
        shutil.rmtree(trees, ignore_errors=True)
        return code
    written = portable.write_all(HTML / "_sources" / "notebooks")
    portable.write_all(HTML / "_sources" / "handout", solutions=False)
    slides.write_all(HTML / "teaching")
    print(f"Pages: {len(list(HTML.rglob('*.html')))}, downloads in plain Markdown: {len(written)}", flush=True)
    return 0


def without_environment(module: str) -> str:
    """Return what to do if this Python lacks the packages of the lock file, else nothing."""
    absent = [name for name in ("torch", "jupyter_book", "ruff", "pytest") if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    target = "book" if module == "build" else "test"
    return (
        f"This Python ({sys.executable}) has no {', '.join(absent)}. Run `make {target}`, which makes an environment in .venv, "
        f"or, once it is there, .venv/bin/python -m book.tools.{module}."
    )


def main() -> int:
    """Build the book and say where it lies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="run every notebook and make every page again")
    fresh = parser.parse_args().fresh
    if said := without_environment("build"):
        print(said, file=sys.stderr)
        return 2
    started = time.monotonic()
    print("1/3 copying the sources, subsetting fonts", flush=True)
    prepare()
    print("2/3 running the notebooks (minutes the first time)", flush=True)
    if code := execute(fresh=fresh):
        print("A notebook failed: see above. The pages were not made.", flush=True)
        return code
    print("3/3 making the pages", flush=True)
    if code := pages(fresh=fresh):
        print("The pages could not be made without a warning: see above.", flush=True)
        return code
    print(f"\nThe book is ready ({time.monotonic() - started:.0f} s). Open it in a browser, no server needed:")
    print(f"    {HTML / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
