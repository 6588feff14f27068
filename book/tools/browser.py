"""Find a Chromium to drive the browser tests with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
ADVICE = (
    "No Chromium found, so the browser tests cannot run. Set CHROMIUM=/path/to/chrome, install Chrome or Chromium,\n"
    "or type  .venv/bin/python -m playwright install chromium"
)


def in_ci() -> bool:
    """Whether this is an unattended run (`CI` set to anything but an empty word, `0` or `false`)."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def find_chromium() -> str | None:
    """Return the path of a Chromium: `$CHROMIUM`, one of the system, or the one Playwright installed; else None.

    Raises:
        FileNotFoundError: `$CHROMIUM` names no executable file.

    """
    named = os.environ.get("CHROMIUM")
    if named:
        found = shutil.which(named)
        if found is None:
            raise FileNotFoundError(f"CHROMIUM={named!r} is no executable file")
        return found
    for name in NAMES:
        if found := shutil.which(name):
            return found
    if MAC.exists():
        return str(MAC)
    return _playwright_chromium()


def _playwright_chromium() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if path and Path(path).exists() else None


def ensure_chromium() -> str | None:
    """Return a Chromium; in CI, as root on a Debian system, install one where there is none.

    Raises:
        RuntimeError: in CI, when there is no Chromium and none can be installed.

    """
    found = find_chromium()
    if found or not in_ci():
        return found
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", "chromium"]):
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(command, check=False, stdin=subprocess.DEVNULL, env=environment)
        found = find_chromium()
    if found is None:
        raise RuntimeError(ADVICE)
    return found


if __name__ == "__main__":
    chromium = ensure_chromium()
    print(chromium or ADVICE)
    sys.exit(0 if chromium else 1)
