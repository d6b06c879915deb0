"""Compression: round trips, bounds, damage, and input in pieces."""

from __future__ import annotations

import bz2
import gzip
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import brotli
import numpy as np
import pytest
import snappy
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors import ShardFormatError, UnknownNameError
from streaming.format.codecs.compression import (
    compress,
    compress_pieces,
    decompress,
    get_compression_extension,
    get_compressions,
    is_compression,
    stream_decompressor,
)
from streaming.format.codecs.compressors import drop_compressors

from budget import share

FAMILIES = ("br", "bz2", "gz", "snappy", "zstd")
SAMPLE = bytes(range(256)) * 40 + b"the end"


def test_names() -> None:
    names = get_compressions()
    expected = {
        "br": range(12),
        "bz2": range(1, 10),
        "gz": range(10),
        "snappy": (),
        "zstd": range(1, 23),
    }
    assert names == {*expected, *(f"{name}:{level}" for name in expected for level in expected[name])}
    assert all(map(is_compression, names))
    for name in (None, 3, "", "lz4", "zstd:0", "gz:10", "br:", "snappy:1", "zstd:3:3"):
        assert not is_compression(name)
    assert get_compression_extension("zstd:7") == "zstd"


@pytest.mark.parametrize("call", [compress, decompress])
def test_unknown_names(call) -> None:
    with pytest.raises(UnknownNameError, match=r"'lz4'\. Known: br \(levels 0 to 11\)"):
        call("lz4", b"")
    with pytest.raises(ValueError, match="Unknown compression"):
        get_compression_extension("gz:10")


def test_none_is_identity() -> None:
    assert compress(None, SAMPLE) == SAMPLE
    assert decompress(None, SAMPLE) == SAMPLE


@pytest.mark.parametrize("algo", ["br:1", "bz2", "gz:3", "snappy", "zstd"])
@given(data=st.binary(max_size=3000), step=st.integers(1, 500))
@share(0.25)
def test_round_trip(algo: str, data: bytes, step: int) -> None:
    zipped = compress(algo, data)
    assert decompress(algo, zipped, len(data)) == data
    stream = stream_decompressor(algo, len(data))
    parts = [stream.feed(zipped[begin : begin + step]) for begin in range(0, len(zipped), step)]
    assert b"".join(parts) + stream.finish() == data


@pytest.mark.parametrize("algo", sorted(get_compressions()))
def test_every_level(algo: str) -> None:
    assert decompress(algo, compress(algo, SAMPLE), len(SAMPLE)) == SAMPLE


def test_other_tools_read_it() -> None:
    assert brotli.decompress(compress("br", SAMPLE)) == SAMPLE
    assert bz2.decompress(compress("bz2", SAMPLE)) == SAMPLE
    assert gzip.decompress(compress("gz", SAMPLE)) == SAMPLE
    assert snappy.uncompress(compress("snappy", SAMPLE)) == SAMPLE
    # One-shot decoders need the content size in the frame.
    assert zstandard.ZstdDecompressor().decompress(compress("zstd", SAMPLE)) == SAMPLE


def test_gzip_is_reproducible() -> None:
    assert compress("gz", SAMPLE)[4:8] == bytes(4)


@pytest.mark.parametrize("size", [0, 1 << 19, (1 << 19) + 1, 3_000_000])
def test_large_zstd_frames_have_one_frame_with_its_size(size: int) -> None:
    data = bytes(size)
    zipped = compress("zstd", data)
    assert zstandard.get_frame_parameters(zipped).content_size == size
    assert decompress("zstd", zipped, size) == data


@pytest.mark.parametrize("algo", FAMILIES)
def test_bombs(algo: str) -> None:
    bomb = compress(algo, bytes(5_000_000))
    with pytest.raises(ShardFormatError, match="1000"):
        decompress(algo, bomb, 1000)


def test_bomb_whose_header_lies() -> None:
    # A Zstandard frame without a content size, and a Snappy block that states a small one.
    writer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    bomb = writer.compress(bytes(5_000_000)) + writer.flush()
    with pytest.raises(ShardFormatError, match="1000"):
        decompress("zstd", bomb, 1000)
    block = b"\x64" + compress("snappy", bytes(100_000))[3:]
    with pytest.raises(ShardFormatError):
        decompress("snappy", block, 1000)
    with pytest.raises(ShardFormatError, match="claims to hold"):
        decompress("snappy", b"\xff\xff\xff\xff\x0f\x00a")


@pytest.mark.parametrize("algo", FAMILIES)
def test_cut_off(algo: str) -> None:
    zipped = compress(algo, SAMPLE)
    for end in (0, 1, len(zipped) // 2, len(zipped) - 1):
        with pytest.raises(ShardFormatError):
            decompress(algo, zipped[:end], len(SAMPLE))


@pytest.mark.parametrize("algo", FAMILIES)
@given(data=st.binary(min_size=1, max_size=200))
@share(0.3)
def test_garbage(algo: str, data: bytes) -> None:
    try:
        decompress(algo, data, 1 << 20)
    except ShardFormatError as error:
        assert "data" in str(error) or "block" in str(error)  # noqa: PT017


@pytest.mark.parametrize("algo", FAMILIES)
def test_trailing_garbage(algo: str) -> None:
    with pytest.raises(ShardFormatError):
        decompress(algo, compress(algo, SAMPLE) + b"garbage", len(SAMPLE) + 100)


@pytest.mark.parametrize("algo", ["bz2", "gz", "zstd"])
def test_several_members_are_read_in_full(algo: str) -> None:
    zipped = compress(algo, SAMPLE)
    assert decompress(algo, zipped * 3, 3 * len(SAMPLE)) == SAMPLE * 3
    with pytest.raises(ShardFormatError, match="more than"):
        decompress(algo, zipped * 2, len(SAMPLE))


def test_padded_gzip() -> None:
    assert decompress("gz", compress("gz", SAMPLE) + bytes(100)) == SAMPLE


def test_flipped_bit_in_gzip() -> None:
    zipped = bytearray(compress("gz", SAMPLE))
    zipped[-6] ^= 1
    with pytest.raises(ShardFormatError, match="Damaged gz data"):
        decompress("gz", bytes(zipped))


def test_pending_output_is_not_lost() -> None:
    # A tiny input that fills the decoder's output many times over.
    data = bytes((1 << 22) + 3)
    for algo in FAMILIES:
        assert decompress(algo, compress(algo, data), len(data)) == data
    raw = zlib.compressobj(9, wbits=31)
    zipped = raw.compress(data) + raw.flush()
    assert decompress("gz", zipped, len(data)) == data


AT_ENDS_OF_JOBS = [max(0, (blocks << 19) + more) for blocks in (0, 1, 2, 8, 16, 64) for more in (-1, 0, 1, 1 << 17)]


# Up to which size in the short run, past the end of a first job: the larger ones take seconds.
UP_TO = {"zstd": 9 << 20, "zstd:1": 5 << 20, "zstd:9": 1 << 21, "gz": 1 << 21, "bz2": 1 << 20}


def marks_of(algo: str, size: int) -> list[Any]:
    return [pytest.mark.apart] * (size > 1 << 22) + [pytest.mark.long] * (size >= UP_TO[algo])


@pytest.mark.parametrize(
    ("algo", "size"),
    [
        pytest.param(algo, size, marks=marks_of(algo, size))
        for algo in UP_TO
        for size in AT_ENDS_OF_JOBS
        if size < 1 << 23 or algo in ("zstd", "zstd:1")
    ],
)
def test_pieces_give_the_bytes_of_the_whole(algo: str, size: int) -> None:
    data = np.random.default_rng(size).integers(0, 20, size, np.uint8).tobytes()
    pieces = [data[begin : begin + 300_000] for begin in range(0, size, 300_000)]
    assert b"".join(compress_pieces(algo, iter(pieces), size)) == compress(algo, data)


FORKS = """
import os, sys
from streaming.format.codecs.compression import compress
data = bytes(range(256)) * 8192
expected = [compress("zstd", data), compress("zstd:5", data)]
first = os.fork()
if not first:
    second = os.fork()
    assert [compress("zstd", data), compress("zstd:5", data)] == expected
    if second:
        assert os.waitpid(second, 0)[1] == 0
    sys.exit()  # by the whole way out, which frees what there is
assert os.waitpid(first, 0)[1] == 0
assert compress("zstd", data) == expected[0]
print("equal")
"""


def test_a_forked_process_compresses_without_the_threads_of_its_parent() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "equal\n", done.stderr


def test_a_compressor_that_was_given_up_is_not_used_again() -> None:
    pieces = [bytes([i]) * (1 << 20) for i in range(12)]
    expected = compress("zstd", b"".join(pieces))
    for end in (1, 5, 12):
        broken = compress_pieces("zstd", iter([*pieces[:end], "no bytes"]), 12 << 20)  # pyright: ignore[reportArgumentType]
        with pytest.raises(TypeError):
            list(broken)
        assert b"".join(compress_pieces("zstd", iter(pieces), 12 << 20)) == expected


def test_many_threads_compress_at_once() -> None:
    random = np.random.default_rng(0)
    datas = [random.integers(0, 40, (1 << 19) + 1000 * i, np.uint8).tobytes() for i in range(12)]
    expected = [compress(f"zstd:{1 + i % 3}", data) for i, data in enumerate(datas)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            found = pool.map(lambda i: compress(f"zstd:{1 + i % 3}", datas[i]), range(12))
            assert list(found) == expected
    drop_compressors()
