"""Which sequence is which: by id, over updates and processes, and once each."""

import copy
from dataclasses import replace

import pytest
import torch
from metric_rows import rows, tensors
from processes import in_two_processes

from spanloc.metrics import AveragePrecision, MeanTIoU
from spanloc.metrics.metric import sequence_key
from spanloc.structures import Predictions, Targets

ODD_IDS = (
    "", "a\nb", "a/b", "..", "\0", "été", "e\u0301te\u0301", "动作", "\ud800", "\udfff", "😀",
)  # fmt: skip


def perfect(spans, ids, unit="seconds"):
    """Predictions and targets that are the same: one span for each sequence."""
    spans, places = torch.tensor(spans), torch.arange(len(ids))
    labels = torch.zeros_like(places)
    return (
        Predictions(spans, labels, places, ids, unit, scores=torch.ones(len(ids))),
        Targets(spans, labels, places, ids, unit),
    )


def spans_of(count):
    return [[10.0 * i, 10.0 * i + 4] for i in range(count)]


def broken(rows, **fields):
    """With fields that the shape checker of the tests would not let pass."""
    rows = copy.copy(rows)
    for name, value in fields.items():
        object.__setattr__(rows, name, value)
    return rows


def test_places_of_two_batches_are_not_taken_for_each_other():
    # Both batches number their sequences from 0, and predict what the other one holds.
    one, two = perfect(spans_of(2), ("a", "b")), perfect(spans_of(2)[::-1], ("c", "d"))
    metric = AveragePrecision()
    metric.update(one[0], replace(two[1], ids=("a", "b")))
    metric.update(two[0], replace(one[1], ids=("c", "d")))
    assert float(metric.compute()["mAP"]) == 0
    metric.reset()
    metric.update(*one)
    metric.update(*two)
    assert float(metric.compute()["mAP"]) == 1


def test_predictions_of_other_sequences_than_the_targets_are_refused():
    found, true = perfect(spans_of(2), ("a", "b"))
    for ids, message in (
        (("b", "a"), r"Predictions.ids\[0\] is 'b'; Targets.ids\[0\] is 'a'"),
        (("a", "c"), r"Predictions.ids\[1\] is 'c'; Targets.ids\[1\] is 'b'"),
        (("a", "b", "c"), r"Predictions.ids\[2\] is 'c'; Targets.ids\[2\] is None"),
    ):
        with pytest.raises(ValueError, match=message):
            MeanTIoU().update(replace(found, ids=ids), true)


def test_a_sequence_that_comes_twice_is_refused_until_reset():
    metric = MeanTIoU()
    with pytest.raises(ValueError, match="sequence 'a' was there twice"):
        metric.update(*perfect(spans_of(3), ("a", "b", "a")))
    # What was refused has left nothing behind.
    metric.update(*perfect(spans_of(2), ("a", "b")))
    with pytest.raises(ValueError, match="sequence 'b' was there twice"):
        metric.update(*perfect(spans_of(2), ("c", "b")))
    metric.update(*perfect(spans_of(1), ("c",)))
    assert float(metric.compute()["tiou"]) == 1
    metric.reset()
    metric.update(*perfect(spans_of(2), ("c", "b")))
    assert float(metric.compute()["tiou"]) == 1


def test_a_sequence_that_comes_twice_is_refused_also_without_spans():
    metric = MeanTIoU()
    none = [part[:0] for part in perfect(spans_of(1), ("a",))]
    metric.update(*none)
    with pytest.raises(ValueError, match="sequence 'a' was there twice"):
        metric.update(*none)


def test_a_sequence_that_comes_twice_through_forward_is_refused_by_compute():
    metric = MeanTIoU()
    assert float(metric(*perfect(spans_of(1), ("a",)))["tiou"]) == 1
    metric(*perfect(spans_of(1), ("b",)))
    assert float(metric.compute()["tiou"]) == 1
    metric(*perfect(spans_of(1), ("a",)))
    with pytest.raises(ValueError, match="sequence 'a' was there twice"):
        metric.compute()


def test_units_that_differ_are_refused():
    found, true = perfect(spans_of(1), ("a",), "steps")
    metric = MeanTIoU()
    with pytest.raises(ValueError, match="Predictions.unit is 'seconds'; Targets.unit is 'steps'"):
        metric.update(replace(found, unit="seconds"), true)
    metric.update(found, true)
    with pytest.raises(ValueError, match="is 'seconds'; it was 'steps' in earlier updates"):
        metric.update(*perfect(spans_of(1), ("b",)))
    assert {rows.unit for rows in metric.rows()} == {"steps"}
    metric.reset()
    metric.update(*perfect(spans_of(1), ("b",)))
    assert {rows.unit for rows in metric.rows()} == {"seconds"}


def test_units_that_differ_are_refused_through_forward_too():
    metric = MeanTIoU()
    metric(*perfect(spans_of(1), ("a",), "steps"))
    with pytest.raises(ValueError, match="is 'seconds'; it was 'steps' in earlier updates"):
        metric(*perfect(spans_of(1), ("b",)))
    metric = MeanTIoU()
    metric.update(*perfect(spans_of(1), ("a",), "steps"))
    metric(*perfect(spans_of(1), ("b",), "steps"))
    with pytest.raises(ValueError, match="sequence 'a' was there twice"):
        metric.update(*perfect(spans_of(1), ("a",), "steps"))


def test_rows_come_back_with_their_ids_whatever_characters_these_hold():
    spans = spans_of(len(ODD_IDS))
    metric = MeanTIoU()
    for part in (slice(0, 3), slice(3, None)):
        metric.update(*perfect(spans[part], ODD_IDS[part]))
    for found in metric.rows():
        assert sorted(found.ids) == sorted(ODD_IDS)
        for name, span in zip(ODD_IDS, spans, strict=True):
            assert found.of(found.ids.index(name)).spans.tolist() == [span]
    assert float(metric.compute()["tiou"]) == 1
    assert len({sequence_key(name) for name in ODD_IDS}) == len(ODD_IDS)


def test_equal_scores_go_by_id_however_the_sequences_come():
    for ids in (("a", "b"), ("b", "a"), ("10", "9")):
        metric = AveragePrecision([0.5])
        found, true = perfect(spans_of(2), ids)
        metric.update(found, true[:1])
        # The target is the first id's; a miss that ranks before it halves its precision.
        assert float(metric.compute()["mAP"]) == (1 if ids[0] < ids[1] else 0.5)


def test_rows_of_other_shapes_and_types_are_refused():
    good, true = tensors(*rows())
    for update, message in (
        ((broken(good, spans=good.spans[:1]), true), r"Predictions.spans has the shape \(1, 2\)"),
        ((broken(good, labels=good.labels.float()), true), "Predictions.labels has .* whole"),
        ((broken(good, places=good.places[:-1]), true), "Predictions.places has the shape"),
        ((broken(good, scores=good.scores[:-1]), true), "Predictions.scores has the shape"),
        ((good, broken(true, spans=true.spans.long())), "Targets.spans has .* wanted floats"),
        ((good, broken(true, spans=true.spans[:, 0])), "Targets.spans has the shape"),
        ((broken(good, spans=good.spans.numpy()), true), "Predictions.spans is a ndarray; wanted a t"),
        ((broken(good, places=good.places + 99), true), "Predictions.places has numbers outside of"),
        ((good, broken(true, places=true.places - 1)), "Targets.places has numbers outside of ids"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            AveragePrecision().update(*update)
    for update in (([], true), (good, [{"spans": [1, 2]}]), (good.spans, true)):
        with pytest.raises((ValueError, TypeError), match="wanted|type"):
            AveragePrecision().update(*update)


def joined(rank):
    mine = slice(0, 4) if rank else slice(4, None)
    metric = MeanTIoU()
    metric.update(*perfect(spans_of(len(ODD_IDS))[mine], ODD_IDS[mine]))
    with metric.sync_context():
        found, _ = metric.rows()
    value = float(metric.compute()["tiou"])
    metric.reset()
    metric.update(*perfect(spans_of(2), ("shared", f"own {rank}")))
    with pytest.raises(ValueError, match="sequence 'shared' was there twice"):
        metric.compute()
    return sorted(found.ids), value


def test_two_processes_join_any_ids_and_refuse_a_sequence_of_both(tmp_path):
    assert in_two_processes(joined, tmp_path) == [(sorted(ODD_IDS), 1)] * 2
