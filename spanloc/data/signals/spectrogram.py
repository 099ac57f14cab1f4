"""Sound as bands of frequencies."""

import numpy as np

from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import shown_path

# Frames that are transformed at once.
_PIECE = 4096


class LogSpectrogram(Signal):
    """Mel bands of a signal, in decibels, computed for the stretch that is read; float32.

    Frame ``i`` covers the samples ``[i * hop, (i + 1) * hop)``; its Hann window is centred on the
    middle of these, so that spans in seconds stay where they are. Several channels are averaged
    first. Outside of the signal are zeros. A tone of amplitude 1 in the middle of a band gives about
    0 dB. ``hop`` is rounded to whole samples, so that the rate is the signal's rate over those;
    ``num_steps`` is rounded up.

    Args:
        window, hop: In seconds.
        num_bands: Triangles that are equally wide on the mel scale, and at least as wide as the
            window can resolve.
        low, high: Outer ends of the bands in Hz; half the rate without ``high``.
        floor: Power below which a band counts as silent, relative to a tone of amplitude 1.
        source_rate: Of ``signal``, where it does not say it.

    Attributes:
        ahead: How many frames before the end of a signal change where more of it follows.

    Raises:
        ValueError: The rate of the signal is not known, or too low for these values.

    References:
        The mel scale ``2595 log10(1 + f / 700)``: O'Shaughnessy 1987, Speech Communication.
    """

    rate: float

    def __init__(
        self,
        signal: Signal,
        *,
        window: float = 0.025,
        hop: float = 0.010,
        num_bands: int = 64,
        low: float = 0.0,
        high: float | None = None,
        floor: float = 1e-10,
        source_rate: float | None = None,
    ) -> None:
        where = shown_path(signal.path)
        source = source_rate if signal.rate is None else signal.rate
        if source is None:
            raise ValueError(f"{where}: its rate is not known; a spectrogram needs it")
        self._hop = max(1, round(hop * source))
        self._window = round(window * source)
        # Both odd or both even, so that one can lie in the middle of the other.
        self._window += (self._window - self._hop) % 2
        top = source / 2 if high is None else high
        if self._window < 8:
            raise ValueError(
                f"{where}: a window of {window:g} s has {self._window} samples at {source:g} Hz; "
                "wanted at least 8"
            )
        if not 0 <= low < top <= source / 2:
            raise ValueError(
                f"{where}: bands from {low:g} to {top:g} Hz; wanted 0 <= low < high <= "
                f"{source / 2:g}, half the rate"
            )
        if num_bands < 1 or not floor > 0:
            raise ValueError(f"num_bands is {num_bands}, floor is {floor:g}; wanted more than 0")
        self.signal, self.path = signal, signal.path
        self.rate = source / self._hop
        self.num_steps = -(-signal.num_steps // self._hop)
        self.ahead = max(0, -(-(self._window - self._hop) // (2 * self._hop)))
        self.num_channels, self._floor = num_bands, floor
        self._size = 1 << (self._window - 1).bit_length()
        mel = np.linspace(_mel(low), _mel(top), num_bands + 2)
        self._edges = 700 * (10 ** (mel / 2595) - 1)
        self.channels = tuple(f"mel {f:.0f} Hz" for f in self._edges[1:-1])
        self.units = ("dB",) * num_bands

    def read(self, first: int, last: int) -> np.ndarray:
        """The frames from ``first`` to before ``last``, ``(last - first, bands)``."""
        last = min(last, self.num_steps)
        starts = range(first, last, _PIECE)
        pieces = [self._frames(start, min(start + _PIECE, last)) for start in starts]
        return np.concatenate([np.empty((0, self.num_channels), np.float32), *pieces])

    def _frames(self, first: int, last: int) -> np.ndarray:
        from scipy.fft import rfft

        before = (self._window - self._hop) // 2
        start = first * self._hop - before
        stop = (last - 1) * self._hop - before + self._window
        low, high = max(start, 0), min(stop, self.signal.num_steps)
        sound = np.zeros(stop - start, np.float32)
        if low < high:
            sound[low - start : high - start] = self.signal.read(low, high).mean(1)
        frames = np.lib.stride_tricks.sliding_window_view(sound, self._window)[:: self._hop]
        # Not np.hanning, whose ends are zeros: samples wasted.
        shape = np.sin(np.pi * (np.arange(self._window) + 0.5) / self._window) ** 2
        shape = (shape / (shape.sum() / 2)).astype(np.float32)
        found = rfft(frames * shape, self._size, axis=1)
        power = found.real**2 + found.imag**2
        return 10 * np.log10(np.maximum(power @ self._bands(), np.float32(self._floor)))

    def _bands(self) -> np.ndarray:
        """The weight of each frequency in each band, ``(frequencies, bands)``."""
        rate = self.rate * self._hop
        frequencies = np.fft.rfftfreq(self._size, 1 / rate)[:, None]
        low, middle, high = self._edges[:-2], self._edges[1:-1], self._edges[2:]
        least = rate / self._window
        rise = (frequencies - middle) / np.maximum(middle - low, least) + 1
        fall = (middle - frequencies) / np.maximum(high - middle, least) + 1
        return np.clip(np.minimum(rise, fall), 0, None).astype(np.float32)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))
