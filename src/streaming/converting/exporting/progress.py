"""What of an export is done: kept beside the files until all are there, so that a call that was killed continues.

``_unfinished-export`` tells what is exported; of each shard that is done, ``_unfinished-NNNNN`` has a line of JSON, and
what the shard adds to a file for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from streaming.columns.shards import with_retries
from streaming.storage.location import Location
from streaming.storage.registry import open_store

__all__ = ["Done", "Progress"]

_MARK = "_unfinished-"
_WHAT = f"{_MARK}export"


class Done(NamedTuple):
    """What was made of a shard.

    Attributes:
        files: How many files.
        bytes: Their size.
        notes: What it adds to a file for all shards.
    """

    files: int
    bytes: int
    notes: bytes


@dataclass(frozen=True)
class Progress:
    """What is done at a place. It can be pickled.

    Attributes:
        target: The place.
    """

    target: Location

    def begin(self, what: str, exist_ok: bool) -> dict[int, Done]:
        """Make ready, and return what was made of each shard that is done, by its number.

        Args:
            what: Tells this export from any other.
            exist_ok: Whether other files may be there.

        Raises:
            FileExistsError: There are.
        """
        store = open_store(self.target)
        there = with_retries(lambda: [info.path for info in store.list()])
        marks = [path for path in there if path.startswith(_MARK)]
        if _WHAT in marks and with_retries(lambda: store.get(_WHAT)) == what.encode():
            return {int(path.removeprefix(_MARK)): self._done(path) for path in marks if path != _WHAT}
        if there and not exist_ok:
            raise FileExistsError(f"There are files at {self.target}. Export to another place, or pass exist_ok=True.")
        for path in marks:
            with_retries(lambda path=path: store.delete(path))
        with_retries(lambda: store.put(_WHAT, what.encode()))
        return {}

    def _done(self, path: str) -> Done:
        line, _, notes = with_retries(lambda: open_store(self.target).get(path)).partition(b"\n")
        files, size = json.loads(line)
        return Done(files, size, notes)

    def add(self, number: int, done: Done) -> Done:
        """Note that a shard is done, and return what was made of it."""
        line = json.dumps([done.files, done.bytes]).encode()
        store = open_store(self.target)
        with_retries(lambda: store.put(_mark(number), line + b"\n" + done.notes))
        return done

    def end(self, count: int, files: Mapping[str, bytes]) -> None:
        """Write files for all shards, unless they are empty, and remove what was noted.

        Args:
            count: Number of shards.
            files: Contents by name.
        """
        store = open_store(self.target)
        for path, data in files.items():
            if data:
                with_retries(lambda path=path, data=data: store.put(path, data))
        for path in (*map(_mark, range(count)), _WHAT):
            with_retries(lambda path=path: store.delete(path))


def _mark(number: int) -> str:
    return f"{_MARK}{number:05d}"
