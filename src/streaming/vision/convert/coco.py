"""COCO 2017 (detection) to MDS; images stay the files that they are."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from streaming.converters.programs import make_parser, read_image, run, shuffled, split_names, write_split
from streaming.core.errors import ConfigError

__all__ = ["main"]

_NUM_SAMPLES = {"train": 117266, "val": 4952}
_COLUMNS = {
    "img": "jpeg",
    "img_id": "int",
    "htot": "int",
    "wtot": "int",
    "bbox_sizes": "ndarray:float32",
    "bbox_labels": "ndarray:int64",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Write splits: an image with its number, height and width, boxes and their labels.

    Boxes are left, top, right and bottom, as shares of width and height; labels count from 1, in the order of the
    categories. Images without boxes are left out.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    parser = make_parser(
        "Convert COCO 2017 to MDS.", 1 << 25, "", in_root="train2017, val2017 and annotations", splits="train,val"
    )
    parser.add_argument("--validate", type=int, default=1, help="insist on the number of images: 1 or 0 (default 1)")
    args = parser.parse_args(argv)
    for split in split_names(args.splits, list(_NUM_SAMPLES)):
        path = os.path.join(args.in_root, "annotations", f"instances_{split}2017.json")
        try:
            with open(path, encoding="utf-8") as file:
                found = _images(json.load(file))
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error}. Check --in_root.") from error
        if args.validate and len(found) != _NUM_SAMPLES[split]:
            raise ConfigError(
                f"{path} has {len(found):,} images with boxes, expected {_NUM_SAMPLES[split]:,}. Pass --validate 0 to "
                "convert a part."
            )
        ordered = [found[i] for i in shuffled(len(found))] if split == "train" else found
        read = partial(_sample, directory=os.path.join(args.in_root, f"{split}2017"))
        write_split(args, split, _COLUMNS, ordered, read)


def _images(annotations: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the images that have boxes, each with them."""
    labels = {category["id"]: number for number, category in enumerate(annotations["categories"], 1)}
    images = {image["id"]: {**image, "boxes": [], "labels": []} for image in annotations["images"]}
    for box in annotations["annotations"]:
        image = images[box["image_id"]]
        left, top, width, height = box["bbox"]
        w, h = image["width"], image["height"]
        image["boxes"].append((left / w, top / h, (left + width) / w, (top + height) / h))
        image["labels"].append(labels[box["category_id"]])
    return [image for image in images.values() if image["boxes"]]


def _sample(image: Mapping[str, Any], directory: str) -> dict[str, Any]:
    return {
        "img": read_image(os.path.join(directory, image["file_name"])),
        "img_id": image["id"],
        "htot": image["height"],
        "wtot": image["width"],
        "bbox_sizes": np.array(image["boxes"], np.float32),
        "bbox_labels": np.array(image["labels"], np.int64),
    }


if __name__ == "__main__":
    run(main)
