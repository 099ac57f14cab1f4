"""The noise of boundaries in annotations, a model and the signal, from their differences two by two.

    python scripts/boundary_noise.py RUN --data FOLDER [--out FOLDER]

Each boundary of the testing recordings is measured three times: by its label, by the model (its best-scored
prediction of that label with a tIoU of at least 0.5), and by the signal (the step around which its mean and
variance change most). If the three err independently, the variances of their differences give that of each
(the three-cornered hat). From that of the labels follows what a model without any error would reach.

RUN is the folder of a training. Writes ``boundary_noise.csv`` and ``worst_ends.png``: the ten boundaries that the
model misses by most.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import spanloc
from spanloc.data import AnnotatedData
from spanloc.plots import save_figure
from spanloc.plots.style import BLUE, GREY, ORANGE, WIDTH, tidy
from spanloc.structures import Sample

SECONDS = 1.5  # to each side, in which the signal is searched for its change
TIOU = 0.5
WRONG = 0.05  # of the length of the span: with such an error at both ends, the tIoU is about 0.9


class Boundary(NamedTuple):
    """One end of a target: its kind, the length of its span, and three measurements of it, in seconds."""

    kind: str
    recording: str
    length: float
    label: float
    model: float
    signal: float


def change(values: np.ndarray, rate: float, around: float, reach: float) -> float:
    """The time at which ``values (steps, channels)`` change most, in seconds, at most ``reach`` from ``around``.

    The likeliest place of one change of mean and variance, for values that are normally distributed.
    """
    first = max(0, round((around - 2 * reach) * rate))
    part = values[first : round((around + 2 * reach) * rate)]
    before = np.arange(1, len(part))[:, None]
    after = len(part) - before
    sums, squares = part.cumsum(0), (part**2).cumsum(0)
    left = squares[:-1] / before - (sums[:-1] / before) ** 2
    right = (squares[-1] - squares[:-1]) / after - ((sums[-1] - sums[:-1]) / after) ** 2
    floor = 1e-4 * part.var(0) + 1e-12
    cost = (before * np.log(left + floor) + after * np.log(right + floor)).sum(1)
    times = (first + before[:, 0]) / rate
    return float(times[np.where(np.abs(times - around) <= reach, cost, np.inf).argmin()])


def spread(values: pd.Series) -> float:
    """Standard deviation, from the median absolute deviation, which outliers do not move."""
    return float(1.4826 * (values - values.median()).abs().median())


def noise(one: pd.Series, two: pd.Series, three: pd.Series) -> float:
    """Standard deviation of the errors of the first of three independent measurements; at least 0."""
    variances = spread(one - two) ** 2 + spread(one - three) ** 2 - spread(two - three) ** 2
    return float(max(variances, 0.0) / 2) ** 0.5


def boundaries(task: spanloc.SpanLocalizer, sample: Sample) -> list[Boundary]:
    """The boundaries of a recording that the model finds."""
    step = sample.timeline.seconds_per_step
    values = sample.features.T.double().numpy()
    found = task.predict(sample.features.T.numpy(), 1 / step)
    spans = sample.spans.double().numpy() * step
    names = [task.classes[i] for i in sample.labels.tolist()]
    rows = []
    for (start, end), label, name in zip(spans, sample.labels, names, strict=True):
        near = found.spans[found.labels == label].numpy()
        shared = np.minimum(end, near[:, 1]) - np.maximum(start, near[:, 0])
        hull = np.maximum(end, near[:, 1]) - np.minimum(start, near[:, 0])
        hits = near[shared / hull >= TIOU]
        for side, own in enumerate((start, end) if len(hits) else ()):
            beside = "".join(
                n
                for n, other in zip(names, spans, strict=True)
                if abs(other[1 - side] - own) < step
            )
            pair = (beside or "-", name) if side == 0 else (name, beside or "-")
            model = float(hits[0, side])  # the first is the best-scored one
            reach = max(SECONDS, abs(own - model))
            signal = change(values, 1 / step, (own + model) / 2, min(reach, end - start))
            rows.append(Boundary(" | ".join(pair), sample.id, end - start, own, model, signal))
    return rows


def summary(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A row for each kind of boundary, in seconds."""
    rows = []
    for kind, group in table.groupby("kind"):
        model, label, signal = group.model, group.label, group.signal
        wrong = group[(model - label).abs() > WRONG * group.length]
        agrees = (wrong.model - wrong.signal).abs() < (wrong.model - wrong.label).abs()
        errors = rng.normal(0, noise(label, model, signal), (1000, len(group), 2))
        length = group.length.to_numpy()
        inner = errors[..., 0].clip(min=0) + (-errors[..., 1]).clip(min=0)
        outer = (-errors[..., 0]).clip(min=0) + errors[..., 1].clip(min=0)
        rows.append(
            {
                "kind": kind,
                "boundaries": len(group),
                "median length": group.length.median(),
                "bias of the model": (model - label).median(),
                "noise of the labels": noise(label, model, signal),
                "noise of the model": noise(model, label, signal),
                "wrong by > 5 %": len(wrong),
                "of them nearer to the signal": agrees.mean(),
                "tIoU >= 0.9 at best": ((length - inner) / (length + outer) >= 0.9).mean(),
            }
        )
    return pd.DataFrame(rows).sort_values("boundaries", ascending=False)


def draw(worst: pd.DataFrame, samples: dict[str, Sample], path: Path) -> None:
    """The signal around each of ten boundaries, with its three measurements."""
    figure = Figure(figsize=(WIDTH, 11.0), layout="constrained")
    grid = figure.subplots(5, 2)
    for axes, row in zip(grid.flat, worst.itertuples(), strict=False):
        sample = samples[str(row.recording)]
        step = sample.timeline.seconds_per_step
        times = [row.label, row.model, row.signal]
        first, last = max(0, round((min(times) - 3) / step)), round((max(times) + 3) / step)
        values = sample.features[:, first:last].T
        axes.plot((first + np.arange(len(values))) * step, values, lw=0.6, alpha=0.7, color=GREY)
        for name, colour, style in (
            ("label", "black", "-"),
            ("model", ORANGE, "--"),
            ("signal", BLUE, ":"),
        ):
            axes.axvline(getattr(row, name), color=colour, ls=style, lw=2, label=name)
        left, right = (end.strip("-") for end in str(row.kind).split(" | "))
        axes.set_title(
            f"{row.recording}: {left} → {right}".replace("  ", " "), fontsize=9, loc="left"
        )
        tidy(axes, grid=False)
    for axes in grid[-1]:
        axes.set_xlabel("time (s)")
    figure.legend(
        *grid.flat[0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=3,
        frameon=False,
    )
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a training")
    parser.add_argument("--data", required=True, help="the data it was trained on")
    parser.add_argument("--out", type=Path, default=Path())
    options = parser.parse_args()
    task = spanloc.load(options.run / "best.ckpt")
    data = AnnotatedData(options.data)
    data.setup("test")
    samples = {
        sample.id: sample for sample in (data.test_set[i] for i in range(len(data.test_set)))
    }
    table = pd.DataFrame([row for sample in samples.values() for row in boundaries(task, sample)])
    options.out.mkdir(parents=True, exist_ok=True)
    result = summary(table, np.random.default_rng(0))
    result.to_csv(options.out / "boundary_noise.csv", index=False, float_format="%.3f")
    print(result.to_string(index=False, float_format=lambda x: f"{x:.2g}"))
    worst = table.loc[(table.model - table.label).abs().nlargest(10).index]
    draw(worst, samples, options.out / "worst_ends.png")


if __name__ == "__main__":
    main()
