"""Experiment trackers: what they get of a run, and that they cannot take its result away."""

import json
import logging
import math
import struct
import sys
import time

import pytest
from conftest import BARE
from tracked import Notebook, mlflow_server

from spanloc.cli.run.tracking import begin, tracked
from spanloc.training.trackers import MlflowTracker, TrackioTracker, WandbTracker
from spanloc.training.tracking import check_reachable, end_runs, open_runs

CLOSED = "http://127.0.0.1:9"
URL = f"+logger.wandb.settings.base_url={CLOSED}"
# Three steps, a test and its figures.
OPTIONS = "test=true name=walks hydra.run.dir=run data.num_train=24 trainer.max_epochs=1"
RUN = (*BARE, *OPTIONS.split())
THEIRS = pytest.mark.filterwarnings("ignore")  # whatever the packages of trackers warn of


@pytest.fixture(autouse=True)
def notebook(monkeypatch):
    monkeypatch.setattr(Notebook, "runs", [])
    yield Notebook.runs
    end_runs("failed")


def setting(**options):
    given = {"project": "p", "group": "${name}", "folder": "${hydra:runtime.output_dir}", **options}
    inner = ",".join(f"{k}:{v}" for k, v in {"_target_": "tracked.Notebook", **given}.items())
    return f"+logger.notebook={{{inner}}}"


def started(**options):
    tracker = Notebook("p", "g", "folder", **options)
    tracker.start({"a": {"b": 1}})
    return tracker


def test_a_run_gives_its_name_settings_metrics_and_figures_and_is_finished(cli, notebook):
    folder = cli("train", *RUN, setting()) / "run"
    (run,) = notebook
    assert (run.run, run.group) == ("walks/run", "walks")
    assert run.config["optimizer"]["lr"] > 0
    assert run.config["backbone"]["width"] == 16
    assert run.config["folder"] == str(folder)
    steps = [step for metrics, step in run.of("log") if "train/loss" in metrics]
    assert steps == [0, 1, 2]
    metrics = json.loads((folder / "metrics.json").read_text())
    final, step = run.of("log")[-1]
    assert step == metrics["step"] == 3
    assert final["test/tiou"] == metrics["test/tiou"]
    figures = sorted((folder / "figures").glob("*.png"))
    assert len(figures) >= 2
    assert run.of("image") == [[f"figures/{path.stem}", path, 3] for path in figures]
    assert run.calls[-1] == ("end", "finished")
    assert (folder / "csv" / "version_0" / "metrics.csv").is_file()
    assert len(list((folder / "tensorboard").glob("*/events*"))) == 2  # the second has the figures


def test_a_training_that_goes_on_in_its_folder_goes_on_with_its_run(notebook, tmp_path):
    for checkpoint in (None, tmp_path / "last.ckpt", tmp_path / "other" / "last.ckpt"):
        begin([Notebook("p", "g", str(tmp_path))], {"ckpt_path": checkpoint}, tmp_path)
    assert [run.resumed for run in notebook] == [None, "id-1", None]


@pytest.mark.parametrize("fails", ["log", "image", "end"])
def test_a_tracker_that_fails_is_left_out_after_one_warning(fails, caplog, tmp_path):
    with caplog.at_level(logging.WARNING), tracked():
        run = started(fails=fails)
        for step in range(2):
            run.log_metrics({"loss": 1.0}, step)
        run.log_image("figures/curves", ["curves.png"], 2)
    (record,) = caplog.records
    expected = f"logger=notebook is left out from here on: no answer to {fails}"
    assert record.getMessage() == expected
    assert not open_runs


def test_a_tracker_that_cannot_begin_is_an_error_and_leaves_no_folder(cli):
    assert cli("train", *RUN, setting(fails="start")) == (
        "spanloc-train: error: logger=notebook: no answer to start"
    )


class TrialPruned(Exception):  # noqa: N818 - Optuna's name
    pass


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError, "failed"), (KeyboardInterrupt, "killed"), (TrialPruned, "killed")],
)
def test_a_run_that_does_not_finish_says_how_it_ended(error, status):
    def stopped():
        with tracked():
            started()
            raise error

    with pytest.raises(error):
        stopped()
    assert Notebook.runs[0].calls == [("start",), ("end", status)]


@pytest.mark.parametrize("kind", [WandbTracker, MlflowTracker, TrackioTracker])
def test_a_missing_package_is_named_with_its_extra(kind, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, kind.module, None)
    expected = (
        f"^logger={kind.key} needs the package {kind.key}: pip install 'spanloc.{kind.key}.' "
    )
    with pytest.raises(ValueError, match=expected):
        kind("p", "g", "folder").start({})


def test_a_server_that_does_not_answer_is_known_before_training():
    with pytest.raises(ValueError, match=f"^{CLOSED} cannot be reached: Connection refused$"):
        check_reachable(CLOSED)
    with mlflow_server() as (address, _):
        check_reachable(f"{address}/anything")


def wandb_records(folder):
    """Records of an offline run: blocks of 32 KiB with pieces of (checksum, length, kind)."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    data, at, piece = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        piece += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last
            yield Record.FromString(piece)
            piece = b""


def require_results(rows, folder):
    """The losses of all steps, the result of the test, and all figures."""
    assert [row["step"] for row in rows if "train/loss" in row] == [0, 1, 2]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert [row["test/tiou"] for row in rows if "test/tiou" in row] == [metrics["test/tiou"]]
    drawn = {name for row in rows for name in row if name.startswith("figures/")}
    assert drawn == {f"figures/{path.stem}" for path in (folder / "figures").glob("*.png")}


@THEIRS
@pytest.mark.slow  # 15 s
def test_wandb_offline_has_names_settings_steps_and_figures(cli, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    folder = cli("train", *RUN, "logger=wandb", "logger.wandb.offline=true") / "run"
    # Its own process writes the file, also after the end.
    end = time.monotonic() + 20
    records = []
    while not any(r.HasField("exit") for r in records):
        assert time.monotonic() < end
        time.sleep(0.2)
        records = list(wandb_records(folder))
    (run,) = (r.run for r in records if r.HasField("run"))
    assert (run.display_name, run.project, run.run_group) == ("walks/run", "spanloc", "walks")
    config = {u.key: json.loads(u.value_json) for u in run.config.update}
    assert config["optimizer"]["weight_decay"] >= 0
    assert config["name"] == "walks"
    rows = [
        {i.nested_key[0]: json.loads(i.value_json) for i in r.history.item}
        for r in records
        if r.HasField("history")
    ]
    require_results([{**row, "step": row.get("trainer/global_step")} for row in rows], folder)
    assert [r.exit.exit_code for r in records if r.HasField("exit")] == [0]
    assert (folder / "csv").is_dir()


@THEIRS
@pytest.mark.slow  # 20 s: most of it makes the tables of the database
def test_mlflow_has_names_settings_steps_and_figures_of_every_run(cli, monkeypatch, capsys):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    place = cli("train", *RUN, "logger=mlflow")
    # One that fails after it began.
    for run, failing in (
        ("lost", "+trainer.profiler=unknown"),
        ("broken", "callbacks.best.dirpath=/dev/null/best"),
    ):
        cli("train", *RUN, "logger=mlflow", f"hydra.run.dir={run}", failing, folder=place)
    client = MlflowClient(f"sqlite:///{place / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("spanloc").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert set(runs) == {"walks/run", "walks/broken"}
    assert runs["walks/broken"].info.status == "FAILED"
    run = runs["walks/run"]
    assert run.info.status == "FINISHED"
    assert run.data.tags["group"] == "walks"
    assert run.data.tags["folder"] == str(place / "run")
    assert run.data.params["backbone.width"] == "16"
    metrics = json.loads((place / "run" / "metrics.json").read_text())
    assert run.data.metrics["test/R1_at_0.50"] == metrics["test/R1@0.50"]
    losses = client.get_metric_history(run.info.run_id, "train/loss")
    assert [row.step for row in losses] == [0, 1, 2]
    files = {file.path for file in client.list_artifacts(run.info.run_id, "figures")}
    assert files == {f"figures/{path.name}" for path in (place / "run" / "figures").glob("*.png")}


@THEIRS
@pytest.mark.slow  # 10 s
def test_trackio_has_names_settings_steps_and_figures(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))  # read when it is imported
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    folder = cli("train", *RUN, "logger=trackio") / "run"
    assert SQLiteStorage.get_runs("spanloc") == ["walks/run"]
    assert SQLiteStorage.get_run_config("spanloc", "walks/run")["backbone.width"] == 16
    require_results(SQLiteStorage.get_logs("spanloc", "walks/run"), folder)


@THEIRS
@pytest.mark.slow  # 5 s
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("logger=mlflow", f"logger.mlflow.tracking_uri={CLOSED}"), "logger=mlflow"),
        (("logger=wandb", "logger.wandb.offline=false", URL), "logger=wandb"),
    ],
)
def test_a_closed_port_is_one_line_before_training(cli, settings, message):
    pytest.importorskip(message.split("=")[1])
    assert cli("train", *RUN, *settings) == (
        f"spanloc-train: error: {message}: {CLOSED} cannot be reached: Connection refused"
    )


@THEIRS
@pytest.mark.slow  # 15 s: MLflow tries again
def test_a_server_that_goes_away_takes_no_result_with_it(cli, caplog):
    pytest.importorskip("mlflow")
    lost = lambda path, body: path == "runs/log-batch" and "metrics" in body  # noqa: E731 - one line
    with mlflow_server(lost) as (address, requests):
        place = cli("train", *RUN, "logger=mlflow", f"logger.mlflow.tracking_uri={address}")
    assert [path for path, _ in requests if path == "runs/create"]
    metrics = json.loads((place / "run" / "metrics.json").read_text())
    assert metrics["step"] == 3
    assert math.isfinite(metrics["test/tiou"])
    assert (place / "run" / "best.ckpt").is_file()
    assert not (place / "run" / "error.txt").exists()
    logged = (place / "run" / "train.log").read_text()
    assert logged.count("logger=mlflow is left out from here on") == 1
