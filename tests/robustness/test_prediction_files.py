"""Files to score with any mistake in them are read, or refused in one line."""

import copy
import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutated import at_length, csv_files, files, harmless, json_files, trees

from spanloc.data.annotations.scored import read_scored
from spanloc.metrics import diagnose
from spanloc.reports import ScoreResult, notes

IDS, LABELS = ("a", "b, c", "é"), ("walk", "sit")
TRUTH = [(name, float(i), i + 2.5, label) for i, name in enumerate(IDS) for label in LABELS]
FOUND = [(*row, 0.25 + 0.1 * i) for i, row in enumerate(TRUTH)]
FIELDS = ("sequence", "start", "end", "label", "score")


def listed(rows):
    by_sequence = {}
    for name, start, end, *others in rows:
        row = {"segment": [start, end], **dict(zip(FIELDS[3:], others, strict=False))}
        by_sequence.setdefault(name, []).append(row)
    return by_sequence


DATABASE = {
    name: {"subset": "testing", "duration": 20.0, "annotations": rows}
    for name, rows in listed(TRUTH).items()
}
ANNOTATIONS = {"classes": list(LABELS), "database": DATABASE}
PREDICTIONS = {"results": listed(FOUND)}


def cells(rows):
    quoted = [[f'"{row[0]}"', *map(str, row[1:])] for row in rows]
    return [list(FIELDS[: len(rows[0])]), *quoted]


def json_lines(rows):
    def text_of(tree):
        return "\n".join(map(json.dumps, tree if isinstance(tree, list) else [tree]))

    objects = [dict(zip(FIELDS, row, strict=False)) for row in rows]
    return trees(objects).map(text_of).flatmap(files)


def kinds(rows, content):
    named = {"csv": csv_files(cells(rows)), "jsonl": json_lines(rows), "json": json_files(content)}
    return st.one_of(*(st.tuples(st.just(name), made) for name, made in named.items()))


policy = st.sampled_from(["error", "skip", "skip"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    (folder / "good_p.json").write_text(json.dumps(PREDICTIONS))
    (folder / "good_a.json").write_text(json.dumps(ANNOTATIONS))
    return folder


def check(folder, bad, content, policy):
    kind, text = content
    path = folder / f"bad.{kind}"
    path.write_bytes(text)
    given = {name: folder / f"good_{name}.json" for name in "pa"} | {bad: path}
    # Annotations with less in them than was meant make of right predictions wrong ones.
    with harmless(folder, *(("bad.",) if bad == "p" else ("bad.", "good_p."))):
        found = read_scored(given["p"], given["a"], invalid=policy)
        for part in (found.predictions, found.targets):
            start, end = part.spans.unbind(1)
            assert part.spans.isfinite().all()
            assert (end - start).isfinite().all()
            assert (start <= end).all()
            assert ((part.labels >= 0) & (part.labels < len(found.classes))).all()
            assert ((part.places >= 0) & (part.places < len(part.ids))).all()
            assert len(set(part.ids)) == len(part.ids)
        assert found.predictions.scores.isfinite().all()
        assert set(found.durations) <= set(found.targets.ids)
        rows = found.predictions, found.targets
        diagnose(*rows, found.classes, durations=found.durations)
        assert all(line.isprintable() and len(line) < 2000 for line in notes(found))


@at_length(50, 3_000)  # a minute each
@pytest.mark.parametrize("bad", ["p", "a"])
def test_predictions_and_annotations_with_a_mistake_are_read_or_refused_in_one_line(
    folder, often, bad
):
    @often
    @given(kinds(FOUND, PREDICTIONS) if bad == "p" else kinds(TRUTH, ANNOTATIONS), policy)
    def run(content, policy):
        check(folder, bad, content, policy)

    run()


HEADER = "sequence,start,end,label,score\n"
GOOD = "a,0,2.5,walk,0.5\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "", "the file is empty"),
        ("p.csv", "sequence,start\n", "p.csv: line 1: there is no column 'end'"),
        ("p.csv", "sequence|start|end\n", "there are no columns 'sequence', 'start' and 'end'; found 'sequence|start|end'; set 'columns.predictions={sequence: NAME, start: NAME, end: NAME}'"),
        ("p.csv", f'{HEADER}"a\n",1,2,,\n\na,1\n', "p.csv: line 5: 2 fields; the header has 5"),
        ("p.jsonl", '{"start": 1}\n', "p.jsonl: 1 prediction with an unknown sequence, first None (line 1)"),
        ("p.jsonl", "[1]", "p.jsonl: line 1: wanted an object, found [1]"),
        ("p.jsonl", '{"sequence":"a","start":1,"end":2}\n{"sequence":"a","start":1,"end":2,"score":0.5}', "p.jsonl: line 2: has a score, and the rows before have none"),
        ("p.json", "[]", "p.json: wanted an object with the field 'results'"),
        ("p.json", '{"results": {"a": [], "a": []}}', "p.json: not valid JSON: 'a' is there twice"),
        ("p.json", '{"results": {"a": [{"segment": [1]}]}}', "'a': [0]: wanted segment: [start, end]"),
        ("p.txt", "x", "wanted a file named .json (ActivityNet's format), .jsonl, .csv, .tsv or .parquet"),
        ("p.csv", f"{HEADER}a\0,0,1,walk,0.5\n", r"first 'a\x00' (line 2)"),
        ("p.csv", f"{HEADER}a,0,1\0,walk,0.5\n", r"first [0, '1\x00'] (line 2)"),
        ("p.csv", f'{HEADER}a,0,"1\n",walk\x1b,0.5\n', r"an unknown label, first 'walk\x1b' (line 3)"),
        ("p.csv", f"{HEADER}a,0,{'1' * 131_073},walk,1\n", "p.csv: not a table: field larger than"),
        ("p.csv", f"{HEADER}a,-1e308,1e308,walk,1\n", "a start or end beyond 1e+100, first [-1e308, 1e308]"),
        ("p.csv", f"{HEADER}a,0,1,walk,-inf\n", "a score that is no finite number, first -inf (line 2)"),
        ("p.csv", f"{HEADER}{',' * 300_000}\n", "p.csv: line 2: the row has more than 262,144 characters"),
        ("p.csv", HEADER + 'a,"' + '\n","' * 90_000, "p.csv: line 90002: 90002 fields; the header has 5"),
        ("p.csv", "sequence\0,start,end\n", r"found 'sequence\x00', 'start', 'end'"),
        ("p.csv", f"{HEADER.strip()},score\n", "p.csv: line 1: the column 'score' is there twice"),
        ("p.csv", f"{HEADER}a\n".encode("utf-16"), "p.csv: line 2: 1 fields; the header has 5"),
        ("p.csv", HEADER.encode() + b"a,0,1,l\xe4uft,1\n", "an unknown label, first 'läuft' (line 2)"),
        ("p.csv", HEADER.encode() + b"a\0,0,1,l\xe4uft,1\n", "p.csv: not UTF-8 text: 'utf-8' codec can't decode"),
        ("p.jsonl", '{"sequence": "\\ud800"}', "line 1: not valid JSON: near"),
        ("p.jsonl", "[" * 100_000, "line 1: not valid JSON: it is nested too deeply"),
        ("p.jsonl", '{"sequence": [[]], "start": 0, "end": 1}', "line 1: sequence is [[]]; wanted a name"),
        ("p.jsonl", '{"sequence": "a", "start": 0, "end": 1, "label": {"a": 1}}', "line 1: label is {'a': 1}; wanted a name"),
        ("p.jsonl", f'{{"sequence": "a", "start": 0, "end": {"1" * 5000}, "label": "sit"}}', "first [0, inf] (line 1)"),
        ("p.jsonl", '{"sequence": "a", "start": false, "end": true, "label": "walk"}', "no finite number, first [False, True] (line 1)"),
        ("p.jsonl", '{"sequence":"a","start":0,"end":1}{"sequence":"a"\n,"start":0,"end":1}', "line 1: not valid JSON"),
        ("p.json", '{"results": ' + "[" * 100_000, "p.json: not valid JSON: it is nested too deeply"),
        ("p.json", f'{{"results": {{"{"x" * 9999}": 3}}}}', "p.json: results of 'xxx"),
    ],
)  # fmt: skip
def test_a_mistake_in_predictions_is_one_line(folder, tmp_path, name, text, message):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_scored(path, folder / "good_a.json")
    assert name in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "text",
    [
        HEADER + GOOD,
        f"{HEADER}{GOOD}".replace("\n", "\r"),
        HEADER + "a, 0_0, +2.50e0 ,walk,0.5",
        HEADER + "a,\uff10,\u0662.5,walk,.5",
    ],
)
def test_what_can_be_read_is_read_right(folder, tmp_path, text):
    path = tmp_path / "p.csv"
    path.write_bytes(text.encode())
    found = read_scored(path, folder / "good_a.json").predictions
    assert found.spans.tolist() == [[0, 2.5]]
    assert found.scores.tolist() == [0.5]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_only_regular_files_are_scored(folder, tmp_path, suffix):
    path = tmp_path / f"p.{suffix}"
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file; wanted a file") as caught:
        read_scored(path, folder / "good_a.json")
    assert str(caught.value).startswith(str(path))


def test_durations_that_would_overflow_are_none(folder, tmp_path):
    annotations = copy.deepcopy(ANNOTATIONS)
    for value, fields in zip((1e308, 5e-324, True), annotations["database"].values(), strict=True):
        fields["duration"] = value
    (tmp_path / "a.json").write_text(json.dumps(annotations))
    assert read_scored(folder / "good_p.json", tmp_path / "a.json").durations == {}


def test_a_file_whose_name_is_no_text_is_scored_and_a_folder_like_markup_is_shown(
    folder, cli, capsys
):
    path = os.fsencode(folder) + b"/\xff.json"
    os.link(folder / "good_p.json", path)
    try:
        given = [f"predictions='{os.fsdecode(path)}'", f"annotations={folder / 'good_a.json'}"]
        out = cli("score", *given, "hydra.run.dir='[/red]out'")
    finally:
        os.unlink(path)
    assert not isinstance(out, str), out
    assert "[/red]out" in capsys.readouterr().out
    found = ScoreResult.read(out / "[/red]out" / "scores.json")
    assert found.predictions == f"{folder}/\N{REPLACEMENT CHARACTER}.json"
