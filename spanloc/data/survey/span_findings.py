"""Findings about spans and labels."""

from collections import Counter
from collections.abc import Iterator, Sequence

from spanloc.data.annotations.columns import quoted
from spanloc.data.annotations.rows import MOMENTS, BadSpan, Case
from spanloc.data.survey.facts import Facts, finding, fitting
from spanloc.data.survey.result import Finding, LabelSpans
from spanloc.data.survey.spans import SAME, gaps, pairs
from spanloc.files import counted

# Spans of the most frequent label over those of the rarest.
_IMBALANCE = 100
# Training spans of a label that are too few to learn from, and that are not many.
_FEW, _RARE = 5, 10
# Share of the annotated training time: where spans cover less, nearly all is background.
_COVERED = 0.005
# Steps: the ends of shorter spans are finer than the grid that a model predicts on.
_SHORT = 2

_BAD = {
    "reversed": ("whose end is before the start", "Swap the ends, or remove them."),
    "empty": (
        "without a length",
        f"{MOMENTS[0].upper()}{MOMENTS[1:]}. Else give them a length, or remove them.",
    ),
    "past the end": (
        "past the end of the recording",
        "Check the rate, the duration and the unit of the ends; data.bad_spans=clip cuts off what is "
        "outside.",
    ),
    "before the start": (
        "before the start of the recording",
        "Check the offset of the annotations against the recording.",
    ),
    "label": ("whose label is unknown", "Add the label to the classes, or correct its spelling."),
    "no label": ("without a label", "Fill it in, or leave these spans out: data.bad_spans=drop."),
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
        text = f"{counted(len(own), 'span')} {what}"
        unit, votes = Counter(bad.unit for bad in own).most_common(1)[0]
        if unit and votes > len(own) / 2:
            advice = fitting(unit)
        yield from finding(severity, f"span: {kind}", text, advice, map(_case, own), len(own))


def _case(bad: BadSpan) -> Case:
    text = bad.text.removeprefix(f"{bad.where}: ")
    return Case(bad.file, bad.sequence, bad.where or f"row {bad.row}", text)


def label_findings(facts: Facts) -> Iterator[Finding]:
    """Labels that are missing somewhere, rare, or out of balance."""
    if not facts.records:
        return
    here = {record.subset for record in facts.records if len(record.spans)}
    known = [label for label in facts.labels if label.num_spans]

    def about(severity: str, kind: str, own: list[LabelSpans], text: str, advice: str):
        subset = "training" if kind in ("few spans", "rare label") else ""
        cases = (Case(text=repr(one.name) + _count(one, subset)) for one in own)
        text = f"{counted(len(own), 'label')} {text}"
        yield from finding(severity, kind, text, advice, cases, len(own))

    def trained(least: int, below: int) -> list[LabelSpans]:
        return [one for one in known if least <= one.subsets.get("training", 0) < below]

    if "training" in here:
        yield from about(
            "error",
            "label not in training",
            trained(0, 1),
            "in other subsets, but not in training",
            "Move some of these recordings to training, or leave the label out: it cannot be learnt.",
        )
        advice = "Annotate more of it, or join it with a similar label."
        yield from about(
            "warning",
            "few spans",
            trained(1, _FEW),
            f"with fewer than {_FEW} spans in training",
            advice,
        )
        text = f"with {_FEW} to {_RARE - 1} spans in training"
        yield from about("note", "rare label", trained(_FEW, _RARE), text, advice)
        if facts.training < _COVERED:
            text = f"Spans cover {100 * facts.training:.2g} % of the annotated training time"
            advice = (
                "Fine where events are rare; look at precision and recall, and take out long stretches "
                "of background if training is slow."
            )
            yield Finding("note", "rare spans", text, 1, advice)
    for subset in sorted(here - {"training"}) if "training" in here else ():
        yield from about(
            "note",
            f"label not in {subset}",
            [one for one in known if one.subsets.get("training") and not one.subsets.get(subset)],
            f"in training, but not in {subset}",
            "Nothing will be known about how well it is found there.",
        )
    yield from _alike(known)
    yield from about(
        "warning",
        "label without spans",
        # Those of spans that could not be used may have had it.
        [label for label in facts.labels if not (label.num_spans or facts.unread)],
        "without a single span",
        "Take it out of the classes, or correct its spelling.",
    )
    if known:
        most, least = (f(known, key=lambda label: label.num_spans) for f in (max, min))
        ratio = most.num_spans / least.num_spans
        text = f"The most frequent label has {ratio:,.0f} times the spans of the rarest"
        advice = "Look at the figures of single labels: the mean hides the rare ones."
        case = Case(text=f"{most.name!r} {most.num_spans:,}, {least.name!r} {least.num_spans:,}")
        yield from finding("warning", "imbalance", text, advice, [case], int(ratio > _IMBALANCE))


def _alike(labels: Sequence[LabelSpans]) -> Iterator[Finding]:
    by_letters: dict[str, list[LabelSpans]] = {}
    for label in labels:
        by_letters.setdefault("".join(label.name.split()).casefold(), []).append(label)
    groups = [group for group in by_letters.values() if len(group) > 1]
    renamed: dict[str, str] = {}
    for group in groups:
        most = max(group, key=lambda label: (label.num_spans, label.name.islower()))
        renamed |= {label.name: most.name for label in group if label is not most}
    pairs = ", ".join(f"{quoted(old)}: {quoted(new)}" for old, new in renamed.items())
    yield from finding(
        "warning",
        "labels alike",
        f"{counted(len(groups), 'label')} in several spellings, which differ in capital letters or blanks",
        f"If one is meant, join them: 'data.label_map={{{pairs}}}'.",
        (
            Case(text=", ".join(f"{one.name!r} {counted(one.num_spans, 'span')}" for one in group))
            for group in groups
        ),
        len(groups),
    )


def _count(label: LabelSpans, subset: str) -> str:
    return f": {counted(label.subsets.get(subset, 0), 'span')}" if subset else ""


def span_findings(facts: Facts) -> Iterator[Finding]:
    """Spans that are there twice, overlap, are short, or lie where nobody looked."""
    every, spans = facts.every, facts.spans
    twice = every.index[every.duplicated(SAME)]
    yield from finding(
        "warning",
        "span: duplicate",
        f"{counted(len(twice), 'span')} given twice",
        _BAD["duplicate"][1],
        (facts.of_span(row, table=every) for row in twice),
        len(twice),
    )
    for severity, kind, count, same, what, advice in (
        (
            "warning",
            "overlap: same label",
            facts.overlaps.same_label,
            True,
            "of one label",
            "Join or part them: the model reports only one of two that overlap much.",
        ),
        (
            "note",
            "overlap: different labels",
            facts.overlaps.different_labels,
            False,
            "of different labels",
            "task=detection learns both; task=single has one span a recording.",
        ),
    ):
        text = f"{counted(count, 'pair')} of overlapping spans {what}"
        found = pairs(spans, same_label=same)
        cases = (facts.of_span(i, f" and {facts.span(j)}") for i, j in found)
        yield from finding(severity, kind, text, advice, cases, count)
    sizes = spans["end"] - spans["start"]
    short = spans.index[sizes < _SHORT - 1e-3]
    yield from finding(
        "warning",
        "short spans",
        f"{counted(len(short), 'span')} shorter than {_SHORT} steps",
        "Use a higher rate, or check the unit of the ends.",
        map(facts.of_span, short),
        len(short),
    )
    # Less than a step may stick out, as at the ends of a recording.
    outside = spans[spans["unseen"] >= sizes.clip(upper=1) - 1e-3]
    unseen = zip(outside.index, outside["unseen"] * outside["step"], strict=True)
    yield from finding(
        "warning",
        "outside of annotated",
        f"{counted(len(outside), 'span')} at least partly outside of the annotated stretches",
        "Correct 'annotated' or these spans: what lies outside is neither trained on nor evaluated.",
        (facts.of_span(row, f", {seconds:.3g} s of it outside") for row, seconds in unseen),
        len(outside),
    )


def end_findings(facts: Facts) -> Iterator[Finding]:
    """Ends that look inclusive."""
    found = gaps(facts.spans)
    # Where ends are half-open, neighbours touch; where they are not, hardly any do.
    many = found.apart >= max(5, 0.1 * found.neighbours)
    if many and found.touching <= 0.1 * found.apart:
        unit = "one step" if found.unit == "step" else found.unit
        yield from finding(
            "warning",
            "inclusive ends",
            f"{counted(found.apart, 'span')} that start {unit} after the one before has ended, and "
            f"{found.touching:,} that start at its end: ends look inclusive",
            "If the files mean the last step of a span by its end, set data.ends=inclusive."
            if unit == "one step"
            else f"If the files mean the last moment of a span by its end, add {unit} to every end: here, "
            "spans are half-open.",
            (facts.of_span(row, f" and {facts.span(row + 1)}") for row in found.rows),
            found.apart,
        )
