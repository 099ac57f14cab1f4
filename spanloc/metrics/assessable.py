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
    of their span are left out, and so are pieces of predictions that lie mostly in left out targets or such pieces.

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
    index, pieces, small = _cut(spans, places, out, hidden)
    unjudged = _in_order(
        np.concatenate([stretches, spans[out], pieces[small]]),
        np.concatenate([owners, places[out], places[index[small]]]),
        num_sequences,
    )
    index, pieces = index[~small], pieces[~small]
    judged = _in_order(pieces, places[index], num_sequences)
    true = replace(_at(targets, index, pieces), ignored=())
    spans, places = _plain(predictions.spans), predictions.places.cpu().numpy()
    lost = _left_out(spans, places, *unjudged, *judged, LEAST_TIOU)
    index, pieces, small = _cut(spans, places, lost, hidden)
    out = small | _left_out(pieces, places[index], *unjudged, *judged, LEAST_TIOU)
    return _at(predictions, index[~out], pieces[~out]), true


def _cut(
    spans: np.ndarray, places: np.ndarray, out: np.ndarray, hidden: Hidden
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Numbers of the spans that are not out, once for each piece outside the stretches; the pieces; which are small.
    index, pieces = _pieces(spans, places, out, *hidden)
    sizes, wholes = pieces[:, 1] - pieces[:, 0], spans[index, 1] - spans[index, 0]
    return index, pieces, sizes < _LEAST_PIECE * wholes


def _at(rows: Rows, index: np.ndarray, spans: np.ndarray) -> Rows:
    device = rows.spans.device
    kept = rows[torch.from_numpy(index).to(device)]
    return replace(kept, spans=torch.from_numpy(spans).to(device, rows.spans.dtype))


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
def _pieces(spans, places, out, hidden, hidden_firsts):
    owners, found = [np.int64(0)][:0], [(0.0, 0.0)][:0]
    for i in np.flatnonzero(~out):
        start, end = spans[i]
        at = start
        for j in range(hidden_firsts[places[i]], hidden_firsts[places[i] + 1]):
            if hidden[j, 0] >= end:
                break
            if hidden[j, 0] > at:
                owners.append(i)
                found.append((at, hidden[j, 0]))
            at = max(at, hidden[j, 1])
        if at <= end:
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
