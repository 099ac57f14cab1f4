"""Survey of annotated recordings, in one pass over their signals."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from spanloc.data.annotations.folder import SUBSETS, Record
from spanloc.data.annotations.rows import BadSpan, Case
from spanloc.data.survey import findings as recordings
from spanloc.data.survey import span_findings as spans
from spanloc.data.survey.facts import Facts
from spanloc.data.survey.result import SEVERITIES, Finding, Part, Survey
from spanloc.data.survey.signals import Progress, channel_table, channels, scan
from spanloc.data.survey.spans import SAME, covered, label_spans, overlapping, quantiles, span_table

# What else is found where all times are in the wrong unit.
_OF_UNIT = {"short spans", "rare spans", "inclusive ends"}


def survey_records(
    records: Sequence[Record],
    classes: Sequence[str],
    *,
    root: str = "",
    found: Sequence[BadSpan] = (),
    refused: Sequence[Case] = (),
    bad_spans: str = "error",
    missing: str = "error",
    progress: Progress | None = None,
) -> Survey:
    """Read every signal once, in pieces, and count what matters for training.

    A recording that cannot be read is a finding, and the others go on. Spans that are there twice
    count once.

    Args:
        records: Of all subsets. Read with ``refused``, they say where their spans are written.
        found, refused: As :func:`read_annotations` filled them.
        bad_spans, missing: The settings of training.
    """
    scans = scan(records, progress)
    every = span_table(records)
    table = every.drop_duplicates(SAME, ignore_index=True)
    steps = np.array([record.num_steps for record in records], float)
    step_sizes = np.array([record.timeline.seconds_per_step for record in records], float)
    seconds = float((steps * step_sizes).sum())
    subsets = [name for name in SUBSETS if any(record.subset == name for record in records)]
    ignored = np.array([float(record.ignored.diff(dim=1).sum()) for record in records])
    known = (steps - ignored) * step_sizes
    annotated = float(known.sum())
    training = float(known[np.array([r.subset == "training" for r in records], bool)].sum())
    labels = label_spans(table, classes, subsets, annotated)
    overlaps = overlapping(table)
    counts = [label.num_spans for label in labels if label.num_spans]
    by_channel = channel_table(scans)
    share = covered(table[table["subset"] == "training"], training)
    unread = {bad.sequence for bad in found if bad.kind != "duplicate"}
    unread |= {case.sequence for case in refused}
    tables = table, every, by_channel
    filled = missing == "interpolate"
    facts = Facts(records, classes, scans, *tables, labels, overlaps, share, unread, filled)
    num_spans = len(every) + sum(bad.kind != "duplicate" for bad in found)
    of_reading = [*recordings.refused(refused), *spans.bad_spans(found, bad_spans, num_spans)]
    return Survey(
        root=root,
        parts=[_part(name, records) for name in subsets],
        num_recordings=len(records),
        seconds=seconds,
        annotated=annotated,
        rates=Counter(float(f"{1 / size:.9g}") for size in step_sizes).most_common(),
        num_channels=Counter(record.signal.num_channels for record in records).most_common(),
        steps=quantiles(steps),
        longest=records[int(steps.argmax())].id if records else "",
        channels=channels(by_channel),
        labels=labels,
        spans=quantiles(table["seconds"].to_numpy()),
        coverage=covered(table, annotated),
        imbalance=max(counts) / min(counts) if counts else float("nan"),
        overlaps=overlaps,
        findings=_findings(facts, of_reading),
    )


def divided(result: Survey, parts: Mapping[str, Sequence[Record]]) -> Survey:
    """A survey whose counts in subsets, and findings about these, are those of other subsets.

    Such as those that training draws.
    """
    subsets = [name for name in SUBSETS if parts.get(name)]
    records = [replace(record, subset=name) for name in subsets for record in parts[name]]
    table = span_table(records).drop_duplicates(SAME, ignore_index=True)
    labels = label_spans(table, [label.name for label in result.labels], subsets, result.annotated)
    # The files may say no subsets: then all spans counted as those of training.
    findings = [one for one in result.findings if one.kind not in spans.RARE_KINDS]
    findings = _sorted([*findings, *spans.rare_labels(labels)])
    counts = [_part(name, records) for name in subsets]
    return replace(result, parts=counts, labels=labels, findings=findings)


def _part(name: str, records: Sequence[Record]) -> Part:
    own = [record for record in records if record.subset == name]
    return Part(
        name,
        len(own),
        sum(not len(record.spans) for record in own),
        sum(record.num_steps * record.timeline.seconds_per_step for record in own),
        sum(len(record.spans) for record in own),
        len({record.subject for record in own if record.subject is not None}),
    )


def _findings(facts: Facts, of_reading: Sequence[Finding]) -> list[Finding]:
    rules = (
        recordings.slow,
        recordings.unreadable,
        recordings.not_finite,
        recordings.empty_subsets,
        recordings.copies,
        spans.label_findings,
        recordings.subjects,
        spans.span_findings,
        spans.end_findings,
        recordings.differences,
        recordings.channels,
        recordings.telling,
        recordings.codes,
        recordings.without_spans,
    )
    listed = [*of_reading, *chain.from_iterable(rule(facts) for rule in rules)]
    if any(finding.kind == "unit" for finding in of_reading):
        listed = [finding for finding in listed if finding.kind not in _OF_UNIT]
    return _sorted(listed)


def _sorted(found: Sequence[Finding]) -> list[Finding]:
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
