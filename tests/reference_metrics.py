"""Metrics as slow loops over rows. Imports nothing of spanloc.

``predictions`` are (sequence, label, start, end, score), ``targets`` (sequence, label, start, end).
"""

import math
from itertools import product

from reference import tiou


def ranked(predictions):
    """Best first; equal scores by sequence, within one as they are listed."""
    return sorted(predictions, key=lambda p: (-p[4], p[0]))


def matched(predictions, targets, threshold):
    """The target of each prediction in the order of the ranking, or None."""
    free, found = list(targets), []
    for sequence, label, start, end, _ in ranked(predictions):
        best, best_tiou = None, 0.0
        for target in free:
            value = tiou((start, end), target[2:])
            # Of equal ones the last.
            if target[:2] == (sequence, label) and value >= max(threshold, best_tiou):
                best, best_tiou = target, value
        if best is not None:
            free.remove(best)
        found.append(best)
    return found


def area(hits, count):
    """Under interpolated precision over recall."""
    precision = [sum(hits[: i + 1]) / (i + 1) for i in range(len(hits))]
    return sum(max(precision[i:]) / count for i in range(len(hits)) if hits[i])


def average_precision(predictions, targets, threshold):
    """By label of the targets."""
    values = {}
    for label in sorted({target[1] for target in targets}):
        mine = [p for p in predictions if p[1] == label]
        theirs = [t for t in targets if t[1] == label]
        values[label] = area([t is not None for t in matched(mine, theirs, threshold)], len(theirs))
    return values


def first(predictions, sequence, number, listed):
    mine = [p for p in predictions if p[0] == sequence]
    return (mine if listed else sorted(mine, key=lambda p: -p[4]))[:number]


def within(targets, lengths):
    if lengths is None:
        return targets
    least, most = lengths
    return [t for t in targets if least < t[3] - t[2] <= most or (least == 0 == t[3] - t[2])]


def best_tiou(predictions, targets, number=1, listed=False, lengths=None):
    """Of each sequence with a target: the best tIoU that its first predictions reach."""
    targets, values = within(targets, lengths), []
    for sequence in sorted({target[0] for target in targets}):
        truths = [target[2:] for target in targets if target[0] == sequence]
        pairs = product(first(predictions, sequence, number, listed), truths)
        values.append(max((tiou(p[2:4], truth) for p, truth in pairs), default=0.0))
    return values


def retrieval(predictions, targets, threshold, number=10, listed=True, lengths=None):
    """Average precision of each sequence, labels aside."""
    targets, values = [(t[0], 0, *t[2:]) for t in within(targets, lengths)], []
    for sequence in sorted({target[0] for target in targets}):
        mine = [(p[0], 0, *p[2:]) for p in first(predictions, sequence, number, listed)]
        theirs = [target for target in targets if target[0] == sequence]
        values.append(area([t is not None for t in matched(mine, theirs, threshold)], len(theirs)))
    return values


def average_recall(predictions, targets, thresholds, number):
    found = [
        any(tiou(p[2:4], t[2:]) >= threshold for p in first(predictions, t[0], number, False))
        for threshold, t in product(thresholds, targets)
    ]
    return sum(found) / len(found) if found else 0.0


def most_pairs(predictions, targets, onset, offset, share):
    """The size of the largest set of pairs within the collars, by trying every one."""
    if not targets:
        return 0
    (sequence, label, start, end), *others = targets
    best = most_pairs(predictions, others, onset, offset, share)
    for i, p in enumerate(predictions):
        near = abs(p[2] - start) <= onset and abs(p[3] - end) <= max(offset, share * (end - start))
        if p[:2] == (sequence, label) and near:
            rest = predictions[:i] + predictions[i + 1 :]
            best = max(best, 1 + most_pairs(rest, others, onset, offset, share))
    return best


def segments(rows, size):
    """The (sequence, label, number) of every segment that a row touches."""
    return {
        (row[0], row[1], k)
        for row in rows
        for k in range(math.floor(row[2] / size), math.ceil(row[3] / size))
    }


def kinds(predictions, targets, threshold, background):
    """What each prediction is, in the order of the ranking, and the target it overlaps most."""
    found = []
    pairs = zip(ranked(predictions), matched(predictions, targets, threshold), strict=True)
    for prediction, target in pairs:
        near = [t for t in targets if t[0] == prediction[0]]
        # The highest tIoU; of equal ones a target of its label.
        best = max(
            near, key=lambda t: (tiou(prediction[2:4], t[2:]), t[1] == prediction[1]), default=None
        )
        value = 0.0 if best is None else tiou(prediction[2:4], best[2:])
        right = best is not None and best[1] == prediction[1]
        if target is not None:
            kind = "true positive"
        elif value >= threshold:
            kind = "double detection" if right else "wrong label"
        elif value >= background:
            kind = "localisation" if right else "confusion"
        else:
            kind = "background"
        found.append((kind, best))
    return found


def fates(predictions, targets, threshold, background):
    """What becomes of each target."""
    taken, found = matched(predictions, targets, threshold), []
    for target in targets:
        same, other = (
            max(
                (
                    tiou(p[2:4], target[2:])
                    for p in predictions
                    if p[0] == target[0] and (p[1] == target[1]) == alike
                ),
                default=0.0,
            )
            for alike in (True, False)
        )
        if target in taken:
            found.append("found")
        elif same >= threshold:
            found.append("crowded out")
        elif other >= threshold:
            found.append("wrong label")
        elif same >= background:
            found.append("localisation")
        else:
            found.append("confusion" if other >= background else "missed")
    return found


def normalised(predictions, targets, member, threshold):
    """mAP of the targets for which ``member`` is true, as if every label had the mean number."""
    labels = sorted({t[1] for t in targets})
    usual, values = len(targets) / len(labels), []
    for label in labels:
        own = [t for t in targets if t[1] == label and member(t)]
        if not own:
            continue
        mine = [p for p in predictions if p[1] == label]
        hits = [
            target is not None
            for target in matched(mine, [t for t in targets if t[1] == label], threshold)
            if target is None or member(target)
        ]
        precision = []
        for i in range(len(hits)):
            recall, false = sum(hits[: i + 1]) / len(own), (i + 1) - sum(hits[: i + 1])
            precision.append(recall * usual / max(recall * usual + false, 1e-300))
        values.append(sum(max(precision[i:]) for i, hit in enumerate(hits) if hit) / len(own))
    return sum(values) / len(values)
