"""Human spellings of counts."""

from __future__ import annotations

import pytest

from streaming.core.units import bytes_to_int, number_abbrev_to_int


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100b", 100),
        ("64kb", 65536),
        ("1.5mb", 1572864),
        ("1KB", 1024),
        (" 2GB ", 2147483648),
        ("10", 10),
        ("-1kb", -1024),
        (1000.0, 1000),
        (7, 7),
        ("3yb", 3 * 1024**8),
    ],
)
def test_bytes(text: str | int | float, value: int) -> None:
    assert bytes_to_int(text) == value


@pytest.mark.parametrize("text", ["1.5", "", "kb", "1.5b", "1xb", "one", "1 2kb", "1e999gb"])
def test_bytes_refused(text: str) -> None:
    with pytest.raises(ValueError, match="byte count"):
        bytes_to_int(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100k", 100_000),
        ("64M", 64_000_000),
        ("1.5b", 1_500_000_000),
        ("2t", 2 * 10**12),
        ("10", 10),
        (7.9, 7),
    ],
)
def test_counts(text: str | int | float, value: int) -> None:
    assert number_abbrev_to_int(text) == value


@pytest.mark.parametrize("text", ["1kb", "1.5", "", "k"])
def test_counts_refused(text: str) -> None:
    with pytest.raises(ValueError, match="count"):
        number_abbrev_to_int(text)
