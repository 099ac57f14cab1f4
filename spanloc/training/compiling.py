"""Compiled training steps."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def compiled(forward: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """A function by ``torch.compile``, after a first try whether that works on a device.

    Raises:
        ValueError: There is no working compiler.
    """
    try:
        torch.compile(_doubled)(torch.ones(8, device=device))
    except Exception as error:  # of a compiler, a driver, a version of Python
        cause = getattr(error, "inner_exception", error)
        why = next(filter(None, str(cause).splitlines()), type(cause).__name__)
        raise ValueError(
            f"compile is true, and torch.compile does not work here on {device.type}: {why}; "
            "install a C++ compiler (on Linux g++), or leave it out (compile=false)"
        ) from error
    return torch.compile(forward)


def _doubled(x: Tensor) -> Tensor:
    return 2 * x
