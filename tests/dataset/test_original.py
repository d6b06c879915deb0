"""Checkpoints cross over: ours resume in the original library, the original's here.

Runs where ``STREAMING_ORIGINAL_PYTHON`` names a Python in whose environment ``mosaicml-streaming`` 0.13 is installed.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streaming import StreamingDataLoader, StreamingDataset

Make = Callable[..., str]
ORIGINAL = os.environ.get("STREAMING_ORIGINAL_PYTHON")
pytestmark = pytest.mark.skipif(
    not ORIGINAL, reason="STREAMING_ORIGINAL_PYTHON does not name a Python with mosaicml-streaming 0.13"
)

PROGRAM = """
import json, sys
from streaming import StreamingDataset, StreamingDataLoader
from streaming.base.util import clean_stale_shared_memory
clean_stale_shared_memory()
remote, local, algo, state, batches = sys.argv[1:]
kwargs = {} if algo == "default" else {"shuffle_algo": algo}
data = StreamingDataset(remote=remote, local=local, batch_size=4, shuffle=True, **kwargs)
loader = StreamingDataLoader(data, batch_size=4)
if json.loads(state):
    loader.load_state_dict(json.loads(state))
ids = []
for i, batch in enumerate(loader):
    ids += batch["id"].tolist()
    if i + 1 == int(batches):
        break
print(json.dumps([ids, loader.state_dict()]))
"""


def original(remote: str, local: Path, algo: str, state: Any, batches: int) -> tuple[list[int], dict[str, Any]]:
    done = subprocess.run(
        [str(ORIGINAL), "-W", "ignore", "-c", PROGRAM, remote, str(local), algo, json.dumps(state), str(batches)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    for left in Path("/dev/shm").glob("0*"):
        left.unlink()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def ours(remote: str, local: Path, algo: str | None, state: Any, batches: int) -> tuple[list[int], Any]:
    data = StreamingDataset(remote=remote, local=str(local), batch_size=4, shuffle=True, shuffle_algo=algo)
    loader = StreamingDataLoader(data, batch_size=4)
    if state:
        loader.load_state_dict(state)
    ids: list[int] = []
    for i, batch in enumerate(loader):
        ids += batch["id"].tolist()
        if i + 1 == batches:
            break
    return ids, loader.state_dict()


@pytest.mark.parametrize("algo", ["py1e", "py1br", "py1s", "py2s", "naive"])
def test_both_ways(make_dataset: Make, tmp_path: Path, algo: str) -> None:
    remote = make_dataset(300)
    mine, my_state = ours(remote, tmp_path / "a", algo, None, 30)
    theirs, their_state = original(remote, tmp_path / "b", algo, None, 30)
    assert mine == theirs
    my_rest, _ = ours(remote, tmp_path / "a", algo, their_state, 1000)
    their_rest, _ = original(remote, tmp_path / "b", algo, my_state, 1000)
    assert my_rest == their_rest
    assert set(mine + my_rest) == set(range(300))  # py1s and py2s pad their 64 canonical nodes


def test_the_originals_default_order_is_continued(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset(300)
    begun, state = original(remote, tmp_path / "b", "default", None, 30)
    rest, _ = ours(remote, tmp_path / "a", None, state, 1000)
    assert sorted(begun + rest) == list(range(300))
    assert rest == original(remote, tmp_path / "b", "default", state, 1000)[0]
