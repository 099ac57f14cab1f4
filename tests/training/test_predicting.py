"""Predictions on recordings: from Python, from a Trainer and from the command; whole and in windows."""

import logging
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import HINTS_OF_LIGHTNING, points_model, points_task, single_task, their_trainer
from predicting import NAMES, PREDICT, RATE, signal, spans_of, write_csv

import spanloc
from spanloc.data import AnnotatedData
from spanloc.data.signals import ArraySignal, open_signal
from spanloc.structures import Sample, collate

pytestmark = HINTS_OF_LIGHTNING


@pytest.fixture
def task(named_model):
    return spanloc.load(named_model)


def same(found, other, *, atol=4e-6):  # seconds up to 20, where float32 has steps of 2e-6
    assert found.unit == other.unit == "seconds"
    torch.testing.assert_close(found.spans, other.spans, atol=atol, rtol=0)
    torch.testing.assert_close(found.scores, other.scores, atol=1e-6, rtol=0)
    assert found.labels.tolist() == other.labels.tolist()


def test_python_a_trainer_and_the_command_find_the_same(cli, task, named_model, tmp_path):
    lines = ["sequence,start,end,label,subset", "t0,1,2,walk,training", "t3,1,2,sit,validation"]
    for i, name in enumerate(("t0", "t1", "t2", "t3")):
        write_csv(tmp_path / "data" / f"{name}.csv", signal(i, steps=150 + 40 * i))
    lines += [f"t{i},1,{2 + i},sit,testing" for i in (1, 2)]
    (tmp_path / "annotations.csv").write_text("\n".join(lines) + "\n")
    data = AnnotatedData(tmp_path, batch_size=2)
    (batch,) = their_trainer().predict(task, data)
    words = (f"checkpoint={named_model}", f"input={tmp_path}", *PREDICT)
    assert cli("predict", *words, folder=tmp_path) == tmp_path
    written = spans_of(tmp_path / "out" / "predictions.json")
    assert batch.ids == ("t1", "t2")
    assert set(written) == {"t0", "t3", *batch.ids}
    for place, name in enumerate(batch.ids):
        found = task.predict(open_signal(tmp_path / "data" / f"{name}.csv"), name=name)
        same(found, batch.of(place))
        assert found.ids == (name,)
        assert repr(found) == (
            f"Predictions(spans: {len(found)}, sequences: 1; to_pandas() lists the spans)"
        )
        rows = found.to_pandas().sort_values(["start", "end"])
        expected = [(*span, label, score) for *span, label, score in written[name]]
        assert [row[2] for row in expected] == list(rows["label"])
        for columns, column in ((["start"], 0), (["end"], 1), (["score"], 3)):
            wanted = [row[column] for row in expected]
            np.testing.assert_allclose(rows[columns[0]], wanted, atol=4e-6)


def overlaps(rows):
    rows = sorted(rows)
    return any(one[1] > other[0] for one, other in pairwise(rows))


def test_where_no_training_spans_overlap_predictions_from_a_score_on_do_not(
    cli, task, named_model, tmp_path
):
    assert task.facts.overlapping is False
    write_csv(tmp_path / "a.csv", signal())
    state = torch.load(named_model / "best.ckpt", weights_only=True)
    del state["spanloc"]["facts"]["overlapping"]  # as checkpoints were before
    torch.save(state, tmp_path / "old.ckpt")
    least, line = 1e-4, "of overlapping predictions the one with the highest score is written"

    def written(*words, of=named_model):
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        words = (f"checkpoint={of}", "input=a.csv", *PREDICT, *words)
        assert cli("predict", *words, folder=tmp_path) == tmp_path
        said = line in (out / "predict.log").read_text()
        return spans_of(out / "predictions.json")["a"], said

    every = task.predict(tmp_path / "a.csv")
    few, said = written(f"min_score={least}")
    assert said
    (tmp_path / "bad.csv").write_text("x\n1\n")
    out = ("input=bad.csv", "hydra.run.dir=bad", f"checkpoint={named_model}", f"min_score={least}")
    assert "bad.csv: " in cli("predict", *out, folder=tmp_path)
    assert line not in (tmp_path / "bad" / "predict.log").read_text()
    assert not overlaps(few)
    assert written(f"min_score={least}", "decode.exclusive=true") == (few, False)
    words = (f"checkpoint={named_model}", "input=a.csv", *PREDICT, f"min_score={least}")
    stop = cli("predict", *words, "decode.exclusive=false", "resume=true", folder=tmp_path)
    assert "decode was {'exclusive': True} and is {'exclusive': False} now" in stop
    assert cli("predict", *words, "resume=true", folder=tmp_path) == tmp_path
    found = task.predict(tmp_path / "a.csv", min_score=least)
    assert sorted(found.scores.tolist()) == pytest.approx(sorted(row[3] for row in few))
    for words, of in (
        ([f"min_score={least}", "decode.exclusive=false"], named_model),
        ([f"min_score={least}"], tmp_path / "old.ckpt"),
        (["min_score=0"], named_model),
    ):
        rows, said = written(*words, of=of)
        assert len(rows) == len(every) > len(few)
        assert overlaps(rows)
        assert not said
    assert not task.decode.exclusive  # as before
    assert {*task.decode_from(0.2).min_scores} == {0.2}  # lower ones displace no other


@pytest.mark.parametrize("overlapping", [None, True])
def test_where_training_spans_may_overlap_predictions_may(task, overlapping):
    task.facts = replace(task.facts, overlapping=overlapping)
    every = task.predict(signal())
    found = task.predict(signal(), min_score=float(every.scores.median()))
    assert len(every) / 2 <= len(found) < len(every)
    assert overlaps(found.spans.tolist())


def test_the_frame_has_names_of_labels_and_seconds(task):
    found = task.predict(signal(), rate=RATE, name="monday")
    frame = found.to_pandas()
    assert list(frame) == ["sequence", "start", "end", "label", "score"]
    assert set(frame["sequence"]) == {"monday"}
    assert set(frame["label"]) <= {"walk", "sit"}
    assert frame["score"].is_monotonic_decreasing
    assert frame["end"].max() <= 20
    assert list(found[:0].to_pandas()) == list(frame)


def test_an_array_of_one_channel_may_have_one_dimension():
    task = points_task(points_model(num_channels=1)).eval()
    values = signal(channels=1)
    same(task.predict(values[:, 0], rate=RATE), task.predict(values, rate=RATE))


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int16, np.uint8])
def test_any_dtype_of_values_gives_the_same_predictions(task, kind):
    values = (9 * signal()).round().clip(0).astype(kind)
    same(task.predict(values, rate=RATE), task.predict(values.astype(np.float64), rate=RATE))


def test_a_model_of_one_span_gives_one_in_seconds():
    task = single_task().eval()
    task.decode.max_predictions = 1
    found = task.predict(signal(), rate=4)
    assert found.spans.shape == (1, 2)
    in_steps = task.predict(signal())
    torch.testing.assert_close(found.spans * 4, in_steps.spans)


def test_a_model_made_in_plain_python_takes_the_rate_that_is_given():
    task = points_task().eval()
    sample = Sample(
        "a", torch.from_numpy(signal().T).float(), torch.zeros(0, 2), torch.zeros(0).long()
    )
    with torch.inference_mode():
        steps = task.predict_step(collate([sample]))
    found = task.predict(signal(), rate=50)
    torch.testing.assert_close(found.spans * 50, steps.spans)
    assert task.rate is None


def test_the_rate_is_that_of_the_facts_or_of_the_config(task):
    assert task.rate == RATE
    expected = task.predict(signal())
    task.input = None
    assert task.rate == RATE
    same(task.predict(signal()), expected)
    task.config = None
    assert task.rate is None


def test_the_mode_of_the_model_stays_as_it_was(task):
    assert not task.training
    task.predict(signal(), rate=RATE)
    assert not task.training
    expected = task.predict(signal(), rate=RATE)
    task.train()
    # In training mode dropout would change it.
    task.localizer.register_forward_pre_hook(lambda module, _: _require_eval(module))
    same(task.predict(signal(), rate=RATE), expected)
    assert task.training
    with pytest.raises(ValueError, match="channels"):
        task.predict(signal(channels=2), rate=RATE)
    assert task.training


def _require_eval(module):
    assert not any(part.training for part in module.modules())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named(task, value):
    values = signal()
    values[120, 1] = value
    task.train()
    with pytest.raises(ValueError, match=r"array: .*(120|channel)") as caught:
        task.predict(values, rate=RATE)
    assert "\n" not in str(caught.value)
    assert task.training


def test_windows_find_what_one_pass_finds(task):
    values = signal(steps=3000)
    task.window = None
    # These grow with the number of windows.
    task.decode.max_candidates = task.decode.max_predictions = 100_000
    whole = task.predict(values, rate=RATE)
    task.window = 512
    pieces = task.predict(values, rate=RATE)
    assert len(pieces) == len(whole) > 1000
    # Further down, scores are so close that rounding changes their order.
    same(pieces[:100], whole[:100], atol=1e-4)
    assert whole.spans[:100].max() > 250


def test_a_long_recording_is_read_piece_by_piece(task):
    class Counted(ArraySignal):
        longest = 0

        def read(self, first, last):
            self.longest = max(self.longest, last - first)
            return super().read(first, last)

    task.window = 512
    recording = Counted(signal(steps=5000), RATE)
    found = task.predict(recording)
    assert 1 < recording.longest <= 2048
    assert found.spans.max() > 400


def test_what_is_done_to_recordings_is_said_once(task, caplog):
    with caplog.at_level(logging.WARNING, "spanloc"):  # what Python shows by default
        for name in ("a", "b"):
            task.predict(signal(), rate=20, name=name)
    assert caplog.messages == ["a: resampled from 20 to 10 Hz"]


def test_the_file_of_a_recording_names_it(task, tmp_path):
    np.save(tmp_path / "monday.npy", signal())
    recording = open_signal(tmp_path / "monday.npy")
    assert task.predict(recording, rate=RATE).ids == ("monday",)
    assert task.predict(recording, rate=RATE, name="x").ids == ("x",)
    assert task.predict(signal(), rate=RATE).ids == ("recording",)


def test_names_of_channels_decide_in_python_too(task):
    values = signal()
    expected = task.predict(ArraySignal(values, RATE, NAMES))
    turned = ArraySignal(values[:, ::-1].copy(), RATE, NAMES[::-1])
    same(task.predict(turned), expected)
    same(task.predict(values[:, ::-1], rate=RATE, channels=[2, 1, 0]), expected)
    with pytest.raises(ValueError, match="rate is 20; wanted 10"):
        task.predict(values, rate=20, on_rate="error")


def test_columns_of_a_data_frame_are_channels_by_name(task):
    values = signal()
    frame = pd.DataFrame(values, columns=list(NAMES))
    same(task.predict(frame[list(NAMES[::-1])]), task.predict(values))
    with pytest.raises(ValueError, match="it lacks the channels 'y'"):
        task.predict(frame.drop(columns="y"))


def test_a_file_is_read_for_the_channels_of_training_whatever_its_other_columns_hold(
    task, tmp_path
):
    values = signal()
    write_csv(tmp_path / "a.csv", values)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    text = [f"{line},{'state' if i == 0 else 'ok'}" for i, line in enumerate(lines)]
    (tmp_path / "a.csv").write_text("\n".join(text) + "\n")
    found = task.predict(tmp_path / "a.csv")
    assert found.ids == ("a",)
    same(found, task.predict(values))
    same(
        task.predict(str(tmp_path / "a.csv"), channels=[2, 0, 1]),
        task.predict(values[:, [2, 0, 1]]),
    )
    (tmp_path / "a.csv").write_text("\n".join(text).replace("y", "why"))
    with pytest.raises(ValueError, match=r"a.csv: has no channel 'y'; it has 'x', 'why', 'z'"):
        task.predict(tmp_path / "a.csv")
