from .annotated import AnnotatedData
from .annotations.folder import Annotations, BadSpan, Record, read_annotations
from .crops import Crops
from .datamodule import SpanDataModule, SyntheticData
from .memory import from_arrays, from_dataset
from .sampling import EpochIndex, EpochSampler, EvaluationSampler
from .sequences import AnnotatedSequences, TiledSequences
from .synthetic import SyntheticSequences

__all__ = [
    "AnnotatedData",
    "AnnotatedSequences",
    "Annotations",
    "BadSpan",
    "Crops",
    "EpochIndex",
    "EpochSampler",
    "EvaluationSampler",
    "Record",
    "SpanDataModule",
    "SyntheticData",
    "SyntheticSequences",
    "TiledSequences",
    "from_arrays",
    "from_dataset",
    "read_annotations",
]
