"""Findings about recordings: their files, subsets, subjects and channels."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from spanloc.data.annotations.folder import Record
from spanloc.data.annotations.rows import Case
from spanloc.data.annotations.units import TOO_SHORT
from spanloc.data.signals.protocol import place_of_row
from spanloc.data.survey.facts import Facts, finding, fitting, of_record
from spanloc.data.survey.result import Finding
from spanloc.files import counted

# Standard deviations of one channel that differ by more than this are of different units, or of a dead sensor.
_SCALES = 1000
# What is there less often, or makes a smaller share of the values far out, is a value like others.
_LEAST_CODES, _SHARE_OF_CODES = 10, 0.25
# How a mistake begins where neither a file nor data.fps says the rate.
_NO_RATE = "fps is missing, and "


def refused(cases: Sequence[Case]) -> Iterator[Finding]:
    """What could not be read of the annotations: rows, files and sequences."""
    # Often all recordings lack a rate: other mistakes would not be seen among these.
    no_rate = [case for case in cases if case.text.startswith(_NO_RATE)]
    too_short = [case for case in cases if TOO_SHORT in case.text]
    apart = {*no_rate, *too_short}
    others = [case for case in cases if case not in apart]
    yield from finding(
        "error",
        "refused",
        f"{counted(len(others), 'mistake')} in the annotations, or between them and the signals",
        "Correct this, then check again: what it belongs to was left out of this check.",
        others,
        len(others),
    )
    yield from finding(
        "error",
        "no rate",
        f"{counted(len(no_rate), 'recording')} whose rate is not known",
        "Set data.fps (steps per second), or data.feature_stride and data.fps for features of a video.",
        (case._replace(text="") for case in no_rate),
        len(no_rate),
    )
    for case in too_short:
        text, _, unit = case.text.partition("; ")
        yield Finding("error", "unit", text, 1, fitting(unit), [case._replace(text="")])


def unreadable(facts: Facts) -> Iterator[Finding]:
    """Recordings that failed while they were read."""
    pairs = zip(facts.records, facts.scans, strict=True)
    own = [of_record(record, scan.problem) for record, scan in pairs if scan.problem]
    yield from finding(
        "error",
        "unreadable",
        f"{counted(len(own), 'recording')} that cannot be read",
        "Write the files again, or take these recordings out of the annotations.",
        own,
        len(own),
    )


def not_finite(facts: Facts) -> Iterator[Finding]:
    """NaN and infinite values, a case a recording."""
    cases, total = [], 0
    for record, scan in zip(facts.records, facts.scans, strict=True):
        if scan.not_finite:
            count, row, column, value = scan.not_finite
            more = f"; in all {counted(count, 'such value')}" if count > 1 else ""
            place = place_of_row(record.signal, row)
            cases.append(of_record(record, f"column {column} is {value}{more}", place))
            total += count
    yield from finding(
        "error",
        "not finite",
        f"{counted(total, 'NaN or infinite value')} in {counted(len(cases), 'recording')}",
        "Fill or cut out these stretches: training refuses such values.",
        cases,
        len(cases),
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
    elif not any(len(record.spans) or record.id in facts.unread for record in own):
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
        text = f"{counted(len(some), 'recording')} {text}"
        yield from finding(severity, kind, text, advice, map(_copy, some), len(some))


def _copy(group: Sequence[Record]) -> Case:
    first, *others = group
    other = next((record for record in others if record.subset != first.subset), others[0])
    more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
    return of_record(first, f"{_of(first)} and {_of(other)}{more}")


def subjects(facts: Facts) -> Iterator[Finding]:
    """Subjects in two subsets, or none that is named."""
    subsets: dict[str, set[str]] = {}
    for record in facts.records:
        if record.subject is not None:
            subsets.setdefault(record.subject, set()).add(record.subset)
    own = [(subject, sorted(found)) for subject, found in subsets.items() if len(found) > 1]
    yield from finding(
        "warning",
        "subject in two subsets",
        f"{counted(len(own), 'subject')} in two subsets",
        "Keep a subject in one subset, unless the model is only for people it has seen.",
        (Case(text=f"{subject!r} in {' and '.join(found)}") for subject, found in own),
        len(own),
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


def without_spans(facts: Facts) -> Iterator[Finding]:
    """Recordings without spans."""
    empty = [r for r in facts.records if not len(r.spans) and r.id not in facts.unread]
    yield from finding(
        "note",
        "no spans",
        f"{counted(len(empty), 'recording')} without a span",
        "Fine where nothing happens in them; take out those that nobody annotated.",
        map(of_record, empty),
        len(empty),
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
            [i for i, shape in enumerate(shapes) if _sorted(shape) != _sorted(shapes[0])],
            "with other channels than the first one",
            "Training takes the channels whose names all have, or those in data.channels; without names "
            "and data.channels it refuses.",
            [
                ", ".join(names or (f"{counted(count, 'channel')} without names",))
                for count, names in shapes
            ],
        ),
    ):
        cases = (of_record(facts.records[i], f"{shown[i]}; the first has {shown[0]}") for i in odd)
        text = f"{counted(len(odd), 'recording')} {what}"
        yield from finding(severity, kind, text, advice, cases, len(odd))


def _sorted(shape: tuple[int, tuple[str, ...] | None]) -> tuple[int, list[str] | None]:
    # Channels that have names are found by them, in whatever order.
    count, names = shape
    return count, None if names is None else sorted(names)


def channels(facts: Facts) -> Iterator[Finding]:
    """Constant channels, and channels of different scales."""
    table = facts.channels.assign(std=np.sqrt(facts.channels["squares"] / facts.channels["count"]))
    flat = table[(table["least"] == table["most"]) & (table["count"] > 1)]
    rows = zip(flat["place"], flat["name"], flat["least"], strict=True)
    yield from finding(
        "warning",
        "constant channel",
        f"{counted(flat['name'].nunique(), 'channel')} constant over a recording, in "
        f"{counted(flat['place'].nunique(), 'recording')}",
        "Look for a sensor that was off; a channel that is constant everywhere can be left out.",
        (of_record(facts.records[i], f"column {name} is {value:g}") for i, name, value in rows),
        len(flat),
    )
    varying = table[table["std"] > 0]
    stds = varying.groupby("name")["std"]
    ratio = (stds.max() / stds.min()).sort_values(ascending=False)
    ratio = ratio[ratio > _SCALES]

    def odd_one(name: str) -> Case:
        own = varying[varying["name"] == name]
        middle = own["std"].median()
        row = own.loc[np.abs(np.log(own["std"] / middle)).idxmax()]
        return of_record(
            facts.records[row["place"]],
            f"column {name} has the standard deviation {row['std']:.3g}; the median recording "
            f"{middle:.3g}",
        )

    yield from finding(
        "warning",
        "scale",
        f"{counted(len(ratio), 'channel')} on scales that differ more than {_SCALES:,}-fold between "
        "recordings",
        "Bring all recordings to one unit; leave out those of a dead sensor.",
        map(odd_one, ratio.index),
        len(ratio),
    )


def codes(facts: Facts) -> Iterator[Finding]:
    """One exact value far outside the usual range that repeats: a code for lost samples, or saturation."""
    rows = [(place, *code) for place, one in enumerate(facts.scans) for code in one.codes]
    table = pd.DataFrame(rows, columns=["place", "column", "value", "times", "outside"])
    total = facts.channels.groupby("name")["count"].sum()
    outside = table.groupby("column")["outside"].sum()
    cases = []
    for column, own in table.groupby("column", sort=False):
        value = own.groupby("value")["times"].sum().idxmax()
        own = own[own["value"] == value]
        times = own["times"].sum()
        if times < max(_LEAST_CODES, _SHARE_OF_CODES * outside[column]):
            continue
        text = (
            f"the value {value:.9g} in {counted(own['place'].nunique(), 'recording')}, "
            f"{100 * times / total[column]:.2g} % of the steps of column {column}"
        )
        cases.append(of_record(facts.records[own["place"].iloc[0]], text))
    yield from finding(
        "warning",
        "code",
        f"{counted(len(cases), 'channel')} in which one value far outside the usual range repeats",
        "If it stands for lost samples, fill them from their neighbours: training takes it for signal, and at "
        "most compresses it.",
        cases,
        len(cases),
    )


def _of(record: Record) -> str:
    return f"{record.id!r} ({record.subset})"
