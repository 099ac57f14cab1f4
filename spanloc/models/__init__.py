"""Models: backbone, neck and head make a localizer; every one gives a :class:`~spanloc.structures.Output`."""

from spanloc.models.backbones.conv import ConvBackbone
from spanloc.models.heads.distribution import DistributionHead
from spanloc.models.heads.points import DenseHead, PointsHead
from spanloc.models.heads.single import SingleHead
from spanloc.models.localizer import Localizer
from spanloc.models.necks.pyramid import PyramidNeck

__all__ = [
    "ConvBackbone",
    "DenseHead",
    "DistributionHead",
    "Localizer",
    "PointsHead",
    "PyramidNeck",
    "SingleHead",
]
