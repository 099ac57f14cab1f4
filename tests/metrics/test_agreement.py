"""Agreement of two annotators: recall at tIoU, and the labels that are confused."""

import json
from pathlib import Path

import pytest
import reference_metrics as slow
from metric_rows import node, rows, tensors, value

from spanloc import metrics, reports
from spanloc.reports.scores import score_page

CLASSES = ["walk", "run", "sit"]


@pytest.mark.parametrize("ties", [False, True])
def test_recall_and_precision_are_those_of_slow_matching(ties):
    predictions, truths = rows(num_sequences=30, ties=ties)
    found = value(node("Agreement", thresholds=[0.3, 0.6]), (predictions, truths))
    assert list(found) == [
        f"{name}@{t}" for t in ("0.30", "0.60") for name in ("recall", "precision", "F1")
    ]
    for threshold in (0.3, 0.6):
        hits = sum(t is not None for t in slow.matched(predictions, truths, threshold))
        assert 0 < hits < len(truths)
        recall, precision = hits / len(truths), hits / len(predictions)
        assert found[f"recall@{threshold:.2f}"] == pytest.approx(recall)
        assert found[f"precision@{threshold:.2f}"] == pytest.approx(precision)
        both = 2 * recall * precision / (recall + precision)
        assert found[f"F1@{threshold:.2f}"] == pytest.approx(both)


def test_to_exchange_the_two_exchanges_recall_and_precision():
    spans = [(s, s % 3, 10.0 * i, 10.0 * i + 4) for s in range(3) for i in range(5)]
    others = [(s, k, a + 0.5, b + 0.5) for s, k, a, b in spans[:-4]]

    def scored(some):
        return [(*row, 1.0) for row in some]

    one = value(node("Agreement"), (scored(others), spans))
    two = value(node("Agreement"), (scored(spans), others))
    assert one["recall@0.75"] == two["precision@0.75"] == pytest.approx(11 / 15)
    assert one["precision@0.75"] == two["recall@0.75"] == 1
    assert one["F1@0.75"] == two["F1@0.75"]


def confused(predictions, truths, **options):
    found = metrics.confusion(*tensors(predictions, truths), CLASSES, **options)
    return {(row["target"], row["prediction"]): row["count"] for row in found}


def test_labels_are_counted_where_spans_match():
    truths = [(0, 0, 0.0, 4.0), (0, 1, 5.0, 9.0), (0, 2, 10.0, 14.0), (1, 1, 0.0, 4.0)]
    predictions = [
        (0, 0, 0.0, 4.5, 1.0),
        (0, 0, 5.0, 9.0, 0.7),
        (0, 2, 12.5, 16.0, 0.6),  # tIoU 0.25
        (1, 2, 0.0, 4.0, 0.4),
    ]
    expected = {("walk", "walk"): 1, ("run", "walk"): 1, ("sit", None): 1, ("run", None): 1}
    assert confused(predictions, truths) == expected
    less = confused(predictions, truths, min_score=0.3, threshold=0.2)
    assert less == {
        ("walk", "walk"): 1, ("run", "walk"): 1, ("sit", "sit"): 1, ("run", "sit"): 1,
    }  # fmt: skip
    # The best prediction of "walk" and of "sit", as each has one target.
    best = confused(predictions, truths, min_score=None)
    assert best == {("walk", "walk"): 1, ("run", None): 2, ("sit", None): 1}


def test_the_right_label_comes_first_and_each_span_counts_once():
    # Two targets in one place: neither is confused if both labels are there.
    truths = [(0, 0, 0.0, 4.0), (0, 1, 0.0, 4.0)]
    both = [(0, 1, 0.0, 4.0, 1.0), (0, 0, 0.5, 4.0, 1.0)]
    assert confused(both, truths) == {("walk", "walk"): 1, ("run", "run"): 1}
    assert confused(both[:1], truths) == {("walk", None): 1, ("run", "run"): 1}
    assert confused([], truths) == {("walk", None): 1, ("run", None): 1}
    assert confused(both, []) == {}


def test_targets_of_no_known_class_are_not_counted():
    truths = [(0, -1, 0.0, 4.0), (0, 2, 10.0, 14.0), (1, -1, 0.0, 4.0)]
    predictions = [(0, 0, 0.0, 4.0, 1.0), (0, 2, 10.0, 14.0, 1.0)]
    assert confused(predictions, truths) == {("sit", "sit"): 1}
    assert confused(predictions, truths[:1]) == {}


def write(path, spans):
    database = {
        name: {"annotations": [{"segment": [a, b], "label": label} for a, b, label in of_name]}
        for name, of_name in spans.items()
    }
    path.write_text(json.dumps({"classes": ["walk", "run"], "database": database}))
    return path


def test_annotations_are_scored_against_annotations(cli, tmp_path, capsys):
    one = {"a": [(0, 4, "walk"), (10, 14, "run"), (20, 30, "walk")], "b": [(5, 9, "run")]}
    two = {"a": [(0.5, 4.5, "walk"), (10, 14, "walk"), (20, 30, "walk")], "b": []}
    first, second = write(tmp_path / "first.json", one), write(tmp_path / "second.json", two)

    def scored(found, true):
        options = (f"predictions={found}", f"annotations={true}", "metric=agreement")
        folder = cli("score", *options, "hydra.run.dir=out")
        assert isinstance(folder, Path), folder
        return reports.ScoreResult.read(folder / "out" / "scores.json")

    scores = scored(second, first)
    assert scores.metrics["recall@0.50"] == 0.5
    assert scores.metrics["precision@0.50"] == pytest.approx(2 / 3)
    assert scores.metrics["start_bias"] == 0.25
    assert {"target": "run", "prediction": "walk", "count": 1} in scores.confusion
    printed = " ".join(capsys.readouterr().out.split())
    assert "(tIoU of 0.5 or more, any label): 3; with the right label: 2, 66.7 %." in printed
    assert "Confusion of labels (" not in printed
    # The first as many of each label as it has targets would be 2, of which the first in the file are right.
    assert "Of all 3 predictions, 2 are right; they find 2 of 4 targets" in printed
    assert "Confusion of labels" in score_page(scores)
    # Exchanged, the recall is the precision.
    exchanged = scored(first, second).metrics
    assert exchanged["precision@0.50"] == scores.metrics["recall@0.50"]
    assert exchanged["start_bias"] == -0.25


@pytest.mark.parametrize("agreement", [True, False])
def test_with_agreement_the_sentence_counts_all_predictions_as_the_recall_does(
    cli, tmp_path, capsys, agreement
):
    true = write(tmp_path / "true.json", {"a": [(0, 4, "walk"), (10, 14, "run")]})
    # Of 32 predictions of "walk", which has one target, the last is right.
    spans = [*((s, s + 1) for s in range(100, 131)), (0, 4)]
    rows = [{"segment": s, "label": "walk", "score": 0.9 - i / 50} for i, s in enumerate(spans)]
    rows.append({"segment": [10, 14], "label": "walk", "score": 0.85})
    (tmp_path / "found.json").write_text(json.dumps({"results": {"a": rows}}))
    metric = ["metric=agreement"] * agreement
    given = (f"predictions={tmp_path / 'found.json'}", f"annotations={true}", *metric)
    folder = cli("score", *given, "hydra.run.dir=out")
    scores = reports.ScoreResult.read(folder / "out" / "scores.json")
    printed = " ".join(capsys.readouterr().out.split())
    if agreement:
        assert scores.metrics["recall@0.50"] == 0.5
        assert "Of all 33 predictions, 1 are right; they find 1 of 2 targets" in printed
        assert {"target": "run", "prediction": "walk", "count": 1} in scores.confusion
    else:
        best = (
            "among the 1 best prediction: for each label, as many as it has true spans. 0 of them"
        )
        assert f"{best} are right; they find 0 of 2 targets" in printed
        assert "Confusion of labels (highest scores): none. Targets matched to" in printed


NEITHER = [
    {"results": []}, {"database": []}, {"database": {"a": []}}, {}, {"results": [], "database": {}},
]  # fmt: skip


@pytest.mark.parametrize("content", NEITHER)
def test_a_file_that_is_neither_is_named(cli, tmp_path, content):
    first = write(tmp_path / "first.json", {"a": [(0, 4, "walk")]})
    (tmp_path / "second.json").write_text(json.dumps(content))
    line = cli("score", f"predictions={tmp_path / 'second.json'}", f"annotations={first}")
    assert "second.json: wanted an object with the field 'results', lists by sequence; or" in line


def test_older_results_without_a_confusion_are_read(tmp_path):
    path = tmp_path / "scores.json"
    reports.ScoreResult({}, metrics.diagnose(*tensors(*rows()), CLASSES), 1).write(path)
    content = json.loads(path.read_text())
    del content["confusion"]
    content["diagnosis"]["confused"] = []
    path.write_text(json.dumps(content))
    assert "Confusion of labels" not in score_page(reports.ScoreResult.read(path))
