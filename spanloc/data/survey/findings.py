"""Findings about recordings: their files, subsets, subjects and channels."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from spanloc.data.annotations.folder import Record
from spanloc.data.survey.facts import Facts, counted
from spanloc.data.survey.result import Finding

# Standard deviations of one channel that differ by more than this are of different units, or of a dead sensor.
_SCALES = 1000
# Steps. Whole recordings of that length, in batches, take gigabytes.
_LONG = 10_000


def refused(messages: Sequence[str]) -> Iterator[Finding]:
    """What could not be read of the annotations, so that there is no record of it."""
    if messages:
        yield Finding(
            "error",
            "refused",
            f"{counted(len(messages), 'thing')} in the annotations that cannot be read",
            len(messages),
            "Correct this, then check again: what it belongs to was not looked at.",
            first=messages[0],
        )


def unreadable(facts: Facts) -> Iterator[Finding]:
    """Recordings that failed while they were read."""
    own = [(r, s) for r, s in zip(facts.records, facts.scans, strict=True) if s.problem]
    if own:
        record, scan = own[0]
        yield Finding(
            "error",
            "unreadable",
            f"{counted(len(own), 'recording')} that cannot be read",
            len(own),
            "Write the files again, or take these recordings out of the annotations.",
            str(record.signal.path),
            record.id,
            first=scan.problem,
        )


def not_finite(facts: Facts) -> Iterator[Finding]:
    """NaN and infinite values."""
    own = [
        (record, scan.not_finite)
        for record, scan in zip(facts.records, facts.scans, strict=True)
        if scan.not_finite
    ]
    if own:
        record, first = own[0]
        count = sum(values.total for _, values in own)
        yield Finding(
            "error",
            "not finite",
            f"{counted(count, 'NaN or infinite value')} in {counted(len(own), 'recording')}",
            count,
            "Fill or cut out these stretches: training refuses such values.",
            str(record.signal.path),
            record.id,
            first.row,
            f"column {first.column} is {first.value}",
        )


def empty_subsets(facts: Facts) -> Iterator[Finding]:
    """Nothing to train on."""
    if not facts.records:
        return
    own = [record for record in facts.records if record.subset == "training"]
    if not own:
        yield Finding(
            "error",
            "no training",
            "No recording has the subset 'training'",
            0,
            "Give some recordings the subset 'training'.",
        )
    elif not any(len(record.spans) for record in own):
        yield Finding(
            "error",
            "no training spans",
            "No training recording has a span",
            0,
            "Annotate some of them: there is nothing to learn from.",
        )


def copies(facts: Facts) -> Iterator[Finding]:
    """Recordings of the same content."""
    groups: dict[Any, list[Record]] = {}
    for record, scan in zip(facts.records, facts.scans, strict=True):
        if scan.digest:
            groups.setdefault((scan.digest, record.num_steps), []).append(record)
    own = [group for group in groups.values() if len(group) > 1]
    for severity, kind, text, advice, across in (
        (
            "error",
            "copy in another subset",
            "with the same content in two subsets",
            "Keep it in one subset: what is trained on cannot be tested on.",
            True,
        ),
        (
            "warning",
            "copy",
            "given twice in one subset",
            "Keep one: the other counts twice.",
            False,
        ),
    ):
        some = [g for g in own if (len({r.subset for r in g}) > 1) == across]
        if some:
            first, *others = some[0]
            other = next((r for r in others if r.subset != first.subset), others[0])
            place = f"{_of(first)} and {_of(other)}"
            text = f"{counted(len(some), 'recording')} {text}"
            file = str(first.signal.path)
            yield Finding(severity, kind, text, len(some), advice, file, first.id, first=place)


def subjects(facts: Facts) -> Iterator[Finding]:
    """Subjects in two subsets, or none that is named."""
    subsets: dict[str, set[str]] = {}
    for record in facts.records:
        if record.subject is not None:
            subsets.setdefault(record.subject, set()).add(record.subset)
    own = [subject for subject, found in subsets.items() if len(found) > 1]
    if own:
        yield Finding(
            "warning",
            "subject in two subsets",
            f"{counted(len(own), 'subject')} in two subsets",
            len(own),
            "Keep a subject in one subset, unless the model is only for people it has seen.",
            first=f"{own[0]!r} in {' and '.join(sorted(subsets[own[0]]))}",
        )
    held = {record.subset for record in facts.records} >= {"validation", "testing"}
    if facts.records and not subsets and not held:
        yield Finding(
            "note",
            "no subjects",
            "No recording names its subject, and a subset is missing that will be drawn",
            len(facts.records),
            "Name the subjects, so that none is both trained and tested on.",
        )


def others(facts: Facts) -> Iterator[Finding]:
    """Recordings without spans, and long ones."""
    empty = [record for record in facts.records if not len(record.spans)]
    if empty:
        yield Finding(
            "note",
            "no spans",
            f"{counted(len(empty), 'recording')} without a span",
            len(empty),
            "Fine where nothing happens in them; take out those that nobody annotated.",
            sequence=empty[0].id,
        )
    long = [record for record in facts.records if record.num_steps > _LONG]
    if long:
        longest = max(long, key=lambda record: record.num_steps)
        yield Finding(
            "note",
            "long recordings",
            f"{counted(len(long), 'recording')} longer than {_LONG:,} steps",
            len(long),
            "Train on crops (data.crop_seconds=...) of a few times the longest span.",
            sequence=longest.id,
            first=f"{longest.num_steps:,} steps, the longest",
        )


def differences(facts: Facts) -> Iterator[Finding]:
    """Recordings of another rate, or with other channels, than the first one."""
    signals = [record.signal for record in facts.records]
    rates = [1 / record.timeline.seconds_per_step for record in facts.records]
    shapes = [(s.num_channels, None if s.channels is None else tuple(s.channels)) for s in signals]
    for severity, kind, odd, what, advice, shown in (
        (
            "note",
            "different rates",
            [i for i, rate in enumerate(rates) if not np.isclose(rate, rates[0], 1e-6, 0)],
            "of another rate than the first one",
            "Training resamples all to the most frequent rate, or to data.rate.",
            [f"{rate:g} steps per second" for rate in rates],
        ),
        (
            "warning",
            "different channels",
            [i for i, shape in enumerate(shapes) if shape != shapes[0]],
            "with other channels than the first one",
            "Training takes the channels whose names all have, or those in data.channels; without names "
            "and data.channels it refuses.",
            [", ".join(names or (f"{count} without names",)) for count, names in shapes],
        ),
    ):
        if odd:
            first = facts.records[odd[0]]
            yield Finding(
                severity,
                kind,
                f"{counted(len(odd), 'recording')} {what}",
                len(odd),
                advice,
                str(first.signal.path),
                first.id,
                first=f"{shown[odd[0]]}; the first has {shown[0]}",
            )


def channels(facts: Facts) -> Iterator[Finding]:
    """Constant channels, and channels of different scales."""
    table = facts.channels.assign(std=np.sqrt(facts.channels["squares"] / facts.channels["count"]))
    flat = table[(table["least"] == table["most"]) & (table["count"] > 1)]
    if len(flat):
        row = flat.iloc[0]
        record = facts.records[row["place"]]
        yield Finding(
            "warning",
            "constant channel",
            f"{counted(flat['name'].nunique(), 'channel')} constant over a recording, in "
            f"{counted(flat['place'].nunique(), 'recording')}",
            len(flat),
            "Look for a sensor that was off; a channel that is constant everywhere can be left out.",
            str(record.signal.path),
            record.id,
            first=f"column {row['name']} is {row['least']:g}",
        )
    stds = table[table["std"] > 0].groupby("name")["std"]
    ratio = (stds.max() / stds.min()).sort_values(ascending=False)
    ratio = ratio[ratio > _SCALES]
    if len(ratio):
        own = table[(table["name"] == ratio.index[0]) & (table["std"] > 0)]
        middle = own["std"].median()
        row = own.loc[np.abs(np.log(own["std"] / middle)).idxmax()]
        record = facts.records[row["place"]]
        yield Finding(
            "warning",
            "scale",
            f"{counted(len(ratio), 'channel')} on scales that differ more than {_SCALES:,}-fold between "
            "recordings",
            len(ratio),
            "Bring all recordings to one unit; leave out those of a dead sensor.",
            str(record.signal.path),
            record.id,
            first=f"column {row['name']} has the standard deviation {row['std']:.3g}; "
            f"the median recording {middle:.3g}",
        )


def _of(record: Record) -> str:
    return f"{record.id!r} ({record.subset})"
