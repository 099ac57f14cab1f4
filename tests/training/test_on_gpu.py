"""What changes where training runs on a GPU: the optimizer, and how batches get there."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from conftest import make_batch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from tracked import Recorder

from spanloc.data import SpanDataModule
from spanloc.training.optimizers import Polyak, on_gpu
from spanloc.training.step_log import StepLog


@pytest.mark.parametrize(
    ("make", "fused"),
    [
        (AdamW, True),
        (partial(SGD, lr=0.1), True),
        (partial(Adam, fused=False), False),
        (partial(Adam, foreach=True), False),
        (Polyak, False),
        (lambda groups: AdamW(groups), False),
    ],
)
def test_an_optimizer_is_fused_where_all_parameters_are_on_a_gpu(monkeypatch, make, fused):
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))]
    assert on_gpu(make, parameters) == {}
    monkeypatch.setattr(Tensor, "is_cuda", True)
    options = on_gpu(make, parameters)
    assert options == ({"fused": True} if fused else {})
    optimizer = make([{"params": parameters}], **options)
    assert bool(optimizer.param_groups[0].get("fused")) == fused
    # One parameter is left on the CPU.
    monkeypatch.setattr(Tensor, "is_cuda", property(lambda tensor: len(tensor) == 2))
    assert on_gpu(make, parameters) == {}


@pytest.mark.parametrize(("device", "pinned"), [("cuda", True), ("cpu", False), (None, False)])
def test_memory_is_pinned_only_where_a_gpu_trains(device, pinned):
    data = SpanDataModule()
    data.train_set = data.val_set = [*make_batch().split()]
    if device:
        strategy = SimpleNamespace(root_device=torch.device(device))
        data.trainer = SimpleNamespace(strategy=strategy, state=SimpleNamespace(fn="test"))
    assert data.val_dataloader().pin_memory is pinned


@pytest.mark.parametrize("pinned", [True, False])
def test_for_a_batch_from_pinned_memory_nobody_waits(monkeypatch, pinned):
    calls = []

    def to(self, device, non_blocking=False):
        calls.append((device, non_blocking))
        return self

    monkeypatch.setattr(Tensor, "is_pinned", lambda self: pinned)
    monkeypatch.setattr(Tensor, "to", to)
    make_batch().to("cuda")
    assert set(calls) == {("cuda", pinned)}


class Saved(Recorder):
    def __init__(self):
        super().__init__()
        self.saved = []

    def save(self):
        self.saved.append(len(self.rows))


def test_values_of_steps_wait_on_a_gpu_and_are_written_in_their_order(monkeypatch):
    logger, log = Saved(), StepLog(most=3, optional={"b"})
    log.add([logger], 0, {"a": torch.tensor(0.5), "n": 0})
    assert logger.rows == [{"a": 0.5, "n": 0, "step": 0}]
    monkeypatch.setattr(Tensor, "is_cuda", True)
    for step in (1, 2, 3):
        assert len(logger.rows) == 1
        b = torch.tensor(float("nan") if step == 2 else 1.0, dtype=torch.float64)
        log.add([logger], step, {"n": step, "a": torch.tensor(0.5) + step, "b": b})
    assert logger.rows[1:] == [
        {"n": 1, "a": 1.5, "b": 1.0, "step": 1},
        {"n": 2, "a": 2.5, "step": 2},
        {"n": 3, "a": 3.5, "b": 1.0, "step": 3},
    ]
    assert logger.saved == [1, 4]
    assert len(log) == 0
    log.add([], 4, {"a": torch.tensor(1.0)})
    assert len(log) == 0
