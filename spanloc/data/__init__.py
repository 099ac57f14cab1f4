"""Sequences with spans: files, data sets, DataModules."""

import lazy_loader

# Files of predictions are read without Lightning.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
