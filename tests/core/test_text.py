"""Texts of others reach no terminal and no log as control characters."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors import ColumnTypeError, ConfigError, IndexNotJSONError, StorageError
from streaming.core.text import has_controls, printable


@given(st.text())
def test_nothing_that_moves_a_cursor_is_left(text: str) -> None:
    shown = printable(text)
    assert not has_controls(shown)
    assert shown.isprintable() or all(c.isprintable() or not ord(c) < 160 for c in shown)
    assert has_controls(text) == (shown != text)
    assert printable(text, lines=True).count("\n") == text.count("\n")


def test_what_people_write_stays() -> None:
    assert printable("naïve café, 数据, عربى, 🙂\\u") == "naïve café, 数据, عربى, 🙂\\u"


@pytest.mark.parametrize("char", ["\x1b", "\x07", "\x7f", "\x9b", "\u202e", "\u2028", "\ud800", "\r"])
def test_escapes_are_json(char: str) -> None:
    assert json.loads(f'"{printable(char)}"') == char


@pytest.mark.parametrize("kind", [ConfigError, StorageError, ColumnTypeError, IndexNotJSONError])
def test_exceptions_are_fit_for_a_terminal(kind: type[Exception]) -> None:
    error = kind("\x1b[31mred\x07\n  line two")
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == "\\u001b[31mred\\u0007\n  line two"
