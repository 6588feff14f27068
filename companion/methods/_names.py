"""The names of parameters, as the network itself knows them."""

from __future__ import annotations

import re

_WRAPPER = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")


def unwrapped(name: str) -> str:
    """Return a parameter's name without what wrappers put into it.

    Data parallelism and weight averaging say ``module.``, ``torch.compile`` says ``_orig_mod.``; others sign likewise.

    Example:
        >>> unwrapped("module._orig_mod.fc.weight"), unwrapped("body._orig_mod.0.weight"), unwrapped("my_module.weight")
        ('fc.weight', 'body.0.weight', 'my_module.weight')
    """
    return _WRAPPER.sub("", name)
