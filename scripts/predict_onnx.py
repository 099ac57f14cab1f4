"""Spans in a recording by an exported model, with numpy and ONNX Runtime alone.

python scripts/predict_onnx.py model.onnx recording.npy    an array (steps, channels)

To make one of a table, with the channels in the order of training:

table = pandas.read_csv("recording.csv")    options: sep=";", decimal=","; skiprows=[1] if row 2 holds units
numpy.save("recording.npy", table.drop(columns="time").to_numpy("float32"))
"""

import json
import sys

import numpy as np
from onnxruntime import InferenceSession

# Options of the decoding that this example does not do.
NOT_DONE = (
    "bias", "voting", "min_scores", "exclusive", "fill_gaps", "min_length", "max_per_sequence",
)  # fmt: skip


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


def unsupported(decode):
    """The options of the decoding that are set and that this example does not do."""
    found = [name for name in NOT_DONE if decode.get(name)]
    if (suppress := decode["suppress"]) is not None and (
        (suppress.get("function"), suppress.get("decay")) != ("soft_nms", "gaussian")
        or suppress.get("max_per_label") is not None
        or suppress.get("max_total") is not None
    ):
        found.append("suppress (other than soft_nms with decay=gaussian)")
    if (calibration := decode["calibration"]) and calibration.get("type") != "Temperature":
        found.append("calibration (other than Temperature)")
    return found


def read(file, model):
    """The features (channels, steps) of an .npy file of (steps, channels)."""
    if not file.endswith(".npy"):
        sys.exit(f"{file}: wanted an .npy file; numpy.save writes an array to one")
    try:
        values = np.lib.format.open_memmap(file, mode="r").astype(np.float32)
    except (OSError, ValueError) as error:
        sys.exit(f"{file}: cannot be read as an .npy file of numbers: {error}")
    wanted, features = model["num_channels"], (model["input"] or {}).get("features")
    if values.ndim != 2 or not len(values) or values.shape[1] != wanted:
        how = f", the {features} of the sound (docs/export.md)" * bool(features)
        sys.exit(f"{file}: has shape {values.shape}; wanted (steps, {wanted}){how}")
    return np.ascontiguousarray(values.T)


def expected(model):
    """What a recording should be, as far as the file of the model says it."""
    signals, step = model["input"] or {}, model["seconds_per_step"]
    text = f"{model['num_channels']} channels"
    if signals.get("channels") and not signals["features"]:
        names = signals["channels"]
        units = [f" [{unit}]" if unit else "" for unit in signals["units"] or [""] * len(names)]
        text = ", ".join(map(str.__add__, names, units))
    return f"The model expects {text}" + (f", at {1 / step:g} steps per second" if step else "")


def predict(session, model, features):
    """Start and end in seconds, label and score of each span in features (channels, steps)."""
    decode, step = model["decode"], model["seconds_per_step"] or 1.0
    inputs = {"features": features[None], "mask": np.ones((1, features.shape[1]), bool)}
    (spans,), (scores,) = session.run(None, inputs)
    keep = (scores >= decode["min_score"]) & (scores > 0)
    # Long recordings may have more, in proportion.
    times = max(1.0, (scores > 0).any(1).sum() / 2048)
    most = int(np.ceil(decode["max_candidates"] * times))
    order = np.argsort(-scores[keep], kind="stable")[:most]
    points, labels = (index[order] for index in keep.nonzero())
    spans, scores = spans[points].astype(float), scores[points, labels]
    found = list(enumerate(scores))
    if (suppress := decode["suppress"]) is not None:
        found = []
        for label in np.unique(labels):
            own = (labels == label).nonzero()[0]
            pairs = soft_nms(spans[own], scores[own], suppress["sigma"], suppress["min_score"])
            found += [(own[i], score) for i, score in pairs]
    most = decode["max_predictions"]
    most = most if most == 1 else int(np.ceil(most * times))
    best = sorted(found, key=lambda pair: -pair[1])[:most]
    if (calibration := decode["calibration"]) is not None:
        options = calibration["temperature"], calibration["offset"]
        best = [(i, calibrated(score, labels[i], *options)) for i, score in best]
        best.sort(key=lambda pair: -pair[1])
    names = model["labels"]
    return [(*(spans[i] * step), names[labels[i]], float(score)) for i, score in best]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        session = InferenceSession(sys.argv[1])
    except Exception as error:  # those of ONNX Runtime have no class in common
        sys.exit(f"{sys.argv[1]}: cannot be read as an ONNX model: {error}")
    model = json.loads(session.get_modelmeta().custom_metadata_map["spanloc.json"])
    if found := unsupported(model["decode"]):
        sys.exit(f"{sys.argv[1]}: decodes with {', '.join(found)}, which this example does not do")
    recording = read(sys.argv[2], model)
    print(expected(model), file=sys.stderr)
    for start, end, label, score in predict(session, model, recording):
        print(f"{start:.3f},{end:.3f},{label},{score:.4f}")
