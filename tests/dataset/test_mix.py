"""Mixtures that change, through datasets and loaders: resuming, live weights, bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from streaming import MDSWriter, Phase, Ramp, Schedule, Stream, StreamingDataLoader, StreamingDataset
from streaming.core.errors import CheckpointError, ConfigError, UnknownNameError

from programs import run_ranks

NAMES = ("web", "code", "math")
SIZES = (300, 100, 50)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three streams: the thousands of an id say which."""
    root = tmp_path_factory.mktemp("streams")
    for k, (name, size) in enumerate(zip(NAMES, SIZES, strict=True)):
        with MDSWriter(out=str(root / name), columns={"id": "int"}, size_limit=200) as writer:
            for i in range(size):
                writer.write({"id": 1000 * k + i})
    return root


def plan() -> Schedule:
    return Schedule(
        [
            Phase(0, {"web": 0.8, "code": 0.2}),
            Phase(240, {"web": 0.5, "code": 0.3, "math": 0.2}),
            Ramp(480, 640, {"math": 1}),
        ]
    )


def make(root: Path, mix: Schedule | None = None, **kwargs: Any) -> StreamingDataset:
    streams = {name: Stream(local=str(root / name)) for name in NAMES}
    return StreamingDataset(streams=streams, mix=mix or plan(), **{"batch_size": 4, "shuffle": True, **kwargs})


def loader_of(data: StreamingDataset, workers: int = 0, context: str | None = None) -> StreamingDataLoader:
    return StreamingDataLoader(
        data, batch_size=data.batch_size, num_workers=workers, multiprocessing_context=context if workers else None
    )


def take(loader: Any, count: int) -> list[list[int]]:
    out: list[list[int]] = []
    for batch in loader:
        out.append(batch["id"].tolist())
        if len(out) == count:
            break
    return out


def saved(loader: StreamingDataLoader) -> Any:
    return json.loads(json.dumps(loader.state_dict()))


def saved_at(loader: StreamingDataLoader, samples: int) -> Any:
    return {**saved(loader), "epoch": 0, "sample_in_epoch": samples}


@pytest.mark.parametrize(
    ("workers", "context"),
    [(0, None), (2, "fork"), (1, "forkserver"), pytest.param(1, "spawn", marks=pytest.mark.long)],
)
def test_stopped_and_resumed_is_never_stopped(root: Path, workers: int, context: str | None) -> None:
    whole = take(loader_of(make(root)), 200)
    loader = loader_of(make(root), workers, context)
    assert take(loader, 71) == whole[:71]
    again = loader_of(make(root), 3 - workers, "fork")
    again.load_state_dict(saved(loader))
    assert take(again, 129) == whole[71:]
    assert take(DataLoader(make(root), batch_size=4, num_workers=2), 100) == whole[:100]


@pytest.mark.parametrize(
    ("context", "method"),
    [
        ("fork", "random"),
        ("fork", "stratified"),
        pytest.param("fork", "per_stream", marks=pytest.mark.long),
        ("fork", "device_per_stream"),
        ("forkserver", "random"),
        pytest.param("spawn", "random", marks=pytest.mark.long),
    ],
)
def test_live_weights(root: Path, context: str, method: str) -> None:
    never = take(loader_of(make(root, batching_method=method)), 160)
    loader = loader_of(make(root, batching_method=method), 2, context)
    got: list[list[int]] = []
    begins = 0
    for batch in loader:
        got.append(batch["id"].tolist())
        if len(got) == 65:
            begins = loader.dataset.set_weights({"math": 1, "web": 0})
            state = saved(loader)
        if len(got) == 160:
            break
    assert begins == 65 + 2 * 2
    assert got[:begins] == never[:begins]
    assert {i // 1000 for batch in got[begins:120] for i in batch} == {2}
    assert {i // 1000 for batch in got[120:] for i in batch} == {0, 1, 2}  # the ramp
    for workers in (0, 1):
        again = loader_of(make(root, batching_method=method), workers)
        again.load_state_dict(state)
        assert take(again, 95) == got[65:]


def test_live_weights_survive_a_kill(root: Path, tmp_path: Path) -> None:
    program = tmp_path / "train.py"
    program.write_text(
        f"import sys, json; sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}\n"
        "from pathlib import Path\n"
        "from test_mix import *\n"
        f"loader = loader_of(make(Path({str(root)!r})), 2, 'fork')\n"
        "for i, batch in enumerate(loader):\n"
        "    print(json.dumps(batch['id'].tolist()), flush=True)\n"
        "    if i == 30: loader.dataset.set_weights({'code': 1})\n"
        "    if i == 33: print(json.dumps(loader.state_dict()), flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline()) for _ in range(45)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    again = loader_of(make(root), 1, "fork")
    again.load_state_dict(lines[34])
    rest = take(again, 60)
    assert rest[:10] == lines[35:]
    assert {i // 1000 for batch in rest[5:26] for i in batch} == {1}


def test_other_worlds_resume_a_live_change(root: Path) -> None:
    one = loader_of(make(root, batch_size=8))
    got: list[list[int]] = []
    for batch in one:
        got.append(batch["id"].tolist())
        if len(got) == 40:
            one.dataset.set_weights({"web": 0.1, "math": 0.9}, at=400)
            state = saved(one)
        if len(got) == 90:
            break
    parts = []
    for rank in range(2):
        data = make(root, data_parallel_rank=rank, data_parallel_size=2)
        data.load_state_dict(state)
        parts.append(take(loader_of(data, 2, "fork"), 50))
    both = [sorted(a + b) for a, b in zip(*parts, strict=True)]
    assert both == [sorted(batch) for batch in got[40:]]


def test_a_change_is_heard_at_once(root: Path) -> None:
    loader = loader_of(make(root), 8, "fork")
    started = 0.0
    begins = 10**9
    for number, batch in enumerate(loader):
        if number == 20:
            started = time.monotonic()
            begins = loader.dataset.set_weights({"math": 1})
        if number >= begins:
            assert {i // 1000 for i in batch["id"].tolist()} == {2}
            break
    assert begins == 21 + 16
    assert time.monotonic() - started < 30


def test_the_past_stays(root: Path) -> None:
    loader = loader_of(make(root))
    take(loader, 70)
    state = saved(loader)
    other = Schedule(
        [Phase(0, {"web": 4, "code": 1}), Phase(240, {"web": 5, "code": 3, "math": 2}), Phase(320, {"math": 1})]
    )
    data = make(root, other)
    data.load_state_dict(state)
    rest = take(loader_of(data), 40)
    assert {i // 1000 for batch in rest[10:] for i in batch} == {2}
    assert {i // 1000 for batch in rest[:10] for i in batch} == {0, 1, 2}
    for phases, text in (
        ([Phase(0, {"web": 0.7, "code": 0.3})], "phase 0, stream 'web': weight 0.8 in the checkpoint, 0.7 now"),
        ([Phase(0, {"web": 0.8, "code": 0.2})], "phase 1 begins at 240; now there is none"),
        (
            [Phase(0, {"web": 0.8, "code": 0.2}), Phase(200, {"web": 1})],
            "phase 1 began at 240 in the checkpoint, at 200 now",
        ),
    ):
        with pytest.raises(CheckpointError, match=text):
            make(root, Schedule(phases)).load_state_dict(state)
    with pytest.raises(CheckpointError, match="global batches of 4 samples.*now they have 8"):
        make(root, batch_size=8).load_state_dict(state)
    with pytest.raises(CheckpointError, match="with a schedule"):
        StreamingDataset(streams=[Stream(local=str(root / n)) for n in NAMES], batch_size=4).load_state_dict(state)
    for damage in ({"records": []}, {"declared": [[0, 10, [1.0]]]}, {"records": [[0, 100, [2.0, 0.0, 0.0]]]}):
        with pytest.raises(CheckpointError, match="`mix` was not written"):
            make(root).load_state_dict({**state, "mix": {**state["mix"], **damage}})


def test_epochs_of_a_size(root: Path) -> None:
    whole = take(loader_of(make(root)), 150)
    data = make(root, epoch_size=200)
    loader = loader_of(data)
    assert len(data) == 200
    assert len(loader) == 50
    epochs = [take(loader, 100) for _ in range(3)]
    assert [len(epoch) for epoch in epochs] == [50, 50, 50]
    assert [batch for epoch in epochs for batch in epoch] == whole
    with pytest.raises(TypeError, match="no end"):
        len(make(root))
    endless = loader_of(make(root))
    with pytest.raises(TypeError, match="no end"):
        len(endless)
    assert take(endless, 30) == whole[:30]
    with pytest.raises(ConfigError, match="it has been begun"):
        take(endless, 1)
    endless.load_state_dict(saved_at(endless, 0))
    assert take(endless, 20) == whole[:20]
    endless.load_state_dict(saved(endless))
    assert take(endless, 20) == whole[20:40]


def test_asking_skipping_counting(root: Path) -> None:
    data = make(root)
    epoch = data.inspect_epoch()
    whole = take(loader_of(make(root)), 60)
    assert [data[int(i)]["id"] for i in epoch.batch(59)[0]] == whole[59]
    assert [round(s.repeats, 3) for s in epoch.streams(60)] == [round(192 / 300, 3), 0.48, 0]
    data.skip_batches([(10, 20)])
    loader = loader_of(data, 2, "fork")
    got = take(loader, 30)
    assert got == whole[:10] + whole[20:40]
    again = loader_of(make(root))
    again.load_state_dict(saved(loader))
    assert take(again, 20) == whole[40:]
    assert data.stats()["samples"] >= 120


def test_views_and_lists_and_replication(root: Path) -> None:
    streams = [Stream(local=str(root / name)) for name in NAMES]
    mix = Schedule([Phase(0, {0: 1, "2": 1})], unit="batches")
    data = StreamingDataset(streams=streams, mix=mix, batch_size=4, replication=1)
    assert data.stream_names == ("0", "1", "2")
    view = data.select(np.arange(0, 450, 2))
    ids = np.array(take(loader_of(view), 225)).ravel()
    assert (ids % 2 == 0).all()
    assert np.bincount(ids // 1000, minlength=3).tolist() == [450, 0, 450]
    counts = np.unique(ids, return_counts=True)[1]
    assert sorted(set(counts.tolist())) == [3, 18]


def test_little_cache(root: Path, tmp_path: Path) -> None:
    streams = {n: Stream(remote=str(root / n), local=str(tmp_path / n)) for n in NAMES}
    data = StreamingDataset(streams=streams, mix=plan(), batch_size=4, shuffle=True, cache_limit="64kb", predownload=8)
    whole = take(loader_of(make(root)), 400)
    loader = loader_of(data, 2, "fork")
    assert take(loader, 400) == whole
    assert data.stats()["evictions"] > 0


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: Schedule([Phase(0, {"wbe": 1})]), "no stream 'wbe'.*Did you mean 'web'"),
        (lambda: Schedule([Phase("1k", {"web": 1})]), "begins with a Phase at 0"),
        (lambda: Schedule([]), "begins with a Phase at 0"),
        (lambda: Schedule([Phase(0, {"web": 1}), Phase(9, {"web": 1}), Phase(8, {"web": 1})]), "Put them in order"),
        (lambda: Schedule([Phase(0, {"web": 1}), Ramp(8, 20, {"code": 1}), Phase(12, {"web": 1})]), "has ended"),
        (lambda: Schedule([Phase(0, {"web": -1})]), "must be at least 0"),
        (lambda: Schedule([Phase(0, {"web": float("nan")})]), "must be a number"),
        (lambda: Schedule([Phase(0, {"web": 0})]), "needs a weight above 0"),
        (lambda: Schedule([Phase("some", {"web": 1})]), "begin: 'some' is not a count"),
        (lambda: Schedule([Phase(0, {"web": 1})], unit="steps"), "unit must be one of"),
        (lambda: {"web": 1}, "mix must be a Schedule"),
    ],
)
def test_bad_schedules(root: Path, wrong: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make(root, wrong())


def test_what_does_not_go_with_a_schedule(root: Path) -> None:
    for more, text in (({"shuffle_algo": "py1e"}, "does not go with shuffle_algo"),):
        with pytest.raises(ConfigError, match=text):
            make(root, **more)
    with pytest.raises(ConfigError, match="has proportion=1.0, and there is a schedule"):
        StreamingDataset(
            streams={"a": Stream(local=str(root / "web"), proportion=1.0)}, mix=Schedule([Phase(0, {"a": 1})])
        )
    data = make(root)
    with pytest.raises(UnknownNameError, match="Did you mean 'math'"):
        data.set_weights({"maths": 1})
    take(loader_of(data), 30)
    with pytest.raises(ConfigError, match="the soonest is 30, at 120 samples"):
        data.set_weights({"math": 1}, at=40)
    with pytest.raises(ConfigError, match="weights are fixed"):
        StreamingDataset(local=str(root / "web"), batch_size=4).set_weights({"0": 1})
    with pytest.raises(ConfigError, match="counts tokens, and samples are no bins of tokens"):
        take(loader_of(make(root, Schedule([Phase(0, {"web": 1})], unit="tokens"))), 1)
    data = make(root, Schedule([Phase(0, {"web": 3, "code": 1})]), batching_method="stratified")
    with pytest.raises(ConfigError, match="stratified batching gives stream 1, whose share is 0.1 from sample 40"):
        data.set_weights({"web": 0.9, "code": 0.1}, at=40)
    assert {i // 1000 for batch in take(loader_of(data), 20) for i in batch} == {0, 1}
    with pytest.raises(ConfigError, match="shorter than half a global batch"):
        take(loader_of(make(root, Schedule([Phase(0, {"web": 1}), Phase(1, {"code": 1})]))), 1)


def test_a_plain_loader_does_not_know_what_is_soonest(root: Path) -> None:
    data = make(root)
    with pytest.raises(ConfigError, match="has served batch"):
        for number, _ in enumerate(DataLoader(data, batch_size=4, num_workers=2)):
            if number == 5:
                with pytest.raises(ConfigError, match="Use StreamingDataLoader"):
                    data.set_weights({"math": 1})
                data.set_weights({"math": 1}, at=16)
            assert number < 30


def test_ranks_that_disagree_are_told(root: Path, tmp_path: Path) -> None:
    program = tmp_path / "ranks.py"
    program.write_text(
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}\n"
        "from pathlib import Path\n"
        "import torch.distributed as dist\n"
        "from test_mix import *\n"
        "dist.init_process_group('gloo')\n"
        f"loader = loader_of(make(Path({str(root)!r})))\n"
        "for i, batch in enumerate(loader):\n"
        "    if i == 5: loader.dataset.set_weights({'web': 1})\n"
        "    if i == 6: loader.state_dict()\n"
        "    if i == 8: loader.dataset.set_weights({'web': 1, 'math': dist.get_rank()})\n"
        "    if i == 9: break\n"
        "try: loader.state_dict()\n"
        "except ConfigError as error: print(error)\n"
        "dist.barrier()\n"
    )
    ended = run_ranks(program, ranks_per_node=2)
    for rank, (code, out, err) in enumerate(ended):
        assert code == 0, err
        assert f"other weights, or from another batch on, have the ranks [{1 - rank}]" in out
        assert all(f"Rank {r} set web=1, math={r} from global batch 9 on" in out for r in range(2))
