"""Spans of a stream are those of the whole recording."""

from functools import partial

import numpy as np
import pytest
import torch
from conftest import points_model, points_task, query_model, single_model

from spanloc import ops
from spanloc.data.signals import ArraySignal, LogSpectrogram
from spanloc.decode import Decode, Temperature
from spanloc.facts import DataFacts, InputFacts
from spanloc.inference.streaming import Stream

SUPPRESS = {
    "soft": partial(ops.soft_nms, sigma=0.5),
    "linear": partial(ops.soft_nms, decay="linear", threshold=0.3),
    "hard": partial(ops.nms, threshold=0.4),
}


def task_of(model, facts=None, **decode):
    decode = {
        "suppress": SUPPRESS["soft"],
        "max_predictions": 10**4,
        "max_candidates": 10**5,
        **decode,
    }
    task = points_task(model, decode=Decode(**decode), classes=["a", "b"])
    task.input = facts or InputFacts(3, 10.0)
    task.facts = DataFacts(model.num_channels, 2, 5.0, 30.0)
    return task


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = points_model()
    with torch.no_grad():
        # Scores from near 0 to near 1, none of them rounded to it: suppression has something to do.
        made.head.score.weight.mul_(5)
        made.head.score.bias.fill_(-2.0)
        made.head.span.weight.mul_(4)
    return made


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(0).normal(size=(901, 3)).astype(np.float32)


def pushed(stream, values, seed=0):
    """What comes of a recording in chunks of random sizes, and how many seconds after its end each."""
    random = np.random.default_rng(seed)
    parts, waits, place = [], [], 0
    while place < len(values):
        size = int(random.integers(0, 90))
        parts.append(stream.push(values[place : place + size]))
        place += size
        waits += [stream.seconds - end for end in parts[-1].spans[:, 1].tolist()]
    return [*parts, stream.finish()], waits


def rows_of(parts):
    rows = [
        (label, start, end, score)
        for part in parts
        for label, (start, end), score in zip(
            part.labels.tolist(), part.spans.tolist(), part.scores.tolist(), strict=True
        )
    ]
    return np.array(sorted(rows)).reshape(-1, 4)


def require_same(parts, whole, min_score, longest=np.inf):
    lengths = whole.spans[:, 1] - whole.spans[:, 0]
    expected = rows_of([whole[(whole.scores >= min_score) & (lengths <= longest)]])
    found = rows_of(parts)
    assert len(found) == len(expected) > 15
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("suppress", SUPPRESS)
@pytest.mark.parametrize("min_score", [0.1, 0.6])
def test_all_spans_are_those_of_the_whole_recording(model, values, suppress, min_score):
    task = task_of(model, suppress=SUPPRESS[suppress])
    parts, waits = pushed(Stream(task, min_score=min_score, longest=20.0, every=3.0), values)
    require_same(parts, task.predict(values), min_score)
    if suppress == "hard":
        assert len(waits) > 5  # most of all are no use if they come at the end


def test_spans_do_not_depend_on_chunks_or_how_often_the_model_runs(model, values):
    task = task_of(model)
    runs = [(0, 1.0), (1, 4.0), (2, 20.0)]
    found = [
        rows_of(pushed(Stream(task, longest=4.0, every=every), values, seed)[0])
        for seed, every in runs
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-4)


def test_calibration_bias_and_least_scores_are_those_of_the_whole(model, values):
    task = task_of(
        model,
        calibration=Temperature([0.8, 1.3], [-0.4, 0.3]),
        bias=[[1.5, -0.5], [0.0, 2.0]],
        min_scores=[0.3, 0.5],
        min_length=0.3,
    )
    parts, _ = pushed(Stream(task, min_score=0.25, longest=20.0, every=3.0), values)
    require_same(parts, task.predict(values), 0.25)


def test_spans_that_a_bias_makes_overlap_are_those_of_the_whole(model, values):
    task = task_of(model, bias=[[-10.0, 10.0]] * 2)
    whole = task.predict(values)
    # Not much longer than any, so that spans are final as soon as they can be.
    longest = float((whole.spans[:, 1] - whole.spans[:, 0]).max()) - 1.9
    stream = Stream(task, min_score=0.7, longest=longest, every=0.5)
    require_same(pushed(stream, values)[0], whole, 0.7, longest)


def test_a_span_comes_within_the_delay(model, values):
    task = task_of(model, suppress=SUPPRESS["hard"])
    stream = Stream(task, min_score=0.85, longest=1.0, every=2.0)
    parts, waits = pushed(stream, values)
    # Chunks have up to 9 s; overlapping spans of a label wait for each other.
    assert min(waits) > 0
    assert np.median(waits) <= stream.delay + 9
    assert stream.delay < 15
    assert len(waits) > 0.8 * sum(len(part) for part in parts)


def test_spans_longer_than_expected_are_left_out_and_leave_no_pieces(model, values):
    task, longest = task_of(model), 0.8
    parts, _ = pushed(Stream(task, min_score=0.3, longest=longest), values)
    whole = task.predict(values)
    lengths = whole.spans[:, 1] - whole.spans[:, 0]
    assert (lengths > longest).sum() > 30
    expected = rows_of([whole[(whole.scores >= 0.3) & (lengths <= longest)]])
    found = {tuple(row[:3].round(2)) for row in rows_of(parts)}
    wanted = {tuple(row[:3].round(2)) for row in expected}
    # What a longer one that comes late would have lowered may be there, and nothing else.
    assert wanted <= found
    assert len(found - wanted) <= 0.1 * len(wanted)


def test_memory_does_not_grow(model):
    task = task_of(model, suppress=SUPPRESS["hard"])
    stream, held = Stream(task, min_score=0.85, longest=1.0, every=5.0), []
    random = np.random.default_rng(1)
    for _ in range(40):
        stream.push(random.normal(size=(100, 3)))
        held.append((len(stream._growing._values), len(stream._open.scores)))
    early, late = np.array(held[10:20]), np.array(held[30:])
    assert late[:, 0].max() <= early[:, 0].max()
    assert late[:, 1].max() <= 3 * max(early[:, 1].max(), 1)


def test_features_are_computed_on_the_way():
    torch.manual_seed(0)
    options = {"window": 0.064, "hop": 0.02, "num_bands": 3}
    made = points_model()
    with torch.no_grad():
        made.head.score.bias.fill_(-1.0)
    task = task_of(made, InputFacts(1, 1000.0, features="log_spectrogram", feature_options=options))
    sound = np.random.default_rng(0).normal(size=16_011)
    parts, waits = pushed(Stream(task, min_score=0.3, longest=1.0), sound)
    assert waits
    require_same(parts, task.predict(sound, rate=1000.0), 0.3, 1.0)


@pytest.mark.parametrize("steps", [0, 1, 3, 40])
def test_short_recordings_are_streams_too(model, values, steps):
    task = task_of(model, InputFacts(3, None))
    stream = Stream(task, min_score=0.0, longest=1000.0)
    parts = [stream.push(values[:steps]), stream.finish()]
    expected = task.predict(values[:steps]) if steps else None
    wanted = np.zeros((0, 4)) if expected is None else rows_of([expected])
    np.testing.assert_allclose(rows_of(parts), wanted, atol=1e-4)


def test_ahead_is_how_many_frames_change_with_what_follows():
    sound = np.random.default_rng(0).normal(size=(1000, 1))
    for window, hop in ((0.025, 0.01), (0.1, 0.01), (0.03, 0.03), (0.02, 0.05), (0.064, 0.02)):
        whole = LogSpectrogram(ArraySignal(sound, 1000.0), window=window, hop=hop, num_bands=4)
        for size in (500, 507, 519):
            cut = LogSpectrogram(
                ArraySignal(sound[:size], 1000.0), window=window, hop=hop, num_bands=4
            )
            steps = int(size * whole.rate / 1000) - cut.ahead
            assert steps > 0
            np.testing.assert_array_equal(cut.read(0, steps), whole.read(0, steps))


def test_mistakes_are_refused_with_a_reason(model, values):
    task = task_of(model)
    with pytest.raises(ValueError, match="rate is 20; the model was trained on 10"):
        Stream(task, 20.0)
    stream = Stream(task)
    with pytest.raises(ValueError, match=r"shape \(5, 2\); wanted \(steps, 3\)"):
        stream.push(values[:5, :2])
    stream.push(values[:5])
    with pytest.raises(ValueError, match="row 5, column 0 is inf"):
        stream.push(np.full((1, 3), 1e39))
    with pytest.raises(ValueError, match="row 5, column 0 is nan"):
        stream.push(np.full((1, 3), np.nan))
    stream.finish()
    with pytest.raises(ValueError, match="the stream was finished"):
        stream.push(values)
    with pytest.raises(ValueError, match="the stream was finished"):
        stream.finish()
    options = {"voting": 0.7, "exclusive": True, "fill_gaps": 1.0, "max_per_sequence": 3}
    for name, value in options.items():
        with pytest.raises(ValueError, match=f"decode.{name} is set"):
            Stream(task_of(model, **{name: value}))
    task.facts = None
    with pytest.raises(ValueError, match="set longest"):
        Stream(task)
    with pytest.raises(ValueError, match="decode.max_predictions=1 is set"):
        Stream(task_of(model, max_predictions=1))


@pytest.mark.parametrize("most", [1, 200])
@pytest.mark.parametrize(
    ("make", "head"), [(single_model, "SingleHead"), (query_model, "QueryHead")]
)
def test_a_model_without_points_is_refused_whatever_its_decode(make, head, most):
    message = f"many spans per sequence from a head with points, .*; this model has {head}"
    with pytest.raises(ValueError, match=message):
        Stream(task_of(make(), max_predictions=most), longest=50.0)
