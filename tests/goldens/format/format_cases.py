"""Datasets that the goldens hold: columns, options and samples.

Imported by ``generate.py`` (in an environment with mosaicml-streaming 0.13.0) and by the tests.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import numpy as np
from PIL import Image

SCALARS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
FLOATS = ("float16", "float32", "float64")


def scalar_samples() -> list[dict[str, Any]]:
    samples = []
    for i in range(40):
        sample: dict[str, Any] = {
            "int": (-1) ** i * (1 << (i + 20)),
            "str": "héllo wörld 🌍 " * (i % 5),
            "bytes": bytes(range(i)),
            "str_int": (-1) ** i * 10 ** (i * 2),
            "str_float": 0.1 * i - 1,
            "str_decimal": Decimal(i) / 7,
        }
        for name in SCALARS:
            info = np.iinfo(name)
            sample[name] = (info.min, info.max, 7, np.dtype(name).type(3))[i % 4]
        for name in FLOATS:
            sample[name] = (0.0, -1.5, float("inf"), np.dtype(name).type(0.1), 1 / 3, 1e-7)[i % 6]
        samples.append(sample)
    return samples


def array_samples() -> list[dict[str, Any]]:
    samples = []
    for i in range(24):
        dtype = np.dtype((*SCALARS, *FLOATS)[i % 11])
        samples.append(
            {
                "any": (np.arange(6 * (i + 1)) % 100).astype(dtype).reshape(i + 1, 2, 3),
                "wide": np.arange(300 + i, dtype=dtype)[:, None][:: 1 + i % 2],
                "typed": np.arange(1 + i, dtype="int16"),
                "fixed": np.arange(12, dtype="float32").reshape(3, 4) * i,
                "tokens": np.arange(i, i + 16, dtype="uint16"),
                "json": {"i": i, "text": "é\n", "list": [1.5, None, True]} if i % 2 else [i] * i,
                "pkl": {"i": i, "tuple": (1, "two", 3.0)},
            }
        )
    return samples


def image(mode: str, size: tuple[int, int], seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, 4 * size[0] * size[1], np.uint8)
    bands = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
    return Image.frombytes(mode, size, noise.tobytes()[: bands * size[0] * size[1]])


def image_samples() -> list[dict[str, Any]]:
    samples = []
    for i in range(4):
        images = [image(("L", "RGB")[k % 2], (5 + k, 4), 10 * i + k) for k in range(i + 1)]
        samples.append(
            {
                "pil": image(("L", "RGB", "RGBA", "L")[i], (7, 5), i),
                "png": images[0],
                "jpeg": images[-1],
                "list_pil": images,
                "list_png": images[:-1],
                "list_jpeg": images,
            }
        )
    return samples


def line_samples() -> list[dict[str, Any]]:
    return [
        {"name": f"naïve {i} 🙂" * (i % 3), "count": (-3) ** i, "score": 1 / (i + 1), "extra": i} for i in range(50)
    ]


def simple_samples() -> list[dict[str, Any]]:
    return [{"id": i, "text": f"sample {i} " * 40} for i in range(60)]


SCALAR_COLUMNS = {
    name: name for name in ("str", *SCALARS, "int", *FLOATS, "bytes", "str_int", "str_float", "str_decimal")
}
ARRAY_COLUMNS = {
    "any": "ndarray",
    "wide": "ndarray",
    "typed": "ndarray:int16",
    "fixed": "ndarray:float32:3,4",
    "tokens": "ndarray:uint16:16",
    "json": "json",
    "pkl": "pkl",
}
IMAGE_COLUMNS = {
    "pil": "pil",
    "png": "png",
    "jpeg": "jpeg",
    "list_pil": "list[pil]",
    "list_png": "list[png]",
    "list_jpeg": "list[jpeg]",
}
LINE_COLUMNS = {"score": "float", "name": "str", "count": "int"}
SIMPLE_COLUMNS = {"text": "str", "id": "int32"}


def _case(format: str, columns: dict[str, str], make: Any, **options: Any) -> dict[str, Any]:
    return {"format": format, "columns": columns, "make": make, "options": options}


CASES = {
    "scalars": _case("mds", SCALAR_COLUMNS, scalar_samples, hashes=["md5", "sha1", "xxh64"], size_limit=4096),
    "arrays": _case("mds", ARRAY_COLUMNS, array_samples, hashes=["sha256", "xxh3_128"], size_limit="16kb"),
    "images": _case("mds", IMAGE_COLUMNS, image_samples, size_limit=None),
    "json": _case("json", LINE_COLUMNS, line_samples, hashes=["xxh32"], size_limit=1500),
    "csv": _case("csv", LINE_COLUMNS, line_samples, size_limit=1000),
    "tsv": _case("tsv", LINE_COLUMNS, line_samples, newline="\r\n", compression="br:5"),
    "xsv": _case(
        "xsv",
        LINE_COLUMNS,
        line_samples,
        separator="||",
        hashes=["blake2s", "sha3_224"],
        compression="zstd:9",
        size_limit=1200,
    ),
    "json_bz2": _case("json", LINE_COLUMNS, line_samples, compression="bz2:3"),
    # The first sample passes the limit, so the original writes an empty shard before it.
    "empty_first": _case("mds", SIMPLE_COLUMNS, lambda: simple_samples()[:4], size_limit=200),
    "nothing": _case("mds", SIMPLE_COLUMNS, list),
    **{
        f"zip_{algo.replace(':', '_')}": _case(
            "mds",
            SIMPLE_COLUMNS,
            simple_samples,
            compression=algo,
            hashes=["sha1", "xxh3_64"],
            size_limit=16384,
        )
        for algo in ("br", "bz2", "gz", "gz:1", "snappy", "zstd", "zstd:19")
    },
}
#: Bytes of these depend on the version of the image library, so only their values are compared.
VALUES_ONLY = {"images"}


def describe(value: Any) -> Any:
    """Return a value as JSON that tells type and content, so that equal texts mean equal values."""
    if isinstance(value, dict):
        return {name: describe(item) for name, item in sorted(value.items())}
    if isinstance(value, list):
        return [describe(item) for item in value]
    if isinstance(value, Image.Image):
        if value.format == "JPEG":  # decoders differ in the last bit
            return ["image", value.format, value.mode, list(value.size)]
        digest = hashlib.sha1(value.tobytes()).hexdigest()
        return ["image", value.format, value.mode, list(value.size), digest]
    if isinstance(value, (np.ndarray, np.generic)):
        kind = type(value).__name__
        digest = hashlib.sha1(value.tobytes()).hexdigest()
        return [kind, str(value.dtype), list(value.shape), digest]
    return [type(value).__name__, repr(value)]
