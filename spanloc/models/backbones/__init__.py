"""Backbones: features in, one grid of cells out."""

from spanloc.models.backbones.conv import ConvBackbone

__all__ = ["ConvBackbone"]
