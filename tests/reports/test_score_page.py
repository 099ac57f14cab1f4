"""The page of scores and errors."""

import dataclasses
import json
import re

import pytest
from metric_rows import rows, tensors

from spanloc import plots, reports
from spanloc.data.annotations.scored import read_scored
from spanloc.files import write_json
from spanloc.metrics import FOUND, KINDS, diagnose, oracles, reliability
from spanloc.metrics.diagnosis import in_words
from spanloc.reports import ScoreResult
from spanloc.reports.scores import limit_table, wrong_table

ROWS = tensors(*rows())
DIAGNOSIS = diagnose(*ROWS, ["a", "b", "c"])
WHOLE = ScoreResult(
    {"mAP": 0.5, "AP": 0.25}, DIAGNOSIS, 12, subset="val", notes=["a"],
    reliability=reliability(*ROWS), oracles=oracles(*ROWS, [0.8]),
    min_score=0.5, surest=dict.fromkeys(KINDS, 7),
)  # fmt: skip


def noted(folder, starts, scores, subset=None):
    """Notes on predictions of four recordings of 60 s, of the subsets A and B in turn; their starts by id."""
    span = {"segment": [1, 5], "label": "a"}
    of = {str(i): {"subset": "AB"[i % 2], "duration": 60, "annotations": [span]} for i in range(4)}
    write_json(folder / "a.json", {"database": of})
    lines = [
        f"{name},{start},{start + 4},a,{score}"
        for (name, start), score in zip(starts, scores, strict=True)
    ]
    (folder / "p.csv").write_text("\n".join(["sequence,start,end,label,score", *lines]))
    return reports.notes(read_scored(folder / "p.csv", folder / "a.json", subset=subset))


@pytest.mark.parametrize(
    ("ids", "subset", "expected"),
    [
        ("13", None, "2 of the 4 recordings with true spans have no prediction; {}"),
        ("1", None, "3 of the 4 recordings with true spans have no prediction; {}"),
        ("01", None, "2 of the 4 recordings with true spans have no prediction"),
        ("1", "B", "1 of the 2 recordings with true spans has no prediction"),
    ],
)
def test_predictions_of_one_subset_only_are_noted_with_its_name(tmp_path, ids, subset, expected):
    one = "all predictions are in the subset 'B': subset=B evaluates these alone"
    starts, scores = [(name, 1) for name in ids], (0.1, 0.2)
    assert noted(tmp_path, starts, scores[: len(ids)], subset) == [expected.format(one)]


@pytest.mark.parametrize("late", [2, 3])
def test_predictions_after_the_end_of_their_recording_are_noted(tmp_path, late):
    starts = [(str(i), 61 if i < late else 1) for i in range(4)]
    said = (
        "3 of 4 predictions begin after the end of their recording, so they may be in another unit"
    )
    assert noted(tmp_path, starts, (0.1, 0.2, 0.3, 0.4)) == [said] * (late == 3)


@pytest.mark.parametrize("least", [0.1, 0.2])
def test_scores_without_low_ones_are_noted(tmp_path, least):
    starts = [(str(i % 4), 1 + i) for i in range(10)]
    said = (
        "the lowest score is 0.2: if predictions with lower scores were left out, mAP is too low; "
        "spanloc-predict min_score=0 writes all"
    )
    assert noted(tmp_path, starts, [least + i / 20 for i in range(10)]) == [said] * (least == 0.2)


def test_the_page_of_nothing_has_no_errors():
    found = diagnose(*tensors([], []), ["a"])
    page = reports.score_page(ScoreResult({}, found, 0))
    assert len(page) > 5000
    assert "There are no predictions." in page


def test_the_page_shows_it_and_text_is_no_markup():
    predictions, truths = rows()
    names = ["<b>a", "b&c", "</script>"]
    scores = ScoreResult(
        {"mAP": 0.5, "AP/<b>a": 0.25, "matched@0.50": 0.25, "start_error": float("nan")},
        diagnose(*tensors(predictions, truths), names),
        12,
        predictions="<i>p.csv",
        annotations="a.json",
        settings={"tiou": "<u>"},
        notes=["left out: 3 <u>predictions"],
    )
    page = reports.score_page(scores)
    assert page.count("<svg") == 4
    for text in ("<b>a", "<i>p", "<u>p", "</script><", "b&c"):
        assert text not in page.replace("</script></body>", "")
    assert "&lt;b&gt;a" in page
    figures, errors, targets, sensitivity, labels = (t.cells for t in reports.score_tables(scores))
    assert [row["metric"].text for row in figures] == ["mAP", "matched@0.50", "start_error"]
    assert "matched@...: the share of the targets that are matched at this tIoU" in page
    assert [row["kind"].text for row in errors] == [*map(in_words, KINDS)]
    assert "a target that is free" not in page
    assert [row["kind"].text for row in targets] == [*map(in_words, FOUND)]
    assert {"wrong place", "wrong label and place"} <= {row["kind"].text for row in targets}
    assert len(labels) == 3
    assert [row["of targets"].text for row in sensitivity].count("length") == 5
    assert {row["label"].text: row["AP"].text for row in labels}["<b>a"] == "0.2500"


def test_what_is_predicted_in_use_is_counted_apart():
    rows = reports.score_tables(WHOLE)[1].cells
    assert [row["score ≥ 0.5"].text for row in rows] == ["7"] * len(KINDS)
    (missed,) = reports.score_tables(WHOLE)[2].notes
    gain = f"mAP@0.50 would be {DIAGNOSIS['gain']['missed']:.4f} higher"
    assert missed == f"Without the missed targets in the annotations, {gain}."


def test_a_perfect_model_looks_perfect_at_first_sight():
    truths = [(0, 0, 0, 10), (0, 1, 20, 30)]
    doubtful = [(0, 0, 20, 30, 0.1), (0, 1, 60, 70, 0.05), (0, 1, 20, 30, 0.04)]
    found, true = tensors([(*truth, 0.9) for truth in truths] + doubtful, truths)
    surest = diagnose(found[found.scores >= 0.2], true, ["a", "b"])["predictions"]
    scores = ScoreResult({}, diagnose(found, true, ["a", "b"]), 1, min_score=0.2, surest=surest)
    _, errors, _, _, labels = reports.score_tables(scores)
    assert errors.columns == ["kind", "score ≥ 0.2", "share", "gain in mAP@0.50 (all predictions)"]
    assert "a kind with a count of 0 can have a gain" not in " ".join(errors.notes)  # none has one
    doubtful = dataclasses.replace(WHOLE, surest=dict.fromkeys(KINDS, 0))
    assert "a kind with a count of 0 can have a gain" in reports.score_page(doubtful)
    right, *wrong = [row["share"].text for row in errors.cells]
    assert (right, {*wrong}) == ("100.0 %", {"0.0 %"})
    assert labels.columns[4:] == [
        "found (score ≥ 0.2)",
        "found (any score)",
        "predictions: true positive",
    ]
    assert {cell.text for row in labels.cells for cell in [*row.values()][4:]} == {"100.0 %"}
    assert not scores.diagnosis["wrong"]
    page = reports.score_page(scores)
    assert (
        "spanloc-predict would write 2 predictions (score of 0.2 or more, overlaps removed); "
        in page
    )
    assert "2 of them are right; they find 2 of 2 targets" in page
    in_file = reports.score_page(dataclasses.replace(scores, surest=None))
    best = "mAP uses all 5 predictions. Errors are counted among the 2 best predictions: for each label, as many as it "
    assert f"{best}has true spans. 2 of them are right; they find 2 of 2 targets." in in_file
    assert "\ndouble detection: right label" in page.partition("What the columns mean")[2]
    assert "as spanloc-predict writes them" in reports.score_page(WHOLE)
    assert "spanloc-predict" not in in_file
    all_right = ScoreResult({}, diagnose(found[:2], true, ["a", "b"]), 1)
    text = reports.score_page(all_right)
    assert "Of all 2 predictions, 2 are right" in text
    assert "highest scores" not in text.split("<svg")[0]
    for title in (
        "Where the errors are",
        "Confusion of labels",
        "Recordings, the worst first",
    ):
        assert title not in in_file


def test_each_wrong_prediction_and_each_target_without_one_is_listed():
    truths = [(0, 0, 0, 10), (0, 1, 20, 30), (1, 0, 5, 9), (1, 1, 50, 60)]
    predictions = [
        (0, 0, 0, 10, 0.9),  # right
        (0, 0, 21, 29, 0.8),  # of label 1
        (0, 0, 40, 50, 0.7),
        (1, 0, 5, 6, 0.3),
        (1, 1, 50, 60, 0.1),  # right, but below the limit
    ]
    found, true = tensors(predictions, truths)
    first, second = found.ids[:2]
    diagnosis = diagnose(found, true, ["a", "b"], min_score=0.2)
    surest = diagnose(found[found.scores >= 0.2], true, ["a", "b"])["predictions"]
    scores = ScoreResult({}, diagnosis, 2, min_score=0.2, surest=surest)
    rows = [[cell.text for cell in row.values()] for row in wrong_table(scores).cells]
    none = [reports.NONE] * 3
    assert rows == [
        [first, "wrong label", "0.80", "a", "21.00", "29.00", "b", "20.00", "30.00"],
        [first, "background", "0.70", "a", "40.00", "50.00", *none],
        [second, "wrong place", "0.30", "a", "5.00", "6.00", "a", "5.00", "9.00"],
        [second, "not found", reports.NONE, *none, "b", "50.00", "60.00"],
    ]
    assert f'<th scope="row">{second}</th>' in reports.score_page(scores)
    # Two targets of each label: of "a" the first two, of "b" the only one, which is right.
    assert [row["score"] for row in diagnose(found, true, ["a", "b"])["wrong"]] == [
        pytest.approx(0.8), None,
    ]  # fmt: skip


def test_what_a_limit_of_the_score_keeps_is_counted():
    truths = [(0, 0, 0, 10), (0, 0, 20, 30)]
    predictions = [(0, 0, 0, 10, 0.85), (0, 0, 20, 30, 0.45), (0, 0, 60, 70, 0.35)]
    found, true = tensors(predictions, truths)
    scores = ScoreResult({}, diagnose(found, true, ["a"]), 1, reliability=reliability(found, true))
    rows = {row["score from"].text: row for row in limit_table(scores).cells}
    shown = {limit: [cell.text for cell in row.values()][1:] for limit, row in rows.items()}
    assert shown["0.3"] == ["3", "66.7 %", "100.0 %", "0.800"]
    assert shown["0.4"] == ["2", "100.0 %", "100.0 %", "1.000"]
    assert shown["0.5"] == ["1", "100.0 %", "50.0 %", "0.667"]
    assert shown["0.9"] == ["0", reports.NONE, "0.0 %", "0.000"]


def test_the_head_names_model_data_and_date():
    page = reports.score_page(WHOLE, whose="Model run/best.ckpt on wrist", now=86400.0 * 365)
    head = re.search(r"Model run/best.ckpt on wrist: \d+ targets \(true spans\) and .*</p>", page)
    assert "recordings of the validation set" in head[0]
    assert "Written 1971-01-01" in head[0]


def test_figures_of_nothing_are_left_out():
    assert plots.error_ranks([dict.fromkeys(KINDS, 0)]) is None
    assert plots.target_fates({**dict.fromkeys(FOUND, 0), "found": 3}) is None
    assert plots.error_sensitivity({"length": []}, 0.0) is None
    assert plots.reliability([0, 0], [], []) is None


def test_the_page_has_the_reliability_of_the_scores():
    page = reports.score_page(WHOLE)
    assert page.count("<svg") == 5
    assert "Reliability of the scores" in page
    assert f"{WHOLE.reliability.error:.4f} over" in page
    without = reports.score_page(dataclasses.replace(WHOLE, reliability=None))
    assert without.count("<svg") == 4
    assert "Reliability" not in without


def test_the_figure_of_the_reliability_shows_each_bin_that_is_not_empty():
    bins = WHOLE.reliability
    upper, _ = plots.reliability(bins.counts, bins.scores, bins.shares).axes
    (line,) = [line for line in upper.lines if line.get_marker() == "o"]
    assert len(line.get_xdata()) == sum(count > 0 for count in bins.counts)


def test_a_result_is_read_as_it_was_written(tmp_path):
    WHOLE.write(tmp_path / "scores.json")
    read = ScoreResult.read(tmp_path / "scores.json")
    assert read == WHOLE
    text = re.sub(r'"outside": \d+,', "", (tmp_path / "scores.json").read_text())
    (tmp_path / "earlier.json").write_text(text)
    assert "outside" not in ScoreResult.read(tmp_path / "earlier.json").diagnosis
    assert [*read.metrics] == ["AP", "mAP"]  # in the order of their names
    counts = DIAGNOSIS["targets"]
    assert WHOLE.share_found == counts["found"] / sum(counts.values())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"metrics": 3, "diagnosis": {}}', "{"])
def test_a_file_that_is_no_result_is_one_error(tmp_path, text):
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"scores.json: not a result of scoring: "):
        ScoreResult.read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(num_sequences="12"), "num_sequences is '12'; wanted a whole number"),
        (lambda c: c.update(num_sequences=True), "num_sequences is True; wanted a whole number"),
        (lambda c: c["metrics"].update(mAP="high"), "metrics.mAP is 'high'; wanted a number"),
        (lambda c: c.update(notes=[3]), "notes[0] is 3; wanted text"),
        (lambda c: c.update(speed=1), "speed is unknown"),
        (lambda c: c["diagnosis"].clear(), "diagnosis.background is missing"),
    ],
)
def test_an_error_names_the_field_of_the_file(tmp_path, change, message):
    path = tmp_path / "scores.json"
    WHOLE.write(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=re.escape(message)):
        ScoreResult.read(path)
