"""Findings about spans and labels."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from spanloc.data.annotations.problems import mostly_lost
from spanloc.data.annotations.rows import BadSpan, Case
from spanloc.data.quotes import quoted
from spanloc.data.survey.facts import Facts, fitting
from spanloc.data.survey.kinds import FEW, RARE, SHORT, finding
from spanloc.data.survey.result import MOST_CASES, Finding, LabelSpans
from spanloc.data.survey.spans import SAME, gaps, pairs
from spanloc.files import counted

# Spans of the most frequent label over those of the rarest.
_IMBALANCE = 100
# Share of the annotated time that a state covers, in which the spans of other labels lie.
_MOST_OF_IT = 0.5
# Shares of the annotated training time: where spans cover less, nearly all is background; where more, nearly nothing.
_COVERED, _FILLED = 0.005, 0.99
#: Kinds of findings about labels with few spans in training.
RARE_KINDS = ("few spans", "rare label")
_SETTING = "Correct this: training stops here, whatever data.bad_spans is."


def bad_spans(found: Sequence[BadSpan], policy: str, num_spans: int) -> Iterator[Finding]:
    """Spans that were left out when the annotations were read, by kind; ``policy`` is ``data.bad_spans``.

    ``num_spans``: with the bad ones.
    """
    text = mostly_lost(found, num_spans)
    if text and policy != "error":
        yield Finding("error", "mostly lost", text, sum(bad.lost for bad in found), _SETTING)
    done = {
        "drop": "Training drops them (data.bad_spans=drop).",
        "clip": "Training cuts off what is outside and drops the others (data.bad_spans=clip).",
    }
    for kind in dict.fromkeys(bad.kind for bad in found):
        own = [bad for bad in found if bad.kind == kind]
        unit, votes = Counter(bad.unit for bad in own).most_common(1)[0]
        advice = fitting(unit) if unit and votes > len(own) / 2 else ""
        if kind != "duplicate" or policy == "drop":
            advice = advice or done.get(policy, "")
        lesser = "" if policy == "error" else "warning"
        cases = [
            Case(b.file, b.sequence, b.where or f"row {b.row}", b.text.removeprefix(f"{b.where}: "))
            for b in own
        ]
        yield from finding(f"span: {kind}", cases, advice=advice, lesser=lesser)


def label_findings(facts: Facts) -> Iterator[Finding]:
    """Labels that are missing somewhere, rare, or out of balance."""
    if not facts.records:
        return
    here = {record.subset for record in facts.records if len(record.spans)}
    known = [label for label in facts.labels if label.num_spans]

    def about(kind: str, own: list[LabelSpans]) -> Iterator[Finding]:
        yield from finding(kind, [Case(text=f"{one.name!r}") for one in own])

    if "training" in here:
        lacking = [label for label in known if not label.subsets["training"]]
        yield from about("label not in training", lacking)
        yield from rare_labels([label for label in known if label not in lacking])
        if facts.training > _FILLED:
            text = f"Spans cover {100 * facts.training:.3g} % of the annotated training time"
            advice = (
                "The model sees hardly any time without a span, so it will find spans in such time too. "
                "Annotate recordings that have some, or do not predict on it."
            )
            yield Finding("note", "no background", text, 1, advice)
        if facts.training < _COVERED:
            text = f"Spans cover {100 * facts.training:.2g} % of the annotated training time"
            advice = (
                "Fine where events are rare; look at precision and recall, and take out long stretches "
                "of background if training is slow."
            )
            yield Finding("note", "rare spans", text, 1, advice)
        for subset in sorted(here - {"training"}):
            own = [one for one in known if one.subsets["training"] and not one.subsets.get(subset)]
            yield from about(f"label not in {subset}", own)
    # Those of spans that could not be used may have had it.
    unused = [label for label in facts.labels if not (label.num_spans or facts.unread)]
    yield from about("label without spans", unused)
    if known:
        most, least = (f(known, key=lambda label: label.num_spans) for f in (max, min))
        ratio = most.num_spans / least.num_spans
        text = f"The most frequent label has {ratio:,.0f} times the spans of the rarest"
        advice = "Look at the metrics of single labels: the mean hides the rare ones."
        case = Case(text=f"{most.name!r} {most.num_spans:,}, {least.name!r} {least.num_spans:,}")
        if ratio > _IMBALANCE:
            yield Finding("warning", "imbalance", text, 1, advice, [case])


def rare_labels(labels: Sequence[LabelSpans]) -> Iterator[Finding]:
    """Labels with few spans in training."""
    for kind, least, below in zip(RARE_KINDS, (0, FEW), (FEW, RARE), strict=True):
        pairs = [(one.name, one.subsets.get("training", 0)) for one in labels if one.num_spans]
        cases = [
            Case(text=f"{name!r}: {counted(count, 'span')}")
            for name, count in pairs
            if least <= count < below
        ]
        yield from finding(kind, cases)


def span_findings(facts: Facts) -> Iterator[Finding]:
    """Spans that are there twice, overlap, are short, or lie where nobody looked."""
    every, spans = facts.every, facts.spans
    sizes = spans["end"] - spans["start"]
    twice = every[every.duplicated(SAME)]
    yield from finding("span: duplicate", facts.of_spans(twice), len(twice))
    for kind, count, same in (
        ("overlap: same label", facts.overlaps.same_label, True),
        ("overlap: different labels", facts.overlaps.different_labels, False),
    ):
        found = pairs(spans, same_label=same)
        cases = (facts.of_span(spans.loc[i], f" and {facts.span(spans.loc[j])}") for i, j in found)
        for one in finding(kind, cases, count):
            yield one if same else replace(one, advice=one.advice + _state(facts.labels))
    short = spans[sizes < SHORT - 1e-3]
    yield from finding("short spans", facts.of_spans(short), len(short))
    # Less than a step may stick out, as at the ends of a recording.
    outside = spans[spans["unseen"] >= sizes.clip(upper=1) - 1e-3]
    cases = (
        facts.of_span(row, f", {row['unseen'] * row['step']:.3g} s of it outside")
        for _, row in outside.iterrows()
    )
    yield from finding("outside of annotated", cases, len(outside))


def _state(labels: Sequence[LabelSpans]) -> str:
    """A sentence about a label that covers most of the time, such as a stage of sleep; or nothing."""
    return "".join(
        f" If {one.name!r}, which covers {100 * one.coverage:.0f} % of the time, is only the background of the "
        f"others, set 'data.background=[{quoted(one.name)}]'."
        for one in labels
        if one.coverage > _MOST_OF_IT
    )


def end_findings(facts: Facts) -> Iterator[Finding]:
    """Ends that look inclusive, and spans that a single step splits."""
    spans = facts.spans
    neighbours, touching, apart = gaps(spans)

    def case(row: int) -> Case:
        return facts.of_span(spans.loc[row], f" and {facts.span(spans.loc[row + 1])}")

    # Where ends are half-open, neighbours touch; where they are not, hardly any do.
    count = len(apart)
    if count >= max(5, 0.1 * neighbours) and touching <= 0.1 * count:
        text = (
            f"{counted(count, 'span')} that start one step after the one before has ended, and "
            f"{touching:,} that start at its end: ends look inclusive"
        )
        advice = "If the files mean the last step of a span by its end, set data.ends=inclusive."
        cases = [*map(case, apart[:MOST_CASES])]
        yield Finding("warning", "inclusive ends", text, count, advice, cases)
        return
    label = spans["label"]
    split = [row for row in apart if label.loc[row] == label.loc[row + 1]]
    yield from finding("split", map(case, split), len(split))
