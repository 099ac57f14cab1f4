"""A loss that is not finite, noticed without waiting for the device."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class _Seen(NamedTuple):
    finite: Tensor
    ready: Callable[[], bool]
    loss: Tensor
    where: str


class FiniteWatch:
    """Raises when a loss was not finite, as soon as the device has said so.

    On a CPU that is at once. On a GPU the answer travels while training goes on, so the error comes a few
    steps later; it names the step and the sequences that it is about.
    """

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque()

    def add(self, loss: Tensor, where: str) -> None:
        """Look at a loss, and at what is known by now of those before: an error if one is not finite."""
        loss = loss.detach()
        finite: Tensor = loss.isfinite()
        ready: Callable[[], bool] = _at_once
        if loss.device.type == "cuda":
            answer = torch.empty((), dtype=torch.bool, pin_memory=True)
            finite = answer.copy_(finite, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
            ready = event.query
        self._seen.append(_Seen(finite, ready, loss, where))
        while self._seen and self._seen[0].ready():
            self._judge(self._seen.popleft())

    def finish(self) -> None:
        """Wait for what is not known yet: an error if one of the losses is not finite."""
        while self._seen:
            seen = self._seen.popleft()
            if seen.loss.device.type == "cuda":
                torch.cuda.synchronize(seen.loss.device)
            self._judge(seen)

    @staticmethod
    def _judge(seen: _Seen) -> None:
        if not seen.finite:
            raise FloatingPointError(f"the loss is {seen.loss.item()} {seen.where}")


def _at_once() -> bool:
    return True
