"""Findings about spans and labels."""

from collections.abc import Iterator, Sequence

from spanloc.data.annotations.rows import BadSpan
from spanloc.data.survey.facts import Facts, counted
from spanloc.data.survey.result import Finding, LabelSpans
from spanloc.data.survey.spans import SAME, gaps

# Spans of the most frequent label over those of the rarest; spans that are too few to learn from.
_IMBALANCE, _FEW = 100, 10
# Steps: the ends of shorter spans are finer than the grid that a model predicts on.
_SHORT = 2

_BAD = {
    "reversed": ("whose end is before the start", "Swap the ends, or remove them."),
    "empty": ("without a length", "Give them a length, or remove them: nothing can match them."),
    "past the end": (
        "past the end of the recording",
        "Check the rate, the duration and the unit of the ends.",
    ),
    "before the start": (
        "before the start of the recording",
        "Check the offset of the annotations against the recording.",
    ),
    "label": ("whose label is unknown", "Add the label to the classes, or correct its spelling."),
    "duplicate": ("given twice", "Remove the second one: it would count twice."),
}


def bad_spans(found: Sequence[BadSpan], policy: str) -> Iterator[Finding]:
    """Spans that were left out when the annotations were read, by kind.

    Args:
        found: All of them.
        policy: What training does with them: ``error``, ``clip`` or ``drop``.
    """
    for kind in dict.fromkeys(bad.kind for bad in found):
        own = [bad for bad in found if bad.kind == kind]
        what, advice = _BAD.get(kind, (f"with a problem: {kind}", "Correct or remove them."))
        severity = "error" if policy == "error" and kind != "duplicate" else "warning"
        first = own[0]
        text = f"{counted(len(own), 'span')} {what}"
        place = (first.file, first.sequence, first.row, first.text)
        yield Finding(severity, f"span: {kind}", text, len(own), advice, *place)


def label_findings(facts: Facts) -> Iterator[Finding]:
    """Labels that are missing somewhere, rare, or out of balance."""
    here = {record.subset for record in facts.records if len(record.spans)}

    def about(severity: str, kind: str, own: list[LabelSpans], text: str, advice: str):
        if own:
            names = ", ".join(repr(label.name) for label in own[:3]) + ", …" * (len(own) > 3)
            text = f"{counted(len(own), 'label')} {text}"
            yield Finding(severity, kind, text, len(own), advice, first=names)

    known = [label for label in facts.labels if label.num_spans]
    counts = {label.name: label.subsets.get("training", 0) for label in known}
    if "training" in here:
        yield from about(
            "error",
            "label not in training",
            [label for label in known if not counts[label.name]],
            "in other subsets, but not in training",
            "Move some of these recordings to training, or leave the label out: it cannot be learnt.",
        )
        yield from about(
            "note",
            "rare label",
            [label for label in known if 0 < counts[label.name] < _FEW],
            f"with fewer than {_FEW} spans in training",
            "Annotate more of it, or join it with a similar label.",
        )
    for subset in sorted(here - {"training"}) if "training" in here else ():
        yield from about(
            "note",
            f"label not in {subset}",
            [label for label in known if counts[label.name] and not label.subsets.get(subset)],
            f"in training, but not in {subset}",
            "Nothing will be known about how well it is found there.",
        )
    yield from about(
        "warning",
        "label without spans",
        [label for label in facts.labels if not label.num_spans],
        "without a single span",
        "Take it out of the classes, or correct its spelling.",
    )
    if known:
        most, least = (f(known, key=lambda label: label.num_spans) for f in (max, min))
        ratio = most.num_spans / least.num_spans
        if ratio > _IMBALANCE:
            yield Finding(
                "warning",
                "imbalance",
                f"The most frequent label has {ratio:,.0f} times the spans of the rarest",
                1,
                "Look at the figures of single labels: the mean hides the rare ones.",
                first=f"{most.name!r} {most.num_spans:,}, {least.name!r} {least.num_spans:,}",
            )


def span_findings(facts: Facts) -> Iterator[Finding]:
    """Spans that are there twice, overlap, or are short."""
    twice = facts.every[facts.every.duplicated(SAME)]
    if len(twice):
        row = int(twice.index[0])
        yield Finding(
            "warning",
            "span: duplicate",
            f"{counted(len(twice), 'span')} given twice",
            len(twice),
            _BAD["duplicate"][1],
            sequence=facts.records[twice["place"][row]].id,
            first=facts.span(row, facts.every),
        )
    for severity, kind, count, pair, what, advice in (
        (
            "warning",
            "overlap: same label",
            facts.overlaps.same_label,
            facts.pairs[0],
            "of one label",
            "Join or part them: suppression keeps one of two that overlap much.",
        ),
        (
            "note",
            "overlap: different labels",
            facts.overlaps.different_labels,
            facts.pairs[1],
            "of different labels",
            "Detection can have both; one span a sequence, or one label a step, cannot.",
        ),
    ):
        if pair is not None:
            yield Finding(
                severity,
                kind,
                f"{counted(count, 'pair')} of overlapping spans {what}",
                count,
                advice,
                sequence=facts.id_of(pair.first),
                first=f"{facts.span(pair.first)} and {facts.span(pair.second)}",
            )
    sizes = facts.spans["end"] - facts.spans["start"]
    short = facts.spans[sizes < _SHORT - 1e-3]
    if len(short):
        row = int(short.index[0])
        yield Finding(
            "warning",
            "short spans",
            f"{counted(len(short), 'span')} shorter than {_SHORT} steps",
            len(short),
            "Use a higher rate, or check the unit of the ends.",
            sequence=facts.id_of(row),
            first=facts.span(row),
        )


def end_findings(facts: Facts) -> Iterator[Finding]:
    """Ends that look inclusive."""
    found = gaps(facts.spans)
    # Where ends are half-open, neighbours touch; where they are not, hardly any do.
    many = found.apart >= max(5, 0.1 * found.neighbours)
    if many and found.touching <= 0.1 * found.apart:
        row = found.example
        unit = "one step" if found.unit == "step" else found.unit
        yield Finding(
            "warning",
            "inclusive ends",
            f"{counted(found.apart, 'span')} that start {unit} after the one before has ended, and "
            f"{found.touching} that touch it: ends look inclusive",
            found.apart,
            f"If the files mean the last {'step' if unit == 'one step' else 'moment'} of a span by its "
            f"end, add {unit} to every end: here, spans are half-open.",
            sequence=facts.id_of(row),
            first=f"{facts.span(row)} and {facts.span(row + 1)}",
        )
