"""One step of the benchmark, in a process of its own: does the work and prints what it took as JSON."""

from __future__ import annotations

import glob
import io
import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

WORKERS = 2
SHARD_BYTES = 8_000_000


def resized(data: bytes) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").resize((256, 256)).save(out, "JPEG", quality=90)
    return out.getvalue()


def smaller(row: dict[str, Any]) -> dict[str, Any]:
    return {"image": resized(row["image"]), "label": row["label"]}


def smaller_file(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        return {"image": resized(file.read()), "label": int(os.path.dirname(path)[-1])}


def images(source: str, out: str) -> None:
    import streaming

    streaming.convert(source, out, fn=smaller, workers=WORKERS, progress_bar=False)


def images_litdata(source: str, out: str) -> None:
    import litdata

    paths = sorted(glob.glob(f"{source}/*/*.jpg"))
    litdata.optimize(smaller_file, paths, output_dir=out, num_workers=WORKERS, chunk_bytes="64MB")


def parquet(source: str, out: str) -> None:
    import streaming

    streaming.convert(source, out, workers=WORKERS, progress_bar=False)


def parquet_pyarrow(source: str) -> None:
    import pyarrow.parquet as pq

    pq.read_table(source)


def tokens(source: str, tokenizer: str, out: str) -> None:
    import streaming

    streaming.convert(source, out, tokenizer=tokenizer, workers=WORKERS, progress_bar=False)


def _tokenize(path: str, tokenizer: str, begin: int) -> None:
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(tokenizer)
    with open(path) as file:
        lines = file.readlines()[begin::WORKERS]
    for at in range(0, len(lines), 128):
        texts = [json.loads(line)["text"] for line in lines[at : at + 128]]
        _ = [found.ids for found in loaded.encode_batch_fast(texts)]


def tokens_alone(source: str, tokenizer: str) -> None:
    import multiprocessing

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_tokenize, args=(source, tokenizer, i)) for i in range(WORKERS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def memory(source: str, out: str) -> None:
    import streaming

    report = streaming.convert(
        source, out, workers=WORKERS, progress_bar=False, compression="zstd", size_limit=SHARD_BYTES
    )
    assert report.shards >= 4 * WORKERS, report  # a few for each worker, or nothing is shown


def watch(peak: list[float]) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from measure import tree_memory

    while True:
        peak[0] = max(peak[0], tree_memory().get("private_mb", 0.0))
        time.sleep(0.1)


def main() -> None:
    name, *args = sys.argv[1:]
    out = args[-1]
    if not os.path.isfile(out):
        shutil.rmtree(out, ignore_errors=True)
    peak = [0.0]
    if name == "memory":
        threading.Thread(target=watch, args=(peak,), daemon=True).start()
    began = time.perf_counter()
    globals()[name](*args)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak_mb": peak[0]}), flush=True)


if __name__ == "__main__":
    main()
