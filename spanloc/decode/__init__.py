"""Decoding: outputs to predictions, also of sequences that are too long to be evaluated at once."""

from spanloc.decode.calibration import Isotonic, Temperature, fit_calibration
from spanloc.decode.collected import Collected, Kept, collect, figures, keeping
from spanloc.decode.decode import Calibrate, Decode, Scored, Suppress, joined
from spanloc.decode.estimates import best_thresholds, boundary_bias
from spanloc.decode.fitting import Fitted, Tried, fit_decode
from spanloc.decode.windows import Reach, Window, decode_windows, reach_of, stretch, windows

__all__ = [
    "Calibrate",
    "Collected",
    "Decode",
    "Fitted",
    "Isotonic",
    "Kept",
    "Reach",
    "Scored",
    "Suppress",
    "Temperature",
    "Tried",
    "Window",
    "best_thresholds",
    "boundary_bias",
    "collect",
    "decode_windows",
    "figures",
    "fit_calibration",
    "fit_decode",
    "joined",
    "keeping",
    "reach_of",
    "stretch",
    "windows",
]
