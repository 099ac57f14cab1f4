"""Signals in audio files."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import checked_rate, checked_shape, library, reading, shown_path

_STREAMED = 2**32 - 1


class AudioSignal(Signal):
    """Frames of a ``.wav`` or ``.flac`` file, float32 from -1 to 1.

    Raises:
        ValueError: It is no audio, or ends before its header says, or soundfile is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        where = shown_path(path)
        with self._opened() as file:
            shape = (file.frames, file.channels)
            self.num_steps, self.num_channels = checked_shape(path, shape, np.dtype(np.float32))
            self.rate = checked_rate(path, file.samplerate)
            # A shortened WAV file is opened without complaint; the library only notes it.
            note = re.search(r"^\s*data : (\d+) \(should be (\d+)\)", file.extra_info, re.M)
            if note and int(note[2]) < int(note[1]) < _STREAMED:
                raise ValueError(
                    f"{where}: ends too early: {note[2]} bytes of sound; its header says {note[1]}"
                )
            file.seek(self.num_steps - 1)
            if len(file.read(1)) != 1:
                raise ValueError(f"{where}: ends before frame {self.num_steps}")

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        last = min(last, self.num_steps)
        with self._opened() as file:
            file.seek(min(first, last))
            array: np.ndarray = file.read(max(last - first, 0), dtype="float32", always_2d=True)
            return array

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        soundfile = library(self.path, "soundfile", "audio")
        with reading(self.path, "an audio file"), soundfile.SoundFile(self.path) as file:
            yield file
