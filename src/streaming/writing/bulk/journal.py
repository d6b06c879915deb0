"""What a bulk write has finished, line by line in a file, so that a killed one can be continued."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from streaming.core.errors import ConfigError
from streaming.format.codecs.hashing import get_hash
from streaming.storage.target import naming, write_all
from streaming.writing.publish.target import open_new

__all__ = ["JOURNAL_NAME", "Finished", "Journal", "Place", "fingerprint"]

JOURNAL_NAME = "journal.jsonl"


def fingerprint(sample: bytes) -> str:
    """Return what an encoded sample is recognised by."""
    return get_hash("xxh3_128", sample)


@dataclass(frozen=True)
class Place:
    """Where a sample comes from, if a function makes samples of inputs.

    Attributes:
        input: Number of the input.
        row: Number of the sample among those that the function made of it.
        inputs: Fingerprint of the inputs up to that.
        num_skipped: How much was left out up to that.
    """

    input: int
    row: int
    inputs: str
    num_skipped: int


@dataclass(frozen=True)
class Finished:
    """A shard that is where it belongs.

    Attributes:
        entry: Its entry in the index.
        first: Fingerprint of its first sample.
        last: Fingerprint of its last sample.
        place: Where the last sample comes from.
        skipped: What was left out since the shard before: number of the input, how it looks, and why.
    """

    entry: dict[str, Any]
    first: str
    last: str
    place: Place | None = None
    skipped: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        fields = asdict(self)
        return fields if self.place else {key: fields[key] for key in ("entry", "first", "last")}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Finished:
        """Return what :meth:`as_json` made an object of."""
        place = record.pop("place", None)
        return cls(**record, place=Place(**place) if place else None)


class Journal:
    """The journal of one bulk write.

    Args:
        directory: Where its file is, and what else is in the making.
        header: What the write was called with, as JSON.
        finished: Shards that are finished, in order.
    """

    def __init__(self, directory: str, header: dict[str, Any], finished: Sequence[Finished] = ()) -> None:
        self._directory = directory
        self._path = os.path.join(directory, JOURNAL_NAME)
        self.header = header
        self.finished: list[Finished] = list(finished)

    @property
    def num_samples(self) -> int:
        """Samples of the finished shards."""
        return sum(done.entry["samples"] for done in self.finished)

    @classmethod
    def load(cls, directory: str) -> Journal | None:
        """Read the journal of an interrupted write; ``None`` if there is none. A torn last line is left out.

        Raises:
            ConfigError: It holds something else.
        """
        try:
            with open(os.path.join(directory, JOURNAL_NAME), "rb") as file:
                lines = file.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return None
        records: list[Any] = []
        for line in lines:
            try:
                records.append(json.loads(line))
            except ValueError:
                break
        if not records:
            return None
        try:
            finished = [Finished.from_json(record) for record in records[1:]]
            _ = records[0]["recipe"].items(), records[0]["token"], records[0]["base"]["num_shards"]
            _ = [(done.entry["raw_data"]["bytes"], done.entry["zip_data"], done.entry["samples"]) for done in finished]
        except (TypeError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"{os.path.join(directory, JOURNAL_NAME)} is not the journal of an unfinished write ({error!r}): something "
                "else wrote to it. Pass resume=False to begin anew."
            ) from error
        return cls(directory, records[0], finished)

    def begin(self) -> None:
        """Write the file anew: the header, and the shards finished so far."""
        os.makedirs(self._directory, exist_ok=True)
        part = self._path + ".part"
        with naming(self._path), open_new(part) as file:
            write_all(file, b"".join(map(_line, (self.header, *(done.as_json() for done in self.finished)))))
            os.fsync(file.fileno())
        os.replace(part, self._path)

    def add(self, finished: Finished) -> None:
        """Note the next shard as finished."""
        with naming(self._path), open(self._path, "ab", buffering=0) as file:
            write_all(file, _line(finished.as_json()))
        self.finished.append(finished)

    def remove(self) -> None:
        """Remove the directory, the file last: killed in the middle, the next call still knows that all is done."""
        for entry in list(os.scandir(self._directory)):
            if entry.name != JOURNAL_NAME:
                shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
        shutil.rmtree(self._directory)


def _line(record: Any) -> bytes:
    return json.dumps(record).encode() + b"\n"
