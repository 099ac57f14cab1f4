"""Options of the decoding: those that settings give, and those that are fitted on validation sequences."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import ListConfig
from torch.utils.data import DataLoader, Dataset

from spanloc import ops
from spanloc.cli.frame.show import plain_console, show_table, with_progress
from spanloc.config.build import as_values
from spanloc.config.checkpoint import file_of, load, store_decode
from spanloc.config.checks import check
from spanloc.data import SpanDataModule
from spanloc.decode import Decode, Fitted, collect, figures, fit_decode
from spanloc.decode.fitting import OF_SETS, RANKED, Tried
from spanloc.files import counted, write_json
from spanloc.reports.table import Table, number, subset_name
from spanloc.structures import Predictions, Sample, collate
from spanloc.training.callbacks import Evaluated
from spanloc.training.predicting import PredictingModule

log = logging.getLogger(__name__)
# Metrics, and their columns in a table.
_SHOWN = {
    "mAP": "mAP",
    "mAP@0.50:0.95": "mAP 0.50:0.95",
    "AP@0.75": "AP@0.75",
    "AP@0.90": "AP@0.90",
    "F1": "F1",
    "Brier": "Brier",
    "ECE": "ECE",
    "ECE_from_0.1": "ECE (scores\n≥ 0.1)",
}
_MANY = 10  # recordings
_NO_PROBABILITIES = ". So a score of 0.5 need not mean that half of such predictions are right: choose min_score by the table 'Which score to keep' in the run's scores.html"
# What fitting an option does.
_IN_WORDS = {
    "bias": "correcting constant errors of the boundaries (bias)",
    "voting": "averaging the boundaries of predictions that overlap (voting)",
    "calibration": "calibrating the scores",
    "min_scores": "choosing a score threshold for each label (min_scores)",
    "exclusive": "keeping one prediction at a time (exclusive)",
    "fill_gaps": "joining predictions with short gaps (fill_gaps)",
    "min_length": "leaving out short predictions (min_length)",
}


def usual_min_score(task: PredictingModule) -> float:
    """The default of ``min_score`` in ``spanloc-predict``: 0.2, or 0 where a model gives one span."""
    return 0.0 if task.decode.max_predictions == 1 else 0.2


def wanted_options(value: Any) -> Sequence[str]:
    """The options that the setting ``fit_decode`` names; none for false."""
    if isinstance(value, bool) or value is None:
        return RANKED if value else ()
    names = list(value) if isinstance(value, ListConfig | list | tuple) else [value]
    known = (*RANKED, *OF_SETS)
    if not names or any(name not in known for name in names):
        raise ValueError(
            f"fit_decode is {value}; wanted true, false or a list of {', '.join(known)}"
        )
    return names


def chosen_options(config: Any) -> dict[str, Any]:
    """The options of the decoding that the settings ``decode.NAME`` give, without those that are null."""
    options = as_values(config) or {}
    return {str(name): value for name, value in options.items() if value is not None}


def having(decode: Any, options: Mapping[str, Any]) -> Any:
    """A decoding with other options."""
    if not options:
        return decode
    if not isinstance(decode, Decode):
        kind = type(decode).__name__
        raise ValueError(
            f"decode.{next(iter(options))}: the model is decoded by {kind}, without it"
        )
    check({"decode": {"_target_": "spanloc.decode.Decode", **options}})
    return decode.having(**options)


def decode_apart(task: PredictingModule, options: dict[str, Any], min_score: float) -> list[str]:
    """Set the decoding of a prediction, without overlaps where there are none in the training data.

    ``options`` then has ``exclusive``, unless it has already, and a line to print is returned.
    """
    task.decode = having(task.decode, options)
    if options.get("exclusive") is False:
        return []
    before, task.decode = task.decode, task.decode_from(min_score)
    if task.decode is before or getattr(before, "exclusive", True):
        return []
    options["exclusive"] = True
    return [
        "of overlapping predictions the one with the highest score is written, because no spans overlap in the "
        "training data; decode.exclusive=false writes all"
    ]


def as_written(found: Predictions, task: PredictingModule) -> Predictions:
    """The predictions without overlaps, if ``spanloc-predict`` removes them; a lower score displaces nothing."""
    decode: Any = task.decode_from(usual_min_score(task))
    if decode is task.decode or not len(found):
        return found
    order, counts = found.places.argsort(stable=True), found.places.bincount()
    rows, spans = [], []
    for mine in order.split(counts.tolist()):
        index, cut = ops.exclusive(found.spans[mine], found.scores[mine], trim=decode.trim)
        rows.append(mine[index])
        spans.append(cut)
    return replace(found[torch.cat(rows)], spans=torch.cat(spans))


def fit_checkpoint(
    path: str | Path,
    datamodule: SpanDataModule,
    options: Sequence[str] = ("calibration",),
    *,
    to: str | Path | None = None,
    chosen: Mapping[str, Any] | None = None,
    calibration: str = "temperature",
    allow: Iterable[str] = (),
    device: torch.device | str = "cpu",
) -> Fitted:
    """Fit options of the decoding of a trained model on the validation set, and store them.

    Every process may call it, and goes through all validation sequences, with the same result. Only one
    should be given a file to write: ``to``, which may be ``path`` itself. The options that are ``chosen`` are
    set before, and stored too. The others are as in :func:`spanloc.decode.fit_decode` and :func:`spanloc.load`.
    """
    samples = datamodule.val_set
    if not len(samples):
        raise ValueError(
            "the decoding cannot be fitted: there are no validation recordings (data.val_share)"
        )
    task = load(path, allow=allow).to(device)
    loader = DataLoader(
        cast("Dataset[Sample]", samples),
        batch_size=datamodule.evaluation_batch_size,
        collate_fn=collate,
        num_workers=datamodule.num_workers,
    )
    task.decode = having(task.decode, chosen or {})
    batches = with_progress(loader, len(loader), "validation batches")
    collected = collect(task, batches)
    fitted = fit_decode(task.decode, collected, len(task.classes), options, calibration=calibration)
    on = counted(len(samples), "validation recording")
    # Of each option the best value, which is the one that is taken, if any is.
    tried = {t.option: t for t in sorted(fitted.tried, key=lambda t: (t.taken, t.gain))}
    for name in _IN_WORDS:
        if name in options:
            if name in tried:
                outcome = _outcome(tried[name], len(samples))
            else:
                why = (note for note in fitted.notes if note.startswith((f"{name}: ", "only ")))
                outcome = f"not done, {next(why, 'nothing to fit').removeprefix(f'{name}: ')}"
            unsure = name == "calibration" and name not in fitted.settings
            more = _NO_PROBABILITIES if unsure and task.decode.max_predictions > 1 else ""
            log.info("%s on %s: %s%s", _IN_WORDS[name], on, outcome, more)
    if to is not None:
        store_decode(file_of(path), {**(chosen or {}), **fitted.settings}, to, off=options)
    return fitted


def report_fit(
    fitted: Fitted, before: Evaluated, after: Evaluated, subset: str, to: Path, folder: Path
) -> None:
    """Print the options that were tried, with their gains, and write ``decode_fit.json``."""
    console = plain_console()
    rows = [{"option": "none of these", **_row(fitted.before, "", "")}]
    for tried in fitted.tried:
        gain = f"{tried.gain:+.4f} ± {tried.error:.4f}"
        taken = "yes" if tried.taken else "no"
        option = f"{tried.option}: {tried.value}"
        rows.append({"option": option, **_row(tried.figures, gain, taken)})
    judged = {tried.option: tried.judged_by for tried in fitted.tried}
    least = {tried.option: f"more than {tried.errors:.1f} s.e." for tried in fitted.tried}
    by = ", ".join(f"{figure} ({name}: {least[name]} needed)" for name, figure in judged.items())
    rule = f"The gain is in {by}; s.e.: its standard error."
    notes = (*fitted.notes, rule) if judged else fitted.notes
    title = "Options tried on the validation set"
    # Of a ranking, F1 counts every prediction, also very weak ones: it is low, whatever the model.
    of_sets = ["F1"] * ("F1" in judged.values())
    brief = ("option", "mAP", "AP@0.90", *of_sets, _SHOWN["ECE_from_0.1"], "gain ± s.e.", "taken")
    table = Table(title, rows, notes=notes, brief=brief)
    show_table(console, table, most=len(rows), notes=True)
    content: dict[str, Any] = {
        "checkpoint": str(to),
        "settings": fitted.settings,
        "validation": {"before": fitted.before, "tried": fitted.tried, "notes": fitted.notes},
    }
    both = {
        name: figures(found.predictions.to("cpu"), found.targets.to("cpu"))
        for name, found in (("before", before), ("after", after))
        if found.predictions is not None and found.targets is not None
    }
    if both:
        content[subset] = both
        said = {"before": "as in the checkpoint", "after": "newly fitted"}
        shown = [{"decoding": said[name], **_row(values)} for name, values in both.items()]
        ends = ("Brier", _SHOWN["ECE_from_0.1"])
        brief = ("decoding", "mAP", _SHOWN["mAP@0.50:0.95"], "AP@0.90", *of_sets, *ends)
        notes = ["Brier, ECE: errors of the scores, 0 is perfect."]
        table = Table(f"The {subset_name(subset)} set", shown, notes=notes, brief=brief)
        show_table(console, table, most=2, notes=True)
    write_json(folder / "decode_fit.json", content)
    what = "The model with the options taken"
    if not fitted.settings:
        what = "None of these options helped, so this model has none of them"
    console.print(f"{what}: {to}")


def _outcome(tried: Tried, recordings: int) -> str:
    if tried.taken:
        better = f"by {tried.gain:.2g} (standard error {tried.error:.1g})"
        if tried.option == "calibration":
            return f"the new scores are kept, their Brier score is lower {better}"
        return f"kept, {tried.judged_by} better {better}"
    if not tried.gain > 0:
        return "not used, no better"
    if tried.option == "calibration":
        return "not used, the gain may be chance (it takes 10 to 20 right predictions)"
    if recordings < _MANY:
        return f"not used, too few recordings to tell the gain from chance ({_MANY} or more are better)"
    return "not used, the gain may be chance"


def _row(values: dict[str, float], *more: str) -> dict[str, Any]:
    figures = {title: number(values[key], ".3f") for key, title in _SHOWN.items()}
    return {**figures, **dict(zip(("gain ± s.e.", "taken"), more, strict=False))}
