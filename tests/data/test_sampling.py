"""Which sequences a process takes, and in what order."""

import copy
import pickle

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from spanloc.data import EpochIndex, EpochSampler, EvaluationSampler, SpanDataModule
from spanloc.structures import Sample, collate


def sample(index, value=0.0):
    """A sequence whose id says its index, and whose features hold a value."""
    none = torch.zeros(0, dtype=torch.int64)
    return Sample(f"s{index}", torch.full((2, 4), value), torch.zeros(0, 2), none)


class Epochs(Dataset):
    """Sequences whose features are the epoch of the index that asked for them."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return sample(int(index), float(index.epoch))


class Listed(SpanDataModule):
    """A user's own DataModule over lists."""

    def __init__(self, count, **options):
        super().__init__(**options)
        self.train_set = self.val_set = self.test_set = [sample(i) for i in range(count)]
        self.classes = ["a"]


def test_an_epoch_index_is_an_int_that_knows_its_epoch():
    index = EpochIndex(3, 7)
    assert index == 3
    assert isinstance(index, int)
    assert "abcdef"[index] == "d"
    assert {3: "by number"}[index] == "by number"
    assert EpochIndex(3).epoch == 0
    for again in (*(pickle.loads(pickle.dumps(index, p)) for p in range(2, 6)), copy.copy(index)):
        assert (type(again), again, again.epoch) == (EpochIndex, 3, 7)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_epoch_reaches_the_data_set_also_in_workers(num_workers):
    sampler = EpochSampler(6)
    loader = DataLoader(
        Epochs(), 2, sampler=sampler, collate_fn=collate, num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )  # fmt: skip
    for epoch in (0, 1, 5):
        sampler.set_epoch(epoch)
        batches = list(loader)
        assert {batch.features.unique().item() for batch in batches} == {epoch}
        assert sorted(name for batch in batches for name in batch.ids) == [
            f"s{i}" for i in range(6)
        ]


def test_an_epoch_s_order_depends_on_seed_and_epoch_alone():
    sampler = EpochSampler(10, seed=4)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(10))
    assert second != first
    assert {index.epoch for index in first} == {0}
    assert {index.epoch for index in second} == {1}
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(EpochSampler(10, seed=5)) != first


def test_processes_share_an_epoch():
    whole = EpochSampler(11, seed=4)
    parts = [EpochSampler(11, seed=4, num_replicas=2, rank=rank) for rank in range(2)]
    for epoch in range(3):
        orders = []
        for sampler in (whole, *parts):
            sampler.set_epoch(epoch)
            orders.append(list(sampler))
        assert [len(order) for order in orders] == [11, 5, 5]
        assert len(parts[0]) == 5
        assert set(orders[1]) | set(orders[2]) == set(orders[0][:10])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_data_module_over_lists_gives_every_sequence_once_in_an_order_of_each_epoch(num_workers):
    data = Listed(12, batch_size=4, num_workers=num_workers)
    loader = data.train_dataloader()
    orders = []
    for epoch in range(4):
        loader.sampler.set_epoch(epoch)
        orders.append([name for batch in loader for name in batch.ids])
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert len(set(orders[0])) == 12
    assert len(set(map(tuple, orders))) == 4
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert [name for batch in loader for name in batch.ids] == [f"s{i}" for i in range(12)]


@pytest.mark.parametrize(("size", "processes"), [(7, 1), (7, 2), (7, 3), (7, 7), (12, 4), (0, 3)])
def test_processes_share_an_evaluation_without_repeats(size, processes):
    parts = [
        EvaluationSampler(size, num_replicas=processes, rank=rank) for rank in range(processes)
    ]
    assert sorted(i for part in parts for i in part) == list(range(size))
    assert [len(list(part)) for part in parts] == [len(part) for part in parts]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(list(part) == sorted(part) for part in parts)


def test_fewer_sequences_than_processes_are_refused():
    with pytest.raises(ValueError, match="3 processes are to share 2 sequences; wanted at least"):
        EvaluationSampler(2, num_replicas=3, rank=0)
