"""Encodings of the columns of JSON-lines and separated-values shards, as functions."""

from __future__ import annotations

from typing import Any

from streaming.core.errors import ColumnTypeError, UnknownNameError
from streaming.format.kinds.lines import VALUE_TYPES, is_line_encoding

__all__ = ["is_json_encoded", "is_json_encoding", "is_xsv_encoding", "xsv_decode", "xsv_encode"]


def is_json_encoding(encoding: str) -> bool:
    """Tell whether ``encoding`` is one of the JSON-lines format: ``'str'``, ``'int'`` or ``'float'``.

    Args:
        encoding: Text that may be one.

    Example:
        >>> is_json_encoding('int'), is_json_encoding('bytes')
        (True, False)
    """
    return is_line_encoding(encoding)


def is_json_encoded(encoding: str, value: Any) -> bool:
    """Return True if a value can be stored in a column of an encoding.

    Args:
        encoding: ``'str'``, ``'int'`` or ``'float'``.
        value: The value.

    Raises:
        UnknownNameError: (a ``KeyError``) There is no such encoding.
        ColumnTypeError: (an ``AttributeError``) The value has another type.

    Example:
        >>> is_json_encoded('int', 3)
        True
    """
    kind = _type_of(encoding)
    if not isinstance(value, kind):
        raise ColumnTypeError(f"expected {kind.__name__}, got {type(value).__name__}: {value!r:.60}")
    return True


def is_xsv_encoding(encoding: str) -> bool:
    """Tell whether ``encoding`` is one of separated values: ``'str'``, ``'int'`` or ``'float'``.

    Args:
        encoding: Text that may be one.

    Example:
        >>> is_xsv_encoding('float')
        True
    """
    return is_line_encoding(encoding)


def xsv_encode(encoding: str, value: Any) -> str:
    """Return the text of a value.

    Args:
        encoding: ``'str'``, ``'int'`` or ``'float'``.
        value: The value.

    Raises:
        UnknownNameError: (a ``KeyError``) There is no such encoding.
        ColumnTypeError: (an ``AttributeError``) The value has another type.

    Example:
        >>> xsv_encode('int', 3)
        '3'
    """
    is_json_encoded(encoding, value)
    return str(value)


def xsv_decode(encoding: str, value: str) -> Any:
    """Return the value of its text.

    Args:
        encoding: ``'str'``, ``'int'`` or ``'float'``.
        value: What :func:`xsv_encode` returned.

    Raises:
        UnknownNameError: (a ``KeyError``) There is no such encoding.
        ValueError: The text is not one of the encoding.

    Example:
        >>> xsv_decode('int', '3')
        3
    """
    return _type_of(encoding)(value)


def _type_of(encoding: str) -> type:
    if not is_line_encoding(encoding):
        raise UnknownNameError(f"Unknown encoding {encoding!r}. Known: {', '.join(sorted(VALUE_TYPES))}.")
    return VALUE_TYPES[encoding]
