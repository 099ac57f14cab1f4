"""A file of annotations in any format, with any mistake in it, is read, or refused in one line."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from mutated import broken, csv_files, files, harmless, json_files, often
from recordings import RATE, edf, recording
from test_annotation_formats import TABLE, WRITERS
from test_recording_formats import REGIONS, TEXTS

from spanloc.data import read_annotations

CELLS = [["sequence", "start", "end", "label"], *([str(cell) for cell in row] for row in TABLE)]
TASKS = [
    {"data": {"csv": "a.csv"}, "annotations": [{"result": REGIONS}]},
    {"data": {"csv": "b.csv"}, "annotations": [{"result": []}]},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("around") / "set"
    recording(folder / "data", "a", "b")
    return folder


def check(folder, name, content, **options):
    file = folder / name
    file.write_bytes(content)
    try:
        with harmless(folder.parent, str(folder), "unknown", "label_map"):
            found = read_annotations(folder, fps=RATE, bad_spans="drop", **options)
            for records in found.subsets.values():
                for record in records:
                    for spans in (record.spans, record.ignored):
                        start, end = spans.unbind(1)
                        assert ((start >= 0) & (start < end) & (end <= 500)).all()
    finally:
        file.unlink()


CASES = {
    name: (file, files(text) | broken(text.encode(), 200).map(bytes), options)
    for name, (file, text, options) in TEXTS.items()
}
CASES |= {f"{name} table": (f"annotations.{name}", csv_files(CELLS), {}) for name in ("csv", "tsv")}
CASES["tasks"] = ("export.json", json_files(TASKS), {"format": "labelstudio"})


@pytest.mark.parametrize("name", CASES)
def test_a_file_with_a_mistake(folder, name):
    file, contents, options = CASES[name]

    @often(40)
    @given(contents)
    def run(content):
        check(folder, file, content, **options)

    run()


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_file_of_rows_with_a_mistake(folder, tmp_path, suffix):
    WRITERS[suffix](tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()

    @often(30)
    @given(broken(whole) | broken(whole, 60))
    def run(content):
        check(folder, f"annotations.{suffix}", content)

    run()


def eaf(folder):
    content = pytest.importorskip("pympi.Elan").Eaf()
    content.add_tier("acts")
    content.add_annotation("acts", 500, 1000, "walk")
    content.to_file(str(folder / "a.eaf"))


def wfdb_waves(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wfdb = pytest.importorskip("wfdb")
        wfdb.wrann("a", "atr", np.array([25, 30, 50]), list("(p)"), fs=RATE, write_dir=str(folder))


def edf_notes(folder):
    edf(folder / "c.edf", {"x": (RATE, np.arange(500) % 2.0)}, [(0.5, 0.5, "walk")])


@pytest.mark.parametrize(
    ("write", "name", "kind"),
    [
        (eaf, "a.eaf", "elan"),
        (wfdb_waves, "a.atr", "wfdb"),
        (edf_notes, "c.edf", "edf"),
    ],
)
def test_a_file_of_a_library_with_a_mistake(folder, tmp_path, write, name, kind):
    write(tmp_path)
    whole = (tmp_path / name).read_bytes()

    @often(30)
    @given(broken(whole, 800) | broken(whole))
    def run(content):
        check(folder, name, content, format=kind)

    check(folder, name, whole, format=kind)
    run()


def test_files_of_another_annotator_are_named(tmp_path):
    recording(tmp_path / "data", "a")
    for suffix in (".hea", ".ii"):
        (tmp_path / "data" / f"a{suffix}").touch()
    with pytest.raises(FileNotFoundError, match=r"no \*.atr .*: data.extension=ii"):
        read_annotations(tmp_path, format="wfdb")
