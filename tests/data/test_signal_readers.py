"""Readers of recordings: the laws of all of them, on files that the libraries themselves wrote."""

import os
import pickle
import sys
import time
import warnings
import wave

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import soundfile
from recordings import edf

from spanloc.data.signals import SUFFIXES, ArraySignal, Signal, find_signal, open_signal

STEPS, RATE, NAMES, UNITS = 3000, 250.0, ("EEG Fz", "EMG"), ("uV", "mV")
VALUES = np.random.default_rng(0).uniform(-0.9, 0.9, (STEPS, 2))
TIMES = np.arange(STEPS) / RATE


TABLE = pd.DataFrame(VALUES, columns=NAMES)
TABLE.insert(1, "time", TIMES)


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("night/eeg", data=VALUES, chunks=(512, 2), compression="gzip")
        data.attrs["fs"], data.attrs["channels"], data.attrs["units"] = RATE, NAMES, UNITS
        file["note"] = "text"


def write_audio(path):
    soundfile.write(path, VALUES, int(RATE))


def write_edf(path):
    channels = ((RATE, values, unit) for values, unit in zip(VALUES.T, UNITS, strict=True))
    edf(path, dict(zip(NAMES, channels, strict=True)), [(1, 2, "spindle")])


def write_wfdb(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It uses pandas in a way that ends with pandas 4.
        import wfdb

        wfdb.wrsamp(
            path.stem, fs=RATE, units=list(UNITS), sig_name=list(NAMES), p_signal=VALUES,
            fmt=["16", "16"], write_dir=str(path.parent),
        )  # fmt: skip


WRITERS = {
    ".npy": lambda path: np.save(path, VALUES),
    ".npz": lambda path: np.savez_compressed(path, signal=VALUES),
    ".mat": lambda path: scipy.io.savemat(path, {"signal": VALUES, "fs": RATE}),
    ".csv": lambda path: TABLE.to_csv(path, index=False),
    ".tsv": lambda path: TABLE.to_csv(path, index=False, sep="\t"),
    ".txt": lambda path: TABLE.to_csv(path, index=False, sep=";"),
    ".parquet": lambda path: TABLE.to_parquet(path, index=False, row_group_size=700),
    ".h5": write_hdf5, ".hdf5": write_hdf5, ".wav": write_audio, ".flac": write_audio,
    ".edf": write_edf, ".bdf": write_edf, ".hea": write_wfdb,
}  # fmt: skip
# What the file does not hold.
NO_RATE, NO_NAMES = (".npy", ".npz"), (".npy", ".npz", ".mat", ".wav", ".flac")
EXTRAS = {
    ".h5": ("h5py", "hdf5"), ".hdf5": ("h5py", "hdf5"), ".wav": ("soundfile", "audio"),
    ".flac": ("soundfile", "audio"), ".edf": ("edfio", "edf"), ".bdf": ("edfio", "edf"),
    ".hea": ("wfdb", "wfdb"),
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals")
    for suffix, write in WRITERS.items():
        write(folder / f"{suffix[1:]}{suffix}")
    return {suffix: folder / f"{suffix[1:]}{suffix}" for suffix in WRITERS}


def read_all(path):
    signal = open_signal(path)
    return signal.read(0, signal.num_steps)


def open_files(folder):
    links = (os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd"))
    return [path for path in links if path.startswith(str(folder))]


every = pytest.mark.parametrize("suffix", SUFFIXES)


@every
def test_a_file_gives_back_what_was_written(written, suffix):
    signal = open_signal(written[suffix])
    assert isinstance(signal, Signal)
    assert signal.path == written[suffix]
    assert (signal.num_steps, signal.num_channels) == VALUES.shape
    found = signal.read(0, STEPS)
    assert found.shape == VALUES.shape
    # 16 bits from -1 to 1.
    assert np.abs(found - VALUES).max() < (4e-5 if suffix in EXTRAS else 1e-7)
    assert signal.rate == (None if suffix in NO_RATE else RATE)
    assert signal.channels == (None if suffix in NO_NAMES else NAMES)
    assert signal.units == (UNITS if suffix in (".h5", ".hdf5", ".edf", ".bdf", ".hea") else None)


@every
def test_any_stretch_is_that_of_the_whole(written, suffix):
    signal = open_signal(written[suffix])
    whole = np.array(signal.read(0, STEPS))
    rng = np.random.default_rng(1)
    ends = np.sort(rng.integers(0, STEPS + 1, (20, 2)), axis=1).tolist()
    edges = [[0, 0], [0, 1], [STEPS - 1, STEPS], [STEPS, STEPS], [699, 701], [700, 1400]]
    for first, last in [*ends, *edges]:
        found = signal.read(first, last)
        assert found.shape == (last - first, 2)
        assert np.array_equal(found, whole[first:last]), (first, last)


@every
def test_a_signal_pickles_small_and_leaves_no_file_open(written, suffix):
    signal = open_signal(written[suffix])
    signal.read(0, 10)
    content = pickle.dumps(signal)
    assert len(content) < 2000
    copy = pickle.loads(content)
    assert np.array_equal(copy.read(5, 900), open_signal(written[suffix]).read(5, 900))
    until = time.monotonic() + 5
    # A thread of Arrow's closes a table a moment later.
    while open_files(written[suffix].parent) and time.monotonic() < until:
        time.sleep(0.001)
    assert not open_files(written[suffix].parent)


@every
def test_a_damaged_file_is_one_line_with_its_name(written, suffix, tmp_path):
    content = written[suffix].read_bytes()
    rng = np.random.default_rng(2)
    noise = [b"", b"\0" * 40, b"PK\x03\x04" + b"x" * 99, rng.bytes(500)]
    noise.append(content[:100] + b"\xff\xfe" * 200)
    # A table of text cut in two is another; of a WFDB record the values are cut.
    if suffix not in (".csv", ".tsv", ".txt", ".hea"):
        noise += [content[: len(content) * 2 // 3], content[:-1]]
    path = tmp_path / f"bad name{suffix}"
    for bad in noise:
        path.write_bytes(bad)
        with pytest.raises((ValueError, OSError)) as error:
            read_all(path)
        text = str(error.value)
        assert text.startswith(str(path)), text
        assert len(text.splitlines()) == 1
        assert len(text) < 500
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"bad name.*: no such file"):
        open_signal(path)
    os.mkfifo(path)
    with pytest.raises(FileNotFoundError, match="not a regular file"):
        open_signal(path)


@every
def test_flipped_bytes_never_raise_anything_but_a_clear_error(written, suffix, tmp_path):
    content = written[suffix].read_bytes()
    rng = np.random.default_rng(3)
    path = tmp_path / f"flipped{suffix}"
    if suffix == ".hea":
        (tmp_path / "hea.dat").write_bytes(written[suffix].with_suffix(".dat").read_bytes())
    for _ in range(25):
        bad = bytearray(content)
        for place in rng.integers(0, min(len(bad), 1500), 3):
            bad[place] = rng.integers(256)
        path.write_bytes(bad)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                signal = open_signal(path)
                first = max(0, signal.num_steps - 100)
                assert signal.read(first, signal.num_steps).shape[1] == signal.num_channels
        except (ValueError, OSError) as error:
            assert str(error).startswith(str(path)), error  # noqa: PT017, it need not raise


@pytest.mark.parametrize("suffix", EXTRAS)
def test_a_missing_library_is_one_line_that_says_what_to_install(written, suffix, monkeypatch):
    name, extra = EXTRAS[suffix]
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError) as error:
        open_signal(written[suffix])
    wanted = f"{written[suffix]}: reading {suffix} needs {name}: pip install 'spanloc[{extra}]'"
    assert str(error.value).startswith(wanted)


def test_the_rate_that_is_given_stands_where_the_file_has_none_or_nearly_the_same(written):
    assert open_signal(written[".npy"], rate=50).rate == 50
    assert open_signal(written[".wav"], rate=250.1).rate == 250.1
    with pytest.raises(ValueError, match=r"wav\.wav: rate is 250 in the file; wanted 50"):
        open_signal(written[".wav"], rate=50)
    with pytest.raises(ValueError, match="rate is 0; wanted a number above 0"):
        open_signal(written[".npy"], rate=0)


def test_an_unknown_suffix_names_those_that_are_known(tmp_path):
    with pytest.raises(ValueError, match=r"x\.abc: suffix is '\.abc'; wanted one of \.npy, \.npz"):
        open_signal(tmp_path / "x.abc")


def test_a_wfdb_record_opens_without_a_suffix(written):
    path = written[".hea"].with_suffix("")
    assert np.array_equal(open_signal(path).read(0, 9), open_signal(written[".hea"]).read(0, 9))


def test_a_key_chooses_among_arrays(tmp_path):
    np.savez(tmp_path / "two.npz", a=np.zeros((4, 2)), b=np.ones(5))
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["g/a"], file["g/b"], file["text"] = np.zeros((4, 2)), np.ones(5), "x"
    for name, a, b in (("two.npz", "a", "b"), ("two.h5", "g/a", "/g/b")):
        signal = open_signal(tmp_path / name, key=b)
        assert (signal.num_steps, signal.num_channels) == (5, 1)
        assert np.array_equal(signal.read(1, 3), np.ones((2, 1)))
        with pytest.raises(ValueError, match=rf"{name}: holds 2 .*: '{a}', .*; set data.key to"):
            open_signal(tmp_path / name)
        with pytest.raises(ValueError, match=rf"{name}: has no .* 'c'; it has '{a}', "):
            open_signal(tmp_path / name, key="c")
    np.save(tmp_path / "one.npy", np.zeros(3))
    assert open_signal(tmp_path / "one.npy").read(0, 3).shape == (3, 1)
    with pytest.raises(ValueError, match="key is 'a'"):
        open_signal(tmp_path / "one.npy", key="a")


def test_an_array_in_memory_is_a_signal():
    signal = ArraySignal(VALUES, 250, NAMES, UNITS, "night")
    assert isinstance(signal, Signal)
    assert (str(signal.path), signal.rate, signal.channels) == ("night", 250.0, NAMES)
    assert np.array_equal(pickle.loads(pickle.dumps(signal)).read(3, 9), VALUES[3:9])
    assert ArraySignal(np.arange(4)).read(1, 3).shape == (2, 1)
    for bad, said in (
        ((np.zeros((2, 2, 2)),), r"night: shape is \(2, 2, 2\)"),
        ((np.zeros((0, 2)),), "at least one step"),
        ((np.zeros(3, complex),), "dtype is complex128"),
        ((np.zeros(3), 0.0), "rate is 0.0"),
        ((np.zeros(3), 1.0, ("a", "b")), "channels has 2 names; the array has 1"),
    ):
        with pytest.raises(ValueError, match=said):
            ArraySignal(*bad, name="night")


def test_a_signal_is_found_by_name_once(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.1.npy", "sub/b.WAV", "c.csv", "c.hea", "d.abc", "e.txt", "e.TXT"):
        (tmp_path / name).touch()
    assert find_signal(tmp_path, "a.1") == tmp_path / "a.1.npy"
    assert find_signal(tmp_path, "sub/b") == tmp_path / "sub" / "b.WAV"
    # As on a disk where capital letters do not count.
    (tmp_path / "sub" / "b.wav").hardlink_to(tmp_path / "sub" / "b.WAV")
    assert find_signal(tmp_path, "sub/b") == tmp_path / "sub" / "b.wav"
    for name, said in (("c", r"c\.csv: there is also .*c\.hea"), ("e", r"e\.txt: there .*e\.TXT")):
        with pytest.raises(ValueError, match=said):
            find_signal(tmp_path, name)
    with pytest.raises(FileNotFoundError, match=r"/d: no such file with one of \.npy"):
        find_signal(tmp_path, "d")
    for bad in ("../x", "", "a\0", "/etc/passwd"):
        with pytest.raises(ValueError, match="is not the name of a recording in it"):
            find_signal(tmp_path, bad)


def test_a_real_song_is_read(real_data):
    (path,) = (real_data / "formats" / "wav").glob("*.wav")
    with wave.open(str(path)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 2**15
    signal = open_signal(path)
    assert (signal.rate, signal.num_steps, signal.num_channels) == (32000, len(sound), 1)
    assert np.array_equal(signal.read(1000, 9000)[:, 0], sound[1000:9000].astype(np.float32))
