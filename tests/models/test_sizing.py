"""Sizes that follow from the data, and models that are completed with them."""

from functools import partial

import pytest
import torch
from conftest import make_batch

from spanloc.facts import DataFacts
from spanloc.models import ConvBackbone, Localizer, PointsHead, PyramidNeck, SingleHead
from spanloc.models.sizing import LEVEL_RANGE, complete, levels_for, open_arguments, stride_for

FACTS = DataFacts(num_channels=3, num_classes=2, shortest=50.0, longest=300.0)


@pytest.mark.parametrize(
    ("shortest", "longest", "stride", "levels"),
    [
        (26.0, 26.0, 2, 2),  # 26 / 2 = 13 <= 4 * 2 * 2 ** 1
        (3.0, 3.0, 1, 1),
        (140.0, 4000.0, 10, 7),
        (140.0, 140.0, 10, 2),
        (24.0, 16.0, 2, 1),  # 8 strides: just within reach
        (24.0, 16.01, 2, 2),
    ],
)
def test_sizes_are_derived_from_the_spans(shortest, longest, stride, levels):
    assert stride_for(shortest) == stride
    assert levels_for(longest, stride) == levels
    # The coarsest points reach the ends of the longest span, and one level fewer would not do.
    reach = [LEVEL_RANGE[1] * stride * 2**n for n in range(levels)]
    assert reach[-1] >= longest / 2
    assert all(short < longest / 2 for short in reach[:-1])


def test_a_stride_leaves_twelve_cells_and_has_small_factors():
    for shortest in range(1, 2000):
        stride = stride_for(float(shortest))
        assert stride == 1 or shortest / stride >= 12
        rest = stride
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        assert rest == 1


def test_parts_completed_with_facts_are_those_built_with_their_sizes():
    torch.manual_seed(0)
    completed = Localizer(
        partial(ConvBackbone, width=16, num_blocks=1),
        partial(PyramidNeck, num_blocks=1),
        partial(PointsHead, num_layers=1),
        facts=FACTS,
    )
    torch.manual_seed(0)
    built = Localizer(
        ConvBackbone(3, stride=4, width=16, num_blocks=1),
        PyramidNeck(5, width=16, num_blocks=1),
        PointsHead(2, 5, width=16, num_layers=1),
    )
    assert completed.backbone.stride == stride_for(FACTS.shortest) == 4
    assert completed.neck.num_levels == levels_for(FACTS.longest, 4) == 5
    assert (completed.num_channels, completed.num_classes) == (3, 2)
    torch.testing.assert_close(completed.state_dict(), built.state_dict(), rtol=0, atol=0)
    batch = make_batch((90, 33))
    a, b = (model(batch.features, batch.mask) for model in (completed, built))
    assert torch.equal(a.spans, b.spans)
    assert torch.equal(a.points, b.points)


def test_levels_follow_the_stride_that_a_backbone_has():
    model = Localizer(
        partial(ConvBackbone, width=16, stride=10),
        partial(PyramidNeck, width=None),
        partial(SingleHead, num_classes=None, width=None),
        facts=FACTS,
    )
    assert model.backbone.stride == 10
    assert model.neck.num_levels == levels_for(FACTS.longest, 10) == 3
    assert model.neck.width == 16
    assert model.num_classes == 2


def test_what_is_bound_stays_whatever_the_facts_are():
    model = Localizer(
        partial(ConvBackbone, 5, width=16),
        partial(PyramidNeck, num_levels=1),
        partial(SingleHead, num_classes=7),
        facts=FACTS,
    )
    assert (model.num_channels, model.neck.num_levels, model.num_classes) == (5, 1, 7)


@pytest.mark.parametrize("options", [{}, {"num_channels": None}])
def test_a_part_that_leaves_open_what_nobody_knows_is_refused(options):
    neck, head = PyramidNeck(1, width=16), SingleHead(2, width=16)
    with pytest.raises(TypeError, match="ConvBackbone needs num_channels: bind it, or"):
        Localizer(partial(ConvBackbone, width=16, **options), neck, head)
    with pytest.raises(TypeError, match="SingleHead needs num_classes"):
        Localizer(ConvBackbone(3, width=16), neck, SingleHead)


def test_an_argument_is_open_if_it_is_not_bound_or_bound_to_none():
    part = partial(partial(PointsHead, num_levels=3), num_classes=None)
    assert {"num_classes", "width"} <= open_arguments(part)
    assert "num_levels" not in open_arguments(part)
    assert open_arguments(partial(ConvBackbone, 5, width=8)) >= {"stride"}
    assert "num_channels" not in open_arguments(partial(ConvBackbone, 5, width=8))
    built = ConvBackbone(3)
    assert complete(built, {"num_channels": 9}) is built
