"""Compiles span losses into one graph each, by the backend that is the argument; prints those that are right."""

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
    (backend,) = sys.argv[1:]
    for name, loss in SPAN_LOSSES.items():
        check(loss, backend)
        print(f"{backend}:{name}")
