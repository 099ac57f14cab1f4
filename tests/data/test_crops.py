"""Crops: where they lie, how often, and the spans that they keep."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

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


@pytest.mark.parametrize(
    ("steps", "counts"), [((100, 900), (4, 36)), ((10, 50, 100), (10, 10, 20))]
)
def test_a_recording_is_drawn_as_often_as_it_is_long_a_short_one_as_if_it_had_a_crop(steps, counts):
    crops = Crops(records(*steps), 50, count=40)
    found = [name for name, _ in starts(crops, 10)]
    # Exactly, in every epoch: each crop has a share of the time of its own.
    for first in range(0, 400, 40):
        names = found[first : first + 40]
        assert tuple(names.count(f"r{i}") for i in range(len(steps))) == counts


def test_whole_recordings_are_drawn_equally_often():
    crops = Crops(records(10, 500, 90), math.inf)
    assert len(crops) == 3
    assert sorted(starts(crops, 1)) == [("r0", 0), ("r1", 0), ("r2", 0)]
    assert [crops[i].features.shape[1] for i in range(3)] == [10, 500, 90]


def rare(*places, steps=10):
    """A recording of 10,000 steps with spans of this length at these places."""
    spans = {"r": [(at / 10, (at + steps) / 10, "a") for at in places]}
    values = {"r": np.arange(10_000, dtype=np.float32)[:, None]}
    return from_arrays(values, spans, rate=10).annotations.subsets["training"]


def share_with_spans(crops, epochs=6):
    drawn = [crops[EpochIndex(i, e)] for e in range(epochs) for i in range(len(crops))]
    return np.mean([len(sample.spans) > 0 for sample in drawn])


@pytest.mark.parametrize("places", [(5,), (0, 4000, 4030, 9990), range(0, 1000, 20)])
def test_crops_around_spans_make_up_for_rare_ones(places):
    found = rare(*places)
    evenly = Crops(found, 100, count=100)
    most = Crops(found, 100, count=100, with_spans=0.99)
    expected = share_with_spans(evenly)
    # What spreading evenly gives is counted right, from where the spans are.
    assert 1 - 0.01 / (1 - most.around) == pytest.approx(expected, abs=0.02)
    assert evenly.around == 0
    assert share_with_spans(Crops(found, 100, count=100, with_spans=0.5)) == pytest.approx(
        0.5, abs=0.04
    )
    # Where that is enough already, nothing changes.
    same = Crops(found, 100, count=100, with_spans=0.8 * expected)
    assert starts(same, 2) == starts(evenly, 2)


def test_a_crop_around_a_span_has_all_of_it_anywhere_and_of_a_longer_one_a_part():
    crops = Crops(rare(5000), 100, count=400, with_spans=0.999)
    where = []
    for i in range(400):
        sample = crops[i]
        if len(sample.spans):
            start, end = sample.spans[0].tolist()
            assert end - start == pytest.approx(10, abs=1e-3) or start == 0 or end == 100
            where.append(start)
    assert min(where) < 5
    assert max(where) > 85
    long = Crops(rare(5000), 6, count=200, with_spans=0.9)
    firsts = [round(float(long[i].features[0, 0])) for i in range(200)]
    assert sum(5000 <= first <= 5004 for first in firsts) > 150


def test_no_crop_is_drawn_around_a_span_that_is_too_long_for_any():
    (long,), (short,) = rare(2000, steps=1000), rare(500)
    assert Crops([long], 400, count=50, with_spans=0.5).around == 0
    spans, labels = torch.cat([long.spans, short.spans]), long.labels.repeat(2)
    crops = Crops([replace(long, spans=spans, labels=labels)], 400, count=50, with_spans=0.5)
    assert share_with_spans(crops) == pytest.approx(0.5, abs=0.06)


def test_spans_of_no_class_and_ends_of_recordings_need_no_crops():
    (record,) = rare(0, 9990)
    unknown = replace(record, labels=torch.full_like(record.labels, -1))
    assert Crops([unknown], 100, with_spans=0.5).around == 0
    crops = Crops([record], 100, count=300, with_spans=0.9)
    assert {len(crops[i].features[0]) for i in range(300)} == {100}


def test_an_epoch_covers_the_time_once_without_a_count():
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
