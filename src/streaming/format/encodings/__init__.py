"""Encodings of the columns of MDS shards: values to bytes and back.

Every encoding is found by its name in :data:`encodings`; add your own class to it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from streaming.core.errors import ConfigError, UnknownNameError
from streaming.core.registry import Registry
from streaming.format.encodings.base import ColumnOverflowError, Encoding
from streaming.format.encodings.nullable import Nullable

__all__ = [
    "ColumnOverflowError",
    "Encoding",
    "EncodingRegistry",
    "Nullable",
    "base_name",
    "encodings",
    "get_encoding",
    "get_mds_encoded_size",
    "get_mds_encodings",
    "is_mds_encoding",
    "is_mds_encoding_safe",
    "mds_decode",
    "mds_encode",
]


class EncodingRegistry(Registry[Any]):
    """Names of encodings and their classes (or instances).

    Attributes:
        generation: Changes whenever the registry does, so that what is compiled from it can be
            told from what is out of date.
    """

    def __init__(self, entries: dict[str, Any]) -> None:
        super().__init__("column encoding", entries, "streaming.encodings")
        self.generation = 0

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self.generation += 1

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self.generation += 1


_TEXT = "streaming.format.encodings.text"
_SCALAR = "streaming.format.encodings.scalar"
_IMAGE = "streaming.format.encodings.image"
_MEDIA = "streaming.format.encodings.media"
_TIMES = "streaming.format.encodings.times"
_SERIALIZED = "streaming.format.encodings.serialized"

#: Encodings by name. To add one, assign a class with ``encode``, ``decode`` and, if it is fixed,
#: ``size``, in every process that writes or reads such a column.
encodings = EncodingRegistry(
    {
        "bytes": f"{_TEXT}:Bytes",
        "str": f"{_TEXT}:Str",
        "int": f"{_SCALAR}:Int",
        "uint8": f"{_SCALAR}:UInt8",
        "uint16": f"{_SCALAR}:UInt16",
        "uint32": f"{_SCALAR}:UInt32",
        "uint64": f"{_SCALAR}:UInt64",
        "int8": f"{_SCALAR}:Int8",
        "int16": f"{_SCALAR}:Int16",
        "int32": f"{_SCALAR}:Int32",
        "int64": f"{_SCALAR}:Int64",
        "float16": f"{_SCALAR}:Float16",
        "float32": f"{_SCALAR}:Float32",
        "float64": f"{_SCALAR}:Float64",
        "bool": f"{_SCALAR}:Bool",
        "ndarray": "streaming.format.encodings.array:NDArrayEncoding",
        "str_int": f"{_TEXT}:StrInt",
        "str_float": f"{_TEXT}:StrFloat",
        "str_decimal": f"{_TEXT}:StrDecimal",
        "pil": f"{_IMAGE}:PIL",
        "jpeg": f"{_IMAGE}:JPEG",
        "png": f"{_IMAGE}:PNG",
        "jpeg_array": f"{_IMAGE}:JPEGArray",
        "jpegarray": f"{_IMAGE}:JPEGArray",
        "list[pil]": f"{_IMAGE}:PILList",
        "list[jpeg]": f"{_IMAGE}:JPEGList",
        "list[png]": f"{_IMAGE}:PNGList",
        "image": f"{_IMAGE}:ImageFile",
        "audio": f"{_MEDIA}:AudioFile",
        "video": f"{_MEDIA}:VideoFile",
        "date": f"{_TIMES}:Date",
        "time": f"{_TIMES}:Time",
        "datetime": f"{_TIMES}:DateTime",
        "timedelta": f"{_TIMES}:TimeDelta",
        "list": "streaming.format.encodings.lists:List",
        "tensor": "streaming.format.encodings.tensor:Tensor",
        "pkl": f"{_SERIALIZED}:Pickle",
        "json": f"{_SERIALIZED}:JSON",
    }
)
_encodings = encodings  # the name that existing user code assigns to


def get_encoding(encoding: str) -> Encoding:
    """Return the implementation of an encoding.

    Args:
        encoding: ``'name'`` or ``'name:config'``; either followed by ``'?'`` for values that may be ``None``.

    Returns:
        An object with ``encode`` and ``decode``.

    Raises:
        UnknownNameError: No encoding has that name.
        ConfigError: It does not take that configuration.

    Example:
        >>> get_encoding('ndarray:uint16:2').decode(bytes([1, 0, 2, 0]))
        array([1, 2], dtype=uint16)
    """
    if not isinstance(encoding, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UnknownNameError(f"An encoding is named by a string, not by {encoding!r}.")
    return _get_encoding(encoding, encodings.generation)


@lru_cache(maxsize=1024)
def _get_encoding(encoding: str, _generation: int) -> Encoding:
    if encoding.endswith("?"):
        item = _get_encoding(encoding[:-1], _generation)
        return getattr(item, "nullable", Nullable)(item, encoding[:-1])
    name, colon, config = encoding.partition(":")
    entry: Any = encodings[name]
    if hasattr(entry, "of_encoding"):
        return entry.of_encoding(config, get_encoding)
    if not isinstance(entry, type):
        if colon:
            raise ConfigError(f"Encoding {name!r} takes no configuration, got {encoding!r}.")
        return entry
    if not colon:
        return entry()
    if hasattr(entry, "from_str"):
        return cast("Any", entry).from_str(config)
    try:
        return entry(config)
    except TypeError as error:
        raise ConfigError(f"Encoding {name!r} takes no configuration, got {encoding!r} ({error}).") from error


def mds_encode(encoding: str, obj: Any) -> bytes:
    """Encode a value.

    Args:
        encoding: ``'name'`` or ``'name:config'``.
        obj: The value. ``bytes`` are taken to be encoded already and returned as they are, whatever
            the encoding (but for ``'pkl'``).

    Returns:
        The bytes.

    Raises:
        UnknownNameError: No encoding has that name.
        SampleError: The encoding cannot store the value.

    Example:
        >>> list(mds_encode('uint16', 258))
        [2, 1]
    """
    coder = get_encoding(encoding)
    if isinstance(obj, bytes) and getattr(coder, "passes_bytes", True):
        return obj
    return coder.encode(obj)


def mds_decode(encoding: str, data: bytes | bytearray | memoryview) -> Any:
    """Decode a value.

    Args:
        encoding: ``'name'`` or ``'name:config'``.
        data: Bytes that :func:`mds_encode` returned.

    Returns:
        The value.

    Raises:
        UnknownNameError: No encoding has that name.

    Example:
        >>> int(mds_decode('uint16', bytes([2, 1])))
        258
    """
    # A value may be a view of its bytes: copy them out of anything that can change or close.
    return get_encoding(encoding).decode(data if isinstance(data, bytes) else bytes(data))


def get_mds_encoded_size(encoding: str) -> int | None:
    """Return how many bytes each value takes, or ``None`` if that varies.

    Args:
        encoding: ``'name'``, ``'name:config'``, or either followed by ``'?'``.

    Raises:
        UnknownNameError: No encoding has that name.

    Example:
        >>> get_mds_encoded_size('float64'), get_mds_encoded_size('str')
        (8, None)
    """
    return getattr(get_encoding(encoding), "size", None)


def is_mds_encoding(encoding: Any) -> bool:
    """Tell whether ``encoding`` names an encoding, with a configuration that it takes.

    Args:
        encoding: Text that may name one.

    Example:
        >>> is_mds_encoding('ndarray:uint16'), is_mds_encoding('ndarray:text')
        (True, False)
    """
    try:
        get_encoding(encoding)
    except Exception:
        return False
    return True


def is_mds_encoding_safe(encoding: str) -> bool:
    """Tell whether decoding cannot run code that the data brings.

    Args:
        encoding: ``'name'``, ``'name:config'``, or either followed by ``'?'``.

    Example:
        >>> is_mds_encoding_safe('json'), is_mds_encoding_safe('pkl')
        (True, False)
    """
    name = base_name(encoding)
    if name == "pkl":
        return False
    if name in encodings and hasattr(encodings[name], "of_encoding"):
        return is_mds_encoding_safe(encoding.partition(":")[2])
    return getattr(encodings[name], "safe", True) if name in encodings else True


def base_name(encoding: str) -> str:
    """Return the name in the registry of an encoding that may have a configuration, or be nullable.

    Args:
        encoding: ``'name'``, ``'name:config'``, or either followed by ``'?'``.

    Example:
        >>> base_name('ndarray:uint16?')
        'ndarray'
    """
    return encoding.partition(":")[0].rstrip("?")


def get_mds_encodings() -> set[str]:
    """Return the names of all encodings.

    Example:
        >>> {'str', 'ndarray', 'jpeg'} <= get_mds_encodings()
        True
    """
    return set(encodings)
