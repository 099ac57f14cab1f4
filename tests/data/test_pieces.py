"""Pieces of recordings: what a sample holds of a file."""

import numpy as np
import pytest
import torch

from spanloc.data import AnnotatedSequences, TiledSequences, read_annotations
from spanloc.data import sequences as module


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
