"""What docs/errors.md says is run, and its tables are those of the code."""

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import HINTS_OF_LIGHTNING
from metric_rows import rows, tensors
from pages import blocks, commands, page, run

from spanloc import reports
from spanloc.metrics import ORACLES, oracles
from spanloc.metrics.oracles import STANDARD
from spanloc.reports import ScoreResult

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


def test_the_command_on_a_checkpoint_stores_it_too(cli, trained, tmp_path):
    shutil.copy(trained["detection"] / "best.ckpt", tmp_path / "best.ckpt")
    line = EVALUATE.replace("RUN", str(tmp_path))
    found = result_of(cli, line, "trainer.accelerator=cpu")
    assert list(found["mAP"]) == list(ORACLES)


def test_without_the_option_there_is_no_table(cli, files):
    without = SCORE.replace(" oracles=true", "")
    folder = run(cli, without, "hydra.run.dir=out", folder=files) / "out"
    assert ScoreResult.read(folder / "scores.json").oracles is None
    assert "If this were perfect" not in (folder / "scores.html").read_text()


@pytest.mark.parametrize("line", [SCORE, EVALUATE])
def test_another_value_is_one_line(cli, files, trained, line):
    line = line.replace("oracles=true", "oracles=all").replace("RUN", str(trained["detection"]))
    found = run(cli, line, folder=files)
    assert "oracles is 'all'; it may be true or false" in found


def test_the_python_runs(capsys):
    (code,) = blocks(PAGE, "python")
    exec(code, {"predictions": ROWS[0], "targets": ROWS[1]})
    assert float(capsys.readouterr().out) > 0


def test_the_rows_and_columns_are_those_of_the_code():
    assert tuple(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == ORACLES[1:]
    measured = PAGE.split("| perfect |")[1].split("\n\n")[0].split("\n")
    assert measured[0].strip(" |").split(" | ") == list(STANDARD)
    assert [row.split("|")[1].strip() for row in measured[2:]] == list(ORACLES)


def test_the_table_has_a_row_a_part_and_a_column_a_mean():
    table = reports.oracle_table(oracles(*ROWS, [0.8]))
    assert [row["perfect"].text for row in table.cells] == list(ORACLES)
    assert {len(row) for row in table.cells} == {len(table.columns)} == {8}
