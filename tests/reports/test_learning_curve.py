"""The learning curve of a report: what is fitted, what is said, and where it is shown."""

import numpy as np
import pytest
from made_runs import finished, found

from spanloc import plots, reports
from spanloc.reports import learning_curve
from spanloc.reports.learning_curve import COUNT, LearningCurve

SIZES = (2, 4, 8, 16)


def error(count, *, floor=0.05, exponent=0.7):
    return floor + 0.4 * count**-exponent


def made(folder, errors=error, *, loss="giou", seeds=3, sizes=SIZES, noise=0.0):
    random = np.random.default_rng(0)
    for size in sizes:
        for seed in range(seeds):
            value = 1 - errors(size) * (1 + noise * random.normal())
            finished(
                folder / f"{loss}-{size}-{seed}", loss, seed,
                metrics={"test/tiou": value, COUNT: float(size)},
                data__train_share=size / max(sizes),
            )  # fmt: skip
    return folder


@pytest.fixture(autouse=True)
def few_refits(monkeypatch):
    monkeypatch.setattr(learning_curve, "_DRAWS", 12)


def fitted(counts, errors):
    rows = learning_curve._fitted(counts, errors)
    return LearningCurve("", "mAP", counts, 1 - errors, *rows)


def curves_of(folder):
    return reports.learning_curves(found(folder)[1])


@pytest.mark.parametrize("floor", [0.0, 0.05])
def test_a_power_law_with_a_floor_is_found_and_goes_on(tmp_path, floor):
    (curve,) = curves_of(made(tmp_path, lambda n: error(n, floor=floor)))
    assert curve.metric == "test/tiou"
    assert sorted(curve.counts) == [size for size in SIZES for _ in range(3)]
    found_floor, scale, exponent = curve.parameters
    assert (found_floor, exponent) == pytest.approx((floor, 0.7), abs=5e-3)
    assert scale == pytest.approx(0.4 * 16**-0.7, abs=5e-3)
    for count in (8, 16, 32):
        value, low, high = curve.at(count)
        assert value == pytest.approx(1 - error(count, floor=floor), abs=1e-3)
        assert low <= value + 1e-6
        assert value <= high + 1e-6
    expected = error(16, floor=floor) - error(32, floor=floor)
    assert curve.gain()[0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow  # 4 s
def test_the_interval_holds_what_twice_the_sequences_give(tmp_path):
    # Of many sets of runs, nearly all; one set may be off.
    held = 0
    for number in range(12):
        random = np.random.default_rng(number)
        counts = np.repeat(SIZES, 3).astype(float)
        errors = error(counts) * (1 + 0.08 * random.normal(size=len(counts)))
        curve = fitted(counts, errors)
        _, low, high = curve.at(32)
        held += low <= 1 - error(32) <= high
        assert high - low < 0.15
    assert held >= 9


@pytest.mark.parametrize(
    ("errors", "answer"),
    [
        (lambda n: 0.5 * n**-0.5, "More labels would help: twice the recordings (16 to 32)"),
        (lambda n: 0.04 + 0.3 * n**-2.5, "More labels of this kind would help little: twice"),
        (lambda n: 0.1, "More labels of this kind would help little"),
    ],
)
def test_the_answer_is_in_words(tmp_path, errors, answer):
    (curve,) = curves_of(made(tmp_path, errors, noise=0.01))
    said = curve.sentences()
    assert said.startswith(answer)
    assert f"would give test/tiou of about {curve.at(32)[0]:.3f} (95 % interval" in said
    measured = curve.values[curve.counts == 16].mean()
    assert said.endswith(
        f" compared with {curve.at(16)[0]:.3f} on the fitted line (measured: {measured:.3f})."
    )


@pytest.mark.parametrize("level", [0.3, 0.905, 0.97])
@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_a_flat_curve_goes_on_flat(level, noise):
    counts = np.repeat([1.0, 2.0, 4.0], 2)
    errors = level + noise * np.array([1, -1, -1, 1, 1, -1])
    curve = fitted(counts, errors)
    assert curve.at(8)[0] == pytest.approx(1 - level, abs=0.01)
    assert not curve.sentences().startswith("More labels would help")
    if not noise:
        assert curve.sentences().startswith("More labels of this kind would help little")


def test_models_that_find_nothing_leave_the_answer_open():
    counts = np.repeat([1.0, 2.0, 4.0], 2)
    for values in (np.zeros(6), np.array([0, 0.001, 0, 0.002, 0.001, 0])):
        curve = fitted(counts, 1 - values)
        assert curve.sentences().startswith("Whether more labels would help is undetermined")
        assert curve.gain()[0] == pytest.approx(0, abs=5e-3)


def test_a_slow_rise_from_high_errors_is_found():
    counts = np.repeat([4.0, 8.0, 16.0, 32.0], 2)
    errors = 0.2 + 0.7 * (counts / 4) ** -0.3
    curve = fitted(counts, errors)
    assert curve.sentences().startswith("More labels would help")
    assert curve.at(64)[0] == pytest.approx(1 - (0.2 + 0.7 * 16**-0.3), abs=5e-3)


def test_scattered_runs_leave_the_answer_open(tmp_path):
    (curve,) = curves_of(made(tmp_path, noise=0.4))
    assert curve.sentences().startswith("Whether more labels would help is undetermined")


@pytest.mark.parametrize("change", [{"sizes": (2, 4)}, {"seeds": 1, "sizes": (1, 2, 4)}])
def test_too_few_runs_make_no_curve(tmp_path, change):
    assert curves_of(made(tmp_path, **change)) == []


def test_runs_that_do_not_say_how_many_sequences_make_no_curve(tmp_path):
    for seed in range(5):
        finished(tmp_path / str(seed), seed=seed)
    assert curves_of(tmp_path) == []


def test_runs_without_any_error_are_fitted(tmp_path):
    (curve,) = curves_of(made(tmp_path, lambda n: 0.0 if n > 2 else 0.1))
    assert curve.at(32)[0] == pytest.approx(1, abs=0.02)


def test_other_settings_make_curves_of_their_own(tmp_path):
    made(tmp_path, loss="giou")
    made(tmp_path, lambda n: error(n, exponent=0.3), loss="iou")
    curves = curves_of(tmp_path)
    labels = ["span_loss=giou", "span_loss=iou"]
    assert [curve.label for curve in curves] == labels
    figure = plots.learning_curve(curves, "test/tiou")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == labels


def test_the_figure_shows_runs_fit_and_twice_the_sequences(tmp_path):
    (curve,) = curves_of(made(tmp_path))
    (axes,) = plots.learning_curve([curve], "test/tiou").axes
    dots, known, beyond, _ = axes.lines
    assert len(dots.get_xdata()) == 12
    assert max(known.get_xdata()) == pytest.approx(16)
    assert max(beyond.get_xdata()) == pytest.approx(32)
    assert beyond.get_linestyle() == "--"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "4", "8", "16", "32"]
    marks = [text.get_text() for text in axes.get_legend().get_texts()]
    assert marks == ["a run", "fit", "extrapolation", "95 % interval"]
    assert plots.learning_curve([], "test/tiou") is None


def test_the_command_prints_shows_and_draws_it(cli, tmp_path, capsys):
    runs = made(tmp_path / "runs")
    folder = cli("report", f"runs={runs}", "hydra.run.dir=out")
    (curve,) = curves_of(runs)
    answer = curve.sentences()
    assert answer in capsys.readouterr().out
    page = (folder / "out" / "report.html").read_text()
    assert "Learning curve: test/tiou" in page
    assert answer in page
    assert 'id="learning0-0' in page
    assert answer.split(" (95")[0] in (folder / "out" / "report.md").read_text()
    assert (folder / "out" / "learning_curve.png").stat().st_size > 1000
