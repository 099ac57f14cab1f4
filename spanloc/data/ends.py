"""Ends of recordings, to hold out where there are too few recordings to hold out whole ones."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import torch

from spanloc.data.annotations.folder import Record
from spanloc.data.annotations.placed import as_stretches, merged
from spanloc.data.sequences import clipped
from spanloc.data.signals import Stretch
from spanloc.files import counted
from spanloc.structures import Timeline


def cut_ends(records: Sequence[Record], share: float) -> tuple[list[Record], list[Record]]:
    """Recordings without their ends, and the ends: about that share of the time and of the spans of each.

    A recording stays whole where no place fits, where its end would be more than half of it, or where the rest
    of all would lack a label.
    """
    left = _known(records)
    rests, ends = [], []
    for record in records:
        rest, own = record, list[Record]()
        with suppress(ValueError):
            first, end = cut_at_the_end(record, share)
            lost = _known([record]) - _known([first])
            fits = end.num_steps <= record.num_steps / 2
            if fits and all(left[label] > count for label, count in lost.items()):
                rest, own = first, [end]
                left -= lost
        rests.append(rest)
        ends += own
    return rests, ends


def _known(records: Sequence[Record]) -> Counter[int]:
    return Counter(label for record in records for label in record.labels.tolist() if label >= 0)


def cut_at_the_end(record: Record, share: float) -> tuple[Record, Record]:
    """A recording without its end, and the end: about that share of its time and of its spans."""
    steps, count = record.num_steps, len(record.spans)
    starts, ends = record.spans.double().sort(dim=0).values.unbind(1)
    # Between spans that begin after a place and those that end before it; where all overlap, at a start.
    before, after = ends[:-1], starts[1:]
    apart = before <= after
    places = torch.where(apart, (before + after) / 2, after)
    held = torch.arange(len(places), 0, -1) / count
    fits = (places >= 1) & (places <= steps - 1) & (apart if apart.any() else ~apart)
    places, held = places[fits], held[fits]
    if not len(places):
        raise ValueError(
            f"no part of {record.id!r}, which has {counted(count, 'span')}, can be held out, and no other recording "
            "is left; set data.val_share=0, or data.test_share=0 and test=false too"
        )
    off = (held - share).abs() + (1 - places / steps - share).abs()
    middle = round(places[off.argmin()].item())
    return _stretch(record, 0, middle), _stretch(record, middle, steps)


def _stretch(record: Record, first: int, last: int) -> Record:
    spans, labels, ignored = clipped(record, first, last, 0.5)
    # What is left of a span that is cut is neither one nor background.
    rest = record.spans.clamp(first, last)
    size, whole = rest.diff(dim=1)[:, 0], record.spans.diff(dim=1)[:, 0]
    rest = rest[(size > 0) & (size < 0.5 * whole)] - first
    step, offset = record.timeline
    return replace(
        record,
        signal=Stretch(record.signal, first, last),
        timeline=Timeline(step, offset + first * step),
        spans=spans,
        labels=labels,
        ignored=as_stretches(merged([*ignored.tolist(), *rest.tolist()])),
    )
