"""The picture of a live figure where no script runs, drawn once: by the figure's own script, which Node runs.

Node rather than a browser, because it starts in a tenth of a second and comes with the playwright package, so that whoever can test
the book can draw it. What the script needs of a page is in ``still.js``. Without Node there is no picture, and the page says in a
sentence what the figure is about.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import warnings
from functools import cache
from pathlib import Path


@cache
def find_node() -> str | None:
    """Return the path of a Node: the one in the playwright package, else that of the system, else None."""
    spec = importlib.util.find_spec("playwright")
    if spec is not None and spec.origin is not None:
        for name in ("node", "node.exe"):
            bundled = Path(spec.origin).parent / "driver" / name
            if bundled.is_file():
                return str(bundled)
    return shutil.which("node")


@cache
def drawn(source: str, values: str) -> str:
    """Return a figure's picture and its description as one line of HTML, or nothing where they cannot be drawn.

    Args:
        source: the figure's module with ``still.js`` behind it.
        values: all of its values, as JSON.
    """
    node = find_node()
    if node is None:
        return ""
    done = subprocess.run(
        [node, "--input-type=module", "-"],
        input=f"{source}\nprocess.stdout.write(still({values}));\n",
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "Error" in line] or ["it gave no reason"]
        warnings.warn(f"a live figure could not be drawn by {node}: {said[0]}", stacklevel=3)
        return ""
    return done.stdout
