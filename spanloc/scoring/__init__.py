"""Predictions and annotations from files, of whatever model."""

from spanloc.scoring.notes import notes
from spanloc.scoring.problems import Problems
from spanloc.scoring.read import Scored, read_scored
from spanloc.scoring.thresholds import thresholds

__all__ = ["Problems", "Scored", "notes", "read_scored", "thresholds"]
