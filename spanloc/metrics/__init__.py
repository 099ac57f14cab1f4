"""Metrics of predicted spans. They have no unit: give predictions and targets in the same one."""

from spanloc.metrics.average_precision import AveragePrecision
from spanloc.metrics.rows import Predictions, Targets
from spanloc.metrics.single import MeanTIoU, RecallAtTIoU

__all__ = ["AveragePrecision", "MeanTIoU", "Predictions", "RecallAtTIoU", "Targets"]
