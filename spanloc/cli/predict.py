"""``spanloc-predict``: the spans in new recordings."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from spanloc.cli.decoding import chosen_options, decode_apart, usual_min_score
from spanloc.cli.frame.folder import run_folder
from spanloc.cli.frame.show import log_to_file, plain_console, with_progress
from spanloc.cli.predict_files import (
    check_classes,
    check_outputs,
    figure_path,
    outputs,
    result_path,
)
from spanloc.cli.predict_notes import Notes, note_on_rate
from spanloc.config.build import as_names
from spanloc.config.checkpoint import file_of
from spanloc.data.annotations.written import FORMATS, Found, content_of, joint, rounded
from spanloc.data.inputs import CHOOSE, CONVERT, LACKS_HIGH, Note, open_recording
from spanloc.data.signals import Signal
from spanloc.data.signals.clock import start_of
from spanloc.data.signals.reading import listed
from spanloc.files import counted, record, replacing
from spanloc.inference.ensemble import load_models
from spanloc.inference.journal import Journal
from spanloc.inference.recordings import Recording, find_recordings
from spanloc.training.task import SpanLocalizer

log = logging.getLogger(__name__)
# Of the settings, those that predictions depend on.
_READING = ("rate", "channels", "key", "on_rate", "missing", "start", "min_score")
_TYPES = {
    "rate": float | None,
    "min_score": float | None,
    "joint": bool | None,
    **dict.fromkeys(("plot", "view", "resume"), bool),
}
# A page holds the signals too.
_MOST_IN_VIEW = 20
# Dates end with the year 9999.
_MISTAKES = (ValueError, OSError, FloatingPointError, OverflowError)


def run(config: DictConfig) -> None:
    """Run ``spanloc-predict``."""
    folder, settings = run_folder(), _settings(config)
    formats = _formats(settings)
    start = None if settings["start"] is None else _moment(settings["start"])
    recordings = find_recordings(as_names(settings["input"]))
    written = outputs(folder, recordings, formats, settings["plot"], settings["view"])
    check_outputs(folder, written, recordings)
    checkpoints, shifts = as_names(settings["checkpoint"]), settings["tta"]["shifts"]
    task = load_models(checkpoints, shifts=shifts, allow=settings["allow"])
    check_classes(formats, task.classes)
    options = chosen_options(settings["decode"])
    if settings["min_score"] is None:
        settings["min_score"] = usual_min_score(task)
    apart = decode_apart(task, options, settings["min_score"])
    task.to(_device(str(settings["device"])))
    states = [file_of(path).stat() for path in checkpoints]
    files = [part for state in states for part in (state.st_size, state.st_mtime_ns)]
    identity: dict[str, Any] = {
        "checkpoint": files,
        "tta": settings["tta"] if shifts != 1 else None,
    }
    identity |= {name: settings[name] for name in _READING} | {"decode": options or None}
    journal = Journal(folder / "predict.done", identity, resume=settings["resume"])
    found: list[Found] = []
    problems: list[str] = []
    advised: set[str] = set()
    notes = Notes(len(recordings))
    task.on_notes = notes.add

    def note(error: Exception, name: str) -> None:
        text = f"{name}: {error}" if isinstance(error, OverflowError) else str(error)
        text, _, advice = text.partition(CHOOSE)
        if advice not in advised:  # once, also of many recordings
            text += advice and CHOOSE + re.sub(r"channels=\[\d\S*\]", r"'\g<0>'", advice)
            advised.add(advice)
        # The readers speak of the settings of training.
        problems.append(re.sub(r" \(data\.missing\)|\bdata\.(?=channels|key)", "", text))
        if len(problems) > 1:  # a single one is printed at the end
            for line in problems if len(problems) == 2 else problems[-1:]:
                log.error("%s", line)

    if line := note_on_rate(task, settings["rate"]):
        log.warning("%s", line)
    for recording in with_progress(recordings, len(recordings), "recordings"):
        try:
            one = journal.found(recording)
            if one is None:
                one = _find(task, recording, settings, start, notes)
                journal.add(recording, one)
            found.append(one)
            for name, together in formats.items():
                if not together:
                    path = result_path(folder, name, one.id)
                    _write_those_that_fit(
                        [one], partial(content_of, path=path, kind=name), path, journal, note
                    )
            if settings["plot"]:
                with journal.writing(path := figure_path(folder, one.id)):
                    _plot(task, one, settings, path)
        except _MISTAKES as error:
            note(error, recording.id)
    for line in (*notes.lines(), *(apart if found else ())):
        warns = line.endswith((CONVERT, LACKS_HIGH))
        log.log(logging.WARNING if warns else logging.INFO, "%s", line)
    for name, together in formats.items():
        if together:
            path = result_path(folder, name)
            _write_those_that_fit(
                found, partial(content_of, path=path, kind=name), path, journal, note
            )
    if settings["view"]:
        path = folder / "view.html"
        if len(found) > _MOST_IN_VIEW:
            log.info("%s shows the first %d of %d recordings", path.name, _MOST_IN_VIEW, len(found))
        page = partial(_page, task=task, settings=settings)
        _write_those_that_fit(found[:_MOST_IN_VIEW], page, path, journal, note)
    if found:
        labels = Counter(label for one in found for *_, label, _ in one.spans)
        each = ", ".join(f"{count:,} of {label!r}" for label, count in labels.most_common())
        text = f"{counted(labels.total(), 'span')} in {counted(len(found), 'recording')}"
        text += f"{f' ({each})' if len(labels) > 1 else ''}; everything is in {folder}"
        silent = [label for label in task.classes if label not in labels]
        if silent and settings["min_score"]:
            why = f"scores {settings['min_score']:g} or more; a lower min_score writes weaker ones"
            text = f"no span of {listed(silent, 5)} {why}\n{text}"
        plain_console().print(text)
        log_to_file(text)
    if len(problems) > 1:
        places = f"named above and in {folder / 'predict.log'}"
        raise ValueError(f"{counted(len(problems), 'problem')}, {places}")
    if problems:
        raise ValueError(problems[0])


def _find(
    task: SpanLocalizer,
    recording: Recording,
    settings: dict[str, Any],
    start: datetime | None,
    notes: Notes,
) -> Found:
    signal, chosen = _open(task, recording.path, settings), settings["channels"]
    silent = signal.rate is None and task.rate is not None
    predictions = task.predict(
        signal,
        task.rate if silent else None,
        channels=None if chosen is None else range(signal.num_channels),
        on_rate=settings["on_rate"],
        missing=settings["missing"],
        name=recording.id,
    )
    if silent:
        how = f"taken as {task.rate:g} Hz, as in training; rate=NUMBER sets another"
        notes.add(recording.id, [Note(f"the rate is not in the file: {how}")])
    kept = predictions[predictions.scores >= settings["min_score"]]
    rate = signal.rate or task.rate
    duration = signal.num_steps / (rate or 1.0) + max(0.0, task.input.offset if task.input else 0.0)
    rows = (kept.spans.tolist(), kept.labels.tolist(), kept.scores.tolist())
    # At another rate there may be a part of a step more than in the file.
    spans = [
        (max(0.0, first), min(last, duration), task.classes[label], score)
        for (first, last), label, score in zip(*rows, strict=True)
    ]
    # Spans that the rounding of the files would make empty are left out: the files refuse them.
    files = (rounded(*span[:2], duration=duration, rate=rate) for span in spans)
    spans = [span for span, (begin, end) in zip(spans, files, strict=True) if begin < end]
    found = start or start_of(signal)
    return Found(recording.id, duration, spans, rate, recording.path, found)


def _open(task: SpanLocalizer, path: Path, settings: dict[str, Any]) -> Signal:
    names = ("key", "rate", "channels")
    return open_recording(path, task.input, **{name: settings[name] for name in names})


def _formats(settings: dict[str, Any]) -> dict[str, bool]:
    """The wanted formats, and whether one file holds all recordings."""
    names, wanted = as_names(settings["format"]), settings["joint"]
    for name in names:
        if name not in FORMATS:
            raise ValueError(f"format is {name!r}; wanted some of {', '.join(FORMATS)}")
        if wanted and not joint(name):
            raise ValueError(f"joint is true; a file of format={name} is of one recording")
    return {name: joint(name) if wanted is None else bool(wanted) for name in names}


def _write_those_that_fit(
    found: Sequence[Found],
    content: Callable[[Sequence[Found]], bytes],
    path: Path,
    journal: Journal,
    note: Callable[[Exception, str], None],
) -> None:
    """Write one file of several recordings; those that it cannot hold are left out and noted."""
    if not found:
        return
    try:
        try:
            made = content(found)
        except _MISTAKES:
            fit = []
            for one in found:
                try:
                    content([one])
                    fit.append(one)
                except _MISTAKES as error:
                    note(error, one.id)
            if not fit:
                return
            made = content(fit)
        with journal.writing(path), replacing(path) as temporary:
            temporary.write_bytes(made)
    except _MISTAKES as error:
        note(error, path.name)


def _plot(task: SpanLocalizer, found: Found, settings: dict[str, Any], path: Path) -> None:
    from spanloc.plots import save_figure
    from spanloc.plots.recording import recording_figure

    shown = _shown(task, found, settings)
    save_figure(recording_figure(shown, threshold=settings["min_score"]), path)


def _page(found: Sequence[Found], task: SpanLocalizer, settings: dict[str, Any]) -> bytes:
    from spanloc.reports.view_page import view_page

    shown = [_shown(task, one, settings) for one in found]
    return view_page(shown, threshold=settings["min_score"]).encode()


def _shown(task: SpanLocalizer, found: Found, settings: dict[str, Any]) -> Any:
    from spanloc.plots.recording import Shown

    assert found.path is not None
    signal = _open(task, found.path, settings)
    rate = found.rate or 1.0
    return Shown(found.id, signal, rate, signal.channels, found.spans, start=found.start)


def _moment(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"start is {text!r}; wanted a time such as 2024-05-31T22:15:00") from None


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError):
        raise ValueError(f"device is {name!r}; wanted auto, cpu, or one that is there") from None


def _settings(config: DictConfig) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    found = dict(plain)
    for name, kind in _TYPES.items():
        found[name] = record(kind, found[name], name)
    record(int, found["tta"]["shifts"], "tta.shifts")
    # A name may look like a number.
    found["key"] = found["key"] and str(found["key"])
    if found["min_score"] is not None and not 0 <= found["min_score"] < 1:
        raise ValueError(f"min_score is {found['min_score']}; it must lie in [0, 1)")
    if found["on_rate"] not in ("resample", "error"):
        raise ValueError(f"on_rate is {found['on_rate']!r}; wanted resample or error")
    places = [text.partition("=")[0] for text in HydraConfig.get().overrides.hydra]
    if found["resume"] and "hydra.run.dir" not in places:
        raise ValueError("resume=true goes on in a folder; name it with hydra.run.dir=FOLDER")
    return found
