"""Data from memory."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import unchecked

from spanloc.data import from_arrays, from_dataset

ROWS = [("a", 0.5, 1.0, "walk"), ("b", 1.0, 4.0, "sit")]
COLUMNS = ["sequence", "start", "end", "label"]


def signals(*names, steps=500):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(steps, 3)) for name in names}


SPANS = {
    "lists": {"a": [(0.5, 1.0, "walk")], "b": np.array([[1.0, 4.0, "sit"]], object)},
    "pandas": pd.DataFrame(ROWS, columns=COLUMNS),
    "polars": pl.DataFrame(ROWS, schema=COLUMNS, orient="row"),
    "arrow": pl.DataFrame(ROWS, schema=COLUMNS, orient="row").to_arrow(),
    "rows": [dict(zip(COLUMNS, row, strict=True)) for row in ROWS],
}


def records(data):
    return {r.id: r for part in data.annotations.subsets.values() for r in part}


@pytest.mark.parametrize("kind", SPANS)
def test_spans_of_any_kind_give_the_same(kind):
    data = from_arrays(signals("a", "b", "c"), SPANS[kind], rate=50)
    found = records(data)
    assert data.annotations.classes == ["sit", "walk"]
    assert {name: r.spans.tolist() for name, r in found.items()} == {
        "a": [[25, 50]], "b": [[50, 200]], "c": [],
    }  # fmt: skip
    assert found["a"].labels.tolist() == [1]
    assert found["a"].timeline.seconds_per_step == 1 / 50


@pytest.mark.parametrize(
    ("spans", "overlapping"),
    [
        ([(0, 10), (10, 20), (30, 40)], False),
        ([(10.6, 20), (0, 12)], False),  # no more than rounding
        ([(0, 12), (20, 30), (9, 15)], True),
        ([(0, 30), (5, 10), (20, 25)], True),
        ([(4, 5), (4, 5.2)], True),
        ([(0, 30), (7, 8)], True),
    ],
)
def test_spans_overlap_when_they_share_more_than_rounding(spans, overlapping):
    def facts(labels, **options):
        rows = {"b": [(*span, label) for span, label in zip(spans, labels, strict=True)]}
        options |= {"val_share": 0.0, "test_share": 0.0}
        data = from_arrays(signals("a", "b"), {"a": [(9, 14, "x")], **rows}, rate=1, **options)
        data.setup("fit")
        return data.facts()

    assert facts(["x", "y", "x"][: len(spans)]).overlapping is overlapping
    labels = ["x", "?", "?"][: len(spans)]
    assert facts(labels, unknown=["?"]).overlapping is False


def test_the_data_are_those_of_a_model():
    arrays = signals("a", "b", "c", "d")
    subsets = {"c": "validation", "d": "testing"}
    data = from_arrays(
        arrays, {name: [(1, 2)] for name in arrays}, rate=50, subsets=subsets,
        subjects={"a": "ann"}, channels=["x", "y", "z"], batch_size=2, label_map={"span": "event"},
    )  # fmt: skip
    data.setup("fit")
    assert data.classes == ["event"]
    assert records(data)["a"].subject == "ann"
    assert [r.id for r in data.annotations.subsets["testing"]] == ["d"]
    batch = next(iter(data.train_dataloader()))
    assert sorted(batch.ids) == ["a", "b"]
    place = batch.ids.index("a")
    np.testing.assert_allclose(batch.features[place], arrays["a"].T.astype(np.float32))
    assert records(data)["a"].signal.channels == ("x", "y", "z")


def test_options_say_what_the_numbers_mean():
    options = {"unit": "steps", "ends": "inclusive", "first_index": 1}
    data = from_arrays(signals("a"), {"a": [(1, 5, "x")]}, rate=50, **options)
    assert records(data)["a"].spans.tolist() == [[0, 5]]
    found = []
    rates = {"a": 50, "b": 100}
    spans = {"a": [(9, 11, "x")], "b": [(1, 2, "x")]}
    data = from_arrays(signals("a", "b"), spans, rate=rates, bad_spans="clip", found=found)
    assert records(data)["a"].spans.tolist() == [[450, 500]]
    assert records(data)["b"].spans.tolist() == [[100, 200]]
    assert [bad.kind for bad in found] == ["past the end"]


def test_features_of_videos_have_the_rate_of_the_frames():
    arrays = {"v": np.zeros((12, 3))}
    for rate in (30, {"v": 30}):
        data = from_arrays(
            arrays, {"v": [(8 / 30, 16 / 30, "x")]}, rate=rate, feature_stride=4, feature_window=16
        )
        np.testing.assert_allclose(records(data)["v"].spans, [[0.5, 2.5]], atol=1e-5)
        assert records(data)["v"].signal.rate is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spans": {"A": [(1, 2)]}}, "spans: there is no signal 'A'; there are 'a'"),
        ({"subsets": {"aa": "testing"}}, "subsets: there is no signal 'aa'; did you mean 'a'?"),
        ({"subsets": {"a": "dev"}}, "subset is 'dev'; wanted one of training"),
        ({"spans": {"a": [(1,)]}}, "spans: 'a': [0] is (1,); wanted (start, end, label)"),
        (
            {"spans": {"a": [3]}},
            "wanted one for each of the 500 rows of a; or spans: [(start, end, label), ...]",
        ),
        ({"spans": [(1, 2)]}, "spans: row 0 is (1, 2); wanted lists by id, or rows with columns"),
        (
            {"spans": pd.DataFrame({"sequence": ["a"]})},
            "there are no columns 'start' and 'end'; found 'sequence'",
        ),
        ({"signals": {}, "spans": {}}, "signals: there are none"),
        ({"signals": [np.zeros((9, 2))]}, "signals is a list; wanted arrays by id"),
        ({"signals": {0: np.zeros((9, 2))}}, "signals: the id 0 is no text; wanted '0'"),
        ({"rate": {"b": 1}}, "rate: there is none of 'a'"),
        ({"val_share": 2}, "val_share is 2"),
        ({"bath_size": 3}, "bath_size: there is no such setting; did you mean 'batch_size'?"),
        (
            {"spans": {"a": [(20, 50)]}, "rate": 10, "signals": signals("a", steps=300)},
            "wanted 0 <= start < end <= duration (30.0); in steps? unit='steps'",
        ),
        ({"spans": {"a": [(9, 11)]}}, "duration (10.0); bad_spans='clip' cuts off what is outside"),
        (
            {"spans": {"a": [(9, 500)]}, "unit": "steps", "ends": "inclusive"},
            "span is [9.0, 500.0] (steps); wanted 0 <= start <= end <= 499; bad_spans='clip'",
        ),
        ({"tier": "x"}, "tier: that is for files"),
    ],
)
def test_a_mistake_is_named(arguments, message):
    usual = {"signals": signals("a"), "spans": {"a": [(1, 2)]}, "rate": 50}
    with unchecked(), pytest.raises(ValueError) as caught:
        from_arrays(**(usual | arguments))
    assert message in str(caught.value)
    assert "data." not in str(caught.value)
    assert str(caught.value).isprintable()


def test_columns_of_other_names_are_read_as_the_message_about_them_says():
    table = pd.DataFrame(ROWS, columns=["file", "onset", "offset", "label"])
    with pytest.raises(ValueError, match="set 'columns={sequence: file, start: onset, end: offset"):
        from_arrays(signals("a", "b"), table, rate=50)
    columns = {"sequence": "file", "start": "onset", "end": "offset"}
    data = from_arrays(signals("a", "b"), table, rate=50, columns=columns)
    assert records(data)["b"].spans.tolist() == [[50, 200]]


def test_spans_that_are_clipped_or_lacking_are_notes():
    spans = {"a": [(20, 50, "x"), (1, 2, "x")], "b": [(25, 28, "x")]}
    arrays = signals("a", "b", "c", steps=300)
    data = from_arrays(arrays, spans, rate=10, bad_spans="clip")
    clipped, lacking = data.notes
    assert clipped.startswith(
        "1 bad span clipped or dropped; the first: spans: sequence 'a': row 0: "
    )
    assert lacking.startswith("not in spans, and taken as sequences without any: 1 of 3 signals")
    data = from_arrays(arrays, {name: [(20, 50)] for name in arrays}, rate=10, bad_spans="clip")
    assert data.notes[0].startswith("3 bad spans")
    assert data.notes[0].endswith("(30.0); in steps? unit='steps'")
    assert not from_arrays(arrays, {name: [] for name in arrays}, rate=10).notes


def rows(**change):
    features = np.zeros((500, 3)).tolist()
    usual = {
        "id": "a", "features": features, "spans": [{"start": 0.5, "end": 1.0, "label": "walk"}],
        "subset": "training", "hz": 50,
    }  # fmt: skip
    other = {"id": "b", "features": features, "spans": [], "subset": "testing", "hz": 50}
    return [usual | change, other]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"spans": {"start": [0.5], "end": [1.0], "label": ["walk"]}},
        {"spans": [(0.5, 1.0, "walk")]},
        {"spans": [[0.5, 1.0]], "names": ["walk"]},
    ],
)
def test_rows_of_a_data_set_give_the_same_in_every_form_of_spans(change):
    labels = "names" if "names" in change else None
    made = rows(**change)
    made[1]["names"] = []
    data = from_dataset(made, rate="hz", labels=labels)
    found = records(data)
    assert data.annotations.classes == ["walk"]
    assert found["a"].spans.tolist() == [[25, 50]]
    assert (found["b"].subset, len(found["b"].spans)) == ("testing", 0)


def test_splits_of_a_data_set_are_its_subsets():
    first, second = rows(subset=None)
    data = from_dataset({"train": [first], "test": [second]}, rate=50)
    assert {r.id: r.subset for r in records(data).values()} == {"a": "training", "b": "testing"}
    with pytest.raises(ValueError, match="there is a split 'dev'; wanted train, validation, test"):
        from_dataset({"dev": [first]}, rate=50)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"spans": "span"}, "row 0: there is no column 'span'; did you mean 'spans'?"),
        ({}, {"rate": "fps"}, "row 0: there is no column 'fps'; there are 'id', 'features'"),
        ({"id": "b"}, {}, "row 1: id is 'b', as in a row before"),
        ({"spans": [{"start": 1}]}, {}, "row 0: spans: [0] is {'start': 1}; wanted start and end"),
        ({"spans": {"start": [1]}}, {}, "row 0: spans: wanted lists start, end and label"),
        ({"spans": [(1, 2)], "names": []}, {"labels": "names"}, "1 spans and 0 labels; wanted one"),
        ({"features": [["x"]]}, {}, "signals: 'a': "),
        ({"subset": "dev"}, {}, "subset is 'dev'; wanted one of training"),
    ],
)
def test_a_mistake_in_a_row_is_named(change, options, message):
    with pytest.raises(ValueError) as caught:
        from_dataset(rows(**change), **({"rate": 50} | options))
    assert message in str(caught.value)
