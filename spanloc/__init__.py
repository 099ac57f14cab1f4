"""spanloc: train models that say where in a sequence something starts and ends."""

import lazy_loader

# What is imported is in __init__.pyi; each name when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
