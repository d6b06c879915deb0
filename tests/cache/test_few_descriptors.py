"""Batches of more shards than a process may have files open."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streaming import JSONWriter, MDSWriter

from programs import run_code

N = 240

PROGRAM = """
import resource, sys
import numpy as np
from streaming import StreamingDataset, StreamingDataLoader
resource.setrlimit(resource.RLIMIT_NOFILE, (96, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def read(local, workers):
    data = StreamingDataset(local=local, batch_size=200, shuffle=True)
    ids = np.random.default_rng(0).permutation(data.size)
    assert [sample["id"] for sample in data[ids]] == ids.tolist()
    assert [data[i]["id"] for i in ids[:200].tolist()] == ids[:200].tolist()
    assert [sample["id"] for sample in data.__getitems__(ids.tolist())] == ids.tolist()
    for _ in range(2):
        loader = StreamingDataLoader(data, batch_size=200, num_workers=workers)
        found = [int(i) for batch in loader for i in batch["id"]]
        assert sorted(found) == list(range(data.size)), len(found)
    print("right", data.num_shards)
    data.close()

for case in sys.argv[1:]:
    local, _, workers = case.rpartition(":")
    read(local, int(workers))
"""


def write(path: Path, kind: str) -> None:
    """Write one sample a shard: of one size, of many sizes, or in a format of two files a shard."""
    if kind == "json":
        columns = {"id": "int", "x": "str"}
        with JSONWriter(out=str(path), columns=columns, size_limit=1) as out:
            for i in range(N):
                out.write({"id": i, "x": "y"})
        return
    encoding = "ndarray:int32:4" if kind == "fixed" else "ndarray:int32"
    with MDSWriter(out=str(path), columns={"id": "int", "x": encoding}, size_limit=1) as out:
        for i in range(N):
            out.write({"id": i, "x": np.full(4, i, np.int32)})


def test_more_shards_than_descriptors(tmp_path: Path) -> None:
    cases = ["fixed:0", "fixed:1", "varying:0", "json:0"]
    for kind in ("fixed", "varying", "json"):
        write(tmp_path / kind, kind)
    status, out, said = run_code(PROGRAM, *(f"{tmp_path}/{case}" for case in cases))
    assert status == 0, said
    assert out.splitlines() == [f"right {N}"] * len(cases)


FULL = """
import os, sys
from streaming import StreamingDataset
from streaming.core.errors import StreamingError
data = StreamingDataset(remote=sys.argv[1], local=sys.argv[2], batch_size=1, download_retry=0)
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    for descriptor in held[-2:]:
        os.close(descriptor)
try:
    data[0]
except StreamingError as error:
    print(type(error).__name__, error)
"""


def test_no_descriptor_to_fetch_with(tmp_path: Path) -> None:
    write(tmp_path / "fixed", "fixed")
    status, out, said = run_code(
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))\n" + FULL,
        f"{tmp_path}/fixed",
        f"{tmp_path}/local",
    )
    assert status == 0, said
    assert "Too many open files" in out
    assert "Allow more open files (`ulimit -n`)" in out
