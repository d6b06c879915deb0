"""Whether a store has the files of a dataset, by its own word, before an index says so."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from streaming.core.errors import ObjectNotFoundError, UploadError
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import Store

__all__ = ["check_files", "check_stored", "files_of"]

#: So many files are asked for one by one; of more, the store is asked for its listing.
_FEW = 32
#: A listing that is so much longer than what is looked for is given up: the place holds other things.
_MOST_OTHERS = 20_000
_THREADS = 16
_NAMED = 5


def check_stored(store: Store, entries: Sequence[Mapping[str, Any]]) -> None:
    """Check that a store has every file that readers of an index would fetch, with its size.

    Args:
        store: Where they should be.
        entries: The entries of the index.

    Raises:
        UploadError: It has not; the text names the files.
        StorageError: It cannot tell.
    """
    check_files(store, [choices for entry in entries for choices in files_of(entry)])


def check_files(store: Store, wanted: Sequence[Sequence[tuple[str, int]]]) -> None:
    """Check that a store has files; as :func:`check_stored`.

    Args:
        store: Where they should be.
        wanted: Name and size of each, and of what else would do in its stead.
    """
    names = {name for choices in wanted for name, _ in choices[:1]}
    found = _sizes_of(store, names)
    # A raw file does where the compressed one is not there.
    found.update(_sizes_of(store, {n for c in wanted if found[c[0][0]] is None for n, _ in c[1:]}))
    wrong = [choices[0] for choices in wanted if not any(found.get(name) == size for name, size in choices)]
    if wrong:
        told = [f"{name} ({_told(found[name], size)})" for name, size in wrong[:_NAMED]]
        raise UploadError(
            f"{len(wrong):,} of {len(wanted):,} files of the dataset are not at {store!r} as they should be: "
            f"{', '.join(told)}{', ...' if len(wrong) > _NAMED else ''}. No index was published. Has something removed or "
            "replaced them? Write them again."
        )


def files_of(entry: Mapping[str, Any]) -> list[list[tuple[str, int]]]:
    """Return name and size of each file of a shard, the compressed and the raw one together."""
    return [
        [(info["basename"], info["bytes"]) for info in (entry.get(f"zip_{role}"), entry.get(f"raw_{role}")) if info]
        for role in ("data", "meta")
        if entry.get(f"raw_{role}") or entry.get(f"zip_{role}")
    ]


def _told(found: int | None, wanted: int) -> str:
    return "missing" if found is None else f"{found} bytes, not {wanted}"


def _sizes_of(store: Store, names: Iterable[str]) -> dict[str, int | None]:
    """Return the size of each of some objects, ``None`` for those that are not there."""
    wanted = set(names)
    found: dict[str, int | None] = dict.fromkeys(wanted)
    if len(wanted) > _FEW:
        found.update(call_with_retries(lambda: _listed(store, wanted), RetryPolicy(), time.sleep))
    # A listing may lag behind; what it lacks is asked for by name.
    rest = [name for name, size in found.items() if size is None]
    if rest:
        with ThreadPoolExecutor(min(_THREADS, len(rest)), thread_name_prefix="streaming-write-check") as pool:
            found.update(zip(rest, pool.map(partial(_size, store), rest), strict=True))
    return found


def _listed(store: Store, wanted: set[str]) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    others = 0
    for info in store.list():
        if info.path in wanted:
            found[info.path] = info.bytes
            if len(found) == len(wanted):
                break
        else:
            others += 1
            if others > _MOST_OTHERS + len(wanted):
                break
    return found


def _size(store: Store, name: str) -> int | None:
    try:
        return call_with_retries(lambda: store.head(name).bytes, RetryPolicy(), time.sleep)
    except ObjectNotFoundError:
        return None
