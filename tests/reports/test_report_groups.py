"""What makes a group, and that a reader can find out what it is; what is drawn of a run."""

import re

import numpy as np
import pytest
from made_runs import finished, found, logged, shown

from spanloc import plots, reports


def groups(folder):
    return found(folder)[1]


CANNOT_CHANGE_A_RESULT = [
    ("data__num_workers", 0, 4),
    ("trainer__devices", 1, "auto"),
    ("trainer__accelerator", "auto", "cpu"),
    ("trainer__strategy", "auto", {"_target_": "pytorch_lightning.strategies.DDPStrategy"}),
    ("trainer__log_every_n_steps", 1, 50),
    ("trainer__enable_progress_bar", True, False),
    ("trainer__enable_model_summary", True, False),
    ("callbacks__gradients", {"_target_": "a.Norms", "every_n_steps": 1}, None),
    ("callbacks__convergence", {"when": "last"}, {"when": "plateau"}),
    ("callbacks__progress", {"_target_": "a.Bar"}, {"_target_": "b.Bar"}),
    ("callbacks__last__every_n_epochs", 1, 5),
]


@pytest.mark.parametrize(("path", "one", "other"), CANNOT_CHANGE_A_RESULT)
def test_what_cannot_change_a_result_makes_no_groups(tmp_path, path, one, other):
    for seed, value in enumerate((one, other)):
        finished(tmp_path / str(seed), seed=seed, **{path: value})
    assert [group.label for group in groups(tmp_path)] == ["span_loss=giou"]


def test_a_choice_without_settings_is_named_as_on_the_command_line(tmp_path):
    choices = {"none": {}, "speed": {"speed": {"_target_": "a.Speed"}}}
    for choice, content in choices.items():
        folder = finished(tmp_path / choice, transforms=content)
        (folder / "overrides.yaml").write_text(f"- span_loss=giou\n- transforms={choice}\n")
    assert {group.label for group in groups(tmp_path)} == {"transforms=none", "transforms=speed"}


@pytest.mark.parametrize("path", ["trainer__max_epochs", "data__num_workers_of", "trainer__device"])
def test_what_is_only_called_alike_makes_groups(tmp_path, path):
    for value in (3, 4):
        finished(tmp_path / str(value), **{path: value})
    assert len(groups(tmp_path)) == 2


MANY = {f"data__knob{i}": i for i in range(5)}
OTHERS = dict.fromkeys(MANY, 9)


def test_the_whole_of_a_cut_label_is_shown(tmp_path):
    # Both are cut to the same label, so that only the list can tell which is which.
    for seed in (0, 1):
        for last in (5, 6):
            settings = {**MANY, "data__zoom": last}
            finished(tmp_path / f"{last}{seed}", seed=seed, **settings)
        finished(tmp_path / f"other{seed}", seed=seed, **OTHERS, data__zoom=6)
    cut = ", ".join([*(f"data.knob{i}={i}" for i in range(5)), "and 1 more"])
    whole = cut.replace("and 1 more", "data.zoom={}")
    other, other_whole = (re.sub(r"=[0-4],", "=9,", label) for label in (cut, whole.format(6)))
    assert {g.label: g.whole for g in groups(tmp_path)} == {
        cut: whole.format(5),
        f"{cut} (2)": whole.format(6),
        other: other_whole,
    }
    html, marked = shown(tmp_path)
    assert f'<th scope="row" title="{whole.format(6)}">{cut} (2)</th>' in html
    assert f'title="{whole.format(6)}">{cut} (2)</td>' in html
    assert html.count("<summary>What the groups are</summary>") == 1
    assert f"<dt>{cut} (2)</dt><dd>{whole.format(6)}</dd>" in html
    assert f"What the groups are:\n\n- *{cut}*: {whole.format(5)}\n" in marked
    assert f"| {cut} (2) |" in marked
    assert marked.count("data.zoom=6") == 2  # once for each of the two groups


def test_labels_that_say_all_are_not_listed(tmp_path):
    finished(tmp_path / "others", **OTHERS)
    finished(tmp_path / "many", **MANY)
    assert len(groups(tmp_path)) == 2
    for form in (reports.page, reports.markdown):
        assert "What the groups are" not in shown(tmp_path, form)


# As logged: the gradient of a step in a row of its own, of every second step only.
ROWS = """epoch,grad/clipped,grad/params,grad/spans,train/loss_span,step
0,,,,8,0
0,,,,4,1
0,1.0,3.0,0.5,,1
0,,,,2,2
0,,,,1,3
0,1.0,2.0,0.25,,3
"""


def test_a_gradient_belongs_to_the_loss_of_its_own_step(tmp_path):
    run = logged(tmp_path, ROWS)
    nan = np.nan
    expected = {
        "step": [0, 1, 2, 3],
        "train/loss_span": [8, 4, 2, 1],
        "grad/spans": [nan, 0.5, nan, 0.25],
        "grad/params": [nan, 3, nan, 2],
        "grad/clipped": [nan, 1, nan, 1],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(run.curves[name], values)
    assert (run.steps, run.last_loss) == (4, 3.75)


def test_the_figure_takes_the_steps_that_have_both():
    # Twenty steps, every second measured: the loss of the others is far off and must not be seen.
    step = np.arange(20.0)
    measured = step % 2 == 1
    loss = np.where(measured, 2.0 ** -(step // 10), 1e6)
    gradient = np.where(measured, loss**0.5, np.nan)
    figure = plots.loss_gradient([plots.Curve(loss, gradient, 0, True)], 1, sharp=None)
    line, _ = figure.axes[0].lines  # and its end; no line of a slope
    # Ten pairs make two blocks of five: medians by hand.
    np.testing.assert_allclose(line.get_xdata(), [1.0, 0.5])
    np.testing.assert_allclose(line.get_ydata(), [1.0, 0.5**0.5])
