"""A tiny data set in the annotation format, made on the spot to try things on."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from spanloc.files import replacing, write_json

_NAME = "sample"
CLASSES = ("sit down", "turn", "walk")
_RATE, _SECONDS = 50, 30
_SUBSETS = ("training",) * 4 + ("validation", "testing")
# Seconds: least and most.
_LASTING = {"rest": (0.5, 1.5), "sit down": (1.6, 2.6), "turn": (0.8, 1.6), "walk": (2.5, 5.0)}
_CYCLE = ("rest", "walk", "turn", "walk", "rest", "sit down")


def data_folder(root: str | float) -> Path:
    """The folder of the data; ``sample`` is a made-up one, unless there is a folder of that name."""
    root = str(root)  # a folder may be called 2024
    if root == _NAME and not Path(root).exists():
        return sample_folder()
    return Path(root)


def sample_folder(folder: Path = Path("runs") / "sample") -> Path:
    """A folder of 12 made-up recordings of somebody who walks, turns and sits down.

    Each has 30 s of three channels at 50 Hz, like an accelerometer at the waist, in g; six subjects,
    of whom four are for training. The values are always the same. A folder that has them already stays
    as it is, so that one can spoil it on purpose.
    """
    file = folder / "annotations.json"
    if file.exists():
        return folder
    database: dict[str, Any] = {}
    for number, (subject, part) in enumerate(product(range(len(_SUBSETS)), "ab")):
        name = f"person{subject + 1}-{part}"
        values, acts = _recording(number)
        with replacing(folder / "data" / f"{name}.npy") as path:
            np.save(path, values)
        database[name] = {
            "subset": _SUBSETS[subject],
            "subject": f"person{subject + 1}",
            "duration": _SECONDS,
            "fps": _RATE,
            "annotations": [
                {"segment": [first / _RATE, last / _RATE], "label": label}
                for label, first, last in acts
            ],
        }
    # The last one: who finds it finds the rest.
    write_json(file, {"classes": list(CLASSES), "database": database})
    return folder


def _recording(number: int) -> tuple[np.ndarray, list[tuple[str, int, int]]]:
    rng = np.random.default_rng([2026, number])
    steps = _RATE * _SECONDS
    values = rng.normal(0, 0.02, (steps, 3))
    values[:, 2] += 1.0  # gravity
    acts: list[tuple[str, int, int]] = []
    first, turn = 0, number
    while True:
        label = _CYCLE[turn % len(_CYCLE)]
        last = first + round(_RATE * rng.uniform(*_LASTING[label]))
        if last > steps:
            return values.astype(np.float32), acts
        if label != "rest":
            acts.append((label, first, last))
            values[first:last] += _motion(label, last - first, rng)
        first, turn = last, turn + 1


def _motion(label: str, steps: int, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(steps) / _RATE
    done = (np.arange(steps) + 0.5) / steps
    if label == "walk":
        pace, phase = rng.uniform(1.7, 2.1), rng.uniform(0, 2 * np.pi)
        stride = 2 * np.pi * pace * time + phase
        waves = [0.08 * np.sin(stride / 2), 0.12 * np.sin(stride + 1), 0.3 * np.sin(stride)]
    elif label == "turn":
        side = rng.choice([-1, 1]) * rng.uniform(0.2, 0.3)
        bump = np.sin(np.pi * done)
        waves = [side * bump, 0.1 * bump, 0.04 * np.sin(4 * np.pi * done)]
    else:
        # Down, a bump on the seat, and still; the trunk leans forward on the way.
        waves = [
            0.1 * np.sin(2 * np.pi * done),
            0.35 * np.sin(np.pi * done) ** 2,
            -0.25 * np.sin(np.pi * done) + 0.6 * np.exp(-(((done - 0.8) / 0.06) ** 2)),
        ]
    return np.stack(waves, 1)
