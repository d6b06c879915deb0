"""Eight processes with two workers each on one directory, with a limit that holds a quarter of the dataset."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from streaming import MDSWriter

from programs import run_program

PROGRAM = Path(__file__).with_name("shared_program.py")
PROCESSES, N = 8, 1600


@pytest.mark.timeout(200)
@pytest.mark.parametrize("in_step", [True, False])
def test_eight_processes(tmp_path: Path, in_step: bool) -> None:
    """As the ranks of one job, and as eight jobs that know nothing of each other."""
    remote, local = tmp_path / "remote", tmp_path / "cache"
    with MDSWriter(out=str(remote), columns={"id": "int", "x": "bytes"}, size_limit=16 * 2020 + 200) as writer:
        for i in range(N):
            writer.write({"id": i, "x": i.to_bytes(4, "little") * 500})
    shards = len(list(remote.glob("*.mds")))
    limit = sum(path.stat().st_size for path in remote.glob("*.mds")) * 2 // 5
    arguments = [str(remote), str(local), str(limit), str(PROCESSES), str(int(in_step))]
    status, out, said = run_program(PROGRAM, *arguments, timeout_s=170)
    assert status == 0, said[-3000:]
    results: list[Any] = json.loads(out)
    epochs = 2 if in_step else 1
    each = Counter(dict.fromkeys(range(N), epochs))
    if in_step:
        assert Counter(i for result in results for i in result["ids"]) == each
    else:
        assert all(Counter(result["ids"]) == each for result in results)
    usage = max(result["usage"] for result in results)
    fetches = sum(result["files"] for result in results) / shards / epochs
    print(f"{fetches:.2f} fetches of each shard an epoch, {usage / limit:.2f} of the limit used at most")
    # Jobs that know nothing of each other want other shards at any moment, so they may well evict each other's.
    assert fetches <= (1.3 if in_step else 3 * PROCESSES)
    assert usage <= limit
    assert sum(path.stat().st_size for path in local.glob("shard*")) <= limit
    for part in local.glob("*.part"):  # of one that ended while it fetched for the epoch to come
        assert (remote / f"{part.name.partition('.mds')[0]}.mds").read_bytes().startswith(part.read_bytes())
    for path in local.glob("*.mds"):
        assert path.read_bytes() == (remote / path.name).read_bytes()
