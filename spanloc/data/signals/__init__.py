"""Signals: recordings that are read piece by piece from files."""

from spanloc.data.signals.arrays import ArraySignal, NpySignal, NpzSignal
from spanloc.data.signals.audio import AudioSignal
from spanloc.data.signals.channels import Channels, Stretch
from spanloc.data.signals.edf import EdfSignal
from spanloc.data.signals.filled import Filled
from spanloc.data.signals.hdf5 import Hdf5Signal
from spanloc.data.signals.matlab import MatSignal
from spanloc.data.signals.mixed import MixedRates
from spanloc.data.signals.opening import SUFFIXES, find_signal, open_signal
from spanloc.data.signals.parquet import ParquetSignal
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.regular import Regular
from spanloc.data.signals.resampled import Resampled
from spanloc.data.signals.spectrogram import LogSpectrogram
from spanloc.data.signals.tables import CsvSignal
from spanloc.data.signals.wfdb import WfdbSignal

__all__ = [
    "SUFFIXES",
    "ArraySignal",
    "AudioSignal",
    "Channels",
    "CsvSignal",
    "EdfSignal",
    "Filled",
    "Hdf5Signal",
    "LogSpectrogram",
    "MatSignal",
    "MixedRates",
    "NpySignal",
    "NpzSignal",
    "ParquetSignal",
    "Regular",
    "Resampled",
    "Signal",
    "Stretch",
    "WfdbSignal",
    "find_signal",
    "open_signal",
]
