"""Hashes by name."""

from __future__ import annotations

import hashlib

import pytest

from streaming.core.errors import UnknownNameError
from streaming.format.codecs.hashing import get_hash, get_hashes, is_hash, new_hash

NAMES = {
    *("blake2b", "blake2s", "md5", "sha1", "sha224", "sha256", "sha384", "sha512"),
    *("sha3_224", "sha3_256", "sha3_384", "sha3_512"),
    *("xxh32", "xxh64", "xxh128", "xxh3_64", "xxh3_128"),
}


def test_names() -> None:
    assert get_hashes() >= NAMES
    assert not any(name.startswith("shake") for name in get_hashes())
    assert is_hash("xxh64")
    assert not is_hash("crc32")


@pytest.mark.parametrize("algo", sorted(get_hashes()))
def test_in_pieces(algo: str) -> None:
    state = new_hash(algo)
    state.update(b"stream")
    state.update(b"")
    state.update(memoryview(b"ing"))
    assert state.hexdigest() == get_hash(algo, b"streaming")
    assert state.hexdigest() == state.hexdigest().lower()


def test_known_values() -> None:
    assert get_hash("sha1", b"") == hashlib.sha1(b"").hexdigest()
    assert get_hash("xxh64", b"") == "ef46db3751d8e999"
    assert get_hash("xxh3_64", b"") == "2d06800538d394c2"
    assert get_hash("xxh128", b"") == get_hash("xxh3_128", b"")


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match=r"'crc32'\. Known: .*xxh64"):
        get_hash("crc32", b"")
    with pytest.raises(ValueError, match="Unknown hash"):
        new_hash("shake_128")
