"""ADE20K (the scene parsing challenge's ``ADEChallengeData2016``) to MDS; images stay the files that they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from streaming.converters.programs import list_files, make_parser, read_image, run, shuffled, split_names, write_split
from streaming.core.errors import ConfigError

__all__ = ["main"]

_FOLDERS = {"train": "training", "val": "validation"}
_NUM_SAMPLES = {"train": 20206, "val": 2000}
#: Images of which the annotation does not fit.
_BAD = {"00003020", "00001701", "00013508", "00008455"}


def main(argv: Sequence[str] | None = None) -> None:
    """Write splits: columns ``uid``, ``x`` (``jpeg``) and ``y`` (``png``).

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    parser = make_parser(
        "Convert ADE20K to MDS.", 1 << 22, "", in_root="images/training and annotations/training", splits="train,val"
    )
    parser.add_argument("--validate", type=int, default=1, help="insist on the number of images: 1 or 0 (default 1)")
    args = parser.parse_args(argv)
    for split in split_names(args.splits, list(_FOLDERS)):
        images = list_files(os.path.join(args.in_root, "images", _FOLDERS[split]), [".jpg"], "images")
        images = [path for path in images if split != "train" or _uid(path) not in _BAD]
        if args.validate and len(images) != _NUM_SAMPLES[split]:
            raise ConfigError(
                f"{args.in_root} has {len(images):,} images of {split}, expected {_NUM_SAMPLES[split]:,}. "
                "Pass --validate 0 to convert a part."
            )
        ordered = [images[i] for i in shuffled(len(images))] if split == "train" else images
        write_split(args, split, {"uid": "bytes", "x": "jpeg", "y": "png"}, ordered, _sample)


def _uid(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0].rpartition("_")[2]


def _sample(path: str) -> dict[str, Any]:
    above, folder = os.path.split(os.path.dirname(path))
    name = os.path.splitext(os.path.basename(path))[0]
    annotation = os.path.join(os.path.dirname(above), "annotations", folder, f"{name}.png")
    return {"uid": _uid(path).encode(), "x": read_image(path), "y": read_image(annotation)}


if __name__ == "__main__":
    run(main)
