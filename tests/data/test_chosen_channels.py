"""Channels chosen when a file is opened: the others need not be readable, in every kind of file."""

import decimal
import json
import pickle
from unicodedata import normalize

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from spanloc.data import AnnotatedData, read_annotations
from spanloc.data.inputs import in_order, signal_of
from spanloc.data.signals import ArraySignal, NpySignal, open_signal
from spanloc.data.signals.channels import some_channels
from spanloc.data.uniform import uniform
from spanloc.facts import InputFacts

ROWS = 20
X, Y = np.arange(ROWS) / 8, np.arange(ROWS) % 3 - 1.0
TEXTS = ["walk", "sit"] * (ROWS // 2)
TABLE = pd.DataFrame({"time": np.arange(ROWS) / 50, "x": X, "label": TEXTS, "y": Y})


def write_hdf5(path):
    kinds = [("time", "f8"), ("x", "f4"), ("label", h5py.string_dtype()), ("y", "i2")]
    with h5py.File(path, "w") as file:
        file["night/table"] = np.array([*TABLE.itertuples(index=False)], np.dtype(kinds))


WRITERS = {
    ".csv": lambda path: TABLE.to_csv(path, index=False, sep=";"),
    ".parquet": lambda path: TABLE.to_parquet(path, index=False, row_group_size=7),
    ".h5": write_hdf5,
}
tables = pytest.mark.parametrize("suffix", WRITERS)


@pytest.fixture
def path(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    WRITERS[suffix](path)
    return path


@tables
@pytest.mark.parametrize("channels", [["y", "x"], [2, 0], ["y", 0]])
def test_columns_of_numbers_are_read_beside_text(path, channels):
    signal = open_signal(path, channels=channels)
    assert (signal.num_steps, signal.channels, signal.rate) == (ROWS, ("y", "x"), 50)
    assert np.array_equal(signal.read(0, ROWS), np.stack([Y, X], axis=1))
    copy = pickle.loads(pickle.dumps(signal))
    assert np.array_equal(copy.read(5, 16), np.stack([Y, X], axis=1)[5:16])
    assert open_signal(path, channels=channels, rate=49.9).rate == 49.9
    # What is kept in memory is that of one choice.
    other = open_signal(path, channels=["x"])
    assert np.array_equal(other.read(0, ROWS)[:, 0], X)
    assert np.array_equal(signal.read(0, ROWS)[:, 0], Y)


@pytest.mark.parametrize(("own", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_channels_are_found_whichever_spelling_of_accents_they_have(own, other):
    names = ["é", "ü", "x"]
    signal = ArraySignal(np.eye(3), channels=[normalize(own, name) for name in names])
    wanted = [normalize(other, name) for name in names[1::-1]]
    assert some_channels(signal, wanted).read(0, 1).tolist() == [[0, 1]]
    chosen, left = in_order(signal, InputFacts(2, channels=wanted))
    assert (chosen.read(0, 1).tolist(), left) == ([[0, 1]], ["x"])


@tables
def test_text_is_one_error_that_names_the_columns_and_the_way_out(path):
    with pytest.raises(ValueError, match=r"column 'label' holds .*(text|string)") as caught:
        open_signal(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).endswith("wanted numbers: choose others with data.channels")
    with pytest.raises(ValueError, match="column 'label' holds"):
        open_signal(path, channels=["label", "x"])
    with pytest.raises(ValueError, match="has no channel 'time'; it has 'x', 'label', 'y'$"):
        open_signal(path, channels=["time"])


@pytest.mark.parametrize("array", [X, np.stack([X, Y], 1).astype(np.int16)])
def test_arrays_without_names_are_chosen_by_number(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    count = 1 if array.ndim == 1 else 2
    signal = open_signal(tmp_path / "x.npy", channels=[count - 1])
    assert np.array_equal(signal.read(2, 9), array.reshape(ROWS, -1)[2:9, count - 1 :])
    # All of them in their order are the array itself, which needs no copy.
    assert isinstance(open_signal(tmp_path / "x.npy", channels=[*range(count)]), NpySignal)
    with pytest.raises(ValueError, match=f"no channel 'x'; its {count} channels have no names"):
        open_signal(tmp_path / "x.npy", channels=["x"])


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ("x", "data.channels is 'x'; wanted a list"), ([], r"data.channels is \[\]; wanted a list"),
        ([True], "has no channel True"), ([-1], "has no channel -1"),
        (["x", 0], "data.channels names channel 0 twice"),
    ],
)  # fmt: skip
@tables
def test_what_is_no_choice_is_refused(path, channels, said):
    with pytest.raises(ValueError, match=said):
        open_signal(path, channels=channels)


def test_a_table_in_hdf5_may_lie_beside_an_array(tmp_path):
    path = tmp_path / "x.h5"
    write_hdf5(path)
    with h5py.File(path, "a") as file:
        file["eeg"] = np.ones((5, 2))
    assert open_signal(path).num_steps == 5
    assert open_signal(path, key="night/table", channels=["x"]).num_steps == ROWS
    with h5py.File(path, "w") as file:
        file["t"] = np.array([("a", 1.0)], [("time", "S1"), ("x", "f4")])
    with pytest.raises(ValueError, match=r"column 'time' holds text; wanted seconds"):
        open_signal(path)
    assert open_signal(path, rate=5).read(0, 1).tolist() == [[1]]


def test_decimal_numbers_of_databases_are_numbers(tmp_path):
    columns = {"x": [decimal.Decimal("1.25"), None], "n": pa.nulls(2)}
    parquet.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="column 'n' holds null; wanted numbers: choose others"):
        open_signal(tmp_path / "x.parquet")
    found = open_signal(tmp_path / "x.parquet", channels=["x"]).read(0, 2)
    assert np.array_equal(found, [[1.25], [np.nan]], equal_nan=True)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("a", "b"):
        for suffix in (".csv", ".parquet"):
            WRITERS[suffix](tmp_path / "data" / f"{name}{suffix[1]}{suffix}")
    rows = "".join(f"{name},0.1,0.2,walk\n" for name in ("ac", "ap", "bc", "bp"))
    (tmp_path / "annotations.csv").write_text(f"sequence,start,end,label\n{rows}")
    return tmp_path


def test_a_folder_with_text_columns_is_read_with_the_channels_that_are_wanted(root):
    with pytest.raises(ValueError, match="column 'label' holds"):
        AnnotatedData(root).setup()
    for channels in (["x", "y"], [0, 2]):
        data = AnnotatedData(root, channels=channels)
        data.setup()
        assert data.num_channels == 2
        shown = ", ".join(f"'{channel}'" for channel in channels)
        more = "; not used: 'label'" if channels == ["x", "y"] else ""
        assert data.notes[0] == f"channels used: {shown} (in all 4 recordings){more}"
        assert data.statistics()[0].tolist() == pytest.approx([X.mean(), Y.mean()])
    refused = []
    found = read_annotations(root, refused=refused)
    assert len(refused) == 4
    assert not any(found.subsets.values())
    with pytest.raises(ValueError, match=r"data.channels is 'x'; wanted a list: 'data.channels="):
        read_annotations(root, channels="x")


def test_arrays_on_their_side_are_refused_where_that_is_certain(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 9000), np.float32))
    wanted = r"x\.npy: shape is \(3, 9000\); wanted \(steps, channels\): .* so save its transpose"
    with pytest.raises(ValueError, match=wanted):
        open_signal(tmp_path / "x.npy")
    for shape in ((9000, 9000), (3, 4096)):
        np.save(tmp_path / "x.npy", np.zeros(shape, np.int8))
        assert open_signal(tmp_path / "x.npy").num_channels == shape[1]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["eeg"] = np.zeros((3, 900))
        file["eeg"].attrs["channels"] = ["a", "b", "c"]
    with pytest.raises(ValueError, match=r"has 3 entries; wanted 900, .* transpose it"):
        open_signal(tmp_path / "x.h5")
    (tmp_path / "data").mkdir()
    database = {}
    for name, length in (("a", 900), ("b", 800)):
        np.save(tmp_path / "data" / f"{name}.npy", np.zeros((3, length)))
        database[name] = {"subset": "training", "fps": 1, "annotations": []}
    (tmp_path / "annotations.json").write_text(json.dumps({"database": database}))
    records = read_annotations(tmp_path).subsets["training"]
    with pytest.raises(ValueError, match=r"b\.npy: has 800 channels .*\(channels, steps\), transp"):
        uniform(records)


@pytest.mark.parametrize(
    "column", [["10:00", "10:01"], pd.to_datetime(["2024-05-31", "2024-06-01"])]
)
def test_a_column_of_a_data_frame_without_numbers_is_named(column):
    table = pd.DataFrame({"x": [1.0, 2.0], "n": [1, 2], "time": column})
    with pytest.raises(ValueError, match=r"column 'time' holds '.*'; wanted numbers: leave it out"):
        signal_of(table)
    assert signal_of(table[["x", "n"]]).channels == ("x", "n")
