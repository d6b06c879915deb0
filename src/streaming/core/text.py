"""Texts of others, from data or servers: made fit for a terminal or a log, and read as JSON."""

from __future__ import annotations

import errno
import json
import re
from typing import Any

__all__ = ["advice_on", "has_controls", "parse_json", "printable"]

# What moves the cursor, colours, ends lines, or turns the direction of reading round; and halves of characters.
_CONTROLS = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = re.compile(f"[{_CONTROLS}]")
_CONTROL_IN_LINES = re.compile(f"(?![\t\n])[{_CONTROLS}]")


def printable(text: str, lines: bool = False) -> str:
    r"""Return a text with its control characters as escapes, as JSON has them (``\u001b``).

    Args:
        text: Any text.
        lines: Whether it is one of several lines, whose ends (and tabs) stay.
    """
    return (_CONTROL_IN_LINES if lines else _CONTROL).sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def has_controls(text: str) -> bool:
    """Say whether a text holds a control character."""
    return _CONTROL.search(text) is not None


def advice_on(error: OSError) -> str:
    """Return what to do about an error of the system that is the process's own, not a file's; else nothing."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "Allow more open files (`ulimit -n`), or use fewer workers."
    if error.errno == errno.EFBIG:
        return "Allow larger files (`ulimit -f`)."
    return ""


def parse_json(data: str | bytes) -> Any:
    """Return what a JSON text says.

    Args:
        data: The text, or its bytes.

    Raises:
        ValueError: It is no JSON, or an object has a key twice.

    Example:
        >>> from streaming.core.text import parse_json
        >>> parse_json('{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ValueError: the key 'a' is there twice, and one of its values would be lost. Rename one.
    """
    try:
        text = data.decode(json.detect_encoding(data), "surrogatepass") if isinstance(data, bytes) else data
        return _DECODER.decode(text)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice, and one of its values would be lost. Rename one.")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
