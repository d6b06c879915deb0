"""Write the goldens of the classic orders. Run in an environment with mosaicml-streaming 0.13.0:

    python generate.py

Every case is one line of ``cases.jsonl``: what was asked, and what the original answered: shape, digest and first
elements, or the name of the exception.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import warnings
from pathlib import Path
from types import MethodType, SimpleNamespace

import numpy as np
from streaming.base.batching import generate_work
from streaming.base.partition import get_partitions
from streaming.base.sampling import get_sampling
from streaming.base.shuffle import get_shuffle
from streaming.base.world import World

from streaming import Stream, StreamingDataset

SHUFFLES = ("naive", "py1s", "py2s", "py1br", "py1e")
BATCHINGS = ("random", "random", "stratified", "per_stream", "device_per_stream")
LAYOUTS = ((1, 1, 1), (1, 2, 1), (1, 1, 3), (2, 1, 2), (2, 2, 1), (2, 3, 2), (3, 2, 1), (4, 2, 2), (1, 8, 4), (8, 1, 1))


def answer(ask) -> dict:
    """Return what the original says, as JSON can hold it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = ask()
    except Exception as error:
        return {"error": type(error).__name__}
    array = np.ascontiguousarray(array, "<i8")
    digest = hashlib.sha1(array.tobytes()).hexdigest()[:16]
    return {"shape": list(array.shape), "digest": digest, "first": array.reshape(-1)[:6].tolist()}


def some_sizes(rng: random.Random, shards: int, most: int) -> list[int]:
    """Return sizes of shards: equal but for the last, or of all sizes."""
    if rng.random() < 0.5:
        size = rng.randint(1, most)
        return [size] * (shards - 1) + [rng.randint(1, size)]
    return [rng.randint(1, most) for _ in range(shards)]


def some_weights(rng: random.Random, sizes: list[list[int]]) -> dict:
    """Return the weights of the streams, mostly valid."""
    kind = rng.choice(("none", "none", "epoch_size", "proportion", "proportion", "absolute", "absolute", "mixed"))
    total = sum(map(sum, sizes))
    epoch_size = rng.randint(max(total // 3, 1), total * 2)
    if kind == "none":
        return {"streams": [{} for _ in sizes], "epoch_size": None}
    if kind == "epoch_size":
        return {"streams": [{} for _ in sizes], "epoch_size": epoch_size}
    if kind == "proportion":
        streams = [{"proportion": rng.choice((1, 2, 0.5, 3, 0.1, 10))} for _ in sizes]
        return {"streams": streams, "epoch_size": rng.choice((None, epoch_size))}
    streams = []
    for stream in sizes:
        way = rng.choice(("repeat", "choose", "none") if kind == "absolute" else ("repeat", "choose", "proportion", "none"))
        if way == "repeat":
            streams.append({"repeat": rng.choice((0.5, 1, 1.5, 2.25, 3, 0.1))})
        elif way == "choose":
            streams.append({"choose": rng.randint(0 if rng.random() < 0.1 else 1, 2 * sum(stream))})
        elif way == "proportion":
            streams.append({"proportion": rng.choice((1, 2.5))})
        else:
            streams.append({})
    return {"streams": streams, "epoch_size": epoch_size if rng.random() < 0.05 else None}


def resolved(case: dict) -> tuple[list[Stream], int]:
    """Return the streams with weights applied, and the size of an epoch."""
    streams = [Stream(local="x", **weights) for weights in case["streams"]]
    per_stream = np.array([sum(sizes) for sizes in case["sizes"]], np.int64)
    return streams, int(Stream.apply_weights(streams, per_stream, case["epoch_size"], case["seed"]))


def work(case: dict) -> np.ndarray:
    """Return what the original's dataset would hand out."""
    streams, epoch_size = resolved(case)
    sizes = np.array([size for stream in case["sizes"] for size in stream], np.int64)
    shards = np.array([len(stream) for stream in case["sizes"]], np.int64)
    dataset = SimpleNamespace(
        streams=streams,
        num_streams=len(streams),
        shards_per_stream=shards,
        shard_offset_per_stream=shards.cumsum() - shards,
        samples_per_shard=sizes,
        sample_offset_per_shard=sizes.cumsum() - sizes,
        samples_per_stream=np.array([sum(stream) for stream in case["sizes"]], np.int64),
        num_samples=int(sizes.sum()),
        epoch_size=epoch_size,
        batch_size=case["batch_size"],
        num_canonical_nodes=case["num_canonical_nodes"],
        initial_physical_nodes=case["initial_physical_nodes"],
        shuffle=case["shuffle_algo"] is not None,
        shuffle_algo=case["shuffle_algo"] or "py1e",
        shuffle_seed=case["seed"],
        shuffle_block_size=case["shuffle_block_size"],
        sampling_method=case["sampling_method"],
        sampling_granularity=case["sampling_granularity"],
        partition_algo=case["partition_algo"],
        batching_method=case["batching_method"],
        epoch_seed_change=case["shuffle_algo"] is not None and case["sampling_method"] == "balanced",
    )
    dataset.resample_streams = MethodType(StreamingDataset.resample_streams, dataset)
    world = World(*case["layout"], 0)
    if case["replication"] != 1:
        world = world.replicate(case["replication"])
    case["replicated"] = [world.num_nodes, world.ranks_per_node, world.workers_per_rank]
    return generate_work(case["batching_method"], dataset, world, case["epoch"], case["sample_in_epoch"])


def work_case(rng: random.Random) -> dict:
    """Return an epoch of a dataset and what the original makes of it."""
    batching = rng.choice(BATCHINGS)
    num_streams = rng.choice((1, 1, 2, 3, 4))
    layout = rng.choice(LAYOUTS)
    batch_size = rng.choice((1, 2, 3, 4, 7, 8))
    room = rng.choice((0.05, 1, 1, 3)) * batch_size * layout[0] * layout[1]
    sizes = []
    for _ in range(num_streams):
        shards = rng.randint(1, 9)
        sizes.append(some_sizes(rng, shards, max(2, min(int(room * 8 / shards), 400))))
    nodes = layout[0]
    divisible = (nodes, nodes, 2 * nodes, 8 * nodes, 1)
    case = {
        "kind": "work",
        "sizes": sizes,
        **some_weights(rng, sizes),
        "seed": rng.choice((0, 1, 9176, 424242)),
        "epoch": rng.choice((0, 0, 1, 2, 17)),
        "sample_in_epoch": 0,
        "layout": list(layout),
        "replication": rng.choice([1, 1, 1, 1] + [r for r in (2, 4) if layout[0] * layout[1] % r == 0]),
        "batch_size": batch_size,
        "num_canonical_nodes": rng.choice(divisible if rng.random() < 0.8 else (1, 2, 3, 5, 64)),
        "initial_physical_nodes": rng.choice((None, None, 1, 2, 3, 4)),
        "partition_algo": rng.choice(("orig", "relaxed", "relaxed")),
        "shuffle_algo": rng.choice((None, *SHUFFLES, "py1e", "py1br")),
        "shuffle_block_size": rng.choice((8, 64, 100, 1 << 18, 4_000_000)),
        "sampling_method": rng.choice(("balanced", "balanced", "fixed")),
        "sampling_granularity": rng.choice((1, 1, 2, 7, 50)),
        "batching_method": batching,
    }
    if rng.random() < 0.4:
        total = sum(map(sum, sizes))
        step = layout[0] * layout[1] * batch_size
        case["sample_in_epoch"] = rng.choice((step, 2 * step, total // 2 // step * step, total // 3, 4 * total))
    case["answer"] = answer(lambda: work(case))
    case.setdefault("replicated", list(layout))
    return case


def small_blocks(rng: random.Random) -> dict:
    """Return two streams of which one gets little of the block, or nothing."""
    case = work_case(rng)
    case.update(
        sizes=[[50, 50], [5] * rng.randint(40, 120)],
        streams=[{}, {}],
        epoch_size=None,
        sample_in_epoch=0,
        layout=[1, rng.choice((1, 2)), 1],
        replication=1,
        num_canonical_nodes=rng.choice((1, 2)),
        shuffle_block_size=rng.choice((1, 4, 9, 20, 60)),
    )
    case["answer"] = answer(lambda: work(case))
    return case


def weights_case(rng: random.Random) -> dict:
    """Return weights and the samples that the original draws from each stream."""
    sizes = [[rng.randint(1, 5000)] for _ in range(rng.choice((1, 2, 3, 5, 12)))]
    case = {"kind": "weights", "sizes": sizes, **some_weights(rng, sizes), "seed": rng.choice((0, 9176))}
    case["answer"] = answer(lambda: [int(stream.choose) for stream in resolved(case)[0]])
    if "error" not in case["answer"]:
        streams, epoch_size = resolved(case)
        case["total"] = epoch_size
        case["proportion"] = [float(stream.proportion) for stream in streams]
        case["repeat"] = [float(stream.repeat) for stream in streams]
    return case


def sampling_case(rng: random.Random) -> dict:
    """Return shards and the samples that the original draws from each."""
    sizes = some_sizes(rng, rng.randint(1, 40), 300)
    args = [
        rng.choice((rng.randint(0, 3 * sum(sizes)), sum(sizes), 2 * sum(sizes), -1 if rng.random() < 0.3 else 0)),
        rng.choice((1, 2, 10, 64, 1000, 0 if rng.random() < 0.3 else 3)),
        rng.choice((0, 9176, -1 if rng.random() < 0.3 else 5)),
        rng.choice((0, 1, 5)),
        rng.choice((True, False)),
    ]
    return {"kind": "sampling", "sizes": sizes, "args": args, "answer": answer(lambda: get_sampling(np.array(sizes), *args))}


def partition_case(rng: random.Random) -> dict:
    """Return a split over nodes and what the original makes of it."""
    nodes = rng.choice((1, 1, 2, 3, 4, 8))
    samples = rng.choice((rng.randint(1, 40), rng.randint(0, 3), rng.randint(100, 3000)))
    args = [
        samples,
        rng.choice((1, 2, 3, 4, 8, 64, nodes)),
        nodes,
        rng.choice((1, 2, 3, 8)),
        rng.choice((1, 2, 5)),
        rng.choice((1, 2, 6, 16)),
        rng.choice((0, 0, rng.randint(0, samples + 10))),
        rng.choice((None, 1, 2, 4)),
    ]
    algo = rng.choice(("orig", "relaxed"))
    return {"kind": "partition", "algo": algo, "args": args, "answer": answer(lambda: get_partitions(algo, *args))}


def shuffle_case(rng: random.Random) -> dict:
    """Return runs of shards and the original's order of them."""
    sizes = some_sizes(rng, rng.choice((1, 3, 20, 60)), rng.choice((5, 60, 500)))
    algo = rng.choice(SHUFFLES)
    args = [rng.choice((1, 2, 3, 7, 64)), rng.choice((0, 9176)), rng.choice((0, 1, 9)), rng.choice((1, 2, 3, 16, 333, 1 << 18))]
    asked = np.array(sizes, np.int64)
    return {"kind": "shuffle", "algo": algo, "sizes": sizes, "args": args, "answer": answer(lambda: get_shuffle(algo, asked, *args))}


MAKERS = ((work_case, 520), (small_blocks, 60), (weights_case, 60), (sampling_case, 60), (partition_case, 150), (shuffle_case, 110))


def main() -> None:
    """Write all cases."""
    logging.disable(logging.CRITICAL)
    rng = random.Random(20240)
    lines = [json.dumps(make(rng), separators=(",", ":")) for make, count in MAKERS for _ in range(count)]
    (Path(__file__).parent / "cases.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
