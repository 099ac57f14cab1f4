"""Hydra's config groups, found as ``pkg://spanloc.configs``."""
