"""``spanloc-predict``: the spans in new recordings."""

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from spanloc.cli.entry import run_folder
from spanloc.cli.show import plain_console
from spanloc.config.checkpoint import file_of, load
from spanloc.data.annotations.written import FORMATS, Found, joint, suffix_of, write
from spanloc.data.signals import open_signal
from spanloc.files import counted, replacing
from spanloc.inference.journal import Journal
from spanloc.inference.recordings import Recording, find_recordings
from spanloc.training.callbacks.pace import Pace
from spanloc.training.callbacks.pace import counted as progress
from spanloc.training.task import SpanLocalizer

log = logging.getLogger(__name__)
# Of these, predictions depend on none of the others.
_READING = ("rate", "channels", "key", "on_rate", "start", "min_score")
# A page holds the signals too.
_MOST_IN_VIEW = 20


def run(config: DictConfig) -> None:
    """Run ``spanloc-predict``.

    Raises:
        ValueError: Some recordings could not be predicted on; the others were.
    """
    folder, settings = run_folder(), _plain(config)
    formats = _formats(settings)
    if not 0 <= settings["min_score"] < 1:
        raise ValueError(f"min_score is {settings['min_score']}; it must lie in [0, 1)")
    start = None if settings["start"] is None else _moment(settings["start"])
    recordings = find_recordings(_list(settings["input"]))
    task = load(settings["checkpoint"], allow=settings["allow"])
    task.to(_device(settings["device"]))
    state = file_of(settings["checkpoint"]).stat()
    identity = {"checkpoint": [state.st_size, state.st_mtime_ns]}
    identity |= {name: settings[name] for name in _READING}
    journal = Journal(folder / "done.jsonl", identity, resume=settings["resume"])
    found: list[Found] = []
    failed: list[str] = []
    pace = Pace()
    for recording in recordings:
        try:
            one = journal.found(recording)
            if one is None:
                one = _find(task, recording, settings, start)
                journal.add(recording, one)
            for name, together in formats.items():
                if not together:
                    _write([one], folder / f"{one.id}{suffix_of(name)}", name)
            if settings["plot"]:
                _plot(one, settings, folder / "figures" / f"{one.id}.png")
        except (ValueError, OSError, FloatingPointError) as error:
            log.error("%s", error)  # noqa: TRY400 - a mistake in a file is one line
            failed.append(str(error))
        else:
            found.append(one)
        done = len(found) + len(failed)
        if pace.due() and done < len(recordings):
            log.info("%s", progress(done, len(recordings), "recordings", pace.elapsed))
    for name, together in formats.items():
        if together and found:
            _write(found, folder / f"predictions{suffix_of(name)}", name)
    if settings["view"] and found:
        _view(found, settings, folder / "view.html")
    spans = sum(len(one.spans) for one in found)
    text = (
        f"{counted(spans, 'span')} in {counted(len(found), 'recording')}; everything is in {folder}"
    )
    plain_console().print(text, soft_wrap=True, highlight=False)
    if failed:
        more = f", and {len(failed) - 1} more, named above" if len(failed) > 1 else ""
        raise ValueError(
            f"no predictions for {counted(len(failed), 'recording')}: {failed[0]}{more}"
        )


def _find(
    task: SpanLocalizer, recording: Recording, settings: dict[str, Any], start: datetime | None
) -> Found:
    signal = open_signal(recording.path, key=settings["key"], rate=settings["rate"])
    predictions = task.predict(
        signal,
        channels=settings["channels"],
        on_rate=settings["on_rate"],
        name=recording.id,
    )
    kept = predictions[predictions.scores >= settings["min_score"]]
    rate = signal.rate or (task.input.rate if task.input else None)
    rows = (kept.spans.tolist(), kept.labels.tolist(), kept.scores.tolist())
    return Found(
        recording.id,
        signal.num_steps / (rate or 1.0),
        [(*span, task.classes[label], score) for span, label, score in zip(*rows, strict=True)],
        rate,
        recording.path,
        start or getattr(signal, "start", None),
    )


def _formats(settings: dict[str, Any]) -> dict[str, bool]:
    """The wanted formats, and whether one file holds all recordings."""
    names, wanted = _list(settings["format"]), settings["joint"]
    for name in names:
        if name not in FORMATS:
            raise ValueError(f"format is {name!r}; wanted some of {', '.join(FORMATS)}")
        if wanted and not joint(name):
            raise ValueError(f"joint is true; a file of format={name} is of one recording")
    return {name: joint(name) if wanted is None else bool(wanted) for name in names}


def _write(found: Sequence[Found], path: Path, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(found, path, name)


def _plot(found: Found, settings: dict[str, Any], path: Path) -> None:
    from spanloc.plots import save_figure
    from spanloc.plots.recording import recording_figure

    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(recording_figure(_shown(found, settings)), path)


def _view(found: Sequence[Found], settings: dict[str, Any], path: Path) -> None:
    from spanloc.reports.view_page import view_page

    if len(found) > _MOST_IN_VIEW:
        log.info("%s shows the first %d of %d recordings", path.name, _MOST_IN_VIEW, len(found))
    text = view_page([_shown(one, settings) for one in found[:_MOST_IN_VIEW]])
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _shown(found: Found, settings: dict[str, Any]) -> Any:
    from spanloc.plots.recording import Shown

    assert found.path is not None
    signal = open_signal(found.path, key=settings["key"], rate=settings["rate"])
    rate = found.rate or 1.0
    return Shown(found.id, signal, rate, signal.channels, found.spans, start=found.start)


def _moment(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"start is {text!r}; wanted a time such as 2024-05-31T22:15:00") from None


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError):
        raise ValueError(f"device is {name!r}; wanted auto, cpu, or one that is there") from None
    return device


def _list(value: Any) -> list[str]:
    return [str(part) for part in (value if isinstance(value, list) else [value])]


def _plain(config: DictConfig) -> dict[str, Any]:
    found: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return dict(found)
