"""What is converted with ``compatible=True``, read by the original.

Runs where ``STREAMING_ORIGINAL_PYTHON`` names a Python in whose environment ``mosaicml-streaming`` 0.13 is installed.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import streaming
from streaming import LocalDataset

ORIGINAL = os.environ.get("STREAMING_ORIGINAL_PYTHON")
ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "goldens" / "sources"

PROGRAM = """
import json, sys
from streaming import LocalDataset
def plain(value):
    if hasattr(value, 'getdata'): return [value.mode, list(value.size), value.tobytes().hex()]
    if hasattr(value, 'tolist'): return value.tolist()
    return value.hex() if isinstance(value, bytes) else value
for place in sys.argv[1:]:
    dataset = LocalDataset(local=place)
    print(json.dumps([{n: plain(v) for n, v in dataset[i].items()} for i in range(len(dataset))], default=str))
"""


def plain(value: Any) -> Any:
    if isinstance(value, Image.Image):
        return [value.mode, list(value.size), value.tobytes().hex()]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value.hex() if isinstance(value, bytes) else value


def picture(i: int, kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (i, 0, 0)).save(file, kind)
    return file.getvalue()


def table() -> Any:
    return pa.table(
        {
            "i": range(20),
            "small": pa.array(range(20), pa.int8()),
            "f": pa.array([i / 4 for i in range(20)], pa.float32()),
            "text": [f"é {i}" for i in range(20)],
            "blob": [bytes([i]) * i for i in range(20)],
            "vector": [[float(i)] * (i % 3 + 1) for i in range(20)],
            "nested": [{"a": [i, None]} for i in range(20)],
        }
    )


def sources(tmp_path: Path) -> dict[str, Path]:
    pq.write_table(table(), tmp_path / "t.parquet", row_group_size=7)
    (tmp_path / "l.jsonl").write_text(
        "".join(json.dumps({"i": i, "t": f"é{i}", "x": {"a": [i]}}) + "\n" for i in range(20))
    )
    for kind in ("JPEG", "PNG"):
        folder = tmp_path / kind
        folder.mkdir()
        for i in range(5):
            (folder / f"{i}.{kind.lower()}").write_bytes(picture(i, kind))
    np.save(tmp_path / "n.npy", np.arange(24, dtype=np.int16).reshape(4, 6))
    names = ("t.parquet", "l.jsonl", "JPEG", "PNG", "n.npy")
    peers = ("webdataset.tar", "records.tfrecord")
    return {name: tmp_path / name for name in names} | {name: GOLDENS / name for name in peers}


@pytest.mark.skipif(
    not ORIGINAL, reason="STREAMING_ORIGINAL_PYTHON does not name a Python with mosaicml-streaming 0.13"
)
def test_the_original_reads_all_of_it(tmp_path: Path) -> None:
    assert ORIGINAL is not None
    places: list[str] = []
    for name, source in sources(tmp_path).items():
        out = str(tmp_path / "out" / name)
        options: Any = {"workers": 0, "progress_bar": False, "compatible": True, "size_limit": "2kb"}
        streaming.convert(source, out, **options)
        places.append(out)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks" / "stubs")}
    done = subprocess.run(
        [ORIGINAL, "-c", PROGRAM, *places], capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for place, line in zip(places, done.stdout.splitlines(), strict=True):
        ours = [{name: plain(value) for name, value in row.items()} for row in LocalDataset(place)[:]]
        assert json.loads(line) == json.loads(json.dumps(ours, default=str)), place
