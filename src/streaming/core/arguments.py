"""Arguments by their types: what every public callable asks of a count, a number, a switch, a name or a path.

NumPy's numbers are numbers; a ``bool`` is no count, and text is no number, however it reads.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

from streaming.core.errors import ConfigError
from streaming.core.units import number_abbrev_to_int

__all__ = [
    "Checked",
    "as_count",
    "as_directory",
    "as_flag",
    "as_integer",
    "as_number",
    "as_path",
    "as_text",
    "by",
    "optional_integer",
    "optional_integers",
]

_INTEGER, _NUMBER = "an integer", "a number"
#: What 64 bits hold, as arrays and files do.
_MOST = (1 << 63) - 1


def as_integer(name: str, value: Any, least: int | None = None) -> int:
    """Return a count or a seed as an ``int``.

    Args:
        name: The argument's, for the error.
        value: What was given: an ``int`` or a NumPy integer.
        least: The smallest that is allowed.

    Raises:
        ConfigError: It is none, too small, or takes more than 64 bits.

    Example:
        >>> as_integer('batch_size', np.int64(4), 1)
        4
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise _wrong(name, _INTEGER, value)
    number = int(value)
    if least is not None and number < least:
        raise ConfigError(f"{name} must be at least {least}, got {number}.")
    if abs(number) > _MOST:
        raise ConfigError(f"{name} must be at most {_MOST}, got {number}.")
    return number


def as_count(name: str, value: Any, least: int) -> int:
    """Return a count of samples, which may be text such as ``'100k'`` or a float that is whole.

    Args:
        name: The argument's, for the error.
        value: What was given.
        least: The smallest that is allowed.

    Raises:
        ConfigError: It is none, a fraction, too small, or takes more than 64 bits.

    Example:
        >>> as_count('epoch_size', '1.5k', 1)
        1500
    """
    try:
        number = number_abbrev_to_int(value)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}.") from None
    if not isinstance(value, str) and number != value:
        raise ConfigError(f"{name} must be a whole number, got {value!r}. Pass {name}=int({value!r}).")
    return as_integer(name, number, least)


def optional_integer(name: str, value: Any, least: int | None = None) -> int | None:
    """Return ``None``, or a count or a seed as an ``int``; see :func:`as_integer`."""
    return None if value is None else as_integer(name, value, least)


def optional_integers(**values: tuple[Any, int]) -> list[int | None]:
    """Return several of what :func:`optional_integer` returns.

    Args:
        values: What was given and the smallest that is allowed, by the arguments' names.
    """
    return [optional_integer(name, value, least) for name, (value, least) in values.items()]


def as_number(name: str, value: Any, least: float | None = None) -> float:
    """Return a number as a ``float``, or as an ``int`` if it is an integer.

    Args:
        name: The argument's, for the error.
        value: What was given: a Python or NumPy number.
        least: The smallest that is allowed.

    Raises:
        ConfigError: It is none, is not finite, or is too small.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise _wrong(name, _NUMBER, value)
    if least is not None and value < least:
        raise ConfigError(f"{name} must be at least {least:g}, got {value}.")
    return int(value) if isinstance(value, Integral) else float(value)


def as_flag(name: str, value: Any) -> bool:
    """Return a switch as a ``bool``: True, False, 1, 0, or NumPy's of these.

    Raises:
        ConfigError: It is anything else; the text ``'False'`` would be true.
    """
    is_one = isinstance(value, (bool, Integral)) or type(value).__name__ in ("bool", "bool_")  # NumPy's
    if is_one and value in (0, 1):
        return bool(value)
    raise _wrong(name, "True or False", value)


def as_text(name: str, value: Any) -> str:
    """Return a name as a ``str``.

    Raises:
        ConfigError: It is none.
    """
    if not isinstance(value, str):
        raise _wrong(name, "text", value)
    return value


def as_path(name: str, value: Any) -> str:
    """Return a path or URL as a ``str``: text, or an object such as ``pathlib.Path``.

    Raises:
        ConfigError: It is none, is made of bytes, or has a null character in it.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise _wrong(name, "a path or a URL", value)
    text: Any = os.fspath(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if "\0" in as_text(name, text):
        raise ConfigError(f"{name} has a null character in it, which no path can have: {text!r}.")
    return text


def as_directory(name: str, value: Any) -> str:
    """Return the path of a dataset's directory; its ``index.json`` may be named instead.

    Raises:
        ConfigError: It is no path.
    """
    path = as_path(name, value)
    head, tail = os.path.split(path)
    return (head or ".") if tail == "index.json" else path


@dataclass(frozen=True)
class Checked:
    """A base of frozen dataclasses whose fields are arguments: each is checked once, as the value is made, by its name.

    Example:
        >>> @dataclass(frozen=True)
        ... class Config(Checked):
        ...     batch_size: int = field(metadata=by(as_integer, 1))
        >>> Config(np.int64(4)).batch_size
        4
    """

    def __post_init__(self) -> None:
        """Put what its check returns in place of each field that has one.

        Raises:
            ConfigError: What a check raises.
        """
        for field in fields(self):
            if "check" in field.metadata:
                checked = field.metadata["check"](field.name, getattr(self, field.name))
                object.__setattr__(self, field.name, checked)


def by(check: Callable[..., Any], *limits: Any) -> dict[str, Any]:
    """Return the metadata of a field of :class:`Checked`: its check, called with its name, what was given, and limits."""

    def checked(name: str, value: Any) -> Any:
        return check(name, value, *limits)

    return {"check": checked}


def _wrong(name: str, expected: str, value: Any) -> ConfigError:
    advice = _advice(name, value, expected) if expected in (_INTEGER, _NUMBER) else ""
    return ConfigError(f"{name} must be {expected}, got {value!r} ({type(value).__name__}).{advice}")


def _advice(name: str, value: Any, expected: str) -> str:
    """Return how a number would be given that was given as text, or as a whole fraction."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return ""
    if isinstance(value, bool) or not math.isfinite(number):
        return ""
    if not number.is_integer():
        return f" Pass {name}={number}." if expected == _NUMBER else ""
    return f" Pass {name}={int(number)}."
