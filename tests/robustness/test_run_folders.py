"""A run folder with anything in its files is one row of the report, and keeps no other from its own."""

import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from made_runs import LOG, NOW, config, convergence, finished, log, write_run
from metric_rows import rows, tensors
from mutated import TEXTS, at_length, csv_files, files, harmless, json_files, often, trees

from spanloc import reports
from spanloc.metrics import diagnose

CELLS = [line.split(",") for line in log(80).splitlines()]
SCORES = {
    "metrics": {"mAP": 0.5, "AP/a": 0.25},
    "diagnosis": diagnose(*tensors(*rows()), ["a", "b", "c"]),
    "num_sequences": 12,
    "subset": None,
    "predictions": "p.csv",
    "annotations": None,
    "settings": {"tiou": [0.5]},
    "notes": [],
}


def named(name, strategy):
    return st.tuples(st.just(name), strategy)


one_file = st.one_of(
    named("config.yaml", trees(config()).map(yaml.safe_dump).flatmap(files)),
    named("metrics.json", json_files({"val/tiou": 0.5, "test/tiou": 0.9, "time/train": 5.0})),
    named("convergence.json", json_files(convergence())),
    named("scores.json", json_files(SCORES)),
    named(LOG, csv_files(CELLS)),
    named("error.txt", st.sampled_from(TEXTS).flatmap(files)),
)
changes = st.lists(one_file, min_size=1, max_size=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Good runs of two losses, two seeds each, but for one."""
    folder = tmp_path_factory.mktemp("around") / "runs"
    for loss, seed in (("giou", 0), ("iou", 0), ("iou", 1)):
        finished(folder / f"{loss}{seed}", loss, seed)
    return folder


def read(folder, changed):
    for path in sorted((folder / "giou1").rglob("*")):
        if path.is_file():
            path.unlink()
    run = finished(folder / "giou1", "giou", 1)
    write_run(run, {"scores.json": SCORES})
    for name, content in changed:
        (run / name).write_bytes(content)
        os.utime(run / name, (NOW - 3600, NOW - 3600))
    with harmless(folder.parent):
        runs = reports.find_runs([folder], now=NOW)
        groups = reports.group_runs(runs)
        assert [r.name for r in runs] == ["giou0", "giou1", "iou0", "iou1"]
        assert all(len(r.problems) == 0 for r in runs if r.name != "giou1")
        assert all(remark.isprintable() and len(remark) <= 400 for remark in runs[1].remarks)
        assert sum(len(group.counted) for group in groups) >= 3
    return runs, groups


def check(folder, changed, *forms):
    runs, groups = read(folder, changed)
    with harmless(folder.parent):
        for form in forms:
            text = form(runs, groups, now=NOW)
            assert text.encode()
            assert "giou1" in text
            assert max(map(len, text.splitlines())) < 200_000


@often(6)
@given(changes)
def test_a_bad_run_is_one_row_of_the_tables(folder, changed):
    check(folder, changed, reports.markdown)


@at_length(2, 300)  # three minutes
def test_a_bad_run_is_one_row_of_the_page(folder, often):
    @often
    @given(changes)
    def run(changed):
        check(folder, changed, reports.markdown, reports.page)

    run()
