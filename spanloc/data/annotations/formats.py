"""Formats of annotations by name, and which of them a folder holds."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

from spanloc.data.annotations import activitynet, flat, per_step, recorders, texts, tiers, waves
from spanloc.data.annotations.layout import Files, annotations_in, files_in, other_tables
from spanloc.data.annotations.rows import SUBSETS, Annotated, Content, Reading, refuse
from spanloc.data.signals.reading import listed, shown_path
from spanloc.files import shown

log = logging.getLogger(__name__)
_NO_ROW = "Check the names in the rows; where nothing happens, add a row with the name alone."


class _Format(NamedTuple):
    """Files of annotations: a reader, the end of their names in small letters, and what is true of them."""

    read: Callable[[Path, Any, Reading], Iterable[Annotated]]
    ending: str
    joint: bool = False  # A file may hold several recordings: the reader takes all ids, not one.
    auto: bool = True  # Not where the ending may as well be a signal's, or settings'.
    any_text: bool = False  # Files of these names may be anything else.
    unit_known: bool = True  # The files say the unit of their times.


_FORMATS = {
    "audacity": _Format(texts.audacity, ".txt", any_text=True),
    "raven": _Format(texts.raven, "selections.txt"),
    "textgrid": _Format(tiers.textgrid, ".textgrid"),
    "elan": _Format(tiers.elan, ".eaf"),
    "csv": _Format(flat.of_recording, ".csv", auto=False, any_text=True, unit_known=False),
    "boris": _Format(texts.boris, ".csv", auto=False, any_text=True),
    "edf": _Format(recorders.edf, ".edf", auto=False),
    "wfdb": _Format(waves.wfdb, ""),
    "rttm": _Format(texts.rttm, ".rttm", joint=True),
    "labelstudio": _Format(
        recorders.label_studio, ".json", joint=True, auto=False, unit_known=False
    ),
    "lines": _Format(per_step.of_text, ".txt", auto=False, any_text=True),
}
FORMATS = ("json", "table", "column", *_FORMATS)


def read_content(root: Path, kind: str, reading: Reading) -> Content:
    """Read the annotation files of a folder in the format of that name."""
    if kind not in ("auto", *FORMATS):
        raise ValueError(f"data.format is {kind!r}; wanted auto or one of {', '.join(FORMATS)}")
    if kind == "auto" and (root / "annotations.json").exists():
        kind = "json"
    if kind == "json":
        return activitynet.read(root, reading)
    there = files_in(root)
    if kind == "auto":
        kind = _chosen(root, there, reading)
    if kind == "edf" and reading.extension != "atr":
        raise ValueError(
            f"data.extension is {reading.extension!r}, which is for format=wfdb; format=edf reads <id>.edf"
        )
    unit_known = kind == "column" or (kind in _FORMATS and _FORMATS[kind].unit_known)
    if reading.unit != "seconds" and unit_known:
        raise ValueError(f"data.unit is not seconds; the times of format={kind} are in seconds")
    signals = there.signals
    files = {f"{name}{path.suffix}": name for name, path in signals.items()}
    ids = files | {name: name for name in signals}
    if there.below:
        parts = Counter(name.rpartition("/")[2] for name in ids)
        alone = {name.rpartition("/")[2]: own for name, own in ids.items()}
        ids = {part: own for part, own in alone.items() if parts[part] == 1} | ids
    ids |= {normalize("NFD", own): name for own, name in ids.items()}
    reading = replace(reading, ids=ids, signals=signals)
    if kind == "table":
        content = flat.of_folder(root, there, reading)
        if not content.sequences and not reading.refused:
            raise ValueError(f"{content.file}: the table has a header but no rows")
        _report_silent(content, root, there, reading)
    elif kind == "column":
        content = per_step.of_columns(root, signals, reading)
    else:
        content = _per_recording(root, kind, reading, there)
    content = _with_subsets(content, root, reading, signals)
    return replace(content, unit_known=unit_known, below=there.below)


def _chosen(root: Path, there: Files, reading: Reading) -> str:
    if flat.tables_in(root):
        return "table"
    signals = there.signals
    found, others = {}, dict[str, list[Path]]()
    for name, kind in _FORMATS.items():
        files = _files(root, name, there, reading)
        own = [f for f, one in files.items() if kind.joint or signals.get(one, f) != f]
        if own and kind.auto:
            found[name] = own[0]
        elif own and not kind.joint:
            others[name] = own
    if len(found) > 1:
        both = " and ".join(f"{name} ({shown_path(file)})" for name, file in found.items())
        raise ValueError(f"{root}: holds annotations of several formats: {both}; set data.format")
    if found:
        return next(iter(found))
    tables = flat.span_tables(root, there, reading)
    if len(tables) > 1:
        return "table"
    recordings = {name: path for name, path in signals.items() if path not in tables}
    columns, labelled = per_step.find_columns(recordings, reading)
    # Where a label is all that was asked for, the error says which columns there are.
    if labelled or (
        columns and "label" in reading.columns and not {"start", "end"} & {*reading.columns}
    ):
        return "column"
    above = root.parent
    if (above / "annotations.json").exists() or flat.tables_in(above):
        raise FileNotFoundError(
            f"{root}: has no annotations; they are in the folder above: data.root={above}"
        )
    if sheet := next(root.glob("annotations.[ox][dl]s*"), None):
        table = root / "annotations.csv"
        raise FileNotFoundError(f"{sheet}: a spreadsheet is not read; save it as {table}")
    end, edf_files = "", (path for path in signals.values() if path.suffix.lower() == ".edf")
    if tables:
        end = f"; there is {shown_path(tables[0])}: if it is such a table, rename it to annotations.csv"
    elif others:
        named = listed([file.name for file in next(iter(others.values()))], 1)
        end = f"; there are files named as recordings ({named}): data.format={' or '.join(others)}?"
    elif columns:
        end = "; or the recordings have a label in every row: 'data.columns={label: NAME}' (NAME: one of "
        end += f"{per_step.listed_columns(columns)})"
    elif noted := next(filter(_has_notes, islice(edf_files, 3)), None):
        end = f"; {shown_path(noted)} holds annotations itself: data.format=edf"
    elif not signals:
        end = f"; there is no recording either (.npy, .csv, ...) in {root / 'data'}"
    raise FileNotFoundError(
        f"{root / 'annotations.json'}: no such file; data.root must hold annotations.json, a table "
        f"annotations{', '.join(flat.SUFFIXES)}, or annotation files beside the recordings (data.format){end}"
    )


def _has_notes(file: Path) -> bool:
    try:
        return any(entry.rows for entry in recorders.edf(file, "", Reading()))
    except (ValueError, OSError):
        return False


def _ending(name: str, reading: Reading) -> str:
    return f".{reading.extension}".lower() if name == "wfdb" else _FORMATS[name].ending


def _files(root: Path, kind: str, there: Files, reading: Reading) -> dict[Path, str]:
    """The files that may be annotations of a format, each with the id of its recording."""
    found = annotations_in(root, there, _ending(kind, reading), own=not _FORMATS[kind].joint)
    if kind == "labelstudio":
        return {file: name for file, name in found.items() if file.parent == root}
    if kind == "edf":
        # Annotations beside data take the place of those in the recordings.
        data = root / "data"
        beside = {name for file, name in found.items() if not file.is_relative_to(data)}
        return {f: n for f, n in found.items() if not f.is_relative_to(data) or n not in beside}
    if kind == "audacity":
        raven = _FORMATS["raven"].ending
        return {f: n for f, n in found.items() if not f.name.lower().endswith(raven)}
    return found


def _per_recording(root: Path, kind: str, reading: Reading, there: Files) -> Content:
    files, form, signals = _files(root, kind, there, reading), _FORMATS[kind], there.signals
    if kind == "labelstudio" and len(files) > 1:
        raise ValueError(f"{root}: holds {listed([f.name for f in files])}; wanted one .json")
    entries: dict[str, Annotated] = {}
    broken, strange = set(), list[str]()
    for file, name in files.items():
        if form.any_text and signals.get(name, file) == file:
            # A recording itself, or of no recording.
            strange += [] if name in signals else [str(file.relative_to(root))]
            continue
        try:
            _join(entries, form.read(file, signals if form.joint else name, reading), file)
        except (ValueError, OSError) as error:
            broken.add(name)
            refuse(reading.refused, error, shown_path(file))
    if not entries and not reading.refused:
        text = (
            f"there are no annotations: no *{_ending(kind, reading)} of a recording (format={kind})"
        )
        places = [*signals.values()] if kind == "wfdb" else []
        beside = {file.suffix for path in places[:1] for file in path.parent.glob(f"{path.stem}.*")}
        if others := sorted(beside - {".hea", ".dat"}):
            text += f"; if they are in *{others[0]}: data.extension={others[0][1:]} (there are {listed(others)})"
        raise FileNotFoundError(f"{root}: {text}")
    if strange:
        log.warning("%s: not read, as no recording has these names: %s", root, listed(strange))
    if left := [name for name in signals if name not in entries and name not in broken]:
        advice = "If nothing happens in them, give each an empty file of annotations."
        log.warning(
            "%s: recordings left out, without annotations: %s. %s",
            root, listed(left), advice, extra={"advice": advice},
        )  # fmt: skip
    return Content(root, list(entries.values()))


def _join(entries: dict[str, Annotated], own: Iterable[Annotated], file: Path) -> None:
    for entry in own:
        name = normalize("NFC", entry.id)
        if name in entries:
            raise ValueError(
                f"{shown_path(file)}: sequence {shown(entry.id)} is annotated in "
                f"{shown_path(entries[name].file)} too"
            )
        entries[name] = replace(entry, id=name, subset=_subset_of(file))


def _subset_of(file: Path | None, name: str = "") -> str | None:
    """The subset whose folder a file lies in, or whose folder is in its id."""
    folders = [file.parent.name if file else "", *reversed(name.split("/")[:-1])]
    return next((folder for folder in folders if folder in SUBSETS), None)


def _report_silent(content: Content, root: Path, there: Files, reading: Reading) -> None:
    known, signals = {entry.id for entry in content.sequences}, there.signals
    silent = [name for name in signals if name not in known | other_tables(root, signals, known)]
    # In any folders below there may be tables that are no recordings.
    strict = content.subsets_known and not there.below
    for name in silent if strict else ():
        error = ValueError(
            f"{content.file}: there is no row of {shown(name)} ({shown_path(signals[name])}), so that "
            "its subset is not known; add one, without start and end where it has no spans"
        )
        refuse(reading.refused, error, str(content.file), sequence=name)
    if silent and not strict:
        # To train on what nobody has annotated yet as if nothing were in it would spoil the model.
        log.warning(
            "%s: recordings left out, as no row names them: %s. %s",
            shown_path(content.file), listed(silent), _NO_ROW, extra={"advice": _NO_ROW},
        )  # fmt: skip


def _with_subsets(
    content: Content, root: Path, reading: Reading, signals: Mapping[str, Path]
) -> Content:
    file = root / "subsets.csv"
    if content.subsets_known:
        return content
    entries = [
        replace(entry, subset=entry.subset or _subset_of(signals.get(entry.id), entry.id))
        for entry in content.sequences
    ]
    if not file.exists():
        return replace(content, sequences=entries)
    said: dict[str, tuple[str | None, str | None]] = {}
    where, fields = shown_path(file), ("subset", "subject")
    table = texts.text_table(file, needed=("sequence",), known=fields, refused=reading.refused)
    if "subset" not in table.names and {*table.names} != {"sequence", "subject"}:
        raise ValueError(
            f"{where}: {table.place}: columns are {listed(table.names)}; wanted sequence, subset and perhaps "
            "subject, or sequence and subject alone"
        )
    for place, row in table.rows:
        name = reading.ids.get(row["sequence"], row["sequence"])
        with reading.row(where, place, name):
            if name in said:
                raise ValueError(f"{where}: {place}: sequence {shown(name)} is given twice")
            subject = row.get("subject") or None
            said[name] = None, subject
            if "subset" in row:
                said[name] = reading.subset(row["subset"], f"{where}: {place}"), subject
    sequences = []
    for entry in entries:
        if entry.id in said:
            subset, subject = said.pop(entry.id)
            sequences.append(
                replace(entry, subset=subset or entry.subset, subject=entry.subject or subject)
            )
            if not (entry.subject and subject) or str(entry.subject) == subject:
                continue
            text = f"subject of {shown(entry.id)} is {shown(subject)}; elsewhere {shown(entry.subject)}"
        else:
            text = f"there is no row of the sequence {shown(entry.id)}"
        refuse(reading.refused, ValueError(f"{where}: {text}"), where, sequence=entry.id)
    if gone := [name for name in said if name not in signals]:
        log.warning("%s: there are no recordings of its rows %s", where, listed(gone))
    return replace(content, sequences=sequences)
