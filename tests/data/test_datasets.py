"""Laws that every data set keeps, and what a sample holds of a file."""

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from spanloc import ops
from spanloc.data import (
    AnnotatedSequences,
    Crops,
    EpochSampler,
    SyntheticSequences,
    TiledSequences,
    read_annotations,
)
from spanloc.data import sequences as module
from spanloc.data.transforms import (
    ChannelDrop,
    Jitter,
    MixBackground,
    Scale,
    Speed,
    TimeWarp,
    Transformed,
)
from spanloc.structures import collate

TRANSFORMS = [Jitter(), Scale(), ChannelDrop(0.3), Speed(), TimeWarp(), MixBackground()]
MANY = {"num_spans": [0, 4], "length": [80, 200], "span_length": [8, 30], "noise": 0.2}


def same(a, b):
    return (
        a.id == b.id
        and torch.equal(a.features, b.features)
        and torch.equal(a.spans, b.spans)
        and torch.equal(a.labels, b.labels)
        and a.timeline == b.timeline
        and (a.ignored is None or torch.equal(a.ignored, b.ignored))
    )


DATASETS = {
    "synthetic": lambda _: SyntheticSequences(12, seed=3, **MANY),
    "whole": AnnotatedSequences,
    "tiles": lambda records: TiledSequences(records, 25),
    "crops": lambda records: Crops(records, 30, count=15, seed=3),
    "transformed": lambda records: Transformed(Crops(records, 30, count=15, seed=3), TRANSFORMS, 3),
}


@pytest.mark.parametrize("made", DATASETS.values(), ids=DATASETS)
def test_every_data_set_gives_the_same_samples_again_and_in_workers(made, annotated):
    records = read_annotations(annotated).subsets["training"]
    dataset, again = made(records), pickle.loads(pickle.dumps(made(records)))
    samples = [dataset[i] for i in range(len(dataset))]
    for i, sample in enumerate(samples):
        steps = sample.features.shape[1]
        assert (sample.spans >= 0).all()
        assert (sample.spans <= steps).all()
        assert (ops.length(sample.spans) > 0).all()
        assert same(sample, again[i])
    sampler = EpochSampler(len(dataset), seed=1)
    sampler.set_epoch(2)
    options = {"sampler": sampler, "collate_fn": collate}
    alone, helped = (
        [s for b in DataLoader(dataset, 4, num_workers=n, **options) for s in b.split()]
        for n in (0, 2)
    )
    assert len(alone) == len(dataset)
    assert all(same(a, b) for a, b in zip(alone, helped, strict=True))
    assert all(same(a, b) for a, b in zip(samples, collate(samples).split(), strict=True))


def test_the_features_of_a_sample_are_its_own_in_any_order_of_the_file(annotated):
    (record, *_) = read_annotations(annotated).subsets["training"]
    values = np.load(record.signal.path)
    np.save(record.signal.path, np.asfortranarray(values))
    sample = AnnotatedSequences([record])[0]
    sample.features.zero_()
    assert sample.features.is_contiguous()
    assert np.array_equal(np.load(record.signal.path), values)


def test_tiles_take_each_step_once_and_clip_the_spans_they_keep(annotated):
    records = read_annotations(annotated).subsets["training"]
    tiles = TiledSequences(records, 25)
    found = [tiles[i] for i in range(len(tiles))]
    for record in records:
        own = [tile for tile in found if tile.id == record.id]
        assert len(own) == -(-record.num_steps // 25)
        assert torch.equal(
            torch.cat([t.features for t in own], 1),
            torch.tensor(record.signal.read(0, record.num_steps)).T,
        )
        starts = np.cumsum([0, *(tile.features.shape[1] for tile in own)])
        assert [tile.timeline.offset for tile in own] == pytest.approx(starts[:-1] * 0.1)
    # Of [1 s, 3 s] in 60 steps, three tiles of 20, half is in each of two; of [4 s, 5.5 s] all in one.
    spans = [tile.spans.tolist() for tile in found if tile.id == "s0"]
    assert spans == [[[10.0, 20.0]], [[0.0, 10.0]], [[0.0, 15.0]]]
    with pytest.raises(IndexError):
        tiles[len(tiles)]


def test_statistics_of_long_recordings_are_read_piece_by_piece(annotated, monkeypatch):
    sequences = AnnotatedSequences(read_annotations(annotated).subsets["training"])
    whole = sequences.statistics()
    monkeypatch.setattr(module, "_PIECE", 7)
    for a, b in zip(whole, sequences.statistics(), strict=True):
        torch.testing.assert_close(a, b)
    record = sequences.records[2]
    values = np.load(record.signal.path)
    values[17, 1] = np.inf
    np.save(record.signal.path, values)
    with pytest.raises(ValueError, match=r"s2.npy: row 17, column 1 is inf"):
        sequences.statistics()
