"""Annotations of any format in one file, ``annotations.json``."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from spanloc.data.annotations.placed import between
from spanloc.data.annotations.records import Annotations, Record
from spanloc.data.signals import Stretch

# Decimal places of seconds.
_PLACES = 6


def one_file(
    annotations: Annotations, held_out: Mapping[str, Sequence[Record]] | None = None
) -> dict[str, Any]:
    """The content of an ``annotations.json`` with these annotations, in seconds.

    Stretches that are ignored, and spans whose label is not known, are outside of its ``annotated`` stretches.

    Args:
        annotations: Of a folder.
        held_out: Its recordings by subset as training would divide them; None: as the folder says. Those that
            it would divide in time are of the subset of the folder: training divides them again.
    """
    subsets = held_out or annotations.subsets
    whole = {
        name: [record for record in records if not isinstance(record.signal, Stretch)]
        for name, records in subsets.items()
    }
    of = {record.id: subset for subset, records in whole.items() for record in records}
    database = {
        record.id: {"subset": of.get(record.id, record.subset)}
        | _entry(record, annotations.classes)
        for records in annotations.subsets.values()
        for record in records
    }
    return {"classes": annotations.classes, "database": database}


def _entry(record: Record, classes: list[str]) -> dict[str, Any]:
    known = record.labels >= 0
    names = [classes[number] for number in record.labels[known].tolist()]
    step, offset = record.timeline
    whole = offset, offset + record.num_steps * step
    entry: dict[str, Any] = {"duration": round(whole[1], _PLACES)}
    if record.subject is not None:
        entry["subject"] = record.subject
    if record.weight != 1:
        entry["weight"] = record.weight
    unseen = [*_seconds(record, record.ignored), *_seconds(record, record.spans[~known])]
    if unseen:
        entry["annotated"] = between(unseen, *whole)
    segments = _seconds(record, record.spans[known])
    entry["annotations"] = [
        {"segment": segment, "label": name} for segment, name in zip(segments, names, strict=True)
    ]
    return entry


def _seconds(record: Record, spans: Tensor) -> list[tuple[float, float]]:
    step, offset = record.timeline
    times = (spans.double() * step + offset).tolist()
    return [(round(start, _PLACES), round(end, _PLACES)) for start, end in times]
