"""Tables of scores and errors."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from spanloc.data.signals.reading import listed
from spanloc.files import counted
from spanloc.metrics import FOUND, KINDS
from spanloc.metrics.diagnosis import in_words
from spanloc.metrics.oracles import ORACLES, STANDARD, Oracles
from spanloc.metrics.rows import decimal
from spanloc.reports.result import Diagnosis, ScoreResult, TargetGroup
from spanloc.reports.table import Cell, Column, Table, cell, fixed, number, share
from spanloc.structures import Predictions

# Average precision of a label from which on its predictions are worth to be written.
_NOTICED = 0.1
_ANY_SCORE = (
    "share of the targets found at any score: no min_score finds more; no measure of quality"
)
_BEST = "for each label, as many as it has true spans"
_MEANT = {
    "true positive": "right: its label is that of a target, their tIoU is {tiou:g} or more, and no prediction with a higher "
    "score has taken the target",
    "double detection": "right label and tIoU of {tiou:g} or more, but a prediction with a higher score has taken "
    "the target",
    "wrong label": "tIoU of {tiou:g} or more with a target of another label",
    "localisation": "tIoU of {least:g} to {tiou:g} with a target of its label",
    "confusion": "tIoU of {least:g} to {tiou:g} with a target of another label",
    "background": "where there is no span: tIoU below {least:g} with every target",
}
_FATES = {
    "found": "a prediction is matched to it",
    "crowded out": "a prediction of its label has a tIoU of {tiou:g} or more with it, but counts for another target",
    "wrong label": "a prediction of another label has a tIoU of {tiou:g} or more with it",
    "localisation": "a prediction of its label has a tIoU of {least:g} to {tiou:g} with it",
    "confusion": "a prediction of another label has a tIoU of {least:g} to {tiou:g} with it",
    "missed": "no prediction has a tIoU of {least:g} or more with it",
}


def meant(tiou: float = 0.5, least: float = 0.1, *, targets: bool = False) -> dict[str, str]:
    """Meanings of the kinds of predictions, or of ``targets``; of *missed* always.

    A match has a tIoU of ``tiou`` or more; from ``least`` on, a prediction means a target.
    """
    texts = _FATES if targets else {**_MEANT, "missed": _FATES["missed"]}
    return {kind: text.format(tiou=tiou, least=least) for kind, text in texts.items()}


def summary(scores: ScoreResult) -> str:
    """A sentence on the predictions that matter: their number, and how many are right."""
    diagnosis, kinds = scores.diagnosis, scores.kinds
    right, total = kinds["true positive"], sum(kinds.values())
    every = diagnosis["num_predictions"]
    of = f"mAP uses all {every:,} predictions. Errors are counted among the {counted(total, 'best prediction')}: "
    of += f"{_BEST}. {right:,} of them"
    if counted_ones(scores) == "all predictions":
        total, of = every, f"Of all {counted(every, 'prediction')}, {right:,}"
    elif scores.surest is not None:
        of = (
            f"spanloc-predict would write {counted(total, 'prediction')} (score of {scores.min_score:g} or more"
            f"{scores.removed}); {right:,} of them"
        )
    if not every:
        return "There are no predictions."
    return (
        f"{of} are right; they find {right:,} of {counted(diagnosis['num_targets'], 'target')}. Right means: the "
        f"right label, and a tIoU of {diagnosis['tiou']:g} or more."
    )


def counted_ones(scores: ScoreResult) -> str:
    """The predictions that are counted where their score matters, for the title of a table."""
    if scores.as_written:
        return f"score ≥ {scores.min_score:g}"
    shown = sum(scores.kinds.values())
    everything = scores.surest is not None or shown == scores.diagnosis["num_predictions"]
    return "all predictions" if everything else "highest scores"


def score_tables(scores: ScoreResult) -> list[Table]:
    """Tables of a result: its metrics, errors, targets, sensitivity, labels."""
    diagnosis = scores.diagnosis
    rows = [
        {"metric": name, "value": number(value, ".4f")}
        for name, value in scores.metrics.items()
        if not name.startswith("AP/")  # those of single labels have a table of their own
    ]
    notes = metric_notes(scores.metrics)
    which = "" if any("min_score" in note for note in notes) else " (all predictions)"
    return [
        Table(f"Metrics{which}", rows, notes=notes),
        _error_table(scores),
        _target_table(diagnosis),
        _sensitivity_table(diagnosis),
        _label_table(scores),
    ]


def metric_notes(names: Iterable[str]) -> list[str]:
    """What the metrics with these names mean: those of events and of boundaries."""
    words = {word for name in names for word in name.split("_")[:1]}
    notes = []
    if words & {"event", "segment"}:
        notes.append(
            "event_..., segment_...: only predictions with a score of min_score or more count (0.5 by default); "
            "macro: the mean over the labels."
        )
    if words & {"start", "end"}:
        notes.append(
            "matched@...: the share of the targets that are matched at this tIoU. start_..., end_...: predicted minus "
            "true boundary of the matched pairs, in the unit of the data, usually seconds. error: the mean distance; "
            "bias: the mean; nine in ten lie between q05 and q95."
        )
    return notes


def oracle_table(found: Oracles) -> Table:
    """Mean average precision: a row for each part that is made perfect, a column for each mean or tIoU."""
    tiou = f"{found['tiou']:g}"
    means = {
        "as it is": "the predictions, unchanged",
        "ranking": "each score is multiplied by the tIoU with the best target of its label",
        "labels": f"a prediction with a tIoU of {tiou} or more with a target gets the label of the target",
        "boundaries": f"a prediction with the label of a target and a tIoU of {tiou} or more gets its boundaries",
        "selection": "of several predictions of one target, only the best-placed one is left, with the highest score",
        "outside": "predictions before the first and after the last target of a recording are removed",
    }
    rows = [
        {"perfect": name, **{of: number(v, ".4f") for of, v in found["mAP"][name].items()}}
        for name in ORACLES
    ]
    notes = [f"{name}: {text}." for name, text in means.items()]
    notes.append("mAP if one thing were perfect, each row on its own.")
    # What always is there fits a terminal of 80 columns.
    brief = ["perfect", *(name for name in rows[0] if name in STANDARD)]
    title = "If this were perfect (all predictions)"
    return Table(title, rows, {"perfect": _listed(means)}, notes, brief)


def confusion_table(scores: ScoreResult) -> Table:
    """One row for every two labels that differ where the spans match, the most frequent first."""
    rows = scores.confusion or []
    of = Counter[str]()
    for row in rows:
        of[row["target"]] += row["count"]
    matched = [row for row in rows if row["prediction"] is not None]
    differ = [row for row in matched if row["prediction"] != row["target"]]
    total, wrong = (sum(row["count"] for row in some) for some in (matched, differ))
    columns = [
        Column("label", "target", "of the annotations"),
        Column("is called", "prediction", "by the prediction that is matched to it"),
        Column("targets", "count"),
        Column("share", lambda r: share(r["count"], of[r["target"]]), "of the label's targets"),
    ]
    right = f", {share(total - wrong, total).text}" if total else ""
    which = counted_ones(scores)
    title = "Confusion of labels" + f" ({which})" * (which != "all predictions")
    notes = [
        f"{'' if wrong else f'{title}: none. '}Targets matched to a prediction (tIoU of {scores.diagnosis['tiou']:g} "
        f"or more, any label): {total:,}; with the right label: {total - wrong:,}{right}."
    ]
    if (others := scores.kinds["wrong label"]) > wrong:
        notes.append(
            "Each target counts once, with a prediction of its label if there is one. The table Errors counts every "
            f"prediction with another label, as 'wrong label': {others:,} ({which})."
        )
    notes += [f"And {len(differ) - 20:,} more pairs, in scores.json."] if len(differ) > 20 else []
    return Table.of(title, differ[:20], columns, notes)


def _error_table(scores: ScoreResult) -> Table:
    diagnosis, mean = scores.diagnosis, f"mAP@{decimal(scores.diagnosis['tiou'])}"
    meanings = meant(diagnosis["tiou"], diagnosis["background"])
    mended = (
        "if all errors of the kind were corrected. A wrong label, or wrong place, is corrected unless the target is "
        "already found; all other errors are deleted"
    )
    kinds, which = scores.kinds, counted_ones(scores)
    meaning = f"as spanloc-predict writes them{scores.removed}" * scores.as_written
    meaning = _BEST if which == "highest scores" else meaning
    columns = [
        Column("kind", in_words, _listed(meanings)),
        Column(which, kinds.get, meaning),
        Column("share", lambda kind: share(kinds[kind], sum(kinds.values()))),
        Column(f"gain in {mean} (all predictions)", diagnosis["gain"].get, mended, "+.4f"),
    ]
    notes = [f"{mean} is {fixed(diagnosis['mAP'])}."]
    if any(diagnosis["gain"][kind] and not kinds[kind] for kind in KINDS[1:]):
        notes += ["The gains are of all predictions, so a kind with a count of 0 can have a gain."]
    return Table.of("Errors", KINDS, columns, notes)


def _target_table(diagnosis: Diagnosis) -> Table:
    counts = diagnosis["targets"]
    meanings = meant(diagnosis["tiou"], diagnosis["background"], targets=True)
    columns = [
        Column("kind", in_words, _listed(meanings)),
        Column("targets", counts.get),
        Column("share", lambda kind: share(counts[kind], sum(counts.values()))),
    ]
    gain, tiou = number(diagnosis["gain"]["missed"], ".4f").text, decimal(diagnosis["tiou"])
    note = f"Without the missed targets in the annotations, mAP@{tiou} would be {gain} higher."
    title = "True spans: were they found? (predictions of any score)"
    return Table.of(title, counts, columns, [note] * (counts["missed"] > 0))


def _sensitivity_table(diagnosis: Diagnosis) -> Table:
    groups = [{"of": of, **g} for of, some in diagnosis["sensitivity"].items() for g in some]
    normalised = (
        f"mAP@{decimal(diagnosis['tiou'])}, with the precision computed as if every group had the same number "
        "of targets of each label"
    )
    columns = [
        Column("of targets", lambda g: in_words(g["of"])),
        Column("range", _range),
        Column("targets", "targets"),
        Column("found (any score)", lambda g: share(g["found"]), _ANY_SCORE),
        Column("corrected mAP", "mAP_N", normalised, ".4f"),
    ]
    notes = [
        "Number: how many spans of the same label the recording has. Corrected mAP can be compared between groups "
        f"of different sizes. Of all targets it is {fixed(diagnosis['mAP_N'])}."
    ]
    return Table.of("Which targets are found", groups, columns, notes)


def _label_table(scores: ScoreResult) -> Table:
    classes, which = scores.diagnosis["classes"], counted_ones(scores)
    by_mean = sorted(
        classes, key=lambda name: scores.metrics.get(f"AP/{name}", classes[name]["AP"])
    )
    rows = [{"label": n, "mean": scores.metrics.get(f"AP/{n}"), **classes[n]} for n in by_mean]

    def part(title: str, of: str, kind: str, whole: str, meaning: str = "") -> Column:
        return Column(title, lambda row: share(row[of][kind], sum(row[whole].values())), meaning)

    precision = "average precision, of all predictions"
    columns = [
        Column("label", "label"),
        Column("AP", "mean", f"{precision}; mean over the thresholds", ".4f"),
        Column(f"AP@{decimal(scores.diagnosis['tiou'])}", "AP", precision, ".4f"),
        Column("targets", lambda row: sum(row["targets"].values())),
        part(f"found ({which})", "first", "true positive", "targets"),
    ]
    brief = [column.title for column in columns]
    columns.append(part("found (any score)", "targets", "found", "targets", _ANY_SCORE))
    for title, of, kinds, what in (
        ("not found", "targets", FOUND[1:], "share of the targets, by predictions of any score"),
        ("predictions", "first", KINDS, f"share of the predictions ({which})"),
    ):
        columns += [part(f"{title}: {in_words(kind)}", of, kind, of, what) for kind in kinds]
    # A kind that no label has is left out.
    filled = [c for c in columns if c.title in brief or any(cell(c.of(r)).value for r in rows)]
    return Table.of("Labels, the worst first", rows, filled, brief=brief)


def _range(group: TargetGroup) -> Cell:
    least, most = group["least"], group["most"]
    return Cell(f"{least:.4g}" + f" to {most:.4g}" * (least < most), least)


def _listed(meanings: Mapping[str, str]) -> str:
    return "\n".join(f"{in_words(name)}: {text}" for name, text in meanings.items())


def notes_on_labels(
    diagnosis: Diagnosis, predictions: Predictions, classes: Sequence[str], min_score: float
) -> list[str]:
    """A sentence, without a full stop, if spanloc-predict would write nothing of labels that the model knows."""
    low = {}
    for name, errors in diagnosis["classes"].items():
        if errors["AP"] >= _NOTICED and not sum(errors["first"].values()):
            own = predictions.scores[predictions.labels == classes.index(name)].sort(
                descending=True
            )
            low[name] = float(own.values[: sum(errors["targets"].values())][-1])
    least = min(low.values(), default=0.0)
    if not least:
        return []
    # One digit, rounded down.
    size = 10.0 ** math.floor(math.log10(least))
    return [
        f"all predictions of {listed([*low], 5)} score below {min_score:g}, so spanloc-predict leaves them out; "
        f"with min_score={math.floor(least / size) * size:.1g} it writes about as many as there are true spans"
    ]


def notes_on_ends(diagnosis: Diagnosis) -> list[str]:
    """A sentence, without a full stop, if the beginnings and ends of recordings may not be annotated."""
    wrong = sum(errors["first"]["background"] for errors in diagnosis["classes"].values())
    outside = diagnosis.get("outside", 0)
    if 2 * outside < wrong or 20 * outside < diagnosis["num_targets"] or outside < 10:
        return []
    return [
        f"{outside:,} of the {wrong:,} predictions where there is no true span lie before the first or after the last "
        "one of their recording; if nobody annotated there, train with data.annotated=first_to_last, which leaves it out"
    ]
