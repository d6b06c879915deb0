"""Train PyTorch models straight from cloud storage.

Write a dataset once into shards and an ``index.json``; stream it from any store, shuffled, in an order that does not
depend on the number of nodes, GPUs or workers; resume mid-epoch in seconds.

Names are loaded on first use: ``import streaming`` imports neither torch nor any client of a store.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Type checkers read on, so that an editor on Windows knows the names.
if not TYPE_CHECKING and sys.platform == "win32":
    raise ImportError(
        "streaming does not support Windows, as it maps and locks files the POSIX way: use Linux, macOS or WSL 2."
    )

from streaming.core.process.collector import collector_paused
from streaming_dataset import find_namesakes

for _name, _version in find_namesakes():
    warnings.warn(
        f"{_name} {_version} is installed too, and writes into the same folder `streaming`: files of both are mixed. Run: "
        f"pip uninstall -y {_name} streaming-dataset && pip install streaming-dataset",
        stacklevel=2,
    )

if TYPE_CHECKING:
    from streaming import base as base
    from streaming import multimodal as multimodal
    from streaming import text as text
    from streaming import vision as vision
    from streaming.converting.convert import convert as convert
    from streaming.converting.exporting.export import ExportReport as ExportReport
    from streaming.converting.exporting.export import export as export
    from streaming.core.errors import StreamingError as StreamingError
    from streaming.dataset.dataset import StreamingDataset as StreamingDataset
    from streaming.dataset.local import LocalDataset as LocalDataset
    from streaming.dataset.mixing.schedule import Phase as Phase
    from streaming.dataset.mixing.schedule import Ramp as Ramp
    from streaming.dataset.mixing.schedule import Schedule as Schedule
    from streaming.dataset.side import Side as Side
    from streaming.dataset.stream import Stream as Stream
    from streaming.loader.loader import StreamingDataLoader as StreamingDataLoader
    from streaming.order.balance.options import Balance as Balance
    from streaming.packing.options import Bucket as Bucket
    from streaming.packing.options import Pack as Pack
    from streaming.writing.bulk.report import WriteReport as WriteReport
    from streaming.writing.bulk.write import write as write
    from streaming.writing.merge import merge_index as merge_index
    from streaming.writing.side.index import ColumnsReport as ColumnsReport
    from streaming.writing.side.index import index_columns as index_columns
    from streaming.writing.writers import CSVWriter as CSVWriter
    from streaming.writing.writers import JSONWriter as JSONWriter
    from streaming.writing.writers import MDSWriter as MDSWriter
    from streaming.writing.writers import TSVWriter as TSVWriter
    from streaming.writing.writers import XSVWriter as XSVWriter

__version__ = "1.0.0"

__all__ = [
    "Balance",
    "Bucket",
    "CSVWriter",
    "ColumnsReport",
    "ExportReport",
    "JSONWriter",
    "LocalDataset",
    "MDSWriter",
    "Pack",
    "Phase",
    "Ramp",
    "Schedule",
    "Side",
    "Stream",
    "StreamingDataLoader",
    "StreamingDataset",
    "StreamingError",
    "TSVWriter",
    "WriteReport",
    "XSVWriter",
    "convert",
    "export",
    "index_columns",
    "merge_index",
    "multimodal",
    "text",
    "vision",
    "write",
]

_HOMES = {
    "Balance": "streaming.order.balance.options",
    "Bucket": "streaming.packing.options",
    "CSVWriter": "streaming.writing.writers",
    "ColumnsReport": "streaming.writing.side.index",
    "ExportReport": "streaming.converting.exporting.export",
    "JSONWriter": "streaming.writing.writers",
    "LocalDataset": "streaming.dataset.local",
    "MDSWriter": "streaming.writing.writers",
    "Pack": "streaming.packing.options",
    "Phase": "streaming.dataset.mixing.schedule",
    "Ramp": "streaming.dataset.mixing.schedule",
    "Schedule": "streaming.dataset.mixing.schedule",
    "Side": "streaming.dataset.side",
    "Stream": "streaming.dataset.stream",
    "StreamingDataLoader": "streaming.loader.loader",
    "StreamingDataset": "streaming.dataset.dataset",
    "StreamingError": "streaming.core.errors",
    "TSVWriter": "streaming.writing.writers",
    "WriteReport": "streaming.writing.bulk.report",
    "XSVWriter": "streaming.writing.writers",
    "base": "streaming.base",
    "convert": "streaming.converting.convert",
    "export": "streaming.converting.exporting.export",
    "index_columns": "streaming.writing.side.index",
    "merge_index": "streaming.writing.merge",
    "multimodal": "streaming.multimodal",
    "text": "streaming.text",
    "vision": "streaming.vision",
    "write": "streaming.writing.bulk.write",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'streaming' has no attribute {name!r}")
    with collector_paused():
        module = import_module(home)
    value = module if home == f"{__name__}.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
