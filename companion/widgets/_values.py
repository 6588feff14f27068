"""A live figure's values as its script declares them, and the check of others: the script is the only place that says them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Values:
    """What a figure shows when it is opened, and what its values may be.

    Attributes:
        name: the figure's name.
        defaults: name to value; its kind is the kind of the value: true or false, a whole number, a number (written with a
            decimal point), a list of numbers, a word.
        limits: name to smallest and largest (of each number of a list), or to the words to choose from; without an entry any
            finite number will do.
    """

    name: str
    defaults: dict[str, Any]
    limits: dict[str, list[Any]]

    @classmethod
    def read(cls, name: str, source: str) -> Values:
        r"""Read ``export const defaults = {…};`` and ``export const limits = {…};`` from a figure's script.

        Raises:
            ValueError: one of them is missing, or is more than plain data.

        Example:
            >>> Values.read("dot", "export const defaults = { x: 1.5 };\nexport const limits = { x: [0, 2] };").defaults
            {'x': 1.5}
        """
        return cls(name, *(_plain_data(name, part, source) for part in ("defaults", "limits")))

    def checked(self, **changes: Any) -> dict[str, Any]:
        """Return all values, those given and the other defaults, in plain types that JSON can hold.

        Raises:
            TypeError: the figure has no value of that name.
            ValueError: a value is of another kind or outside its limits; the message says what is allowed.
        """
        for key in changes:
            if key not in self.defaults:
                raise TypeError(f"{self.name} has no value {key!r}; it has: {', '.join(self.defaults)}")
        return {key: self._plain(key, changes.get(key, default)) for key, default in self.defaults.items()}

    def nearest(self, key: str, value: Any, own: Any) -> Any:
        """Return the value that the figure can take instead of one from elsewhere: the nearest, or ``own`` where there is none.

        Example:
            >>> Values("dot", {"x": 1.5}, {"x": [0, 2]}).nearest("x", 3.5, 1.5)
            2.0
        """
        limits = self.limits.get(key)
        try:
            if limits and isinstance(value, (list, tuple)):
                value = [min(max(one, limits[0]), limits[1]) for one in value]
            elif limits and not isinstance(value, (bool, str)):
                value = min(max(value, limits[0]), limits[1])
            return self._plain(key, value)
        except (TypeError, ValueError):
            return own

    def _plain(self, key: str, value: Any) -> Any:
        default, limits = self.defaults[key], self.limits.get(key)
        try:
            plain = [float(one) for one in value] if isinstance(default, list) else type(default)(value)
        except (TypeError, ValueError):
            plain = None
        if plain is None or not _allowed(plain, value, default, limits):
            raise ValueError(f"{key} must be {_wanted(default, limits)}, got {value!r}")
        return plain


def _plain_data(name: str, part: str, source: str) -> dict[str, Any]:
    found = re.search(rf"^export const {part} = (\{{.*?\}});$", source, flags=re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"companion/widgets/{name}.js has no `export const {part} = {{ … }};`")
    quoted = re.sub(r"([{,]\s*)(\w+)\s*:", r'\1"\2":', re.sub(r",(\s*[}\]])", r"\1", found[1]))
    try:
        return json.loads(quoted)
    except json.JSONDecodeError as error:
        raise ValueError(f"companion/widgets/{name}.js: {part} must be plain data, no computation: {error}") from None


def _allowed(plain: Any, value: Any, default: Any, limits: list[Any] | None) -> bool:
    if isinstance(default, str):
        return isinstance(value, str) and (limits is None or plain in limits)
    if isinstance(default, list):
        least, most = limits or (-math.inf, math.inf)
        return len(plain) == len(default) and all(math.isfinite(one) and least <= one <= most for one in plain)
    least, most = limits or (-math.inf, math.inf)
    return bool(plain == value and math.isfinite(plain) and least <= plain <= most)


def _wanted(default: Any, limits: list[Any] | None) -> str:
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, str):
        return f"one of {', '.join(map(repr, limits))}" if limits else "a word"
    inside = f" in [{limits[0]:g}, {limits[1]:g}]" if limits else ""
    if isinstance(default, list):
        return f"{len(default)} numbers{inside}"
    return f"a {'whole' if isinstance(default, int) else 'finite'} number{inside}"
