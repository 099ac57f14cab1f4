"""The page of scores and errors."""

from metric_rows import rows, tensors

from spanloc import plots, reports
from spanloc.metrics import FOUND, KINDS, diagnose


def test_the_page_of_nothing_has_no_errors():
    found = diagnose(*tensors([], []), ["a"])
    page = reports.score_page({"num_sequences": 0, "metrics": {}, "diagnosis": found})
    assert len(page) > 5000


def test_the_page_shows_it_and_text_is_no_markup():
    predictions, truths = rows()
    names = ["<b>a", "b&c", "</script>"]
    scores = {
        "predictions": "<i>p.csv", "annotations": "a.json", "num_sequences": 12,
        "notes": ["left out: 3 <u>predictions"], "settings": {"tiou": "<u>"},
        "metrics": {"mAP": 0.5, "AP/<b>a": 0.25, "start_error": float("nan")},
        "diagnosis": diagnose(*tensors(predictions, truths), names),
    }  # fmt: skip
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
