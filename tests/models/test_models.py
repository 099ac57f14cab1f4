"""Laws that every model keeps, over every file of ``configs/head``, ``backbone`` and ``neck``."""

import pytest
import torch
from conftest import CONFIGS, make_batch, unchecked
from omegaconf import OmegaConf
from processes import python

from spanloc import models, ops
from spanloc.config.build import build
from spanloc.facts import DataFacts
from spanloc.models import Localizer
from spanloc.structures import Sample, collate

FACTS = {"num_channels": 3, "num_classes": 2}


def node(group, name):
    """A file of the group, with those that it builds on, as a plain config."""
    content = OmegaConf.to_container(OmegaConf.load(CONFIGS / group / f"{name}.yaml"))
    merged = {}
    for parent in content.pop("defaults", ()):
        merged |= node(group, parent)
    # A head that brings a term of its own is of two groups.
    return merged | content.get(group, content)


HEADS = sorted(path.stem for path in (CONFIGS / "head").glob("*.yaml"))
# Those have as many predictions for every sequence.
WITHOUT_POINTS = {"attention": 1, "query": node("head", "query")["num_queries"]}
every_head = pytest.mark.parametrize("name", HEADS)
PARTS = [
    (group, path.stem)
    for group in ("backbone", "neck")
    for path in sorted((CONFIGS / group).glob("*.yaml"))
]
PARTS += [("baseline", 64), ("limit", 1.0), ("changes", 7.0)]
every_part = pytest.mark.parametrize(("group", "name"), PARTS)
# Each head at some strides, and each part with one head.
MODELS = {
    f"{name}-{stride}": {"name": name, "stride": stride} for name in HEADS for stride in (1, 4, 10)
}
MODELS |= {f"{group}-{name}": {"name": "points", "stride": 1, group: name} for group, name in PARTS}
every_model = pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)


def localizer(name, stride=4, num_levels=3, backbone="conv", neck="pyramid", **options):
    """A small model with that head."""
    parts = {"backbone": node("backbone", backbone) | {"width": 16, "stride": stride}}
    parts["neck"] = node("neck", neck) | {"num_levels": num_levels}
    parts["head"] = node("head", name)
    torch.manual_seed(0)
    built = {group: build(part) for group, part in parts.items()}
    facts = DataFacts(**FACTS, shortest=1.0, longest=1.0)
    model = Localizer(**built, facts=facts, **options)
    # Initial weights leave much at zero that a law should see.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def fields(output):
    """All that an output holds for each prediction, by name."""
    return {"spans": output.spans, "logits": output.logits, **output.extra}


def require_gradients(model):
    """Every parameter has one, which is finite and not 0."""
    for path, parameter in model.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        assert parameter.grad.abs().sum() > 0, path


def test_every_public_part_is_in_a_config():
    named = {
        node(group, path.stem)["_target_"].rsplit(".", 1)[1]
        for group in ("backbone", "neck", "head")
        for path in (CONFIGS / group).glob("*.yaml")
    }
    # The one is made of the parts; the other is what heads are made of.
    assert named == set(models.__all__) - {"Localizer", "DenseHead"}


@pytest.mark.parametrize(
    ("backbone", "neck"),
    [
        (backbone.stem, neck.stem)
        for backbone in sorted((CONFIGS / "backbone").glob("*.yaml"))
        for neck in sorted((CONFIGS / "neck").glob("*.yaml"))
    ],
)
def test_every_backbone_and_neck_makes_a_model(backbone, neck):
    model, batch = localizer("points", backbone=backbone, neck=neck), make_batch((90, 33))
    clean = model(batch.features, batch.mask)
    noise = 100 * torch.randn_like(batch.features) * ~batch.mask[:, None]
    noisy = model(batch.features + noise, batch.mask)
    torch.testing.assert_close(clean.spans[clean.mask], noisy.spans[clean.mask], rtol=0, atol=0)


@every_model
def test_noise_in_the_padding_never_reaches_a_valid_step(options):
    model, batch = localizer(**options), make_batch((90, 33))
    clean = model(batch.features, batch.mask)
    noise = 100 * torch.randn_like(batch.features) * ~batch.mask[:, None]
    noisy = model(batch.features + noise, batch.mask)
    for field, a in fields(clean).items():
        valid = clean.mask[:, : a.shape[1]]
        torch.testing.assert_close(a[valid], fields(noisy)[field][valid], rtol=0, atol=0)


@every_model
def test_a_batch_equals_its_singles(options):
    model, batch = localizer(**options), make_batch((190, 33, 3), num_targets=(1, 0, 0))
    together = model(batch.features, batch.mask)
    for i, sample in enumerate(batch.split()):
        single = collate([sample])
        alone = model(single.features, single.mask)
        for field, a in fields(together).items():
            b = fields(alone)[field]
            a, b = (
                x[place][mask[place, : x.shape[1]]]
                for x, mask, place in ((a, together.mask, i), (b, alone.mask, 0))
            )
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


@every_model
@pytest.mark.parametrize("autocast", [False, True])
def test_every_parameter_gets_a_finite_gradient_and_spans_are_float32(options, autocast):
    model, batch = localizer(**options), make_batch((190, 70))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = model(batch.features, batch.mask)
    assert output.spans.dtype == output.logits.dtype == torch.float32
    assert output.spans.isfinite().all()
    layers = (output, *output.earlier)
    sum(value.square().mean() for layer in layers for value in fields(layer).values()).backward()
    require_gradients(model)


@every_head
@pytest.mark.parametrize("steps", [1, 2, 7, 64])
def test_output_keeps_its_contract(name, steps):
    model = localizer(name)
    batch = make_batch((steps,), num_targets=(0,))
    output = model(50 * batch.features, batch.mask)
    assert output.spans.dtype == torch.float32
    assert output.spans.isfinite().all()
    assert (ops.length(output.spans) >= 0).all()
    assert output.mask.any()
    count = output.spans.shape[1]
    assert output.logits.shape == (1, count, 2)
    assert output.mask.shape == (1, count)
    for value in output.extra.values():
        assert value.shape[0] == 1
        assert value.shape[1] in (count, -(-steps // model.backbone.stride))
    for layer in output.earlier:
        assert layer.spans.dtype == torch.float32
        assert layer.spans.shape == output.spans.shape
        assert (ops.length(layer.spans) >= 0).all()
    if name in WITHOUT_POINTS:
        assert count == WITHOUT_POINTS[name]
        assert output.points is None
    else:
        assert output.points.shape == (count, 2)
        inside = output.points[output.mask[0]]
        # A valid cell holds a valid step.
        assert (inside[:, 0] - inside[:, 1] / 2 < steps).all()


@every_head
def test_statistics_normalise_and_travel_with_the_weights(name):
    model, batch = localizer(name), make_batch()
    plain = model(batch.features, batch.mask).spans
    mean, std = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([2.0, 0.5, 4.0])
    model.set_statistics(mean, std)
    scaled = batch.features * std[:, None] + mean[:, None]
    torch.testing.assert_close(model(scaled, batch.mask).spans, plain, rtol=1e-3, atol=1e-2)
    other = localizer(name)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.mean, mean)


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5, 10, 12, 7, 50])
def test_backbone_keeps_its_declared_stride_and_width(stride):
    backbone = models.ConvBackbone(3, stride=stride, width=8)
    for steps in (1, stride, stride + 1, 5 * stride - 1):
        x, mask = backbone(torch.randn(2, 3, steps), torch.ones(2, steps, dtype=torch.bool))
        assert x.shape == (2, 8, -(-steps // stride))
        assert mask.shape == (2, x.shape[2])


def test_points_lie_where_their_cells_are():
    """A step in the middle of cell ``j`` moves the prediction of that cell, not of those far off."""
    backbone = models.ConvBackbone(1, stride=10, width=8, num_blocks=0)
    mask = torch.ones(1, 200, dtype=torch.bool)
    quiet, _ = backbone(torch.zeros(1, 1, 200), mask)
    pulse = torch.zeros(1, 1, 200)
    pulse[..., 95] = 10
    moved = (backbone(pulse, mask)[0] - quiet).abs().sum(1)[0].nonzero()[:, 0].tolist()
    assert 9 in moved
    assert sum(moved) / len(moved) == pytest.approx(9, abs=0.51)


def test_a_sequence_in_half_gives_other_spans_than_the_whole():
    # Guards the laws above against a model that ignores its input.
    model = localizer("attention")
    long = make_batch((64,), num_targets=(0,))
    sample = long.split()[0]
    short = collate([Sample("half", sample.features[:, :32], sample.spans, sample.labels)])
    a = model(long.features, long.mask).spans
    b = model(short.features, short.mask).spans
    assert not torch.allclose(a, b)


SIXTEEN_WIDE = {
    "backbone": models.ConvBackbone(3, width=16),
    "neck": models.PyramidNeck(2, width=16),
    "head": models.PointsHead(2, 2, width=16),
}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"head": models.PointsHead(2, 4, width=16)}, "PointsHead has num_levels=4; PyramidNeck has num"),
        ({"head": models.SingleHead(2, width=8)}, "SingleHead has width=8; PyramidNeck has width=16"),
        ({"backbone": models.ConvBackbone(3, width=8)}, "PyramidNeck has width=16; the backbone gives 8"),
    ],
)  # fmt: skip
def test_parts_of_other_sizes_are_refused_by_name(part, message):
    batch = make_batch((20,), num_targets=(1,))
    Localizer(**SIXTEEN_WIDE)(batch.features, batch.mask)
    with pytest.raises(ValueError, match=message):
        Localizer(**SIXTEEN_WIDE | part)(batch.features, batch.mask)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, mask: x, "the backbone Mine gave Tensor; wanted a tuple"),
        (lambda x, mask: (x.transpose(1, 2), mask), r"gave \[\(1, 5, 16\), \(1, 5\)\]"),
        (lambda x, mask: (x[..., :-1], mask[:, :-1]), r"gave \[\(1, 16, 4\).* \[\(1, 16, 5\), \(1, 5\)\]"),
        (lambda x, mask: (x, None), "gave .* and their mask"),
    ],
)  # fmt: skip
def test_a_backbone_that_breaks_its_contract_is_refused_by_name(change, message):
    class Mine(models.ConvBackbone):
        def forward(self, features, mask):
            return change(*super().forward(features, mask))

    model = Localizer(**SIXTEEN_WIDE | {"backbone": Mine(3, stride=4, width=16)})
    batch = make_batch((20,), num_targets=(1,))
    with unchecked(), pytest.raises(ValueError, match=message):
        model(batch.features, batch.mask)


@pytest.mark.slow  # 8 s
def test_a_model_is_exported_without_a_loss_in_it(tmp_path):
    file = tmp_path / "model.onnx"
    done = python("export_model.py", file)
    assert done.stdout.splitlines()[-1] == "features mask spans logits points mask_out"
    # Its nodes say which lines of code they come from.
    assert b"spanloc/models/heads/points.py" in file.read_bytes()
    assert b"spanloc/losses" not in file.read_bytes()
    assert b"criterion" not in file.read_bytes()
