"""Page of scores and errors, with notes on what was scored."""

import math
import time

import torch

from spanloc import plots
from spanloc.data.annotations.scored import Scored
from spanloc.data.signals.reading import listed
from spanloc.files import counted, leaves, shown
from spanloc.metrics.assessable import assessable
from spanloc.metrics.diagnosis import in_words
from spanloc.metrics.rows import arrays, outside
from spanloc.reports.pages import render
from spanloc.reports.result import ScoreResult, Tally
from spanloc.reports.score_tables import (
    confusion_table,
    counted_ones,
    oracle_table,
    score_tables,
    summary,
)
from spanloc.reports.table import Column, Table, number, share, shortened, subset_name

_MOST_GROUPS = 50
_FEWEST = 10  # spans that do not lie apart by chance
_USUAL = 0.15  # the lowest of many scores is lower, if none are left out


def score_page(scores: ScoreResult, *, whose: str = "", now: float | None = None) -> str:
    """The result of an evaluation as one page of HTML.

    Args:
        scores: The result.
        whose: The model and its data; else the files in the result.
        now: Date of the page, in seconds since 1970.
    """
    diagnosis, found = scores.diagnosis, scores.reliability
    metrics, errors, targets, sensitivity, labels = score_tables(scores)
    return render(
        "scores.html",
        "Scores and errors",
        whose=whose or " against ".join(filter(None, (scores.predictions, scores.annotations))),
        date="" if now is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(now)),
        summary=summary(scores),
        counts=count_rows(scores),
        scores=scores,
        errors=errors,
        wrong=wrong_table(scores),
        limits=limit_table(scores),
        apart=bool(scores.removed),
        tables=[
            *([oracle_table(scores.oracles)] if scores.oracles is not None else []),
            *(targets, sensitivity),
        ],
        main=[metrics, labels, confusion_table(scores), *tally_tables(scores)],
        settings=setting_table(scores) if scores.settings else None,
        ranks=plots.error_ranks(diagnosis["ranks"]),
        gains=plots.error_gains(diagnosis["gain"], diagnosis["tiou"]),
        fates=plots.target_fates(diagnosis["targets"]),
        sensitivities=plots.error_sensitivity(diagnosis["sensitivity"], diagnosis["mAP_N"]),
        reliability=plots.reliability(found.counts, found.scores, found.shares) if found else None,
    )


def wrong_table(scores: ScoreResult) -> Table:
    """One row for each wrong prediction, the highest score first, then one for each target not found."""
    columns = [
        Column("recording", lambda row: shortened(row["sequence"])),
        Column("error", lambda row: in_words(row["error"]), "see the kinds of errors above"),
        Column("score", "score", form=".2f"),
        Column("predicted", "label"),
        Column("start", "start", form=".2f"),
        Column("end", "end", form=".2f"),
        Column("true", "true_label", "the target that the prediction overlaps most"),
        Column("true start", "true_start", form=".2f"),
        Column("true end", "true_end", form=".2f"),
    ]
    notes = [
        "The wrong predictions (at most 50), then the targets that are not found and not named above (at most "
        "50). Times are in the unit of the data, usually seconds."
    ]
    title = f"Where the errors are ({counted_ones(scores)})"
    return Table.of(title, scores.diagnosis["wrong"], columns, notes)


def tally_tables(scores: ScoreResult) -> list[Table]:
    """One row for each subject, and one for each recording, the worst first; none where a row says nothing."""
    tally = scores.diagnosis["tally"]
    if scores.diagnosis["num_targets"] <= scores.num_sequences:
        return []
    columns = [
        Column("true spans", "targets"),
        Column("found", "found"),
        Column("not found", lambda row: row["targets"] - row["found"]),
        Column("wrong predictions", "wrong"),
        Column("F1", _f1, "1: all are found, and nothing is wrong", ".3f"),
    ]
    return [
        Table.of(
            f"{of.capitalize()}s, the worst first ({counted_ones(scores)})",
            rows[:_MOST_GROUPS],
            [Column(of, lambda row: shortened(row["name"])), *columns],
            [f"and {len(rows) - _MOST_GROUPS:,} more"] if len(rows) > _MOST_GROUPS else [],
        )
        for of, rows in sorted(tally.items(), reverse=True)
        if len(rows) > 1 and (of == "recording" or len(rows) < len(tally["recording"]))
    ]


def _f1(row: Tally) -> float:
    total = row["targets"] + row["found"] + row["wrong"]
    return 2 * row["found"] / total if total else math.nan


def limit_table(scores: ScoreResult) -> Table:
    """One row for each limit of the score: what is kept above it, and how much of that is right."""
    found, targets = scores.reliability, scores.diagnosis["num_targets"]
    counts, shares = (found.counts, found.shares) if found else ([], [])
    right = [c * share if c else 0.0 for c, share in zip(counts, shares, strict=True)]
    rows = []
    for i in range(1, len(counts)):
        kept, good = sum(counts[i:]), round(sum(right[i:]))
        rows.append(
            {
                "score from": number(i / len(counts), "g"),
                "predictions": kept,
                "right": share(good, kept),
                "targets found": share(good, targets),
                "F1": number(2 * good / (kept + targets) if targets else math.nan, ".3f"),
            }
        )
    what = "is left without predictions of a lower score"
    if scores.as_written:
        what = f"spanloc-predict writes with this min_score{scores.removed}"
    notes = [f"What {what}. F1 is highest where both shares are high."]
    return Table("Which score to keep", rows, notes=notes)


def setting_table(scores: ScoreResult) -> Table:
    """One row for each setting that is not null."""
    settings = [item for item in leaves(scores.settings) if item[1] is not None]
    rows = [{"setting": name, "value": str(value)} for name, value in settings]
    notes = ["What is not listed has the default of the metrics of spanloc."]
    return Table("Settings", rows, notes=notes)


def count_rows(scores: ScoreResult) -> str:
    """Numbers of targets, predictions and recordings, in words."""
    diagnosis = scores.diagnosis
    subset = f" of the {subset_name(scores.subset)} set" if scores.subset else ""
    return (
        f"{counted(diagnosis['num_targets'], 'target')} (true spans) and "
        f"{counted(diagnosis['num_predictions'], 'prediction')} in "
        f"{counted(scores.num_sequences, 'recording')}{subset}"
    )


def notes(scored: Scored) -> list[str]:
    """Sentences, without full stops, on what is not wrong with two files, but likely not meant."""
    spans, scores = scored.predictions.spans, scored.predictions.scores
    true = scored.targets
    found = [scored.unit] if scored.unit else []
    found += [f"left out: {line}" for problems in scored.problems for line in problems.lines()]
    if any("an unknown sequence" in problems.counts() for problems in scored.problems):
        found.append(
            "predictions for sequences that the annotations do not name are not counted; name a sequence without spans "
            "in the annotations too"
        )
    found += [
        f"there is no column 'label' in {file}: labels are not compared; not read: "
        f"{listed(columns)}"
        for file, columns in scored.unread.items()
    ]
    if hidden := sum(len(stretches) > 0 for stretches in true.ignored):
        kept, kept_true = assessable(scored.predictions, true)
        found.append(
            f"stretches of {hidden:,} of {counted(len(true.ids), 'recording')} are not evaluated; without "
            f"them there are {counted(len(kept_true), 'target')} (before: {len(true):,}) and "
            f"{counted(len(kept), 'prediction')} (before: {len(spans):,})"
        )
    asked = true.places.unique()
    silent = asked[~torch.isin(asked, scored.predictions.places)]
    if not len(spans):
        found.append("there are no predictions at all")
    elif len(silent):
        have = "have" if len(silent) > 1 else "has"
        found.append(
            f"{len(silent):,} of the {len(asked):,} recordings with true spans {have} no prediction"
        )
        own, others = (
            {scored.subsets.get(true.ids[place]) for place in places.tolist()}
            for places in (scored.predictions.places.unique(), silent)
        )
        if len(own) == 1 and others - own and (name := own.pop()):
            found[-1] += (
                f"; all predictions are in the subset {shown(name)}: subset={name} evaluates these alone"
            )
    if len(spans) > 1 and bool((scores == scores[0]).all()):
        found.append("all scores are equal, so that the order of the predictions decides")
    elif len(spans) >= _FEWEST and _USUAL <= (least := float(scores.min())) < 1:
        found.append(
            f"the lowest score is {least:.2g}: if predictions with lower scores were left out, mAP is too low; "
            "spanloc-predict min_score=0 writes all"
        )
    if not scored.unit and (apart := _late(scored) or _apart(scored)):
        found.append(apart)
    rows = torch.cat([true.spans, true.labels[:, None], true.places[:, None]], 1)
    if twice := len(rows) - len(rows.unique(dim=0)):
        found.append(f"{twice:,} annotations are there twice")
    if empty := int((true.spans[:, 0] == true.spans[:, 1]).sum()):
        found.append(f"{empty:,} annotations are empty, which nothing can match")
    return found


def _late(scored: Scored) -> str:
    """A note if most predictions begin after the end of their recording; or empty."""
    found, ids = scored.predictions, scored.targets.ids
    ends = torch.tensor([scored.durations.get(name, math.inf) for name in ids])
    late = int((found.spans[:, 0] > ends[found.places]).sum())
    if 2 * late <= len(found.spans):
        return ""
    return (
        f"{late:,} of {counted(len(found.spans), 'prediction')} begin after the end of their recording, "
        "so they may be in another unit"
    )


def _apart(scored: Scored) -> str:
    """A note if no prediction lies where its recording has true spans; or empty."""
    found, true = scored.predictions, scored.targets
    if min(len(found.spans), len(true.spans)) < _FEWEST:
        return ""
    if not outside(arrays(found), arrays(true)).all():
        return ""
    true_range, range_ = (f"{s.min():.6g} and {s.max():.6g}" for s in (true.spans, found.spans))
    return (
        f"no prediction overlaps a true span of its recording: the true spans lie between {true_range} s, the "
        f"predictions between {range_} s; both must be counted from the start of the recording"
    )
