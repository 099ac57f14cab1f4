"""A label for every step, in a column of the recordings, in texts beside them, or in arrays."""

import logging

import numpy as np
import pandas as pd
import pytest
from recordings import error_of

from spanloc.data import AnnotatedData, from_arrays, read_annotations
from spanloc.data.annotations.beside import signals_in

LABELS = ["0"] * 3 + ["walk"] * 4 + ["sit"] * 2 + [""] * 1
SPANS = {"walk": [3, 7], "sit": [7, 9]}


def table(labels=LABELS, times=None, **columns):
    size = len(labels)
    times = np.arange(size) / 10 if times is None else times
    return pd.DataFrame({"time": times, "x": np.arange(size) + 0.5, **columns, "label": labels})


def folder(tmp_path, name="a.csv", **frames):
    (tmp_path / "data").mkdir(parents=True)
    for stem, frame in (frames or {name.partition(".")[0]: table()}).items():
        path = tmp_path / "data" / f"{stem}.{name.partition('.')[2]}"
        if path.suffix == ".parquet":
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return tmp_path


def test_texts_are_recordings_where_no_others_lie_beside_them(tmp_path):
    for stem in "ab":
        write = {"header": False, "index": False, "sep": " ", "na_rep": "0"}
        frame = table([label.replace("walk", "1") or "0" for label in LABELS])
        (tmp_path / "data").mkdir(exist_ok=True)
        frame.to_csv(tmp_path / "data" / f"{stem}.txt", **write)
    (tmp_path / "data" / "README.txt").write_text("Recorded at 10 Hz.\n")
    columns = {"columns": {"time": "0", "label": "2"}}
    read = read_annotations(tmp_path, **columns)
    assert spans_of(read, 1) == {"1": [3, 7], "sit": [7, 9]}
    assert [record.id for record in read.subsets["training"]] == ["a", "b"]
    for name in ("subjects.txt", "data/notes/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1 20 60\n2 30 70\n")
    np.save(tmp_path / "data" / "a.npy", np.zeros((9, 1)))
    assert [*signals_in(tmp_path)] == ["a"]
    assert "wanted start, end and label" in error_of(tmp_path, **columns)


def spans_of(read, number=0):
    record = read.subsets["training"][number]
    names = [read.classes[label] for label in record.labels]
    return dict(zip(names, record.spans.tolist(), strict=True))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet"])
def test_neighbouring_rows_with_one_label_are_a_span_and_the_column_is_no_channel(tmp_path, name):
    read = read_annotations(folder(tmp_path, name))
    assert spans_of(read) == SPANS
    assert read.subsets["training"][0].signal.channels == ("x",)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2], [0.0, 0.0, 1.0, 1.0, 2.0]])
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_labels_that_are_numbers_are_names_and_0_is_background_with_a_warning(
    tmp_path, name, labels, caplog
):
    read = read_annotations(folder(tmp_path, name, a=table(labels)))
    assert spans_of(read) == {"1": [2, 4], "2": [4, 5]}
    assert "where the label is '0', there is no span; data.background=[]" in caplog.text
    assert "if it means that nobody watched: 'data.ignore=[\"0\"]'" in caplog.text


def test_a_label_that_may_say_that_nothing_happens_is_named_until_a_setting_names_it(
    tmp_path, caplog
):
    folder(tmp_path, a=table(["Rest", "Rest", "walk", "0"]))
    assert spans_of(read_annotations(tmp_path)) == {"Rest": [0, 2], "walk": [2, 3]}
    assert "where the label is 'Rest', there is a span; if" in caplog.text
    assert "nothing happens: 'data.background=[Rest, \"0\"]'" in caplog.text
    caplog.clear()
    assert spans_of(read_annotations(tmp_path, background=["Rest", "0"])) == {"walk": [2, 3]}
    read_annotations(tmp_path, classes=["Rest", "walk"])
    assert "nothing happens" not in caplog.text


def test_what_is_background_is_a_setting_of_every_format(tmp_path, caplog):
    folder(tmp_path)
    assert spans_of(read_annotations(tmp_path, background=[])) == {"0": [0, 3], **SPANS}
    assert spans_of(read_annotations(tmp_path, background=["0", "sit"])) == {"walk": [3, 7]}
    assert "there is no span" not in caplog.text
    # A label that a setting names is not background by itself.
    assert spans_of(read_annotations(tmp_path, label_map={"0": "rest"}))["rest"] == [0, 3]
    ignored = read_annotations(tmp_path, ignore=["0"]).subsets["training"][0].ignored
    assert ignored.tolist() == [[0, 3]]
    message = error_of(tmp_path, background=["sit"], ignore=["sit"])
    assert "'sit' is both in ignore and in background" in message
    assert "background: no span has the label 'sti'; did you mean 'sit'?" in error_of(
        tmp_path, background=["sti"]
    )
    table().drop(columns="label").to_csv(tmp_path / "data/a.csv", index=False)
    rows = "sequence,start,end,label\na,0,.3,0\na,.3,.7,walk\n"
    (tmp_path / "annotations.csv").write_text(rows)
    assert spans_of(read_annotations(tmp_path)) == {"0": [0, 3], "walk": [3, 7]}
    assert spans_of(read_annotations(tmp_path, background=["0"])) == {"walk": [3, 7]}


def test_spans_follow_irregular_times(tmp_path):
    times = np.delete(np.arange(13), [4, 5, 8]) / 10  # rows 4 and on are late
    read = read_annotations(folder(tmp_path, a=table(times=times)))
    start, end = spans_of(read)["walk"]
    assert [times[3], times[7]] == pytest.approx([start / 10, end / 10], abs=0.01)
    assert spans_of(read)["sit"][1] == pytest.approx(10 * times[9], abs=0.1)


def test_a_folder_that_is_called_data_holds_recordings_in_its_own_data(tmp_path):
    read = read_annotations(folder(tmp_path / "data"))
    assert [record.id for record in read.subsets["training"]] == ["a"]


def test_a_column_of_another_name_and_one_of_subjects(tmp_path):
    frames = {name: table(Person=name).rename(columns={"label": "Activity"}) for name in "ab"}
    folder(tmp_path, **frames)
    columns = {"label": "activity", "subject": "person"}
    read = read_annotations(tmp_path, columns=columns)
    assert [record.subject for record in read.subsets["training"]] == ["a", "b"]
    assert spans_of(read, 1) == SPANS
    assert read.subsets["training"][0].signal.channels == ("x",)
    subsets = "sequence,subset,subject\na,training,a\nb,training,c\n"
    (tmp_path / "subsets.csv").write_text(subsets)
    message = error_of(tmp_path, columns=columns)
    assert "subsets.csv: subject of 'b' is 'c'; elsewhere 'b'" in message
    (tmp_path / "subsets.csv").unlink()
    frames["a"].assign(Person=["a", "b"] * 5).to_csv(tmp_path / "data/a.csv", index=False)
    message = error_of(tmp_path, columns=columns)
    assert "column 'Person' names 2 subjects: 'a' in 5 rows, 'b' in 5 rows; wanted one" in message


def test_a_table_without_names_has_columns_by_number(tmp_path):
    folder(tmp_path)
    table().to_csv(tmp_path / "data/a.csv", index=False, header=False)
    columns = {"time": "0", "label": "2"}
    assert spans_of(read_annotations(tmp_path, columns=columns)) == SPANS
    wanted = "(NAME: one of 0 to 2, as the columns have no names)"
    assert error_of(tmp_path, columns={"time": "0"}).endswith(wanted)
    table()[3:].to_csv(tmp_path / "data/a.csv", index=False, header=False)
    assert spans_of(read_annotations(tmp_path, columns=columns)) == {"walk": [0, 4], "sit": [4, 6]}


def test_without_the_column_its_name_is_asked_for(tmp_path):
    folder(tmp_path, a=table().rename(columns={"label": "activity"}))
    message = (
        r"no recording has a column 'label'; the columns are 'time', 'x', 'activity'; set 'data"
    )
    with pytest.raises(ValueError, match=message):
        read_annotations(tmp_path, format="column")
    assert "a label in every row: 'data.columns={label: NAME}'" in error_of(tmp_path)
    message = error_of(tmp_path, columns={"labels": "activity"}, format="column")
    assert "no field 'labels'; wanted label, subject or time" in message
    message = error_of(tmp_path, columns={"label": "activty"})
    assert "a column 'activty'; the columns are 'time', 'x', 'activity'; did you mean" in message
    message = error_of(tmp_path, columns={"label": "activity", "subject": "person"})
    assert "there is no column 'person'; it has 'time', 'x', 'activity'" in message


def test_files_without_the_column_and_hidden_ones_are_left_out(tmp_path, caplog):
    folder(tmp_path, a=table(), b=table().drop(columns="label"))
    np.save(tmp_path / "data/0.npy", np.zeros((10, 1), np.float32))
    (tmp_path / "data/1.csv").touch()
    (tmp_path / "data/._a.csv").write_bytes(bytes(9))
    read = read_annotations(tmp_path)
    assert [record.id for record in read.subsets["training"]] == ["a"]
    assert "left out, without a column 'label': '0', '1', 'b'" in caplog.text


def test_a_measurement_is_no_label(tmp_path):
    values = np.random.default_rng(0).normal(size=2000)
    message = error_of(folder(tmp_path, a=table(list(values))))
    assert "column 'label' has 2,000 different values; wanted labels" in message


@pytest.mark.parametrize(
    ("background", "label", "name"),
    [
        ("0.000e+00", "1.000e+00", "1"), ("0.0000", "1.5000", "1.5"), ("-0.0", "2.0", "2"),
        ("NA", "walk", "walk"), ("False", "true", "True"), ("0", "007", "007"),
    ],
)  # fmt: skip
def test_labels_are_the_same_whatever_program_wrote_them(tmp_path, background, label, name):
    read = read_annotations(folder(tmp_path, a=table([background] * 3 + [label] * 4)))
    assert spans_of(read) == {name: [3, 7]}


def test_a_gap_in_the_times_ends_a_span_unless_the_label_lasts_longer_on_either_side(tmp_path):
    times = np.r_[np.arange(5), 60 + np.arange(5)] / 10
    read = read_annotations(folder(tmp_path, a=table(["walk"] * 7 + ["sit"] * 3, times)))
    assert read.subsets["training"][0].spans.tolist() == [[0, 5], [60, 62], [62, 65]]
    # Gaps of 20 steps; the last 15 rows are fewer.
    times = np.r_[np.arange(50), np.arange(70, 100), np.arange(120, 135)] / 10
    for first, wanted in (
        ("walk", [[0, 100], [120, 135]]),
        ("sit", [[0, 50], [70, 100], [120, 135]]),
    ):
        table([first] * 50 + ["walk"] * 45, times).to_csv(tmp_path / "data/a.csv", index=False)
        assert read_annotations(tmp_path).subsets["training"][0].spans.tolist() == wanted


def test_the_same_gaps_in_reverse_end_the_same_spans(tmp_path):
    # Gaps of 25 and 12 steps around 20 rows, which last longer than the shorter gap alone.
    times = np.r_[np.arange(50), np.arange(75, 95), np.arange(107, 157)]
    folder(tmp_path, a=table(["walk"] * 120, times / 10))
    mirrored = tmp_path / "data/b.csv"
    table(["walk"] * 120, (156 - times[::-1]) / 10).to_csv(mirrored, index=False)
    records = read_annotations(tmp_path).subsets["training"]
    assert [record.spans.tolist() for record in records] == [[[0, 157]]] * 2


def test_labels_that_become_one_are_one_span(tmp_path):
    labels = ["fast", "slow", "", "slow", "slow"]
    folder(tmp_path, a=table(labels))
    read = read_annotations(tmp_path, label_map={"fast": "walk", "slow": "walk"})
    assert read.subsets["training"][0].spans.tolist() == [[0, 2], [3, 5]]
    table(["fast", "slow", ""]).to_csv(tmp_path / "data/a.csv", index=False)
    read = read_annotations(tmp_path, label_map={"fast": "walk", "slow": "walk"})
    assert (read.classes, spans_of(read)) == (["walk"], {"walk": [0, 2]})


@pytest.mark.parametrize("setting", [{"unit": "steps"}, {"ends": "inclusive"}])
def test_units_and_ends_are_not_for_labels_of_steps(tmp_path, setting):
    with pytest.raises(ValueError, match=f"data.{next(iter(setting))} is "):
        read_annotations(folder(tmp_path), **setting)


def test_a_text_has_a_label_on_each_line(tmp_path):
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data/a.npy", np.zeros((10, 2), np.float32))
    (tmp_path / "data/a.txt").write_text("\n".join(LABELS[:-1]) + "\n\n")
    for options in ({}, {"feature_stride": 8, "feature_window": 16}):  # the latter of videos
        assert spans_of(read_annotations(tmp_path, format="lines", fps=25, **options)) == SPANS
    (tmp_path / "data/a.txt").write_text("walk\n" * 9)
    message = error_of(tmp_path, format="lines", fps=25)
    assert "a.txt: 9 labels; wanted one for each of the 10 rows of " in message


def test_a_text_of_numbers_may_be_the_recording_of_a_text_of_labels(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.txt").write_text("1 2\n" * 9)
    assert "there are no annotations" in error_of(tmp_path, format="lines", fps=25)
    (tmp_path / "a.txt").write_text("\n".join(LABELS[:-1]))
    assert spans_of(read_annotations(tmp_path, format="lines", fps=25)) == SPANS


def test_a_text_beside_irregular_times_has_a_label_on_each_line_for_each_row(tmp_path):
    times = np.delete(np.arange(13), [4, 5, 8]) / 10
    folder(tmp_path, a=table(times=times).drop(columns="label"))
    (tmp_path / "data/a.txt").write_text("\n".join(LABELS) + "\n")
    (tmp_path / "data/notes.txt").write_text("of the day")
    start, end = spans_of(read_annotations(tmp_path, format="lines"))["walk"]
    assert [start / 10, end / 10] == pytest.approx([times[3], times[7]], abs=0.01)


def test_an_array_may_have_a_label_for_each_step(caplog):
    signals = {name: np.zeros((10, 1)) for name in "abc"}
    spans = {"a": np.array(LABELS), "b": [(0.1, 0.4, "walk"), (0.5, 0.6, "0")], "c": LABELS}
    data = from_arrays(signals, spans, rate=10)
    assert spans_of(data.annotations) == spans_of(data.annotations, 2) == SPANS
    # What the labels of steps take for background, a list of spans does not.
    assert spans_of(data.annotations, 1)["walk"] == pytest.approx([1, 4])
    assert spans_of(data.annotations, 1)["0"] == pytest.approx([5, 6])
    message = "spans: 'b': 9 labels; wanted one for each of the 10 rows"
    with pytest.raises(ValueError, match=message):
        from_arrays(signals, {"b": np.array(LABELS[1:])}, rate=10)


def test_a_model_takes_new_recordings_without_the_column(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    data = AnnotatedData(folder(tmp_path, a=table(), b=table(), c=table()), val_share=0.3)
    data.setup()
    assert data.input.channels == ["x"]
    assert data.classes == ["sit", "walk"]
