"""A folder of annotated recordings."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from unicodedata import normalize

from spanloc.data.annotations.beside import signal_of, similar_recording
from spanloc.data.annotations.formats import read_content
from spanloc.data.annotations.meaning import Meaning
from spanloc.data.annotations.records import Annotations, Record, lay
from spanloc.data.annotations.rows import (
    SUBSETS,
    Annotated,
    BadSpan,
    Case,
    Content,
    Ends,
    LookedAt,
    Policy,
    Reading,
    Unit,
)
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import listed

log = logging.getLogger(__name__)
_NO_SUBJECT = "If several are of one subject, correct the pattern."
__all__ = ["SUBSETS", "Annotations", "BadSpan", "Case", "Record", "read_annotations"]


def read_annotations(
    root: str | Path,
    *,
    format: str = "auto",  # noqa: A002, as the setting is called
    fps: float | None = None,
    unit: Unit = "seconds",
    ends: Ends = "half-open",
    first_index: int = 0,
    feature_stride: float | None = None,
    feature_window: float | None = None,
    columns: Mapping[str, str] | None = None,
    subset_map: Mapping[str, str] | None = None,
    tier: str | None = None,
    extension: str = "atr",
    key: str | None = None,
    channels: Sequence[str | int] | None = None,
    on_rate: str = "resample",
    classes: Sequence[str] | None = None,
    label_map: Mapping[str, str] | None = None,
    unknown: Sequence[str] = (),
    ignore: Sequence[str] = (),
    background: Sequence[str] | None = None,
    moment_seconds: float | None = None,
    annotated: LookedAt = "all",
    bad_spans: Policy = "error",
    absent: str = "error",
    subject_pattern: str | None = None,
    found: list[BadSpan] | None = None,
    refused: list[Case] | None = None,
) -> Annotations:
    """Read and check a folder of annotated recordings: its annotations, and the header of each signal.

    The signal of the sequence ``<id>`` is ``data/<id>`` with a suffix, or lies beside the annotations. Where ``data`` and
    the folder hold none, signals lie in folders below, and ids are paths.

    =========== ================================== =============================================
    format      files                              what they say
    =========== ================================== =============================================
    json        ``annotations.json``               see below
    table       ``annotations.csv``, ``.tsv``,     a row each: sequence, start, end, and perhaps
                ``.jsonl`` or ``.parquet``; or     label, subset, subject; a duration may take
                several ``.csv`` in the folder     the place of the end
    csv         ``<id>.csv``                       the same of one recording, without its id
    audacity    ``<id>.txt``                       a label track
    raven       ``<id>.*selections.txt``           a selection table; the label is the column
                                                   ``Annotation``, or ``columns={label: ...}``
    textgrid    ``<id>.TextGrid``                  the intervals of one ``tier`` that have a text
    elan        ``<id>.eaf``                       the same of ELAN
    boris       ``<id>.csv``                       exported events, tabular or aggregated
    rttm        ``*.rttm``, perhaps ``*.uem``      speaker turns of the ids in them; the stretches
                                                   that were annotated
    edf         ``<id>.edf``                       annotations of EDF+ that have a duration
    wfdb        ``<id>.<extension>``               ``(``, a symbol, ``)``: a wave of that symbol
    labelstudio one ``.json``                      an export of time series or audio
    column      ``<id>.csv``, ``.tsv``, ``.txt``   a label for each row, in the column ``label`` of the
                or ``.parquet``                     recording or ``columns={label: ...}``
    lines       ``<id>.txt``                       a label for each step, one a line
    =========== ================================== =============================================

    ``auto`` takes ``annotations.json``, else an ``annotations.*`` of a table, else the one kind of file
    that lies beside signals of the same names, of those whose names say what they are: not ``csv``,
    ``boris``, ``edf``, ``labelstudio`` or ``lines``; else ``column``, if the recordings have it.

    ``annotations.json`` is ``{"classes": [names], "database": {id: {"subset": "training" |
    "validation" | "testing", "duration": seconds, "fps": steps per second, "subject": optional,
    "weight": optional, "annotated": optional, "annotations": [{"segment": [start, end], "label":
    name}]}}}`` with half-open segments in seconds; without ``classes`` the labels in use are sorted.
    ``annotated`` lists the stretches ``[start, end]`` that were looked at; without it that is all.
    With ``duration`` and ``fps`` the signal has ``duration * fps`` steps. Further fields are ignored,
    unless their names are nearly those of a field above. ActivityNet's files are such files.

    In the other formats, a sequence is of the subset and the subject that ``subsets.csv`` says (sequence,
    subset, and perhaps subject; or sequence and subject), or of the subset whose folder (``training``,
    ``validation``, ``testing``) it lies in; else all are for training. A recording that a table has no row of is left
    out, and so is one without a file of its own; a row without start and end says that nothing is there. With
    ``edf``, an ``<id>.edf`` outside of ``data`` takes the place of the annotations in ``data/<id>.edf``.

    Args:
        root: The folder.
        format: One of the table.
        fps: Steps per second where neither the annotations nor the signal says it. With
            ``feature_stride``: frames per second of the videos.
        unit: Of the times in ``json``, ``table``, ``csv`` and ``labelstudio``: ``seconds``,
            ``milliseconds`` or ``steps`` (with ``feature_stride``: frames). The others say it. In tables,
            ``mm:ss`` and ``hh:mm:ss`` may stand for seconds or milliseconds.
        ends: ``inclusive`` where an end names the last step inside, or its time.
        first_index: The number of the first step where ``unit`` is ``steps``: 0 or 1.
        feature_stride, feature_window: Of features of videos: step i was made of ``feature_window``
            frames from frame ``i * feature_stride`` on.
        columns: What the columns ``sequence``, ``start``, ``end``, ``label``, ``subset``, ``subject``
            are called in a table; ``duration``, in the unit of the starts, may take the place of ``end``.
            ``time``: the column with the time in tables that are recordings.
        subset_map: Subsets that have another name in the files, as ``{"dev": "validation"}``. ``train``, ``val``,
            ``valid``, ``test`` and capital letters are understood without it.
        tier: Of ``textgrid`` and ``elan``; needed where there are several. ``*``: all, of ``textgrid``.
        extension: Of the annotations of ``wfdb``.
        key: The name of the array, where files hold several (``.npz``, ``.h5``, ``.mat``).
        channels, on_rate: Which channels of the files to take, by name or by number from 0, and
            whether those of one file may differ in their rate, as in
            :func:`~spanloc.data.signals.open_signal`.
        classes: The classes in their order. None: those of the file, or the labels in use, sorted.
        label_map: Labels that get another name, several the same too, as ``{"jog": "run"}``. What
            follows is about the new names. A label that is not in the files is an error; with
            ``classes``, a warning.
        unknown: Labels of spans that are there, but of no known class: number -1.
        ignore: Labels of stretches that count neither as a span nor as background.
        background: Labels of stretches that are background, where there is no span. None: of ``column`` and
            ``lines`` those that are called ``0``, ``False``, ``NA``, ``nan``, ``null``, ``none`` or
            ``background``. An empty label is background there in any case.
        moment_seconds: Length of the spans that moments become, around each and moved inside at the
            borders of the recording. A moment is a row that ends where it starts (with inclusive ends
            too) or has no end, and every row of a table without a column for it; a point of ``boris``
            or of a ``tier`` of ``textgrid``; an annotation of ``edf`` without a duration; an instant of
            ``labelstudio``; a symbol of ``wfdb`` that lacks ``(`` or ``)``. None: moments are bad
            spans, and points of ``textgrid`` are not read.
        annotated: What was looked at of a recording whose files do not say it: ``all``, or
            ``first_to_last`` span (all of it where there is none).
        bad_spans: What happens to a span that is reversed, empty, outside the sequence, of an unknown label, or
            there twice. ``error`` raises at the first (not at a duplicate, which is kept). ``clip``
            cuts off what lies outside and drops what that does not help. ``drop`` drops them all. Where more than
            half are reversed or outside, and not just a few, all of them raise.
        absent: What happens to a recording that the annotations name, if there is no file of it: ``error``, or
            ``skip``.
        subject_pattern: A regular expression: what it matches in an id, or its first group, is the subject of the
            recording, where the files say none. ``^[^_]+`` makes ``s01`` the subject of ``s01_walk``.
        found: A list that gets all such spans.
        refused: A list that gets the errors of single rows, files and sequences, which are then left
            out. None: the first such error is raised.

    Raises:
        FileNotFoundError: The folder, a file of annotations or a signal is missing.
        ValueError: Something in them is off; it names the file, the sequence and the field. Or a format
            needs a package that is not installed.
    """
    given = dict(locals())
    root = Path(str(root))  # a folder may be called 2024
    if isinstance(channels, str | int):
        raise ValueError(f"data.channels is {channels!r}; wanted a list: 'data.channels=[...]'")
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder (data.root)")
    meaning = Meaning(**{field.name: given[field.name] for field in fields(Meaning)})
    if not isinstance(columns or {}, Mapping):
        raise ValueError(f"data.columns is {columns!r}; wanted {{field: name}}")
    names = {field: normalize("NFC", str(name)) for field, name in (columns or {}).items()}
    time = names.pop("time", None)
    options = {"key": key, "channels": channels, "on_rate": on_rate, "time": time}
    reading = Reading(
        names, subset_map or {}, tier, extension, refused, unit, ends, moment_seconds, options
    )
    if absent not in ("error", "skip"):
        raise ValueError(f"data.absent is {absent!r}; wanted error or skip")
    content = read_content(root, format, reading)
    if subject_pattern is not None:
        content = _with_subjects(content, subject_pattern)
    hint = similar_recording(root, {entry.id for entry in content.sequences})

    def opened(entry: Annotated) -> Signal:
        return entry.signal or signal_of(entry, root, hint, options, below=content.below)

    read = lay(content, opened, meaning, refused, skip_absent=absent == "skip")
    return replace(read, files=_sources(content, root))


def _with_subjects(content: Content, pattern: str) -> Content:
    try:
        wanted = re.compile(str(pattern))
    except re.error as error:
        raise ValueError(
            f"data.subject_pattern is {pattern!r}; wanted a regular expression: {error}"
        ) from None
    entries = []
    for entry in content.sequences:
        match = wanted.search(entry.id)
        found = match[min(wanted.groups, 1)] if match else None
        entries.append(replace(entry, subject=entry.subject or found or None))
    if without := [entry.id for entry in entries if entry.subject is None]:
        log.warning(
            "%s: data.subject_pattern finds no subject in %s, so each counts as a subject of its own: one person "
            "may be in training and test. %s",
            content.file, listed(without), _NO_SUBJECT, extra={"advice": _NO_SUBJECT},
        )  # fmt: skip
    return replace(content, sequences=entries)


def _sources(content: Content, root: Path) -> tuple[Path, ...]:
    """The files of annotations and subsets that were read."""
    files = {content.file, *(entry.file for entry in content.sequences)}
    files |= {file.with_suffix(".uem") for file in files if file.suffix.lower() == ".rttm"}
    if not content.subsets_known:
        files.add(root / "subsets.csv")
    return tuple(sorted(file for file in files if file.is_file()))
