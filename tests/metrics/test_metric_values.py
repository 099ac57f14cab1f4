"""What the metrics compute: cases counted by hand, and slow loops."""

import json
import math
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import reference_metrics as reference
import torch
import yaml
from conftest import unchecked
from metric_rows import mean, node, rows, tensors, value

from spanloc import metrics
from spanloc.metrics import average_precision

GOLDEN = yaml.safe_load((Path(__file__).parent.parent / "golden_metrics.yaml").read_text())
PUBLISHED = json.loads((Path(__file__).parent.parent / "published_metrics.json").read_text())
THRESHOLDS = [0.1, 0.3, 0.5, 0.7, 0.9]


@pytest.mark.parametrize("case", GOLDEN, ids=[case["name"] for case in GOLDEN])
def test_counted_by_hand(case):
    for expected in case["expected"]:
        found = value(expected["metric"], (case["predictions"], case["targets"]))
        wanted = {name: found[name] for name in expected["values"]}
        assert wanted == pytest.approx(expected["values"], abs=1e-12)


def events(collars, min_score):
    options = dict(zip(("onset", "offset", "offset_share"), collars, strict=True))
    return node("EventF1", min_score=min_score, **options)


@pytest.mark.parametrize("case", PUBLISHED["sed"])
def test_events_are_those_of_sed_eval(case):
    # Metrics of sed_eval 0.2.1, with optimal matching.
    given = case["predictions"], case["targets"]
    for name in ("event", "event_no_share", "event_onset_only", "segment", "segment_half"):
        kind = name.partition("_")[0]
        if kind == "event":
            metric = events(case[name]["collars"], min_score=0.0)
        else:
            metric = node("SegmentF1", min_score=0.0, size=case[name]["size"])
        found = value(metric, given)
        for number in ("precision", "recall", "F1", "F1_macro"):
            assert found[f"{kind}_{number}"] == pytest.approx(case[name][number], abs=1e-9)


@pytest.mark.parametrize("case", PUBLISHED["activitynet"])
def test_average_precision_is_that_of_activitynet(case):
    # Metrics of the published detection evaluation, at thresholds that are decimals.
    metric = node("AveragePrecision", thresholds=[0.5, 0.75, 0.95])
    found = value(metric, (case["predictions"], case["targets"]))
    assert found == pytest.approx(case["values"], abs=1e-9)


@pytest.mark.parametrize("case", PUBLISHED["qvhighlights"])
def test_retrieval_is_that_of_qvhighlights(case):
    # Metrics of the published evaluation of moment retrieval, before they are rounded.
    given = [[row[0], 0, *row[1:]] for row in case["predictions"]]
    targets = [[row[0], 0, *row[1:]] for row in case["targets"]]
    for kind, lengths in (("full", None), ("0-10", [0, 10]), ("10-30", [10, 30])):
        options = {"thresholds": [0.5, 0.75, 0.7, 0.95], "lengths": lengths}
        found = value(node("RetrievalPrecision", **options), (given, targets))
        found |= value(node("RecallAtTIoU", first="listed", **options), (given, targets))
        for name, figure in case["values"][kind].items():
            name += "" if lengths is None else f"/{kind}"
            assert found[name] == pytest.approx(figure, abs=1e-9), name


@pytest.mark.parametrize(
    ("threshold", "prediction", "target", "ap", "recall"),
    [
        (0.5, (0.4, 1.65), (0.4, 2.9), 1, 1),
        (0.7, (0.1, 2.55), (0.1, 3.6), 1, 1),
        (0.8, (0.1, 1.3), (0.1, 1.6), 0, 0),
        (0.9, (0.1, 1.45), (0.1, 1.6), 1, 0),
    ],
)
def test_what_lies_on_a_threshold_is_judged_as_published(threshold, prediction, target, ap, recall):
    # The order of the sums decides; QVHighlights' R1 has another form than its AP.
    given = [(0, 0, *prediction, 0.5)], [(0, 0, *target)]
    for name, expected in (
        ("AveragePrecision", ap),
        ("RetrievalPrecision", ap),
        ("RecallAtTIoU", recall),
    ):
        found = value(node(name, thresholds=[threshold]), given)
        assert set(found.values()) == {expected}, name


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_the_reference(seed, ties):
    predictions, truths = rows(seed=seed, ties=ties)
    result = value(node("AveragePrecision", thresholds=THRESHOLDS), (predictions, truths))
    for threshold in THRESHOLDS:
        expected = reference.average_precision(predictions, truths, threshold).values()
        assert result[f"mAP@{threshold:.2f}"] == pytest.approx(mean(expected), abs=1e-12)
    assert 0 < result["mAP"] < 1
    numbers = [result[f"mAP@{threshold:.2f}"] for threshold in THRESHOLDS]
    assert result["mAP"] == pytest.approx(mean(numbers))


def test_work_in_pieces_changes_nothing(monkeypatch):
    predictions, truths = rows(num_sequences=60, ties=True)
    whole = average_precision(*tensors(predictions, truths), THRESHOLDS)
    for size in (1, 7, 64):
        monkeypatch.setattr(import_module("spanloc.metrics.detection"), "_ROWS", size)
        pieces = average_precision(*tensors(predictions, truths), THRESHOLDS)
        assert all((a == b).all() for a, b in zip(whole, pieces, strict=True))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("first", ["scored", "listed"])
@pytest.mark.parametrize("lengths", [None, (0, 4), (4, 7)])
def test_retrieval_is_the_reference(seed, first, lengths):
    predictions, truths = rows(seed=seed, ties=seed % 2 == 0)
    listed, options = first == "listed", {"first": first, "lengths": lengths}
    suffix = "" if lengths is None else f"/{lengths[0]}-{lengths[1]}"
    recall = node("RecallAtTIoU", thresholds=THRESHOLDS, numbers=[5, 1], **options)
    found = value(recall, (predictions, truths))
    for number in (1, 5):
        best = reference.best_tiou(predictions, truths, number, listed, lengths)
        for threshold in THRESHOLDS:
            expected = mean([x >= threshold for x in best])
            assert found[f"R{number}@{threshold:.2f}{suffix}"] == pytest.approx(expected)
    retrieval = node("RetrievalPrecision", thresholds=THRESHOLDS, max_predictions=3, **options)
    found = value(retrieval, (predictions, truths))
    for threshold in THRESHOLDS:
        expected = reference.retrieval(predictions, truths, threshold, 3, listed, lengths)
        name = f"MR-mAP@{threshold:.2f}{suffix}"
        assert found[name] == pytest.approx(mean(expected), abs=1e-12)
    if lengths is None:
        found = value(node("MeanTIoU", first=first), (predictions, truths))
        expected = mean(reference.best_tiou(predictions, truths, 1, listed))
        assert found["tiou"] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(6))
def test_average_recall_is_the_reference(seed):
    predictions, truths = rows(seed=seed)
    recall = node("AverageRecall", numbers=[5, 1, 2], thresholds=THRESHOLDS)
    found = value(recall, (predictions, truths))
    for number in (1, 2, 5):
        expected = reference.average_recall(predictions, truths, THRESHOLDS, number)
        assert found[f"AR@{number}"] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("collars", [(1.0, 1.0, 0.0), (2.0, 0.5, 0.5), (30.0, 30.0, 0.0)])
def test_events_and_segments_are_the_reference(seed, collars):
    predictions, truths = rows(num_sequences=6, seed=seed)
    found = value(events(collars, min_score=0.3), (predictions, truths))
    mine = [p for p in predictions if p[4] >= 0.3]
    pairs = sum(
        reference.most_pairs(
            [p for p in mine if p[0] == s], [t for t in truths if t[0] == s], *collars
        )
        for s in range(6)
    )
    assert found["event_precision"] == pytest.approx(pairs / len(mine))
    assert found["event_recall"] == pytest.approx(pairs / len(truths))
    for size in (0.7, 3.0):
        found = value(node("SegmentF1", size=size, min_score=0.3), (predictions, truths))
        a, b = reference.segments(mine, size), reference.segments(truths, size)
        assert found["segment_precision"] == pytest.approx(len(a & b) / len(a))
        assert found["segment_recall"] == pytest.approx(len(a & b) / len(b))
        assert found["segment_F1"] == pytest.approx(2 * len(a & b) / (len(a) + len(b)))
        by_label = []
        for label in sorted({t[1] for t in truths}):
            x, y = ({cell for cell in cells if cell[1] == label} for cells in (a, b))
            by_label.append(2 * len(x & y) / (len(x) + len(y)))
        assert found["segment_F1_macro"] == pytest.approx(mean(by_label))


@pytest.mark.parametrize("seed", range(4))
def test_errors_of_ends_are_the_reference(seed):
    predictions, truths = rows(seed=seed)
    ranked, matched = reference.ranked(predictions), reference.matched(predictions, truths, 0.5)
    starts = [p[2] - t[2] for p, t in zip(ranked, matched, strict=True) if t is not None]
    found = value(node("BoundaryError"), (predictions, truths))
    assert found["matched@0.50"] == pytest.approx(len(starts) / len(truths))
    assert found["start_error"] == pytest.approx(mean([abs(x) for x in starts]))
    assert found["start_bias"] == pytest.approx(mean(starts))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("AveragePrecision", {"thresholds": [0.5, 1.5]}, r"thresholds are \[0.5, 1.5\]; wanted dec"),
        ("AveragePrecision", {"thresholds": [0.5, 0.5]}, "two of them are the same, or nearly"),
        ("AverageRecall", {"numbers": [1.5]}, "numbers"),
        ("EventF1", {"min_score": float("nan")}, "min_score is nan; wanted a number"),
        ("RecallAtTIoU", {"thresholds": []}, r"thresholds are \[\]; wanted decimals"),
        ("RecallAtTIoU", {"numbers": [0]}, r"numbers are \[0\]; wanted whole numbers, at least 1"),
        ("RecallAtTIoU", {"lengths": [5, 2]}, r"lengths is \[5, 2\]; wanted \[least, most\]"),
        ("MeanTIoU", {"first": "best"}, "first"),
        ("RetrievalPrecision", {"max_predictions": 0}, "max_predictions is 0; wanted at least 1"),
        ("AverageRecall", {"numbers": []}, "numbers are"),
        ("EventF1", {"onset": -0.1}, "onset is -0.1; it must be at least 0"),
        ("SegmentF1", {"size": 0.0}, "size is 0.0; it must be above 0"),
        ("BoundaryError", {"threshold": 0.0}, r"thresholds are \[0.0\]; wanted decimals"),
        ("AveragePrecision", {"thresholds": 0.5}, r"thresholds is 0.5; wanted a list, such as \[0.5\]"),
        ("BoundaryError", {"quantiles": [50]}, r"quantiles are \[50\]; wanted fractions"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(name, options, message):
    # The shape checker of the tests would speak first of some.
    with unchecked(), pytest.raises(ValueError, match=message):
        getattr(metrics, name)(**options)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_taken(dtype):
    truths = [(0, 0, 0, 10), (0, 0, 20, 30)]
    good, true = tensors([(0, 0, 0, 10, 0.5), (0, 0, 20, 30, 0.25)], truths)
    halves = replace(good, spans=good.spans.to(dtype), scores=good.scores.to(dtype))
    for metric in (metrics.AveragePrecision(), metrics.MeanTIoU(), metrics.EventF1(min_score=0.1)):
        metric.update(halves, replace(true, spans=true.spans.to(dtype)))
        assert {float(number) for number in metric.compute().values()} == {1.0}


def test_a_score_that_is_nan_is_refused():
    row = (0, 0, 0.0, 4.0)
    with pytest.raises(ValueError, match="sequence 's00000': Predictions .* with the score nan"):
        value(node("AveragePrecision"), ([(*row, math.nan)], [row]))


def test_labels_without_a_name_are_refused_where_there_are_names():
    first, second = (0, 0, 0.0, 4.0), (0, 1, 0.0, 4.0)
    for rows_, kind in (
        (([(*first, 0.9)], [second]), "Targets"),
        (([(*second, 0.9)], [first]), "Pred"),
    ):
        with pytest.raises(ValueError, match=f"{kind}.* has the label 1; classes has 1 names"):
            value(node("AveragePrecision", classes=["walk"]), rows_)
        value(node("AveragePrecision"), rows_)


def test_many_events_within_wide_collars_take_no_time():
    # A search in depth at every event would take minutes.
    count = 3000
    predictions = [(0, 0, i, i + 1, 0.9) for i in range(count)]
    found = value(
        node("EventF1", onset=None, offset=None), (predictions, [p[:4] for p in predictions])
    )
    assert found["event_F1"] == 1
