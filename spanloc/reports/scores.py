"""What predictions score and what their errors are: tables, and a page."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from spanloc import plots
from spanloc.files import counted
from spanloc.metrics import KINDS
from spanloc.reports.cells import NONE, Cell, fixed, number, spread
from spanloc.reports.confusion import confusion_table
from spanloc.reports.groups import Group
from spanloc.reports.html import document, figures_section, table_section
from spanloc.reports.oracles import oracle_table
from spanloc.reports.reliability import reliability_section
from spanloc.reports.result import Diagnosis, ScoreResult
from spanloc.reports.runs import Run
from spanloc.reports.tables import Table

_MEANT = {
    "true positive": "matched: the best free target of its label, at the tIoU of a match or more",
    "double detection": "overlaps a target of its label enough, but a better-scored one has it",
    "wrong label": "overlaps a target of another label enough",
    "localisation": "overlaps a target of its label, but not enough",
    "confusion": "overlaps a target of another label, and not enough",
    "background": "overlaps no target to speak of",
    "found": "a prediction is matched to it",
    "crowded out": "a prediction of its label overlaps it enough, but took another target",
    "missed": "no prediction overlaps it to speak of",
}
_FATES = {
    "wrong label": "a prediction of another label overlaps it enough",
    "localisation": "a prediction of its label overlaps it, but not enough",
    "confusion": "a prediction of another label overlaps it, and not enough",
}


def score_tables(scores: ScoreResult) -> list[Table]:
    """The tables of what ``scores.json`` holds: figures, errors, targets, sensitivity, labels."""
    diagnosis = scores.diagnosis
    return [
        _figure_table(scores),
        _error_table(diagnosis),
        _target_table(diagnosis),
        _sensitivity_table(diagnosis),
        _label_table(diagnosis, scores.metrics),
    ]


def score_page(scores: ScoreResult) -> str:
    """What ``scores.json`` holds as one page."""
    figures, errors, targets, sensitivity, labels = map(table_section, score_tables(scores))
    whose = " against ".join(filter(None, (scores.predictions, scores.annotations)))
    counts = count_rows(scores)
    parts = [
        f'<p class="soft">{escape(f"{whose}: {counts}" if whose else counts)}.</p>',
        *(f"<p>Note: {escape(line)}.</p>" for line in scores.notes),
        *figures,
        "<section><h2>What the errors are</h2>",
        *error_figures(scores.diagnosis),
        "</section>",
        *errors,
        *(table_section(oracle_table(scores.oracles)) if scores.oracles is not None else ()),
        *targets,
        *sensitivity,
        *labels,
        *(table_section(confusion_table(scores)) if scores.confusion is not None else ()),
        *reliability_section(scores.reliability),
        *(table_section(_setting_table(scores.settings)) if scores.settings else ()),
    ]
    return document("Scores and errors", parts)


def count_rows(scores: ScoreResult) -> str:
    """In words: how much was scored."""
    diagnosis = scores.diagnosis
    subset = f" of the subset {scores.subset}" if scores.subset else ""
    return (
        f"{counted(diagnosis['num_predictions'], 'prediction')} and "
        f"{counted(diagnosis['num_targets'], 'target')} in "
        f"{counted(scores.num_sequences, 'sequence')}{subset}"
    )


def error_figures(diagnosis: Diagnosis, name: str = "error") -> Iterator[str]:
    """The figures of a diagnosis; ``name`` begins the ids in them."""
    tiou = f"{diagnosis['tiou']:g}"
    yield from figures_section(
        [
            (
                plots.error_ranks(diagnosis["ranks"]),
                "What the predictions are, by their rank among those of their label: the first G, "
                "as many as it has targets, the next G, and so on. Errors on the left cost most.",
            ),
            (
                plots.error_gains(diagnosis["gain"]),
                f"What mAP at tIoU {tiou} would gain if each kind of error were mended: labels and "
                "places corrected where the target is still free, the rest removed; missed: "
                "targets left out.",
            ),
            (
                plots.target_fates(diagnosis["targets"]),
                "The targets that are not found, by the best that overlaps them.",
            ),
            (
                plots.error_sensitivity(diagnosis["sensitivity"], diagnosis["mAP_N"]),
                "How well targets are found by what they are like: fifths by length and, where "
                "durations are known, by coverage (length over the duration of the sequence), and "
                "by the number of targets of their label in the sequence. mAP_N is mAP as if all groups had "
                "equally many targets.",
            ),
        ],
        name,
    )


def error_table(groups: Sequence[Group]) -> Table:
    """One row a group of runs: what its errors on the test set cost, as mean and spread over seeds."""

    def scored(get: Callable[[ScoreResult], float]) -> Callable[[Run], float]:
        return lambda run: math.nan if run.scores is None else get(run.scores)

    def gain(kind: str) -> Callable[[Run], float]:
        return scored(lambda found: found.diagnosis["gain"][kind])

    columns: list[tuple[str, Callable[[Run], float], str]] = [
        (
            "mAP",
            scored(lambda found: found.diagnosis["mAP"]),
            "of the test set, at the tIoU of the diagnosis",
        ),
        (
            "targets found",
            scored(lambda found: found.share_found),
            "share of the targets to which a prediction is matched",
        ),
        *((f"+ {kind}", gain(kind), _MEANT[kind]) for kind in (*KINDS[1:], "missed")),
    ]
    rows = []
    for group in groups:
        cells = [spread(group.values(get), len(group.counted)) for _, get, _ in columns]
        if any(math.isfinite(cell.value or math.nan) for cell in cells):
            rows.append([Cell(group.label, whole=group.whole), *cells])
    notes = [
        "On the test set: mAP, and after + what it would gain if all errors of a kind were mended. "
        "The page scores.html in the folder of a run says more."
    ]
    named = [("group", ""), *((name, meaning) for name, _, meaning in columns)]
    return Table("Errors", named, rows, notes if rows else ["No run has a diagnosis."])


def _setting_table(settings: Mapping[str, Any]) -> Table:
    def flat(node: Any, path: str) -> Iterator[tuple[str, str]]:
        if isinstance(node, Mapping):
            for key, value in node.items():
                yield from flat(value, f"{path}.{key}" if path else str(key))
        elif node is not None:
            yield path, str(node)

    rows = [[Cell(name), Cell(value)] for name, value in flat(settings, "")]
    notes = ["What is not listed is as the metrics of spanloc have it by default."]
    return Table("Settings", [("setting", ""), ("value", "")], rows, notes)


def _figure_table(scores: ScoreResult) -> Table:
    # Those of single labels have a table of their own.
    figures = {name: v for name, v in scores.metrics.items() if not name.startswith("AP/")}
    rows = [[Cell(name), _fixed(value)] for name, value in figures.items()]
    return Table("Figures", [("metric", ""), ("value", "")], rows, brief=(0, 1))


def _error_table(diagnosis: Diagnosis) -> Table:
    counts, gain = diagnosis["predictions"], diagnosis["gain"]
    total = sum(counts.values())
    rows = [
        [Cell(kind), _count(count), _share(count, total), _gain(gain.get(kind))]
        for kind, count in counts.items()
    ]
    rows.append([Cell("missed"), Cell(NONE, math.nan), Cell(NONE, math.nan), _gain(gain["missed"])])
    columns = [
        ("kind", "; ".join(f"{kind}: {_MEANT[kind]}" for kind in (*counts, "missed"))),
        ("predictions", "of the best-ranked of each label, up to ten times its targets"),
        ("share", ""),
        (
            "gain in mAP",
            f"at tIoU {diagnosis['tiou']:g}, if all errors of the kind were mended: labels and "
            "places corrected where the target is free, the rest removed; missed: targets left out",
        ),
    ]
    notes = [
        f"Of the best-ranked {total:,} of {diagnosis['num_predictions']:,} predictions: of each label "
        f"up to ten times its targets. A match is at tIoU {diagnosis['tiou']:g}, background below "
        f"{diagnosis['background']:g}. The gain is in mAP at that tIoU, which is {fixed(diagnosis['mAP'])}."
    ]
    return Table("Errors", columns, rows, notes, brief=(0, 1, 2, 3))


def _target_table(diagnosis: Diagnosis) -> Table:
    counts = diagnosis["targets"]
    total = sum(counts.values())
    rows = [[Cell(kind), _count(count), _share(count, total)] for kind, count in counts.items()]
    meant = "; ".join(f"{kind}: {(_MEANT | _FATES)[kind]}" for kind in counts)
    columns = [("kind", meant), ("targets", ""), ("share", "")]
    return Table("Targets", columns, rows, brief=(0, 1, 2))


def _sensitivity_table(diagnosis: Diagnosis) -> Table:
    rows = [
        [
            Cell(title),
            Cell(group["name"]),
            Cell(f"{group['least']:.4g} to {group['most']:.4g}", group["least"]),
            _count(group["targets"]),
            _share(group["found"], 1),
            _fixed(group["mAP_N"]),
        ]
        for title, groups in diagnosis["sensitivity"].items()
        for group in groups
    ]
    columns = [
        ("of targets", "length, coverage (length over the sequence's duration), or number of targets of the label in the sequence"),
        ("group", "fifths, from XS to XL; or the number"),
        ("range", ""),
        ("targets", ""),
        ("found", "share of them to which a prediction is matched"),
        ("mAP_N", "mAP with precision taken as if each label had equally many targets in every group"),
    ]  # fmt: skip
    notes = [
        f"mAP_N is mAP as if all groups had equally many targets; of all targets it is "
        f"{fixed(diagnosis['mAP_N'])}."
    ]
    if not diagnosis["sensitivity"]["coverage"]:
        notes.append("There is no coverage: durations are known from annotations in JSON.")
    return Table("Sensitivity", columns, rows, notes, brief=(0, 1, 2, 3, 4, 5))


def _label_table(diagnosis: Diagnosis, figures: Mapping[str, float]) -> Table:
    kinds, fates = list(diagnosis["predictions"]), list(diagnosis["targets"])
    rows = []
    for name, row in sorted(diagnosis["classes"].items(), key=lambda item: item[1]["AP"]):
        total, asked = sum(row["targets"].values()), sum(row["predictions"].values())
        rows.append(
            [
                Cell(name),
                _fixed(figures.get(f"AP/{name}")),
                _fixed(row["AP"]),
                _count(total),
                _share(row["targets"]["found"], total),
                *(_share(row["predictions"][kind], asked) for kind in kinds),
                *(_share(row["targets"][kind], total) for kind in fates[1:]),
            ]
        )
    columns = [
        ("label", "the worst first"),
        ("AP", "mean over the thresholds"),
        (f"AP@{fixed(diagnosis['tiou'], '.2f')}", ""),
        ("targets", ""),
        ("found", "share of the targets"),
        *((kind, "share of the best-ranked predictions") for kind in kinds),
        *((f"targets: {kind}", "share of the targets") for kind in fates[1:]),
    ]
    return Table("Labels, the worst first", columns, rows, brief=(0, 1, 2, 3, 4))


def _count(value: int) -> Cell:
    return Cell(f"{value:,}", value)


def _share(value: float, total: float) -> Cell:
    if not total:
        return Cell(NONE, math.nan)
    return Cell(f"{fixed(100 * value / total, '.1f')} %", value / total)


def _gain(value: float | None) -> Cell:
    return Cell(NONE, math.nan) if value is None else Cell(fixed(value, "+.4f"), value)


def _fixed(value: float | None) -> Cell:
    if value is None or not math.isfinite(value):
        return number(math.nan)
    return Cell(fixed(value), value)
