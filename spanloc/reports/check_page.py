"""Results of a survey of annotated recordings: tables, and a page."""

import math
import warnings
from collections.abc import Iterator, Sequence

from spanloc.data.annotations.folder import Record
from spanloc.data.survey.result import MOST_CASES, Finding, LabelSpans, Survey
from spanloc.files import counted, time_text
from spanloc.plots.lengths import span_lengths, span_rows
from spanloc.reports.pages import render
from spanloc.reports.table import Cell, Column, Table, number, share, shortened, subset_name

# Rates whose ratio is below are shown as a range.
_ALIKE = 1.05
# Cases of a finding, in a terminal and on the page.
_PRINTED, _LISTED = 3, 100


def check_page(
    survey: Survey,
    records: Sequence[Record],
    classes: Sequence[str],
    recipe: Sequence[tuple[str, Sequence[str]]] = (),
) -> str:
    """A survey of records as one page; ``recipe``: headings and lines that say what training would do."""
    with warnings.catch_warnings():
        # The page has the letters of any script; the fonts that measure them do not.
        warnings.filterwarnings("ignore", "Glyph")
        return render(
            "check.html",
            "Check of annotated recordings",
            root=survey.root,
            overview=overview(survey),
            findings=finding_table(survey),
            # One case is in the table of findings.
            cases=[_case_table(finding) for finding in survey.findings if len(finding.cases) > 1],
            recipe=recipe,
            parts=part_table(survey),
            labels=label_table(survey),
            lengths=span_lengths(records, classes),
            rows=span_rows(records, classes),
            ignored=any(len(record.ignored) for record in records),
            channels=channel_table(survey),
        )


def overview(survey: Survey) -> str:
    """Size and form of the data, in words."""
    if not survey.num_recordings:
        found = [case for finding in survey.of("error") for case in finding.cases]
        # Where a recording is named, its annotations were read.
        named = any(case.sequence for case in found)
        what = "no recording could be used" if named else "the annotations could not be read"
        return f"{what}, so nothing was counted."
    *others, last = [count for count, _ in survey.num_channels[:3]]
    channels = " or ".join([*map(str, others), counted(last, "channel")])
    steps = survey.steps
    size = counted(round(steps.most), "step") + " each" * (survey.num_recordings > 1)
    if steps.least < steps.most:
        size = (
            f"{steps.least:,.0f} to {steps.most:,.0f} steps, median {steps.median:,.0f}, the longest "
            f"{survey.longest}"
        )
    unseen = survey.seconds - survey.annotated
    left = (
        f" ({time_text(unseen)} of it ignored or not annotated)"
        if unseen > 1e-3 * survey.seconds
        else ""
    )
    spans = sum(part.num_spans for part in survey.parts)
    bad = sum(f.count for f in survey.findings if f.kind.startswith("span: "))
    most = survey.overlaps.most_at_once
    overlaps = "; no two spans overlap" if spans > 1 else ""
    if most > 1:
        overlaps = f"; up to {most} spans at the same time"
    return (
        f"{counted(survey.num_recordings, 'recording')}, {time_text(survey.seconds)} in all{left}, "
        f"{channels} at {_rates(survey)}; {size}. {counted(spans or bad, 'span')} "
        f"of {counted(len(survey.labels), 'label')}{', none of them usable' * bool(bad and not spans)}{overlaps}."
    )


def _rates(survey: Survey) -> str:
    rates = [rate for rate, _ in survey.rates]
    least, most = min(rates), max(rates)
    if len(rates) > 2 and most <= _ALIKE * least:
        apart = f" ({least:.4g} to {most:.4g})" if f"{least:.4g}" != f"{most:.4g}" else ""
        return f"about {rates[0]:.3g} Hz{apart}"
    return " or ".join(f"{rate:g} Hz" for rate in rates[:3])


def finding_lines(finding: Finding) -> Iterator[str]:
    """A finding as lines of text: what, the first cases, and what to do."""
    yield f"{finding.severity}: {finding.text}"
    for i, case in enumerate(finding.cases[:_PRINTED]):
        yield f"{'         ' if i else '  where: '}{case.line}"
    if finding.cases and (more := finding.count - _PRINTED) > 0:
        place = "in check.html" if finding.count <= _LISTED else "in check.json"
        if finding.count > MOST_CASES:
            place = f"the first {MOST_CASES:,} cases are in check.json"
        yield f"         and {more:,} more, {place}"
    yield f"  {finding.advice}"


def finding_table(survey: Survey) -> Table:
    """A row a finding, the gravest first."""
    severity = (
        "error: training would refuse the data, or its results would mean nothing; warning: a likely "
        "mistake; note: worth knowing"
    )
    columns = [
        Column("finding", "text"),
        Column("severity", "severity", severity),
        Column("cases", "count"),
        Column("first case", lambda finding: finding.cases[0].line if finding.cases else None),
        Column("what to do", "advice"),
    ]
    notes = () if survey.findings else ["Nothing was found."]
    return Table.of("Findings", survey.findings, columns, notes)


def _case_table(finding: Finding) -> Table:
    cases = finding.cases[:_LISTED]
    rows = [dict(zip(("file", "sequence", "row", "what"), case, strict=False)) for case in cases]
    # A column that says nothing is left out, such as the file of a label.
    kept = [name for name in rows[0] if any(row[name] for row in rows)]
    few = f"the first {len(cases):,} of" if len(cases) < finding.count else "all"
    return Table(
        f"{finding.text}: {few} {finding.count:,} cases",
        [{name: row[name] or None for name in kept} for row in rows],
    )


def part_table(survey: Survey) -> Table:
    """A row a subset."""
    columns = [
        Column("subset", lambda part: subset_name(part.name)),
        Column("recordings", "num_recordings"),
        Column("time", lambda part: Cell(time_text(part.seconds), part.seconds)),
        Column("spans", "num_spans"),
        Column("without spans", "num_empty", "recordings without a span"),
        Column("subjects", lambda part: part.num_subjects or None, "as far as they are named"),
    ]
    text = "Training, validation and test recordings are chosen after the errors are corrected."
    undivided = len(survey.parts) == 1 and survey.of("error")
    return Table.of("Subsets", survey.parts, columns, [text] if undivided else ())


def label_table(survey: Survey) -> Table:
    """A row a label, and one of all."""
    labels, subsets = survey.labels, [part.name for part in survey.parts]
    if len(labels) > 1:
        total = sum(label.num_spans for label in labels)
        every = LabelSpans(
            name="all labels",
            num_spans=total,
            share=1.0 if total else math.nan,
            seconds=survey.spans,
            coverage=survey.coverage,
            subsets={name: sum(label.subsets[name] for label in labels) for name in subsets},
        )
        labels = [*labels, every]
    columns = [
        Column("label", lambda label: shortened(label.name)),
        Column("spans", "num_spans"),
        Column("share", lambda label: share(label.share), "of all spans"),
    ]
    columns += map(_in_subset, subsets)
    quantiles = ("shortest", "5 %", "median", "95 %", "longest")
    columns += [_length(name, place) for place, name in enumerate(quantiles)]
    covered = "share of the annotated time that the spans cover"
    columns.append(Column("coverage", lambda label: share(label.coverage), covered))
    notes = ["Lengths are in seconds; coverage is the share of the annotated time."]
    brief = ("label", "spans", "shortest", "median", "longest", "coverage")
    return Table.of("Labels", labels, columns, notes if labels else (), brief)


def _in_subset(name: str) -> Column:
    return Column(subset_name(name), lambda label: label.subsets[name], "spans in this subset")


def _length(name: str, place: int) -> Column:
    def seconds(label: LabelSpans) -> Cell:
        length = label.seconds[place]
        return number(length, ".3g" if length < 1000 else ",.0f")

    return Column(name, seconds, "length in seconds")


def channel_table(survey: Survey) -> Table:
    """A row a channel."""
    columns = [
        Column("channel", lambda c: shortened(c.name), "its name, or its number from 0"),
        Column("recordings", "num_recordings", "that have it"),
        Column("mean", "mean", "over all recordings"),
        Column("standard deviation", "std", "over all recordings"),
        Column("minimum", "least"),
        Column("maximum", "most"),
    ]
    return Table.of("Channels", survey.channels, columns)
