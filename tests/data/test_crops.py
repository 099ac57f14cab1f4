import math

import numpy as np
import pytest

from spanloc.data import AnnotatedSequences, Crops, EpochIndex, from_arrays
from spanloc.data.transforms import Speed, Transformed


def records(*steps):
    signals = {f"r{i}": np.arange(n, dtype=np.float32)[:, None] for i, n in enumerate(steps)}
    spans = {
        name: [(0.0, 1.0, "a"), (len(x) / 10 - 1, len(x) / 10, "a")] for name, x in signals.items()
    }
    return from_arrays(signals, spans, rate=10).annotations.subsets["training"]


def starts(crops, epochs):
    found = [crops[EpochIndex(i, e)] for e in range(epochs) for i in range(len(crops))]
    return [(sample.id, round(float(sample.features[0, 0]))) for sample in found]


def test_crops_keep_spans_of_which_enough_is_left():
    (record,) = records(60)
    crops, whole = Crops([record], 20, count=1, min_kept=0.6), AnnotatedSequences([record])[0]
    seen = set()
    for epoch in range(200):
        crop = crops[EpochIndex(0, epoch)]
        first = round(float(crop.features[0, 0]))
        assert crop.timeline.offset == pytest.approx(first / 10)
        expected = []
        for start, end in whole.spans.tolist():
            left, right = max(start - first, 0), min(end - first, 20)
            if right - left >= 0.6 * (end - start):
                expected.append([left, right])
        assert crop.spans.tolist() == expected
        seen.add((first, len(expected)))
    assert {first for first, _ in seen} >= {0, 40}
    assert {count for _, count in seen} == {0, 1}


def test_a_recording_is_drawn_as_often_as_it_is_long():
    crops = Crops(records(100, 900), 50, count=40)
    found = [name for name, _ in starts(crops, 10)]
    # Exactly, in every epoch: each crop has a share of the time of its own.
    assert found.count("r0") == 40
    assert all(found[40 * e : 40 * (e + 1)].count("r0") == 4 for e in range(10))


def test_a_short_recording_is_drawn_as_one_of_the_length_of_a_crop():
    crops = Crops(records(10, 50, 100), 50, count=8)
    found = [name for name, _ in starts(crops, 5)]
    assert [found.count(name) for name in ("r0", "r1", "r2")] == [10, 10, 20]


def test_whole_recordings_are_drawn_equally_often():
    crops = Crops(records(10, 500, 90), math.inf)
    assert len(crops) == 3
    assert sorted(starts(crops, 1)) == [("r0", 0), ("r1", 0), ("r2", 0)]
    assert [crops[i].features.shape[1] for i in range(3)] == [10, 500, 90]


def test_an_epoch_covers_the_time_once_unless_told_otherwise():
    assert len(Crops(records(95, 40), 20)) == 7
    assert len(Crops(records(95, 40), 20, count=3)) == 3


@pytest.mark.parametrize("index", [-1, 7])
def test_there_is_no_crop_beyond_an_epoch(index):
    with pytest.raises(IndexError, match=f"index {index} of 7 crops"):
        Crops(records(95, 40), 20)[index]


def test_a_slower_crop_is_cut_at_its_length_with_its_spans():
    (record,) = records(140)
    crops = Crops([record], 100, count=40)
    slow = Transformed(crops, [Speed(0.5, 0.5)], most=100, min_kept=0.6)
    kept = 0
    for i in range(40):
        sample, before = slow[i], crops[i]
        assert sample.features.shape == (1, 100)
        expected = [
            [2 * start, min(2 * end, 100.0)]
            for start, end in before.spans.tolist()
            if min(2 * end, 100) - 2 * start >= 0.6 * 2 * (end - start)
        ]
        np.testing.assert_allclose(sample.spans, np.reshape(expected, (-1, 2)))
        kept += len(expected)
    assert kept
