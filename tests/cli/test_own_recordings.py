"""Commands on folders of recordings of other tools: several rates, text columns, names that are numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from conftest import HINTS_OF_LIGHTNING
from omegaconf import OmegaConf
from pages import BARE
from recordings import edf

from spanloc.cli.evaluated_data import set_up
from spanloc.cli.frame.arguments import with_text_roots
from spanloc.data import AnnotatedData
from spanloc.data.fingerprint import Fingerprint
from spanloc.data.sample import data_folder

SHORT = (*BARE, "hydra.run.dir=out")


def write_edf(path):
    rng = np.random.default_rng(0)
    rates = {"EEG": 50, "EOG": 50, "Temp": 1}
    edf(
        path,
        {name: (rate, rng.uniform(-1, 1, 30 * rate)) for name, rate in rates.items()},
        [(0, 1, "x")],
    )


def write_wav(path):
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, (300, 2)), 10)


def write_csv(path):
    rng = np.random.default_rng(0)
    rows = [
        f"{i / 10:.2f};{x:.3f};walk".replace(".", ",") for i, x in enumerate(rng.normal(size=300))
    ]
    path.write_text("\n".join(["time; x ;label", *rows]) + "\n", encoding="utf-8-sig")


def folder(root, write, suffix):
    (root / "data").mkdir(parents=True)
    rows = ["sequence,start,end,label"]
    for i in range(6):
        write(root / "data" / f"r{i}{suffix}")
        rows += [f"r{i},3,6.5,a", f"r{i},{10 + i},{14 + i},b"]
    (root / "annotations.csv").write_text("\n".join(rows) + "\n")
    return root


def said(stop):
    assert isinstance(stop, str), stop
    assert len(stop.splitlines()) == 1
    return stop


@HINTS_OF_LIGHTNING
def test_a_night_of_several_rates_is_checked_and_trained_on(cli, tmp_path, capsys):
    root = folder(tmp_path / "night", write_edf, ".edf")
    assert cli("check", f"data.root={root}", "hydra.run.dir=out", folder=tmp_path) == tmp_path
    note = "resampled to 50 Hz: 'Temp' (1 Hz, in all 6 recordings)"
    assert note in capsys.readouterr().out.split("\n")
    assert cli("train", f"data.root={root}", *SHORT, folder=tmp_path) == tmp_path
    config = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert config["localizer"]["backbone"]["num_channels"] == 3
    stop = said(cli("train", f"data.root={root}", "data.on_rate=error", *BARE, folder=tmp_path))
    assert f"{root}/data/r0.edf: its channels differ in their rate: 'EEG at 50 Hz'" in stop
    chosen = ("data.on_rate=error", "data.channels=[EOG,EEG]")
    arguments = (f"data.root={root}", *chosen, "hydra.run.dir=out")
    assert cli("check", *arguments, folder=tmp_path) == tmp_path
    survey = json.loads((tmp_path / "out" / "check.json").read_text())
    assert [channel["name"] for channel in survey["channels"]] == ["EOG", "EEG"]
    assert survey["rates"] == [[50.0, 6]]


@HINTS_OF_LIGHTNING
def test_a_table_with_semicolons_and_text_is_trained_on_by_its_numbers(cli, tmp_path):
    root = folder(tmp_path / "tables", write_csv, ".csv")
    stop = said(cli("train", f"data.root={root}", *SHORT, folder=tmp_path))
    text = "column 'label' holds text ('walk' in line 2); wanted numbers: choose others with data.channels"
    assert f"{root}/data/r0.csv: {text}" in stop
    arguments = (f"data.root={root}", "data.channels=[x]", *SHORT)
    assert cli("train", *arguments, folder=tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r0.wav", b"", "the file is empty (0 bytes)"),
        ("r0.edf", b"0       ", "not an EDF file, or not all of it (8 bytes, where a header has 256"),
        ("r0.csv", b"x;y\n1;2\n1,5;2.5\n", "line 3, column 'x' is '1,5' and line 3, column 'y' is '2.5'"),
        ("r0.parquet", b"PAR1", "not a Parquet file, or not all of it"),
        ("r0.npz", b"PK\x03\x04", "not a .npz archive of plain arrays, or not all of it"),
        ("r0.npy", b"\x93NUMPY\x01\x00", "not a plain .npy array of numbers, or not all of it"),
    ],
)  # fmt: skip
def test_a_broken_recording_is_one_line(cli, tmp_path, name, content, message):
    root = folder(tmp_path / "some", write_wav, ".wav")
    (root / "data" / "r0.wav").unlink()
    (root / "data" / name).write_bytes(content)
    # What a training says of one it says of all.
    trained = [("train", SHORT)] * (name in ("r0.wav", "r0.csv"))
    for command, more in (*trained, ("check", ("hydra.run.dir=out",))):
        stop = said(cli(command, f"data.root={root}", *more, folder=tmp_path))
        if command == "train":
            assert f"{root}/data/{name}: {message}" in stop
        else:
            findings = json.loads((tmp_path / "out" / "check.json").read_text())["findings"]
            assert any(message in str(finding) for finding in findings)


def test_only_what_hydra_takes_for_a_number_is_put_in_quotes():
    roots = ["here", "'2024'", "2024/x", ""]
    same = [*(f"data.root={root}" for root in roots), "data.rate=5", "-m"]
    assert with_text_roots(same) == same
    quoted = ["+data.root='7'", "data.root='-1e5'", "data.root='2024_05'"]
    assert with_text_roots([text.replace("'", "") for text in quoted]) == quoted


@HINTS_OF_LIGHTNING
def test_a_number_as_the_folder_of_a_config_is_a_folder(cli, tmp_path):
    root = folder(tmp_path / "2024", write_wav, ".wav")
    own = tmp_path / "conf" / "experiment"
    own.mkdir(parents=True)
    text = "# @package _global_\ndefaults: [override /data: annotations]\ndata: {root: 2024}\n"
    (own / "own.yaml").write_text(text)
    arguments = (f"--config-dir={own.parent}", "experiment=own", *SHORT)
    assert cli("train", *arguments, folder=tmp_path) == tmp_path
    config = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert config["data"]["root"] == str(root)
    assert data_folder(2024) == Path("2024")


def test_a_run_on_sound_goes_on_with_the_frames_that_were_chosen(cli, tmp_path):
    root = tmp_path / "sounds"
    (root / "data").mkdir(parents=True)
    rows = ["sequence,start,end,label"]
    for i in range(6):
        noise = np.random.default_rng(i).uniform(-1, 1, 2 * 4000)
        soundfile.write(root / "data" / f"r{i}.wav", noise, 4000)
        rows += [f"r{i},{k / 2},{k / 2 + 0.03},a" for k in (1, 2, 3)]
    (root / "annotations.csv").write_text("\n".join(rows))
    options = "data.feature_options={num_bands:8}"
    cli("train", *SHORT, f"data.root={root}", options, folder=tmp_path)
    chosen = {"num_bands": 8, "hop": 0.003, "window": 0.0075}
    for more in ((), (f"resume={tmp_path / 'out'}", "trainer.max_steps=4")):
        if more:
            assert isinstance(cli("train", *more), Path)
        config = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
        assert config["data"]["features"] == "log_spectrogram"
        assert config["data"]["feature_options"] == chosen


def test_columns_of_training_are_not_forced_on_a_table_with_standard_names(
    tmp_path, caplog, monkeypatch
):
    (tmp_path / "data").mkdir()
    for name in "abc":
        np.save(tmp_path / "data" / f"{name}.npy", np.zeros((200, 2), np.float32))
    (tmp_path / "annotations.csv").write_text(
        "sequence,start,end\na,1,2\nb,1,2\nc,1,2\n", encoding="utf-8"
    )
    trained = {"root": "elsewhere", "columns": {"sequence": "recording", "start": "begin_s"}}
    config = OmegaConf.create(
        {"data": {"root": str(tmp_path), "columns": None, "unit": None}, "subset": "all"}
    )
    data = AnnotatedData(tmp_path, columns=trained["columns"], fps=10)
    with pytest.raises(ValueError, match="data.columns=null: standard names.*: .*no columns"):
        set_up(data, config, trained, ["nothing"], False)
    data = AnnotatedData(tmp_path, columns={}, fps=10)
    with caplog.at_level("INFO", "spanloc"):
        assert set_up(data, config, trained, ["nothing"], False) == "all"
    assert caplog.messages[-1].endswith(
        "The annotations are read with the unit (seconds) of the training data"
    )
    # The columns of training are not those of label tracks, which say their unit.
    (tmp_path / "labels").mkdir()
    (tmp_path / "data").rename(tmp_path / "labels" / "data")
    for name in "abc":
        (tmp_path / "labels" / "data" / f"{name}.txt").write_text("1\t2\twalk\n")
    trained["unit"] = "milliseconds"
    config.data.root, config.data.unit = str(tmp_path / "labels"), "seconds"
    data = AnnotatedData(tmp_path / "labels", columns=trained["columns"], fps=10)
    caplog.clear()
    with caplog.at_level("INFO", "spanloc"):
        assert set_up(data, config, trained, ["nothing"], False) == "all"
    assert "of the training data" not in caplog.text
    assert data.test_set[0].spans.tolist() == [[10, 20]]
    (tmp_path / "labels" / "data").rename(tmp_path / "data")
    config.data.root, config.data.unit = str(tmp_path), None
    # A copy of a recording of the run, whose split is not known here.
    size = (tmp_path / "data" / "a.npy").stat().st_size
    known = Fingerprint({}, {"data/a.npy": (size, 0)})
    monkeypatch.setattr("spanloc.cli.evaluated_data._data_of_training", lambda _: known)
    caplog.clear()
    set_up(AnnotatedData(tmp_path, fps=10), config, trained, ["nothing"], False)
    warning = "the training run had 1 of the 3 recordings that are evaluated, such as data/a.npy"
    assert caplog.messages[-1].startswith(warning)
    # What is held out of a folder that has grown may have been trained on.
    config.subset = "test"
    known.signals.update({"data/b.npy": (size, 0), "data/c.npy": (size, 0)})
    for grown in (False, True):
        if grown:
            del known.signals["data/a.npy"]
            known.signals["data/d.npy"] = (size, 0)
        caplog.clear()
        data = AnnotatedData(tmp_path, fps=10, split_seed=1)
        set_up(data, config, trained, ["nothing"], False)
        (held,) = (record.id for record in data.test_set.records)
        assert held != "a"
        warning = (
            f"the training run had 1 of the 1 recording that are evaluated, such as data/{held}"
        )
        assert (warning in caplog.text) == grown
    # Where the run says what it trained on, only that counts, also after the annotations have changed.
    signals = {f"data/{name}.npy": (size, 0) for name in "abc"}
    for begin, trained_on in ((0.0, True), (1000.0, False)):
        known = Fingerprint({}, signals, {"training": {f"data/{held}.npy": (begin, begin + 2.0)}})
        caplog.clear()
        set_up(AnnotatedData(tmp_path, fps=10, split_seed=1), config, trained, ["nothing"], False)
        assert (
            "the training run used 1 of the 1 evaluated recordings" in caplog.text
        ) == trained_on


def test_names_in_other_letters_need_no_quotes(cli, tmp_path):
    root = folder(tmp_path / "été", write_wav, ".wav")
    text = (root / "annotations.csv").read_text().replace(",a\n", ",Größe\n")
    (root / "annotations.csv").write_text(text.replace("label", "Étiquette"))
    settings = ["data.root=été", "data.columns={label: Étiquette}", "data.label_map={Größe: b}"]
    cli("check", *settings, "hydra.run.dir=prüfung", folder=tmp_path)
    assert json.loads((tmp_path / "prüfung" / "check.json").read_text())["labels"][0]["name"] == "b"


def test_a_mapping_in_both_quotes_takes_the_place_of_that_of_a_file_of_settings(cli, tmp_path):
    folder(tmp_path / "here", write_wav, ".wav")
    (tmp_path / "settings" / "data").mkdir(parents=True)
    text = "defaults: [annotations]\nroot: here\nlabel_map: {a: x}\n"
    (tmp_path / "settings" / "data" / "mine.yaml").write_text(text)
    words = ("--config-dir=settings", "data=mine", "hydra.run.dir=out")
    stop = cli("check", *words, "data.label_map={b: y}", folder=tmp_path)
    assert "a file of settings has a mapping data.label_map; to replace it" in str(stop)
    cli("check", *words, 'data.label_map="{b: y}"', folder=tmp_path)
    labels = json.loads((tmp_path / "out" / "check.json").read_text())["labels"]
    assert [label["name"] for label in labels] == ["a", "y"]
