"""Spans in a recording by an exported model, with numpy and ONNX Runtime alone.

python scripts/predict_onnx.py model.onnx recording.npy    an array (steps, channels)
"""

import json
import sys

import numpy as np
from onnxruntime import InferenceSession


def soft_nms(spans, scores, sigma, min_score):
    """Indices and scores of one label's spans, best first: what overlaps a better one scores less."""
    scores, left, found = scores.astype(float), np.arange(len(scores)), []
    while len(left):
        best = left[scores[left].argmax()]
        if scores[best] < min_score:
            break
        found.append((best, scores[best]))
        left = left[left != best]
        ends = np.minimum(spans[left, 1], spans[best, 1])
        overlap = np.maximum(ends - np.maximum(spans[left, 0], spans[best, 0]), 0)
        total = np.diff(spans[left])[:, 0] + np.diff(spans[best])[0] - overlap
        scores[left] *= np.exp(-((overlap / np.maximum(total, 1e-12)) ** 2) / sigma)
    return found


def calibrated(score, label, temperature, offset):
    """A score as a probability of being right."""
    score = np.clip(score, 1e-9, 1 - 1e-9)
    return 1 / (1 + np.exp(-np.log(score / (1 - score)) / temperature[label] - offset[label]))


def predict(session, features):
    """Start and end in seconds, label and score of each span in features (channels, steps)."""
    model = json.loads(session.get_modelmeta().custom_metadata_map["spanloc.json"])
    decode, step = model["decode"], model["seconds_per_step"] or 1.0
    inputs = {"features": features[None], "mask": np.ones((1, features.shape[1]), bool)}
    (spans,), (scores,) = session.run(None, inputs)
    keep = (scores >= decode["min_score"]) & (scores > 0)
    order = np.argsort(-scores[keep], kind="stable")[: decode["max_candidates"]]
    points, labels = (index[order] for index in keep.nonzero())
    spans, scores = spans[points].astype(float), scores[points, labels]
    found = list(enumerate(scores))
    if (suppress := decode["suppress"]) is not None:
        found = []
        for label in np.unique(labels):
            own = (labels == label).nonzero()[0]
            pairs = soft_nms(spans[own], scores[own], suppress["sigma"], suppress["min_score"])
            found += [(own[i], score) for i, score in pairs]
    best = sorted(found, key=lambda pair: -pair[1])[: decode["max_predictions"]]
    if (calibration := decode["calibration"]) is not None:
        options = calibration["temperature"], calibration["offset"]
        best = [(i, calibrated(score, labels[i], *options)) for i, score in best]
        best.sort(key=lambda pair: -pair[1])
    names = model["labels"]
    return [(*(spans[i] * step), names[labels[i]], float(score)) for i, score in best]


if __name__ == "__main__":
    recording = np.ascontiguousarray(np.load(sys.argv[2]).T, np.float32)
    for start, end, label, score in predict(InferenceSession(sys.argv[1]), recording):
        print(f"{start:.3f},{end:.3f},{label},{score:.4f}")
