"""Files of other formats in place, beside what peers make of the same files: every bar as a ratio of one run.

    python benchmarks/inplace/bars.py                  # all
    python benchmarks/inplace/bars.py --only parquet,tars --rounds 3

Every measurement is a process of its own, with a directory of its own, and systems take turns; medians are compared. Peers
are found or installed as for `run.py`; a bar whose peer is missing is said to be so.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "src"), str(HERE.parent)]

import environments  # noqa: E402

TIMEOUT_S = 600
FILES, FILE_ROWS, GROUP_ROWS = 8, 12_500, 2_500
TARS, TAR_ROWS = 10, 3_000
WORDS = "lake river stone water many words that come and go on for a time until one row is long enough".split()  # noqa: SIM905


class Bars:
    """The files, how often each is measured, and what was found."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self.folder, self.rounds = folder, rounds
        self.lines: list[tuple[str, str, str, bool | None]] = []

    def measure(self, system: str, operation: str, place: str, **job: Any) -> dict[str, Any] | str:
        """Run one measurement; a text if the system is missing or failed."""
        name = system.partition(",")[0]
        python, why = environments.find("ours" if name == "mds" else name)
        if python is None:
            return why
        local = Path(tempfile.mkdtemp(dir=self.folder))
        env = environments.environ("ours" if name == "mds" else name)
        env.update(job.pop("environ", {}))
        told = {"system": system, "place": place, "local": str(local / "cache"), **job}
        command = [python, str(HERE / "readers.py"), operation, json.dumps(told)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=env, check=False)
        except subprocess.TimeoutExpired:
            return f"it took longer than {TIMEOUT_S} s"
        finally:
            shutil.rmtree(local, ignore_errors=True)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["no message"])[-1]
        return json.loads(done.stdout.splitlines()[-1])

    def rows(self, places: dict[str, str], rows: int, epochs: int = 2) -> dict[str, list[float]]:
        """Return the rows a second of the first and the last epoch of each system, medians of the rounds."""
        found: dict[str, list[list[float]]] = {}
        for _ in range(self.rounds):
            for system, place in places.items():
                told = self.measure(system, "rows", place, rows=rows, epochs=epochs)
                if isinstance(told, str):
                    print(f"{system}: {told}", flush=True)
                else:
                    found.setdefault(system, []).append(told["rows_s"])
        return {
            system: [median(run[0] for run in runs), median(run[-1] for run in runs)] for system, runs in found.items()
        }

    def add(self, what: str, measured: str, bar: str, is_met: bool | None) -> None:
        self.lines.append((what, measured, bar, is_met))
        print(f"{what}: {measured} (bar: {bar}; {_word(is_met)})", flush=True)


def _word(is_met: bool | None) -> str:
    return "not measured" if is_met is None else "met" if is_met else "MISSED"


def text(i: int, words: int = 40) -> str:
    draw = random.Random(i)
    return " ".join(draw.choices(WORDS, k=words)) + str(i)


def table(begin: int, count: int) -> Any:
    import pyarrow as pa

    ids = range(begin, begin + count)
    texts, urls = [text(i) for i in ids], [f"https://example.com/{i % 97}/{i}" for i in ids]
    return pa.table({"id": ids, "text": texts, "url": urls, "score": [i / 7 for i in ids]})


def write_lake(folder: Path, files: int, rows: int, group: int) -> str:
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    for n in range(files):
        pq.write_table(table(n * rows, rows), folder / f"part-{n:05}.parquet", row_group_size=group, compression="zstd")
    return f"{folder}/*.parquet"


def write_mds(folder: Path, rows: int, shards: int) -> str:
    """Write the same rows as a dataset of this library, of as many shards."""
    from streaming import MDSWriter

    columns = {"id": "int", "text": "str", "url": "str", "score": "float64"}
    size = rows * 420 // shards
    with MDSWriter(out=str(folder), columns=columns, size_limit=size) as out:
        for n in range(0, rows, 10_000):
            for row in table(n, min(10_000, rows - n)).to_pylist():
                out.write(row)
    return str(folder)


def parquet(bars: Bars) -> None:
    """Rows a second of local Parquet."""
    rows = FILES * FILE_ROWS
    lake = write_lake(bars.folder / "lake", FILES, FILE_ROWS, GROUP_ROWS)
    mds = write_mds(bars.folder / "mds", rows, FILES)
    found = bars.rows({"ours": lake, "litdata": lake, "hf": lake, "mds": mds}, rows)
    print({system: [f"{value:,.0f}" for value in each] for system, each in found.items()})
    ours = found["ours"]
    for peer, bar in (("litdata", 1.0), ("hf", 3.0)):
        for epoch, name in enumerate(("first", "second")):
            against(bars, f"Parquet, {name} epoch, rows/s over {peer}'s", ours[epoch], found.get(peer), epoch, bar)
    against(bars, "second epoch, rows/s over those of MDS", ours[1], found.get("mds"), 1, 1 / 1.5)


def against(bars: Bars, what: str, ours: float, theirs: list[float] | None, epoch: int, bar: float) -> None:
    """Note how many times a peer's speed ours is."""
    ratio = ours / theirs[epoch] if theirs else None
    measured = "the peer is missing" if ratio is None else f"{ratio:.2f}"
    bars.add(what, measured, f"at least {bar:.2f}", None if ratio is None else ratio >= bar)


def tars(bars: Bars) -> None:
    """Rows a second of local archives."""
    folder = bars.folder / "tars"
    folder.mkdir()
    for n in range(TARS):
        with tarfile.open(folder / f"{n:05}.tar", "w") as archive:
            for i in range(n * TAR_ROWS, (n + 1) * TAR_ROWS):
                for suffix, data in (("txt", text(i, 120).encode()), ("cls", b"%d" % (i % 10))):
                    info = tarfile.TarInfo(f"{i:08}.{suffix}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    rows = TARS * TAR_ROWS
    systems = ("ours", "webdataset", "webdataset, full shuffle")
    found = bars.rows(dict.fromkeys(systems, f"{folder}/*.tar"), rows)
    print({system: [f"{value:,.0f}" for value in each] for system, each in found.items()})
    for peer in systems[1:]:
        for epoch, name in enumerate(("first", "second")):
            against(
                bars, f"tars, {name} epoch, rows/s over {peer}'s", found["ours"][epoch], found.get(peer), epoch, 3.0
            )


@contextmanager
def far(folder: Path) -> Iterator[dict[str, str]]:
    """Serve a folder from 30 ms away; yields the environment that leads there."""
    command = [sys.executable, str(HERE.parent / "slow_server.py"), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield {"S3_ENDPOINT_URL": f"http://127.0.0.1:{process.stdout.readline().strip()}"}
        finally:
            process.stdin.close()


def first(bars: Bars) -> None:
    """Time to the first batch of 100 files that are far away."""
    write_lake(bars.folder / "far" / "lake", 100, 1000, 1000)
    write_mds(bars.folder / "far" / "mds", 100_000, 100)
    found: dict[str, list[float]] = {}
    with far(bars.folder) as environ:
        for _ in range(bars.rounds):
            places = {"mds": "s3://far/mds", "*": "s3://far/lake/*.parquet"}
            for name, place in {**places, "braces": "s3://far/lake/part-{00000..00099}.parquet"}.items():
                system = "mds" if name == "mds" else "ours"
                told = bars.measure(system, "first", place, environ=environ)
                if isinstance(told, str):
                    raise SystemExit(told)
                print(name, told)
                found.setdefault(name, []).append(told["first_s"])
    base = median(found.pop("mds"))
    for name, runs in found.items():
        ratio = median(runs) / base
        what = f"first batch of 100 far files, by {name}, over that of MDS ({base:.2f} s)"
        bars.add(what, f"{ratio:.2f}", "at most 2", ratio <= 2)


def column(bars: Bars) -> None:
    """Bytes fetched for one column of ten."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = bars.folder / "wide" / "lake"
    folder.mkdir(parents=True)
    chunks = 0
    for n in range(10):
        columns = {f"c{k}": [random.randbytes(400) for _ in range(5000)] for k in range(10)}
        pq.write_table(pa.table(columns), folder / f"{n}.parquet", row_group_size=2500, use_dictionary=False)
        about = pq.read_metadata(folder / f"{n}.parquet")
        chunks += sum(about.row_group(g).column(3).total_compressed_size for g in range(about.num_row_groups))
    with far(bars.folder) as environ:
        told = bars.measure("ours", "column", "s3://wide/lake/*.parquet", column="c3", rows=50_000, environ=environ)
    if isinstance(told, str):
        raise SystemExit(told)
    ratio = told["bytes"] / chunks
    bars.add("bytes fetched for 1 of 10 columns, over its chunks", f"{ratio:.3f}", "at most 1.15", ratio <= 1.15)


def index(bars: Bars) -> None:
    """Time to look into 10,000 files that are far away."""
    import pyarrow.parquet as pq

    folder = bars.folder / "many" / "lake"
    folder.mkdir(parents=True)
    pq.write_table(table(0, 20), folder / "00000.parquet")
    for n in range(1, 10_000):
        shutil.copy(folder / "00000.parquet", folder / f"{n:05}.parquet")
    with far(bars.folder) as environ:
        told = bars.measure("ours", "index", "s3://many/lake/*.parquet", environ=environ)
    if isinstance(told, str):
        raise SystemExit(told)
    bars.add("10,000 files indexed at 30 ms", f"{told['index_s']:.1f} s", "under 60 s", told["index_s"] < 60)


def group(bars: Bars) -> None:
    """Time and memory of a row group of 1 GB."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, size = 250_000, 4096
    data = np.random.default_rng(1).integers(0, 255, rows * size // 4, np.uint8).tobytes() * 4
    offsets = np.arange(0, rows * size + 1, size, dtype=np.int64)
    blobs = pa.LargeBinaryArray.from_buffers(pa.large_binary(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    (bars.folder / "group").mkdir()
    path = bars.folder / "group" / "x.parquet"
    pq.write_table(pa.table({"id": range(rows), "x": blobs}), path, row_group_size=rows, use_dictionary=False)
    told = bars.measure("ours", "group", str(path), rows=rows)
    if isinstance(told, str):
        raise SystemExit(told)
    print(told)
    bars.add("memory with a row group of 1 GB", f"{told['peak_mb']:.0f} MB", "bounded: 512 MB", told["peak_mb"] < 512)


ALL = {each.__name__: each for each in (parquet, tars, first, column, index, group)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default=",".join(ALL), help=f"some of {', '.join(ALL)}")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bars-") as folder:
        bars = Bars(Path(folder), args.rounds)
        for name in args.only.split(","):
            ALL[name](bars)
            for path in Path(folder).iterdir():
                shutil.rmtree(path, ignore_errors=True)
    print("\n| | measured | bar | |\n|---|---:|---|---|")
    for what, measured, bar, is_met in bars.lines:
        print(f"| {what} | {measured} | {bar} | {_word(is_met)} |")


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
