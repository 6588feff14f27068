"""Derivatives in closed form: one rule, in each of the forms that autograd, `torch.func` and `torch.compile` take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def closed_form(rule: type, *, may_be_none: bool = False) -> Callable[..., Any]:
    """Return the function that a class with the static methods of a `torch.autograd.Function` describes.

    No single Function serves everywhere. `torch.func` wants ``setup_context``, and for forward mode a ``jvp``;
    `torch.compile` traces none that has a ``jvp``, and torch 2.4's none with ``setup_context``; in eager mode that costs as
    much as ten small operations, since arguments are then bound by name. So the rule becomes three.

    Args:
        rule: has ``forward(*arguments)``, ``setup_context(ctx, inputs, output)``, ``backward(ctx, *gradients)`` and
            ``jvp(ctx, *tangents)``, made of differentiable operations.
        may_be_none: ``backward`` takes None for a gradient that is zero, which saves writing zeros. (Keyword only.)

    Example:
        >>> @closed_form
        ... class cube:
        ...     @staticmethod
        ...     def forward(x):
        ...         return x**3
        ...
        ...     @staticmethod
        ...     def setup_context(ctx, inputs, output):
        ...         ctx.save_for_backward(*inputs)
        ...         ctx.save_for_forward(*inputs)
        ...
        ...     @staticmethod
        ...     def backward(ctx, gradient):
        ...         return 3 * ctx.saved_tensors[0] ** 2 * gradient
        ...
        ...     jvp = backward  # of one variable both are the same product
        >>> torch.func.hessian(cube)(torch.tensor(2.0))
        tensor(12.)
    """

    class Traced(torch.autograd.Function):
        backward = staticmethod(rule.backward)

        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> Any:
            output = rule.forward(*arguments)
            rule.setup_context(ctx, arguments, output)
            ctx.set_materialize_grads(not may_be_none)
            return output

    class Eager(Traced):
        jvp = staticmethod(rule.jvp)

    class Transformed(torch.autograd.Function):
        generate_vmap_rule = True
        forward, setup_context, backward, jvp = map(
            staticmethod, (rule.forward, rule.setup_context, rule.backward, rule.jvp)
        )

    def apply(*arguments: Any) -> Any:
        if torch.compiler.is_compiling():
            return Traced.apply(*arguments)
        try:
            return Eager.apply(*arguments)
        except RuntimeError:  # a transform of torch.func is at work
            return Transformed.apply(*arguments)

    apply.__name__, apply.__doc__ = rule.__name__, rule.__doc__
    return apply
