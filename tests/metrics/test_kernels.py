"""The compiled loops of the metrics."""

import numpy as np
import torch
from numba import types
from numba.core.dispatcher import Dispatcher

from spanloc.metrics.kernels import events, ranked
from spanloc.metrics.kernels.ranked import best_reached, match_ranked
from spanloc.ops import suppress


def test_no_kernel_gives_back_several_arrays():
    # A signal that comes while numba makes Python objects of them crashes the process.
    suppress.soft_nms(torch.tensor([[0.0, 1.0]]), torch.tensor([0.9]))
    suppress.nms(torch.tensor([[0.0, 1.0]]), torch.tensor([0.9]))
    one, first = np.array([[0.0, 8.0]]), np.array([0])
    found, most = np.array([-1]), np.zeros(1)
    ranked.nearest(one, first, first, one, first, np.array([0, 1]), found, most, np.zeros((1, 2)))
    called = [suppress._loop, ranked.nearest, best_reached, match_ranked, ranked.ranked_areas]
    called += [events.match_collars, events.active_segments]
    kinds = [found.signature.return_type for k in called for found in k.overloads.values()]
    assert len(kinds) >= 2
    assert all(isinstance(kind, types.Array | types.NoneType) for kind in kinds)


def test_no_kernel_takes_a_compiled_function_as_an_argument():
    # Numba keeps the types of arguments in its cache on disk. That of a function holds a reference which
    # is gone in a process that reads the file, so that every later evaluation would fail.
    best_reached(
        np.array([[0.0, 8.0]]), np.array([0]), np.array([0]), np.array([[0.0, 10.0]]),
        np.array([0, 1]), 1,
    )  # fmt: skip
    compiled = [k for k in vars(ranked).values() if isinstance(k, Dispatcher)]
    kinds = [kind for kernel in compiled for signature in kernel.signatures for kind in signature]
    assert best_reached in compiled
    assert kinds
    assert not any(isinstance(kind, types.Dispatcher) for kind in kinds)
