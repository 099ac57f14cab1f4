"""Models: backbone, neck and head make a localizer; every one gives an :class:`Output`."""

from spanloc.models.backbones import ConvBackbone
from spanloc.models.heads import PointsHead, SingleHead
from spanloc.models.localizer import Localizer
from spanloc.models.necks import PyramidNeck
from spanloc.models.output import Output

__all__ = ["ConvBackbone", "Localizer", "Output", "PointsHead", "PyramidNeck", "SingleHead"]
