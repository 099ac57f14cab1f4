"""What a survey of annotated recordings found: tables, and a page."""

import math
import warnings
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from spanloc.data.annotations.folder import Record
from spanloc.data.survey.result import MOST_CASES, Finding, Survey
from spanloc.files import counted
from spanloc.plots.lengths import Row, span_lengths, span_rows
from spanloc.reports.cells import NONE, Cell, number, shortened
from spanloc.reports.html import document, figures_section, table_section
from spanloc.reports.tables import Table

_MOST_ROWS = 12
# Of a row of a time line: so many spans of median length.
_SPANS_A_ROW = 40
# Cases of a finding, in a terminal and on the page.
_PRINTED, _LISTED = 3, 100


def check_page(
    survey: Survey, records: Sequence[Record], classes: Sequence[str], recipe: Sequence[str] = ()
) -> str:
    """A survey as one page.

    Args:
        survey: Of the records.
        records: For the figures.
        classes: Names of the labels.
        recipe: Lines that say what training would choose.
    """
    chosen = [f"<p>{escape(line)}</p>" for line in recipe]
    parts = [
        f'<p class="soft">{escape(survey.root)}: {escape(overview(survey))}</p>',
        *table_section(finding_table(survey)),
        *(line for finding in survey.findings for line in _cases(finding)),
        *(
            ["<section><h2>What training would choose</h2>", *chosen, "</section>"]
            if chosen
            else ()
        ),
        *table_section(part_table(survey)),
        *table_section(label_table(survey)),
        "<section><h2>Spans</h2>",
        *_figures(records, classes),
        "</section>",
        *table_section(channel_table(survey)),
    ]
    return document("Check of annotated recordings", parts)


def _figures(records: Sequence[Record], classes: Sequence[str]) -> list[str]:
    rows = _rows(records)
    grey = " Grey: not annotated, or ignored." if any(len(row.ignored) for row in rows) else ""
    figures = [
        (
            span_lengths(_lengths(records, classes)),
            "How long spans are, by label and number: dots are single spans, the bar goes from the 5 % "
            "to the 95 % quantile, the mark is the median.",
        ),
        (
            span_rows(rows, classes),
            f"Where spans lie in some recordings, each from a little before its first span.{grey}",
        ),
    ]
    with warnings.catch_warnings():
        # The page has the letters of any script; the fonts that measure them do not.
        warnings.filterwarnings("ignore", "Glyph")
        return list(figures_section(figures))


def overview(survey: Survey) -> str:
    """In words: how much there is, and of what form."""
    if not survey.num_recordings:
        return "no recordings that could be read."
    rates = " or ".join(f"{rate:g} Hz" for rate, _ in survey.rates[:3])
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
    left = f" ({_time(unseen)} of it not annotated)" if unseen > 1e-3 * survey.seconds else ""
    spans = sum(part.num_spans for part in survey.parts)
    overlaps = f", up to {survey.overlaps.most_at_once} at once" if spans else ""
    return (
        f"{counted(survey.num_recordings, 'recording')}, {_time(survey.seconds)} in all{left}, "
        f"{channels} at {rates}; {size}. {counted(spans, 'span')} "
        f"of {counted(len(survey.labels), 'label')}{overlaps}."
    )


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
    rows = [
        [
            Cell(finding.text),
            Cell(finding.severity),
            Cell(f"{finding.count:,}", finding.count),
            Cell(finding.cases[0].line if finding.cases else NONE),
            Cell(finding.advice),
        ]
        for finding in survey.findings
    ]
    columns = [
        ("finding", ""),
        ("severity", "error: training would refuse the data, or its results would mean nothing; warning: a likely mistake; note: worth knowing"),
        ("cases", ""),
        ("first case", ""),
        ("what to do", ""),
    ]  # fmt: skip
    return Table("Findings", columns, rows, () if rows else ["Nothing was found."])


def _cases(finding: Finding) -> Iterator[str]:
    """The cases of a finding, folded, where there is more than the one in the table of findings."""
    if len(finding.cases) < 2:
        return
    cases = finding.cases[:_LISTED]
    # A column that says nothing is left out, such as the file of a label.
    kept = [i for i in range(4) if any(case[i] for case in cases)]
    columns = [(("file", "sequence", "row", "what")[i], "") for i in kept]
    rows = [[Cell(case[i] or NONE) for i in kept] for case in cases]
    few = f"the first {len(cases):,} of" if len(cases) < finding.count else "all"
    # The summary stands in place of the heading.
    _, *table = table_section(Table(finding.text, columns, rows))
    yield f"<details><summary>{escape(finding.text)}: {few} {finding.count:,} cases</summary><section>"
    yield from table
    yield "</details>"


def part_table(survey: Survey) -> Table:
    """A row a subset."""
    rows = [
        [
            Cell(part.name),
            _count(part.num_recordings),
            Cell(_time(part.seconds), part.seconds),
            _count(part.num_spans),
            _count(part.num_empty),
            _count(part.num_subjects) if part.num_subjects else Cell(NONE, math.nan),
        ]
        for part in survey.parts
    ]
    columns = [
        ("subset", ""),
        ("recordings", ""),
        ("time", "hours, minutes and seconds"),
        ("spans", ""),
        ("without spans", "recordings without a span"),
        ("subjects", "as far as they are named"),
    ]
    return Table("Subsets", columns, rows, brief=range(6))


def label_table(survey: Survey) -> Table:
    """A row a label, and one of all."""
    subsets = [part.name for part in survey.parts]
    rows = [
        [
            shortened(label.name),
            _count(label.num_spans),
            _share(label.share),
            *(_count(label.subsets[subset]) for subset in subsets),
            *map(_seconds, label.seconds),
            _share(label.coverage),
        ]
        for label in survey.labels
    ]
    if len(rows) > 1:
        total = sum(label.num_spans for label in survey.labels)
        counts = [sum(label.subsets[s] for label in survey.labels) for s in subsets]
        rows.append(
            [
                Cell("all labels"),
                _count(total),
                _share(1.0 if total else math.nan),
                *map(_count, counts),
                *map(_seconds, survey.spans),
                _share(survey.coverage),
            ]
        )
    lengths = ("shortest", "5 %", "median", "95 %", "longest")
    columns = [
        ("label", ""),
        ("spans", ""),
        ("share", "of all spans"),
        *((subset, "spans in this subset") for subset in subsets),
        *((name, "length in seconds") for name in lengths),
        ("coverage", "share of the annotated time that the spans cover"),
    ]
    after = 3 + len(subsets)
    brief = (0, 1, after, after + 2, after + 4, after + 5)
    notes = ["Lengths are in seconds; coverage is the share of the annotated time."] if rows else ()
    return Table("Labels", columns, rows, notes, brief=brief)


def channel_table(survey: Survey) -> Table:
    """A row a channel."""
    rows = [
        [shortened(channel.name), _count(channel.num_recordings), *map(number, channel[2:])]
        for channel in survey.channels
    ]
    columns = [
        ("channel", "its name, or its number from 0"),
        ("recordings", "that have it"),
        ("mean", "over all recordings"),
        ("standard deviation", "over all recordings"),
        ("minimum", ""),
        ("maximum", ""),
    ]
    return Table("Channels", columns, rows)


def _lengths(records: Sequence[Record], classes: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    none = np.zeros(0)
    sizes = [r.spans.double().diff(dim=1)[:, 0] * r.timeline.seconds_per_step for r in records]
    seconds = np.concatenate([none, *(size.numpy() for size in sizes)])
    labels = np.concatenate([none, *(record.labels.numpy() for record in records)])
    return [(name, seconds[labels == label]) for label, name in enumerate(classes)]


def _rows(records: Sequence[Record]) -> list[Row]:
    known = [record for record in records if len(record.spans)]
    if not known:
        return []
    places = np.linspace(0, len(known) - 1, min(len(known), _MOST_ROWS)).astype(int)
    chosen = [known[place] for place in places]
    spans = [r.spans.double().numpy() * r.timeline.seconds_per_step for r in chosen]
    lasting = [record.num_steps * record.timeline.seconds_per_step for record in chosen]
    middle = float(np.median(np.concatenate([ends[:, 1] - ends[:, 0] for ends in spans])))
    width = min(max(lasting), _SPANS_A_ROW * middle)
    rows = []
    for record, ends, end in zip(chosen, spans, lasting, strict=True):
        begin = max(0.0, min(float(ends[:, 0].min()) - 0.05 * width, end - width))
        ignored = record.ignored.double().numpy() * record.timeline.seconds_per_step
        labels = record.labels.numpy()
        rows.append(Row(record.id, begin, min(end, begin + width), ends, labels, ignored))
    return rows


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def _count(value: int) -> Cell:
    return Cell(f"{value:,}", value)


def _share(value: float) -> Cell:
    return Cell(f"{100 * value:.1f} %" if math.isfinite(value) else NONE, value)


def _seconds(value: float) -> Cell:
    return Cell(f"{value:.3g}" if math.isfinite(value) else NONE, value)
