"""What would be gained if one part of a detector were perfect, as a table."""

from spanloc.metrics.oracles import ORACLES, STANDARD, Oracles
from spanloc.reports.cells import Cell, fixed
from spanloc.reports.tables import Table


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
    before = found["mAP"][ORACLES[0]]
    columns = [
        ("perfect", "; ".join(f"{name}: {text}" for name, text in means.items())),
        *((name, "") for name in before),
    ]
    rows = [
        [Cell(name), *(Cell(fixed(value), value) for value in row.values())]
        for name, row in ((name, found["mAP"][name]) for name in ORACLES)
    ]
    notes = [
        *(f"{name}: {text}." for name, text in means.items()),
        "Each row mends all predictions of the first row in one way. What each kind of error costs at "
        f"tIoU {tiou}, double detections and missed targets too, is in the table of errors.",
    ]
    # What always is there fits a terminal of 80 columns.
    brief = tuple(i for i, (name, _) in enumerate(columns) if not i or name in STANDARD)
    return Table("If this were perfect", columns, rows, notes, brief=brief)
