"""Values of training steps on their way to the loggers."""

import math
from collections.abc import Mapping, Sequence, Set

import torch
from torch import Tensor

from spanloc.lightning import Logger

Values = Mapping[str, float | Tensor]


class StepLog:
    """Writes the values of training steps to loggers; on a GPU, those of many steps at once.

    To read one number, the CPU waits for all that the GPU has been given to do, and cannot give it more in
    the meantime. On a CPU the values are written at once.

    Args:
        most: Steps that may wait, at least 1.
        optional: Names of values that are left out where they are NaN.
    """

    def __init__(self, most: int = 50, optional: Set[str] = frozenset()) -> None:
        self.most, self.optional = most, optional
        self._rows: list[tuple[int, Values]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, loggers: Sequence[Logger], step: int, values: Values) -> None:
        """Take the values of a step: numbers, and tensors of one element, all of them on one device."""
        if not loggers:
            return
        self._rows.append((step, values))
        tensors = (value for value in values.values() if isinstance(value, Tensor))
        if len(self._rows) >= self.most or not any(tensor.is_cuda for tensor in tensors):
            self.write(loggers)

    def write(self, loggers: Sequence[Logger]) -> None:
        """Write what waits."""
        rows, self._rows = self._rows, []
        tensors = [v.detach() for _, row in rows for v in row.values() if isinstance(v, Tensor)]
        numbers = iter(torch.stack(tensors).tolist() if tensors else ())
        for step, row in rows:
            plain = {n: next(numbers) if isinstance(v, Tensor) else v for n, v in row.items()}
            values = {n: v for n, v in plain.items() if not (n in self.optional and math.isnan(v))}
            for logger in loggers:
                logger.log_metrics(values, step=step)
        if rows:
            for logger in loggers:
                logger.save()
