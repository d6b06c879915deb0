"""How shards are fetched: frozen values, validated once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from streaming.core.arguments import Checked, as_integer, as_number, by
from streaming.core.errors import ConfigError

__all__ = ["LONGEST_S", "THROTTLE_PATIENCE", "FetchConfig"]

#: How many times the stall limit a store may keep asking to slow down before that counts as failure.
THROTTLE_PATIENCE = 5
#: What a process takes between two requests, and the slowest that it hashes and decompresses, in bytes a second.
_BETWEEN_S, _BYTES_PER_S = 15.0, 10e6
#: Thirty years: whoever wants no limit may say more, the system's clocks may not.
LONGEST_S = 1e9


def _as_timeout(name: str, value: Any) -> float:
    """Return a positive number of seconds that a clock can wait.

    Raises:
        ConfigError: It is none.
    """
    seconds = as_number(name, value)
    if not seconds > 0:
        raise ConfigError(f"{name} must be a positive number of seconds, got {value}.")
    return min(seconds, LONGEST_S)


@dataclass(frozen=True)
class FetchConfig(Checked):
    """How the shards of one stream are fetched.

    Attributes:
        download_retry: Further attempts after a failed one; an attempt that brought bytes and then broke off is
            continued, not begun again.
        download_timeout: Longest time in seconds without a single byte before an attempt counts as stalled.
        validate_hash: Hash algorithm that must be recorded for each file and must match. ``None`` verifies with the
            cheapest recorded one, if any is.
        keep_zip: Keep the compressed file beside the raw one.

    Raises:
        ConfigError: A value is out of range.
    """

    download_retry: int = field(default=2, metadata=by(as_integer, 0))
    download_timeout: float = field(default=60.0, metadata=by(_as_timeout))
    validate_hash: str | None = None
    keep_zip: bool = False

    def lock_timeout_s(self, size: int) -> float:
        """Return how long another process may fetch a file, in seconds, without writing a byte of it.

        That is as long as this process may be without a byte, all attempts together.

        Args:
            size: Bytes of the file.
        """
        attempts = self.download_retry + 1 + THROTTLE_PATIENCE
        return min(attempts * self.download_timeout + _BETWEEN_S + size / _BYTES_PER_S, LONGEST_S)
