"""A folder of recordings with which nothing is wrong, to be spoilt and surveyed."""

import json

import numpy as np

from spanloc.data import read_annotations
from spanloc.data.survey import survey_records


def noise(steps, seed=0):
    return np.random.default_rng(seed).normal(size=(steps, 2)).astype(np.float32)


def survey(folder, **options):
    """The survey of a folder, of which all that can be is read."""
    found, refused = [], []
    more = {"bad_spans": "drop", "found": found, "refused": refused, **options}
    read = read_annotations(folder, **more)
    records = [record for some in read.subsets.values() for record in some]
    return survey_records(records, read.classes, found=found, refused=refused)


class Folder:
    """Four recordings with which nothing is wrong: 12 s of two channels at 10 Hz, 12 spans each."""

    def __init__(self):
        self.classes = ["a", "b"]
        self.arrays, self.database = {}, {}
        subsets = {"s": "training", "t": "training", "u": "validation", "v": "testing"}
        for seed, (name, subset) in enumerate(subsets.items()):
            self.arrays[name] = noise(120, seed)
            spans = [{"segment": [i + 0.1, i + 0.6], "label": "ab"[i % 2]} for i in range(12)]
            self.database[name] = {
                "subset": subset, "subject": f"of {name}", "duration": 12, "fps": 10,
                "annotations": spans,
            }  # fmt: skip

    def spans(self, name):
        return self.database[name]["annotations"]

    def add(self, name, start, end, label="a"):
        self.spans(name).append({"segment": [start, end], "label": label})

    def survey(self, place):
        (place / "data").mkdir()
        for name, array in self.arrays.items():
            np.save(place / "data" / f"{name}.npy", array)
            self.database[name]["duration"] = len(array) / self.database[name]["fps"]
        content = {"classes": self.classes, "database": self.database}
        (place / "annotations.json").write_text(json.dumps(content))
        return survey(place)
