"""Constants of the original library that user code imports. Nothing here depends on them, but for the shared objects."""

from __future__ import annotations

LOCALS = "locals"
BARRIER = "barrier"
NEXT_EPOCH = "next_epoch"
CACHE_USAGE = "cache_usage"
SHARD_STATES = "shard_states"
SHARD_ACCESS_TIMES = "shard_access_times"
RESUME = "resume"
EPOCH_SHAPE = "epoch_shape"
EPOCH_DATA = "epoch_data"

#: Names of what the original keeps in shared memory. This library keeps nothing there.
SHM_TO_CLEAN = [
    LOCALS,
    BARRIER,
    NEXT_EPOCH,
    CACHE_USAGE,
    SHARD_STATES,
    SHARD_ACCESS_TIMES,
    RESUME,
    EPOCH_SHAPE,
    EPOCH_DATA,
]

BARRIER_FILELOCK = "barrier_filelock"
CACHE_FILELOCK = "cache_filelock"

#: Longest time in seconds without a byte before a download counts as stalled.
DEFAULT_TIMEOUT = 60.0
#: Pause in seconds between two looks at something that is waited for.
TICK = 0.007
#: The access time of a shard that was never used.
NEVER = (1 << 64) - 1
