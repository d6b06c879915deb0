"""What the order uses where the user names nothing."""

from __future__ import annotations

__all__ = [
    "DEFAULT_ALGO",
    "LEGACY_ALGO",
    "SCHEDULED_ALGO",
    "default_block_size",
    "default_num_canonical_nodes",
]

#: The order of a fresh run.
DEFAULT_ALGO = "lanes"
#: The order of a checkpoint that names none: the original library's default.
LEGACY_ALGO = "py1e"
#: The order whose weights may change during a run.
SCHEDULED_ALGO = "lanes"

_FINE_GRAINED = frozenset(("py1s", "py2s"))


def default_num_canonical_nodes(algo: str, physical_nodes: int) -> int:
    """Return the number of canonical nodes for a run that begins on ``physical_nodes`` nodes.

    ``py1s`` and ``py2s`` shuffle within one shard at a time and need many parts for variety.
    """
    return 64 * physical_nodes if algo in _FINE_GRAINED else physical_nodes


def default_block_size(num_canonical_nodes: int) -> int:
    """Return the number of samples among which a sample is shuffled: 4,000,000 over all nodes, at least 2^18 each."""
    return max(4_000_000 // num_canonical_nodes, 1 << 18)
