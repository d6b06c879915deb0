"""One retry policy for every store. Pure: clock and randomness are passed in."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from streaming.core.errors import (
    AccessDeniedError,
    ConfigError,
    ObjectNotFoundError,
    StorageError,
    ThrottledError,
)

__all__ = ["RetryPolicy", "backoff_s", "call_with_retries"]

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how soon to try again.

    Attributes:
        attempts: Calls in all, at least 1.
        initial_backoff_s: Wait in seconds after the first failure; doubles with each.
        max_backoff_s: Longest wait in seconds.
        jitter: Share of each wait that is random, so that many clients do not return at once.
        throttle_factor: How much longer to wait when the store asks to slow down.
    """

    attempts: int = 3
    initial_backoff_s: float = 0.5
    max_backoff_s: float = 30.0
    jitter: float = 0.5
    throttle_factor: float = 2.0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: A value is out of range.
        """
        if self.attempts < 1:
            raise ConfigError(f"attempts must be at least 1, got {self.attempts}.")


def backoff_s(
    policy: RetryPolicy,
    failures: int,
    throttled: bool = False,
    rng: Callable[[], float] = random.random,
) -> float:
    """Return the wait in seconds after the ``failures``-th failure in a row.

    Exponential backoff with jitter: half of the wait (by default) is random.
    """
    base = policy.initial_backoff_s * 2.0 ** min(failures - 1, 32)
    if throttled:
        base *= policy.throttle_factor
    base = min(policy.max_backoff_s, base)
    return base * (1 - policy.jitter + policy.jitter * rng())


def call_with_retries(
    call: Callable[[], T],
    policy: RetryPolicy,
    sleep: Callable[[float], Any],
    rng: Callable[[], float] = random.random,
) -> T:
    """Call until it succeeds or the policy is spent.

    What is missing or denied is not asked for again.

    Args:
        call: What to do.
        policy: How often and how soon.
        sleep: Waits for a number of seconds.
        rng: Random number in [0, 1).

    Raises:
        StorageError: The last failure.
    """
    failures = 0
    while True:
        try:
            return call()
        except (ObjectNotFoundError, AccessDeniedError):
            raise
        except StorageError as error:
            failures += 1
            if failures >= policy.attempts:
                raise
            wait = backoff_s(policy, failures, isinstance(error, ThrottledError), rng)
        sleep(wait)
