"""What a plan says, held against runs: bytes, files and evictions as a dataset counts them, samples as it serves them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming import MDSWriter, Pack, Phase, Ramp, Schedule, Stream, StreamingDataset
from streaming.planning import Plan

from servers import WebServer, web_server

N, ROW, PER_SHARD = 1500, 400, 50
WITHIN = 0.02


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """An S3 server on loopback."""
    with web_server() as server:
        server.etag = lambda data: f'"{hashlib.md5(data).hexdigest()}"'
        for name, text in {
            "S3_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, text)
        yield server


@pytest.fixture
def put(web: WebServer, tmp_path: Path) -> Callable[..., str]:
    """Write a dataset, put it on the server, and return its URL."""

    def write(name: str, count: int = N, row: int = ROW, **options: Any) -> str:
        out = tmp_path / "written" / name
        rng = np.random.default_rng(len(name))
        arguments: dict[str, Any] = {"columns": {"id": "int32", "x": "bytes"}, "size_limit": PER_SHARD * (row + 12)}
        with MDSWriter(out=str(out), **{**arguments, **options}) as writer:
            for i in range(count):
                writer.write({"id": i, "x": rng.bytes(row - i % 5)})
        for path in out.iterdir():
            web.objects[f"bucket/{name}/{path.name}"] = path.read_bytes()
        return f"s3://bucket/{name}"

    return write


class Cluster:
    """Runs every rank of a job, each node with a cache of its own, one after another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path, nodes: int, ranks: int) -> None:
        self._env, self._root, self.nodes, self.ranks = monkeypatch, root, nodes, ranks

    def run(self, make: Callable[[str], StreamingDataset], epochs: int = 1) -> tuple[list[int], Counter[int], int]:
        """Return bytes that each node fetched, how often each sample was served by the ranks, and files fetched."""
        fetched, served, files = [0] * self.nodes, Counter[int](), 0
        for rank in range(self.nodes * self.ranks):
            for name, value in (
                ("RANK", rank),
                ("WORLD_SIZE", self.nodes * self.ranks),
                ("LOCAL_WORLD_SIZE", self.ranks),
            ):
                self._env.setenv(name, str(value))
            dataset = make(str(self._root / f"node{rank // self.ranks}"))
            for _ in range(epochs):
                for sample in dataset:
                    served.update(np.atleast_1d(np.asarray(sample.get("id", 0))).tolist())
            stats = dataset.stats()
            fetched[rank // self.ranks] += int(stats["bytes_fetched"])
            files += int(stats["files_fetched"])
            dataset.close()
        for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
            self._env.delenv(name)
        return fetched, served, files


def bytes_by_node(plan: Plan) -> list[int]:
    found = {number: node.num_bytes for node in plan.nodes for number in node.nodes}
    return [found[number] for number in sorted(found)]


def is_near(found: list[int], planned: list[int]) -> bool:
    return all(abs(a - b) <= WITHIN * a for a, b in zip(found, planned, strict=True))


@pytest.mark.parametrize(
    ("options", "settings", "nodes", "ranks", "epochs"),
    [
        pytest.param({}, {"shuffle": True}, 2, 2, 1, id="lanes"),
        pytest.param(
            {"compression": "zstd:1", "hashes": ["xxh64"]},
            {"shuffle": True, "shuffle_algo": "py1e", "num_canonical_nodes": 4, "shuffle_block_size": 200},
            2,
            1,
            2,
            id="py1e-compressed",
        ),
        pytest.param(
            {"hashes": ["xxh64"]},
            {"shuffle": True, "shuffle_block_size": 300, "cache_limit": 16 * PER_SHARD * (ROW + 12), "predownload": 16},
            1,
            1,
            2,
            id="a-small-cache",
        ),
        pytest.param({}, {"shuffle": True, "replication": 2, "shuffle_block_size": 300}, 4, 1, 1, id="replicated"),
        pytest.param({}, {"shuffle": False}, 3, 2, 1, id="not-shuffled"),
    ],
)
def test_bytes_are_those_of_a_run(
    put: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    settings: dict[str, Any],
    nodes: int,
    ranks: int,
    epochs: int,
) -> None:
    url = put("data", **options)

    def make(local: str) -> StreamingDataset:
        return StreamingDataset(remote=url, local=local, batch_size=8, **settings)

    replication = settings.pop("replication", None)
    plan = make(str(tmp_path / "plan")).plan(
        num_nodes=nodes, ranks_per_node=ranks, epochs=epochs, replication=replication
    )
    if replication is not None:
        settings["replication"] = replication
    fetched, served, files = Cluster(monkeypatch, tmp_path, nodes, ranks).run(make, epochs)
    assert is_near(fetched, bytes_by_node(plan)), (fetched, bytes_by_node(plan))
    assert abs(files - sum(len(node.nodes) * node.fetches for node in plan.nodes)) <= WITHIN * files
    assert served.total() == plan.counts.samples * (replication or 1)
    assert served.total() - len(served) * epochs * (replication or 1) == plan.counts.padding * (replication or 1)


def test_bytes_of_a_mixture_that_changes(
    put: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web_text, code = put("web"), put("code", count=400)
    mix = Schedule([Phase(0, {"web": 1}), Ramp(320, 640, to={"web": 0.5, "code": 0.5})])

    def make(local: str) -> StreamingDataset:
        streams = {
            "web": Stream(remote=web_text, local=f"{local}/web"),
            "code": Stream(remote=code, local=f"{local}/code"),
        }
        return StreamingDataset(streams=streams, batch_size=8, shuffle=True, mix=mix, epoch_size=1280)

    plan = make(str(tmp_path / "plan")).plan(num_nodes=2, ranks_per_node=1)
    fetched, served, _ = Cluster(monkeypatch, tmp_path, 2, 1).run(make)
    assert is_near(fetched, bytes_by_node(plan)), (fetched, bytes_by_node(plan))
    assert served.total() == plan.counts.samples == sum(stream.drawn for stream in plan.streams) == 1280
    assert [stream.name for stream in plan.streams] == ["web", "code"]
    endless = StreamingDataset(
        streams={"web": Stream(remote=web_text, local=str(tmp_path / "w")), "code": Stream(remote=code)},
        batch_size=8,
        mix=mix,
    )
    with pytest.raises(ValueError, match="no end"):
        endless.plan()
    assert endless.plan(steps=200).counts.samples == 1600


def test_bytes_of_a_view_that_keeps_few_rows(
    put: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = 16 << 10
    url = put("large", count=600, row=row, size_limit=100 * (row + 12))

    def make(local: str) -> StreamingDataset:
        rows = np.random.default_rng(0).choice(600, 24, replace=False)
        return StreamingDataset(remote=url, local=local, batch_size=2, shuffle=True).select(np.sort(rows))

    plan = make(str(tmp_path / "plan")).plan()
    fetched, served, _ = Cluster(monkeypatch, tmp_path, 1, 1).run(make)
    assert is_near(fetched, bytes_by_node(plan)), (fetched, bytes_by_node(plan))
    assert plan.num_bytes < 0.3 * 600 * row
    assert served.total() == plan.counts.samples == 24


def test_bytes_of_packs(put: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = put("documents", columns={"id": "int32", "x": "bytes"})

    def make(local: str) -> StreamingDataset:
        return StreamingDataset(
            remote=url, local=local, batch_size=2, shuffle=True, pack=Pack("x", to=2000, emit=(), dtype="uint8")
        )

    dataset = make(str(tmp_path / "plan"))
    plan = dataset.plan(num_nodes=2, ranks_per_node=1)
    fetched, _, _ = Cluster(monkeypatch, tmp_path, 2, 1).run(make)
    # Lengths come from tables of offsets, which is no part of a run, and are fetched once on each node.
    lengths = int(dataset.stats()["bytes_fetched"])
    assert is_near([n - lengths for n in fetched], bytes_by_node(plan)), (fetched, lengths, bytes_by_node(plan))
    assert plan.counts.size == dataset.size


def test_a_plan_goes_on_where_a_checkpoint_was_made(put: Callable[..., str], tmp_path: Path) -> None:
    url = put("data")
    dataset = StreamingDataset(
        remote=url, local=str(tmp_path / "a"), batch_size=10, shuffle=True, shuffle_block_size=200
    )
    whole = dataset.plan()
    for _, _ in zip(range(1000), dataset):
        pass
    resumed = StreamingDataset(
        remote=url, local=str(tmp_path / "b"), batch_size=10, shuffle=True, shuffle_block_size=200
    )
    resumed.load_state_dict(dataset.state_dict())
    rest = resumed.plan()
    assert (whole.counts.steps, rest.counts.steps, rest.counts.samples) == (150, 50, 500)
    assert len(list(resumed)) == 500
    assert abs(resumed.stats()["bytes_fetched"] - rest.num_bytes) <= WITHIN * rest.num_bytes
