"""Memory that a step of training frees and the next one needs again."""

import ctypes
import os

# Of mallopt(3). The greatest block that glibc takes from its heap on request, and more than any step frees.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK, _KEPT = 32 * 2**20, 2**30


def keep_freed_memory() -> bool:
    """Let the C library keep up to 1 GiB of freed memory for this process, where that is glibc.

    By itself it gives large blocks back to the system after every step and gets them again, page by page, in the
    next: about a twentieth of the time of training on the CPU. Settings of the user's own (``MALLOC_...``,
    ``GLIBC_TUNABLES``) stay as they are.

    Returns:
        Whether it does.
    """
    if any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; Windows has no CDLL(None)
        return False
    # Both or none: a trim threshold on its own leaves all large blocks to the system.
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK) and mallopt(_TRIM_THRESHOLD, _KEPT))
