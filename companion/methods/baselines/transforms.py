"""Logit transforms that the papers' two are compared with or related to.

Taught in chapters 01 (beside partial norm), 02 (beside scalable batch norm) and 03 (temperature).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from companion._checks import as_hyperparameter, check_logits, check_number, keep_hyperparameter, working_dtype
from companion._numerics import restore_masked, row_length, split_masked

__all__ = ["LogitNorm", "SoftCap", "TemperatureScale", "logit_norm", "soft_cap", "temperature_scale"]


def logit_norm(logits: Tensor, temperature: float | Tensor = 0.04, eps: float | Tensor = 1e-7) -> Tensor:
    r"""Give every logit vector the same length 1/τ.

    .. math:: \hat z = \frac{z}{(\|z\| + \varepsilon)\,\tau}

    A class masked by −∞ has no part in the length and stays masked.

    Args:
        logits: (N, C, …) or (C,); half types are computed in float32.
        temperature: τ > 0; the paper tunes it, 0.04 on CIFAR-10.
        eps: ε ≥ 0. The Jacobian at z = 0 is 1/(ετ)·I, which is ``inf`` in float16.

    Returns:
        A tensor of the shape and dtype of ``logits``.

    Raises:
        TypeError, ValueError: an argument has the wrong type, or is out of range.

    Example:
        >>> import torch
        >>> logit_norm(torch.tensor([3.0, 4.0]), temperature=0.5)
        tensor([1.2000, 1.6000])

    Taught in: chapter 01. Source: Wei et al., Mitigating neural network overconfidence with logit normalization,
    ICML 2022.
    """
    temperature = check_number("temperature", temperature, above=0)
    eps = check_number("eps", eps, at_least=0)
    axis = check_logits("logits", logits)
    z, masked = split_masked(logits.to(working_dtype(logits.dtype)))
    length = row_length(z, axis, keepdim=True) + as_hyperparameter(eps, z.dtype)
    return restore_masked(z / length / as_hyperparameter(temperature, z.dtype), masked).to(logits.dtype)


def temperature_scale(logits: Tensor, temperature: float | Tensor) -> Tensor:
    r"""Divide the logits by a temperature: above 1 it softens the prediction, below 1 it sharpens it.

    .. math:: \hat z = z / T

    Args:
        logits: (N, C, …) or (C,); half types are computed in float32.
        temperature: T > 0.

    Returns:
        A tensor of the shape and dtype of ``logits``.

    Raises:
        TypeError, ValueError: an argument has the wrong type, or is out of range.

    Example:
        >>> import torch
        >>> temperature_scale(torch.tensor([3.0, 4.0]), temperature=2.0)
        tensor([1.5000, 2.0000])

    Taught in: chapter 03. Source: Guo et al., On calibration of modern neural networks, ICML 2017.
    """
    temperature = check_number("temperature", temperature, above=0)
    check_logits("logits", logits)
    z = logits.to(working_dtype(logits.dtype))
    return (z / as_hyperparameter(temperature, z.dtype)).to(logits.dtype)


def soft_cap(logits: Tensor, cap: float | Tensor) -> Tensor:
    r"""Squash each logit smoothly into (−cap, cap).

    .. math:: \hat z = \kappa \tanh(z / \kappa)

    A class masked by −∞ stays masked.

    Args:
        logits: (N, C, …) or (C,); half types are computed in float32.
        cap: κ > 0.

    Returns:
        A tensor of the shape and dtype of ``logits``.

    Raises:
        TypeError, ValueError: an argument has the wrong type, or is out of range.

    Example:
        >>> import torch
        >>> soft_cap(torch.tensor([0.1, 5.0, 500.0]), cap=30.0)
        tensor([ 0.1000,  4.9542, 30.0000])

    Taught in: chapter 01. Source: Gemma 2 technical report, 2024, section 2, where the cap is 30.
    """
    cap = check_number("cap", cap, above=0)
    check_logits("logits", logits)
    z, masked = split_masked(logits.to(working_dtype(logits.dtype)))
    cap = as_hyperparameter(cap, z.dtype)
    return restore_masked(cap * torch.tanh(z / cap), masked).to(logits.dtype)


class LogitNorm(nn.Module):
    """`logit_norm` as a module.

    Example:
        >>> import torch
        >>> LogitNorm(temperature=0.5)(torch.tensor([3.0, 4.0]))
        tensor([1.2000, 1.6000])
    """

    def __init__(self, temperature: float | Tensor = 0.04, eps: float | Tensor = 1e-7) -> None:
        super().__init__()
        check_number("temperature", temperature, above=0)
        check_number("eps", eps, at_least=0)
        keep_hyperparameter(self, "temperature", temperature)
        keep_hyperparameter(self, "eps", eps)

    def forward(self, logits: Tensor) -> Tensor:
        """Return the logits at length 1/τ."""
        return logit_norm(logits, self.temperature, self.eps)

    def extra_repr(self) -> str:
        """Name the hyperparameters when the module is printed."""
        return f"temperature={float(self.temperature):g}, eps={float(self.eps):g}"


class TemperatureScale(nn.Module):
    """`temperature_scale` as a module.

    Example:
        >>> import torch
        >>> TemperatureScale(2.0)(torch.tensor([3.0, 4.0]))
        tensor([1.5000, 2.0000])
    """

    def __init__(self, temperature: float | Tensor) -> None:
        super().__init__()
        check_number("temperature", temperature, above=0)
        keep_hyperparameter(self, "temperature", temperature)

    def forward(self, logits: Tensor) -> Tensor:
        """Return the logits divided by T."""
        return temperature_scale(logits, self.temperature)

    def extra_repr(self) -> str:
        """Name T when the module is printed."""
        return f"temperature={float(self.temperature):g}"


class SoftCap(nn.Module):
    """`soft_cap` as a module.

    Example:
        >>> import torch
        >>> SoftCap(30.0)(torch.tensor([500.0]))
        tensor([30.])
    """

    def __init__(self, cap: float | Tensor) -> None:
        super().__init__()
        check_number("cap", cap, above=0)
        keep_hyperparameter(self, "cap", cap)

    def forward(self, logits: Tensor) -> Tensor:
        """Return the logits squashed into (−cap, cap)."""
        return soft_cap(logits, self.cap)

    def extra_repr(self) -> str:
        """Name the cap when the module is printed."""
        return f"cap={float(self.cap):g}"
