"""Span losses as their sources have them, for one pair of floats. Imports nothing of spanloc."""

import math


def parts(p, t):
    shared = max(0.0, min(p[1], t[1]) - max(p[0], t[0]))
    union = (p[1] - p[0]) + (t[1] - t[0]) - shared
    hull = max(p[1], t[1]) - min(p[0], t[0])
    centers = (p[0] + p[1]) / 2 - (t[0] + t[1]) / 2
    return shared / union, union, hull, centers, p[1] - p[0], t[1] - t[0]


def iou(p, t):
    return 1 - parts(p, t)[0]


def log_iou(p, t, floor=1e-3):
    value = parts(p, t)[0]
    return -math.log(value) if value > floor else -math.log(floor) - (value - floor) / floor


def alpha_iou(p, t):
    return 1 - parts(p, t)[0] ** 3


def giou(p, t):
    value, union, hull, *_ = parts(p, t)
    return 1 - (value - (hull - union) / hull)


def diou(p, t):
    value, _, hull, centers, *_ = parts(p, t)
    return 1 - value + centers**2 / hull**2


def eiou(p, t):
    _, _, hull, _, width, wanted = parts(p, t)
    return diou(p, t) + (width - wanted) ** 2 / hull**2


def mpdiou(p, t):
    value, _, hull, *_ = parts(p, t)
    return 1 - value + (p[0] - t[0]) ** 2 / hull**2 + (p[1] - t[1]) ** 2 / hull**2


def wise_iou(p, t):
    value, _, hull, centers, *_ = parts(p, t)
    return math.exp(centers**2 / hull**2) * (1 - value)


def inner_iou(p, t, ratio=0.75):
    def inner(span):
        center, half = (span[0] + span[1]) / 2, (span[1] - span[0]) / 2
        return center - ratio * half, center + ratio * half

    return iou(inner(p), inner(t))


def interp_iou(p, t, alpha=0.98):
    between = [(1 - alpha) * a + alpha * b for a, b in zip(p, t, strict=True)]
    return iou(p, t) + iou(between, t)


def wasserstein(p, t):
    *_, centers, width, wanted = parts(p, t)
    return 1 - math.exp(-math.sqrt(centers**2 + (width / 2 - wanted / 2) ** 2) / wanted)


def kl(p, t, floor=1e-3):
    *_, centers, width, wanted = parts(p, t)
    mine, theirs = width / 2, wanted / 2
    ratio = max(width / wanted, floor)
    logarithm = math.log(ratio) + (width / wanted - ratio) / floor
    divergence = -logarithm + (mine**2 + centers**2) / (2 * theirs**2) - 1 / 2
    return 1 - 1 / (1 + math.log(1 + divergence))


def both_ends(function):
    def loss(p, t):
        return sum(function(abs(a - b) / (t[1] - t[0])) for a, b in zip(p, t, strict=True))

    return loss


def smooth(beta):
    return lambda x: x**2 / (2 * beta) if x < beta else x - beta / 2


def balanced(x, beta=0.1, alpha=0.5, gamma=1.5):
    b = math.exp(gamma / alpha) - 1
    y = x / beta
    if y < 1:
        return beta * (alpha / b * (b * y + 1) * math.log(b * y + 1) - alpha * y)
    return beta * (gamma * y + gamma / b - alpha)


def bounded_iou(p, t):
    *_, centers, width, wanted = parts(p, t)
    center = 1 - max(0.0, (wanted - 2 * abs(centers)) / (wanted + 2 * abs(centers)))
    size = 1 - min(width / wanted, wanted / width)
    return smooth(0.2)(center) + smooth(0.2)(size)


def center_length(p, t, floor=1e-3):
    *_, centers, width, wanted = parts(p, t)
    ratio = max(width / wanted, floor)
    logarithm = math.log(ratio) + (width / wanted - ratio) / floor
    return smooth(0.1)(abs(centers) / wanted) + smooth(0.1)(abs(logarithm))


def rounded(phi, cap=None, penalty=False, smoothing=0.3):
    def loss(p, t):
        *_, centers, width, wanted = parts(p, t)
        scale = smoothing * wanted
        error = phi(p[0] - t[0], scale) + phi(p[1] - t[1], scale)
        overlap, hull = (width + wanted - error) / 2, (width + wanted + error) / 2
        value = 1 - overlap / hull
        value = value if cap is None else min(value, cap)
        return value + (centers**2 / hull**2 if penalty else 0)

    return loss


PHI = {
    "": lambda x, c: math.sqrt(x**2 + c**2) - c,
    "-huber": lambda x, c: x**2 / (2 * c) if abs(x) < c else abs(x) - c / 2,
}


LOSSES = {
    "iou": iou, "log_iou": log_iou, "alpha_iou": alpha_iou, "giou": giou, "diou": diou,
    "eiou": eiou, "mpdiou": mpdiou, "wise_iou": wise_iou, "inner_iou": inner_iou,
    "interp_iou": interp_iou, "wasserstein": wasserstein, "kl": kl,
    "l1": both_ends(lambda x: x), "smooth_l1": both_ends(smooth(0.1)),
    "balanced_l1": both_ends(balanced), "bounded_iou": bounded_iou, "center_length": center_length,
    "squared_giou": lambda p, t: giou(p, t) ** 2,
    "huber_giou": lambda p, t: smooth(0.3)(giou(p, t)),
    "giou_l1": lambda p, t: giou(p, t) + both_ends(lambda x: x)(p, t),
}  # fmt: skip
for suffix, phi in PHI.items():
    LOSSES[f"smooth_iou{suffix}"] = rounded(phi, cap=1.0)
    LOSSES[f"smooth_giou{suffix}"] = rounded(phi)
    LOSSES[f"smooth_diou{suffix}"] = rounded(phi, cap=1.0, penalty=True)
