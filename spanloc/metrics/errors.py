"""Lists of errors: the wrong predictions, and the errors of each recording."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spanloc.metrics.rows import Arrays, outside

#: Of predictions.
KINDS = (
    "true positive",
    "double detection",
    "wrong label",
    "localisation",
    "confusion",
    "background",
)
_MOST_WRONG = 50


def errors(
    ranked: Arrays,
    true: Arrays,
    kind: np.ndarray,
    near: np.ndarray,
    match: np.ndarray,
    shown: np.ndarray,
    ids: Sequence[str],
    classes: Sequence[str],
    subjects: Mapping[str, str],
) -> dict[str, Any]:
    """The lists ``wrong`` and ``tally`` of :func:`~spanloc.metrics.diagnose`, and ``outside``.

    Args:
        ranked, true: Predictions, best first, and targets.
        kind, near, match: Of each prediction: the place of its kind in :data:`KINDS`, the target that it
            overlaps most, and the one that it is matched to; -1 for none.
        shown: The predictions that are counted.
        ids: Of the sequences, sorted.
        classes, subjects: As for the diagnosis.
    """
    groups = {"recording": ids}
    if subjects:
        groups["subject"] = [subjects.get(name, name) for name in ids]
    right = match[shown] >= 0
    apart = shown & (kind == KINDS.index("background")) & outside(ranked, true)
    return {
        "wrong": _wrong(ranked, true, kind, near, match, shown, ids, classes),
        "outside": int(np.isin(ranked.sequences[apart], true.sequences).sum()),
        "tally": {
            of: _tally(names, ranked.sequences[shown], true.sequences, right)
            for of, names in groups.items()
        },
    }


def _wrong(
    ranked: Arrays,
    true: Arrays,
    kind: np.ndarray,
    near: np.ndarray,
    match: np.ndarray,
    shown: np.ndarray,
    ids: Sequence[str],
    classes: Sequence[str],
) -> list[dict[str, Any]]:
    # Wrong predictions with the target they are judged by, then targets that none of those shown names.
    rows = np.flatnonzero(shown & (kind > 0))
    places = np.where(kind[rows] < KINDS.index("background"), near[rows], -1)
    named = np.zeros(len(true.labels) + 1, bool)
    named[match[shown]] = named[places] = True
    first = rows[:_MOST_WRONG].tolist(), places[:_MOST_WRONG].tolist()
    left = np.flatnonzero(~named[:-1])[:_MOST_WRONG].tolist()
    pairs = [*zip(*first, strict=True), *((-1, place) for place in left)]
    return [
        {
            "sequence": ids[ranked.sequences[row] if row >= 0 else true.sequences[place]],
            "error": KINDS[kind[row]] if row >= 0 else "not found",
            "score": float(ranked.scores[row]) if row >= 0 else None,
            **_span(ranked, row, classes),
            **{f"true_{name}": value for name, value in _span(true, place, classes).items()},
        }
        for row, place in pairs
    ]


def _span(rows: Arrays, row: int, classes: Sequence[str]) -> dict[str, Any]:
    # Plain values of a row, null where there is none (-1).
    if row < 0:
        return dict.fromkeys(("label", "start", "end"))
    label, (start, end) = int(rows.labels[row]), rows.spans[row].tolist()
    name = classes[label] if label < len(classes) else str(label)
    return {"label": name, "start": start, "end": end}


def _tally(
    names: Sequence[str], places: np.ndarray, true_places: np.ndarray, right: np.ndarray
) -> list[dict[str, Any]]:
    # True spans, right and wrong predictions of each name, of sequences by their places; the lowest F1 first.
    groups, of = np.unique(np.array(names, object), return_inverse=True)
    targets, found, wrong = (
        np.bincount(of[some], minlength=len(groups))
        for some in (true_places, places[right], places[~right])
    )
    total = targets + found + wrong
    order = np.lexsort((-total, 2 * found / np.maximum(total, 1) + (total == 0)))
    return [
        {
            "name": groups[i],
            "targets": int(targets[i]),
            "found": int(found[i]),
            "wrong": int(wrong[i]),
        }
        for i in order
    ]
