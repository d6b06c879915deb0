"""The names that type checkers know are those that there are."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from streaming.core.names import AnyName, BatchingMethod, Compression, HashName, PartitionAlgo, ShuffleAlgo
from streaming.format.codecs.compression import get_compressions
from streaming.format.codecs.hashing import get_hashes
from streaming.order.registry import batching_methods, partition_algos, shuffle_algos


@pytest.mark.parametrize(
    ("listed", "there"),
    [
        (ShuffleAlgo, set(shuffle_algos)),
        (PartitionAlgo, set(partition_algos)),
        (BatchingMethod, set(batching_methods)),
        (Compression, get_compressions()),
        (HashName, get_hashes()),
    ],
    ids=["shuffles", "partitions", "batching", "compressions", "hashes"],
)
def test_each_name_is_listed(listed: Any, there: set[str]) -> None:
    names, anything = get_args(listed)
    assert set(get_args(names)) == there
    assert anything is AnyName


def test_any_name_is_text() -> None:
    assert AnyName("mine") == "mine"
    assert type(AnyName("mine")) is str
