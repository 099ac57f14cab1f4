"""Findings about recordings: their files, subsets, subjects and channels."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from spanloc.data.annotations.folder import Record
from spanloc.data.annotations.rows import TIME, Case
from spanloc.data.annotations.units import TOO_SHORT
from spanloc.data.held_out import subject_pattern
from spanloc.data.quotes import as_written
from spanloc.data.signals import Regular
from spanloc.data.signals.clock import SECONDS
from spanloc.data.signals.protocol import place_of_row
from spanloc.data.survey.facts import Facts, fitting, of_record
from spanloc.data.survey.kinds import SCALES, finding
from spanloc.data.survey.result import Finding
from spanloc.files import counted

# What is there less often, or makes a smaller share of the values far out, is a value like others.
_LEAST_CODES, _SHARE_OF_CODES = 10, 0.25
# Fewer changes may lie where spans start or end by chance.
_LEAST_CHANGES = 8
# The share of its recordings where it may vary elsewhere too: at gaps in the times, for example.
_MOST_VARYING = 0.25
# Rates that differ by no more are the same, with other roundings or clocks.
_SAME_RATE = 1e-3
# Seconds from row to row from which on the times may be in another unit; times of every second may have jitter.
_SLOW = 1.01
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
        yield from finding(kind, own)
    # The file is that of the recording; what is left of the text: the columns of a table.
    own = [
        case._replace(file=path, text=rest.partition("; ")[0].removeprefix(": "))
        for case in no_rate
        for path, _, rest in [case.text.removeprefix(_NO_RATE).partition(" does not say its rate")]
    ]
    named = f"{TIME[0].upper()}{TIME[1:]}. If there is none, set data.fps (steps per second)."
    yield from finding("no rate", own, advice=named if any(case.text for case in own) else "")
    for case in too_short:
        text, _, unit = case.text.partition("; ")
        yield Finding("error", "unit", text, 1, fitting(unit), [case._replace(text="")])


def unreadable(facts: Facts) -> Iterator[Finding]:
    """Recordings that failed while they were read."""
    pairs = zip(facts.records, facts.scans, strict=True)
    cases = [of_record(record, scan.problem) for record, scan in pairs if scan.problem]
    yield from finding("unreadable", cases)


def not_finite(facts: Facts) -> Iterator[Finding]:
    """Infinite and missing values, a case a recording; and channels without values."""
    filled: Any = (
        {"advice": "Training interpolates them.", "lesser": "note"} if facts.filled else {}
    )
    gaps: dict[str, Case] = {}
    for record in facts.records:
        if isinstance(record.signal, Regular) and (gap := record.signal.gap):
            start, long = (steps * record.timeline.seconds_per_step for steps in gap)
            text = f"{long:.6g} s without a row, from {start:.6g} s on"
            gaps[record.id] = of_record(record, text)
    yield from finding("gap", [*gaps.values()], **filled)
    for kind in ("not finite", "missing"):
        cases = []
        for record, scan in zip(facts.records, facts.scans, strict=True):
            odd = scan.odd.get(kind)
            # The steps of a gap are a finding of their own.
            if odd and not (kind == "missing" and record.id in gaps):
                count, row, column, value = odd
                more = f"; {counted(count, 'such value')} in total" if count > 1 else ""
                place = place_of_row(record.signal, row)
                name = f"channel {column!r}" if record.signal.channels else f"column {column}"
                cases.append(of_record(record, f"{name} is {value}{more}", place))
        yield from finding(kind, cases, **(filled if kind == "missing" else {}))
    rows = facts.channels[facts.channels["count"] == 0].itertuples()
    yield from finding("no values", [facts.of_channel(row.place, row.name) for row in rows])


def empty_subsets(facts: Facts) -> Iterator[Finding]:
    """Nothing to train on."""
    own = [record for record in facts.records if record.subset == "training"]
    if facts.records and not own:
        text = "No recording has the subset 'training'"
        advice = "Give some recordings the subset 'training'."
        yield Finding("error", "no training", text, 0, advice)
    elif own and not any(len(record.spans) or record.id in facts.unread for record in own):
        text = "No training recording has a span"
        advice = "Annotate some of them: there is nothing to learn from."
        yield Finding("error", "no training spans", text, 0, advice)


def copies(facts: Facts) -> Iterator[Finding]:
    """Recordings of the same content."""
    groups: dict[Any, list[Record]] = {}
    for record, scan in zip(facts.records, facts.scans, strict=True):
        if scan.digest:
            groups.setdefault((scan.digest, record.num_steps), []).append(record)
    own = [group for group in groups.values() if len(group) > 1]
    for kind, across in (("copy in another subset", True), ("copy", False)):
        some = [_copy(g) for g in own if (len({r.subset for r in g}) > 1) == across]
        yield from finding(kind, some)


def _copy(group: Sequence[Record]) -> Case:
    first, *others = group
    other = next((record for record in others if record.subset != first.subset), others[0])
    text = " and ".join(f"{record.id!r} ({record.subset})" for record in (first, other))
    more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
    return of_record(first, text + more)


def subjects(facts: Facts) -> Iterator[Finding]:
    """Subjects in two subsets, or none that is named."""
    subsets: dict[str, set[str]] = {}
    for record in facts.records:
        if record.subject is not None:
            subsets.setdefault(record.subject, set()).add(record.subset)
    cases = [
        Case(text=f"{subject!r} in {' and '.join(sorted(found))}")
        for subject, found in subsets.items()
        if len(found) > 1
    ]
    yield from finding("subject in two subsets", cases)
    held = {record.subset for record in facts.records} >= {"validation", "testing"}
    if len(facts.records) > 1 and not subsets and not held:
        text = (
            "No subjects (persons, animals, machines) are named, so test recordings may be of subjects that are also in "
            "training: the result is then too good for new subjects"
        )
        advice = "If one subject has several recordings, name the subjects: training then holds out whole subjects."
        pattern = subject_pattern([record.id for record in facts.records])
        if pattern:
            advice += f" If they are in the names of recordings: {pattern}"
        severity = "warning" if pattern else "note"
        yield Finding(severity, "no subjects", text, len(facts.records), advice)


def without_spans(facts: Facts) -> Iterator[Finding]:
    """Recordings without spans."""
    empty = [r for r in facts.records if not len(r.spans) and r.id not in facts.unread]
    yield from finding("no spans", [of_record(record) for record in empty])


def slow(facts: Facts) -> Iterator[Finding]:
    """Recordings whose times may be in a smaller unit than seconds."""
    found: list[tuple[Case, str]] = []
    for record in facts.records:
        step, clock = record.timeline.seconds_per_step, getattr(record.signal, "clock", None)
        if step > _SLOW and clock and clock.assumed:
            unit = next((unit for unit, size in SECONDS.items() if step * size <= 1), "ns")
            column = as_written({"time": f"{clock.assumed}_{unit}"})
            found.append((of_record(record, f"{step:.3g} s from row to row"), column))
    if found:
        advice = (
            "If the times are not in seconds, add their unit (ms, us, ns) to the column in data.columns: "
            f"'data.columns={found[0][1]}', with your other columns. If they are in seconds, do nothing."
        )
        yield from finding("slow", [case for case, _ in found], advice=advice)


def differences(facts: Facts) -> Iterator[Finding]:
    """Recordings with irregular times, of another rate or with other channels than most."""
    signals = [record.signal for record in facts.records]
    rates = [1 / record.timeline.seconds_per_step for record in facts.records]
    uneven = [isinstance(signal, Regular) for signal in signals]
    yield from finding(
        "irregular", [of_record(r) for r, odd in zip(facts.records, uneven, strict=True) if odd]
    )
    usual_rate = _most_frequent([f"{rate:.5g}" for rate in rates])
    # The rate of irregular times is an estimate.
    odd_rates = [
        not (odd or np.isclose(rate, rates[usual_rate], _SAME_RATE, 0))
        for rate, odd in zip(rates, uneven, strict=True)
    ]
    # Channels that have names are found by them, in whatever order.
    known = [tuple(sorted(s.channels)) if s.channels else s.num_channels for s in signals]
    usual = _most_frequent(known)
    odd_channels = [
        channels != known[usual] and getattr(s, "choice", None) is None
        for s, channels in zip(signals, known, strict=True)
    ]
    names = [
        ", ".join(s.channels or (f"{counted(s.num_channels, 'channel')} without names",))
        for s in signals
    ]
    texts = [f"{rate:g} steps per second" for rate in rates]
    for kind, odd, shown, one in (
        ("different rates", odd_rates, texts, usual_rate),
        ("different channels", odd_channels, names, usual),
    ):
        cases = [
            of_record(facts.records[i], f"{shown[i]}; {facts.records[one].id} has {shown[one]}")
            for i in np.flatnonzero(odd).tolist()
        ]
        yield from finding(kind, cases)


def _most_frequent(values: Sequence[Any]) -> int:
    # The place of the first one.
    return values.index(Counter(values).most_common(1)[0][0]) if values else 0


def channels(facts: Facts) -> Iterator[Finding]:
    """Constant channels, and channels of different scales."""
    table = facts.channels.assign(std=np.sqrt(facts.channels["squares"] / facts.channels["count"]))
    flat = table[(table["least"] == table["most"]) & (table["count"] > 1)]
    rows = flat.itertuples()
    cases = [facts.of_channel(row.place, row.name, f" is {row.least:g}") for row in rows]
    yield from finding("constant channel", cases)
    varying = table[table["std"] > 0]
    stds = varying.groupby("name")["std"]
    ratio = (stds.max() / stds.min()).sort_values(ascending=False)
    cases = []
    for name in ratio.index[ratio > SCALES]:
        own = varying[varying["name"] == name]
        middle = own["std"].median()
        odd = np.abs(np.log(own["std"] / middle)).idxmax()
        std, place = own["std"][odd], int(own["place"][odd])
        more = f" has the standard deviation {std:.3g}; the median recording {middle:.3g}"
        cases.append(facts.of_channel(place, name, more))
    yield from finding("scale", cases)


def telling(facts: Facts) -> Iterator[Finding]:
    """Channels that change mostly where spans start or end."""
    by_name = facts.channels.groupby("name", sort=False)
    there = (by_name["changes"].sum() >= _LEAST_CHANGES) & (
        by_name["varies"].mean() <= _MOST_VARYING
    )
    places = by_name["place"].first()[there]
    yield from finding("telling", [facts.of_channel(place, name) for name, place in places.items()])


def codes(facts: Facts) -> Iterator[Finding]:
    """One exact value far outside the usual range that repeats: a code for lost samples, or saturation."""
    rows = [(place, *code) for place, one in enumerate(facts.scans) for code in one.codes]
    table = pd.DataFrame(rows, columns=["place", "column", "value", "times", "outside"])
    total = facts.channels.groupby("name")["count"].sum()
    cases = []
    for column, own in table.groupby("column", sort=False):
        value = own.groupby("value")["times"].sum().idxmax()
        same = own[own["value"] == value]
        times = same["times"].sum()
        if times >= max(_LEAST_CODES, _SHARE_OF_CODES * own["outside"].sum()):
            text = (
                f"the value {value:.9g} in {counted(same['place'].nunique(), 'recording')}, "
                f"{100 * times / total[column]:.2g} % of the steps of column {column}"
            )
            cases.append(of_record(facts.records[same["place"].iloc[0]], text))
    yield from finding("code", cases)
