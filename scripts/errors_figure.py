"""Draws docs/errors.png: the kinds of errors of a model, and which targets they concern.

    python scripts/errors_figure.py RUN

RUN is a folder with a ``scores.json``, such as that of a training or of `spanloc-score`.
The panels are those of the page ``scores.html``.
"""

import argparse
import io
import json
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.image import imread

from spanloc import plots
from spanloc.plots.style import WIDTH


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/errors.png"))
    options = parser.parse_args()
    found = json.loads((options.run / "scores.json").read_text())["diagnosis"]
    drawn = (
        plots.error_ranks(found["ranks"]),
        plots.error_gains(found["gain"], found["tiou"]),
        plots.target_fates(found["targets"]),
        plots.error_sensitivity(found["sensitivity"], found["mAP_N"]),
    )
    # Two panels beside each other, the others below them, all of one width.
    heights = (3.2, 3.4)
    figure = Figure(figsize=(WIDTH, sum(heights)))
    rows = (drawn[:2], drawn[2:])
    top = 1.0
    for row, height in zip(rows, heights, strict=True):
        widths = [0.5, 0.5] if row is rows[0] else [0.36, 0.64]
        left, top = 0.0, top - height / sum(heights)
        for panel, width in zip(row, widths, strict=True):
            if panel is not None:
                # Drawn larger: at this size its labels would touch.
                panel.set_size_inches(1.25 * width * WIDTH, 1.25 * height)
                image = io.BytesIO()
                panel.savefig(image, format="png", dpi=120 / 1.25)
                axes = figure.add_axes((left, top, width, height / sum(heights)))
                axes.imshow(imread(io.BytesIO(image.getvalue())), aspect="auto")
                axes.axis("off")
            left += width
    plots.save_figure(figure, options.out)


if __name__ == "__main__":
    main()
