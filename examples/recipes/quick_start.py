"""Write a dataset of images and classes, and read it with a PyTorch ``DataLoader``."""

import argparse
import sys
import tempfile

import numpy as np
from torch.utils.data import DataLoader

from streaming import MDSWriter, StreamingDataset

try:
    from PIL import Image
except ImportError:
    sys.exit("This recipe needs Pillow: pip install 'streaming-dataset[vision]'")


def collate(samples):
    """Stack the images of a batch."""
    images = np.stack([np.asarray(sample["image"]) for sample in samples])
    return images, [sample["class"] for sample in samples]


def main(out):
    """Write the dataset, and read it."""
    remote, local = f"{out}/remote", f"{out}/local"

    columns = {"image": "png", "class": "int"}
    random = np.random.default_rng(0)
    with MDSWriter(
        out=remote, columns=columns, compression="zstd", hashes=["sha1"], size_limit=1 << 15, exist_ok=True
    ) as writer:
        for i in range(200):
            pixels = random.integers(0, 256, (16, 16, 3), np.uint8)
            writer.write({"image": Image.fromarray(pixels), "class": i % 10})

    dataset = StreamingDataset(remote=remote, local=local, shuffle=True, shuffle_algo="py1e", batch_size=8)
    print(len(dataset), dataset.size, dataset[137]["class"], dataset[137]["image"].size)
    for images, classes in DataLoader(dataset, batch_size=8, num_workers=2, collate_fn=collate):
        print(images.shape, int(images.sum()), classes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    main(out)
