"""Models: backbone, neck and head make a localizer; every one gives a :class:`~spanloc.structures.Output`."""

from spanloc.models.backbones.attention import AttentionBackbone
from spanloc.models.backbones.conv import ConvBackbone
from spanloc.models.heads.boundary import BoundaryHead
from spanloc.models.heads.distribution import DistributionHead
from spanloc.models.heads.points import DenseHead, PointsHead
from spanloc.models.heads.queries import QueryHead
from spanloc.models.heads.refined import RefinedHead
from spanloc.models.heads.single import SingleHead
from spanloc.models.localizer import Localizer
from spanloc.models.necks.attention import AttentionNeck
from spanloc.models.necks.maxpool import MaxPoolNeck
from spanloc.models.necks.pyramid import PyramidNeck

__all__ = [
    "AttentionBackbone",
    "AttentionNeck",
    "BoundaryHead",
    "ConvBackbone",
    "DenseHead",
    "DistributionHead",
    "Localizer",
    "MaxPoolNeck",
    "PointsHead",
    "PyramidNeck",
    "QueryHead",
    "RefinedHead",
    "SingleHead",
]
