"""Where each name of the original library's import paths is to be found here: one table, and the modules made of it.

The objects are the same under either path, so that what is registered, subclassed or patched in one is so in the other.
They are loaded on first use. The paths of this package that are missing in the table are modules of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["TABLE", "home_of", "install"]

_PACKAGE = "streaming.base"

# A name alone stands for an object of that name in the module that the key names.
_WRITERS = "streaming.writing.writers"
_READER = "streaming.format.reader"
_READERS = "streaming.format.readers"
_ENCODINGS = "streaming.format.encodings"
_ORDERS = "streaming.base.orders"

#: Module below ``streaming.base`` -> its names -> ``module:attribute``.
TABLE: dict[str, dict[str, str]] = {
    "": {
        "CSVWriter": f"{_WRITERS}:CSVWriter",
        "JSONWriter": f"{_WRITERS}:JSONWriter",
        "LocalDataset": "streaming.dataset.local:LocalDataset",
        "MDSWriter": f"{_WRITERS}:MDSWriter",
        "Stream": "streaming.dataset.stream:Stream",
        "StreamingDataLoader": "streaming.loader.loader:StreamingDataLoader",
        "StreamingDataset": "streaming.dataset.dataset:StreamingDataset",
        "TSVWriter": f"{_WRITERS}:TSVWriter",
        "XSVWriter": f"{_WRITERS}:XSVWriter",
    },
    "array": {"Array": "streaming.core.indexing:Array"},
    "batching": {
        "batching_methods": f"{_ORDERS}:batching_methods",
        "generate_work": f"{_ORDERS}:generate_work",
        **{
            f"generate_work_{name}_batching": f"{_ORDERS}:generate_work_{name}_batching"
            for name in ("random", "stratified", "per_stream", "device_per_stream")
        },
    },
    **{
        f"batching.{name}": {
            f"generate_work_{name}_batching": f"{_ORDERS}:generate_work_{name}_batching",
        }
        for name in ("random", "stratified", "per_stream", "device_per_stream")
    },
    "converters": {
        name: f"streaming.converters.spark:{name}"
        for name in ("SPARK_TO_MDS", "dataframe_to_mds", "infer_dataframe_schema", "is_json_compatible")
    },
    "dataloader": {"StreamingDataLoader": "streaming.loader.loader:StreamingDataLoader"},
    "dataset": {
        "NEVER": "streaming.base.constant:NEVER",
        "StreamingDataset": "streaming.dataset.dataset:StreamingDataset",
        "TICK": "streaming.base.constant:TICK",
    },
    "format": {
        "CSVReader": f"{_READERS}:CSVReader",
        "CSVWriter": f"{_WRITERS}:CSVWriter",
        "FileInfo": "streaming.format.index.files:FileInfo",
        "JSONReader": f"{_READERS}:JSONReader",
        "JSONWriter": f"{_WRITERS}:JSONWriter",
        "MDSReader": f"{_READERS}:MDSReader",
        "MDSWriter": f"{_WRITERS}:MDSWriter",
        "Reader": f"{_READER}:Reader",
        "TSVReader": f"{_READERS}:TSVReader",
        "TSVWriter": f"{_WRITERS}:TSVWriter",
        "XSVReader": f"{_READERS}:XSVReader",
        "XSVWriter": f"{_WRITERS}:XSVWriter",
        "_readers": f"{_READERS}:readers",
        "get_index_basename": "streaming.base.names:get_index_basename",
        "reader_from_json": f"{_READERS}:reader_from_json",
    },
    "format.base": {
        "FileInfo": "streaming.format.index.files:FileInfo",
        "Reader": f"{_READER}:Reader",
    },
    "format.base.reader": {
        "FileInfo": "streaming.format.index.files:FileInfo",
        "JointReader": f"{_READER}:JointReader",
        "Reader": f"{_READER}:Reader",
        "SplitReader": f"{_READER}:SplitReader",
    },
    "format.base.writer": {
        "JointWriter": "streaming.base.writers:JointWriter",
        "SplitWriter": "streaming.base.writers:SplitWriter",
        "Writer": "streaming.writing.writer:Writer",
    },
    "format.index": {"get_index_basename": "streaming.base.names:get_index_basename"},
    "format.json": {
        "JSONReader": f"{_READERS}:JSONReader",
        "JSONWriter": f"{_WRITERS}:JSONWriter",
    },
    "format.json.encodings": {
        "is_json_encoded": "streaming.base.text_encodings:is_json_encoded",
        "is_json_encoding": "streaming.base.text_encodings:is_json_encoding",
    },
    "format.json.reader": {"JSONReader": f"{_READERS}:JSONReader"},
    "format.json.writer": {"JSONWriter": f"{_WRITERS}:JSONWriter"},
    "format.mds": {
        "MDSReader": f"{_READERS}:MDSReader",
        "MDSWriter": f"{_WRITERS}:MDSWriter",
    },
    "format.mds.encodings": {
        "Bytes": f"{_ENCODINGS}.text:Bytes",
        "Encoding": f"{_ENCODINGS}:Encoding",
        "Float16": f"{_ENCODINGS}.scalar:Float16",
        "Float32": f"{_ENCODINGS}.scalar:Float32",
        "Float64": f"{_ENCODINGS}.scalar:Float64",
        "Int": f"{_ENCODINGS}.scalar:Int",
        "Int16": f"{_ENCODINGS}.scalar:Int16",
        "Int32": f"{_ENCODINGS}.scalar:Int32",
        "Int64": f"{_ENCODINGS}.scalar:Int64",
        "Int8": f"{_ENCODINGS}.scalar:Int8",
        "JPEG": f"{_ENCODINGS}.image:JPEG",
        "JPEGArray": f"{_ENCODINGS}.image:JPEGArray",
        "JPEGList": f"{_ENCODINGS}.image:JPEGList",
        "JSON": f"{_ENCODINGS}.serialized:JSON",
        "NDArray": f"{_ENCODINGS}.array:NDArrayEncoding",
        "PIL": f"{_ENCODINGS}.image:PIL",
        "PILList": f"{_ENCODINGS}.image:PILList",
        "PNG": f"{_ENCODINGS}.image:PNG",
        "PNGList": f"{_ENCODINGS}.image:PNGList",
        "Pickle": f"{_ENCODINGS}.serialized:Pickle",
        "Scalar": f"{_ENCODINGS}.scalar:Scalar",
        "Str": f"{_ENCODINGS}.text:Str",
        "StrDecimal": f"{_ENCODINGS}.text:StrDecimal",
        "StrFloat": f"{_ENCODINGS}.text:StrFloat",
        "StrInt": f"{_ENCODINGS}.text:StrInt",
        "UInt16": f"{_ENCODINGS}.scalar:UInt16",
        "UInt32": f"{_ENCODINGS}.scalar:UInt32",
        "UInt64": f"{_ENCODINGS}.scalar:UInt64",
        "UInt8": f"{_ENCODINGS}.scalar:UInt8",
        "_encodings": f"{_ENCODINGS}:encodings",
        "get_mds_encoded_size": f"{_ENCODINGS}:get_mds_encoded_size",
        "get_mds_encodings": f"{_ENCODINGS}:get_mds_encodings",
        "is_mds_encoding": f"{_ENCODINGS}:is_mds_encoding",
        "is_mds_encoding_safe": f"{_ENCODINGS}:is_mds_encoding_safe",
        "mds_decode": f"{_ENCODINGS}:mds_decode",
        "mds_encode": f"{_ENCODINGS}:mds_encode",
    },
    "format.mds.reader": {"MDSReader": f"{_READERS}:MDSReader"},
    "format.mds.writer": {"MDSWriter": f"{_WRITERS}:MDSWriter"},
    "format.xsv": {
        "CSVReader": f"{_READERS}:CSVReader",
        "CSVWriter": f"{_WRITERS}:CSVWriter",
        "TSVReader": f"{_READERS}:TSVReader",
        "TSVWriter": f"{_WRITERS}:TSVWriter",
        "XSVReader": f"{_READERS}:XSVReader",
        "XSVWriter": f"{_WRITERS}:XSVWriter",
    },
    "format.xsv.encodings": {
        "is_xsv_encoding": "streaming.base.text_encodings:is_xsv_encoding",
        "xsv_decode": "streaming.base.text_encodings:xsv_decode",
        "xsv_encode": "streaming.base.text_encodings:xsv_encode",
    },
    "format.xsv.reader": {
        "CSVReader": f"{_READERS}:CSVReader",
        "TSVReader": f"{_READERS}:TSVReader",
        "XSVReader": f"{_READERS}:XSVReader",
    },
    "format.xsv.writer": {
        "CSVWriter": f"{_WRITERS}:CSVWriter",
        "TSVWriter": f"{_WRITERS}:TSVWriter",
        "XSVWriter": f"{_WRITERS}:XSVWriter",
    },
    "hashing": {
        "get_hash": "streaming.format.codecs.hashing:get_hash",
        "get_hashes": "streaming.format.codecs.hashing:get_hashes",
        "is_hash": "streaming.format.codecs.hashing:is_hash",
    },
    "local": {"LocalDataset": "streaming.dataset.local:LocalDataset"},
    "partition": {
        "algos": f"{_ORDERS}:algos",
        "get_partitions": f"{_ORDERS}:get_partitions",
        "get_partitions_orig": f"{_ORDERS}:get_partitions_orig",
        "get_partitions_relaxed": f"{_ORDERS}:get_partitions_relaxed",
    },
    "partition.orig": {"get_partitions_orig": f"{_ORDERS}:get_partitions_orig"},
    "partition.relaxed": {"get_partitions_relaxed": f"{_ORDERS}:get_partitions_relaxed"},
    "sampling": {"get_sampling": "streaming.order.classic.sampling:get_sampling"},
    "shuffle": {
        "algos": "streaming.order.registry:shuffle_algos",
        "get_shuffle": "streaming.order.classic.shuffle:get_shuffle",
        **{
            f"get_shuffle_{name}": f"{_ORDERS}:get_shuffle_{name}"
            for name in ("naive", "py1br", "py1e", "py1s", "py2s")
        },
    },
    "shuffle.naive": {"get_shuffle_naive": f"{_ORDERS}:get_shuffle_naive"},
    "shuffle.py1br": {
        "divide_spans": f"{_ORDERS}:divide_spans",
        "get_shuffle_py1br": f"{_ORDERS}:get_shuffle_py1br",
    },
    "shuffle.py1e": {
        "divide_spans": f"{_ORDERS}:divide_spans",
        "get_shuffle_py1e": f"{_ORDERS}:get_shuffle_py1e",
    },
    "shuffle.py1s": {
        "divide_spans": f"{_ORDERS}:divide_spans",
        "get_shuffle_py1s": f"{_ORDERS}:get_shuffle_py1s",
    },
    "shuffle.py2s": {"get_shuffle_py2s": f"{_ORDERS}:get_shuffle_py2s"},
    "spanner": {"Spanner": "streaming.dataset.compat.spanner:Spanner"},
    "stream": {
        "Stream": "streaming.dataset.stream:Stream",
        "streams_registry": "streaming.base.registries:streams_registry",
    },
    "world": {"World": "streaming.core.world:World"},
}


def home_of(module: str, name: str) -> str | None:
    """Return ``module:attribute`` of a name, or ``None`` if the table does not have it.

    Args:
        module: Module below ``streaming.base``, ``''`` for that itself.
        name: The name.
    """
    return TABLE[module].get(name)


def install() -> None:
    """Make the modules of the table, empty until somebody uses them."""
    for path, names in TABLE.items():
        if path:
            _make(f"{_PACKAGE}.{path}", names)


def _make(name: str, names: Mapping[str, str]) -> None:
    module = ModuleType(name, f"Names of the original library's ``{name}``; see ``streaming.base._aliases``.")
    is_package = any(f"{_PACKAGE}.{path}".startswith(f"{name}.") for path in TABLE)
    module.__spec__ = ModuleSpec(name, None, is_package=is_package)
    module.__package__ = name if is_package else name.rpartition(".")[0]
    if is_package:
        module.__path__ = []
    module.__dict__["__all__"] = [each for each in names if not each.startswith("_")]
    module.__dict__["__getattr__"] = partial(load, module, names)
    module.__dict__["__dir__"] = lambda: sorted({*vars(module), *names})
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    if parent != _PACKAGE:
        setattr(sys.modules[parent], last, module)


def load(module: ModuleType, names: Mapping[str, str], attribute: str) -> Any:
    """Find an attribute of a module that the table makes, and keep it there.

    Raises:
        AttributeError: It has no such attribute.
    """
    home = names.get(attribute)
    if home is None:
        raise AttributeError(f"module {module.__name__!r} has no attribute {attribute!r}")
    path, _, name = home.partition(":")
    value = getattr(import_module(path), name)
    setattr(module, attribute, value)
    return value
