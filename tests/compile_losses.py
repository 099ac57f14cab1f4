"""Compiles span losses into one graph each and compares; prints those that are right.

Arguments: ``BACKEND`` of ``torch.compile`` for all losses, or ``BACKEND:LOSS`` for one.
"""

import sys

import torch
from conftest import random_spans
from span_losses import SPAN_LOSSES, gradient


def check(loss, backend):
    torch._dynamo.reset()
    pred, target = random_spans(50).float(), random_spans(50, seed=1).float()
    pred[:2] = target[:2]
    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    torch.testing.assert_close(compiled(pred, target), loss(pred, target))
    torch.testing.assert_close(gradient(compiled, pred, target), gradient(loss, pred, target))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        backend, _, only = argument.partition(":")
        for name in [only] if only else SPAN_LOSSES:
            check(SPAN_LOSSES[name], backend)
            print(f"{backend}:{name}")
