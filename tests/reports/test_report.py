"""Reading run folders, grouping them, and the statistics over seeds."""

import math
from itertools import product

import pytest
from made_runs import LOG, NOW, config, convergence, finished, found, log, logged, write_run

from spanloc.reports import NONE, compare, find_runs, read_run, run_table, summarize


def read(folder, now=NOW):
    return read_run(folder, folder.name, now=now)


def labels(folder):
    return [group.label for group in found(folder)[1]]


def test_mean_and_spread_by_hand():
    # Deviations -2, -1, 3: squares 4 + 1 + 9 = 14, over n - 1 = 2.
    assert summarize([1.0, 2.0, 6.0]) == pytest.approx((3.0, math.sqrt(7), 3))
    assert summarize([4.0]) == pytest.approx((4.0, math.nan, 1), nan_ok=True)
    assert math.isnan(summarize([]).mean)


def test_the_paired_interval_by_hand():
    # Differences 1, 2, 3: mean 2, std 1; t(0.975, 2) = 4.30265 of any printed table.
    first, second = {0: 5.0, 1: 7.0, 2: 9.0, 8: 100.0}, {2: 6.0, 1: 5.0, 0: 4.0, 9: -100.0}
    result = compare(first, second)
    half = 4.30265 / math.sqrt(3)
    assert result == pytest.approx((2.0, 2 - half, 2 + half, 3), abs=5e-4)
    assert result.verdict == "no difference shown"
    # Two pairs, differences 1.0 and 1.1: t(0.975, 1) = 12.7062, std 0.0707107.
    result = compare({0: 1.0, 1: 1.1}, {0: 0.0, 1: 0.0})
    assert result == pytest.approx((1.05, 1.05 - 0.63531, 1.05 + 0.63531, 2), abs=1e-4)
    assert result.verdict == "higher"
    assert compare({0: 0.0, 1: 0.0}, {0: 1.0, 1: 1.1}).verdict == "lower"
    assert compare({0: 1.0, 1: 5.0}, {0: 1.0, 1: 5.0}).verdict == "no difference shown"


def test_one_seed_allows_no_comparison():
    result = compare({0: 1.0}, {0: 2.0})
    assert (result.mean, result.n, result.verdict) == (-1.0, 1, "no comparison possible")
    assert compare({0: 1.0}, {1: 2.0}).verdict == "no comparison possible"


def test_states(tmp_path):
    log_file = {LOG: log(80)}
    base = {"config.yaml": config(), **log_file}
    done = finished(tmp_path / "done")
    assert read(done).state == "finished"
    assert read(write_run(tmp_path / "going", base, age=100)).state == "going"
    assert read(write_run(tmp_path / "stopped", base, age=700)).state == "stopped"
    failed = {**base, "error.txt": "ValueError: too much\nof it"}
    run = read(write_run(tmp_path / "failed", failed, age=10))
    assert (run.state, run.error) == ("failed", "ValueError: too much")
    # Killed in the test: metrics.json has no test yet.
    before = {**base, "metrics.json": {"val/tiou": 0.9}, "best.ckpt": ""}
    assert read(write_run(tmp_path / "untested", before)).state == "stopped"
    without = {**before, "config.yaml": config(test=False)}
    assert read(write_run(tmp_path / "no_test", without)).state == "finished"
    # Killed in the measurement: metrics.json has nothing of it yet.
    measuring = config(test=False, callbacks__convergence={"_target_": "a.Convergence"})
    without["config.yaml"] = measuring
    assert read(write_run(tmp_path / "unmeasured", without)).state == "stopped"
    without["metrics.json"] = {"val/tiou": 0.9, "convergence/loss": 0.1}
    assert read(write_run(tmp_path / "measured", without)).state == "finished"
    # Gone on with after it had finished, or failed: what came of it before is out of date.
    write_run(done, log_file, age=30)
    assert read(done).state == "going"
    write_run(tmp_path / "failed", {"error.txt": "old"}, age=9000)
    assert read(tmp_path / "failed").state == "going"


def test_what_is_missing_or_half_written_is_said_not_met(tmp_path):
    for name in ("metrics.json", "convergence.json"):
        run = read(write_run(tmp_path / name, {"config.yaml": config(), name: '{"val/tiou": 0.'}))
        (problem,) = run.problems
        assert problem.startswith(f"{name} cannot be used: not valid JSON: ")
        assert run.metric is None
        assert run.convergence is None
    run = read(write_run(tmp_path / "list", {"config.yaml": "[1, 2]", "metrics.json": "[]"}))
    assert run.problems == tuple(
        f"{name} cannot be used: it holds no names" for name in ("config.yaml", "metrics.json")
    )
    assert (run.seed, run.span_loss, run.steps, run.epochs) == (None, None, 0, 0)
    run = read(write_run(tmp_path / "cut", {"config.yaml": "seed: [1, {", "error.txt": ""}))
    assert run.state == "failed"
    assert run.error == "error.txt is empty"
    odd = {"losses": 3, "trained": "giou", "tiou": "0.9", "endpoint_error": None}
    files = {"config.yaml": config(), "overrides.yaml": [], "convergence.json": odd}
    run = read(write_run(tmp_path / "odd", files))
    assert run.convergence is None
    assert run.problems[0].startswith("convergence.json cannot be used: ")
    assert found(tmp_path)[1][0].counted == {}


def test_a_log_that_is_cut_loses_its_last_line_only(tmp_path):
    text = (
        "epoch,train/loss_span,step,val/tiou\n0,0.5,0,\n0,0.25,1,\n0,,1,0.75\n1,0.125,2,\n1,0.1,3"
    )
    run = logged(tmp_path, text)
    assert run.curves["train/loss_span"].tolist() == [0.5, 0.25, 0.125]
    assert run.curves["val/tiou"][1] == 0.75
    assert (run.steps, run.epochs) == (3, 1)
    assert run.last_loss == pytest.approx(0.875 / 3)


def test_cells_beyond_the_header_of_a_log_are_no_column(tmp_path):
    text = "epoch,step,val/tiou\n0,0,0.5\n0,1,0.75,9,9\n"
    run = logged(tmp_path, text)
    assert sorted(run.curves) == ["epoch", "step", "val/tiou"]
    assert run.epochs == 1


def test_a_resumed_run_is_joined_by_step(tmp_path):
    rows = {v: f"epoch,train/loss_span,step\n{lines}" for v, lines in {
        0: "0,0,0\n0,1,1\n1,2,2\n1,3,3\n", 2: "1,20,2\n1,30,3\n2,40,4\n2,50,5\n", 10: "2,400,4\n",
    }.items()}  # fmt: skip
    files = {f"csv/version_{v}/metrics.csv": text for v, text in rows.items()}
    run = read(write_run(tmp_path, {"config.yaml": config(), **files}))
    assert run.curves["step"].tolist() == [0, 1, 2, 3, 4]
    assert run.curves["train/loss_span"].tolist() == [0, 1, 20, 30, 400]


def test_runs_are_found_at_any_depth_and_once(tmp_path):
    for name in ("a", "b/c/d", "b/.hydra", ".venv/x"):
        write_run(tmp_path / name, {"config.yaml": config()})
    assert [run.name for run in find_runs([tmp_path], now=NOW)] == ["a", "b/c/d"]
    runs = find_runs([tmp_path / "b", tmp_path], now=NOW)
    assert [run.name for run in runs] == [str(tmp_path / "a"), str(tmp_path / "b/c/d")]
    assert [run.name for run in find_runs([tmp_path / "a"], now=NOW)] == [str(tmp_path / "a")]


def test_groups_are_named_by_the_settings_in_which_they_differ(tmp_path):
    made = [*product(("giou", "smooth_giou"), (0.0, 0.1), (0, 1))]
    for loss, noise, seed in made:
        finished(tmp_path / f"{loss}{noise}{seed}", loss, seed, data__label_noise=noise)
    assert labels(tmp_path) == [
        f"span_loss={loss}, data.label_noise={noise}" for loss, noise, _ in made[::2]
    ]
    groups = found(tmp_path)[1]
    assert all(list(group.counted) == ["0", "1"] for group in groups)


def test_seeds_alone_make_no_groups(tmp_path):
    # The places of the callbacks and the seed of the data go with the run, and the stride may
    # follow from what data the seed made.
    for seed in (0, 1, 2):
        backbone = {"_target_": "spanloc.models.ConvBackbone", "stride": 2 + seed}
        write_run(finished(tmp_path / str(seed), seed=seed),
                  {"config.yaml": config(seed=seed, backbone=backbone)})  # fmt: skip
    assert labels(tmp_path) == ["span_loss=giou"]


def test_the_folds_of_a_data_set_are_one_group_and_are_compared_fold_by_fold(tmp_path):
    for loss, fold in product(("giou", "diou"), range(3)):
        settings = {"data__fold": fold, "data__folds": 3}
        metrics = {"test/tiou": 0.1 * fold + 0.05 * (loss == "giou")}
        given = (f"span_loss={loss}", "data.folds=3", f"data.fold={fold}")
        chosen(tmp_path / f"{loss}{fold}", *given, loss=loss, metrics=metrics, **settings)
    assert labels(tmp_path) == ["span_loss=diou", "span_loss=giou"]
    runs, groups = found(tmp_path)
    assert list(groups[0].counted) == ["0, fold 0", "0, fold 1", "0, fold 2"]
    assert {row["seed"].text for row in run_table(runs, groups, now=NOW).cells} == {
        *groups[0].counted
    }
    difference = compare(groups[1].judged(), groups[0].judged())
    assert (difference.mean, difference.n) == (pytest.approx(0.05), 3)


def test_a_stride_that_was_set_makes_groups(tmp_path):
    for seed, stride in product((0, 1), (2, 4)):
        finished(tmp_path / f"{seed}{stride}", seed=seed, backbone__stride=stride)
    assert labels(tmp_path) == ["backbone.stride=2", "backbone.stride=4"]


def chosen(folder, *overrides, loss="giou", **settings):
    """A run with this command line, and with what it came to in its config."""
    return write_run(finished(folder, loss, **settings), {"overrides.yaml": list(overrides)})


def test_settings_are_called_what_the_command_line_calls_them(tmp_path):
    sgd = {"_target_": "torch.optim.SGD", "lr": 0.05, "momentum": 0.9}
    chosen(tmp_path / "a")
    root = "/p q/here"
    chosen(tmp_path / "b", "optimizer=sgd", f"data.root='{root}'", optimizer=sgd, data__root=root)
    chosen(tmp_path / "c", "+callbacks.average=null", "seed=1", "data.label_noise=0.0", seed=1)
    given = ("span_loss=giou_l1", "data.root=/r/here")
    chosen(tmp_path / "d", *given, loss="weighted_sum", data__root="/r/here")
    assert labels(tmp_path) == [
        "span_loss=giou",
        "span_loss=giou, callbacks.average=null",
        "span_loss=giou, data.root=here, optimizer=sgd",
        "span_loss=giou_l1, data.root=here",
    ]


def test_what_one_command_line_leaves_out_is_as_its_config_has_it(tmp_path):
    chosen(tmp_path / "a", "seed=0")
    chosen(tmp_path / "b", "data.label_noise=0.0", "seed=1", seed=1)
    assert labels(tmp_path) == ["span_loss=giou"]
    chosen(tmp_path / "c", "data.label_noise=0.1", data__label_noise=0.1)
    assert labels(tmp_path) == ["data.label_noise=0.0", "data.label_noise=0.1"]


def test_a_run_whose_command_line_is_not_known_belongs_to_no_group(tmp_path):
    for stride in (2, 4):
        finished(tmp_path / str(stride), backbone__stride=stride)
    (finished(tmp_path / "other", seed=1) / "overrides.yaml").unlink()
    assert labels(tmp_path) == ["backbone.stride=2", "backbone.stride=4"]
    *_, other = run_table(*found(tmp_path), now=NOW).cells
    assert (other["group"].text, other["remarks"].text) == (NONE, "not counted: no overrides.yaml")
    write_run(tmp_path / "other", {"overrides.yaml": "{a: 1}"})
    assert read(tmp_path / "other").remarks == ["overrides.yaml cannot be used: it holds no list"]


def test_a_run_done_twice_counts_once(tmp_path):
    finished(tmp_path / "old", metrics={"test/tiou": 0.1})
    late = finished(tmp_path / "zz", metrics={"test/tiou": 0.2})
    write_run(late, {"train.log": "done"}, age=5)
    chosen(tmp_path / "crash", "seed=0")
    write_run(tmp_path / "crash", {"error.txt": "no"}, age=1)
    _, (group,) = found(tmp_path)
    assert group.judged() == {"0": 0.2}
    assert len(group.runs) == 3


def test_the_metric_is_of_the_test_set_where_there_is_one(tmp_path):
    for metrics, name in (
        ({"val/tiou": 0.5, "test/tiou": 0.4, "test/R1@0.50": 1.0}, "test/tiou"),
        ({"val/mAP": 0.5, "test/mAP": 0.4, "test/mAP@0.50": 1.0}, "test/mAP"),
        ({"val/mAP": 0.5, "grad/params": 1.0}, "val/mAP"),
        ({"val/tiou": 0.5, "test/tiou": math.nan}, "val/tiou"),
        ({"test/theirs": 0.5, "val/tiou": math.nan}, "test/theirs"),
        ({"train/loss_span": 0.5}, None),
    ):
        write_run(tmp_path, {"config.yaml": config(), "metrics.json": metrics})
        assert read(tmp_path).metric == name


def test_measurements_come_from_the_trained_loss(tmp_path):
    content = convergence("iou")
    content["losses"]["giou"] = content["losses"]["iou"] | {"loss": 9.0}
    write_run(tmp_path, {"config.yaml": config("iou"), "convergence.json": content})
    assert read(tmp_path).convergence.own.loss == 0.05
    assert read(tmp_path).convergence.own.relative_gradient.mean == 1.36
