"""What docs/errors.md says is run, and its tables are those of the code."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import HINTS_OF_LIGHTNING
from metric_rows import rows, tensors
from pages import blocks, commands, page, run

import spanloc
from spanloc import reports
from spanloc.cli.evaluate import write_evaluation
from spanloc.metrics import ORACLES, confusion, diagnose
from spanloc.metrics.oracles import STANDARD
from spanloc.reports import ScoreResult
from spanloc.reports.score_tables import notes_on_ends, notes_on_labels
from spanloc.reports.scores import limit_table, tally_tables
from spanloc.training.callbacks import Evaluated

pytestmark = HINTS_OF_LIGHTNING
PAGE = page("errors.md")
SCORE, EVALUATE = commands(PAGE)
ROWS = tensors(*rows())


@pytest.fixture
def files(tmp_path):
    predictions = ["r1,2,8,walk,0.9", "r1,9,20,sit,0.8", "r1,30,33,walk,0.7"]
    text = "\n".join(["sequence,start,end,label,score", *predictions])
    (tmp_path / "predictions.csv").write_text(text)
    segments = [([2, 10], "walk"), ([10, 20], "sit")]
    content = {"r1": {"annotations": [{"segment": s, "label": name} for s, name in segments]}}
    (tmp_path / "annotations.json").write_text(json.dumps({"database": content}))
    return tmp_path


def result_of(cli, line, *more, **options):
    found = run(cli, line, "hydra.run.dir=out", *more, **options)
    assert isinstance(found, Path), found
    assert "If this were perfect" in (found / "out" / "scores.html").read_text()
    return ScoreResult.read(found / "out" / "scores.json").oracles


def test_the_command_on_files_prints_and_stores_the_table(cli, files, capsys):
    found = result_of(cli, SCORE, "tiou=0.7", "diagnosis.tiou=0.6", folder=files)
    assert found["tiou"] == 0.6
    assert list(found["mAP"]["as it is"]) == ["mAP", *STANDARD[:3], "mAP@0.70", *STANDARD[3:]]
    assert found["mAP"]["as it is"]["mAP@0.90"] == 0.5  # "sit" has a tIoU of 10/11, "walk" of 6/8
    assert found["mAP"]["boundaries"]["mAP@0.90"] == 1.0
    printed = capsys.readouterr().out
    for name in (*ORACLES, *STANDARD):
        assert f" {name} " in printed, name


def test_the_command_on_a_checkpoint_stores_it_too_and_names_the_page(
    cli, trained, tmp_path, capsys
):
    shutil.copy(trained["detection"] / "best.ckpt", tmp_path / "best.ckpt")
    line = EVALUATE.replace("RUN", str(tmp_path))
    found = result_of(cli, line, "trainer.accelerator=cpu")
    assert list(found["mAP"]) == list(ORACLES)
    (line,) = [
        text
        for text in capsys.readouterr().out.split("\n")
        if text.startswith("What its errors are: ")
    ]
    assert Path(line.partition(": ")[2]).is_file()


def test_without_the_option_there_is_no_table(cli, files):
    without = SCORE.replace(" oracles=true", "")
    folder = run(cli, without, "hydra.run.dir=out", folder=files) / "out"
    assert ScoreResult.read(folder / "scores.json").oracles is None
    assert "If this were perfect" not in (folder / "scores.html").read_text()


@pytest.mark.parametrize("line", [SCORE, EVALUATE])
def test_another_value_is_one_line(cli, files, trained, line):
    line = line.replace("oracles=true", "oracles=all").replace("RUN", str(trained["detection"]))
    found = run(cli, line, folder=files)
    assert "oracles is 'all'; wanted true or false" in found


def test_the_python_runs(capsys):
    (code,) = blocks(PAGE, "python")
    exec(code, {"predictions": ROWS[0], "targets": ROWS[1]})
    assert float(capsys.readouterr().out) > 0


def test_the_rows_and_columns_are_those_of_the_code():
    assert tuple(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == ORACLES[1:]
    measured = PAGE.split("| perfect |")[1].split("\n\n")[0].split("\n")
    assert measured[0].strip(" |").split(" | ") == list(STANDARD)
    assert [row.split("|")[1].strip() for row in measured[2:]] == list(ORACLES)


def of_two_people():
    """Sequences 0 and 1 of one subject, 2 of another: two wrong labels where the right one is predicted too."""
    truths = [
        (0, 0, 0, 10),
        (0, 1, 20, 30),
        (1, 0, 0, 10),
        (2, 0, 0, 10),
        (2, 1, 20, 30),
        (2, 1, 40, 50),
    ]
    predictions = [
        (0, 0, 0, 10, 0.9),
        (0, 1, 0, 10, 0.8),  # of label 0, which is found
        (0, 0, 20, 30, 0.7),  # of label 1, which is not
        (1, 0, 0, 10, 0.6),
        (1, 1, 0, 10, 0.1),  # below the limit
        (2, 0, 0, 10, 0.9),
        (2, 1, 0, 10, 0.5),  # of label 0, which is found
        (2, 1, 20, 30, 0.5),
    ]
    found, true = tensors(predictions, truths)
    names = [found.ids[i] for i in range(3)]
    subjects = {names[0]: "ann", names[1]: "ann", names[2]: "bob"}
    diagnosis = diagnose(found, true, ["a", "b"], min_score=0.2, subjects=subjects)
    surest = diagnose(found[found.scores >= 0.2], true, ["a", "b"])["predictions"]
    confused = confusion(found, true, ["a", "b"], min_score=0.2)
    return names, ScoreResult({}, diagnosis, 3, min_score=0.2, surest=surest, confusion=confused)


def texts(table):
    return [[cell.text for cell in row.values()] for row in table.cells]


def test_labels_that_are_confused_are_counted_from_the_limit_of_the_score_on():
    _, scores = of_two_people()
    table = reports.confusion_table(scores)
    assert table.title == "Confusion of labels (score ≥ 0.2)"
    assert texts(table) == [["b", "a", "1", "33.3 %"]]
    assert "(tIoU of 0.5 or more, any label): 5; with" in table.notes[0]
    # Of the three wrong labels two lie on targets that are found.
    assert "as 'wrong label': 3 (score ≥ 0.2)" in table.notes[1]
    assert (
        len(
            reports.confusion_table(
                dataclasses.replace(scores, surest={**scores.kinds, "wrong label": 1})
            ).notes
        )
        == 1
    )
    page = reports.score_page(scores)
    assert page.index("Labels, the worst") < page.index("Confusion of") < page.index("<svg")


@pytest.mark.parametrize("overlapping", [False, True])
def test_what_is_kept_is_counted_as_spanloc_predict_writes_it(named_model, tmp_path, overlapping):
    task, evaluated = spanloc.load(named_model), Evaluated()
    assert task.facts.overlapping is False
    task.facts = dataclasses.replace(task.facts, overlapping=overlapping)
    truths = [(0, 0, 0, 10), (1, 1, 20, 30)]
    predictions = [
        (1, 1, 20, 30, 0.15),
        (0, 0, 0, 10, 0.9),
        (0, 1, 1, 10, 0.5),  # overlaps the one before
        (1, 0, 29, 39, 0.45),  # ends after the true span, which it hardly overlaps
    ]
    evaluated.predictions, evaluated.targets = tensors(predictions, truths)
    scores = write_evaluation({}, evaluated, task, "test", tmp_path)
    assert scores.diagnosis["num_predictions"] == 4
    assert scores.diagnosis["predictions"]["wrong label"] == 1
    kept = {row["score from"].text: row["predictions"].text for row in limit_table(scores).cells}
    number = 3 if overlapping else 2
    assert (kept["0.1"], kept["0.2"]) == (str(number + 1), str(number))
    assert scores.kinds["wrong label"] == overlapping
    how = "" if overlapping else ", overlaps removed"
    page = (tmp_path / "scores.html").read_text()
    written = f"spanloc-predict would write {number} predictions (score of 0.2 or more{how}); "
    assert written in page
    of = (
        "all 4 predictions."
        if overlapping
        else "the 3 predictions of any score that remain when overlaps are removed."
    )
    assert f"over {of}" in " ".join(page.split())
    assert f"What spanloc-predict writes with this min_score{how}. F1 is" in page
    assert page.count(", overlaps removed") == 4 * (not overlapping)
    assert [row["error"] for row in scores.diagnosis["wrong"]].count("wrong label") == overlapping
    assert sum(scores.diagnosis["classes"]["walk"]["first"].values()) == overlapping
    assert sum(row["wrong"] for row in scores.diagnosis["tally"]["recording"]) == 1 + overlapping


def test_subjects_and_recordings_are_listed_worst_first():
    names, scores = of_two_people()
    subjects, recordings = tally_tables(scores)
    assert texts(subjects) == [
        ["ann", "3", "2", "1", "2", "0.571"],
        ["bob", "3", "2", "1", "1", "0.667"],
    ]
    assert texts(recordings) == [
        [names[0], "2", "1", "1", "2", "0.400"],
        [names[2], "3", "2", "1", "1", "0.667"],
        [names[1], "1", "1", "0", "0", "1.000"],
    ]
    assert recordings.title == "Recordings, the worst first (score ≥ 0.2)"
    of_none = {"recording": scores.diagnosis["tally"]["recording"] * 20}
    (many,) = tally_tables(
        dataclasses.replace(scores, diagnosis=scores.diagnosis | {"tally": of_none})
    )
    assert len(many.rows) == 50
    assert many.notes == ["and 10 more"]


def test_recordings_of_one_span_each_have_no_table():
    truths = [(0, 0, 0, 10), (1, 0, 0, 10)]
    scores = ScoreResult({}, diagnose(*tensors([], truths), ["a"]), 2)
    assert tally_tables(scores) == []


def test_many_errors_outside_of_the_true_spans_ask_whether_somebody_annotated_there():
    _, scores = of_two_people()
    errors = scores.diagnosis["classes"]["a"]
    first = {**errors["first"], "background": 20}
    for outside, asked in ((20, True), (10, True), (9, False)):
        classes = {"a": {**errors, "first": first}}
        (*note,) = notes_on_ends({**scores.diagnosis, "classes": classes, "outside": outside})
        assert [line[:12] for line in note] == [f"{outside} of the 20"] * asked
    earlier = {name: value for name, value in scores.diagnosis.items() if name != "outside"}
    assert not notes_on_ends({**earlier, "classes": classes})
    assert not notes_on_ends(
        {**scores.diagnosis, "classes": classes, "num_targets": 999, "outside": 20}
    )


def test_labels_of_which_nothing_would_be_written_are_named_with_a_lower_limit():
    truths = [(0, 0, 0, 10), (0, 0, 20, 30), (0, 1, 40, 50)]
    found, true = tensors([(0, 0, 0, 10, 0.16), (0, 0, 20, 30, 0.08), (0, 1, 40, 50, 0.3)], truths)
    for min_score, said in ((0.2, True), (0.1, False)):
        diagnosis = diagnose(found, true, ["a", "b"], min_score=min_score)
        notes = notes_on_labels(diagnosis, found, ["a", "b"], min_score)
        assert ["'a' score below 0.2" in note and "min_score=0.08 " in note for note in notes] == [
            True
        ] * said
    nothing, true = tensors([(0, 0, 60, 70, 0.1)], truths)
    diagnosis = diagnose(nothing, true, ["a", "b"], min_score=0.2)
    assert not notes_on_labels(diagnosis, nothing, ["a", "b"], 0.2)
