"""Compiled loops over arrays, for the metrics."""
