"""ImageNet, from a folder of a folder for each class, to MDS; images stay the files that they are."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

from streaming.converting.programs import make_parser, read_image, run, shuffled, split_names, write_split
from streaming.core.errors import ConfigError

__all__ = ["main"]

_IMAGES = (".jpg", ".jpeg", ".png", ".webp")


def main(argv: Sequence[str] | None = None) -> None:
    """Write splits: columns ``i``, ``x`` (``jpeg``) and ``y``, the number of the class in the order of their names.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    parser = make_parser("Convert ImageNet to MDS.", 1 << 26, "", in_root="SPLIT/CLASS/IMAGE.JPEG", splits="train,val")
    parser.add_argument("--validate", type=int, default=1, help="decode every image first: 1 or 0 (default 1)")
    parser.add_argument("--extensions", default="jpeg", help="of images, joined by commas (default jpeg)")
    args = parser.parse_args(argv)
    splits = split_names(args.splits, ["train", "val"])
    classes = {split: _classes(os.path.join(args.in_root, split)) for split in splits}
    for split in splits[1:]:
        if classes[split] != classes[splits[0]]:
            odd = sorted(set(classes[split]) ^ set(classes[splits[0]]))
            raise ConfigError(f"{split} and {splits[0]} have different classes: {', '.join(odd[:5])}.")
    endings = tuple(f".{name.strip().lower()}" for name in args.extensions.split(","))
    for split in splits:
        found = [
            (os.path.join(args.in_root, split, name, image), label)
            for label, name in enumerate(classes[split])
            for image in sorted(os.listdir(os.path.join(args.in_root, split, name)))
        ]
        others = [path for path, _ in found if path.lower().endswith(_IMAGES) and not path.lower().endswith(endings)]
        found = [(path, label) for path, label in found if path.lower().endswith(endings)]
        if not found:
            raise ConfigError(
                f"There are no images ({', '.join(endings)}) in {args.in_root}/{split}. Check --extensions."
            )
        if others:
            warnings.warn(
                f"{len(others):,} images with other endings than {', '.join(endings)} are left out, such as {others[0]}. "
                "Name them by --extensions.",
                stacklevel=2,
            )
        images = [(i, *found[i]) for i in shuffled(len(found))]
        read = partial(_sample, validates=bool(args.validate))
        write_split(args, split, {"i": "int", "x": "jpeg", "y": "int"}, images, read)


def _classes(directory: str) -> list[str]:
    if not os.path.isdir(directory):
        raise ConfigError(f"There is no directory {directory}. Check --in_root and --splits.")
    return sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())


def _sample(image: tuple[int, str, int], validates: bool) -> dict[str, Any]:
    number, path, label = image
    return {"i": number, "x": read_image(path, validates), "y": label}


if __name__ == "__main__":
    run(main)
