"""What is measured: the data, the groups of operations that share a process, and the rows of the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: Those that continue the original under its import name.
FORKS = ("community", "neprr")
SYSTEMS = ("ours", "limit", "original", *FORKS, "litdata", "webdataset", "hf")
PEERS = (*FORKS, "litdata", "webdataset", "hf")
MIB = 1 << 20


@dataclass(frozen=True)
class Data:
    """Samples that are written once in the format of each system.

    Args:
        kind: Kind of samples; see samples.py.
        samples: Samples in a full run.
        quick: Samples in a quick run.
        shard_bytes: Largest size of a shard.
        compression: Compression of shards; where readers of a system would pay for it in every epoch, none.
    """

    kind: str
    samples: int
    quick: int
    shard_bytes: int
    compression: str | None = None


DATA = {
    "tokens": Data("tokens", 65_536, 16_384, 64 * MIB),
    "text": Data("text", 40_000, 10_000, 16 * MIB, "zstd"),
    "small": Data("small", 100_000, 20_000, MIB),
    "images": Data("images", 8_000, 2_000, 32 * MIB),
    "jpeg": Data("jpeg", 2_000, 500, 32 * MIB),
    "columns": Data("columns", 40_000, 10_000, 4 * MIB),
    "many": Data("tiny", 80_000, 80_000, 368),  # 16 a shard: 5,000 shards
    "far64": Data("tokens", 40_000, 40_000, 64 * MIB),
    "far8": Data("tokens", 12_000, 12_000, 8 * MIB),
    "far20": Data("tokens", 40_000, 40_000, 4 * MIB),
}


@dataclass(frozen=True)
class Group:
    """Operations of one process on one dataset, for several systems in turn.

    Args:
        name: Name, for ``--only``.
        data: Name in `DATA`, or None if the operations make what they need.
        operations: Names in child.py.
        systems: Systems that can do this work.
        rounds: Runs of this library, the limit, the original and what there is a bar for; of others, two at most.
        timeout_s: Longest time of one process.
        apart: Whether each operation has a process of its own.
        quick: Whether it is part of a quick run.
        options: What else the operations are told.
    """

    name: str
    data: str | None
    operations: tuple[str, ...]
    systems: tuple[str, ...] = SYSTEMS
    rounds: int = 2
    timeout_s: float = 60
    apart: bool = False
    quick: bool = True
    options: dict[str, Any] = field(default_factory=dict)


READ = ("get", "get_many", "iterate", "loader0")
BOTH = ("ours", "limit", "original", *FORKS)
FAR = ("ours", "limit", "original", *FORKS, "litdata", "webdataset")
#: Of what there is a bar for, there are so many rounds: speeds of a machine that others share change by the minute.
MANY = 5


def write_group(kind: str, compression: str | None, samples: int) -> Group:
    # With shards enough that there is something to compress at a time.
    size = 4 * MIB if compression else 64 * MIB
    options = {"kind": kind, "compression": compression, "samples": samples, "shard_bytes": size}
    return Group(f"write-{kind}-{compression or 'raw'}", None, ("write",), BOTH, MANY, options=options)


def index_group(power: int) -> Group:
    return Group(
        f"index-1e{power}",
        None,
        ("open_first", "open_again"),
        BOTH,
        rounds=2 if power < 6 else 1,
        timeout_s=60 if power < 6 else 240,
        apart=True,
        quick=power in (3, 5),
        options={"kind": "tiny", "shards": 10**power},
    )


def order_group(power: int, part: str) -> Group:
    options = {"kind": "tiny", "samples": 10**power, "begin": 0 if part == "start" else 10**power // 2}
    return Group(
        f"order-1e{power}-{part}", None, ("order",), BOTH, 3 if power < 8 else 1, 300, quick=power < 8, options=options
    )


GROUPS = [
    Group("read-tokens", "tokens", READ, rounds=MANY),
    Group("read-text", "text", READ, rounds=MANY),
    Group("read-small", "small", READ, rounds=MANY),
    Group("read-images", "images", READ, rounds=MANY),
    Group("read-columns", "columns", ("get", "iterate", "loader0"), quick=False),
    Group("read-jpeg", "jpeg", ("get", "iterate")),
    Group("workers2-tokens", "tokens", ("loader2",), rounds=MANY),
    Group("workers4-tokens", "tokens", ("loader4",), quick=False),
    Group("workers2-text", "text", ("loader2",), quick=False),
    Group("workers2-small", "small", ("loader2",), quick=False),
    Group("workers2-images", "images", ("loader2",), rounds=MANY),
    Group("cold", "many", ("cold",), FAR, 2 * MANY),
    *(index_group(power) for power in (3, 4, 5, 6)),
    *(order_group(power, part) for power in (6, 8) for part in ("start", "resume")),
    Group("far64", "far64", ("remote",), FAR, 4, 40, options={"workers": 2}, quick=False),
    Group("far8", "far8", ("remote",), FAR, 4, 20, options={"workers": 2}),
    Group("far8-http", "far8", ("remote",), ("ours", "limit", "webdataset"), quick=False,
          options={"workers": 2, "scheme": "http"}),
    Group("far20", "far20", ("remote",), ("ours", "limit", "original", *FORKS, "litdata"), 2, 30, quick=False,
          options={"workers": 2, "cache_share": 0.2, "shuffle_block_size": 4096}),
    write_group("tokens", None, 40_000),
    write_group("tokens", "zstd", 40_000),
    write_group("text", None, 60_000),
    write_group("text", "zstd", 60_000),
]  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        title: What it is.
        group: Group that measures it.
        operation: Operation.
        metric: Which of the figures of the operation.
        unit: Unit of the figure.
        bar: Least ratio of the original's figure to ours.
        peer: A peer, and the least ratio of its figure to ours.
    """

    title: str
    group: str
    operation: str
    metric: str
    unit: str = "µs"
    bar: float | None = None
    peer: tuple[str, float] | None = None


def reading_rows() -> list[Row]:
    titles = {
        "tokens": "tokens, 4 KiB", "text": "text, 2.1 KB", "small": "5 small columns", "images": "image bytes, 27 KB",
        "columns": "40 columns", "jpeg": "JPEG, 27 KB, decoded",
    }  # fmt: skip
    operations = {
        "get": "`ds[i]`", "get_many": "`ds[256 at random]`", "iterate": "`for s in ds`, shuffled",
        "loader0": "`DataLoader`, 0 workers",
    }  # fmt: skip
    bars = {
        ("tokens", "get"): 9, ("text", "get"): 7, ("small", "get"): 7, ("tokens", "get_many"): 20,
        ("tokens", "iterate"): 30, ("text", "iterate"): 20, ("images", "iterate"): 15, ("tokens", "loader0"): 50,
    }  # fmt: skip
    peers = {("tokens", "iterate"): ("litdata", 2.5), ("tokens", "loader0"): ("litdata", 5.0)}
    rows = []
    for group in GROUPS:
        if group.name.startswith("read-"):
            kind = group.name.removeprefix("read-")
            for name in group.operations:
                title = f"{operations[name]}: {titles[kind]}"
                rows.append(
                    Row(title, group.name, name, "cpu", bar=bars.get((kind, name)), peer=peers.get((kind, name)))
                )
    for number, kind, bar, peer in (
        (2, "tokens", 15, ("litdata", 2.0)), (4, "tokens", None, None), (2, "text", None, None),
        (2, "small", None, None), (2, "images", 3, None),
    ):  # fmt: skip
        title = f"`DataLoader`, {number} workers: {titles[kind]} (wall)"
        rows.append(Row(title, f"workers{number}-{kind}", f"loader{number}", "wall", bar=bar, peer=peer))
    return rows


def start_rows() -> list[Row]:
    rows = [
        Row("process start to first batch, 5,000 shards (CPU)", "cold", "cold", "cpu", "s", 2.5),
        Row("process start to first batch, 5,000 shards (wall)", "cold", "cold", "wall", "s"),
        Row("open 5,000 shards to first batch (CPU)", "cold", "cold", "open_cpu", "s", 5),
        Row("open 5,000 shards to first batch (wall)", "cold", "cold", "open_wall", "s"),
    ]
    for power in (3, 4, 5, 6):
        shards = f"{10**power:,} shards"
        rows.append(Row(f"open an index of {shards}", f"index-1e{power}", "open_first", "cpu", "s"))
        rows.append(Row(f"the same, the second time: {shards}", f"index-1e{power}", "open_again", "cpu", "s"))
        rows.append(Row(f"memory of an open index: {shards}", f"index-1e{power}", "open_first", "mb", "MB"))
    for power in (6, 8):
        for part in ("start", "resume"):
            group = f"order-1e{power}-{part}"
            title = "start of an epoch" if part == "start" else "resume in the middle of an epoch"
            bar = 300 if power == 8 else None
            rows.append(Row(f"{title} of 10^{power} samples", group, "order", "wall", "s", bar))
            rows.append(Row(f"memory of it: 10^{power}, {part}", group, "order", "mb", "MB", 50 if bar else None))
    return rows


def far_rows() -> list[Row]:
    rows = []
    for group, title, bar, first in (
        ("far64", "160 MB in 64 MB shards", 3, 5),
        ("far8", "49 MB in 8 MB shards", 3, 5),
        ("far8-http", "49 MB in 8 MB shards, plain HTTP", None, None),
        ("far20", "160 MB in 4 MB shards, `cache_limit` at 20%", None, None),
    ):
        rows.append(Row(f"first epoch from a far server: {title} (wall)", group, "remote", "wall", "s", bar))
        rows.append(Row(f"its first batch: {title} (wall)", group, "remote", "first", "s", first))
    return rows


def last_rows() -> list[Row]:
    rows = []
    for group, title, cpu, wall in (
        ("write-tokens-raw", "tokens", 2.5, None), ("write-tokens-zstd", "tokens, zstd", 1.6, 4),
        ("write-text-raw", "text", 2, None), ("write-text-zstd", "text, zstd", 1.6, 4),
    ):  # fmt: skip
        rows.append(Row(f"write {title} (CPU)", group, "write", "cpu", bar=cpu))
        rows.append(Row(f"write {title} (wall)", group, "write", "wall", bar=wall))
    for number, kind in ((2, "tokens"), (4, "tokens"), (2, "images")):
        group = f"workers{number}-{kind}"
        what = f"main and {number} workers, {kind}"
        rows.append(Row(f"memory of {what}: PSS", group, f"loader{number}", "pss_mb", "MB"))
        rows.append(Row(f"of that, no file pages: {what}", group, f"loader{number}", "private_mb", "MB"))
    return rows


ROWS = [*reading_rows(), *start_rows(), *far_rows(), *last_rows()]
