"""What training waits for is told: real delays in the store, in decoding, in the user's functions and in collating."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import Dataset

from streaming import LocalDataset, MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.base.format.mds.encodings import Encoding, _encodings
from streaming.cache.bookkeeping.counters import Counters
from streaming.cache.fetching.fetches import Fetches
from streaming.core.errors import ConfigError
from streaming.core.process.ledger import CAUSES, LEDGERS, START
from streaming.core.process.lock import locked_part
from streaming.core.world import Ranks
from streaming.loader.watching.files import ReportFile, read_reports
from streaming.loader.watching.record import Record
from streaming.loader.watching.report import Report, Worker

from servers import WebServer, web_server

BATCH, BATCHES, DELAY_S = 4, 4, 0.4
#: Where delays are noted, in whatever process: the batch, when it began and when it ended, in seconds.
NAPS: list[Path] = []


def delay(batch: int, seconds: float) -> None:
    """Sleep, and note when that was."""
    begin = time.monotonic()
    time.sleep(seconds)
    note(batch, begin)


def note(batch: int, begin: float) -> None:
    for path in NAPS:
        with path.open("a") as file:
            file.write(f"{batch} {begin} {time.monotonic()}\n")


class Napping(Encoding):
    """Takes its time to decode."""

    def encode(self, obj: Any) -> bytes:
        return bytes([obj])

    def decode(self, data: bytes) -> int:
        delay(data[0] // BATCH, DELAY_S / BATCH)
        return data[0]


@pytest.fixture(autouse=True, scope="module")
def napping() -> Iterator[None]:
    """Register the encoding as long as the tests of this module run."""
    _encodings["napping"] = Napping
    yield
    del _encodings["napping"]


@pytest.fixture(autouse=True)
def naps(tmp_path: Path) -> Iterator[None]:
    """Note the delays of a test."""
    NAPS.append(tmp_path / "naps")
    yield
    NAPS.clear()


def nap(sample: Any) -> Any:
    delay(sample["i"] // BATCH, DELAY_S / BATCH)
    return sample


def slow_collate(samples: list[Any]) -> Any:
    delay(samples[0]["i"] // BATCH, DELAY_S)
    return [sample["i"] for sample in samples]


class Own(StreamingDataset[Any]):
    def get_item(self, sample_id: int, retry: int = 7) -> Any:
        return nap(super().get_item(sample_id))


class OwnIter(StreamingDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        for sample in super().__iter__():
            yield nap(sample)


def write(out: str | Path, naps: bool = False, **kwargs: Any) -> str:
    columns = {"i": "int", **({"nap": "napping"} if naps else {})}
    with MDSWriter(out=str(out), columns=columns, **kwargs) as writer:
        for i in range(BATCH * BATCHES):
            writer.write({"i": i, "nap": i} if naps else {"i": i})
    return str(out)


def check(cause: str, data: Any, workers: int = 0, **kwargs: Any) -> None:
    """Assert that what a loader waits for is told 95% right, where batches come late by a known cause.

    What is right is known: each delay was noted as it was, and so was each wait. Whatever else a busy machine puts between
    is no delay, and told as something else. A wait for a part of a batch's making is told as the whole of it was, which
    differs from what was done just then by no more than what the making took beside the delays.
    """
    loader = StreamingDataLoader(data, batch_size=BATCH, num_workers=workers, **kwargs)
    waits: list[tuple[float, float]] = []
    made: list[tuple[float, float]] = []
    add = loader._record.add

    def listen(begin: int, end: int, samples: int, worker: int, spent: tuple[int, ...]) -> None:
        waits.append((begin / 1e9, end / 1e9))
        made.append(((spent[0] + spent[2 + START]) / 1e9, spent[1] / 1e9))
        add(begin, end, samples, worker, spent)

    loader._record.add = listen
    assert sum(1 for _ in loader) == BATCHES
    report = loader.report()
    assert (report.batches, report.samples) == (BATCHES, BATCH * BATCHES)
    assert report.waited == pytest.approx(sum(end - begin for begin, end in waits))
    noted = [tuple(map(float, line.split())) for line in NAPS[0].read_text().splitlines()]
    right = beside = 0.0
    for batch, (begin, end) in enumerate(waits):
        delays = union([(since, until) for of, since, until in noted if of == batch])
        right += common(delays, begin, end)
        beside += made[batch][1] - made[batch][0] - common(delays, *made[batch])
    assert right >= 0.9 * DELAY_S  # one batch was waited for, at least
    exposed = report.waited - report.causes["start"]
    assert abs(report.causes[cause] - right) <= 0.05 * exposed + beside, (
        str(report),
        dict(report.causes),
        right,
        beside,
    )


def common(spans: list[tuple[float, float]], begin: float, end: float) -> float:
    """Return how long such spans are within another."""
    return sum(max(0.0, min(end, until) - max(begin, since)) for since, until in spans)


def union(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return spans of time that do not overlap."""
    found: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


@contextmanager
def slow_store(tmp_path: Path) -> Iterator[WebServer]:
    """Serve a dataset whose shards, one for each sample, come late."""
    folder = Path(write(tmp_path / "data", size_limit=100))
    with web_server() as web:
        web.objects.update({path.name: path.read_bytes() for path in folder.iterdir()})

        def late(handler: Any, path: str) -> bool:
            if path != "index.json":
                delay(int(path.split(".")[1]) // BATCH, DELAY_S)
            return False

        web.fault = late
        yield web


@pytest.mark.parametrize("workers", [0, 2])
def test_a_slow_store_is_told(tmp_path: Path, workers: int) -> None:
    with slow_store(tmp_path) as web:
        data = StreamingDataset[Any](remote=web.url, local=str(tmp_path / "cache"), batch_size=BATCH, predownload=BATCH)
        check("store", data, workers)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cause", ["decode", "user", "map", "collate"])
def test_what_is_slow_is_told(tmp_path: Path, cause: str, workers: int) -> None:
    path = write(tmp_path / "data", naps=cause == "decode")
    data: Any = (Own if cause == "user" else StreamingDataset)(local=path, batch_size=BATCH)
    data = data.map(nap) if cause == "map" else data
    own = {"collate_fn": slow_collate} if cause == "collate" else {}
    check("user" if cause == "map" else cause, data, workers, **own)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_slow_in_an_iter_of_the_users_own_is_told(tmp_path: Path, workers: int) -> None:
    check("user", OwnIter(local=write(tmp_path / "data"), batch_size=BATCH), workers)


@pytest.mark.parametrize("start", ["forkserver", pytest.param("spawn", marks=pytest.mark.long)])
def test_workers_that_are_not_forked_tell_too(tmp_path: Path, start: str) -> None:
    data = Own(local=write(tmp_path / "data"), batch_size=BATCH)
    context = multiprocessing.get_context(start)
    loader = StreamingDataLoader(data, batch_size=BATCH, num_workers=1, multiprocessing_context=context)
    assert sum(1 for _ in loader) == BATCHES
    assert loader.report().causes["user"] >= 0.95 * DELAY_S * BATCHES


def test_decoding_in_a_function_of_the_users_is_no_fault_of_that(tmp_path: Path) -> None:
    data = StreamingDataset[Any](local=write(tmp_path / "data", naps=True), batch_size=BATCH).map(lambda sample: sample)
    check("decode", data)


def test_datasets_without_an_order_tell_what_they_can(tmp_path: Path) -> None:
    class Slow(Dataset[Any]):
        def __len__(self) -> int:
            return BATCH * BATCHES

        def __getitem__(self, at: int) -> Any:
            return nap({"i": at})

    check("user", Slow())
    check("decode", LocalDataset(write(tmp_path / "data", naps=True)))


def test_another_process_that_fetches_is_told(tmp_path: Path) -> None:
    with slow_store(tmp_path) as web:
        web.fault = None
        data = StreamingDataset[Any](remote=web.url, local=str(tmp_path / "cache"), batch_size=BATCH, predownload=BATCH)
        job = data._cache.directories[0]._keepers(0)[0].job
        (tmp_path / "cache").mkdir(exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(locked_part(job.part(job.wire)))
            begin, held = time.monotonic(), stack.pop_all()

            def release() -> None:
                note(0, begin)
                held.close()

            timer = threading.Timer(2 * DELAY_S, release)
            timer.start()
            check("other_process", data)
            timer.join()


def test_waiting_for_a_turn_is_told() -> None:
    fetches = Fetches(Counters())
    LEDGERS.own.begin()

    def fetch(shard: int, seconds: float) -> Any:
        def job(stats: Any) -> bool:
            stats.phases.enter("download")
            time.sleep(seconds)
            return True

        return fetches.submit(shard, float(shard), lambda _: fetches.run(shard, job))

    for shard in range(8):
        fetch(shard, 0.5)
    fetches.wait(8, fetch(8, 0.0), 60)
    spent = dict(zip(CAUSES, LEDGERS.own.take(1)[2:], strict=False))
    fetches.close()
    assert spent["queue"] >= 0.9 * sum(spent.values())


def record(rows: list[tuple[int, int, int, tuple[int, ...]]]) -> Report:
    """Return the report of batches: asked for, there, worker, and when it was made of what; in milliseconds."""
    made = Record()
    made.begin()
    for asked, there, worker, spent in rows:
        made.add(asked * 10**6, there * 10**6, 2, worker, tuple(ms * 10**6 for ms in spent))
    made.end()
    return made.report({}, Ranks(1, 2))


def test_a_wait_goes_to_what_was_done_in_it() -> None:
    report = record(
        [
            # Workers began at 100; the batch was made in 50, of which 40 went to the store; 10 more until it was there.
            (0, 160, 0, (100, 150, 40, 0, 0, 10, 0, 0, 0)),
            # Most of it was made while training was busy: what was waited for is as all of its making.
            (300, 320, 1, (200, 320, 0, 0, 0, 0, 90, 30, 0)),
            # It was there before it was asked for.
            (400, 401, 0, (100, 110, 10, 0, 0, 0, 0, 0, 0)),
        ]
    )
    found = {cause: round(spent * 1000, 6) for cause, spent in report.causes.items() if spent}
    assert found == {"start": 100, "store": 40, "decode": 10, "user": 15, "collate": 5, "handover": 11}
    assert (report.waited, report.longest, report.cause) == (pytest.approx(0.181), 0.16, "start")
    assert (report.rank, report.num_ranks, report.batches, report.samples) == (1, 2, 3, 6)
    assert [(w.batches, w.seconds) for w in report.workers] == [(2, pytest.approx(0.06)), (1, pytest.approx(0.12))]


def test_percentiles_leave_first_batches_out() -> None:
    report = record([(0, 10**6, 0, ()), *((0, ms, 0, ()) for ms in range(1, 2000))])
    assert report.p50 == pytest.approx(1.0)
    assert report.p99 == pytest.approx(1.979, rel=1e-3)
    assert (report.longest, report.batches) == (1000, 2000)


def test_workers_that_are_behind_are_told() -> None:
    of = [Worker(0, 10, 1.0), Worker(1, 10, 1.1), Worker(2, 10, 2.0), Worker(3, 2, 9.0)]
    report = Report(0.0, 0, 1, 10.0, 30, 300, dict.fromkeys(CAUSES, 0.5), 0.1, 0.2, 0.3, tuple(of))
    assert report.stragglers == (2,)
    line = str(report)
    assert line.count("\n") == 0
    assert line.startswith(
        "rank 0: 30 samples/s, 3 batches/s; waited 40.0% of 10 s (p50 100 ms, p99 200 ms), for store 12%"
    )
    assert line.endswith("behind: worker 2")
    assert "56,000 samples/s, 83.33 batches/s" in str(replace(report, samples=5_600_000, batches=8333, seconds=100.0))
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    for wrong in ({}, [], {**report.to_dict(), "p50": -1}, {**report.to_dict(), "workers": [1]}):
        with pytest.raises(ValueError, match="reports have"):
            Report.from_dict(wrong)
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    assert report.since(report).batches_per_second == report.since(report).share == 0


def test_a_report_is_kept_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.loader.watching.files.EVERY_S", 0.0)
    loader = StreamingDataLoader(
        StreamingDataset[Any](local=write(tmp_path / "data"), batch_size=BATCH), report_to=tmp_path / "run" / "reports"
    )
    assert read_reports(tmp_path / "run" / "reports") == []
    for number, _ in enumerate(loader):
        [rank] = read_reports(tmp_path / "run" / "reports")
        assert (rank["is_running"], rank["report"]["batches"], rank["format"]) == (True, number + 1, 1)
    [rank] = read_reports(tmp_path / "run" / "reports")
    assert (rank["is_running"], rank["is_behind"], rank["report"]["samples"]) == (False, False, BATCH * BATCHES)
    assert [path.name for path in (tmp_path / "run" / "reports").iterdir()] == ["rank-00000.json"]


def test_a_rank_that_waits_more_than_most_is_behind(tmp_path: Path) -> None:
    for rank, waited_s in enumerate([1.0, 0.9, 1.1, 4.0]):
        report = Report(0.0, rank, 4, 10.0, 1, 1, {"store": waited_s}, 0.0, 0.0, 0.0)
        ReportFile(tmp_path).write(report, True)
    assert [rank["is_behind"] for rank in read_reports(tmp_path)] == [False, False, False, True]


def test_a_folder_that_cannot_be_written_is_told_at_once_and_later_only_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    data = StreamingDataset[Any](local=write(tmp_path / "data"), batch_size=BATCH)
    with pytest.raises(ConfigError, match="report_to="):
        next(iter(StreamingDataLoader(data, report_to=tmp_path / "file" / "run")))
    report = record([])
    file = ReportFile(tmp_path / "run")
    file.write(report, True)
    (tmp_path / "run" / "rank-00001.json").unlink()
    (tmp_path / "run").rmdir()
    (tmp_path / "run").touch()
    file.write(report, True)
    assert "cannot be written there" in caplog.text


def test_a_loader_that_was_left_half_way_goes_on_to_tell(tmp_path: Path) -> None:
    loader = StreamingDataLoader(StreamingDataset[Any](local=write(tmp_path / "data"), batch_size=BATCH))
    next(iter(loader))
    assert loader.report().batches == 1
    assert len(list(loader)) == BATCHES
    assert loader.report().batches == 1 + BATCHES
    assert pickle.loads(pickle.dumps(loader._record)).report({}, Ranks()).batches == 0
    assert np.isfinite(loader.report().share)
