"""Folds of one subject each."""

import json

from leave_one_out import fold

from spanloc.data import AnnotatedData


def test_a_fold_tests_on_one_subject_alone(annotated, tmp_path):
    content = json.loads((annotated / "annotations.json").read_text())
    subjects = {name: fields["subject"] for name, fields in content["database"].items()}
    chosen = subjects["s0"]
    fold(annotated, tmp_path / "fold", chosen)
    data = AnnotatedData(tmp_path / "fold", val_share=0.0)
    data.setup()
    tested = {record.id for record in data.test_set.records}
    assert tested == {name for name, subject in subjects.items() if subject == chosen}
    assert {record.id for record in data.train_set.records} == subjects.keys() - tested
