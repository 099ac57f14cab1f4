"""Slow loops that say what the fast code must give. Imports nothing of spanloc."""

import math


def tiou(a, b):
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - shared
    return shared / union if shared > 0 else 0.0


def giou_loss(a, b):
    hull = max(a[1], b[1]) - min(a[0], b[0])
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - shared
    return 1 - (shared / union - (hull - union) / hull)


def nms(spans, scores, labels, threshold):
    kept = []
    for i in sorted(range(len(spans)), key=lambda i: (-scores[i], i)):
        if all(labels[i] != labels[k] or tiou(spans[i], spans[k]) <= threshold for k in kept):
            kept.append(i)
    return kept


def soft_nms(spans, scores, labels, decay, min_score):
    """Eager: after every pick all scores are brought up to date. ``decay`` takes a tIoU."""
    scores, left, kept = list(scores), set(range(len(spans))), []
    while True:
        left = {i for i in left if scores[i] >= min_score}
        if not left:
            return sorted(kept, key=lambda pair: (-pair[1], pair[0]))
        best = min(left, key=lambda i: (-scores[i], i))
        left.remove(best)
        kept.append((best, scores[best]))
        for i in left:
            if labels[i] == labels[best]:
                scores[i] *= decay(tiou(spans[i], spans[best]))


def match_points(points, spans, radius, least, most):
    """Index of the target that each point answers for, -1 for none; points are (position, stride)."""
    strides = [stride for _, stride in points]
    index = []
    for position, stride in points:
        best, best_length = -1, math.inf
        for j, (start, end) in enumerate(spans):
            left, right = position - start, end - position
            reach = max(left, right) / stride
            fits = (reach >= least or stride == min(strides)) and (
                reach < most or stride == max(strides)
            )
            near = abs(position - (start + end) / 2) <= radius * stride
            if left > 0 and right > 0 and near and fits and end - start < best_length:
                best, best_length = j, end - start
        index.append(best)
    return index


def threshold_span(signal, size, level):
    """The longest run of smoothed power above a level: the simplest way to find a burst.

    ``signal`` is a list of channels.
    """
    power = [sum(channel[t] ** 2 for channel in signal) for t in range(len(signal[0]))]
    best, start = (0, 0), None
    for t in range(len(power) + 1):
        low, high = max(0, t - size // 2), min(len(power), t + size // 2 + 1)
        loud = t < len(power) and sum(power[low:high]) / (high - low) > level
        if loud and start is None:
            start = t
        if not loud and start is not None:
            if t - start > best[1] - best[0]:
                best = (start, t)
            start = None
    return best
