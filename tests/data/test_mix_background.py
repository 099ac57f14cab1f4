"""The background of another sequence on top: what arrives, from where, and what never does."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spanloc.data import EpochIndex
from spanloc.data.transforms import MixBackground, Transformed
from spanloc.structures import Sample


def sample(name, features, spans=(), labels=None, ignored=()):
    spans = torch.tensor(spans, dtype=torch.float32).reshape(-1, 2)
    labels = torch.zeros(len(spans)).long() if labels is None else torch.tensor(labels)
    ignored = torch.tensor(ignored, dtype=torch.float32).reshape(-1, 2)
    return Sample(name, features.float(), spans, labels, ignored=ignored)


def noise(seed, steps=100, channels=2):
    return torch.randn(channels, steps, generator=torch.Generator().manual_seed(seed))


def added(own, other, seed=0, strength=1.0):
    """What a sample gets of another."""
    mix = MixBackground(1.0, strength).drawn_from([own, other], 0)
    found = mix(own, np.random.default_rng(seed))
    assert torch.equal(found.spans, own.spans)
    return found.features - own.features


class Epochs:
    """Sequences of noise that depends on the index and its epoch; it knows what was asked for."""

    def __init__(self, count=5):
        self.count, self.asked = count, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        epoch = getattr(index, "epoch", 0)
        self.asked.append((int(index), epoch))
        return sample(f"s{int(index)}", noise(100 * epoch + int(index)), [[10.0, 30.0]])


def test_what_is_annotated_in_the_other_never_arrives():
    other = sample(
        "other", noise(1), [[10.5, 20.2], [40.0, 41.0], [60.0, 60.0]], [0, -1, 1], [[70.0, 85.0]]
    )
    # The steps that a span, one of no known class, one without length or a stretch touches.
    marked = [*range(10, 21), 40, 60, *range(70, 85)]
    huge = replace(other, features=other.features.clone())
    huge.features[:, marked] = 1e12
    own = sample("own", noise(2), [[0.0, 50.0]])
    for seed in range(20):
        assert torch.equal(added(own, other, seed), added(own, huge, seed))
        assert added(own, huge, seed).abs().max() < 10
    # Their neighbours do arrive.
    for step in (9, 21, 39, 41, 59, 61, 69, 85):
        changed = replace(other, features=other.features.clone())
        changed.features[:, step] += 5
        assert not torch.equal(added(own, other), added(own, changed))


@pytest.mark.parametrize(
    "other",
    [
        sample("whole", noise(1), [[0.0, 100.0]]),
        sample("unknown", noise(1), [[0.0, 60.0], [59.5, 100.0]], [-1, 0]),
        sample("ignored", noise(1), ignored=[[0.0, 99.1]]),
    ],
    ids=lambda other: other.id,
)
def test_another_that_is_annotated_at_every_step_adds_nothing(other):
    own = sample("own", noise(2))
    assert torch.equal(added(own, other), torch.zeros(2, 100))


def test_what_is_added_is_the_background_in_its_order_from_a_random_step_on():
    # Steps 0, 1, 4, 5 are background, 0, 1, 2, 3 in all; the standard deviation is sqrt(5) / 2.
    other = sample("other", torch.tensor([[0.0, 1, 9, 9, 2, 3]]), [[2.0, 4.0]])
    own = sample("own", torch.tensor([[1.0, -1.0] * 3]))
    firsts = set()
    for seed in range(20):
        found = (added(own, other, seed)[0] * 5**0.5 / 2 + 1.5).round(decimals=4).tolist()
        first = int(found[0])
        assert found == [(first + i) % 4 for i in range(6)]
        firsts.add(first)
    assert firsts == {0, 1, 2, 3}


@pytest.mark.parametrize("steps", [30, 1000])
def test_strength_is_relative_to_each_channel_of_the_sample(steps):
    scale = torch.tensor([[1.0], [100.0], [0.01]])
    own = sample("own", noise(1, 3000, 3) * scale + 7, [[5.0, 9.0]])
    other = sample("other", noise(2, steps, 3) * 40 - 300)
    change = added(own, other, strength=0.25)
    assert (change.std(1) / own.features.std(1)).tolist() == pytest.approx([0.25] * 3, rel=0.02)
    assert (change.mean(1) / own.features.std(1)).abs().max() < 0.02
    # It lies over spans as over the rest.
    assert (change[:, 5:9] != 0).all()


def test_a_channel_that_is_constant_in_either_stays_as_it_is():
    own = sample("own", torch.stack([noise(1)[0], torch.full((100,), 0.1), noise(1)[1]]))
    other = sample("other", torch.stack([torch.full((100,), 0.1), noise(2)[0], noise(2)[1]]))
    change = added(own, other)
    assert (change[:2] == 0).all()
    assert change[2].std() > 0.1


def test_the_other_is_any_but_itself_of_the_same_epoch():
    data = Epochs()
    mixed = Transformed(data, [MixBackground(1.0)])
    for index in range(5):
        seen = set()
        for epoch in range(60):
            data.asked.clear()
            mixed[EpochIndex(index, epoch)]
            (own, other) = data.asked
            assert own == (index, epoch)
            assert other[1] == epoch
            seen.add(other[0])
        assert seen == set(range(5)) - {index}


def test_another_is_read_only_where_a_sequence_is_changed():
    data = Epochs()
    mixed = Transformed(data, [MixBackground(0.3)])
    changed = 0
    for epoch in range(400):
        data.asked.clear()
        found = mixed[EpochIndex(1, epoch)]
        reads = len(data.asked)
        assert reads in (1, 2)
        assert (reads == 2) != torch.equal(found.features, noise(100 * epoch + 1))
        changed += reads == 2
    assert changed == pytest.approx(120, abs=30)


def test_one_sequence_alone_stays_as_it_is():
    data = Epochs(1)
    assert torch.equal(Transformed(data, [MixBackground(1.0)])[0].features, noise(0))
    assert len(data.asked) == 1


def test_another_number_of_channels_is_refused():
    own, other = sample("own", noise(1)), sample("other", noise(1, channels=1))
    with pytest.raises(ValueError, match="'own' has 2 channels; 'other' has 1, and all must have"):
        added(own, other)
