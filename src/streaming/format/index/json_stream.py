"""Reading a large JSON document without ever holding all of it as Python objects."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn, cast

__all__ = ["READ", "read_object"]

#: Stands for a list whose items were handed over.
READ: Any = object()

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def read_object(text: str, list_key: str, on_item: Callable[[Any], None]) -> dict[str, Any]:
    """Read the JSON object that ``text`` is, handing over the items of one of its lists singly.

    Args:
        text: A JSON document, an object.
        list_key: Key of the list to take apart.
        on_item: Called with each item of that list.

    Returns:
        The members of the object; that of ``list_key`` is :data:`READ`, or the value itself if
        it is not a list.

    Raises:
        json.JSONDecodeError: It is not JSON, or not an object.
        ValueError: A number has too many digits.
        RecursionError: It is nested too deeply.
    """
    members: dict[str, Any] = {}

    def read_member(pos: int) -> int:
        if text[pos : pos + 1] != '"':
            _bad(text, pos)
        key, pos = _DECODER.raw_decode(text, pos)
        pos = _skip(text, _expect(text, pos, ":"))
        if key in members:
            raise json.JSONDecodeError(f"The key {key!r} comes twice", text, pos)
        if key == list_key and text[pos : pos + 1] == "[":
            members[key] = READ

            def read_item(pos: int) -> int:
                item, pos = _DECODER.raw_decode(text, pos)
                on_item(item)
                return pos

            return _read_sequence(text, pos, "[]", read_item)
        members[key], pos = _DECODER.raw_decode(text, pos)
        return pos

    pos = _skip(text, _read_sequence(text, _skip(text, 0), "{}", read_member))
    if pos != len(text):
        _bad(text, pos)
    return members


def _read_sequence(text: str, pos: int, brackets: str, read: Callable[[int], int]) -> int:
    """Read what stands between brackets and commas; return the position after the last bracket."""
    opening, closing = brackets
    pos = _skip(text, _expect(text, pos, opening))
    if text[pos : pos + 1] == closing:
        return pos + 1
    while True:
        pos = _skip(text, read(pos))
        if text[pos : pos + 1] == closing:
            return pos + 1
        pos = _skip(text, _expect(text, pos, ","))


def _skip(text: str, pos: int) -> int:
    return cast("re.Match[str]", _SPACE.match(text, pos)).end()


def _expect(text: str, pos: int, char: str) -> int:
    pos = _skip(text, pos)
    if text[pos : pos + 1] != char:
        _bad(text, pos)
    return pos + 1


def _bad(text: str, pos: int) -> NoReturn:
    found = text[pos : pos + 1]
    raise json.JSONDecodeError(f"Unexpected {found!r}" if found else "It ends early", text, pos)
