"""Every span loss of the group, by the name of its file, and how to look at one."""

from functools import partial

import pytest
import torch
import yaml
from conftest import CONFIGS

from spanloc.config.build import build
from spanloc.losses.properties import properties

CONFIGURED = {
    path.stem: build(yaml.safe_load(path.read_text()))
    for path in sorted((CONFIGS / "span_loss").glob("*.yaml"))
}
SPAN_LOSSES = CONFIGURED | {
    f"{name}-huber": partial(loss, phi="huber")
    for name, loss in CONFIGURED.items()
    if name.startswith("smooth_") and name.endswith("iou")
}
SHARP = {name for name, loss in SPAN_LOSSES.items() if properties(loss).slope > 0}
# Those that long measurements are made of.
FEW = ("iou", "giou", "diou", "smooth_giou", "smooth_l1", "huber_giou")

every_loss = pytest.mark.parametrize("loss", SPAN_LOSSES.values(), ids=SPAN_LOSSES)


def gradient(loss, pred, target):
    pred = pred.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(pred, target).sum(), pred)
    return found


def one_sided(loss, pred, target, end, step=1e-7):
    """Derivatives of one end from the left and from the right, float64."""
    shift = torch.zeros(2, dtype=torch.float64)
    shift[end] = step
    here = loss(pred, target)
    return (here - loss(pred - shift, target)) / step, (loss(pred + shift, target) - here) / step


def spans(*ends):
    return torch.tensor(ends, dtype=torch.float64)


def pairs_of_length_one(count=20_000, seed=0):
    """Ordered predictions of all kinds, many beside a kink, of the target [0, 1)."""
    random = torch.Generator().manual_seed(seed)

    def normal():
        return torch.randn(count, generator=random, dtype=torch.float64)

    kind = torch.randint(4, (count,), generator=random)
    center = 0.5 + normal() * torch.tensor([0.1, 0.5, 2.0, 50.0], dtype=torch.float64)[kind]
    width = (normal() * torch.tensor([0.3, 3.0], dtype=torch.float64)[kind % 2]).exp()
    pred = torch.stack([center - width / 2, center + width / 2], -1)
    beside = torch.stack([1e-4 * normal(), 1 + 1e-4 * normal()], -1)
    pred = torch.where(torch.rand(pred.shape, generator=random) < 0.25, beside, pred)
    return pred.sort(-1).values, spans([0, 1]).expand(count, 2)
