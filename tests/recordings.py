"""Recordings, and folders of annotated ones, for tests of their formats."""

import json

import edfio
import numpy as np
import pytest

from spanloc.data import read_annotations
from spanloc.data.annotations.written import content_of

RATE = 50


def recording(folder, *names, seconds=10, rate=RATE):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        np.save(folder / f"{name}.npy", np.zeros((round(seconds * rate), 2), np.float32))


def table(folder, text, name="x.csv", encoding="utf-8"):
    """Writes a table of text, or bytes; gives its path."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return folder / name


def edf(path, channels, notes=(), *, limits=(-1, 1), **options):
    """Writes an EDF or BDF file of (rate, values) or (rate, values, unit) by name; gives its path."""
    bdf = path.suffix == ".bdf"
    kind, file = (edfio.BdfSignal, edfio.Bdf) if bdf else (edfio.EdfSignal, edfio.Edf)
    signals = [
        kind(values, rate, label=name, physical_dimension="".join(unit), physical_range=limits)
        for name, (rate, values, *unit) in channels.items()
    ]
    file(signals, annotations=[edfio.EdfAnnotation(*note) for note in notes], **options).write(path)
    return path


def nights(root):
    """Writes EEG in EDF, and a table with the columns of BIDS, and one with the file."""
    (root / "data").mkdir(parents=True)
    rows = ["file\tonset\tduration\tdescription"]
    for i in range(8):
        values = np.random.default_rng(i).uniform(-1, 1, 3000)
        channels = {
            "EEG Fpz-Cz": (100, values),
            "EEG Pz-Oz": (100, -values),
            "EOG": (50, values[:1500]),
        }
        edf(root / "data" / f"night{i}.edf", channels)
        spans = ((0, 5, "W"), (5, 15, "N2"), (9.5, 1.1, "spindle"), (25, 5, "artefact"))
        rows += [f"night{i}.edf\t{onset}\t{size}\t{label}" for onset, size, label in spans]
    (root / "annotations.tsv").write_text("\n".join(rows))


def edit(folder, change, name="annotations.json"):
    """Changes the content of a file of JSON."""
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


def set_field(field, value):
    return lambda content: content["database"]["s2"].__setitem__(field, value)


def said(found):
    """Spans in seconds with their labels, by sequence."""
    return {
        record.id: [
            (*(round(end * record.timeline.seconds_per_step, 3) for end in span), label)
            for span, label in zip(
                record.spans.tolist(),
                [found.classes[i] for i in record.labels.tolist()],
                strict=True,
            )
        ]
        for records in found.subsets.values()
        for record in records
    }


def error_of(folder, **options):
    """The error of reading a folder, which is one line."""
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        read_annotations(folder, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


def write(found, file, kind):
    """Spans that were found, as a file."""
    file.write_bytes(content_of(found, file, kind))


def exported(file):
    """What Label Studio exports where a person accepts all that was predicted."""
    tasks = json.loads(file.read_text(encoding="utf-8"))
    for number, task in enumerate(tasks, 7):
        (prediction,) = task["predictions"]
        result = [{**region, "origin": "prediction"} for region in prediction["result"]]
        task["annotations"] = [{"id": number, "was_cancelled": False, "result": result}]
        task |= {"id": number, "predictions": [12], "meta": {}, "project": 1}
    file.write_text(json.dumps(tasks), encoding="utf-8")
