"""Predictions and annotations from files: formats, what is wrong with rows, and the command."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest
from metric_rows import rows

from spanloc.data.annotations.scored import read_scored
from spanloc.metrics import average_precision
from spanloc.reports import notes

LABELS = ["walk", "sit, down", "läuft"]


def name(sequence):
    return f"séq {sequence}"


def write(path, listed):
    """Rows of (sequence, label, start, end) and perhaps a score, in the format of the suffix."""
    fields = ("sequence", "label", "start", "end", "score")
    rows = [(name(row[0]), LABELS[row[1]], *row[2:]) for row in listed]
    table = pd.DataFrame(rows, columns=fields[: len(rows[0])])
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    elif path.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(fields, row, strict=False))) for row in rows]
        path.write_text("\n".join(lines), encoding="utf-8")
    elif len(rows[0]) == 5:
        results = {}
        for sequence, label, start, end, score in rows:
            row = {"segment": [start, end], "label": label, "score": score}
            results.setdefault(sequence, []).append(row)
        path.write_text(json.dumps({"results": results}))
    else:
        database = {}
        for i, (sequence, label, start, end) in enumerate(rows):
            subset = ("training", "testing")[i % 2]
            entry = {"subset": subset, "duration": 60.0, "annotations": []}
            known = database.setdefault(sequence, entry)
            known["annotations"].append({"segment": [start, end], "label": label})
        path.write_text(json.dumps({"database": database}))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, (predictions, truths) = tmp_path_factory.mktemp("files"), rows()
    there = {t[0] for t in truths}
    predictions = [p for p in predictions if p[0] in there]
    for kind in ("csv", "jsonl", "json", "parquet"):
        write(folder / f"p.{kind}", predictions)
        write(folder / f"a.{kind}", truths)
    return folder


def score(folder, predictions="p.csv", annotations="a.csv", **options):
    found = read_scored(folder / predictions, folder / annotations, **options)
    return found, average_precision(found.predictions, found.targets, [0.3, 0.7])[1]


@pytest.mark.parametrize(
    "kinds", [("csv", "json"), ("jsonl", "parquet"), ("json", "jsonl"), ("parquet", "csv")]
)
def test_every_format_scores_the_same(files, kinds):
    one, two = score(files), score(files, f"p.{kinds[0]}", f"a.{kinds[1]}")
    assert sorted(one[0].classes) == sorted(two[0].classes) == sorted(LABELS)
    by_name = [dict(zip(found.classes, table.tolist(), strict=True)) for found, table in (one, two)]
    assert by_name[0] == by_name[1]
    assert sorted(one[0].targets.ids) == sorted(two[0].targets.ids)
    assert one[0].predictions.ids == one[0].targets.ids
    assert set(two[0].durations.values()) == ({60.0} if kinds[1] == "json" else set())
    assert name(5) in two[0].targets.ids


def test_a_file_may_be_read_in_any_pieces(files, monkeypatch):
    whole = score(files)[0].predictions
    # A piece of a CSV has so many bytes, but at least a row.
    monkeypatch.setattr("spanloc.data.annotations.tables._BLOCK", 200)
    for size in (1, 7):
        monkeypatch.setattr("spanloc.data.annotations.pieces.ROWS", size)
        monkeypatch.setattr("spanloc.data.annotations.tables.ROWS", size)
        for kind in ("csv", "jsonl", "json", "parquet"):
            found = score(files, f"p.{kind}")[0].predictions
            assert len(found.scores) == len(whole.scores)
            if kind != "json":  # which holds the rows by sequence
                for column in ("spans", "scores", "labels", "places"):
                    assert (getattr(found, column) == getattr(whole, column)).all()


def test_a_subset_is_of_its_sequences_and_the_labels_of_all(files):
    found, _ = score(files, "p.csv", "a.json", subset="testing", invalid="skip")
    database = json.loads((files / "a.json").read_text())["database"]
    mine = [fields for fields in database.values() if fields["subset"] == "testing"]
    assert len(found.targets.ids) == len(mine) > 0
    assert len(found.targets.spans) == sum(len(fields["annotations"]) for fields in mine)
    assert sorted(found.classes) == sorted(LABELS)
    assert found.problems[1].counts()["an unknown sequence"] > 0


GOOD = [(0, 0, 1, 5, 0.9), (1, 1, 2, 6, 0.8)]
TRUTH = [(0, 0, 1, 5), (1, 1, 2, 6)]


NO_TIME = "a start or end that is no finite number"


@pytest.mark.parametrize(
    ("bad", "kind", "example"),
    [
        ("x,1,2,walk,0.5", "an unknown sequence", "'x' (line 3)"),
        ("séq 0,1,2,run,0.5", "an unknown label", "'run' (line 3)"),
        ("séq 0,3,2,walk,0.5", "an end before the start", "[3, 2] (line 3)"),
        ("séq 0,nan,2,walk,0.5", NO_TIME, "[nan, 2] (line 3)"),
        ("séq 0,1,1e400,walk,0.5", NO_TIME, "[1, 1e400] (line 3)"),
        ("séq 0,one,2,walk,0.5", NO_TIME, "[one, 2] (line 3)"),
        ("séq 0,,,walk,0.5", NO_TIME, "[nothing, nothing] (line 3)"),
        ("séq 0,1,2,walk,", "a score that is no finite number", "nothing (line 3)"),
        ("x,,,,", "an unknown sequence", "'x' (line 3)"),
        ("séq 0,1,2,walk,NaN", "a score that is no finite number", "NaN (line 3)"),
    ],
)
def test_rows_that_cannot_be_scored_are_counted_and_named(tmp_path, bad, kind, example):
    write(tmp_path / "a.csv", TRUTH)
    header = "sequence,start,end,label,score"
    lines = [header, "séq 0,1,5,walk,0.9", bad, bad, '"séq 1",2,6,"sit, down",0.8']
    (tmp_path / "p.csv").write_text("\n".join(lines), encoding="utf-8")
    message = f"p.csv: 2 predictions with {kind}, first {example}. invalid=skip leaves"
    with pytest.raises(ValueError, match=re.escape(message)):
        score(tmp_path)
    found, table = score(tmp_path, invalid="skip")
    assert found.problems[1].counts() == {kind: 2}
    assert table.tolist() == [[1, 1], [1, 1]]


def test_a_score_that_some_rows_lack_is_no_score_of_one(tmp_path):
    write(tmp_path / "a.csv", TRUTH)
    rows = [{"sequence": "séq 0", "start": 1, "end": 5, "label": "walk", "score": 0.5}]
    rows.append({k: v for k, v in rows[0].items() if k != "score"})
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    message = "p.jsonl: 1 prediction with a score that is no finite number, first nothing (line 2)"
    with pytest.raises(ValueError, match=re.escape(message)):
        score(tmp_path, "p.jsonl")


def test_a_sequence_without_spans_is_a_row_of_its_name(tmp_path):
    write(tmp_path / "p.csv", [*GOOD, (2, 0, 1, 5, 0.95)])
    write(tmp_path / "a.csv", TRUTH)
    with pytest.raises(ValueError, match="1 prediction with an unknown sequence, first 'séq 2'"):
        score(tmp_path)
    found, table = score(tmp_path, invalid="skip")
    assert table[:, 0].tolist() == [1, 1]
    assert any("do not name are not counted" in note for note in notes(found))
    with (tmp_path / "a.csv").open("a") as file:
        file.write("séq 2,,,\n")
    found, table = score(tmp_path)
    # The false positive of label 0 is ranked first: precision 1/2.
    assert table[:, 0].tolist() == [0.5, 1]
    assert len(found.targets.ids) == 3
    assert notes(found) == []
    # Such annotations may be another annotator's, who found nothing there either.
    assert len(score(tmp_path, "a.csv")[0].predictions.scores) == 2


def test_what_is_likely_not_meant_is_noted(tmp_path):
    write(tmp_path / "a.csv", [*TRUTH, TRUTH[0], (2, 0, 3, 3)])
    write(tmp_path / "p.csv", [(*row[:4], 1.0) for row in GOOD])
    assert notes(score(tmp_path)[0]) == [
        "1 of the 3 recordings with true spans has no prediction",
        "all scores are equal, so that the order of the predictions decides",
        "1 annotations are there twice",
        "1 annotations are empty, which nothing can match",
    ]
    write(tmp_path / "a.csv", [(0, 0, 36000 + i, 36001 + i) for i in range(10)])
    apart, together = [(0, 0, i, i + 1, 0.1 * i) for i in range(10)], (0, 0, 36004, 36005, 0.5)
    for found, noted in ((apart, True), (apart[1:], False), ([*apart, together], False)):
        write(tmp_path / "p.csv", found)
        said = notes(score(tmp_path)[0])
        assert said == noted * [
            "no prediction overlaps a true span of its recording: the true spans lie between 36000 and 36010 s, "
            "the predictions between 0 and 10 s; both must be counted from the start of the recording"
        ]
    stretches = [(0, 1, 4, 9), (1, 1, 0, 9)]
    write(tmp_path / "a.csv", [(0, 0, 0, 5), (1, 0, 5, 8), (2, 0, 5, 8), *stretches])
    write(tmp_path / "p.csv", [(0, 0, 0, 8, 0.9), (1, 0, 5, 8, 0.8), (2, 0, 5, 8, 0.7)])
    assert notes(score(tmp_path, ignore=[LABELS[1]])[0]) == [
        "stretches of 2 of 3 recordings are not evaluated; without them there are 2 targets (before: 3) and "
        "2 predictions (before: 3)"
    ]
    (tmp_path / "p.csv").write_text("sequence,start,end\n")
    assert "there are no predictions at all" in notes(score(tmp_path)[0])


def test_annotations_without_a_span_are_refused(tmp_path):
    write(tmp_path / "p.csv", GOOD)
    (tmp_path / "a.json").write_text(
        '{"database": {"séq 0": {"subset": "test", "annotations": []}}}'
    )
    with pytest.raises(ValueError, match="a.json: there is no annotated span in the subset 'test'"):
        score(tmp_path, "p.csv", "a.json", subset="test")


def test_annotations_are_checked_too(tmp_path):
    write(tmp_path / "p.csv", GOOD)
    write(tmp_path / "a.csv", [*TRUTH, (0, 0, 9, 8)])
    message = r"a.csv: 1 annotation with an end before the start, first \[9, 8\]"
    with pytest.raises(ValueError, match=message):
        score(tmp_path)
    found, _ = score(tmp_path, invalid="skip")
    assert len(found.targets.spans) == 2


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"end": None},
            "p.parquet: there is no column 'end'; found 'sequence', 'start', 'label', 'score'",
        ),
        ({"end": [[5.0]]}, "p.parquet: column 'end' holds list<"),
        ({"end": [True]}, "p.parquet: column 'end' holds bool; wanted numbers"),
        ({"end": ["five"]}, "a start or end that is no finite number, first [1, five] (row 0)"),
        ({"label": [7]}, "1 prediction with an unknown label, first '7' (row 0)"),
        ({"score": [None]}, "a score that is no finite number, first nothing (row 0)"),
    ],
)
def test_a_mistake_in_a_parquet_file_is_named(tmp_path, columns, message):
    write(tmp_path / "a.csv", TRUTH)
    good = {"sequence": ["séq 0"], "start": [1], "end": [5.0], "label": ["walk"], "score": [0.5]}
    table = {name: values for name, values in (good | columns).items() if values is not None}
    pd.DataFrame(table).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(ValueError, match=re.escape(message)):
        score(tmp_path, "p.parquet")
    (tmp_path / "p.parquet").write_text("PAR1")
    with pytest.raises(ValueError, match=r"p.parquet: not a Parquet file, or not all of it"):
        score(tmp_path, "p.parquet")


def test_the_command(files, cli, capsys):
    files_given = (f"predictions={files / 'p.csv'}", f"annotations={files / 'a.json'}")
    folder = cli(
        "score", *files_given, "metric=[boundaries,events,average_precision]", "tiou=0.3:0.7:0.2",
        "hydra.run.dir=run",
    ) / "run"  # fmt: skip
    scores = json.loads((folder / "scores.json").read_text())
    _, table = score(files, "p.csv", "a.json")
    assert scores["metrics"]["mAP@0.30"] == pytest.approx(table[:, 0].mean())
    assert {"mAP@0.50", "AP/walk", "event_F1", "segment_F1", "start_bias"} <= set(scores["metrics"])
    assert "mAP@0.40" not in scores["metrics"]
    assert scores["diagnosis"]["sensitivity"]["coverage"]
    page = (folder / "scores.html").read_text()
    assert "double detection" in page
    assert "What the errors are" in page
    shown = capsys.readouterr().out
    assert "mAP@0.70" in shown
    assert "wrong place" in shown
    assert "are right; they find" in shown


@pytest.mark.slow  # 4 s
def test_the_command_imports_nothing_that_trains(files, tmp_path):
    code = (
        "import sys; from spanloc.cli.commands import score; score();"
        "print([n for n in ('pytorch_lightning', 'tensorboard', 'spanloc.training') if n in sys.modules])"
    )
    given = [
        f"predictions={files / 'p.csv'}",
        f"annotations={files / 'a.csv'}",
        "hydra.run.dir=run",
    ]
    command = [sys.executable, "-c", code, *given]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiou=0.9:0.5:0.1"], "tiou is 0.9:0.5:0.1; wanted a decimal in (0, 1]"),
        (["subset=val"], "no sequence has the subset 'val'; there are ['testing', 'training']"),
        (["ignore=walk"], "ignore is 'walk'; wanted a list"),
        (["invalid=maybe"], "invalid is 'maybe'; it may be error or skip"),
        (["diagnosis.background=0.9"], "wanted 0 < background < tIoU <= 1"),
        (["metrics=events"], "metrics is 'events'; choose them by metric=events"),
        (["metric=speed"], "there is no metric=speed; there are agreement"),
        (["predictions=nowhere.csv"], "nowhere.csv: no such file (predictions)"),
        (["subset=testing"], "with an unknown sequence, first 'séq"),
    ],
)
def test_a_mistake_is_one_line(files, refused, arguments, message):
    given = [f"predictions={files / 'p.csv'}", f"annotations={files / 'a.json'}"]
    assert message in refused("score", *given, *arguments)
