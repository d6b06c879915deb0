"""The receipts of an unfinished job, beside the dataset in the making."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from streaming.core.errors import ConfigError
from streaming.format.unfinished import WORK_NAME
from streaming.storage.store import Store
from streaming.writing.parts.shards import put
from streaming.writing.parts.work import Job, Receipt
from streaming.writing.publish.stored import files_of
from streaming.writing.publish.target import Target

__all__ = ["begin", "end"]

_BEGUN = "job.json"
_THREADS = 16


def begin(target: Target, job: Job, *, resume: bool, exist_ok: bool) -> dict[int, Receipt]:
    """Return the receipts of a job that was begun, or begin one.

    Args:
        target: Where the dataset goes.
        job: The job.
        resume: Go on with it, if it was begun.
        exist_ok: Replace the dataset, or another unfinished job, that is there.

    Returns:
        By number, the parts that are where they belong.

    Raises:
        ConfigError: Another job, of other arguments or inputs, is unfinished there.
        FileExistsError: There is a dataset.
        StorageError: What is there cannot be read.
    """
    store = target.published
    noted = [info.path for info in store.list(WORK_NAME)]
    jobs = {path.split("/")[1] for path in noted}
    if job.name in jobs and resume:
        return _intact(store, [path for path in noted if path.startswith(job.path() + "/") and _BEGUN not in path])
    if jobs and resume and not exist_ok:
        raise ConfigError(
            f"{target!r} holds an unfinished write with other arguments, or of other inputs, so it cannot be continued. "
            "Call with the same, or discard it: pass exist_ok=True."
        )
    if not exist_ok:
        target.check_remote()
    target.clear(exist_ok)
    end(target)
    put(store, job.path(_BEGUN), b"{}", job.retries)
    return {}


def end(target: Target) -> None:
    """Remove what was noted. Killed in the middle, the next call of the job writes again what is there already."""
    for info in list(target.published.list(WORK_NAME)):
        target.published.delete(info.path)
    if target.store is None:
        shutil.rmtree(os.path.join(target.local, WORK_NAME), ignore_errors=True)


def _intact(store: Store, paths: list[str]) -> dict[int, Receipt]:
    """Return the receipts whose files are there."""
    if not paths:
        return {}
    sizes = {info.path: info.bytes for info in store.list()}
    with ThreadPoolExecutor(min(_THREADS, len(paths)), thread_name_prefix="streaming-receipts") as pool:
        receipts = [receipt for receipt in pool.map(partial(_read, store), paths) if receipt]
    return {receipt.number: receipt for receipt in receipts if all(_is_there(e, sizes) for e in receipt.entries)}


def _read(store: Store, path: str) -> Receipt | None:
    try:
        return Receipt.from_bytes(store.get(path))
    except (ValueError, KeyError, TypeError):  # something else wrote it: the part is done again
        return None


def _is_there(entry: Mapping[str, Any], sizes: Mapping[str, int]) -> bool:
    return all(sizes.get(choices[0][0]) == choices[0][1] for choices in files_of(entry))
