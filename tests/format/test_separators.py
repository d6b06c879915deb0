"""Lines give back the values they were made of, whatever separates them, or are refused."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streaming import CSVWriter, JSONWriter, LocalDataset, TSVWriter, XSVWriter
from streaming.format.formats import get_decoder, make_shard_encoder
from streaming.format.samples.schema import Schema

from budget import share

LETTERS = st.text("ab|:\r\n", max_size=5)
MARKS = st.text("ab|:\r\n", min_size=1, max_size=3)


@share(3)
@given(separator=MARKS, newline=MARKS, values=st.lists(LETTERS, min_size=3, max_size=3))
@example(separator="||", newline="\n", values=["x|", "y", ""])
@example(separator="aa", newline="\n", values=["ba", "c", ""])
@example(separator="ab", newline="ba", values=["", "", "b"])
@example(separator=":", newline="a:a", values=["a", "a", "a"])
def test_values_are_read_back_or_refused(separator: str, newline: str, values: list[str]) -> None:
    columns = {"x": "str", "y": "str", "z": "str"}
    try:
        encoder = make_shard_encoder("xsv", columns=columns, separator=separator, newline=newline)
    except ValueError:
        return
    row = dict(zip(columns, values, strict=True))
    try:
        line = encoder.encode_sample(row)
    except ValueError:
        return
    schema = Schema("xsv", tuple(columns), ("str",) * 3, (None,) * 3, None, (), newline, separator, None)
    assert get_decoder(schema).decode(line) == row
    # Nor does anybody who cuts at the first newline read another line.
    assert line.decode().split(newline) == [line.decode()[: -len(newline)], ""]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"separator": ""}, "separator"),
        ({"separator": None}, "separator"),
        ({"separator": "\n"}, "must not hold each other"),
        ({"separator": "|\n|"}, "must not hold each other"),
        ({"separator": "|", "newline": "||"}, "must not hold each other"),
        ({"separator": "|", "newline": ""}, "newline"),
        ({"separator": "|", "newline": 7}, "newline"),
        ({"separator": "a"}, "names of the columns"),
        ({"separator": "aa", "columns": {"ba": "int", "c": "int"}}, "names of the columns"),
    ],
)
def test_marks_that_cannot_be(tmp_path: Path, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        XSVWriter(**{"columns": {"a": "str", "b": "str"}, "out": str(tmp_path), **arguments})


@pytest.mark.parametrize("newline", [",", "x", "\u2028", "\f", "}\n"])
def test_a_newline_that_json_could_not_read(tmp_path: Path, newline: str) -> None:
    with pytest.raises(ValueError, match="white space of JSON"):
        JSONWriter(columns={"a": "str"}, out=str(tmp_path), newline=newline)


@pytest.mark.parametrize("newline", ["", "\n", "\r\n", "\n\n", " "])
def test_newlines_of_json(tmp_path: Path, newline: str) -> None:
    rows = [{"a": f"{i}\r\n "} for i in range(5)]
    with JSONWriter(columns={"a": "str"}, out=str(tmp_path), newline=newline) as writer:
        for row in rows:
            writer.write(row)
    assert LocalDataset(str(tmp_path))[:] == rows


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 3


@pytest.mark.parametrize("kind", [CSVWriter, TSVWriter, JSONWriter])
def test_members_of_enumerations_are_their_values(tmp_path: Path, kind: Any) -> None:
    with kind(columns={"a": "str", "b": "int", "c": "int"}, out=str(tmp_path)) as writer:
        writer.write({"a": Colour.RED, "b": Level.LOW, "c": True})
    assert LocalDataset(str(tmp_path))[0] == {"a": "red", "b": 3, "c": 1}
