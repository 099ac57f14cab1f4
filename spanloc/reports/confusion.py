"""Which labels are confused, as a table."""

from collections import Counter

from spanloc.reports.cells import Cell, fixed
from spanloc.reports.result import ScoreResult
from spanloc.reports.tables import Table


def confusion_table(scores: ScoreResult) -> Table:
    """One row for every two labels that differ where the spans match, the most frequent first."""
    rows = scores.confusion or []
    of_label, matched, same = Counter[str](), 0, 0
    for row in rows:
        of_label[row["target"]] += row["count"]
        if row["prediction"] is not None:
            matched += row["count"]
            same += row["count"] * (row["prediction"] == row["target"])
    listed = [
        [
            Cell(row["target"]),
            Cell(str(row["prediction"])),
            Cell(f"{row['count']:,}", row["count"]),
            Cell(
                f"{fixed(100 * row['count'] / of_label[row['target']], '.1f')} %",
                row["count"] / of_label[row["target"]],
            ),
        ]
        for row in rows
        if row["prediction"] is not None and row["prediction"] != row["target"]
    ]
    tiou = f"{scores.diagnosis['tiou']:g}"
    share = f", {fixed(100 * same / matched, '.1f')} %" if matched else ""
    notes = [
        f"Of {matched:,} targets that a prediction matches at tIoU {tiou}, whatever its label, {same:,} have "
        f"the same label{share}. Predictions with a score below 0.5 are left out."
    ]
    columns = [
        ("label", "of the annotations"),
        ("is called", "by the prediction that is matched to it"),
        ("targets", ""),
        ("share", "of the targets of the label"),
    ]
    return Table("Confusion of labels", columns, listed, notes, brief=(0, 1, 2, 3))
