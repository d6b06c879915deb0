"""How shards are fetched: frozen values, validated once."""

from __future__ import annotations

from dataclasses import dataclass

from streaming.core.arguments import as_integer, as_number
from streaming.core.errors import ConfigError

__all__ = ["THROTTLE_PATIENCE", "FetchConfig"]

#: How many times the stall limit a store may keep asking to slow down before that counts as failure.
THROTTLE_PATIENCE = 5
#: What a process takes between two requests, and the slowest that it hashes and decompresses, in bytes a second.
_BETWEEN_S, _BYTES_PER_S = 15.0, 10e6


@dataclass(frozen=True)
class FetchConfig:
    """How the shards of one stream are fetched.

    Attributes:
        download_retry: Further attempts after a failed one; an attempt that brought bytes and then broke off is
            continued, not begun again.
        download_timeout: Longest time in seconds without a single byte before an attempt counts as stalled.
        validate_hash: Hash algorithm that must be recorded for each file and must match. ``None`` verifies with the
            cheapest recorded one, if any is.
        keep_zip: Keep the compressed file beside the raw one.
    """

    download_retry: int = 2
    download_timeout: float = 60.0
    validate_hash: str | None = None
    keep_zip: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: A value is out of range.
        """
        as_integer("download_retry", self.download_retry, 0)
        as_number("download_timeout", self.download_timeout)
        if not self.download_timeout > 0:
            raise ConfigError(f"download_timeout must be a positive number of seconds, got {self.download_timeout}.")

    def lock_timeout_s(self, size: int) -> float:
        """Return how long another process may fetch a file, in seconds, without writing a byte of it.

        That is as long as this process may be without a byte, all attempts together.

        Args:
            size: Bytes of the file.
        """
        attempts = self.download_retry + 1 + THROTTLE_PATIENCE
        return attempts * self.download_timeout + _BETWEEN_S + size / _BYTES_PER_S
