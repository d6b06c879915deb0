"""The import paths of the original library: ``streaming.base.util``, ``streaming.base.format.mds.encodings`` and so on.

Code that was written for it runs unchanged. New code had better use the names of :mod:`streaming` and of its layers.
Nothing in this library imports this package.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from streaming.base import _aliases

if TYPE_CHECKING:
    from streaming.dataset.dataset import StreamingDataset as StreamingDataset
    from streaming.dataset.local import LocalDataset as LocalDataset
    from streaming.dataset.stream import Stream as Stream
    from streaming.loader.loader import StreamingDataLoader as StreamingDataLoader
    from streaming.writing.writers import CSVWriter as CSVWriter
    from streaming.writing.writers import JSONWriter as JSONWriter
    from streaming.writing.writers import MDSWriter as MDSWriter
    from streaming.writing.writers import TSVWriter as TSVWriter
    from streaming.writing.writers import XSVWriter as XSVWriter

__all__ = [
    "CSVWriter",
    "JSONWriter",
    "LocalDataset",
    "MDSWriter",
    "Stream",
    "StreamingDataLoader",
    "StreamingDataset",
    "TSVWriter",
    "XSVWriter",
]

_aliases.install()


def __getattr__(name: str) -> Any:
    """Load a public name, or a module, on first use."""
    if _aliases.home_of("", name) is not None:
        return _aliases.load(sys.modules[__name__], _aliases.TABLE[""], name)
    path = f"{__name__}.{name}"
    if not name.startswith("_") and (path in sys.modules or find_spec(path) is not None):
        return import_module(path)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
