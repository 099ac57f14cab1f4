"""Lists of errors: the wrong predictions, and the errors of each recording."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spanloc.metrics.rows import Arrays

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
    return {
        "wrong": [
            _pair(
                ids,
                classes,
                KINDS[kind[row]] if row >= 0 else "not found",
                (ranked, row),
                (true, place),
            )
            for row, place in _wrong(shown, kind, near, match, len(true.labels))
        ],
        "outside": _outside(ranked, true, shown & (kind == KINDS.index("background")), len(ids)),
        "tally": {
            of: _tally(names, ranked.sequences[shown], true.sequences, right)
            for of, names in groups.items()
        },
    }


def _wrong(
    shown: np.ndarray, kind: np.ndarray, near: np.ndarray, match: np.ndarray, num_targets: int
) -> list[tuple[int, int]]:
    # Wrong predictions with the target they are judged by, then targets that none of those shown names; -1: none.
    rows = np.flatnonzero(shown & (kind > 0))
    places = np.where(kind[rows] < KINDS.index("background"), near[rows], -1)
    named = np.zeros(num_targets + 1, bool)
    named[match[shown]] = named[places] = True
    pairs = zip(rows[:_MOST_WRONG].tolist(), places[:_MOST_WRONG].tolist(), strict=True)
    return [*pairs, *((-1, place) for place in np.flatnonzero(~named[:-1])[:_MOST_WRONG].tolist())]


def _outside(ranked: Arrays, true: Arrays, rows: np.ndarray, num_sequences: int) -> int:
    # How many of the rows lie before the first or after the last target of their sequence, if it has any.
    first, last = np.full(num_sequences, np.inf), np.full(num_sequences, -np.inf)
    np.minimum.at(first, true.sequences, true.spans[:, 0])
    np.maximum.at(last, true.sequences, true.spans[:, 1])
    places, spans = ranked.sequences[rows], ranked.spans[rows]
    apart = (spans[:, 1] <= first[places]) | (spans[:, 0] >= last[places])
    return int((apart & np.isfinite(first[places])).sum())


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


def _name(classes: Sequence[str], label: int) -> str:
    return classes[label] if label < len(classes) else str(label)


def _pair(
    ids: Sequence[str],
    classes: Sequence[str],
    error: str,
    prediction: tuple[Arrays, int],
    target: tuple[Arrays, int],
) -> dict[str, Any]:
    # A prediction and a target by plain names, null where the row is -1.
    made: dict[str, Any] = {"error": error, "score": None}
    for prefix, (rows, row) in (("true_", target), ("", prediction)):
        names = (f"{prefix}label", f"{prefix}start", f"{prefix}end")
        made |= dict.fromkeys(names)
        if row >= 0:
            values = (_name(classes, int(rows.labels[row])), *rows.spans[row].tolist())
            made |= {"sequence": ids[rows.sequences[row]], **dict(zip(names, values, strict=True))}
    if prediction[1] >= 0:
        made["score"] = float(prediction[0].scores[prediction[1]])
    return made
