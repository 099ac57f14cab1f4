"""Metrics of predicted spans. They have no unit: give predictions and targets in the same one."""

from spanloc.metrics.agreement import Agreement, confusion
from spanloc.metrics.boundary import BoundaryError, boundary_errors
from spanloc.metrics.calibration import matches, reliability
from spanloc.metrics.detection import AveragePrecision, average_precision
from spanloc.metrics.diagnosis import FOUND, check_limits, diagnose
from spanloc.metrics.errors import KINDS
from spanloc.metrics.events import EventF1, SegmentF1
from spanloc.metrics.metric import SpanMetric
from spanloc.metrics.oracles import ORACLES, oracles
from spanloc.metrics.proposals import AverageRecall
from spanloc.metrics.retrieval import MeanTIoU, RecallAtTIoU, RetrievalPrecision, best_tiou

__all__ = [
    "FOUND",
    "KINDS",
    "ORACLES",
    "Agreement",
    "AveragePrecision",
    "AverageRecall",
    "BoundaryError",
    "EventF1",
    "MeanTIoU",
    "RecallAtTIoU",
    "RetrievalPrecision",
    "SegmentF1",
    "SpanMetric",
    "average_precision",
    "best_tiou",
    "boundary_errors",
    "check_limits",
    "confusion",
    "diagnose",
    "matches",
    "oracles",
    "reliability",
]
