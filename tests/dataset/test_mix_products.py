"""Mixtures that change, with all that may go with them: joins, views, bins, equal ranks, and runs that end anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming import MDSWriter, Pack, Phase, Ramp, Schedule, Side, Stream, StreamingDataLoader, StreamingDataset
from streaming.core.errors import ConfigError

from budget import pairings

NAMES = ("web", "code", "math")
SIZES = (300, 100, 50)
GLOBAL = 12
TO = 32
PACK = Pack(tokens="tokens", to=TO, emit=("doc_ids",))
#: Ranks that get different samples, equal ranks of each, workers.
WORLDS = {
    "one": (1, 1, 0),
    "three": (3, 1, 2),
    "equal": (2, 2, 1),
}
KINDS = ["plain", "join", "view", "saved view", "pack"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three streams of documents, what belongs to them by row, and a view of each."""
    root = tmp_path_factory.mktemp("streams")
    rng = np.random.default_rng(5)
    for k, (name, size) in enumerate(zip(NAMES, SIZES, strict=True)):
        with (
            MDSWriter(out=str(root / name), columns={"id": "int"}, size_limit=200) as writer,
            MDSWriter(out=str(root / f"{name}-texts"), columns={"tokens": "ndarray:int32"}, size_limit=1500) as texts,
            MDSWriter(out=str(root / f"{name}-side"), columns={"square": "int"}, size_limit=400) as side,
        ):
            for i in range(size):
                number = 1000 * k + i
                writer.write({"id": number})
                texts.write({"tokens": np.full(int(rng.integers(2, 20)), number, np.int32)})
                side.write({"square": number * number})
        StreamingDataset(local=str(root / name), batch_size=1).select(np.arange(0, size, 2)).save(root / f"{name}.view")
    return root


def plan(kind: str = "plain") -> Schedule:
    """What changes, counted in samples; of bins, in tokens."""
    one = TO if kind == "pack" else 1
    return Schedule(
        [
            Phase(0, {"web": 0.75, "code": 0.25}),
            Phase(120 * one, {"web": 0.5, "code": 0.25, "math": 0.25}),
            Ramp(240 * one, 360 * one, {"math": 2, "web": 1}),
        ],
        unit="tokens" if kind == "pack" else "samples",
    )


def make(root: Path, kind: str, world: str = "one", **more: Any) -> StreamingDataset:
    ranks, equal, _ = WORLDS[world]
    streams = {
        name: Stream(
            local=str(root / (f"{name}-texts" if kind == "pack" else name)),
            join=[Side(local=str(root / f"{name}-side"))] if kind == "join" else (),
            view=str(root / f"{name}.view") if kind == "saved view" else None,
        )
        for name in NAMES
    }
    settings = {"mix": plan(kind), "batch_size": GLOBAL // ranks, "shuffle": True, "num_canonical_nodes": 2, **more}
    settings |= {"replication": equal} if equal > 1 else {}
    data = StreamingDataset(streams=streams, pack=PACK if kind == "pack" else None, **settings)
    return data.select(np.arange(1, sum(SIZES), 2)) if kind == "view" else data


def loader_of(data: StreamingDataset, world: str = "one") -> StreamingDataLoader:
    _, _, workers = WORLDS[world]
    more = {"multiprocessing_context": "fork"} if workers else {}
    return StreamingDataLoader(data, batch_size=data.batch_size, num_workers=workers, **more)


def said(batch: Any) -> list[Any]:
    """Return what a batch holds: ids, or the documents of each bin."""
    if "square" in batch:
        assert (batch["square"] == batch["id"] * batch["id"]).all()
    return batch["id"].tolist() if "id" in batch else [sorted({*bin_.tolist()}) for bin_ in batch["tokens"]]


def serve(
    loader: StreamingDataLoader, stop: int, change: int = -1, save: int = -1
) -> tuple[list[list[Any]], int, dict[str, Any]]:
    """Return the batches up to one, where a change that was made at one begins, and the checkpoint of one."""
    out: list[list[Any]] = []
    begins, state = -1, {}
    for batch in loader:
        out.append(said(batch))
        if len(out) == change:
            begins = loader.dataset.set_weights({"code": 0.5, "math": 0.5})
        if len(out) == save:
            state = json.loads(json.dumps(loader.state_dict()))
        if len(out) == stop:
            break
    return out, begins, state


def served(
    root: Path, kind: str, world: str, stop: int, state: dict[str, Any] | None = None, **more: Any
) -> tuple[list[list[Any]], int, dict[str, Any]]:
    """Return the same of all ranks: global batches, each in order of what it holds."""
    ranks, equal, _ = WORLDS[world]
    parts: list[list[list[Any]]] = []
    begins: set[int] = set()
    made: dict[str, Any] = {}
    for rank in range(equal - 1, ranks * equal, equal):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {"RANK": rank, "WORLD_SIZE": ranks * equal, "LOCAL_WORLD_SIZE": ranks * equal}.items():
                patch.setenv(name, str(value))
            data = make(root, kind, world, batching_method=more.get("method", "random"))
            if state is not None:
                data.load_state_dict(state)
            got, begin, made = serve(loader_of(data, world), stop, more.get("change", -1), more.get("save", -1))
        parts.append(got)
        begins.add(begin)
    assert len(begins) == 1
    return [sorted(chain(*batch)) for batch in zip(*parts, strict=True)], begins.pop(), made


@pytest.mark.parametrize(
    ("kind", "first", "then", "method"),
    pairings(KINDS, [*WORLDS], ["one", "three", "equal"], ["random", "per_stream", "stratified"]),
)
def test_a_live_change_stopped_anywhere_is_never_stopped(
    root: Path, kind: str, first: str, then: str, method: str
) -> None:
    """Changed at one step, stopped at another, resumed in another world: what one process serves that knew of the change."""
    change = 3 + 2 * len(first)
    save = change + len(then) % 3
    got, begins, state = served(root, kind, first, save, change=change, save=save, method=method)
    rest, _, _ = served(root, kind, then, 40 - save, state, method=method)
    knew = make(root, kind, batching_method=method)
    assert knew.set_weights({"code": 0.5, "math": 0.5}, at=begins * GLOBAL) == begins
    want, _, _ = serve(loader_of(knew), 40)
    assert got + rest == [sorted(batch) for batch in want]


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.long)])
def test_bins_survive_a_kill(root: Path, tmp_path: Path, context: str) -> None:
    program = tmp_path / "train.py"
    program.write_text(
        f"import sys, json; sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}\n"
        "from pathlib import Path\n"
        "from test_mix_products import *\n"
        "if __name__ == '__main__':\n"
        f"    data = make(Path({str(root)!r}), 'pack')\n"
        f"    loader = StreamingDataLoader(data, batch_size=12, num_workers=2, multiprocessing_context={context!r})\n"
        "    for i, batch in enumerate(loader):\n"
        "        print(json.dumps(said(batch)), flush=True)\n"
        "        if i == 11: data.set_weights({'code': 1})\n"
        "        if i == 14: print(json.dumps(loader.state_dict()), flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline()) for _ in range(26)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    rest, _, _ = served(root, "pack", "three", 20, lines[15])
    assert rest[:10] == [sorted(batch) for batch in lines[16:]]
    # Changed in batch 11 from 16 on, saved in batch 14; the ramp begins with 20.
    assert {document // 1000 for batch in rest[1:5] for bin_ in batch for document in bin_ if document} == {1}


def test_positions_count_tokens_of_bins(root: Path) -> None:
    """A phase from token T on begins at bin T / 32, whatever the bins are filled with, rounded to whole batches."""
    mix = Schedule([Phase(0, {"web": 1}), Phase("1k", {"math": 1})], unit="tokens")
    got, _, _ = serve(loader_of(make(root, "pack", mix=mix)), 6)
    assert [{d // 1000 for bin_ in batch for d in bin_ if d} for batch in got] == [{0}] * 3 + [{2}] * 3
    in_bins = Schedule([Phase(0, {"web": 1}), Phase(36, {"math": 1})])
    assert serve(loader_of(make(root, "pack", mix=in_bins)), 6)[0] == got


def test_batches_of_another_size_change_at_the_same_sample(root: Path) -> None:
    """Gradients that are accumulated, or a run of larger batches: positions are samples."""
    whole = [*chain(*serve(loader_of(make(root, "plain")), 40)[0])]
    for size in (4, 6, 24):
        got, _, _ = serve(loader_of(make(root, "plain", batch_size=size)), 240 // size)
        assert [*chain(*got)] == whole[:240]


def test_each_sample_as_often_as_its_stream_says(root: Path) -> None:
    for method in ("random", "stratified", "per_stream"):
        data = make(root, "plain", batching_method=method)
        data.set_weights({"web": 2, "code": 1, "math": 1}, at=132)
        ids = np.array([*chain(*serve(loader_of(data), 128)[0])])
        for stream, share in enumerate(data.inspect_epoch().streams(128)):
            times = np.bincount(ids[ids // 1000 == stream] % 1000, minlength=SIZES[stream])
            assert share.given == times.sum()
            assert times.max() - times.min() <= 1 or method == "per_stream"
            assert times.max() - times.min() <= 2


def test_a_stream_without_weight_is_not_fetched(root: Path, tmp_path: Path) -> None:
    streams = {name: Stream(remote=str(root / name), local=str(tmp_path / name)) for name in NAMES}
    mix = Schedule([Phase(0, {"web": 1}), Phase("1m", {"math": 1})])
    data = StreamingDataset(streams=streams, mix=mix, batch_size=4, shuffle=True)
    take = serve(StreamingDataLoader(data, batch_size=4, num_workers=1), 100)[0]
    assert len(take) == 100
    assert list((tmp_path / "web").glob("*.mds"))
    assert not [*(tmp_path / "math").glob("*.mds"), *(tmp_path / "code").glob("*.mds")]


def test_weights_of_the_past_and_of_nobody(root: Path) -> None:
    data = make(root, "pack")
    loader = loader_of(data)
    serve(loader, 10)
    with pytest.raises(
        ConfigError, match="global batch 5, which may have been begun: the soonest is 10, at 120 samples"
    ):
        data.set_weights({"math": 1}, at=60)
    with pytest.raises(ConfigError, match="no stream 'mat' to give a weight to. Did you mean 'math'"):
        data.set_weights({"mat": 1})
