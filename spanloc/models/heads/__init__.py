"""Heads: levels in, :class:`~spanloc.structures.Output` out."""
