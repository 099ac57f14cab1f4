"""``spanloc-check``: a survey of annotated recordings before training, with everything that is wrong."""

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.text import Text

from spanloc.cli.frame.arguments import with_own_data
from spanloc.cli.frame.folder import run_folder
from spanloc.cli.frame.show import plain_console, progress_lines, show_table
from spanloc.config.build import as_values
from spanloc.data.annotations.folder import (
    SUBSETS,
    Annotations,
    BadSpan,
    Case,
    Record,
    read_annotations,
)
from spanloc.data.annotations.written.one_file import one_file
from spanloc.data.held_out import ONE_SUBJECT
from spanloc.data.quotes import as_mapping
from spanloc.data.sample import data_folder
from spanloc.data.survey import divided, survey_records
from spanloc.data.survey.result import SEVERITIES, Finding, Survey
from spanloc.files import counted, write_json, write_text
from spanloc.reports.check_page import check_page, finding_lines, label_table, overview, part_table

_HEADINGS = ("What training would do with the data", "Settings that training would choose")
_USUAL_ADVICE = "If this is right, do nothing."
_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold"}


def run(config: DictConfig) -> None:
    """Run ``spanloc-check``; errors among the findings are an error of the command."""
    folder = run_folder()
    data, texts = _settings(config)
    if not isinstance(data, DictConfig) or "root" not in set(data):
        raise ValueError("data has no root; a check is of a folder: data=annotations data.root=...")
    root = data_folder(str(data.root))
    found: list[BadSpan] = []
    with _warnings() as warnings:
        annotations, refused = _read(root, data, found)
        records = [record for subset in SUBSETS for record in annotations.subsets.get(subset, ())]
        result = survey_records(
            records,
            annotations.classes,
            root=str(root),
            found=found,
            refused=refused,
            bad_spans=str(data.get("bad_spans", "error")),
            missing=str(data.get("missing", "error")),
            progress=progress_lines("recordings"),
        )
        done, chosen, found_by_training, subsets = _recipe(result, texts)
    lesser = [finding for finding in result.findings if finding.severity != "error"]
    advice = "If the training recordings come from several subjects, correct their names, or data.subject_pattern."
    for line in [line for line in done if line.startswith(ONE_SUBJECT)]:
        done.remove(line)
        lesser.append(Finding("note", "one subject", line, 1, advice))
    errors = [*result.of("error"), *found_by_training]
    result = replace(result, findings=[*errors, *warnings.values(), *lesser])
    if subsets:
        result = divided(result, subsets)
    result.write(folder / "check.json")
    parts = zip(_HEADINGS, (done, chosen), strict=True)
    recipe = [(heading, lines) for heading, lines in parts if lines]
    page = check_page(result, records, annotations.classes, recipe)
    write_text(folder / "check.html", page)
    file = folder / "annotations.json"
    # In the folder of the data it would take the place of what was read.
    apart = folder.resolve() != root.resolve()
    if apart:
        write_json(file, one_file(_as_trained(root, data, annotations), subsets))
    _show(result, recipe)
    counts = [(severity, len(result.of(severity))) for severity in SEVERITIES]
    totals = ", ".join(f"{counted(count, 'kind')} of {severity}" for severity, count in counts)
    if result.of("error"):
        raise ValueError(f"{root}: {totals}; the page is {folder / 'check.html'}")
    lines = [f"{totals}.", f"The page is {folder / 'check.html'}"]
    lines += [f"All annotations in one file, in seconds: {file}"] * apart
    plain_console().print(*lines, sep="\n")


@contextmanager
def _warnings() -> Iterator[dict[str, Finding]]:
    """Warnings that are logged while annotations are read, as findings, each once though read twice."""
    found: dict[str, Finding] = {}

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            advice = getattr(record, "advice", _USUAL_ADVICE)
            text = record.getMessage().removesuffix(f". {advice}")
            found[text] = Finding("warning", "reading", text, 1, advice)

    logger, handler = logging.getLogger("spanloc.data.annotations"), Keep()
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


def _options(data: DictConfig) -> dict[str, Any]:
    # Only the settings about reading.
    known = inspect.signature(read_annotations).parameters
    names = [str(name) for name in data if name in known and name != "root"]
    options: dict[str, Any] = {name: as_values(data[name]) for name in names}
    for name in ("columns", "label_map", "subset_map"):
        options[name] = as_mapping(options.get(name), name)
    return options


def _as_trained(root: Path, data: DictConfig, annotations: Annotations) -> Annotations:
    """The annotations with the spans that training clips; the check leaves these out."""
    if data.get("bad_spans") != "clip":
        return annotations
    with suppress(ValueError, OSError):
        return read_annotations(root, **_options(data))
    return annotations


def _read(root: Path, data: DictConfig, found: list[BadSpan]) -> tuple[Annotations, list[Case]]:
    # An error is a finding, and does not stop the check.
    refused: list[Case] = []
    options = _options(data) | {"bad_spans": "drop", "found": found, "refused": refused}
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder (data.root)")
    try:
        return read_annotations(root, **options), refused
    except (ValueError, OSError) as error:
        file, colon, text = str(error).partition(": ")
        named = colon and Path(file).exists()
        case = Case(file, text=text) if named else Case(text=str(error))
        return Annotations([], {}), [*refused, case]


def _settings(config: DictConfig) -> tuple[Any, list[str]]:
    """The settings of the data, and those of the command that say so."""
    texts = HydraConfig.get().overrides.task
    texts = [text for text in texts if text.lstrip("+~").startswith("data")]
    if config.experiment is None:
        return config.data, texts
    if not isinstance(config.experiment, DictConfig):
        raise ValueError(f"experiment is {config.experiment!r}; wanted the name of a file")
    texts = [f"experiment={config.experiment.name}", *texts]
    return compose("train", overrides=with_own_data(texts)).data, texts


def _recipe(
    result: Survey, texts: list[str]
) -> tuple[list[str], list[str], list[Finding], Mapping[str, Sequence[Record]]]:
    """Notes on the data and choices of settings in training, or the error that would stop it; and its subsets."""
    if result.of("error"):
        return [], [], [], {}
    from spanloc.cli.run.settings import prepared_in

    config = compose("train", overrides=with_own_data(texts), return_hydra_config=True)
    config.data.root = result.root
    try:
        _, data, choices, notes = prepared_in(config, run_folder())
    except (ValueError, OSError) as error:
        advice = "Change the data or the settings."
        stop = Finding("error", "training", f"training would stop: {error}", 1, advice)
        return [], [], [stop], {}
    lines = [f"{place} = {value}: {reason}" for place, value, reason in choices]
    return notes, lines, [], getattr(data, "subsets", {})


def _show(result: Survey, recipe: Sequence[tuple[str, Sequence[str]]]) -> None:
    console = plain_console()
    console.print(f"{result.root}: {overview(result)}")
    if result.num_recordings:
        for table in (part_table(result), label_table(result)):
            show_table(console, table, notes=True)
    for finding in result.findings:
        first, *others = finding_lines(finding)
        severity, rest = first.split(":", 1)
        more = (f"\n{line}" for line in others)
        text = Text.assemble((severity, _STYLES[severity]), f":{rest}", *more)
        console.print(text)
    for heading, lines in recipe:
        console.print(heading, style="bold")
        console.print(*lines, sep="\n")
