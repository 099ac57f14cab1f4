import json
import sys
import warnings
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import convert_sbhar
import convert_wfdb
import numpy as np
import pytest
from recordings import said
from writing import Recording, write_folder

from spanloc.data import read_annotations

RNG = np.random.default_rng(0)
LABELS = ["5 10 5 3 4", "5 10 7 5 6", "6 11 1 1 10"]
ACTIVITIES = ["1 WALKING", "5 STANDING", "6 LAYING", "7 STAND_TO_SIT"]


def database_of(folder):
    return json.loads((folder / "annotations.json").read_text())["database"]


def hapt(folder, *, labels=LABELS, activities=ACTIVITIES, test=None):
    """A small archive, unpacked: two experiments of ten samples."""
    raw = folder / "RawData"
    raw.mkdir(parents=True)
    for name in ("exp05_user10", "exp06_user11"):
        for sensor in ("acc", "gyro"):
            np.savetxt(raw / f"{sensor}_{name}.txt", RNG.normal(size=(10, 3)))
    (raw / "labels.txt").write_text("\n".join(labels))
    if activities:
        (folder / "activity_labels.txt").write_text("\r\n".join(activities))
    if test:
        (folder / "Test").mkdir()
        (folder / "Test" / "subject_id_test.txt").write_text(test)
    return folder


def zipped(folder, file, prefix=""):
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, f"{prefix}{path.relative_to(folder)}")
        archive.writestr("__MACOSX/RawData/._labels.txt", "x")
    return file


def test_sbhar_samples_become_half_open_seconds(tmp_path):
    convert_sbhar.convert(hapt(tmp_path / "from"), tmp_path / "to")
    found = database_of(tmp_path / "to")
    assert found["exp05_user10"] == {
        "subset": "testing", "subject": "user10", "duration": 0.2, "fps": 50.0,
        "annotations": [
            {"segment": [0.04, 0.08], "label": "standing"},
            {"segment": [0.08, 0.12], "label": "stand-to-sit"},
        ],
    }  # fmt: skip
    assert found["exp06_user11"]["subset"] == "training"
    assert found["exp06_user11"]["annotations"] == [{"segment": [0.0, 0.2], "label": "walking"}]
    values = np.load(tmp_path / "to" / "data" / "exp05_user10.npy")
    raw = tmp_path / "from" / "RawData"
    assert values.dtype == np.float32
    np.testing.assert_array_equal(
        values[:, 3:], np.loadtxt(raw / "gyro_exp05_user10.txt").astype(np.float32)
    )


def test_sbhar_of_every_form_of_the_archive_is_the_same(tmp_path):
    source = hapt(tmp_path / "a" / "HAPT Data Set", activities=None)
    inner = zipped(source, tmp_path / "inner.zip", "HAPT Data Set/")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(inner, "HAPT Data Set.zip")
        archive.writestr("__MACOSX/._HAPT Data Set.zip", "x")
    forms = [
        source,
        source.parent,
        inner,
        zipped(source, tmp_path / "flat.zip"),
        tmp_path / "outer.zip",
    ]
    found = []
    for number, form in enumerate(forms):
        convert_sbhar.convert(form, tmp_path / f"to{number}")
        arrays = [np.load(path) for path in sorted((tmp_path / f"to{number}" / "data").iterdir())]
        found.append(
            ((tmp_path / f"to{number}" / "annotations.json").read_text(), np.stack(arrays))
        )
    for text, values in found[1:]:
        assert text == found[0][0]
        np.testing.assert_array_equal(values, found[0][1])


def test_sbhar_tests_on_the_users_that_the_archive_names(tmp_path):
    convert_sbhar.convert(hapt(tmp_path / "from", test="11\n11\n12\n"), tmp_path / "to")
    subsets = {name: entry["subset"] for name, entry in database_of(tmp_path / "to").items()}
    assert subsets == {"exp05_user10": "training", "exp06_user11": "testing"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["5 10 5 4 3", *LABELS]}, "labels.txt: row 1: activity 5, samples 4 to 3; wanted"),
        ({"labels": ["5 10 5 0 3", *LABELS]}, "row 1: activity 5, samples 0 to 3"),
        ({"labels": ["5 10 9 1 3", *LABELS]}, "row 1: activity 9, .*wanted an activity of 1, 5, 6, 7"),
        ({"labels": ["5 10 5 1 12", *LABELS]}, r"'exp05_user10'.*\[0.0, 0.24\]"),
        ({"labels": LABELS[:2]}, "labels.txt: no row of exp06_user11"),
        ({"labels": ["5 10 5 x 3"]}, "labels.txt: could not convert string 'x'"),
        ({"activities": ["1 WALKING", "1 RUNNING"]}, "activity_labels.txt: '1 RUNNING'; wanted"),
    ],
)  # fmt: skip
def test_sbhar_that_is_not_as_described_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        convert_sbhar.convert(hapt(tmp_path / "from", **change), tmp_path / "to")
    assert not (tmp_path / "to" / "annotations.json").exists()


def test_sbhar_lacks_no_file(tmp_path):
    source = hapt(tmp_path / "from")
    (source / "RawData" / "gyro_exp06_user11.txt").unlink()
    with pytest.raises(ValueError, match="RawData: exp06_user11 lacks its acc or its gyro file"):
        convert_sbhar.convert(source, tmp_path / "to")
    with pytest.raises(ValueError, match=r"no RawData/labels.txt in it, nor in a folder of it"):
        convert_sbhar.convert(source / "RawData", tmp_path / "to")
    (tmp_path / "x.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"x.zip: not a zip archive, or not all of it"):
        convert_sbhar.convert(tmp_path / "x.zip", tmp_path / "to")


def test_the_sbhar_command_downloads_and_says_what_came(tmp_path, monkeypatch, capsys):
    archive = zipped(hapt(tmp_path / "from"), tmp_path / "x.zip")
    argv = ["convert_sbhar.py", str(tmp_path / "to"), "--url", archive.as_uri()]
    monkeypatch.setattr(sys, "argv", argv)
    convert_sbhar.main()
    lines = capsys.readouterr().out.splitlines()
    assert "its sha256, not checked, is" in lines[0]
    assert "is NOT the one that others report" in lines[1]
    assert lines[2].endswith(
        "2 recordings (1 training, 1 testing), 0.0 minutes, 6 channels, 3 spans of 4 classes"
    )
    (tmp_path / "to" / "original.zip").unlink()
    with pytest.raises(SystemExit, match=r"error: .*annotations.json: is there already; remove it"):
        convert_sbhar.main()
    assert not (tmp_path / "to" / "original.zip").exists()


class Broken(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b"PK")


def test_a_download_that_breaks_or_has_another_sha256_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "x.zip").write_bytes(b"PK")
    with HTTPServer(("127.0.0.1", 0), Broken) as server:
        Thread(target=server.handle_request).start()
        for url, message in (
            (
                f"http://127.0.0.1:{server.server_port}/x.zip",
                r"http.*IncompleteRead\(2 bytes read, 7",
            ),
            ((tmp_path / "x.zip").as_uri(), "x.zip: has the sha256 fcab7fcc.*; wanted 00ab"),
            ((tmp_path / "y.zip").as_uri(), "y.zip: .*No such file"),
        ):
            argv = ["convert_sbhar.py", str(tmp_path / "to"), "--url", url, "--sha256", "00AB"]
            monkeypatch.setattr(sys, "argv", argv)
            with pytest.raises(SystemExit, match=message):
                convert_sbhar.main()
    assert not (tmp_path / "to").exists()


def test_sbhar_of_the_original_texts_is_the_data_set(real_data, tmp_path):
    sample, reference = real_data / "sbhar" / "native_sample", real_data / "sbhar"
    convert_sbhar.convert(sample, tmp_path)
    ours, theirs = database_of(tmp_path), database_of(reference)
    assert list(ours) == ["exp20_user10", "exp21_user10"]
    content = json.loads((reference / "annotations.json").read_text())
    assert read_annotations(tmp_path).classes == content["classes"]
    for name, entry in ours.items():
        array = Path("data") / f"{name}.npy"
        np.testing.assert_array_equal(np.load(tmp_path / array), np.load(reference / array))
        spans, expected = entry.pop("annotations"), theirs[name].pop("annotations")
        assert entry == theirs[name]
        assert [s["label"] for s in spans] == [s["label"] for s in expected]
        np.testing.assert_allclose(
            [s["segment"] for s in spans], [s["segment"] for s in expected], rtol=0, atol=1e-9
        )


def wfdb_record(folder, name, marks="(p)(N)t)(u)", rate=50):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It uses pandas in a way that ends with pandas 4.
        wfdb = pytest.importorskip("wfdb")
        folder.mkdir(parents=True, exist_ok=True)
        samples = np.array([25, 30, 50, 100, 110, 125, 150, 160, 190, 195, 205])[: len(marks)]
        wfdb.wrann(name, "ii", samples, list(marks), fs=rate, write_dir=str(folder))
        values = np.round(RNG.normal(size=(500, 2)), 2)
        wfdb.wrsamp(
            name, fs=rate, units=["mV", "mV"], sig_name=["i", "ii"], p_signal=values,
            fmt=["16", "16"], write_dir=str(folder),
        )  # fmt: skip
    return values


def test_wfdb_waves_become_spans_of_chosen_labels_and_channels(tmp_path):
    values = wfdb_record(tmp_path / "from" / "data", "a1")
    options = {"extension": "ii", "labels": {"N": "QRS", "p": "P"}, "channels": ["ii"]}
    with pytest.raises(ValueError, match=r"a1.ii: sequence 'a1': sample 150"):
        convert_wfdb.convert(tmp_path / "from", tmp_path / "to", **options)
    convert_wfdb.convert(tmp_path / "from", tmp_path / "to", bad_spans="drop", **options)
    content = read_annotations(tmp_path / "to")
    assert content.classes == ["QRS", "P"]
    assert said(content) == {"a1": [(0.5, 1.0, "P"), (2.0, 2.5, "QRS")]}
    written = np.load(tmp_path / "to" / "data" / "a1.npy")
    np.testing.assert_allclose(written, values[:, 1:], atol=1e-3)


def test_wfdb_subjects_are_tested_on_whole(tmp_path):
    for name in ("s1_a", "s1_b", "s2_a", "s3_a", "s4_a", "s5_a"):
        wfdb_record(tmp_path / "from", name, "(p)(N)")
    options = {"extension": "ii", "subject": r"(s\d)_", "test_share": 0.2}
    for seed in range(3):
        convert_wfdb.convert(tmp_path / "from", tmp_path / str(seed), seed=seed, **options)
        found = database_of(tmp_path / str(seed)).values()
        subjects = [
            {e["subject"] for e in found if e["subset"] == s} for s in ("training", "testing")
        ]
        assert not subjects[0] & subjects[1]
        assert [len(part) for part in subjects] == [4, 1]
    options["test_share"] = 0.95
    convert_wfdb.convert(tmp_path / "from", tmp_path / "most", **options)
    assert {e["subset"] for e in database_of(tmp_path / "most").values()} == {"training", "testing"}
    with pytest.raises(ValueError, match=r"subject: 'p\(.\)' finds nothing in 's1_a'"):
        convert_wfdb.convert(tmp_path / "from", tmp_path / "x", extension="ii", subject="p(.)")


def test_wfdb_outside_of_the_marks_may_be_left_out(tmp_path):
    wfdb_record(tmp_path / "from", "a", "(p)(N)")
    wfdb_record(tmp_path / "from", "b", "p")
    options = {"extension": "ii", "bad_spans": "drop", "between_marks": True}
    convert_wfdb.convert(tmp_path / "from", tmp_path / "to", labels={"N": "QRS"}, **options)
    a, b = read_annotations(tmp_path / "to").subsets["training"]
    assert a.ignored.tolist() == [[0, 25], [125, 500]]
    assert b.ignored.tolist() == [[0, 500]]


def test_the_wfdb_command_says_what_is_wrong(tmp_path, monkeypatch, capsys):
    wfdb_record(tmp_path / "from", "a", "(p)(N)")
    start = ["convert_wfdb.py", str(tmp_path / "from"), str(tmp_path / "to"), "--extension", "ii"]
    for more, message in (
        (["--labels", "p=P,x=X"], r"no symbol 'x' in \*.ii; there are N, p"),
        (["--channels", "v1"], "has no channel 'v1'; it has 'i', 'ii'"),
        (["--test-share", "0.2"], "there is one subject, 'a'; wanted several"),
        (["--test-share", "20"], "test_share is 20.0; wanted a number between 0 and 1"),
    ):
        monkeypatch.setattr(sys, "argv", [*start, *more])
        with pytest.raises(SystemExit, match=message):
            convert_wfdb.main()
    monkeypatch.setattr(sys, "argv", [*start, "--labels", "p=P,N=QRS", "--channels", "1"])
    convert_wfdb.main()
    assert "1 channels, 2 spans of 2 classes" in capsys.readouterr().out


def recording(name="a", values=None, spans=((0.0, 1.0, "x"),), subset="training"):
    return Recording(
        name, np.zeros((20, 2)) if values is None else values, 10.0, subset, "s", spans
    )


@pytest.mark.parametrize(
    ("recordings", "message"),
    [
        ([], "there is no recording to write"),
        ([recording(), recording()], "recording 'a': is there twice"),
        ([recording(), recording("b", np.zeros((20, 3)))], r"'b': shape \(20, 3\); wanted \(steps, 2\)"),
        ([recording(values=np.full((20, 2), np.nan))], "'a': nan at step 0, channel 0"),
        ([recording(spans=[(1.0, 3.0, "x")])], r"'a'.*\[1.0, 3.0\]"),
        ([recording(subset="dev")], "subset is 'dev'"),
    ],
)  # fmt: skip
def test_no_data_set_is_left_where_one_recording_is_off(tmp_path, recordings, message):
    with pytest.raises(ValueError, match=message):
        write_folder(tmp_path, recordings)
    assert not (tmp_path / "annotations.json").exists()
