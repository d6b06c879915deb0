"""Which columns the original library can read."""

from __future__ import annotations

from collections.abc import Mapping

from streaming.core.errors import ConfigError

__all__ = ["check_compatible", "is_compatible"]

_NAMES = frozenset(
    {
        *("bytes", "str", "int", "str_int", "str_float", "str_decimal", "json", "pkl", "pil", "jpeg", "png"),
        *("jpeg_array", "jpegarray", "list[pil]", "list[jpeg]", "list[png]"),
        *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
        *("float16", "float32", "float64"),
    }
)


def is_compatible(encoding: str) -> bool:
    """Tell whether ``mosaicml-streaming`` 0.13 reads an encoding (arrays of ``bool`` in ``'ndarray'`` it does not).

    Args:
        encoding: ``'name'``, ``'name:config'``, or either followed by ``'?'``.

    Example:
        >>> is_compatible('ndarray:float32'), is_compatible('int?')
        (True, False)
    """
    name, _, config = encoding.partition(":")
    return encoding in _NAMES or (name == "ndarray" and not config.startswith("bool") and not encoding.endswith("?"))


def check_compatible(columns: Mapping[str, str]) -> None:
    """Refuse columns that the original library cannot read.

    Args:
        columns: Encodings by name.

    Raises:
        ConfigError: There are some; the text names them.

    Example:
        >>> check_compatible({'text': 'str', 'label': 'int'})
    """
    other = {name: encoding for name, encoding in columns.items() if not is_compatible(encoding)}
    if other:
        named = ", ".join(f"{name!r} ({encoding})" for name, encoding in other.items())
        raise ConfigError(
            f"compatible=True, and mosaicml-streaming cannot read the columns {named}. Give each an encoding that it knows "
            "(such as 'json' for values that may be missing, 'str' for dates as text, 'bytes' for files), or leave "
            "compatible=True out."
        )
