"""The page on coming from the original: the tests that it names exist; and the claims that no other test shows."""

from __future__ import annotations

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from streaming import LocalDataset, Stream, StreamingDataset
from streaming.base.format.mds.encodings import is_mds_encoding
from streaming.base.util import merge_index

from programs import run_program
from sample_data import write_dataset

ROOT = Path(__file__).parents[2]


def test_the_tests_that_it_names_exist() -> None:
    page = (ROOT / "docs" / "migration.md").read_text()
    named = re.findall(r"`([a-z_/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > 50
    for file, test in named:
        text = (ROOT / "tests" / file).read_text()
        assert not test or f"def {test}(" in text, f"{file}::{test}"
    for link in re.findall(r"\]\(([^)#]+)", page):
        assert (ROOT / "docs" / link).exists(), link


def test_a_stream_serves_two_datasets(tmp_path: Path) -> None:
    write_dataset(tmp_path / "d", 100)
    stream = Stream(local=str(tmp_path / "d"))
    first, second = StreamingDataset(streams=[stream]), StreamingDataset(streams=[stream])
    assert first[:] == second[:]
    assert (stream.choose, stream.keep_zip) == (None, None)
    assert first.streams[0].choose == 100


def test_merging_without_local_copies_removes_nothing(tmp_path: Path) -> None:
    for part in ("0", "1"):
        write_dataset(tmp_path / part, 50)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    merge_index(str(tmp_path), keep_local=False)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before | {tmp_path / "index.json"}
    assert len(LocalDataset(str(tmp_path))) == 100


def test_small_things(tmp_path: Path) -> None:
    write_dataset(tmp_path / "d", 60, compression="zstd")
    assert LocalDataset(str(tmp_path / "d"))[59]["id"] == 59
    assert any(name.endswith(".zstd") for name in os.listdir(tmp_path / "d"))
    fetched = StreamingDataset(remote=str(tmp_path / "d"), local=str(tmp_path / "c"), download_retry=0, batch_size=1)
    assert fetched[0]["id"] == 0
    assert [each["id"] for each in fetched[::-1]] == list(range(60))[::-1]
    assert [each["id"] for each in fetched[np.arange(60) % 20 == 0]] == [0, 20, 40]
    fetched.close()
    assert not any(is_mds_encoding(name) for name in ("x:y", "int:3", "ndarray:zz"))


RUN = """
import os, signal, sys
from streaming import StreamingDataset, StreamingDataLoader
from streaming.base.util import clean_stale_shared_memory

if __name__ == "__main__":
    os.setsid()  # the processes of a job have a group, which is killed at once
    clean_stale_shared_memory()
    remote, local, stop = sys.argv[1], sys.argv[2], int(sys.argv[3])
    dataset = StreamingDataset(remote=remote, local=local, batch_size=10, shuffle=True, predownload=10)
    loader = StreamingDataLoader(dataset, batch_size=10, num_workers=2, persistent_workers=True)
    seen = []
    for epoch in range(2):
        for batch in loader:
            seen += batch["id"].tolist()
            if len(seen) == stop:
                os.killpg(0, signal.SIGKILL)
    print(len(seen), sorted(seen[:1000]) == sorted(seen[1000:]) == list(range(1000)))
"""


def test_killed_and_started_again(tmp_path: Path) -> None:
    write_dataset(tmp_path / "remote", 1000)
    (tmp_path / "run.py").write_text(RUN)

    def run(stop: int) -> tuple[int | None, str, str]:
        return run_program(
            tmp_path / "run.py", str(tmp_path / "remote"), str(tmp_path / "local"), str(stop), timeout_s=100
        )

    for stop in (50, 1300):
        assert run(stop)[0] == -signal.SIGKILL
    with ThreadPoolExecutor(2) as pool:
        for _, out, errors in pool.map(run, (-1, -1)):
            assert out.split() == ["2000", "True"], errors
