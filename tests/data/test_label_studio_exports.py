"""Exports of Label Studio, stored as it writes them: predictions that a person has corrected."""

import json
import shutil
from pathlib import Path

import pytest
from recordings import RATE, edit, recording, said, write

from spanloc.data import read_annotations

EXPORTS = Path(__file__).parents[1] / "exports"
CORRECTED = [(0.52, 1.04, "walk"), (1.98, 2.6, "sit down"), (4.0, 4.7, "walk")]


@pytest.fixture
def read(tmp_path):
    def run(name, change=lambda tasks: None):
        shutil.copy(EXPORTS / f"label_studio_{name}.json", tmp_path / "export.json")
        edit(tmp_path, change, "export.json")
        recording(tmp_path / "data", "monday", "tuesday")
        return said(read_annotations(tmp_path, fps=RATE, format="labelstudio"))

    return run


def test_what_was_corrected_is_read_and_not_what_was_predicted(read):
    # Accepted, changed, removed and added; and a recording in which a person found nothing.
    assert read("corrected") == {"monday": CORRECTED, "tuesday": []}


def test_predictions_that_nobody_has_accepted_are_no_annotations(read):
    def skip(tasks):
        tasks[0]["annotations"][0]["was_cancelled"] = True

    for name, change in (("untouched", lambda tasks: None), ("corrected", skip)):
        with pytest.raises(ValueError, match=r"task 0 \('monday'\): nobody has submitted"):
            read(name, change)


def test_regions_of_sound_are_read_by_the_name_of_the_upload(read):
    found = read("audio")["monday"]
    assert [label for *_, label in found] == ["walk", "sit down"]
    assert [value for row in found for value in row[:2]] == pytest.approx([0.52, 1.04, 1.98, 2.6])


def test_predictions_go_out_and_come_back_corrected(tmp_path, read):
    """Predictions as tasks, each region accepted by a person but the first, which is moved."""
    from spanloc.data.annotations.written import Found

    spans = [(0.5, 1.0, "walk", 0.9), (2.0, 2.5, "sit down", 0.4)]
    write([Found("monday", 5.0, spans, RATE)], tmp_path / "export.json", "labelstudio")
    (task,) = json.loads((tmp_path / "export.json").read_text())
    stored = json.loads((EXPORTS / "label_studio_corrected.json").read_text())[0]
    # The stored export keeps the data and the predictions of such tasks.
    assert stored["data"].keys() == task["data"].keys()
    (region, _), (theirs, *_) = task["predictions"][0]["result"], stored["predictions"][0]["result"]
    assert theirs.keys() == region.keys()
    assert theirs["value"].keys() == region["value"].keys()
    result = [{**region, "origin": "prediction"} for region in task["predictions"][0]["result"]]
    result[0] = {**result[0], "origin": "prediction-changed"}
    result[0]["value"] = {**result[0]["value"], "start": 0.6}
    stored["annotations"] = [{**stored["annotations"][0], "result": result}]
    (tmp_path / "export.json").write_text(json.dumps([stored]))
    recording(tmp_path / "data", "monday")
    found = said(read_annotations(tmp_path, fps=RATE, format="labelstudio"))
    assert found == {"monday": [(0.6, 1.0, "walk"), (2.0, 2.5, "sit down")]}
