"""Files that hold something else than a reader expects, by mistake or on purpose."""

import io
import pickle
import zipfile

import h5py
import numpy as np
import pytest
import recordings
import soundfile

from spanloc.data.signals import open_signal, reading


class Evil:
    def __reduce__(self):
        raise AssertionError("a pickle was opened")


def read_all(path):
    signal = open_signal(path)
    return signal.read(0, signal.num_steps)


def refused(path, said, place=None):
    with pytest.raises((ValueError, OSError)) as error:
        read_all(path)
    text = str(error.value)
    assert text.startswith(str(place or path)), text
    assert said in text
    assert len(text.splitlines()) == 1


def npz(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def header(shape, dtype="<f4"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"shape": shape, "fortran_order": False, "descr": dtype}
    )
    return file.getvalue()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 2), complex), "dtype is complex128; wanted float32"),
        (np.array(["a", "b"]), "dtype is <U1"),
        (np.zeros((3, 2), bool), "dtype is bool; wanted float32"),
        (np.zeros((2, 2, 2)), "shape is (2, 2, 2); wanted (steps, channels)"),
        (np.zeros((0, 2)), "shape is (0, 2); wanted at least one step"),
        (np.zeros((4, 0)), "shape is (4, 0)"),
    ],
)
def test_an_array_that_is_no_signal_is_refused_in_every_container(tmp_path, array, said):
    np.save(tmp_path / "x.npy", array)
    refused(tmp_path / "x.npy", said)
    np.savez(tmp_path / "x.npz", a=array)
    refused(tmp_path / "x.npz", f"array 'a': {said}")
    if array.dtype.kind in "Ub":
        return
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = array
    refused(tmp_path / "x.h5", f"data set 'a': {said}")


def test_no_pickle_is_opened(tmp_path):
    objects = io.BytesIO()
    np.lib.format.write_array(objects, np.array([None, "x"], object))
    for name, content in (("x.npy", objects.getvalue()), ("y.npz", pickle.dumps([1, 2]))):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, "not a")
    npz(tmp_path / "z.npz", a=objects.getvalue())
    refused(tmp_path / "z.npz", "dtype is object")


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((2**30, 3), "<f4", "(its header says the shape (1073741824, 3) of float32; 80 bytes follow)"),
        ((2**62, 4), "<f4", "of float32; 80 bytes follow)"),
        ((-1, 2), "<f4", "its header says the shape (-1, 2)"),
        ((11, 2), "<f4", "its header says the shape (11, 2) of float32; 80 bytes follow"),
        ((10, 2), "|O", "(dtype is object; wanted float32)"),
        ((10,), [("a", "<f4"), ("b", "<f4")], "dtype is [('a', '<f4'), ('b', '<f4')]; wanted"),
        ((), "<f4", "shape is (); wanted (steps, channels)"),
    ],
)  # fmt: skip
def test_a_header_of_numpy_that_lies_is_quoted(tmp_path, shape, dtype, said):
    (tmp_path / "x.npy").write_bytes(header(shape, dtype) + b"\0" * 80)
    refused(tmp_path / "x.npy", said)


def test_whole_numbers_and_24_bits_are_read(tmp_path):
    values = np.array([[-(2**15), 2**15 - 1], [0, 1]], np.int16)
    np.save(tmp_path / "x.npy", values)
    np.savez(tmp_path / "x.npz", values)
    for name in ("x.npy", "x.npz"):
        assert np.array_equal(read_all(tmp_path / name), values)
    sound = np.array([-(2**23), -1, 0, 1, 2**23 - 1]) / 2**23
    soundfile.write(tmp_path / "x.wav", sound, 8000, subtype="PCM_24")
    assert np.array_equal(read_all(tmp_path / "x.wav")[:, 0], sound.astype(np.float32))


def test_an_archive_that_says_more_than_it_holds_is_refused(tmp_path):
    npz(tmp_path / "x.npz", a=header((10**8, 2)) + b"\0" * 80)
    refused(tmp_path / "x.npz", "not all of it is there")
    npz(tmp_path / "x.npz", a=header((10**12, 2)))
    refused(tmp_path / "x.npz", "GiB of memory to read; wanted at most 2; save it as .npy")
    npz(tmp_path / "x.npz")
    refused(tmp_path / "x.npz", "holds no array of numbers")


def test_a_data_set_of_hdf5_must_be_written_and_lie_in_the_file(tmp_path, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 800)
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (100,), "f8", external=[(str(secret), 0, 800)])
    refused(path, "data set 'a': its values lie in other files")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = np.zeros(9)
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout((9,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "a", (9,))
        file.create_virtual_dataset("a", layout)
    refused(path, "data set 'a': its values lie in other files")
    with h5py.File(path, "w") as file:
        file["a"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "a")
    refused(path, "holds no data set of numbers")
    with h5py.File(path, "w") as file:
        data = file.create_dataset("a", (10**7, 4), "f4", chunks=(1000, 4), compression="gzip")
        data[:1000] = np.random.default_rng(0).normal(size=(1000, 4))
    refused(path, "but not all is written")
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.zeros((2000, 2)), chunks=(2000, 2), compression="gzip")
    assert open_signal(path).num_steps == 2000
    monkeypatch.setattr(reading, "MOST_BYTES", 31999)
    refused(path, "write it with smaller chunks")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("fs", "fast", "rate is nan; wanted a number above 0"),
        ("rate", 0.0, "rate is 0.0"),
        ("sampling_rate", [1.0, 2.0], "rate is nan"),
        ("channels", ["a"], "attribute 'channels' has 1 entries; wanted 2"),
    ],
)
def test_attributes_of_hdf5_that_cannot_be_are_refused(tmp_path, name, value, said):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = np.zeros((9, 2))
        file["a"].attrs[name] = value
    refused(tmp_path / "x.h5", said)


def edf(path, write=None):
    channels = {name: (100, np.arange(1000) % 50) for name in ("S0", "S1")}
    recordings.edf(path, channels, [(0, 1, "x")], limits=(0, 50))
    content = bytearray(path.read_bytes())
    for place, text in (write or {}).items():
        content[place : place + len(text)] = text
    path.write_bytes(content)
    return path


def test_an_edf_file_that_is_shorter_than_its_header_says_is_refused(tmp_path):
    path = edf(tmp_path / "x.edf")
    path.write_bytes(path.read_bytes()[:-5])
    refused(path, "announces 10 blocks of data, it has 9; copy it again")
    # A recorder that crashed wrote -1.
    content = bytearray(path.read_bytes())
    content[236:244] = b"-1      "
    path.write_bytes(content)
    signal = open_signal(path)
    assert signal.num_steps == 900
    assert np.abs(signal.read(0, 900)[:, 0] - np.arange(900) % 50).max() < 1e-3


@pytest.mark.parametrize(
    ("place", "text", "said"),
    [
        (236, b"0       ", "has 0 records; wanted at least one"),
        (236, b"-5      ", "has -5 records; wanted at least one"),
        (236, b"99999999", "announces 99999999 blocks of data, it has 10; copy"),
        (244, b"0       ", "not an EDF file, or not all of it (its records last 0 s)"),
        (244, b"nan     ", "(its records last nan s)"),
        (244, b"1e99    ", "rate is 1e-97; wanted a number above 0"),
        (252, b"9999", "(the header has another length than it says)"),
    ],
)
def test_a_header_of_edf_that_lies_is_quoted(tmp_path, place, text, said):
    refused(edf(tmp_path / "x.edf", write={place: text}), said)


def test_an_edf_file_that_ends_in_its_header_says_so(tmp_path):
    path = edf(tmp_path / "x.edf")
    content = path.read_bytes()
    for length, said in (
        (0, "the file is empty (0 bytes)"),
        (255, "(255 bytes, where a header has"),
        (256, "(it ends within its header, which says 1024 bytes)"),
        (1023, "(it ends within its header"),
        (1024, "announces 10 blocks of data, it has 0; "),
    ):
        path.write_bytes(content[:length])
        refused(path, said)


def test_an_edf_file_without_signals_or_with_gaps_is_refused(tmp_path):
    recordings.edf(tmp_path / "x.edf", {}, [(0, 1, "x")])
    refused(tmp_path / "x.edf", "holds annotations only; wanted signals")
    # Marked as one with gaps, of which it has none.
    path = edf(tmp_path / "x.edf", write={192: b"EDF+D"})
    assert open_signal(path).num_steps == 1000
    content = path.read_bytes()
    # The sixth record begins a second late.
    assert content.count(b"+5\x14\x14") == 1
    path.write_bytes(content.replace(b"+5\x14\x14", b"+6\x14\x14"))
    refused(path, "the recording has gaps (EDF+D); wanted one stretch")


def test_labels_of_edf_that_are_not_ascii_are_one_line(tmp_path):
    path = edf(tmp_path / "x.edf", write={256: "Temp °C".encode("latin-1")})
    assert open_signal(path).channels[0].startswith("Temp")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x 1 100 10\n/etc/passwd 16 1/mV 16 0 0 0 0 I\n", "invalid syntax"),
        ("x 1 100 10\n../x.dat 16 1/mV 16 0 0 0 0 I\n", "invalid syntax"),
        ("x 1 100 10\ns3::y.dat 16 1/mV 16 0 0 0 0 I\n", "invalid syntax"),
        ("x 1 100 10\ny.dat 16 1/mV 16 0 0 0 0 I\n", "no such file"),
        ("x/2 1 100 10\na 5\nb 5\n", "a record of several segments"),
        ("x 1 100 10\nx.dat 16x0 1/mV 16 0 0 0 0 I\n", "its frames hold nothing"),
        ("x 1 100 1000000000\nx.dat 16 1/mV 16 0 0 0 0 I\n", "not a WFDB record, or not all of it"),
        ("x 2 100 10\nx.dat 16 1/mV 16 0 0 0 0 I\n", "does not have the signals that it says"),
        ("x 0 100 10\n", "does not have the signals that it says"),
        ("x 1 100\nx.dat 16 1/mV 16 0 0 0 0 I\n", "does not say how many samples"),
        ("\n", "not a WFDB record"),
    ],
)
def test_a_wfdb_header_names_files_beside_it_that_are_there(tmp_path, text, said):
    (tmp_path / "x.dat").write_bytes(b"\1\0" * 100)
    (tmp_path / "x.hea").write_text(text)
    refused(tmp_path / "x.hea", said, tmp_path)


def test_audio_that_ends_early_is_refused_and_that_of_a_stream_is_not(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(1000), 8000)
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    path.write_bytes(content[:-200])
    refused(path, "ends too early: 1800 bytes of sound; its header says 2000")
    content[place : place + 4] = b"\xff" * 4
    path.write_bytes(content)
    assert open_signal(path).num_steps == 1000
