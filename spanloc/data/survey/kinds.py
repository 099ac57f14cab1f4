"""Kinds of findings: their severity, their words and their advice."""

from collections.abc import Iterable, Iterator
from itertools import islice

from spanloc.data.annotations.rows import MOMENTS, Case
from spanloc.data.survey.result import MOST_CASES, Finding
from spanloc.files import counted

#: Training spans of a label that are too few to learn from, and that are not many.
FEW, RARE = 5, 10
#: Steps: the ends of shorter spans are finer than the grid that a model predicts on.
SHORT = 2
#: Standard deviations of one channel that differ by more are of different units, or of a dead sensor.
SCALES = 1000

_FEW_ADVICE = "Annotate more of these spans, or join labels: 'data.label_map={OLD: NEW}'."
_NOT_CHECKED = "Correct this, then run spanloc-check again: it may find more."
_NOT_TESTED = "Nothing will be known about how well it is found there."
# By kind: severity, noun of the cases, what is said of them, advice.
_KINDS = {
    "refused": (
        "error", "mistake", "in the annotations", _NOT_CHECKED),
    "unusable": (
        "error", "recording", "that cannot be used", _NOT_CHECKED),
    "no rate": (
        "error", "recording", "whose rate is not known",
        "Set data.fps (steps per second); for features of a video, data.feature_stride and data.fps."),
    "not finite": (
        "error", "recording", "with infinite values",
        "Cut out these stretches, or replace the values: training refuses them."),
    "missing": (
        "error", "recording", "with missing values (NaN, or empty fields)",
        "data.missing=interpolate fills them from their neighbours, in training and in prediction."),
    "gap": (
        "error", "recording", "with gaps in the times",
        "data.missing=interpolate fills a gap with a straight line between the values before and after it."),
    "irregular": (
        "note", "recording", "with irregular times",
        "Training interpolates the rows at equal steps; data.on_rate=error refuses such recordings."),
    "slow": (
        "warning", "recording", "whose rows are more than 1 s apart", "Check the unit of the times."),
    "no values": (
        "error", "channel", "without any value in a recording",
        "Leave out the recording, or choose other channels with data.channels."),
    "telling": (
        "warning", "channel", "changing mostly where spans start or end, in nearly every recording",
        "If it is made from the labels, a model needs nothing else, and it will be missing in new recordings: "
        "choose the others with data.channels."),
    "unreadable": (
        "error", "recording", "that cannot be read",
        "Write the files again, or take these recordings out of the annotations."),
    "copy in another subset": (
        "error", "recording", "with the same content in two subsets",
        "Keep it in one subset: what is trained on cannot be tested on."),
    "copy": (
        "warning", "recording", "given twice in one subset", "Keep one: the other counts twice."),
    "subject in two subsets": (
        "warning", "subject", "in two subsets",
        "Keep a subject in one subset, unless the model is only for people it has seen."),
    "no spans": (
        "note", "recording", "without a span",
        "Fine where nothing happens in them; take out those that nobody annotated."),
    "different rates": (
        "note", "recording", "of another rate than most",
        "Training resamples all to the most frequent rate, or to data.rate."),
    "different channels": (
        "warning", "recording", "with other channels than most",
        "Training uses only channels that have the same name in all recordings, and stops if these are fewer than "
        "half. Rename channels, or choose them by position: data.channels=[0,1]."),
    "constant channel": (
        "warning", "channel", "constant over a recording (once for each such recording)",
        "Look for a sensor that was off; a channel that is constant everywhere can be left out."),
    "scale": (
        "warning", "channel", f"on scales that differ more than {SCALES:,}-fold between recordings",
        "Bring all recordings to one unit; leave out those of a dead sensor."),
    "code": (
        "warning", "channel", "in which one value far outside the usual range repeats",
        "If it stands for lost samples, fill them from their neighbours: training takes it for signal, "
        "and at most compresses it."),
    "label not in training": (
        "error", "label", "in other subsets, but not in training",
        "Move some of these recordings to training, or leave the label out: it cannot be learnt."),
    "few spans": ("warning", "label", f"with fewer than {FEW} spans in training", _FEW_ADVICE),
    "rare label": ("note", "label", f"with {FEW} to {RARE - 1} spans in training", _FEW_ADVICE),
    "label not in validation": (
        "note", "label", "in training, but not in validation", _NOT_TESTED),
    "label not in testing": ("note", "label", "in training, but not in test", _NOT_TESTED),
    "label without spans": (
        "warning", "label", "without a single span",
        "Take it out of the classes, or correct its spelling."),
    "span: reversed": (
        "error", "span", "whose end is before the start",
        "Swap the ends, or correct a negative duration; or leave these spans out: data.bad_spans=drop."),
    "span: empty": (
        "error", "span", "without a length",
        f"Correct their ends, or leave them out: data.bad_spans=drop. If they are {MOMENTS}."),
    "span: past the end": (
        "error", "span", "past the end of the recording",
        "Check the rate of the recording, the durations, and the unit of the times; data.bad_spans=clip cuts off "
        "what is outside."),
    "span: before the start": (
        "error", "span", "before the start of the recording",
        "Check the offset of the annotations against the recording."),
    "span: label": (
        "error", "span", "whose label is unknown",
        "Add the label to the classes, or correct its spelling."),
    "span: no label": (
        "error", "span", "without a label",
        "Fill it in, or leave these spans out: data.bad_spans=drop."),
    "span: duplicate": (
        "warning", "span", "given twice", "Remove the second one: it would count twice."),
    "overlap: same label": (
        "warning", "pair", "of overlapping spans of one label",
        "Join or part them: the model reports only one of two that overlap much."),
    "overlap: different labels": (
        "note", "pair", "of overlapping spans of different labels",
        "Nothing to do: task=detection (the default) learns overlapping spans."),
    "split": (
        "warning", "span", "ending one step before another of the same label begins",
        "If both are one span, give the step between them this label too, or write one row for both."),
    "short spans": (
        "warning", "span", f"shorter than {SHORT} steps",
        "Use a higher rate, or check the unit of the ends."),
    "outside of annotated": (
        "warning", "span", "at least partly outside of the annotated stretches",
        "Correct 'annotated' or these spans: what lies outside is neither trained on nor evaluated."),
}  # fmt: skip


def finding(
    kind: str,
    cases: Iterable[Case],
    count: int | None = None,
    *,
    advice: str = "",
    lesser: str = "",
) -> Iterator[Finding]:
    """A finding that keeps the first of its cases; none without a case.

    Args:
        kind: One of those with words and advice of their own.
        cases, count: All of them in a list; or an iterator, of which no more are made, and their number.
        advice: In place of that of the kind.
        lesser: Severity that an error has here.
    """
    first = list(islice(cases, MOST_CASES))
    count = len(cases) if isinstance(cases, list) else count
    severity, noun, what, usual = _KINDS[kind]
    severity = lesser if lesser and severity == "error" else severity
    if count:
        text = f"{counted(count, noun)} {what}"
        yield Finding(severity, kind, text, count, advice or usual, first)
