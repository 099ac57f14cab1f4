"""Tables of scores and errors."""

import math
from collections import Counter
from collections.abc import Callable, Mapping

from spanloc.files import counted, leaves
from spanloc.metrics import FOUND, KINDS
from spanloc.metrics.diagnosis import in_words
from spanloc.metrics.oracles import ORACLES, STANDARD, Oracles
from spanloc.reports.result import Diagnosis, ScoreResult
from spanloc.reports.table import Cell, Column, Table, fixed, number, share

_SUREST = "these spanloc-predict writes; the others are doubtful, and count in mAP alone"
_MEANT = {
    "true positive": "right: its label is that of a target, their tIoU is {tiou:g} or more, and no prediction with a higher "
    "score has taken the target",
    "double detection": "right label and tIoU of {tiou:g} or more, but a prediction with a higher score has taken "
    "the target",
    "wrong label": "tIoU of {tiou:g} or more with a target of another label",
    "localisation": "tIoU of {least:g} to {tiou:g} with a target of its label",
    "confusion": "tIoU of {least:g} to {tiou:g} with a target of another label",
    "background": "tIoU below {least:g} with every target",
}
_FATES = {
    "found": "a prediction is matched to it",
    "crowded out": "a prediction of its label has a tIoU of {tiou:g} or more with it, but took another target",
    "wrong label": "a prediction of another label has a tIoU of {tiou:g} or more with it",
    "localisation": "a prediction of its label has a tIoU of {least:g} to {tiou:g} with it",
    "confusion": "a prediction of another label has a tIoU of {least:g} to {tiou:g} with it",
    "missed": "no prediction has a tIoU of {least:g} or more with it",
}


def meant(tiou: float = 0.5, least: float = 0.1, *, targets: bool = False) -> dict[str, str]:
    """Meanings of the kinds of predictions, or else of targets; of *missed* always.

    Args:
        tiou: Of a match.
        least: From which tIoU on a prediction means a target.
        targets: Of the kinds of targets.
    """
    texts = _FATES if targets else {**_MEANT, "missed": _FATES["missed"]}
    return {kind: text.format(tiou=tiou, least=least) for kind, text in texts.items()}


def summary(scores: ScoreResult) -> str:
    """A sentence on the predictions that matter: their number, and how many are right."""
    diagnosis, kinds = scores.diagnosis, scores.surest
    limit = f" with a score of {scores.min_score:g} or more (those that spanloc-predict writes)"
    of = " with the highest scores (of each label as many as it has targets)"
    if kinds is None:
        kinds, limit = diagnosis["ranks"][0], ""
    right, total = kinds["true positive"], sum(kinds.values())
    if not total:
        return f"There are no predictions{limit}."
    return (
        f"Of the {counted(total, 'prediction')}{limit or of}, {right:,} are right; they find {right:,} of "
        f"{counted(diagnosis['num_targets'], 'target')}. Right means: the right label, and a tIoU of "
        f"{diagnosis['tiou']:g} or more."
    )


def score_tables(scores: ScoreResult) -> list[Table]:
    """Tables of a result: its metrics, errors, targets, sensitivity, labels."""
    diagnosis = scores.diagnosis
    rows = [
        {"metric": name, "value": number(value, ".4f")}
        for name, value in scores.metrics.items()
        if not name.startswith("AP/")  # those of single labels have a table of their own
    ]
    return [
        Table("Metrics", rows),
        _error_table(scores),
        _target_table(diagnosis),
        _sensitivity_table(diagnosis),
        _label_table(diagnosis, scores.metrics),
    ]


def oracle_table(found: Oracles) -> Table:
    """Mean average precision: a row for each part that is made perfect, a column for each mean or tIoU."""
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
        f"tIoU {tiou}, double detections and missed targets too, is in the tables of errors and targets.",
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
    notes = ["What is not listed has the default of the metrics of spanloc."]
    return Table("Settings", rows, notes=notes)


def _error_table(scores: ScoreResult) -> Table:
    diagnosis = scores.diagnosis
    first, counts, gain = diagnosis["ranks"][0], diagnosis["predictions"], diagnosis["gain"]
    tiou = f"{diagnosis['tiou']:g}"
    meanings = meant(diagnosis["tiou"], diagnosis["background"])
    mended = (
        f"at tIoU {tiou}, if all errors of the kind were corrected: wrong labels and places whose target no "
        "other prediction has taken; the others are removed"
    )

    def shares(kinds: Mapping[str, int]) -> Callable[[str], Cell]:
        return lambda kind: share(kinds.get(kind, math.nan), sum(kinds.values()))

    shown = [
        ("1G", first, "of the first G predictions of each label, where G is its number of targets")
    ]
    if scores.surest is not None:
        shown.insert(0, (f"score ≥ {scores.min_score:g}", scores.surest, _SUREST))
    columns = [Column("kind", in_words, _listed(meanings))]
    for title, kinds, meaning in shown:
        columns += [Column(title, kinds.get, meaning), Column(f"share, {title}", shares(kinds))]
    columns += [
        Column("gain in mAP", lambda kind: number(gain.get(kind), "+.4f"), mended),
        Column("1G to 10G", counts.get, "of the first 10 G predictions of each label"),
    ]
    notes = [
        "1G: of each label the first G predictions by score, where G is its number of targets. 1G to 10G "
        "has up to ten predictions for each target, and only one of them can be right. The other nine do no "
        "harm if their scores are lower than those of the right ones: the gain in mAP says what they cost.",
        f"mAP at tIoU {tiou} is {fixed(diagnosis['mAP'])}.",
    ]
    return Table.of("Errors", counts, columns, notes)


def _target_table(diagnosis: Diagnosis) -> Table:
    counts = diagnosis["targets"]
    total = sum(counts.values())
    meanings = meant(diagnosis["tiou"], diagnosis["background"], targets=True)
    columns = [
        Column("kind", in_words, _listed(meanings)),
        Column("targets", counts.get),
        Column("share", lambda kind: share(counts[kind], total)),
    ]
    gain, tiou = number(diagnosis["gain"].get("missed"), "+.4f").text, f"{diagnosis['tiou']:g}"
    notes = [
        "Found by a prediction of any score.",
        f"Gain in mAP at tIoU {tiou} if the missed targets were not counted: {gain}.",
    ]
    return Table.of("Targets", counts, columns, notes)


def _sensitivity_table(diagnosis: Diagnosis) -> Table:
    groups = [
        {"of": of, **group} for of, some in diagnosis["sensitivity"].items() for group in some
    ]
    kinds = (
        "length, coverage (length over the sequence's duration), or number of targets of the label "
        "in the sequence"
    )
    normalised = "mAP, with precision as if each label had equally many targets in every group"
    columns = [
        Column("of targets", "of", kinds),
        Column("group", "name", "XS to XL: five groups of equal size; or the number"),
        Column("range", lambda g: Cell(f"{g['least']:.4g} to {g['most']:.4g}", g["least"])),
        Column("targets", "targets"),
        Column(
            "found", lambda g: share(g["found"]), "share of them to which a prediction is matched"
        ),
        Column("mAP_N", lambda g: number(g["mAP_N"], ".4f"), normalised),
    ]
    notes = [
        "mAP_N is mAP corrected for the number of targets in a group, so that groups can be compared. Of all "
        f"targets it is {fixed(diagnosis['mAP_N'])}."
    ]
    if not diagnosis["sensitivity"]["coverage"]:
        notes.append("There is no coverage: durations are known from annotations in JSON.")
    return Table.of("Which targets are found", groups, columns, notes)


def _label_table(diagnosis: Diagnosis, metrics: Mapping[str, float]) -> Table:
    at = f"AP@{fixed(diagnosis['tiou'], '.2f')}"
    lost = {kind: f"targets: {in_words(kind)}" for kind in FOUND if kind != "found"}
    firsts = {kind: f"1G: {in_words(kind)}" for kind in KINDS}
    meanings = {
        "label": "the worst first",
        "AP": "mean over the thresholds",
        "found": "share of the targets",
        **dict.fromkeys(lost.values(), "share of the targets"),
        **dict.fromkeys(
            firsts.values(), "share of the first G predictions, where G is the number of targets"
        ),
    }
    rows = []
    for name, row in sorted(diagnosis["classes"].items(), key=lambda item: item[1]["AP"]):
        first, targets = row.get("first", {}), row["targets"]
        total = sum(targets.values())
        rows.append(
            {
                "label": name,
                "AP": number(metrics.get(f"AP/{name}"), ".4f"),
                at: number(row["AP"], ".4f"),
                "targets": total,
                "found": share(targets["found"], total),
                **{title: share(targets[kind], total) for kind, title in lost.items()},
                **{
                    firsts[kind]: share(count, sum(first.values())) for kind, count in first.items()
                },
            }
        )
    brief = ("label", "AP", at, "targets", "found")
    return Table("Labels, the worst first", rows, meanings, brief=brief)


def _listed(meanings: Mapping[str, str]) -> str:
    return "; ".join(f"{in_words(name)}: {text}" for name, text in meanings.items())
