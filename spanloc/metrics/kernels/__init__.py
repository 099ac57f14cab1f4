"""Compiled loops over arrays: what the metrics compute with."""
