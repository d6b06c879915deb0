"""How long conversions take, against what is nearest: ``python benchmarks/convert/run.py [images parquet tokens memory]``.

Each pair is run in turns in one go, in processes of their own, and the ratio of the medians is printed; litdata runs in an
environment of its own (``environments.py``, or ``LITDATA_PYTHON``).
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import environments  # noqa: E402

ROUNDS = 3
WORKERS = 2
WORDS = 2_000


def child(python: str, system: str, *args: str) -> dict[str, float]:
    """Run a step in a process of its own and return what it measured."""
    command = [python, str(HERE / "steps.py"), *args]
    done = subprocess.run(command, capture_output=True, text=True, env=environments.environ(system), check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(args)}: exit code {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def versus(name: str, ours: tuple[str, ...], other: tuple[str, ...], python: str, system: str, bar: str) -> None:
    """Run two steps in turns and print the ratio."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        seconds[0].append(child(sys.executable, "ours", *ours)["seconds"])
        seconds[1].append(child(python, system, *other)["seconds"])
    a, b = map(statistics.median, seconds)
    print(f"{name}: {a:.2f} s against {b:.2f} s of {other[0]}: ratio {a / b:.2f} (bar: {bar})", flush=True)


def images(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(600):
        place = folder / "photos" / f"class{i % 4}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).resize((640, 480)).save(place / f"{i:05}.jpg", quality=90)
    python, problem = environments.find("litdata")
    if python is None:
        print(f"images: litdata is left out: {problem}")
        return
    source, out = str(folder / "photos"), str(folder / "out")
    versus("images", ("images", source, out), ("images_litdata", source, out), python, "litdata", "at most 1")


def parquet(folder: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    count = 500_000
    columns: dict[str, object] = {f"i{k}": rng.integers(0, 1 << 40, count) for k in range(3)}
    columns.update({f"f{k}": rng.standard_normal(count).astype(np.float32) for k in range(3)})
    columns.update(
        {"flag": rng.integers(0, 2, count).astype(bool), "small": rng.integers(0, 99, count).astype(np.int8)}
    )
    texts = [f"text number {i} of many" * (i % 3 + 1) for i in range(count)]
    columns.update({"text": texts, "maybe": [None if i % 9 == 0 else f"m{i}" for i in range(count)]})
    pq.write_table(pa.table(columns), folder / "table.parquet", row_group_size=100_000, compression="zstd")
    source, out = str(folder / "table.parquet"), str(folder / "out")
    versus("parquet", ("parquet", source, out), ("parquet_pyarrow", source), sys.executable, "ours", "at most 3")


def tokens(folder: Path) -> None:
    import random

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(WORDS)]
    with open(folder / "texts.jsonl", "w") as file:
        for _ in range(240_000):
            file.write(json.dumps({"text": " ".join(rng.choices(words, k=rng.randint(20, 200)))}) + "\n")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.train_from_iterator([" ".join(words)], trainers.BpeTrainer(vocab_size=1500, show_progress=False))
    tokenizer.save(str(folder / "tokenizer.json"))
    source, path, out = str(folder / "texts.jsonl"), str(folder / "tokenizer.json"), str(folder / "out")
    alone = ("tokens_alone", source, path)
    versus("tokens", ("tokens", source, path, out), alone, sys.executable, "ours", "at most 1.1")


def memory(folder: Path) -> None:
    line = json.dumps({"text": "some text of a line " * 40}) + "\n"
    found: list[float] = []
    for times in (1, 20):
        with open(folder / "lines.jsonl", "w") as file:
            for _ in range(times):
                file.write(line * 80_000)
        found.append(
            child(sys.executable, "ours", "memory", str(folder / "lines.jsonl"), str(folder / "out"))["peak_mb"]
        )
    print(
        f"memory: {found[0]:.0f} MB of all processes for 8 shards, and {found[1]:.0f} MB for 20 times the input",
        flush=True,
    )


def main() -> None:
    chosen = sys.argv[1:] or ["images", "parquet", "tokens", "memory"]
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="convert-", dir=os.environ.get("BENCH_DIR")) as folder:
            globals()[name](Path(folder))
            shutil.rmtree(Path(folder) / "out", ignore_errors=True)


if __name__ == "__main__":
    main()
