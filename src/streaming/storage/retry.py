"""One retry policy for every store. Waiting and randomness are passed in; every wait is told to the log."""

from __future__ import annotations

import logging
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

__all__ = ["RetryPolicy", "backoff_s", "call_with_retries", "is_transient"]

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how soon to try again.

    Attributes:
        attempts: Calls in all, at least 1.
        initial_backoff_s: Wait in seconds after the first failure; doubles with each.
        max_backoff_s: Longest wait in seconds.
        jitter: Share of each wait that is random, from 0 to 1, so that many clients do not return at once.
        throttle_factor: How much longer to wait when the store asks to slow down, at least 1.
    """

    attempts: int = 3
    initial_backoff_s: float = 1.0
    max_backoff_s: float = 30.0
    jitter: float = 0.5
    throttle_factor: float = 4.0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: A value is out of range.
        """
        if self.attempts < 1:
            raise ConfigError(f"attempts must be at least 1, got {self.attempts}.")
        if not 0 <= self.initial_backoff_s <= self.max_backoff_s:
            raise ConfigError(
                f"initial_backoff_s={self.initial_backoff_s} must be from 0 to max_backoff_s={self.max_backoff_s}."
            )
        if not 0 <= self.jitter <= 1:
            raise ConfigError(f"jitter must be from 0 to 1, got {self.jitter}.")
        if self.throttle_factor < 1:
            raise ConfigError(f"throttle_factor must be at least 1, got {self.throttle_factor}.")


def is_transient(error: BaseException) -> bool:
    """Say whether the same call may succeed later: any failure of a store but "missing" and "denied"."""
    return isinstance(error, StorageError) and not isinstance(error, (ObjectNotFoundError, AccessDeniedError))


def backoff_s(
    policy: RetryPolicy,
    failures: int,
    throttled: bool = False,
    rng: Callable[[], float] = random.random,
) -> float:
    """Return the wait in seconds after the ``failures``-th failure in a row.

    Exponential backoff with jitter: the last ``policy.jitter`` of the wait is random.

    Args:
        policy: The limits.
        failures: Failures so far, at least 1.
        throttled: Whether the store asked to slow down, which waits longer.
        rng: Random number in [0, 1).
    """
    wait = policy.initial_backoff_s * 2.0 ** min(failures - 1, 32)
    if throttled:
        wait *= policy.throttle_factor
    wait = min(policy.max_backoff_s, wait)
    return wait * (1 - policy.jitter * rng())


def call_with_retries(
    fn: Callable[[], T],
    policy: RetryPolicy,
    sleep: Callable[[float], Any],
) -> T:
    """Call until it succeeds or the policy is spent.

    Args:
        fn: What to do.
        policy: How often and how soon.
        sleep: Waits for a number of seconds.

    Returns:
        What ``fn`` returned.

    Raises:
        Exception: The last failure, or the first that is final.
    """
    failures = 0
    while True:
        try:
            return fn()
        except Exception as error:
            failures += 1
            if failures >= policy.attempts or not is_transient(error):
                raise
            wait = backoff_s(policy, failures, isinstance(error, ThrottledError))
            logger.warning("%s Attempt %d of %d is made in %.1f s.", error, failures + 1, policy.attempts, wait)
        sleep(wait)
