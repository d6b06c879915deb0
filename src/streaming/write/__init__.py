"""Samples to shards to the store, the index last.

The package is also the function :func:`streaming.write.bulk.write`: ``streaming.write(rows, out)``.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType

from streaming.write.bulk import write

__all__ = ["write"]


class _CallablePackage(ModuleType):
    """Lets ``streaming.write`` be a function whether or not something has imported the package of that name."""

    __call__ = staticmethod(write)
    __signature__ = inspect.signature(write)


sys.modules[__name__].__class__ = _CallablePackage
