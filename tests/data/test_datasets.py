"""Laws that every data set keeps."""

import pytest
import torch
from torch.utils.data import DataLoader

from spanloc import ops
from spanloc.data import (
    AnnotatedSequences,
    Crops,
    EpochSampler,
    SyntheticSequences,
    read_annotations,
)
from spanloc.structures import collate

MANY = {"num_spans": [0, 4], "length": [80, 200], "span_length": [8, 30], "noise": 0.2}


def same(a, b):
    return (
        a.id == b.id
        and torch.equal(a.features, b.features)
        and torch.equal(a.spans, b.spans)
        and torch.equal(a.labels, b.labels)
        and a.timeline == b.timeline
    )


def datasets(annotated):
    records = read_annotations(annotated).subsets["training"]
    return {
        "synthetic": SyntheticSequences(12, seed=3, **MANY),
        "whole": AnnotatedSequences(records),
        "crops": Crops(records, 30, count=15, seed=3),
    }


@pytest.mark.parametrize("name", ["synthetic", "whole", "crops"])
def test_laws_of_every_data_set(name, annotated):
    dataset, again = datasets(annotated)[name], datasets(annotated)[name]
    samples = [dataset[i] for i in range(len(dataset))]
    for i, sample in enumerate(samples):
        steps = sample.features.shape[1]
        assert (sample.spans >= 0).all()
        assert (sample.spans <= steps).all()
        assert (ops.length(sample.spans) > 0).all()
        assert same(sample, again[i])
    sampler = EpochSampler(len(dataset), seed=1)
    sampler.set_epoch(2)
    alone, helped = (
        [
            sample
            for batch in DataLoader(
                dataset, 4, sampler=sampler, collate_fn=collate, num_workers=workers
            )
            for sample in batch.split()
        ]
        for workers in (0, 2)
    )
    assert len(alone) == len(dataset)
    assert all(same(a, b) for a, b in zip(alone, helped, strict=True))
    assert all(same(a, b) for a, b in zip(samples, collate(samples).split(), strict=True))
