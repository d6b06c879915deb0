"""Values of samples: on a line for people, as JSON for programs, as a file."""

from __future__ import annotations

import datetime as dt
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, cast

import numpy as np

__all__ = ["as_array", "as_file", "as_json", "is_image", "summary"]

_MAX_TEXT = 100
_MAX_ITEMS = 8


def is_image(value: Any) -> bool:
    """Say whether a value is an image of Pillow's, without importing that."""
    return hasattr(value, "mode") and hasattr(value, "size") and hasattr(value, "tobytes")


def as_array(value: Any) -> tuple[np.ndarray[Any, Any], str] | None:
    """Return an array, or a tensor of a type that NumPy has not, and how to call it; ``None`` for anything else.

    Args:
        value: What a column holds.

    Returns:
        The array, of a tensor as ``float32``, which holds these types without loss; and such as ``'tensor bfloat16'``.
    """
    if isinstance(value, np.ndarray):
        return value, f"array {value.dtype}"
    if hasattr(value, "detach"):
        return value.detach().float().numpy(), f"tensor {str(value.dtype).removeprefix('torch.')}"
    return None


def summary(value: Any) -> str:
    """Return a value on one line of bounded length."""
    if isinstance(value, str):
        return _cut(repr(value), len(value), "characters")
    if isinstance(value, bytes):
        return _cut(repr(value[:_MAX_TEXT]), len(value), "bytes")
    if (found := as_array(value)) is not None:
        array, kind = found
        items = ", ".join(map(str, array.ravel()[:_MAX_ITEMS]))  # NumPy's numbers have no more digits than they need
        more = ", ..." if array.size > _MAX_ITEMS else ""
        return f"{kind} {list(array.shape)}: {items}{more}"
    if isinstance(value, np.generic):
        return str(value)
    if isinstance(value, (dt.date, dt.time, dt.timedelta)):
        return str(as_json(value))
    if is_image(value):
        kind = getattr(value, "format", None) or "image"
        return f"{kind} {value.mode} {value.size[0]} x {value.size[1]}"
    if isinstance(value, (list, tuple)):
        values = cast("Sequence[Any]", value)
        inner = ", ".join(summary(item) for item in values[:_MAX_ITEMS])
        return _cut(f"[{inner}{', ...' if len(values) > _MAX_ITEMS else ''}]", len(values), "items")
    return _cut(repr(value))


def _cut(text: str, count: int | None = None, unit: str = "") -> str:
    if len(text) <= _MAX_TEXT:
        return text
    return f"{text[:_MAX_TEXT]}..." + (f" ({count:,} {unit})" if count is not None else "")


def as_json(value: Any) -> Any:
    """Return a value as JSON.

    Args:
        value: What a column holds.

    Returns:
        What JSON can hold as it is, arrays as lists, numbers that are not finite as text; bytes as ``{"base64": ...}``;
        images as that with ``"format"``, ``"mode"`` and ``"size"`` (width and height); times as ISO 8601; else its text.
    """
    found = as_array(value)
    if found is not None and found[0].dtype.kind in "biuf":
        return as_json(list(cast("Any", found[0])) if found[0].ndim else found[0][()])
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, np.bool_):
        return bool(cast("Any", value))
    if isinstance(value, (float, np.floating)):
        number = float(str(cast("Any", value)))  # as short as its type allows
        return number if np.isfinite(number) else repr(number)
    if isinstance(value, np.integer):
        return int(cast("Any", value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"base64": b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in cast("Sequence[Any]", value)]
    return _object_as_json(value)


def _object_as_json(value: Any) -> Any:
    if is_image(value):
        data, kind = _image_file(value)
        return {"base64": b64encode(data).decode(), "format": kind, "mode": value.mode, "size": list(value.size)}
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def as_file(value: Any) -> bytes:
    """Return what a file of a value holds.

    Args:
        value: What a column holds.

    Returns:
        Bytes and text as they are; an image's file, which is a PNG where only its pixels are stored; an array as NumPy's
        ``.npy``; anything else as JSON and the end of a line.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if is_image(value):
        return _image_file(value)[0]
    if isinstance(value, np.ndarray):
        file = BytesIO()
        np.save(file, cast("np.ndarray[Any, Any]", value), allow_pickle=False)
        return file.getvalue()
    return json.dumps(as_json(value), ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


def _image_file(image: Any) -> tuple[bytes, str]:
    """Return the file of an image, as it is stored where it is stored as one, and its format."""
    stored = getattr(image, "fp", None)
    if isinstance(stored, BytesIO):
        return stored.getvalue(), str(image.format)
    file = BytesIO()
    image.save(file, format="PNG" if image.mode in ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA") else "TIFF")
    return file.getvalue(), "PNG" if file.getvalue()[1:4] == b"PNG" else "TIFF"
