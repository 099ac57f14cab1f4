"""Predictions as files: what is written is what our readers find in it."""

import json
import time
from collections import defaultdict
from datetime import datetime

import numpy as np
import pytest
from recordings import RATE, exported, said, write

from spanloc.data import read_annotations
from spanloc.data.annotations.formats import read_content
from spanloc.data.annotations.rows import Reading
from spanloc.data.annotations.scored import read_scored
from spanloc.data.annotations.written import FORMATS, Found, joint, suffix_of

SPANS = [(2.0, 2.5, "walk", 0.25), (0.0, 1.0, "sit", 1.0), (9.98, 10.0, "walk", 0.0)]
SORTED = [(0.0, 1.0, "sit"), (2.0, 2.5, "walk"), (9.98, 10.0, "walk")]
READ = {
    "json": ("json", {}),
    "csv": ("table", {}),
    "jsonl": ("table", {}),
    "textgrid": ("textgrid", {"tier": "*"}),
}


def written(root, found, kind, **options):
    """The spans that our reader finds, by sequence, in the order of time."""
    found = [one._replace(rate=one.rate or RATE) for one in found]
    for one in found:
        signal = root / "data" / f"{one.id}.npy"
        signal.parent.mkdir(parents=True, exist_ok=True)
        np.save(signal, np.zeros((round(one.duration * one.rate), 2), np.float32))
    name = "annotations" if joint(kind) else found[0].id
    file = root / f"{name}{suffix_of(kind)}"
    write(found, file, kind)
    if kind == "labelstudio":
        exported(file)
    reader, more = READ.get(kind, (kind, {}))
    content = read_annotations(root, format=reader, fps=found[0].rate, **(more | options))
    return {name: sorted(rows, key=lambda row: row[:2]) for name, rows in said(content).items()}


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_written_is_read_again_in_the_order_of_time(tmp_path, kind):
    assert written(tmp_path, [Found("a", 10.0, SPANS)], kind) == {"a": SORTED}


@pytest.mark.parametrize("kind", [name for name in FORMATS if joint(name)])
def test_several_recordings_are_in_one_file(tmp_path, kind):
    found = [Found("s1/b", 10.0, SPANS), Found("a.b", 4.5, [(0.02, 4.5, "sit", 0.5)])]
    expected = {"s1/b": SORTED, "a.b": [(0.02, 4.5, "sit")]}
    assert written(tmp_path, found, kind) == expected


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - {"rttm"}))
def test_a_recording_without_spans_comes_out_as_such(tmp_path, kind):
    assert written(tmp_path, [Found("a", 10.0, [])], kind) == {"a": []}


@pytest.mark.parametrize("kind", [name for name in FORMATS if joint(name)])
def test_a_recording_without_spans_lies_between_others(tmp_path, kind):
    names = ["a", "b"] if kind == "rttm" else ["a", "none", "b"]
    found = [Found(name, 10.0, [] if name == "none" else SPANS) for name in ("a", "none", "b")]
    assert list(written(tmp_path, found, kind)) == names


# Of any script, and what is special in one kind or another; without what some cannot hold.
LABELS = [
    "نوم", "睡眠", "😴👩‍🔬", "it's", 'x"y"', "a,b;c", "\\", "5", "true", "nan", "=1+1", "<b>&amp;",
    "[0,1]", "e\u0301", "#", ";;",
]  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
def test_labels_of_any_script_are_kept(tmp_path, kind):
    spans = [(i / 2, i / 2 + 0.5, label, 0.5) for i, label in enumerate(LABELS)]
    read = written(tmp_path, [Found("a", 10.0, spans)], kind)
    assert [label for *_, label in read["a"]] == LABELS


SPECIAL = {
    "sit down": set(FORMATS) - {"rttm"},
    '"x"': set(FORMATS) - {"raven"},
    "a\tb": set(FORMATS) - {"rttm", "audacity", "raven"},
    "a\nb": set(FORMATS) - {"rttm", "audacity", "raven", "edf"},
    "a\rb": set(FORMATS) - {"rttm", "audacity", "raven", "edf"},
    "a\r\nb": set(FORMATS) - {"rttm", "audacity", "raven", "edf"},
    "a\u2028b": set(FORMATS) - {"rttm", "audacity", "raven"},
    "a\x1db": set(FORMATS) - {"rttm", "audacity", "raven", "edf"},
    "a\x14b": set(FORMATS) - {"edf"},
    " a": {"json", "jsonl", "labelstudio"},
    "a\n": {"json", "jsonl", "labelstudio"},
    "<NA>": set(FORMATS) - {"rttm"},
    "a\0b": set(),
    "\udc80": set(),
    "": set(),
    "x" * 10_001: set(),
}


@pytest.mark.parametrize("label", SPECIAL, ids=ascii)
def test_a_label_is_kept_or_refused(tmp_path, label):
    found = [Found("a", 10.0, [(1.0, 2.0, "walk", 0.5), (3.0, 4.0, label, 0.5)])]
    for kind in FORMATS:
        (folder := tmp_path / kind).mkdir()
        if kind in SPECIAL[label]:
            assert written(folder, found, kind) == {"a": [(1, 2, "walk"), (3, 4, label)]}, kind
            continue
        with pytest.raises(ValueError, match=r"sequence 'a': span 1: label is ") as caught:
            write(found, folder / "x", kind)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 400
        assert not list(folder.iterdir())


def test_overlapping_spans_of_one_label_have_further_tiers(tmp_path):
    spans = [(0, 4, "a", 1), (1, 2, "a", 1), (1, 3, "b", 1), (2, 5, "a", 1), (3, 6, "a", 1),
             (6, 7, "a", 1), (8, 9, "a (2)", 1)]  # fmt: skip
    found = [Found("x", 10.0, spans)]
    assert written(tmp_path, found, "textgrid")["x"] == sorted(row[:3] for row in spans)
    tiers = defaultdict(list)
    text = (tmp_path / "x.TextGrid").read_text()
    for part in text.split("item [")[2:]:
        title = part.split('name = "')[1].split('"')[0]
        tiers[title] = said(read_annotations(tmp_path, fps=RATE, format="textgrid", tier=title))
    assert {title: rows["x"] for title, rows in tiers.items()} == {
        "a": [(0, 4, "a"), (6, 7, "a")],
        "a (2)'": [(1, 2, "a"), (2, 5, "a")],
        "a (3)": [(3, 6, "a")],
        "b": [(1, 3, "b")],
        "a (2)": [(8, 9, "a (2)")],
    }


# The one of most work; each of the others takes a second.
@pytest.mark.parametrize(
    "kind",
    [k if k == "textgrid" else pytest.param(k, marks=pytest.mark.slow) for k in FORMATS],
)
def test_thirty_thousand_spans_take_seconds(tmp_path, kind):
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, 35_000, 30_000)
    rows = zip(starts, rng.uniform(0.1, 20, 30_000), rng.integers(0, 9, 30_000), strict=True)
    spans = [(float(s), float(s + n), f"行{k}", 0.5) for s, n, k in rows]
    begun = time.process_time()
    write([Found("a", 36_000.0, spans, rate=100.0)], tmp_path / "x", kind)
    assert time.process_time() - begun < 3
    assert (tmp_path / "x").stat().st_size > 6e5


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("rate", "step"), [(50.0, 1e-6), (48_000.0, 1e-9)])
def test_times_have_the_precision_that_is_stated(tmp_path, kind, rate, step):
    spans = [(1 / 3, 2 / 3, "x", 0.5), (0.9, 0.95 + 1e-7, "x", 0.5)]
    content = written_rows(tmp_path, [Found("a", 1.0, spans, rate=rate)], kind)
    for (start, end), row in zip(content, spans, strict=True):
        assert start == pytest.approx(row[0], abs=step / 1.9, rel=0)
        assert end == pytest.approx(row[1], abs=step, rel=0)


def written_rows(root, found, kind):
    """Start and end as they stand in the file."""
    written(root, found, kind)
    reader, more = READ.get(kind, (kind, {}))
    (entry,) = read_content(root, reader, Reading(**more)).sequences
    return [row[:2] for row in entry.rows]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_tables_are_predictions_to_score(tmp_path, suffix):
    found = [
        Found("a", 10.0, SPANS, start=datetime(2024, 1, 1)),
        Found("none", 10.0, []),
        Found("b", 9.0, [(1.0, 2.0, "sit", 0.123456789)]),
    ]
    predictions = tmp_path / f"p.{suffix}"
    write(found, predictions, suffix)
    truth = {one.id: {"annotations": [{"segment": [0, 1], "label": n} for n in ("sit", "walk")]}
             for one in found}  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps({"database": truth}))
    scored = read_scored(predictions, tmp_path / "a.json")
    assert not any(problems.counts() for problems in scored.problems)
    there = scored.predictions
    names = [there.ids[i] for i in there.places.tolist()]
    labels = [scored.classes[i] for i in there.labels.tolist()]
    rows = list(zip(names, there.spans.tolist(), labels, there.scores.tolist(), strict=True))
    assert rows == [
        ("a", [0.0, 1.0], "sit", 1.0),
        ("a", [2.0, 2.5], "walk", 0.25),
        ("a", [9.98, 10.0], "walk", 0.0),
        ("b", [1.0, 2.0], "sit", 0.1234568),
    ]
