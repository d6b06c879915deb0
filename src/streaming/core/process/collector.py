"""Python's cyclic garbage collector while a large package is imported.

Importing PyTorch makes a quarter of a million objects that stay for good. The collector walks through them again and
again as they come, which is a tenth of the time of the import, and later whenever it looks at everything.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector_paused"]

# Of a program that has only begun. One that holds more may hold cycles that it is going to drop.
_FEW_OBJECTS = 50_000


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector while modules are imported, if that may import PyTorch.

    Where PyTorch was imported at the very start of a program, what exists then is set aside with :func:`gc.freeze`: the
    collector does not walk through it any more, and forked workers go on sharing its memory. Nothing happens in a
    program that has imported PyTorch already, or has switched the collector off.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    has_begun = len(gc.get_objects()) > _FEW_OBJECTS
    gc.disable()
    try:
        yield
    finally:
        if "torch" in sys.modules and not has_begun:
            gc.freeze()
        gc.enable()
