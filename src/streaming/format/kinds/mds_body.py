"""The statements that read a sample of the MDS format, written for its columns."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any

import numpy as np

from streaming.core.errors import ShardFormatError
from streaming.format.encodings.array import NDArrayEncoding
from streaming.format.encodings.base import Encoding, element_of
from streaming.format.encodings.scalar import Bool, Int, number_of
from streaming.format.encodings.text import Bytes, Str
from streaming.format.samples.sample import OFFSETS

__all__ = ["Body", "wrong_size"]

#: From so many numbers of one NumPy type on, an array of them is made sooner than each by itself.
_MANY_ALIKE = 4


class Body:
    """The lines that read a sample from ``buffer``, beginning at ``at``.

    Args:
        names: Names of the columns.
        coders: Their encodings, ``None`` for those that are passed over.
        sizes: Bytes of each column where that is fixed, else ``None``.
        order: The others, in the order in which a sample has them.
        by_column: Whether numbers are read as Python's, and arrays as their bytes, to be converted together.

    Attributes:
        lines: Statements. Afterwards, ``at`` is where the last column begins that has one of varying size before it.
        at: Bytes from there to the end.
        result: Expression of the sample.
        known: What the names in them mean.
    """

    def __init__(
        self,
        names: Sequence[str],
        coders: Sequence[Encoding | None],
        sizes: Sequence[int | None],
        order: Sequence[int],
        by_column: bool = False,
    ) -> None:
        self._by_column = by_column
        self.known: dict[str, Any] = {
            "wrong_size": wrong_size,
            "frombuffer": np.frombuffer,
            "offsets": OFFSETS.unpack_from,
        }
        self.lines: list[str] = []
        self.at = 0
        values: dict[int, str] = {}
        # Numbers to read at once: names of variables, and their codes.
        run: list[tuple[str, str]] = [(f"size{i}", "I") for i, size in enumerate(sizes) if size is None]
        columns = list(zip(names, coders, sizes, strict=True))
        i = 0
        while i < len(columns):
            name, coder, size = columns[i]
            if coder is None:
                self._read_run(run)
                self._pass_over(size, i)
                i += 1
                continue
            number = number_of(coder) if size == coder.size else None
            alike = _alike(coders, i) if number is not None else 1
            alike = alike if alike >= _MANY_ALIKE and not by_column else 1
            if alike > 1:
                self._read_run(run)
                found = [f"value{j}" for j in range(i, i + alike)]
                self._read_alike(found, element_of(coder), i)
                values.update((j, f"{names[j]!r}: value{j}") for j in range(i, i + alike))
            elif number is not None:
                code, self.known[f"type{i}"] = number
                run.append((f"value{i}", code))
                values[i] = f"{name!r}: value{i}" if type(coder) is Int else f"{name!r}: type{i}(value{i})"
            else:
                self._read_run(run)
                self._read_value(coder, size, i)
                values[i] = f"{name!r}: value{i}"
            i += alike
        self._read_run(run)
        self.result = f"{{{', '.join(values[i] for i in order)}}}"

    def _pass_over(self, size: int | None, i: int) -> None:
        """Leave a column out."""
        if size is None:
            self.lines.append(f"at += {self.at} + size{i}")
            self.at = 0
        else:
            self.at += size

    def _read_run(self, run: list[tuple[str, str]]) -> None:
        """Read numbers that lie side by side by one ``struct``."""
        if run:
            code = Struct("<" + "".join(code for _, code in run))
            self.known[f"run{len(self.lines)}"] = code.unpack_from
            self.lines.append(f"{', '.join(name for name, _ in run)}, = run{len(self.lines)}(buffer, at + {self.at})")
            self.at += code.size
            run.clear()

    def _read_alike(self, names: list[str], element: Any, i: int) -> None:
        """Read numbers of one NumPy type that lie side by side."""
        dtype: np.dtype[Any] = element[0]
        self.known[f"dtype{i}"] = dtype
        self.lines.append(f"{', '.join(names)}, = frombuffer(buffer, dtype{i}, {len(names)}, at + {self.at})")
        self.at += len(names) * dtype.itemsize

    def _read_value(self, coder: Encoding, size: int | None, i: int) -> None:
        self.known[f"decode{i}"] = coder.decode
        self.known[f"dtype{i}"] = getattr(coder, "dtype", None)
        begin = f"at + {self.at}"
        if size is None:
            self.lines.append(f"at += {self.at}")
            self.at, begin = 0, "at"
        end = f"at + size{i}" if size is None else f"at + {self.at + size}"
        is_bytes = self._by_column and type(coder) is NDArrayEncoding
        expression = "{data}" if is_bytes else _expression(coder, size, i)
        self.lines.append(f"value{i} = {expression.format(data=f'buffer[{begin} : {end}]')}")
        if size is None:
            self.lines.append(f"at += size{i}")
        else:
            self.at += size


def _alike(coders: Sequence[Encoding | None], first: int) -> int:
    """Return how many columns from one on are numbers of the same NumPy type; 1 for others."""
    kind = type(coders[first])
    if kind in (Bool, Int):
        return 1
    return next((i for i, coder in enumerate(coders[first:]) if type(coder) is not kind), len(coders) - first)


def _expression(coder: Encoding, size: int | None, i: int) -> str:
    """Return how to decode ``{data}``. Only what is known to the last detail is written out."""
    if type(coder) is Bytes:
        return "{data}"
    if type(coder) is Str:
        return 'str({data}, "utf-8")'
    if type(coder) is NDArrayEncoding and size == coder.size and coder.shape is not None and len(coder.shape) == 1:
        return f"frombuffer({{data}}, dtype{i})"
    return f"decode{i}({{data}})"


def wrong_size(found: int, stated: int) -> ShardFormatError:
    """Return the error of a sample whose columns take more or less than its bytes."""
    return ShardFormatError(f"its columns take {stated} bytes, it has {found}")
