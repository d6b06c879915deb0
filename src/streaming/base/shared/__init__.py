"""Memory that the processes of a node share by name, for user code. The library itself uses none of it."""

from __future__ import annotations

from streaming.base.shared.array import SharedArray
from streaming.base.shared.barrier import SharedBarrier
from streaming.base.shared.memory import SharedMemory
from streaming.base.shared.prefix import _get_path as _get_path  # pyright: ignore[reportPrivateUsage] - user code imports it here
from streaming.base.shared.prefix import get_shm_prefix
from streaming.base.shared.scalar import SharedScalar

__all__ = ["SharedArray", "SharedBarrier", "SharedMemory", "SharedScalar", "get_shm_prefix"]
