"""Backbones: features in, one grid of cells out."""
