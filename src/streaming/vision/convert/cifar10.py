"""CIFAR-10, from the archive of its authors (``cifar-10-python.tar.gz``), to MDS."""

from __future__ import annotations

import hashlib
import os
import pickle
import tarfile
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from streaming.converters.programs import make_parser, run, shuffled, split_names, write_split
from streaming.core.errors import ChecksumError, ConfigError
from streaming.core.imports import optional_import
from streaming.storage.registry import open_store

__all__ = ["main"]

_ARCHIVE = "cifar-10-python.tar.gz"
_MD5 = "c58f30108f718f92721af3b95e74349a"
_FOLDER = "cifar-10-batches-py"
_FILES = {"train": [f"data_batch_{n}" for n in range(1, 6)], "val": ["test_batch"]}


class _Unpickler(pickle.Unpickler):
    """Takes nothing but arrays: pickles of others could run code."""

    def find_class(self, module: str, name: str) -> Any:
        is_array = module.startswith("numpy") and name in ("_reconstruct", "ndarray", "dtype", "scalar")
        if is_array or (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise ConfigError(f"A file of CIFAR-10 names {module}.{name}, which no such file does. It is not read.")


def main(argv: Sequence[str] | None = None) -> None:
    """Write the splits ``train`` and ``val``: columns ``i``, ``x`` (``pil``) and ``y``.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    parser = make_parser(
        "Convert CIFAR-10 to MDS. What is not in --in_root is downloaded there.", 1 << 20, "",
        in_root=f"{_ARCHIVE} or of the folder in it", splits="train,val",
    )  # fmt: skip
    parser.add_argument(
        "--source", default="https://www.cs.toronto.edu/~kriz", help="where the archive is fetched from"
    )
    args = parser.parse_args(argv)
    _prepare(args.in_root, args.source)
    for split in split_names(args.splits, list(_FILES)):
        write_split(args, split, {"i": "int", "x": "pil", "y": "int"}, _images(args.in_root, split), _sample)


def _prepare(in_root: str, source: str) -> None:
    """Have the folder of batches in a directory."""
    archive = os.path.join(in_root, _ARCHIVE)
    if os.path.isdir(os.path.join(in_root, _FOLDER)):
        return
    if not os.path.exists(archive):
        os.makedirs(in_root, exist_ok=True)
        part = f"{archive}.part"
        open_store(source).download(_ARCHIVE, part)
        with open(part, "rb") as file:
            found = hashlib.md5(file.read(), usedforsecurity=False).hexdigest()
        if found != _MD5:
            raise ChecksumError(f"{source}/{_ARCHIVE} has md5 {found}, expected {_MD5}. It is left as {part}.")
        os.replace(part, archive)
    with tarfile.open(archive) as tar:
        for name in [name for names in _FILES.values() for name in names]:
            member = tar.extractfile(f"{_FOLDER}/{name}")
            if member is None:
                raise ConfigError(f"{archive} has no file {_FOLDER}/{name}.")
            _keep(member, os.path.join(in_root, f".{_FOLDER}.part", name))
    os.replace(os.path.join(in_root, f".{_FOLDER}.part"), os.path.join(in_root, _FOLDER))


def _keep(member: IO[bytes], path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(member.read())


def _images(in_root: str, split: str) -> list[tuple[int, Any, int]]:
    """Return numbers, pixels ``uint8[32, 32, 3]`` and classes, in random order."""
    pixels: list[Any] = []
    labels: list[int] = []
    for name in _FILES[split]:
        with open(os.path.join(in_root, _FOLDER, name), "rb") as file:
            batch = _Unpickler(file, encoding="bytes").load()
        pixels.extend(np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.extend(batch[b"labels"])
    return [(i, pixels[i], int(labels[i])) for i in shuffled(len(labels))]


def _sample(image: tuple[int, Any, int]) -> dict[str, Any]:
    number, pixels, label = image
    module = optional_import("PIL.Image", "vision", "Converting CIFAR-10")
    return {"i": number, "x": module.fromarray(np.ascontiguousarray(pixels)), "y": label}


if __name__ == "__main__":
    run(main)
