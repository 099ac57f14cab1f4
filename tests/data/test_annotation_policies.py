"""Units and ends of rows of annotations, features of videos, labels, and policies for bad spans."""

import json

import jaxtyping
import numpy as np
import pytest
from recordings import edit, error_of, set_field

from spanloc.data import read_annotations
from spanloc.data.annotations.meaning import Meaning, in_seconds


@pytest.fixture
def unchecked(monkeypatch):
    """Without the checker of types, as outside of tests."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def table(folder, rows, *, steps=500, header="sequence,start,end,label"):
    np.save(folder / "a.npy", np.zeros((steps, 2), np.float32))
    (folder / "annotations.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def record_of(folder, name="s2", **options):
    found = read_annotations(folder, **options)
    return next(r for records in found.subsets.values() for r in records if r.id == name)


@pytest.mark.parametrize(
    ("unit", "ends", "first_index", "span", "seconds"),
    [
        ("steps", "inclusive", 1, (1, 5), (0.0, 0.1)),
        ("steps", "inclusive", 0, (0, 4), (0.0, 0.1)),
        ("steps", "half-open", 0, (0, 5), (0.0, 0.1)),
        ("steps", "half-open", 1, (1, 6), (0.0, 0.1)),
        ("seconds", "half-open", 0, (0.0, 0.1), (0.0, 0.1)),
        ("seconds", "inclusive", 0, (0.0, 0.08), (0.0, 0.1)),
        ("milliseconds", "half-open", 0, (0, 100), (0.0, 0.1)),
        ("milliseconds", "inclusive", 0, (0, 80), (0.0, 0.1)),
    ],
)
def test_the_first_five_steps_at_50_hz(tmp_path, unit, ends, first_index, span, seconds):
    options = {"unit": unit, "ends": ends, "first_index": first_index}
    assert in_seconds(*span, 1 / 50, Meaning(**options)) == pytest.approx(seconds, abs=1e-12)
    table(tmp_path, [f"a,{span[0]},{span[1]},x"])
    assert record_of(tmp_path, "a", fps=50, **options).spans.tolist() == [[0, 5]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "frames"}, "data.unit is 'frames'; wanted one of seconds, milliseconds, steps"),
        ({"ends": "open"}, "data.ends is 'open'; wanted one of half-open, inclusive"),
        ({"unit": "steps", "first_index": 2}, "data.first_index is 2; wanted one of 0, 1"),
        ({"first_index": 1}, "data.first_index is 1; that is for unit=steps"),
        ({"fps": 0}, "data.fps is 0; wanted a number above 0"),
        ({"moment_seconds": -1}, "data.moment_seconds is -1; wanted a number above 0"),
        ({"moment_seconds": True}, "data.moment_seconds is True; wanted a number above 0"),
        ({"feature_window": 16}, "data.feature_window is set, and no feature_stride"),
        ({"bad_spans": "skip"}, "data.bad_spans is 'skip'; wanted one of error, clip, drop"),
        ({"unknown": "sit"}, "data.unknown is 'sit'; wanted a list of labels"),
        ({"format": "audacity", "unit": "steps"}, "the times of format=audacity are in seconds"),
    ],
)
def test_an_option_that_may_not_be_is_named(annotated, unchecked, options, message):
    with pytest.raises(ValueError, match=message):
        read_annotations(annotated, **options)


def without(folder, *names):
    path = folder / "annotations.json"
    content = json.loads(path.read_text())
    for fields in content["database"].values():
        for name in names:
            fields.pop(name)
    path.write_text(json.dumps(content))
    return folder


def test_without_a_rate_the_error_says_what_to_set(annotated):
    without(annotated, "fps")
    message = r"'s0': fps is missing, and .*s0.npy does not say its rate; set"
    with pytest.raises(ValueError, match=message):
        read_annotations(annotated)
    assert record_of(annotated, fps=10).spans.tolist() == [[10, 30], [40, 55]]
    message = r"'s0': duration is 6.0; .*s0.npy has 60 rows, which are 3 s"
    with pytest.raises(ValueError, match=message):
        read_annotations(annotated, fps=20)
    without(annotated, "duration")
    assert record_of(annotated, fps=5).spans.tolist() == [[5, 15], [20, 27.5]]


def test_annotations_and_signal_agree_about_the_rate(annotated):
    sf = pytest.importorskip("soundfile")
    (annotated / "data" / "s2.npy").unlink()
    sf.write(annotated / "data" / "s2.wav", np.zeros((70, 2)), 10)
    assert record_of(annotated).spans.tolist() == [[10, 30], [40, 55]]
    sf.write(annotated / "data" / "s2.wav", np.zeros((70, 2)), 20)
    with pytest.raises(ValueError, match=r"'s2': fps is 10; .*s2.wav says 20 steps per second"):
        read_annotations(annotated)
    # In a table there is no other rate.
    (annotated / "annotations.csv").write_text("sequence,start,end\ns2,1,2\n")
    record = record_of(annotated, format="table", fps=10)
    assert record.spans.tolist() == [[20, 40]]


def test_features_of_videos_are_where_their_frames_are(tmp_path):
    # 12 features of 16 frames each, every 4 frames, of a video of 2 s with 30 frames per second.
    np.save(tmp_path / "v.npy", np.zeros((12, 3), np.float32))
    rows = [[0.2, 1.0], [8 / 30, 16 / 30], [0.0, 2.0]]
    entry = {
        "subset": "training",
        "duration": 2.0,
        "annotations": [{"segment": row, "label": "x"} for row in rows],
    }
    (tmp_path / "annotations.json").write_text(json.dumps({"database": {"v": entry}}))
    options = {"feature_stride": 4, "feature_window": 16}
    record = record_of(tmp_path, "v", fps=30, **options)
    step, offset = record.timeline
    assert step == pytest.approx(4 / 30)
    # The first feature is about frames 0 to 16, so its step is frames 6 to 10, around frame 8.
    assert offset == pytest.approx(6 / 30)
    assert offset + step / 2 == pytest.approx(8 / 30)
    expected = [[0, 6], [0.5, 2.5], [0, 12]]
    np.testing.assert_allclose(record.spans, expected, atol=1e-5)
    # Frames as the unit: frame 8 is where the middle of the first step is.
    entry["annotations"] = [{"segment": [8, 16], "label": "x"}]
    (tmp_path / "annotations.json").write_text(json.dumps({"database": {"v": entry}}))
    record = record_of(tmp_path, "v", fps=30, unit="steps", **options)
    np.testing.assert_allclose(record.spans, [[0.5, 2.5]], atol=1e-5)
    message = error_of(tmp_path, **options)
    assert "'v': fps is missing; features of feature_stride=4 frames" in message
    entry["duration"] = 20.0
    (tmp_path / "annotations.json").write_text(json.dumps({"database": {"v": entry}}))
    with pytest.raises(ValueError, match=r"duration is 20.0; .*v.npy has 12 rows, which are 1.6 s"):
        read_annotations(tmp_path, fps=30, **options)


def test_what_was_not_looked_at_is_ignored(annotated):
    assert record_of(annotated).ignored.shape == (0, 2)
    edit(annotated, set_field("annotated", [[1.0, 3.0], [2.5, 4.0], [5.0, 99.0]]))
    assert record_of(annotated).ignored.tolist() == [[0, 10], [40, 50]]
    edit(annotated, set_field("annotated", [[5.0, 99.0], [1.0, 4.0], [2.0, 3.0]]))
    assert record_of(annotated).ignored.tolist() == [[0, 10], [40, 50]]
    edit(annotated, set_field("annotated", []))
    assert record_of(annotated).ignored.tolist() == [[0, 70]]
    edit(annotated, set_field("annotated", [[1, "x"]]))
    assert "'s2': annotated is [[1, 'x']]; wanted a list of" in error_of(annotated)


def test_only_from_the_first_to_the_last_span_somebody_looked(annotated):
    found = record_of(annotated, annotated="first_to_last")
    assert found.ignored.tolist() == [[0, 10], [55, 70]]
    edit(annotated, set_field("annotations", []))
    assert record_of(annotated, annotated="first_to_last").ignored.shape == (0, 2)
    edit(annotated, set_field("annotated", [[0.0, 7.0]]))
    assert record_of(annotated, annotated="first_to_last").ignored.shape == (0, 2)


@pytest.mark.parametrize(
    ("options", "classes", "labels"),
    [
        ({"label_map": {"sit": "rest"}}, ["rest", "walk"], [1, 0]),
        ({"label_map": {"sit": "act", "walk": "act"}}, ["act"], [0, 0]),
        ({"unknown": ["sit"]}, ["walk"], [0, -1]),
        ({"classes": ["walk", "sit"]}, ["walk", "sit"], [0, 1]),
    ],
)
def test_options_decide_the_classes_and_the_numbers_of_labels(annotated, options, classes, labels):
    found = read_annotations(annotated, **options)
    assert found.classes == classes
    assert found.subsets["training"][0].labels.tolist() == labels


def test_ignored_labels_are_no_classes(annotated):
    edit(annotated, set_field("annotated", [[0.0, 4.5], [5.0, 7.0]]))
    found = read_annotations(annotated, label_map={"sit": "x"}, ignore=["x"])
    assert found.classes == ["walk"]
    record = found.subsets["training"][2]
    assert record.spans.tolist() == [[10, 30]]
    # From 4 to 5.5 s is the ignored label, from 4.5 to 5 s nobody looked.
    assert record.ignored.tolist() == [[40, 55]]


def test_with_classes_a_label_of_the_options_need_not_be_there(annotated, caplog):
    options = {"label_map": {"jump": "walk"}, "ignore": ["fall"], "classes": ["sit", "walk"]}
    found = read_annotations(annotated, **options)
    assert found.subsets["training"][0].labels.tolist() == [1, 0]
    assert not caplog.records


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_map": {"wakl": "x"}}, "label_map: no span has the label 'wakl'; did you mean"),
        (
            {"label_map": {"jump": "x"}},
            "label_map: no span has the label 'jump'; there are 'sit', 'walk'",
        ),
        ({"label_map": {"sit": None}}, "label_map: 'sit' becomes None; wanted a name"),
        ({"unknown": ["sitt"]}, "unknown: no span has the label 'sitt'; did you mean 'sit'?"),
        (
            {"ignore": ["sit"], "label_map": {"sit": "rest"}},
            "ignore: no span has the label 'sit'; there are",
        ),
        ({"ignore": ["sit"], "unknown": ["sit"]}, "'sit' is both in unknown and in ignore"),
        ({"classes": ["sit", "sit"]}, "classes is ['sit', 'sit']; wanted a list of different"),
        ({"classes": ["sit"], "ignore": ["sit"]}, "'sit' is both in ignore and in classes"),
        ({"classes": ["sit"]}, "label is 'walk'; wanted one of classes: 'sit'"),
    ],
)
def test_a_label_that_is_not_there_is_named(annotated, unchecked, options, message):
    with pytest.raises(ValueError) as caught:
        read_annotations(annotated, **options)
    assert message in str(caught.value)


def test_subsets_of_a_json_file_may_have_other_names(annotated):
    for name in ("Validation", "val", "VALID"):
        edit(annotated, set_field("subset", name))
        assert record_of(annotated).subset == "validation"
    edit(annotated, set_field("subset", "Dev"))
    assert "'s2': subset is 'Dev'; wanted one of training" in error_of(annotated)
    assert record_of(annotated, subset_map={"Dev": "val"}).subset == "validation"


# Of 10 s.
BAD = {
    "a,3,2,x": "reversed",
    "a,4,4,x": "empty",
    "a,-5,-4,x": "before the start",
    "a,-1,2,x": "before the start",
    "a,9,11,x": "past the end",
    "a,11,12,x": "past the end",
    "a,5,6,y": "label",
    "a,1,2,x": "duplicate",
}


@pytest.mark.parametrize("row", BAD)
def test_each_kind_of_bad_span_is_found_under_every_policy(tmp_path, row):
    table(tmp_path, ["a,1,2,x", row])
    for policy in ("error", "clip", "drop"):
        found = []
        options = {"fps": 50, "classes": ["x"], "bad_spans": policy, "found": found}
        if policy == "error" and BAD[row] != "duplicate":
            assert "annotations.csv: sequence 'a': line 3: " in error_of(tmp_path, **options)
        else:
            read_annotations(tmp_path, **options)
        (bad,) = found
        assert (bad.sequence, bad.row, bad.kind) == ("a", 1, BAD[row])
        assert bad.file == str(tmp_path / "annotations.csv")
        assert bad.text.startswith("line 3: ")


def test_clip_cuts_what_sticks_out_and_drop_drops_it(tmp_path):
    table(tmp_path, ["a,1,2,x", *BAD])
    kept = {}
    for policy in ("clip", "drop"):
        found = []
        options = {"fps": 50, "classes": ["x"], "bad_spans": policy, "found": found}
        kept[policy] = record_of(tmp_path, "a", **options).spans.tolist()
        assert [bad.kind for bad in found] == list(BAD.values())
        assert [bad.row for bad in found] == list(range(1, 9))
    assert kept["clip"] == [[50, 100], [0, 100], [450, 500], [50, 100]]
    assert kept["drop"] == [[50, 100]]


def test_the_same_span_of_two_labels_is_no_duplicate(tmp_path):
    table(tmp_path, ["a,1,2,x", "a,1,2,y"])
    found = []
    record = record_of(tmp_path, "a", fps=50, bad_spans="drop", found=found)
    assert record.labels.tolist() == [0, 1]
    assert found == []


def test_an_end_that_sticks_out_by_a_step_is_no_mistake_except_in_steps(tmp_path):
    for end in (10.015, 10.02, 10.0201):
        table(tmp_path, [f"a,-0.01,{end},x"])
        assert record_of(tmp_path, "a", fps=50).spans.tolist() == [[0, 500]]
    table(tmp_path, ["a,0,10.021,x"])
    assert "wanted 0 <= start < end <= duration (10.0)" in error_of(tmp_path, fps=50)
    table(tmp_path, ["a,0,501,x"])
    assert "wanted 0 <= start < end <= 500" in error_of(tmp_path, fps=50, unit="steps")


def test_a_key_is_passed_to_the_signal(tmp_path):
    table(tmp_path, ["a,1,2,x"])
    (tmp_path / "a.npy").unlink()
    np.savez(tmp_path / "a.npz", x=np.zeros((500, 2)), y=np.zeros((100, 3)))
    record = record_of(tmp_path, "a", fps=50, key="y", bad_spans="clip")
    assert (record.num_steps, record.signal.num_channels) == (100, 3)
