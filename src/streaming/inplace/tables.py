"""Tables at a version as sources of rows, to be converted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from streaming.core.errors import ConfigError, StreamingError
from streaming.inplace.naming import renamed, stored_names
from streaming.inplace.opening import with_columns
from streaming.inplace.recipe import Taken, as_of_table, read_batches
from streaming.sources.contract import Files, Part, Source
from streaming.sources.kinds.tables import Tables
from streaming.sources.lakes.found import Found
from streaming.sources.lakes.places import LOGS, locate
from streaming.sources.lakes.wids import find_wids
from streaming.sources.pieces import Piece, Scan, kinds
from streaming.sources.registry import open_source, sources
from streaming.storage.location import Location

__all__ = ["open_rows"]


def open_rows(
    place: Location,
    format: str | None = None,
    *,
    skips: bool = False,
    encodings: Mapping[str, str | None] | None = None,
    **options: str | None,
) -> Source:
    """Open what lies at a place: files, or a table at a version.

    Args:
        place: As for :func:`streaming.sources.registry.open_source`; or the directory of a table.
        format: Name of the format; ``None``: as names and contents tell.
        skips: Leave out files that cannot be read, rather than refuse all.
        encodings: Of columns, those that the user chose.
        options: What else is to be told, such as the ``version`` of a table.

    Raises:
        StreamingError: As for :func:`streaming.sources.registry.open_source`.
    """
    given = {name: value for name, value in options.items() if value is not None}
    archives = find_wids(place) if format in (None, "webdataset") and place.base.endswith(".json") else None
    if archives is not None:
        files = Files(str(place), archives.store, archives.files, given, skips, format="webdataset")
        return sources["webdataset"](files)
    if format not in LOGS:
        return open_source(place, format, skips=skips, encodings=encodings, **options)
    odd = next((name for name in given if name not in ("version", "schema")), None)
    if odd is not None:
        raise ConfigError(f"{odd}={given[odd]!r} is not for tables, and {place} is one of {format}. Leave it out.")
    found = locate(place, format, given)
    union, chosen = {"schema": "union"}, encodings or {}
    files = Files(str(place), found.store, found.files, union, skips, encodings=chosen, format=format)
    return _Table(files, found)


class _Table(Tables):
    """The rows of a table at a version.

    Args:
        files: Its files.
        found: What its log says of them.
    """

    def __init__(self, files: Files, found: Found) -> None:
        self._found = found
        self._names: dict[int, dict[str, str]] = {}
        super().__init__(files, kinds[found.kind]())

    def _look(self) -> list[Scan | StreamingError]:
        looked = super()._look()
        keys = self._found.keys
        if keys is not None:
            for number, scan in enumerate(looked):
                if isinstance(scan, Scan):
                    self._names[number] = stored_names(scan.schema, keys)
                    looked[number] = scan._replace(schema=renamed(scan.schema, self._names[number]))
        return looked

    def _of_directories(self) -> tuple[Any, Sequence[Mapping[str, Any]]]:
        return self._found.columns, self._found.values

    def _united(self, found: Sequence[tuple[Any, Scan]]) -> Any:
        return with_columns(super()._united(found), self._found)

    def _parts(self, looked: Sequence[Scan | StreamingError]) -> Iterator[Part]:
        for part in super()._parts(looked):
            gone = self._found.gone.get(part.file)
            if gone is not None and part.rows > 0:
                begin, end = np.searchsorted(gone, [part.first_row, part.first_row + part.rows])
                part = part._replace(rows=part.rows - int(end - begin))
            if part.rows:
                yield part

    def _read(self, part: Part, names: Sequence[str]) -> Iterator[Any]:
        if part.end < 0:  # it could not be looked at
            yield from super()._read(part, names)
            return
        number, at = part.file, part.first_row
        piece = Piece(part.begin, part.end, part.rows, part.bytes)
        info, gone = self.files.infos[number], self._found.gone.get(number)
        taken = Taken(info, (piece,), self._found.values_of(number), at, gone, self._names.get(number))
        for batch in read_batches(self._found.kind, self.files[number], taken, names):
            yield as_of_table(batch, taken, at)
            at += batch.num_rows
