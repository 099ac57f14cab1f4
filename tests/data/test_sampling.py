"""Which sequences a process takes, and in what order."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from spanloc.data import EpochIndex, EpochSampler, EvaluationSampler
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
        assert sorted(n for batch in batches for n in batch.ids) == [f"s{i}" for i in range(6)]


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


def test_a_sampler_that_is_made_before_the_processes_meet_shares_too(monkeypatch):
    samplers = EpochSampler(11, seed=4), EvaluationSampler(11)
    for name, value in {"is_initialized": True, "get_world_size": 2, "get_rank": 1}.items():
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)
    assert list(samplers[0]) == list(EpochSampler(11, seed=4, num_replicas=2, rank=1))
    assert list(samplers[1]) == [1, 3, 5, 7, 9]
    assert [len(sampler) for sampler in samplers] == [5, 5]
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 12)
    with pytest.raises(ValueError, match="12 processes are to share 11 sequences"):
        len(samplers[1])


def skewed(size, seed=0):
    """Lengths of which few are long, as those of recordings are."""
    return np.random.default_rng(seed).lognormal(5, 1, size).astype(int).tolist()


def batches(samplers, batch_size):
    """What each process takes at each step: (steps, processes, batch), without a smaller last one."""
    orders = np.array([list(sampler) for sampler in samplers])
    full = orders.shape[1] // batch_size * batch_size
    return orders[:, :full].reshape(len(samplers), -1, batch_size).swapaxes(0, 1)


def order_of(epoch, size, **options):
    sampler = EpochSampler(size, **options)
    sampler.set_epoch(epoch)
    return list(sampler)


def padding(lengths, taken):
    found = np.array(lengths)[taken]
    return (found.max(-1, keepdims=True) - found).sum()


def test_without_lengths_an_order_is_the_permutation_of_its_seed_and_epoch():
    expected = np.random.default_rng([4, 3]).permutation(50).tolist()
    assert order_of(3, 50, seed=4, batch_size=8) == expected


@pytest.mark.parametrize("size", [0, 1, 7, 8, 129, 1000])
def test_with_lengths_an_epoch_is_still_every_sequence_once_by_seed_and_epoch_alone(size):
    lengths = skewed(size)
    orders = []
    for epoch in (0, 1, 0):
        orders.append(order_of(epoch, size, seed=4, lengths=lengths, batch_size=8))
        assert sorted(orders[-1]) == list(range(size))
        assert {index.epoch for index in orders[-1]} <= {epoch}
        # What does not fill a batch is what it would be without lengths, so not the longest.
        full = size // 8 * 8
        assert orders[-1][full:] == order_of(epoch, size, seed=4)[full:]
    assert orders[2] == orders[0]
    if size > 16:  # one batch alone is always sorted
        assert orders[1] != orders[0]
        assert order_of(0, size, seed=5, lengths=lengths, batch_size=8) != orders[0]


def test_the_order_of_batches_does_not_go_by_length():
    lengths = skewed(4000)
    taken = batches([EpochSampler(4000, lengths=lengths, batch_size=8)], 8)
    means = np.log(np.array(lengths)[taken].mean(-1)).ravel()
    assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.15
    # A sequence meets others in the next epoch.
    order = order_of(1, 4000, lengths=lengths, batch_size=8)
    again = {frozenset(batch) for batch in batches([order], 8)[:, 0].tolist()}
    assert not again & {frozenset(batch) for batch in taken[:, 0].tolist()}


def test_windows_of_sixteen_batches_are_sorted_and_ties_keep_their_order():
    order = np.random.default_rng([0, 0]).permutation(80)
    assert list(EpochSampler(80, lengths=[5] * 80, batch_size=2)) == order.tolist()
    # The index is the length: the first window is of the first 32 of the order, sorted.
    taken = batches([EpochSampler(80, lengths=range(80), batch_size=2)], 2)[:, 0].tolist()
    parts = [sorted(order[i : i + 32].tolist()) for i in (0, 32, 64)]
    expected = [part[i : i + 2] for part in parts for i in range(0, len(part), 2)]
    assert sorted(taken) == sorted(expected)
    # Three lengths, and one window: Python's sort keeps the order of ties.
    lengths = [i % 3 for i in range(1024)]
    expected = sorted(np.random.default_rng([0, 0]).permutation(1024), key=lambda i: lengths[i])
    taken = batches([EpochSampler(1024, lengths=lengths, batch_size=64)], 64)[:, 0].tolist()
    assert sorted(taken) == sorted(np.reshape(expected, (-1, 64)).tolist())


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_share_similar_lengths_without_repeats(processes):
    lengths = skewed(1003)
    ranks = [{"num_replicas": processes, "rank": rank} for rank in range(processes)]
    samplers = [EpochSampler(1003, lengths=lengths, batch_size=4, **rank) for rank in ranks]
    orders = [list(sampler) for sampler in samplers]
    assert [len(order) for order in orders] == [len(sampler) for sampler in samplers]
    everything = sorted(index for order in orders for index in order)
    assert len(everything) == len(set(everything)) == 1003 // processes * processes
    plain = [EpochSampler(1003, **rank) for rank in ranks]
    assert everything == sorted(index for sampler in plain for index in sampler)
    own, theirs = (batches(some, 4) for some in (samplers, plain))
    assert padding(lengths, own) < 0.5 * padding(lengths, theirs)
    # Nobody waits for a process that got long ones.
    own, theirs = (taken.reshape(len(taken), -1) for taken in (own, theirs))
    assert padding(lengths, own) < 0.5 * padding(lengths, theirs)


def test_lengths_may_differ_between_epochs():
    lengths = [skewed(64), skewed(64)[::-1]]
    sampler = EpochSampler(64, lengths=lambda epoch: lengths[epoch], batch_size=4)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        assert list(sampler) == order_of(epoch, 64, lengths=lengths[epoch], batch_size=4)


def test_lengths_of_other_sequences_are_refused():
    with pytest.raises(ValueError, match="there are 3 lengths of 4 sequences; wanted one each"):
        EpochSampler(4, lengths=[1, 2, 3])


@pytest.mark.parametrize(("size", "processes"), [(7, 1), (7, 2), (7, 3), (7, 7), (12, 4), (0, 3)])
def test_processes_share_an_evaluation_without_repeats(size, processes):
    ranks = range(processes)
    parts = [EvaluationSampler(size, num_replicas=processes, rank=rank) for rank in ranks]
    assert sorted(i for part in parts for i in part) == list(range(size))
    assert [len(list(part)) for part in parts] == [len(part) for part in parts]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(list(part) == sorted(part) for part in parts)


def test_fewer_sequences_than_processes_are_refused():
    with pytest.raises(ValueError, match="3 processes are to share 2 sequences; wanted at least"):
        EvaluationSampler(2, num_replicas=3, rank=0)
