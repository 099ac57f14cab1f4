"""Draws docs/predictions.png: a recording that a trained model has not seen, annotated and predicted.

    python scripts/readme_figure.py RUN --data FOLDER

RUN is a run of `spanloc-train experiment=sbhar data.root=FOLDER`; the recording is the first one of the testing subset.
"""

import argparse
from pathlib import Path

import spanloc
from spanloc.data import read_annotations
from spanloc.data.signals import open_signal
from spanloc.plots import save_figure
from spanloc.plots.recording import Shown, recording_figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--channels", nargs="+", default=["x", "y", "z"], help="the first ones")
    parser.add_argument("--out", type=Path, default=Path("docs/predictions.png"))
    options = parser.parse_args()
    task = spanloc.load(options.run)
    annotations = read_annotations(options.data)
    record = annotations.subsets["testing"][0]
    signal = open_signal(options.data / "data" / f"{record.id}.npy")
    found = task.predict(signal, rate=task.rate, name=record.id)
    values = signal.read(0, signal.num_steps)[:, : len(options.channels)]
    rows = zip(found.spans.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True)
    known = zip((record.spans / task.rate).tolist(), record.labels.tolist(), strict=True)
    shown = Shown(
        record.id,
        values,
        task.rate,
        options.channels,
        [(*span, task.classes[label], score) for span, label, score in rows],
        [(*span, annotations.classes[label]) for span, label in known],
    )
    figure = recording_figure(shown)
    upper, lower = figure.axes
    upper.set_title(
        "acceleration of a volunteer whom the model has not seen", fontsize=9, loc="left"
    )
    lower.set_title(
        "bars: predicted, paler with a lower score; lines above them: annotated",
        fontsize=9,
        loc="left",
    )
    # Without the row of all annotations: they are above the predictions too.
    lower.set_ylim(-0.6, len(shown.labels()) - 0.45)
    lower.set_yticks(range(len(shown.labels())))
    figure.set_size_inches(8.6, 4.6)
    save_figure(figure, options.out)


if __name__ == "__main__":
    main()
