"""Tables computed once and recorded: how each was made stands in it.

>>> from companion.results import tables
>>> tables.load("judging")["made"]["nominal"]
95.0
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


def load(name: str) -> dict[str, Any]:
    """Return a recorded table as it lies in the package.

    Args:
        name: ``"judging"``, for example, which `companion.results.simulate` makes: ``"about"``, ``"made"`` (how, when, with
            what) and ``"lines"``.

    Raises:
        ValueError: there is no such table; the message lists what there is.

    Example:
        >>> sorted(load("judging")["lines"][0])
        ['coverage', 'effect', 'half_width', 'n', 'setting', 'words']
    """
    path = _FOLDER / f"{name}.json"
    if not path.exists():
        there = sorted(file.stem for file in _FOLDER.glob("*.json"))
        raise ValueError(f"no table named {name!r}; there are {', '.join(map(repr, there)) or 'none yet'}")
    return json.loads(path.read_text(encoding="utf-8"))
