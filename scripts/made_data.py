"""Made-up recordings as real ones are: to try the recipe on data that nobody tuned it for.

    python scripts/made_data.py ecg FOLDER [--small]

Sets: ``ecg`` (2 channels at 250 Hz, three labels, spans of 48 to 860 ms, one label over the others),
``spindles`` (1 rare label in 8 long recordings at 50, 100 and 200 Hz), ``gait`` (27 channels at 100 Hz,
steps of about 0.4 s and one turn each), ``offsets`` (6 channels at 50 Hz, four labels, channels that are
offset in each recording by several times what happens in it). ``--small`` writes a few short recordings of each,
for tests.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.random import Generator

Spans = list[tuple[float, float, str]]
Recording = tuple[np.ndarray, Spans]


def ecg(rng: Generator, seconds: float, rate: float, subject: Generator) -> Recording:
    """Heart beats: a P wave, a QRS complex, and the QT interval, which holds the QRS."""
    rr, axis = subject.uniform(0.55, 1.4), subject.normal(0, 1, (2, 3))
    sizes = np.array([0.15, 1.0, 0.35]) * subject.uniform(0.6, 1.6, 3)
    time = (np.arange(round(seconds * rate)) + 0.5) / rate
    values = 0.04 * rng.normal(0, 1, (2, len(time))) + _slow(rng, time, 2) * 0.3
    spans: Spans = []
    at = rng.uniform(0.3, 0.8)
    while at + 0.9 < seconds:
        p, gap = rng.uniform(0.06, 0.13), rng.uniform(0.03, 0.09)
        qrs = float(np.clip(subject.normal(0.09, 0.02) * rng.uniform(0.85, 1.2), 0.048, 0.16))
        qt = float(np.clip(0.46 * rr * rng.uniform(0.9, 1.3), qrs + 0.12, 0.856))
        t = min(rng.uniform(0.14, 0.24), qt - qrs - 0.02)
        marks = [(at - gap - p, p, 0), (at, qrs, 1), (at + qt - t, t, 2)]
        for start, length, kind in marks:
            place = (time - start) / length
            inside = (place > 0) & (place < 1)
            shape = np.sin(np.pi * place) ** 2
            if kind == 1:
                shape = np.sin(np.pi * place) * np.sin(3 * np.pi * place + 0.4)
            values += np.where(inside, shape, 0) * sizes[kind] * (1 + 0.5 * axis[:, kind, None])
        if rng.random() < 0.92:  # some nobody marked
            spans.append((marks[0][0], marks[0][0] + p, "P"))
        spans += [(at, at + qrs, "QRS"), (at, at + qt, "QT")]
        at += max(rr * rng.uniform(0.85, 1.15), qt + 0.02)
    return values.T, spans


def spindles(rng: Generator, seconds: float, rate: float, subject: Generator) -> Recording:
    """Bursts of 11 to 15 Hz in the noise of a sleeping brain, about 4 % of the time."""
    count = round(seconds * rate)
    time = (np.arange(count) + 0.5) / rate
    spectrum = rng.normal(0, 1, (count // 2 + 1, 2)) @ np.array([1, 1j])
    frequency = np.fft.rfftfreq(count, 1 / rate)
    values = np.fft.irfft(spectrum / np.maximum(frequency, 0.5), count)
    values *= 20 / values.std()
    size = subject.uniform(11, 18)
    spans: Spans = []
    at = rng.exponential(20.0)
    while at + 2.5 < seconds:
        length = float(np.clip(rng.normal(0.95, 0.3), 0.5, 2.0))
        place = (time - at) / length
        inside = (place > 0) & (place < 1)
        burst = np.sin(np.pi * np.clip(place, 0, 1)) ** 0.7
        tone = np.sin(2 * np.pi * rng.uniform(11, 15) * (time - at))
        values += np.where(inside, burst * tone, 0) * size * rng.uniform(0.7, 1.4)
        spans.append((at, at + length, "spindle"))
        at += length + rng.exponential(22.0)
    return values[:, None], spans


def gait(rng: Generator, seconds: float, rate: float, subject: Generator) -> Recording:
    """A walk there and back: steps of the left and the right foot, and one turn."""
    time = (np.arange(round(seconds * rate)) + 0.5) / rate
    # The sensors sit alike on everybody, but for a little.
    mixing = np.random.default_rng(7).normal(0, 1, (27, 6)) + subject.normal(0, 0.25, (27, 6))
    step, sources = subject.uniform(0.36, 0.48), np.zeros((6, len(time)))
    turn = (seconds / 2 - rng.uniform(0.8, 2.0), seconds / 2 + rng.uniform(0.8, 2.0))
    spans: Spans = [(*turn, "turn")]
    at, foot = rng.uniform(0.8, 2.0), 0
    while at + step + 1 < seconds:
        length = step * rng.uniform(0.85, 1.15)
        slow = turn[0] < at < turn[1]
        place = (time - at) / length
        inside = (place > 0) & (place < 1)
        swing = np.where(inside, np.sin(np.pi * place) * (0.6 if slow else 1.0), 0)
        sources[foot] += swing
        sources[2 + foot] += np.where(inside, np.sin(2 * np.pi * place), 0)
        spans.append((at, at + length, ("left", "right")[foot]))
        at += length + rng.uniform(0.08, 0.16)
        foot = 1 - foot
    inside = (time > turn[0]) & (time < turn[1])
    place = np.clip((time - turn[0]) / (turn[1] - turn[0]), 0, 1)
    sources[4] = inside * np.sqrt(np.sin(np.pi * place).clip(0))
    sources[5] = _slow(rng, time, 1)[0]
    values = mixing @ sources + 1.5 * rng.normal(0, 1, (27, len(time)))
    return values.T, spans


def offsets(rng: Generator, seconds: float, rate: float, subject: Generator) -> Recording:
    """Shifts of the level (two labels) and oscillations (two), about a third of the time; offsets of 8."""
    time = np.arange(round(seconds * rate)) / rate
    # Where each label is to be seen is the same for all subjects.
    mixing = np.random.default_rng(0).normal(size=(4, 6))
    mixing /= np.linalg.norm(mixing, axis=1, keepdims=True)
    values = rng.normal(size=(len(time), 6)) + 8 * rng.normal(size=6)
    spans, at = [], rng.uniform(1, 4)
    while at < seconds - 6:
        label, size = int(rng.integers(4)), np.exp(rng.uniform(*np.log((1.2, 5))))
        inside = (time >= at) & (time < at + size)
        edge = np.minimum(time - at, at + size - time).clip(0)[inside]
        wave = np.minimum(1, edge / 0.2)
        if label > 1:
            wave *= np.sin(2 * np.pi * (4 if label == 2 else 2) * time[inside] + rng.uniform(0, 6))
        values[inside] += 2 * rng.uniform(0.8, 1.3) * np.outer(wave, mixing[label])
        spans.append((at, at + size, ("up", "down", "fast", "slow")[label]))
        at += size + rng.uniform(1.2, 10)
    return values, spans


def _slow(rng: Generator, time: np.ndarray, count: int) -> np.ndarray:
    waves = [
        sum(np.sin(2 * np.pi * (f * time + rng.random())) for f in rng.uniform(0.05, 0.5, 3))
        for _ in range(count)
    ]
    return np.array(waves)


#: Of each set: what makes a recording, rates, seconds from and to, recordings to train, to test, subjects.
SETS: dict[str, tuple[Callable[..., Recording], tuple[float, ...], float, float, int, int, int]] = {
    "ecg": (ecg, (250,), 10, 50, 99, 40, 139),
    "spindles": (spindles, (200, 100, 50, 200, 100, 200, 50, 100), 1000, 1000, 6, 2, 8),
    "gait": (gait, (100,), 15, 40, 58, 18, 13),
    "offsets": (offsets, (50,), 40, 80, 36, 14, 50),
}
SMALL = {
    "ecg": (6, 9, 8, 4, 4),
    "spindles": (40, 60, 6, 2, 8),
    "gait": (8, 12, 8, 4, 4),
    "offsets": (20, 30, 8, 4, 12),
}


def write(name: str, folder: Path, *, small: bool = False, seed: int = 0) -> Path:
    """Write a set in the annotation format, and give its folder."""
    make, rates, least, most, num_train, num_test, num_subjects = SETS[name]
    if small:
        least, most, num_train, num_test, num_subjects = SMALL[name]
    (folder / "data").mkdir(parents=True, exist_ok=True)
    database = {}
    for i in range(num_train + num_test):
        testing, rng = i >= num_train, np.random.default_rng([seed, i])
        share = num_subjects * num_train // (num_train + num_test)
        subject = share + i % max(1, num_subjects - share) if testing else i % max(1, share)
        rate = rates[i % len(rates)]
        seconds = float(np.round(rng.uniform(least, most) * rate) / rate)
        values, spans = make(rng, seconds, rate, np.random.default_rng([seed, 1000 + subject]))
        np.save(folder / "data" / f"r{i}.npy", values.astype(np.float32))
        database[f"r{i}"] = {
            "subset": "testing" if testing else "training",
            "duration": seconds,
            "fps": rate,
            "subject": f"s{subject}",
            "annotations": [{"segment": [s, e], "label": n} for s, e, n in spans],
        }
    (folder / "annotations.json").write_text(json.dumps({"database": database}))
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=list(SETS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="a few short recordings")
    arguments = parser.parse_args()
    write(arguments.name, arguments.folder, small=arguments.small)
