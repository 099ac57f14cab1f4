from .annotated import AnnotatedData
from .annotations.folder import Annotations, Record, read_annotations
from .datamodule import SpanDataModule, SyntheticData
from .sampling import EpochIndex, EpochSampler, EvaluationSampler
from .sequences import AnnotatedSequences, TiledSequences
from .synthetic import SyntheticSequences

__all__ = [
    "AnnotatedData",
    "AnnotatedSequences",
    "Annotations",
    "EpochIndex",
    "EpochSampler",
    "EvaluationSampler",
    "Record",
    "SpanDataModule",
    "SyntheticData",
    "SyntheticSequences",
    "TiledSequences",
    "read_annotations",
]
