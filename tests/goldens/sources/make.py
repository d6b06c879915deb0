"""Write the files here anew, by the programs that are named: ``python make.py`` where litdata, webdataset and tfrecord are."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent


def picture(i: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (i, 0, 0)).save(file, "JPEG")
    return file.getvalue()


def row(i: int) -> dict[str, object]:
    return {
        "i": i,
        "f": i / 2,
        "text": f"text {i} é",
        "raw": bytes([i]) * 3,
        "grid": np.arange(2 * (i + 1), dtype=np.int16).reshape(2, -1),
        "vector": np.arange(i + 1, dtype=np.float32),
        "even": i % 2 == 0,
        "jpg": picture(i),
    }


def document(i: int) -> Iterator[object]:
    import torch

    yield torch.arange(i * 10, i * 11 + 5, dtype=torch.int32)


def lit() -> None:
    import litdata

    for name, compression in (("plain", None), ("framed", "zstd")):
        shutil.rmtree(HERE / f"litdata-{name}", ignore_errors=True)
        out = str(HERE / f"litdata-{name}")
        litdata.optimize(row, list(range(10)), output_dir=out, num_workers=1, chunk_size=4, compression=compression)
    loader = litdata.TokensLoader(block_size=4)
    out = str(HERE / "litdata-tokens")
    shutil.rmtree(out, ignore_errors=True)
    litdata.optimize(document, list(range(6)), output_dir=out, num_workers=1, chunk_bytes="200B", item_loader=loader)


def web() -> None:
    import webdataset

    with webdataset.TarWriter(str(HERE / "webdataset.tar"), mtime=0) as out:
        for i in range(10):
            sample = {"__key__": f"a/{i:03}", "jpg": picture(i), "cls": i % 3, "txt": f"text {i} é", "json": {"i": [i]}}
            out.write({**sample, "grid.npy": np.full((2, i + 1), i, np.int16)})


def records() -> None:
    from tfrecord import TFRecordWriter

    out = TFRecordWriter(str(HERE / "records.tfrecord"))
    for i in range(10):
        out.write(
            {
                "i": (i - 5, "int"),
                "many": ([j * 1000 for j in range(i + 1)], "int"),
                "f": (i / 2, "float"),
                "text": (f"text {i} é".encode(), "byte"),
                "jpg": (picture(i), "byte"),
            }
        )
    out.close()


if __name__ == "__main__":
    for make in (lit, web, records):
        make()
    sys.stdout.write("written\n")
