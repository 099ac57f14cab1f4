"""Span losses for comparison with the literature; their names are those of ``spanloc.losses``."""
