"""Which parts of a source one machine of a cluster converts together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from streaming.core.units import bytes_to_int
from streaming.sources.contract import Part, Source, versioned

__all__ = ["grouped"]

#: A source becomes about so many groups, unless they would be too small or too large.
_GROUPS = 256
#: The smallest and the largest, in shards' sizes: small enough to be done again, large enough that few shards are cut short.
_LEAST, _MOST = 1, 16
_SHARD_BYTES = 1 << 26


def grouped(source: Source, size_limit: int | str | None) -> list[list[Part]]:
    """Return the parts of a source in groups that are to be read together, in their order.

    They follow from the source, as its files are, and the size of shards alone, so that whoever converts makes the same of
    them.

    Args:
        source: It.
        size_limit: Largest size of a shard.
    """
    limit = bytes_to_int(size_limit) if isinstance(size_limit, str) else size_limit
    shard_bytes = limit or _SHARD_BYTES
    sizes = list(_sizes(source))
    wanted = min(max(sum(sizes) // _GROUPS, _LEAST * shard_bytes), _MOST * shard_bytes)
    groups: list[list[Part]] = []
    room = 0
    for part, size in zip(versioned(source), sizes, strict=True):
        if not groups or room < size:
            groups.append([])
            room = wanted
        groups[-1].append(part)
        room -= size
    return groups


def _sizes(source: Source) -> Iterator[int]:
    """Yield about how many bytes each part takes: where nothing tells, its share of the file."""
    in_file = Counter(part.file for part in source.parts)
    for part in source.parts:
        yield part.bytes if part.bytes >= 0 else source.files.infos[part.file].bytes // in_file[part.file]
