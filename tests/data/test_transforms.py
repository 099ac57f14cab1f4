"""Laws that every transform keeps, over every file of ``configs/transforms``."""

import jaxtyping
import numpy as np
import pytest
import torch
import yaml
from conftest import CONFIGS

from spanloc.config.build import build
from spanloc.data import AnnotatedData, EpochIndex, transforms
from spanloc.data.transforms import (
    ChannelDrop,
    DrawsOthers,
    Jitter,
    MixBackground,
    Rotate,
    Scale,
    Speed,
    TimeWarp,
    Transformed,
)
from spanloc.structures import Sample, Timeline

NODES = {}
for path in sorted((CONFIGS / "transforms").glob("*.yaml")):
    NODES |= yaml.safe_load(path.read_text())
NODES.pop("defaults")  # of several together
# Beside the defaults the strongest that are allowed.
STRONG = {
    "jitter": Jitter(0.5), "scale": Scale(1.0), "channel_drop": ChannelDrop(1.0),
    "rotate": Rotate(180.0, [[5, 0, 2]]), "speed": Speed(0.5, 1.5), "time_warp": TimeWarp(0.5),
    "mix_background": MixBackground(1.0, 10.0),
}  # fmt: skip


def sample(seed=0, steps=400, num_spans=4):
    random = torch.Generator().manual_seed(seed)
    ends = 20 + torch.randperm(steps - 40, generator=random)[: 2 * num_spans].sort().values
    return Sample(
        id=f"s{seed}",
        features=torch.randn(6, steps, generator=random),
        spans=ends.reshape(-1, 2).float(),
        labels=torch.arange(num_spans) - 1,
        timeline=Timeline(0.1, 3.0),
        weight=2.0,
        ignored=torch.tensor([[0.0, 10.0], [steps - 9.5, steps]]),
    )


def bare(features):
    """A sample without spans."""
    return Sample("a", features, torch.zeros(0, 2), torch.zeros(0).long())


def alone(transform):
    """A transform that takes a sample and a generator, also where it draws other samples."""
    if isinstance(transform, DrawsOthers):
        return transform.drawn_from([sample(i) for i in (0, 20, 21)], 0)
    return transform


EVERY = {name: alone(build(node)) for name, node in NODES.items()}
EVERY |= {f"strong {name}": alone(transform) for name, transform in STRONG.items()}
every_transform = pytest.mark.parametrize("transform", EVERY.values(), ids=EVERY)
in_time = pytest.mark.parametrize(
    "transform", [t for t in EVERY.values() if isinstance(t, Speed | TimeWarp)], ids=str
)


def equal(one, other):
    tensors = ("features", "spans", "labels", "ignored")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in tensors)


def draws(transform, count=8, **options):
    made = sample(**options)
    return [transform(made, np.random.default_rng(seed)) for seed in range(count)]


def test_every_transform_is_in_a_config_and_the_other_way_round():
    named = {node["_target_"].rsplit(".", 1)[1] for node in NODES.values()}
    assert named == set(transforms.__all__) - {"DrawsOthers", "Transform", "Transformed"}
    assert STRONG.keys() == NODES.keys()


@every_transform
def test_what_it_gives_is_a_sample_and_what_it_was_given_stays(transform):
    before, again = sample(), sample()
    seen = set()
    for seed in range(6):
        found = transform(before, np.random.default_rng(seed))
        assert equal(before, again)
        assert equal(found, transform(before, np.random.default_rng(seed)))
        assert found.features.dtype == torch.float32
        assert found.features.isfinite().all()
        assert found.features.is_contiguous()
        assert found.features.shape[0] == 6
        steps = found.features.shape[1]
        assert steps == 400 or isinstance(transform, Speed)
        for name in ("spans", "ignored"):
            spans = getattr(found, name)
            assert spans.dtype == torch.float32
            assert spans.shape == getattr(before, name).shape
            assert (spans.diff(dim=1) > 0).all()
            assert 0 <= spans.min() <= spans.max() <= steps
        kept = (found.id, found.timeline, found.weight, found.labels.tolist())
        assert kept == ("s0", Timeline(0.1, 3.0), 2.0, [-1, 0, 1, 2])
        # What touches a border of the sequence still does.
        assert found.ignored[0, 0] == 0
        assert found.ignored[1, 1] == steps
        seen.add((steps, found.features.sum().item()))
    assert len(seen) > 1


@every_transform
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_short_sequences_without_spans_are_fine(transform, steps):
    made = bare(torch.ones(6, steps))
    for seed in range(5):
        found = transform(made, np.random.default_rng(seed))
        assert found.features.shape[1] >= 1
        assert len(found.spans) == len(found.ignored) == 0


@in_time
def test_every_step_has_a_share_of_a_quarter_at_least_in_one_that_is_made_of_it(transform):
    for seed in range(12):
        found = transform(bare(torch.eye(400)), np.random.default_rng(seed))
        assert found.features.max(1).values.min() >= 0.25 - 1e-6


@in_time
def test_spans_and_ignored_stretches_move_with_the_values_at_their_ends(transform):
    """The value of a ramp at a moved end is the time of the end, exactly, since a line stays one."""
    for seed in range(12):
        made = sample(seed)
        made.features[:] = torch.arange(400) + 0.5
        found = transform(made, np.random.default_rng(seed))
        for name in ("spans", "ignored"):
            before, moved = getattr(made, name).flatten(), getattr(found, name).flatten()
            inner = (before > 1) & (before < 399)
            x = moved[inner].numpy() - 0.5
            values = np.interp(x, np.arange(found.features.shape[1]), found.features[0].numpy())
            # Between two steps the warp bends, and is taken for straight.
            assert np.abs(values - before[inner].numpy()).max() < 0.05


def test_speed_scales_exactly_and_keeps_its_range():
    lengths = []
    for found in draws(Speed(0.5, 1.5), 200):
        steps = found.features.shape[1]
        lengths.append(steps)
        torch.testing.assert_close(found.spans, sample().spans * (steps / 400))
    assert 267 <= min(lengths) < 275
    assert 770 < max(lengths) <= 800
    # Twice as slow is further away than half as fast again.
    assert 50 < sum(length < 400 for length in lengths) < 100


def test_a_warp_changes_the_speed_by_no_more_than_its_strength():
    made = sample()
    made.features[:] = torch.arange(400) + 0.5
    for seed in range(30):
        rate = TimeWarp(0.4)(made, np.random.default_rng(seed)).features[0].diff()[1:-1]
        assert 0.6 - 1e-3 < rate.min() <= rate.max() < 1.4 + 1e-3


def test_no_strength_is_no_change():
    mixed = (alone(MixBackground(1.0, 0.0)), alone(MixBackground(0.0)))
    rest = (Jitter(0.0), Scale(0.0), ChannelDrop(0.0), Speed(1.0, 1.0), TimeWarp(0.0))
    for transform in (*mixed, *rest):
        assert equal(transform(sample(), np.random.default_rng(0)), sample()), transform
    assert Rotate(None)(one := sample(), np.random.default_rng(0)) is one
    turned = Rotate(0.0)(sample(), np.random.default_rng(0))
    torch.testing.assert_close(turned.features, sample().features)


def test_noise_is_a_share_of_what_is_usual_in_each_channel():
    made = sample()
    count = made.features.shape[1]
    made.features[:] = torch.randn(made.features.shape, generator=torch.Generator().manual_seed(0))
    made.features[1] = 100 * made.features[1] + 7
    drawn = torch.from_numpy(
        np.random.default_rng(0).standard_normal(tuple(made.features.shape), np.float32)
    )
    plain = 0.5 * made.features.std(1, correction=0, keepdim=True)
    for usual in (None, True):
        noisy = Jitter(0.5, usual)(made, np.random.default_rng(0)).features
        assert torch.equal(noisy, made.features + plain * drawn)
    made.features[0, :: count // 4] = -9999.0
    noise = Jitter(0.5, True)(made, np.random.default_rng(0)).features - made.features
    sizes = (noise / drawn).abs().median(1).values
    assert sizes[0] < 2 * plain[0]
    assert sizes[1:].tolist() == pytest.approx(plain[1:, 0].tolist(), rel=1e-3)


def test_constant_channels_get_no_noise_and_scales_have_their_size():
    flat = bare(torch.ones(1, 5))
    assert equal(Jitter(1.0)(flat, np.random.default_rng(0)), flat)
    factors = torch.stack([(f.features / sample().features)[:, 0] for f in draws(Scale(0.2), 300)])
    assert factors.log().std() == pytest.approx(0.2, rel=0.1)
    same = (draws(Scale(0.2), 1)[0].features / sample().features).std(1)
    assert same.max() < 1e-5


def test_channels_go_as_often_as_said_and_one_stays():
    gone = torch.stack([f.features.std(1) < 1e-5 for f in draws(ChannelDrop(0.3), 300)])
    assert gone.float().mean() == pytest.approx(0.3, abs=0.05)
    one = draws(ChannelDrop(1.0), 20)
    assert {int((f.features.std(1) > 0.1).sum()) for f in one} == {1}
    assert len({int(f.features.std(1).argmax()) for f in one}) > 1
    torch.testing.assert_close(one[0].features.mean(1), sample().features.mean(1))


def test_a_rotation_keeps_lengths_and_turns_all_triples_alike():
    for found in draws(Rotate(30.0)):
        before, after = (f.reshape(2, 3, -1) for f in (sample().features, found.features))
        torch.testing.assert_close(after.norm(dim=1), before.norm(dim=1))
        first, second = (
            torch.linalg.lstsq(b.T, a.T).solution for b, a in zip(before, after, strict=True)
        )
        torch.testing.assert_close(first, second, atol=1e-4, rtol=0)
        assert torch.linalg.det(first) == pytest.approx(1, abs=1e-4)
        assert np.cos(np.radians(30)) - 1e-4 < (first.trace() - 1) / 2 < 1
    (found,) = draws(Rotate(90.0, [[5, 0, 2]]), 1)
    assert torch.equal(found.features[[1, 3, 4]], sample().features[[1, 3, 4]])
    assert not torch.allclose(found.features[[0, 2, 5]], sample().features[[0, 2, 5]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Jitter(-0.1), r"Jitter: std is -0.1; it must lie in \[0, 10\]"),
        (lambda: Scale(float("nan")), "Scale: std is nan"),
        (lambda: ChannelDrop(1.1), "probability is 1.1"),
        (lambda: Speed(0.4), r"low is 0.4; it must lie in \[0.5, 1.5\]"),
        (lambda: Speed(1.2, 1.1), r"high is 1.1; it must lie in \[1.2, 1.5\]"),
        (lambda: TimeWarp(0.6), "strength is 0.6"),
        (lambda: MixBackground(1.5), r"MixBackground: probability is 1.5; it must lie in \[0, 1\]"),
        (lambda: MixBackground(strength=-1.0), "MixBackground: strength is -1.0"),
        (lambda: Rotate(200.0), "max_degrees is 200.0"),
        (
            lambda: Rotate(triples=[[0, 1]]),
            r"triples is \[\[0, 1\]\]; wanted three channels in each",
        ),
        (lambda: Rotate(triples=[[0, 1, 2], [2, 3, 4]]), "wanted three .*, and none twice"),
        (lambda: draws(Rotate(triples=[[4, 5, 6]])), "'s0': there is no channel 6"),
        (
            lambda: Rotate()(bare(torch.ones(4, 2)), np.random.default_rng(0)),
            "sequence 'a': 4 channels are no triples",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("given", [["speed"], {"speed": {"low": 0.9}}])
def test_transforms_of_data_that_are_names_or_settings_are_refused_at_once(monkeypatch, given):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(TypeError, match=r"transforms has .*; wanted objects, such as .*Speed\(\)"):
        AnnotatedData("anywhere", transforms=given)


def test_a_change_depends_on_seed_epoch_and_index_alone():
    samples = [sample(i % 2) for i in range(6)]
    named = {**{name: build(node) for name, node in NODES.items()}, "none": None}
    data = Transformed(samples, named, seed=4)
    assert len(data) == 6
    first = [data[EpochIndex(i, 1)] for i in range(6)]
    assert all(equal(data[EpochIndex(i, 1)], first[i]) for i in (5, 2, 0))
    assert equal(data[3], data[EpochIndex(3, 0)])
    others = [data[EpochIndex(0, 2)], data[EpochIndex(2, 1)], Transformed(samples, named, 5)[0]]
    features = [s.features for s in (first[0], data[0], *others)]
    for i, one in enumerate(features):
        assert not any(torch.equal(one, other) for other in features[:i])
    listed = Transformed(samples, list(data.transforms), seed=4)
    assert equal(listed[EpochIndex(1, 1)], first[1])
