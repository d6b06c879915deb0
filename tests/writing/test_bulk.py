"""``streaming.write``: the bytes of a plain writer, whatever happens on the way."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bulk_program import ARGUMENTS, COLUMNS, rows

import streaming
from streaming import LocalDataset, MDSWriter, StreamingDataset
from streaming.cli.reading.source import read_source
from streaming.core.errors import ConfigError, StreamingError, WorkerError
from streaming.storage.location import Location
from streaming.writing.rows.infer import infer_columns

from budget import repetitions

PROGRAM = str(Path(__file__).with_name("bulk_program.py"))
N = 2000


def files(root: str | Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in Path(root).rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a plain writer."""
    out = tmp_path_factory.mktemp("plain")
    with MDSWriter(columns=COLUMNS, out=str(out), **ARGUMENTS) as writer:
        for row in rows(N):
            writer.write(row)
    return files(out)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_bytes_of_a_plain_writer(tmp_path: Path, workers: int, plain: dict[str, bytes]) -> None:
    report = streaming.write(rows(N), str(tmp_path / "out"), COLUMNS, workers=workers, **ARGUMENTS)
    assert files(tmp_path / "out") == plain
    assert (report.samples, report.shards, report.resumed_samples) == (N, len(plain) - 1, 0)
    assert report.zip_bytes == sum(len(data) for name, data in plain.items() if name != "index.json")
    assert report.ratio == report.raw_bytes / report.zip_bytes > 1
    assert f"{N:,} samples in {len(plain) - 1} shards" in str(report)


@pytest.mark.parametrize("limit", [None, 100, "1mb"])
def test_every_size_limit(tmp_path: Path, limit: Any) -> None:
    streaming.write(list(rows(300)), str(tmp_path / "bulk"), COLUMNS, workers=2, size_limit=limit)
    with MDSWriter(columns=COLUMNS, out=str(tmp_path / "plain"), size_limit=limit) as writer:
        for row in rows(300):
            writer.write(row)
    assert files(tmp_path / "bulk") == files(tmp_path / "plain")


def test_nothing_to_write(tmp_path: Path) -> None:
    report = streaming.write([], str(tmp_path / "out"), {"x": "int"}, workers=1)
    assert (report.samples, report.shards) == (0, 0)
    assert files(tmp_path / "out").keys() == {"index.json"}


def lines_of(journal: Path) -> int:
    with suppress(FileNotFoundError):
        return journal.read_bytes().count(b"\n")
    return 0


def run_and_kill(out: str, remote: str, num_shards: int, rng: random.Random) -> None:
    """Write in a process, and kill it some time after its journal has ``num_shards`` shards."""
    journal = Path(out) / ".streaming-write" / "journal.jsonl"
    with subprocess.Popen(
        [sys.executable, PROGRAM, out, remote, str(N), "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            if lines_of(journal) > num_shards:
                break
            time.sleep(0.002)
        time.sleep(rng.random() * 0.03)
        process.send_signal(signal.SIGKILL)
        # Workers hold the pipes too: this ends once all of them have.
        _, stderr = process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGKILL), stderr.decode()


KILLS = repetitions("STREAMING_TEST_KILLS", 4, 40)


@pytest.mark.parametrize("seed", range(KILLS // 2))
def test_killed_and_continued(tmp_path: Path, plain: dict[str, bytes], seed: int) -> None:
    rng = random.Random(seed)
    has_remote = bool(seed % 2)
    out, remote = str(tmp_path / "local"), str(tmp_path / "remote") if has_remote else ""
    whole = tmp_path / ("remote" if has_remote else "local")
    for least in sorted(rng.sample(range(len(plain) - 1), 2)):
        run_and_kill(out, remote, least, rng)
        if not os.path.exists(f"{out}/.streaming-write/journal.jsonl"):
            break  # killed after the last step that counts
    else:
        pulled: list[int] = []
        report = streaming.write(
            (pulled.append(row["id"]) or row for row in rows(N)),
            (out, remote) if remote else out,
            COLUMNS,
            workers=2,
            **ARGUMENTS,
        )
        assert report.samples == N
        assert report.resumed_samples > 0
        assert pulled == list(range(N))
    assert files(whole) == plain
    assert not remote or not os.path.isdir(out) or os.listdir(out) in ([], [".streaming-write"])


class Failing(Exception):
    pass


def failing(at: int) -> Iterator[dict[str, Any]]:
    for row in rows(N):
        if row["id"] == at:
            raise Failing
        yield row


def test_a_failing_iterable_is_continued(tmp_path: Path, plain: dict[str, bytes]) -> None:
    out = str(tmp_path / "out")
    for at in (700, 1500):
        with pytest.raises(Failing):
            streaming.write(failing(at), out, COLUMNS, workers=1, **ARGUMENTS)
        assert not os.path.exists(f"{out}/index.json")
    assert streaming.write(rows(N), out, COLUMNS, workers=1, **ARGUMENTS).resumed_samples > 1000
    assert files(out) == plain


def test_readers_are_told_of_a_write_that_was_stopped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(Failing):
        streaming.write(failing(700), out, COLUMNS, workers=0, **ARGUMENTS)
    for read in (
        lambda: LocalDataset(out),
        lambda: StreamingDataset(local=out),
        lambda: StreamingDataset(remote=out, local=str(tmp_path / "cache")),
        lambda: read_source(Location.parse(out)),
    ):
        with pytest.raises(OSError, match=r"A write to it was stopped, .*: repeat the call .*, and it continues"):
            read()
    (tmp_path / "out" / ".streaming-write").rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"It has shards: .* Write it again, with exist_ok=True"):
        StreamingDataset(local=out)
    streaming.write(rows(9), out, COLUMNS, workers=0, exist_ok=True, **ARGUMENTS)
    (said,) = [message for message in caplog.messages if "exist_ok" in message]
    assert re.search(r"removing the dataset in .*, \d+ files: shard\.0.*, shard\.0.*, shard\.0.*, \.\.\.$", said)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_sample_corrected(
    tmp_path: Path, plain: dict[str, bytes], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.writing.bulk.pipeline._MAX_BATCH", 16)
    out = str(tmp_path / "out")
    bad = [{**row, "id": "bad"} if row["id"] == 1111 else row for row in rows(N)]
    with pytest.raises(TypeError, match="Sample 1111"):
        streaming.write(bad, out, COLUMNS, workers=workers, **ARGUMENTS)
    report = streaming.write(rows(N), out, COLUMNS, workers=workers, **ARGUMENTS)
    assert 1000 < report.resumed_samples <= 1111
    assert files(out) == plain


def test_a_failed_upload_continued(tmp_path: Path, plain: dict[str, bytes]) -> None:
    remote = tmp_path / "remote"
    blocker = remote / "shard.00020.mds.zstd"
    blocker.mkdir(parents=True)
    with pytest.raises(RuntimeError, match=r"shard\.00020\.mds"):
        streaming.write(rows(N), (str(tmp_path / "local"), str(remote)), COLUMNS, workers=2, retry=0, **ARGUMENTS)
    blocker.rmdir()
    report = streaming.write(rows(N), (str(tmp_path / "local"), str(remote)), COLUMNS, workers=2, **ARGUMENTS)
    index = json.loads(plain["index.json"])
    assert report.resumed_samples == sum(entry["samples"] for entry in index["shards"][:20])
    assert files(remote) == plain


def test_a_sequence_is_continued_at_an_index(tmp_path: Path, plain: dict[str, bytes]) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(Failing):
        streaming.write(failing(1500), out, COLUMNS, workers=1, **ARGUMENTS)

    class Rows(list[dict[str, Any]]):
        asked = 0

        def __getitem__(self, index: Any) -> Any:
            self.asked += 1
            return super().__getitem__(index)

    sequence = Rows(rows(N))
    report = streaming.write(sequence, out, COLUMNS, workers=1, **ARGUMENTS)
    skipped_shards = 2 * report.shards
    assert sequence.asked <= N - report.resumed_samples + skipped_shards
    assert files(out) == plain


def unfinished(out: str, **arguments: Any) -> None:
    with pytest.raises(Failing):
        streaming.write(failing(1500), out, COLUMNS, workers=1, **{**ARGUMENTS, **arguments})


def test_other_samples_are_noticed(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    unfinished(out)
    other = [{**row, "text": "other"} for row in rows(N)]
    with pytest.raises(ValueError, match=r"samples 0 to \d+ are not those"):
        streaming.write(other, out, COLUMNS, workers=1, **ARGUMENTS)
    with pytest.raises(ValueError, match="are not those"):
        streaming.write(rows(100), out, COLUMNS, workers=1, **ARGUMENTS)
    streaming.write(other, out, COLUMNS, workers=1, exist_ok=True, resume=False, **ARGUMENTS)
    assert LocalDataset(out)[0]["text"] == "other"


def test_other_arguments_are_noticed(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    unfinished(out)
    with pytest.raises(ValueError, match="compression: 'zstd' there"):
        streaming.write(rows(N), out, COLUMNS, workers=1, **{**ARGUMENTS, "compression": None})
    with pytest.raises(FileExistsError, match="exist_ok"):
        streaming.write(rows(N), out, COLUMNS, workers=1, resume=False, **ARGUMENTS)
    streaming.write(rows(N), out, COLUMNS, workers=1, exist_ok=True, size_limit=5000)
    assert len(LocalDataset(out)) == N
    assert not [name for name in os.listdir(out) if name.endswith("zstd")]


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_shard_is_written_again(tmp_path: Path, plain: dict[str, bytes], damage: str) -> None:
    out = tmp_path / "out"
    unfinished(str(out))
    shard = out / "shard.00003.mds.zstd"
    if damage == "missing":
        shard.unlink()
    else:
        os.truncate(shard, 10)
    report = streaming.write(rows(N), str(out), COLUMNS, workers=1, **ARGUMENTS)
    index = json.loads(plain["index.json"])
    assert report.resumed_samples == sum(entry["samples"] for entry in index["shards"][:3])
    assert files(out) == plain


def test_a_torn_journal_line_is_left_out(tmp_path: Path, plain: dict[str, bytes]) -> None:
    out = tmp_path / "out"
    unfinished(str(out))
    journal = out / ".streaming-write" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    streaming.write(rows(N), str(out), COLUMNS, workers=1, **ARGUMENTS)
    assert files(out) == plain


def test_a_url_alone_is_continued(tmp_path: Path, plain: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    url = f"file://{tmp_path}/remote"
    unfinished(url)
    assert streaming.write(rows(N), url, COLUMNS, workers=1, **ARGUMENTS).resumed_samples > 0
    assert files(tmp_path / "remote") == plain
    assert os.listdir(tmp_path / "tmp") == []


def test_a_dataset_is_not_written_over(tmp_path: Path) -> None:
    for out in (str(tmp_path / "a"), f"file://{tmp_path}/b"):
        streaming.write(rows(50), out, workers=1)
        with pytest.raises(FileExistsError, match="exist_ok"):
            streaming.write(rows(10), out, workers=1)
        streaming.write(rows(10), out, workers=1, exist_ok=True)
        assert len(LocalDataset(out.removeprefix("file://"))) == 10


def test_two_writers_for_one_directory(tmp_path: Path) -> None:
    out = str(tmp_path / "out")

    def racing() -> Iterator[dict[str, Any]]:
        for row in rows(100):
            if row["id"] == 50:
                with pytest.raises(FileExistsError, match="Another writer is writing to"):
                    streaming.write(rows(10), out, COLUMNS, workers=1, exist_ok=True)
                with pytest.raises(FileExistsError, match="Another writer is writing to"):
                    MDSWriter(columns=COLUMNS, out=out, exist_ok=True)
            yield row

    streaming.write(racing(), out, COLUMNS, workers=1)
    assert LocalDataset(out)[:] == list(rows(100))


def test_two_processes_for_one_directory(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with MDSWriter(columns=COLUMNS, out=out) as writer:
        done = subprocess.run(
            [sys.executable, PROGRAM, out, "", "10", "1"], capture_output=True, text=True, timeout=60, check=False
        )
        assert "Another writer is writing to" in done.stderr
        writer.write(next(rows(1)))
    assert len(LocalDataset(out)) == 1


def test_a_sample_that_does_not_fit_is_named(tmp_path: Path) -> None:
    bad = [*rows(500), {"id": "no number", "text": ""}]
    with pytest.raises(TypeError, match="Sample 500: .*'id'"):
        streaming.write(bad, str(tmp_path / "out"), COLUMNS, workers=2)
    with pytest.raises(KeyError, match="Sample 1"):
        streaming.write([{"id": 1, "text": ""}, {"id": 1}], str(tmp_path / "out2"), COLUMNS, workers=2)
    with pytest.raises(ValueError, match="must be a mapping, got int|mapping of column names"):
        streaming.write([1], str(tmp_path / "out3"), workers=0)  # pyright: ignore


class Deadly:
    """Ends whatever process unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (3,)


def test_a_worker_that_dies(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="exit code 3.*has ended it"):
        streaming.write([{"x": Deadly()}], str(tmp_path / "out"), {"x": "pkl"}, workers=1)


def _written_in_a_pool(out: str, workers: int | None) -> Any:
    try:
        return streaming.write([{"x": 1}] * 3, out, workers=workers).samples
    except ConfigError as error:
        return str(error)


def test_in_a_process_of_a_pool(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_written_in_a_pool, (str(tmp_path / "a"), None)) == 3
        assert "Pass workers=0" in pool.apply(_written_in_a_pool, (str(tmp_path / "b"), 2))


def test_rows_that_cannot_be_sent(tmp_path: Path) -> None:
    class Text(str):
        def __reduce__(self) -> Any:
            raise TypeError("not to be pickled")

    streaming.write([{"x": Text("a")}, {"x": "b"}], str(tmp_path / "out"), workers=1)
    assert LocalDataset(str(tmp_path / "out"))[:] == [{"x": "a"}, {"x": "b"}]


def test_jpeg_files_keep_their_bytes(tmp_path: Path) -> None:
    Image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 255, (20, 20, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=30)
    with Image.open(tmp_path / "a.jpg") as image:
        report = streaming.write([{"x": image}], str(tmp_path / "out"), workers=1)
    assert report.columns == {"x": "jpeg"}
    (shard,) = [path for path in (tmp_path / "out").iterdir() if path.suffix == ".mds"]
    assert (tmp_path / "a.jpg").read_bytes() in shard.read_bytes()
    opened = Image.open(BytesIO((tmp_path / "a.jpg").read_bytes()))
    assert infer_columns([{"x": opened}]) == {"x": "png"}


def test_images_of_several_frames(tmp_path: Path) -> None:
    Image = pytest.importorskip("PIL.Image")
    frames = [Image.fromarray(np.random.default_rng(i).integers(0, 255, (4, 5, 3), np.uint8)) for i in range(3)]

    def saved(name: str) -> Path:
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        return tmp_path / name

    for number, path in enumerate(map(saved, ("a.gif", "a.png", "a.tif"))):
        with Image.open(path) as image:
            with pytest.warns(UserWarning, match="several frames.*the one that it shows is stored.*'image'"):
                streaming.write([{"x": image}], tmp_path / f"{number}", workers=0)
            streaming.write([{"x": image}], tmp_path / f"{number}-file", {"x": "image"}, workers=0)
            streaming.write([{"x": image.copy()}], tmp_path / f"{number}-copy", workers=0)
        assert LocalDataset(tmp_path / f"{number}-file")[0]["x"].n_frames == 3
    with Image.open(saved("b.gif")) as image:
        image.load()
        image.putpixel((0, 0), image.getpixel((0, 0)) ^ 1)  # which counting its frames would undo
        pixels = image.convert("RGB").tobytes()
        streaming.write([{"x": image}], tmp_path / "drawn", workers=0)
    assert LocalDataset(tmp_path / "drawn")[0]["x"].convert("RGB").tobytes() == pixels
    with Image.open(saved("c.mpo")) as image:  # as cameras write: a JPEG to every reader
        assert streaming.write([{"x": image}], tmp_path / "c", workers=0).columns == {"x": "jpeg"}
    assert (tmp_path / "c.mpo").read_bytes() in (tmp_path / "c" / "shard.00000.mds").read_bytes()
    with pytest.raises(StreamingError, match="cannot write empty image"):
        streaming.write([{"x": Image.new("RGB", (0, 0))}], tmp_path / "empty", {"x": "png"}, workers=0)


@pytest.mark.parametrize(
    ("values", "encoding"),
    [
        (["a"], "str"),
        ([b"a"], "bytes"),
        ([1, 2], "int"),
        ([1, 2.5], "float64"),
        ([True], "json"),
        ([{"a": 1}], "json"),
        ([[1, 2]], "json"),
        ([[b"a", b"bc"], []], "list:bytes"),
        ([np.float32(1)], "float32"),
        ([np.int16(1)], "int16"),
        ([np.float64(1)], "float64"),
        ([np.zeros(3, np.uint16), np.zeros((2, 2), np.uint16)], "ndarray:uint16"),
        ([np.zeros(3, np.uint16), np.zeros(3, np.float32)], "ndarray"),
    ],
)
def test_inferred_columns(tmp_path: Path, values: list[Any], encoding: str) -> None:
    given = [{"x": value} for value in values]
    report = streaming.write(given, str(tmp_path / "out"), workers=0)
    assert report.columns == {"x": encoding}
    for found, row in zip(LocalDataset(str(tmp_path / "out")), given, strict=True):
        np.testing.assert_equal(found["x"], row["x"])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([], "without a row"),
        ([{}], "at least one column"),
        ([{"x": None}], "NoneType"),
        ([{"x": 1}, {"x": "a"}], "int, str"),
        ([{"x": 1}, {"y": 1}], "row 1 has"),
        ([{"x": np.array(["a"])}], "ndarray"),
    ],
)
def test_columns_that_cannot_be_inferred(tmp_path: Path, given: list[Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        streaming.write(given, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"workers": -1}, ValueError, "workers"),
        ({"compression": "zip"}, ValueError, "zip"),
        ({"hashes": ["crc7"]}, ValueError, "crc7"),
        ({"columns": {"x": "int33"}}, TypeError, "int33"),
        ({"append": True, "exist_ok": True}, ValueError, "append"),
        ({"out": ("a", "b", "c")}, ValueError, "pair"),
        ({"retry": -1}, ValueError, "retry"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    given: dict[str, Any] = {"out": str(tmp_path / "out"), **arguments}
    with pytest.raises(error, match=text):
        streaming.write([{"x": 1}], **given)
