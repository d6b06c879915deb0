"""How fast things go: what times are worked out from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streaming.core.arguments import Checked, as_number, by
from streaming.core.errors import ConfigError
from streaming.core.units import bytes_to_int

__all__ = ["Speed"]


def _as_rate(name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        rate = float(bytes_to_int(value))
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None
    if rate <= 0:
        raise ConfigError(f"{name} must be positive, got {value!r}.")
    return rate


@dataclass(frozen=True)
class Speed(Checked):
    """Network, decoding and training, as a plan takes them. What is not said takes no time.

    Attributes:
        bandwidth: Bytes a second that a node receives, as a number or text such as ``'500mb'``; ``None``: no limit.
        connection: The same of one request, where the store limits that.
        latency_s: Seconds from a request to its first byte.
        decode_s: Seconds in which a worker makes one sample, its share of collating included.
        step_s: Seconds that a training step takes once its batch is there.
        startup_s: Seconds until workers have started.

    Raises:
        ConfigError: A value is negative, or no number.

    Example:
        >>> Speed(bandwidth='500mb', latency_s=0.03, step_s=0.28).bandwidth
        524288000.0
    """

    bandwidth: float | str | None = field(default=None, metadata=by(_as_rate))
    connection: float | str | None = field(default=None, metadata=by(_as_rate))
    latency_s: float = field(default=0.0, metadata=by(as_number, 0))
    decode_s: float = field(default=0.0, metadata=by(as_number, 0))
    step_s: float = field(default=0.0, metadata=by(as_number, 0))
    startup_s: float = field(default=0.0, metadata=by(as_number, 0))

    @classmethod
    def of_bench(cls, facts: Mapping[str, Any], **more: Any) -> Speed:
        """Return what ``streaming bench --json`` measured.

        Args:
            facts: What it printed. A worker's samples a second are those of reading, decoding and collating together: where
                the store is slower than that, decoding is taken for slower than it is.
            more: Attributes that are known better, or that it does not measure.

        Raises:
            ConfigError: They are something else.

        Example:
            >>> facts = {'first_byte_ms': 31.0, 'fetched_mb_per_s': 612.4, 'workers': 8, 'samples_per_s': 20000.0}
            >>> Speed.of_bench(facts, step_s=0.1)
            Speed(bandwidth=612400000.0, connection=None, latency_s=0.031, decode_s=0.0004, step_s=0.1, startup_s=0.0)
        """
        try:
            found = {
                "bandwidth": 1e6 * float(facts["fetched_mb_per_s"]),
                "latency_s": float(facts["first_byte_ms"]) / 1e3,
                "decode_s": max(1, int(facts["workers"])) / float(facts["samples_per_s"]),
            }
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise ConfigError(f"This is not what `streaming bench --json` prints: {error!r}.") from error
        return cls(**{**found, **more})
