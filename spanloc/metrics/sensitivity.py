"""Sensitivity: how many targets are found, by their length, coverage and number in their sequence."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from spanloc.metrics.rows import Arrays, split

_SIZES = ("XS", "S", "M", "L", "XL")
_NUMBERS = (1, 2, 4, 8, 16)


def sensitivity(
    labels: np.ndarray,
    match: np.ndarray,
    true: Arrays,
    fate: np.ndarray,
    durations: np.ndarray,
) -> dict[str, Any]:
    """Normalised mAP, and the share of targets found, for groups of similar targets.

    Targets are grouped by their ``length`` and their ``coverage`` (length over the sequence's duration,
    where that is known), each into fifths from XS to XL (equal values stay together), and by the
    ``number`` of targets of their label in their sequence. So that groups of different sizes compare,
    precision is taken as if each label had ``N`` targets, the mean of all, in the group:
    ``N * recall / (N * recall + false positives)``. Predictions matched to targets of other groups are
    left out.

    Args:
        labels: Of the predictions, best-ranked first, ``(n,)``.
        match: The number of each one's target, -1 for none, ``(n,)``.
        true: The targets.
        fate: 0 where a target is found, ``(m,)``.
        durations: Of the sequence of each target, NaN where it is not known, ``(m,)``.

    Returns:
        ``mAP_N`` of all targets, and ``sensitivity``: for each characteristic a list of groups with
        ``name``, ``least`` and ``most``, the number of ``targets``, the share that is ``found``, and
        ``mAP_N``.

    Source:
        DETAD (Alwassel et al. 2018, arXiv:1807.10706), with groups of its data sets' own; normalised
        precision after Hoiem et al. 2012, doi:10.1007/978-3-642-33712-3_25.
    """
    spans, _, true_labels, sequences = true
    sizes = spans[:, 1].astype(np.float64) - spans[:, 0]
    names, counts = np.unique(true_labels, return_counts=True)
    usual = counts.mean() if len(counts) else 0.0
    by_label = {
        name: (match[mine], own)
        for name, mine, own in zip(
            names.tolist(), split(labels, names), split(true_labels, names), strict=True
        )
    }
    pairs = np.stack([sequences, true_labels], 1)
    _, place, together = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    numbers = together[place.reshape(-1)].astype(np.float64)
    table = {}
    for title, values in (("length", sizes), ("coverage", sizes / durations), ("number", numbers)):
        table[title] = [
            {
                "name": name,
                "least": float(values[member].min()),
                "most": float(values[member].max()),
                "targets": int(member.sum()),
                "found": float((fate[member] == 0).mean()),
                "mAP_N": _normalised(by_label, member, usual),
            }
            for name, member in _groups(title, values)
        ]
    whole = _normalised(by_label, np.ones(len(true_labels), bool), usual)
    return {"mAP_N": whole, "sensitivity": table}


def _groups(title: str, values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    known = np.isfinite(values)
    if title == "number":
        limits: list[float] = [*_NUMBERS, np.inf]
        ends = [f"{a}" if b == a + 1 else f"{a}-{b - 1}" for a, b in pairwise(_NUMBERS)]
        names = (*ends, f"{_NUMBERS[-1]}+")
        place = np.searchsorted(limits, values, "right") - 1
    else:
        names = _SIZES
        limits = np.quantile(values[known], [0.2, 0.4, 0.6, 0.8]).tolist() if known.any() else []
        place = np.searchsorted(limits, values, "left")
    members = [(name, known & (place == i)) for i, name in enumerate(names)]
    return [(name, member) for name, member in members if member.any()]


def _normalised(
    by_label: Mapping[int, tuple[np.ndarray, np.ndarray]], member: np.ndarray, usual: float
) -> float:
    areas = []
    for match, own in by_label.values():
        count = int(member[own].sum())
        if not count:
            continue
        asked = (match < 0) | np.append(member, False)[match]
        areas.append(area((match >= 0)[asked], count, usual))
    return float(np.mean(areas)) if areas else 0.0


def area(hits: np.ndarray, count: int, usual: float | None = None) -> float:
    """Area under interpolated precision over recall, of one ranking.

    Args:
        hits: Whether each of the predictions is one, best first, ``(n,)``.
        count: Of targets, at least 1.
        usual: Precision is taken as if there were so many targets; None: as many as there are.

    >>> round(area(np.array([True, False, True]), 3), 4)
    0.5556
    """
    found = np.cumsum(hits)
    true = found * ((count if usual is None else usual) / count)
    # Of nothing found there is no hit either, which alone are looked at.
    precision = true / np.maximum(true + np.arange(1, len(hits) + 1) - found, 1e-300)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hits].sum() / count)
