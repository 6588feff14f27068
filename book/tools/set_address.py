"""Change the repository's address everywhere at once.

    python -m book.tools.set_address OWNER/REPO

The address stands in `_config.yml`, which is the one to believe; README, notebooks, citation, metadata and prose repeat
it, because they are read without a build. This rewrites every copy: the repository, its pages, its Colab links.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SLUG = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?/[A-Za-z0-9._-]+")
ENDINGS = {
    ".md",
    ".yml",
    ".yaml",
    ".toml",
    ".cff",
    ".ipynb",
    ".py",
    ".js",
    ".css",
    ".json",
    ".bib",
    ".html",
    ".txt",
    "",
}


def files(root: Path) -> Iterator[Path]:
    """Yield the text files of the repository: those that git knows or would add; without git all but dot folders."""
    answer = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    names = answer.stdout.decode().split("\0") if answer.returncode == 0 else []
    found = [root / name for name in names if name]
    if not found:
        skipped = {".venv", ".git", "_build", "runs", "node_modules"}
        found = [path for path in sorted(root.rglob("*")) if not skipped & set(path.relative_to(root).parts)]
    for path in found:
        if path.is_file() and path.suffix in ENDINGS:
            yield path


def current(root: Path = ROOT) -> str:
    """Return the address as `OWNER/REPO`, from `_config.yml`."""
    config = (root / "_config.yml").read_text(encoding="utf-8")
    found = re.search(r"^  url: https://github\.com/(\S+/\S+?)/?\s*$", config, flags=re.MULTILINE)
    if found is None:
        raise ValueError("_config.yml names no repository")
    return found.group(1)


def pages_address(slug: str) -> str:
    """Return where GitHub Pages serves a repository's book, without `https://`."""
    owner, repository = slug.split("/")
    return f"{owner.lower()}.github.io/{repository}"


def occurrences(text: str, slug: str) -> list[str]:
    """Return every place in a text that names the repository or its pages as an address."""
    return [found.group() for found in _pattern(slug).finditer(text)]


def _pattern(slug: str) -> re.Pattern[str]:
    # git+https and ssh forms, Colab's and the API's paths, and the pages; the bare name of the package is no address.
    hosts = r"github\.com[/:]|/github/|githubusercontent\.com/|api\.github\.com/repos/"
    code = rf"(?P<before>{hosts}){re.escape(slug)}(?![\w-])"
    return re.compile(rf"{code}|(?<![\w.-]){re.escape(pages_address(slug))}(?![\w-])")


def replaced(text: str, old: str, new: str) -> str:
    """Return the text with every address of `old` made one of `new`."""

    def change(found: re.Match[str]) -> str:
        return pages_address(new) if found["before"] is None else found["before"] + new

    return _pattern(old).sub(change, text)


def set_address(new: str, root: Path = ROOT) -> list[Path]:
    """Rewrite every copy of the address.

    Args:
        new: the new address, `OWNER/REPO`.
        root: the repository's top folder.

    Returns:
        The files that changed.

    Raises:
        ValueError: `new` is not of the form `OWNER/REPO`.

    """
    if not SLUG.fullmatch(new):
        raise ValueError(f"address must be OWNER/REPO, got {new!r}")
    old, changed = current(root), []
    for path in files(root):
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:
            continue
        if (fresh := replaced(text, old, new)) != text:
            path.write_bytes(fresh.encode())
            changed.append(path)
    return changed


def main() -> int:
    """Rewrite the address and list the files that changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", metavar="OWNER/REPO")
    changed = set_address(parser.parse_args().address)
    for path in changed:
        print(path.relative_to(ROOT))
    print(f"{len(changed)} files changed; run make test, then commit them.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
