"""Diagnosis of errors: their kinds, what each kind costs, and which targets they concern."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from spanloc.metrics.errors import KINDS, errors
from spanloc.metrics.rows import (
    Arrays,
    arrays,
    bands,
    group,
    matched_rows,
    overlaps,
    require_names,
    split,
)
from spanloc.metrics.sensitivity import area, sensitivity
from spanloc.structures import Predictions, Targets

#: Of targets.
FOUND = ("found", "crowded out", "wrong label", "localisation", "confusion", "missed")
_SHOWN = {
    "localisation": "wrong place",
    "confusion": "wrong label and place",
    "crowded out": "prediction counts for another target",
    "coverage": "share of the recording",
    "number": "number in the recording",
}
_MOST_RANKS = 10


def diagnose(
    predictions: Predictions,
    targets: Targets,
    classes: Sequence[str],
    *,
    threshold: float = 0.5,
    background: float = 0.1,
    durations: Mapping[str, float] | None = None,
    min_score: float | None = None,
    subjects: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Count the errors of predictions by kind, with the gain in mAP if each kind were corrected.

    A prediction is a **true positive** where it is matched as for average precision at ``threshold``.
    Any other is judged by the target that it overlaps most in its sequence, whatever the label. At a
    tIoU of ``threshold`` or more it is a **double detection** if the label is right (the target is
    taken), or else a **wrong label**; from ``background`` on a **localisation** error, or a
    **confusion** of both label and place; below, **background**. They are counted among the best-ranked
    predictions of each label, up to ten times as many as it has targets.

    To mend a kind, labels and places are corrected where the target is free, for the best-ranked such
    prediction; all others of the kind are removed. The gain is in mAP at ``threshold``. For missed
    targets it is that of not counting them.

    A target is **found**, or the first of these that holds: **crowded out**, a prediction of its label
    overlaps it enough, but took another target; **wrong label**, one of another label overlaps it
    enough; **localisation**, one of its label overlaps it, but not enough; **confusion**, one of another
    label does; or it is **missed** altogether.

    Pages and figures call a localisation error *wrong place*, a confusion *wrong label and place*, and
    crowded out *prediction counts for another target*.

    Args:
        predictions, targets: Rows of whole sequences.
        classes: Names of the labels, from 0.
        threshold: TIoU of a match, in ``(0, 1]``.
        background: TIoU from which a prediction means a target, in ``(0, threshold)``.
        durations: Of the sequences by id, for the coverage; one that is missing is unknown.
        min_score: Of the predictions that ``first``, ``wrong``, ``outside`` and ``tally`` are about; None: of each
            label the first of its ranking, as many as it has targets.
        subjects: Of the sequences by id, for ``tally``; one that has none counts as a subject of its own.

    Returns:
        Plain numbers, lists and dictionaries, as JSON has them: ``tiou``, ``background``, ``mAP``,
        ``num_predictions``, ``num_targets``; ``predictions``, counts by kind; ``ranks``, the same by
        multiples of the number of targets, the first to the tenth; ``gain`` by kind; ``targets``, counts
        by kind; ``classes`` by name, each with ``AP``, ``predictions``, ``first`` (see ``min_score``)
        and ``targets`` by kind; ``wrong``, the first 50 wrong predictions, highest score first,
        each with the target that it is judged by, and the first 50 targets that are neither found nor
        one of these (all others are null); ``outside``, the number of background errors before the first or
        after the last target of a sequence; ``tally``, true spans, right and wrong predictions of each
        recording and subject, the lowest F1 first; ``mAP_N`` and ``sensitivity`` (:func:`~spanloc.metrics.sensitivity.sensitivity`).

    Raises:
        ValueError: ``threshold`` or ``background`` is out of range, or a label has no name.

    Source:
        DETAD (Alwassel et al. 2018, arXiv:1807.10706), which removes the errors of a kind to see what
        it costs; correcting them is after TIDE (Bolya et al. 2020, arXiv:2008.08115).

    >>> import torch
    >>> zero = torch.zeros(1, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.0, 4.0]]), zero, zero, ("a",), scores=torch.ones(1))
    >>> true = Targets(torch.tensor([[0.0, 10.0]]), zero, zero, ("a",))
    >>> errors = diagnose(found, true, ["walk"])
    >>> errors["predictions"]["localisation"], errors["gain"]["localisation"]
    (1, 1.0)
    """
    check_limits(threshold, background)
    require_names(targets, classes)
    order, found = matched_rows(predictions, targets, [threshold])
    ranked = Arrays(*(field[order] for field in arrays(predictions)))
    given = arrays(targets)
    by_label = group(given.spans, given.labels, given.sequences).order
    listed = Arrays(*(field[by_label] for field in given))
    match = np.append(np.argsort(by_label), -1)[found[:, 0]]
    labels, true_labels = ranked.labels, listed.labels
    near, tiou, reached = overlaps(ranked, listed)
    wrong = np.append(true_labels, -1)[near] != labels
    kind = np.select(
        [match >= 0, tiou >= threshold, tiou >= background], [0, 1 + wrong, 3 + wrong], default=5
    )
    taken = np.zeros(len(true_labels), bool)
    taken[match[match >= 0]] = True
    same, other = reached.T
    enough = [best >= least for least in (threshold, background) for best in (same, other)]
    fate = np.select([taken, *enough], [0, 1, 2, 3, 4], default=5)
    areas = _areas(labels, match >= 0, true_labels)
    mean = float(np.mean(list(areas.values()))) if areas else 0.0
    band = bands(labels, true_labels)
    within = (band >= 0) & (band < _MOST_RANKS)
    counts = np.zeros((_MOST_RANKS, len(KINDS)), np.int64)
    np.add.at(counts, (band[within], kind[within]), 1)
    ids = sorted(targets.ids)
    seconds = np.array([(durations or {}).get(name, np.nan) for name in ids])
    shown = band == 0 if min_score is None else ranked.scores >= min_score
    per_class = {}
    names = np.array(list(areas), np.int64)
    for label, mine, own in zip(
        names, split(labels, names), split(true_labels, names), strict=True
    ):
        per_class[classes[label]] = {
            "AP": areas[int(label)],
            "predictions": _count(kind[mine[within[mine]]], KINDS),
            "first": _count(kind[mine[shown[mine]]], KINDS),
            "targets": _count(fate[own], FOUND),
        }
    return {
        "tiou": threshold,
        "background": background,
        "num_predictions": len(labels),
        "num_targets": len(true_labels),
        "mAP": mean,
        "predictions": dict(zip(KINDS, counts.sum(0).tolist(), strict=True)),
        # Of all labels, also those without a target.
        "counted": _count(kind[shown], KINDS),
        "ranks": [dict(zip(KINDS, row, strict=True)) for row in counts.tolist()],
        "gain": {
            name: (float(np.mean(list(after.values()))) if after else 0.0) - mean
            for name, after in _mended(labels, kind, near, taken, fate, true_labels)
        },
        "targets": _count(fate, FOUND),
        "classes": per_class,
        **errors(ranked, listed, kind, near, match, shown, ids, classes, subjects or {}),
        **sensitivity(labels, match, listed, fate, seconds[listed.sequences]),
    }


def in_words(kind: str) -> str:
    """Name of a kind, or of what targets are grouped by, on pages and in figures.

    >>> in_words("localisation"), in_words("missed")
    ('wrong place', 'missed')
    """
    return _SHOWN.get(kind, kind)


def check_limits(threshold: float, background: float) -> None:
    """Raise a ``ValueError`` unless ``0 < background < threshold <= 1``."""
    numbers = all(isinstance(value, int | float) for value in (threshold, background))
    if not numbers or not 0 < background < threshold <= 1:
        raise ValueError(
            f"the tIoU of the diagnosis is {threshold} and that of its background {background}; "
            "wanted 0 < background < tIoU <= 1"
        )


def _count(numbers: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    return dict(zip(names, np.bincount(numbers, minlength=len(names)).tolist(), strict=True))


def _areas(labels: np.ndarray, hits: np.ndarray, true_labels: np.ndarray) -> dict[int, float]:
    # The average precision of each label of the targets.
    names, counts = np.unique(true_labels, return_counts=True)
    return {
        int(name): area(hits[mine], int(count))
        for name, mine, count in zip(names, split(labels, names), counts, strict=True)
    }


def _mended(
    labels: np.ndarray,
    kind: np.ndarray,
    near: np.ndarray,
    taken: np.ndarray,
    fate: np.ndarray,
    true_labels: np.ndarray,
) -> Iterator[tuple[str, dict[int, float]]]:
    """The average precision by label after each kind is corrected.

    No error has a target, and what is put right takes one that nobody has: all others keep theirs.
    """
    for number, name in enumerate(KINDS[1:], 1):
        keep, hits, corrected = kind != number, kind == 0, labels.copy()
        if name in ("wrong label", "localisation"):
            bad = np.flatnonzero(kind == number)
            # The best-ranked of those that mean a target nobody has.
            free = bad[~taken[near[bad]]]
            free = free[np.unique(near[free], return_index=True)[1]]
            keep[free] = hits[free] = True
            corrected[free] = true_labels[near[free]]
        yield name, _areas(corrected[keep], hits[keep], true_labels)
    yield "missed", _areas(labels, kind == 0, true_labels[fate != FOUND.index("missed")])
