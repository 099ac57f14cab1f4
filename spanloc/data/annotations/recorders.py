"""Annotations in the files of recorders and labelling tools: EDF+ and Label Studio."""

import math
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize

from spanloc.data.annotations.rows import Annotated, Reading, Row, read_row
from spanloc.data.signals.reading import library, shown_path
from spanloc.data.signals.reading import reading as library_reading
from spanloc.files import read_json, shown


def edf(file: Path, name: str, reading: Reading) -> Iterator[Annotated]:
    """The annotations of an EDF+ file; one without a duration is a moment."""
    edfio = library(file, "edfio", "edf")
    with library_reading(file, "an EDF+ file"):
        found = edfio.read_edf(file, lazy_load_data=True).annotations
    rows = []
    for i, note in enumerate(found, 1):
        # Sums of decimals, without the noise of binary ones.
        end = math.nan if note.duration is None else round(note.onset + note.duration, 9)
        rows.append(Row(note.onset, end, note.text.strip(), f"annotation {i}"))
    yield Annotated(name, rows, file)


def label_studio(file: Path, signals: Collection[str], reading: Reading) -> Iterator[Annotated]:
    """An export of time series as JSON; the task's file names the signal. Instants are moments."""
    where, content = shown_path(file), read_json(file)
    if not isinstance(content, list):
        raise ValueError(f"{where}: wanted a list of tasks, as Label Studio exports them")
    for i, task in enumerate(content):
        with reading.row(where, f"task {i}"):
            yield _task(task, file, f"task {i}", signals, reading)


def _task(task: Any, file: Path, row: str, signals: Collection[str], reading: Reading) -> Annotated:
    place = f"{shown_path(file)}: {row}"
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        raise ValueError(f"{place}: wanted an object with 'data' (export as JSON, not JSON_MIN)")
    name = _task_name(task["data"], signals, place)
    annotations = task.get("annotations")
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
        raise ValueError(f"{place}: annotations is {shown(annotations)}; wanted a list")
    made = [a for a in annotations if not a.get("was_cancelled")]
    if not made:
        raise ValueError(
            f"{place} ({shown(name)}): nobody has submitted an annotation, and predictions are none; submit "
            "it, or export the annotated tasks only"
        )
    if len(made) != 1:
        raise ValueError(f"{place} ({shown(name)}): {len(made)} annotations; wanted one")
    result, rows = made[0].get("result"), list[Row]()
    if not isinstance(result, list):
        raise ValueError(f"{place}: result is {shown(result)}; wanted a list")
    for k, region in enumerate(result):
        with reading.row(shown_path(file), f"{row}: result[{k}]", name):
            rows += _region(region, place, f"result[{k}]")
    return Annotated(name, rows, file)


def _task_name(data: dict[str, Any], signals: Collection[str], place: str) -> str:
    texts = {key: normalize("NFC", text) for key, text in data.items() if isinstance(text, str)}
    # Tasks with predictions of ours say it.
    if texts.get("sequence") in signals:
        return texts["sequence"]
    stems = [Path(text).stem for text in texts.values()]
    # An upload gets eight letters in front.
    stems += [re.sub(r"^[0-9a-f]{8}-", "", stem) for stem in stems]
    found = [stem for stem in dict.fromkeys(stems) if stem in signals]
    if len(found) != 1:
        raise ValueError(f"{place}: data is {shown(data)}; wanted the file of one signal")
    return found[0]


def _region(region: Any, task: str, row: str) -> Iterator[Row]:
    value = region.get("value") if isinstance(region, dict) else None
    if not isinstance(value, dict):
        raise ValueError(f"{task}: {row}: wanted an object with 'value'")
    labels = value.get("timeserieslabels", value.get("labels"))
    if labels is None:
        return
    if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
        raise ValueError(f"{task}: {row}: labels are {shown(labels)}; wanted names")
    for label in labels:
        end = "" if value.get("instant") else value.get("end")
        yield read_row(value.get("start"), end, label, task, row)
