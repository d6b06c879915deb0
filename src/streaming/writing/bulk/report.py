"""What a bulk write did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Skipped", "WriteReport", "bytes_of", "show_bytes"]


@dataclass(frozen=True)
class Skipped:
    """What ``on_error='skip'`` left out: an input for which the function failed, or a row that does not fit the columns.

    Attributes:
        input: Number of the input, from 0.
        item: How the input looks.
        reason: The error; where it was one row, with its number among those of the input.

    Example:
        >>> report = streaming.write(['1', 'x'], 'numbers', fn=lambda item: {'n': int(item)}, on_error='skip', workers=0)
        >>> report.skipped[0].input, report.skipped[0].item
        (1, "'x'")
        >>> print(report.skipped[0])
        input 1 ('x'): ValueError: invalid literal for int() with base 10: 'x'
    """

    input: int
    item: str
    reason: str

    def __str__(self) -> str:
        """Return it for people."""
        return f"input {self.input} ({self.item}): {self.reason}"


@dataclass(frozen=True)
class WriteReport:
    """What a call of :func:`streaming.write` did.

    Attributes:
        out: Where the dataset is, without secrets.
        samples: Samples of the dataset that this call and the interrupted runs it continued wrote.
        shards: Shards, likewise.
        raw_bytes: Bytes of the shards as they are read.
        zip_bytes: Bytes of the compressed shards; ``None`` if they are not compressed.
        seconds: How long this call took.
        resumed_samples: Samples that interrupted runs had written already.
        columns: Encoding of each column.
        skipped: What was left out, also by interrupted runs.

    Example:
        >>> report = streaming.write([{'text': 'a'}, {'text': 'b'}], 'corpus', workers=0)
        >>> report.samples, report.shards, report.columns
        (2, 1, {'text': 'str'})
    """

    out: str
    samples: int
    shards: int
    raw_bytes: int
    zip_bytes: int | None
    seconds: float
    resumed_samples: int
    columns: dict[str, str]
    skipped: tuple[Skipped, ...] = ()

    @property
    def ratio(self) -> float:
        """How many times smaller compression made the shards; 1 without compression."""
        return self.raw_bytes / self.zip_bytes if self.zip_bytes else 1.0

    @property
    def samples_per_s(self) -> float:
        """Samples that this call wrote, by the second."""
        return (self.samples - self.resumed_samples) / max(self.seconds, 1e-9)

    def __str__(self) -> str:
        size = show_bytes(self.raw_bytes)
        if self.zip_bytes is not None:
            size += f", compressed {show_bytes(self.zip_bytes)} ({self.ratio:.2f}x)"
        text = (
            f"{self.out}: {self.samples:,} samples in {self.shards:,} shards, {size}; "
            f"{self.seconds:.1f} s, {self.samples_per_s:,.0f} samples/s"
        )
        if self.resumed_samples:
            text += f"; {self.resumed_samples:,} samples were there already"
        return f"{text}; {len(self.skipped):,} skipped" if self.skipped else text


def bytes_of(entries: Sequence[Mapping[str, Any]], key: str) -> int:
    """Return the bytes of the files of shards.

    Args:
        entries: Of the index.
        key: ``'raw_data'``, or ``'zip_data'`` for compressed ones.
    """
    return sum(entry[key]["bytes"] for entry in entries if entry[key])


def show_bytes(count: float) -> str:
    """Return a number of bytes for people: ``1.50 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(count) < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.2f} {unit}"
        count /= 1024
    return f"{count:.2f} PiB"
