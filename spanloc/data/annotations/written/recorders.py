"""Predictions in the files of recorders and labelling tools: EDF+ and Label Studio."""

import json
import os
import warnings
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from spanloc.data.annotations.written.found import Found
from spanloc.files import pip_install


def edf(found: Sequence[Found]) -> bytes:
    """An EDF+ file of annotations alone, with the clock time of the start; it has no place for scores.

    A start with a time zone is written as its clock shows it. Where none is known, the file has the
    first date that the format knows, and midnight.

    References:
        Kemp and Olivan 2003, "European data format 'plus' (EDF+)", 2.2.
    """
    (one,) = found
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import edfio
    except ImportError:
        raise ValueError(f"format edf needs edfio: {pip_install('edf')}") from None
    start, about = None, None
    if one.start is not None:
        start, about = one.start.time(), edfio.Recording(startdate=one.start.date())
    notes = [
        edfio.EdfAnnotation(start, round(end - start, 9), label)
        for start, end, label, _ in one.spans
    ]
    # It makes no file without any, but one with none left.
    nothing = edfio.EdfAnnotation(0, None, "-")
    file = edfio.Edf([], annotations=notes or [nothing], starttime=start, recording=about)
    if not notes:
        file.drop_annotations(nothing.text)
    return bytes(file.to_bytes())


def label_studio(found: Sequence[Found]) -> bytes:
    """Tasks with pre-annotations, to import into a project for time series.

    The project has ``<TimeSeriesLabels name="label" toName="ts">`` and ``<TimeSeries name="ts"
    valueType="url" value="$csv_url" timeColumn="...">``, with a time column in seconds from the start.
    ``csv_url`` is the path of the signal as it was given, or ``<id>.csv``: make it an address that Label
    Studio can open. ``sequence`` is the id, by which an export is read again. The score of a task is
    the mean of those of its spans.

    References:
        Label Studio, "Import pre-annotated data", "Time Series Labeling".
    """
    tasks = []
    for number, one in enumerate(found, 1):
        prediction: dict[str, Any] = {"model_version": "spanloc"}
        if one.spans:
            prediction["score"] = round(fmean(span[3] for span in one.spans), 7)
        prediction["result"] = [
            {
                "id": f"{number}-{i}",
                "from_name": "label",
                "to_name": "ts",
                "type": "timeserieslabels",
                "score": score,
                "value": {
                    "start": start,
                    "end": end,
                    "instant": False,
                    "timeserieslabels": [label],
                },
            }
            for i, (start, end, label, score) in enumerate(one.spans, 1)
        ]
        # The bytes of a name need not be text.
        path = (
            f"{one.id}.csv" if one.path is None else os.fsencode(one.path).decode(errors="replace")
        )
        tasks.append({"data": {"csv_url": path, "sequence": one.id}, "predictions": [prediction]})
    lines = ",\n".join(json.dumps(task, ensure_ascii=False, allow_nan=False) for task in tasks)
    return f"[\n{lines}\n]\n".encode()
