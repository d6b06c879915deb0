"""Bytes from anywhere: whatever is read ends in an error of this package, or in the right data, soon and in little memory.

``STREAMING_TEST_FUZZ`` says how many inputs each target gets (a hundred by default; try 100000 for a thorough run, and
``STREAMING_TEST_FUZZ_SEED`` for other ones). The last input that is named in the output of a test that fails is the one.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming import CSVWriter, JSONWriter, LocalDataset, MDSWriter, StreamingDataset, TSVWriter
from streaming.core.errors import StreamingError
from streaming.format.codecs.compression import compress, decompress
from streaming.format.index import Index

from budget import repetitions

COUNT = repetitions("STREAMING_TEST_FUZZ", 100, 5000)
SEED = int(os.environ.get("STREAMING_TEST_FUZZ_SEED", "1"))
#: More than any target needs here, in KiB; what runs away takes gigabytes.
MEMORY = 512 << 10

HOSTILE = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with something done to them: flipped, cut, doubled, or with a hostile number somewhere."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        kind, at = rng.randrange(6), rng.randrange(len(out) + 1)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del out[at:]
        elif kind == 2:
            out[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 3 and len(out) >= 4:
            struct.pack_into("<I", out, 4 * rng.randrange(len(out) // 4), rng.choice(HOSTILE))
        elif kind == 4:
            del out[at : at + rng.randrange(1, 9)]
        elif kind == 5:
            out[at:at] = out[at : at + rng.randrange(1, 40)]
    return bytes(out)


def tries(name: str) -> Iterator[random.Random]:
    """Yield a generator of random numbers for each input, and say which it is; afterwards, look at the memory it took."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(COUNT):
        print(f"input {number} of {name}, seed {SEED}")
        yield random.Random(f"{name}|{SEED}|{number}")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY


def attempt(do: Callable[[], Any]) -> Any:
    try:
        return do()
    except StreamingError:
        return None


WRITERS: dict[str, tuple[Any, dict[str, str], Callable[[int], dict[str, Any]]]] = {
    "mds": (
        MDSWriter,
        {"a": "int", "b": "str", "c": "bytes", "d": "ndarray", "e": "json", "f": "jpeg"},
        lambda i: {"a": i, "b": "x" * i, "c": bytes(i), "d": np.arange(i + 1), "e": [i], "f": b"\xff\xd8 no image"},
    ),
    "rows": (MDSWriter, {"a": "int", "b": "ndarray:int16:3"}, lambda i: {"a": i, "b": np.full(3, i, np.int16)}),
    "json": (JSONWriter, {"a": "int", "b": "str"}, lambda i: {"a": i, "b": "x" * i}),
    "csv": (CSVWriter, {"a": "int", "b": "str"}, lambda i: {"a": i, "b": "x" * i}),
    "tsv": (TSVWriter, {"a": "int", "b": "str"}, lambda i: {"a": i, "b": "x" * i}),
}


def write(out: Path, kind: str, **kwargs: Any) -> None:
    make, columns, sample = WRITERS[kind]
    with make(columns=columns, out=str(out), **kwargs) as writer:
        for i in range(8):
            writer.write(sample(i))


def read_all(directory: Path) -> None:
    dataset = LocalDataset(str(directory))
    for i in range(len(dataset)):
        attempt(lambda i=i: dataset[i])


@pytest.mark.parametrize("kind", WRITERS)
def test_index(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind, size_limit=200, compression="zstd" if kind == "mds" else None, hashes=["sha1"])
    data = (tmp_path / "index.json").read_bytes()
    for rng in tries(f"index of {kind}"):
        index = attempt(lambda rng=rng: Index.parse(damaged(data, rng), "here"))
        if index is not None:
            assert index.num_samples >= 0
            assert [index.shard(i).samples for i in range(index.num_shards)] == index.samples.tolist()


def test_values_of_an_index(tmp_path: Path) -> None:
    write(tmp_path, "mds", size_limit=300)
    text = (tmp_path / "index.json").read_text()
    values = [None, True, -1, 0, 1 << 31, 1 << 63, 1e308, "", "x", "../x", [], {}, [[]], {"a": 1}]
    for rng in tries("values of an index"):
        top = json.loads(text)
        place = top["shards"][rng.randrange(len(top["shards"]))]
        if rng.random() < 0.4:
            place = place["raw_data"]
        place[rng.choice(sorted(place))] = rng.choice(values)
        attempt(lambda top=top: Index.parse(json.dumps(top).encode(), "here"))


@pytest.mark.parametrize("kind", WRITERS)
def test_shards(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "good", kind)
    shutil.copytree(tmp_path / "good", tmp_path / "bad")
    files = [path for path in (tmp_path / "good").iterdir() if path.name != "index.json"]
    index = json.loads((tmp_path / "good" / "index.json").read_text())
    (shard,) = index["shards"]
    for rng in tries(f"shard of {kind}"):
        path = rng.choice(files)
        data = damaged(path.read_bytes(), rng)
        (tmp_path / "bad" / path.name).write_bytes(data)
        for info in (shard["raw_data"], shard.get("raw_meta")):  # a writer that lies consistently
            if info is not None and info["basename"] == path.name:
                info["bytes"] = len(data)
        (tmp_path / "bad" / "index.json").write_text(json.dumps(index))
        attempt(lambda: read_all(tmp_path / "bad"))
        shutil.copy(path, tmp_path / "bad")
        for info in (shard["raw_data"], shard.get("raw_meta")):
            if info is not None and info["basename"] == path.name:
                info["bytes"] = path.stat().st_size


@pytest.mark.parametrize("algorithm", ["gz", "bz2", "zstd", "br", "snappy"])
def test_compressed_streams(algorithm: str) -> None:
    data = bytes(range(256)) * 40
    packed = compress(algorithm, data)
    for rng in tries(f"{algorithm} stream"):
        found = attempt(lambda rng=rng: decompress(algorithm, damaged(packed, rng), len(data)))
        assert found is None or len(found) <= len(data)


def test_damaged_in_the_store_with_hashes(tmp_path: Path) -> None:
    """What is served is right, or there is an error: hashes are recorded."""
    write(tmp_path / "remote", "rows", size_limit=100, hashes=["xxh64"])
    path = tmp_path / "remote" / "shard.00001.mds"
    data = path.read_bytes()
    for rng in list(tries("store"))[:30]:
        path.write_bytes(damaged(data, rng))
        local = str(tmp_path / "local")
        dataset = StreamingDataset(remote=str(tmp_path / "remote"), local=local, batch_size=1, download_retry=0)
        for i in range(8):
            sample = attempt(lambda i=i, dataset=dataset: dataset[i])
            assert sample is None or sample["a"] == i
        dataset.close()
        shutil.rmtree(local)


def test_journal_of_a_write(tmp_path: Path) -> None:
    from streaming.writing.bulk.journal import JOURNAL_NAME, Finished, Journal

    journal = Journal(str(tmp_path), {"recipe": {}, "token": "t", "base": {"num_shards": 0}})
    journal.begin()
    for i in range(3):
        entry = {"samples": i, "raw_data": {"basename": f"s{i}", "bytes": 9}, "zip_data": None}
        journal.add(Finished(entry, "a" * 32, "b" * 32))
    path = tmp_path / JOURNAL_NAME
    data = path.read_bytes()
    for rng in tries("journal"):
        path.write_bytes(damaged(data, rng))
        found = attempt(lambda: Journal.load(str(tmp_path)))
        assert found is None or len(found.finished) <= 30
