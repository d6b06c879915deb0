"""Texts of servers, made fit to be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors import ObjectNotFoundError, StorageError, ThrottledError, UnavailableError
from streaming.storage.words import kind_of_status, words

SECRETS = st.text("abcdefABCDEF0123456789+/=._-", min_size=8, max_size=80)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("No such key.", "No such key"),
        ("first line\nsecond", "first line"),
        ("Authorization: Bearer abc.def", "Authorization: *** ***"),
        ("got Bearer abc.def and more", "got Bearer ***"),
        ("sig=abc%2B&se=2026", "sig=***&se=2026"),
        ('{"access_token": "abc", "x": 1}', '{"access_token": ***, "x": 1}'),
        ("X-Amz-Signature=" + "0f" * 32, "X-Amz-Signature=***"),
        ("hash " + "a1" * 30 + " differs", "hash *** differs"),
        ("https://user:pass@host/x?sig=1 is away", "https://host/x is away"),
        ("the shard shard.00000.mds.zstd of my-long-bucket-name-of-2026 is gone",
         "the shard shard.00000.mds.zstd of my-long-bucket-name-of-2026 is gone"),
        ("x" * 1000, "x" * 300),
    ],
)  # fmt: skip
def test_words(text: str, shown: str) -> None:
    assert words(text) == shown


@given(secret=SECRETS, before=st.text("xyz ", max_size=20), after=st.text("xyz ", max_size=20))
def test_what_was_sent_is_never_shown(secret: str, before: str, after: str) -> None:
    assert secret not in words(f"{before} {secret} {after}", [secret])
    for form in (
        f"token={secret}",
        f"Authorization: Bearer {secret}",
        f'"secret": "{secret}"',
        f"X-Amz-Credential={secret}",
    ):
        assert secret not in words(f"{before} {form} {after}")


def test_kinds_of_statuses() -> None:
    assert kind_of_status(404) is ObjectNotFoundError
    assert kind_of_status(503) is UnavailableError
    assert kind_of_status(503, asks_to_wait=True) is ThrottledError
    assert kind_of_status(400) is StorageError
