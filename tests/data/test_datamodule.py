"""DataModules: what is trained on, and what is known of it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from recordings import edit, set_field

from spanloc.data import (
    AnnotatedData,
    Annotations,
    EpochIndex,
    EpochSampler,
    SpanDataModule,
    SyntheticData,
    from_arrays,
)
from spanloc.data.annotations.folder import read_annotations
from spanloc.data.sequences import cut
from spanloc.data.transforms import Jitter, Speed, Transformed
from spanloc.facts import DataFacts
from spanloc.structures import Sample


def read(root, **options):
    data = AnnotatedData(root, **options)
    data.setup("fit")
    return data


def sample(name, features, spans=()):
    spans = torch.tensor(spans, dtype=torch.float32).reshape(-1, 2)
    return Sample(name, torch.tensor(features), spans, torch.zeros(len(spans), dtype=torch.int64))


class Listed(SpanDataModule):
    """A user's own DataModule over a list, which says nothing more."""

    def __init__(self, samples, **options):
        super().__init__(**options)
        self.train_set = self.val_set = self.test_set = samples
        self.classes = ["a", "b", "c"]


def test_files_are_read_by_setup_and_once(tmp_path, annotated):
    # Hydra, and load_from_checkpoint, make one without the files.
    AnnotatedData(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(tmp_path / "nowhere")
    data = read(annotated)
    train_set = data.train_set
    (annotated / "annotations.json").unlink()
    data.setup("test")
    assert data.train_set is train_set


def test_facts_are_read_off_the_samples():
    lengths = [1.0, *[20.0] * 38, 30.0]
    samples = [sample(f"s{i}", [[0.0] * 40] * 2, [[5.0, 5 + n]]) for i, n in enumerate(lengths)]
    data = Listed([*samples, sample("none", [[0.0]] * 2)])
    # The 5 % quantile of 40 lengths lies at place 1.95, between the second and the third.
    assert data.facts() == DataFacts(2, 3, shortest=20.0, longest=30.0, overlapping=False)
    assert [len(lengths) for lengths in data.span_lengths()] == [1] * 40 + [0]


def test_facts_of_no_spans_are_refused():
    with pytest.raises(ValueError, match="the training sequences have no spans at all"):
        Listed([sample("a", [[0.0]])]).facts()


def test_a_label_beyond_the_classes_is_named_with_its_sequence():
    one = sample("mine", [[0.0] * 40], [[5.0, 9.0]])
    data = Listed([sample("fine", [[0.0]]), replace(one, labels=torch.tensor([3]))])
    for facts in (data.statistics, data.facts):
        with pytest.raises(
            ValueError, match="sequence 'mine': a label is 3; classes names 3, from 0"
        ):
            facts()
    data.classes = []
    assert data.statistics()[0].tolist() == [0]


def test_before_setup_the_data_say_that_it_is_to_be_called(annotated):
    data = AnnotatedData(annotated)
    for name in ("classes", "train_set", "val_set"):
        assert not hasattr(data, name)
        with pytest.raises(AttributeError, match=rf"AnnotatedData has no {name}: call setup\(\)"):
            getattr(data, name)
    with pytest.raises(AttributeError, match="AnnotatedData has no other$"):
        data.other  # noqa: B018


def test_what_is_known_of_files_is_what_their_samples_say(annotated):
    short = read(annotated, crop_seconds=2)
    whole = read(annotated)
    base = super(AnnotatedData, whole)
    for ours, theirs in (
        (whole.statistics(), base.statistics()),
        (short.statistics(), base.statistics()),
        *zip(whole._targets(), base._targets(), strict=True),
        *zip(short._targets(), base._targets(), strict=True),
    ):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b)
    assert short.facts() == read(annotated).facts() == DataFacts(2, 2, 15.0, 20.0, False)


def test_crops_depend_on_the_seed(annotated):
    one, two = (read(annotated, crop_seconds=2, seed=s).train_set for s in (0, 1))
    assert [one[i].timeline.offset for i in range(4)] != [two[i].timeline.offset for i in range(4)]
    assert one.crop == two.crop == 20


def test_evaluation_drops_nothing():
    data = SyntheticData(num_train=10, num_val=7, num_test=5, batch_size=4)
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    assert [sum(len(batch) for batch in loader) for loader in loaders] == [8, 7, 5]
    few = SyntheticData(num_train=3, num_val=1, num_test=1, batch_size=4)
    assert [len(batch) for batch in few.train_dataloader()] == [3]


def test_validation_keeps_subjects_apart_and_testing_out(annotated):
    for seed in range(5):
        data = read(annotated, val_share=0.3, split_seed=seed)
        train = {record.subject for record in data.train_set.records}
        val = {record.subject for record in data.val_set.records}
        assert len(data.train_set) + len(data.val_set) == 6
        assert not train & val
        assert {record.id for record in data.test_set.records} == {"s6", "s7"}

    def held_out(**options):
        return tuple(record.id for record in read(annotated, **options).val_set.records)

    assert len({held_out(split_seed=seed) for seed in range(9)}) > 1
    # Runs that differ in their seed are compared on the same recordings.
    assert len({held_out(seed=seed) for seed in range(9)}) == 1


def test_no_share_for_validation_trains_on_every_training_recording(annotated):
    data = read(annotated, val_share=0.0)
    assert (len(data.train_set), len(data.val_set), data.sizes()["val"]) == (6, 0, [])
    assert list(data.val_dataloader()) == []


def test_statistics_are_of_the_training_sequences_alone(annotated):
    data = read(annotated, val_share=0.3)
    rows = np.concatenate(
        [np.load(record.signal.path) for record in data.train_set.records], dtype=np.float64
    )
    mean, std = data.statistics()
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(std, rows.std(0), rtol=1e-5)
    for name in ("s6", "s7"):
        np.save(annotated / "data" / f"{name}.npy", 1e6 + np.load(annotated / f"data/{name}.npy"))
    assert torch.equal(read(annotated, val_share=0.3).statistics()[0], mean)


def test_of_one_subject_some_recordings_validate_and_that_is_noted(annotated):
    edit(annotated, lambda content: [r.update(subject="one") for r in content["database"].values()])
    data = read(annotated)
    assert len(data.val_set) == 1
    assert data.notes[-1] == (
        "only one subject to train on: 'one'. There is no other, so no result says how good the model "
        "is for others"
    )


def test_of_one_recording_a_stretch_is_validated_on_and_the_end_is_tested_on(annotated):
    whole, *_ = read_annotations(annotated).subsets["training"]
    spans = torch.tensor([[1.0, 3.0], [5, 8], [10, 12], [15, 18]])
    whole = replace(whole, spans=spans, labels=torch.tensor([0, 1, 0, 1]))
    data = read(Annotations(["a", "b"], {"training": [whole]}))
    parts = [data.train_set[0], data.val_set[0], data.test_set[0]]
    features = torch.cat([part.features for part in parts], dim=1)
    assert torch.equal(features, cut(whole, 0, whole.num_steps).features)
    assert min(len(part.spans) for part in parts) > 0


def test_a_validation_subset_is_taken_as_it_is(annotated):
    edit(annotated, set_field("subset", "validation"))
    data = read(annotated)
    assert [record.id for record in data.val_set.records] == ["s2"]
    assert len(data.train_set) == 5


def test_crops_that_can_hold_no_span_are_refused(annotated):
    with pytest.raises(ValueError, match=r"crop_seconds is 0.5: no crop holds 50% .* has 1.5 s"):
        read(annotated, crop_seconds=0.5)
    assert read(annotated, crop_seconds=0.8).whole_train_set is not None


def test_recordings_of_another_rate_are_resampled_and_that_is_noted(annotated):
    edit(annotated, lambda content: content["database"]["s2"].update(fps=5, duration=14.0))
    data = read(annotated)
    (note,) = [note for note in data.notes if "resampled" in note]
    assert note == "1 of 8 recordings resampled from 5 to 10 Hz"
    assert data.slow
    assert next(r for r in data.annotations.subsets["training"] if r.id == "s2").num_steps == 140
    with pytest.raises(ValueError, match=r"s2.npy: rate is 5; wanted 10"):
        read(annotated, on_rate="error")


def test_without_a_subset_to_test_on_a_share_by_subject_is_held_out(annotated):
    def divide(content):
        for i, fields in enumerate(content["database"].values()):
            fields |= {"subset": "training", "subject": f"p{i // 2}"}

    edit(annotated, divide)
    data = read(annotated)
    parts = [{r.subject for r in part} for part in (data._train, data._val, data._test)]
    assert [len(part) for part in parts] == [2, 1, 1]
    assert set.union(*parts) == {"p0", "p1", "p2", "p3"}
    assert len(data.notes) == 2
    assert not read(annotated, test_share=0)._test


def recordings(*steps, **options):
    """A DataModule over recordings of these numbers of steps, most of which are to train on."""
    signals = {f"r{i}": np.zeros((n, 2), np.float32) for i, n in enumerate(steps)}
    data = from_arrays(signals, {name: [(0.0, 0.5, "a")] for name in signals}, rate=10, **options)
    data.setup("fit")
    return data


def known(data):
    return data.train_dataloader().sampler.lengths


@pytest.mark.parametrize("transforms", [(), (Jitter(),)])
def test_batches_of_whole_recordings_go_by_length(transforms):
    data = recordings(*range(10, 90), batch_size=4, transforms=transforms)
    batches = sorted(sorted(batch.mask.sum(1).tolist()) for batch in data.train_dataloader())
    assert len(batches) == len(data.train_set) // 4
    for one, following in pairwise(batches):
        assert one[-1] <= following[0]


@pytest.mark.parametrize(
    ("options", "lengths"),
    [
        ({}, [30, 40, 60, 70, 90]),
        ({"crop_seconds": 5.0}, None),
        ({"crops_per_epoch": 33}, None),
        ({"crop_seconds": 5.0, "transforms": [Speed(1.0, 1.0)]}, None),
    ],
)
def test_lengths_of_the_samples_of_each_epoch_are_known_without_reading(options, lengths):
    data = recordings(10, 20, 30, 40, 50, 60, 70, 90, batch_size=2, **options)
    if lengths:
        lengths = [record.num_steps for record in data.train_set.records]
    drawn = set()
    for epoch in range(3):
        samples = [data.train_set[EpochIndex(i, epoch)] for i in range(len(data.train_set))]
        found = [sample.features.shape[1] for sample in samples]
        assert known(data)(epoch) == found == (lengths or found)
        drawn |= set(found)
    assert len(drawn) > 1


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_data_module_over_lists_gives_every_sequence_once_in_an_order_of_each_epoch(num_workers):
    samples = [sample(f"s{i}", [[0.0]]) for i in range(12)]
    data = Listed(samples, batch_size=4, num_workers=num_workers)
    loader = data.train_dataloader()
    orders = []
    for epoch in range(4):
        loader.sampler.set_epoch(epoch)
        orders.append([name for batch in loader for name in batch.ids])
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert len(set(orders[0])) == 12
    assert len(set(map(tuple, orders))) == 4
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert [name for batch in loader for name in batch.ids] == [f"s{i}" for i in range(12)]


def test_lengths_are_known_of_lists_and_of_data_sets_that_say_them():
    samples = [sample(f"s{i}", [[0.0] * (i % 7 + 1)]) for i in range(20)]

    class Said:
        def __init__(self, lengths):
            self.lengths = lengths

        def __len__(self):
            return len(samples)

        def __getitem__(self, index):
            return samples[index]

    lengths = [i % 7 + 1 for i in range(20)]
    assert known(Listed(samples)) == known(Listed(tuple(samples))) == lengths
    assert known(Listed(Transformed(samples, []))) == known(Listed(Said(lengths))) == lengths
    by_epoch = Listed(Said(lambda epoch: [epoch * n for n in lengths]))
    assert known(by_epoch)(2) == [2 * n for n in lengths]
    for unsaid in (Said(None), Transformed(Said(None), [])):
        assert known(Listed(unsaid)) is None
        assert list(Listed(unsaid).train_dataloader().sampler) == list(EpochSampler(20))
