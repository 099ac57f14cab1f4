"""``spanloc-check``: what to know about annotated recordings before training, and all that is wrong."""

import inspect
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.text import Text

from spanloc.cli.entry import run_folder
from spanloc.cli.show import plain_console, show_table
from spanloc.config.build import as_values
from spanloc.data.annotations.folder import (
    SUBSETS,
    Annotations,
    BadSpan,
    Case,
    read_annotations,
)
from spanloc.data.held_out import ONE_SUBJECT
from spanloc.data.sample import data_folder
from spanloc.data.survey import survey_records
from spanloc.data.survey.result import SEVERITIES, Finding, Survey
from spanloc.data.survey.signals import Progress
from spanloc.files import counted, replacing
from spanloc.reports.check_page import (
    check_page,
    finding_lines,
    label_table,
    overview,
    part_table,
)

log = logging.getLogger(__name__)
_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold"}


def run(config: DictConfig) -> None:
    """Run ``spanloc-check``.

    Raises:
        ValueError: There are errors among the findings.
    """
    folder = run_folder()
    if not isinstance(config.data, DictConfig) or "root" not in set(config.data):
        raise ValueError("data has no root; a check is of a folder: data=annotations data.root=...")
    root = data_folder(str(config.data.root))
    found: list[BadSpan] = []
    with _warnings() as warnings:
        annotations, refused = _read(root, config.data, found)
        records = [record for subset in SUBSETS for record in annotations.subsets.get(subset, ())]
        result = survey_records(
            records,
            annotations.classes,
            root=str(root),
            found=found,
            refused=refused,
            bad_spans=str(config.data.get("bad_spans", "error")),
            progress=_progress(),
        )
        recipe, stop = _recipe(result)
    lesser = [finding for finding in result.findings if finding.severity != "error"]
    advice = "Whether a model of one subject is good for others is known from its test set only."
    for line in [line for line in recipe if line.startswith(ONE_SUBJECT)]:
        recipe.remove(line)
        lesser.append(Finding("note", "one subject", line, 1, advice))
    result = replace(result, findings=[*result.of("error"), *warnings.values(), *lesser])
    result.write(folder / "check.json")
    with replacing(folder / "check.html") as path:
        text = check_page(result, records, annotations.classes, recipe)
        path.write_text(text, encoding="utf-8")
    _show(result, recipe)
    counts = [(severity, len(result.of(severity))) for severity in SEVERITIES]
    totals = ", ".join(counted(count, severity) for severity, count in counts)
    if result.of("error"):
        raise ValueError(f"{root}: {totals}; the page is {folder / 'check.html'}")
    console = plain_console()
    console.print(f"{totals}.", highlight=False)
    console.print(f"The page is {folder / 'check.html'}", soft_wrap=True)
    if stop is not None:
        raise ValueError(f"{root}: training would stop: {stop}")


@contextmanager
def _warnings() -> Iterator[dict[str, Finding]]:
    """What is logged as a warning while annotations are read, as findings, each once though read twice."""
    found: dict[str, Finding] = {}

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text, advice = record.getMessage(), "Fine if it is meant: training does the same."
            found[text] = Finding("warning", "reading", text, 1, advice)

    logger, handler = logging.getLogger("spanloc.data.annotations"), Keep()
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


def _read(root: Path, data: DictConfig, found: list[BadSpan]) -> tuple[Annotations, list[Case]]:
    # The settings of data that are about reading; what is wrong is to be found, not to stop the check.
    known = inspect.signature(read_annotations).parameters
    names = [str(name) for name in data if name in known and name != "root"]
    options: dict[str, Any] = {name: as_values(data[name]) for name in names}
    refused: list[Case] = []
    ours: dict[str, Any] = {"bad_spans": "drop", "found": found, "refused": refused}
    options |= {name: value for name, value in ours.items() if name in known}
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder (data.root)")
    try:
        return read_annotations(root, **options), refused
    except (ValueError, OSError) as error:
        file, colon, text = str(error).partition(": ")
        whole = not (colon and Path(file).exists())
        return Annotations([], {}), [
            *refused,
            Case(text=str(error)) if whole else Case(file, text=text),
        ]


def _progress() -> Progress:
    begin = time.monotonic()
    pace: Any = None

    def line(done: int, total: int) -> None:
        nonlocal pace
        if time.monotonic() - begin < 2:
            return
        # It imports Lightning, which takes longer than most checks.
        from spanloc.training.callbacks import pace as training

        pace = pace or training.Pace(lambda: time.monotonic() - begin)
        if pace.due():
            seconds = time.monotonic() - begin
            log.info("%s", training.counted(done, total, "recordings", seconds))

    return line


def _recipe(result: Survey) -> tuple[list[str], str | None]:
    """What training would choose for these data, in a line each; and what would stop it."""
    if result.of("error"):
        return [], None
    from spanloc.cli.settings import choices_for

    texts = [
        text for text in HydraConfig.get().overrides.task if text.lstrip("+").startswith("data")
    ]
    try:
        found, notes = choices_for(texts, result.root)
    except (ValueError, OSError) as error:
        return [], str(error)
    return [*notes, *(f"{place} = {value}: {reason}" for place, value, reason in found)], None


def _show(result: Survey, recipe: list[str]) -> None:
    console = plain_console()
    console.print(f"{result.root}: {overview(result)}", soft_wrap=True, highlight=False)
    if result.num_recordings:
        for table in (part_table(result), label_table(result)):
            show_table(console, table, notes=True)
    for finding in result.findings:
        first, *others = finding_lines(finding)
        severity, rest = first.split(":", 1)
        text = Text.assemble((severity, _STYLES[severity]), f":{rest}")
        console.print(text, soft_wrap=True)
        for line in others:
            console.print(Text(line), soft_wrap=True)
    if recipe:
        console.print(Text("What training would choose", "bold"))
    for line in recipe:
        console.print(Text(line), soft_wrap=True)
