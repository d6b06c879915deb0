"""What an encoding of one column's value is, and the helpers that the built-in ones share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ColumnTypeError, ColumnValueError

__all__ = ["ColumnOverflowError", "Encoding", "RowsEncoding", "decodes_many", "element_of", "unmasked"]


class ColumnOverflowError(ColumnValueError, OverflowError):
    """A number is outside the range of its column's encoding."""


class Encoding(ABC):
    """A way to store one value as bytes.

    Subclass it, implement :meth:`encode` and :meth:`decode`, and register the class under a name::

        from streaming.format.encodings import Encoding, encodings

        class Reversed(Encoding):
            def encode(self, obj):
                return obj.encode()[::-1]

            def decode(self, data):
                return data[::-1].decode()

        encodings["reversed"] = Reversed

    A column declared as ``'name:config'`` is given ``Class.from_str(config)`` if there is such a
    method, else ``Class(config)``.

    Attributes:
        size: Bytes of every encoded value if that is fixed, else ``None``.
        safe: Whether decoding is free of code that the data brings.
        passes_bytes: Whether a ``bytes`` value is taken to be encoded already.

    Example:
        >>> from streaming.format.encodings import Encoding, encodings
        >>> class Reversed(Encoding):
        ...     def encode(self, obj):
        ...         return obj.encode()[::-1]
        ...     def decode(self, data):
        ...         return data[::-1].decode()
        >>> encodings['reversed'] = Reversed
        >>> with MDSWriter(columns={'text': 'reversed'}, out='texts') as out:
        ...     out.write({'text': 'abc'})
        >>> LocalDataset('texts')[0]
        {'text': 'abc'}
    """

    size: int | None = None
    safe: bool = True
    passes_bytes: bool = True

    @abstractmethod
    def encode(self, obj: Any) -> bytes:
        """Return the bytes of a value."""

    @abstractmethod
    def decode(self, data: bytes) -> Any:
        """Return the value of its bytes."""

    @staticmethod
    def _validate(data: Any, expected_type: type | tuple[type, ...]) -> None:
        """Raise ``ColumnTypeError`` unless ``data`` is of a type."""
        if not isinstance(data, expected_type):
            types = expected_type if isinstance(expected_type, tuple) else (expected_type,)
            wanted = " or ".join(kind.__name__ for kind in types)
            raise ColumnTypeError(f"expected {wanted}, got {type(data).__name__}: {_brief(data)}")


class RowsEncoding(Protocol):
    """A fixed-size encoding that can decode many values at once."""

    def decode_many(self, rows: NDArray[np.uint8]) -> Sequence[Any]:
        """Return the values of ``uint8[k, size]``, contiguous, which they may be views of."""
        ...


def decodes_many(coder: Encoding) -> bool:
    """Tell whether ``coder`` is a :class:`RowsEncoding`.

    A subclass that overrides ``decode`` alone is not: its inherited ``decode_many`` would disagree.
    """
    for kind in type(coder).__mro__:
        if "decode" in vars(kind):
            return "decode_many" in vars(kind)
    return False


def element_of(coder: Encoding) -> tuple[np.dtype[Any], tuple[int, ...]] | None:
    """Return dtype and shape of every value of ``coder``, if its bytes are just the elements; else ``None``.

    Encodings say so by a property ``element``. As with :func:`decodes_many`, a subclass that overrides ``decode`` alone
    does not inherit that.
    """
    for kind in type(coder).__mro__:
        if "decode" in vars(kind):
            return cast("Any", coder).element if "element" in vars(kind) else None
    return None


def unmasked(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array, unless some of its elements are masked: no encoding could tell which.

    Raises:
        ColumnValueError: Some are.
    """
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise ColumnValueError(
            f"a masked array with {int(np.ma.count_masked(array))} masked elements; give them a value by filled(), or store "
            "the mask as a column of its own"
        )
    return array


def _brief(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
