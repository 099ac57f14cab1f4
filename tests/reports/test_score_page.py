"""The page of scores and errors."""

import json
import re

import pytest
from metric_rows import rows, tensors

from spanloc import plots, reports
from spanloc.metrics import FOUND, KINDS, diagnose
from spanloc.reports import ScoreResult

DIAGNOSIS = diagnose(*tensors(*rows()), ["a", "b", "c"])


def test_the_page_of_nothing_has_no_errors():
    found = diagnose(*tensors([], []), ["a"])
    page = reports.score_page(ScoreResult({}, found, 0))
    assert len(page) > 5000


def test_the_page_shows_it_and_text_is_no_markup():
    predictions, truths = rows()
    names = ["<b>a", "b&c", "</script>"]
    scores = ScoreResult(
        {"mAP": 0.5, "AP/<b>a": 0.25, "start_error": float("nan")},
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
    figures, errors, targets, sensitivity, labels = reports.score_tables(scores)
    assert [row[0].text for row in figures.rows] == ["mAP", "start_error"]
    assert [row[0].text for row in errors.rows] == [*KINDS, "missed"]
    assert [row[0].text for row in targets.rows] == list(FOUND)
    assert len(labels.rows) == 3
    assert [row[0].text for row in sensitivity.rows].count("length") == 5
    assert {row[0].text: row[1].text for row in labels.rows}["<b>a"] == "0.2500"


def test_figures_of_nothing_are_left_out():
    assert plots.error_ranks([dict.fromkeys(KINDS, 0)]) is None
    assert plots.target_fates({**dict.fromkeys(FOUND, 0), "found": 3}) is None
    assert plots.error_sensitivity({"length": []}, 0.0) is None


def test_a_result_is_read_as_it_was_written(tmp_path):
    found = ScoreResult({"mAP": 0.5, "AP": 0.25}, DIAGNOSIS, 12, subset="test", notes=["a"])
    found.write(tmp_path / "scores.json")
    assert ScoreResult.read(tmp_path / "scores.json") == found
    counts = DIAGNOSIS["targets"]
    assert found.share_found == counts["found"] / sum(counts.values())


def test_scores_do_not_depend_on_the_order_of_the_metrics(tmp_path):
    texts = []
    for metrics in ({"b": 0.5, "a": 0.25}, {"a": 0.25, "b": 0.5}):
        ScoreResult(metrics, {}, 1).write(tmp_path / "scores.json")
        texts.append((tmp_path / "scores.json").read_text())
    assert texts[0] == texts[1]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"metrics": 3, "diagnosis": {}}', "{"])
def test_a_file_that_is_no_result_is_one_error(tmp_path, text):
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"scores.json: not a result of scoring: "):
        ScoreResult.read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_sequences": "12"}, "num_sequences is '12'; wanted int"),
        ({"num_sequences": True}, "num_sequences is True; wanted int"),
        ({"metrics": {"mAP": "high"}}, "metrics.mAP is 'high'; wanted float"),
        ({"notes": [3]}, "notes[0] is 3; wanted str"),
        ({"speed": 1}, "speed is unknown"),
        ({"diagnosis": {}}, "diagnosis.background is missing"),
        ({"diagnosis": DIAGNOSIS | {"gain": {}}}, "diagnosis.gain.double detection is missing"),
    ],
)
def test_an_error_names_the_field_of_the_file(tmp_path, change, message):
    path = tmp_path / "scores.json"
    ScoreResult({"mAP": 0.5}, DIAGNOSIS, 12).write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=re.escape(message)):
        ScoreResult.read(path)
