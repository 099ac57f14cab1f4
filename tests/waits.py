"""Counts what would wait for a GPU, on a CPU: which values are read, and copies that are waited for."""

import sys
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# The result is a number in Python, or has a shape that the values decide.
_TAGS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
_INDEXED = {torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_}
# Between Python and a device.
_COPIES = {
    Tensor.cpu, Tensor.numpy, Tensor.tolist, Tensor.new_tensor, torch.tensor, torch.from_numpy
}  # fmt: skip
# A loader works on the CPU, and there an optimizer that is not fused counts its steps.
_ON_THE_CPU = ("/torch/optim/", "/torch/utils/data/")
_PASSED_THROUGH = ("<", "/torch/", "/jaxtyping/", "/beartype/", __file__)


class Waits(TorchFunctionMode):
    """Counts them while it is entered, by what and where: ``"nonzero in criterion._layer"``."""

    def __init__(self):
        super().__init__()
        self.places, self._ops = Counter(), _Ops(self.note)

    def note(self, what):
        """Count one, where the innermost function is that calls torch."""
        frame = sys._getframe(1)
        while any(part in frame.f_code.co_filename for part in _PASSED_THROUGH):
            if any(part in frame.f_code.co_filename for part in _ON_THE_CPU):
                return
            frame = frame.f_back
        code = frame.f_code
        self.places[f"{what} in {Path(code.co_filename).stem}.{code.co_name}"] += 1

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in _COPIES:
            self.note(function.__name__)
        # Only on a CPU it looks at the numbers.
        self._ops.paused = function is F.one_hot
        try:
            return function(*args, **(kwargs or {}))
        finally:
            self._ops.paused = False

    def __enter__(self):
        self._ops.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._ops.__exit__(*error)


class _Ops(TorchDispatchMode):
    def __init__(self, note):
        super().__init__()
        self.note, self.paused = note, False

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        if op.overloadpacket in _INDEXED:
            waits = any(index is not None and index.dtype == torch.bool for index in args[1])
        else:
            waits = not _TAGS.isdisjoint(op.tags)
        if waits and not self.paused:
            self.note(op.overloadpacket.__name__)
        return op(*args, **(kwargs or {}))
