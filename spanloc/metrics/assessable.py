"""Predictions and targets that an evaluation may judge: nothing unannotated, nothing without a known label."""

from dataclasses import replace
from typing import TypeVar, no_type_check

import numba
import numpy as np
import torch
from torch import Tensor

from spanloc.metrics.rows import group
from spanloc.ops.compiled import tiou
from spanloc.structures import Predictions, Targets

#: From this tIoU with a target that is judged on, a prediction is about that target.
LEAST_TIOU = 0.1
# The smallest piece of a span that is judged, relative to the span.
_LEAST_PIECE = 0.1
Rows = TypeVar("Rows", Predictions, Targets)
# Stretches by sequence and start, and where those of each sequence begin.
Hidden = tuple[np.ndarray, np.ndarray]


def assessable(predictions: Predictions, targets: Targets) -> tuple[Predictions, Targets]:
    """Predictions and targets that can be right or wrong: the input of every metric.

    A target is left out where its label is not known (-1), or where more than half of its length lies in
    the ignored stretches of its sequence. A prediction is left out where more than half of its length lies
    in these stretches and the targets that are left out, all of them together, unless its tIoU with a
    target that stays, of any label, is at least 0.1: it is then about that one, and stays. A span without
    length lies where its start does.

    What stays, targets and predictions alike, is cut at the ignored stretches: the pieces outside are judged,
    each for itself, as if what was not looked at had been cut out of the recording. Pieces of less than a tenth
    of their span are left out.

    So a prediction that crosses the border of a stretch stays as long as half of it was looked at. What is
    left out depends on places alone, not on scores and predicted labels, and of the predictions each for
    itself. Where nothing is ignored and all labels are known, both are returned as they came.

    Args:
        predictions, targets: Of the same sequences, in one unit.

    >>> zero, two = torch.zeros(1, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    >>> ignored = (torch.tensor([[10.0, 20.0]]),)
    >>> true = Targets(torch.tensor([[0.0, 5.0]]), zero, zero, ("a",), ignored=ignored)
    >>> spans = torch.tensor([[4.0, 24.0], [9.0, 12.0]])
    >>> found = Predictions(spans, two, two, ("a",), scores=torch.ones(2))
    >>> assessable(found, true)[0].spans
    tensor([[ 4., 10.],
            [20., 24.]])
    """
    some = any(len(spans) for spans in targets.ignored)
    if not some and not (targets.labels < 0).any():
        return predictions, targets
    num_sequences = len(targets.ids)
    spans, places = _plain(targets.spans), targets.places.cpu().numpy()
    counts = [len(stretches) for stretches in targets.ignored]
    stretches = np.concatenate([np.zeros((0, 2)), *map(_plain, targets.ignored)])
    owners = np.repeat(np.arange(len(counts)), counts)
    hidden = _in_order(stretches, owners, num_sequences)
    none = _in_order(stretches[:0], owners[:0], num_sequences)
    out = _left_out(spans, places, *hidden, *none, LEAST_TIOU) | (targets.labels.cpu().numpy() < 0)
    kept = _cut(targets, spans, places, out, hidden)
    unjudged = _in_order(
        np.concatenate([stretches, spans[out]]),
        np.concatenate([owners, places[out]]),
        num_sequences,
    )
    judged = _in_order(_plain(kept.spans), kept.places.cpu().numpy(), num_sequences)
    found = _plain(predictions.spans), predictions.places.cpu().numpy()
    lost = _left_out(*found, *unjudged, *judged, LEAST_TIOU)
    return _cut(predictions, *found, lost, hidden), replace(kept, ignored=())


def _cut(
    rows: Rows, spans: np.ndarray, places: np.ndarray, out: np.ndarray, hidden: Hidden
) -> Rows:
    owners, pieces = _pieces(spans, places, out, *hidden, _LEAST_PIECE)
    device = rows.spans.device
    kept = rows[torch.from_numpy(owners).to(device)]
    return replace(kept, spans=torch.from_numpy(pieces).to(device, rows.spans.dtype))


def _in_order(
    spans: np.ndarray, places: np.ndarray, num_sequences: int
) -> tuple[np.ndarray, np.ndarray]:
    # Spans by sequence, then by start; and where the spans of each sequence begin.
    grouped = group(spans, np.zeros_like(places), places)
    firsts = np.searchsorted(places[grouped.order], np.arange(num_sequences + 1))
    return grouped.spans, firsts


def _plain(spans: Tensor) -> np.ndarray:
    return spans.detach().double().cpu().numpy()


@numba.njit(cache=True)
@no_type_check
def _pieces(spans, places, out, hidden, hidden_firsts, least):
    # What of the spans that are not out lies outside the stretches: numbers of spans, and pieces of them.
    owners, found = [np.int64(0)][:0], [(0.0, 0.0)][:0]
    for i in np.flatnonzero(~out):
        start, end = spans[i]
        at = start
        for j in range(hidden_firsts[places[i]], hidden_firsts[places[i] + 1]):
            if hidden[j, 0] >= end:
                break
            if hidden[j, 0] > at and hidden[j, 0] - at >= least * (end - start):
                owners.append(i)
                found.append((at, hidden[j, 0]))
            at = max(at, hidden[j, 1])
        if end - at >= least * (end - start):
            owners.append(i)
            found.append((at, end))
    pieces = np.empty((len(found), 2))
    for k in range(len(found)):
        pieces[k, 0], pieces[k, 1] = found[k]
    return np.array(owners, np.int64), pieces


@numba.njit(cache=True)
@no_type_check
def _left_out(spans, places, hidden, hidden_firsts, judged, judged_firsts, least):
    out = np.zeros(len(spans), np.bool_)
    for i in range(len(spans)):
        start, end = spans[i]
        covered, reach, inside = 0.0, -np.inf, False
        for j in range(hidden_firsts[places[i]], hidden_firsts[places[i] + 1]):
            if hidden[j, 0] > end:
                break
            # What is hidden twice counts once: stretches come by their starts.
            covered += max(0.0, min(end, hidden[j, 1]) - max(start, hidden[j, 0], reach))
            reach = max(reach, hidden[j, 1])
            inside |= hidden[j, 0] <= start < hidden[j, 1]
        mostly = start < end and covered > 0.5 * (end - start)
        out[i] = mostly or (start == end and inside)
        if out[i]:
            for j in range(judged_firsts[places[i]], judged_firsts[places[i] + 1]):
                if judged[j, 0] > end:
                    break
                if tiou(start, end, judged[j, 0], judged[j, 1]) >= least:
                    out[i] = False
                    break
    return out
