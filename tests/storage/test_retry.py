from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors import (
    AccessDeniedError,
    ConfigError,
    ObjectNotFoundError,
    StalledError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from streaming.storage.retry import RetryPolicy, backoff_s, call_with_retries


class Flaky:
    """Fails with the given exceptions, one a call, then returns."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_first_success_waits_for_nothing() -> None:
    waits: list[float] = []
    assert call_with_retries(Flaky(), RetryPolicy(), waits.append) == "done"
    assert waits == []


def test_waits_double_up_to_the_limit() -> None:
    waits: list[float] = []
    policy = RetryPolicy(attempts=6, initial_backoff_s=1, max_backoff_s=5, jitter=0)
    fn = Flaky(*[UnavailableError("x")] * 5)
    assert call_with_retries(fn, policy, waits.append) == "done"
    assert waits == [1, 2, 4, 5, 5]


def test_the_last_failure_is_raised() -> None:
    waits: list[float] = []
    fn = Flaky(StorageError("1"), StalledError("2"), UnavailableError("3"), UnavailableError("4"))
    with pytest.raises(UnavailableError, match="3"):
        call_with_retries(fn, RetryPolicy(attempts=3), waits.append)
    assert fn.calls == 3
    assert len(waits) == 2


@pytest.mark.parametrize("error", [ObjectNotFoundError("x"), AccessDeniedError("x"), KeyError("x")])
def test_some_failures_are_final(error: Exception) -> None:
    fn = Flaky(error)
    with pytest.raises(type(error)):
        call_with_retries(fn, RetryPolicy(attempts=5), lambda s: pytest.fail("waited"))
    assert fn.calls == 1


def test_throttling_waits_longer() -> None:
    waits: list[float] = []
    policy = RetryPolicy(attempts=3, initial_backoff_s=1, jitter=0, throttle_factor=3)
    call_with_retries(Flaky(ThrottledError("x"), UnavailableError("x")), policy, waits.append)
    assert waits == [3, 2]


@given(
    failures=st.integers(1, 10_000),
    jitter=st.floats(0, 1),
    draw=st.floats(0, 1, exclude_max=True),
    throttled=st.booleans(),
)
def test_waits_are_bounded(failures: int, jitter: float, draw: float, throttled: bool) -> None:
    policy = RetryPolicy(jitter=jitter)
    wait = backoff_s(policy, failures, throttled, lambda: draw)
    assert 0 <= wait <= policy.max_backoff_s
    assert wait >= backoff_s(policy, 1, False, lambda: draw) * (1 - 1e-9)


@pytest.mark.parametrize(
    "fields",
    [
        {"attempts": 0},
        {"initial_backoff_s": -1},
        {"initial_backoff_s": 9, "max_backoff_s": 1},
        {"jitter": 2},
        {"throttle_factor": 0.5},
    ],
)
def test_bad_policies(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        RetryPolicy(**fields)  # pyright: ignore[reportArgumentType]


def test_every_wait_is_told(caplog: pytest.LogCaptureFixture) -> None:
    left = [ThrottledError("s3://b/x: slow down."), UnavailableError("s3://b/x: away.")]

    def call() -> int:
        if left:
            raise left.pop(0)
        return 1

    assert call_with_retries(call, RetryPolicy(), lambda seconds: None) == 1
    said = [record.getMessage() for record in caplog.records]
    assert [text.partition(" Attempt")[0] for text in said] == ["s3://b/x: slow down.", "s3://b/x: away."]
    assert "Attempt 2 of 3" in said[0]
