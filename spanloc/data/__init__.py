"""Sequences with spans: samples, batches, data sets. Seconds are known here and in files only."""

from spanloc.data.annotations import AnnotatedSequences, Annotations, Record, read_annotations
from spanloc.data.datamodule import AnnotatedData, EpochSampler, SpanDataModule, SyntheticData
from spanloc.data.sample import Batch, Sample, Timeline, collate
from spanloc.data.synthetic import SyntheticSequences

__all__ = [
    "AnnotatedData",
    "AnnotatedSequences",
    "Annotations",
    "Batch",
    "EpochSampler",
    "Record",
    "Sample",
    "SpanDataModule",
    "SyntheticData",
    "SyntheticSequences",
    "Timeline",
    "collate",
    "read_annotations",
]
