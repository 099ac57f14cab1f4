"""The pictures of a run: predictions against the truth, and the curves of a training."""

import itertools

import numpy as np
import torch
from conftest import points_model, points_task
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from spanloc import plots
from spanloc.cli.evaluate import timelines
from spanloc.convergence import GradientHistory
from spanloc.facts import InputFacts
from spanloc.plots.style import BLUE, new_axes, plain_log
from spanloc.structures import Predictions, Sample, Timeline


def pixels(figure):
    """The figure as it is written, ``(height, width, 3)`` from 0 to 1."""
    figure.set_dpi(120)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255


def test_a_span_far_narrower_than_a_pixel_is_seen_in_both_rows():
    span, label = torch.tensor([[1000.0, 1000.001]]), torch.tensor([0])
    figure = plots.timelines(
        [torch.zeros(4, 50)], [(span, torch.tensor([1.0]), label)], [(span, label)],
        ["r"], [r"$\x$"], durations=[4000.0],
    )  # fmt: skip
    seen = pixels(figure)
    blue = seen[..., 2] - seen[..., 0]  # 0 of white and grey
    ink = blue.sum(1) / np.subtract(*to_rgb(BLUE)[::-2])  # in pixels of the full colour
    lines = np.flatnonzero((ink > 0.1) & (ink < 9))  # without the legend
    assert (np.diff(lines) > 1).sum() == 1  # two bars, with a gap between
    assert len(lines) > 40
    assert ink[lines[1:-1]].min() > 1.2


def test_channels_are_drawn_one_below_the_other_from_the_start_of_the_sequence():
    nothing = torch.zeros(0, 2), torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    figure = plots.timelines(
        [torch.randn(3, 40), torch.randn(20, 40)], [nothing] * 2, [(nothing[0], nothing[2])] * 2,
        ["r", "$s$"], ["a"], starts=[5.0, 0.0], durations=[4.0, 4.0],
    )  # fmt: skip
    signal, spans, many, _ = figure.axes
    found = plots.timelines(
        [torch.randn(2, 40)],
        [nothing],
        [(nothing[0], nothing[2])],
        ["r"],
        ["a"],
        channels=["ax", "$y$"],
    )
    assert [text.get_text() for text in found.axes[0].get_yticklabels()] == ["$y$", "ax"]
    assert [text.get_text() for text in signal.get_yticklabels()] == ["2", "1", "0"]
    assert signal.get_xlim() == spans.get_xlim() == (5, 9)
    (lowest, middle, top) = (part.get_datalim(signal.transData) for part in signal.collections)
    assert lowest.y0 > middle.y1 > middle.y0 > top.y1 or top.y0 > middle.y1 > lowest.y1
    assert 5 < middle.x0 < middle.x1 < 9
    (rows,) = many.images
    assert rows.get_array().shape[0] == 20


def test_bands_of_sound_have_low_frequencies_at_the_bottom_and_an_axis_in_hz():
    task = points_task(points_model(16))
    options = {"num_bands": 16}
    task.input = InputFacts(1, 1000.0, features="log_spectrogram", feature_options=options)
    features = torch.randn(16, 40)
    features[0] = torch.arange(40.0)  # the lowest band
    sample = Sample("r", features, torch.zeros(0, 2), torch.zeros(0).long(), Timeline(0.01))
    signal, _ = timelines(task, [sample]).axes
    (rows,) = signal.images
    assert (np.diff(rows.get_array()[-1]) > 0).sum() > 35
    assert rows.get_extent()[2:] == [15.5, -0.5]  # the last row is at the bottom
    names = [text.get_text() for text in signal.get_yticklabels()]
    assert (names[0], names[-1]) == ("463 Hz", "23 Hz")


def test_all_panels_show_predictions_from_the_same_score_on():
    task = points_task(points_model(2))
    task.predict_step = lambda batch: next(found)
    for scores, least in (([[], [0.3], [0.9]], 0.2), ([[0.1], [0.3], []], 0.15), ([[], [], []], 0)):
        found = (
            Predictions(
                torch.tensor([[0.0, 4.0]]).repeat(len(some), 1), torch.zeros(len(some)).long(),
                torch.zeros(len(some)).long(), ("r",), scores=torch.tensor(some),
            )
            for some in scores
        )  # fmt: skip
        sample = Sample("r", torch.zeros(2, 8), torch.zeros(0, 2), torch.zeros(0).long())
        titles = [axes.get_title("left") for axes in timelines(task, [sample] * 3).axes[::2]]
        assert titles == [f"r: predictions with a score of {least:g} or more"] * 3


def test_what_is_ignored_is_shaded_and_in_the_legend():
    spans, labels = torch.tensor([[0.0, 4.0]]), torch.tensor([0])
    row = (torch.zeros(1, 10), (spans, torch.ones(1), labels), (spans, labels), "r")
    given = [[one] * 2 for one in row]
    stretches = [torch.zeros(0, 2), torch.tensor([[6.0, 8.0]])]
    figure = plots.timelines(*given, ["a"], ignored=stretches)
    assert [len(axes.patches) for axes in figure.axes[1::2]] == [0, 1]
    assert figure.axes[3].patches[0].get_x() == 6
    assert [text.get_text() for text in figure.legends[0].get_texts()][
        1
    ] == "not annotated or ignored"


def test_without_classes_labels_have_their_numbers():
    spans, labels = torch.tensor([[0.0, 4.0], [6.0, 9.0]]), torch.tensor([0, 2])
    figure = plots.timelines(
        [torch.zeros(1, 10)], [(spans, torch.ones(2), labels)], [(spans, labels)], ["r"], []
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["0", "2"]


def test_the_curves_have_the_metric_of_validation():
    steps = torch.arange(1, 41).float()
    history = GradientHistory(steps, 1 / steps, 2 / steps, 3 / steps, 1 + 1 / steps)
    values = np.where(np.arange(41) % 20 == 0, 0.5, np.nan)
    figure = plots.curves(history, ("val/mAP", np.arange(41), values))
    _, lower, metric = figure.axes
    (line,) = metric.lines
    assert (line.get_label(), line.get_xdata().tolist()) == ("val/mAP", [0, 20, 40])
    assert metric.get_xlabel() == "step"
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert lower.get_legend().get_window_extent().y0 >= lower.get_window_extent().y1
    assert len(plots.curves(history).axes) == 2


def test_the_labels_of_a_log_axis_do_not_overlap():
    for low, high in ((0.055, 0.42), (1.1, 1.9), (0.6, 7), (1e-6, 1), (1e-7, 1)):
        figure, axes = new_axes(3.8, 4.2)
        axes.plot([low, high], [1, 2])
        axes.set_xscale("log")
        plain_log(axes)
        FigureCanvasAgg(figure).draw()
        inside = axes.get_window_extent()
        shown = [label.get_window_extent() for label in axes.get_xticklabels(which="both")]
        shown = sorted(
            (s for s in shown if s.width and inside.x0 <= s.x1 <= inside.x1), key=lambda s: s.x0
        )
        assert len(shown) > 1
        assert all(a.x1 < b.x0 for a, b in itertools.pairwise(shown)), (low, high)
