"""Recordings in files of MATLAB."""

import re

import numpy as np
import pytest
import scipy.io

from spanloc.data.signals import find_signal, open_signal
from spanloc.data.signals.opening import recordings_among

VALUES = np.random.default_rng(0).uniform(-0.9, 0.9, (300, 2))


@pytest.mark.parametrize("lies", [False, True])
@pytest.mark.parametrize("kind", ["f8", "f4", "i2", "u1", "i8", "?"])
def test_the_longer_side_of_a_matrix_of_matlab_is_the_steps(tmp_path, kind, lies):
    values = (VALUES[:20] > 0).astype(kind)
    content = {"data": values.T if lies else values, "Fs": 250, "note": "x", "cells": {"a": values}}
    scipy.io.savemat(tmp_path / "x.mat", content)
    signal = open_signal(tmp_path / "x.mat")
    assert (signal.num_steps, signal.num_channels, signal.rate) == (*values.shape, 250)
    assert np.array_equal(signal.read(3, 7), values[3:7].astype(np.float32))


def test_a_file_of_matlab_that_cannot_be_read_says_why(tmp_path):
    path = tmp_path / "x.mat"
    for content, message in (
        ({"a": VALUES, "b": VALUES[:9]}, "x.mat: holds 2 arrays: 'a', 'b'; set data.key to one"),
        ({"s": {"a": VALUES}, "fs": 5.0}, "x.mat: holds no array of numbers; it has 's (struct)', 'fs (double)'"),
        ({"a": VALUES[None]}, "x.mat: array 'a': shape is "),
        ({"a": VALUES, "fs": 5, "Rate": 6}, "x.mat: has several rates: "),
        ({"a": VALUES, "fs": -1}, "x.mat: rate is -1; wanted a number above 0"),
    ):  # fmt: skip
        scipy.io.savemat(path, content)
        with pytest.raises(ValueError, match=re.escape(message)):
            open_signal(path)
    scipy.io.savemat(path, {"a": VALUES * 1j})
    with pytest.raises(ValueError, match="x.mat: array 'a': its numbers are complex"):
        open_signal(path).read(0, 9)
    for content, message in (
        (b"MATLAB 7.3 MAT-file" + bytes(200), r"x.mat: is of MATLAB 7.3; save it with save\(..., '-v7'\)"),
        (path.read_bytes()[:140], "x.mat: not a MATLAB file of numbers, of version 7 or older, or not all"),
        (b"text", "x.mat: not a MATLAB file of numbers"),
    ):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            open_signal(path)


def test_the_numbers_of_a_wfdb_record_in_a_mat_are_no_recording_of_their_own(tmp_path):
    for name in ("x.hea", "x.mat", "y.mat"):
        (tmp_path / name).touch()
    assert find_signal(tmp_path, "x") == tmp_path / "x.hea"
    names = [path.name for path in recordings_among(sorted(tmp_path.iterdir()), tmp_path)]
    assert names == ["x.hea", "y.mat"]
