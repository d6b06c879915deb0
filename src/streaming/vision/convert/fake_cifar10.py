"""Random images of the shape of CIFAR-10's, as many as wanted, to MDS: for measuring."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from streaming.converters.programs import make_parser, run, write_split
from streaming.core.imports import optional_import

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the splits ``train`` and ``val``: columns ``i``, ``x`` (``pil``) and ``y``.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    parser = make_parser(
        "Write random images of the shape of CIFAR-10's.",
        1 << 20,
        "",
        out_root=os.path.join(tempfile.gettempdir(), "fake_cifar10"),
    )
    parser.add_argument("--num_train", type=int, default=1 << 20, help="images of train (default 1048576)")
    parser.add_argument("--num_val", type=int, default=1 << 17, help="images of val (default 131072)")
    args = parser.parse_args(argv)
    for seed, (split, count) in enumerate((("train", args.num_train), ("val", args.num_val))):
        write_split(args, split, {"i": "int", "x": "pil", "y": "int"}, range(count), partial(_sample, seed=seed))


def _sample(number: int, seed: int) -> dict[str, Any]:
    module = optional_import("PIL.Image", "vision", "Making images")
    random = np.random.default_rng((seed, number))
    pixels = random.integers(0, 256, (32, 32, 3), np.uint8)
    return {"i": number, "x": module.fromarray(pixels), "y": int(random.integers(10))}


if __name__ == "__main__":
    run(main)
