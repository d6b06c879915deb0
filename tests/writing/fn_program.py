"""A bulk write by a function, of ``python fn_program.py OUT WORKERS``, to be killed by tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import streaming

COLUMNS = {"input": "int", "text": "str"}
ARGUMENTS: dict[str, Any] = {"compression": "zstd", "hashes": ["xxh64"], "size_limit": 3000, "on_error": "skip"}
INPUTS = [*map(str, range(300)), "400 rows", *map(str, range(300, 600))]
rest_s = 0.0


def rows(item: str) -> Any:
    """One row, none, some, or many; or a failure, before or after some rows."""
    if item == "400 rows":
        return many(400)
    number = int(item)
    if number % 50 == 9:
        raise OSError(f"{number} is broken")
    if number % 50 == 10:
        return many_and_fail(3)
    if number % 7 == 3:
        return None
    return row(number, 0) if number % 2 else [row(number, k) for k in range(number % 4)]


def row(number: int, k: int) -> dict[str, Any]:
    time.sleep(rest_s)
    return {"input": "no number" if number % 50 == 12 else number, "text": f"{number}.{k} " + "x" * (number * k % 97)}


def many(count: int) -> Iterator[dict[str, Any]]:
    for k in range(count):
        yield row(400, k)


def many_and_fail(count: int) -> Iterator[dict[str, Any]]:
    yield from many(count)
    raise ValueError("in the middle")


def plain() -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """The rows that are to be written, and the inputs of what is left out."""
    good: list[dict[str, Any]] = []
    bad: list[tuple[int, str]] = []
    for number, item in enumerate(INPUTS):
        try:
            made = rows(item)
            for one in [made] if isinstance(made, dict) else made or ():
                if one["input"] == "no number":
                    bad.append((number, repr(item)))
                else:
                    good.append(one)
        except (OSError, ValueError):
            bad.append((number, repr(item)))
    return good, bad


if __name__ == "__main__":
    out, workers = sys.argv[1:]
    rest_s = 0.001
    streaming.write(INPUTS, out, COLUMNS, fn=rows, workers=int(workers), **ARGUMENTS)
