"""Human spellings of byte counts and sample counts."""

from __future__ import annotations

import math
import re
from numbers import Real
from typing import Any

from streaming.core.errors import ConfigError

__all__ = ["bytes_to_int", "number_abbrev_to_int"]

_BYTE_UNITS = {name: 1024**power for power, name in enumerate(("kb", "mb", "gb", "tb", "pb", "eb", "zb", "yb"), 1)}
_COUNT_UNITS = {"k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([a-z]*)")


def bytes_to_int(bytes_str: int | float | str) -> int:
    """Read a byte count such as ``67108864``, ``'64mb'`` or ``'1.5GB'``.

    Args:
        bytes_str: A number of bytes, or text with an optional unit (``b``, ``kb`` ... ``yb``, powers of
            1024, any case). A fraction needs a unit larger than a byte.

    Returns:
        The number of bytes, truncated to an integer.

    Raises:
        ConfigError: The text is not a byte count.

    Example:
        >>> bytes_to_int('1.5kb')
        1536
    """
    return _parse(bytes_str, {**_BYTE_UNITS, "b": 1}, "a byte count such as 1048576, '64mb' or '1.5gb'")


def number_abbrev_to_int(abbrev_str: int | float | str) -> int:
    """Read a count such as ``100000``, ``'100k'`` or ``'1.5b'``.

    Args:
        abbrev_str: A number, or text with an optional unit: ``k`` (10^3), ``m`` (10^6), ``b`` (10^9) or
            ``t`` (10^12), any case.

    Returns:
        The count, truncated to an integer.

    Raises:
        ConfigError: The text is not a count.

    Example:
        >>> number_abbrev_to_int('1.5k')
        1500
    """
    return _parse(abbrev_str, _COUNT_UNITS, "a count such as 100000, '100k' or '1.5b'")


def _parse(value: Any, units: dict[str, int], expected: str) -> int:
    if not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value):
        number: Any = value
        return int(number)
    if not isinstance(value, str):
        raise ConfigError(f"{value!r} is not {expected}")
    match = _NUMBER.fullmatch(value.strip().lower())
    if match:
        number, unit = match.groups()
        scale = units.get(unit)
        if scale is not None and scale > 1 and math.isfinite(float(number)):
            return int(float(number) * scale) if not number.lstrip("+-").isdigit() else int(number) * scale
        if (scale == 1 or not unit) and number.lstrip("+-").isdigit():
            return int(number)
    raise ConfigError(f"{value!r} is not {expected}")
