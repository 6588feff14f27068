"""Make `.venv` hold what `requirements.lock` says, with this package installed as editable.

Run by every make target with the system's Python; needs the standard library only. A stamp in `.venv` remembers what
was installed, so that a second run starts at once and asks nothing of the network.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv"
BIN = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
UV = BIN / ("uv.exe" if os.name == "nt" else "uv")
LOCK = ROOT / "requirements.lock"
LOCK_STAMP = ENVIRONMENT / "lock.sha256"
PACKAGE_STAMP = ENVIRONMENT / "package.sha256"
OLDEST = (3, 11)


def digest(*paths: Path) -> str:
    """Return the SHA-256 of the files' bytes, one after another, and of this folder's place."""
    total = hashlib.sha256(str(ROOT).encode())
    for path in paths:
        total.update(path.read_bytes())
    return total.hexdigest()


def stamped(stamp: Path, expected: str) -> bool:
    """Whether the stamp file holds the expected digest."""
    return stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == expected


def uv_requirement(lock: str) -> str:
    """Return the lines of the lock that name uv, its version and its hashes."""
    found = re.search(r"^uv==.*?(?=^\S)", lock, flags=re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit("requirements.lock names no uv; run `make lock`")
    return found.group()


def run(*command: str | Path) -> None:
    """Run a command with its output shown; stop with one sentence when it fails."""
    environment = {"UV_HTTP_TIMEOUT": "300", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **os.environ}
    code = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, check=False).returncode
    if code:
        raise SystemExit(f"Setting up .venv stopped: `{' '.join(str(part) for part in command)}` answered {code}.")


def create() -> None:
    """Make a virtual environment in `.venv` where there is none that runs."""
    if PYTHON.exists():
        probe = "import sys; raise SystemExit(sys.version_info < (3, 11))"
        if subprocess.run([str(PYTHON), "-c", probe], check=False, capture_output=True).returncode == 0:
            return
    print(f"Making .venv with Python {sys.version.split()[0]} …", flush=True)
    code = subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=False).returncode
    if code:
        raise SystemExit("Python could not make a virtual environment. On Debian and Ubuntu: apt install python3-venv")


def main() -> None:
    """Bring `.venv` up to date and say so; silent when it is."""
    if sys.version_info < OLDEST:
        version = sys.version.split()[0]
        raise SystemExit(f"Python 3.11 or newer is needed, this is {version}. Name one: make book PYTHON=python3.12")
    started = time.monotonic()
    lock, package = digest(LOCK), digest(LOCK, ROOT / "pyproject.toml")
    if PYTHON.exists() and stamped(LOCK_STAMP, lock) and stamped(PACKAGE_STAMP, package):
        return
    create()
    if not stamped(LOCK_STAMP, lock):
        if not UV.exists():
            print("Fetching uv, the installer …", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                wanted = Path(folder) / "uv.txt"
                wanted.write_text(uv_requirement(LOCK.read_text(encoding="utf-8")), encoding="utf-8")
                run(PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", wanted)
        print("Installing requirements.lock: about 240 packages, 6 GB once unpacked on Linux …", flush=True)
        run(UV, "pip", "install", "--python", PYTHON, "--require-hashes", "-r", LOCK)
        LOCK_STAMP.write_text(lock, encoding="utf-8")
    run(UV, "pip", "install", "--python", PYTHON, "--quiet", "--no-deps", "--no-build-isolation", "-e", ROOT)
    PACKAGE_STAMP.write_text(package, encoding="utf-8")
    print(f"The environment .venv is ready ({time.monotonic() - started:.0f} s).", flush=True)


if __name__ == "__main__":
    main()
