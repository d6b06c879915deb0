"""Random histories of datasets that share a cache: no sample is ever served that is not of the version that was opened.

``STREAMING_HISTORIES`` is how many there are of each kind.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from streaming import CSVWriter, JSONWriter, MDSWriter, StreamingDataset
from streaming.cache.fetching import fetch
from streaming.core.errors import StreamingError

from budget import pairings, repetitions
from servers import S3Server

HISTORIES = repetitions("STREAMING_HISTORIES", 1, 10)
STEPS = 14
WRITERS: dict[str, Any] = {"mds": MDSWriter, "json": JSONWriter, "csv": CSVWriter}


@pytest.fixture
def bucket(s3: S3Server) -> Callable[[], str]:
    """Makes buckets, each once."""
    return s3.create_bucket


class History:
    """Two places that are written again and again, one cache, and who reads by it."""

    def __init__(self, rng: random.Random, remotes: list[str], local: Path, kind: str, **arguments: Any) -> None:
        self.rng = rng
        self.remotes = remotes
        self.local = local
        self.kind = kind
        self.arguments = arguments
        self.version = 1000
        self.counts = [0, 0]
        self.versions = [0, 0]
        self.open: list[tuple[StreamingDataset, int, int, int]] = []
        for place in (0, 1):
            self.write(place)

    def write(self, place: int) -> None:
        """Write a version; half of the time one of the same sizes."""
        remote = self.remotes[place]
        self.version += 1
        if not self.counts[place] or self.rng.random() < 0.5:
            self.counts[place] = self.rng.choice([40, 40, 55, 70])
        if "://" not in remote:
            if self.rng.random() < 0.5:
                shutil.rmtree(remote, ignore_errors=True)
        else:  # within a second, a store like this tells one from the other by nothing
            self.open = [reader for reader in self.open if reader[1] != place]
        with WRITERS[self.kind](
            out=remote, columns={"v": "int", "i": "int"}, size_limit=300, exist_ok=True, **self.arguments
        ) as writer:
            for i in range(self.counts[place]):
                writer.write({"v": self.version, "i": 1000 + i})
        self.versions[place] = self.version

    def reopen(self) -> None:
        """Open a place, and read some of it; what is as it is must be readable."""
        place = self.rng.randrange(2)
        arguments: Any = {"remote": self.remotes[place], "local": str(self.local), "keep_zip": self.rng.random() < 0.3}
        dataset = StreamingDataset(**arguments)
        if self.rng.random() < 0.3:
            # Room for some of it, beside the index: with less, each shard waits for room that there will never be.
            used = dataset._cache.index_bytes  # pyright: ignore[reportPrivateUsage]
            dataset = StreamingDataset(**arguments, cache_limit=used + 3800)
        self.open = [*self.open[-2:], (dataset, place, self.versions[place], self.counts[place])]
        assert len(dataset) == self.counts[place]
        self.read(self.open[-1])

    def read(self, reader: tuple[StreamingDataset, int, int, int]) -> None:
        """Read some samples, all of which must be of the version that was opened; later ones may only be refused."""
        dataset, place, version, count = reader
        for i in self.rng.sample(range(count), self.rng.choice([1, 5, count])):
            try:
                found = dataset[i]
            except StreamingError:
                if version == self.versions[place]:
                    raise
                continue
            assert found == {"v": version, "i": 1000 + i}

    def read_again(self) -> None:
        """Go on reading by what was opened before."""
        if self.open:
            self.read(self.rng.choice(self.open))

    def evict(self) -> None:
        """Evict shards."""
        for dataset, *_ in self.open[-1:]:
            for shard in self.rng.sample(range(dataset.num_shards), 2):
                dataset.evict_shard(shard)

    def killed(self) -> None:
        """Have a process read, which is killed in the middle of a file, or when it has come."""
        place, order = self.rng.randrange(2), self.rng.sample(range(self.counts[0]), 20)
        calls, name = self.rng.randrange(1, 8), self.rng.choice(["feed", "finish", "__exit__"])
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            return
        try:
            real = getattr(fetch._Sinks, name)  # pyright: ignore[reportPrivateUsage]

            def dying(*args: Any) -> Any:
                nonlocal calls
                calls -= 1
                if calls < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args)

            setattr(fetch._Sinks, name, dying)  # pyright: ignore[reportPrivateUsage]
            dataset = StreamingDataset(remote=self.remotes[place], local=str(self.local))
            for i in order:
                with suppress(IndexError):
                    _ = dataset[i]
        finally:
            os._exit(0)

    def lose(self) -> None:
        """Remove something that knowledge is kept in, or a file."""
        paths = sorted(path for path in self.local.iterdir() if path.is_file())
        if paths:
            lost = self.rng.choice(paths)
            lost.unlink()
            if lost.name.startswith(".streaming-cache"):
                self.open = []  # what becomes of those is not this test's question

    def run(self) -> None:
        """Do something at random, again and again."""
        steps = [self.reopen] * 4 + [self.read_again] * 3 + [self.killed] * 2 + [self.evict, self.lose]
        steps += [lambda: self.write(self.rng.randrange(2))] * 3
        for _ in range(STEPS):
            self.rng.choice(steps)()
        self.reopen()
        self.read_again()


@pytest.mark.parametrize(
    ("kind", "compression", "hashes", "where"),
    pairings(["mds", "json", "csv"], [None, "zstd"], [[], ["xxh64"]], ["local", "s3"]),
)
def test_histories(
    bucket: Callable[[], str], tmp_path: Path, kind: str, compression: str | None, hashes: list[str], where: str
) -> None:
    for number in range(HISTORIES):
        rng = random.Random(f"{kind} {compression} {hashes} {where} {number}")
        base = tmp_path / str(number)
        remotes = [bucket() if where == "s3" else str(base / f"remote{i}") for i in range(2)]
        (base / "cache").mkdir(parents=True)
        History(rng, remotes, base / "cache", kind, compression=compression, hashes=hashes).run()
