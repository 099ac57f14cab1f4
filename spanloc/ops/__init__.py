"""Pure functions of spans: what every other part of spanloc builds on."""

import lazy_loader

# Lengths and overlaps do not need the compiler that suppression does.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
