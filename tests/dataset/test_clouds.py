"""Each cloud, found by its environment: write, read with forked workers, go on with another, which may be spawned, list."""

from __future__ import annotations

from pathlib import Path

import pytest

from streaming import StreamingDataLoader, StreamingDataset
from streaming.storage.registry import open_store

from clouds import FAMILIES, Clouds, clear_credentials
from sample_data import write_dataset

N = 300


# A spawned worker takes seconds: `test_processes` sends a store of each to a process that has not been forked.
CASES = [(family, "fork") for family in FAMILIES]
CASES += [pytest.param(family, "spawn", marks=pytest.mark.long) for family in FAMILIES]


@pytest.mark.parametrize(("family", "then"), CASES)
def test_write_read_resume_list(
    family: str, then: str, clouds: Clouds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = clouds.place(family)
    clear_credentials(monkeypatch, tmp_path)
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    write_dataset(place.url, N)
    names = {info.path for info in open_store(place.url).list()}
    assert names == {"index.json", *(f"shard.{i:05}.mds" for i in range(len(names) - 1))}
    seen: list[int] = []
    state = None
    for start, workers in (("fork", 2), (then, 1)):
        dataset = StreamingDataset(remote=place.url, local=str(tmp_path / str(workers)), shuffle=True, batch_size=4)
        loader = StreamingDataLoader(
            dataset, batch_size=4, num_workers=workers, multiprocessing_context=start, timeout=200
        )
        if state is not None:
            loader.load_state_dict(state)
        for batch in loader:
            seen += batch["id"].tolist()
            if state is None and len(seen) == 120:
                state = loader.state_dict()
                break
    assert sorted(seen) == list(range(N))
