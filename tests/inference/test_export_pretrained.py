"""Folders of safetensors: what was saved predicts the same, and no file is trusted."""

import json

import numpy as np
import pytest
import torch
from processes import python
from recordings import edit
from safetensors.torch import load_file

import spanloc
from spanloc.inference.pretrained import PretrainedLocalizer


@pytest.fixture
def saved(trained, tmp_path):
    PretrainedLocalizer.of(spanloc.load(trained["detection"])).save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def recording(task, steps=150):
    shape = steps, task.localizer.num_channels
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", ["single", "detection"])
def test_predictions_are_the_same_after_a_round_trip(name, trained, tmp_path):
    task = spanloc.load(trained[name])
    PretrainedLocalizer.of(task).save_pretrained(tmp_path)
    found = PretrainedLocalizer.from_pretrained(tmp_path)
    assert not found.training
    before, after = task.predict(recording(task)), found.predict(recording(task))
    assert len(before)
    assert torch.equal(before.spans, after.spans)
    assert torch.equal(before.scores, after.scores)
    assert before.classes == after.classes
    assert (found.window, found.input, found.facts) == (task.window, task.input, task.facts)
    # Once more, from what came back.
    found.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "config.json").read_bytes() == (
        tmp_path / "config.json"
    ).read_bytes()


def test_settings_of_the_decoding_are_saved(trained, tmp_path):
    task = spanloc.load(trained["detection"])
    task.config["module"]["decode"] |= {"max_predictions": 3, "min_score": 0.01}
    model = PretrainedLocalizer.of(task)
    with pytest.raises(
        ValueError, match=r"decode.min_score is 0.001; in the config, .* it is 0.01"
    ):
        model.save_pretrained(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    task.decode.max_predictions, task.decode.min_score = 3, 0.01
    model.save_pretrained(tmp_path / "saved")
    found = PretrainedLocalizer.from_pretrained(tmp_path / "saved")
    assert (found.decode.max_predictions, found.decode.min_score) == (3, 0.01)


def test_the_folder_holds_weights_config_and_card_without_folders_of_the_machine(saved, trained):
    assert {path.name for path in saved.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
    }
    content = json.loads((saved / "config.json").read_text())
    assert content["config"].keys() == {"module", "seconds_per_step"}
    assert not {"optimizer", "scheduler"} & content["config"]["module"].keys()
    assert str(trained["detection"]) not in (saved / "config.json").read_text()
    assert load_file(saved / "model.safetensors").keys() == (
        spanloc.load(trained["detection"]).state_dict().keys()
    )
    assert "library_name: spanloc" in (saved / "README.md").read_text()


@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "spanloc.files.write_json"])
def test_a_config_cannot_run_code(target, saved, tmp_path):
    node = {"_target_": target, "_args_": [f"touch {tmp_path}/ran"]}
    edit(saved, lambda content: content["config"]["module"].update(decode=node), "config.json")
    with pytest.raises(ValueError, match=rf"saved: decode would build '{target}'"):
        PretrainedLocalizer.from_pretrained(saved)
    assert not (tmp_path / "ran").exists()


def test_a_package_can_be_allowed(saved):
    node = {"_target_": "fractions.Fraction", "numerator": 1}
    edit(saved, lambda content: content["config"]["module"].update(decode=node), "config.json")
    with pytest.raises(ValueError, match="would build"):
        PretrainedLocalizer.from_pretrained(saved)
    # It is built, and is no decoding.
    with pytest.raises(ValueError, match=r"Fraction"):
        PretrainedLocalizer.from_pretrained(saved, allow=["fractions"])


@pytest.mark.parametrize("text", ["[]", "", "{", '{"classes": 1}', "[" * 100_000, '{"config": []}'])
def test_a_config_that_is_none_is_one_error(text, saved):
    (saved / "config.json").write_text(text)
    with pytest.raises(ValueError, match="saved"):
        PretrainedLocalizer.from_pretrained(saved)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\xff" * 8, None])
def test_weights_that_are_none_are_one_error(content, saved):
    whole = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(whole[:-5] if content is None else content)
    with pytest.raises(ValueError, match=r"model.safetensors: not a file of safetensors"):
        PretrainedLocalizer.from_pretrained(saved)


def test_a_missing_file_is_named(saved):
    (saved / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model.safetensors"):
        PretrainedLocalizer.from_pretrained(saved)


def test_weights_of_another_model_do_not_fit(saved):
    edit(
        saved,
        lambda content: content["config"]["module"]["localizer"].update(head=None),
        "config.json",
    )
    with pytest.raises(ValueError, match="saved"):
        PretrainedLocalizer.from_pretrained(saved)


def test_a_model_of_plain_python_has_no_config_to_save(trained, tmp_path):
    task = PretrainedLocalizer.of(spanloc.load(trained["single"]))
    task.config = None
    with pytest.raises(ValueError, match="built in plain Python"):
        task.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


@pytest.mark.slow  # 5 s
def test_the_hub_is_imported_only_where_it_is_used_and_named_where_it_is_missing():
    code = "import sys, spanloc, spanloc.inference; spanloc.load, spanloc.SpanLocalizer; "
    code += "print([n for n in sys.modules if n in ('huggingface_hub', 'safetensors', 'onnx')]); "
    code += "sys.modules['huggingface_hub'] = None; import spanloc.inference.pretrained"
    done = python("-c", code, code=1)
    assert done.stdout == "[]\n"
    assert "pip install 'spanloc[hub]'" in done.stderr
