"""Optional dependencies: one function, and one sentence for whoever lacks one of them."""

from __future__ import annotations

import importlib
from types import ModuleType


def require(module: str, *, extra: str) -> ModuleType:
    """Import and return an optional module, or say which extra brings it.

    Args:
        module: the dotted name to import, for example ``"matplotlib.pyplot"``.
        extra: the extra of this distribution that installs it, for example ``"plots"``.

    Raises:
        ImportError: the module's package is not installed; the message names the extra and the line to type.
            An import that fails inside an installed package raises its own error.

    Example:
        >>> require("math", extra="math").sqrt(4.0)
        2.0
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # the package is there; something that it needs itself is not
        raise ImportError(
            f"{package} is not installed; it comes with the extra '{extra}': "
            f'pip install "logits-under-control[{extra}]" (from a clone: pip install -e ".[{extra}]"); '
            "if it was installed while this Python ran, restart the kernel",
            name=package,
        ) from error
