"""The ids of a materialised epoch, made once per node and mapped by every process.

The first process that needs an epoch's array computes it under the file's lock and renames it into place; the others
wait for that lock and map the file. It lies in the dataset's cache directory, beside that of the epoch before: processes of
a node may be in different epochs. An order without such an array (the default one) never comes here.
"""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import LockedError
from streaming.core.process.lock import locked_part, remove_part
from streaming.order.spec import OrderSpec

__all__ = ["epoch_key", "shared_ids"]

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]

#: Below this many samples computing is cheaper than sharing.
SHARE_FROM = 1 << 20
#: How long another process may take to compute: a moment, and an identifier at a time.
_PATIENCE_S, _IDS_PER_S = 30.0, 200_000
_PREFIX = ".streaming-epoch-"
_KEPT = 2


def epoch_key(spec: OrderSpec, epoch: int) -> str:
    """Return a name for the ids of an epoch: equal exactly when everything they depend on is equal."""
    digest = blake2b(digest_size=12)
    for values in (spec.samples_per_shard, spec.shards_per_stream, spec.choose):
        digest.update(values.astype("<i8").tobytes() + b"|")
    text = (
        f"{epoch}|{spec.num_canonical_nodes}|{spec.shuffle}|{spec.shuffle_algo}|{spec.shuffle_seed}|"
        f"{spec.shuffle_block_size}|{spec.sampling_method}|{spec.sampling_granularity}"
    )
    digest.update(text.encode())
    return digest.hexdigest()


def shared_ids(directory: str | None, spec: OrderSpec, epoch: int, compute: Callable[[], Ints | None]) -> Ints | None:
    """Return the ids of an epoch, from the file that this node's processes share, or computed.

    Args:
        directory: The cache directory, or ``None`` if there is none to write to.
        spec: The order.
        epoch: The epoch.
        compute: Makes the ids.

    Returns:
        integers ``[epoch_size]``, read-only if shared; ``None`` where ``compute`` says so.
    """
    if directory is None or spec.epoch_size < SHARE_FROM or not os.access(directory, os.W_OK):
        return compute()
    path = os.path.join(directory, f"{_PREFIX}{epoch_key(spec, epoch)}.npy")
    found = _map(path, spec.epoch_size)
    if found is not None:
        return found
    try:
        with locked_part(path + ".part", _PATIENCE_S + spec.epoch_size / _IDS_PER_S) as part:
            found = _map(path, spec.epoch_size)
            if found is not None:
                return found
            ids = compute()
            if ids is None or not _save(part, path, ids):
                return ids
    except LockedError as error:
        logger.warning("computing the order of epoch %d in this process: %s", epoch, error)
        return compute()
    names = os.path.join(glob.escape(directory), f"{_PREFIX}*.npy")
    for other in sorted(glob.glob(names), key=_age)[:-_KEPT]:
        _remove(other)
    for unfinished in glob.glob(names + ".part"):  # of a process that ended meanwhile
        remove_part(unfinished)
    return _map(path, spec.epoch_size)


def _save(part: str, path: str, ids: Ints) -> bool:
    try:
        with open(part, "wb") as file:
            np.save(file, ids)
        os.replace(part, path)
    except OSError as error:
        logger.warning("cannot share the order of an epoch through %s: %s", path, error)
        if os.path.exists(part):
            os.truncate(part, 0)
        return False
    return True


def _map(path: str, size: int) -> Ints | None:
    try:
        ids: Any = np.load(path, mmap_mode="r")
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return np.asarray(ids) if ids.shape == (size,) and ids.dtype.kind == "i" else None


def _age(path: str) -> float:
    try:
        return os.path.getmtime(path)
    except FileNotFoundError:
        return 0.0


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)  # whoever has it mapped keeps reading it
