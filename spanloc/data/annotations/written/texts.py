"""Predictions as text files of other tools: label tracks, selection tables, tiers, speaker turns."""

from collections.abc import Sequence

from spanloc.data.annotations.placed import between
from spanloc.data.annotations.written.found import Found, decimals

_NO_SPANS = "spans"


def audacity(found: Sequence[Found]) -> bytes:
    """A label track: start, end and label, separated by tabs; without scores, and empty without spans.

    References:
        Audacity manual, "Importing and Exporting Labels", standard format.
    """
    (one,) = found
    places = decimals(one.rate)
    rows = (
        f"{start:.{places}f}\t{end:.{places}f}\t{label}\n" for start, end, label, _ in one.spans
    )
    return "".join(rows).encode()


def raven(found: Sequence[Found]) -> bytes:
    """A selection table, with the column ``Score``. Selections span all frequencies of the file.

    Where the rate is not known, and so the highest frequency is not, they are selections of a waveform.
    """
    (one,) = found
    places = decimals(one.rate)
    times = ("Begin Time (s)", "End Time (s)")
    view, names, high = "Waveform 1", tuple[str, ...](), ""
    if one.rate is not None:
        view, names = "Spectrogram 1", ("Low Freq (Hz)", "High Freq (Hz)")
        high = f"0.0\t{one.rate / 2:.{places}f}\t"
    lines = ["\t".join(("Selection", "View", "Channel", *times, *names, "Annotation", "Score"))]
    lines += (
        f"{i}\t{view}\t1\t{start:.{places}f}\t{end:.{places}f}\t{high}{label}\t{score}"
        for i, (start, end, label, score) in enumerate(one.spans, 1)
    )
    return "".join(f"{line}\n" for line in lines).encode()


def rttm(found: Sequence[Found]) -> bytes:
    """Speaker turns with the score as confidence. A sequence without spans is not in the file.

    References:
        Rich Transcription 2009 evaluation plan, NIST, Appendix A.
    """
    return "".join(
        f"SPEAKER {one.id} 1 {start:.{places}f} {end - start:.{places}f} <NA> <NA> {label} {score} <NA>\n"
        for one, places in ((one, decimals(one.rate)) for one in found)
        for start, end, label, score in one.spans
    ).encode()


def textgrid(found: Sequence[Found]) -> bytes:
    """Tiers of intervals, one for each label; it has no place for scores.

    Intervals of a tier cannot overlap: spans of one label that do go to further tiers, ``label (2)``
    and so on. Each tier covers the recording, with intervals without a text where nothing is.

    References:
        Praat manual, "TextGrid file formats".
    """
    (one,) = found
    by_label: dict[str, list[tuple[float, float]]] = {}
    for start, end, label, _ in one.spans:
        by_label.setdefault(label, []).append((start, end))
    tiers: dict[str, tuple[str, list[tuple[float, float]]]] = {}
    for label, spans in sorted(by_label.items()):
        for number, lane in enumerate(_apart(spans), 1):
            title = label if number == 1 else f"{label} ({number})"
            while title in tiers or (number > 1 and title in by_label):
                title += "'"
            tiers[title] = label, lane
    if not tiers:
        # Without any tier, programs take the file for a broken one.
        tiers[_NO_SPANS] = "", []
    last = repr(one.duration)
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0 ",
        f"xmax = {last} ",
        "tiers? <exists> ",
        f"size = {len(tiers)} ",
        "item []: ",
    ]
    for i, (title, (label, lane)) in enumerate(tiers.items(), 1):
        nothing = ((*stretch, "") for stretch in between(lane, 0.0, one.duration))
        intervals = sorted([*((*span, label) for span in lane), *nothing])
        lines += (
            f"    item [{i}]:",
            '        class = "IntervalTier" ',
            f"        name = {_quoted(title)} ",
            "        xmin = 0 ",
            f"        xmax = {last} ",
            f"        intervals: size = {len(intervals)} ",
        )
        for k, (start, end, text) in enumerate(intervals, 1):
            lines += (
                f"        intervals [{k}]:",
                f"            xmin = {start!r} ",
                f"            xmax = {end!r} ",
                f"            text = {_quoted(text)} ",
            )
    return "".join(f"{line}\n" for line in lines).encode()


def _apart(spans: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    # Each to the first lane that is free at its start; the spans come by their starts.
    lanes: list[list[tuple[float, float]]] = []
    for span in spans:
        free = next((lane for lane in lanes if lane[-1][1] <= span[0]), None)
        if free is None:
            lanes.append([span])
        else:
            free.append(span)
    return lanes


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
