"""Synthetic sequences."""

import pytest
import reference
import torch
import yaml
from conftest import CONFIGS

from spanloc import ops
from spanloc.data import SyntheticData, SyntheticSequences


def test_every_synthetic_knob_does_what_it_says():
    crowd = SyntheticSequences(
        20, num_spans=[2, 3], num_channels=6, num_classes=5, length=[300, 400],
        span_length=[10, 40], num_distractors=0,
    )  # fmt: skip
    for i in range(20):
        sample = crowd[i]
        assert sample.features.shape[0] == 6
        assert 300 <= sample.features.shape[1] <= 400
        assert 2 <= len(sample.spans) <= 3
        assert (ops.length(sample.spans) >= 10).all()
        assert (ops.length(sample.spans) <= 40).all()
        shared = ops.overlap(sample.spans[:, None], sample.spans)
        assert (shared[~torch.eye(len(sample.spans), dtype=bool)] <= 0).all()
    assert {int(k) for i in range(20) for k in crowd[i].labels} == set(range(5))
    dense = SyntheticSequences(10, num_spans=6, length=60, span_length=[20, 30], overlap=1.0)
    shared = [ops.overlap(s.spans[:1], s.spans[1:]).max() for s in (dense[i] for i in range(10))]
    assert max(shared) > 0
    silent = SyntheticSequences(1, noise=0.0, num_distractors=0)[0]
    start, end = silent.spans[0].int().tolist()
    assert (silent.features[:, :start] == 0).all()
    assert (silent.features[:, end:] == 0).all()
    assert silent.features[:, start:end].square().sum(0).mean() == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"span_length": [24, 300]}, "spans may be 300 steps long .* sequences only 256"),
        ({"length": [9, 3]}, "length is"),
        ({"overlap": 2.0}, "overlap is 2.0"),
        ({"num_channels": 0}, "num_channels is 0"),
        ({"noise": float("nan")}, "noise is nan; it must be at least 0"),
    ],
)
def test_synthetic_knobs_out_of_range_are_refused(knobs, message):
    with pytest.raises(ValueError, match=message):
        SyntheticSequences(3, **knobs)


def test_sets_of_one_seed_differ_and_seeds_differ():
    data = SyntheticData(num_train=2, num_val=2, num_test=2, seed=0)
    other = SyntheticData(num_train=2, num_val=2, num_test=2, seed=1)
    firsts = [s[0] for d in (data, other) for s in (d.train_set, d.val_set, d.test_set)]
    assert len({sample.features.sum().item() for sample in firsts}) == 6
    assert len({sample.id for sample in firsts}) == 6


def test_a_threshold_on_the_signal_does_not_find_the_default_spans():
    """The default data need a model: the best threshold on smoothed power scores under 0.6."""
    knobs = yaml.safe_load((CONFIGS / "data" / "synthetic.yaml").read_text())
    del knobs["_target_"]
    data = SyntheticData(**(knobs | {"seed": 0, "num_train": 100, "num_val": 1, "num_test": 200}))

    def score(samples, size, level):
        values = [
            reference.tiou(
                reference.threshold_span(sample.features.tolist(), size, level),
                sample.spans[0].tolist(),
            )
            for sample in samples
        ]
        return sum(values) / len(values)

    train = [data.train_set[i] for i in range(60)]
    grid = [(size, level) for size in (9, 17) for level in (0.6, 0.8, 1.0, 1.2)]
    best = max(grid, key=lambda knobs: score(train, *knobs))
    found = score([data.test_set[i] for i in range(200)], *best)
    assert 0.1 < found < 0.6
