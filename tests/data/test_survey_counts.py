"""The survey of annotated recordings: counts by hand, and the sample."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from surveyed import Folder

from spanloc.data import read_annotations
from spanloc.data.annotations.folder import Record
from spanloc.data.annotations.records import Source
from spanloc.data.annotations.rows import BadSpan, Case
from spanloc.data.sample import sample_folder
from spanloc.data.signals.arrays import ArraySignal
from spanloc.data.signals.channels import Choice
from spanloc.data.survey import signals, survey_records
from spanloc.data.survey.result import MOST_CASES, Survey
from spanloc.structures import Timeline


def record(name, array, spans=(), labels=(), *, step=0.5, ignored=(), **fields):
    return Record(
        id=name,
        signal=ArraySignal(np.asarray(array, np.float32).reshape(len(array), -1), name=name),
        subset=fields.get("subset", "training"),
        subject=None,
        timeline=Timeline(step, 100.0),
        spans=torch.tensor(spans, dtype=torch.float32).reshape(-1, 2),
        labels=torch.tensor(labels, dtype=torch.int64),
        weight=1.0,
        ignored=torch.tensor(ignored, dtype=torch.float32).reshape(-1, 2),
    )


def test_the_counts_by_hand():
    # In steps of half a second: 10 and 6 of them, 8 seconds in all.
    first = record("x", range(10), [[0, 4], [2, 6], [3, 5], [8, 10]], [0, 1, 1, 0])
    second = record("y", [100.0] * 6, [[0, 6]], [1], subset="testing")
    found = survey_records([first, second], ["a", "b", "c"], root="here")
    assert (found.root, found.num_recordings, found.seconds, found.annotated) == ("here", 2, 8, 8)
    assert found.rates == [(2.0, 2)]
    assert found.num_channels == [(1, 2)]
    assert (found.steps.least, found.steps.median, found.steps.most) == (6, 8, 10)
    assert found.longest == "x"
    assert [tuple(part) for part in found.parts] == [
        ("training", 1, 0, 5.0, 4, 0), ("testing", 1, 0, 3.0, 1, 0),
    ]  # fmt: skip
    (channel,) = found.channels
    values = np.array([*range(10), *[100.0] * 6])
    assert channel[:2] == ("0", 2)
    assert channel[2:] == pytest.approx([values.mean(), values.std(), 0, 100])
    a, b, c = found.labels
    assert (a.num_spans, b.num_spans, c.num_spans) == (2, 3, 0)
    assert (a.share, b.share, c.share) == pytest.approx((0.4, 0.6, 0))
    assert tuple(a.seconds) == pytest.approx((1, 1.05, 1.5, 1.95, 2))
    assert (b.seconds.least, b.seconds.median, b.seconds.most) == (1, 2, 3)
    assert a.coverage == pytest.approx((2 + 1) / 8)
    assert b.coverage == pytest.approx((2 + 3) / 8)  # 3 to 5 lies inside 2 to 6
    assert found.coverage == pytest.approx((3 + 1 + 3) / 8)
    assert a.subsets == {"training": 2, "testing": 0}
    assert found.imbalance == 1.5
    # b with b inside it; a with both.
    assert tuple(found.overlaps) == (1, 2, 3)
    assert np.isnan(c.seconds.median)


def test_only_what_was_annotated_is_covered():
    array = np.arange(10.0)
    # Of 4 s that were annotated, 0 to 1 and 3 to 6, the spans cover 2 + 1.
    one = record(
        "x", array, [[0, 4], [2, 3], [5, 10]], [0, 0, 1], step=1, ignored=[[1, 3], [6, 10]]
    )
    found = survey_records([one], ["a", "b"])
    assert (found.seconds, found.annotated) == (10, 4)
    assert found.coverage == 3 / 4
    assert [label.coverage for label in found.labels] == [2 / 4, 1 / 4]
    assert not [one for one in found.findings if one.kind == "outside of annotated"]
    # A label that is ignored may well overlap with others: only what nobody looked at is a mistake.
    source = Source("f.csv", ["line 2", "line 3", "line 4"], torch.tensor([[6.0, 10.0]]))
    found = survey_records([replace(one, source=source)], ["a", "b"])
    (outside,) = [one for one in found.findings if one.kind == "outside of annotated"]
    line = "f.csv, x, line 4: 'b' from 105 to 110 s, 4 s of it outside"
    assert [case.line for case in outside.cases] == [line]


def test_a_label_that_is_not_known_is_of_no_class():
    spans = [[0, 1.5], [4, 6]]
    found = survey_records([record("x", range(10), spans, [-1, 0])], ["a"])
    assert (found.labels[0].num_spans, found.labels[0].share) == (1, 0.5)
    (short,) = [one for one in found.findings if one.kind == "short spans"]
    assert short.cases[0].text == "no known label from 100 to 100.75 s"


@pytest.mark.parametrize("piece", [1, 7, 12, 10**6])
def test_pieces_do_not_show(monkeypatch, piece):
    array = np.random.default_rng(0).normal(1e4, 1, (40, 3)).astype(np.float32)
    array[[17, 30], [2, 0]] = np.inf, np.nan
    monkeypatch.setattr(signals, "_PIECE", piece)
    (scan,) = signals.scan([record("x", array)])
    assert tuple(scan.odd["not finite"]) == (1, 17, "2", np.inf)
    assert tuple(scan.odd["missing"])[:3] == (1, 30, "0")
    known = np.where(np.isfinite(array), array, np.nan).astype(float)
    count, mean, squares, least, most = scan.columns[:5]
    assert count.tolist() == [39, 40, 39]
    assert mean == pytest.approx(np.nanmean(known, 0), rel=1e-12)
    assert np.sqrt(squares / count) == pytest.approx(np.nanstd(known, 0), rel=1e-9)
    assert least.tolist() == np.nanmin(known, 0).tolist()
    assert most.tolist() == np.nanmax(known, 0).tolist()
    assert scan.digest == signals.scan([record("y", array)])[0].digest


def test_channels_with_names_go_by_name():
    ones, twos = np.ones((4, 2), np.float32), np.full((2, 1), 2, np.float32)
    named = [
        replace(record("x", ones), signal=ArraySignal(ones, channels=["p", "q"])),
        replace(record("y", twos), signal=ArraySignal(twos, channels=["q"])),
    ]
    found = survey_records(named, [])
    means = [(c.name, c.num_recordings, round(c.mean, 6)) for c in found.channels]
    assert means == [("p", 1, 1.0), ("q", 2, 1.333333)]
    (other,) = [one for one in found.findings if one.kind == "different channels"]
    assert other.cases[0].text == "q; x has p, q"
    for one in named:  # chosen by number
        one.signal.choice = Choice((0,), True, ())
    assert "different channels" not in {one.kind for one in survey_records(named, []).findings}


def test_a_recording_that_breaks_does_not_stop_the_others():
    class Broken(ArraySignal):
        def read(self, first, last):
            raise RuntimeError("frame 3\nis lost")

    class Short(ArraySignal):
        def read(self, first, last):
            return super().read(first, last - 1)

    array = np.arange(5.0)[:, None]
    records = [
        replace(record("x", array), signal=Broken(array, name="x.flac")),
        replace(record("y", array), signal=Short(array, name="y.flac")),
        record("z", [1, np.nan]),
    ]
    seen = []
    found = survey_records(records, [], progress=lambda *where: seen.append(where))
    findings = {one.kind: one for one in found.findings}
    assert findings["unreadable"].count == 2
    first, second = findings["unreadable"].cases
    assert first.line == "x.flac, x: RuntimeError: frame 3 is lost"
    assert second[:2] == ("y.flac", "y")
    assert findings["missing"].cases[0].sequence == "z"
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_what_could_not_be_read_of_the_annotations_is_a_finding():
    bad = BadSpan("f.csv", "x", 4, "reversed", "line 5: what")
    refused = [Case("f.csv", "", "line 2", "one"), Case(text="two")]
    found = survey_records([], [], refused=refused, found=[bad, bad._replace(where="line 5")])
    assert [(one.kind, one.count) for one in found.findings] == [
        ("refused", 2),
        ("span: reversed", 2),
    ]
    assert found.findings[1].advice.startswith("Swap the ends, or correct a negative duration; ")
    lines = [case.line for finding in found.findings for case in finding.cases]
    assert lines == [
        "f.csv, line 2: one",
        "two",
        "f.csv, x, row 4: line 5: what",
        "f.csv, x, line 5: what",
    ]
    assert found.num_recordings == 0


def test_the_cases_are_bounded_and_their_number_is_kept(tmp_path):
    many = MOST_CASES + 7
    bad = [BadSpan("f", "x", i, "empty", "no length") for i in range(many)]
    # Any two of 60 overlap.
    spans = [[i / 100, 9] for i in range(60)]
    found = survey_records([record("x", range(10), spans, [0] * 60)], ["a"], found=bad)
    found.write(tmp_path / "check.json")
    findings = {one.kind: one for one in Survey.read(tmp_path / "check.json").findings}
    for kind, count in (("span: empty", many), ("overlap: same label", 60 * 59 // 2)):
        assert (findings[kind].count, len(findings[kind].cases)) == (count, MOST_CASES)
    assert [case.row for case in findings["span: empty"].cases[:2]] == ["row 0", "row 1"]


def test_every_pair_that_overlaps_is_a_case():
    spans = [[0, 4], [2, 6], [3, 5], [5.5, 7], [8, 9]]
    found = survey_records([record("x", range(10), spans, [0, 0, 1, 0, 0], step=1)], ["a", "b"])
    findings = {one.kind: one for one in found.findings}
    for kind, pairs in (("same", [(0, 2), (2, 5.5)]), ("different", [(0, 3), (2, 3)])):
        (finding,) = (one for name, one in findings.items() if name.startswith(f"overlap: {kind}"))
        texts = [case.text for case in finding.cases]
        assert finding.count == len(texts) == 2
        for text, (first, second) in zip(texts, pairs, strict=True):
            one, two = text.split(" and ")
            assert f" from {100 + first:g} to " in one
            assert f" from {100 + second:g} to " in two
    assert finding.advice.endswith(
        " If 'a', which covers 80 % of the time, is only the background of the others, set 'data.background=[a]'."
    )
    found = survey_records([record("x", range(12), spans[1:4], [0, 1, 0], step=1)], ["a", "b"])
    assert "background" not in " ".join(one.advice for one in found.findings)


def test_the_result_is_read_as_it_was_written(tmp_path):
    for records in ([], [record("x", range(10), [[0, 1]], [0])]):
        found = survey_records(records, ["a", "b"])
        found.write(tmp_path / "check.json")
        assert repr(Survey.read(tmp_path / "check.json")) == repr(found)
    (tmp_path / "check.json").write_text('{"root": 3}')
    with pytest.raises(ValueError, match=r"check.json: not the result of a check: .*is missing"):
        Survey.read(tmp_path / "check.json")


def test_the_sample_is_whole_the_same_and_without_findings(tmp_path):
    folder = sample_folder(tmp_path / "one")
    again = sample_folder(tmp_path / "two")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert len(files) == 13
    for file in files:
        assert (folder / file).read_bytes() == (again / file).read_bytes()
    read = read_annotations(folder)
    assert {name: len(found) for name, found in read.subsets.items()} == {
        "training": 8, "validation": 2, "testing": 2,
    }  # fmt: skip
    records = [record for some in read.subsets.values() for record in some]
    found = survey_records(records, read.classes)
    assert found.findings == []
    assert (found.seconds, found.rates, found.num_channels) == (360, [(50.0, 12)], [(3, 12)])
    assert [label.name for label in found.labels] == ["sit down", "turn", "walk"]
    assert all(min(label.subsets.values()) >= 3 for label in found.labels)


def test_a_sample_that_was_spoilt_stays_so(tmp_path):
    folder = sample_folder(tmp_path)
    assert folder == Path(tmp_path)
    (tmp_path / "annotations.json").write_text("{}")
    sample_folder(tmp_path)
    assert (tmp_path / "annotations.json").read_text() == "{}"


def test_nothing_is_found_where_nothing_is_wrong(tmp_path):
    assert Folder().survey(tmp_path).findings == []
