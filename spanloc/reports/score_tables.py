"""What predictions score and what their errors are, as tables."""

import math
from collections import Counter
from collections.abc import Mapping

from spanloc.files import leaves
from spanloc.metrics.oracles import ORACLES, STANDARD, Oracles
from spanloc.reports.result import Diagnosis, ScoreResult
from spanloc.reports.table import Cell, Column, Table, fixed, number, share

_MEANT = {
    "true positive": "matched: the best free target of its label, at the tIoU of a match or more",
    "double detection": "overlaps a target of its label enough, but a better-scored one has it",
    "wrong label": "overlaps a target of another label enough",
    "localisation": "overlaps a target of its label, but not enough",
    "confusion": "overlaps a target of another label, and not enough",
    "background": "tIoU below {least:g} with every target",
    "found": "a prediction is matched to it",
    "crowded out": "a prediction of its label overlaps it enough, but took another target",
    "missed": "no prediction has a tIoU of {least:g} or more with it",
}
_FATES = {
    "wrong label": "a prediction of another label overlaps it enough",
    "localisation": "a prediction of its label overlaps it, but not enough",
    "confusion": "a prediction of another label overlaps it, and not enough",
}
_SUREST = "these spanloc-predict writes; the others are doubtful, and count in mAP alone"


def meant(least: float = 0.1) -> dict[str, str]:
    """What predictions and targets of a kind have in common.

    Args:
        least: From which tIoU on a prediction means a target.
    """
    return {kind: text.format(least=least) for kind, text in _MEANT.items()}


def score_tables(scores: ScoreResult) -> list[Table]:
    """The tables of what ``scores.json`` holds: figures, errors, targets, sensitivity, labels."""
    diagnosis = scores.diagnosis
    # The figures of single labels have a table of their own.
    figures = {name: v for name, v in scores.metrics.items() if not name.startswith("AP/")}
    rows = [{"metric": name, "value": number(v, ".4f")} for name, v in figures.items()]
    return [
        Table("Metrics", rows),
        _error_table(scores),
        _target_table(diagnosis),
        _sensitivity_table(diagnosis),
        _label_table(diagnosis, scores.metrics),
    ]


def oracle_table(found: Oracles) -> Table:
    """One row for each part that is made perfect, one column for each mean or tIoU."""
    tiou = f"{found['tiou']:g}"
    means = {
        "as it is": "the predictions without changes",
        "ranking": "scores times the tIoU with the best target of the label",
        "labels": f"the right label for what has a tIoU of {tiou} or more with a target",
        "boundaries": f"the boundaries of the target for what has its label and a tIoU of {tiou} or more",
        "selection": "of the predictions of one target only the best-placed one, with the highest score",
        "outside": "nothing outside the stretch from the first to the last target of a sequence",
    }
    rows = [
        {"perfect": name, **{of: number(v, ".4f") for of, v in found["mAP"][name].items()}}
        for name in ORACLES
    ]
    notes = [
        *(f"{name}: {text}." for name, text in means.items()),
        "Each row mends all predictions of the first row in one way. What each kind of error costs at "
        f"tIoU {tiou}, double detections and missed targets too, is in the table of errors.",
    ]
    # What always is there fits a terminal of 80 columns.
    brief = ["perfect", *(name for name in rows[0] if name in STANDARD)]
    return Table("If this were perfect", rows, {"perfect": _listed(means)}, notes, brief)


def confusion_table(scores: ScoreResult) -> Table:
    """One row for every two labels that differ where the spans match, the most frequent first."""
    rows = scores.confusion or []
    of_label = Counter[str]()
    for row in rows:
        of_label[row["target"]] += row["count"]
    matched = [row for row in rows if row["prediction"] is not None]
    differ = [row for row in matched if row["prediction"] != row["target"]]
    total, wrong = (sum(row["count"] for row in some) for some in (matched, differ))
    columns = [
        Column("label", "target", "of the annotations"),
        Column("is called", "prediction", "by the prediction that is matched to it"),
        Column("targets", "count"),
        Column(
            "share",
            lambda row: share(row["count"], of_label[row["target"]]),
            "of the targets of the label",
        ),
    ]
    right = f", {share(total - wrong, total).text}" if total else ""
    notes = [
        f"Of {total:,} targets that a prediction matches at tIoU {scores.diagnosis['tiou']:g}, whatever its "
        f"label, {total - wrong:,} have the same label{right}. Predictions with a score below 0.5 are left out."
    ]
    return Table.of("Confusion of labels", differ, columns, notes)


def setting_table(scores: ScoreResult) -> Table:
    """One row for each setting that is not null."""
    rows = [
        {"setting": name, "value": str(value)}
        for name, value in leaves(scores.settings)
        if value is not None
    ]
    notes = ["What is not listed is as the metrics of spanloc have it by default."]
    return Table("Settings", rows, notes=notes)


def _error_table(scores: ScoreResult) -> Table:
    diagnosis = scores.diagnosis
    counts, gain = diagnosis["predictions"], diagnosis["gain"]
    total, tiou = sum(counts.values()), f"{diagnosis['tiou']:g}"
    kinds, meanings = (*counts, "missed"), meant(diagnosis["background"])
    mended = (
        f"at tIoU {tiou}, if all errors of the kind were mended: labels and places corrected where "
        "the target is free, the rest removed; missed: targets left out"
    )
    ranked = "of the best-ranked of each label, up to ten times its targets"
    columns = [
        Column("kind", str, _listed({kind: meanings[kind] for kind in kinds})),
        Column("predictions", counts.get, ranked),
        Column("share", lambda kind: share(counts.get(kind, math.nan), total)),
        Column("gain in mAP", lambda kind: number(gain.get(kind), "+.4f"), mended),
    ]
    notes = [
        f"Of the best-ranked {total:,} of {diagnosis['num_predictions']:,} predictions: of each label "
        f"up to ten times its targets. A match is at tIoU {tiou}, background below "
        f"{diagnosis['background']:g}. The gain is in mAP at that tIoU, which is {fixed(diagnosis['mAP'])}."
    ]
    if scores.surest is not None:
        columns.insert(3, Column(f"score ≥ {scores.min_score:g}", scores.surest.get, _SUREST))
        right, written = scores.surest["true positive"], sum(scores.surest.values())
        text = f"Of the {written:,} with a score of {scores.min_score:g} or more, which spanloc-predict writes, "
        notes.insert(0, f"{text}{right:,} are right.")
    return Table.of("Errors", kinds, columns, notes)


def _target_table(diagnosis: Diagnosis) -> Table:
    counts = diagnosis["targets"]
    total = sum(counts.values())
    meanings = meant(diagnosis["background"]) | _FATES
    columns = [
        Column("kind", str, _listed({kind: meanings[kind] for kind in counts})),
        Column("targets", counts.get),
        Column("share", lambda kind: share(counts[kind], total)),
    ]
    return Table.of("Targets", counts, columns)


def _sensitivity_table(diagnosis: Diagnosis) -> Table:
    groups = [
        {"of": of, **group} for of, some in diagnosis["sensitivity"].items() for group in some
    ]
    kinds = (
        "length, coverage (length over the sequence's duration), or number of targets of the label "
        "in the sequence"
    )
    normalised = "mAP with precision taken as if each label had equally many targets in every group"
    columns = [
        Column("of targets", "of", kinds),
        Column("group", "name", "fifths, from XS to XL; or the number"),
        Column("range", lambda g: Cell(f"{g['least']:.4g} to {g['most']:.4g}", g["least"])),
        Column("targets", "targets"),
        Column(
            "found", lambda g: share(g["found"]), "share of them to which a prediction is matched"
        ),
        Column("mAP_N", lambda g: number(g["mAP_N"], ".4f"), normalised),
    ]
    notes = [
        f"Compare groups by mAP_N, mAP as if all of them had equally many targets; of all targets it is "
        f"{fixed(diagnosis['mAP_N'])}."
    ]
    if not diagnosis["sensitivity"]["coverage"]:
        notes.append("There is no coverage: durations are known from annotations in JSON.")
    return Table.of("Sensitivity", groups, columns, notes)


def _label_table(diagnosis: Diagnosis, figures: Mapping[str, float]) -> Table:
    at = f"AP@{fixed(diagnosis['tiou'], '.2f')}"
    meanings = {
        "label": "the worst first",
        "AP": "mean over the thresholds",
        "found": "share of the targets",
        **dict.fromkeys(diagnosis["predictions"], "share of the best-ranked predictions"),
    }
    rows = []
    for name, row in sorted(diagnosis["classes"].items(), key=lambda item: item[1]["AP"]):
        predictions, targets = row["predictions"], row["targets"]
        asked, total = sum(predictions.values()), sum(targets.values())
        fates = {
            f"targets: {kind}": share(n, total) for kind, n in targets.items() if kind != "found"
        }
        meanings |= dict.fromkeys(fates, "share of the targets")
        rows.append(
            {
                "label": name,
                "AP": number(figures.get(f"AP/{name}"), ".4f"),
                at: number(row["AP"], ".4f"),
                "targets": total,
                "found": share(targets["found"], total),
                **{kind: share(count, asked) for kind, count in predictions.items()},
                **fates,
            }
        )
    brief = ("label", "AP", at, "targets", "found")
    return Table("Labels, the worst first", rows, meanings, brief=brief)


def _listed(meanings: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in meanings.items())
