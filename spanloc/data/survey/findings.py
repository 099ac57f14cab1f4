"""Findings about recordings: their files, subsets, subjects and channels."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from spanloc.data.annotations.folder import Record
from spanloc.data.annotations.rows import TIME, Case
from spanloc.data.annotations.units import TOO_SHORT
from spanloc.data.signals import Regular
from spanloc.data.signals.protocol import place_of_row
from spanloc.data.survey.facts import Facts, fitting, of_record
from spanloc.data.survey.kinds import SCALES, finding
from spanloc.data.survey.result import MOST_CASES, Finding
from spanloc.files import counted

# What is there less often, or makes a smaller share of the values far out, is a value like others.
_LEAST_CODES, _SHARE_OF_CODES = 10, 0.25
# Fewer changes may lie where spans start or end by chance.
_LEAST_CHANGES = 8
# How a mistake begins where neither a file nor data.fps says the rate.
_NO_RATE = "fps is missing, and "


def refused(cases: Sequence[Case]) -> Iterator[Finding]:
    """Rows, files and sequences of the annotations that could not be read."""
    # Often all recordings lack a rate: other mistakes would not be seen among these.
    no_rate = [case for case in cases if case.text.startswith(_NO_RATE)]
    too_short = [case for case in cases if TOO_SHORT in case.text]
    apart = {*no_rate, *too_short}
    others = [case for case in cases if case not in apart]
    for kind, whole in (("refused", False), ("unusable", True)):
        own = [case for case in others if bool(case.sequence and not case.row) == whole]
        yield from finding(kind, own, len(own))
    # The file is that of the recording; what is left of the text: the columns of a table.
    own = [
        case._replace(file=path, text=rest.partition("; ")[0].removeprefix(": "))
        for case in no_rate
        for path, _, rest in [case.text.removeprefix(_NO_RATE).partition(" does not say its rate")]
    ]
    named = f"{TIME[0].upper()}{TIME[1:]}. If there is none, set data.fps (steps per second)."
    advice = named if any(case.text for case in own) else ""
    yield from finding("no rate", own, len(own), advice=advice)
    for case in too_short:
        text, _, unit = case.text.partition("; ")
        yield Finding("error", "unit", text, 1, fitting(unit), [case._replace(text="")])


def unreadable(facts: Facts) -> Iterator[Finding]:
    """Recordings that failed while they were read."""
    pairs = zip(facts.records, facts.scans, strict=True)
    own = [of_record(record, scan.problem) for record, scan in pairs if scan.problem]
    yield from finding("unreadable", own, len(own))


def not_finite(facts: Facts) -> Iterator[Finding]:
    """Infinite and missing values, a case a recording; and channels without values."""
    filled = {"advice": "Training interpolates them.", "lesser": "note"} if facts.filled else {}
    gaps = [*_gaps(facts.records)]
    yield from finding("gap", gaps, len(gaps), **filled)
    for kind in ("not finite", "missing"):
        cases = []
        for record, scan in zip(facts.records, facts.scans, strict=True):
            odd = scan.missing if kind == "missing" else scan.not_finite
            # The steps of a gap are a finding of their own.
            if odd and not (kind == "missing" and getattr(record.signal, "gap", None)):
                count, row, column, value = odd
                more = f"; in all {counted(count, 'such value')}" if count > 1 else ""
                place = place_of_row(record.signal, row)
                name = f"channel {column!r}" if record.signal.channels else f"column {column}"
                cases.append(of_record(record, f"{name} is {value}{more}", place))
        yield from finding(kind, cases, len(cases), **(filled if kind == "missing" else {}))
    table = facts.channels
    empty = table[table["count"] == 0]
    rows = zip(empty["place"], empty["name"], strict=True)
    cases = [of_record(facts.records[i], f"column {name}") for i, name in rows]
    yield from finding("no values", cases, len(cases))


def _gaps(records: Sequence[Record]) -> Iterator[Case]:
    for record in records:
        if isinstance(record.signal, Regular) and (gap := record.signal.gap):
            start, long = (steps * record.timeline.seconds_per_step for steps in gap)
            yield of_record(record, f"{long:.6g} s without a row, from {start:.6g} s on")


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
    for kind, across in (("copy in another subset", True), ("copy", False)):
        some = [g for g in own if (len({r.subset for r in g}) > 1) == across]
        yield from finding(kind, map(_copy, some), len(some))


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
    cases = (Case(text=f"{subject!r} in {' and '.join(found)}") for subject, found in own)
    yield from finding("subject in two subsets", cases, len(own))
    held = {record.subset for record in facts.records} >= {"validation", "testing"}
    if len(facts.records) > 1 and not subsets and not held:
        yield Finding(
            "note",
            "no subjects",
            "No subjects (persons, animals, machines) are named: recordings of one may be both in training and in testing",
            len(facts.records),
            "If one subject has several recordings, name the subjects: training then holds out whole subjects.",
        )


def without_spans(facts: Facts) -> Iterator[Finding]:
    """Recordings without spans."""
    empty = [r for r in facts.records if not len(r.spans) and r.id not in facts.unread]
    yield from finding("no spans", map(of_record, empty), len(empty))


def differences(facts: Facts) -> Iterator[Finding]:
    """Recordings with irregular times, of another rate or with other channels than the first one."""
    signals = [record.signal for record in facts.records]
    rates = [1 / record.timeline.seconds_per_step for record in facts.records]
    shapes = [(s.num_channels, None if s.channels is None else tuple(s.channels)) for s in signals]
    uneven = [record for record in facts.records if isinstance(record.signal, Regular)]
    yield from finding("irregular", map(of_record, uneven), len(uneven))
    # The rate of irregular times is an estimate.
    odd_rates = [
        i
        for i, rate in enumerate(rates)
        if not (np.isclose(rate, rates[0], 1e-6, 0) or isinstance(signals[i], Regular))
    ]
    odd_shapes = [i for i, shape in enumerate(shapes) if _sorted(shape) != _sorted(shapes[0])]
    texts = [f"{rate:g} steps per second" for rate in rates]
    names = [
        ", ".join(own or (f"{counted(count, 'channel')} without names",)) for count, own in shapes
    ]
    for kind, odd, shown in (
        ("different rates", odd_rates, texts),
        ("different channels", odd_shapes, names),
    ):
        cases = (of_record(facts.records[i], f"{shown[i]}; the first has {shown[0]}") for i in odd)
        yield from finding(kind, cases, len(odd))


def _sorted(shape: tuple[int, tuple[str, ...] | None]) -> tuple[int, list[str] | None]:
    # Channels that have names are found by them, in whatever order.
    count, names = shape
    return count, None if names is None else sorted(names)


def channels(facts: Facts) -> Iterator[Finding]:
    """Constant channels, and channels of different scales."""
    table = facts.channels.assign(std=np.sqrt(facts.channels["squares"] / facts.channels["count"]))
    flat = table[(table["least"] == table["most"]) & (table["count"] > 1)]
    rows = zip(flat["place"], flat["name"], flat["least"], strict=True)
    cases = (of_record(facts.records[i], f"column {name} is {value:g}") for i, name, value in rows)
    if len(flat):
        yield Finding(
            "warning",
            "constant channel",
            f"{counted(flat['name'].nunique(), 'channel')} constant over a recording, in "
            f"{counted(flat['place'].nunique(), 'recording')}",
            len(flat),
            "Look for a sensor that was off; a channel that is constant everywhere can be left out.",
            list(islice(cases, MOST_CASES)),
        )
    varying = table[table["std"] > 0]
    stds = varying.groupby("name")["std"]
    ratio = (stds.max() / stds.min()).sort_values(ascending=False)
    ratio = ratio[ratio > SCALES]

    def odd_one(name: str) -> Case:
        own = varying[varying["name"] == name]
        middle = own["std"].median()
        row = own.loc[np.abs(np.log(own["std"] / middle)).idxmax()]
        return of_record(
            facts.records[row["place"]],
            f"column {name} has the standard deviation {row['std']:.3g}; the median recording "
            f"{middle:.3g}",
        )

    yield from finding("scale", map(odd_one, ratio.index), len(ratio))


def rising(facts: Facts) -> Iterator[Finding]:
    """Channels that rise at every step of every recording that has them."""
    places = facts.channels.groupby("name")["place"].first()
    every = Counter(name for scan in facts.scans for name in scan.names)
    found = Counter(name for scan in facts.scans for name in scan.rising)
    cases = [
        of_record(facts.records[places[name]], f"column {name}")
        for name, count in found.items()
        if count == every[name]
    ]
    yield from finding("rising", cases, len(cases))


def telling(facts: Facts) -> Iterator[Finding]:
    """Channels that change where spans start or end, and nowhere else."""
    places = facts.channels.groupby("name")["place"].first()
    found: Counter[str] = Counter()
    for scan in facts.scans:
        found.update(scan.telling)
    varied = {name for scan in facts.scans for name in scan.varied}
    cases = [
        of_record(facts.records[places[name]], f"column {name}")
        for name, changes in found.items()
        if changes >= _LEAST_CHANGES and name not in varied
    ]
    yield from finding("telling", cases, len(cases))


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
    yield from finding("code", cases, len(cases))


def _of(record: Record) -> str:
    return f"{record.id!r} ({record.subset})"
