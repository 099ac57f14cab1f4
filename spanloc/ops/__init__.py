"""Pure functions of spans, on which all other parts of spanloc build."""

import lazy_loader

# Lengths and overlaps do not need the compiler that suppression does.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
