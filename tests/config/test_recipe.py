import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanloc.config.recipe import BUDGETS, choose
from spanloc.config.training_facts import TrainingFacts, num_processes
from spanloc.files import time_text

OPEN = {
    "budget": "default",
    "backbone": {"stride": None},
    "neck": {"num_levels": None},
    "data": {"crop_seconds": None, "crops_per_epoch": None, "batch_size": None, "num_workers": None},
    "trainer": {"max_epochs": None, "max_steps": -1, "accumulate_grad_batches": 1},
    "scheduler": {"warmup": None},
    "callbacks": {"average": {"decay": None}},
}  # fmt: skip
SBHAR = TrainingFacts(
    seconds_per_step=0.02, steps=[18000] * 33, val_steps=[18000] * 8, shortest=139.0,
    longest=2030.0, num_spans=646, num_classes=12, one_each=False,
)  # fmt: skip


def chosen(facts, config=OPEN, **changes):
    return {place: value for place, value, _ in choose({**config, **changes}, facts)}


def steps_of(found, facts=SBHAR):
    return found["trainer.max_epochs"] * found["data.crops_per_epoch"] // found["data.batch_size"]


def test_all_that_is_open_is_chosen_with_a_reason():
    choices = choose(OPEN, SBHAR)
    places = {f"{group}.{name}" for group, fields in OPEN.items() if group != "budget"
              for name, value in fields.items() if value is None}  # fmt: skip
    places = places - {"callbacks.average"} | {"callbacks.average.decay"}
    assert {choice.place for choice in choices} == places
    assert all(choice.reason for choice in choices)


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("backbone", "stride", 5), ("neck", "num_levels", 3), ("data", "crop_seconds", 60.0),
        ("data", "crops_per_epoch", 7), ("data", "batch_size", 3), ("data", "num_workers", 2),
        ("trainer", "max_epochs", 4),
    ],
)  # fmt: skip
def test_what_is_set_stays_and_the_rest_follows(group, name, value):
    config = {**OPEN, group: {**OPEN[group], name: value}}
    found = chosen(SBHAR, config)
    assert f"{group}.{name}" not in found
    if name == "max_epochs":  # of the usual length
        assert found["data.crops_per_epoch"] == chosen(SBHAR)["data.crops_per_epoch"]
    if name == "batch_size":  # the number of steps stays
        assert found["trainer.max_epochs"] * found["data.crops_per_epoch"] // 3 == 500


def test_the_steps_follow_spans_and_labels_not_recordings_unless_a_budget_or_number_is_set():
    few = replace(SBHAR, steps=[60000] * 4, val_steps=[60000])
    assert steps_of(chosen(few)) == steps_of(chosen(SBHAR)) == 500
    many, huge = replace(SBHAR, num_spans=9000), replace(SBHAR, num_spans=10**7)
    assert 600 < steps_of(chosen(many)) < steps_of(chosen(huge)) == 2000
    found = [steps_of(chosen(SBHAR, budget=name)) for name in ("quick", "default", "best")]
    assert found == [180, 500, 3000]
    with pytest.raises(ValueError, match="budget is 'huge'; wanted one of quick, default, best"):
        chosen(SBHAR, budget="huge")
    trainer = {**OPEN["trainer"], "max_steps": 100}
    assert steps_of(chosen(SBHAR, trainer=trainer)) == 100


@pytest.mark.parametrize(
    ("trainer", "count"),
    [
        ({"devices": 2}, 2),
        ({"devices": "2", "num_nodes": 3}, 6),
        ({"devices": [0, 3]}, 2),
        ({"devices": "1,3"}, 2),
        ({"devices": "0,"}, 1),
        ({"devices": "²", "num_nodes": "x"}, 1),
        ({"devices": "auto", "accelerator": "cpu"}, 1),
        ({"devices": "some"}, 1),
        ({}, 1),
    ],
)
def test_several_processes_make_as_many_steps_as_one(trainer, count):
    assert num_processes(trainer) == count
    several = {**OPEN, "trainer": {**OPEN["trainer"], **trainer}}
    for facts in (SBHAR, replace(SBHAR, steps=[1000] * 600)):
        found, alone = chosen(facts, several), chosen(facts)
        batch, one = found["data.batch_size"], alone["data.batch_size"]
        assert batch == pytest.approx(one / count, abs=0.5)
        crops, own = (c["data.crops_per_epoch"] for c in (found, alone))
        assert crops / (batch * count) == own / one
        assert found["trainer.max_epochs"] == alone["trainer.max_epochs"]


def test_short_recordings_and_those_of_one_span_stay_whole():
    assert chosen(SBHAR)["data.crop_seconds"] < 360
    assert chosen(replace(SBHAR, steps=[3000] * 33))["data.crop_seconds"] == math.inf
    assert chosen(SBHAR, decode={"max_predictions": 1})["data.crop_seconds"] == math.inf
    assert chosen(SBHAR, decode={"max_predictions": 200})["data.crop_seconds"] < 360


def test_a_long_validation_is_made_less_often():
    long = replace(SBHAR, val_steps=[10**8])
    found = chosen(long)
    assert found["trainer.max_epochs"] == 1
    assert steps_of(found) == 500


def test_spans_too_long_for_the_memory_get_a_coarser_grid():
    facts = replace(SBHAR, shortest=20.0, longest=200_000.0, steps=[10**6] * 8)
    found = chosen(facts)
    assert found["data.crop_seconds"] / 0.02 > 200_000
    assert found["data.crop_seconds"] / 0.02 / found["backbone.stride"] < 20_000


@pytest.mark.parametrize(("typical", "stride"), [(15.0, 3), (6.0, 1)])
def test_crops_hold_the_longest_span_three_times_where_typical_short_ones_keep_their_cells(
    typical, stride
):
    facts = replace(SBHAR, shortest=typical, longest=15_000.0, steps=[108_000] * 20)
    found = chosen(facts)
    assert found["backbone.stride"] == stride
    times = found["data.crop_seconds"] / facts.seconds_per_step / 15_000
    assert times == pytest.approx(3 if stride == 3 else 16_384 / 15_000, rel=0.01)


def test_signals_that_take_work_to_read_get_a_process_for_it():
    assert chosen(SBHAR)["data.num_workers"] == 0
    assert chosen(replace(SBHAR, slow=True))["data.num_workers"] == 1
    data = {**OPEN["data"], "transforms": {"speed": {"low": 0.9}}}
    assert chosen(SBHAR, data=data)["data.num_workers"] == 1


def test_data_without_crops_get_passes_over_all_sequences():
    found = chosen(replace(SBHAR, steps=[256] * 2000), data={"batch_size": 32})
    assert found["trainer.max_epochs"] == 9


@given(
    steps=st.lists(st.integers(1, 10**7), min_size=1, max_size=20),
    val=st.lists(st.integers(1, 10**7), min_size=1, max_size=5),
    sizes=st.tuples(st.floats(1, 1e5), st.floats(1, 10)),
    spans=st.integers(1, 10**6),
    classes=st.integers(1, 500),
    rate=st.floats(0.01, 1e5),
)
def test_choices_are_bounded_whatever_the_data(steps, val, sizes, spans, classes, rate):
    shortest, times = sizes
    facts = TrainingFacts(1 / rate, steps, val, shortest, shortest * times, spans, classes, False)
    found = chosen(facts)
    stride, batch = found["backbone.stride"], found["data.batch_size"]
    assert stride >= 1
    assert 1 <= batch <= 32
    assert 1 <= found["neck.num_levels"] <= 20
    assert 1 <= found["trainer.max_epochs"] <= 20
    assert 0 < found["callbacks.average.decay"] < 1
    cells = min(found["data.crop_seconds"] * rate, max(steps)) / stride
    # A step costs no more memory than one sequence of the longest crop.
    assert cells * batch < 17_000
    assert 500 <= steps_of(found) <= 2100
    # A short span has several cells, unless it has no more steps.
    assert shortest / stride >= min(8, shortest) or facts.longest / stride > 1000


def test_spans_that_are_not_counted_are_said():
    (_, levels, *_) = choose(OPEN, replace(SBHAR, num_longer=1))
    assert levels.reason.endswith("s (1 far longer: not counted)")


def test_the_facts_are_those_of_the_training_data(annotated):
    from spanloc.data import AnnotatedData

    data = AnnotatedData(annotated)
    data.setup()
    facts = TrainingFacts.of(data)
    assert sum(len(lengths) for lengths in data.span_lengths()) == facts.num_spans
    assert (facts.shortest, facts.longest, facts.num_classes) == (15, 20, 2)
    assert not facts.one_each
    assert not facts.slow
    assert facts.num_channels == 2
    assert 0 <= facts.offsets < 0.3
    assert (facts.extremes, facts.extreme_channel) == data.extremes()
    assert facts.extremes < 3
    assert facts.coverage == pytest.approx(
        sum(float(sizes.sum()) for sizes in data.span_lengths()) / sum(facts.steps)
    )
    assert set(BUDGETS) == {"quick", "default", "best"}


RECORDINGS = {
    **OPEN,
    "localizer": {"baseline": None, "limit": None, "changes": None},
    "transforms": {"jitter": {"std": None, "usual": None}},
}


def test_recordings_that_differ_all_the_time_are_freed_of_it():
    apart = replace(SBHAR, offsets=0.4, coverage=0.3)
    assert chosen(apart, RECORDINGS)["localizer.baseline"] == 8120  # four times the longest span
    filled = replace(apart, coverage=0.6, labels_each=2.5)
    assert "localizer.baseline" in chosen(replace(filled, offsets=0.9), RECORDINGS)
    reasons = {one.place: one.reason for one in choose(RECORDINGS, apart)}
    size = time_text(4 * apart.longest * apart.seconds_per_step)
    assert f"a running mean over {size} is subtracted: " in reasons["localizer.baseline"]
    one_each = replace(filled, offsets=0.9, labels_each=1.2)
    for like in (replace(apart, offsets=0.2), filled, one_each):
        assert "localizer.baseline" not in chosen(like, RECORDINGS)
    assert "localizer.baseline" not in chosen(apart, {**RECORDINGS, "localizer": {"baseline": 0}})


def test_rare_values_far_out_are_compressed():
    spoilt = replace(SBHAR, extremes=8.7, extreme_channel="acc_x")
    (choice,) = [one for one in choose(RECORDINGS, spoilt) if one.place == "localizer.limit"]
    assert choice.value == 10
    assert choice.reason.startswith("acc_x: rare values far outside its usual range make its")
    assert chosen(spoilt, RECORDINGS)["transforms.jitter.usual"] is True
    usual = chosen(replace(SBHAR, extremes=2.9), RECORDINGS)
    assert not {"localizer.limit", "transforms.jitter.usual"} & set(usual)
    assert "localizer.limit" not in chosen(spoilt, {**RECORDINGS, "localizer": {"limit": 0}})


def test_small_changes_become_channels():
    found = chosen(replace(SBHAR, changes=136.4), RECORDINGS)
    assert (found["localizer.changes"], found["transforms.jitter.std"]) == (136, 0.0037)
    some = chosen(replace(SBHAR, changes=2.6), RECORDINGS)
    assert (some["localizer.changes"], "transforms.jitter.std" in some) == (2.6, False)
    for usual in ({"changes": 2.5}, {"changes": 136.4, "num_channels": 128}):
        assert "localizer.changes" not in chosen(replace(SBHAR, **usual), RECORDINGS)


def test_many_channels_get_more_noise():
    assert chosen(replace(SBHAR, num_channels=128), RECORDINGS)["transforms.jitter.std"] == 1.0
    assert "transforms.jitter.std" not in chosen(replace(SBHAR, num_channels=127), RECORDINGS)


def test_a_rare_label_of_short_spans_gets_cells_too():
    assert chosen(SBHAR)["backbone.stride"] == 10
    # A typical span of every label has five cells.
    assert chosen(replace(SBHAR, short_label="cough", short_median=10.0))["backbone.stride"] == 2
    assert chosen(replace(SBHAR, short_label="cough", short_median=60.0))["backbone.stride"] == 10
    # At most ten times finer.
    long = replace(SBHAR, shortest=1400.0, longest=20300.0)
    assert chosen(long)["backbone.stride"] == 108
    assert chosen(replace(long, short_label="cough", short_median=5.0))["backbone.stride"] == 10
    (stride, *_) = choose(OPEN, replace(SBHAR, short_label="cough", short_median=10.0))
    assert stride.reason == "a typical 'cough' (0.2 s) covers 5 cells"
    config = {**OPEN, "backbone": {"stride": None, "bands": 48}}
    near, far = (choose(config, replace(f, seconds_per_step=1.0))[0].reason for f in (SBHAR, long))
    assert "a short span (139 steps; " in near
    assert ["power in bands" in reason for reason in (near, far)] == [False, True]


DENSE = {**OPEN, "decode": {"max_predictions": None, "max_candidates": None}}


def test_as_many_predictions_may_be_made_as_dense_spans_want():
    found = chosen(replace(SBHAR, counts=[20] * 33), DENSE)
    assert (found["decode.max_predictions"], found["decode.max_candidates"]) == (200, 2000)
    # 18,000 steps are 3544 points of 6 levels: the numbers hold for 2048.
    found = chosen(replace(SBHAR, counts=[20] * 32 + [400]), DENSE)
    assert (found["decode.max_predictions"], found["decode.max_candidates"]) == (700, 7000)
    # A short recording may have no more than one of 2048 points.
    short = replace(SBHAR, steps=[900] * 33, counts=[20] * 32 + [400])
    assert chosen(short, DENSE)["decode.max_predictions"] == 1200
    # Only what is more than usual is worth saying.
    for counts, said in (([20], False), ([400], True)):
        found = {c.place: c.reason for c in choose(DENSE, replace(SBHAR, counts=counts * 33))}
        assert bool(found["decode.max_predictions"]) == said


QUERIES = {**OPEN, "head": {"num_queries": None}}


def test_queries_get_crops_of_few_spans_and_three_queries_for_each():
    found = chosen(SBHAR, QUERIES)
    # A span in 920 steps: 9 in the crop that points have too, twice as many in places.
    assert found["data.crop_seconds"] == chosen(SBHAR)["data.crop_seconds"]
    assert found["head.num_queries"] == 60
    dense = replace(SBHAR, num_spans=6460, longest=300.0, counts=[300])
    found = chosen(dense, QUERIES)
    assert found["data.crop_seconds"] == pytest.approx(10 * 92 * 0.02, rel=0.01)
    assert found["head.num_queries"] == 60
    # Room for the longest span comes first.
    found = chosen(replace(dense, longest=2030.0), QUERIES)
    assert found["data.crop_seconds"] == pytest.approx(3 * 2030 * 0.02, rel=0.01)
    assert found["head.num_queries"] == 400


def test_queries_for_whole_recordings_are_as_many_as_the_fullest_needs():
    short = replace(SBHAR, steps=[3000] * 33, num_spans=66, counts=[11])
    assert chosen(short, QUERIES)["head.num_queries"] == 40
    assert chosen(replace(short, counts=[2]), QUERIES)["head.num_queries"] == 20
    assert "head.num_queries" not in chosen(short, {**OPEN, "head": {"num_queries": 7}})
